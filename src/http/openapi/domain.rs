//! How the domain's types look on the wire. They themselves know nothing of it.

use utoipa::openapi::schema::{ArrayBuilder, KnownFormat, ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::{Ref, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::domain::Algorithm;
use crate::domain::agreement::{AgreementKind, AgreementState};
use crate::domain::allowlist::{Allowlist, MAX_NETWORKS};
use crate::domain::call::Idempotency;
use crate::domain::client::{ClientKind, ClientState};
use crate::domain::credential::{CredentialKind, CredentialState, RevocationReason};
use crate::domain::day::Day;
use crate::domain::delivery::{Channel, DeliveryState};
use crate::domain::event::{EventKind, GrantEnd};
use crate::domain::grant::GrantState;
use crate::domain::id::StatusListId;
use crate::domain::id::{
    AgreementId, AnyId, AuditEventId, LaunchReviewId, LeakReportId, PrivacyNoticeId, ReviewId,
};
use crate::domain::id::{
    ClientId, CredentialId, EventId, GrantId, OrderId, PackageId, PartnerId, RequestId,
    ResourceServerId,
};
use crate::domain::id::{
    InvoiceId, LedgerEntryId, PlanId, ReplayId, UsageRecordId, WebhookEndpointId,
};
use crate::domain::instant::Instant;
use crate::domain::invoice::InvoiceState;
use crate::domain::key::KeyState;
use crate::domain::launch::{CheckName, CheckState, Decision, Finding, Requirement, ReviewState};
use crate::domain::leak::{LeakAction, LeakReportState};
use crate::domain::ledger::EntryKind;
use crate::domain::limits::{LimitName, Mode, Source};
use crate::domain::money::{Currency, LARGEST, Money};
use crate::domain::month::Month;
use crate::domain::order::{Metadata, OrderRef, OrderState};
use crate::domain::package::{Feature, Features, Included, PackageState, Viewer};
use crate::domain::partner::PartnerState;
use crate::domain::realm::Realm;
use crate::domain::recommendation::{About, RecommendationKind, Remedy};
use crate::domain::replay::{ReplayState, Selection};
use crate::domain::review::{CaseState, ReviewKind};
use crate::domain::revocation::RevocationKind;
use crate::domain::scope::{Scope, ScopeSet};
use crate::domain::version::ApiVersion;
use crate::domain::webhook::{
    DisabledReason, EndpointState, EventTypes, FailureClass, SignatureKind,
};
use crate::domain::webhook_delivery::WebhookDeliveryState;

/// The realms of partners.
pub const ENVIRONMENTS: &[Realm] = &[Realm::Sandbox, Realm::Live];

/// A ULID for examples.
const ULID: &str = "01K2ZJ6V9D3M5K7N2R4T6W8Y0A";

/// Types that are one word of a few.
macro_rules! words {
    ($($name:ident: $sentence:literal),+ $(,)?) => { $(
        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                word($sentence, $name::ALL.iter().map(|word| word.as_str()))
            }
        }
        impl ToSchema for $name {}
    )+ };
}

words!(
    ApiVersion: "A version of the partner API, by the day of its release.",
    Realm: "An issuer with its own keys, clients and tokens.",
    PartnerState: "applied → approved ⇄ suspended → offboarded; applied → rejected.",
    AgreementKind: "What was agreed.",
    AgreementState: "draft → in_force → expired or terminated.",
    ReviewState: "draft → submitted → approved or rejected.",
    CheckName: "What is checked.",
    CheckState: "pending → passed, failed or waived.",
    Finding: "What an operator finds of a check.",
    Decision: "How a review ends.",
    Requirement: "What a partner must have before it gets clients in live.",
    ClientKind: "Who stands behind a client.",
    ClientState: "active ⇄ suspended; either → revoked.",
    CredentialKind: "What a client shows to authenticate.",
    CredentialState: "active ⇄ rotated (superseded, accepted until `accepts_until`); either → revoked.",
    RevocationReason: "Why a credential is revoked.",
    KeyState: "published → signing → retired, with time; each → revoked.",
    EventKind: "What an event is about.",
    GrantEnd: "How a scope grant came to its end.",
    GrantState: "requested → approved or denied; approved → revoked or expired.",
    RecommendationKind: "What a recommendation is about.",
    Remedy: "What is done when a recommendation is applied.",
    Channel: "How a secret reaches who it is for: in the answer, by a link that opens once, or encrypted to a key.",
    DeliveryState: "pending → opened, expired (the credential is revoked) or cancelled (it was revoked before).",
    CaseState: "open → closed, with a reason.",
    ReviewKind: "What is looked into.",
    LeakReportState: "received → done: every candidate was looked for.",
    LeakAction: "What was done about a leaked secret: revoked; left for at most an hour; revoked after that hour; nothing, since it was revoked before.",
    Idempotency: "What became of an idempotency key: `none` was sent; the call was executed; its stored answer was given again; the key belongs to another request; the first call is running still.",
    RevocationKind: "What a revocation is about.",
    Currency: "A currency (ISO 4217).",
    PackageState: "draft → published ⇄ withdrawn.",
    EntryKind: "Why money moved.",
    Mode: "Whether limits bite: in `shadow` who is over one is told and counted, and goes on.",
    Source: "Where limits come from: the house's defaults, a plan, or figures of the partner's own.",
    LimitName: "A limit, as the RateLimit headers name it.",
    InvoiceState: "draft → open → paid, void or uncollectible.",
    EndpointState: "pending → active ⇄ disabled → deleted.",
    DisabledReason: "Why an endpoint is disabled.",
    WebhookDeliveryState: "pending → succeeded or retrying; retrying → succeeded, exhausted, or cancelled.",
    ReplayState: "previewed → running → completed or cancelled.",
    Selection: "Which events a replay means: `failed`, those that were tried and did not arrive; `missing`, those that were never tried; `all`.",
    SignatureKind: "How messages are signed (Standard Webhooks): `v1`, HMAC-SHA256; `v1a`, ed25519.",
    FailureClass: "Why an attempt failed.",
    OrderState: "accepted → preparing → fulfilled; accepted or preparing → cancelled or failed.",
);

/// Ids: a prefix that names the kind, and a ULID.
macro_rules! ids {
    ($($name:ident: $sentence:literal),+ $(,)?) => { $(
        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                id($sentence, $name::PREFIX, $name::PREFIX)
            }
        }
        impl ToSchema for $name {}
    )+ };
}

ids!(
    PartnerId: "A partner.",
    AgreementId: "An agreement.",
    PrivacyNoticeId: "A privacy notice.",
    AuditEventId: "An event of the audit trail.",
    LaunchReviewId: "A launch review.",
    CredentialId: "A credential.",
    GrantId: "A scope grant.",
    ResourceServerId: "A resource server.",
    ReviewId: "A case that operators look into.",
    LeakReportId: "A report of leaked secrets.",
    EventId: "An event: the same in every delivery and replay of it.",
    PlanId: "A named set of limits.",
    PackageId: "A package.",
    StatusListId: "A Token Status List.",
    OrderId: "An order.",
    UsageRecordId: "A record of usage.",
    LedgerEntryId: "An entry of the ledger.",
    InvoiceId: "An invoice.",
    WebhookEndpointId: "A webhook endpoint.",
    ReplayId: "A replay of events.",
    RequestId: "A request, as in its log lines and in `Onyx-Request-Id`.",
);

impl PartialSchema for ClientId {
    fn schema() -> RefOr<Schema> {
        let realms: Vec<_> = Realm::ALL.iter().map(|realm| realm.short()).collect();
        let prefix = format!("cl_({})_", realms.join("|"));
        id("A client of the realm that it names.", &prefix, "cl_sbx_")
    }
}
impl ToSchema for ClientId {}

impl PartialSchema for AnyId {
    fn schema() -> RefOr<Schema> {
        id(
            "A record, of whichever kind the prefix names.",
            "[a-z_]+_",
            "ord_",
        )
    }
}
impl ToSchema for AnyId {}

impl PartialSchema for Instant {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
            .description(Some("A moment, to the microsecond; answers are in UTC."))
            .examples(["2030-01-31T12:00:00Z"])
            .into()
    }
}
impl ToSchema for Instant {}

impl PartialSchema for Day {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Date)))
            .description(Some("A day in UTC."))
            .examples(["2030-01-31"])
            .into()
    }
}
impl ToSchema for Day {}

impl PartialSchema for Month {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some("A calendar month in UTC."))
            .pattern(Some("^[0-9]{4}-[0-9]{2}$"))
            .examples(["2030-01"])
            .into()
    }
}
impl ToSchema for Month {}

impl PartialSchema for About {
    fn schema() -> RefOr<Schema> {
        let kinds: Vec<_> = RecommendationKind::ALL
            .iter()
            .map(|kind| kind.as_str())
            .collect();
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some("A recommendation: the id says what it is about."))
            .pattern(Some(format!("^rec_({})_[0-9A-Za-z_-]+$", kinds.join("|"))))
            .examples([format!("rec_unused_credential_crd_{ULID}")])
            .into()
    }
}
impl ToSchema for About {
    fn name() -> std::borrow::Cow<'static, str> {
        "RecommendationId".into()
    }
}

impl PartialSchema for Scope {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some("A scope (RFC 6749 §3.3)."))
            .pattern(Some(r"^[\x21\x23-\x5B\x5D-\x7E]+$"))
            .min_length(Some(1))
            .max_length(Some(128))
            .examples(["orders:read"])
            .into()
    }
}
impl ToSchema for Scope {}

impl PartialSchema for ScopeSet {
    fn schema() -> RefOr<Schema> {
        ArrayBuilder::new()
            .items(Ref::from_schema_name(Scope::name()))
            .unique_items(true)
            .description(Some("Scopes, sorted."))
            .into()
    }
}
impl ToSchema for ScopeSet {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((Scope::name().into(), Scope::schema()));
    }
}

impl PartialSchema for Allowlist {
    fn schema() -> RefOr<Schema> {
        let network = ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some(
                "An address or a network, IPv4 or IPv6; answers are networks.",
            ))
            .examples(["203.0.113.0/24"]);
        ArrayBuilder::new()
            .items(network)
            .min_items(Some(1))
            .max_items(Some(MAX_NETWORKS))
            .description(Some("Networks, sorted."))
            .into()
    }
}
impl ToSchema for Allowlist {}

/// Money where it may be negative: on an account.
#[derive(Debug)]
pub struct SignedMoney;

impl PartialSchema for Money {
    fn schema() -> RefOr<Schema> {
        money("Money.", 0)
    }
}
impl ToSchema for Money {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((Currency::name().into(), Currency::schema()));
    }
}

impl PartialSchema for SignedMoney {
    fn schema() -> RefOr<Schema> {
        money("Money on an account: more is owed, or less.", -LARGEST)
    }
}
impl ToSchema for SignedMoney {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((Currency::name().into(), Currency::schema()));
    }
}

fn money(sentence: &str, least: i64) -> RefOr<Schema> {
    let amount = ObjectBuilder::new()
        .schema_type(Type::Integer)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
        .description(Some("Minor units: cents for EUR, yen for JPY."))
        .minimum(Some(least))
        .maximum(Some(LARGEST));
    ObjectBuilder::new()
        .description(Some(sentence))
        .property("amount", amount)
        .property("currency", Ref::from_schema_name(Currency::name()))
        .required("amount")
        .required("currency")
        .into()
}

impl PartialSchema for Features {
    fn schema() -> RefOr<Schema> {
        let feature = ObjectBuilder::new()
            .schema_type(Type::String)
            .min_length(Some(1))
            .max_length(Some(Feature::LONGEST));
        ArrayBuilder::new()
            .items(feature)
            .unique_items(true)
            .description(Some("What a package has."))
            .into()
    }
}
impl ToSchema for Features {}

impl PartialSchema for Included {
    fn schema() -> RefOr<Schema> {
        let quantity = ObjectBuilder::new()
            .schema_type(Type::Integer)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
            .minimum(Some(1))
            .maximum(Some(Included::MOST));
        let unit = ObjectBuilder::new()
            .schema_type(Type::String)
            .min_length(Some(1))
            .max_length(Some(Included::LONGEST_UNIT))
            .examples(["MB"]);
        ObjectBuilder::new()
            .description(Some("How much, in the unit in which its use is measured."))
            .property("quantity", quantity)
            .property("unit", unit)
            .required("quantity")
            .required("unit")
            .into()
    }
}
impl ToSchema for Included {}

impl PartialSchema for EventTypes {
    fn schema() -> RefOr<Schema> {
        let words = EventKind::ALL.iter().map(|kind| kind.as_str());
        let name = ObjectBuilder::new()
            .schema_type(Type::String)
            .enum_values(Some([Self::ALL].into_iter().chain(words)));
        ArrayBuilder::new()
            .items(name)
            .min_items(Some(1))
            .description(Some(
                "Types of events, sorted; or `*` alone, which is all of them, also those that come later.",
            ))
            .examples([serde_json::json!(["order.fulfilled", "order.failed"])])
            .into()
    }
}
impl ToSchema for EventTypes {}

impl PartialSchema for Viewer {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .description(Some("A partner in one environment."))
            .property("partner_id", Ref::from_schema_name(PartnerId::name()))
            .property("realm", Ref::from_schema_name(Environment::name()))
            .required("partner_id")
            .required("realm")
            .into()
    }
}
impl ToSchema for Viewer {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((PartnerId::name().into(), PartnerId::schema()));
        schemas.push((Environment::name().into(), Environment::schema()));
    }
}

impl PartialSchema for OrderRef {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some("What a partner calls an order: printable ASCII characters, a letter or a digit among them, without a space at either end. It names one order of a partner and environment, for ever."))
            .pattern(Some(r"^(?=.*[0-9A-Za-z])[\x21-\x7E]([\x20-\x7E]*[\x21-\x7E])?$"))
            .min_length(Some(1))
            .max_length(Some(64))
            .examples(["PO-2026-0017"])
            .into()
    }
}
impl ToSchema for OrderRef {}

impl PartialSchema for Metadata {
    fn schema() -> RefOr<Schema> {
        let value = ObjectBuilder::new()
            .schema_type(Type::String)
            .max_length(Some(Metadata::VALUE));
        ObjectBuilder::new()
            .description(Some(
                "Pairs of texts: at most 20, names of 1 to 40 characters, values of at most 500.",
            ))
            .additional_properties(Some(RefOr::T(Schema::Object(value.build()))))
            .examples([serde_json::json!({ "trip": "Oslo" })])
            .into()
    }
}
impl ToSchema for Metadata {}

/// [`Realm`], where it is one of partners.
#[derive(Debug)]
pub struct Environment;

impl PartialSchema for Environment {
    fn schema() -> RefOr<Schema> {
        let words = ENVIRONMENTS.iter().map(|realm| realm.as_str());
        word("A realm of partners.", words)
    }
}
impl ToSchema for Environment {}

/// [`Algorithm`], whose crate knows nothing of documents: `#[schema(value_type = SigningAlgorithm)]`.
#[derive(Debug)]
pub struct SigningAlgorithm;

impl PartialSchema for SigningAlgorithm {
    fn schema() -> RefOr<Schema> {
        let words = Algorithm::ALL.iter().map(|alg| alg.as_str());
        word(
            "How tokens are signed (RFC 7518 §3.1, RFC 8037 §3.1).",
            words,
        )
    }
}
impl ToSchema for SigningAlgorithm {}

fn word<'a>(sentence: &str, words: impl Iterator<Item = &'a str>) -> RefOr<Schema> {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some(sentence))
        .enum_values(Some(words))
        .into()
}

fn id(sentence: &str, prefix: &str, example: &str) -> RefOr<Schema> {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some(sentence))
        .pattern(Some(format!("^{prefix}[0-7][0-9A-HJKMNP-TV-Z]{{25}}$")))
        .examples([format!("{example}{ULID}")])
        .into()
}
