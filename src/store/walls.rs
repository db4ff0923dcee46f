//! The wall behind the wall: on PostgreSQL a tenant's transaction takes a role that sees the
//! tenant's rows alone, so that a query which forgets its tenant finds nothing of others.
//!
//! The role has no login, owns nothing and cannot pass policies by; the server's own user may
//! pass them (superusers and owners do), which is why the role is taken. SQLite has no roles.

#[cfg(feature = "postgres")]
use diesel::connection::SimpleConnection;
#[cfg(feature = "postgres")]
use diesel::prelude::*;

use super::db::Db;
use super::error::StoreError;
#[cfg(feature = "postgres")]
use crate::domain::tenant::Tenant;

/// What the database lets us do about the wall.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wall {
    /// It stands.
    Stands,
    /// The engine has none: the store's functions are the only wall.
    None,
    /// It could stand, and does not; the reason says what to do.
    Missing(String),
}

/// The role that tenants' transactions take. One name for all databases of a server: it owns
/// nothing and is granted each schema's tables apart.
#[cfg(feature = "postgres")]
const ROLE: &str = "onyx_tenant";

/// What a tenant's transaction reads.
#[cfg(feature = "postgres")]
const READ: &str = "partners, clients, credentials, scope_grants, scope_usage, packages, package_partners, \
    orders, allowances, order_events, usage_records, ledger_entries, invoices, invoice_lines, events, event_counters, \
    idempotency_keys, request_log, audit_events, audit_hashes, audit_checkpoints, webhook_endpoints, \
    webhook_secrets, webhook_deliveries, webhook_attempts, webhook_replays, usage_counters, partner_limits, \
    limit_overrides";
/// What it adds to.
#[cfg(feature = "postgres")]
const WRITTEN: &str = "orders, allowances, order_events, ledger_entries, events, event_counters, idempotency_keys, \
    audit_events, webhook_endpoints, webhook_secrets, webhook_replays, usage_counters";

/// Makes the role where it is missing and lets it at the tables; told once, at the start of a process.
///
/// What the server's user may not do is no failure: the answer says so.
pub(super) fn raise(db: &mut Db) -> Result<Wall, StoreError> {
    match db {
        Db::Sqlite(_) => Ok(Wall::None),
        #[cfg(feature = "postgres")]
        Db::Postgres(conn) => Ok(raise_on(conn)),
    }
}

#[cfg(feature = "postgres")]
fn raise_on(conn: &mut PgConnection) -> Wall {
    // Each behind a savepoint of its own: one that fails must not undo the others.
    let steps = [
        // Another process, on another database of the server, may make it at the same moment.
        format!(
            "DO $$ BEGIN IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = '{ROLE}') THEN \
             CREATE ROLE {ROLE} NOLOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE; END IF; \
             EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"
        ),
        format!(
            "DO $$ BEGIN IF NOT pg_has_role(current_user, '{ROLE}', 'MEMBER') THEN \
             EXECUTE format('GRANT {ROLE} TO %I', current_user); END IF; END $$"
        ),
        format!(
            "DO $$ BEGIN EXECUTE format('GRANT USAGE ON SCHEMA %I TO {ROLE}', current_schema()); END $$; \
             GRANT SELECT ON {READ} TO {ROLE}; GRANT INSERT ON {WRITTEN} TO {ROLE}; \
             GRANT UPDATE ON event_counters, usage_counters TO {ROLE}; GRANT UPDATE (retried_at) ON orders TO {ROLE}; \
             GRANT DELETE ON idempotency_keys TO {ROLE}; \
             GRANT UPDATE ON webhook_endpoints, webhook_deliveries, webhook_replays TO {ROLE}; \
             GRANT UPDATE, DELETE ON webhook_secrets TO {ROLE}"
        ),
    ];
    for step in steps {
        if let Err(error) = conn.transaction(|conn| conn.batch_execute(&step)) {
            return Wall::Missing(missing(&error));
        }
    }
    probe_on(conn)
}

/// Whether the wall stands; changes nothing. Within a transaction.
pub(super) fn probe(db: &mut Db) -> Result<Wall, StoreError> {
    match db {
        Db::Sqlite(_) => Ok(Wall::None),
        #[cfg(feature = "postgres")]
        Db::Postgres(conn) => Ok(probe_on(conn)),
    }
}

#[cfg(feature = "postgres")]
fn probe_on(conn: &mut PgConnection) -> Wall {
    let tried = conn.transaction(|conn| {
        conn.batch_execute(&format!("SET LOCAL ROLE {ROLE}"))?;
        diesel::sql_query("SELECT 1 FROM orders LIMIT 1")
            .execute(conn)
            .map(|_| ())
    });
    match tried {
        Ok(()) => Wall::Stands,
        Err(error) => Wall::Missing(missing(&error)),
    }
}

#[cfg(feature = "postgres")]
fn missing(error: &diesel::result::Error) -> String {
    format!(
        "the database's user cannot take the role {ROLE} ({error}); as a superuser run: \
         CREATE ROLE {ROLE} NOLOGIN; GRANT {ROLE} TO the server's user; then start the server again"
    )
}

/// What takes the role at the beginning of a tenant's transaction: to its end it sees no rows of others. One text with
/// what begins it, so that it is one journey to the database; both values are of types that hold no quotes, an id and a
/// realm's word.
#[cfg(feature = "postgres")]
pub(super) fn taken(tenant: &Tenant) -> String {
    format!(
        "SET LOCAL ROLE {ROLE}; SET LOCAL onyx.partner_id = '{}'; SET LOCAL onyx.realm = '{}'",
        tenant.partner_id(),
        tenant.realm()
    )
}
