//! Token Status Lists (draft-ietf-oauth-status-list): for verifiers that know the standard and not the feed.
//!
//! No revoking transaction knows of them. A list is derived when it is asked for: living tokens
//! joined with living revocations, by the same rule that verifiers have. So each node that is asked
//! finds the same by itself, and what nobody asks for costs nothing.

mod board;
mod derived;
pub mod indices;
mod signed;

use std::collections::BTreeMap;
use std::time::{Duration, Instant as Monotonic};

use tokio::sync::Mutex;

use crate::domain::Algorithm;
use crate::domain::audience::Addresses;
use crate::domain::id::StatusListId;
use crate::domain::instant::Instant;
use crate::domain::realm::Realm;
use crate::keys::KeyRing;
use crate::keys::signer::SignerError;
use crate::store::{Store, StoreError};

use super::feed::Feed;
use board::Board;
pub use signed::{Signed, TTL};

/// How long a record of a token may take to be written after its node stopped hearing news: as long as its request may
/// take before ([`crate::oauth::issue::PROMPT`]), and the journal after that.
const WRITING: Duration = Duration::from_secs(12);

/// How long somebody waits for whoever derives a realm's lists.
const PATIENCE: Duration = Duration::from_secs(5);

/// No list to show.
#[derive(Debug, thiserror::Error)]
pub enum Missing {
    /// This realm has no list of this name.
    #[error("no such list")]
    Unknown,
    /// All its tokens are dead.
    #[error("the list is retired")]
    Retired,
    /// No key signs for the realm.
    #[error("no key signs")]
    NoKey,
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Signer(#[from] SignerError),
    /// The list could not be compressed.
    #[error("a list could not be compressed")]
    Compression(#[from] std::io::Error),
}

/// What a list is made of.
#[derive(Clone, Copy)]
pub struct Sources<'a> {
    /// The tokens and the revocations.
    pub store: &'a Store,
    /// What says that there is something new.
    pub feed: &'a Feed,
    /// The keys.
    pub ring: &'a KeyRing,
    /// The issuers' names.
    pub addresses: &'a Addresses,
    /// What lists are signed with.
    pub alg: Algorithm,
    /// The moment of the request.
    pub now: Instant,
}

/// The lists that this process has been asked for.
pub struct StatusLists {
    realms: BTreeMap<Realm, Mutex<Board>>,
    /// How long after a revocation a node that has not heard may still record a token.
    settles: Duration,
}

impl StatusLists {
    /// Nothing derived yet; nodes issue for at most so long without news.
    pub fn new(max_staleness: Duration) -> Self {
        let realms = Realm::ALL.iter();
        Self {
            realms: realms.map(|realm| (*realm, Mutex::default())).collect(),
            settles: max_staleness + WRITING,
        }
    }

    /// A realm's list as it is now, signed.
    pub async fn show(
        &self,
        from: Sources<'_>,
        realm: Realm,
        id: &StatusListId,
    ) -> Result<Signed, Missing> {
        let asked = Monotonic::now();
        let board = self.realms.get(&realm).ok_or(Missing::Unknown)?;
        // One derives, and all who wait are served by what it finds.
        let mut board = tokio::time::timeout(PATIENCE, board.lock())
            .await
            .map_err(|_| silent())?;
        if board.has_failed_since(asked) {
            // Not each in turn: the next would wait for all before it.
            return Err(silent().into());
        }
        let derived = async {
            board.follow(from, realm, self.settles).await?;
            board.look_up(from.store, realm, id, asked).await
        };
        if let Err(error) = derived.await {
            board.has_failed();
            return Err(error.into());
        }
        board.sign(from, realm, id).await
    }
}

fn silent() -> StoreError {
    StoreError::Unreachable("status lists cannot be derived right now".to_owned())
}

impl std::fmt::Debug for StatusLists {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StatusLists")
    }
}
