//! An operator's act: who, when, and under which rules; and how it is put on record.

use std::sync::Arc;
use std::time::Duration;

use crate::audit::{self, Actor, Deed};
use crate::domain::event::EventKind;
use crate::domain::id::PartnerId;
use crate::domain::instant::Instant;
use crate::domain::realm::Realm;
use crate::domain::retention::Kept;
use crate::domain::revocation::Revoked;
use crate::keys::AuditKeys;
use crate::revocation;
use crate::store::changes::Change;
use crate::store::{StoreError, events};

/// The rules that the installation sets.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// Whether sandbox grants are approved at once.
    pub sandbox_auto_approve: bool,
    /// The longest that a secret of the sandbox may live.
    pub sandbox_secret_age: Duration,
    /// The longest that a secret of live may live.
    pub live_secret_age: Duration,
    /// How long something goes unused before its end is recommended.
    pub unused: Duration,
    /// How long a revocation is remembered.
    pub revocations_remembered: Duration,
    /// For how long records are kept.
    pub kept: Kept,
}

impl Policy {
    /// The longest that a secret of a realm may live; `None`: as long as it likes.
    pub fn secret_age(&self, realm: Realm) -> Option<Duration> {
        match realm {
            Realm::Sandbox => Some(self.sandbox_secret_age),
            Realm::Live => Some(self.live_secret_age),
            Realm::Admin => None,
        }
    }
}

/// Who acts, when, and under which rules.
#[derive(Clone, Debug)]
pub struct Act {
    pub actor: Actor,
    pub now: Instant,
    pub policy: Policy,
    /// What the record of it is made safe with.
    pub trail: Arc<AuditKeys>,
}

impl Act {
    /// Puts a deed into the audit trail, in the transaction that does it.
    pub fn record(&self, db: &mut Change<'_>, deed: Deed) -> Result<(), StoreError> {
        log::info!("{deed}, by {}", self.actor);
        audit::record(db, &self.trail, &self.actor, deed, self.now)
    }

    /// Refuses every token of the subject from before this change.
    pub fn revoke(
        &self,
        db: &mut Change<'_>,
        realm: Realm,
        revoked: Revoked,
        reason: &str,
    ) -> Result<(), StoreError> {
        let remembered = self.policy.revocations_remembered;
        revocation::revoke(
            db,
            &self.actor,
            realm,
            revoked,
            reason,
            remembered,
            self.now,
        )?;
        Ok(())
    }

    /// Tells a partner; the admin realm has nobody to be told.
    pub fn tell(
        &self,
        db: &mut Change<'_>,
        partner: &PartnerId,
        realm: Realm,
        kind: EventKind,
        data: &serde_json::Value,
    ) -> Result<(), StoreError> {
        if realm.is_environment() {
            events::append(db, (partner, realm), kind, data, self.now)?;
        }
        Ok(())
    }

    /// The same act, done by the server itself as a consequence.
    pub fn by_policy(&self) -> Self {
        Self {
            actor: Actor::policy(),
            ..self.clone()
        }
    }
}
