//! Revocations that are still of use, held so that a look at them costs nanoseconds.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use foldhash::fast::RandomState;
use papaya::HashMap;
use serde::{Deserialize, Serialize};

use crate::Claims;
use crate::filter::Filter;

/// What a revocation is about.
///
/// ```
/// use onyx_verifier::RevocationKind;
///
/// let kind: RevocationKind = serde_json::from_str(r#""partner""#)?;
/// assert_eq!(kind, RevocationKind::Partner);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RevocationKind {
    /// One token, by its `jti`.
    Token,
    /// All tokens of a credential.
    Credential,
    /// All tokens of a client.
    Client,
    /// All tokens of a partner's clients.
    Partner,
    /// All tokens that a key signed, by its `kid`, whatever number they carry: who has stolen a key
    /// writes what he likes.
    Key,
    /// All tokens of a partner's clients that carry a scope.
    Grant,
}

/// A revocation, as the issuer's feed publishes it.
///
/// ```
/// use onyx_verifier::{Revocation, RevocationKind};
///
/// let entry: Revocation = serde_json::from_str(
///     r#"{"seq":7,"kind":"client","id":"cl_live_1","revoked_at":1800000000,"expires_at":1800000965}"#,
/// )?;
/// assert_eq!((entry.seq, entry.kind), (7, RevocationKind::Client));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocation {
    /// Its number; numbers are in the order of commit.
    pub seq: u64,
    /// What it is about.
    pub kind: RevocationKind,
    /// The subject's name.
    pub id: String,
    /// The scope, for [`RevocationKind::Grant`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// When, in seconds since the Unix epoch.
    pub revoked_at: i64,
    /// When no token that it concerns can be alive any more.
    pub expires_at: i64,
}

/// All of them.
const KINDS: [RevocationKind; 6] = [
    RevocationKind::Token,
    RevocationKind::Credential,
    RevocationKind::Client,
    RevocationKind::Partner,
    RevocationKind::Key,
    RevocationKind::Grant,
];

/// How many subjects the smallest filter has room for; it takes half a KiB.
const SMALLEST: usize = 256;

/// What is remembered of the newest revocation of a subject.
#[derive(Clone, Copy, Debug)]
struct Mark {
    seq: u64,
    revoked_at: i64,
    expires_at: i64,
}

impl Mark {
    /// A token is dead if it was issued by a node that had not heard of the revocation.
    ///
    /// The order is that of numbers, not of clocks. Only a token that carries no number is
    /// judged by its time, and then in doubt refused.
    fn kills(self, claims: &Claims) -> bool {
        match claims.rsn {
            Some(rsn) => rsn < self.seq,
            None => claims.iat <= self.revoked_at,
        }
    }

    fn with(self, other: Self) -> Self {
        Self {
            seq: self.seq.max(other.seq),
            revoked_at: self.revoked_at.max(other.revoked_at),
            expires_at: self.expires_at.max(other.expires_at),
        }
    }
}

type Marks = HashMap<Box<str>, Mark, RandomState>;

/// The live revocations of one issuer. Shared by whoever hears of them and whoever verifies.
///
/// ```
/// use onyx_verifier::{Revocation, RevocationKind, Revocations};
///
/// let revocations = Revocations::default();
/// revocations.apply(&Revocation {
///     seq: 7,
///     kind: RevocationKind::Client,
///     id: "cl_live_1".into(),
///     scope: None,
///     revoked_at: 1_800_000_000,
///     expires_at: 1_800_000_965,
/// });
/// assert_eq!(revocations.len(), 1);
/// revocations.forget_before(1_800_000_966);
/// assert!(revocations.is_empty());
/// ```
#[derive(Debug, Default)]
pub struct Revocations {
    held: ArcSwap<Held>,
    /// Whoever changes what is held, one after the other.
    writing: Mutex<()>,
    /// Moves after each entry: who has passed at this state need not look again.
    epoch: AtomicU64,
}

/// What is held, and what says of most tokens that nothing of it concerns them.
#[derive(Debug)]
struct Held {
    marks: Arc<AllMarks>,
    filter: Filter,
    /// The highest number. 0: nothing is held.
    newest: AtomicU64,
}

/// A map a kind, so that a look needs no key of its own.
#[derive(Debug, Default)]
struct AllMarks {
    tokens: Marks,
    credentials: Marks,
    clients: Marks,
    partners: Marks,
    keys: Marks,
    /// By partner and scope, with a space between: neither has one in it.
    grants: Marks,
}

impl Revocations {
    /// Takes a revocation in. Again, or out of order, does no harm.
    ///
    /// ```
    /// use onyx_verifier::{Revocation, RevocationKind, Revocations};
    ///
    /// let entry = |seq, id: &str| Revocation {
    ///     seq,
    ///     kind: RevocationKind::Token,
    ///     id: id.into(),
    ///     scope: None,
    ///     revoked_at: 1_800_000_000,
    ///     expires_at: 1_800_000_965,
    /// };
    ///
    /// let revocations = Revocations::default();
    /// revocations.apply(&entry(7, "one"));
    /// revocations.apply(&entry(7, "one"));
    /// assert_eq!(revocations.len(), 1);
    /// ```
    pub fn apply(&self, entry: &Revocation) {
        let writing = self.lock();
        let held = self.held.load();
        held.apply(entry);
        if held.marks.len() > held.filter.room() {
            self.held.store(Arc::new(held.with_fresh_filter()));
        }
        drop(writing);
        // After the entry is to be found: who sees the new epoch sees the entry.
        self.epoch.fetch_add(1, Ordering::Release);
    }

    /// Puts these in the place of all that is held, at once: the issuer's feed began anew.
    ///
    /// Not in that of revoked keys, which never come back. The issuer forgets them long before a
    /// verifier that cannot refresh its keys does; and where its database was put back to an earlier
    /// state, one that knows nothing of the revocation, the key is still the one that was stolen: its
    /// `kid` is its thumbprint, so that no other key is ever taken for it.
    ///
    /// ```
    /// use onyx_verifier::{Revocation, RevocationKind, Revocations};
    ///
    /// let entry = |seq, id: &str| Revocation {
    ///     seq,
    ///     kind: RevocationKind::Token,
    ///     id: id.into(),
    ///     scope: None,
    ///     revoked_at: 1_800_000_000,
    ///     expires_at: 1_800_000_965,
    /// };
    ///
    /// let revocations = Revocations::default();
    /// revocations.apply(&entry(7, "of before"));
    /// revocations.replace(&[entry(1, "one"), entry(2, "two")]);
    /// assert_eq!(revocations.len(), 2);
    /// ```
    pub fn replace(&self, entries: &[Revocation]) {
        let writing = self.lock();
        let before = self.held.load();
        let held = Held::with_room_for(entries.len() + before.marks.keys.len());
        held.keep_keys_of(&before);
        entries.iter().for_each(|entry| held.apply(entry));
        self.held.store(Arc::new(held));
        drop(writing);
        self.epoch.fetch_add(1, Ordering::Release);
    }

    /// Whether a token with these claims, signed by this key, was revoked.
    ///
    /// ```
    /// use onyx_verifier::{Claims, Revocation, RevocationKind, Revocations};
    ///
    /// let mut claims: Claims = serde_json::from_str(
    ///     r#"{"iss":"i","sub":"c","client_id":"c","aud":"a","scope":"","iat":1,"exp":2,"jti":"j","rsn":6}"#,
    /// )?;
    /// let revocations = Revocations::default();
    /// revocations.apply(&Revocation {
    ///     seq: 7,
    ///     kind: RevocationKind::Client,
    ///     id: "c".into(),
    ///     scope: None,
    ///     revoked_at: 1_800_000_000,
    ///     expires_at: 1_800_000_965,
    /// });
    /// assert!(revocations.is_revoked(&claims, "kid"));
    /// // A token from after the revocation: the client was resumed.
    /// claims.rsn = Some(7);
    /// assert!(!revocations.is_revoked(&claims, "kid"));
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub fn is_revoked(&self, claims: &Claims, kid: &str) -> bool {
        self.held.load().is_revoked(claims, kid)
    }

    /// Whether this key is known to be revoked.
    pub(crate) fn holds_key(&self, kid: &str) -> bool {
        self.held.load().marks.keys.pin().contains_key(kid)
    }

    /// The state that a look was made at; see [`is_revoked`](Self::is_revoked).
    ///
    /// To be read before the look: then a revocation that comes in between moves it on.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Forgets revocations that expired before a moment, in seconds since the Unix epoch.
    ///
    /// Not those of keys: a verifier that cannot refresh its keys may hold a revoked one for longer.
    ///
    /// ```
    /// use onyx_verifier::{Revocation, RevocationKind, Revocations};
    ///
    /// let entry = |seq, id: &str| Revocation {
    ///     seq,
    ///     kind: RevocationKind::Token,
    ///     id: id.into(),
    ///     scope: None,
    ///     revoked_at: 1_800_000_000,
    ///     expires_at: 1_800_000_965,
    /// };
    ///
    /// let revocations = Revocations::default();
    /// revocations.apply(&entry(7, "one"));
    /// revocations.forget_before(1_800_000_966);
    /// assert!(revocations.is_empty());
    /// ```
    pub fn forget_before(&self, moment: i64) {
        let _writing = self.lock();
        let held = self.held.load();
        let before = held.marks.len();
        for kind in KINDS {
            if kind != RevocationKind::Key {
                let marks = held.marks.of(kind).pin();
                marks.retain(|_, mark| mark.expires_at >= moment);
            }
        }
        if held.marks.len() < before {
            self.held.store(Arc::new(held.with_fresh_filter()));
        }
    }

    /// How many subjects are held.
    ///
    /// ```
    /// assert_eq!(onyx_verifier::Revocations::default().len(), 0);
    /// ```
    pub fn len(&self) -> usize {
        self.held.load().marks.len()
    }

    /// Whether none is held.
    ///
    /// ```
    /// assert!(onyx_verifier::Revocations::default().is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, ()> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Held {
    fn default() -> Self {
        Self::with_room_for(0)
    }
}

impl Held {
    fn with_room_for(entries: usize) -> Self {
        Self {
            marks: Arc::default(),
            filter: Filter::for_names(entries.max(SMALLEST)),
            newest: AtomicU64::new(0),
        }
    }

    /// The same marks, with a filter that has room for twice as many and knows nothing else.
    fn with_fresh_filter(&self) -> Self {
        let filter = Filter::for_names(self.marks.len().saturating_mul(2).max(SMALLEST));
        self.marks
            .each_name(|kind, id, scope| filter.add(kind, id, scope));
        Self {
            marks: Arc::clone(&self.marks),
            filter,
            newest: AtomicU64::new(self.newest.load(Ordering::Acquire)),
        }
    }

    fn apply(&self, entry: &Revocation) {
        let mark = Mark {
            seq: entry.seq,
            revoked_at: entry.revoked_at,
            expires_at: entry.expires_at,
        };
        let scope = entry.scope.as_deref().unwrap_or_default();
        let (kind, key) = match entry.kind {
            RevocationKind::Grant if scope.is_empty() => {
                // A grant without a scope is none that an issuer makes; in doubt it counts for all scopes.
                (RevocationKind::Partner, entry.id.clone())
            }
            RevocationKind::Grant => (RevocationKind::Grant, grant_key(&entry.id, scope)),
            kind => (kind, entry.id.clone()),
        };
        self.marks.of(kind).pin().update_or_insert(
            key.into_boxed_str(),
            |held| held.with(mark),
            mark,
        );
        match kind {
            RevocationKind::Grant => self.filter.add(kind, &entry.id, scope),
            _ => self.filter.add(kind, &entry.id, ""),
        }
        // Last: who sees the number finds the entry.
        self.newest.fetch_max(entry.seq, Ordering::AcqRel);
    }

    /// Takes over the revoked keys of what was held before.
    fn keep_keys_of(&self, before: &Self) {
        for (kid, mark) in &before.marks.keys.pin() {
            self.apply(&Revocation {
                // Below all others: numbers may have begun anew, and one from before is none of theirs.
                seq: 1,
                kind: RevocationKind::Key,
                id: kid.to_string(),
                scope: None,
                revoked_at: mark.revoked_at,
                expires_at: mark.expires_at,
            });
        }
    }

    fn is_revoked(&self, claims: &Claims, kid: &str) -> bool {
        let newest = self.newest.load(Ordering::Acquire);
        if newest == 0 {
            return false;
        }
        // What a revoked key signed is dead whatever it says of itself: no node of the issuer signs
        // with a key whose revocation it has counted in, so a higher number is forged.
        let keys = &self.marks.keys;
        if !keys.is_empty() && keys.pin().contains_key(kid) {
            return true;
        }
        // Whoever gave the token out had heard of all that is held.
        if claims.rsn.is_some_and(|rsn| rsn >= newest) {
            return false;
        }
        let killed = |kind: RevocationKind, id: &str| {
            self.filter.may_hold(kind, id, "") && self.marks.kill(kind, id, claims)
        };
        if killed(RevocationKind::Token, &claims.jti)
            || killed(RevocationKind::Client, &claims.client_id)
        {
            return true;
        }
        if let Some(credential) = &claims.credential_id
            && killed(RevocationKind::Credential, credential)
        {
            return true;
        }
        let Some(partner) = &claims.partner_id else {
            return false;
        };
        killed(RevocationKind::Partner, partner)
            // One look for all scopes: most partners lose no grant.
            || self.filter.may_hold(RevocationKind::Grant, partner, "")
                && claims.scope.split(' ').any(|scope| {
                    self.filter.may_hold(RevocationKind::Grant, partner, scope)
                        && self.marks.kill(
                            RevocationKind::Grant,
                            &grant_key(partner, scope),
                            claims,
                        )
                })
    }
}

impl AllMarks {
    fn kill(&self, kind: RevocationKind, key: &str, claims: &Claims) -> bool {
        let marks = self.of(kind).pin();
        marks.get(key).is_some_and(|mark| mark.kills(claims))
    }

    fn of(&self, kind: RevocationKind) -> &Marks {
        match kind {
            RevocationKind::Token => &self.tokens,
            RevocationKind::Credential => &self.credentials,
            RevocationKind::Client => &self.clients,
            RevocationKind::Partner => &self.partners,
            RevocationKind::Key => &self.keys,
            RevocationKind::Grant => &self.grants,
        }
    }

    /// Every subject: its kind, its id, and its scope where it has one.
    fn each_name(&self, mut name: impl FnMut(RevocationKind, &str, &str)) {
        for kind in KINDS {
            for (key, _) in &self.of(kind).pin() {
                let (id, scope) = match kind {
                    RevocationKind::Grant => key.split_once(' ').unwrap_or((key, "")),
                    _ => (&**key, ""),
                };
                name(kind, id, scope);
            }
        }
    }

    fn len(&self) -> usize {
        KINDS.into_iter().map(|kind| self.of(kind).len()).sum()
    }
}

fn grant_key(partner: &str, scope: &str) -> String {
    format!("{partner} {scope}")
}

#[cfg(test)]
mod tests;
