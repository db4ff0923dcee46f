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
    /// The successor that was issued in its place.
    pub replaced_by: Option<CredentialId>,
    /// Durable before the first token that it got is answered.
    pub first_used_at: Option<Instant>,
    /// As of a second ago.
    pub last_used_at: Option<Instant>,
    /// As of a second ago.
    pub use_count: i64,
    pub last_used_ip: Option<String>,
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

/// A client's credentials that authenticate at a moment: at most two.
pub fn usable(
    db: &mut Db,
    client_id: &ClientId,
    now: Instant,
) -> Result<Vec<Credential>, StoreError> {
    let usable = credentials::table
        .filter(
            credentials::client_id
                .eq(client_id)
                .and(credentials::state.ne(CredentialState::Revoked)),
        )
        .filter(
            credentials::expires_at
                .is_null()
                .or(credentials::expires_at.gt(now)),
        )
        .filter(
            credentials::accepts_until
                .is_null()
                .or(credentials::accepts_until.gt(now)),
        )
        .order(credentials::id.asc());
    Ok(on_engine!(db, conn => usable.load(conn))?)
}

/// From where usable credentials were last used, as it is on record: of so many, the last used first.
///
/// No index leads there, since each would be written with every use: it goes over the whole table, which takes
/// seconds where a million credentials are on record.
pub fn last_used_from(
    db: &mut Db,
    now: Instant,
    most: i64,
) -> Result<Vec<(ClientId, String)>, StoreError> {
    let used = credentials::table
        .filter(
            credentials::state
                .ne(CredentialState::Revoked)
                .and(credentials::last_used_ip.is_not_null()),
        )
        .filter(
            credentials::expires_at
                .is_null()
                .or(credentials::expires_at.gt(now)),
        )
        .filter(
            credentials::accepts_until
                .is_null()
                .or(credentials::accepts_until.gt(now)),
        )
        .order(credentials::last_used_at.desc())
        .select((
            credentials::client_id,
            credentials::last_used_ip.assume_not_null(),
        ))
        .limit(most);
    Ok(used.load(db)?)
}

/// A client's credentials that are not revoked, those that time has ended among them.
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

/// What a revocation writes, whatever the condition.
#[derive(AsChangeset)]
#[diesel(table_name = credentials, treat_none_as_null = true)]
pub(super) struct Ended<'a> {
    state: CredentialState,
    revoked_at: Option<Instant>,
    revoked_by: Option<&'a str>,
    revoked_reason: Option<RevocationReason>,
    revoked_note: Option<&'a str>,
}

impl Revocation {
    pub(super) fn values(&self) -> Ended<'_> {
        Ended {
            state: CredentialState::Revoked,
            revoked_at: Some(self.at),
            revoked_by: Some(&self.by),
            revoked_reason: Some(self.reason),
            revoked_note: self.note.as_deref(),
        }
    }
}

/// Revokes a credential. `false`: unknown, or already revoked.
pub fn revoke(db: &mut Db, id: &CredentialId, revocation: &Revocation) -> Result<bool, StoreError> {
    let live = credentials::table
        .find(id)
        .filter(credentials::state.ne(CredentialState::Revoked));
    let changed = diesel::update(live).set(revocation.values()).execute(db)?;
    Ok(changed == 1)
}

/// The credentials whose secret has this hash, in every realm: one, or none.
pub fn with_hash(db: &mut Db, hash: &SecretHash) -> Result<Vec<Credential>, StoreError> {
    Ok(credentials::table
        .filter(credentials::secret_hash.eq(hash))
        .order(credentials::id.asc())
        .load(db)?)
}

/// Lets a credential end no later than a moment. `false`: unknown, revoked, or it ends sooner.
pub fn end_by(db: &mut Db, id: &CredentialId, end: Instant) -> Result<bool, StoreError> {
    let longer = credentials::expires_at
        .is_null()
        .or(credentials::expires_at.assume_not_null().gt(end));
    let live = credentials::table
        .find(id)
        .filter(credentials::state.ne(CredentialState::Revoked))
        .filter(longer);
    let changed = diesel::update(live)
        .set(credentials::expires_at.eq(end))
        .execute(db)?;
    Ok(changed == 1)
}
