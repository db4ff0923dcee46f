//! The one route table.

use actix_web::FromRequest;
use actix_web::http::header::{ALLOW, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::{Handler, HttpRequest, HttpResponse, Resource, Responder, guard, web};

use super::problem::Problem;
use super::{admin, oauth, ops, v1};
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
pub fn table(config: &mut web::ServiceConfig, app: &web::Data<App>, face: Face) {
    config.app_data(app.clone());
    match face {
        Face::Ops => operations(config),
        Face::Whole => Realm::ALL
            .iter()
            .for_each(|realm| of_realm(config, app, *realm)),
        Face::Public => [Realm::Sandbox, Realm::Live]
            .iter()
            .for_each(|realm| of_realm(config, app, *realm)),
        Face::Admin => of_realm(config, app, Realm::Admin),
    }
    config.default_service(web::to(not_found));
}

fn operations(config: &mut web::ServiceConfig) {
    config
        .service(at("/healthz").get(ops::healthz).done())
        .service(at("/readyz").get(ops::readyz).done());
}

fn of_realm(config: &mut web::ServiceConfig, app: &web::Data<App>, realm: Realm) {
    let settings = &app.settings;
    if settings.has_role(Role::Auth) {
        config.service(token(realm));
        well_known(config, realm);
        config.service(
            scope(realm, "oauth2").service(at("/jwks").get(oauth::discovery::jwks).done()),
        );
    }
    match realm {
        Realm::Admin if settings.has_role(Role::Admin) => config.service(admin_api()),
        Realm::Sandbox | Realm::Live if settings.has_role(Role::Api) => {
            config.service(partner_api(realm))
        }
        _ => config,
    };
}

/// The token endpoint: first of all and in no scope, since nothing is asked for so often.
fn token(realm: Realm) -> Resource {
    // Not `web::post()`, which notes the methods that it stands for in every single request.
    let is_post = guard::fn_guard(|request| request.head().method == Method::POST);
    web::resource(format!("/{realm}/oauth2/token"))
        .app_data(web::ThinData(realm))
        .route(web::route().guard(is_post).to(oauth::token::exchange))
        .default_service(web::to(oauth::token::method_not_allowed))
}

/// Metadata, at the RFC's path and at those where verifiers also look.
fn well_known(config: &mut web::ServiceConfig, realm: Realm) {
    let place = |path: String| at(&path).data(web::ThinData(realm));
    config
        .service(
            place(format!("/.well-known/oauth-authorization-server/{realm}"))
                .get(oauth::discovery::server)
                .done(),
        )
        .service(
            place(format!("/{realm}/.well-known/oauth-authorization-server"))
                .get(oauth::discovery::server)
                .done(),
        )
        .service(
            place(format!("/{realm}/.well-known/openid-configuration"))
                .get(oauth::discovery::openid)
                .done(),
        );
    if realm.is_environment() {
        let path = format!("/.well-known/oauth-protected-resource/{realm}/v1");
        config.service(place(path).get(oauth::discovery::partner_api).done());
    }
}

fn partner_api(realm: Realm) -> actix_web::Scope {
    scope(realm, "v1").service(at("/me").get(v1::me::show).done())
}

fn admin_api() -> actix_web::Scope {
    use admin::{clients, credentials, grants, keys, operators, partners, resource_servers};
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
        .service(at("/partners/{id}").get(partners::show).done())
        .service(at("/partners/{id}/approve").post(partners::approve).done())
        .service(at("/partners/{id}/reject").post(partners::reject).done())
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
        .service(at("/scope-grants/{id}/deny").post(grants::deny).done())
        .service(at("/clients").get(clients::list).done())
        .service(at("/clients/{id}").get(clients::show).done())
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
        .service(
            at("/resource-servers")
                .get(resource_servers::list)
                .post(resource_servers::create)
                .done(),
        )
        .service(
            at("/resource-servers/{id}")
                .get(resource_servers::show)
                .done(),
        )
        .service(at("/keys").get(keys::list).done())
        .service(at("/keys/rotate").post(keys::rotate).done())
}

/// A part of a realm; what is in it knows the realm.
fn scope(realm: Realm, part: &str) -> actix_web::Scope {
    web::scope(&format!("/{realm}/{part}")).app_data(web::ThinData(realm))
}

/// A path and its methods; another method is answered 405 with what is allowed (RFC 9110 §15.5.6).
struct Path {
    resource: Resource,
    allowed: Vec<Method>,
}

fn at(path: &str) -> Path {
    Path {
        resource: web::resource(path),
        allowed: Vec::new(),
    }
}

impl Path {
    fn data(mut self, realm: web::ThinData<Realm>) -> Self {
        self.resource = self.resource.app_data(realm);
        self
    }

    fn get<H, A>(self, handler: H) -> Self
    where
        H: Handler<A>,
        A: FromRequest + 'static,
        H::Output: Responder + 'static,
    {
        // HEAD wherever GET is served (RFC 9110 §9.1); the server leaves the body out.
        self.method(Method::GET, handler.clone())
            .method(Method::HEAD, handler)
    }

    fn post<H, A>(self, handler: H) -> Self
    where
        H: Handler<A>,
        A: FromRequest + 'static,
        H::Output: Responder + 'static,
    {
        self.method(Method::POST, handler)
    }

    fn method<H, A>(mut self, method: Method, handler: H) -> Self
    where
        H: Handler<A>,
        A: FromRequest + 'static,
        H::Output: Responder + 'static,
    {
        self.resource = self.resource.route(web::method(method.clone()).to(handler));
        self.allowed.push(method);
        self
    }

    fn done(self) -> Resource {
        let allowed = self
            .allowed
            .iter()
            .map(Method::as_str)
            .collect::<Vec<_>>()
            .join(", ");
        self.resource
            .default_service(web::to(move |_: HttpRequest| {
                let allowed = allowed.clone();
                async move { method_not_allowed(&allowed) }
            }))
    }
}

async fn not_found() -> Result<HttpResponse, Problem> {
    Err(Problem::not_found())
}

fn method_not_allowed(allowed: &str) -> Result<HttpResponse, Problem> {
    let detail = format!("this path takes {allowed}");
    let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail);
    Err(match HeaderValue::from_str(allowed) {
        Ok(value) => problem.with_header(ALLOW, value),
        Err(_) => problem,
    })
}
