//! The one route table.

use actix_web::{HttpResponse, web};

use super::measure::Measured;
use super::openapi::{self, Documents};
use super::problem::Problem;
use super::table::{Part, Table, at, scope};
use super::{admin, deliveries, docs, leaks, metrics, oauth, ops, v1};
use crate::app::App;
use crate::config::Role;
use crate::domain::realm::Realm;

/// Which part of the outside a listener shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Face {
    /// Everything but operations.
    Whole,
    /// The partners' and resource servers' side.
    Public,
    /// The operators' side: the admin realm and the admin API.
    Admin,
    /// Health and readiness.
    Ops,
}

/// Lays out the routes of a listener.
pub fn lay(
    config: &mut web::ServiceConfig,
    app: &web::Data<App>,
    documents: &web::Data<Documents>,
    face: Face,
) {
    config
        .app_data(app.clone())
        .app_data(documents.clone())
        .app_data(Measured::unmatched());
    table(&app.settings.roles, face).lay(config);
    config.default_service(web::to(not_found));
}

/// What a process with these roles serves at a face.
pub fn table(roles: &[Role], face: Face) -> Table {
    let mut table = Table::default();
    let realms: &[Realm] = match face {
        Face::Ops => {
            operations(&mut table);
            return table;
        }
        Face::Whole => Realm::ALL,
        Face::Public => &[Realm::Sandbox, Realm::Live],
        Face::Admin => &[Realm::Admin],
    };
    for realm in realms {
        of_realm(&mut table, roles, *realm);
    }
    // Of no realm: a secret is looked for in all of them.
    if face != Face::Admin && roles.contains(&Role::Auth) {
        table.service(at("/leaks").post(leaks::report).done());
    }
    if face != Face::Admin {
        if roles.contains(&Role::Auth) {
            links_of_partners(&mut table);
        }
        table
            .service(at("/openapi.json").get(openapi::partner).done())
            .service(at("/docs").get(docs::to_partner).done())
            .service(at("/docs/{file:.*}").get(docs::partner).done());
    }
    if face != Face::Public {
        if roles.contains(&Role::Admin) {
            links_of_operators(&mut table);
        }
        table
            .service(at("/admin/openapi.json").get(openapi::admin).done())
            .service(at("/admin/docs").get(docs::to_admin).done())
            .service(at("/admin/docs/{file:.*}").get(docs::admin).done());
    }
    table
}

fn operations(table: &mut Table) {
    table
        .service(at("/healthz").get(ops::healthz).done())
        .service(at("/readyz").get(ops::readyz).done())
        .service(at("/metrics").get(metrics::show).done());
}

/// Links to secrets: each side of the outside serves those of its own realms.
fn links_of_partners(table: &mut Table) {
    use deliveries::partners;
    table
        .service(
            at("/deliveries/{id}")
                .get(partners::show)
                .post(partners::open)
                .done(),
        )
        .service(at("/deliveries/{id}/revoke").post(partners::disown).done());
}

fn links_of_operators(table: &mut Table) {
    use deliveries::operators;
    table
        .service(
            at("/admin/deliveries/{id}")
                .get(operators::show)
                .post(operators::open)
                .done(),
        )
        .service(
            at("/admin/deliveries/{id}/revoke")
                .post(operators::disown)
                .done(),
        );
}

fn of_realm(table: &mut Table, roles: &[Role], realm: Realm) {
    if roles.contains(&Role::Auth) {
        // First of all and in no part, since nothing is asked for so often.
        table.service(
            at(&format!("/{realm}/oauth2/token"))
                .data(web::ThinData(realm))
                .post(oauth::token::exchange)
                .or_else(oauth::token::method_not_allowed),
        );
        well_known(table, realm);
        table.service(
            scope(realm, "oauth2")
                .service(at("/jwks").get(oauth::discovery::jwks).done())
                .service(
                    at("/revoke")
                        .post(oauth::revoke::revoke)
                        .or_else(oauth::token::method_not_allowed),
                )
                .service(
                    at("/introspect")
                        .post(oauth::introspect::introspect)
                        .or_else(oauth::token::method_not_allowed),
                )
                .service(at("/revocations").get(oauth::revocations::poll).done())
                .service(
                    at("/revocations/stream")
                        .get(oauth::revocations::stream)
                        .done(),
                )
                .service(
                    at("/status-lists/{id}")
                        .get(oauth::status_lists::show)
                        .done(),
                )
                // Any method: a gateway asks with the one that it was asked with.
                .service(at("/verify").any(oauth::verify::verify))
                .service(at("/verify/{path:.*}").any(oauth::verify::verify_below))
                .service(
                    at("/credentials/rotate")
                        .post(oauth::rotate::rotate)
                        .or_else(oauth::token::method_not_allowed),
                ),
        );
    }
    match realm {
        Realm::Admin if roles.contains(&Role::Admin) => table.service(admin_api()),
        Realm::Sandbox | Realm::Live if roles.contains(&Role::Api) => {
            table.service(partner_api(realm))
        }
        _ => table,
    };
}

/// Metadata, at the RFC's path and at those where verifiers also look.
fn well_known(table: &mut Table, realm: Realm) {
    let place = |path: String| at(&path).data(web::ThinData(realm));
    table
        .service(
            place(format!("/.well-known/oauth-authorization-server/{realm}"))
                .get(oauth::discovery::server)
                .done(),
        )
        .service(
            place(format!("/{realm}/.well-known/oauth-authorization-server"))
                .get(oauth::discovery::server_of_issuer)
                .done(),
        )
        .service(
            place(format!("/{realm}/.well-known/openid-configuration"))
                .get(oauth::discovery::openid)
                .done(),
        );
    if realm.is_environment() {
        let path = format!("/.well-known/oauth-protected-resource/{realm}/v1");
        table.service(place(path).get(oauth::discovery::partner_api).done());
    }
}

fn partner_api(realm: Realm) -> Part {
    use v1::webhook_endpoints;
    let events = at("/events").get(v1::events::list);
    let events = match realm {
        Realm::Sandbox => events.post(v1::events::trigger),
        _ => events,
    };
    scope(realm, "v1")
        .in_versions()
        .service(at("/me").get(v1::me::show).done())
        .service(at("/catalogue/packages").get(v1::catalogue::list).done())
        .service(
            at("/catalogue/packages/{id}")
                .get(v1::catalogue::show)
                .done(),
        )
        .service(
            at("/orders")
                .get(v1::orders::list)
                .post(v1::orders::create)
                .done(),
        )
        .service(
            at("/orders/by-reference/{partner_order_ref}")
                .get(v1::orders::show_by_reference)
                .done(),
        )
        .service(at("/orders/{id}").get(v1::orders::show).done())
        .service(at("/usage").get(v1::usage::list).done())
        .service(at("/ledger/entries").get(v1::ledger::list).done())
        .service(at("/ledger/balance").get(v1::ledger::balance).done())
        .service(at("/invoices").get(v1::invoices::list).done())
        .service(at("/invoices/{id}").get(v1::invoices::show).done())
        .service(events.done())
        .service(at("/events/{id}").get(v1::events::show).done())
        .service(
            at("/webhook-endpoints")
                .get(webhook_endpoints::list)
                .post(webhook_endpoints::create)
                .done(),
        )
        .service(
            at("/webhook-endpoints/{id}")
                .get(webhook_endpoints::show)
                .patch(webhook_endpoints::edit)
                .delete(webhook_endpoints::delete)
                .done(),
        )
        .service(
            at("/webhook-endpoints/{id}/verify")
                .post(webhook_endpoints::verbs::verify)
                .done(),
        )
        .service(
            at("/webhook-endpoints/{id}/rotate-secret")
                .post(webhook_endpoints::verbs::rotate_secret)
                .done(),
        )
        .service(
            at("/webhook-endpoints/{id}/test")
                .post(webhook_endpoints::verbs::test)
                .done(),
        )
        .service(
            at("/webhook-endpoints/{id}/enable")
                .post(webhook_endpoints::verbs::enable)
                .done(),
        )
        .service(
            at("/webhook-endpoints/{id}/disable")
                .post(webhook_endpoints::verbs::disable)
                .done(),
        )
        .service(
            at("/webhook-endpoints/{id}/deliveries")
                .get(v1::webhook_deliveries::list)
                .done(),
        )
        .service(at("/replays").post(v1::replays::create).done())
        .service(at("/replays/{id}").get(v1::replays::show).done())
        .service(at("/replays/{id}/run").post(v1::replays::run).done())
        .service(at("/replays/{id}/cancel").post(v1::replays::cancel).done())
        .service(at("/requests").get(v1::requests::list).done())
        .service(at("/audit/events").get(v1::audit::list).done())
        .service(at("/audit/events/{id}/proof").get(v1::audit::proof).done())
}

fn admin_api() -> Part {
    use admin::{agreements, audit, launch, privacy};
    use admin::{billing, invoices, orders, packages, recommendations, scope_usage};
    use admin::{
        clients, credentials, grants, keys, operators, partners, requests, resource_servers,
        reviews, rotation, tokens, versions,
    };
    scope(Realm::Admin, "v1")
        .service(
            at("/operators")
                .get(operators::list)
                .post(operators::create)
                .done(),
        )
        .service(at("/operators/{id}").get(operators::show).done())
        .service(
            at("/partners")
                .get(partners::list)
                .post(partners::create)
                .done(),
        )
        .service(
            at("/partners/{id}")
                .get(partners::show)
                .patch(partners::edit)
                .done(),
        )
        .service(at("/partners/{id}/approve").post(partners::approve).done())
        .service(at("/partners/{id}/reject").post(partners::reject).done())
        .service(at("/partners/{id}/suspend").post(partners::suspend).done())
        .service(at("/partners/{id}/resume").post(partners::resume).done())
        .service(
            at("/partners/{id}/offboard")
                .post(partners::offboard)
                .done(),
        )
        .service(
            at("/partners/{id}/agreements")
                .get(agreements::list)
                .post(agreements::record)
                .done(),
        )
        .service(
            at("/agreements/{id}/bring-into-force")
                .post(agreements::bring_into_force)
                .done(),
        )
        .service(
            at("/agreements/{id}/terminate")
                .post(agreements::terminate)
                .done(),
        )
        .service(
            at("/partners/{id}/privacy-notice")
                .get(privacy::show)
                .put(privacy::record)
                .done(),
        )
        .service(
            at("/partners/{id}/launch-review")
                .get(launch::show)
                .post(launch::request)
                .done(),
        )
        .service(
            at("/partners/{id}/launch-review/checks/{check}")
                .post(launch::settle)
                .done(),
        )
        .service(
            at("/partners/{id}/launch-review/decide")
                .post(launch::decide)
                .done(),
        )
        .service(
            at("/partners/{id}/scope-grants")
                .get(grants::list)
                .post(grants::request)
                .done(),
        )
        .service(
            at("/partners/{id}/clients")
                .get(clients::list_of_partner)
                .post(clients::create)
                .done(),
        )
        .service(
            at("/scope-grants/{id}/approve")
                .post(grants::approve)
                .done(),
        )
        .service(at("/scope-grants/{id}").get(grants::show).done())
        .service(at("/scope-grants/{id}/deny").post(grants::deny).done())
        .service(at("/scope-grants/{id}/revoke").post(grants::revoke).done())
        .service(at("/clients").get(clients::list).done())
        .service(
            at("/clients/{id}")
                .get(clients::show)
                .patch(clients::edit)
                .done(),
        )
        .service(at("/clients/{id}/suspend").post(clients::suspend).done())
        .service(at("/clients/{id}/resume").post(clients::resume).done())
        .service(at("/clients/{id}/revoke").post(clients::revoke).done())
        .service(
            at("/clients/{id}/scope-usage")
                .get(scope_usage::show)
                .done(),
        )
        .service(at("/recommendations").get(recommendations::list).done())
        .service(
            at("/recommendations/{id}/apply")
                .post(recommendations::apply)
                .done(),
        )
        .service(
            at("/clients/{id}/credentials")
                .get(credentials::list)
                .post(credentials::issue)
                .done(),
        )
        .service(
            at("/credentials/{id}/revoke")
                .post(credentials::revoke)
                .done(),
        )
        .service(at("/credentials/{id}/rotate").post(rotation::rotate).done())
        .service(
            at("/credentials/{id}/finish-rotation")
                .post(rotation::finish)
                .done(),
        )
        .service(
            at("/credentials/{id}/undo-rotation")
                .post(rotation::undo)
                .done(),
        )
        .service(
            at("/resource-servers")
                .get(resource_servers::list)
                .post(resource_servers::create)
                .done(),
        )
        .service(
            at("/resource-servers/{id}")
                .get(resource_servers::show)
                .patch(resource_servers::edit)
                .done(),
        )
        .service(at("/requests").get(requests::list).done())
        .service(at("/versions").get(versions::list).done())
        .service(at("/reviews").get(reviews::list).done())
        .service(at("/reviews/{id}/close").post(reviews::close).done())
        .service(at("/leak-reports").get(reviews::list_leak_reports).done())
        .service(
            at("/packages")
                .get(packages::list)
                .post(packages::create)
                .done(),
        )
        .service(at("/packages/import").post(packages::import::import).done())
        .service(
            at("/packages/{id}")
                .get(packages::show)
                .patch(packages::edit)
                .done(),
        )
        .service(at("/packages/{id}/publish").post(packages::publish).done())
        .service(
            at("/packages/{id}/withdraw")
                .post(packages::withdraw)
                .done(),
        )
        .service(at("/orders").get(orders::list).done())
        .service(at("/orders/{id}").get(orders::show).done())
        .service(at("/orders/{id}/prepare").post(orders::prepare).done())
        .service(at("/orders/{id}/fulfil").post(orders::fulfil).done())
        .service(at("/orders/{id}/fail").post(orders::fail).done())
        .service(at("/orders/{id}/cancel").post(orders::cancel).done())
        .service(at("/usage-records").post(billing::record_usage).done())
        .service(at("/ledger/entries").get(billing::list_entries).done())
        .service(at("/ledger/refunds").post(billing::refund).done())
        .service(at("/ledger/adjustments").post(billing::adjust).done())
        .service(at("/invoices").get(invoices::list).done())
        .service(at("/invoices/close").post(invoices::close).done())
        .service(at("/invoices/{id}").get(invoices::show).done())
        .service(at("/invoices/{id}/open").post(invoices::open).done())
        .service(at("/invoices/{id}/pay").post(invoices::pay).done())
        .service(at("/invoices/{id}/void").post(invoices::void).done())
        .service(
            at("/invoices/{id}/uncollectible")
                .post(invoices::give_up)
                .done(),
        )
        .service(at("/tokens/revoke").post(tokens::revoke).done())
        .service(at("/audit/events").get(audit::list).done())
        .service(at("/audit/events/{id}/proof").get(audit::proof).done())
        .service(at("/audit/checkpoint").get(audit::checkpoint).done())
        .service(at("/audit/key").get(audit::key).done())
        .service(at("/audit/consistency").get(audit::consistency).done())
        .service(at("/audit/export").get(audit::export).done())
        .service(at("/keys").get(keys::list).done())
        .service(at("/keys/rotate").post(keys::rotate).done())
        .service(at("/keys/{kid}/revoke").post(keys::revoke).done())
}

async fn not_found() -> Result<HttpResponse, Problem> {
    Err(Problem::not_found())
}
