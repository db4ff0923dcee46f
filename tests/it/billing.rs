//! Usage, ledger and invoices: what is owed is the sum of the entries, and each is billed once.

use serde_json::{Value, json};

use crate::support::shop::package;
use crate::support::world::{PARTNER_SCOPES, World, at_once, days_away, worlds};

/// A partner with every scope, and an order of 3 × 19.00 EUR of it.
struct Account<'a> {
    world: &'a World,
    partner: String,
    token: String,
    order: String,
}

impl Account<'_> {
    async fn get(&self, path: &str) -> Value {
        let path = format!("/sandbox/v1{path}");
        self.world.get(&path, Some(&self.token)).await.expect(200)
    }

    async fn owes(&self) -> i64 {
        self.get("/ledger/balance").await["balance"]["amount"]
            .as_i64()
            .unwrap()
    }
}

async fn account<'a>(world: &'a World, reference: &str) -> Account<'a> {
    let package = world.operator().await.published(package()).await;
    let who = world.sandbox_client(&PARTNER_SCOPES).await;
    let partner = who.partner_id.clone();
    let shopper = world.shopper_as("sandbox", who).await;
    let placed = shopper.order(&package, 3, reference).await.expect(201);
    Account {
        world,
        partner,
        token: shopper.token.clone(),
        order: placed["id"].as_str().unwrap().to_owned(),
    }
}

/// The amounts of a partner's entries, the oldest first.
async fn amounts(account: &Account<'_>) -> Vec<i64> {
    let entries = account.get("/ledger/entries").await;
    let rows = entries["data"].as_array().unwrap().iter().rev();
    rows.map(|row| row["amount"]["amount"].as_i64().unwrap())
        .collect()
}

#[actix_web::test]
async fn what_is_owed_is_the_sum_of_the_entries() {
    for world in worlds().await {
        let account = account(&world, "sim-delay-1").await;
        let operator = world.operator().await;
        assert_eq!(
            (account.owes().await, amounts(&account).await),
            (5700, vec![5700])
        );

        let body = json!({ "order_id": account.order, "amount": 700, "reference": "RF-1", "reason": "late" });
        let refund = operator
            .post("/ledger/refunds", body.clone())
            .await
            .expect(201);
        assert_eq!(
            refund["amount"],
            json!({ "amount": -700, "currency": "EUR" })
        );
        // The same name again is no second refund.
        let again = operator.post("/ledger/refunds", body).await;
        assert_eq!(
            (again.status, &again.json()["existing_entry_id"]),
            (409, &refund["id"])
        );
        // No more than was charged.
        let body = json!({ "order_id": account.order, "amount": 5001, "reference": "RF-2", "reason": "late" });
        let refused = operator.post("/ledger/refunds", body).await.expect(422);
        assert_eq!(refused["errors"][0]["pointer"], "/amount");

        let entries = account.get("/ledger/entries?kind=order").await;
        let corrects = entries["data"][0]["id"].clone();
        assert_eq!(refund["corrects"], corrects);
        let body = json!({
            "partner_id": account.partner, "realm": "sandbox", "amount": { "amount": 50, "currency": "EUR" },
            "corrects": corrects, "reference": "ADJ-1", "reason": "wrong price"
        });
        operator.post("/ledger/adjustments", body).await.expect(201);
        assert_eq!(
            (account.owes().await, amounts(&account).await),
            (5050, vec![5700, -700, 50])
        );

        // A name that is taken is told as it was given, also where several ask at once.
        let body = |order: &str| json!({ "order_id": order, "amount": 1, "reference": "RF-3", "reason": "late" });
        let several: Vec<_> = (0..6)
            .map(|_| operator.posting("/ledger/refunds", &body(&account.order)))
            .collect();
        let answers = at_once(several).await;
        let made: Vec<Value> = answers
            .iter()
            .filter(|answer| answer.status == 201)
            .map(|answer| answer.json())
            .collect();
        assert_eq!(made.len(), 1, "{answers:?}");
        assert_eq!(made[0]["reference"], "RF-3");
        for answer in answers.iter().filter(|answer| answer.status != 201) {
            let told = answer.json();
            assert_eq!(
                (&told["code"], &told["existing_entry_id"]),
                (&json!("reference_taken"), &made[0]["id"])
            );
        }

        // Cancelled: all that it costs still is given back: what was refunded before is not, and what was added is.
        let path = format!("/orders/{}/cancel", account.order);
        operator
            .post(&path, json!({ "reason": "no stock" }))
            .await
            .expect(200);
        assert_eq!(
            (account.owes().await, amounts(&account).await),
            (0, vec![5700, -700, 50, -1, -5049])
        );
        // A refund sent again is that refund, though nothing is left to give back.
        let again = operator.post("/ledger/refunds", body(&account.order)).await;
        assert_eq!(
            (again.status, &again.json()["existing_entry_id"]),
            (409, &made[0]["id"])
        );
    }
}

#[actix_web::test]
async fn what_was_voided_is_billed_by_whoever_voided_it_and_not_at_once_by_the_clock() {
    for mut world in worlds().await {
        let (one, other) = (
            account(&world, "sim-delay-6").await.partner,
            account(&world, "sim-delay-7").await.partner,
        );
        let ledger = |world: &World, partner: &str, nth: usize| {
            world.execute(&format!(
                "INSERT INTO ledger_entries (partner_id, realm, id, kind, debit_account, credit_account, amount, currency, \
                 reference, actor, created_at) VALUES ('{partner}', 'live', 'led_01ARZ3NDEKTSV4RRFFQ69G5FA{nth}', 'adjustment', \
                 'partner', 'adjustments', 1200, 'EUR', 'operator:late-{nth}', 'host', '{}')",
                days_away(-40)
            ));
        };
        ledger(&world, &one, 1);
        world.kill();
        world.start().await;
        let opened = |partner: &str| {
            format!(
                "SELECT CAST(COUNT(*) AS TEXT) AS line FROM invoices WHERE partner_id = '{partner}' AND realm = 'live'"
            )
        };
        world.wait_until(&opened(&one), "1").await;
        let operator = world.operator().await;
        let list = operator
            .get(&format!("/invoices?partner_id={one}&realm=live"))
            .await;
        let path = format!(
            "/invoices/{}",
            list.expect(200)["data"][0]["id"].as_str().unwrap()
        );
        let reason = json!({ "reason": "a line is wrong" });
        operator
            .post(&format!("{path}/void"), reason)
            .await
            .expect(200);

        // Another round comes, and bills another partner.
        ledger(&world, &other, 2);
        drop(operator);
        world.kill();
        world.start().await;
        world.wait_until(&opened(&other), "1").await;
        assert_eq!(world.lines(&opened(&one)), ["1"]);
        let operator = world.operator().await;
        let body = json!({ "partner_id": one, "realm": "live" });
        let made = operator.post("/invoices/close", body).await.expect(200);
        assert_eq!(made["data"][0]["total"]["amount"], 1200);

        // Of whichever month it was; until the month in which it was voided has ended.
        let path = format!("/invoices/{}", made["data"][0]["id"].as_str().unwrap());
        let reason = json!({ "reason": "wrong again" });
        operator
            .post(&format!("{path}/void"), reason)
            .await
            .expect(200);
        world.execute("UPDATE invoices SET period = '2024-01' WHERE state = 'void'");
        ledger(&world, &other, 3);
        drop(operator);
        world.kill();
        world.start().await;
        world.wait_until(&opened(&other), "2").await;
        assert_eq!(world.lines(&opened(&one)), ["2"]);
        world.kill();
        let long_ago = days_away(-40);
        world.execute(&format!(
            "UPDATE invoices SET ended_at = '{long_ago}' WHERE state = 'void'"
        ));
        world.start().await;
        world.wait_until(&opened(&one), "3").await;
    }
}

#[actix_web::test]
async fn two_refunds_at_once_give_back_no_more_than_the_charge() {
    for world in worlds().await {
        let account = account(&world, "sim-delay-2").await;
        let operator = world.operator().await;
        let requests: Vec<_> = (0..8)
            .map(|nth| {
                let body = json!({
                    "order_id": account.order, "amount": 2000, "reference": format!("RF-{nth}"), "reason": "late"
                });
                operator.posting("/ledger/refunds", &body)
            })
            .collect();
        let answers = at_once(requests).await;
        let made = answers.iter().filter(|answer| answer.status == 201).count();
        assert_eq!((made, account.owes().await), (2, 1700), "{answers:?}");
    }
}

#[actix_web::test]
async fn the_ledger_is_never_changed() {
    for world in worlds().await {
        let account = account(&world, "sim-delay-3").await;
        for statement in [
            "UPDATE ledger_entries SET amount = 1",
            "DELETE FROM ledger_entries",
        ] {
            let refused = world.try_execute(statement).unwrap_err();
            assert!(refused.contains("never changed"), "{refused}");
        }
        assert_eq!(account.owes().await, 5700);
    }
}

#[actix_web::test]
async fn a_month_is_billed_once_and_numbered_without_gaps() {
    for world in worlds().await {
        let account = account(&world, "sim-delay-4").await;
        let operator = world.operator().await;
        let of_partner = json!({ "partner_id": account.partner, "realm": "sandbox" });
        // Closed from all sides at once: one invoice.
        let answers =
            at_once((0..6).map(|_| operator.posting("/invoices/close", &of_partner))).await;
        let made: Vec<Value> = answers
            .iter()
            .flat_map(|answer| answer.json()["data"].as_array().unwrap().clone())
            .collect();
        assert_eq!(made.len(), 1, "{answers:?}");
        let first = &made[0];
        assert_eq!(
            (&first["number"], &first["state"]),
            (&json!(1), &json!("open"))
        );
        let path = format!("/invoices/{}", first["id"].as_str().unwrap());
        let shown = account.get(&path).await;
        assert_eq!(shown["total"], json!({ "amount": 5700, "currency": "EUR" }));
        assert_eq!(shown["lines"][0]["order_id"], account.order);

        // Voided: the number stays its, and what it billed is billed by the next.
        let reason = json!({ "reason": "wrong address" });
        let void = operator.post(&format!("{path}/void"), reason).await;
        assert_eq!(void.expect(200)["state"], "void");
        let next = operator
            .post("/invoices/close", of_partner.clone())
            .await
            .expect(200);
        let next = &next["data"][0];
        assert_eq!(
            (&next["number"], &next["total"]["amount"]),
            (&json!(2), &json!(5700))
        );
        assert_eq!(
            account.get(&path).await["lines"].as_array().unwrap().len(),
            1
        );

        let path = format!("/invoices/{}", next["id"].as_str().unwrap());
        let paid = operator
            .post(&format!("{path}/pay"), json!({}))
            .await
            .expect(200);
        assert_eq!((&paid["state"], account.owes().await), (&json!("paid"), 0));
        let again = operator
            .post(&format!("{path}/pay"), json!({}))
            .await
            .expect(409);
        assert_eq!(
            (&again["state"], &again["allowed"]),
            (&json!("paid"), &json!([]))
        );
        // Nothing is left to bill.
        let none = operator
            .post("/invoices/close", of_partner)
            .await
            .expect(200);
        assert_eq!(none["data"], json!([]));
        let events = world.lines(&format!(
            "SELECT kind AS line FROM events WHERE partner_id = '{}' AND kind LIKE 'invoice.%' ORDER BY seq",
            account.partner
        ));
        assert_eq!(events, ["invoice.opened", "invoice.opened", "invoice.paid"]);
    }
}

#[actix_web::test]
async fn a_draft_gets_its_number_when_it_is_opened_and_one_given_up_is_written_off() {
    for world in worlds().await {
        let account = account(&world, "sim-delay-5").await;
        let operator = world.operator().await;
        let body = json!({ "partner_id": account.partner, "realm": "sandbox", "draft": true });
        let made = operator.post("/invoices/close", body).await.expect(200);
        let draft = &made["data"][0];
        assert_eq!(
            (&draft["number"], &draft["state"]),
            (&Value::Null, &json!("draft"))
        );
        let path = format!("/invoices/{}", draft["id"].as_str().unwrap());
        let early = operator
            .post(&format!("{path}/pay"), json!({}))
            .await
            .expect(409);
        assert_eq!(early["allowed"], json!(["open"]));
        let opened = operator
            .post(&format!("{path}/open"), json!({}))
            .await
            .expect(200);
        assert_eq!(opened["number"], 1);
        let body = json!({ "reason": "insolvent" });
        operator
            .post(&format!("{path}/uncollectible"), body)
            .await
            .expect(200);
        assert_eq!(
            (account.owes().await, amounts(&account).await),
            (0, vec![5700, -5700])
        );
    }
}

#[actix_web::test]
async fn usage_is_recorded_read_and_added_up() {
    for world in worlds().await {
        let account = account(&world, "PO-1").await;
        let operator = world.operator().await;
        let now = chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
        for quantity in [512, 256] {
            let body = json!({ "order_id": account.order, "quantity": quantity, "unit": "megabyte", "recorded_at": now });
            operator.post("/usage-records", body).await.expect(201);
        }
        let path = format!("/usage?order_id={}", account.order);
        // The sandbox adds what its fulfilled orders are used for.
        let usage = loop {
            let usage = account.get(&path).await;
            if usage["data"].as_array().unwrap().len() == 3 {
                break usage;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        };
        assert_eq!(
            usage["totals"],
            json!([{ "unit": "activation", "quantity": 3 }, { "unit": "megabyte", "quantity": 768 }])
        );
        // Totals are of all that was asked for, not of the page.
        let page = account.get(&format!("{path}&limit=1")).await;
        assert_eq!(
            (page["data"].as_array().unwrap().len(), &page["totals"]),
            (1, &usage["totals"])
        );
        let body =
            json!({ "order_id": account.order, "quantity": 0, "unit": "", "recorded_at": "then" });
        let refused = operator.post("/usage-records", body).await.expect(422);
        assert_eq!(refused["errors"].as_array().unwrap().len(), 3);
        let body = json!({ "order_id": account.order, "quantity": 1, "unit": "megabyte", "recorded_at": "2090-01-01T00:00:00Z" });
        let early = operator.post("/usage-records", body).await.expect(422);
        assert_eq!(early["errors"][0]["pointer"], "/recorded_at");
    }
}

#[actix_web::test]
async fn an_account_holds_no_more_than_json_can_say() {
    let most = 9_007_199_254_740_991_i64;
    for world in worlds().await {
        let operator = world.operator().await;
        let mut dear = package();
        dear["price"] = json!({ "amount": most, "currency": "EUR" });
        let dear = operator.published(dear).await;
        let who = world.sandbox_client(&PARTNER_SCOPES).await;
        let shopper = world.shopper_as("sandbox", who).await;
        shopper.order(&dear, 1, "sim-delay-1").await.expect(201);
        let refused = shopper.order(&dear, 1, "sim-delay-2").await.expect(422);
        assert_eq!(refused["errors"][0]["pointer"], "/quantity");
        let owed = shopper.get("/ledger/balance").await.expect(200);
        assert_eq!(owed["balance"]["amount"], most);
        // Nor by an adjustment; and what is taken from it makes room.
        let entries = shopper.get("/ledger/entries").await.expect(200);
        let adjust = |amount: i64| {
            json!({
                "partner_id": shopper.who.partner_id, "realm": "sandbox", "reference": format!("A{amount}"),
                "amount": { "amount": amount, "currency": "EUR" }, "reason": "said so",
                "corrects": entries["data"][0]["id"],
            })
        };
        let path = "/ledger/adjustments";
        let refused = operator.post(path, adjust(2_000_000_000)).await.expect(422);
        assert_eq!(refused["errors"][0]["pointer"], "/amount/amount");
        operator
            .post(path, adjust(-2_000_000_000))
            .await
            .expect(201);
        operator.post(path, adjust(2_000_000_000)).await.expect(201);
        let body = json!({ "partner_id": shopper.who.partner_id, "realm": "sandbox" });
        let closed = operator.post("/invoices/close", body).await.expect(200);
        assert_eq!(closed["data"][0]["total"]["amount"], most);
    }
}

#[actix_web::test]
async fn another_partners_money_is_not_seen() {
    for world in worlds().await {
        let one = account(&world, "sim-delay-6").await;
        let other = account(&world, "sim-delay-7").await;
        let operator = world.operator().await;
        let body = json!({ "partner_id": one.partner, "realm": "sandbox" });
        let made = operator.post("/invoices/close", body).await.expect(200);
        let invoice = made["data"][0]["id"].as_str().unwrap();
        let path = format!("/sandbox/v1/invoices/{invoice}");
        world.get(&path, Some(&one.token)).await.expect(200);
        world.get(&path, Some(&other.token)).await.expect(404);
        assert_eq!(other.get("/invoices").await["data"], json!([]));
        let entries = other
            .get(&format!("/ledger/entries?order_id={}", one.order))
            .await;
        assert_eq!(entries["data"], json!([]));
        let usage = other.get(&format!("/usage?order_id={}", one.order)).await;
        assert_eq!((&usage["data"], &usage["totals"]), (&json!([]), &json!([])));
    }
}

#[actix_web::test]
async fn who_has_read_its_ledger_and_an_invoice_has_reconciled() {
    for world in worlds().await {
        let account = account(&world, "sim-delay-8").await;
        let operator = world.operator().await;
        let body = json!({ "partner_id": account.partner, "realm": "sandbox" });
        let made = operator.post("/invoices/close", body).await.expect(200);
        let review = format!("/partners/{}/launch-review", account.partner);
        operator.post(&review, json!({})).await.expect(201);
        let state = async || {
            let checks = operator.get(&review).await.expect(200)["checks"].clone();
            let mut checks = checks.as_array().unwrap().iter();
            checks
                .find(|check| check["check"] == "billing_reconciled")
                .unwrap()["state"]
                .clone()
        };
        account.get("/ledger/entries").await;
        assert_eq!(state().await, "pending");
        let invoice = made["data"][0]["id"].as_str().unwrap();
        account.get(&format!("/invoices/{invoice}")).await;
        // Calls are on record a moment after their answers.
        while state().await != "passed" {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }
}

#[actix_web::test]
async fn a_month_to_come_cannot_be_billed() {
    for world in worlds().await {
        let operator = world.operator().await;
        let (now, next) = (chrono::Utc::now(), days_away(32));
        let month = now.format("%Y-%m").to_string();
        let body = json!({ "period": month });
        operator.post("/invoices/close", body).await.expect(200);
        let body = json!({ "period": next[..7] });
        let refused = operator.post("/invoices/close", body).await;
        assert_eq!(refused.expect(422)["errors"][0]["pointer"], "/period");
    }
}
