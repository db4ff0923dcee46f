//! The verifier itself: what is checked, in which order, against which keys.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use arc_swap::ArcSwap;
use serde_json::Value;

use crate::{
    Caller, Claims, JwkSet, Rejection, Revocations, Staleness, bearer,
    error::{ConnectError, TokenFault},
    follow::{Credentials, Following},
    json,
    keys::Keyring,
    refresh::{self, Pace, Refresher},
    token::Token,
    warm::{Verified, Warm},
};

/// `iat` and `nbf` may lie this many seconds ahead: clocks differ (FAPI 2.0 Security Profile §5.3.2.1).
const AHEAD: i64 = 10;

/// Verifies the access tokens of one issuer for one audience (RFC 9068 §4).
///
/// Cheap to clone; all clones share their keys. The keys of a connected verifier are refreshed by
/// a task that ends when the last clone is dropped.
#[derive(Clone)]
pub struct Verifier {
    inner: Arc<Inner>,
}

struct Inner {
    issuer: String,
    audience: String,
    leeway: i64,
    resource_metadata: Option<Arc<str>>,
    keys: Arc<ArcSwap<Keyring>>,
    remote: Option<Arc<Remote>>,
    warm: Arc<Warm>,
    revocations: Option<Arc<Revocations>>,
    following: Option<Arc<Following>>,
}

/// What a verifier has whose keys come over the network.
struct Remote {
    refresher: Refresher,
    max_key_age: Duration,
}

/// Settings of a [`Verifier`] that is still to be made.
#[derive(Clone, Debug)]
pub struct Builder {
    issuer: String,
    audience: String,
    leeway: Duration,
    max_key_age: Duration,
    jwks_uri: Option<String>,
    resource_metadata: Option<Arc<str>>,
    remembered: usize,
    revocations: Option<Arc<Revocations>>,
    follow: Option<Credentials>,
    staleness: Staleness,
    max_staleness: Duration,
}

impl Verifier {
    /// Begins a verifier for the tokens that `issuer` issues for `audience`.
    ///
    /// `issuer` is the issuer's URL exactly as its tokens and metadata write it, such as
    /// `https://auth.example/live`; `audience` is the service's own identifier, such as
    /// `https://auth.example/live/v1`.
    pub fn builder(issuer: impl Into<String>, audience: impl Into<String>) -> Builder {
        Builder {
            issuer: issuer.into(),
            audience: audience.into(),
            leeway: Duration::from_secs(5),
            max_key_age: Duration::from_secs(24 * 60 * 60),
            jwks_uri: None,
            resource_metadata: None,
            remembered: 10_000,
            revocations: None,
            follow: None,
            staleness: Staleness::default(),
            max_staleness: Duration::from_secs(10),
        }
    }

    /// The same for another audience: with the same keys, revocations and remembered signatures.
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
    pub fn issuer(&self) -> &str {
        &self.inner.issuer
    }

    /// The audience that tokens must be meant for.
    pub fn audience(&self) -> &str {
        &self.inner.audience
    }

    /// The URL of the service's metadata, as given to [`Builder::resource_metadata`].
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
    /// that wait. [`TokenFault::UnknownKey`] if the issuer does not have that key either,
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
        if following.staleness != Staleness::Introspect {
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
        let heard = remote.refresher.ask().await;
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
    pub fn news_age(&self) -> Option<Duration> {
        Some(self.inner.following.as_deref()?.age())
    }

    /// How many tokens were accepted although the news was too old ([`Staleness::Lenient`]): a
    /// number to watch.
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
    /// [`Rejection::InvalidRequest`] if there are several, if there is no single token in it, or
    /// if the query string has an `access_token`; else as [`verify`](Self::verify).
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

impl Builder {
    /// How far the clocks may differ where `exp` and `nbf` are looked at. Whole seconds; 5 unless
    /// said otherwise. (`nbf` may always lie 10 seconds ahead, `iat` never more than that.)
    pub fn leeway(self, leeway: Duration) -> Self {
        Self { leeway, ..self }
    }

    /// How long a connected verifier goes on with keys that it cannot refresh; 24 hours unless said
    /// otherwise. After that every token is [`Rejection::Unavailable`], so that whoever cuts a
    /// service off from its issuer does not keep a withdrawn key alive for ever.
    pub fn max_key_age(self, max_key_age: Duration) -> Self {
        Self {
            max_key_age,
            ..self
        }
    }

    /// How many tokens are remembered whose signature was verified, so that a repeated one costs
    /// about a microsecond; 10,000 unless said otherwise, about 2 KiB each. Times, audience and
    /// keys are checked every time all the same. 0 remembers none.
    pub fn remember(self, tokens: usize) -> Self {
        Self {
            remembered: tokens,
            ..self
        }
    }

    /// What was revoked, kept up to date by whoever shares it; unless said otherwise nothing is.
    pub fn revocations(self, revocations: Arc<Revocations>) -> Self {
        Self {
            revocations: Some(revocations),
            ..self
        }
    }

    /// Follows the issuer's revocations with this client's credential, which must be that of a
    /// resource server: a revoked token is refused within a fraction of a second.
    ///
    /// [`connect`](Self::connect) then reads all live revocations before it answers, and starts a
    /// task that reads the stream, polls where the stream breaks, and goes on where it left off.
    ///
    /// ```no_run
    /// # async fn example(secret: String) -> Result<(), Box<dyn std::error::Error>> {
    /// use onyx_verifier::{Staleness, Verifier};
    ///
    /// let verifier = Verifier::builder("https://auth.example/live", "https://orders.example")
    ///     .follow("cl_live_01J9ZW3Y7M5Q8K2T4V6X8Z0A1B", secret)
    ///     .staleness(Staleness::Strict)
    ///     .connect()
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn follow(self, client_id: impl Into<String>, client_secret: impl Into<String>) -> Self {
        Self {
            follow: Some(Credentials {
                client_id: client_id.into(),
                client_secret: client_secret.into(),
            }),
            ..self
        }
    }

    /// What counts while the news of revocations is too old; [`Staleness::Strict`] unless said
    /// otherwise.
    pub fn staleness(self, staleness: Staleness) -> Self {
        Self { staleness, ..self }
    }

    /// How old the news of revocations may be; 10 seconds unless said otherwise. It comes every 5
    /// seconds.
    pub fn max_staleness(self, max_staleness: Duration) -> Self {
        Self {
            max_staleness,
            ..self
        }
    }

    /// Where the issuer's keys are, for an issuer without metadata: [`connect`](Self::connect)
    /// then skips discovery.
    pub fn jwks_uri(self, url: impl Into<String>) -> Self {
        Self {
            jwks_uri: Some(url.into()),
            ..self
        }
    }

    /// The URL of the service's protected resource metadata (RFC 9728 §3), for the challenges that
    /// the extractor of the feature `actix` sends.
    pub fn resource_metadata(self, url: impl Into<String>) -> Self {
        Self {
            resource_metadata: Some(Arc::from(url.into())),
            ..self
        }
    }

    /// Makes a verifier with fixed keys, which never touches the network.
    ///
    /// [`ConnectError::UnusableKey`], [`ConnectError::DuplicateKeyId`] or [`ConnectError::NoKeys`]
    /// where the set is not in order.
    ///
    /// ```
    /// use onyx_verifier::{JwkSet, Rejection, TokenFault, Verifier};
    ///
    /// let keys: JwkSet = serde_json::from_str(r#"{"keys": [{"kty": "OKP", "crv": "Ed25519",
    ///     "kid": "1", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#)?;
    /// let verifier = Verifier::builder("https://auth.example/live", "https://api.example/v1").jwks(keys)?;
    /// assert_eq!(
    ///     verifier.verify_at("not a token", 1_800_000_000),
    ///     Err(Rejection::InvalidToken(TokenFault::Malformed))
    /// );
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn jwks(self, set: JwkSet) -> Result<Verifier, ConnectError> {
        let keys = Arc::new(ArcSwap::from_pointee(Keyring::strict(&set)?));
        Ok(self.finish(keys, None, None))
    }

    /// Makes a verifier with the keys that the issuer publishes.
    ///
    /// Reads the issuer's metadata (RFC 8414 §3), once, unless [`jwks_uri`](Self::jwks_uri) is given,
    /// fetches the keys, and starts a task on the current Tokio runtime that fetches them again:
    /// as often as the `max-age` of their `Cache-Control` says, but no oftener than every 30
    /// seconds and no seldomer than every hour; every 5 minutes where it says nothing. Where that
    /// fails it logs a warning, keeps the old keys and tries again after 30 seconds. The runtime
    /// must live as long as the service.
    ///
    /// URLs must be `https`, or `http` to a loopback address. Redirects are not followed, a fetch
    /// takes at most 5 seconds and 64 KiB. [`ConnectError`] if any of this cannot be met.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use onyx_verifier::Verifier;
    ///
    /// let verifier = Verifier::builder("https://auth.example/live", "https://api.example/v1")
    ///     .connect()
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn connect(mut self) -> Result<Verifier, ConnectError> {
        let (keys, refresher) =
            refresh::start(&self.issuer, self.jwks_uri.as_deref(), Pace::default()).await?;
        let remote = Remote {
            refresher,
            max_key_age: self.max_key_age,
        };
        let following = match self.follow.take() {
            None => None,
            Some(credentials) => {
                let revocations = self.revocations.get_or_insert_default();
                let following = Following::start(
                    &self.issuer,
                    credentials,
                    Arc::clone(revocations),
                    self.staleness,
                    self.max_staleness,
                );
                Some(following.await?)
            }
        };
        Ok(self.finish(keys, Some(remote), following))
    }

    fn finish(
        self,
        keys: Arc<ArcSwap<Keyring>>,
        remote: Option<Remote>,
        following: Option<Following>,
    ) -> Verifier {
        Verifier {
            inner: Arc::new(Inner {
                issuer: self.issuer,
                audience: self.audience,
                leeway: i64::try_from(self.leeway.as_secs()).unwrap_or(i64::MAX),
                resource_metadata: self.resource_metadata,
                keys,
                remote: remote.map(Arc::new),
                warm: Arc::new(Warm::new(self.remembered)),
                revocations: self.revocations,
                following: following.map(Arc::new),
            }),
        }
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
    let is_bound = json::names(payload)?.iter().any(|name| name == "cnf");
    match serde_json::from_slice(payload) {
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
