//! Why an operator's request is refused.

use crate::domain::launch::Requirement;
use crate::domain::lifecycle::{Step, allowed};
use crate::keys::error::KeyError;
use crate::keys::recipient::EncryptError;
use crate::keys::sealed::SealError;
use crate::store::StoreError;

/// A refused change. What it prints is for the operator.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// No such record.
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
    /// The state allows this, and something else stands in its way.
    #[error("{detail}")]
    Barred {
        /// A stable code.
        code: &'static str,
        /// What to do.
        detail: String,
        /// The record's state.
        state: String,
        /// The states that can follow as things stand.
        allowed: Vec<String>,
    },
    /// The record stands in the way of this, whatever its state.
    #[error("{detail}")]
    Conflict {
        /// A stable code.
        code: &'static str,
        /// What to do.
        detail: String,
    },
    /// The partner lacks something for live; all of it.
    #[error(
        "the partner is not ready for live; missing: {}",
        list(&.0.iter().map(ToString::to_string).collect::<Vec<_>>())
    )]
    NotReadyForLive(Vec<Requirement>),
    /// The record was changed since the version that the caller knows.
    #[error("the record was changed since: read it again")]
    Outdated,
    /// Who asked may not decide.
    #[error("{0}")]
    FourEyes(&'static str),
    /// Members of the request do not fit what the database holds; all of them.
    #[error("{}", .0.first().map_or("", |(_, detail)| detail))]
    Invalid(Vec<(&'static str, String)>),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The system has no randomness.
    #[error("the system has no randomness to give")]
    Randomness(#[from] rand::rngs::SysError),
    /// A signing key could not be made.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A secret could not be sealed.
    #[error("the secret could not be sealed for its way")]
    Seal(#[from] SealError),
    /// A secret could not be encrypted.
    #[error(transparent)]
    Encrypt(#[from] EncryptError),
}

impl AdminError {
    /// A step that does not lead on from the state that the thing is in.
    pub(super) fn illegal<S: Step>(noun: &'static str, state: S::State) -> Self {
        let allowed = allowed::<S>(state)
            .iter()
            .map(ToString::to_string)
            .collect();
        Self::Illegal {
            noun,
            state: state.to_string(),
            allowed,
        }
    }

    /// A step that the drawing allows, and something else bars; `allowed` is what can follow still.
    pub(super) fn barred<S: std::fmt::Display>(
        code: &'static str,
        detail: impl Into<String>,
        state: S,
        allowed: &[S],
    ) -> Self {
        Self::Barred {
            code,
            detail: detail.into(),
            state: state.to_string(),
            allowed: allowed.iter().map(ToString::to_string).collect(),
        }
    }

    pub(super) fn conflict(code: &'static str, detail: impl Into<String>) -> Self {
        Self::Conflict {
            code,
            detail: detail.into(),
        }
    }

    /// A member, by where it is (RFC 6901), and what to write instead.
    pub(super) fn invalid(pointer: &'static str, detail: impl Into<String>) -> Self {
        Self::Invalid(vec![(pointer, detail.into())])
    }

    /// What several looks at a request found, so that whoever sent it mends all at once. Another
    /// kind of refusal comes before.
    pub(super) fn all(
        looks: impl IntoIterator<Item = Result<(), AdminError>>,
    ) -> Result<(), AdminError> {
        let mut found = Vec::new();
        for look in looks {
            match look {
                Ok(()) => {}
                Err(Self::Invalid(faults)) => found.extend(faults),
                Err(other) => return Err(other),
            }
        }
        if found.is_empty() {
            Ok(())
        } else {
            Err(Self::Invalid(found))
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
