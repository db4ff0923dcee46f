//! How requests say by which way a secret travels, and how answers show it: the same wherever
//! a secret is issued.

use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use zeroize::Zeroizing;

use crate::admin::delivery::{Delivered, Way};
use crate::config::Settings;
use crate::domain::delivery::{Channel, DEFAULT_LINK_TTL, DeliveryState, LINK_TTL};
use crate::domain::instant::Instant;
use crate::domain::realm::Realm;
use crate::http::members::Members;
use crate::keys::recipient::Recipient;
use crate::store::secret_deliveries::SecretDelivery;

/// Takes `deliver`, `recipient_jwk` and `delivery_ttl_seconds`. `None`: a fault was noted.
pub fn way(body: &mut Members) -> Option<Way> {
    let channel = body.optional_parsed::<Channel>("deliver");
    let channel = channel.map(|channel| channel.unwrap_or(Channel::Response));
    let jwk = body.optional_object("recipient_jwk");
    // A key is looked at whatever else is wrong: all faults are told at once.
    let recipient = match &jwk {
        Some(Some(jwk)) if matches!(channel, None | Some(Channel::Jwe)) => recipient(body, jwk),
        _ => None,
    };
    let ttl = body.optional_integer("delivery_ttl_seconds", LINK_TTL);
    let (channel, jwk, ttl) = (channel?, jwk?, ttl?);
    if jwk.is_some() && channel != Channel::Jwe {
        let detail = "is for \"deliver\": \"jwe\"";
        body.fault("/recipient_jwk".to_owned(), "invalid", detail);
    }
    if ttl.is_some() && channel != Channel::Link {
        let detail = "is for \"deliver\": \"link\"";
        body.fault("/delivery_ttl_seconds".to_owned(), "invalid", detail);
    }
    match channel {
        Channel::Response => Some(Way::Response),
        Channel::Link => Some(Way::Link(
            ttl.and_then(|seconds| u64::try_from(seconds).ok())
                .map_or(DEFAULT_LINK_TTL, Duration::from_secs),
        )),
        Channel::Jwe => {
            if jwk.is_none() {
                let detail = "must be there: the recipient's public key";
                body.fault("/recipient_jwk".to_owned(), "missing", detail);
            }
            recipient.map(|recipient| Way::Jwe(Box::new(recipient)))
        }
    }
}

/// `None`: faults of the key were noted.
fn recipient(body: &mut Members, jwk: &Map<String, Value>) -> Option<Recipient> {
    match Recipient::parse(jwk) {
        Ok(recipient) => Some(recipient),
        Err(faults) => {
            for fault in faults {
                let pointer = format!("/recipient_jwk/{}", fault.member);
                body.fault(pointer, fault.code(), fault.detail);
            }
            None
        }
    }
}

/// The members of an answer that show a secret, or how it travels: those of its way alone.
#[derive(Serialize, ToSchema, Default)]
#[schema(as = Delivered)]
pub struct DeliveredView {
    /// `response`: the secret in the clear, this once.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    secret: Option<Zeroizing<String>>,
    /// `link`: shows the secret once, to whoever opens it first. It is a secret itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    delivery_url: Option<Zeroizing<String>>,
    /// `link`: if nobody has opened it by then, the credential is revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    delivery_expires_at: Option<Instant>,
    /// `jwe`: `{"client_id","credential_id","client_secret"}`, encrypted to the recipient's key
    /// (RFC 7516, compact).
    #[serde(skip_serializing_if = "Option::is_none")]
    jwe: Option<String>,
}

impl DeliveredView {
    /// What was delivered in a realm.
    pub fn of(delivered: Delivered, settings: &Settings, realm: Realm) -> Self {
        match delivered {
            Delivered::Secret(secret) => Self {
                secret: Some(Zeroizing::new(secret.expose().to_owned())),
                ..Self::default()
            },
            Delivered::Link {
                id,
                key,
                expires_at,
            } => Self {
                delivery_url: Some(Zeroizing::new(format!(
                    "{}/{id}#{}",
                    place(settings, realm),
                    key.expose().as_str()
                ))),
                delivery_expires_at: Some(expires_at),
                ..Self::default()
            },
            Delivered::Jwe(jwe) => Self {
                jwe: Some(jwe),
                ..Self::default()
            },
        }
    }
}

/// A public JWK (RFC 7517): RSA of 2048 bits or more for RSA-OAEP-256, or EC on P-256 for ECDH-ES
/// or ECDH-ES+A256KW. The content is encrypted with A256GCM. Other members are let be.
#[derive(Debug, ToSchema)]
#[schema(example = json!({"kty": "EC", "crv": "P-256", "kid": "1", "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}))]
pub struct RecipientJwk {
    /// `RSA` or `EC`.
    pub kty: String,
    /// Shown in the JWE's header.
    #[schema(max_length = 256)]
    pub kid: Option<String>,
    /// `enc`, if there.
    pub r#use: Option<String>,
    /// Chooses the algorithm, where the kind of key leaves a choice.
    pub alg: Option<String>,
    /// RSA: the modulus.
    pub n: Option<String>,
    /// RSA: the exponent.
    pub e: Option<String>,
    /// EC: `P-256`.
    pub crv: Option<String>,
    /// EC.
    pub x: Option<String>,
    /// EC.
    pub y: Option<String>,
}

/// What became of a link; nothing of it helps to open one.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeliveryView {
    state: DeliveryState,
    /// How often its page was looked at, by previews of chat programs too.
    lookups: i64,
    created_at: Instant,
    expires_at: Instant,
    opened_at: Option<Instant>,
    opened_ip: Option<String>,
}

impl DeliveryView {
    pub fn of(delivery: SecretDelivery) -> Self {
        Self {
            state: delivery.state,
            lookups: delivery.lookups,
            created_at: delivery.created_at,
            expires_at: delivery.expires_at,
            opened_at: delivery.opened_at,
            opened_ip: delivery.opened_ip,
        }
    }
}

/// Where links of a realm lead: operators' go with everything else under `/admin`.
fn place(settings: &Settings, realm: Realm) -> String {
    match realm {
        Realm::Admin => format!("{}/admin/deliveries", settings.admin_url()),
        Realm::Sandbox | Realm::Live => format!("{}/deliveries", settings.base_url),
    }
}
