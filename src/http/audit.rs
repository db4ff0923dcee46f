//! How audit events and proofs about them are sent; operators and partners see the same.

use actix_web::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::Value;
use tlog_tiles::Hash;
use utoipa::ToSchema;

use super::problem::Problem;
use crate::audit::prove::{Inclusion, NoProof};
use crate::domain::id::{AuditEventId, ClientId, PartnerId};
use crate::domain::instant::Instant;
use crate::domain::realm::Realm;
use crate::keys::AuditKeys;
use crate::store::audit_events::AuditEvent;

/// An event of the audit trail.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditEventView {
    #[schema(value_type = AuditEventId)]
    id: String,
    #[schema(value_type = Instant)]
    at: String,
    /// A client's id, or `host`, `policy` or `link_holder`.
    actor: String,
    /// What the actor authenticated with.
    credential_id: Option<String>,
    /// What was done, by its name in the list of audit events.
    action: String,
    /// What it was done to, by its id.
    target: String,
    #[schema(value_type = Option<PartnerId>)]
    partner_id: Option<String>,
    #[schema(value_type = Option<Realm>)]
    realm: Option<String>,
    #[schema(value_type = AuditOutcome)]
    outcome: String,
    /// The request that it was done within.
    request_id: Option<String>,
    /// From where; dropped after 30 days. Partners see their own clients' addresses alone.
    source_ip: Option<String>,
    /// What else there is to know; no secrets.
    #[schema(value_type = Object)]
    details: Value,
    /// Its place in the Merkle tree. `null`: it gets one within a second.
    leaf_index: Option<i64>,
}

/// Whether something was done.
#[derive(Clone, Copy, Debug, ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum AuditOutcome {
    Done,
    Refused,
}

impl std::str::FromStr for AuditOutcome {
    type Err = &'static str;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        match word {
            "done" => Ok(Self::Done),
            "refused" => Ok(Self::Refused),
            _ => Err("must be one of done, refused"),
        }
    }
}

impl AuditOutcome {
    /// The word that is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
        }
    }
}

/// That an event is in the tree, and all that is needed to see it.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditProofView {
    event: AuditEventView,
    /// The bytes that the leaf's hash is over, in base64: the event's fields, one after another.
    leaf: String,
    /// SHA-256 over a zero byte and the leaf, in base64.
    leaf_hash: String,
    leaf_index: u64,
    /// How many leaves the checkpoint is over.
    tree_size: u64,
    /// The path from the leaf's sibling upwards (RFC 9162 §2.1.3), in base64.
    hashes: Vec<String>,
    /// The signed head of the tree (C2SP signed-note).
    checkpoint: String,
    /// What verifies the checkpoint: `name+id+key`.
    key: String,
    /// In the leaf for the address: SHA-256 over `onyx-auth audit source_ip v1`, a zero byte, the salt, a
    /// zero byte and the address, in hex.
    source_ip_commitment: Option<String>,
    /// Goes with the address.
    source_ip_salt: Option<String>,
}

impl From<AuditEvent> for AuditEventView {
    fn from(event: AuditEvent) -> Self {
        Self {
            id: event.id,
            at: event.at.to_string(),
            actor: event.actor,
            credential_id: event.credential_id,
            action: event.action,
            target: event.target,
            partner_id: event.partner_id,
            realm: event.realm,
            outcome: event.outcome,
            request_id: event.request_id,
            source_ip: event.source_ip,
            details: serde_json::from_str(&event.details)
                .unwrap_or_else(|_| Value::from(event.details)),
            leaf_index: event.leaf_index,
        }
    }
}

impl AuditProofView {
    /// A proof as it is sent.
    pub fn of(keys: &AuditKeys, event: AuditEvent, proof: Inclusion) -> Self {
        Self {
            leaf_hash: encode(proof.leaf_hash),
            leaf: STANDARD.encode(proof.leaf),
            leaf_index: proof.leaf_index,
            tree_size: proof.tree_size,
            hashes: proof.hashes.into_iter().map(encode).collect(),
            checkpoint: proof.checkpoint,
            key: keys.verifier().to_owned(),
            source_ip_commitment: event.source_ip_commitment.clone(),
            source_ip_salt: event.source_ip_salt.clone(),
            event: event.into(),
        }
    }
}

/// A partner's event as the partner sees it: an operator's address is none of its business, and the leaf
/// holds a commitment that tells nothing without its salt.
pub fn for_partner(mut event: AuditEvent) -> AuditEvent {
    let of_operator = event
        .actor
        .parse()
        .is_ok_and(|client: ClientId| client.realm() == Realm::Admin);
    if of_operator {
        event.source_ip = None;
        event.source_ip_salt = None;
    }
    event
}

/// A hash as it is sent.
pub fn encode(hash: Hash) -> String {
    STANDARD.encode(hash.0)
}

impl From<NoProof> for Problem {
    fn from(error: NoProof) -> Self {
        let detail = error.to_string();
        match error {
            NoProof::NotYet => Self::new(StatusCode::CONFLICT, "not_sequenced", detail),
            NoProof::SetAside => Self::new(StatusCode::CONFLICT, "set_aside", detail),
            NoProof::OutOfRange(_) => Self::bad_parameter(detail),
            NoProof::Incomplete => Self::internal(&error),
            NoProof::Store(error) => error.into(),
        }
    }
}
