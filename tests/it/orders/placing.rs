//! An order is made whole or not at all.

use reqwest::Method;
use serde_json::{Value, json};

use super::{STILL, entries, id_of, told};
use crate::support::assert_snapshot;
use crate::support::shop::{fresh_key, order, package, package_with};
use crate::support::world::{Answer, Engine, World, at_once, worlds_with};

#[actix_web::test]
async fn an_order_is_charged_told_and_recorded_at_once() {
    for world in worlds_with(&STILL).await {
        let operator = world.operator().await;
        let shopper = world.shopper().await;
        let package = operator.published(package()).await;
        let body = json!({
            "package_id": package, "quantity": 3, "partner_order_ref": "PO 2026/17", "metadata": { "trip": "Oslo \"n\u{f8}\"", "empty": "" },
        });
        let answer = shopper.order_under(&fresh_key(), &body).await;
        let placed = answer.expect(201);
        let id = id_of(&placed);
        assert_eq!(
            answer.header("location"),
            shopper.path(&format!("/orders/{id}"))
        );
        assert_eq!(answer.header("content-type"), "application/json");
        let moment = placed["created_at"].clone();
        assert_eq!(
            placed,
            json!({
                "id": id, "env": "sandbox", "state": "accepted", "partner_order_ref": "PO 2026/17", "package_id": package,
                "package_version": 2, "quantity": 3, "unit_price": { "amount": 1900, "currency": "EUR" },
                "total": { "amount": 5700, "currency": "EUR" }, "metadata": { "trip": "Oslo \"n\u{f8}\"", "empty": "" },
                "reason": null, "created_at": moment, "updated_at": moment,
            })
        );
        assert_eq!(entries(&world, &id), ["order partner sales 5700 EUR"]);
        assert_eq!(told(&world, &id), ["order.accepted"]);
        let audited = world.lines(&format!(
            "SELECT action || ' ' || actor || ' ' || credential_id || ' ' || partner_id || ' ' || realm AS line
             FROM audit_events WHERE target = '{id}'"
        ));
        let who = &shopper.who;
        assert_eq!(
            audited,
            [format!(
                "order.accepted {} {} {} sandbox",
                who.client_id, who.credential_id, who.partner_id
            )]
        );

        let mut detail = placed.clone();
        detail["history"] = json!([{ "state": "accepted", "at": moment, "reason": null }]);
        for path in [
            format!("/orders/{id}"),
            "/orders/by-reference/PO%202026%2F17".to_owned(),
        ] {
            assert_eq!(shopper.get(&path).await.expect(200), detail, "{path}");
        }
        assert_eq!(
            shopper.get("/orders").await.expect(200)["data"],
            json!([placed])
        );
    }
}

/// How many rows there are of each of these.
fn counted(world: &World, rows: &[&str]) -> Vec<String> {
    let count = |rows: &&str| {
        world.lines(&format!(
            "SELECT CAST(COUNT(*) AS TEXT) AS line FROM {rows}"
        ))
    };
    rows.iter().flat_map(count).collect()
}

#[actix_web::test]
async fn an_order_of_which_one_row_cannot_be_written_is_not_made() {
    for world in worlds_with(&STILL).await {
        let operator = world.operator().await;
        let shopper = world.shopper().await;
        let package = operator.published(package()).await;
        let tables = [
            "orders",
            "order_events",
            "ledger_entries",
            "audit_events",
            "events",
            "idempotency_keys",
        ];
        // Others write some of these too.
        let all = [
            "orders",
            "order_events",
            "ledger_entries",
            "audit_events WHERE action LIKE 'order%'",
            "events",
            "event_counters",
            "idempotency_keys",
            "usage_counters WHERE quota LIKE 'orders%'",
        ];
        let before = counted(&world, &all);
        let (key, body) = (fresh_key(), order(&package, 1, "PO-1"));
        for table in tables {
            let (refuse, allow) = match world.engine {
                Engine::Sqlite => (
                    format!(
                        "CREATE TRIGGER full_up BEFORE INSERT ON {table} BEGIN SELECT RAISE(ABORT, 'full'); END"
                    ),
                    "DROP TRIGGER full_up".to_owned(),
                ),
                Engine::Postgres => (
                    format!("ALTER TABLE {table} ADD CONSTRAINT full_up CHECK (false) NOT VALID"),
                    format!("ALTER TABLE {table} DROP CONSTRAINT full_up"),
                ),
            };
            world.execute(&refuse);
            let answer = shopper.order_under(&key, &body).await;
            world.execute(&allow);
            assert!(answer.status >= 500, "{table}: {answer:?}");
            assert_eq!(counted(&world, &all), before, "{table}");
        }
        let placed = shopper.order_under(&key, &body).await.expect(201);
        let again = shopper.order_under(&key, &body).await;
        assert_eq!(again.header("idempotent-replayed"), "true");
        assert_eq!(again.expect(201), placed);
        assert_eq!(told(&world, &id_of(&placed)), ["order.accepted"]);
        // Numbers were taken back with what was not told.
        let last = "SELECT CAST(MAX(seq) AS TEXT) AS line FROM events";
        assert_eq!(world.lines(last), counted(&world, &["events"]));
    }
}

#[actix_web::test]
async fn what_costs_nothing_is_not_in_the_ledger() {
    for world in worlds_with(&STILL).await {
        let operator = world.operator().await;
        let shopper = world.shopper().await;
        let free = package_with(json!({ "price": { "amount": 0, "currency": "JPY" } }));
        let free = operator.published(free).await;
        let id = id_of(&shopper.order(&free, 7, "gift").await.expect(201));
        operator
            .post(&format!("/orders/{id}/cancel"), json!({}))
            .await
            .expect(200);
        assert_eq!(entries(&world, &id), [] as [&str; 0]);
        assert_eq!(told(&world, &id), ["order.accepted", "order.cancelled"]);
    }
}

#[actix_web::test]
async fn a_reference_names_one_order_for_ever() {
    for world in worlds_with(&STILL).await {
        let operator = world.operator().await;
        let shopper = world.shopper().await;
        let package = operator.published(package()).await;
        let first = id_of(&shopper.order(&package, 1, "PO-1").await.expect(201));
        let answer = shopper.order(&package, 2, "PO-1").await;
        assert_eq!(answer.json()["existing_order_id"], first.as_str());
        assert!(
            answer.problem().starts_with("409 partner_order_ref_taken"),
            "{answer:?}"
        );
        // Not in another case, nor of another partner.
        shopper.order(&package, 1, "po-1").await.expect(201);
        world
            .shopper()
            .await
            .order(&package, 1, "PO-1")
            .await
            .expect(201);

        // At once under keys of their own: one order.
        let bodies = (0..12).map(|nth| order(&package, nth + 1, "PO-2"));
        let requests: Vec<_> = bodies
            .map(|body| shopper.ordering(&fresh_key(), &body))
            .collect();
        let answers = at_once(requests).await;
        let placed: Vec<_> = answers
            .iter()
            .filter(|answer| answer.status == 201)
            .collect();
        assert_eq!(placed.len(), 1);
        let id = id_of(&placed[0].json());
        for answer in answers.iter().filter(|answer| answer.status != 201) {
            assert_eq!(
                (answer.status, &answer.json()["existing_order_id"]),
                (409, &json!(id)),
                "{}",
                answer.text
            );
        }
        assert_eq!(told(&world, &id).len(), 1);
        let seqs = world.lines(&format!(
            "SELECT CAST(seq AS TEXT) AS line FROM events WHERE partner_id = '{}' ORDER BY seq",
            shopper.who.partner_id
        ));
        let gapless: Vec<_> = (1..=seqs.len()).map(|seq| seq.to_string()).collect();
        assert_eq!(seqs, gapless);
    }
}

#[actix_web::test]
async fn bad_orders_are_told_all_at_once_and_leave_nothing() {
    for world in worlds_with(&STILL).await {
        let operator = world.operator().await;
        let shopper = world.shopper().await;
        let package = operator.published(package()).await;
        let dear = package_with(
            json!({ "price": { "amount": 9_007_199_254_740_991_i64, "currency": "EUR" } }),
        );
        let dear = operator.published(dear).await;
        let body = json!({
            "package_id": "pkg_1", "quantity": 0, "partner_order_ref": " x", "colour": "red",
            "metadata": { "": "v", "n": 7, "long": "v".repeat(501), "bell": "\u{7}" },
        });
        let refused = shopper.order_under(&fresh_key(), &body).await;
        assert_snapshot!(refused.problem(), @"
        422 invalid_body: the request body has members that must be mended; see errors
          /package_id invalid: must be an id of the form pkg_<ULID>
          /quantity invalid: must be a whole number from 1 to 1000000
          /partner_order_ref invalid: must be 1 to 64 printable ASCII characters, a letter or a digit among them, without a space at either end
          /metadata/ invalid: names are 1 to 40 characters, without control characters
          /metadata/bell invalid: must be at most 500 characters, without control characters
          /metadata/long invalid: must be at most 500 characters, without control characters
          /metadata/n type: must be a string
          /colour unknown: is not a member of this request
        ");
        let refused = shopper.order(&dear, 2, "PO-1").await;
        assert_snapshot!(refused.problem(), @"
        422 invalid_body: the request body has members that must be mended; see errors
          /quantity invalid: the amount is too large: at most 9007199254740991 minor units
        ");
        let many: Value = (0..21)
            .map(|nth| (format!("k{nth}"), json!("v")))
            .collect::<serde_json::Map<_, _>>()
            .into();
        let with = |member: &str, value: Value| {
            let mut body = order(&package, 1, "PO-1");
            body[member] = value;
            body.to_string()
        };
        let deep = format!("{}{}", "[".repeat(500), "]".repeat(500));
        let plain = order(&package, 1, "PO-1").to_string();
        let doubled = plain.replacen('{', "{\"quantity\":2,", 1);
        for (body, status) in [
            (with("metadata", many), 422),
            (with("metadata", json!({ "n".repeat(41): "v" })), 422),
            (with("metadata", json!([])), 422),
            (with("metadata", json!({ "a": { "b": 1 } })), 422),
            (with("quantity", json!("1")), 422),
            (with("quantity", json!(1.5)), 422),
            (with("quantity", json!(-1)), 422),
            (with("quantity", json!(1e300)), 422),
            (with("quantity", Value::Null), 422),
            (with("partner_order_ref", json!("a\u{0}b")), 422),
            (with("partner_order_ref", json!("x".repeat(65))), 422),
            (with("partner_order_ref", json!(17)), 422),
            (
                with("package_id", json!("pkg_01ARZ3NDEKTSV4RRFFQ69G5FAV")),
                422,
            ),
            (doubled, 422),
            (plain.replace("PO-1", "\\ud800"), 400),
            (format!("{{\"package_id\":{deep}}}"), 400),
            ("[]".to_owned(), 400),
            ("null".to_owned(), 400),
            ("{".to_owned(), 400),
            (String::new(), 422),
            (with("metadata", json!({ "k": "v".repeat(70_000) })), 413),
        ] {
            let request = shopper
                .request(Method::POST, "/orders")
                .header("idempotency-key", fresh_key());
            let request = request
                .header("content-type", "application/json")
                .body(body.clone());
            let answer = Answer::of(request.send().await.unwrap()).await;
            let short: String = body.chars().take(200).collect();
            assert_eq!(answer.status, status, "{short}: {}", answer.text);
            answer.problem();
        }
        for media_type in ["text/plain", "application/x-www-form-urlencoded", ""] {
            let request = shopper
                .request(Method::POST, "/orders")
                .header("idempotency-key", fresh_key());
            let request = request
                .header("content-type", media_type)
                .body(plain.clone());
            assert_eq!(request.send().await.unwrap().status(), 415, "{media_type}");
        }
        for table in [
            "orders",
            "order_events",
            "ledger_entries",
            "idempotency_keys",
        ] {
            assert_eq!(
                world.lines(&format!("SELECT '{table}' AS line FROM {table}")),
                [] as [&str; 0]
            );
        }
        // And what was refused can be asked for again.
        shopper.order(&package, 1, "PO-1").await.expect(201);
    }
}
