//! Two secrets at once: whether the older one can be ended without harm.

use std::fmt;

use super::{AdminError, clients};
use crate::domain::credential::CredentialState;
use crate::domain::id::ClientId;
use crate::domain::instant::Instant;
use crate::domain::page::{Page, PageRequest};
use crate::store::Db;
use crate::store::credentials::{self, Credential};

/// A credential, and where it stands if it was superseded and is still accepted.
pub type Listed = (Credential, Option<Overlap>);

/// How far the change to a successor has come.
#[derive(Clone, Copy, Debug)]
pub struct Overlap {
    /// How long nobody has used the old secret.
    pub quiet_seconds: i64,
    /// How long the tokens of its client live: those that it got last die when it is ended.
    token_seconds: i64,
    successor: Successor,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Successor {
    Unused,
    Used,
    Gone,
}

impl Overlap {
    fn of(old: &Credential, successor: Option<&Credential>, token_ttl: i64, now: Instant) -> Self {
        // Who never used it has been quiet since it was there.
        let last = old.last_used_at.max(old.first_used_at);
        let quiet = now.epoch_seconds() - last.unwrap_or(old.created_at).epoch_seconds();
        let successor = match successor {
            Some(new) if !new.validity().is_usable(now) => Successor::Gone,
            Some(new) if new.first_used_at.is_some() => Successor::Used,
            Some(_) => Successor::Unused,
            None => Successor::Gone,
        };
        Self {
            quiet_seconds: quiet.max(0),
            token_seconds: token_ttl,
            successor,
        }
    }

    /// Whether the new secret is in use, and the old one and all of its tokens are not.
    pub fn is_safe_to_finish(&self) -> bool {
        self.successor == Successor::Used && self.quiet_seconds > self.token_seconds
    }
}

/// What an operator does best.
impl fmt::Display for Overlap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quiet = Quiet(self.quiet_seconds);
        match self.successor {
            Successor::Gone => {
                write!(
                    f,
                    "the new secret is not usable: finishing would lock the client out"
                )
            }
            Successor::Unused => write!(
                f,
                "the new secret has not been used yet: do not finish; the rotation can still be undone"
            ),
            Successor::Used if self.is_safe_to_finish() => {
                write!(
                    f,
                    "the old secret has been quiet for {quiet}: safe to finish"
                )
            }
            Successor::Used => write!(
                f,
                "the old secret was used {quiet} ago, and its tokens live for up to {}: wait",
                Quiet(self.token_seconds)
            ),
        }
    }
}

/// A length of time as people say it.
struct Quiet(i64);

impl fmt::Display for Quiet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (number, unit) = match self.0 {
            seconds @ ..120 => (seconds, "second"),
            seconds @ 120..7200 => (seconds / 60, "minute"),
            seconds => (seconds / 3600, "hour"),
        };
        write!(f, "{number} {unit}{}", if number == 1 { "" } else { "s" })
    }
}

/// A page of a client's credentials, each with where its rotation stands.
pub fn page(
    db: &mut Db,
    client: &ClientId,
    asked: &PageRequest,
    token_ttl: u32,
    now: Instant,
) -> Result<Page<Listed>, AdminError> {
    let client = clients::get(db, client)?;
    let ttl = client.token_ttl.map_or(i64::from(token_ttl), i64::from);
    let found = credentials::page(db, &client.id, asked)?;
    let mut rows = Vec::with_capacity(found.rows.len());
    for old in found.rows {
        let in_overlap = old.state == CredentialState::Rotated && old.validity().is_usable(now);
        let overlap = if in_overlap {
            let successor = match &old.replaced_by {
                Some(id) => credentials::find(db, id)?,
                None => None,
            };
            Some(Overlap::of(&old, successor.as_ref(), ttl, now))
        } else {
            None
        };
        rows.push((old, overlap));
    }
    Ok(Page {
        rows,
        next: found.next,
    })
}
