//! `/{env}/v1/webhook-endpoints`: where the partner is told of events.

pub mod verbs;
pub mod view;

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, HeaderValue, LOCATION, RETRY_AFTER};
use actix_web::{HttpRequest, HttpResponse, web};
use utoipa::ToSchema;

use crate::app::App;
use crate::audit::Actor;
use crate::domain::id::WebhookEndpointId;
use crate::domain::tenant::Tenant;
use crate::domain::webhook::{EndpointState, EventTypes, SignatureKind};
use crate::http::etag;
use crate::http::extract::{Granted, WebhooksManage};
use crate::http::limits::charge_message;
use crate::http::list::{ListQuery, ListView};
use crate::http::members::Members;
use crate::http::openapi::refusals::{Conflict, Outdated};
use crate::http::problem::Problem;
use crate::partner::PartnerError;
use crate::partner::webhook_endpoints::{self as endpoints, Change, NewEndpoint, Signing};
use crate::store::webhook_endpoints::{Endpoint, page};
use crate::store::webhook_secrets::usable;
use crate::webhook::challenge::{self, Asked};
use crate::webhook::target::BadTarget;
use view::{ChallengedView, CreatedView, EndpointDetailView, EndpointView};

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
    let asked = query.page_of::<WebhookEndpointId>()?;
    let read = app.store.read_as(who.tenant, move |db, tenant| {
        page(db, tenant, state, &asked)
    });
    Ok(ListView::of(read.await?, EndpointView::from))
}

/// Sets a webhook endpoint up, and asks it for its challenge.
///
/// It is sent `{"type": "webhook_endpoint.challenge", "challenge": "…"}`, signed, and must answer 200 with
/// `{"challenge": "…"}`; `challenge` says what came of it. If it does, it is active from then on; otherwise it stays
/// pending: mend it and ask again under `…/verify`. This answer shows the endpoint as it was made, pending, and it alone
/// shows the secret.
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
    charge_message(&request, &app, &who.tenant, &new.id).await?;
    check(&app, &new.url).await?;
    let (act, master) = (app.partner_act(who.actor.clone()), Arc::clone(&app.master));
    let create = move |db: &mut _, tenant: &_| endpoints::create(db, tenant, &act, &master, new);
    let made = app.store.write_as(who.tenant.clone(), create).await?;
    let asked = ask(&app, &made).await;
    let endpoint = made.endpoint;
    settle(&app, who.actor, who.tenant, endpoint.clone(), &asked).await?;
    let secret = made.secrets.first().ok_or_else(Problem::not_found)?;
    let location = format!("/{}/v1/webhook-endpoints/{}", endpoint.realm, endpoint.id);
    Ok(HttpResponse::Created()
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((LOCATION, location))
        .json(CreatedView::of(endpoint, secret, &asked)))
}

/// Refuses a URL whose name leads where nothing is sent. It keeps a name server busy: charged before.
async fn check(app: &App, url: &str) -> Result<(), Problem> {
    app.webhooks.check(url).await.map_err(|bad| match bad {
        BadTarget::Crowded => {
            let detail = "the url's host could not be looked up just now: try again in a moment";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail)
                .with_header(RETRY_AFTER, HeaderValue::from_static("5"))
        }
        bad => view::bad_url(bad),
    })
}

fn new_endpoint(mut body: Members, app: &App) -> Result<NewEndpoint, Problem> {
    let taken = (
        view::url(&mut body, "url", app.webhooks.guard()),
        view::event_types(&mut body, "event_types"),
        body.optional_parsed("signature"),
    );
    let (url, event_types, signature) = body.finish(taken)?;
    Ok(NewEndpoint {
        id: WebhookEndpointId::generate(app.clock.now()),
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

/// Writes down what came of a challenge.
async fn settle(
    app: &App,
    actor: Actor,
    tenant: Tenant,
    endpoint: Endpoint,
    asked: &Asked,
) -> Result<Endpoint, Problem> {
    let (act, answered) = (app.partner_act(actor), asked.answered);
    let settled = app.store.write_as(tenant, move |db, tenant| {
        endpoints::challenged(db, tenant, &act, &endpoint, answered)
    });
    Ok(settled.await?)
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
    responses((status = 200, description = "The endpoint", body = ChallengedView), Outdated)
)]
pub async fn edit(
    who: Granted<WebhooksManage>,
    path: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
) -> Result<web::Json<ChallengedView>, Problem> {
    let id = id(&path)?;
    etag::unbound(&request)?;
    let change = change(Members::read(&request, payload).await?, &app)?;
    if let Some(url) = &change.url
        && is_another(&app, &who.tenant, &id, url).await?
    {
        charge_message(&request, &app, &who.tenant, &id).await?;
        check(&app, url).await?;
    }
    let (act, master) = (app.partner_act(who.actor.clone()), Arc::clone(&app.master));
    let changed = app.store.write_as(who.tenant.clone(), move |db, tenant| {
        let moved = endpoints::change(db, tenant, &act, &id, change)?;
        let signing = endpoints::signing(db, tenant, &master, &id, act.now)?;
        Ok::<_, PartnerError>((signing, moved))
    });
    let (signing, moved) = changed.await?;
    if moved && signing.endpoint.state != EndpointState::Disabled {
        let asked = ask(&app, &signing).await;
        let endpoint = settle(&app, who.actor, who.tenant, signing.endpoint, &asked).await?;
        return Ok(web::Json(ChallengedView::of(endpoint, Some(&asked))));
    }
    Ok(web::Json(ChallengedView::of(signing.endpoint, None)))
}

/// Whether an endpoint stands at another URL than this.
async fn is_another(
    app: &App,
    tenant: &Tenant,
    id: &WebhookEndpointId,
    url: &str,
) -> Result<bool, Problem> {
    let id = id.clone();
    let read = app.store.read_as(tenant.clone(), move |db, tenant| {
        endpoints::get(db, tenant, &id)
    });
    Ok(read.await?.url != url)
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

/// Deletes a webhook endpoint. What is under way to it is not sent again.
#[utoipa::path(
    delete, path = "/{env}/v1/webhook-endpoints/{id}", operation_id = "delete_webhook_endpoint",
    tag = "webhooks",
    params(("id" = WebhookEndpointId, Path, description = "The endpoint")),
    responses((status = 204, description = "It is deleted."), Outdated)
)]
pub async fn delete(
    who: Granted<WebhooksManage>,
    path: web::Path<String>,
    request: HttpRequest,
    app: web::Data<App>,
) -> Result<HttpResponse, Problem> {
    let (id, act) = (id(&path)?, app.partner_act(who.actor));
    etag::unbound(&request)?;
    let delete = move |db: &mut _, tenant: &_| endpoints::delete(db, tenant, &act, &id);
    app.store.write_as(who.tenant, delete).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// An id from the path; one that is malformed names nothing.
fn id(text: &str) -> Result<WebhookEndpointId, Problem> {
    text.parse().map_err(|_| Problem::not_found())
}
