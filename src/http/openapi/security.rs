//! How callers authenticate, and what scopes allow.

use utoipa::openapi::OpenApi;
use utoipa::openapi::security::{
    ClientCredentials, Flow, HttpAuthScheme, HttpBuilder, OAuth2, Scopes, SecurityScheme,
};

use super::domain::ENVIRONMENTS;
use crate::domain::audience::Addresses;
use crate::domain::realm::Realm;
use crate::domain::scope::{ADMIN_SCOPES, PARTNER_SCOPES, RESOURCE_SERVER_SCOPES};

/// Operators' tokens.
pub const OPERATOR: &str = "operator";

/// Client credentials in the Authorization header.
const CLIENT_SECRET_BASIC: &str = "client_secret_basic";

/// Tokens of each environment, and the client credentials that they are asked for with.
pub fn add_to_partner(document: &mut OpenApi, addresses: &Addresses) {
    let scopes = [PARTNER_SCOPES, RESOURCE_SERVER_SCOPES].concat();
    let components = document.components.get_or_insert_default();
    for realm in ENVIRONMENTS {
        components.add_security_scheme(realm.as_str(), tokens(addresses, *realm, &scopes));
    }
    let basic = HttpBuilder::new()
        .scheme(HttpAuthScheme::Basic)
        .description(Some(
            "The client's id and secret, each form-encoded first (RFC 6749 §2.3.1).",
        ))
        .build();
    components.add_security_scheme(CLIENT_SECRET_BASIC, SecurityScheme::Http(basic));
}

/// Operators' tokens.
pub fn add_to_admin(document: &mut OpenApi, addresses: &Addresses) {
    let components = document.components.get_or_insert_default();
    components.add_security_scheme(OPERATOR, tokens(addresses, Realm::Admin, ADMIN_SCOPES));
}

fn tokens(addresses: &Addresses, realm: Realm, scopes: &[&'static str]) -> SecurityScheme {
    let scopes = scopes.iter().map(|scope| (*scope, meaning(scope)));
    let flow = ClientCredentials::new(addresses.token_endpoint(realm), Scopes::from_iter(scopes));
    let sentence = format!("An access token of the realm {realm}, in the Authorization header.");
    SecurityScheme::OAuth2(OAuth2::with_description(
        [Flow::ClientCredentials(flow)],
        sentence,
    ))
}

/// What a scope allows. A test makes sure that every scope has a meaning.
fn meaning(scope: &str) -> &'static str {
    match scope {
        "catalogue:read" => "See packages.",
        "events:replay" => "See events and have them sent again.",
        "invoices:read" => "See invoices.",
        "ledger:read" => "See the account's entries and balance.",
        "orders:create" => "Place orders.",
        "orders:read" => "See orders.",
        "usage:read" => "See what orders have used.",
        "webhooks:manage" => "Set webhook endpoints up.",
        "revocations:read" => "Follow what is revoked.",
        "audit:read" => "Read the audit log.",
        "billing:write" => "Close, settle and void invoices.",
        "catalogue:write" => "Make and publish packages.",
        "clients:read" => "See clients and their credentials.",
        "clients:write" => "Make, change, suspend and resume clients.",
        "credentials:issue" => "Issue credentials to partners' and resource servers' clients.",
        "credentials:revoke" => "Revoke credentials, clients and tokens.",
        "credentials:rotate" => "Rotate credentials.",
        "governance:write" => "Keep agreements and notices, ask for grants, prepare launches.",
        "grants:decide" => "Decide what others asked for.",
        "keys:manage" => "See, rotate and revoke signing keys.",
        "limits:write" => "Set plans and limits.",
        "operators:write" => "Make operators and give them credentials.",
        "orders:fulfil" => "Prepare, fulfil, fail and cancel orders.",
        "partners:read" => "See partners and what was agreed with them.",
        "partners:write" => "Take partners in, change, suspend and let them go.",
        "requests:read" => "See which requests were made.",
        "resource-servers:write" => "See, register and change resource servers.",
        "security:read" => "See cases that are looked into.",
        "security:write" => "Close cases, see reports of leaks.",
        "usage:write" => "Record what orders have used.",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scope_has_a_meaning() {
        for scope in [PARTNER_SCOPES, RESOURCE_SERVER_SCOPES, ADMIN_SCOPES].concat() {
            assert_ne!(meaning(scope), "", "{scope}");
        }
    }
}
