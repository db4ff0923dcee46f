//! The documents against the route table, and against themselves.

use std::collections::BTreeSet;

use serde_json::Value;

use super::*;

fn documents() -> (OpenApi, OpenApi) {
    describe(&Addresses::new("https://auth.example.com"))
}

/// Every described method at every place.
fn described(mut document: OpenApi) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for (path, item) in &mut document.paths.paths {
        for (method, _) in operations(item) {
            all.extend(places(path).iter().map(|place| format!("{method} {place}")));
        }
    }
    all
}

/// What is served and not described: health, which has a listener of its own and is for
/// the platform; HEAD goes with every GET and is in no table.
const FOR_THE_PLATFORM: [&str; 3] = ["GET /healthz", "GET /metrics", "GET /readyz"];

#[test]
fn every_route_is_described_and_nothing_else() {
    let mut served = BTreeSet::new();
    for face in [Face::Whole, Face::Public, Face::Admin, Face::Ops] {
        let table = routes::table(Role::ALL, face);
        served.extend(table.served().map(|s| format!("{} {}", s.method, s.path)));
    }
    for route in FOR_THE_PLATFORM {
        assert!(served.remove(route), "{route} is served no more");
    }
    let (partner, admin) = documents();
    let (partner, admin) = (described(partner), described(admin));
    for route in &admin {
        assert!(route.contains(" /admin/"), "{route} is no operators' route");
        assert!(!partner.contains(route), "{route} is described twice");
    }
    let described: BTreeSet<_> = partner.union(&admin).cloned().collect();
    let missing: Vec<_> = served.difference(&described).collect();
    let gone: Vec<_> = described.difference(&served).collect();
    assert!(
        missing.is_empty() && gone.is_empty(),
        "served and not described: {missing:#?}\ndescribed and not served: {gone:#?}"
    );
}

#[test]
fn every_reference_leads_somewhere() {
    for document in both() {
        let mut references = Vec::new();
        collect(&document, &mut references);
        assert!(references.len() > 20);
        for reference in references {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
    }
}

fn both() -> [Value; 2] {
    let (partner, admin) = documents();
    [partner, admin].map(|document| serde_json::to_value(document).unwrap())
}

fn collect(value: &Value, references: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                match value {
                    Value::String(text) if name == "$ref" => references.push(text.clone()),
                    value => collect(value, references),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, references)),
        _ => {}
    }
}

#[test]
fn every_operation_says_what_it_is_and_how_it_is_refused() {
    let mut ids = BTreeSet::new();
    for document in both() {
        let tags: Vec<_> = document["tags"].as_array().unwrap().iter().collect();
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                let name = format!("{method} {path}: {operation}");
                let id = operation["operationId"].as_str().expect(&name);
                assert!(ids.insert(id.to_owned()), "{id} is there twice");
                assert!(operation["summary"].as_str().expect(&name).ends_with('.'));
                let tag = operation["tags"][0].as_str().expect(&name);
                assert!(tags.iter().any(|known| known["name"] == tag), "{name}");
                let answers = operation["responses"].as_object().unwrap();
                assert!(
                    answers.keys().any(|status| status.starts_with(['2', '3'])),
                    "{name}"
                );
                if path.contains("/v1/") && !path.starts_with("/.well-known/") {
                    assert!(operation["security"].is_array(), "{name}");
                    for status in ["400", "401", "500", "503"] {
                        assert!(answers.contains_key(status), "{status}: {name}");
                    }
                }
                if path.contains("{id}") {
                    assert!(answers.contains_key("404"), "{name}");
                }
            }
        }
    }
}

#[test]
fn the_documents_say_that_a_caller_may_have_them_already() {
    for (document, path) in both().iter().zip(["/openapi.json", "/admin/openapi.json"]) {
        let said = &document["paths"][path]["get"];
        for status in ["200", "304"] {
            let tag = &said["responses"][status]["headers"]["ETag"];
            assert!(tag.is_object(), "{status}: {said}");
        }
        assert_eq!(said["parameters"][0]["name"], "If-None-Match", "{said}");
    }
}

#[test]
fn what_an_operation_demands_comes_from_its_handler() {
    let (_, admin) = documents();
    let admin = serde_json::to_value(admin).unwrap();
    let scope = |path: &str, method: &str| admin["paths"][path][method]["security"].to_string();
    let partners = "/admin/v1/partners";
    assert_eq!(
        scope(partners, "get"),
        r#"[{"operator":["partners:read"]}]"#
    );
    assert_eq!(
        scope(partners, "post"),
        r#"[{"operator":["partners:write"]}]"#
    );
}
