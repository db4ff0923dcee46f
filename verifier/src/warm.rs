//! Tokens whose signature was verified before: a repeated token costs a look, not a signature.
//!
//! Only what a signature proves is remembered: that these very bytes carry these claims under
//! these very keys. Whatever can change is checked every time: times, audience, keys.

use std::sync::Arc;

use crate::Claims;

/// Verified tokens by their whole text, so that no two can be confused; at most so many.
pub(crate) struct Warm {
    tokens: quick_cache::sync::Cache<Box<str>, Verified>,
}

#[derive(Clone)]
struct Verified {
    /// The number of the keys that verified it.
    keyring: u64,
    claims: Arc<Claims>,
}

impl Warm {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            tokens: quick_cache::sync::Cache::new(capacity),
        }
    }

    /// The claims of a token that these keys have verified.
    pub(crate) fn get(&self, token: &str, keyring: u64) -> Option<Arc<Claims>> {
        let known = self.tokens.get(token)?;
        (known.keyring == keyring).then_some(known.claims)
    }

    /// Remembers a token that these keys have verified.
    pub(crate) fn keep(&self, token: &str, keyring: u64, claims: &Arc<Claims>) {
        let claims = Arc::clone(claims);
        self.tokens
            .insert(token.into(), Verified { keyring, claims });
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.tokens.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(jti: &str) -> Arc<Claims> {
        let text = format!(
            r#"{{"iss":"i","sub":"c","client_id":"c","aud":"a","scope":"","iat":1,"nbf":1,"exp":2,"jti":"{jti}"}}"#
        );
        Arc::new(serde_json::from_str(&text).expect("claims"))
    }

    #[test]
    fn a_token_is_known_only_under_the_keys_that_verified_it() {
        let warm = Warm::new(10);
        warm.keep("token", 1, &claims("one"));
        assert_eq!(
            warm.get("token", 1).map(|c| c.jti.clone()).as_deref(),
            Some("one")
        );
        assert!(warm.get("token", 2).is_none());
        assert!(warm.get("token.", 1).is_none());
    }

    #[test]
    fn it_holds_no_more_than_its_capacity() {
        let warm = Warm::new(50);
        for nth in 0..5_000 {
            warm.keep(&nth.to_string(), 1, &claims("x"));
        }
        assert!(warm.len() <= 50, "{}", warm.len());
    }
}
