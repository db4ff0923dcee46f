//! How a verifier is made.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;

use crate::{
    JwkSet, Revocations, Staleness, Verifier,
    error::ConnectError,
    follow::{Credentials, Following},
    keys::Keyring,
    refresh::{self, Pace},
    verifier::{Inner, Remote},
    warm::Warm,
};

/// Settings of a [`Verifier`] that is still to be made.
///
/// ```
/// use std::time::Duration;
/// use onyx_verifier::{Builder, Staleness, Verifier};
///
/// fn with_our_defaults(audience: &str) -> Builder {
///     Verifier::builder("https://auth.example/live", audience)
///         .leeway(Duration::from_secs(2))
///         .staleness(Staleness::Strict)
/// }
/// ```
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

impl Builder {
    pub(crate) fn new(issuer: String, audience: String) -> Self {
        Self {
            issuer,
            audience,
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

    /// How far the clocks may differ where `exp` and `nbf` are looked at. Whole seconds; 5 unless
    /// said otherwise. (`nbf` may always lie 10 seconds ahead, `iat` never more than that.)
    ///
    /// ```
    /// use std::time::Duration;
    /// use onyx_verifier::Verifier;
    ///
    /// let builder = Verifier::builder("https://auth.example/live", "https://orders.example")
    ///     .leeway(Duration::from_secs(2));
    /// ```
    pub fn leeway(self, leeway: Duration) -> Self {
        Self { leeway, ..self }
    }

    /// How long a connected verifier goes on with keys that it cannot refresh; 24 hours unless said
    /// otherwise. After that every token is
    /// [`Rejection::Unavailable`](crate::Rejection::Unavailable), so that whoever cuts a service
    /// off from its issuer does not keep a withdrawn key alive for ever.
    ///
    /// ```
    /// use std::time::Duration;
    /// use onyx_verifier::Verifier;
    ///
    /// let builder = Verifier::builder("https://auth.example/live", "https://orders.example")
    ///     .max_key_age(Duration::from_secs(60 * 60));
    /// ```
    pub fn max_key_age(self, max_key_age: Duration) -> Self {
        Self {
            max_key_age,
            ..self
        }
    }

    /// How many tokens are remembered whose signature was verified, so that a repeated one costs
    /// about a microsecond; 10,000 unless said otherwise, about 2 KiB each. Times, audience and
    /// keys are checked every time all the same. 0 remembers none.
    ///
    /// ```
    /// use onyx_verifier::Verifier;
    ///
    /// let builder = Verifier::builder("https://auth.example/live", "https://orders.example")
    ///     .remember(100_000);
    /// ```
    pub fn remember(self, tokens: usize) -> Self {
        Self {
            remembered: tokens,
            ..self
        }
    }

    /// What was revoked, kept up to date by whoever shares it; unless said otherwise nothing is.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use onyx_verifier::{Revocations, Verifier};
    ///
    /// let builder = Verifier::builder("https://auth.example/live", "https://orders.example")
    ///     .revocations(Arc::new(Revocations::default()));
    /// ```
    pub fn revocations(self, revocations: Arc<Revocations>) -> Self {
        Self {
            revocations: Some(revocations),
            ..self
        }
    }

    /// Follows the issuer's revocations with this client's credential, which must be that of a
    /// resource server: a revoked token is refused within a fraction of a second. For
    /// [`Staleness::Introspect`] it must be that of this builder's audience.
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
    ///
    /// ```
    /// use onyx_verifier::{Staleness, Verifier};
    ///
    /// let builder = Verifier::builder("https://auth.example/live", "https://orders.example")
    ///     .staleness(Staleness::Lenient);
    /// ```
    pub fn staleness(self, staleness: Staleness) -> Self {
        Self { staleness, ..self }
    }

    /// How old the news of revocations may be; 10 seconds unless said otherwise. It comes every 5
    /// seconds.
    ///
    /// ```
    /// use std::time::Duration;
    /// use onyx_verifier::Verifier;
    ///
    /// let builder = Verifier::builder("https://auth.example/live", "https://orders.example")
    ///     .max_staleness(Duration::from_secs(20));
    /// ```
    pub fn max_staleness(self, max_staleness: Duration) -> Self {
        Self {
            max_staleness,
            ..self
        }
    }

    /// Where the issuer's keys are, for an issuer without metadata: [`connect`](Self::connect)
    /// then skips discovery.
    ///
    /// ```
    /// use onyx_verifier::Verifier;
    ///
    /// let builder = Verifier::builder("https://auth.example/live", "https://orders.example")
    ///     .jwks_uri("https://auth.example/live/oauth2/jwks");
    /// ```
    pub fn jwks_uri(self, url: impl Into<String>) -> Self {
        Self {
            jwks_uri: Some(url.into()),
            ..self
        }
    }

    /// The URL of the service's protected resource metadata (RFC 9728 §3), for the challenges that
    /// extractor, middleware and layer send.
    ///
    /// ```
    /// use onyx_verifier::Verifier;
    ///
    /// let builder = Verifier::builder("https://auth.example/live", "https://orders.example")
    ///     .resource_metadata("https://orders.example/.well-known/oauth-protected-resource");
    /// ```
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
        let revocations = self.revocations.clone().unwrap_or_default();
        let (keys, refresher) = refresh::start(
            &self.issuer,
            self.jwks_uri.as_deref(),
            Pace::default(),
            Arc::clone(&revocations),
        )
        .await?;
        let remote = Remote {
            refresher,
            max_key_age: self.max_key_age,
        };
        let following = match self.follow.take() {
            None => None,
            Some(credentials) => {
                self.revocations = Some(Arc::clone(&revocations));
                let following = Following::start(
                    &self.issuer,
                    &self.audience,
                    credentials,
                    revocations,
                    remote.refresher.changed(),
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
        Verifier::of(Inner {
            issuer: self.issuer,
            audience: self.audience,
            leeway: i64::try_from(self.leeway.as_secs()).unwrap_or(i64::MAX),
            resource_metadata: self.resource_metadata,
            keys,
            remote: remote.map(Arc::new),
            warm: Arc::new(Warm::new(self.remembered)),
            revocations: self.revocations,
            following: following.map(Arc::new),
        })
    }
}
