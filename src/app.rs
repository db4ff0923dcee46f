//! The application, built once: settings, clock, database, keys, directory, verifiers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use onyx_verifier::{ConnectError, Verifier};

use crate::admin::{self, Act, Policy, leaks};
use crate::audit::tally::Tally;
use crate::audit::{self, Actor};
use crate::clock::Clock;
use crate::config::Settings;
use crate::directory::{Directory, Tallies};
use crate::domain::audience::Addresses;
use crate::domain::id::StatusListId;
use crate::domain::instant::Instant;
use crate::domain::realm::Realm;
use crate::domain::revocation;
use crate::journal::Journal;
use crate::keys::error::KeyError;
use crate::keys::provision;
use crate::keys::ring::RingError;
use crate::keys::{KeyRing, MasterKey, import, master::MasterKeyError};
use crate::limits::Rates;
use crate::limits::failures::Failures;
use crate::limits::nodes::Nodes;
use crate::limits::shared::Shared;
use crate::news::News;
use crate::oauth::record::TokenRecord;
use crate::partner;
use crate::partner::idempotency::Running;
use crate::revocation::feed::Feed;
use crate::revocation::status_list::indices::Indices;
use crate::revocation::status_list::{Missing, Signed, Sources, StatusLists};
use crate::store::changes::Change;
use crate::store::request_log::Call;
use crate::store::{OpenError, Store, StoreError, signing_keys};
use crate::usage::Usage;
use crate::webhook::Sender;
use crate::webhook::target::{Guard, System};

/// Everything that serving needs, shared by all threads.
pub struct App {
    /// What was configured.
    pub settings: Settings,
    /// What tells the time.
    pub clock: Clock,
    /// The database.
    pub store: Store,
    /// What secrets and private keys are kept under.
    pub master: Arc<MasterKey>,
    /// The signing keys.
    pub ring: Arc<KeyRing>,
    /// Who clients are.
    pub directory: Directory,
    /// Where issued tokens are recorded.
    pub tokens: Journal<TokenRecord>,
    /// Where partners' calls are logged. `None`: they are not.
    pub requests: Option<Journal<Call>>,
    /// Who fails to authenticate, and waits.
    pub failures: Failures,
    /// What is refused or read, and added up by the minute.
    pub tally: Tally,
    /// Uses of credentials that are not written down yet.
    pub uses: Tallies,
    /// What clients ask for and use, counted.
    pub usage: Usage,
    /// This process among those on the database.
    pub nodes: Arc<Nodes>,
    /// Where nodes share rates. `None`: each goes by its own.
    pub shared: Option<Arc<Shared>>,
    /// How fast partners may ask: see [`App::rates`].
    pub buckets: Rates,
    /// Where reports of leaked secrets come in.
    pub leaks: leaks::Intake,
    /// Requests under a key that run right now.
    pub running: Running,
    /// What sends webhooks.
    pub webhooks: Arc<Sender>,
    /// The issuers and audiences.
    pub addresses: Addresses,
    /// What was revoked.
    pub feed: Arc<Feed>,
    news: Arc<News>,
    /// Indices of status lists for new tokens.
    pub indices: Indices,
    status_lists: StatusLists,
    /// Whether the process was told to stop.
    pub stopping: AtomicBool,
}

/// How long a change waits for this node to hear of its own revocation. It hears within
/// milliseconds; a node that does not stops answering soon.
const NEWS: Duration = Duration::from_secs(2);

/// The application cannot be built; each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Master(#[from] MasterKeyError),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error("the server's own tokens cannot be verified: {0}")]
    Verifier(#[from] ConnectError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("redis_url: {0}")]
    Redis(#[from] redis::RedisError),
    #[error("a thread could not be started: {0}")]
    Thread(#[source] std::io::Error),
}

impl From<RingError> for StartError {
    fn from(error: RingError) -> Self {
        Self::Key(error.into())
    }
}

impl App {
    /// Opens and migrates the database, obtains the master key, and makes sure that every realm can sign.
    ///
    /// Blocks; for the start of a process.
    pub fn build(settings: Settings, clock: Clock) -> Result<Arc<Self>, StartError> {
        let store = Store::open_with(&settings.database_url, settings.database_connections)?;
        let ran = store.migrate()?;
        if !ran.is_empty() {
            log::info!("migrated the database: {}", ran.join(", "));
        }
        let now = clock.now();
        let (master, imported, keys) = store.alone(now, |db| {
            // Read again: another process may have been waited for.
            let now = clock.now();
            let master = MasterKey::obtain(db, &settings.master_key_file)?;
            audit::adopt(db, master.audit())?;
            let imported = import::import_all(db, &master, &settings.keys_dir, now)?;
            for key in imported.iter().filter(|key| key.signs_from > now) {
                let deed = admin::keys::succeeded(key).detail("origin", key.origin.as_str());
                audit::record(db, master.audit(), &Actor::host(), deed, now)?;
            }
            for realm in Realm::ALL {
                provision::ensure(db, &master, *realm, settings.signing_alg, now)?;
            }
            let published = signing_keys::published(db, now)?;
            Ok::<_, StartError>((master, imported, published))
        })?;
        for key in imported {
            log::info!(
                "imported {} key {}; it signs from {}",
                key.realm,
                key.kid,
                key.signs_from
            );
        }
        let (master, ring) = (Arc::new(master), Arc::new(KeyRing::default()));
        ring.load(&master, keys)?;
        let addresses = settings.addresses();
        let feed = Arc::new(Feed::new(settings.feed_listeners));
        let verifiers = verifiers(&addresses, &ring, &feed, now)?;
        let staleness = Duration::from_secs(settings.max_staleness.into());
        let news = Arc::new(News::new(
            Arc::clone(&master),
            Arc::clone(&ring),
            Arc::clone(&feed),
            verifiers,
            clock.clone(),
        ));
        let directory = Directory::open(
            store.clone(),
            settings.client_cache,
            staleness,
            Arc::clone(&news) as _,
            clock.clone(),
        )?;
        let tokens = Journal::open(store.clone()).map_err(StartError::Thread)?;
        let usage = Usage::open(store.clone()).map_err(StartError::Thread)?;
        let nodes = Arc::new(Nodes::default());
        let shared = settings
            .redis_url
            .as_deref()
            .filter(|_| settings.rate_limits)
            .map(|url| Shared::at(url, &settings.base_url).map(Arc::new))
            .transpose()?;
        let indices = Indices::new(store.clone(), addresses.clone());
        let requests = settings
            .request_log
            .then(|| Journal::gathering(store.clone()).map_err(StartError::Thread))
            .transpose()?;
        let guard = Guard {
            allow_loopback: settings.webhook_allow_loopback,
        };
        Ok(Arc::new(Self {
            webhooks: Arc::new(Sender::new(guard, Arc::new(System::default()))),
            failures: Failures::new(settings.client_cache),
            indices,
            status_lists: StatusLists::new(staleness),
            settings,
            clock,
            store,
            master,
            ring,
            directory,
            tokens,
            requests,
            tally: Tally::default(),
            uses: Tallies::default(),
            usage,
            buckets: Rates::new(shared.clone(), Arc::clone(&nodes)),
            nodes,
            shared,
            leaks: leaks::Intake::default(),
            running: Running::default(),
            addresses,
            feed,
            news,
            stopping: AtomicBool::new(false),
        }))
    }

    /// How fast partners may ask. `None`: a gateway sees to that, and nobody is held to a rate here.
    pub fn rates(&self) -> Option<&Rates> {
        self.settings.rate_limits.then_some(&self.buckets)
    }

    /// What verifies tokens for a realm's own API.
    pub fn verifier(&self, realm: Realm) -> Option<&Verifier> {
        self.news.verifier(realm)
    }

    /// When the database was last heard, in seconds since 1970.
    pub fn as_of(&self) -> i64 {
        let staleness = self.directory.staleness();
        self.clock.now().minus(staleness).epoch_seconds()
    }

    /// What verifies tokens of a realm for any audience.
    pub fn verifier_for(&self, realm: Realm, audience: &str) -> Option<Verifier> {
        let verifier = self.news.verifier(realm)?;
        Some(verifier.for_audience(audience))
    }

    /// A status list of a realm as it is now, signed.
    ///
    /// What was begun is finished, whether or not the caller waits for it: it serves others, too.
    pub async fn status_list(
        self: Arc<Self>,
        realm: Realm,
        id: StatusListId,
    ) -> Result<Signed, Missing> {
        let made = tokio::spawn(async move { self.make_status_list(realm, &id).await });
        made.await
            .unwrap_or_else(|_| Err(StoreError::Interrupted.into()))
    }

    async fn make_status_list(&self, realm: Realm, id: &StatusListId) -> Result<Signed, Missing> {
        self.directory.check_news()?;
        let sources = Sources {
            store: &self.store,
            feed: &self.feed,
            ring: &self.ring,
            addresses: &self.addresses,
            alg: self.settings.signing_alg,
            now: self.clock.now(),
        };
        self.status_lists.show(sources, realm, id).await
    }

    /// What somebody does now, under the rules in force.
    pub fn act(&self, actor: Actor) -> Act {
        let days = |days: u32| Duration::from_secs(u64::from(days) * 24 * 3600);
        let staleness = Duration::from_secs(self.settings.max_staleness.into());
        Act {
            actor,
            now: self.clock.now(),
            policy: Policy {
                sandbox_auto_approve: self.settings.sandbox_auto_approve,
                sandbox_secret_age: days(self.settings.sandbox_secret_days),
                live_secret_age: days(self.settings.live_secret_days),
                unused: days(self.settings.unused_days),
                revocations_remembered: revocation::remembered(staleness),
                kept: self.settings.kept,
            },
            trail: Arc::clone(self.master.audit()),
        }
    }

    /// What somebody does with a tenant's data now.
    pub fn partner_act(&self, actor: Actor) -> partner::Act {
        partner::Act {
            actor,
            now: self.clock.now(),
            trail: Arc::clone(self.master.audit()),
        }
    }

    /// How long what a request was answered is kept under its key.
    pub fn answers_kept(&self) -> Duration {
        Duration::from_secs(u64::from(self.settings.kept.idempotency) * 24 * 3600)
    }

    /// Makes a change that every node must hear of; on this one it counts before it is answered.
    pub async fn change<T, E, F>(&self, now: Instant, work: F) -> Result<T, E>
    where
        F: FnOnce(&mut Change<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (value, touched) = self.store.change(now, work).await?;
        let read_anew = self.directory.read_anew();
        self.directory.forget(&touched.subjects);
        // Also of what others revoked before: who is resumed here gets tokens of after that.
        let heard = tokio::time::timeout(NEWS, self.feed.reaches(touched.upto)).await;
        if let (Some(seq), Err(_)) = (touched.revoked, heard) {
            // It is done and durable. Until this node has heard of it, it would let in what was revoked: it
            // answers nobody rather.
            let (doubt, feed) = (self.directory.doubt(), Arc::clone(&self.feed));
            tokio::spawn(async move {
                tokio::select! {
                    _ = feed.reaches(seq) => {}
                    () = read_anew => {
                        if feed.applied() < seq {
                            log::error!(
                                "the database has lost revocation {seq}, which this node had written: look into the \
                                 audit log for what was revoked last, and revoke it again"
                            );
                        }
                    }
                }
                drop(doubt);
            });
            log::warn!(
                "this node has not heard of its own revocation {seq} yet, and answers 503 until it has"
            );
        }
        Ok(value)
    }

    /// Carries out what somebody does: one change, on record, that counts before it is answered.
    pub async fn carry_out<T, E, F>(&self, actor: Actor, work: F) -> Result<T, E>
    where
        F: FnOnce(&mut Change<'_>, &Act) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.carry_out_at(self.clock.now(), actor, work).await
    }

    /// The same as of a moment, for what goes by more than this machine's clock.
    pub async fn carry_out_at<T, E, F>(&self, now: Instant, actor: Actor, work: F) -> Result<T, E>
    where
        F: FnOnce(&mut Change<'_>, &Act) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let act = Act {
            now,
            ..self.act(actor)
        };
        self.change(now, move |db| work(db, &act)).await
    }

    /// Writes down what waits to be written, and takes no more. Blocks; for the end of a process.
    pub fn close(&self) {
        self.tokens.close();
        self.usage.close();
        if let Some(requests) = &self.requests {
            requests.close();
        }
    }

    /// Takes over keys that this or another process has stored, or that have come to their time.
    pub async fn refresh_keys(&self) -> Result<(), StartError> {
        loop {
            let (epoch, now) = (self.ring.epoch(), self.clock.now());
            let keys = self
                .store
                .read(move |db| signing_keys::published(db, now))
                .await?;
            if self.news.offer_keys(epoch, keys)? {
                return Ok(());
            }
        }
    }
}

fn verifiers(
    addresses: &Addresses,
    ring: &KeyRing,
    feed: &Feed,
    now: Instant,
) -> Result<BTreeMap<Realm, Verifier>, ConnectError> {
    let verifier = |realm: Realm| {
        Verifier::builder(&**addresses.issuer(realm), &**addresses.api(realm))
            .resource_metadata(addresses.resource_metadata(realm))
            .revocations(feed.revocations(realm))
            .jwks(ring.jwks(realm, now))
    };
    Realm::ALL
        .iter()
        .map(|realm| Ok((*realm, verifier(*realm)?)))
        .collect()
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("App")
    }
}
