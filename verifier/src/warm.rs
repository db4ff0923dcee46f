//! Tokens whose signature was verified before: a repeated token costs a look, not a signature.
//!
//! Only what a signature proves is remembered: that these very bytes carry these claims under
//! these very keys. Whatever can change is checked every time: times, audience, keys, revocations.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::Claims;

/// Verified tokens by their whole text, so that no two can be confused; at most so many.
pub(crate) struct Warm {
    tokens: quick_cache::sync::Cache<Box<str>, Arc<Verified>>,
}

/// A token whose signature was verified.
pub(crate) struct Verified {
    /// The number of the keys that verified it.
    keyring: u64,
    /// The key that signed it.
    pub(crate) kid: Arc<str>,
    pub(crate) claims: Arc<Claims>,
    /// One more than the state of the revocations at which it was last found good; 0: never.
    passed: AtomicU64,
}

impl Verified {
    pub(crate) fn new(keyring: u64, kid: Arc<str>, claims: Arc<Claims>) -> Self {
        Self {
            keyring,
            kid,
            claims,
            passed: AtomicU64::new(0),
        }
    }

    /// Whether it was found good at this very state of the revocations.
    pub(crate) fn passed_at(&self, epoch: u64) -> bool {
        self.passed.load(Ordering::Relaxed) == epoch + 1
    }

    pub(crate) fn pass(&self, epoch: u64) {
        self.passed.store(epoch + 1, Ordering::Relaxed);
    }
}

impl Warm {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            tokens: quick_cache::sync::Cache::new(capacity),
        }
    }

    /// A token that these keys have verified.
    pub(crate) fn get(&self, token: &str, keyring: u64) -> Option<Arc<Verified>> {
        let known = self.tokens.get(token)?;
        (known.keyring == keyring).then_some(known)
    }

    /// Remembers a token.
    pub(crate) fn keep(&self, token: &str, known: &Arc<Verified>) {
        self.tokens.insert(token.into(), Arc::clone(known));
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.tokens.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verified(jti: &str) -> Arc<Verified> {
        let text = format!(
            r#"{{"iss":"i","sub":"c","client_id":"c","aud":"a","scope":"","iat":1,"nbf":1,"exp":2,"jti":"{jti}"}}"#
        );
        let claims = Arc::new(serde_json::from_str(&text).expect("claims"));
        Arc::new(Verified::new(1, "kid".into(), claims))
    }

    #[test]
    fn a_token_is_known_only_under_the_keys_that_verified_it() {
        let warm = Warm::new(10);
        warm.keep("token", &verified("one"));
        let known = warm.get("token", 1).map(|known| known.claims.jti.clone());
        assert_eq!(known.as_deref(), Some("one"));
        assert!(warm.get("token", 2).is_none());
        assert!(warm.get("token.", 1).is_none());
    }

    #[test]
    fn it_holds_no_more_than_its_capacity() {
        let warm = Warm::new(50);
        for nth in 0..5_000 {
            warm.keep(&nth.to_string(), &verified("x"));
        }
        assert!(warm.len() <= 50, "{}", warm.len());
    }

    #[test]
    fn a_token_passes_at_one_state_of_the_revocations_only() {
        let known = verified("one");
        assert!(!known.passed_at(0));
        known.pass(0);
        assert!(known.passed_at(0) && !known.passed_at(1));
    }
}
