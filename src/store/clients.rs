//! OAuth clients.

use diesel::prelude::*;

use super::db::{Db, on_engine};
use super::error::StoreError;
use super::schema::{clients, credentials};
use crate::domain::allowlist::Allowlist;
use crate::domain::client::{ClientKind, ClientState, ClientStep};
use crate::domain::id::{ClientId, PartnerId, ResourceServerId};
use crate::domain::instant::Instant;
use crate::domain::lifecycle::Step;
use crate::domain::page::{Page, PageRequest};
use crate::domain::realm::Realm;
use crate::domain::scope::ScopeSet;
use crate::domain::tenant::Tenant;

/// A row of `clients`.
#[derive(Clone, Debug, Queryable, Insertable)]
#[diesel(table_name = clients, treat_none_as_default_value = false)]
pub struct Client {
    pub id: ClientId,
    pub realm: Realm,
    pub kind: ClientKind,
    /// Partner clients only.
    pub partner_id: Option<PartnerId>,
    /// Resource servers' clients only.
    pub resource_server_id: Option<ResourceServerId>,
    pub name: String,
    pub state: ClientState,
    /// The names it may hold; what it holds at an audience its grants decide.
    pub scopes: ScopeSet,
    /// What a request without `scope` gets; `None`: all that it holds.
    pub default_scopes: Option<ScopeSet>,
    /// Seconds, 60 to 900; `None`: the server's.
    pub token_ttl: Option<i32>,
    pub expires_at: Option<Instant>,
    pub created_by: String,
    pub created_at: Instant,
    pub updated_at: Instant,
    /// The networks that it may call from; `None`: from anywhere.
    pub ip_allowlist: Option<Allowlist>,
    /// Whether its partner rotates its secret by itself; `None`: in the sandbox it does.
    pub self_rotation: Option<bool>,
}

/// Which clients a list shows.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub partner_id: Option<PartnerId>,
    pub kind: Option<ClientKind>,
    pub realm: Option<Realm>,
    pub state: Option<ClientState>,
}

/// Writes a new client.
pub fn insert(db: &mut Db, client: &Client) -> Result<(), StoreError> {
    diesel::insert_into(clients::table)
        .values(client)
        .execute(db)?;
    Ok(())
}

/// A client by id. `None`: unknown.
pub fn find(db: &mut Db, id: &ClientId) -> Result<Option<Client>, StoreError> {
    let row = on_engine!(db, conn => clients::table.find(id).get_result(conn));
    Ok(row.optional()?)
}

/// A tenant's own client. `None`: unknown, or another tenant's.
pub fn of_tenant(
    db: &mut Db,
    tenant: &Tenant,
    id: &ClientId,
) -> Result<Option<Client>, StoreError> {
    let row = clients::table
        .filter(
            clients::partner_id
                .eq(tenant.partner_id())
                .and(clients::realm.eq(tenant.realm())),
        )
        .filter(clients::id.eq(id))
        .first(db);
    Ok(row.optional()?)
}

/// The client of a resource server. `None`: unknown.
pub fn of_resource_server(
    db: &mut Db,
    id: &ResourceServerId,
) -> Result<Option<Client>, StoreError> {
    Ok(clients::table
        .filter(clients::resource_server_id.eq(id))
        .first(db)
        .optional()?)
}

/// A page of clients, oldest first.
pub fn page(db: &mut Db, filter: &Filter, page: &PageRequest) -> Result<Page<Client>, StoreError> {
    let mut query = clients::table
        .filter(clients::id.gt(page.after()))
        .into_boxed();
    if let Some(partner) = &filter.partner_id {
        query = query.filter(clients::partner_id.eq(partner));
    }
    if let Some(kind) = filter.kind {
        query = query.filter(clients::kind.eq(kind));
    }
    if let Some(realm) = filter.realm {
        query = query.filter(clients::realm.eq(realm));
    }
    if let Some(state) = filter.state {
        query = query.filter(clients::state.eq(state));
    }
    let rows = query
        .order(clients::id.asc())
        .limit(page.probe())
        .load(db)?;
    Ok(page.page(rows, |c: &Client| c.id.as_str()))
}

/// Whether any operator exists.
pub fn any_operator(db: &mut Db) -> Result<bool, StoreError> {
    let operators = clients::table.filter(clients::kind.eq(ClientKind::Operator));
    Ok(diesel::select(diesel::dsl::exists(operators)).get_result(db)?)
}

/// The operators that are active, those past their end included; there are few.
pub fn active_operators(db: &mut Db) -> Result<Vec<Client>, StoreError> {
    let rows = clients::table
        .filter(
            clients::kind
                .eq(ClientKind::Operator)
                .and(clients::state.eq(ClientState::Active)),
        )
        .order(clients::id.asc())
        .load(db)?;
    Ok(rows)
}

/// Who made a client, and who gave it credentials.
pub fn hands_behind(db: &mut Db, id: &str) -> Result<Vec<String>, StoreError> {
    let mut hands: Vec<String> = clients::table
        .find(id)
        .select(clients::created_by)
        .load(db)?;
    let givers: Vec<String> = credentials::table
        .filter(credentials::client_id.eq(id))
        .select(credentials::created_by)
        .distinct()
        .load(db)?;
    hands.extend(givers);
    Ok(hands)
}

/// Takes a client a step on. `false`: unknown, or in a state from which the step does not lead on.
pub fn step(
    db: &mut Db,
    id: &ClientId,
    step: ClientStep,
    now: Instant,
) -> Result<bool, StoreError> {
    let ready = clients::table
        .find(id)
        .filter(clients::state.eq_any(step.from()));
    let changed = diesel::update(ready)
        .set((clients::state.eq(step.to()), clients::updated_at.eq(now)))
        .execute(db)?;
    Ok(changed == 1)
}

/// Writes what an edit may change of a client. `false`: unknown, or revoked.
pub fn edit(db: &mut Db, client: &Client) -> Result<bool, StoreError> {
    let live = clients::table
        .find(&client.id)
        .filter(clients::state.ne(ClientState::Revoked));
    let changed = diesel::update(live)
        .set((
            clients::name.eq(&client.name),
            clients::scopes.eq(&client.scopes),
            clients::default_scopes.eq(&client.default_scopes),
            clients::token_ttl.eq(client.token_ttl),
            clients::expires_at.eq(client.expires_at),
            clients::ip_allowlist.eq(&client.ip_allowlist),
            clients::self_rotation.eq(client.self_rotation),
            clients::updated_at.eq(client.updated_at),
        ))
        .execute(db)?;
    Ok(changed == 1)
}

/// Gives a client other scopes in place of those that it was read with. `false`: it has others
/// by now, or is revoked.
pub fn replace_scopes(
    db: &mut Db,
    read: &Client,
    scopes: &ScopeSet,
    default_scopes: Option<&ScopeSet>,
    now: Instant,
) -> Result<bool, StoreError> {
    let same = clients::table
        .find(&read.id)
        .filter(clients::state.ne(ClientState::Revoked))
        .filter(clients::scopes.eq(&read.scopes));
    let changed = diesel::update(same)
        .set((
            clients::scopes.eq(scopes),
            clients::default_scopes.eq(default_scopes),
            clients::updated_at.eq(now),
        ))
        .execute(db)?;
    Ok(changed == 1)
}

/// Holds an active client against every other change until the transaction ends.
///
/// Whoever counts a client's credentials and then adds one takes this first, so
/// that two who do so queue. `false`: unknown, suspended or revoked.
pub fn hold_active(db: &mut Db, id: &ClientId, now: Instant) -> Result<bool, StoreError> {
    let held = diesel::update(
        clients::table
            .find(id)
            .filter(clients::state.eq(ClientState::Active)),
    )
    .set(clients::updated_at.eq(now))
    .execute(db)?;
    Ok(held == 1)
}

/// Those of these that there are, each with its partner.
pub fn partners_of(
    db: &mut Db,
    ids: &[&ClientId],
) -> Result<Vec<(ClientId, Option<PartnerId>)>, StoreError> {
    let found = clients::table
        .filter(clients::id.eq_any(ids))
        .select((clients::id, clients::partner_id));
    Ok(found.load(db)?)
}
