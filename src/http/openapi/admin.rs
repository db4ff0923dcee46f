//! What the admin document holds: the admin API.

use utoipa::OpenApi;

use crate::http::admin::{agreements, launch, privacy};
use crate::http::admin::{
    clients, credentials, grants, keys, operators, partners, resource_servers, reviews, tokens,
};

/// The admin document's operations, one line a handler.
#[derive(Debug, OpenApi)]
#[openapi(
    info(
        title = "Onyx Auth: admin API",
        description = "What operators do. Tokens are of the admin realm, each operation demands its scope, and every change is on record with who made it. Times are RFC 3339 in UTC. Lists are paged: `limit` and `cursor` in, `data` and `next_cursor` out. Errors are problem details (RFC 9457) with a stable `code`; bad members of a body are told all at once, and unknown members are bad. Every answer carries `Onyx-Request-Id`. GET answers HEAD too.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    tags(
        (name = "operators", description = "Clients of the admin realm: people and tools that operate this server."),
        (name = "partners", description = "Organisations, each a tenant."),
        (name = "agreements", description = "Contracts and data processing agreements; live access lasts as long as a contract."),
        (name = "privacy-notices", description = "What partners tell those whose data they read."),
        (name = "launch-reviews", description = "What a partner shows before it gets clients in live."),
        (name = "scope-grants", description = "Permissions of partners, asked for with a purpose and decided by somebody else."),
        (name = "clients", description = "OAuth clients."),
        (name = "credentials", description = "What clients authenticate with."),
        (name = "resource-servers", description = "Audiences with their scopes."),
        (name = "security", description = "Cases to look into, and reports of leaked secrets."),
        (name = "tokens", description = "Access tokens, one by one."),
        (name = "keys", description = "Signing keys."),
        (name = "discovery", description = "This document."),
    ),
    paths(
        super::admin,
        operators::list,
        operators::show,
        operators::create,
        partners::list,
        partners::show,
        partners::create,
        partners::approve,
        partners::reject,
        partners::edit,
        partners::suspend,
        partners::resume,
        partners::offboard,
        agreements::list,
        agreements::record,
        agreements::bring_into_force,
        agreements::terminate,
        privacy::show,
        privacy::record,
        launch::show,
        launch::request,
        launch::settle,
        launch::decide,
        grants::list,
        grants::request,
        grants::approve,
        grants::show,
        grants::deny,
        grants::revoke,
        clients::list,
        clients::list_of_partner,
        clients::show,
        clients::create,
        clients::edit,
        clients::suspend,
        clients::resume,
        clients::revoke,
        credentials::list,
        credentials::issue,
        credentials::revoke,
        resource_servers::list,
        resource_servers::show,
        resource_servers::create,
        reviews::list,
        reviews::close,
        reviews::list_leak_reports,
        resource_servers::edit,
        tokens::revoke,
        keys::list,
        keys::rotate,
    )
)]
pub struct Document;
