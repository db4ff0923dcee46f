//! `GET /{env}/v1/me`: who the caller is, as the server sees it.

use actix_web::web;
use onyx_verifier::{Rejection, TokenFault};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::domain::credential::CredentialState;
use crate::domain::day::Day;
use crate::domain::id::{ClientId, CredentialId, PartnerId};
use crate::domain::instant::Instant;
use crate::domain::realm::Realm;
use crate::domain::scope::Scope;
use crate::http::extract::{AnyScope, Granted};
use crate::http::openapi::domain::Environment;
use crate::http::problem::Problem;
use crate::store::{StoreError, clients, credentials, grants, partners, scope_usage};

/// How many days back, today included, it is told what was used.
const USED_DAYS: u32 = 30;

/// What a partner sees of itself.
#[derive(Serialize, ToSchema)]
#[schema(as = Me)]
pub struct MeView {
    partner: PartnerPart,
    #[schema(value_type = Environment)]
    env: Realm,
    client: ClientPart,
    credential: CredentialPart,
    scopes: ScopesPart,
    token: TokenPart,
}

#[derive(Serialize, ToSchema)]
#[schema(as = MePartner)]
struct PartnerPart {
    id: PartnerId,
    name: String,
}

#[derive(Serialize, ToSchema)]
#[schema(as = MeClient)]
struct ClientPart {
    id: ClientId,
    name: String,
    expires_at: Option<Instant>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = MeCredential)]
struct CredentialPart {
    id: CredentialId,
    state: CredentialState,
    hint: String,
    created_at: Instant,
    expires_at: Option<Instant>,
    /// Of one that was superseded: until when it is accepted.
    accepts_until: Option<Instant>,
    first_used_at: Option<Instant>,
    /// As of about a second ago.
    last_used_at: Option<Instant>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = MeScopes)]
struct ScopesPart {
    /// What the partner's approved grants allow this client at the partner API.
    granted: Vec<Scope>,
    /// What the client has used in the last 30 days, whatever its tokens carried.
    used: Vec<Scope>,
    /// What this very token carries.
    token: Vec<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = MeToken)]
struct TokenPart {
    id: String,
    expires_at: Instant,
}

/// Describes the caller to itself.
#[utoipa::path(
    get, path = "/{env}/v1/me", operation_id = "me", tag = "me",
    responses((status = 200, description = "The caller", body = MeView))
)]
pub async fn show(
    who: Granted<AnyScope>,
    app: web::Data<App>,
) -> Result<web::Json<MeView>, Problem> {
    let now = app.clock.now();
    let used_from = Day::of(now).minus(USED_DAYS - 1);
    let (client_id, credential_id) = (who.client_id.clone(), who.credential_id.clone());
    let found = app
        .store
        .read_as(who.tenant.clone(), move |db, tenant| {
            let client = clients::of_tenant(db, tenant, &client_id)?;
            let credential = credentials::of_tenant(db, tenant, &credential_id)?;
            let partner = partners::find(db, tenant.partner_id())?;
            let grants = grants::in_force(db, tenant.partner_id(), tenant.realm(), now)?;
            let used = scope_usage::used_by_tenant(db, tenant, &client_id, used_from)?;
            Ok::<_, StoreError>((partner, client, credential, (grants, used)))
        })
        .await?;
    let (Some(partner), Some(client), Some(credential), (grants, used)) = found else {
        // A good token of records that are gone: only a restored backup does this.
        return Err(Problem::refused(
            &Rejection::InvalidToken(TokenFault::InvalidClaim("credential_id")),
            who.tenant.realm().as_str(),
            None,
        ));
    };
    let at_partner_api = grants
        .into_iter()
        .filter(|g| g.resource_server_id.is_none());
    let mut granted: Vec<Scope> = at_partner_api
        .map(|g| g.scope)
        .filter(|s| client.scopes.contains(s))
        .collect();
    granted.sort();
    granted.dedup();
    Ok(web::Json(MeView {
        partner: PartnerPart {
            id: partner.id,
            name: partner.name,
        },
        env: who.tenant.realm(),
        client: ClientPart {
            id: client.id,
            name: client.name,
            expires_at: client.expires_at,
        },
        credential: CredentialPart {
            id: credential.id,
            state: credential.state,
            hint: credential.hint,
            created_at: credential.created_at,
            expires_at: credential.expires_at,
            accepts_until: credential.accepts_until,
            first_used_at: credential.first_used_at,
            last_used_at: credential.last_used_at.or(credential.first_used_at),
        },
        scopes: ScopesPart {
            granted,
            used,
            token: who.caller.scopes().map(str::to_owned).collect(),
        },
        token: TokenPart {
            id: who.caller.token_id().to_owned(),
            expires_at: Instant::from_epoch_seconds(who.caller.expires_at()),
        },
    }))
}
