//! `/admin/v1/packages`.

pub mod body;
pub mod import;
mod sheet;

use actix_web::http::header::ETAG;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::id;
use body::{
    NewPackageBody, PackageEditBody, features, included, made, new_package, price, viewers,
};

use crate::admin::packages::{self, Listed, Wanted};
use crate::app::App;
use crate::domain::id::PackageId;
use crate::domain::instant::Instant;
use crate::domain::money::{Currency, Money};
use crate::domain::package::{Features, Included, PackageState, PackageStep, Viewer};
use crate::domain::page::Page;
use crate::http::admin::Reason;
use crate::http::etag;
use crate::http::extract::{CatalogueWrite, Operator};
use crate::http::list::{ListQuery, ListView, Words};
use crate::http::members::Members;
use crate::http::openapi::refusals::{Conflict, Outdated};
use crate::http::problem::Problem;
use crate::store::packages::{Filter, page};

/// A package as operators see it.
#[derive(Debug, Serialize, ToSchema)]
pub struct PackageView {
    id: PackageId,
    state: PackageState,
    /// Counts changes; the `ETag` changes with it.
    version: i64,
    name: String,
    description: String,
    price: Money,
    validity_days: i32,
    region: String,
    features: Features,
    /// How much one of it includes. `null`: it does not say.
    included: Option<Included>,
    /// To whom it is shown once it is published. `null`: to every partner.
    partners: Option<Vec<Viewer>>,
    created_by: String,
    created_at: Instant,
    updated_at: Instant,
}

impl From<Listed> for PackageView {
    fn from(Listed { package, viewers }: Listed) -> Self {
        Self {
            price: package.price(),
            included: package.included(),
            id: package.id,
            state: package.state,
            version: package.version,
            name: package.name,
            description: package.description,
            validity_days: package.validity_days,
            region: package.region,
            features: package.features,
            partners: viewers,
            created_by: package.created_by,
            created_at: package.created_at,
            updated_at: package.updated_at,
        }
    }
}

/// Lists packages.
#[utoipa::path(
    get, path = "/admin/v1/packages", operation_id = "list_packages", tag = "packages",
    params(
        ("state" = Option<PackageState>, Query, description = "Only packages in this state."),
        ("region" = Option<String>, Query, description = "Only packages of this region."),
        ("currency" = Option<Currency>, Query, description = "Only packages priced in this currency."),
        ("feature" = Option<String>, Query, description = "Only packages with this feature."),
        ("name" = Option<String>, Query, description = "Only packages with this in their name."),
    ),
    responses((status = 200, description = "A page of packages", body = ListView<PackageView>))
)]
pub async fn list(
    _: Operator<CatalogueWrite>,
    mut query: ListQuery,
    app: web::Data<App>,
) -> Result<web::Json<ListView<PackageView>>, Problem> {
    let filter = Filter {
        state: query.filter("state")?,
        ..filter(&mut query)?
    };
    let asked = query.page_of::<PackageId>()?;
    let read = app.store.read(move |db| {
        let found = page(db, &filter, &asked)?;
        let next = found.next;
        Ok::<_, Problem>((packages::list(db, found.rows)?, next))
    });
    let (rows, next) = read.await?;
    let page = Page { rows, next };
    Ok(ListView::of(page, PackageView::from))
}

/// The filters that partners have too.
pub(crate) fn filter(query: &mut ListQuery) -> Result<Filter, Problem> {
    let words = |words: Option<Words>| words.map(Words::into_inner);
    Ok(Filter {
        state: None,
        region: words(query.filter("region")?),
        currency: query.filter("currency")?,
        feature: query.filter("feature")?,
        name: words(query.filter("name")?),
    })
}

/// Shows a package.
#[utoipa::path(
    get, path = "/admin/v1/packages/{id}", operation_id = "show_package", tag = "packages",
    params(("id" = PackageId, Path, description = "The package")),
    responses((status = 200, description = "The package; its `ETag` is for `If-Match`", body = PackageView))
)]
pub async fn show(
    _: Operator<CatalogueWrite>,
    path: web::Path<String>,
    app: web::Data<App>,
) -> Result<HttpResponse, Problem> {
    let id: PackageId = id(&path)?;
    let found = app.store.read(move |db| packages::get(db, &id)).await?;
    Ok(tagged(HttpResponse::Ok(), found))
}

/// Drafts a package.
#[utoipa::path(
    post, path = "/admin/v1/packages", operation_id = "create_package", tag = "packages",
    request_body = NewPackageBody,
    responses((status = 201, description = "The package, in the state `draft`", body = PackageView))
)]
pub async fn create(
    who: Operator<CatalogueWrite>,
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
) -> Result<HttpResponse, Problem> {
    let mut body = Members::read(&request, payload).await?;
    let taken = new_package(&mut body);
    let new = made(body.finish(taken)?);
    let package = app
        .carry_out(who.actor, move |db, act| packages::create(db, act, new))
        .await?;
    Ok(tagged(HttpResponse::Created(), package))
}

/// Changes a package; what was ordered before keeps its price.
///
/// With `If-Match`, only if it is as the caller knows it.
#[utoipa::path(
    patch, path = "/admin/v1/packages/{id}", operation_id = "edit_package", tag = "packages",
    params(
        ("id" = PackageId, Path, description = "The package"),
        ("If-Match" = Option<String>, Header, description = "The `ETag` of the package as the caller knows it."),
    ),
    request_body = PackageEditBody,
    responses((status = 200, description = "The package", body = PackageView), Outdated)
)]
pub async fn edit(
    who: Operator<CatalogueWrite>,
    path: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
) -> Result<HttpResponse, Problem> {
    let id: PackageId = id(&path)?;
    let expected = etag::expected_revisions(&request, &id)?;
    let mut body = Members::read(&request, payload).await?;
    let taken = (
        body.changed_line("name", 200),
        body.changed_text("description", 2000),
        body.replacement("price", price),
        body.replacement("validity_days", |body, name| body.integer(name, 1..=3650)),
        body.changed_line("region", 64),
        body.replacement("features", features),
        body.edit("included", included),
        body.edit("partners", |body, name| viewers(body, name)?),
    );
    let (name, description, price, validity_days, region, features, included, viewers) =
        body.finish(taken)?;
    let wanted = Wanted {
        name,
        description,
        price,
        validity_days,
        region,
        features,
        included,
        viewers,
    };
    let package = app
        .carry_out(who.actor, move |db, act| {
            packages::edit(db, act, &id, expected.as_deref(), wanted)
        })
        .await?;
    Ok(tagged(HttpResponse::Ok(), package))
}

/// Publishes a package: partners to whom it is shown can order it.
///
/// With `If-Match`, only if it is as the caller knows it.
#[utoipa::path(
    post, path = "/admin/v1/packages/{id}/publish", operation_id = "publish_package", tag = "packages",
    params(
        ("id" = PackageId, Path, description = "The package"),
        ("If-Match" = Option<String>, Header, description = "The `ETag` of the package as the caller knows it."),
    ),
    request_body = Reason,
    responses((status = 200, description = "The package", body = PackageView), Conflict, Outdated)
)]
pub async fn publish(
    who: Operator<CatalogueWrite>,
    path: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
) -> Result<HttpResponse, Problem> {
    step(who, &path, PackageStep::Publish, request, payload, app).await
}

/// Withdraws a package: nobody orders it any more, and what was ordered stays ordered.
///
/// With `If-Match`, only if it is as the caller knows it.
#[utoipa::path(
    post, path = "/admin/v1/packages/{id}/withdraw", operation_id = "withdraw_package", tag = "packages",
    params(
        ("id" = PackageId, Path, description = "The package"),
        ("If-Match" = Option<String>, Header, description = "The `ETag` of the package as the caller knows it."),
    ),
    request_body = Reason,
    responses((status = 200, description = "The package", body = PackageView), Conflict, Outdated)
)]
pub async fn withdraw(
    who: Operator<CatalogueWrite>,
    path: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
) -> Result<HttpResponse, Problem> {
    step(who, &path, PackageStep::Withdraw, request, payload, app).await
}

async fn step(
    who: Operator<CatalogueWrite>,
    path: &str,
    step: PackageStep,
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
) -> Result<HttpResponse, Problem> {
    let id: PackageId = id(path)?;
    let expected = etag::expected_revisions(&request, &id)?;
    let mut body = Members::read(&request, payload).await?;
    let taken = (body.optional_text("reason", 1000),);
    let (reason,) = body.finish(taken)?;
    let package = app
        .carry_out(who.actor, move |db, act| {
            packages::check_revision(db, &id, expected.as_deref())?;
            packages::step(db, act, &id, step, reason.as_deref())
        })
        .await?;
    Ok(tagged(HttpResponse::Ok(), package))
}

fn tagged(mut answer: actix_web::HttpResponseBuilder, listed: Listed) -> HttpResponse {
    let tag = etag::of_revision(&listed.package.id, listed.package.revision());
    answer.insert_header((ETAG, tag.to_string()));
    answer.json(PackageView::from(listed))
}
