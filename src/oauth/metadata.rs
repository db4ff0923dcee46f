//! What a client or verifier can find out by itself (RFC 8414, RFC 9728).

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::Algorithm;
use crate::domain::audience::Addresses;
use crate::domain::realm::Realm;
use crate::domain::scope::{ADMIN_SCOPES, PARTNER_SCOPES, RESOURCE_SERVER_SCOPES};

/// How clients authenticate, at every endpoint alike.
const AUTH_METHODS: [&str; 2] = ["client_secret_basic", "client_secret_post"];

/// Authorization server metadata (RFC 8414 §2). Says only what is served.
#[derive(Serialize, ToSchema)]
pub struct ServerMetadata {
    issuer: String,
    token_endpoint: String,
    jwks_uri: String,
    scopes_supported: Vec<&'static str>,
    /// Required by the RFC; no response type is served.
    response_types_supported: [&'static str; 1],
    grant_types_supported: [&'static str; 1],
    token_endpoint_auth_methods_supported: [&'static str; 2],
    revocation_endpoint: String,
    revocation_endpoint_auth_methods_supported: [&'static str; 2],
    /// Resource servers ask about tokens here (RFC 7662); operators' realm has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    introspection_endpoint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    introspection_endpoint_auth_methods_supported: Option<[&'static str; 2]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    protected_resources: Option<[String; 1]>,
    /// Parsers that look only at openid-configuration insist on it (OpenID Connect Discovery 1.0 §3); there alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    subject_types_supported: Option<[&'static str; 1]>,
    /// Likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    id_token_signing_alg_values_supported: Option<Vec<&'static str>>,
}

/// The metadata of a realm's issuer.
pub fn server(addresses: &Addresses, realm: Realm) -> ServerMetadata {
    let mut scopes = match realm {
        Realm::Admin => ADMIN_SCOPES.to_vec(),
        Realm::Sandbox | Realm::Live => [PARTNER_SCOPES, RESOURCE_SERVER_SCOPES].concat(),
    };
    scopes.sort_unstable();
    ServerMetadata {
        issuer: addresses.issuer(realm).to_string(),
        token_endpoint: addresses.token_endpoint(realm),
        jwks_uri: addresses.jwks(realm),
        scopes_supported: scopes,
        response_types_supported: ["none"],
        grant_types_supported: ["client_credentials"],
        token_endpoint_auth_methods_supported: AUTH_METHODS,
        revocation_endpoint: addresses.revocation_endpoint(realm),
        revocation_endpoint_auth_methods_supported: AUTH_METHODS,
        introspection_endpoint: realm
            .is_environment()
            .then(|| addresses.introspection_endpoint(realm)),
        introspection_endpoint_auth_methods_supported: realm
            .is_environment()
            .then_some(AUTH_METHODS),
        protected_resources: realm
            .is_environment()
            .then(|| [addresses.api(realm).to_string()]),
        subject_types_supported: None,
        id_token_signing_alg_values_supported: None,
    }
}

/// The same for verifiers that know only OpenID Connect's path.
pub fn openid(addresses: &Addresses, realm: Realm, algorithms: &[Algorithm]) -> ServerMetadata {
    ServerMetadata {
        subject_types_supported: Some(["public"]),
        id_token_signing_alg_values_supported: Some(
            algorithms.iter().map(|a| a.as_str()).collect(),
        ),
        ..server(addresses, realm)
    }
}

/// Protected resource metadata (RFC 9728 §2).
#[derive(Serialize, ToSchema)]
pub struct ResourceMetadata {
    resource: String,
    authorization_servers: [String; 1],
    scopes_supported: &'static [&'static str],
    bearer_methods_supported: [&'static str; 1],
    dpop_bound_access_tokens_required: bool,
    resource_name: &'static str,
}

/// The description of the partner API in an environment.
pub fn partner_api(addresses: &Addresses, realm: Realm) -> ResourceMetadata {
    ResourceMetadata {
        resource: addresses.api(realm).to_string(),
        authorization_servers: [addresses.issuer(realm).to_string()],
        scopes_supported: PARTNER_SCOPES,
        bearer_methods_supported: ["header"],
        dpop_bound_access_tokens_required: false,
        resource_name: "Onyx partner API",
    }
}
