//! The OpenAPI documents, held against the server that they describe.
//!
//! What `http/openapi` cannot take from types (members of bodies, parameters of lists, members
//! of answers) is asked of the server itself, for every operation that is described.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::world::{Answer, World, free_address, worlds, worlds_with};

const DOCUMENTS: [&str; 2] = ["/openapi.json", "/admin/openapi.json"];

/// An operation of the admin document.
struct Operation<'a> {
    document: &'a Value,
    method: Method,
    path: String,
    said: &'a Value,
}

async fn admin_document(world: &World) -> Value {
    world.get("/admin/openapi.json", None).await.expect(200)
}

fn operations(document: &Value) -> Vec<Operation<'_>> {
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, said) in item.as_object().unwrap() {
            all.push(Operation {
                document,
                method: method.to_ascii_uppercase().parse().unwrap(),
                path: path.clone(),
                said,
            });
        }
    }
    assert!(all.len() > 20);
    all
}

/// What a `$ref` leads to, or the value itself.
fn follow<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str() {
        Some(reference) => document
            .pointer(reference.strip_prefix('#').unwrap())
            .unwrap(),
        None => value,
    }
}

impl Operation<'_> {
    fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    fn parameters(&self, place: &str) -> impl Iterator<Item = &Value> {
        let all = self.said["parameters"].as_array().into_iter().flatten();
        all.filter(move |parameter| parameter["in"] == place)
    }

    /// The path with well-formed values, of records that do not exist.
    fn path(&self) -> String {
        let mut path = self.path.clone();
        for parameter in self.parameters("path") {
            let schema = follow(self.document, &parameter["schema"]);
            let given = [
                &schema["examples"][0],
                &schema["enum"][0],
                &parameter["example"],
            ];
            let value = given.iter().find_map(|value| value.as_str()).unwrap_or("x");
            path = path.replace(
                &format!("{{{}}}", parameter["name"].as_str().unwrap()),
                value,
            );
        }
        path
    }

    /// The alternatives of scopes that it demands.
    fn scopes(&self) -> Vec<&str> {
        let demands = self.said["security"].as_array().into_iter().flatten();
        demands
            .flat_map(|demand| demand["operator"].as_array().unwrap())
            .map(|scope| scope.as_str().unwrap())
            .collect()
    }

    async fn send(&self, world: &World, token: Option<&str>, body: Option<Value>) -> Answer {
        let mut request = world.request(self.method.clone(), &self.path());
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        Answer::of(request.send().await.unwrap()).await
    }
}

fn names(values: &Value) -> BTreeSet<String> {
    let all = values.as_array().into_iter().flatten();
    all.map(|value| value.as_str().unwrap().to_owned())
        .collect()
}

fn keys(object: &Value) -> BTreeSet<String> {
    let all = object.as_object().into_iter().flatten();
    all.map(|(name, _)| name.clone()).collect()
}

#[actix_web::test]
async fn documents_are_served_to_be_kept_for_a_while() {
    for world in worlds().await {
        for path in DOCUMENTS {
            let answer = world.get(path, None).await;
            let document = answer.expect(200);
            assert_eq!(document["openapi"], "3.1.0");
            assert_eq!(document["servers"][0]["url"], world.base);
            assert_eq!(answer.header("content-type"), "application/json");
            assert_eq!(answer.header("cache-control"), "public, max-age=300");
            let tag = answer.header("etag");
            let again = world
                .request(Method::GET, path)
                .header("if-none-match", tag)
                .send()
                .await
                .unwrap();
            let again = Answer::of(again).await;
            assert_eq!((again.status, again.text.as_str()), (304, ""));
            assert_eq!(again.header("etag"), tag);
            let other = world
                .request(Method::GET, path)
                .header("if-none-match", "\"of-yesterday\"")
                .send()
                .await
                .unwrap();
            assert_eq!(other.status().as_u16(), 200);
        }
    }
}

#[actix_web::test]
async fn the_admin_document_stands_with_the_admin_api() {
    let inside = free_address();
    for mut world in worlds_with(&[]).await {
        world.kill();
        world.set("ONYX_ADMIN_LISTEN", &inside);
        world.start().await;
        assert_eq!(world.get("/openapi.json", None).await.status, 200);
        assert_eq!(world.get("/admin/openapi.json", None).await.status, 404);
        let at_admin = async |path: &str| {
            let url = format!("http://{inside}{path}");
            world.http.get(url).send().await.unwrap().status().as_u16()
        };
        assert_eq!(at_admin("/admin/openapi.json").await, 200);
        assert_eq!(at_admin("/openapi.json").await, 404);
    }
}

#[actix_web::test]
async fn bodies_have_the_members_that_are_described() {
    for world in worlds().await {
        let operator = world.operator().await;
        let document = admin_document(&world).await;
        let mut seen = 0;
        for operation in operations(&document) {
            let body = &operation.said["requestBody"]["content"]["application/json"]["schema"];
            if body.is_null() {
                let takes_none = operation.method == Method::GET;
                assert!(takes_none, "{} describes no body", operation.name());
                continue;
            }
            let name = operation.name();
            let schema = follow(&document, body);
            if schema["type"] == "array" {
                // A file: what is wrong with its rows is a story of its own.
                continue;
            }
            seen += 1;
            let token = Some(operator.token.as_str());
            let answer = operation
                .send(&world, token, Some(json!({ "nobody_knows": 1 })))
                .await;
            assert_eq!(answer.status, 422, "{name}: {}", answer.text);
            let told = answer.json();
            assert_eq!(
                names(&told["members"]),
                keys(&schema["properties"]),
                "{name}"
            );
            assert_eq!(schema["additionalProperties"], false, "{name}");
            let faults = told["errors"].as_array().unwrap().iter();
            let missing: BTreeSet<_> = faults
                .filter(|fault| fault["code"] == "missing")
                .map(|fault| fault["pointer"].as_str().unwrap()[1..].to_owned())
                .collect();
            assert_eq!(missing, names(&schema["required"]), "{name}");
            assert_eq!(
                operation.said["requestBody"]["required"],
                !missing.is_empty(),
                "{name}"
            );
        }
        assert!(seen > 9, "{seen}");
    }
}

#[actix_web::test]
async fn lists_take_the_parameters_that_are_described() {
    for world in worlds().await {
        let operator = world.operator().await;
        let document = admin_document(&world).await;
        let mut seen = 0;
        for mut operation in operations(&document) {
            let described: BTreeSet<_> = operation
                .parameters("query")
                .map(|parameter| parameter["name"].as_str().unwrap().to_owned())
                .collect();
            if !described.contains("limit") {
                continue;
            }
            seen += 1;
            operation.path.push_str("?nobody_knows=1");
            let answer = operation.send(&world, Some(&operator.token), None).await;
            let name = operation.name();
            assert_eq!(answer.status, 400, "{name}: {}", answer.text);
            assert_eq!(names(&answer.json()["parameters"]), described, "{name}");
        }
        assert!(seen > 5, "{seen}");
    }
}

#[actix_web::test]
async fn operations_demand_the_scopes_that_are_described() {
    for world in worlds().await {
        let document = admin_document(&world).await;
        let held = "usage:write";
        let credential = world.operator_credential();
        let token = world.token("admin", &credential, &[("scope", held)]).await;
        for operation in operations(&document) {
            let (name, scopes) = (operation.name(), operation.scopes());
            if operation.said["security"].is_null() {
                let is_link = operation.path.starts_with("/admin/deliveries/");
                let is_document =
                    operation.path.ends_with("/openapi.json") || operation.path.contains("/docs");
                let is_open = is_document || is_link;
                assert!(is_open, "{name} is open");
                continue;
            }
            let stranger = operation.send(&world, None, None).await;
            assert_eq!(stranger.status, 401, "{name}: {}", stranger.text);
            if scopes.is_empty() || scopes.contains(&held) {
                continue;
            }
            let answer = operation.send(&world, Some(&token), Some(json!({}))).await;
            assert_eq!(answer.status, 403, "{name}: {}", answer.text);
            let detail = answer.json()["detail"].as_str().unwrap().to_owned();
            let named = detail.strip_prefix("the token lacks the scope ").unwrap();
            assert!(scopes.contains(&named), "{name} demands {named}");
        }
    }
}

/// The names of a schema's members, and of those that must be there.
fn members(document: &Value, schema: &Value) -> (BTreeSet<String>, BTreeSet<String>) {
    let schema = follow(document, schema);
    let mut all = (keys(&schema["properties"]), names(&schema["required"]));
    for part in schema["allOf"].as_array().into_iter().flatten() {
        let (properties, required) = members(document, part);
        all.0.extend(properties);
        all.1.extend(required);
    }
    all
}

#[actix_web::test]
async fn answers_have_the_members_that_are_described() {
    for world in worlds().await {
        let credential = world.live_client(&["orders:read"]).await;
        let operator = world.operator().await;
        operator
            .resource_server(
                "live",
                "https://orders.example.com",
                &["orders:read"],
                "ES256",
            )
            .await;
        let document = admin_document(&world).await;
        let mut seen = 0;
        for mut operation in operations(&document) {
            if operation.method != Method::GET || operation.said["security"].is_null() {
                continue;
            }
            let name = operation.name();
            operation.path = operation
                .path
                .replace(
                    "/partners/{id}",
                    &format!("/partners/{}", credential.partner_id),
                )
                .replace(
                    "/clients/{id}",
                    &format!("/clients/{}", credential.client_id),
                );
            if operation.path.contains('{') {
                continue;
            }
            let answer = operation.send(&world, Some(&operator.token), None).await;
            let content = &operation.said["responses"]["200"]["content"];
            if answer.status != 200 || content["application/json"].is_null() {
                continue;
            }
            let answer = answer.json();
            let mut schema = follow(&document, &content["application/json"]["schema"]);
            let mut shown = vec![&answer];
            if let (Some(rows), Some(list)) =
                (answer["data"].as_array(), schema["properties"].get("data"))
            {
                schema = follow(&document, &list["items"]);
                shown = rows.iter().collect();
            }
            let (properties, required) = members(&document, schema);
            for view in shown {
                seen += 1;
                let sent = keys(view);
                assert!(
                    sent.is_subset(&properties),
                    "{name}: {sent:?} {properties:?}"
                );
                assert!(required.is_subset(&sent), "{name}: {sent:?} {required:?}");
            }
        }
        assert!(seen > 10, "{seen}");
    }
}
