//! Credentials.

use diesel::prelude::*;

use super::db::{Db, on_engine};
use super::error::StoreError;
use super::schema::{clients, credentials};
use crate::domain::credential::{CredentialKind, CredentialState, RevocationReason, Validity};
use crate::domain::id::{ClientId, CredentialId};
use crate::domain::instant::Instant;
use crate::domain::page::{Page, PageRequest};
use crate::domain::secret::SecretHash;
use crate::domain::tenant::Tenant;

/// A row of `credentials`.
#[derive(Clone, Debug, Queryable, Insertable)]
#[diesel(table_name = credentials, treat_none_as_default_value = false)]
pub struct Credential {
    pub id: CredentialId,
    pub client_id: ClientId,
    pub kind: CredentialKind,
    pub secret_hash: SecretHash,
    /// Which pepper the hash was made under.
    pub pepper_version: i32,
    /// The secret's last four characters.
    pub hint: String,
    pub state: CredentialState,
    pub expires_at: Option<Instant>,
    pub accepts_until: Option<Instant>,
    pub created_by: String,
    pub created_at: Instant,
    pub revoked_at: Option<Instant>,
    pub revoked_by: Option<String>,
    pub revoked_reason: Option<RevocationReason>,
    pub revoked_note: Option<String>,
}

impl Credential {
    /// What decides whether it may be used.
    pub fn validity(&self) -> Validity {
        Validity {
            state: self.state,
            expires_at: self.expires_at,
            accepts_until: self.accepts_until,
        }
    }
}

/// Writes a new credential.
pub fn insert(db: &mut Db, credential: &Credential) -> Result<(), StoreError> {
    diesel::insert_into(credentials::table)
        .values(credential)
        .execute(db)?;
    Ok(())
}

/// A credential by id. `None`: unknown.
pub fn find(db: &mut Db, id: &CredentialId) -> Result<Option<Credential>, StoreError> {
    Ok(credentials::table.find(id).first(db).optional()?)
}

/// A tenant's own credential. `None`: unknown, or another tenant's.
pub fn of_tenant(
    db: &mut Db,
    tenant: &Tenant,
    id: &CredentialId,
) -> Result<Option<Credential>, StoreError> {
    let row = credentials::table
        .inner_join(clients::table)
        .filter(
            clients::partner_id
                .eq(tenant.partner_id())
                .and(clients::realm.eq(tenant.realm())),
        )
        .filter(credentials::id.eq(id))
        .select(credentials::all_columns)
        .first(db);
    Ok(row.optional()?)
}

/// A client's credentials that are not revoked; there are few.
pub fn unrevoked(db: &mut Db, client_id: &ClientId) -> Result<Vec<Credential>, StoreError> {
    let unrevoked = credentials::table
        .filter(
            credentials::client_id
                .eq(client_id)
                .and(credentials::state.ne(CredentialState::Revoked)),
        )
        .order(credentials::id.asc());
    Ok(on_engine!(db, conn => unrevoked.load(conn))?)
}

/// A page of a client's credentials, oldest first.
pub fn page(
    db: &mut Db,
    client_id: &ClientId,
    page: &PageRequest,
) -> Result<Page<Credential>, StoreError> {
    let rows = credentials::table
        .filter(
            credentials::client_id
                .eq(client_id)
                .and(credentials::id.gt(page.after())),
        )
        .order(credentials::id.asc())
        .limit(page.probe())
        .load(db)?;
    Ok(page.page(rows, |c: &Credential| c.id.as_str()))
}

/// Who revoked, when and why.
#[derive(Clone, Debug)]
pub struct Revocation {
    pub at: Instant,
    pub by: String,
    pub reason: RevocationReason,
    pub note: Option<String>,
}

/// Revokes a credential. `false`: unknown, or already revoked.
pub fn revoke(db: &mut Db, id: &CredentialId, revocation: &Revocation) -> Result<bool, StoreError> {
    let live = credentials::table
        .find(id)
        .filter(credentials::state.ne(CredentialState::Revoked));
    let changed = diesel::update(live)
        .set((
            credentials::state.eq(CredentialState::Revoked),
            credentials::revoked_at.eq(revocation.at),
            credentials::revoked_by.eq(&revocation.by),
            credentials::revoked_reason.eq(revocation.reason),
            credentials::revoked_note.eq(&revocation.note),
        ))
        .execute(db)?;
    Ok(changed == 1)
}
