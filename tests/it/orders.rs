//! Orders: placed, read, moved on, and nobody else's business.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::assert_snapshot;
use crate::support::shop::{Shopper, bare, column, fresh_key, order, package, package_with};
use crate::support::world::{Answer, Engine, World, at_once, worlds, worlds_with};

const NOBODY: &str = "ord_01ARZ3NDEKTSV4RRFFQ69G5FAV";

/// No simulator: orders of the sandbox stay where they are put.
const STILL: [(&str, &str); 1] = [("ONYX_ROLES", "auth,admin,api")];

fn id_of(order: &Value) -> String {
    order["id"].as_str().unwrap().to_owned()
}

/// What is in the ledger for an order: kind, debit, credit, amount.
fn entries(world: &World, order: &str) -> Vec<String> {
    world.lines(&format!(
        "SELECT kind || ' ' || debit_account || ' ' || credit_account || ' ' || amount || ' ' || currency AS line
         FROM ledger_entries WHERE order_id = '{order}' ORDER BY created_at, kind"
    ))
}

/// What the partner was told of an order.
fn told(world: &World, order: &str) -> Vec<String> {
    world.lines(&format!(
        "SELECT kind AS line FROM events WHERE data LIKE '%{order}%' ORDER BY seq"
    ))
}

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
async fn another_s_order_is_not_there() {
    for world in worlds_with(&STILL).await {
        let operator = world.operator().await;
        let package = operator.published(package()).await;
        let (one, other) = (world.shopper().await, world.shopper().await);
        let live = world.live_shopper().await;
        let of_one = id_of(&one.order(&package, 1, "PO-1").await.expect(201));
        let of_live = id_of(&live.order(&package, 1, "PO-9").await.expect(201));
        // The partner of `live` in its sandbox.
        let operator_view = &live.who.partner_id;
        operator
            .sandbox_grant(operator_view, "orders:read", None)
            .await;
        let same_partner = operator
            .client(operator_view, "sandbox", &["orders:read"])
            .await;
        let same_partner = world.shopper_as("sandbox", same_partner).await;

        for (who, id, reference) in [
            (&other, &of_one, "PO-1"),
            (&live, &of_one, "PO-1"),
            (&one, &of_live, "PO-9"),
            (&same_partner, &of_live, "PO-9"),
        ] {
            let unknown = who.get(&format!("/orders/{NOBODY}")).await;
            assert_eq!(unknown.status, 404);
            for path in [
                format!("/orders/{id}"),
                "/orders/nonsense".to_owned(),
                format!("/orders/by-reference/{reference}"),
                "/orders/by-reference/unheard-of".to_owned(),
                "/orders/by-reference/%00".to_owned(),
            ] {
                assert_eq!(bare(&who.get(&path).await), bare(&unknown), "{path}");
            }
            let list = who.get("/orders").await.expect(200);
            assert!(!column(&list, "id").contains(id));
        }
        // A token of one environment opens nothing in the other.
        let path = format!("/live/v1/orders/{of_live}");
        assert_eq!(world.get(&path, Some(&one.token)).await.status, 401);
    }
}

#[actix_web::test]
async fn orders_are_listed_newest_first_page_by_page() {
    for world in worlds_with(&STILL).await {
        let operator = world.operator().await;
        let shopper = world.shopper().await;
        let (package, rare) = (
            operator.published(package()).await,
            operator.published(package()).await,
        );
        let mut ids = Vec::new();
        for nth in 0..7 {
            let of = if nth == 3 { &rare } else { &package };
            ids.push(id_of(
                &shopper.order(of, 1, &format!("PO-{nth}")).await.expect(201),
            ));
            // Ids of one millisecond are in no order.
            tokio::time::sleep(std::time::Duration::from_millis(3)).await;
        }
        ids.reverse();
        let mut seen = Vec::new();
        let mut query = "limit=3".to_owned();
        loop {
            let page = shopper.get(&format!("/orders?{query}")).await.expect(200);
            seen.extend(column(&page, "id"));
            let Some(cursor) = page["next_cursor"].as_str() else {
                break;
            };
            query = format!("limit=3&cursor={cursor}");
        }
        assert_eq!(seen, ids);

        let failed = &ids[5];
        operator
            .post(&format!("/orders/{failed}/fail"), json!({}))
            .await
            .expect(200);
        let found = async |query: String| {
            column(
                &shopper.get(&format!("/orders?{query}")).await.expect(200),
                "id",
            )
        };
        assert_eq!(found("state=failed".to_owned()).await, [failed.as_str()]);
        assert_eq!(found(format!("package_id={rare}")).await, [ids[3].as_str()]);
        let made = |nth: usize| {
            let at = world.lines(&format!(
                "SELECT CAST(created_at AS TEXT) AS line FROM orders WHERE id = '{}'",
                ids[nth]
            ));
            format!("{}Z", at[0].replace(' ', "T"))
        };
        let between = format!("created_from={}&created_to={}", made(4), made(1));
        assert_eq!(found(between.clone()).await, ids[2..=4]);
        assert_eq!(
            found(format!("{between}&package_id={package}&state=accepted")).await,
            [ids[2].as_str(), ids[4].as_str()]
        );
        for bad in [
            "state=lost",
            "created_from=yesterday",
            "package_id=1",
            "cursor=x",
            "colour=red",
        ] {
            assert_eq!(
                shopper.get(&format!("/orders?{bad}")).await.status,
                400,
                "{bad}"
            );
        }
    }
}

#[actix_web::test]
async fn a_live_order_is_moved_on_by_who_fulfils_it() {
    for world in worlds().await {
        let operator = world.operator().await;
        let shopper = world.live_shopper().await;
        let package = operator.published(package()).await;
        let service = operator.puppet(&["orders:fulfil"]).await;
        let fulfilled = id_of(&shopper.order(&package, 1, "PO-1").await.expect(201));
        let step = |id: &str, verb: &str| format!("/orders/{id}/{verb}");
        assert_eq!(
            operator
                .puppet(&["partners:read"])
                .await
                .post(&step(&fulfilled, "prepare"), json!({}))
                .await
                .status,
            403
        );

        let early = service.post(&step(&fulfilled, "fulfil"), json!({})).await;
        assert_snapshot!(early.problem(), @r#"
        409 illegal_transition: the order is accepted; from there: preparing, cancelled, failed
          state "accepted", allowed ["preparing","cancelled","failed"]
        "#);
        service
            .post(&step(&fulfilled, "prepare"), json!({}))
            .await
            .expect(200);
        let done = service
            .post(
                &step(&fulfilled, "fulfil"),
                json!({ "reason": "sent by mail" }),
            )
            .await
            .expect(200);
        assert_eq!(
            (&done["state"], &done["partner_id"], &done["realm"]),
            (
                &json!("fulfilled"),
                &json!(shopper.who.partner_id),
                &json!("live")
            )
        );
        let refused = service.post(&step(&fulfilled, "cancel"), json!({})).await;
        assert_snapshot!(refused.problem(), @r#"
        409 illegal_transition: the order is fulfilled; from there: nothing
          state "fulfilled", allowed []
        "#);
        let shown = shopper
            .get(&format!("/orders/{fulfilled}"))
            .await
            .expect(200);
        let reached: Vec<_> = shown["history"]
            .as_array()
            .unwrap()
            .iter()
            .map(|e| e["state"].clone())
            .collect();
        assert_eq!(reached, ["accepted", "preparing", "fulfilled"]);
        assert_eq!(
            told(&world, &fulfilled),
            ["order.accepted", "order.preparing", "order.fulfilled"]
        );
        assert_eq!(
            entries(&world, &fulfilled),
            ["order partner sales 1900 EUR"]
        );

        for (nth, verb, state) in [(2, "cancel", "cancelled"), (3, "fail", "failed")] {
            let id = id_of(
                &shopper
                    .order(&package, 2, &format!("PO-{nth}"))
                    .await
                    .expect(201),
            );
            service
                .post(&step(&id, verb), json!({ "reason": "sold out" }))
                .await
                .expect(200);
            let shown = shopper.get(&format!("/orders/{id}")).await.expect(200);
            assert_eq!(
                (&shown["state"], &shown["reason"]),
                (&json!(state), &json!("sold out"))
            );
            assert_eq!(
                entries(&world, &id),
                [
                    "order partner sales 3800 EUR",
                    "refund sales partner 3800 EUR"
                ]
            );
            let corrected = world.lines(&format!(
                "SELECT c.kind AS line FROM ledger_entries e JOIN ledger_entries c ON c.id = e.corrects WHERE e.order_id = '{id}'"
            ));
            assert_eq!(corrected, ["order"]);
            assert_eq!(
                told(&world, &id),
                ["order.accepted".to_owned(), format!("order.{state}")]
            );
        }
        for verb in ["prepare", "fulfil", "fail", "cancel"] {
            assert_eq!(
                service.post(&step(NOBODY, verb), json!({})).await.status,
                404
            );
            assert_eq!(
                service
                    .post(&step(&fulfilled, verb), json!({ "reason": 7 }))
                    .await
                    .status,
                422
            );
        }
    }
}

#[actix_web::test]
async fn two_who_move_an_order_on_at_once_do_so_once() {
    for world in worlds_with(&STILL).await {
        let operator = world.operator().await;
        let shopper = world.shopper().await;
        let package = operator.published(package()).await;
        for round in 0..5 {
            let id = id_of(
                &shopper
                    .order(&package, 1, &format!("PO-{round}"))
                    .await
                    .expect(201),
            );
            let verbs = ["cancel", "fail", "cancel", "fail", "cancel", "fail"];
            let requests =
                verbs.map(|verb| operator.posting(&format!("/orders/{id}/{verb}"), &json!({})));
            let answers = at_once(requests).await;
            let done = answers.iter().filter(|answer| answer.status == 200).count();
            assert_eq!(done, 1);
            assert!(
                answers
                    .iter()
                    .all(|answer| matches!(answer.status, 200 | 409))
            );
            assert_eq!(entries(&world, &id).len(), 2);
            assert_eq!(told(&world, &id).len(), 2);
        }
    }
}

#[actix_web::test]
async fn the_sandbox_plays_what_the_reference_asks_for() {
    for world in worlds().await {
        let neighbour = world.neighbour().await;
        let operator = world.operator().await;
        let shopper = world.shopper().await;
        let package = operator.published(package()).await;
        let place =
            async |reference: &str| id_of(&shopper.order(&package, 1, reference).await.expect(201));
        let (usual, fails) = (place("PO-1").await, place("SIM-fail-1").await);
        let (cancels, delayed) = (place("sim-cancel").await, place("sim-delay").await);
        let failed = shopper.wait_for(&fails, "failed").await;
        assert_eq!(failed["reason"], "simulated failure");
        shopper.wait_for(&usual, "fulfilled").await;
        shopper.wait_for(&cancels, "cancelled").await;
        assert_eq!(
            told(&world, &usual),
            ["order.accepted", "order.preparing", "order.fulfilled"]
        );
        assert_eq!(
            told(&world, &fails),
            ["order.accepted", "order.preparing", "order.failed"]
        );
        assert_eq!(entries(&world, &cancels).len(), 2);
        let waits = world.lines(&format!(
            "SELECT state AS line FROM orders WHERE id = '{delayed}' AND simulate_at > created_at"
        ));
        assert_eq!(waits, ["accepted"]);
        // Its minute is over sooner where the clock is told so.
        world.execute(&format!(
            "UPDATE orders SET simulate_at = created_at WHERE id = '{delayed}'"
        ));
        shopper.wait_for(&delayed, "fulfilled").await;
        drop(neighbour);
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

#[actix_web::test]
async fn scopes_open_orders() {
    for world in worlds_with(&STILL).await {
        let operator = world.operator().await;
        let package = operator.published(package()).await;
        let reader = world.sandbox_client(&["orders:read"]).await;
        let reader = world.shopper_as("sandbox", reader).await;
        assert_eq!(reader.order(&package, 1, "PO-1").await.status, 403);
        let writer = world.sandbox_client(&["orders:create"]).await;
        let writer = world.shopper_as("sandbox", writer).await;
        writer.order(&package, 1, "PO-1").await.expect(201);
        assert_eq!(writer.get("/orders").await.status, 403);
        // Who calls is asked before what is sent is looked at.
        let nobody = Shopper {
            token: "x".to_owned(),
            ..writer
        };
        let answer = nobody.order_under("", &json!({})).await;
        assert_eq!(answer.status, 401);
    }
}

#[actix_web::test]
async fn operators_deal_with_orders_from_the_command_line() {
    for world in worlds_with(&STILL).await {
        let operator = world.operator().await;
        let shopper = world.shopper().await;
        let package = operator.published(package()).await;
        let one = id_of(&shopper.order(&package, 1, "PO-1").await.expect(201));
        let other = id_of(&shopper.order(&package, 2, "PO-2").await.expect(201));
        assert_eq!(
            world.cli(&["order", "prepare", &one, "--field", "state"]),
            "preparing"
        );
        assert_eq!(
            world.cli(&["order", "fulfil", &one, "--field", "state"]),
            "fulfilled"
        );
        assert_eq!(
            world.run(&["order", "cancel", &other]).status.code(),
            Some(2),
            "wants --yes"
        );
        assert_eq!(
            world.cli(&[
                "order", "cancel", &other, "--reason", "sold out", "--yes", "--field", "reason"
            ]),
            "sold out"
        );
        let refused = world.run(&["order", "fail", &one, "--yes"]);
        assert_eq!(refused.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&refused.stderr).contains("illegal_transition"));
        assert!(world.cli(&["order", "show", &one]).contains("PO-1"));
        assert!(world.cli(&["order", "list"]).contains("3800 EUR"));
        let cancelled = [
            "order",
            "list",
            "--state",
            "cancelled",
            "--realm",
            "sandbox",
            "--partner",
            &shopper.who.partner_id,
            "--field",
            "id",
        ];
        assert_eq!(world.cli(&cancelled), other);
    }
}
