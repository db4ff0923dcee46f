//! A partner's way from its application to a rotated live credential, as people walk it: once
//! over HTTP and once on the command line.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::governance::{ATTESTED, COMPUTED, DAY, contract, notice};
use crate::support::world::{Credential, World, in_future, worlds};

/// What is on record of a partner, in the order in which it was done.
fn record(world: &World, partner: &str) -> Vec<String> {
    world.lines(&format!(
        "SELECT action AS line FROM audit_events WHERE partner_id = '{partner}' ORDER BY at, id"
    ))
}

/// Everything that the way must leave on record, whoever walks it.
fn assert_on_record(world: &World, partner: &str) {
    let record = record(world, partner);
    for action in [
        "partner.created",
        "partner.approved",
        "agreement.recorded",
        "agreement.brought_into_force",
        "privacy_notice.recorded",
        "launch_review.requested",
        "launch_review.submitted",
        "launch_review.approved",
        "scope_grant.requested",
        "scope_grant.approved",
        "client.created",
        "credential.issued",
        "credential.rotated",
        "credential.rotation_finished",
    ] {
        assert!(
            record.iter().any(|done| done == action),
            "{action}: {record:?}"
        );
    }
    let settled = record.iter().filter(|done| *done == "launch_check.settled");
    assert_eq!(settled.count(), 7, "{record:?}");
}

async fn refused_and_accepted(world: &World, old: &Credential, new: &Credential, before: &str) {
    assert_eq!(world.token_answer("live", old, &[]).await.status, 401);
    let refused = world.get("/live/v1/me", Some(before)).await;
    assert_eq!(
        refused.status, 401,
        "a token of the superseded secret lives on"
    );
    let token = world.token("live", new, &[]).await;
    let me = world.get("/live/v1/me", Some(&token)).await.expect(200);
    assert_eq!(me["env"], "live");
}

#[actix_web::test]
async fn a_partner_comes_from_its_application_to_a_rotated_live_credential_over_http() {
    for world in worlds().await {
        let (operator, second) = (world.operator().await, world.second_operator().await);
        let applied = json!({ "name": "Acme", "legal_name": "Acme Ltd", "security_contact": "sec@acme.example" });
        let partner = operator.post("/partners", applied).await.expect(201);
        assert_eq!(partner["state"], "applied");
        let partner = partner["id"].as_str().unwrap().to_owned();
        let of = |rest: &str| format!("/partners/{partner}{rest}");
        operator.post(&of("/approve"), json!({})).await.expect(200);

        // Live wants all three, and says what is missing.
        let wanted = json!({ "realm": "live", "name": "backend", "scopes": ["orders:read"] });
        let early = operator.post(&of("/clients"), wanted.clone()).await;
        assert_eq!(early.status, 409);
        assert_eq!(
            early.json()["missing"],
            json!(["contract", "privacy_notice", "launch_review"])
        );

        let draft = operator
            .post(&of("/agreements"), contract(365 * DAY))
            .await
            .expect(201);
        let into_force = format!(
            "/agreements/{}/bring-into-force",
            draft["id"].as_str().unwrap()
        );
        operator.post(&into_force, json!({})).await.expect(200);
        let to = of("/privacy-notice");
        operator.send(Method::PUT, &to, notice()).await.expect(200);
        operator
            .post(&of("/launch-review"), json!({}))
            .await
            .expect(201);
        for check in ATTESTED {
            let passed = json!({ "state": "passed", "evidence": "filed as PR-7" });
            operator.check(&partner, check, passed).await.expect(200);
        }
        for check in COMPUTED {
            let waived = json!({ "state": "waived", "reason": "not part of this API yet" });
            let own = operator.check(&partner, check, waived.clone()).await;
            assert_eq!(
                (own.status, &own.json()["code"]),
                (403, &json!("four_eyes"))
            );
            second.check(&partner, check, waived).await.expect(200);
        }
        assert_eq!(
            operator.decide_launch(&partner, "approve").await.status,
            403
        );
        second.decide_launch(&partner, "approve").await.expect(200);

        let grant = operator
            .request_grant(&partner, "live", "orders:read", None)
            .await
            .expect(201);
        assert_eq!(grant["state"], "requested");
        let approve = format!("/scope-grants/{}/approve", grant["id"].as_str().unwrap());
        assert_eq!(operator.post(&approve, json!({})).await.status, 403);
        second.post(&approve, json!({})).await.expect(200);
        let old = operator.client_with(&partner, wanted).await;
        let before = world.token("live", &old, &[]).await;
        world.get("/live/v1/me", Some(&before)).await.expect(200);

        let rotate = format!("/credentials/{}/rotate", old.credential_id);
        let rotated = operator.post(&rotate, json!({})).await.expect(201);
        assert_eq!(rotated["replaces"], json!(old.credential_id));
        let new = Credential {
            credential_id: rotated["id"].as_str().unwrap().to_owned(),
            secret: rotated["secret"].as_str().unwrap().to_owned(),
            ..old.clone()
        };
        world.token("live", &new, &[]).await;
        world.token("live", &old, &[]).await;
        let finish = format!("/credentials/{}/finish-rotation", old.credential_id);
        operator.post(&finish, json!({})).await.expect(200);
        refused_and_accepted(&world, &old, &new, &before).await;
        assert_on_record(&world, &partner);
    }
}

/// The command line as an operator whose credential is in a file.
fn told(world: &World, credential: &str, arguments: &[&str]) -> String {
    let mut command = world.command(arguments);
    command.env("ONYX_ADMIN_CREDENTIAL", credential);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[actix_web::test]
async fn a_partner_comes_from_its_application_to_a_rotated_live_credential_on_the_command_line() {
    for world in worlds().await {
        world.cli(&["operator", "recover", "--out", "second.json"]);
        let first = |arguments: &[&str]| told(&world, "data/operator.json", arguments);
        let second = |arguments: &[&str]| told(&world, "second.json", arguments);
        let p = first(&[
            "partner",
            "create",
            "--name",
            "Acme",
            "--security-contact",
            "sec@acme.example",
            "--field",
            "id",
        ]);
        first(&["partner", "approve", &p]);
        let sha256 = "ab".repeat(32);
        let in_a_year = in_future(365 * DAY);
        let agreement = first(&[
            "agreement",
            "record",
            "--partner",
            &p,
            "--kind",
            "contract",
            "--reference",
            "MSA-2026-17",
            "--document-sha256",
            &sha256,
            "--expires-at",
            &in_a_year,
            "--field",
            "id",
        ]);
        first(&["agreement", "bring-into-force", &agreement]);
        first(&[
            "partner",
            "privacy-notice",
            "set",
            &p,
            "--requests",
            "orders",
            "--purpose",
            "showing them",
            "--retention",
            "30 days",
            "--how-to-revoke",
            "in the settings",
            "--support-contact",
            "privacy@acme.example",
        ]);
        first(&["launch", "request", "--partner", &p]);
        for check in ATTESTED {
            first(&[
                "launch",
                "check",
                check,
                "--partner",
                &p,
                "--state",
                "passed",
                "--evidence",
                "filed as PR-7",
            ]);
        }
        for check in COMPUTED {
            second(&[
                "launch",
                "check",
                check,
                "--partner",
                &p,
                "--state",
                "waived",
                "--reason",
                "not part of this API yet",
            ]);
        }
        second(&[
            "launch",
            "decide",
            "--partner",
            &p,
            "--decision",
            "approve",
            "--reason",
            "seen",
        ]);
        let grant = first(&[
            "grant",
            "request",
            "--partner",
            &p,
            "--realm",
            "live",
            "--scope",
            "orders:read",
            "--purpose",
            "showing orders",
            "--data-class",
            "orders",
            "--days",
            "30",
            "--field",
            "id",
        ]);
        second(&["grant", "approve", &grant]);
        let c = first(&[
            "client",
            "create",
            "--partner",
            &p,
            "--realm",
            "live",
            "--name",
            "backend",
            "--scope",
            "orders:read",
            "--field",
            "id",
        ]);
        let shown = |text: &str, secret: &str| {
            let shown: Value = serde_json::from_str(text).unwrap();
            Credential {
                partner_id: p.clone(),
                client_id: c.clone(),
                credential_id: shown["id"].as_str().unwrap().to_owned(),
                secret: shown[secret].as_str().unwrap().to_owned(),
            }
        };
        let issued = first(&["credential", "issue", "--client", &c, "--json"]);
        let old = shown(&issued, "secret");
        let before = world.token("live", &old, &[]).await;
        let rotated = first(&["credential", "rotate", &old.credential_id, "--json"]);
        let new = shown(&rotated, "secret");
        world.token("live", &new, &[]).await;
        // What was given a moment ago is written down by the second.
        tokio::time::sleep(Duration::from_secs(2)).await;
        let list = first(&["credential", "list", "--client", &c, "--json"]);
        assert!(list.contains("use_count"), "{list}");
        first(&["credential", "finish-rotation", &old.credential_id, "--yes"]);
        refused_and_accepted(&world, &old, &new, &before).await;
        assert_on_record(&world, &p);
    }
}
