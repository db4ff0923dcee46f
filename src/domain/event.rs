//! Events: what partners are told.

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

/// How many days before an end a warning is given.
pub const WARNING_DAYS: [i32; 3] = [30, 7, 1];
