//! The door at which clients authenticate, whichever endpoint it is.
//!
//! Whoever failed too often waits outside: that is known from memory, before anybody is looked up.

use std::cell::Cell;
use std::net::IpAddr;

use super::token::Denial;
use crate::app::App;
use crate::directory::Entry;
use crate::domain::id::ClientId;
use crate::domain::instant::Instant;
use crate::domain::realm::Realm;
use crate::limits::failures::{Block, Knock};
use crate::oauth::authenticate::Authenticated;
use crate::oauth::refusal::Refusal;
use crate::telemetry::telemetry;

/// A caller that may show its secret.
pub(super) struct Door<'a> {
    app: &'a App,
    realm: Realm,
    client_id: &'a str,
    knock: Knock,
    now: Instant,
    /// Whether it was taken down how it went.
    told: Cell<bool>,
}

/// Whoever breaks off before it is known how it went has failed: else one could ask for ever who is known, and have the
/// database busy, without being counted.
impl Drop for Door<'_> {
    fn drop(&mut self) {
        if !self.told.get() {
            self.count_failure();
        }
    }
}

impl<'a> Door<'a> {
    /// Lets a caller show its secret, unless it must wait.
    pub(super) fn knock(
        app: &'a App,
        realm: Realm,
        client_id: &'a str,
        from: Option<IpAddr>,
        now: Instant,
    ) -> Result<Self, Denial> {
        let knock = app.failures.knock(realm, client_id, from, now);
        let door = Self {
            app,
            realm,
            client_id,
            knock,
            now,
            told: Cell::new(false),
        };
        match door.knock.must_wait() {
            Some(block) => {
                door.told.set(true);
                Err(door.wait(block))
            }
            None => Ok(door),
        }
    }

    /// Takes down how it went. `who` finds the client in what it was let in to.
    pub(super) fn let_in<T>(
        &self,
        outcome: Result<T, Refusal>,
        who: impl FnOnce(&T) -> &Authenticated,
    ) -> Result<T, Denial> {
        self.told.set(true);
        match outcome {
            Ok(let_in) => {
                self.succeeded(&who(&let_in).entry);
                Ok(let_in)
            }
            Err(refusal @ (Refusal::InvalidClient | Refusal::WrongAddress)) => {
                Err(self.failed(refusal))
            }
            // Wrong in another way, or nobody could be looked up.
            Err(other) => Err(Denial::to(self.client_id, other)),
        }
    }

    fn succeeded(&self, entry: &Entry) {
        let partner = entry.client.partner_id.as_ref().map(|id| id.as_str());
        if self.app.failures.succeeded(&self.knock, partner) {
            log::info!(
                "clients of several partners come from one address: if it is a proxy, name it in trusted_proxies"
            );
        }
        if let Some(block) = self.knock.blocked() {
            telemetry().abuse.passed(block.subject.as_str());
        }
    }

    fn count_failure(&self) {
        self.remember_where_it_worked();
        let began = self.app.failures.failed(&self.knock, self.now);
        for subject in began.into_iter().flatten() {
            telemetry().abuse.began(subject.as_str());
        }
    }

    fn failed(&self, refusal: Refusal) -> Denial {
        self.count_failure();
        match self.knock.blocked() {
            // Its secret was looked at because of where it comes from, and was wrong.
            Some(block) => self.wait(block),
            None => Denial::to(self.client_id, refusal),
        }
    }

    /// What this process has not seen itself, of the client that is failed at: where its credentials were
    /// used last, perhaps at another node since this one started and read that of all. Taken in before a block
    /// begins, from what the attempt has brought into memory.
    fn remember_where_it_worked(&self) {
        let id: Option<ClientId> = self.client_id.parse().ok();
        let held = id
            .filter(|id| id.realm() == self.realm)
            .and_then(|id| self.app.directory.held_in_memory(&id));
        let Some(entry) = held else { return };
        let used_at = entry
            .credentials
            .iter()
            .filter_map(|credential| credential.last_used_ip.as_deref());
        for address in used_at.filter_map(|ip| ip.parse().ok()) {
            self.app
                .failures
                .worked_before(self.realm, self.client_id, address);
        }
    }

    fn wait(&self, block: Block) -> Denial {
        telemetry().abuse.refused(block.subject.as_str());
        Denial::to(self.client_id, Refusal::TooManyFailures(block.left))
    }
}
