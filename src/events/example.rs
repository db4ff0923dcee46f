//! Examples of data: for the sandbox, where a partner asks for an event that nothing caused.

use std::time::Duration;

use serde_json::{Value, json};

use super::data::{
    CredentialExpiring, CredentialRevoked, CredentialRotated, EndpointDisabled, GrantExpiring,
    GrantRevoked, InvoiceReached, OrderReached, QuotaReached, UsageReached, VersionDeprecated,
};
use crate::domain::credential::RevocationReason;
use crate::domain::event::{EventKind, GrantEnd};
use crate::domain::id::{
    ClientId, CredentialId, GrantId, InvoiceId, OrderId, PackageId, WebhookEndpointId,
};
use crate::domain::instant::Instant;
use crate::domain::order::OrderRef;
use crate::domain::realm::Realm;
use crate::domain::scope::Scope;
use crate::domain::version::{ApiVersion, CURRENT};
use crate::domain::webhook::DisabledReason;

/// The member that marks data of an event that nothing caused.
pub const MARK: &str = "test";

/// A day.
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Data such as a kind has, marked as an example; its ids name nothing.
pub fn marked(kind: EventKind, now: Instant) -> Value {
    let mut data = of(kind, now);
    if let Some(members) = data.as_object_mut() {
        members.insert(MARK.to_owned(), Value::Bool(true));
    }
    data
}

/// Data such as a kind has; its ids name nothing.
pub fn of(kind: EventKind, now: Instant) -> Value {
    match kind {
        EventKind::OrderAccepted
        | EventKind::OrderPreparing
        | EventKind::OrderFulfilled
        | EventKind::OrderFailed
        | EventKind::OrderCancelled => json!(OrderReached {
            order_id: OrderId::generate(now),
            package_id: PackageId::generate(now),
            partner_order_ref: reference(),
        }),
        EventKind::InvoiceOpened | EventKind::InvoicePaid => json!(InvoiceReached {
            invoice_id: InvoiceId::generate(now),
            number: Some(7),
        }),
        EventKind::UsageThresholdReached => json!(UsageReached {
            order_id: OrderId::generate(now),
            package_id: PackageId::generate(now),
            unit: "MB".to_owned(),
            included: 5000,
            used: 4100,
            percent: 80,
        }),
        EventKind::QuotaWarning => json!(QuotaReached {
            quota: "requests_per_day".to_owned(),
            percent: 80,
            limit: 100_000,
            period_ends_at: now.plus(DAY),
        }),
        EventKind::CredentialExpiring => json!(CredentialExpiring {
            credential_id: CredentialId::generate(now),
            client_id: client(now),
            expires_at: now.plus(7 * DAY),
            days_left: Some(7),
            reason: None,
        }),
        EventKind::CredentialRotated => json!(CredentialRotated {
            credential_id: CredentialId::generate(now),
            replaces: CredentialId::generate(now),
            client_id: client(now),
            accepts_until: now.plus(DAY),
            rotated_by: client(now).to_string(),
        }),
        EventKind::CredentialRevoked => json!(CredentialRevoked {
            credential_id: CredentialId::generate(now),
            client_id: client(now),
            reason: RevocationReason::Unused,
            revoked_at: None,
            leaked: None,
        }),
        EventKind::ScopeGrantExpiring => json!(GrantExpiring {
            grant_id: GrantId::generate(now),
            scope: scope(),
            expires_at: now.plus(30 * DAY),
            days_left: 30,
        }),
        EventKind::ScopeGrantRevoked => json!(GrantRevoked {
            grant_id: GrantId::generate(now),
            scope: scope(),
            reason: GrantEnd::Expired,
        }),
        EventKind::VersionDeprecated => json!(VersionDeprecated {
            version: ApiVersion::V20260901,
            deprecated_at: now,
            sunset_at: now.plus(365 * DAY),
            current: CURRENT,
        }),
        EventKind::WebhookEndpointDisabled => json!(EndpointDisabled {
            webhook_endpoint_id: WebhookEndpointId::generate(now),
            reason: DisabledReason::Failing,
        }),
    }
}

fn client(now: Instant) -> ClientId {
    ClientId::generate(Realm::Sandbox, now)
}

fn reference() -> OrderRef {
    word("PO-2026-0017")
}

fn scope() -> Scope {
    word("orders:read")
}

#[expect(
    clippy::expect_used,
    reason = "the texts are this file's own, and a test makes every example"
)]
fn word<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &'static str) -> T {
    text.parse().expect("a good text")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_an_example_of_each_kind_and_it_says_that_it_is_one() {
        let now = Instant::from_epoch_seconds(1_800_000_000);
        for kind in EventKind::ALL {
            let data = marked(*kind, now);
            assert!(data.as_object().unwrap().len() > 2, "{kind}: {data}");
            assert_eq!(data[MARK], true, "{kind}");
        }
    }
}
