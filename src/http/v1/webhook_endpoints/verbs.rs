//! What is done with an endpoint beyond changing it.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::CACHE_CONTROL;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::view::{AttemptView, ChallengedView, EndpointView, RotatedView};
use super::{ask, id};
use crate::app::App;
use crate::domain::id::{EventId, WebhookEndpointId};
use crate::domain::tenant::Tenant;
use crate::domain::webhook::{DisabledReason, EndpointState};
use crate::http::admin::Nothing;
use crate::http::extract::{Granted, WebhooksManage};
use crate::http::idempotency::{self, Begun, OptionalKey};
use crate::http::limits::charge_message;
use crate::http::members::Members;
use crate::http::openapi::refusals::Conflict;
use crate::http::problem::Problem;
use crate::partner::PartnerError;
use crate::partner::idempotency::{Answer, Once};
use crate::partner::webhook_endpoints::{self as endpoints, LONGEST_OVERLAP, OVERLAP, Signing};
use crate::store::Db;
use crate::store::webhook_endpoints::Endpoint;
use crate::webhook::challenge::Asked;
use crate::webhook::sign;

/// The type of the message that a test sends.
const TEST: &str = "webhook_endpoint.test";

/// How a secret is to be rotated.
#[derive(Debug, ToSchema)]
#[schema(as = WebhookSecretRotation, example = json!({"overlap_seconds": 3600}))]
pub struct RotationBody {
    /// How long messages carry the old secret's signature, too; 86400 unless said otherwise.
    #[schema(minimum = 0, maximum = 604_800)]
    pub overlap_seconds: Option<i32>,
}

/// Asks a webhook endpoint for its challenge, again.
///
/// An active endpoint that does not answer stays active.
#[utoipa::path(
    post, path = "/{env}/v1/webhook-endpoints/{id}/verify", operation_id = "verify_webhook_endpoint",
    tag = "webhooks",
    params(("id" = WebhookEndpointId, Path, description = "The endpoint")),
    request_body = Nothing,
    responses(
        (status = 200, description = "The endpoint, `active` if it answered", body = ChallengedView),
        Conflict,
    )
)]
pub async fn verify(
    who: Granted<WebhooksManage>,
    path: web::Path<String>,
    key: OptionalKey,
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
) -> Result<HttpResponse, Problem> {
    let (id, operation) = (id(&path)?, "webhook_endpoints.verify");
    let once = once(&who.tenant, key, operation, &request, payload).await?;
    let send = async |sending: &Sending, signing: Signing| {
        endpoints::check_unverified(&signing.endpoint)?;
        let asked = sending.ask(&signing).await?;
        let act = sending.app.partner_act(sending.who.actor.clone());
        Ok(move |db: &mut Db, tenant: &Tenant| {
            let asked_at = &signing.endpoint;
            let endpoint = endpoints::challenged(db, tenant, &act, asked_at, asked.answered)?;
            kept(&ChallengedView::of(endpoint, Some(&asked)))
        })
    };
    let sending = Sending { who, request, app };
    sending.carry_out(id, once, send).await
}

/// A request without members in its body, under a key if it came with one.
async fn once(
    tenant: &Tenant,
    key: OptionalKey,
    operation: &'static str,
    request: &HttpRequest,
    payload: web::Payload,
) -> Result<Option<Once>, Problem> {
    let body = Members::read(request, payload).await?;
    let once = key.once(tenant, operation, request.path(), &body)?;
    body.finish(())?;
    Ok(once)
}

/// A view as an answer that can be kept: it holds no secret.
fn kept(view: &impl Serialize) -> Result<Answer, PartnerError> {
    idempotency::kept(StatusCode::OK, None, view, None::<&str>)
}

/// A request that has something sent to an endpoint: on the network, so outside any transaction.
struct Sending {
    who: Granted<WebhooksManage>,
    request: HttpRequest,
    app: web::Data<App>,
}

impl Sending {
    /// Does it, or answers what was answered under its key before. `send` says what to write down of it, and answer.
    async fn carry_out<W>(
        self,
        id: WebhookEndpointId,
        once: Option<Once>,
        send: impl AsyncFnOnce(&Self, Signing) -> Result<W, Problem>,
    ) -> Result<HttpResponse, Problem>
    where
        W: FnOnce(&mut Db, &Tenant) -> Result<Answer, PartnerError> + Send + 'static,
    {
        let (request, app, tenant) = (&self.request, &self.app, &self.who.tenant);
        let running = match idempotency::begin(request, app, tenant, once).await? {
            Begun::Before(answer) => return Ok(answer),
            Begun::Now(running) => running,
        };
        let (master, now) = (Arc::clone(&app.master), app.clock.now());
        let read = app.store.read_as(tenant.clone(), move |db, tenant| {
            endpoints::signing(db, tenant, &master, &id, now)
        });
        let work = send(&self, read.await?).await?;
        running.finish(request, app, tenant.clone(), work).await
    }

    /// Asks the endpoint for its challenge.
    async fn ask(&self, signing: &Signing) -> Result<Asked, Problem> {
        self.charge(&signing.endpoint).await?;
        Ok(ask(&self.app, signing).await)
    }

    async fn charge(&self, endpoint: &Endpoint) -> Result<(), Problem> {
        charge_message(&self.request, &self.app, &self.who.tenant, &endpoint.id).await
    }
}

/// Gives a webhook endpoint a new secret. This answer alone shows it.
///
/// Until the overlap ends messages carry both signatures: receivers take the new secret in their own time.
#[utoipa::path(
    post, path = "/{env}/v1/webhook-endpoints/{id}/rotate-secret", operation_id = "rotate_webhook_secret",
    tag = "webhooks",
    params(("id" = WebhookEndpointId, Path, description = "The endpoint")),
    request_body = RotationBody,
    responses((status = 201, description = "The new secret", body = RotatedView))
)]
pub async fn rotate_secret(
    who: Granted<WebhooksManage>,
    path: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
) -> Result<HttpResponse, Problem> {
    let id = id(&path)?;
    let overlap = overlap(Members::read(&request, payload).await?)?;
    let (act, master) = (app.partner_act(who.actor), Arc::clone(&app.master));
    let rotated = app.store.write_as(who.tenant, move |db, tenant| {
        endpoints::rotate(db, tenant, &act, &master, &id, overlap)
    });
    Ok(HttpResponse::Created()
        .insert_header((CACHE_CONTROL, "no-store"))
        .json(RotatedView::from(rotated.await?)))
}

fn overlap(mut body: Members) -> Result<Duration, Problem> {
    let longest = i32::try_from(LONGEST_OVERLAP.as_secs()).unwrap_or(i32::MAX);
    let taken = (body.optional_integer("overlap_seconds", 0..=longest),);
    let (seconds,) = body.finish(taken)?;
    let seconds = seconds.and_then(|seconds| u64::try_from(seconds).ok());
    Ok(seconds.map_or(OVERLAP, Duration::from_secs))
}

/// Sends a webhook endpoint a signed message of the type `webhook_endpoint.test`, now.
///
/// It is no event: it has no `seq`, is not sent again, and its failure counts for nothing.
#[utoipa::path(
    post, path = "/{env}/v1/webhook-endpoints/{id}/test", operation_id = "test_webhook_endpoint",
    tag = "webhooks",
    params(("id" = WebhookEndpointId, Path, description = "The endpoint")),
    request_body = Nothing,
    responses((status = 200, description = "What came of it", body = AttemptView), Conflict)
)]
pub async fn test(
    who: Granted<WebhooksManage>,
    path: web::Path<String>,
    key: OptionalKey,
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
) -> Result<HttpResponse, Problem> {
    let (id, operation) = (id(&path)?, "webhook_endpoints.test");
    let once = once(&who.tenant, key, operation, &request, payload).await?;
    let send = async |sending: &Sending, Signing { endpoint, secrets }| {
        endpoints::check_verified(&endpoint)?;
        sending.charge(&endpoint).await?;
        let now = sending.app.clock.now();
        let message = EventId::generate(now);
        let body = json!({
            "id": message, "type": TEST, "created_at": now, "env": endpoint.realm,
            "data": {"webhook_endpoint_id": endpoint.id},
        });
        let body = body.to_string().into_bytes();
        let headers = sign::sign(&secrets, message.as_str(), now, &body);
        let webhooks = &sending.app.webhooks;
        let attempt = webhooks.post(&endpoint.url, &headers, body, false).await;
        let view = AttemptView::from(&attempt);
        Ok(move |_: &mut Db, _: &Tenant| kept(&view))
    };
    let sending = Sending { who, request, app };
    sending.carry_out(id, once, send).await
}

/// Enables a disabled webhook endpoint. It is told of all that has happened since it was disabled.
///
/// If its URL was changed meanwhile, it is asked for its challenge first.
#[utoipa::path(
    post, path = "/{env}/v1/webhook-endpoints/{id}/enable", operation_id = "enable_webhook_endpoint",
    tag = "webhooks",
    params(("id" = WebhookEndpointId, Path, description = "The endpoint")),
    request_body = Nothing,
    responses((status = 200, description = "The endpoint, `active`", body = ChallengedView), Conflict)
)]
pub async fn enable(
    who: Granted<WebhooksManage>,
    path: web::Path<String>,
    key: OptionalKey,
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
) -> Result<HttpResponse, Problem> {
    let (id, operation) = (id(&path)?, "webhook_endpoints.enable");
    let once = once(&who.tenant, key, operation, &request, payload).await?;
    let send = async |sending: &Sending, signing: Signing| {
        let is_disabled = signing.endpoint.state == EndpointState::Disabled;
        let asked = match signing.endpoint.verified_at {
            None if is_disabled => Some(sending.ask(&signing).await?),
            _ => None,
        };
        let act = sending.app.partner_act(sending.who.actor.clone());
        Ok(move |db: &mut Db, tenant: &Tenant| {
            let endpoint = &signing.endpoint;
            if let Some(asked) = &asked {
                endpoints::challenged(db, tenant, &act, endpoint, asked.answered)?;
            }
            let endpoint = endpoints::enable(db, tenant, &act, &endpoint.id)?;
            kept(&ChallengedView::of(endpoint, asked.as_ref()))
        })
    };
    let sending = Sending { who, request, app };
    sending.carry_out(id, once, send).await
}

/// Disables an active webhook endpoint: nothing is sent to it any more.
#[utoipa::path(
    post, path = "/{env}/v1/webhook-endpoints/{id}/disable", operation_id = "disable_webhook_endpoint",
    tag = "webhooks",
    params(("id" = WebhookEndpointId, Path, description = "The endpoint")),
    request_body = Nothing,
    responses((status = 200, description = "The endpoint, `disabled`", body = EndpointView), Conflict)
)]
pub async fn disable(
    who: Granted<WebhooksManage>,
    path: web::Path<String>,
    key: OptionalKey,
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
) -> Result<HttpResponse, Problem> {
    let id = id(&path)?;
    let operation = "webhook_endpoints.disable";
    let once = once(&who.tenant, key, operation, &request, payload).await?;
    let act = app.partner_act(who.actor);
    let disable = move |db: &mut Db, tenant: &Tenant| {
        let endpoint = endpoints::disable(db, tenant, &act, &id, DisabledReason::Partner)?;
        kept(&EndpointView::from(endpoint))
    };
    idempotency::execute_if_keyed(&request, &app, who.tenant, once, disable).await
}
