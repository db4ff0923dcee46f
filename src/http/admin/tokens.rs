//! `/admin/v1/tokens`.

use actix_web::{HttpRequest, web};
use serde::Serialize;
use utoipa::ToSchema;

use crate::admin::tokens::{self, Named};
use crate::app::App;
use crate::domain::id::{ClientId, PartnerId};
use crate::domain::realm::Realm;
use crate::http::extract::{CredentialsRevoke, Operator};
use crate::http::members::Members;
use crate::http::problem::{FieldFault, Problem};
use crate::oauth::recognise::recognise_to_revoke;

/// The longest token that is looked at.
const MAX_TOKEN: usize = onyx_verifier::MAX_TOKEN_LENGTH;

/// What was revoked; only `"revoked": false` where a token was handed in that is not ours, or that
/// is over: nothing was left to do (as in RFC 7009 §2.2).
#[derive(Debug, Serialize, ToSchema)]
pub struct RevokedTokenView {
    revoked: bool,
    realm: Option<Realm>,
    jti: Option<String>,
    client_id: Option<ClientId>,
    partner_id: Option<PartnerId>,
}

impl From<Option<Named>> for RevokedTokenView {
    fn from(named: Option<Named>) -> Self {
        Self {
            revoked: named.is_some(),
            realm: named.as_ref().map(|token| token.realm),
            jti: named.as_ref().map(|token| token.jti.clone()),
            client_id: named.as_ref().and_then(|token| token.client_id.clone()),
            partner_id: named.and_then(|token| token.partner_id),
        }
    }
}

/// The token itself, or its realm and `jti`.
#[derive(Debug, ToSchema)]
#[schema(as = TokenRevocation, example = json!({ "realm": "sandbox", "jti": "sOCrFJjY4o1mkXVm8MBEEQ" }))]
pub struct TokenRevocationBody {
    /// The token; then neither of the others.
    #[schema(min_length = 1, max_length = 8192)]
    pub token: Option<String>,
    /// The realm of its issuer.
    pub realm: Option<Realm>,
    #[schema(min_length = 1, max_length = 128)]
    pub jti: Option<String>,
}

/// Revokes one token.
///
/// Of a token that is not this server's, or is over, nothing is left to revoke: `"revoked": false`.
#[utoipa::path(
    post, path = "/admin/v1/tokens/revoke", operation_id = "revoke_token", tag = "tokens",
    request_body = TokenRevocationBody,
    responses((status = 200, description = "What was revoked", body = RevokedTokenView))
)]
pub async fn revoke(
    who: Operator<CredentialsRevoke>,
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
) -> Result<web::Json<RevokedTokenView>, Problem> {
    let mut body = Members::read(&request, payload).await?;
    let taken = (
        body.optional_text("token", MAX_TOKEN),
        body.optional_parsed("realm"),
        body.optional_line("jti", 128),
    );
    let Some(token) = named(&app, body.finish(taken)?)? else {
        return Ok(web::Json(None.into()));
    };
    let revoked = app
        .carry_out(who.actor, move |db, act| tokens::revoke(db, act, token))
        .await?;
    Ok(web::Json(Some(revoked).into()))
}

/// A token without what comes along when it is copied from a header: it lives, and must not be taken for nobody's.
fn bare(text: &str) -> &str {
    let text = text.trim();
    match text.split_at_checked(7) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer ") => token.trim(),
        _ => text,
    }
}

/// The token that is meant: shown, or named by realm and `jti`. `None`: what was shown is not ours.
fn named(
    app: &App,
    taken: (Option<String>, Option<Realm>, Option<String>),
) -> Result<Option<Named>, Problem> {
    let fault = |pointer: &str, code, detail: &str| {
        Err(Problem::invalid(vec![FieldFault {
            pointer: pointer.to_owned(),
            code,
            detail: detail.to_owned(),
            row: None,
        }]))
    };
    match taken {
        (Some(token), None, None) => Ok(shown(app, bare(&token))),
        (None, Some(_), Some(jti)) if !jti.bytes().all(|b| b.is_ascii_graphic()) => {
            fault("/jti", "invalid", "must be visible ASCII characters")
        }
        (None, Some(realm), Some(jti)) => Ok(Some(Named {
            realm,
            jti,
            client_id: None,
            partner_id: None,
        })),
        (None, None, None) => fault("/token", "missing", "must be there, or realm and jti"),
        (None, Some(_), None) => fault("/jti", "missing", "must be there"),
        (None, None, Some(_)) => fault("/realm", "missing", "must be there"),
        (Some(_), _, _) => fault("/token", "invalid", "send either token, or realm and jti"),
    }
}

fn shown(app: &App, token: &str) -> Option<Named> {
    let now = app.clock.now();
    let (realm, caller) = recognise_to_revoke(&app.ring, &app.addresses, token, now)?;
    Some(Named {
        realm,
        jti: caller.token_id().to_owned(),
        client_id: caller.client_id().parse().ok(),
        partner_id: caller.partner_id().and_then(|id| id.parse().ok()),
    })
}
