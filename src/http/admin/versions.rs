//! `GET /admin/v1/versions`: who still calls which version of the partner API.

use std::str::FromStr;

use actix_web::web;
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::domain::id::{ClientId, PartnerId};
use crate::domain::instant::Instant;
use crate::domain::realm::Realm;
use crate::domain::version::ApiVersion;
use crate::http::extract::{Operator, RequestsRead};
use crate::http::list::{ListQuery, ListView};
use crate::http::problem::Problem;
use crate::store::version_uses::{self, Filter, VersionUse};

/// A client that calls a route in a version.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = VersionUse)]
pub struct VersionUseView {
    version: ApiVersion,
    /// Since when there is a newer one; none for the current version.
    deprecated_at: Option<Instant>,
    /// From when on it may be gone.
    sunset_at: Option<Instant>,
    partner_id: PartnerId,
    realm: Realm,
    client_id: ClientId,
    /// Method and template, as in the partner document.
    route: String,
    calls: i64,
    first_at: Instant,
    last_at: Instant,
}

impl From<VersionUse> for VersionUseView {
    fn from(one: VersionUse) -> Self {
        let end = one.version.retirement();
        Self {
            version: one.version,
            deprecated_at: end.map(|end| end.deprecated_at),
            sunset_at: end.map(|end| end.sunset_at),
            partner_id: one.partner_id,
            realm: one.realm,
            client_id: one.client_id,
            route: one.route,
            calls: one.calls,
            first_at: one.first_at,
            last_at: one.last_at,
        }
    }
}

/// Lists which clients call which version of the partner API, route by route, and when last.
///
/// Counted as calls are put into the request log, about a second after their answers.
#[utoipa::path(
    get, path = "/admin/v1/versions", operation_id = "list_versions", tag = "requests",
    params(
        ("version" = Option<ApiVersion>, Query, description = "Only this version."),
        ("partner_id" = Option<PartnerId>, Query, description = "Only this partner's clients."),
        ("realm" = Option<Realm>, Query, description = "Only in this realm."),
    ),
    responses((status = 200, description = "A page of uses", body = ListView<VersionUseView>))
)]
pub async fn list(
    _: Operator<RequestsRead>,
    mut query: ListQuery,
    app: web::Data<App>,
) -> Result<web::Json<ListView<VersionUseView>>, Problem> {
    let filter = Filter {
        version: query.filter("version")?,
        partner_id: query.filter("partner_id")?,
        realm: query.filter("realm")?,
    };
    let asked = query.page_of::<UseId>()?;
    let found = app
        .store
        .read(move |db| version_uses::page(db, filter, &asked))
        .await?;
    Ok(ListView::of(found, VersionUseView::from))
}

/// What a use is found by: `partner realm client version method route`.
struct UseId;

impl FromStr for UseId {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut words = text.split(' ');
        let mut is = |fits: fn(&str) -> bool| words.next().is_some_and(fits);
        let is_one = is(|word| word.parse::<PartnerId>().is_ok())
            && is(|word| word.parse::<Realm>().is_ok())
            && is(|word| word.parse::<ClientId>().is_ok())
            && is(|word| word.parse::<ApiVersion>().is_ok());
        is_one.then_some(Self).ok_or(())
    }
}
