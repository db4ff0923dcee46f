//! Links end, and their credentials with them.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::{bare_client, credential, linked, run_out, trail};
use crate::support::assert_snapshot;
use crate::support::world::{Answer, Credential, worlds, worlds_with};

#[actix_web::test]
async fn an_unopened_link_ends_and_its_credential_with_it() {
    // Nobody looks after links here but who comes too late.
    for world in worlds_with(&[("ONYX_ROLES", "auth,admin,api")]).await {
        let (_, client) = bare_client(&world).await;
        let (issued, link) = linked(&world, &client).await;
        run_out(&world, &link);
        let late = link.open(&world).await;
        assert_snapshot!(late.problem(), @"410 delivery_expired: nobody opened the link in time, so the credential was revoked; ask for a new one");
        assert_eq!(late.json()["expired_at"], "2020-01-01T01:00:00Z");
        let id = issued["id"].as_str().unwrap();
        let seen = credential(&world, &client, id).await;
        assert_eq!(
            (&seen["state"], &seen["revoked_reason"]),
            (&json!("revoked"), &json!("unused"))
        );
        assert_eq!(
            (&seen["delivery"]["state"], &seen["revoked_by"]),
            (&json!("expired"), &json!("policy"))
        );
        assert_eq!(
            link.open(&world).await.expect(410)["code"],
            "delivery_expired"
        );
        assert_eq!(link.disown(&world).await.expect(200)["state"], "revoked");
        assert_snapshot!(trail(&world, id).replace(&world.operator_credential().client_id, "OPERATOR"), @"
        credential.issued by OPERATOR
        secret_delivery.created by OPERATOR
        credential.revoked by policy
        secret_delivery.expired by policy
        ");
    }
}

#[actix_web::test]
async fn the_worker_ends_links_that_nobody_opens_and_cancels_those_of_revoked_credentials() {
    for world in worlds().await {
        let (_, client) = bare_client(&world).await;
        let (late, link) = linked(&world, &client).await;
        run_out(&world, &link);
        // Revoked by something that knows nothing of deliveries.
        let (orphan, _) = linked(&world, &client).await;
        world.execute(&format!(
            "UPDATE credentials SET state = 'revoked', revoked_at = created_at, revoked_by = 'test', revoked_reason = 'other' WHERE id = '{}'",
            orphan["id"].as_str().unwrap()
        ));
        let state = |issued: &Value| {
            let id = issued["id"].as_str().unwrap();
            let query = format!(
                "SELECT d.state || ' ' || c.state || ' ' || COALESCE(d.ciphertext, 'gone') AS line \
                 FROM secret_deliveries d JOIN credentials c ON c.id = d.credential_id WHERE c.id = '{id}'"
            );
            world.lines(&query).join("\n")
        };
        while state(&late) != "expired revoked gone" || state(&orphan) != "cancelled revoked gone" {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert!(
            trail(&world, orphan["id"].as_str().unwrap())
                .ends_with("secret_delivery.cancelled by policy")
        );
    }
}

#[actix_web::test]
async fn a_credential_that_is_revoked_takes_its_link_along() {
    for world in worlds().await {
        let (_, client) = bare_client(&world).await;
        let (issued, link) = linked(&world, &client).await;
        let id = issued["id"].as_str().unwrap();
        world.operator().await.revoke(id).await.expect(200);
        assert_eq!(
            world.lines(
                "SELECT state || ' ' || COALESCE(ciphertext, 'gone') AS line FROM secret_deliveries"
            ),
            ["cancelled gone"]
        );
        let cancelled = link.open(&world).await.problem();
        assert_snapshot!(cancelled, @"410 delivery_cancelled: the credential was revoked or replaced before its link was opened; ask for a new one");
    }
}

#[actix_web::test]
async fn a_link_shows_no_secret_that_is_accepted_no_more() {
    for world in worlds().await {
        let (_, client) = bare_client(&world).await;
        let (issued, link) = linked(&world, &client).await;
        let path = format!("/credentials/{}/rotate", issued["id"].as_str().unwrap());
        let body = json!({ "overlap_seconds": 0 });
        world.operator().await.post(&path, body).await.expect(201);
        assert_eq!(link.open(&world).await.status, 410);
    }
}

#[actix_web::test]
async fn an_opened_link_says_when_its_credential_was_revoked_since() {
    for world in worlds().await {
        let (_, client) = bare_client(&world).await;
        let (issued, link) = linked(&world, &client).await;
        link.open(&world).await.expect(200);
        let before = link.open(&world).await.expect(410);
        assert_eq!(before["code"], "delivery_opened");
        let id = issued["id"].as_str().unwrap();
        world.operator().await.revoke(id).await.expect(200);
        let over = link.open(&world).await;
        let body = over.json();
        assert_eq!(body["opened_at"], before["opened_at"]);
        let at = body["opened_at"].as_str().unwrap();
        assert_snapshot!(over.problem().replace(at, "WHEN"), @"410 delivery_cancelled: the link was opened at WHEN, and the credential was revoked since; ask for a new one");
        // That it was opened stays on record.
        let seen = credential(&world, &client, id).await;
        assert_eq!(seen["delivery"]["state"], "opened");
    }
}

#[actix_web::test]
async fn a_link_is_not_over_while_what_its_thief_rotated_the_secret_into_lives() {
    for world in worlds().await {
        let (_, client) = bare_client(&world).await;
        let (_, link) = linked(&world, &client).await;
        let thief = link.unseal(&link.open(&world).await.expect(200));
        let request = world.request(Method::POST, "/sandbox/oauth2/credentials/rotate");
        let request = request.basic_auth(&thief.client_id, Some(&thief.secret));
        let rotated = Answer::of(request.send().await.unwrap()).await.expect(201);
        let heir = Credential {
            credential_id: rotated["credential_id"].as_str().unwrap().to_owned(),
            secret: rotated["client_secret"].as_str().unwrap().to_owned(),
            ..thief.clone()
        };
        // Somebody who knows nothing of the theft ends the overlap: the stolen one is revoked, its heir is not.
        let path = format!("/credentials/{}/finish-rotation", thief.credential_id);
        let operator = world.operator().await;
        operator.post(&path, json!({})).await.expect(200);
        world.token("sandbox", &heir, &[]).await;
        assert_eq!(
            link.open(&world).await.expect(410)["code"],
            "delivery_opened"
        );
        link.disown(&world).await.expect(200);
        assert_eq!(world.token_answer("sandbox", &heir, &[]).await.status, 401);
        assert_eq!(
            link.open(&world).await.expect(410)["code"],
            "delivery_cancelled"
        );
    }
}
