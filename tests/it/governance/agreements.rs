//! Agreements and privacy notices.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use super::{illegal, text, trail, who};
use crate::support::assert_snapshot;
use crate::support::governance::{DAY, contract, notice};
use crate::support::world::{Operator, in_future, worlds};

/// A body with some members in another's place.
fn but(mut body: Value, changed: Value) -> Value {
    for (name, value) in changed.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

async fn draft(operator: &Operator<'_>, partner: &str, changed: Value) -> Value {
    let path = format!("/partners/{partner}/agreements");
    let body = but(contract(30 * DAY), changed);
    operator.post(&path, body).await.expect(201)
}

async fn step(
    operator: &Operator<'_>,
    agreement: &Value,
    verb: &str,
) -> crate::support::world::Answer {
    let path = format!("/agreements/{}/{verb}", text(agreement, "id"));
    let body = json!({ "reason": "so it was decided" });
    operator.post(&path, body).await
}

#[actix_web::test]
async fn an_agreement_keeps_to_its_drawing() {
    for world in worlds().await {
        let operator = world.operator().await;
        let partner = operator.partner().await;
        let agreement = draft(&operator, &partner, json!({})).await;
        assert!(text(&agreement, "id").starts_with("agr_"));
        assert_eq!(
            (
                &agreement["state"],
                &agreement["counts_now"],
                &agreement["created_by"]
            ),
            (&json!("draft"), &json!(false), &json!(who(&operator)))
        );
        for (name, value) in contract(DAY).as_object().unwrap() {
            if name != "expires_at" {
                assert_eq!(&agreement[name], value);
            }
        }
        let early = step(&operator, &agreement, "terminate").await;
        assert_eq!(illegal(&early), r#""draft" to ["in_force"]"#);

        let in_force = step(&operator, &agreement, "bring-into-force")
            .await
            .expect(200);
        assert_eq!(
            (
                &in_force["state"],
                &in_force["counts_now"],
                &in_force["decided_by"]
            ),
            (&json!("in_force"), &json!(true), &json!(who(&operator)))
        );
        let again = step(&operator, &agreement, "bring-into-force").await;
        assert_eq!(illegal(&again), r#""in_force" to ["expired","terminated"]"#);

        let ended = step(&operator, &agreement, "terminate").await.expect(200);
        assert_eq!(
            (
                &ended["state"],
                &ended["counts_now"],
                &ended["ended_by"],
                &ended["ended_reason"]
            ),
            (
                &json!("terminated"),
                &json!(false),
                &json!(who(&operator)),
                &json!("so it was decided")
            )
        );
        for verb in ["bring-into-force", "terminate"] {
            let late = step(&operator, &agreement, verb).await;
            assert_eq!(illegal(&late), r#""terminated" to []"#);
        }
        let done: Vec<_> = trail(&world, &text(&agreement, "id"))
            .iter()
            .map(|line| line.split(' ').next().unwrap().to_owned())
            .collect();
        assert_eq!(
            done,
            [
                "agreement.recorded",
                "agreement.brought_into_force",
                "agreement.terminated"
            ]
        );

        let path = format!("/agreements/{}", text(&agreement, "id"));
        let without = operator.post(&format!("{path}/terminate"), json!({})).await;
        assert_snapshot!(without.problem(), @"
        422 invalid_body: the request body has members that must be mended; see errors
          /reason missing: must be there
        ");
        let nobody = json!({ "id": "agr_01ARZ3NDEKTSV4RRFFQ69G5FAV" });
        for verb in ["bring-into-force", "terminate"] {
            assert_eq!(step(&operator, &nobody, verb).await.status, 404);
        }
    }
}

#[actix_web::test]
async fn an_agreements_faults_are_told_all_at_once() {
    for world in worlds().await {
        let operator = world.operator().await;
        let partner = operator.partner().await;
        let path = format!("/partners/{partner}/agreements");
        let bad = json!({ "kind": "handshake", "document_sha256": "ab", "in_force_from": "today", "signed": true });
        let told = operator.post(&path, bad).await;
        assert_snapshot!(told.problem(), @"
        422 invalid_body: the request body has members that must be mended; see errors
          /kind invalid: must be one of contract, dpa
          /reference missing: must be there
          /document_sha256 invalid: must be a SHA-256 in 64 hexadecimal digits
          /in_force_from invalid: must be a time like 2030-01-31T12:00:00Z (RFC 3339)
          /expires_at missing: must be there
          /signed unknown: is not a member of this request
        ");
        let mut told = Vec::new();
        for changed in [
            json!({ "expires_at": "2026-01-01T00:00:00Z" }),
            json!({ "expires_at": "2026-01-02T00:00:00Z" }),
        ] {
            let refused = operator.post(&path, but(contract(DAY), changed)).await;
            told.push(refused.problem().lines().nth(1).unwrap().to_owned());
        }
        assert_snapshot!(told.join("\n"), @"
        /expires_at invalid: must lie after in_force_from
        /expires_at invalid: must lie in the future
        ");
        let nobody = "/partners/ptn_01ARZ3NDEKTSV4RRFFQ69G5FAV/agreements";
        assert_eq!(operator.post(nobody, contract(DAY)).await.status, 404);
        assert_eq!(operator.get(nobody).await.status, 404);
    }
}

#[actix_web::test]
async fn agreements_are_listed_by_kind_and_state_page_by_page() {
    for world in worlds().await {
        let operator = world.operator().await;
        let partner = operator.partner().await;
        let mut made = Vec::new();
        for changed in [
            json!({}),
            json!({ "kind": "dpa", "lawful_basis": null }),
            json!({ "document_sha256": "AB".repeat(32) }),
        ] {
            made.push(draft(&operator, &partner, changed).await);
        }
        assert_eq!(made[1]["lawful_basis"], Value::Null);
        assert_eq!(made[2]["document_sha256"], "ab".repeat(32));
        step(&operator, &made[2], "bring-into-force")
            .await
            .expect(200);
        let path = format!("/partners/{partner}/agreements");
        let ids = async |query: &str| {
            let list = operator.get(&format!("{path}?{query}")).await.expect(200);
            let rows = list["data"].as_array().unwrap().clone();
            let ids: Vec<_> = rows.iter().map(|row| text(row, "id")).collect();
            (ids, list["next_cursor"].clone())
        };
        let id = |nth: usize| text(&made[nth], "id");
        assert_eq!(ids("").await.0, [id(0), id(1), id(2)]);
        assert_eq!(ids("kind=dpa").await.0, [id(1)]);
        assert_eq!(ids("kind=contract&state=draft").await.0, [id(0)]);
        assert_eq!(ids("state=in_force").await.0, [id(2)]);
        let (first, cursor) = ids("limit=2").await;
        assert_eq!(first, [id(0), id(1)]);
        let rest = format!("limit=2&cursor={}", cursor.as_str().unwrap());
        assert_eq!(ids(&rest).await, (vec![id(2)], Value::Null));
    }
}

#[actix_web::test]
async fn a_worker_lets_agreements_expire() {
    for world in worlds().await {
        let operator = world.operator().await;
        let partner = operator.partner().await;
        let soon = in_future(Duration::from_secs(2));
        let short = draft(&operator, &partner, json!({ "expires_at": soon })).await;
        let unsigned = draft(&operator, &partner, json!({ "expires_at": soon })).await;
        step(&operator, &short, "bring-into-force")
            .await
            .expect(200);

        let path = format!("/partners/{partner}/agreements?state=expired");
        let deadline = Instant::now() + Duration::from_secs(60);
        let expired = loop {
            let list = operator.get(&path).await.expect(200)["data"].clone();
            if let Some(agreement) = list.as_array().unwrap().first() {
                break agreement.clone();
            }
            assert!(Instant::now() < deadline, "nothing expired");
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        assert_eq!(expired["id"], short["id"]);
        assert_eq!(
            (&expired["ended_by"], &expired["counts_now"]),
            (&json!("policy"), &json!(false))
        );
        let last = trail(&world, &text(&short, "id")).pop().unwrap();
        assert!(last.starts_with("agreement.expired policy"), "{last}");
        assert_eq!(
            illegal(&step(&operator, &short, "terminate").await),
            r#""expired" to []"#
        );
        // A draft past its end is still a draft, and cannot come into force.
        let late = step(&operator, &unsigned, "bring-into-force").await;
        assert_snapshot!(late.problem(), @"409 agreement_over: its expires_at has passed: record a new agreement");
    }
}

#[actix_web::test]
async fn a_privacy_notice_takes_the_place_of_the_former_which_is_kept() {
    for world in worlds().await {
        let operator = world.operator().await;
        let partner = operator.partner().await;
        let path = format!("/partners/{partner}/privacy-notice");
        let none = operator.get(&path).await;
        assert_snapshot!(none.problem(), @"404 not_found: there is nothing at this path");

        let put = async |body: Value| operator.send(Method::PUT, &path, body).await;
        let first = put(notice()).await.expect(200);
        assert!(text(&first, "id").starts_with("pvn_"));
        for (name, value) in notice().as_object().unwrap() {
            assert_eq!(&first[name], value);
        }
        assert_eq!(
            (&first["url"], &first["recorded_by"]),
            (&Value::Null, &json!(who(&operator)))
        );
        assert_eq!(operator.get(&path).await.expect(200), first);
        assert_eq!(
            put(notice()).await.expect(200),
            first,
            "the same words change nothing"
        );

        let longer = but(
            notice(),
            json!({ "retention": "90 days", "url": "https://acme.example/privacy" }),
        );
        let second = put(longer).await.expect(200);
        assert_ne!(second["id"], first["id"]);
        assert_eq!(second["retention"], "90 days");
        assert_eq!(operator.get(&path).await.expect(200), second);
        let kept = world.lines(&format!("SELECT id || (CASE WHEN superseded_at IS NULL THEN ' in force' ELSE ' superseded' END) AS line
            FROM privacy_notices WHERE partner_id = '{partner}' ORDER BY recorded_at"));
        assert_eq!(
            kept,
            [
                format!("{} superseded", text(&first, "id")),
                format!("{} in force", text(&second, "id"))
            ]
        );
        let said = format!(
            r#"privacy_notice.recorded {} {{"supersedes":{}}}"#,
            who(&operator),
            first["id"]
        );
        assert_eq!(trail(&world, &text(&second, "id")), [said]);

        let bad = put(json!({ "requests": "", "url": "acme.example", "retention_days": 30 })).await;
        assert_snapshot!(bad.problem(), @"
        422 invalid_body: the request body has members that must be mended; see errors
          /requests invalid: must be 1 to 2000 characters, without control characters
          /purpose missing: must be there
          /retention missing: must be there
          /how_to_revoke missing: must be there
          /support_contact missing: must be there
          /url invalid: must be an https:// or http:// URL
          /retention_days unknown: is not a member of this request
        ");
        let nobody = "/partners/ptn_01ARZ3NDEKTSV4RRFFQ69G5FAV/privacy-notice";
        assert_eq!(
            operator.send(Method::PUT, nobody, notice()).await.status,
            404
        );
        assert_eq!(operator.get(nobody).await.status, 404);
    }
}
