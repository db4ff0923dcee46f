//! How endpoints and attempts look on the wire, and how bodies about them are read.

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::id::WebhookEndpointId;
use crate::domain::instant::Instant;
use crate::domain::realm::Realm;
use crate::domain::webhook::{
    DisabledReason, EndpointState, EventType, EventTypes, FailureClass, SignatureKind,
};
use crate::http::members::Members;
use crate::http::openapi::domain::Environment;
use crate::http::problem::{FieldFault, Problem};
use crate::keys::webhook::WebhookSecret;
use crate::partner::webhook_endpoints::Rotated;
use crate::store::webhook_endpoints::Endpoint;
use crate::store::webhook_secrets::Sealed;
use crate::webhook::Attempt;
use crate::webhook::challenge::Asked;
use crate::webhook::target::{BadTarget, Guard, LONGEST};

/// The code of a URL that leads where nothing is sent.
const BLOCKED: &str = "webhook_url_blocked";
/// The most names in a list of types.
const MOST_TYPES: usize = 100;

/// A webhook endpoint.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WebhookEndpoint)]
pub struct EndpointView {
    id: WebhookEndpointId,
    #[schema(value_type = Environment)]
    env: Realm,
    url: String,
    event_types: EventTypes,
    signature: SignatureKind,
    state: EndpointState,
    /// Why it is disabled, where it is.
    disabled_reason: Option<DisabledReason>,
    created_at: Instant,
    updated_at: Instant,
    /// When the challenge was answered at this URL.
    verified_at: Option<Instant>,
    /// Since when every delivery fails, where they do.
    failing_since: Option<Instant>,
}

impl From<Endpoint> for EndpointView {
    fn from(endpoint: Endpoint) -> Self {
        Self {
            id: endpoint.id,
            env: endpoint.realm,
            url: endpoint.url,
            event_types: endpoint.event_types,
            signature: endpoint.signature,
            state: endpoint.state,
            disabled_reason: endpoint.disabled_reason,
            created_at: endpoint.created_at,
            updated_at: endpoint.updated_at,
            verified_at: endpoint.verified_at,
            failing_since: endpoint.failing_since,
        }
    }
}

/// An endpoint with what signs for it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WebhookEndpointWithSecrets)]
pub struct EndpointDetailView {
    #[serde(flatten)]
    endpoint: EndpointView,
    /// What signs for it now, the newest first: two while one takes over from the other.
    secrets: Vec<SecretView>,
}

/// A secret that signs, without itself.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WebhookSecret)]
pub struct SecretView {
    created_at: Instant,
    /// Until when it signs beside its successor; `null`: it is the current one.
    usable_until: Option<Instant>,
    /// What verifies `v1a`.
    public_key: Option<String>,
}

impl EndpointDetailView {
    /// An endpoint with its secrets.
    pub fn of(endpoint: Endpoint, secrets: Vec<Sealed>) -> Self {
        let shown = |secret: Sealed| SecretView {
            created_at: secret.created_at,
            usable_until: secret.usable_until,
            public_key: secret.public_key,
        };
        Self {
            endpoint: endpoint.into(),
            secrets: secrets.into_iter().map(shown).collect(),
        }
    }
}

/// What came of sending one message. What was answered is not shown.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WebhookAttempt)]
pub struct AttemptView {
    /// Whether it arrived; of a challenge: whether it was answered, with 200 and the challenge.
    succeeded: bool,
    /// Why it failed; `null` also where a challenge was answered with something else.
    class: Option<FailureClass>,
    /// The answer's HTTP status; `null`: no answer came.
    status: Option<u16>,
    /// How long it took.
    milliseconds: u64,
}

impl From<&Attempt> for AttemptView {
    fn from(attempt: &Attempt) -> Self {
        Self {
            succeeded: attempt.succeeded(),
            class: attempt.class,
            status: attempt.status,
            milliseconds: u64::try_from(attempt.took.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

impl From<&Asked> for AttemptView {
    fn from(asked: &Asked) -> Self {
        Self {
            succeeded: asked.answered,
            ..Self::from(&asked.attempt)
        }
    }
}

/// An endpoint, and what came of its challenge.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ChallengedWebhookEndpoint)]
pub struct ChallengedView {
    #[serde(flatten)]
    endpoint: EndpointView,
    /// `null`: nothing had to be asked.
    challenge: Option<AttemptView>,
}

impl ChallengedView {
    /// An endpoint with what came of its challenge, where it was asked.
    pub fn of(endpoint: Endpoint, asked: Option<&Asked>) -> Self {
        Self {
            endpoint: endpoint.into(),
            challenge: asked.map(AttemptView::from),
        }
    }
}

/// The one answer that shows an endpoint's first secret.
#[derive(Serialize, ToSchema)]
#[schema(as = NewlyMadeWebhookEndpoint)]
pub struct CreatedView {
    #[serde(flatten)]
    endpoint: EndpointView,
    #[serde(flatten)]
    shown: ShownView,
    challenge: AttemptView,
}

/// What receivers verify with: the secret (`v1`), which is shown this once, or the public key (`v1a`).
#[derive(Serialize, ToSchema)]
#[schema(as = ShownWebhookSecret)]
pub struct ShownView {
    /// `v1`: `whsec_` and base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    secret: Option<String>,
    /// `v1a`: `whpk_` and base64. The private half stays here.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    public_key: Option<String>,
}

impl ShownView {
    fn of(secret: &WebhookSecret) -> Self {
        let public_key = secret.public_key();
        let shared = public_key.is_none();
        Self {
            secret: shared.then(|| secret.expose().to_string()),
            public_key,
        }
    }
}

impl CreatedView {
    /// An endpoint with its first secret, and what came of its challenge.
    pub fn of(endpoint: Endpoint, secret: &WebhookSecret, asked: &Asked) -> Self {
        Self {
            endpoint: endpoint.into(),
            shown: ShownView::of(secret),
            challenge: asked.into(),
        }
    }
}

/// The one answer that shows an endpoint's new secret.
#[derive(Serialize, ToSchema)]
#[schema(as = RotatedWebhookSecret)]
pub struct RotatedView {
    id: WebhookEndpointId,
    signature: SignatureKind,
    #[serde(flatten)]
    shown: ShownView,
    /// Until when messages carry the signature of the secret before it, too.
    previous_until: Instant,
}

impl From<Rotated> for RotatedView {
    fn from(rotated: Rotated) -> Self {
        Self {
            id: rotated.endpoint.id,
            signature: rotated.endpoint.signature,
            shown: ShownView::of(&rotated.secret),
            previous_until: rotated.previous_until,
        }
    }
}

/// A URL that messages may go to, as far as that can be told without looking its name up. `None`: a fault
/// was noted.
pub(super) fn url(body: &mut Members, name: &str, guard: Guard) -> Option<String> {
    let text = body.text(name, LONGEST)?;
    match guard.read(&text) {
        // As it is dialled: what was checked is what is kept.
        Ok(url) => Some(url.into()),
        Err(bad) => {
            body.fault(format!("/{name}"), code(bad), bad.to_string());
            None
        }
    }
}

fn code(bad: BadTarget) -> &'static str {
    match bad {
        BadTarget::Blocked => BLOCKED,
        _ => "invalid",
    }
}

/// What a URL is refused with whose name leads where nothing is sent.
pub(super) fn bad_url(bad: BadTarget) -> Problem {
    Problem::invalid(vec![FieldFault {
        pointer: "/url".to_owned(),
        code: code(bad),
        detail: bad.to_string(),
        row: None,
    }])
}

/// Which events are wanted. `None`: a fault was noted.
pub(super) fn event_types(body: &mut Members, name: &str) -> Option<EventTypes> {
    let types = body.list(name, MOST_TYPES)?;
    read_types(body, name, &types)
}

/// The same, or nothing. The outer `None`: a fault was noted.
pub fn optional_event_types(body: &mut Members, name: &str) -> Option<Option<EventTypes>> {
    match body.optional_list(name, MOST_TYPES)? {
        None => Some(None),
        Some(types) => read_types(body, name, &types).map(Some),
    }
}

fn read_types(body: &mut Members, name: &str, types: &[EventType]) -> Option<EventTypes> {
    let read = EventTypes::read(types);
    read.map_err(|bad| body.refuse(name, bad.to_string())).ok()
}
