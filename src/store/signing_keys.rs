//! Signing keys: sealed private halves, public halves, and when each signs and is published.

use diesel::prelude::*;

use super::db::Db;
use super::error::StoreError;
use super::schema::signing_keys;
use crate::domain::Algorithm;
use crate::domain::instant::Instant;
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
        ))
        .execute(db)?;
    Ok(())
}

/// Every key that is still published, oldest first.
pub fn published(db: &mut Db, now: Instant) -> Result<Vec<StoredKey>, StoreError> {
    let rows = signing_keys::table
        .filter(
            signing_keys::published_until
                .is_null()
                .or(signing_keys::published_until.gt(now)),
        )
        .order((signing_keys::published_at.asc(), signing_keys::kid.asc()))
        .load::<Row>(db)?;
    rows.into_iter().map(StoredKey::try_from).collect()
}

/// Whether the key is known, published or not.
pub fn exists(db: &mut Db, kid: &str) -> Result<bool, StoreError> {
    Ok(diesel::select(diesel::dsl::exists(signing_keys::table.find(kid))).get_result(db)?)
}

/// Ends the signing of every key of the realm and algorithm that has no end yet, save one.
pub fn supersede(
    db: &mut Db,
    successor: &StoredKey,
    published_until: Instant,
) -> Result<usize, StoreError> {
    let open = signing_keys::table
        .filter(
            signing_keys::realm
                .eq(successor.realm)
                .and(signing_keys::alg.eq(successor.alg.as_str())),
        )
        .filter(
            signing_keys::signs_until
                .is_null()
                .and(signing_keys::kid.ne(&successor.kid)),
        );
    let changed = diesel::update(open)
        .set((
            signing_keys::signs_until.eq(successor.signs_from),
            signing_keys::published_until.eq(published_until),
        ))
        .execute(db)?;
    Ok(changed)
}
