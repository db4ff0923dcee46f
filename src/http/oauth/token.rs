//! `POST /{realm}/oauth2/token` (RFC 6749 §3.2).

use std::cell::OnceCell;
use std::time::{Duration, Instant as Stopwatch};

use actix_web::http::StatusCode;
use actix_web::http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, PRAGMA, RETRY_AFTER,
    WWW_AUTHENTICATE,
};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::door::Door;
use crate::app::App;
use crate::causes::Causes;
use crate::domain::id::ClientId;
use crate::domain::instant::Instant;
use crate::domain::realm::Realm;
use crate::http::refused::note_oauth;
use crate::http::trace::Code;
use crate::http::{body, limits, source};
use crate::limits::Charged;
use crate::oauth::grant::{Desk, grant};
use crate::oauth::issue::{Press, TokenAnswer, issue};
use crate::oauth::refusal::Refusal;
use crate::oauth::request::TokenRequest;
use crate::telemetry::telemetry;

/// An error answer (RFC 6749 §5.2).
#[derive(Serialize)]
struct Wire<'a> {
    error: &'a str,
    error_description: &'a str,
    /// Which limit was met.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
}

/// A token request.
#[derive(Debug, ToSchema)]
#[schema(as = TokenRequest, example = json!({
    "grant_type": "client_credentials", "scope": "orders:read"
}))]
pub struct TokenForm {
    /// `client_credentials`.
    #[schema(pattern = "^client_credentials$")]
    pub grant_type: String,
    /// Scopes, separated by spaces; the client's default scopes unless said otherwise.
    #[schema(nullable = false, example = "orders:read usage:read")]
    pub scope: Option<String>,
    /// Audiences (RFC 8707): the parameter may be sent more than once. The realm's own API
    /// unless said otherwise.
    #[schema(nullable = false)]
    pub resource: Option<Vec<String>>,
    /// Together with `client_secret`, where HTTP Basic is not used.
    #[schema(nullable = false)]
    pub client_id: Option<ClientId>,
    #[schema(nullable = false, format = Password)]
    pub client_secret: Option<String>,
}

// `Wire` as it is described.
/// An error of an OAuth endpoint (RFC 6749 §5.2).
#[derive(Debug, ToSchema)]
#[schema(as = OAuthError)]
pub struct OAuthErrorView {
    /// The registered code.
    #[schema(example = "invalid_client")]
    pub error: String,
    /// For people.
    pub error_description: String,
    /// With status 429: which limit was met.
    #[schema(nullable = false, example = "tokens_limit_exceeded")]
    pub code: Option<String>,
}

/// Exchanges client credentials for an access token (RFC 6749 §4.4).
///
/// The client authenticates by HTTP Basic, or in the form. Parameters that are not listed are ignored.
#[utoipa::path(
    post, path = "/{realm}/oauth2/token", operation_id = "request_token", tag = "oauth",
    request_body(content = TokenForm, content_type = "application/x-www-form-urlencoded"),
    security(("client_secret_basic" = []), ()),
    responses((status = 200, description = "The token", body = TokenAnswer))
)]
pub async fn exchange(
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
    realm: web::ThinData<Realm>,
) -> HttpResponse {
    let charged = OnceCell::new();
    let mut told = match answer(&request, payload, &app, realm.0, &charged).await {
        Ok(token) => {
            telemetry().tokens.issued(realm.0);
            given(&token, app.clock.now())
        }
        Err(denial) => {
            telemetry().tokens.refused(realm.0, denial.code());
            denial.response(&app, &request, realm.0)
        }
    };
    if let Some(charged) = charged.get() {
        limits::tell(told.headers_mut(), charged);
    }
    told
}

/// How long before a credential's end its answers begin to say so.
const LAST_DAYS: Duration = Duration::from_secs(30 * 24 * 3600);

fn given(token: &TokenAnswer, now: Instant) -> HttpResponse {
    let mut answer = uncached(HttpResponse::Ok());
    if let Some(end) = token
        .credential_ends_at
        .filter(|end| *end < now.plus(LAST_DAYS))
    {
        answer.insert_header(("Onyx-Credential-Expires", end.to_string()));
    }
    answer
        .insert_header((CONTENT_TYPE, HeaderValue::from_static("application/json")))
        .body(token.json())
}

pub(super) fn is_form(request: &HttpRequest) -> bool {
    body::is(request, "application/x-www-form-urlencoded")
}

/// How a client authenticates: by its headers, or by the form.
pub(super) fn asked(request: &HttpRequest, form: &[u8]) -> Result<TokenRequest, Denial> {
    if query_has_credentials(request) {
        return Err(Refusal::invalid_request(
            "credentials do not belong in the URI: send them in the body",
        )
        .into());
    }
    let authorization: Vec<&[u8]> = request
        .headers()
        .get_all(AUTHORIZATION)
        .map(HeaderValue::as_bytes)
        .collect();
    Ok(TokenRequest::read(&authorization, form)?)
}

async fn answer(
    request: &HttpRequest,
    payload: web::Payload,
    app: &App,
    realm: Realm,
    charged: &OnceCell<Charged>,
) -> Result<TokenAnswer, Denial> {
    if !is_form(request) {
        return Err(Denial::UnsupportedMediaType);
    }
    let form = body::bytes(request, payload).await.map_err(Denial::Body)?;
    let asked = asked(request, &form)?;
    let now = app.clock.now();
    let from = source::address(request, &app.settings.trusted_proxies);
    let door = Door::knock(app, realm, &asked.client_id, from, now)?;
    // Before the look-up: a revocation that this node has not heard of then kills the token.
    let began = Stopwatch::now();
    let rsn = app.feed.applied();
    let desk = Desk {
        directory: &app.directory,
        master: &app.master,
        addresses: &app.addresses,
        signing_alg: app.settings.signing_alg,
        rates: app.rates(),
        usage: &app.usage,
        charged,
        realm,
        from,
        now,
    };
    let granted = door.let_in(grant(desk, &asked).await, |granted| &granted.who)?;
    let press = Press {
        ring: &app.ring,
        tokens: &app.tokens,
        uses: &app.uses,
        usage: &app.usage,
        indices: &app.indices,
        addresses: &app.addresses,
        token_ttl: app.settings.token_ttl,
        realm,
        rsn,
        now,
        began,
    };
    Ok(issue(press, granted, from).await?)
}

/// Another method than POST.
pub async fn method_not_allowed() -> HttpResponse {
    coded(HttpResponse::MethodNotAllowed(), "invalid_request")
        .insert_header(("Allow", "POST"))
        .json(Wire {
            error: "invalid_request",
            error_description: "use POST",
            code: None,
        })
}

/// Why no token is answered: the protocol's refusals, and those of HTTP around it.
#[derive(Debug)]
pub(super) enum Denial {
    Refused {
        refusal: Refusal,
        /// Who asks, as far as it says so.
        client: Option<String>,
    },
    UnsupportedMediaType,
    Body(body::BodyError),
}

impl From<Refusal> for Denial {
    fn from(refusal: Refusal) -> Self {
        Self::Refused {
            refusal,
            client: None,
        }
    }
}

impl Denial {
    /// The error's code.
    fn code(&self) -> &'static str {
        match self {
            Self::Refused { refusal, .. } => refusal.limit().unwrap_or(refusal.code()),
            Self::UnsupportedMediaType | Self::Body(_) => "invalid_request",
        }
    }

    /// A refusal of who says that it is this client.
    pub(super) fn to(client: &str, refusal: Refusal) -> Self {
        Self::Refused {
            refusal,
            client: Some(client.to_owned()),
        }
    }

    /// The answer. Every refusal of an OAuth endpoint comes by here, and is counted if it concerns security.
    pub(super) fn response(&self, app: &App, request: &HttpRequest, realm: Realm) -> HttpResponse {
        match self {
            Self::Refused { refusal, client } => {
                note_oauth(app, request, refusal, client.as_deref(), realm);
                refused(refusal, request, realm)
            }
            Self::UnsupportedMediaType => {
                let advice = "send the body as application/x-www-form-urlencoded";
                invalid(StatusCode::UNSUPPORTED_MEDIA_TYPE, advice)
            }
            Self::Body(body::BodyError::TooLarge) => invalid(
                StatusCode::PAYLOAD_TOO_LARGE,
                "a body has at most 65536 bytes",
            ),
            Self::Body(body::BodyError::Slow) => invalid(
                StatusCode::REQUEST_TIMEOUT,
                "the body did not arrive within 10 seconds",
            ),
            Self::Body(body::BodyError::Coded) => {
                let mut answer = invalid(StatusCode::UNSUPPORTED_MEDIA_TYPE, body::CODED);
                let identity = HeaderValue::from_static("identity");
                answer.headers_mut().insert(ACCEPT_ENCODING, identity);
                answer
            }
            Self::Body(body::BodyError::Broken) => {
                invalid(StatusCode::BAD_REQUEST, "the body did not arrive whole")
            }
        }
    }
}

fn invalid(status: StatusCode, advice: &str) -> HttpResponse {
    coded(HttpResponse::build(status), "invalid_request").json(Wire {
        error: "invalid_request",
        error_description: advice,
        code: None,
    })
}

fn refused(refusal: &Refusal, request: &HttpRequest, realm: Realm) -> HttpResponse {
    let used_header = request.headers().contains_key(AUTHORIZATION);
    let mut answer = HttpResponse::build(status(refusal, used_header));
    match refusal {
        Refusal::Store(_)
        | Refusal::Append(_)
        | Refusal::Late
        | Refusal::NoKey
        | Refusal::NoIndex(_)
        | Refusal::Randomness(_)
        | Refusal::Signer(_) => {
            log::error!("nothing could be given: {}", Causes(refusal));
            answer.insert_header((RETRY_AFTER, "1"));
        }
        Refusal::LimitExceeded(over) => {
            let wait = limits::seconds(over.retry_after).max(1);
            answer.insert_header((RETRY_AFTER, wait));
        }
        Refusal::TooManyFailures(left) => {
            answer.insert_header((RETRY_AFTER, seconds(*left)));
        }
        Refusal::NoClientAuthentication(_) | Refusal::InvalidClient | Refusal::WrongAddress
            if used_header =>
        {
            answer.insert_header((
                WWW_AUTHENTICATE,
                format!("Basic realm=\"{realm}\", charset=\"UTF-8\""),
            ));
        }
        _ => {}
    }
    let description = printable(&refusal.to_string());
    let limit = refusal.limit();
    coded(answer, limit.unwrap_or(refusal.code())).json(Wire {
        error: refusal.code(),
        error_description: &description,
        code: limit,
    })
}

fn status(refusal: &Refusal, used_header: bool) -> StatusCode {
    match refusal {
        Refusal::NoClientAuthentication(_) | Refusal::InvalidClient | Refusal::WrongAddress
            if used_header =>
        {
            StatusCode::UNAUTHORIZED
        }
        Refusal::NoClientAuthentication(_)
        | Refusal::InvalidClient
        | Refusal::WrongAddress
        | Refusal::InvalidRequest(_)
        | Refusal::UnsupportedGrantType
        | Refusal::InvalidScope(_)
        | Refusal::InvalidTarget(_)
        | Refusal::UnauthorizedClient(_)
        | Refusal::InvalidGrant(_) => StatusCode::BAD_REQUEST,
        Refusal::RotationPending(_) => StatusCode::CONFLICT,
        Refusal::LimitExceeded(_) | Refusal::TooManyFailures(_) => StatusCode::TOO_MANY_REQUESTS,
        Refusal::Store(_)
        | Refusal::Append(_)
        | Refusal::Late
        | Refusal::NoKey
        | Refusal::NoIndex(_)
        | Refusal::Randomness(_)
        | Refusal::Signer(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// Whole seconds, a begun one counted: who waits so long is not too early.
fn seconds(left: Duration) -> u64 {
    left.as_secs() + u64::from(left.subsec_nanos() > 0)
}

/// Only what RFC 6749 §5.2 allows in a description: %x20-21 / %x23-5B / %x5D-7E.
fn printable(text: &str) -> String {
    let fits = |c: &char| matches!(c, '\x20'..='\x21' | '\x23'..='\x5B' | '\x5D'..='\x7E');
    text.chars()
        .map(|c| if fits(&c) { c } else { '?' })
        .collect()
}

/// Tokens and refusals are for one caller, once (RFC 6749 §5.1).
pub(super) fn uncached(mut answer: HttpResponseBuilder) -> HttpResponseBuilder {
    answer
        .insert_header((CACHE_CONTROL, HeaderValue::from_static("no-store")))
        .insert_header((PRAGMA, HeaderValue::from_static("no-cache")));
    answer
}

/// The same, with the error's code for the log.
fn coded(answer: HttpResponseBuilder, code: &'static str) -> HttpResponseBuilder {
    let mut answer = uncached(answer);
    answer.extensions_mut().insert(Code(code));
    answer
}

fn query_has_credentials(request: &HttpRequest) -> bool {
    let query = request.query_string().as_bytes();
    url::form_urlencoded::parse(query).any(|(name, _)| {
        matches!(
            name.as_ref(),
            "client_id" | "client_secret" | "client_assertion"
        )
    })
}
