//! What each kind of event says, as types: whoever tells a partner makes one of these, and the
//! documents describe them.
//!
//! Thin: ids, times and words of fixed lists. No free text, no address, no amount of money.

use serde::Serialize;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::domain::credential::RevocationReason;
use crate::domain::event::{EventKind, GrantEnd};
use crate::domain::id::{
    ClientId, CredentialId, GrantId, InvoiceId, OrderId, PackageId, WebhookEndpointId,
};
use crate::domain::instant::Instant;
use crate::domain::order::OrderRef;
use crate::domain::scope::Scope;
use crate::domain::version::ApiVersion;
use crate::domain::webhook::DisabledReason;

/// An order has come to a state.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = OrderEventData)]
pub struct OrderReached {
    pub order_id: OrderId,
    pub package_id: PackageId,
    /// What the partner calls it.
    pub partner_order_ref: OrderRef,
}

/// An invoice has come to a state.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = InvoiceEventData)]
pub struct InvoiceReached {
    pub invoice_id: InvoiceId,
    /// Its number, without gaps for the partner and environment.
    #[schema(nullable = false, required)]
    pub number: Option<i64>,
}

/// So much of what an order includes is used up.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = UsageEventData)]
pub struct UsageReached {
    pub order_id: OrderId,
    pub package_id: PackageId,
    /// In what it is measured.
    pub unit: String,
    /// How much the order includes: what its package includes, times its quantity.
    pub included: i64,
    /// How much was used when the threshold was reached.
    pub used: i64,
    /// The threshold: 80 or 100.
    pub percent: i32,
}

/// So much of a quota is used up.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = QuotaEventData)]
pub struct QuotaReached {
    /// Which quota, such as `requests_per_day`, `orders_per_month` or `spend_per_month`.
    pub quota: String,
    /// The threshold: 80 or 100.
    pub percent: i32,
    /// The quota; of `spend_per_month` in minor units.
    pub limit: i64,
    /// When the count begins anew.
    pub period_ends_at: Instant,
}

/// A credential is about to end.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = CredentialExpiringEventData)]
pub struct CredentialExpiring {
    pub credential_id: CredentialId,
    pub client_id: ClientId,
    pub expires_at: Instant,
    /// Days until then, begun ones included; not said where the end comes within the hour.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub days_left: Option<i64>,
    /// Why it ends early: it was reported as leaked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub reason: Option<RevocationReason>,
}

/// A credential was replaced.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = CredentialRotatedEventData)]
pub struct CredentialRotated {
    /// The new one.
    pub credential_id: CredentialId,
    /// The one that it replaces.
    pub replaces: CredentialId,
    pub client_id: ClientId,
    /// Until when the replaced one is accepted.
    pub accepts_until: Instant,
    /// Who did it: the id of a client, of an operator or the partner's own.
    pub rotated_by: String,
}

/// A credential is accepted no more.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = CredentialRevokedEventData)]
pub struct CredentialRevoked {
    pub credential_id: CredentialId,
    pub client_id: ClientId,
    pub reason: RevocationReason,
    /// When it was revoked, where that was before somebody reported it as leaked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub revoked_at: Option<Instant>,
    /// It was revoked before, and now somebody reported it as leaked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub leaked: Option<bool>,
}

/// A scope grant is about to end.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = GrantExpiringEventData)]
pub struct GrantExpiring {
    pub grant_id: GrantId,
    pub scope: Scope,
    pub expires_at: Instant,
    /// Days until then, begun ones included.
    pub days_left: i64,
}

/// A scope grant has ended.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = GrantRevokedEventData)]
pub struct GrantRevoked {
    pub grant_id: GrantId,
    pub scope: Scope,
    pub reason: GrantEnd,
}

/// A version that the partner speaks has a successor.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = VersionEventData)]
pub struct VersionDeprecated {
    pub version: ApiVersion,
    pub deprecated_at: Instant,
    /// From when on it may be gone.
    pub sunset_at: Instant,
    /// The version to move to.
    pub current: ApiVersion,
}

/// Nothing is sent to an endpoint any more.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = WebhookEndpointEventData)]
pub struct EndpointDisabled {
    pub webhook_endpoint_id: WebhookEndpointId,
    pub reason: DisabledReason,
}

/// Which data a kind has: one line a kind.
macro_rules! data_of {
    ($($kind:ident: $data:ty),+ $(,)?) => {
        /// The schema of a kind's data, and its name.
        pub fn schema(kind: EventKind) -> (String, RefOr<Schema>) {
            match kind {
                $(EventKind::$kind => (<$data>::name().into_owned(), <$data>::schema())),+
            }
        }

        /// The schemas that a kind's data refer to.
        pub fn schemas(kind: EventKind, all: &mut Vec<(String, RefOr<Schema>)>) {
            match kind {
                $(EventKind::$kind => <$data as ToSchema>::schemas(all)),+
            }
        }
    };
}

data_of!(
    OrderAccepted: OrderReached,
    OrderPreparing: OrderReached,
    OrderFulfilled: OrderReached,
    OrderFailed: OrderReached,
    OrderCancelled: OrderReached,
    InvoiceOpened: InvoiceReached,
    InvoicePaid: InvoiceReached,
    UsageThresholdReached: UsageReached,
    QuotaWarning: QuotaReached,
    CredentialExpiring: CredentialExpiring,
    CredentialRotated: CredentialRotated,
    CredentialRevoked: CredentialRevoked,
    ScopeGrantExpiring: GrantExpiring,
    ScopeGrantRevoked: GrantRevoked,
    VersionDeprecated: VersionDeprecated,
    WebhookEndpointDisabled: EndpointDisabled,
);
