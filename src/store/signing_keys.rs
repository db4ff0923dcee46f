//! Signing keys: sealed private halves, public halves, and when each signs and is published.

use diesel::prelude::*;

use super::db::Db;
use super::error::StoreError;
use super::schema::signing_keys;
use crate::domain::Algorithm;
use crate::domain::instant::Instant;
use crate::domain::key::KeyState;
use crate::domain::realm::Realm;

/// A signing key as it is stored; the private half is sealed.
#[derive(Clone, PartialEq)]
pub struct StoredKey {
    pub kid: String,
    pub realm: Realm,
    pub alg: Algorithm,
    /// PKCS#8 under AES-256-GCM, base64; opens only with the master key.
    pub sealed_key: String,
    /// The public half as a JWK (RFC 7517), JSON.
    pub public_jwk: String,
    /// `generated` or `imported`.
    pub origin: String,
    pub published_at: Instant,
    pub signs_from: Instant,
    pub signs_until: Option<Instant>,
    pub published_until: Option<Instant>,
    /// Since then it counts for nothing, whatever a clock says.
    pub revoked_at: Option<Instant>,
}

impl StoredKey {
    /// Its state at a moment.
    pub fn state(&self, now: Instant) -> KeyState {
        if self.revoked_at.is_some() {
            KeyState::Revoked
        } else if self.has_ended(now) {
            KeyState::Retired
        } else if self.signs_from > now {
            KeyState::Published
        } else {
            KeyState::Signing
        }
    }

    /// Whether it signs no more.
    pub fn has_ended(&self, now: Instant) -> bool {
        self.signs_until.is_some_and(|end| end <= now)
    }

    /// Whether it serves the same realm and algorithm as another.
    pub fn stands_beside(&self, other: &Self) -> bool {
        self.realm == other.realm && self.alg == other.alg
    }
}

impl std::fmt::Debug for StoredKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoredKey")
            .field("kid", &self.kid)
            .field("realm", &self.realm)
            .finish_non_exhaustive()
    }
}

type Row = (
    String,
    Realm,
    String,
    String,
    String,
    String,
    Instant,
    Instant,
    Option<Instant>,
    Option<Instant>,
    Option<Instant>,
);

impl TryFrom<Row> for StoredKey {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let (
            kid,
            realm,
            alg,
            sealed_key,
            public_jwk,
            origin,
            published_at,
            signs_from,
            signs_until,
            published_until,
            revoked_at,
        ) = row;
        let alg = super::algorithm(&alg)?;
        Ok(Self {
            kid,
            realm,
            alg,
            sealed_key,
            public_jwk,
            origin,
            published_at,
            signs_from,
            signs_until,
            published_until,
            revoked_at,
        })
    }
}

/// Writes a new key; the same key again is a `Duplicate`.
pub fn insert(db: &mut Db, key: &StoredKey) -> Result<(), StoreError> {
    diesel::insert_into(signing_keys::table)
        .values((
            signing_keys::kid.eq(&key.kid),
            signing_keys::realm.eq(key.realm),
            signing_keys::alg.eq(key.alg.as_str()),
            signing_keys::sealed_key.eq(&key.sealed_key),
            signing_keys::public_jwk.eq(&key.public_jwk),
            signing_keys::origin.eq(&key.origin),
            signing_keys::published_at.eq(key.published_at),
            signing_keys::signs_from.eq(key.signs_from),
            signing_keys::signs_until.eq(key.signs_until),
            signing_keys::published_until.eq(key.published_until),
            signing_keys::revoked_at.eq(key.revoked_at),
        ))
        .execute(db)?;
    Ok(())
}

/// Every key that is still published, oldest first. No revoked one is, also by a clock that has
/// not come to the moment of its revocation.
pub fn published(db: &mut Db, now: Instant) -> Result<Vec<StoredKey>, StoreError> {
    let rows = signing_keys::table
        .filter(signing_keys::revoked_at.is_null())
        .filter(
            signing_keys::published_until
                .is_null()
                .or(signing_keys::published_until.gt(now)),
        )
        .order((signing_keys::published_at.asc(), signing_keys::kid.asc()))
        .load::<Row>(db)?;
    rows.into_iter().map(StoredKey::try_from).collect()
}

/// The keys without an end that have signed since a moment, or for longer.
pub fn signing_since(db: &mut Db, moment: Instant) -> Result<Vec<StoredKey>, StoreError> {
    let rows = signing_keys::table
        .filter(signing_keys::signs_until.is_null())
        .filter(signing_keys::signs_from.le(moment))
        .order(signing_keys::kid.asc())
        .load::<Row>(db)?;
    rows.into_iter().map(StoredKey::try_from).collect()
}

/// A key, published or not. `None`: unknown.
pub fn find(db: &mut Db, kid: &str) -> Result<Option<StoredKey>, StoreError> {
    let row = signing_keys::table.find(kid).first::<Row>(db).optional()?;
    row.map(StoredKey::try_from).transpose()
}

/// Ends a key in every respect. `false`: unknown, or revoked before.
pub fn revoke(db: &mut Db, kid: &str, now: Instant) -> Result<bool, StoreError> {
    let unrevoked = signing_keys::table
        .find(kid)
        .filter(signing_keys::revoked_at.is_null());
    let changed = diesel::update(unrevoked)
        .set((
            signing_keys::signs_until.eq(now),
            signing_keys::published_until.eq(now),
            signing_keys::revoked_at.eq(now),
        ))
        .execute(db)?;
    Ok(changed == 1)
}

/// Lets a key sign from now on that was to sign later.
pub fn bring_forward(db: &mut Db, kid: &str, now: Instant) -> Result<bool, StoreError> {
    let waiting = signing_keys::table
        .find(kid)
        .filter(signing_keys::revoked_at.is_null())
        .filter(signing_keys::signs_from.gt(now));
    let changed = diesel::update(waiting)
        .set(signing_keys::signs_from.eq(now))
        .execute(db)?;
    Ok(changed == 1)
}

/// Lets the keys that were to end when a revoked one began sign on; answers how many do.
pub fn prolong(
    db: &mut Db,
    revoked: &StoredKey,
    signs_until: Instant,
    published_until: Instant,
) -> Result<usize, StoreError> {
    let before_it = signing_keys::table
        .filter(
            signing_keys::realm
                .eq(revoked.realm)
                .and(signing_keys::alg.eq(revoked.alg.as_str())),
        )
        .filter(
            signing_keys::signs_until
                .eq(revoked.signs_from)
                .and(signing_keys::revoked_at.is_null()),
        );
    let changed = diesel::update(before_it)
        .set((
            signing_keys::signs_until.eq(signs_until),
            signing_keys::published_until.eq(published_until),
        ))
        .execute(db)?;
    Ok(changed)
}

/// The keys of a key's realm and algorithm that have no end yet, save itself.
macro_rules! open_beside {
    ($key:expr) => {
        signing_keys::table
            .filter(
                signing_keys::realm
                    .eq($key.realm)
                    .and(signing_keys::alg.eq($key.alg.as_str())),
            )
            .filter(
                signing_keys::signs_until
                    .is_null()
                    .and(signing_keys::kid.ne(&$key.kid)),
            )
    };
}

/// Ends the signing of every key of the realm and algorithm that has no end yet, save one.
pub fn supersede(
    db: &mut Db,
    successor: &StoredKey,
    published_until: Instant,
) -> Result<usize, StoreError> {
    let changed = diesel::update(open_beside!(successor))
        .set((
            signing_keys::signs_until.eq(successor.signs_from),
            signing_keys::published_until.eq(published_until),
        ))
        .execute(db)?;
    Ok(changed)
}

/// The same of keys that have signed since a moment, or for longer; answers how many there were.
pub fn supersede_old(
    db: &mut Db,
    successor: &StoredKey,
    since: Instant,
    published_until: Instant,
) -> Result<usize, StoreError> {
    let old = open_beside!(successor).filter(signing_keys::signs_from.le(since));
    let changed = diesel::update(old)
        .set((
            signing_keys::signs_until.eq(successor.signs_from),
            signing_keys::published_until.eq(published_until),
        ))
        .execute(db)?;
    Ok(changed)
}
