//! What partners are told: every type as `docs/events.md` has it, by number, without gaps.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use onyx_auth::domain::event::EventKind;
use reqwest::Method;
use serde_json::{Map, Value, json};

use crate::support::receiver::{LOOPBACK, Receiver};
use crate::support::recipient::python;
use crate::support::shop::{Shopper, column, package_with};
use crate::support::world::{
    Answer, Credential, Operator, PARTNER_SCOPES, World, at_once, days_away, in_future, worlds,
    worlds_with,
};

/// What `docs/events.md` says of a type.
struct Entry {
    schema: Value,
    example: Value,
}

/// What `docs/events.md` says: the schema of every event's envelope, and its types.
struct Catalogue {
    envelope: Value,
    types: BTreeMap<String, Entry>,
}

fn catalogue() -> Catalogue {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/events.md");
    let page = std::fs::read_to_string(path).unwrap();
    let blocks = |section: &str| -> Vec<Value> {
        let fenced = section.split("```json\n").skip(1);
        let texts = fenced.map(|rest| rest.split("```").next().unwrap());
        texts
            .map(|text| serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}")))
            .collect()
    };
    let mut sections = page.split("\n### `");
    let envelope = blocks(sections.next().unwrap()).swap_remove(0);
    let types = sections.map(|section| {
        let name = section.split('`').next().unwrap().to_owned();
        let [schema, example] = <[Value; 2]>::try_from(blocks(section)).unwrap();
        (name, Entry { schema, example })
    });
    Catalogue {
        envelope,
        types: types.collect(),
    }
}

/// A schema with what its references lead to in their place.
fn whole(document: &Value, schema: &Value) -> Value {
    match schema {
        Value::Object(members) => match members.get("$ref").and_then(Value::as_str) {
            Some(reference) => whole(document, document.pointer(&reference[1..]).unwrap()),
            None => members
                .iter()
                // Examples are the page's own.
                .filter(|(name, _)| *name != "examples")
                .map(|(name, value)| (name.clone(), whole(document, value)))
                .collect::<Map<_, _>>()
                .into(),
        },
        Value::Array(items) => items.iter().map(|item| whole(document, item)).collect(),
        other => other.clone(),
    }
}

const VALIDATE: &str = r#"
import json, sys
from jsonschema import Draft202012Validator
asked = json.load(sys.stdin)
for schema in [asked["envelope"], *asked["data"].values()]:
    Draft202012Validator.check_schema(schema)
for event in asked["events"]:
    found = list(Draft202012Validator(asked["envelope"]).iter_errors(event))
    found += Draft202012Validator(asked["data"][event["type"]]).iter_errors(event["data"])
    for error in found:
        print(event["type"], error.json_path, error.message)
"#;

/// Holds events against the page: they are as its schemas say, and have no member that it does not know.
fn hold(events: &[Value]) {
    let catalogue = catalogue();
    let data: BTreeMap<_, _> = catalogue
        .types
        .iter()
        .map(|(name, entry)| (name, &entry.schema))
        .collect();
    let asked = json!({ "envelope": catalogue.envelope, "data": data, "events": events });
    assert_eq!(python(VALIDATE, &asked.to_string()), "");
    for event in events {
        let kind = event["type"].as_str().unwrap();
        let known = |value: &Value, schema: &Value| {
            for name in value.as_object().unwrap().keys() {
                assert!(
                    !schema["properties"][name].is_null(),
                    "{kind} has {name}: {event}"
                );
            }
        };
        known(event, &catalogue.envelope);
        known(&event["data"], &catalogue.types[kind].schema);
    }
}

/// A client of the sandbox with every scope.
async fn shopper(world: &World) -> Shopper<'_> {
    let who = world.sandbox_client(&PARTNER_SCOPES).await;
    no_warnings(world);
    world.shopper_as("sandbox", who).await
}

/// Moves the ends of grants away: no warning comes in between.
fn no_warnings(world: &World) {
    let later = days_away(300);
    world.execute(&format!("UPDATE scope_grants SET expires_at = '{later}'"));
}

impl Shopper<'_> {
    /// All events above a number, page by page.
    async fn events(&self, mut after: i64) -> Vec<Value> {
        let mut all = Vec::new();
        loop {
            let page = self
                .get(&format!("/events?after_seq={after}&limit=7"))
                .await
                .expect(200);
            let rows = page["data"].as_array().unwrap();
            all.extend(rows.iter().cloned());
            match rows.last() {
                Some(last) => after = last["seq"].as_i64().unwrap(),
                None => {
                    assert_eq!(page["last_seq"], after);
                    return all;
                }
            }
        }
    }

    /// Waits until an event of a type has come; answers all events.
    async fn until_told(&self, kind: &str) -> Vec<Value> {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let events = self.events(0).await;
            if events.iter().any(|event| event["type"] == kind) {
                return events;
            }
            assert!(Instant::now() < deadline, "no {kind}: {events:#?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn trigger(&self, kind: &str) -> Answer {
        let asked = self
            .request(Method::POST, "/events")
            .json(&json!({ "type": kind }));
        Answer::of(asked.send().await.unwrap()).await
    }
}

/// Whose data are of a type.
fn of<'a>(events: &'a [Value], kind: &str) -> Vec<&'a Value> {
    let those = events.iter().filter(|event| event["type"] == kind);
    those.map(|event| &event["data"]).collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

async fn use_up(operator: &Operator<'_>, order: &str, quantity: i64, unit: &str) {
    let used = json!({ "order_id": order, "quantity": quantity, "unit": unit, "recorded_at": in_future(Duration::from_secs(60)) });
    operator.post("/usage-records", used).await.expect(201);
}

/// Everything that a partner can do or have done to it happens, so far as it is told of.
async fn everything_happens(world: &mut World) -> (Credential, &'static str) {
    let who = world.sandbox_client(&PARTNER_SCOPES).await;
    {
        let operator = world.operator().await;
        // The partner's first call: it begins with a version that has a successor.
        let token = world.token("sandbox", &who, &[]).await;
        let first = world
            .request(Method::GET, "/sandbox/v1/me")
            .bearer_auth(&token);
        let first = first
            .header("onyx-version", "2026-09-01")
            .send()
            .await
            .unwrap();
        Answer::of(first).await.expect(200);
        let shopper = world.shopper_as("sandbox", who.clone()).await;
        let included = json!({ "included": { "quantity": 1000, "unit": "MB" } });
        let package = operator.published(package_with(included)).await;
        // The third order is the last one of the day.
        let figures = json!({ "orders_per_day": 3 });
        operator.allow(&who.partner_id, "enforce", figures).await;
        let mut orders = Vec::new();
        for nth in 0..3 {
            let placed = shopper
                .order(&package, 2, &format!("sim-delay-{nth}"))
                .await;
            orders.push(text(&placed.expect(201)["id"]));
        }
        for (order, steps) in
            orders
                .iter()
                .zip([&["prepare", "fulfil"][..], &["fail"], &["cancel"]])
        {
            for step in steps {
                let path = format!("/orders/{order}/{step}");
                operator
                    .post(&path, json!({ "reason": "told nobody" }))
                    .await
                    .expect(200);
            }
        }
        use_up(&operator, &orders[0], 1599, "MB").await;
        use_up(&operator, &orders[0], 1, "MB").await;
        let close = json!({ "partner_id": who.partner_id, "realm": "sandbox" });
        let closed = operator.post("/invoices/close", close).await.expect(200);
        let invoice = text(&closed["data"][0]["id"]);
        operator
            .post(&format!("/invoices/{invoice}/pay"), json!({}))
            .await
            .expect(200);

        let receiver = Receiver::start().await;
        let url = receiver.url("/");
        let endpoint = world.endpoint("sandbox", &token, &url, &["*"]).await;
        let path = format!("/webhook-endpoints/{}/disable", text(&endpoint["id"]));
        let disable = shopper.request(Method::POST, &path).json(&json!({}));
        Answer::of(disable.send().await.unwrap()).await.expect(200);

        let spare = operator.issue(&who.client_id).await;
        operator.revoke(&spare.credential_id).await.expect(200);
        let rotate = format!("/credentials/{}/rotate", who.credential_id);
        operator.post(&rotate, json!({})).await.expect(201);
        let grant = operator
            .request_grant(&who.partner_id, "sandbox", "ledger:read", None)
            .await;
        let grant = format!("/scope-grants/{}/revoke", text(&grant.expect(201)["id"]));
        operator
            .post(&grant, json!({ "reason": "told nobody" }))
            .await
            .expect(200);
        let more = operator
            .client(&who.partner_id, "sandbox", &["orders:read"])
            .await;
        world.execute(&format!(
            "UPDATE credentials SET expires_at = '{}' WHERE id = '{}'",
            days_away(5),
            more.credential_id
        ));
        world.execute(&format!(
            "UPDATE scope_grants SET expires_at = '{}' WHERE partner_id = '{}' AND scope = 'usage:read'",
            days_away(5),
            who.partner_id
        ));
    }
    // The worker looks for ends as it starts.
    world.terminate();
    world.start().await;
    (who, "told nobody")
}

#[actix_web::test]
async fn events_of_every_type_are_as_the_catalogue_says() {
    for mut world in worlds_with(&[LOOPBACK]).await {
        let (who, private) = everything_happens(&mut world).await;
        let shopper = world.shopper_as("sandbox", who).await;
        shopper.until_told("credential.expiring").await;
        let events = shopper.until_told("scope_grant.expiring").await;
        let told: BTreeSet<_> = events.iter().map(|event| text(&event["type"])).collect();
        let all: BTreeSet<_> = EventKind::ALL.iter().map(ToString::to_string).collect();
        assert_eq!(told, all);
        hold(&events);
        // No free text of anybody's.
        assert!(!json!(events).to_string().contains(private));

        // By number, without gaps; each is shown alone in the same words.
        for (nth, event) in events.iter().enumerate() {
            assert_eq!(event["seq"], nth + 1);
            assert_eq!(event["env"], "sandbox");
            let alone = shopper
                .get(&format!("/events/{}", text(&event["id"])))
                .await;
            assert_eq!(&alone.expect(200), event);
        }

        // What a sandbox asks for is of the same form, and says what it is.
        for kind in EventKind::ALL {
            let made = shopper.trigger(kind.as_str()).await.expect(201);
            assert_eq!(
                (&made["type"], &made["data"]["test"]),
                (&json!(kind), &json!(true))
            );
            hold(&[made]);
        }
    }
}

#[actix_web::test]
async fn the_catalogue_is_what_the_partner_document_says() {
    let world = worlds().await.swap_remove(0);
    let document = world.get("/openapi.json", None).await.expect(200);
    let schemas = &document["components"]["schemas"];
    let catalogue = catalogue();
    let named: BTreeSet<_> = catalogue.types.keys().cloned().collect();
    let all: BTreeSet<_> = EventKind::ALL.iter().map(ToString::to_string).collect();
    assert_eq!(named, all);
    let each = schemas["Event"]["oneOf"].as_array().unwrap();
    assert_eq!(each.len(), all.len());
    let mut envelope = json!(null);
    for schema in each {
        let mut schema = whole(&document, schema);
        let kind = text(&schema["properties"]["type"]["enum"][0]);
        let entry = &catalogue.types[&kind];
        let data = schema["properties"]["data"].take();
        assert_eq!(entry.schema, data, "{kind}: {data:#}");
        assert_eq!(entry.example["type"], *kind);
        schema["properties"]["type"]["enum"] = json!(EventKind::ALL);
        schema["properties"]["data"] = json!({ "type": "object" });
        envelope = schema;
    }
    assert_eq!(catalogue.envelope, envelope, "{envelope:#}");
    let examples: Vec<_> = catalogue
        .types
        .into_values()
        .map(|entry| entry.example)
        .collect();
    hold(&examples);
}

#[actix_web::test]
async fn a_list_says_what_is_kept_no_more() {
    for mut world in worlds().await {
        let who = {
            let shopper = shopper(&world).await;
            assert_eq!(
                shopper.get("/events?after_seq=0").await.expect(200),
                json!({ "data": [], "next_cursor": null, "last_seq": 0, "purged_up_to": 0 })
            );
            for kind in [
                "order.accepted",
                "order.failed",
                "invoice.opened",
                "invoice.paid",
            ] {
                shopper.trigger(kind).await.expect(201);
            }
            let page = shopper.get("/events?after_seq=1&limit=2").await.expect(200);
            assert_eq!(column(&page, "type"), ["order.failed", "invoice.opened"]);
            assert_eq!(
                (&page["last_seq"], &page["purged_up_to"]),
                (&json!(4), &json!(0))
            );
            for bad in [
                "after_seq=-1",
                "after_seq=x",
                "limit=0",
                "limit=101",
                "cursor=x",
            ] {
                assert_eq!(
                    shopper.get(&format!("/events?{bad}")).await.status,
                    400,
                    "{bad}"
                );
            }
            shopper.who
        };
        world.kill();
        world.execute("UPDATE events SET created_at = '2025-01-01 00:00:00' WHERE seq <= 2");
        world.start().await;
        let shopper = world.shopper_as("sandbox", who).await;
        let deadline = Instant::now() + Duration::from_secs(60);
        let gone = loop {
            let answer = shopper.get("/events?after_seq=1").await;
            if answer.status != 200 {
                break answer;
            }
            assert!(Instant::now() < deadline);
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        let told = gone.expect(410);
        assert_eq!(told["code"], "cursor_gone");
        assert_eq!(
            (&told["purged_up_to"], &told["last_seq"]),
            (&json!(2), &json!(4))
        );
        // Whoever has seen the second misses nothing; whoever has no number begins with what there is.
        for path in ["/events?after_seq=2", "/events"] {
            let page = shopper.get(path).await.expect(200);
            assert_eq!(column(&page, "type"), ["invoice.opened", "invoice.paid"]);
            assert_eq!(page["purged_up_to"], 2);
        }
        // A number that was never given out: the database is an older one.
        let beyond = shopper.get("/events?after_seq=5").await.expect(410);
        assert_eq!(
            (&beyond["code"], &beyond["last_seq"]),
            (&json!("cursor_gone"), &json!(4))
        );
        let none = shopper.get("/events?after_seq=4").await.expect(200);
        assert_eq!(none["data"], json!([]));
    }
}

#[actix_web::test]
async fn events_are_made_to_order_in_the_sandbox_alone() {
    for world in worlds().await {
        let live = world.live_client(&PARTNER_SCOPES).await;
        no_warnings(&world);
        let live = world.shopper_as("live", live).await;
        assert_eq!(live.trigger("order.accepted").await.status, 405);
        assert_eq!(live.events(0).await, Vec::<Value>::new());

        let sandbox = shopper(&world).await;
        let odd = sandbox.trigger("order.lost").await;
        let told = odd.expect(422);
        assert_eq!(told["errors"][0]["pointer"], "/type");
        assert!(text(&told["errors"][0]["detail"]).contains("order.fulfilled"));

        let reader = world.sandbox_client(&["events:replay"]).await;
        let reader = world.shopper_as("sandbox", reader).await;
        assert_eq!(reader.trigger("order.accepted").await.status, 403);
        let blind = world.shopper().await;
        assert_eq!(blind.get("/events").await.status, 403);
    }
}

#[actix_web::test]
async fn whoever_uses_up_what_is_included_is_told_once_a_threshold() {
    for world in worlds().await {
        let operator = world.operator().await;
        let shopper = shopper(&world).await;
        let included = json!({ "included": { "quantity": 50, "unit": "MB" } });
        let package = operator.published(package_with(included)).await;
        let shown = shopper
            .get(&format!("/catalogue/packages/{package}"))
            .await
            .expect(200);
        assert_eq!(shown["included"], json!({ "quantity": 50, "unit": "MB" }));
        let order = shopper.order(&package, 2, "sim-delay-1").await.expect(201);
        let order = text(&order["id"]);
        // What it includes from now on concerns later orders.
        let path = format!("/packages/{package}");
        operator
            .patch(&path, json!({ "included": null }))
            .await
            .expect(200);
        let later = text(&shopper.order(&package, 2, "sim-delay-2").await.expect(201)["id"]);
        use_up(&operator, &later, 1_000_000, "MB").await;
        use_up(&operator, &order, 1_000_000, "minute").await;

        let used = json!({ "order_id": order, "quantity": 3, "unit": "MB", "recorded_at": in_future(Duration::from_secs(60)) });
        let records = (0..40).map(|_| operator.posting("/usage-records", &used));
        for answer in at_once(records).await {
            answer.expect(201);
        }
        let events = shopper.events(0).await;
        let told = of(&events, "usage.threshold_reached");
        let about = |used: i64, percent: i32| json!({ "order_id": order, "package_id": package, "unit": "MB", "included": 100, "used": used, "percent": percent });
        assert_eq!(told, [&about(81, 80), &about(102, 100)]);
    }
}

#[actix_web::test]
async fn who_speaks_an_old_version_is_told_once_in_each_environment() {
    for mut world in worlds().await {
        let who = world.sandbox_client(&PARTNER_SCOPES).await;
        no_warnings(&world);
        let me = async |world: &World, version: &str| {
            let token = world.token("sandbox", &who, &[]).await;
            let request = world
                .request(Method::GET, "/sandbox/v1/me")
                .bearer_auth(token);
            let request = request.header("onyx-version", version);
            Answer::of(request.send().await.unwrap()).await.expect(200);
        };
        // Pinned to the current one, and yet it calls in the older.
        me(&world, "2026-11-01").await;
        me(&world, "2026-09-01").await;
        let counted = "SELECT version AS line FROM version_uses WHERE version = '2026-09-01'";
        let deadline = Instant::now() + Duration::from_secs(60);
        while world.lines(counted).is_empty() {
            assert!(Instant::now() < deadline);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert!(
            world
                .shopper_as("sandbox", who.clone())
                .await
                .events(0)
                .await
                .is_empty()
        );
        for _ in 0..2 {
            // The worker looks as it starts.
            world.terminate();
            world.start().await;
            let shopper = world.shopper_as("sandbox", who.clone()).await;
            let events = shopper.until_told("version.deprecated").await;
            let about = json!({ "version": "2026-09-01", "current": "2026-11-01", "deprecated_at": "2026-11-01T00:00:00Z", "sunset_at": "2027-11-01T00:00:00Z" });
            assert_eq!(of(&events, "version.deprecated"), [&about]);
            me(&world, "2026-09-01").await;
        }
    }
}

#[actix_web::test]
async fn a_grant_that_expires_has_ended_too() {
    for world in worlds().await {
        let shopper = shopper(&world).await;
        world.execute(&format!(
            "UPDATE scope_grants SET expires_at = requested_at WHERE partner_id = '{}' AND scope = 'ledger:read'",
            shopper.who.partner_id
        ));
        // Its tokens end with it.
        let ended = "SELECT kind AS line FROM events WHERE kind = 'scope_grant.revoked'";
        let deadline = Instant::now() + Duration::from_secs(60);
        while world.lines(ended).is_empty() {
            assert!(Instant::now() < deadline);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let shopper = world.shopper_as("sandbox", shopper.who).await;
        let events = shopper.events(0).await;
        let told = of(&events, "scope_grant.revoked");
        assert_eq!(told.len(), 1);
        assert_eq!(
            (&told[0]["scope"], &told[0]["reason"]),
            (&json!("ledger:read"), &json!("expired"))
        );
    }
}
