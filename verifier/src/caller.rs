//! Who calls: what is left of a token once it has been verified.

use std::sync::Arc;

use crate::{Claims, Rejection};

/// The caller of a request, as a verified token names it.
///
/// Only a [`Verifier`](crate::Verifier) makes one, so to hold a `Caller` is to know that its token
/// was good. It keeps the claims and not the token, which therefore cannot leak through it.
///
/// ```
/// use onyx_verifier::{Caller, Rejection};
///
/// fn list_orders(caller: &Caller) -> Result<String, Rejection> {
///     caller.require_scope("orders:read")?;
///     Ok(format!("the orders of {:?}", caller.partner_id()))
/// }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Caller {
    claims: Arc<Claims>,
}

impl Caller {
    pub(crate) fn new(claims: Arc<Claims>) -> Self {
        Self { claims }
    }

    /// All that the token says.
    ///
    /// ```
    /// fn can_be_looked_up(caller: &onyx_verifier::Caller) -> bool {
    ///     caller.claims().status.is_some()
    /// }
    /// ```
    pub fn claims(&self) -> &Claims {
        &self.claims
    }

    /// The client that the token was issued to.
    ///
    /// ```
    /// fn key_of_a_rate_limit(caller: &onyx_verifier::Caller) -> String {
    ///     format!("client:{}", caller.client_id())
    /// }
    /// ```
    pub fn client_id(&self) -> &str {
        &self.claims.client_id
    }

    /// The partner that the client belongs to. `None`: the client is no partner's.
    ///
    /// ```
    /// /// Operators and resource servers belong to no partner: here only partners get in.
    /// fn tenant(caller: &onyx_verifier::Caller) -> Result<&str, &'static str> {
    ///     caller.partner_id().ok_or("for partners only")
    /// }
    /// ```
    pub fn partner_id(&self) -> Option<&str> {
        self.claims.partner_id.as_deref()
    }

    /// The credential that the client authenticated with, where the token says so.
    ///
    /// ```
    /// fn audit(caller: &onyx_verifier::Caller) {
    ///     println!("called with {}", caller.credential_id().unwrap_or("an unknown credential"));
    /// }
    /// ```
    pub fn credential_id(&self) -> Option<&str> {
        self.claims.credential_id.as_deref()
    }

    /// The partner's environment, `sandbox` or `live`. `None`: the client is no partner's.
    ///
    /// ```
    /// fn may_move_money(caller: &onyx_verifier::Caller) -> bool {
    ///     caller.env() == Some("live")
    /// }
    /// ```
    pub fn env(&self) -> Option<&str> {
        self.claims.env.as_deref()
    }

    /// The token's unique name, `jti`.
    ///
    /// ```
    /// fn audit(caller: &onyx_verifier::Caller) {
    ///     println!("token {}", caller.token_id());
    /// }
    /// ```
    pub fn token_id(&self) -> &str {
        &self.claims.jti
    }

    /// When the token expires, in seconds since the Unix epoch.
    ///
    /// ```
    /// /// A stream that a token opened ends with it.
    /// fn seconds_left(caller: &onyx_verifier::Caller, now_unix: i64) -> i64 {
    ///     caller.expires_at() - now_unix
    /// }
    /// ```
    pub fn expires_at(&self) -> i64 {
        self.claims.exp
    }

    /// The scopes of the token (RFC 6749 §3.3).
    ///
    /// ```
    /// fn shown(caller: &onyx_verifier::Caller) -> Vec<&str> {
    ///     caller.scopes().collect()
    /// }
    /// ```
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        self.claims.scope.split(' ').filter(|one| !one.is_empty())
    }

    /// Whether the token has this one scope. Case matters (RFC 6749 §3.3).
    ///
    /// ```
    /// fn fields(caller: &onyx_verifier::Caller) -> &'static [&'static str] {
    ///     if caller.has_scope("prices:read") { &["name", "price"] } else { &["name"] }
    /// }
    /// ```
    pub fn has_scope(&self, scope: &str) -> bool {
        self.scopes().any(|one| one == scope)
    }

    /// Demands a scope; [`Rejection::InsufficientScope`] (403) where the token lacks it.
    ///
    /// ```
    /// use onyx_verifier::{Caller, Rejection};
    ///
    /// fn cancel_order(caller: &Caller) -> Result<(), Rejection> {
    ///     caller.require_scope("orders:create")?;
    ///     // From here on the caller may.
    ///     Ok(())
    /// }
    /// ```
    pub fn require_scope(&self, scope: &str) -> Result<(), Rejection> {
        if self.has_scope(scope) {
            Ok(())
        } else {
            Err(Rejection::InsufficientScope {
                required: scope.to_owned(),
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Audience;

    fn caller(scope: &str) -> Caller {
        Caller::new(Arc::new(Claims {
            iss: "https://as.example/live".into(),
            sub: "cl_live_1".into(),
            client_id: "cl_live_1".into(),
            aud: Audience::One("https://api.example/v1".into()),
            scope: scope.into(),
            iat: 1,
            nbf: 1,
            exp: 301,
            jti: "t".into(),
            partner_id: Some("ptn_1".into()),
            env: None,
            credential_id: None,
            rsn: Some(0),
            status: None,
            cnf: None,
        }))
    }

    #[test]
    fn a_scope_is_held_whole_or_not_at_all() {
        let caller = caller("orders:create orders:read");
        assert_eq!(
            caller.scopes().collect::<Vec<_>>(),
            ["orders:create", "orders:read"]
        );
        assert!(caller.require_scope("orders:read").is_ok());
        for scope in [
            "orders",
            "orders:rea",
            "ORDERS:READ",
            "orders:create orders:read",
            "",
        ] {
            assert_eq!(
                caller.require_scope(scope),
                Err(Rejection::InsufficientScope {
                    required: scope.into()
                })
            );
        }
    }

    #[test]
    fn an_empty_scope_claim_is_no_scope() {
        assert_eq!(caller("").scopes().count(), 0);
        assert!(!caller("").has_scope(""));
    }
}
