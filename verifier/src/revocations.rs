//! Revocations that are still of use, held so that a look at them costs nanoseconds.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use papaya::HashMap;
use serde::{Deserialize, Serialize};

use crate::Claims;

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
    /// All tokens that a key signed, by its `kid`.
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

type Marks = HashMap<Box<str>, Mark>;

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
    /// Moves after each entry: who has passed at this state need not look again.
    epoch: AtomicU64,
}

/// What is held, a map a kind, so that a look needs no key of its own.
#[derive(Debug, Default)]
struct Held {
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
        self.held.load().apply(entry);
        // After the entry is to be found: who sees the new epoch sees the entry.
        self.epoch.fetch_add(1, Ordering::Release);
    }

    /// Puts these in the place of all that is held, at once: the issuer's feed began anew.
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
        let held = Held::default();
        entries.iter().for_each(|entry| held.apply(entry));
        self.held.store(Arc::new(held));
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

    /// The state that a look was made at; see [`is_revoked`](Self::is_revoked).
    ///
    /// To be read before the look: then a revocation that comes in between moves it on.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Forgets revocations that expired before a moment, in seconds since the Unix epoch.
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
        for marks in self.held.load().all() {
            marks.pin().retain(|_, mark| mark.expires_at >= moment);
        }
    }

    /// How many subjects are held.
    ///
    /// ```
    /// assert_eq!(onyx_verifier::Revocations::default().len(), 0);
    /// ```
    pub fn len(&self) -> usize {
        self.held.load().all().iter().map(|marks| marks.len()).sum()
    }

    /// Whether none is held.
    ///
    /// ```
    /// assert!(onyx_verifier::Revocations::default().is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Held {
    fn apply(&self, entry: &Revocation) {
        let mark = Mark {
            seq: entry.seq,
            revoked_at: entry.revoked_at,
            expires_at: entry.expires_at,
        };
        let (marks, key) = match (entry.kind, &entry.scope) {
            (RevocationKind::Grant, Some(scope)) => {
                (&self.grants, grant_key(&entry.id, scope).into_boxed_str())
            }
            (kind, _) => (self.marks(kind), entry.id.as_str().into()),
        };
        marks
            .pin()
            .update_or_insert(key, |held| held.with(mark), mark);
    }

    fn is_revoked(&self, claims: &Claims, kid: &str) -> bool {
        let killed = |marks: &Marks, id: &str| {
            !marks.is_empty() && marks.pin().get(id).is_some_and(|mark| mark.kills(claims))
        };
        if killed(&self.tokens, &claims.jti)
            || killed(&self.clients, &claims.client_id)
            || killed(&self.keys, kid)
        {
            return true;
        }
        if let Some(credential) = &claims.credential_id
            && killed(&self.credentials, credential)
        {
            return true;
        }
        let Some(partner) = &claims.partner_id else {
            return false;
        };
        killed(&self.partners, partner)
            || !self.grants.is_empty()
                && claims
                    .scope
                    .split(' ')
                    .any(|scope| killed(&self.grants, &grant_key(partner, scope)))
    }

    fn marks(&self, kind: RevocationKind) -> &Marks {
        match kind {
            RevocationKind::Token => &self.tokens,
            RevocationKind::Credential => &self.credentials,
            RevocationKind::Client => &self.clients,
            RevocationKind::Key => &self.keys,
            // A grant without a scope is none that an issuer makes; in doubt it counts for all scopes.
            RevocationKind::Partner | RevocationKind::Grant => &self.partners,
        }
    }

    fn all(&self) -> [&Marks; 6] {
        [
            &self.tokens,
            &self.credentials,
            &self.clients,
            &self.partners,
            &self.keys,
            &self.grants,
        ]
    }
}

fn grant_key(partner: &str, scope: &str) -> String {
    format!("{partner} {scope}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(rsn: Option<u64>) -> Claims {
        let mut claims: Claims = serde_json::from_str(
            r#"{"iss":"i","sub":"c","client_id":"c","aud":"a","scope":"orders:create orders:read",
                "iat":100,"exp":400,"jti":"j","partner_id":"p","credential_id":"k"}"#,
        )
        .expect("claims");
        claims.rsn = rsn;
        claims
    }

    fn entry(seq: u64, kind: RevocationKind, id: &str) -> Revocation {
        Revocation {
            seq,
            kind,
            id: id.to_owned(),
            scope: (kind == RevocationKind::Grant).then(|| "orders:read".to_owned()),
            revoked_at: 100,
            expires_at: 1_065,
        }
    }

    #[test]
    fn every_height_kills_what_was_issued_before_it_and_nothing_after() {
        for (kind, id) in [
            (RevocationKind::Token, "j"),
            (RevocationKind::Credential, "k"),
            (RevocationKind::Client, "c"),
            (RevocationKind::Partner, "p"),
            (RevocationKind::Key, "kid"),
            (RevocationKind::Grant, "p"),
        ] {
            let revocations = Revocations::default();
            revocations.apply(&entry(5, kind, id));
            let dead = |rsn| revocations.is_revoked(&claims(Some(rsn)), "kid");
            assert_eq!([4, 5, 6].map(dead), [true, false, false], "{kind:?}");
            let other = entry(9, kind, "another");
            let revocations = Revocations::default();
            revocations.apply(&other);
            assert!(!revocations.is_revoked(&claims(Some(0)), "kid"), "{kind:?}");
        }
    }

    #[test]
    fn a_grant_kills_only_tokens_that_carry_its_scope() {
        let revocations = Revocations::default();
        revocations.apply(&entry(5, RevocationKind::Grant, "p"));
        let mut narrow = claims(Some(0));
        narrow.scope = "orders:create".to_owned();
        assert!(!revocations.is_revoked(&narrow, "kid"));
    }

    #[test]
    fn the_newest_of_a_subject_counts_whatever_the_order_of_hearing() {
        let revocations = Revocations::default();
        for seq in [7, 3] {
            revocations.apply(&entry(seq, RevocationKind::Client, "c"));
        }
        assert!(revocations.is_revoked(&claims(Some(6)), "kid"));
        assert_eq!(revocations.len(), 1);
    }

    #[test]
    fn a_token_without_a_number_is_judged_by_its_time() {
        let revocations = Revocations::default();
        revocations.apply(&entry(5, RevocationKind::Client, "c"));
        assert!(revocations.is_revoked(&claims(None), "kid"));
        let mut later = claims(None);
        later.iat = 101;
        assert!(!revocations.is_revoked(&later, "kid"));
    }

    #[test]
    fn what_can_concern_no_living_token_is_forgotten() {
        let revocations = Revocations::default();
        revocations.apply(&entry(5, RevocationKind::Client, "c"));
        revocations.forget_before(1_065);
        assert_eq!(revocations.len(), 1);
        revocations.forget_before(1_066);
        assert!(revocations.is_empty());
    }
}
