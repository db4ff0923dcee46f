//! What an access token says: the one definition, which the issuer serialises and the verifier reads.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{
        Error, IntoDeserializer, SeqAccess, Visitor,
        value::{BorrowedStrDeserializer, SeqAccessDeserializer},
    },
};

/// The claims of an access token (RFC 9068 §2.2, with Onyx Auth's own members).
///
/// All times are whole seconds since the Unix epoch. The texts are `String`s where claims were
/// read; who issues may lend them instead (`Claims<&str>`).
///
/// ```
/// use onyx_verifier::Claims;
///
/// let claims: Claims = serde_json::from_str(
///     r#"{"iss":"https://auth.example/live","sub":"cl_live_1","client_id":"cl_live_1",
///         "aud":"https://orders.example","scope":"orders:read","iat":1800000000,"exp":1800000300,
///         "jti":"t","partner_id":"ptn_1","env":"live","rsn":7}"#,
/// )?;
/// assert_eq!((claims.partner_id.as_deref(), claims.rsn), (Some("ptn_1"), Some(7)));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Claims<S = String> {
    /// The issuer's URL, compared exactly (RFC 7519 §4.1.1).
    pub iss: S,
    /// The subject. For client credentials it equals `client_id` (RFC 9068 §2.2).
    pub sub: S,
    /// The client that the token was issued to (RFC 8693 §4.3).
    pub client_id: S,
    /// The resource services that the token is meant for (RFC 7519 §4.1.3).
    pub aud: Audience<S>,
    /// The granted scopes, sorted and separated by single spaces (RFC 8693 §4.2); may be empty.
    pub scope: S,
    /// When the token was issued (RFC 7519 §4.1.6).
    pub iat: i64,
    /// When the token starts to be valid (RFC 7519 §4.1.5); 0 where the token does not say.
    #[serde(default)]
    pub nbf: i64,
    /// When the token stops being valid (RFC 7519 §4.1.4).
    pub exp: i64,
    /// The token's unique, unguessable name (RFC 7519 §4.1.7).
    pub jti: S,
    /// The partner that the client belongs to; absent for operators and resource servers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partner_id: Option<S>,
    /// The partner's environment, `sandbox` or `live`; absent for operators and resource servers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env: Option<S>,
    /// The credential that the client authenticated with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential_id: Option<S>,
    /// The revocation sequence number that the issuing node had applied: a revocation of this
    /// token's subject counts if its own number is greater.
    ///
    /// Absent in tokens of issuers that do not number; those are judged by `iat`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rsn: Option<u64>,
    /// Where the token's status can be looked up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<StatusClaim<S>>,
    /// The key that a sender-constrained token is bound to (RFC 7800 §3.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cnf: Option<serde_json::Value>,
}

/// The `aud` claim: one audience or several (RFC 7519 §4.1.3).
///
/// On the wire a string or an array of strings.
///
/// ```
/// use onyx_verifier::Audience;
///
/// let one: Audience = serde_json::from_str(r#""https://api.example/v1""#)?;
/// let many: Audience = serde_json::from_str(r#"["https://api.example/v1", "https://b.example"]"#)?;
/// assert!(one.contains("https://api.example/v1"));
/// assert_eq!(many.iter().count(), 2);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Audience<S = String> {
    /// A single audience, written as a string.
    One(S),
    /// Several audiences, written as an array.
    Many(Vec<S>),
}

/// By hand: what is derived for it copies the whole claim before it looks at it.
impl<'de, S: Deserialize<'de>> Deserialize<'de> for Audience<S> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMany<S>(PhantomData<S>);
        impl<'de, S: Deserialize<'de>> Visitor<'de> for OneOrMany<S> {
            type Value = Audience<S>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or an array of strings")
            }

            fn visit_borrowed_str<E: Error>(self, one: &'de str) -> Result<Audience<S>, E> {
                S::deserialize(BorrowedStrDeserializer::new(one)).map(Audience::One)
            }

            fn visit_str<E: Error>(self, one: &str) -> Result<Audience<S>, E> {
                S::deserialize(one.into_deserializer()).map(Audience::One)
            }

            fn visit_string<E: Error>(self, one: String) -> Result<Audience<S>, E> {
                S::deserialize(one.into_deserializer()).map(Audience::One)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, many: A) -> Result<Audience<S>, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(many)).map(Audience::Many)
            }
        }
        deserializer.deserialize_any(OneOrMany(PhantomData))
    }
}

impl<S: AsRef<str>> Audience<S> {
    /// Whether `audience` is among them, compared byte for byte.
    ///
    /// ```
    /// use onyx_verifier::Audience;
    ///
    /// let audience = Audience::One("https://orders.example");
    /// assert!(audience.contains("https://orders.example"));
    /// assert!(!audience.contains("https://orders.example/"));
    /// ```
    pub fn contains(&self, audience: &str) -> bool {
        self.iter().any(|one| one == audience)
    }

    /// All audiences, in the token's order.
    ///
    /// ```
    /// use onyx_verifier::Audience;
    ///
    /// let audience = Audience::Many(vec!["https://a.example", "https://b.example"]);
    /// assert_eq!(audience.iter().last(), Some("https://b.example"));
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many.as_slice(),
        }
        .iter()
        .map(AsRef::as_ref)
    }
}

/// The `status` claim: `{"status_list":{"idx","uri"}}` (draft-ietf-oauth-status-list §6.1).
///
/// ```
/// use onyx_verifier::{StatusClaim, StatusListRef};
///
/// let status: StatusClaim =
///     serde_json::from_str(r#"{"status_list":{"idx":3,"uri":"https://auth.example/lists/1"}}"#)?;
/// let place = StatusListRef { idx: 3, uri: "https://auth.example/lists/1".into() };
/// assert_eq!(status.status_list, place);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusClaim<S = String> {
    /// The token's place in a Token Status List.
    pub status_list: StatusListRef<S>,
}

/// A place in a Token Status List (draft-ietf-oauth-status-list §6.1).
///
/// ```
/// use onyx_verifier::{StatusClaim, StatusListRef};
///
/// let status: StatusClaim =
///     serde_json::from_str(r#"{"status_list":{"idx":3,"uri":"https://auth.example/lists/1"}}"#)?;
/// let place = StatusListRef { idx: 3, uri: "https://auth.example/lists/1".into() };
/// assert_eq!(status.status_list, place);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusListRef<S = String> {
    /// The index within the list, from 0.
    pub idx: u64,
    /// The list's URL.
    pub uri: S,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_members_stay_absent_and_have_defaults() {
        let wire = r#"{"iss":"https://as","sub":"c","client_id":"c","aud":"https://rs","scope":"","iat":1,"exp":2,"jti":"j"}"#;
        let claims: Claims = serde_json::from_str(wire).unwrap();
        assert_eq!((claims.nbf, claims.rsn), (0, None));
        assert_eq!(
            serde_json::to_string(&claims).unwrap(),
            r#"{"iss":"https://as","sub":"c","client_id":"c","aud":"https://rs","scope":"","iat":1,"nbf":0,"exp":2,"jti":"j"}"#
        );
    }

    #[test]
    fn claims_that_are_lent_are_written_like_claims_that_were_read() {
        let wire = r#"{"iss":"i","sub":"c","client_id":"c","aud":["a","b"],"scope":"s","iat":1,"nbf":1,"exp":2,"jti":"j","partner_id":"p","env":"live","credential_id":"k","rsn":7,"status":{"status_list":{"idx":3,"uri":"https://as/l"}}}"#;
        let lent = Claims {
            iss: "i",
            sub: "c",
            client_id: "c",
            aud: Audience::Many(vec!["a", "b"]),
            scope: "s",
            iat: 1,
            nbf: 1,
            exp: 2,
            jti: "j",
            partner_id: Some("p"),
            env: Some("live"),
            credential_id: Some("k"),
            rsn: Some(7),
            status: Some(StatusClaim {
                status_list: StatusListRef {
                    idx: 3,
                    uri: "https://as/l",
                },
            }),
            cnf: None,
        };
        assert_eq!(serde_json::to_string(&lent).unwrap(), wire);
        let read: Claims = serde_json::from_str(wire).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), wire);
    }

    #[test]
    fn an_audience_is_matched_whole_and_by_case() {
        let many = Audience::Many(vec!["https://a", "https://b"]);
        assert!(many.contains("https://b"));
        assert!(!many.contains("https://B"));
        assert!(!many.contains("https://"));
        assert!(!Audience::<String>::Many(Vec::new()).contains(""));
    }
}
