//! `/admin/v1/operators`.

use actix_web::{HttpRequest, HttpResponse, web};

use super::clients::ClientView;
use super::id;
use crate::admin::{clients, operators};
use crate::app::App;
use crate::domain::client::ClientKind;
use crate::domain::id::ClientId;
use crate::domain::scope::Scope;
use crate::http::body::Members;
use crate::http::extract::{Operator, OperatorsWrite};
use crate::http::list::{ListQuery, ListView};
use crate::http::problem::Problem;
use crate::store::clients::{Filter, page};

/// `GET /admin/v1/operators`
pub async fn list(
    _: Operator<OperatorsWrite>,
    query: ListQuery,
    app: web::Data<App>,
) -> Result<web::Json<ListView<ClientView>>, Problem> {
    let asked = query.page()?;
    let filter = Filter {
        kind: Some(ClientKind::Operator),
        ..Filter::default()
    };
    let found = app.store.read(move |db| page(db, &filter, &asked)).await?;
    Ok(ListView::of(found, ClientView::from))
}

/// `GET /admin/v1/operators/{client_id}`
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

/// `POST /admin/v1/operators`
pub async fn create(
    who: Operator<OperatorsWrite>,
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
) -> Result<HttpResponse, Problem> {
    let mut body = Members::read(&request, payload).await?;
    let taken = (body.text("name", 200), body.list::<Scope>("scopes", 100));
    let (name, scopes) = body.finish(taken)?;
    let scopes = scopes.into_iter().collect();
    let operator = app
        .carry_out(who.actor, move |db, act| {
            operators::create(db, act, name, scopes)
        })
        .await?;
    Ok(HttpResponse::Created().json(ClientView::from(operator)))
}
