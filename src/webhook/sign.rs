//! Signatures over `id.timestamp.body` in three headers (Standard Webhooks).

use std::time::Duration;

use crate::domain::instant::Instant;
use crate::keys::webhook::{WebhookKey, WebhookSecret};

/// The name of the message, by which receivers drop doubles.
pub const ID: &str = "webhook-id";
/// Seconds since 1970 at which this attempt was signed.
pub const TIMESTAMP: &str = "webhook-timestamp";
/// Signatures, separated by spaces.
pub const SIGNATURE: &str = "webhook-signature";

/// How far a message's time may be from the receiver's.
pub const TOLERANCE: Duration = Duration::from_secs(300);

/// What stands in the three headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Headers {
    pub id: String,
    pub timestamp: i64,
    pub signature: String,
}

impl Headers {
    /// Names and values.
    pub fn pairs(&self) -> [(&'static str, String); 3] {
        [
            (ID, self.id.clone()),
            (TIMESTAMP, self.timestamp.to_string()),
            (SIGNATURE, self.signature.clone()),
        ]
    }
}

/// A message is not what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unverified {
    /// It was signed too long ago, or by a clock that is ahead.
    #[error("the timestamp is more than 5 minutes from now")]
    Time,
    /// No signature is of the key.
    #[error("no signature fits the body, the id, the timestamp and the key")]
    Signature,
}

/// Signs a message with each secret, in their order: several while one takes over from another.
pub fn sign<'a>(
    secrets: impl IntoIterator<Item = &'a WebhookSecret>,
    id: &str,
    at: Instant,
    body: &[u8],
) -> Headers {
    let timestamp = at.epoch_seconds();
    let message = message(id, timestamp, body);
    let signatures = secrets
        .into_iter()
        .filter_map(|secret| secret.sign(&message));
    Headers {
        id: id.to_owned(),
        timestamp,
        signature: signatures.collect::<Vec<_>>().join(" "),
    }
}

/// Verifies a message as receivers should: one fitting signature is enough.
pub fn verify(
    key: &WebhookKey,
    headers: &Headers,
    body: &[u8],
    tolerance: Duration,
    now: Instant,
) -> Result<(), Unverified> {
    let apart = now.epoch_seconds().abs_diff(headers.timestamp);
    if apart > tolerance.as_secs() {
        return Err(Unverified::Time);
    }
    let message = message(&headers.id, headers.timestamp, body);
    let fits = |signature: &str| key.verifies(&message, signature);
    if headers.signature.split(' ').any(fits) {
        Ok(())
    } else {
        Err(Unverified::Signature)
    }
}

fn message(id: &str, timestamp: i64, body: &[u8]) -> Vec<u8> {
    let mut message = format!("{id}.{timestamp}.").into_bytes();
    message.extend_from_slice(body);
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    const V1: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
    const V1A: &str = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==";

    fn signed(secrets: &[&str], id: &str, at: i64, body: &str) -> Headers {
        let secrets: Vec<WebhookSecret> = secrets.iter().map(|s| s.parse().unwrap()).collect();
        sign(
            &secrets,
            id,
            Instant::from_epoch_seconds(at),
            body.as_bytes(),
        )
    }

    /// The vectors of the Standard Webhooks reference libraries.
    #[test]
    fn signatures_are_those_of_the_standard() {
        let body = r#"{"email":"test@example.com","username":"test_user"}"#;
        let headers = signed(
            &[V1],
            "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk",
            1_649_367_553,
            body,
        );
        assert_eq!(
            headers.signature,
            "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw="
        );
        let body = r#"{"test": 2432232314}"#;
        let headers = signed(&[V1A], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
        assert_eq!(
            headers.signature,
            "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="
        );
    }

    #[test]
    fn either_key_verifies_what_both_have_signed() {
        let at = Instant::from_epoch_seconds(1_800_000_000);
        let headers = signed(&[V1, V1A], "evt_1", at.epoch_seconds(), "{}");
        let public = V1A.parse::<WebhookSecret>().unwrap().public_key().unwrap();
        for key in [V1, V1A, &public] {
            let key: WebhookKey = key.parse().unwrap();
            assert_eq!(verify(&key, &headers, b"{}", TOLERANCE, at), Ok(()));
            assert_eq!(
                verify(&key, &headers, b"{ }", TOLERANCE, at),
                Err(Unverified::Signature)
            );
            let mut other = headers.clone();
            other.id = "evt_2".to_owned();
            assert_eq!(
                verify(&key, &other, b"{}", TOLERANCE, at),
                Err(Unverified::Signature)
            );
        }
        let stranger: WebhookKey = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse().unwrap();
        assert!(verify(&stranger, &headers, b"{}", TOLERANCE, at).is_err());
    }

    #[test]
    fn a_signature_is_good_for_five_minutes_either_way() {
        let at = Instant::from_epoch_seconds(1_800_000_000);
        let headers = signed(&[V1], "evt_1", at.epoch_seconds(), "{}");
        let key: WebhookKey = V1.parse().unwrap();
        let second = Duration::from_secs(1);
        for good in [at.plus(TOLERANCE), at.minus(TOLERANCE)] {
            assert_eq!(verify(&key, &headers, b"{}", TOLERANCE, good), Ok(()));
        }
        for bad in [at.plus(TOLERANCE + second), at.minus(TOLERANCE + second)] {
            assert_eq!(
                verify(&key, &headers, b"{}", TOLERANCE, bad),
                Err(Unverified::Time)
            );
        }
    }
}
