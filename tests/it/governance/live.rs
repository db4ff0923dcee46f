//! The gate to live, and what a lapsed contract does.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{INVALID_CLIENT, revocations, text, trail};
use crate::support::assert_snapshot;
use crate::support::governance::{DAY, contract};
use crate::support::world::{Answer, Credential, Operator, World, claims, in_future, worlds};

async fn make_client(operator: &Operator<'_>, partner: &str) -> Answer {
    let path = format!("/partners/{partner}/clients");
    let body = json!({ "realm": "live", "name": "backend", "scopes": ["orders:read"] });
    operator.post(&path, body).await
}

/// What is missing, as the refusal says.
async fn missing(operator: &Operator<'_>, partner: &str) -> Value {
    let refused = make_client(operator, partner).await;
    let problem = refused.json();
    assert_eq!(
        (refused.status, &problem["code"]),
        (409, &json!("not_ready_for_live"))
    );
    problem["missing"].clone()
}

/// An approved partner with an approved live grant.
async fn granted(operator: &Operator<'_>, second: &Operator<'_>) -> String {
    let partner = operator.partner().await;
    let asked = operator
        .request_grant(&partner, "live", "orders:read", None)
        .await
        .expect(201);
    let path = format!("/scope-grants/{}/approve", text(&asked, "id"));
    second.post(&path, json!({})).await.expect(200);
    partner
}

#[actix_web::test]
async fn live_opens_when_nothing_is_missing_and_says_what_is() {
    for world in worlds().await {
        let (operator, second) = (world.operator().await, world.second_operator().await);
        let partner = granted(&operator, &second).await;
        let refused = make_client(&operator, &partner).await;
        assert_snapshot!(refused.problem(), @"409 not_ready_for_live: the partner is not ready for live; missing: contract, privacy_notice, launch_review");
        assert_eq!(
            refused.json()["missing"],
            json!(["contract", "privacy_notice", "launch_review"])
        );

        // A draft is no contract, a data processing agreement neither, nor one that begins later.
        let path = format!("/partners/{partner}/agreements");
        operator.post(&path, contract(DAY)).await.expect(201);
        for changed in [
            json!({ "kind": "dpa" }),
            json!({ "in_force_from": in_future(DAY / 2) }),
        ] {
            let mut body = contract(DAY);
            for (name, value) in changed.as_object().unwrap() {
                body[name] = value.clone();
            }
            let id = text(&operator.post(&path, body).await.expect(201), "id");
            operator
                .post(&format!("/agreements/{id}/bring-into-force"), json!({}))
                .await
                .expect(200);
        }
        assert_eq!(
            missing(&operator, &partner).await,
            json!(["contract", "privacy_notice", "launch_review"])
        );
        let agreement = operator.contract(&partner, DAY).await;
        assert_eq!(
            missing(&operator, &partner).await,
            json!(["privacy_notice", "launch_review"])
        );
        operator.privacy_notice(&partner).await;
        assert_eq!(missing(&operator, &partner).await, json!(["launch_review"]));
        operator.submitted_review(&second, &partner).await;
        assert_eq!(
            missing(&operator, &partner).await,
            json!(["launch_review"]),
            "not decided"
        );
        second.decide_launch(&partner, "reject").await.expect(200);
        assert_eq!(
            missing(&operator, &partner).await,
            json!(["launch_review"]),
            "rejected"
        );
        operator.submitted_review(&second, &partner).await;
        second.decide_launch(&partner, "approve").await.expect(200);
        make_client(&operator, &partner).await.expect(201);

        // The newest decision counts, and the contract of now.
        let path = format!("/partners/{partner}/launch-review");
        operator.post(&path, json!({})).await.expect(201);
        let path = format!("/agreements/{agreement}/terminate");
        operator
            .post(&path, json!({ "reason": "over" }))
            .await
            .expect(200);
        assert_eq!(missing(&operator, &partner).await, json!(["contract"]));

        // The sandbox wants none of it, and another partner has gained nothing.
        operator.sandbox_grant(&partner, "orders:read", None).await;
        operator.client(&partner, "sandbox", &["orders:read"]).await;
        let other = granted(&operator, &second).await;
        assert_eq!(
            missing(&operator, &other).await,
            json!(["contract", "privacy_notice", "launch_review"])
        );
    }
}

#[actix_web::test]
async fn a_suspended_partner_gets_no_live_client_however_ready() {
    for world in worlds().await {
        let (operator, second) = (world.operator().await, world.second_operator().await);
        let partner = granted(&operator, &second).await;
        operator.ready_for_live(&second, &partner).await;
        operator
            .post(
                &format!("/partners/{partner}/suspend"),
                json!({ "reason": "x" }),
            )
            .await
            .expect(200);
        let refused = make_client(&operator, &partner).await;
        assert_snapshot!(refused.problem(), @"409 partner_not_approved: the partner is suspended; it must be approved first");
    }
}

/// A partner with a live client, and the id of the contract that it hangs on.
async fn at_work(world: &World, lasts: Duration) -> (Operator<'_>, Credential, String) {
    let operator = world.operator().await;
    let who = world.live_client(&["orders:read"]).await;
    let path = format!("/partners/{}/agreements", who.partner_id);
    let old = operator.get(&path).await.expect(200)["data"][0].clone();
    let new = operator.contract(&who.partner_id, lasts).await;
    terminate(&operator, &text(&old, "id")).await;
    (operator, who, new)
}

async fn terminate(operator: &Operator<'_>, agreement: &str) {
    let path = format!("/agreements/{agreement}/terminate");
    operator
        .post(&path, json!({ "reason": "they left us" }))
        .await
        .expect(200);
}

/// The entries that refuse all live tokens of a partner.
fn refusals(world: &World, who: &Credential) -> usize {
    let entry = format!("live partner {}", who.partner_id);
    revocations(world)
        .iter()
        .filter(|line| **line == entry)
        .count()
}

#[actix_web::test]
async fn a_terminated_contract_ends_live_access_until_there_is_another() {
    for world in worlds().await {
        let (operator, who, agreement) = at_work(&world, 30 * DAY).await;
        let partner = who.partner_id.clone();
        operator.sandbox_grant(&partner, "orders:read", None).await;
        let sandbox = operator.client(&partner, "sandbox", &["orders:read"]).await;
        world.token("live", &who, &[]).await;
        assert_eq!(
            refusals(&world, &who),
            0,
            "one contract followed on another"
        );

        terminate(&operator, &agreement).await;
        let refused = world.token_answer("live", &who, &[]).await;
        assert_eq!(refused.line(), INVALID_CLIENT);
        let wrong = Credential {
            secret: sandbox.secret.clone(),
            ..who.clone()
        };
        let as_wrong = world.token_answer("live", &wrong, &[]).await;
        assert_eq!(refused.line(), as_wrong.line(), "nobody learns why");
        assert_eq!(refusals(&world, &who), 1);
        let last = trail(&world, &partner).pop().unwrap();
        assert!(
            last.starts_with("live_access.suspended policy") && last.contains("they left us"),
            "{last}"
        );
        assert!(
            !revocations(&world)
                .iter()
                .any(|line| line.starts_with("sandbox"))
        );
        world.token("sandbox", &sandbox, &[]).await;

        // One that begins later changes nothing yet; one that counts now does, at once.
        let path = format!("/partners/{partner}/agreements");
        let mut later = contract(30 * DAY);
        later["in_force_from"] = json!(in_future(DAY));
        let later = text(&operator.post(&path, later).await.expect(201), "id");
        operator
            .post(&format!("/agreements/{later}/bring-into-force"), json!({}))
            .await
            .expect(200);
        assert_eq!(
            world.token_answer("live", &who, &[]).await.line(),
            INVALID_CLIENT
        );
        let second = operator.contract(&partner, 30 * DAY).await;
        world.token("live", &who, &[]).await;

        // While two count, either may go; a dpa's end is nothing to live access.
        let third = operator.contract(&partner, 20 * DAY).await;
        terminate(&operator, &second).await;
        world.token("live", &who, &[]).await;
        let mut dpa = contract(DAY);
        dpa["kind"] = json!("dpa");
        let dpa = text(&operator.post(&path, dpa).await.expect(201), "id");
        operator
            .post(&format!("/agreements/{dpa}/bring-into-force"), json!({}))
            .await
            .expect(200);
        terminate(&operator, &dpa).await;
        assert_eq!(refusals(&world, &who), 1);
        terminate(&operator, &third).await;
        assert_eq!(refusals(&world, &who), 2);
    }
}

#[actix_web::test]
async fn another_node_hears_that_a_contract_is_over() {
    for world in worlds().await {
        let (operator, who, agreement) = at_work(&world, 30 * DAY).await;
        let neighbour = world.neighbour().await;
        neighbour.token("live", &who, &[]).await;
        terminate(&operator, &agreement).await;
        let deadline = Instant::now() + Duration::from_secs(30);
        while neighbour.token_answer("live", &who, &[]).await.status != 401 {
            assert!(Instant::now() < deadline, "the neighbour never heard of it");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[actix_web::test]
async fn no_live_token_outlives_the_last_contract() {
    let exp = |token: &str| claims(token)["exp"].as_i64().unwrap();
    let end_of = async |operator: &Operator<'_>, partner: &str, id: &str| {
        let path = format!("/partners/{partner}/agreements?state=in_force");
        let list = operator.get(&path).await.expect(200)["data"].clone();
        let found = list
            .as_array()
            .unwrap()
            .iter()
            .find(|a| a["id"] == id)
            .unwrap()
            .clone();
        let end = chrono::DateTime::parse_from_rfc3339(&text(&found, "expires_at"));
        end.unwrap().timestamp()
    };
    for world in worlds().await {
        let (operator, who, agreement) = at_work(&world, Duration::from_secs(100)).await;
        let partner = who.partner_id.clone();
        let end = end_of(&operator, &partner, &agreement).await;
        assert_eq!(exp(&world.token("live", &who, &[]).await), end);

        // What follows on without a gap carries tokens further; what leaves one does not.
        let path = format!("/partners/{partner}/agreements");
        let mut bring = Vec::new();
        for (from, lasts) in [(50, 200), (210, 5_000)] {
            let mut body = contract(Duration::from_secs(lasts));
            body["in_force_from"] = json!(in_future(Duration::from_secs(from)));
            let id = text(&operator.post(&path, body).await.expect(201), "id");
            operator
                .post(&format!("/agreements/{id}/bring-into-force"), json!({}))
                .await
                .expect(200);
            bring.push(id);
        }
        let end = end_of(&operator, &partner, &bring[0]).await;
        assert_eq!(exp(&world.token("live", &who, &[]).await), end);
        assert_eq!(
            refusals(&world, &who),
            1,
            "the end came nearer when the contract of a year went"
        );

        // When the follower goes, tokens that were given in its name die, and new ones end earlier.
        terminate(&operator, &bring[0]).await;
        assert_eq!(refusals(&world, &who), 2);
        let end = end_of(&operator, &partner, &agreement).await;
        assert_eq!(exp(&world.token("live", &who, &[]).await), end);
        let suspensions = trail(&world, &partner);
        assert!(
            !suspensions
                .iter()
                .any(|line| line.starts_with("live_access.suspended"))
        );
        // One that has not begun and that nothing hangs on takes nothing with it.
        terminate(&operator, &bring[1]).await;
        assert_eq!(refusals(&world, &who), 2);
    }
}

#[actix_web::test]
async fn an_expired_contract_ends_live_access_by_its_date_and_on_record() {
    for world in worlds().await {
        let (operator, who, agreement) = at_work(&world, Duration::from_secs(4)).await;
        let before = refusals(&world, &who);
        world.token("live", &who, &[]).await;
        let deadline = Instant::now() + Duration::from_secs(60);
        let refused = loop {
            let answer = world.token_answer("live", &who, &[]).await;
            if answer.status != 200 {
                break answer;
            }
            assert!(Instant::now() < deadline, "the contract never ended");
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        assert_eq!(refused.line(), INVALID_CLIENT);
        while !trail(&world, &agreement)
            .iter()
            .any(|line| line.starts_with("agreement.expired"))
        {
            assert!(Instant::now() < deadline, "no worker saw it");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(refusals(&world, &who), before + 1);
        let last = trail(&world, &who.partner_id).pop().unwrap();
        assert!(last.starts_with("live_access.suspended policy"), "{last}");
        assert_eq!(
            world.token_answer("live", &who, &[]).await.line(),
            INVALID_CLIENT
        );
        operator.contract(&who.partner_id, DAY).await;
        world.token("live", &who, &[]).await;
    }
}

#[actix_web::test]
async fn contracts_that_end_together_end_live_access_once() {
    for mut world in worlds().await {
        let (operator, who, _) = at_work(&world, DAY).await;
        operator.contract(&who.partner_id, DAY).await;
        drop(operator);
        world.kill();
        world.execute(&format!(
            "UPDATE agreements SET in_force_from = '{}', expires_at = '{}'",
            crate::support::world::days_away(-3),
            crate::support::world::days_away(-1)
        ));
        world.start().await;
        let open = "SELECT CAST(COUNT(*) AS TEXT) AS line FROM agreements WHERE state = 'in_force'";
        world.wait_until(open, "0").await;
        let trail = trail(&world, &who.partner_id);
        let suspended = trail
            .iter()
            .filter(|line| line.starts_with("live_access.suspended"));
        assert_eq!(suspended.count(), 1, "{trail:?}");
    }
}

#[actix_web::test]
async fn each_verb_wants_its_scope() {
    let nobody = "/partners/ptn_01ARZ3NDEKTSV4RRFFQ69G5FAV";
    let agreement = "/agreements/agr_01ARZ3NDEKTSV4RRFFQ69G5FAV";
    let review = format!("{nobody}/launch-review");
    let wants = [
        ("GET", format!("{nobody}/agreements"), "partners:read"),
        ("POST", format!("{nobody}/agreements"), "governance:write"),
        (
            "POST",
            format!("{agreement}/bring-into-force"),
            "governance:write",
        ),
        ("POST", format!("{agreement}/terminate"), "governance:write"),
        ("GET", format!("{nobody}/privacy-notice"), "partners:read"),
        (
            "PUT",
            format!("{nobody}/privacy-notice"),
            "governance:write",
        ),
        ("GET", review.clone(), "governance:write"),
        ("POST", review.clone(), "governance:write"),
        (
            "POST",
            format!("{review}/checks/support_path"),
            "governance:write",
        ),
        ("POST", format!("{review}/decide"), "grants:decide"),
        ("PATCH", nobody.to_owned(), "partners:write"),
        ("POST", format!("{nobody}/suspend"), "partners:write"),
        ("POST", format!("{nobody}/resume"), "partners:write"),
        ("POST", format!("{nobody}/offboard"), "partners:write"),
    ];
    for world in worlds().await {
        let operator = world.operator().await;
        let scopes = [
            "partners:read",
            "partners:write",
            "governance:write",
            "grants:decide",
        ];
        let mut with = Vec::new();
        for scope in scopes {
            let body = json!({ "name": "one right", "scopes": [scope] });
            let id = text(&operator.post("/operators", body).await.expect(201), "id");
            let who = operator.issue(&id).await;
            let token = world.token("admin", &who, &[]).await;
            with.push((
                scope,
                Operator {
                    world: &world,
                    token,
                },
            ));
        }
        for (method, path, wanted) in &wants {
            for (scope, operator) in &with {
                let answer = operator
                    .send(method.parse().unwrap(), path, json!({}))
                    .await;
                if scope == wanted {
                    assert!(
                        matches!(answer.status, 404 | 422 | 200),
                        "{method} {path}: {answer:?}"
                    );
                } else {
                    let problem = answer.json();
                    assert_eq!(
                        (answer.status, &problem["code"]),
                        (403, &json!("insufficient_scope")),
                        "{method} {path}"
                    );
                    assert!(text(&problem, "detail").ends_with(wanted), "{problem}");
                }
            }
        }
    }
}
