//! Every route of the partner API that takes an id, asked with another tenant's: the answer is that of
//! an id that does not exist, byte for byte but for the request's id and the time.
//!
//! Driven by the document: a new route or a new filter by id fails here until it says whose id it takes.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::receiver::{LOOPBACK, Receiver};
use crate::support::shop::{bare, fresh_key, order, package_with};
use crate::support::world::{Answer, Operator, PARTNER_SCOPES, World, worlds_with};

/// What ids name, by the kind that routes and filters take.
struct Ids(BTreeMap<&'static str, String>);

/// Ids of every kind that name nothing.
fn nothing() -> Ids {
    const ULID: &str = "01K2ZJ6V9D3M5K7N2R4T6W8Y0A";
    Ids(BTreeMap::from([
        ("order", format!("ord_{ULID}")),
        ("reference", "no-such-order".to_owned()),
        ("package", format!("pkg_{ULID}")),
        ("invoice", format!("inv_{ULID}")),
        ("audit event", format!("aud_{ULID}")),
        ("event", format!("evt_{ULID}")),
        ("client", format!("cl_sbx_{ULID}")),
        ("credential", format!("crd_{ULID}")),
        ("webhook endpoint", format!("whe_{ULID}")),
        ("replay", format!("rpl_{ULID}")),
    ]))
}

/// The kind of id in a route's path.
fn of_path(path: &str) -> &'static str {
    match path {
        "/{env}/v1/catalogue/packages/{id}" => "package",
        "/{env}/v1/orders/{id}" => "order",
        "/{env}/v1/orders/by-reference/{partner_order_ref}" => "reference",
        "/{env}/v1/invoices/{id}" => "invoice",
        "/{env}/v1/audit/events/{id}/proof" => "audit event",
        "/{env}/v1/events/{id}" => "event",
        "/{env}/v1/webhook-endpoints/{id}" => "webhook endpoint",
        "/{env}/v1/webhook-endpoints/{id}/deliveries" => "webhook endpoint",
        "/{env}/v1/replays/{id}" => "replay",
        other => panic!("{other}: whose id does it take? Say so here"),
    }
}

/// The kind of id that a filter takes. `None`: no id of something.
fn of_filter(name: &str) -> Option<&'static str> {
    match name {
        "order_id" => Some("order"),
        "package_id" => Some("package"),
        "invoice_id" => Some("invoice"),
        "client_id" => Some("client"),
        "credential_id" => Some("credential"),
        "event_id" => Some("event"),
        other => {
            assert!(
                !other.ends_with("_id"),
                "{other}: whose id is it? Say so here"
            );
            None
        }
    }
}

/// GET routes of the partner API: those with an id in their path, and filters by id.
fn asked(document: &Value) -> Vec<(String, &'static str)> {
    let mut asked = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        let Some(get) = item.get("get").filter(|_| path.starts_with("/{env}/v1/")) else {
            continue;
        };
        let below = path.trim_start_matches("/{env}/v1");
        if below.contains('{') {
            let (start, rest) = below.split_once('{').unwrap();
            let end = rest.split_once('}').unwrap().1;
            asked.push((format!("{start}<id>{end}"), of_path(path)));
        }
        let parameters = get["parameters"].as_array().into_iter().flatten();
        for parameter in parameters.filter(|parameter| parameter["in"] == "query") {
            let name = parameter["name"].as_str().unwrap();
            if let Some(kind) = of_filter(name) {
                // A list of something that is named itself: the owner's.
                let below = match below.split_once("{id}") {
                    Some((start, end)) => format!("{start}<{}>{end}", of_path(path)),
                    None => below.to_owned(),
                };
                asked.push((format!("{below}?{name}=<id>"), kind));
            }
        }
    }
    asked
}

async fn get(world: &World, env: &str, token: &str, path: &str, id: &str) -> Answer {
    let path = format!("/{env}/v1{}", path.replace("<id>", id));
    world.get(&path, Some(token)).await
}

/// A partner with clients in both environments: their tokens.
async fn at_home_in_both(world: &World, operator: &Operator<'_>) -> (String, String, String, Ids) {
    let live = world.live_client(&PARTNER_SCOPES).await;
    let partner = live.partner_id.clone();
    for scope in PARTNER_SCOPES {
        operator.sandbox_grant(&partner, scope, None).await;
    }
    let sandbox = operator.client(&partner, "sandbox", &PARTNER_SCOPES).await;
    let ids = Ids(BTreeMap::from([
        ("client", sandbox.client_id.clone()),
        ("credential", sandbox.credential_id.clone()),
    ]));
    let tokens = (
        world.token("sandbox", &sandbox, &[]).await,
        world.token("live", &live, &[]).await,
    );
    (partner, tokens.0, tokens.1, ids)
}

#[actix_web::test]
async fn anothers_id_is_answered_like_one_that_names_nothing() {
    let receiver = Receiver::start().await;
    for world in worlds_with(&[LOOPBACK]).await {
        let operator = world.operator().await;
        let (partner, sandbox, live, mut ids) = at_home_in_both(&world, &operator).await;
        let secret = json!({ "partners": [{ "partner_id": partner, "realm": "sandbox" }] });
        let package = operator.published(package_with(secret)).await;
        let placing = world
            .request(reqwest::Method::POST, "/sandbox/v1/orders")
            .bearer_auth(&sandbox)
            .header("idempotency-key", fresh_key())
            .json(&order(&package, 1, "sim-delay-mine"));
        let placed = Answer::of(placing.send().await.unwrap()).await.expect(201);
        let close = json!({ "partner_id": partner, "realm": "sandbox" });
        let closed = operator.post("/invoices/close", close).await.expect(200);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        ids.0.insert("package", package);
        ids.0.insert("order", text(&placed["id"]));
        ids.0.insert("reference", "sim-delay-mine".to_owned());
        ids.0.insert("invoice", text(&closed["data"][0]["id"]));
        let url = receiver.url("/in");
        let endpoint = world.endpoint("sandbox", &sandbox, &url, &["*"]).await;
        ids.0.insert("webhook endpoint", text(&endpoint["id"]));
        let replay = world
            .request(reqwest::Method::POST, "/sandbox/v1/replays")
            .bearer_auth(&sandbox)
            .json(&json!({ "endpoint_id": endpoint["id"], "only": "all", "dry_run": true }));
        let replay = Answer::of(replay.send().await.unwrap()).await.expect(201);
        ids.0.insert("replay", text(&replay["id"]));
        let events = get(&world, "sandbox", &sandbox, "/audit/events", "")
            .await
            .expect(200);
        ids.0.insert("audit event", text(&events["data"][0]["id"]));

        let told = get(&world, "sandbox", &sandbox, "/events", "")
            .await
            .expect(200);
        ids.0.insert("event", text(&told["data"][0]["id"]));

        let stranger = world.sandbox_client(&PARTNER_SCOPES).await;
        let stranger = world.token("sandbox", &stranger, &[]).await;
        let nothing = nothing();
        let document = world.get("/openapi.json", None).await.json();
        let asked = asked(&document);
        assert!(asked.len() >= 10, "{asked:?}");
        for (path, kind) in &asked {
            let (mine, none) = (&ids.0[kind], &nothing.0[kind]);
            let path = &path.replace("<webhook endpoint>", &ids.0["webhook endpoint"]);
            // It is there for whom it belongs to; a proof may take a moment more.
            let own = get(&world, "sandbox", &sandbox, path, mine).await;
            assert!(
                own.status == 200 || *kind == "audit event",
                "{path}: {own:?}"
            );
            for (env, token) in [("sandbox", &stranger), ("live", &live)] {
                let theirs = get(&world, env, token, path, mine).await;
                let unknown = get(&world, env, token, path, none).await;
                assert_eq!(bare(&theirs), bare(&unknown), "{env} {path}");
            }
        }
        // What cannot be seen cannot be bought.
        let buy = async |env: &str, token: &str, package: &str| {
            let request = world
                .request(reqwest::Method::POST, &format!("/{env}/v1/orders"))
                .bearer_auth(token)
                .header("idempotency-key", fresh_key())
                .json(&order(package, 1, "PO-1"));
            Answer::of(request.send().await.unwrap()).await
        };
        for (env, token) in [("sandbox", &stranger), ("live", &live)] {
            let theirs = buy(env, token, &ids.0["package"]).await;
            let unknown = buy(env, token, &nothing.0["package"]).await;
            assert_eq!(
                (theirs.status, bare(&theirs)),
                (422, bare(&unknown)),
                "{env}"
            );
        }
    }
}
