//! The one route table.

mod admin;
mod partner;

use actix_web::{HttpResponse, web};

use super::measure::Measured;
use super::openapi::{self, Documents};
use super::problem::Problem;
use super::table::{Table, at, scope};
use super::{deliveries, docs, leaks, metrics, oauth, ops};
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
        Realm::Admin if roles.contains(&Role::Admin) => table.service(admin::api()),
        Realm::Sandbox | Realm::Live if roles.contains(&Role::Api) => {
            table.service(partner::api(realm))
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

async fn not_found() -> Result<HttpResponse, Problem> {
    Err(Problem::not_found())
}
