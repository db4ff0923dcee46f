//! Warnings before an end: who is due for one, and which were given.

use diesel::dsl::{exists, not};
use diesel::prelude::*;

use super::db::{Db, on_engine};
use super::error::StoreError;
use super::grants::{Grant, is_last};
use super::schema::{clients, credentials, expiry_warnings, scope_grants};
use crate::domain::client::ClientState;
use crate::domain::credential::CredentialState;
use crate::domain::grant::GrantState;
use crate::domain::id::{ClientId, CredentialId, PartnerId};
use crate::domain::instant::Instant;
use crate::domain::realm::Realm;

/// Whose end is near: it comes after one moment, and by another.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    pub after: Instant,
    pub by: Instant,
    /// The warning that is due then, by its days.
    pub days: i32,
}

/// A credential that ends.
#[derive(Clone, Debug, Queryable)]
pub struct Ending {
    pub id: CredentialId,
    pub client_id: ClientId,
    pub realm: Realm,
    /// `None`: a client without a partner.
    pub partner_id: Option<PartnerId>,
    pub expires_at: Instant,
}

/// Which of those that are due.
#[derive(Clone, Copy, Debug)]
pub enum Due<'a> {
    /// The next so many, soonest first.
    Next(i64),
    /// This one alone.
    This(&'a str),
}

/// Credentials in use that end within the window, and whose warning was not given yet.
pub fn credentials_due(
    db: &mut Db,
    due: Due<'_>,
    window: Window,
) -> Result<Vec<Ending>, StoreError> {
    let given = expiry_warnings::table
        .filter(expiry_warnings::days.eq(window.days))
        .filter(expiry_warnings::subject.eq(credentials::id));
    let mut query = credentials::table
        .inner_join(clients::table)
        .filter(credentials::expires_at.gt(window.after))
        .filter(credentials::expires_at.le(window.by))
        .filter(credentials::state.eq(CredentialState::Active))
        .filter(clients::state.ne(ClientState::Revoked))
        .filter(not(exists(given)))
        .order(credentials::expires_at.asc())
        .select((
            credentials::id,
            credentials::client_id,
            clients::realm,
            clients::partner_id,
            credentials::expires_at.assume_not_null(),
        ))
        .into_boxed();
    match due {
        Due::Next(limit) => query = query.limit(limit),
        Due::This(id) => query = query.filter(credentials::id.eq(id.to_owned())),
    }
    Ok(query.load(db)?)
}

/// Replaced credentials whose overlap ends within the window while nobody uses their successor, which was there by
/// a moment, or while it is revoked, and the client uses no other; and whose warning was not given yet. With each its
/// successor, under which that is on record: a rotation may be undone, and another follow.
pub fn overlaps_due(
    db: &mut Db,
    due: Due<'_>,
    window: Window,
    replaced_by: Instant,
) -> Result<Vec<(Ending, CredentialId)>, StoreError> {
    let (successors, others) = diesel::alias!(credentials as successors, credentials as others);
    let given = expiry_warnings::table
        .filter(expiry_warnings::days.eq(window.days))
        .filter(
            expiry_warnings::subject
                .nullable()
                .eq(credentials::replaced_by),
        );
    let in_use = others
        .filter(
            others
                .field(credentials::client_id)
                .eq(credentials::client_id),
        )
        .filter(others.field(credentials::state).eq(CredentialState::Active))
        .filter(others.field(credentials::first_used_at).is_not_null());
    let is_its_own = successors
        .field(credentials::id)
        .nullable()
        .eq(credentials::replaced_by);
    let is_idle = successors
        .field(credentials::first_used_at)
        .is_null()
        .or(successors
            .field(credentials::state)
            .eq(CredentialState::Revoked));
    let idle = successors
        .filter(is_its_own)
        .filter(successors.field(credentials::created_at).le(replaced_by))
        .filter(is_idle);
    let mut query = credentials::table
        .inner_join(clients::table)
        .filter(credentials::accepts_until.gt(window.after))
        .filter(credentials::accepts_until.le(window.by))
        .filter(credentials::state.eq(CredentialState::Rotated))
        .filter(clients::state.ne(ClientState::Revoked))
        .filter(exists(idle))
        .filter(not(exists(in_use)))
        .filter(not(exists(given)))
        .order(credentials::accepts_until.asc())
        .select((
            (
                credentials::id,
                credentials::client_id,
                clients::realm,
                clients::partner_id,
                credentials::accepts_until.assume_not_null(),
            ),
            credentials::replaced_by.assume_not_null(),
        ))
        .into_boxed();
    match due {
        Due::Next(limit) => query = query.limit(limit),
        Due::This(id) => query = query.filter(credentials::id.eq(id.to_owned())),
    }
    Ok(query.load(db)?)
}

/// Grants in force that end within the window without a successor, and whose warning was not
/// given yet.
pub fn grants_due(db: &mut Db, due: Due<'_>, window: Window) -> Result<Vec<Grant>, StoreError> {
    let given = expiry_warnings::table
        .filter(expiry_warnings::days.eq(window.days))
        .filter(expiry_warnings::subject.eq(scope_grants::id));
    let mut query = scope_grants::table
        .filter(scope_grants::state.eq(GrantState::Approved))
        .filter(scope_grants::expires_at.gt(window.after))
        .filter(scope_grants::expires_at.le(window.by))
        .filter(is_last!())
        .filter(not(exists(given)))
        .order(scope_grants::expires_at.asc())
        .into_boxed();
    match due {
        Due::Next(limit) => query = query.limit(limit),
        Due::This(id) => query = query.filter(scope_grants::id.eq(id.to_owned())),
    }
    Ok(query.load(db)?)
}

/// Notes that a warning is given. The key decides where two would: one of them is a `Duplicate`.
pub fn insert(db: &mut Db, subject: &str, days: i32, now: Instant) -> Result<(), StoreError> {
    let row = (
        expiry_warnings::subject.eq(subject),
        expiry_warnings::days.eq(days),
        expiry_warnings::at.eq(now),
    );
    diesel::insert_into(expiry_warnings::table)
        .values(row)
        .execute(db)?;
    Ok(())
}

/// The same, unless it is on record: for who tells of an end by other words.
pub fn note(db: &mut Db, subject: &str, days: i32, now: Instant) -> Result<(), StoreError> {
    let row = (
        expiry_warnings::subject.eq(subject),
        expiry_warnings::days.eq(days),
        expiry_warnings::at.eq(now),
    );
    on_engine!(db, conn => diesel::insert_into(expiry_warnings::table)
        .values(row)
        .on_conflict_do_nothing()
        .execute(conn))?;
    Ok(())
}

/// Forgets warnings from before a moment; answers how many.
pub fn purge(db: &mut Db, before: Instant) -> Result<usize, StoreError> {
    let old = expiry_warnings::table.filter(expiry_warnings::at.lt(before));
    Ok(diesel::delete(old).execute(db)?)
}
