//! `/admin/v1/clients/{id}/scope-usage`: what a client holds against what it needs.

use actix_web::web;
use serde::Serialize;
use utoipa::ToSchema;

use super::id;
use crate::admin::AdminError;
use crate::admin::clients;
use crate::admin::recommendations::scopes_elsewhere;
use crate::app::App;
use crate::domain::day::Day;
use crate::domain::id::{ClientId, PartnerId};
use crate::domain::realm::Realm;
use crate::domain::scope::Scope;
use crate::http::extract::{ClientsRead, Operator};
use crate::http::list::Parameters;
use crate::http::problem::Problem;
use crate::store::scope_usage::{Count, LastDays, last_days, totals};

/// What a client did with its scopes in the last days, today included.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ScopeUsage)]
pub struct UsageView {
    client_id: ClientId,
    realm: Realm,
    partner_id: Option<PartnerId>,
    days: u32,
    from: Day,
    to: Day,
    /// Scopes that it holds and has not used in these days; of one that is granted at another service, too, whose calls
    /// are not seen here: that no token has carried.
    unused: Vec<Scope>,
    scopes: Vec<ScopeView>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ScopeUsageOfOne)]
struct ScopeView {
    scope: Scope,
    /// Whether the client may hold it now; what it used before it lost it is shown too.
    held: bool,
    /// Tokens that carried it, whether it was named or came by default.
    asked: i64,
    /// Calls to the partner API or the admin API that needed it, and requests that `/oauth2/verify` let pass for it.
    used: i64,
    /// As far back as the record goes; `None`: never.
    last_asked_on: Option<Day>,
    /// As far back as the record goes; `None`: never.
    last_used_on: Option<Day>,
}

/// Shows the scopes that a client holds against those that it asked for and used.
#[utoipa::path(
    get, path = "/admin/v1/clients/{id}/scope-usage", operation_id = "show_scope_usage", tag = "clients",
    params(
        ("id" = ClientId, Path, description = "The client"),
        ("days" = Option<u32>, Query, description = "So many days back, today included; 30 unless said otherwise.", minimum = 1, maximum = 365),
    ),
    responses((status = 200, description = "The client's usage", body = UsageView))
)]
pub async fn show(
    _: Operator<ClientsRead>,
    path: web::Path<String>,
    mut query: Parameters,
    app: web::Data<App>,
) -> Result<web::Json<UsageView>, Problem> {
    let id: ClientId = id(&path)?;
    let days = query.number("days", 1..=365)?.unwrap_or(30);
    query.finish()?;
    let to = Day::of(app.clock.now());
    let from = to.minus(days - 1);
    let (client, totals, last, elsewhere) = app
        .store
        .read(move |db| {
            let client = clients::get(db, &id)?;
            let elsewhere = scopes_elsewhere(db, &client, from.start())?;
            let (totals, last) = (totals(db, &id, from)?, last_days(db, &[&id])?);
            Ok::<_, AdminError>((client, totals, last, elsewhere))
        })
        .await?;
    let known = last.keys().map(|(_, scope)| scope);
    let mut scopes: Vec<Scope> = client.scopes.iter().chain(known).cloned().collect();
    scopes.sort();
    scopes.dedup();
    let view = |scope: Scope| {
        let count: Count = totals.get(&scope).copied().unwrap_or_default();
        let key = (client.id.clone(), scope.clone());
        let last: LastDays = last.get(&key).copied().unwrap_or_default();
        ScopeView {
            held: client.scopes.contains(&scope),
            asked: count.asked,
            used: count.used,
            last_asked_on: last.asked,
            last_used_on: last.used,
            scope,
        }
    };
    let scopes: Vec<ScopeView> = scopes.into_iter().map(view).collect();
    let is_used = |one: &ScopeView| one.used > 0 || one.asked > 0 && elsewhere.contains(&one.scope);
    let unused = scopes.iter().filter(|one| one.held && !is_used(one));
    Ok(web::Json(UsageView {
        unused: unused.map(|one| one.scope.clone()).collect(),
        scopes,
        client_id: client.id,
        realm: client.realm,
        partner_id: client.partner_id,
        days,
        from,
        to,
    }))
}
