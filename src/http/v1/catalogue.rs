//! `/{env}/v1/catalogue/packages`: what a partner can order.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::domain::id::PackageId;
use crate::domain::money::{Currency, Money};
use crate::domain::package::{Features, Included};
use crate::http::admin::packages::filter;
use crate::http::etag;
use crate::http::extract::{CatalogueRead, Granted};
use crate::http::list::{ListQuery, ListView};
use crate::http::openapi::refusals::NotModified;
use crate::http::problem::Problem;
use crate::store::packages::{Package, visible, visible_page};

/// A package as partners see it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CataloguePackage)]
pub struct CatalogueView {
    id: PackageId,
    /// Counts changes: an order says which version it bought.
    version: i64,
    name: String,
    description: String,
    price: Money,
    validity_days: i32,
    region: String,
    features: Features,
    /// How much one of it includes: `usage.threshold_reached` tells when 80 % and all of that is used. `null`:
    /// it does not say.
    included: Option<Included>,
}

impl From<Package> for CatalogueView {
    fn from(package: Package) -> Self {
        Self {
            price: package.price(),
            included: package.included(),
            id: package.id,
            version: package.version,
            name: package.name,
            description: package.description,
            validity_days: package.validity_days,
            region: package.region,
            features: package.features,
        }
    }
}

/// Lists the packages that the caller's partner can order.
///
/// The `ETag` changes with what the page shows: `If-None-Match` spares a second transfer.
#[utoipa::path(
    get, path = "/{env}/v1/catalogue/packages", operation_id = "list_catalogue_packages", tag = "catalogue",
    params(
        ("region" = Option<String>, Query, description = "Only packages of this region."),
        ("currency" = Option<Currency>, Query, description = "Only packages priced in this currency."),
        ("feature" = Option<String>, Query, description = "Only packages with this feature."),
        ("name" = Option<String>, Query, description = "Only packages with this in their name."),
        ("If-None-Match" = Option<String>, Header, description = "The `ETag` of the page as the caller has it."),
    ),
    responses(
        (status = 200, description = "A page of packages", body = ListView<CatalogueView>,
            headers(("ETag" = String, description = "Changes with what is shown."))),
        NotModified,
    )
)]
pub async fn list(
    who: Granted<CatalogueRead>,
    mut query: ListQuery,
    request: HttpRequest,
    app: web::Data<App>,
) -> Result<HttpResponse, Problem> {
    let filter = filter(&mut query)?;
    let asked = query.page_of::<PackageId>()?;
    let read = app.store.read_as(who.tenant, move |db, tenant| {
        visible_page(db, tenant, &filter, &asked)
    });
    let found = read.await?;
    let mut shown = String::new();
    for package in &found.rows {
        shown.push_str(&format!("{}.{} ", package.id, package.revision()));
    }
    shown.push_str(found.next.as_deref().unwrap_or_default());
    let view = ListView::of(found, CatalogueView::from).into_inner();
    Ok(etag::answer(&request, &etag::of(shown.as_bytes()), &view))
}

/// Shows a package that the caller's partner can order.
#[utoipa::path(
    get, path = "/{env}/v1/catalogue/packages/{id}", operation_id = "show_catalogue_package", tag = "catalogue",
    params(
        ("id" = PackageId, Path, description = "The package"),
        ("If-None-Match" = Option<String>, Header, description = "The `ETag` of the package as the caller has it."),
    ),
    responses(
        (status = 200, description = "The package", body = CatalogueView,
            headers(("ETag" = String, description = "Changes with the package's version."))),
        NotModified,
    )
)]
pub async fn show(
    who: Granted<CatalogueRead>,
    path: web::Path<String>,
    request: HttpRequest,
    app: web::Data<App>,
) -> Result<HttpResponse, Problem> {
    let id: PackageId = path.parse().map_err(|_| Problem::not_found())?;
    let read = app
        .store
        .read_as(who.tenant, move |db, tenant| visible(db, tenant, &id));
    let package = read.await?.ok_or_else(Problem::not_found)?;
    let tag = etag::of_revision(&package.id, package.revision());
    Ok(etag::answer(&request, &tag, &CatalogueView::from(package)))
}
