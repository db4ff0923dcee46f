//! `/admin/v1/operators`.

use actix_web::{HttpRequest, HttpResponse, web};
use utoipa::ToSchema;

use super::clients::ClientView;
use super::id;
use crate::admin::{clients, operators};
use crate::app::App;
use crate::domain::client::ClientKind;
use crate::domain::id::ClientId;
use crate::domain::scope::Scope;
use crate::http::extract::{Operator, OperatorsWrite};
use crate::http::list::{ListQuery, ListView};
use crate::http::members::Members;
use crate::http::problem::Problem;
use crate::store::clients::{Filter, page};

/// An operator to be made.
#[derive(Debug, ToSchema)]
#[schema(example = json!({"name": "Night shift", "scopes": ["clients:read", "credentials:revoke"]}))]
pub struct NewOperator {
    #[schema(min_length = 1, max_length = 200)]
    pub name: String,
    /// Admin scopes. Who may make operators may give them any, also those that he does not hold.
    #[schema(max_items = 100)]
    pub scopes: Vec<Scope>,
}

/// Lists operators.
#[utoipa::path(
    get, path = "/admin/v1/operators", operation_id = "list_operators", tag = "operators",
    responses((status = 200, description = "A page of operators", body = ListView<ClientView>))
)]
pub async fn list(
    _: Operator<OperatorsWrite>,
    query: ListQuery,
    app: web::Data<App>,
) -> Result<web::Json<ListView<ClientView>>, Problem> {
    let asked = query.page_of::<ClientId>()?;
    let filter = Filter {
        kind: Some(ClientKind::Operator),
        ..Filter::default()
    };
    let found = app.store.read(move |db| page(db, &filter, &asked)).await?;
    Ok(ListView::of(found, ClientView::from))
}

/// Shows an operator.
#[utoipa::path(
    get, path = "/admin/v1/operators/{id}", operation_id = "show_operator", tag = "operators",
    params(("id" = ClientId, Path, description = "The operator's client")),
    responses((status = 200, description = "The operator", body = ClientView))
)]
pub async fn show(
    _: Operator<OperatorsWrite>,
    path: web::Path<String>,
    app: web::Data<App>,
) -> Result<web::Json<ClientView>, Problem> {
    let id: ClientId = id(&path)?;
    let found = app.store.read(move |db| clients::get(db, &id)).await?;
    if found.kind == ClientKind::Operator {
        Ok(web::Json(found.into()))
    } else {
        Err(Problem::not_found())
    }
}

/// Makes an operator.
///
/// It gets credentials as any client does.
#[utoipa::path(
    post, path = "/admin/v1/operators", operation_id = "create_operator", tag = "operators",
    request_body = NewOperator,
    responses((status = 201, description = "The operator", body = ClientView))
)]
pub async fn create(
    who: Operator<OperatorsWrite>,
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
) -> Result<HttpResponse, Problem> {
    let mut body = Members::read(&request, payload).await?;
    let taken = (body.line("name", 200), body.list::<Scope>("scopes", 100));
    let (name, scopes) = body.finish(taken)?;
    let scopes = scopes.into_iter().collect();
    let operator = app
        .carry_out(who.actor, move |db, act| {
            operators::create(db, act, name, scopes)
        })
        .await?;
    Ok(HttpResponse::Created().json(ClientView::from(operator)))
}
