//! Why a use case of the partner API is refused.

use crate::domain::id::{LedgerEntryId, OrderId};
use crate::domain::lifecycle::{Step, allowed};
use crate::keys::sealed::SealError;
use crate::keys::webhook::NoRandomness;
use crate::limits::Over;
use crate::store::StoreError;

/// A refused use case. What it prints is for the partner, or for the operator who acts on its data.
#[derive(Debug, thiserror::Error)]
pub enum PartnerError {
    /// The tenant has no such record.
    #[error("there is no such record")]
    NotFound,
    /// The record is in a state from which this does not lead on.
    #[error("{noun} is {state}; from there: {}", list(.allowed))]
    Illegal {
        /// What it is.
        noun: &'static str,
        /// Its state.
        state: String,
        /// The states that can follow.
        allowed: Vec<String>,
    },
    /// A member of the request does not fit what is on record: where it is (RFC 6901), and what to do.
    #[error("{1}")]
    Invalid(&'static str, String),
    /// The tenant has an order with this reference.
    #[error("there is an order with this partner_order_ref already: {0}")]
    ReferenceTaken(OrderId),
    /// The tenant has an entry of this name in its ledger.
    #[error("there is an entry with this reference already: {0}")]
    EntryTaken(LedgerEntryId),
    /// Something else stands in the way.
    #[error("{detail}")]
    Conflict {
        /// The stable name of this refusal.
        code: &'static str,
        /// What to do.
        detail: String,
    },
    /// A quota has no room for it until its period ends.
    #[error("{} are used up", .0.limit.what())]
    OverQuota(Over),
    /// The same key is at work right now.
    #[error("a request with this Idempotency-Key is still running; ask again")]
    InProgress,
    /// The key was used for another request.
    #[error("this Idempotency-Key was used for another request; a new request needs a new key")]
    KeyReused,
    /// An answer could not be written down.
    #[error("an answer could not be written down")]
    Unwritable(#[source] serde_json::Error),
    /// A secret could not be made.
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
    /// A secret could not be sealed, or opened.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl PartnerError {
    /// A step that does not lead on from the state that the thing is in.
    pub(super) fn illegal<S: Step>(noun: &'static str, state: S::State) -> Self {
        let allowed = allowed::<S>(state);
        Self::Illegal {
            noun,
            state: state.to_string(),
            allowed: allowed.iter().map(ToString::to_string).collect(),
        }
    }
}

fn list(states: &[String]) -> String {
    if states.is_empty() {
        "nothing".to_owned()
    } else {
        states.join(", ")
    }
}
