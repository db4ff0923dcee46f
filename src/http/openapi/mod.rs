//! The OpenAPI documents: what the handlers say of themselves, completed by what the route
//! table knows of them.
//!
//! A handler's `#[utoipa::path]` says what only it knows: the sentence, the body, the answer,
//! the conflicts. What its arguments already say is not written twice: the scope, the page's
//! parameters and the refusals come from their types ([`arguments`]). `tests/it/described.rs`
//! asks the running server whether bodies and parameters are as described.

pub mod admin;
pub mod arguments;
pub mod domain;
pub mod events;
mod headers;
pub mod partner;
pub mod refusals;
pub mod security;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use actix_web::http::header::{CACHE_CONTROL, ETAG, EntityTag};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse, web};
use utoipa::OpenApi as _;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::schema::{AdditionalProperties, Schema};
use utoipa::openapi::{OpenApi, Ref, RefOr, Required};

use self::refusals::NotModified;
use super::docs;
use super::etag;
use super::routes::{self, Face};
use super::table::Served;
use crate::config::Role;
use crate::domain::audience::Addresses;
use crate::domain::realm::Realm;

type Schemas = BTreeMap<String, RefOr<Schema>>;

/// Seconds that caches may keep a document.
const MAX_AGE: u32 = 300;

/// Both documents, written when somebody asks for one of them.
///
/// Not at the start: writing them takes more memory than all else that starts does, for what most
/// processes are never asked for.
#[derive(Debug)]
pub struct Documents {
    addresses: Addresses,
    written: OnceLock<Written>,
}

#[derive(Debug)]
struct Written {
    partner: Document,
    admin: Document,
}

#[derive(Debug)]
struct Document {
    text: web::Bytes,
    tag: EntityTag,
}

impl Documents {
    /// The documents of the server at these addresses.
    pub fn of(addresses: &Addresses) -> Self {
        Self {
            addresses: addresses.clone(),
            written: OnceLock::new(),
        }
    }

    fn written(&self) -> &Written {
        self.written.get_or_init(|| {
            let (partner, admin) = describe(&self.addresses);
            Written {
                partner: Document::of(&partner),
                admin: Document::of(&admin),
            }
        })
    }
}

/// Answers with one of the documents; who is the first to ask waits for its writing, and holds up nobody else.
async fn answer(
    documents: web::Data<Documents>,
    request: &HttpRequest,
    which: fn(&Written) -> &Document,
) -> HttpResponse {
    if documents.written.get().is_none() {
        let documents = documents.clone();
        // What cannot be written here cannot be written below either, and fails there.
        let _ = web::block(move || _ = documents.written()).await;
    }
    which(documents.written()).answer(request)
}

impl Document {
    fn of(api: &OpenApi) -> Self {
        #[expect(
            clippy::expect_used,
            reason = "texts, numbers and maps with text keys always become JSON"
        )]
        let text = serde_json::to_vec(api).expect("a description is JSON");
        Self {
            tag: etag::of(&text),
            text: text.into(),
        }
    }

    fn answer(&self, request: &HttpRequest) -> HttpResponse {
        let known = etag::is_known(request, &self.tag);
        let mut answer = HttpResponse::build(if known {
            StatusCode::NOT_MODIFIED
        } else {
            StatusCode::OK
        });
        answer
            .insert_header((CACHE_CONTROL, format!("public, max-age={MAX_AGE}")))
            .insert_header((ETAG, self.tag.to_string()));
        if known {
            answer.finish()
        } else {
            answer
                .content_type("application/json")
                .body(docs::in_pieces(self.text.clone()))
        }
    }
}

/// Describes the partner API and the OAuth endpoints.
///
/// This document (OpenAPI 3.1). `ETag` and `If-None-Match` spare a second transfer.
#[utoipa::path(
    get, path = "/openapi.json", operation_id = "describe_partner_api", tag = "discovery",
    params(("If-None-Match" = Option<String>, Header, description = "The `ETag` of the document as the caller has it.")),
    responses(
        (status = 200, description = "The document", content_type = "application/json", body = Object,
            headers(("ETag" = String, description = "Changes with the document."))),
        NotModified,
    )
)]
pub async fn partner(request: HttpRequest, documents: web::Data<Documents>) -> HttpResponse {
    answer(documents, &request, |written| &written.partner).await
}

/// Describes the admin API.
///
/// This document (OpenAPI 3.1). `ETag` and `If-None-Match` spare a second transfer.
#[utoipa::path(
    get, path = "/admin/openapi.json", operation_id = "describe_admin_api", tag = "discovery",
    params(("If-None-Match" = Option<String>, Header, description = "The `ETag` of the document as the caller has it.")),
    responses(
        (status = 200, description = "The document", content_type = "application/json", body = Object,
            headers(("ETag" = String, description = "Changes with the document."))),
        NotModified,
    )
)]
pub async fn admin(request: HttpRequest, documents: web::Data<Documents>) -> HttpResponse {
    answer(documents, &request, |written| &written.admin).await
}

/// The partner document and the admin document.
fn describe(addresses: &Addresses) -> (OpenApi, OpenApi) {
    let table = routes::table(Role::ALL, Face::Whole);
    let served: Vec<&Served> = table.served().collect();
    let mut partner = partner::Document::openapi();
    let mut admin = admin::Document::openapi();
    for document in [&mut partner, &mut admin] {
        document.servers = Some(vec![utoipa::openapi::Server::new(addresses.base())]);
        complete(document, &served);
    }
    security::add_to_partner(&mut partner, addresses);
    security::add_to_admin(&mut admin, addresses);
    (partner, admin)
}

/// Adds what the route table knows to what the handlers say.
fn complete(document: &mut OpenApi, served: &[&Served]) {
    let schemas = document.components.get_or_insert_default().schemas.clone();
    let (mut bodies, mut refused) = (Vec::new(), BTreeSet::new());
    let mut paths = document.paths.paths.keys();
    let has_partners = paths.any(|path| headers::is_partners(path));
    for (path, item) in &mut document.paths.paths {
        let places = places(path);
        for (method, operation) in operations(item) {
            arguments::realm(operation, path);
            headers::add_to(operation, path);
            let found = served
                .iter()
                .find(|s| s.method == method && places.contains(&s.path));
            if let Some(served) = found {
                (served.complete)(operation);
            }
            bodies.extend(json_body(operation, &schemas));
            refused.extend(refusals::named_by(operation));
        }
    }
    let components = document.components.get_or_insert_default();
    refusals::add_to(components, &refused, has_partners);
    headers::describe(components, has_partners);
    for (name, schema) in &mut components.schemas {
        // A view sends all its members, and null for what there is not.
        if let RefOr::T(Schema::Object(view)) = schema
            && name.ends_with("View")
        {
            view.required = view.properties.keys().cloned().collect();
        }
    }
    for name in bodies {
        // A member that nobody knows is a fault of the request.
        if let Some(RefOr::T(Schema::Object(body))) = components.schemas.get_mut(&name) {
            body.additional_properties = Some(Box::new(AdditionalProperties::FreeForm(false)));
        }
    }
}

/// Where a path of a document really is: `{realm}` and `{env}` stand for each of theirs.
fn places(path: &str) -> Vec<String> {
    let (name, realms): (_, &[Realm]) = if path.contains("{realm}") {
        ("{realm}", Realm::ALL)
    } else {
        ("{env}", domain::ENVIRONMENTS)
    };
    let mut places: Vec<_> = realms
        .iter()
        .map(|realm| path.replace(name, realm.as_str()))
        .collect();
    places.dedup();
    places
}

/// A path's operations with their methods.
fn operations(item: &mut PathItem) -> impl Iterator<Item = (Method, &mut Operation)> {
    [
        (Method::GET, &mut item.get),
        (Method::POST, &mut item.post),
        (Method::PUT, &mut item.put),
        (Method::PATCH, &mut item.patch),
        (Method::DELETE, &mut item.delete),
    ]
    .into_iter()
    .filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

/// The name of the schema of an operation's JSON body, which may be left out where no
/// member must be there: an empty body is an empty object.
fn json_body(operation: &mut Operation, schemas: &Schemas) -> Option<String> {
    let Some(RefOr::T(body)) = &mut operation.request_body else {
        return None;
    };
    let RefOr::T(content) = body.content.get("application/json")? else {
        return None;
    };
    let Some(RefOr::Ref(Ref { ref_location, .. })) = &content.schema else {
        return None;
    };
    let name = ref_location
        .strip_prefix("#/components/schemas/")?
        .to_owned();
    if let Some(RefOr::T(Schema::Object(object))) = schemas.get(&name) {
        body.required = Some(if object.required.is_empty() {
            Required::False
        } else {
            Required::True
        });
    }
    Some(name)
}

#[cfg(test)]
mod tests;
