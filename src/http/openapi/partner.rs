//! What the partner document holds: the partner API and the OAuth endpoints.

use utoipa::OpenApi;

use super::domain::Environment;
use crate::domain::id::StatusListId;
use crate::domain::realm::Realm;
use crate::domain::version::ApiVersion;
use crate::http::{deliveries, docs, leaks, oauth, v1};

/// The partner document's operations, one line a handler.
#[derive(Debug, OpenApi)]
#[openapi(
    info(
        title = "Onyx Auth: partner API and OAuth endpoints",
        description = "A client exchanges its credentials for a short-lived access token of its environment, and calls the partner API with it. Times are RFC 3339 in UTC. Errors of the API are problem details (RFC 9457) with a stable `code`, those of the OAuth endpoints as RFC 6749 §5.2 says. Every answer carries `Onyx-Request-Id`. GET answers HEAD too.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    tags(
        (name = "oauth", description = "Tokens."),
        (name = "discovery", description = "What clients and verifiers find out by themselves."),
        (name = "deliveries", description = "Links to secrets. They want no token: who holds a link, proves it."),
        (name = "security", description = "Reports of leaked secrets."),
        (name = "revocations", description = "What must not be accepted any more, for those who verify tokens."),
        (name = "catalogue", description = "What can be ordered."),
        (name = "orders", description = "What was ordered, and what became of it."),
        (name = "billing", description = "What was used, what is owed, and what is billed."),
        (name = "events", description = "What the partner is told, numbered without gaps."),
        (name = "webhooks", description = "Where the partner is told of events."),
        (name = "me", description = "The caller, as the server sees it."),
        (name = "requests", description = "What the partner called."),
        (name = "audit", description = "What is on record about the caller's organisation, and proofs of it."),
    ),
    components(schemas(ApiVersion, Environment, Realm, StatusListId)),
    paths(
        super::partner,
        docs::to_partner,
        docs::partner,
        oauth::discovery::server,
        oauth::discovery::server_of_issuer,
        oauth::discovery::openid,
        oauth::discovery::partner_api,
        oauth::discovery::jwks,
        oauth::token::exchange,
        oauth::rotate::rotate,
        leaks::report,
        oauth::revoke::revoke,
        oauth::introspect::introspect,
        oauth::revocations::poll,
        oauth::revocations::stream,
        oauth::status_lists::show,
        oauth::verify::verify,
        oauth::verify::verify_below,
        v1::me::show,
        v1::catalogue::list,
        v1::catalogue::show,
        v1::orders::create,
        v1::orders::list,
        v1::orders::show,
        v1::orders::show_by_reference,
        v1::events::list,
        v1::events::show,
        v1::events::trigger,
        v1::webhook_endpoints::list,
        v1::webhook_endpoints::create,
        v1::webhook_endpoints::show,
        v1::webhook_endpoints::edit,
        v1::webhook_endpoints::delete,
        v1::webhook_endpoints::verbs::verify,
        v1::webhook_endpoints::verbs::rotate_secret,
        v1::webhook_endpoints::verbs::test,
        v1::webhook_endpoints::verbs::enable,
        v1::webhook_endpoints::verbs::disable,
        v1::webhook_deliveries::list,
        v1::replays::create,
        v1::replays::show,
        v1::replays::run,
        v1::replays::cancel,
        v1::requests::list,
        v1::audit::list,
        v1::audit::proof,
        v1::usage::list,
        v1::ledger::list,
        v1::ledger::balance,
        v1::invoices::list,
        v1::invoices::show,
        deliveries::partners::show,
        deliveries::partners::open,
        deliveries::partners::disown,
    )
)]
pub struct Document;
