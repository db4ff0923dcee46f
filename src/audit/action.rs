//! What can be done, by name.

use crate::domain::words;

words!(
    /// What the audit trail says was done.
    Action {
        OperatorCreated = "operator.created",
        PartnerCreated = "partner.created",
        PartnerChanged = "partner.changed",
        PartnerApproved = "partner.approved",
        PartnerRejected = "partner.rejected",
        PartnerSuspended = "partner.suspended",
        PartnerResumed = "partner.resumed",
        PartnerOffboarded = "partner.offboarded",
        PartnerAnonymised = "partner.anonymised",
        AgreementRecorded = "agreement.recorded",
        AgreementBroughtIntoForce = "agreement.brought_into_force",
        AgreementExpired = "agreement.expired",
        AgreementTerminated = "agreement.terminated",
        LiveAccessSuspended = "live_access.suspended",
        PrivacyNoticeRecorded = "privacy_notice.recorded",
        LaunchReviewRequested = "launch_review.requested",
        LaunchReviewSubmitted = "launch_review.submitted",
        LaunchReviewApproved = "launch_review.approved",
        LaunchReviewRejected = "launch_review.rejected",
        LaunchCheckSettled = "launch_check.settled",
        ScopeGrantRequested = "scope_grant.requested",
        ScopeGrantApproved = "scope_grant.approved",
        ScopeGrantDenied = "scope_grant.denied",
        ScopeGrantRevoked = "scope_grant.revoked",
        ScopeGrantExpired = "scope_grant.expired",
        ClientCreated = "client.created",
        ClientChanged = "client.changed",
        ClientSuspended = "client.suspended",
        ClientResumed = "client.resumed",
        ClientRevoked = "client.revoked",
        CredentialIssued = "credential.issued",
        CredentialRotated = "credential.rotated",
        CredentialRotationFinished = "credential.rotation_finished",
        CredentialRotationUndone = "credential.rotation_undone",
        CredentialRevoked = "credential.revoked",
        SecretDeliveryCreated = "secret_delivery.created",
        SecretDeliveryOpened = "secret_delivery.opened",
        SecretDeliveryExpired = "secret_delivery.expired",
        SecretDeliveryCancelled = "secret_delivery.cancelled",
        TokenRevoked = "token.revoked",
        ResourceServerRegistered = "resource_server.registered",
        ResourceServerChanged = "resource_server.changed",
        KeyRotated = "key.rotated",
        KeyRevoked = "key.revoked",
        DatabaseRestored = "database.restored",
        DatabaseMoved = "database.moved",
        PlanCreated = "plan.created",
        PlanChanged = "plan.changed",
        LimitsChanged = "limits.changed",
        PackageCreated = "package.created",
        PackageChanged = "package.changed",
        PackagePublished = "package.published",
        PackageWithdrawn = "package.withdrawn",
        OrderAccepted = "order.accepted",
        OrderPreparing = "order.preparing",
        OrderFulfilled = "order.fulfilled",
        OrderFailed = "order.failed",
        OrderCancelled = "order.cancelled",
        UsageRecorded = "usage.recorded",
        LedgerRefunded = "ledger.refunded",
        LedgerAdjusted = "ledger.adjusted",
        InvoiceOpened = "invoice.opened",
        InvoicePaid = "invoice.paid",
        InvoiceVoided = "invoice.voided",
        InvoiceUncollectible = "invoice.uncollectible",
        WebhookEndpointCreated = "webhook_endpoint.created",
        WebhookEndpointVerified = "webhook_endpoint.verified",
        WebhookEndpointChanged = "webhook_endpoint.changed",
        WebhookEndpointEnabled = "webhook_endpoint.enabled",
        WebhookEndpointFailing = "webhook_endpoint.failing",
        WebhookEndpointDisabled = "webhook_endpoint.disabled",
        WebhookEndpointDeleted = "webhook_endpoint.deleted",
        WebhookSecretRotated = "webhook_secret.rotated",
        ReplayStarted = "replay.started",
        ReplayCompleted = "replay.completed",
        ReplayCancelled = "replay.cancelled",
        RecommendationApplied = "recommendation.applied",
        LeakReported = "leak.reported",
        ReviewOpened = "review.opened",
        ReviewClosed = "review.closed",
        AuthenticationRefused = "authentication.refused",
        ScopeRefused = "scope.refused",
        TokenRefused = "token.refused",
        AccessRefused = "access.refused",
        LeakReportReceived = "leak_report.received",
        AuditTrailRead = "audit_trail.read",
        RequestLogRead = "request_log.read",
        RetentionApplied = "retention.applied",
        AuditExported = "audit.exported",
        AuditEventSetAside = "audit.event_set_aside",
        AuditEventsDeleted = "audit.events_deleted",
    }
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_is_on_the_page_about_them_and_nothing_else() {
        let page = include_str!("../../docs/audit-events.md");
        let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
        let listed: Vec<&str> = rows
            .map(|row| {
                let cells: Vec<_> = row.split(" | ").collect();
                assert!(cells.len() == 3 && cells[1].len() > 10, "{row}");
                cells[0].trim_end_matches('`')
            })
            .collect();
        let known: Vec<&str> = Action::ALL.iter().map(|action| action.as_str()).collect();
        assert_eq!(listed, known);
    }
}
