//! Every route, asked in every wrong way that needs no knowledge of it: what it takes is read from the
//! documents, and filled with canaries.

use actix_web::http::Method as Served;
use onyx_auth::config::Role;
use onyx_auth::http::routes::{self, Face};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Method, RequestBuilder};
use serde_json::{Map, Value, json};

use super::ledger::Ledger;
use crate::support::world::{Answer, World};

/// A route of the table, with what the documents say of it.
#[derive(Clone, Debug)]
pub struct Route {
    pub method: Method,
    pub path: String,
    queries: Vec<String>,
    members: Vec<(String, Value)>,
    is_form: bool,
}

impl Route {
    pub fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    pub fn is_ops(&self) -> bool {
        !self.path.starts_with("/admin/")
            && self.path.matches('/').count() == 1
            && ["/healthz", "/readyz", "/metrics"].contains(&self.path.as_str())
    }
}

/// Every route of the table.
pub async fn routes(world: &World) -> Vec<Route> {
    let partner = world.get("/openapi.json", None).await.expect(200);
    let admin = world.get("/admin/openapi.json", None).await.expect(200);
    let mut all = Vec::new();
    for face in [Face::Whole, Face::Ops] {
        let table = routes::table(Role::ALL, face);
        for served in table.served() {
            all.push(route(&served.method, &served.path, [&partner, &admin]));
        }
    }
    assert!(all.len() > 80, "{}", all.len());
    all
}

fn route(method: &Served, path: &str, documents: [&Value; 2]) -> Route {
    let mut route = Route {
        method: method.as_str().parse().unwrap(),
        path: path.to_owned(),
        queries: Vec::new(),
        members: Vec::new(),
        is_form: false,
    };
    let (document, said) = documents
        .iter()
        .find_map(|document| Some((*document, said(document, method, path)?)))
        .unwrap_or((&Value::Null, &Value::Null));
    for parameter in said["parameters"].as_array().into_iter().flatten() {
        if parameter["in"] == "query" {
            route
                .queries
                .push(parameter["name"].as_str().unwrap().to_owned());
        }
    }
    let content = said["requestBody"]["content"].as_object();
    for (kind, body) in content.into_iter().flatten() {
        route.is_form = kind != "application/json";
        let schema = follow(document, &body["schema"]);
        for (name, member) in schema["properties"].as_object().into_iter().flatten() {
            let member = follow(document, member).clone();
            route.members.push((name.clone(), member));
        }
    }
    route
}

fn said<'a>(document: &'a Value, method: &Served, path: &str) -> Option<&'a Value> {
    let method = method.as_str().to_ascii_lowercase();
    let mut spelled = vec![path.to_owned()];
    for realm in ["sandbox", "live", "admin"] {
        for name in ["{realm}", "{env}"] {
            spelled.push(path.replacen(realm, name, 1));
        }
    }
    let found = spelled.iter().map(|path| &document["paths"][path][&method]);
    found.into_iter().find(|said| said.is_object())
}

fn follow<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str() {
        Some(reference) => document.pointer(&reference[1..]).unwrap(),
        None => value,
    }
}

/// The ways of asking.
const WAYS: [Way; 9] = [
    Way::NoToken,
    Way::AsToken,
    Way::AsBasic,
    Way::AsHeaders,
    Way::InPath,
    Way::InBody,
    Way::BrokenBody,
    Way::ForeignBody,
    Way::WrongMethod,
];

#[derive(Clone, Copy, Debug)]
enum Way {
    NoToken,
    AsToken,
    AsBasic,
    AsHeaders,
    InPath,
    InBody,
    BrokenBody,
    ForeignBody,
    WrongMethod,
}

/// Asks a route in every wrong way; with a good token wherever the token is not what is wrong.
pub async fn drive(world: &World, ledger: &mut Ledger, route: &Route, token: &str) {
    for way in WAYS {
        let name = format!("{} ({way:?})", route.name());
        let canary = ledger.plant(&name);
        let request = ask(world, route, way, &canary, token);
        let answer = request.send().await.unwrap();
        // A stream has no end; what is wrong with a request is told before it begins.
        let streams = answer
            .headers()
            .get("content-type")
            .is_some_and(|kind| kind == "text/event-stream");
        if streams {
            continue;
        }
        let answer = Answer::of(answer).await;
        // 501 is a refusal too: what the server has never had.
        assert!(
            answer.status < 500 || answer.status == 501,
            "{name}: {}",
            answer.text
        );
        assert_ne!(answer.header("onyx-request-id"), "", "{name}");
        ledger.answered(&name, &answer);
    }
}

fn ask(world: &World, route: &Route, way: Way, canary: &str, token: &str) -> RequestBuilder {
    let encoded = utf8_percent_encode(canary, NON_ALPHANUMERIC).to_string();
    let base = if route.is_ops() {
        &world.ops
    } else {
        &world.base
    };
    // Ids of the right form that nobody has, or the canary where an id should be.
    let in_path = matches!(way, Way::InPath | Way::WrongMethod);
    let path = fill(&route.path, in_path.then_some(encoded.as_str()));
    let mut url = format!("{base}{path}?canary={encoded}");
    if in_path {
        for query in &route.queries {
            url.push_str(&format!("&{query}={encoded}"));
        }
    } else if matches!(way, Way::InBody | Way::BrokenBody | Way::ForeignBody) {
        url = format!("{base}{path}");
    }
    let method = match way {
        Way::WrongMethod => Method::from_bytes(b"PROPFIND").unwrap(),
        _ => route.method.clone(),
    };
    let request = world.http.request(method, url);
    match way {
        Way::NoToken => request,
        Way::AsToken => request.header("authorization", format!("Bearer {canary}")),
        Way::AsBasic => request.basic_auth(canary, Some(canary)),
        Way::AsHeaders => [
            "cookie",
            "x-api-key",
            "idempotency-key",
            "onyx-request-id",
            "onyx-version",
            "traceparent",
            "tracestate",
            "user-agent",
            "referer",
            "forwarded",
            "x-forwarded-for",
            "accept",
            "if-none-match",
            "last-event-id",
            "proxy-authorization",
            "dpop",
        ]
        .iter()
        .fold(request.bearer_auth(token), |request, name| {
            request.header(*name, canary)
        }),
        Way::InPath | Way::WrongMethod => request.bearer_auth(token),
        Way::InBody if route.is_form => request.form(&form(route, canary)),
        Way::InBody => request.bearer_auth(token).json(&body(route, canary)),
        Way::BrokenBody => request
            .bearer_auth(token)
            .header("content-type", "application/json")
            .body(format!("{{\"{canary}\": \"{canary}\", {canary}")),
        Way::ForeignBody => request
            .bearer_auth(token)
            .header("content-type", format!("text/plain; charset=\"{canary}\""))
            .body(canary.to_owned()),
    }
}

/// The path with something in each of its places.
fn fill(path: &str, with: Option<&str>) -> String {
    let mut filled = String::new();
    for part in path.split_inclusive('}') {
        let Some((before, _)) = part.split_once('{') else {
            filled.push_str(part);
            continue;
        };
        filled.push_str(before);
        filled.push_str(with.unwrap_or("none_01J00000000000000000000000"));
    }
    filled
}

/// Every member that the route takes, with a canary in it, and one that it does not take.
fn body(route: &Route, canary: &str) -> Value {
    let mut body = Map::new();
    for (name, member) in &route.members {
        let value = if member["items"].is_object() || member["type"] == "array" {
            json!([canary])
        } else if member["type"] == "object" {
            json!({ "kty": canary, "k": canary })
        } else {
            json!(canary)
        };
        body.insert(name.clone(), value);
    }
    body.insert("nobody_takes_this".to_owned(), json!(canary));
    Value::Object(body)
}

fn form<'a>(route: &'a Route, canary: &'a str) -> Vec<(&'a str, &'a str)> {
    let mut form: Vec<_> = route
        .members
        .iter()
        .map(|(name, _)| (name.as_str(), canary))
        .collect();
    form.push(("nobody_takes_this", canary));
    form
}
