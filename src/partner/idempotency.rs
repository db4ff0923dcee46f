//! Requests that must not be executed twice, whatever happens to the connection or the server.
//!
//! A partner's key is bound to partner, realm and operation, an operator's to its client and operation: not
//! to a token, a secret or a node. What was
//! executed is kept with its answer in the transaction that executed it; what runs right now is no
//! row, so that a crash leaves nothing to clean up. Refusals are not kept: mending what was
//! wrong and asking again under the same key is how they are meant to be used.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};

use super::PartnerError;
use crate::domain::id::ClientId;
use crate::domain::instant::Instant;
use crate::domain::tenant::Tenant;
use crate::keys::hex;
use crate::store::idempotency::{self as stored, StoredAnswer};
use crate::store::instance;
use crate::store::operator_keys::{self, OperatorAnswer};
use crate::store::together::Together;
use crate::store::{Db, StoreError};

/// How long an answer is kept, unless operators say otherwise.
pub const KEPT: Duration = Duration::from_secs(24 * 3600);

type Hash = [u8; 32];

/// A request that is executed once.
#[derive(Clone, Debug)]
pub struct Once {
    owner: Owner,
    operation: &'static str,
    key_hash: String,
    fingerprint: String,
    /// Owner, operation and key in one.
    whole: Hash,
    /// How long its answer is kept.
    kept: Duration,
}

/// Whose a key is.
#[derive(Clone, Debug)]
enum Owner {
    Tenant(Tenant),
    /// An operator's client, of the admin realm.
    Operator(ClientId),
}

/// An answer, as it is kept and shown again. It must hold no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
    /// The id of what was made.
    pub resource: Option<String>,
}

/// What came of a request.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// It was executed now.
    Executed(Answer),
    /// It was executed before, and this is what was answered.
    Replayed(Answer),
}

impl Once {
    /// The same where answers are kept for so long.
    pub fn kept_for(self, kept: Duration) -> Self {
        Self { kept, ..self }
    }

    /// A tenant's request under a key: `operation` names what it does, `said` all that makes it another
    /// request, such as its route and its body.
    pub fn new(tenant: Tenant, operation: &'static str, key: &str, said: &[&str]) -> Self {
        let realm = tenant.realm();
        let whole = [tenant.partner_id().as_str(), realm.as_str(), operation, key];
        Self {
            key_hash: hex(&hash(&[key])),
            fingerprint: hex(&hash(said)),
            whole: hash(&whole),
            kept: KEPT,
            operation,
            owner: Owner::Tenant(tenant),
        }
    }

    /// An operator's request under a key.
    pub fn of_operator(
        client: ClientId,
        operation: &'static str,
        key: &str,
        said: &[&str],
    ) -> Self {
        let whole = [client.as_str(), operation, key];
        Self {
            key_hash: hex(&hash(&[key])),
            fingerprint: hex(&hash(said)),
            whole: hash(&whole),
            kept: KEPT,
            operation,
            owner: Owner::Operator(client),
        }
    }

    /// What was answered under the key, and when.
    fn find(&self, db: &mut Db) -> Result<Option<Kept>, StoreError> {
        let (operation, key) = (self.operation, self.key_hash.as_str());
        Ok(match &self.owner {
            Owner::Tenant(tenant) => stored::find(db, tenant, operation, key)?.map(Kept::from),
            Owner::Operator(id) => operator_keys::find(db, id, operation, key)?.map(Kept::from),
        })
    }

    fn forget(&self, db: &mut Db) -> Result<(), StoreError> {
        let (operation, key) = (self.operation, self.key_hash.as_str());
        match &self.owner {
            Owner::Tenant(tenant) => stored::forget(db, tenant, operation, key),
            Owner::Operator(id) => operator_keys::forget(db, id, operation, key),
        }
    }

    fn keep(&self, rows: &mut Together, answer: &Answer, now: Instant) {
        let headers = serde_json::json!(answer.headers).to_string();
        match &self.owner {
            Owner::Tenant(tenant) => {
                let kept = StoredAnswer {
                    partner_id: tenant.partner_id().clone(),
                    realm: tenant.realm(),
                    operation: self.operation.to_owned(),
                    key_hash: self.key_hash.clone(),
                    fingerprint: self.fingerprint.clone(),
                    status: answer.status.into(),
                    headers,
                    body: answer.body.clone(),
                    resource: answer.resource.clone(),
                    created_at: now,
                };
                stored::keep_with(rows, tenant, kept);
            }
            Owner::Operator(client) => {
                let kept = OperatorAnswer {
                    client_id: client.clone(),
                    operation: self.operation.to_owned(),
                    key_hash: self.key_hash.clone(),
                    fingerprint: self.fingerprint.clone(),
                    status: answer.status.into(),
                    headers,
                    body: answer.body.clone(),
                    resource: answer.resource.clone(),
                    created_at: now,
                };
                operator_keys::keep_with(rows, kept);
            }
        }
    }

    /// The number that nodes lock it by.
    fn number(&self) -> i64 {
        let mut first = [0; 8];
        first.copy_from_slice(self.whole.first_chunk::<8>().unwrap_or(&[0; 8]));
        i64::from_be_bytes(first)
    }
}

/// Hashes texts so that no two lists of texts have the same bytes.
fn hash(texts: &[&str]) -> Hash {
    let mut context = Context::new(&SHA256);
    for text in texts {
        context.update(&u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
        context.update(text.as_bytes());
    }
    let mut hash = Hash::default();
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

/// The requests of this process that run right now.
///
/// On SQLite this is all there is; on PostgreSQL a lock among nodes stands behind it, and this
/// keeps a crowd of retries from holding a connection each.
#[derive(Clone, Debug, Default)]
pub struct Running(Arc<Mutex<HashSet<Hash>>>);

/// A request's place among those that run; given back when this is dropped.
#[derive(Debug)]
pub struct Place {
    among: Running,
    whole: Hash,
}

impl Running {
    /// A place for a request.
    ///
    /// # Errors
    /// [`PartnerError::InProgress`]: the same request runs already.
    pub fn enter(&self, once: &Once) -> Result<Place, PartnerError> {
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !running.insert(once.whole) {
            return Err(PartnerError::InProgress);
        }
        Ok(Place {
            among: self.clone(),
            whole: once.whole,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut running = self.among.0.lock().unwrap_or_else(PoisonError::into_inner);
        running.remove(&self.whole);
    }
}

/// Executes a request, or answers what it was answered before. In the transaction of `work`, which may leave rows to
/// be written together with the answer.
pub fn once(
    db: &mut Db,
    once: &Once,
    now: Instant,
    work: impl FnOnce(&mut Db, &mut Together) -> Result<Answer, PartnerError>,
) -> Result<Outcome, PartnerError> {
    if !stored::try_lock(db, once.number())? {
        return Err(PartnerError::InProgress);
    }
    if let Some(kept) = once.find(db)? {
        let past = surely_past(db, now)?;
        if let Some(outcome) = judged(kept, once, past)? {
            return Ok(outcome);
        }
        // Its time is over, and nobody has swept it away yet.
        once.forget(db)?;
    }
    let mut rows = Together::new();
    let answer = work(db, &mut rows)?;
    once.keep(&mut rows, &answer, now);
    rows.write(db)?;
    Ok(Outcome::Executed(answer))
}

/// What a request was answered before. `None`: it was not, or that is no longer kept.
pub fn before(db: &mut Db, once: &Once, now: Instant) -> Result<Option<Outcome>, PartnerError> {
    match once.find(db)? {
        Some(kept) => {
            let past = surely_past(db, now)?;
            judged(kept, once, past)
        }
        None => Ok(None),
    }
}

/// The earlier of two clocks: to one that is a day ahead every answer would be over, and every request be executed
/// again.
fn surely_past(db: &mut Db, now: Instant) -> Result<Instant, StoreError> {
    Ok(instance::time(db)?.map_or(now, |there| there.min(now)))
}

/// What a kept answer means for a request. `None`: its time is over.
fn judged(kept: Kept, once: &Once, now: Instant) -> Result<Option<Outcome>, PartnerError> {
    if kept.created_at.plus(once.kept) <= now {
        Ok(None)
    } else if kept.fingerprint == once.fingerprint {
        Ok(Some(Outcome::Replayed(kept.again()?)))
    } else {
        Err(PartnerError::KeyReused)
    }
}

/// A kept answer as it was stored, whoever's it is.
struct Kept {
    fingerprint: String,
    status: i32,
    headers: String,
    body: String,
    resource: Option<String>,
    created_at: Instant,
}

impl From<StoredAnswer> for Kept {
    fn from(row: StoredAnswer) -> Self {
        Self {
            fingerprint: row.fingerprint,
            status: row.status,
            headers: row.headers,
            body: row.body,
            resource: row.resource,
            created_at: row.created_at,
        }
    }
}

impl From<OperatorAnswer> for Kept {
    fn from(row: OperatorAnswer) -> Self {
        Self {
            fingerprint: row.fingerprint,
            status: row.status,
            headers: row.headers,
            body: row.body,
            resource: row.resource,
            created_at: row.created_at,
        }
    }
}

impl Kept {
    fn again(self) -> Result<Answer, StoreError> {
        let unreadable = |error: Box<dyn std::error::Error + Send + Sync>| {
            StoreError::Failed(diesel::result::Error::DeserializationError(error))
        };
        Ok(Answer {
            status: u16::try_from(self.status).map_err(|error| unreadable(error.into()))?,
            headers: serde_json::from_str(&self.headers)
                .map_err(|error| unreadable(error.into()))?,
            body: self.body,
            resource: self.resource,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::PartnerId;
    use crate::domain::realm::Realm;

    fn request(realm: Realm, operation: &'static str, key: &str) -> Once {
        let partner = PartnerId::generate(Instant::from_epoch_seconds(1));
        let partner = match realm {
            Realm::Sandbox => "ptn_01ARZ3NDEKTSV4RRFFQ69G5FAV".parse().unwrap(),
            _ => partner,
        };
        Once::new(
            Tenant::of_token(partner, realm),
            operation,
            key,
            &["POST", "{}"],
        )
    }

    #[test]
    fn a_request_runs_once_at_a_time() {
        let running = Running::default();
        let one = request(Realm::Sandbox, "orders.create", "k");
        let place = running.enter(&one).unwrap();
        assert!(matches!(running.enter(&one), Err(PartnerError::InProgress)));
        for other in [
            request(Realm::Live, "orders.create", "k"),
            request(Realm::Sandbox, "refunds.create", "k"),
            request(Realm::Sandbox, "orders.create", "K"),
        ] {
            assert!(running.enter(&other).is_ok());
            assert_ne!(one.number(), other.number());
        }
        drop(place);
        assert!(running.enter(&one).is_ok());
    }

    #[test]
    fn an_operator_s_key_is_its_own() {
        let running = Running::default();
        let client = |n| ClientId::generate(Realm::Admin, Instant::from_epoch_seconds(n));
        let one = Once::of_operator(client(1), "ledger.refund", "k", &["POST", "{}"]);
        let _place = running.enter(&one).unwrap();
        assert!(matches!(running.enter(&one), Err(PartnerError::InProgress)));
        let other = Once::of_operator(client(1), "ledger.refund", "k", &["POST", "{}"]);
        assert!(running.enter(&other).is_ok());
        assert!(
            running
                .enter(&request(Realm::Live, "ledger.refund", "k"))
                .is_ok()
        );
    }

    #[test]
    fn texts_do_not_run_into_each_other() {
        assert_ne!(hash(&["ab", "c"]), hash(&["a", "bc"]));
        assert_ne!(hash(&["a", ""]), hash(&["a"]));
    }
}
