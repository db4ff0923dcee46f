//! The verifier itself: what is checked, in which order, against which keys.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use arc_swap::ArcSwap;
use serde_json::Value;

use crate::{
    Builder, Caller, Claims, JwkSet, Rejection, Revocations, Staleness, bearer,
    error::{ConnectError, TokenFault},
    follow::Following,
    json,
    keys::Keyring,
    refresh::Refresher,
    token::{Header, Token},
    warm::{Verified, Warm},
};

/// `iat` and `nbf` may lie this many seconds ahead: clocks differ (FAPI 2.0 Security Profile §5.3.2.1).
const AHEAD: i64 = 10;

/// Verifies the access tokens of one issuer for one audience (RFC 9068 §4).
///
/// Cheap to clone; all clones share their keys. The keys of a connected verifier are refreshed by
/// a task that ends when the last clone is dropped.
///
/// ```
/// use onyx_verifier::{Rejection, Verifier};
///
/// async fn whoami(verifier: &Verifier, token: &str) -> Result<String, Rejection> {
///     Ok(verifier.verify(token).await?.client_id().to_owned())
/// }
/// ```
#[derive(Clone)]
pub struct Verifier {
    inner: Arc<Inner>,
}

/// What clones of a verifier share.
pub(crate) struct Inner {
    pub(crate) issuer: String,
    pub(crate) audience: String,
    pub(crate) leeway: i64,
    pub(crate) resource_metadata: Option<Arc<str>>,
    pub(crate) keys: Arc<ArcSwap<Keyring>>,
    pub(crate) remote: Option<Arc<Remote>>,
    pub(crate) warm: Arc<Warm>,
    pub(crate) revocations: Option<Arc<Revocations>>,
    pub(crate) following: Option<Arc<Following>>,
}

/// What a verifier has whose keys come over the network.
pub(crate) struct Remote {
    pub(crate) refresher: Refresher,
    pub(crate) max_key_age: Duration,
}

impl Verifier {
    /// Begins a verifier for the tokens that `issuer` issues for `audience`.
    ///
    /// `issuer` is the issuer's URL exactly as its tokens and metadata write it, such as
    /// `https://auth.example/live`; `audience` is the service's own identifier, such as
    /// `https://auth.example/live/v1`.
    ///
    /// ```
    /// use onyx_verifier::Verifier;
    ///
    /// let builder = Verifier::builder("https://auth.example/live", "https://orders.example");
    /// ```
    pub fn builder(issuer: impl Into<String>, audience: impl Into<String>) -> Builder {
        Builder::new(issuer.into(), audience.into())
    }

    pub(crate) fn of(inner: Inner) -> Self {
        Self {
            inner: Arc::new(inner),
        }
    }

    /// The same for another audience: with the same keys, revocations and remembered signatures.
    ///
    /// It follows with the same credential, too, which is the first audience's. So with
    /// [`Staleness::Introspect`], while the news is too old, tokens that are not also meant for the
    /// first audience are [`Rejection::Unavailable`]: of them the issuer tells that client nothing.
    /// Where this audience is to ask as well, give it a [`Builder`] and a credential of its own.
    ///
    /// ```no_run
    /// # fn example(verifier: onyx_verifier::Verifier) {
    /// let invoices = verifier.for_audience("https://invoices.example");
    /// assert_eq!(invoices.issuer(), verifier.issuer());
    /// # }
    /// ```
    pub fn for_audience(&self, audience: impl Into<String>) -> Self {
        let Inner {
            issuer,
            leeway,
            resource_metadata,
            keys,
            remote,
            warm,
            revocations,
            following,
            ..
        } = &*self.inner;
        Self {
            inner: Arc::new(Inner {
                issuer: issuer.clone(),
                audience: audience.into(),
                leeway: *leeway,
                resource_metadata: resource_metadata.clone(),
                keys: Arc::clone(keys),
                remote: remote.clone(),
                warm: Arc::clone(warm),
                revocations: revocations.clone(),
                following: following.clone(),
            }),
        }
    }

    /// The issuer whose tokens are accepted.
    ///
    /// ```
    /// # use onyx_verifier::{JwkSet, Verifier};
    /// # let keys: JwkSet = serde_json::from_str(r#"{"keys": [{"kty": "OKP", "crv": "Ed25519",
    /// #     "kid": "1", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#)?;
    /// let verifier = Verifier::builder("https://auth.example/live", "https://orders.example")
    ///     .jwks(keys)?;
    /// assert_eq!(verifier.issuer(), "https://auth.example/live");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn issuer(&self) -> &str {
        &self.inner.issuer
    }

    /// The audience that tokens must be meant for.
    ///
    /// ```
    /// # use onyx_verifier::{JwkSet, Verifier};
    /// # let keys: JwkSet = serde_json::from_str(r#"{"keys": [{"kty": "OKP", "crv": "Ed25519",
    /// #     "kid": "1", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#)?;
    /// let verifier = Verifier::builder("https://auth.example/live", "https://orders.example")
    ///     .jwks(keys)?;
    /// assert_eq!(verifier.audience(), "https://orders.example");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn audience(&self) -> &str {
        &self.inner.audience
    }

    /// The URL of the service's metadata, as given to [`Builder::resource_metadata`].
    ///
    /// ```
    /// # use onyx_verifier::{JwkSet, Verifier};
    /// # let keys: JwkSet = serde_json::from_str(r#"{"keys": [{"kty": "OKP", "crv": "Ed25519",
    /// #     "kid": "1", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#)?;
    /// let verifier = Verifier::builder("https://auth.example/live", "https://orders.example")
    ///     .resource_metadata("https://orders.example/.well-known/oauth-protected-resource")
    ///     .jwks(keys)?;
    /// assert!(verifier.resource_metadata().is_some());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn resource_metadata(&self) -> Option<&str> {
        self.inner.resource_metadata.as_deref()
    }

    #[cfg(feature = "actix")]
    pub(crate) fn metadata(&self) -> Option<Arc<str>> {
        self.inner.resource_metadata.clone()
    }

    /// Verifies a token at this moment.
    ///
    /// Where a connected verifier does not know the token's key, it asks the issuer for its keys,
    /// but at most once in 30 seconds however many such tokens come, and one request serves all
    /// that wait. Where it has heard that a key was revoked, it asks at once, and then once a second
    /// for up to 30 seconds until it is told the keys that follow: whoever answers for the issuer may
    /// not know them yet. [`TokenFault::UnknownKey`] if the issuer does not have that key either,
    /// [`Rejection::Unavailable`] if the issuer cannot be asked or its keys have become too old
    /// ([`Builder::max_key_age`]).
    ///
    /// ```no_run
    /// # async fn example(verifier: onyx_verifier::Verifier, token: &str) -> Result<(), onyx_verifier::Rejection> {
    /// let caller = verifier.verify(token).await?;
    /// println!("called by {}", caller.client_id());
    /// # Ok(())
    /// # }
    /// ```
    pub async fn verify(&self, token: &str) -> Result<Caller, Rejection> {
        let caller = self.verify_signed(token).await?;
        let Some(following) = self.stale() else {
            return Ok(caller);
        };
        if !following.introspects(&caller.claims().aud) {
            return self.without_news(following, caller);
        }
        match following.is_active(token).await {
            Some(true) => Ok(caller),
            Some(false) => Err(TokenFault::Revoked.into()),
            None => Err(Rejection::Unavailable),
        }
    }

    /// Everything but how old the news of revocations is; asks for keys that are not known.
    async fn verify_signed(&self, token: &str) -> Result<Caller, Rejection> {
        let verdict = self.check(token, now());
        if !matches!(
            verdict,
            Err(Rejection::InvalidToken(TokenFault::UnknownKey))
        ) {
            return verdict;
        }
        let Some(remote) = &self.inner.remote else {
            return verdict;
        };
        let kid = Token::parse(token)
            .and_then(|token| Header::read(token.header))?
            .kid;
        let heard = remote.refresher.ask(kid).await;
        match self.check(token, now()) {
            Err(Rejection::InvalidToken(TokenFault::UnknownKey)) if !heard => {
                Err(Rejection::Unavailable)
            }
            verdict => verdict,
        }
    }

    /// Who follows revocations, if its news is too old.
    fn stale(&self) -> Option<&Following> {
        let following = self.inner.following.as_deref()?;
        following.is_stale().then_some(following)
    }

    /// A token that is good but for what may have been revoked since.
    fn without_news(&self, following: &Following, caller: Caller) -> Result<Caller, Rejection> {
        match following.staleness {
            Staleness::Strict | Staleness::Introspect => Err(Rejection::Unavailable),
            Staleness::Lenient => {
                following.count_stale();
                Ok(caller)
            }
        }
    }

    /// How old this verifier's news of revocations is. `None`: it does not follow them
    /// ([`Builder::follow`]).
    ///
    /// ```
    /// # use onyx_verifier::{JwkSet, Verifier};
    /// # let keys: JwkSet = serde_json::from_str(r#"{"keys": [{"kty": "OKP", "crv": "Ed25519",
    /// #     "kid": "1", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#)?;
    /// let verifier = Verifier::builder("https://auth.example/live", "https://orders.example")
    ///     .jwks(keys)?;
    /// // Fixed keys, and nobody who is followed.
    /// assert_eq!(verifier.news_age(), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn news_age(&self) -> Option<Duration> {
        Some(self.inner.following.as_deref()?.age())
    }

    /// How many tokens were accepted although the news was too old ([`Staleness::Lenient`]): a
    /// number to watch.
    ///
    /// ```
    /// use onyx_verifier::Verifier;
    ///
    /// /// A line for Prometheus.
    /// fn metric(verifier: &Verifier) -> String {
    ///     format!("orders_accepted_while_stale_total {}\n", verifier.accepted_while_stale())
    /// }
    /// ```
    pub fn accepted_while_stale(&self) -> u64 {
        let following = self.inner.following.as_deref();
        following.map_or(0, Following::accepted_while_stale)
    }

    /// Verifies a token at a moment given in seconds since the Unix epoch, with the keys at hand.
    ///
    /// Never touches the network and takes well under a millisecond. Refuses as
    /// [`verify`](Self::verify) does.
    ///
    /// While the news of revocations is too old, [`Staleness::Introspect`] is as
    /// [`Staleness::Strict`] here: there is nobody to be asked.
    ///
    /// ```
    /// # use onyx_verifier::{JwkSet, Verifier};
    /// # let keys: JwkSet = serde_json::from_str(r#"{"keys": [{"kty": "OKP", "crv": "Ed25519",
    /// #     "kid": "1", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#)?;
    /// let verifier = Verifier::builder("https://auth.example/live", "https://orders.example")
    ///     .jwks(keys)?;
    /// assert!(verifier.verify_at("not a token", 1_800_000_000).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn verify_at(&self, token: &str, now_unix: i64) -> Result<Caller, Rejection> {
        let caller = self.check(token, now_unix)?;
        match self.stale() {
            None => Ok(caller),
            Some(following) => self.without_news(following, caller),
        }
    }

    /// Everything but how old the news of revocations is.
    fn check(&self, token: &str, now_unix: i64) -> Result<Caller, Rejection> {
        let keys = self.inner.keys.load();
        if let Some(remote) = &self.inner.remote
            && keys.heard.elapsed() > remote.max_key_age
        {
            return Err(Rejection::Unavailable);
        }
        if let Some(known) = self.inner.warm.get(token, keys.number) {
            self.accepts(&known.claims, now_unix)?;
            self.was_not_revoked(&known)?;
            return Ok(Caller::new(Arc::clone(&known.claims)));
        }
        let parsed = Token::parse(token)?;
        let kid = keys.check(&parsed)?;
        let claims = Arc::new(claims(&parsed.payload)?);
        self.accepts(&claims, now_unix)?;
        let known = Arc::new(Verified::new(keys.number, kid, claims));
        self.was_not_revoked(&known)?;
        self.inner.warm.keep(token, &known);
        Ok(Caller::new(Arc::clone(&known.claims)))
    }

    /// Verifies the token of a request, given all values of its `Authorization` header and its
    /// query string (RFC 6750 §2).
    ///
    /// [`Rejection::NoCredentials`] without a header, or with one of another scheme than `Bearer`;
    /// [`Rejection::InvalidRequest`] if there are several, if it is not `Bearer` and a single word,
    /// or if the query string has an `access_token`; else as [`verify`](Self::verify), to which
    /// every such word is a token.
    ///
    /// ```no_run
    /// # async fn example(verifier: onyx_verifier::Verifier) -> Result<(), onyx_verifier::Rejection> {
    /// let headers = ["Bearer eyJhbGciOiJFUzI1NiIsInR5cCI6ImF0K2p3dCIsImtpZCI6IjEifQ.e30.AA"];
    /// let values = headers.iter().map(|value| value.as_bytes());
    /// let caller = verifier.authorize(values, Some("limit=20")).await?;
    /// caller.require_scope("orders:read")?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn authorize<'a>(
        &self,
        authorization: impl Iterator<Item = &'a [u8]>,
        query: Option<&str>,
    ) -> Result<Caller, Rejection> {
        self.verify(bearer::token(authorization, query)?).await
    }

    /// Replaces all keys at once; tokens that are being verified keep the keys they began with.
    ///
    /// [`ConnectError`] if a key is unusable, if two have one name or if there is none: then the
    /// keys stay as they were. A connected verifier forgets the given keys at its next refresh.
    ///
    /// ```
    /// # use onyx_verifier::{JwkSet, Verifier};
    /// # let keys: JwkSet = serde_json::from_str(r#"{"keys": [{"kty": "OKP", "crv": "Ed25519",
    /// #     "kid": "1", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#)?;
    /// let verifier = Verifier::builder("https://auth.example/live", "https://orders.example")
    ///     .jwks(keys)?;
    /// assert!(verifier.replace_jwks(JwkSet::default()).is_err());
    /// assert!(verifier.replace_jwks(serde_json::from_str(r#"{"keys": [{"kty": "OKP", "crv": "Ed25519",
    ///     "kid": "2", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#)?).is_ok());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn replace_jwks(&self, set: JwkSet) -> Result<(), ConnectError> {
        self.inner.keys.store(Arc::new(Keyring::strict(&set)?));
        Ok(())
    }

    /// Whether nothing that the token hangs on was revoked; looked up only when anything was
    /// revoked since this token last passed.
    fn was_not_revoked(&self, known: &Verified) -> Result<(), TokenFault> {
        let Some(revocations) = &self.inner.revocations else {
            return Ok(());
        };
        let epoch = revocations.epoch();
        if known.passed_at(epoch) {
            return Ok(());
        }
        if revocations.is_revoked(&known.claims, &known.kid) {
            return Err(TokenFault::Revoked);
        }
        known.pass(epoch);
        Ok(())
    }

    /// Whether the claims of an authentic token are good here and now (RFC 9068 §4, RFC 7519 §4.1).
    fn accepts(&self, claims: &Claims, now: i64) -> Result<(), TokenFault> {
        let Inner {
            issuer,
            audience,
            leeway,
            ..
        } = &*self.inner;
        if claims.iss != *issuer {
            return Err(TokenFault::WrongIssuer);
        }
        if !claims.aud.contains(audience) {
            return Err(TokenFault::WrongAudience);
        }
        if claims.exp.saturating_add(*leeway) <= now {
            return Err(TokenFault::Expired);
        }
        if claims.nbf > now.saturating_add(AHEAD.max(*leeway))
            || claims.iat > now.saturating_add(AHEAD)
        {
            return Err(TokenFault::NotYetValid);
        }
        Ok(())
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier")
            .field("issuer", &self.inner.issuer)
            .field("audience", &self.inner.audience)
            .field("connected", &self.inner.remote.is_some())
            .finish_non_exhaustive()
    }
}

/// Seconds since the Unix epoch; 0 by a clock that stands before it, when no token is valid yet.
fn now() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs().cast_signed())
}

/// Reads the claims of an authentic payload (RFC 9068 §2.2).
fn claims(payload: &[u8]) -> Result<Claims, TokenFault> {
    let text = json::text(payload)?;
    let is_bound = json::names(text)?.iter().any(|name| name == "cnf");
    match serde_json::from_str(text) {
        Ok(claims) if !is_bound => Ok(claims),
        _ => named_fault(payload),
    }
}

/// Reads claims one by one, so that what is wrong has a name.
fn named_fault(payload: &[u8]) -> Result<Claims, TokenFault> {
    const TEXTS: [&str; 5] = ["iss", "sub", "client_id", "jti", "scope"];
    const TIMES: [&str; 2] = ["exp", "iat"];

    let members = json::object(payload)?;
    let check = |name, is_well_typed: fn(&Value) -> bool| match members.get(name) {
        None => Err(TokenFault::MissingClaim(name)),
        Some(value) if is_well_typed(value) => Ok(()),
        Some(_) => Err(TokenFault::InvalidClaim(name)),
    };
    TEXTS
        .into_iter()
        .try_for_each(|name| check(name, Value::is_string))?;
    TIMES
        .into_iter()
        .try_for_each(|name| check(name, Value::is_i64))?;
    if members.contains_key("nbf") {
        check("nbf", Value::is_i64)?;
    }
    check("aud", is_audience)?;
    // Also `"cnf": null`, which would read as no `cnf`.
    if members.contains_key("cnf") {
        return Err(TokenFault::SenderConstrained);
    }
    serde_json::from_value(Value::Object(members)).map_err(|_| TokenFault::Malformed)
}

fn is_audience(value: &Value) -> bool {
    match value {
        Value::String(_) => true,
        Value::Array(many) => many.iter().all(Value::is_string),
        _ => false,
    }
}
