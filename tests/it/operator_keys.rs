//! What operators do to money under an `Idempotency-Key` is done once, and answered the same again.

use serde_json::{Value, json};

use crate::support::assert_snapshot;
use crate::support::shop::{Shopper, package};
use crate::support::world::{Answer, Operator, PARTNER_SCOPES, World, at_once, worlds_with};

/// Nothing moves by itself.
const STILL: [(&str, &str); 1] = [("ONYX_ROLES", "auth,admin,api")];

async fn under(operator: &Operator<'_>, key: &str, path: &str, body: &Value) -> Answer {
    let request = operator.posting(path, body).header("idempotency-key", key);
    Answer::of(request.send().await.unwrap()).await
}

fn count(world: &World, table: &str) -> usize {
    let rows = world.lines(&format!("SELECT '' AS line FROM {table}"));
    rows.len()
}

/// Every table that money, or what tells of it, is written to.
fn written(world: &World) -> Vec<usize> {
    let tables = [
        "usage_records",
        "ledger_entries",
        "invoices",
        "invoice_lines",
        "order_events",
        "events",
        "audit_events",
    ];
    tables.iter().map(|table| count(world, table)).collect()
}

async fn buyer(world: &World) -> Shopper<'_> {
    let who = world.sandbox_client(&PARTNER_SCOPES).await;
    world.shopper_as("sandbox", who).await
}

async fn ordered(shopper: &Shopper<'_>, package: &str, reference: &str) -> String {
    let placed = shopper.order(package, 3, reference).await.expect(201);
    placed["id"].as_str().unwrap().to_owned()
}

async fn charge_of(shopper: &Shopper<'_>, order: &str) -> Value {
    let path = format!("/ledger/entries?order_id={order}");
    shopper.get(&path).await.expect(200)["data"][0]["id"].clone()
}

/// Asks twice: the second answer is the first, byte for byte, and nothing was written for it. The same key for
/// something else is refused.
async fn once(
    operator: &Operator<'_>,
    (path, body): (&str, Value),
    (other_path, other): (&str, Value),
    status: u16,
) -> Value {
    let world = operator.world;
    let key = format!("\"key of {path}\"");
    let first = under(operator, &key, path, &body).await;
    assert_eq!(first.status, status, "{path}: {}", first.text);
    assert_eq!(first.header("idempotent-replayed"), "");
    let before = written(world);
    let again = under(operator, &key, path, &body).await;
    assert_eq!(
        (again.status, &again.text, again.header("content-type")),
        (first.status, &first.text, first.header("content-type")),
        "{path}"
    );
    assert_eq!(again.header("idempotent-replayed"), "true", "{path}");
    let refused = under(operator, &key, other_path, &other).await;
    assert_eq!(refused.status, 422, "{path}: {}", refused.text);
    assert_eq!(refused.json()["code"], "idempotency_key_reused", "{path}");
    assert_eq!(written(world), before, "{path}");
    first.json()
}

/// The same with another body in the same place.
async fn once_with(
    operator: &Operator<'_>,
    path: &str,
    body: Value,
    member: (&str, Value),
    status: u16,
) -> Value {
    let mut other = body.clone();
    other[member.0] = member.1;
    once(operator, (path, body), (path, other), status).await
}

/// The same with another record.
async fn once_at(operator: &Operator<'_>, noun: &str, id: &str, verb: &str, body: Value) -> Value {
    let other = format!("{}01ARZ3NDEKTSV4RRFFQ69G5FAV", &id[..4]);
    let [path, other] = [id, &other].map(|id| format!("/{noun}/{id}/{verb}"));
    once(operator, (&path, body.clone()), (&other, body), 200).await
}

#[actix_web::test]
async fn whatever_moves_money_is_done_once_under_a_key() {
    for world in worlds_with(&STILL).await {
        let operator = world.operator().await;
        let shopper = buyer(&world).await;
        let package = operator.published(package()).await;
        let order = ordered(&shopper, &package, "PO-1").await;
        let charge = charge_of(&shopper, &order).await;

        let usage = json!({ "order_id": order, "quantity": 5, "unit": "MB", "recorded_at": "2026-01-01T00:00:00Z" });
        once_with(
            &operator,
            "/usage-records",
            usage,
            ("quantity", json!(6)),
            201,
        )
        .await;
        let refund =
            json!({ "order_id": order, "amount": 500, "reference": "RF-1", "reason": "late" });
        once_with(
            &operator,
            "/ledger/refunds",
            refund,
            ("amount", json!(501)),
            201,
        )
        .await;
        let adjustment = json!({
            "partner_id": shopper.who.partner_id, "realm": "sandbox", "amount": { "amount": 40, "currency": "EUR" },
            "corrects": charge, "reference": "ADJ-1", "reason": "wrong price"
        });
        once_with(
            &operator,
            "/ledger/adjustments",
            adjustment,
            ("reason", json!("x")),
            201,
        )
        .await;

        let made = once_with(
            &operator,
            "/invoices/close",
            json!({ "draft": true }),
            ("draft", json!(false)),
            200,
        )
        .await;
        let invoice = made["data"][0]["id"].as_str().unwrap().to_owned();
        let opened = once_at(&operator, "invoices", &invoice, "open", json!({})).await;
        assert_eq!(opened["state"], "open");
        let paid = once_at(&operator, "invoices", &invoice, "pay", json!({})).await;
        assert_eq!(paid["state"], "paid");
        for (nth, verb) in ["void", "uncollectible"].iter().enumerate() {
            ordered(&shopper, &package, &format!("PO-1{nth}")).await;
            let made = operator
                .post("/invoices/close", json!({}))
                .await
                .expect(200);
            let id = made["data"][0]["id"].as_str().unwrap();
            let body = json!({ "reason": "a mistake" });
            once_at(&operator, "invoices", id, verb, body).await;
        }
        let order = ordered(&shopper, &package, "PO-2").await;
        once_at(&operator, "orders", &order, "prepare", json!({})).await;
        once_at(&operator, "orders", &order, "fulfil", json!({})).await;
        for (nth, verb) in ["fail", "cancel"].iter().enumerate() {
            let order = ordered(&shopper, &package, &format!("PO-3{nth}")).await;
            let body = json!({ "reason": "no stock" });
            once_at(&operator, "orders", &order, verb, body).await;
        }
        assert_eq!(count(&world, "operator_keys"), 12);
    }
}

#[actix_web::test]
async fn a_key_is_bound_to_the_operator_and_the_operation_and_to_no_token() {
    for mut world in worlds_with(&STILL).await {
        let package = world.operator().await.published(package()).await;
        let (order, credential) = {
            let shopper = buyer(&world).await;
            let order = ordered(&shopper, &package, "PO-1").await;
            (order, world.operator_credential())
        };
        let refund = |name: &str| json!({ "order_id": order, "amount": 100, "reference": name, "reason": "late" });
        let first = under(
            &world.operator().await,
            "k",
            "/ledger/refunds",
            &refund("RF-1"),
        )
        .await;
        assert_eq!(first.status, 201);
        // Another token, after a restart.
        assert_eq!(world.terminate(), Some(0));
        world.start().await;
        let again = world
            .token("admin", &credential, &[("scope", "billing:write")])
            .await;
        let again = Operator {
            world: &world,
            token: again,
        };
        let again = under(&again, "k", "/ledger/refunds", &refund("RF-1")).await;
        assert_eq!((again.status, &again.text), (201, &first.text));
        assert_eq!(again.header("idempotent-replayed"), "true");
        // Without the right there is no answer, kept or not.
        let weak = world
            .token("admin", &credential, &[("scope", "usage:write")])
            .await;
        let weak = Operator {
            world: &world,
            token: weak,
        };
        let refused = under(&weak, "k", "/ledger/refunds", &refund("RF-1")).await;
        assert_eq!(refused.status, 403);
        // Another operator's key of the same name is another.
        let second = world.second_operator().await;
        let other = under(&second, "k", "/ledger/refunds", &refund("RF-2")).await;
        assert_eq!(
            (other.status, other.header("idempotent-replayed")),
            (201, "")
        );
        // So is the same operator's for another operation.
        let usage = json!({ "order_id": order, "quantity": 1, "unit": "MB", "recorded_at": "2026-01-01T00:00:00Z" });
        let operator = world.operator().await;
        assert_eq!(
            under(&operator, "k", "/usage-records", &usage).await.status,
            201
        );

        // What is refused is not kept: mended, it is done under the same key.
        let too_much =
            json!({ "order_id": order, "amount": 999_999, "reference": "RF-3", "reason": "late" });
        assert_eq!(
            under(&operator, "k3", "/ledger/refunds", &too_much)
                .await
                .status,
            422
        );
        assert_eq!(
            under(&operator, "k3", "/ledger/refunds", &refund("RF-3"))
                .await
                .status,
            201
        );
        // A key is optional, and a bad one is none.
        assert_eq!(
            operator
                .post("/ledger/refunds", refund("RF-4"))
                .await
                .status,
            201
        );
        let bad = under(&operator, "", "/ledger/refunds", &refund("RF-5")).await;
        assert_snapshot!(bad.problem(), @"400 idempotency_key_invalid: Idempotency-Key must be one text of 1 to 255 characters in double quotes, or one such word without");
        // Its time over, it is new.
        world.execute("UPDATE operator_keys SET created_at = '2001-01-01 00:00:00'");
        let reused = under(&operator, "k", "/ledger/refunds", &refund("RF-6")).await;
        assert_eq!(
            (reused.status, reused.header("idempotent-replayed")),
            (201, "")
        );
    }
}

#[actix_web::test]
async fn a_crowd_of_retries_is_one_refund() {
    for world in worlds_with(&STILL).await {
        let operator = world.operator().await;
        let shopper = buyer(&world).await;
        let package = operator.published(package()).await;
        let order = ordered(&shopper, &package, "PO-1").await;
        let neighbour = world.neighbour_with(&STILL).await;
        let elsewhere = Operator {
            world: &neighbour,
            token: operator.token.clone(),
        };
        let body =
            json!({ "order_id": order, "amount": 500, "reference": "RF-1", "reason": "late" });
        let requests: Vec<_> = (0..16)
            .map(|nth| {
                let at = if nth % 2 == 0 { &operator } else { &elsewhere };
                at.posting("/ledger/refunds", &body)
                    .header("idempotency-key", "k")
            })
            .collect();
        let answers = at_once(requests).await;
        let done: Vec<_> = answers
            .iter()
            .filter(|answer| answer.status == 201)
            .collect();
        let first = done
            .iter()
            .filter(|answer| answer.header("idempotent-replayed").is_empty());
        assert_eq!(first.count(), 1);
        assert!(done.iter().all(|answer| answer.text == done[0].text));
        for answer in answers.iter().filter(|answer| answer.status != 201) {
            assert_eq!(
                answer.json()["code"],
                "idempotency_in_progress",
                "{answer:?}"
            );
            assert_eq!(answer.header("retry-after"), "1");
        }
        // The charge and one refund.
        assert_eq!(count(&world, "ledger_entries"), 2);
    }
}

#[actix_web::test]
async fn an_answer_is_kept_for_as_long_as_operators_say() {
    for world in worlds_with(&[STILL[0], ("ONYX_IDEMPOTENCY_DAYS", "7")]).await {
        let operator = world.operator().await;
        let made = under(&operator, "k", "/invoices/close", &json!({})).await;
        assert_eq!(made.status, 200, "{}", made.text);
        let old = crate::support::world::days_away(-6);
        world.execute(&format!("UPDATE operator_keys SET created_at = '{old}'"));
        let again = under(&operator, "k", "/invoices/close", &json!({})).await;
        assert_eq!(again.header("idempotent-replayed"), "true");
        let old = crate::support::world::days_away(-8);
        world.execute(&format!("UPDATE operator_keys SET created_at = '{old}'"));
        let anew = under(&operator, "k", "/invoices/close", &json!({})).await;
        assert_eq!((anew.status, anew.header("idempotent-replayed")), (200, ""));
    }
}
