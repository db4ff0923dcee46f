//! The application, built once: settings, clock, database, keys, directory, verifiers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use onyx_verifier::{ConnectError, Verifier};

use crate::clock::Clock;
use crate::config::Settings;
use crate::directory::Directory;
use crate::domain::audience::Addresses;
use crate::domain::instant::Instant;
use crate::domain::realm::Realm;
use crate::journal::Journal;
use crate::keys::error::KeyError;
use crate::keys::provision;
use crate::keys::ring::RingError;
use crate::keys::{KeyRing, MasterKey, import, master::MasterKeyError};
use crate::store::changes::Change;
use crate::store::issued_tokens::IssuedToken;
use crate::store::{OpenError, Store, StoreError, signing_keys};

/// Everything that serving needs, shared by all threads.
pub struct App {
    /// What was configured.
    pub settings: Settings,
    /// What tells the time.
    pub clock: Clock,
    /// The database.
    pub store: Store,
    /// What secrets and private keys are kept under.
    pub master: MasterKey,
    /// The signing keys.
    pub ring: KeyRing,
    /// Who clients are.
    pub directory: Directory,
    /// Where issued tokens are recorded.
    pub tokens: Journal<IssuedToken>,
    /// The issuers and audiences.
    pub addresses: Addresses,
    verifiers: BTreeMap<Realm, Verifier>,
}

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
        let store = Store::open(&settings.database_url)?;
        let ran = store.migrate()?;
        if !ran.is_empty() {
            log::info!("migrated the database: {}", ran.join(", "));
        }
        let now = clock.now();
        let (master, keys) = store.alone(now, |db| {
            // Read again: another process may have been waited for.
            let now = clock.now();
            let master = MasterKey::obtain(db, &settings.master_key_file)?;
            import::import_all(db, &master, &settings.keys_dir, now)?;
            for realm in Realm::ALL {
                provision::ensure(db, &master, *realm, settings.signing_alg, now)?;
            }
            Ok::<_, StartError>((master, signing_keys::published(db, now)?))
        })?;
        let ring = KeyRing::default();
        ring.load(&master, keys)?;
        let addresses = settings.addresses();
        let verifiers = verifiers(&addresses, &ring, now)?;
        let staleness = Duration::from_secs(settings.max_staleness.into());
        let directory = Directory::open(store.clone(), settings.client_cache, staleness)?;
        let tokens = Journal::open(store.clone()).map_err(StartError::Thread)?;
        Ok(Arc::new(Self {
            settings,
            clock,
            store,
            master,
            ring,
            directory,
            tokens,
            addresses,
            verifiers,
        }))
    }

    /// What verifies tokens for a realm's own API.
    pub fn verifier(&self, realm: Realm) -> Option<&Verifier> {
        self.verifiers.get(&realm)
    }

    /// Makes a change that every node must hear of; on this one it counts before it is answered.
    pub async fn change<T, E, F>(&self, now: Instant, work: F) -> Result<T, E>
    where
        F: FnOnce(&mut Change<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (value, touched) = self.store.change(now, work).await?;
        self.directory.forget(&touched);
        Ok(value)
    }

    /// Takes over keys that this or another process has stored, or that have come to their time.
    pub async fn refresh_keys(&self) -> Result<(), StartError> {
        let now = self.clock.now();
        let keys = self
            .store
            .read(move |db| signing_keys::published(db, now))
            .await?;
        if self.ring.load(&self.master, keys)? {
            for (realm, verifier) in &self.verifiers {
                verifier.replace_jwks(self.ring.jwks(*realm, now))?;
            }
        }
        Ok(())
    }
}

fn verifiers(
    addresses: &Addresses,
    ring: &KeyRing,
    now: Instant,
) -> Result<BTreeMap<Realm, Verifier>, ConnectError> {
    let verifier = |realm: Realm| {
        Verifier::builder(&**addresses.issuer(realm), &**addresses.api(realm))
            .resource_metadata(addresses.resource_metadata(realm))
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
