//! What a partner has shown in the sandbox, as far as a launch review asks.

use crate::domain::id::PartnerId;
use crate::domain::launch::CheckName;
use crate::store::{Db, StoreError};

/// What shows that a check is passed: ids and times for who reads it later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence(String);

impl Evidence {
    /// Evidence in words.
    pub fn new(words: impl Into<String>) -> Self {
        Self(words.into())
    }

    /// The words.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Where the computed checks are looked up.
pub trait SandboxRecord: Sync {
    /// What shows that the partner passes a computed check. `None`: nothing does yet.
    fn evidence(
        &self,
        db: &mut Db,
        partner: &PartnerId,
        check: CheckName,
    ) -> Result<Option<Evidence>, StoreError>;
}

/// The sandbox as the database knows it.
#[derive(Clone, Copy, Debug)]
pub struct Sandbox;

impl SandboxRecord for Sandbox {
    /// Orders, webhooks and invoices are not part of the partner API yet, so no partner
    /// can have shown anything: each check stays pending until it is waived.
    fn evidence(
        &self,
        _: &mut Db,
        _: &PartnerId,
        _: CheckName,
    ) -> Result<Option<Evidence>, StoreError> {
        Ok(None)
    }
}
