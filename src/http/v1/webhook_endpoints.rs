//! `/{env}/v1/webhook-endpoints`: where the partner is told of events.

pub mod view;

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::{CACHE_CONTROL, LOCATION};
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::json;
use utoipa::ToSchema;

use crate::app::App;
use crate::audit::Actor;
use crate::domain::id::{EventId, WebhookEndpointId};
use crate::domain::tenant::Tenant;
use crate::domain::webhook::{DisabledReason, EndpointState, EventTypes, SignatureKind};
use crate::http::admin::Nothing;
use crate::http::body::Members;
use crate::http::extract::{Granted, WebhooksManage};
use crate::http::list::{ListQuery, ListView};
use crate::http::openapi::refusals::Conflict;
use crate::http::problem::Problem;
use crate::partner::PartnerError;
use crate::partner::webhook_endpoints::{
    self as endpoints, Change, LONGEST_OVERLAP, NewEndpoint, OVERLAP, Signing,
};
use crate::store::webhook_endpoints::{Endpoint, page};
use crate::store::webhook_secrets::usable;
use crate::webhook::challenge::{self, Asked};
use crate::webhook::sign;
use view::{
    AttemptView, ChallengedView, CreatedView, EndpointDetailView, EndpointView, RotatedView,
};

/// The type of the message that a test sends.
const TEST: &str = "webhook_endpoint.test";

/// An endpoint to be.
#[derive(Debug, ToSchema)]
#[schema(as = NewWebhookEndpoint, example = json!({
    "url": "https://hooks.example.com/onyx", "event_types": ["order.fulfilled", "order.failed"]
}))]
pub struct NewEndpointBody {
    /// An https URL. It must not lead to a private address; redirects are not followed.
    #[schema(max_length = 2048)]
    pub url: String,
    pub event_types: EventTypes,
    /// `v1` unless said otherwise: most libraries verify no other.
    pub signature: Option<SignatureKind>,
}

/// What is to be another way.
#[derive(Debug, ToSchema)]
#[schema(as = WebhookEndpointChange, example = json!({"event_types": ["*"]}))]
pub struct ChangeBody {
    /// Nothing is delivered before the challenge is answered there.
    #[schema(max_length = 2048, nullable = false)]
    pub url: Option<String>,
    #[schema(nullable = false)]
    pub event_types: Option<EventTypes>,
}

/// How a secret is to be rotated.
#[derive(Debug, ToSchema)]
#[schema(as = WebhookSecretRotation, example = json!({"overlap_seconds": 3600}))]
pub struct RotationBody {
    /// How long messages carry the old secret's signature, too; 86400 unless said otherwise.
    #[schema(minimum = 0, maximum = 604_800)]
    pub overlap_seconds: Option<i32>,
}

/// Lists the webhook endpoints of the caller's partner, the newest first.
#[utoipa::path(
    get, path = "/{env}/v1/webhook-endpoints", operation_id = "list_webhook_endpoints", tag = "webhooks",
    params(("state" = Option<EndpointState>, Query, description = "Only endpoints in this state.")),
    responses((status = 200, description = "A page of endpoints", body = ListView<EndpointView>))
)]
pub async fn list(
    who: Granted<WebhooksManage>,
    mut query: ListQuery,
    app: web::Data<App>,
) -> Result<web::Json<ListView<EndpointView>>, Problem> {
    let state = query.filter("state")?;
    let asked = query.page()?;
    let read = app.store.read_as(who.tenant, move |db, tenant| {
        page(db, tenant, state, &asked)
    });
    Ok(ListView::of(read.await?, EndpointView::from))
}

/// Sets a webhook endpoint up, and asks it for its challenge.
///
/// It is sent `{"type": "webhook_endpoint.challenge", "challenge": "…"}`, signed, and must answer 200 with
/// `{"challenge": "…"}`. If it does, it is active; otherwise it is pending, and `challenge` says what came
/// of it: mend it and ask again under `…/verify`. This answer alone shows the secret.
#[utoipa::path(
    post, path = "/{env}/v1/webhook-endpoints", operation_id = "create_webhook_endpoint", tag = "webhooks",
    request_body = NewEndpointBody,
    responses(
        (status = 201, description = "The endpoint with its secret", body = CreatedView,
            headers(("Location" = String, description = "Where it is read."))),
        Conflict,
    )
)]
pub async fn create(
    who: Granted<WebhooksManage>,
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
) -> Result<HttpResponse, Problem> {
    let new = new_endpoint(Members::read(&request, payload).await?, &app)?;
    app.webhooks.check(&new.url).await.map_err(view::bad_url)?;
    let (act, master) = (app.partner_act(who.actor.clone()), Arc::clone(&app.master));
    let create = move |db: &mut _, tenant: &_| endpoints::create(db, tenant, &act, &master, new);
    let made = app.store.write_as(who.tenant.clone(), create).await?;
    let asked = ask(&app, &made).await;
    let endpoint = settle(&app, who.actor, who.tenant, made.endpoint, &asked).await?;
    let secret = made.secrets.first().ok_or_else(Problem::not_found)?;
    let location = format!("/{}/v1/webhook-endpoints/{}", endpoint.realm, endpoint.id);
    Ok(HttpResponse::Created()
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((LOCATION, location))
        .json(CreatedView::of(endpoint, secret, &asked)))
}

fn new_endpoint(mut body: Members, app: &App) -> Result<NewEndpoint, Problem> {
    let taken = (
        view::url(&mut body, "url", app.webhooks.guard()),
        view::event_types(&mut body, "event_types"),
        body.optional_parsed("signature"),
    );
    let (url, event_types, signature) = body.finish(taken)?;
    Ok(NewEndpoint {
        url,
        event_types,
        signature: signature.unwrap_or(SignatureKind::V1),
    })
}

/// Asks an endpoint for its challenge. Outside every transaction: it may take its time.
async fn ask(app: &App, signing: &Signing) -> Asked {
    let url = &signing.endpoint.url;
    challenge::ask(&app.webhooks, url, &signing.secrets, app.clock.now()).await
}

/// Writes down that a challenge was answered, if it was.
async fn settle(
    app: &App,
    actor: Actor,
    tenant: Tenant,
    endpoint: Endpoint,
    asked: &Asked,
) -> Result<Endpoint, Problem> {
    if !asked.answered {
        return Ok(endpoint);
    }
    let act = app.partner_act(actor);
    let answered = app.store.write_as(tenant, move |db, tenant| {
        endpoints::answered(db, tenant, &act, &endpoint.id, &endpoint.url)
    });
    Ok(answered.await?)
}

/// Shows a webhook endpoint.
#[utoipa::path(
    get, path = "/{env}/v1/webhook-endpoints/{id}", operation_id = "show_webhook_endpoint", tag = "webhooks",
    params(("id" = WebhookEndpointId, Path, description = "The endpoint")),
    responses((status = 200, description = "The endpoint", body = EndpointDetailView))
)]
pub async fn show(
    who: Granted<WebhooksManage>,
    path: web::Path<String>,
    app: web::Data<App>,
) -> Result<web::Json<EndpointDetailView>, Problem> {
    let (id, now) = (id(&path)?, app.clock.now());
    let read = app.store.read_as(who.tenant, move |db, tenant| {
        let endpoint = endpoints::get(db, tenant, &id)?;
        let secrets = usable(db, tenant, &id, now)?;
        Ok::<_, PartnerError>(EndpointDetailView::of(endpoint, secrets))
    });
    Ok(web::Json(read.await?))
}

/// Changes a webhook endpoint.
///
/// At another URL it is asked for its challenge, and nothing is delivered before it answers. A disabled
/// endpoint stays disabled, and is asked when it is enabled.
#[utoipa::path(
    patch, path = "/{env}/v1/webhook-endpoints/{id}", operation_id = "change_webhook_endpoint", tag = "webhooks",
    params(("id" = WebhookEndpointId, Path, description = "The endpoint")),
    request_body = ChangeBody,
    responses((status = 200, description = "The endpoint", body = ChallengedView))
)]
pub async fn edit(
    who: Granted<WebhooksManage>,
    path: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
) -> Result<web::Json<ChallengedView>, Problem> {
    let id = id(&path)?;
    let change = change(Members::read(&request, payload).await?, &app)?;
    if let Some(url) = &change.url {
        app.webhooks.check(url).await.map_err(view::bad_url)?;
    }
    let (act, master) = (app.partner_act(who.actor.clone()), Arc::clone(&app.master));
    let changed = app.store.write_as(who.tenant.clone(), move |db, tenant| {
        let moved = endpoints::change(db, tenant, &act, &id, change)?;
        let signing = endpoints::signing(db, tenant, &master, &id, act.now)?;
        Ok::<_, PartnerError>((signing, moved))
    });
    let (signing, moved) = changed.await?;
    if moved && signing.endpoint.state != EndpointState::Disabled {
        return challenge_and_settle(&app, who, signing).await;
    }
    Ok(web::Json(ChallengedView {
        endpoint: signing.endpoint.into(),
        challenge: None,
    }))
}

fn change(mut body: Members, app: &App) -> Result<Change, Problem> {
    let guard = app.webhooks.guard();
    let taken = (
        body.replacement("url", |body, name| view::url(body, name, guard)),
        body.replacement("event_types", view::event_types),
    );
    let (url, event_types) = body.finish(taken)?;
    Ok(Change { url, event_types })
}

async fn challenge_and_settle(
    app: &App,
    who: Granted<WebhooksManage>,
    signing: Signing,
) -> Result<web::Json<ChallengedView>, Problem> {
    let asked = ask(app, &signing).await;
    let endpoint = settle(app, who.actor, who.tenant, signing.endpoint, &asked).await?;
    Ok(web::Json(ChallengedView {
        endpoint: endpoint.into(),
        challenge: Some((&asked).into()),
    }))
}

/// Deletes a webhook endpoint. What is under way to it is not sent again.
#[utoipa::path(
    delete, path = "/{env}/v1/webhook-endpoints/{id}", operation_id = "delete_webhook_endpoint",
    tag = "webhooks",
    params(("id" = WebhookEndpointId, Path, description = "The endpoint")),
    responses((status = 204, description = "It is deleted."))
)]
pub async fn delete(
    who: Granted<WebhooksManage>,
    path: web::Path<String>,
    app: web::Data<App>,
) -> Result<HttpResponse, Problem> {
    let (id, act) = (id(&path)?, app.partner_act(who.actor));
    let delete = move |db: &mut _, tenant: &_| endpoints::delete(db, tenant, &act, &id);
    app.store.write_as(who.tenant, delete).await?;
    Ok(HttpResponse::NoContent().finish())
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
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
) -> Result<web::Json<ChallengedView>, Problem> {
    let id = id(&path)?;
    Members::read(&request, payload).await?.finish(())?;
    let signing = signing(&app, &who.tenant, id).await?;
    endpoints::check_unverified(&signing.endpoint)?;
    challenge_and_settle(&app, who, signing).await
}

async fn signing(app: &App, tenant: &Tenant, id: WebhookEndpointId) -> Result<Signing, Problem> {
    let (master, now) = (Arc::clone(&app.master), app.clock.now());
    let read = app.store.read_as(tenant.clone(), move |db, tenant| {
        endpoints::signing(db, tenant, &master, &id, now)
    });
    Ok(read.await?)
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
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
) -> Result<web::Json<AttemptView>, Problem> {
    let id = id(&path)?;
    Members::read(&request, payload).await?.finish(())?;
    let Signing { endpoint, secrets } = signing(&app, &who.tenant, id).await?;
    endpoints::check_verified(&endpoint)?;
    let now = app.clock.now();
    let message = EventId::generate(now);
    let body = json!({
        "id": message, "type": TEST, "created_at": now, "env": endpoint.realm,
        "data": {"endpoint_id": endpoint.id},
    });
    let body = body.to_string().into_bytes();
    let headers = sign::sign(&secrets, message.as_str(), now, &body);
    let attempt = app
        .webhooks
        .post(&endpoint.url, &headers, body, false)
        .await;
    Ok(web::Json((&attempt).into()))
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
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
) -> Result<web::Json<ChallengedView>, Problem> {
    let id = id(&path)?;
    Members::read(&request, payload).await?.finish(())?;
    let signing = signing(&app, &who.tenant, id.clone()).await?;
    let is_disabled = signing.endpoint.state == EndpointState::Disabled;
    let challenge = if is_disabled && signing.endpoint.verified_at.is_none() {
        let asked = ask(&app, &signing).await;
        let (actor, tenant) = (who.actor.clone(), who.tenant.clone());
        settle(&app, actor, tenant, signing.endpoint, &asked).await?;
        Some(AttemptView::from(&asked))
    } else {
        None
    };
    let act = app.partner_act(who.actor);
    let enable = move |db: &mut _, tenant: &_| endpoints::enable(db, tenant, &act, &id);
    let endpoint = app.store.write_as(who.tenant, enable).await?;
    Ok(web::Json(ChallengedView {
        endpoint: endpoint.into(),
        challenge,
    }))
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
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
) -> Result<web::Json<EndpointView>, Problem> {
    let id = id(&path)?;
    Members::read(&request, payload).await?.finish(())?;
    let act = app.partner_act(who.actor);
    let disabled = app.store.write_as(who.tenant, move |db, tenant| {
        endpoints::disable(db, tenant, &act, &id, DisabledReason::Partner)
    });
    Ok(web::Json(disabled.await?.into()))
}

/// An id from the path; one that is malformed names nothing.
fn id(text: &str) -> Result<WebhookEndpointId, Problem> {
    text.parse().map_err(|_| Problem::not_found())
}
