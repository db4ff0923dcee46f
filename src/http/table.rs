//! How routes are laid out: actix-web's resources, together with what they serve.
//!
//! A route cannot be laid without saying its method and path here, so the documents can be
//! compared with what is really served.

use actix_web::http::header::{ALLOW, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::from_fn;
use actix_web::{FromRequest, Handler, HttpResponse, Resource, Responder, guard, web};
use utoipa::openapi::path::Operation;

use super::measure::Measured;
use super::openapi::arguments::Arguments;
use super::problem::Problem;
use super::unserved;
use super::versions;
use crate::domain::realm::Realm;

/// A method at a path, and what its handler's arguments mean for callers.
#[derive(Clone, Debug)]
pub struct Served {
    /// The method. HEAD, which goes with every GET, is not listed.
    pub method: Method,
    /// The path's template from the root.
    pub path: String,
    /// Adds to the operation's description what the handler's arguments demand and refuse.
    pub complete: fn(&mut Operation),
}

/// What a listener serves, before actix-web has it.
#[derive(Default)]
pub struct Table {
    pieces: Vec<Piece>,
}

/// A path of its own, or a part with many.
pub enum Piece {
    /// A path.
    Place(Place),
    /// Paths that begin alike.
    Part(Part),
}

/// Paths that begin alike; what is in it knows the realm.
pub struct Part {
    scope: actix_web::Scope,
    prefix: String,
    served: Vec<Served>,
    has_versions: bool,
}

/// A path with all its methods.
pub struct Place {
    path: String,
    resource: Resource,
    served: Vec<Served>,
}

impl Table {
    /// Adds a path or a part.
    pub fn service(&mut self, piece: impl Into<Piece>) -> &mut Self {
        self.pieces.push(piece.into());
        self
    }

    /// Every method at every path.
    pub fn served(&self) -> impl Iterator<Item = &Served> {
        self.pieces.iter().flat_map(|piece| match piece {
            Piece::Place(place) => &place.served,
            Piece::Part(part) => &part.served,
        })
    }

    /// Hands everything to actix-web.
    pub fn lay(self, config: &mut web::ServiceConfig) {
        for piece in self.pieces {
            match piece {
                Piece::Place(place) => config.service(place.measured("")),
                Piece::Part(part) if part.has_versions => config.service(
                    part.scope
                        .wrap(from_fn(unserved::recognise))
                        .wrap(from_fn(versions::speak)),
                ),
                Piece::Part(part) => config.service(part.scope),
            };
        }
    }
}

impl From<Place> for Piece {
    fn from(place: Place) -> Self {
        Self::Place(place)
    }
}

impl From<Part> for Piece {
    fn from(part: Part) -> Self {
        Self::Part(part)
    }
}

/// A part of a realm; what is in it knows the realm.
pub fn scope(realm: Realm, part: &str) -> Part {
    let prefix = format!("/{realm}/{part}");
    Part {
        scope: web::scope(&prefix).app_data(web::ThinData(realm)),
        prefix,
        served: Vec::new(),
        has_versions: false,
    }
}

impl Part {
    /// What is in it is spoken in versions.
    pub fn in_versions(self) -> Self {
        Self {
            has_versions: true,
            ..self
        }
    }

    /// Adds a path, which is relative to the part's.
    pub fn service(mut self, place: Place) -> Self {
        self.served
            .extend(place.served.iter().cloned().map(|served| Served {
                path: format!("{}{}", self.prefix, served.path),
                ..served
            }));
        self.scope = self.scope.service(place.measured(&self.prefix));
        self
    }
}

impl Place {
    /// The resource, which knows by what template its requests are measured.
    fn measured(self, prefix: &str) -> Resource {
        let template = format!("{prefix}{}", self.path);
        self.resource.app_data(Measured::new(&template))
    }
}

/// A path and its methods; another method is answered 405 with what is allowed (RFC 9110 §15.5.6).
pub struct Path {
    path: String,
    resource: Resource,
    allowed: Vec<Method>,
    served: Vec<Served>,
}

/// Starts a path.
pub fn at(path: &str) -> Path {
    Path {
        path: path.to_owned(),
        resource: web::resource(path),
        allowed: Vec::new(),
        served: Vec::new(),
    }
}

impl Path {
    /// Lets the handlers know the realm, outside a part that does.
    pub fn data(mut self, realm: web::ThinData<Realm>) -> Self {
        self.resource = self.resource.app_data(realm);
        self
    }

    pub fn get<H, A>(self, handler: H) -> Self
    where
        H: Handler<A>,
        A: FromRequest + Arguments + 'static,
        H::Output: Responder + 'static,
    {
        // HEAD wherever GET is served (RFC 9110 §9.1); the server leaves the body out.
        self.method(Method::GET, handler.clone())
            .method(Method::HEAD, handler)
    }

    pub fn post<H, A>(self, handler: H) -> Self
    where
        H: Handler<A>,
        A: FromRequest + Arguments + 'static,
        H::Output: Responder + 'static,
    {
        self.method(Method::POST, handler)
    }

    pub fn put<H, A>(self, handler: H) -> Self
    where
        H: Handler<A>,
        A: FromRequest + Arguments + 'static,
        H::Output: Responder + 'static,
    {
        self.method(Method::PUT, handler)
    }

    pub fn patch<H, A>(self, handler: H) -> Self
    where
        H: Handler<A>,
        A: FromRequest + Arguments + 'static,
        H::Output: Responder + 'static,
    {
        self.method(Method::PATCH, handler)
    }

    pub fn delete<H, A>(self, handler: H) -> Self
    where
        H: Handler<A>,
        A: FromRequest + Arguments + 'static,
        H::Output: Responder + 'static,
    {
        self.method(Method::DELETE, handler)
    }

    fn method<H, A>(mut self, method: Method, handler: H) -> Self
    where
        H: Handler<A>,
        A: FromRequest + Arguments + 'static,
        H::Output: Responder + 'static,
    {
        // Not `web::method`, which notes the methods that it stands for in every single request.
        let wanted = method.clone();
        let fits = guard::fn_guard(move |request| request.head().method == wanted);
        self.resource = self.resource.route(web::route().guard(fits).to(handler));
        if method != Method::HEAD {
            self.served.push(Served {
                method: method.clone(),
                path: template(&self.path),
                complete: A::describe,
            });
        }
        self.allowed.push(method);
        self
    }

    /// The path with every method; it is described as GET.
    pub fn any<H, A>(mut self, handler: H) -> Place
    where
        H: Handler<A>,
        A: FromRequest + Arguments + 'static,
        H::Output: Responder + 'static,
    {
        let path = template(&self.path);
        self.served.push(Served {
            method: Method::GET,
            path: path.clone(),
            complete: A::describe,
        });
        Place {
            path,
            resource: self.resource.route(web::to(handler)),
            served: self.served,
        }
    }

    /// The path with its methods; every other method is a problem.
    pub fn done(self) -> Place {
        let allowed = self
            .allowed
            .iter()
            .map(Method::as_str)
            .collect::<Vec<_>>()
            .join(", ");
        self.or_else(move || {
            let allowed = allowed.clone();
            async move { method_not_allowed(&allowed) }
        })
    }

    /// The path with its methods; every other method is answered by this.
    pub fn or_else<H>(self, other: H) -> Place
    where
        H: Handler<()>,
        H::Output: Responder + 'static,
    {
        Place {
            path: template(&self.path),
            resource: self.resource.default_service(web::to(other)),
            served: self.served,
        }
    }
}

/// The path without the patterns within its braces, which are for the router alone.
fn template(path: &str) -> String {
    path.replace(":.*}", "}")
}

fn method_not_allowed(allowed: &str) -> Result<HttpResponse, Problem> {
    let detail = format!("this path takes {allowed}");
    let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail);
    Err(match HeaderValue::from_str(allowed) {
        Ok(value) => problem.with_header(ALLOW, value),
        Err(_) => problem,
    })
}
