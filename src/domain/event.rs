//! Events: what partners are told.

use std::str::FromStr;

use serde_json::value::RawValue;

use super::words;

words!(
    /// What an event is about.
    EventKind {
        OrderAccepted = "order.accepted",
        OrderPreparing = "order.preparing",
        OrderFulfilled = "order.fulfilled",
        OrderFailed = "order.failed",
        OrderCancelled = "order.cancelled",
        InvoiceOpened = "invoice.opened",
        InvoicePaid = "invoice.paid",
        UsageThresholdReached = "usage.threshold_reached",
        QuotaWarning = "quota.warning",
        CredentialExpiring = "credential.expiring",
        CredentialRotated = "credential.rotated",
        CredentialRevoked = "credential.revoked",
        ScopeGrantExpiring = "scope_grant.expiring",
        ScopeGrantRevoked = "scope_grant.revoked",
        VersionDeprecated = "version.deprecated",
        WebhookEndpointDisabled = "webhook_endpoint.disabled",
    }
);

words!(
    /// How a scope grant came to its end.
    GrantEnd {
        /// An operator ended it.
        Revoked = "revoked",
        /// Its time was over.
        Expired = "expired",
        /// The partner was let go.
        Offboarding = "offboarding",
    }
);

/// What an event says besides its kind: a JSON object, kept and sent in the words in which it was written.
#[derive(Clone, Debug, diesel::expression::AsExpression, diesel::deserialize::FromSqlRow)]
#[diesel(sql_type = diesel::sql_types::Text)]
pub struct EventData(Box<RawValue>);

impl EventData {
    /// The JSON text.
    pub fn as_str(&self) -> &str {
        self.0.get()
    }
}

impl FromStr for EventData {
    type Err = serde_json::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        RawValue::from_string(text.to_owned()).map(Self)
    }
}

impl serde::Serialize for EventData {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(s)
    }
}

/// How many days before an end a warning is given.
pub const WARNING_DAYS: [i32; 3] = [30, 7, LAST_WARNING];
/// The last of them.
pub const LAST_WARNING: i32 = 1;
