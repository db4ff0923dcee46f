//! Who did what, and when: written in the transaction of the change itself.
//!
//! The events are the leaves of a Merkle tree whose heads are signed, so that whoever keeps a head can
//! tell whether anything before it was changed. Refuses to know who reads it.

mod action;
mod calls;
pub mod checkpoint;
pub mod export;
pub mod leaf;
pub mod lines;
pub mod prove;
pub mod retain;
pub mod sequence;
pub mod tally;
pub mod tree;
pub mod verify;

pub use action::Action;

use crate::domain::id::{AuditEventId, ClientId, CredentialId, PartnerId};
use crate::domain::instant::Instant;
use crate::domain::realm::Realm;
use crate::keys::AuditKeys;
use crate::store::audit_events::{self, AuditEvent};
use crate::store::instance::{self, Fact};
use crate::store::together::Together;
use crate::store::{Db, StoreError, audit_tree};

/// Who makes a change, and how it came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    name: String,
    credential_id: Option<CredentialId>,
    request_id: Option<String>,
    source_ip: Option<String>,
}

impl Actor {
    /// A client, by its verified token or its credential: an operator, or a partner for what is its own.
    pub fn client(id: &ClientId, credential_id: Option<CredentialId>) -> Self {
        Self {
            credential_id,
            ..Self::named(id.as_str())
        }
    }

    /// Whoever holds the machine.
    pub fn host() -> Self {
        Self::named("host")
    }

    /// The server itself: what was decided beforehand, such as an end that has come.
    pub fn policy() -> Self {
        Self::named(crate::domain::grant::POLICY)
    }

    /// Somebody who did not say, or not truly, who it is.
    pub fn unknown() -> Self {
        Self::named("unknown")
    }

    /// More than could be told apart.
    pub fn many() -> Self {
        Self::named("many")
    }

    fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            credential_id: None,
            request_id: None,
            source_ip: None,
        }
    }

    /// The same, within a request.
    pub fn within(self, request_id: Option<String>, source_ip: Option<String>) -> Self {
        Self {
            request_id,
            source_ip,
            ..self
        }
    }

    /// Whoever holds the link to a secret: all that is known is that he does.
    pub fn link_holder() -> Self {
        Self::named("link_holder")
    }

    /// From where the request came that it acts within.
    pub fn source_ip(&self) -> Option<&str> {
        self.source_ip.as_deref()
    }

    /// The name that records keep.
    pub fn as_str(&self) -> &str {
        &self.name
    }
}

impl std::fmt::Display for Actor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&self.name)
    }
}

/// Something that was done, or refused.
#[derive(Clone, Debug)]
pub struct Deed {
    action: Action,
    target: String,
    partner_id: Option<PartnerId>,
    realm: Option<Realm>,
    refused: bool,
    details: serde_json::Map<String, serde_json::Value>,
}

impl Deed {
    /// An action on something, by its id.
    pub fn new(action: Action, target: impl std::fmt::Display) -> Self {
        Self {
            action,
            target: target.to_string(),
            partner_id: None,
            realm: None,
            refused: false,
            details: serde_json::Map::new(),
        }
    }

    /// Whose it is.
    pub fn partner(self, partner: &PartnerId) -> Self {
        self.partner_if(Some(partner))
    }

    /// Whose it is, where it is a partner's.
    pub fn partner_if(mut self, partner: Option<&PartnerId>) -> Self {
        self.partner_id = partner.cloned();
        self
    }

    /// In which realm.
    pub fn realm(mut self, realm: Realm) -> Self {
        self.realm = Some(realm);
        self
    }

    /// It was refused.
    pub fn refused(mut self) -> Self {
        self.refused = true;
        self
    }

    /// What else a reader wants to know; never a secret, and nothing that is told as one.
    pub fn detail(mut self, name: &str, value: impl Into<serde_json::Value>) -> Self {
        self.details.insert(name.to_owned(), value.into());
        self
    }
}

/// Writes a deed down, in the transaction that does it. Its MAC says that this server wrote it.
pub fn record(
    db: &mut Db,
    keys: &AuditKeys,
    actor: &Actor,
    deed: Deed,
    now: Instant,
) -> Result<(), StoreError> {
    audit_events::insert(db, &event(keys, actor, deed, now))
}

/// The same at the transaction's end.
pub fn record_with(rows: &mut Together, keys: &AuditKeys, actor: &Actor, deed: Deed, now: Instant) {
    audit_events::insert_with(rows, event(keys, actor, deed, now));
}

fn event(keys: &AuditKeys, actor: &Actor, deed: Deed, now: Instant) -> AuditEvent {
    let mut event = AuditEvent {
        id: AuditEventId::generate(now).to_string(),
        at: now.into(),
        actor: actor.name.clone(),
        credential_id: actor.credential_id.as_ref().map(ToString::to_string),
        action: deed.action.to_string(),
        target: deed.target,
        partner_id: deed.partner_id.map(|id| id.to_string()),
        realm: deed.realm.map(|realm| realm.to_string()),
        outcome: if deed.refused { "refused" } else { "done" }.to_owned(),
        request_id: actor.request_id.clone(),
        source_ip: actor.source_ip.clone(),
        details: serde_json::Value::Object(deed.details).to_string(),
        mac: None,
        source_ip_salt: None,
        source_ip_commitment: None,
        leaf_index: None,
        leaf_mac: None,
        set_aside: None,
    };
    seal(keys, &mut event);
    event
}

/// Commits to the personal field, and gives the event its MAC.
fn seal(keys: &AuditKeys, event: &mut AuditEvent) {
    if let Some(address) = &event.source_ip {
        let salt = crate::keys::hex(&rand::random::<[u8; 16]>());
        event.source_ip_commitment = Some(leaf::commitment(&salt, address));
        event.source_ip_salt = Some(salt);
    }
    event.mac = Some(keys.mac(&leaf::of(event)));
}

/// Gives their MACs to events from before there were any: once, while there is no tree yet.
pub fn adopt(db: &mut Db, keys: &AuditKeys) -> Result<(), StoreError> {
    if audit_tree::newest(db)?.is_some() || instance::get(db, Fact::AuditTrailAdopted)?.is_some() {
        return Ok(());
    }
    let mut adopted = 0;
    loop {
        let rows = audit_events::without_mac(db, ADOPTED_AT_ONCE)?;
        if rows.is_empty() {
            break;
        }
        for mut event in rows {
            seal(keys, &mut event);
            audit_events::give_mac(db, &event)?;
            adopted += 1;
        }
    }
    if adopted > 0 {
        log::info!("{adopted} audit events from before the audit log were taken into it");
    }
    instance::remember(db, Fact::AuditTrailAdopted, "1")
}

/// How many are read at a time.
const ADOPTED_AT_ONCE: i64 = 1000;

/// `credential.issued crd_…`: for the log.
impl std::fmt::Display for Deed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.action, self.target)
    }
}
