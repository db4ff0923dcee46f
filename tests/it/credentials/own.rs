//! A client rotates its own secret.

use reqwest::Method;
use serde_json::json;

use super::{listed, own_successor, revocations, rotate, rotate_own, status, told, verb};
use crate::support::assert_snapshot;
use crate::support::world::{Answer, Credential, worlds};

#[actix_web::test]
async fn a_partner_rotates_its_own_secret_and_a_lost_answer_locks_it_out_of_nothing() {
    for world in worlds().await {
        let who = world.sandbox_client(&["orders:read"]).await;
        let operator = world.operator().await;
        let answer = rotate_own(&world, "sandbox", &who).await;
        assert_eq!(
            (answer.header("cache-control"), answer.header("pragma")),
            ("no-store", "no-cache")
        );
        let first = answer.expect(201);
        let lost = own_successor(&who, &first);
        let until: chrono::DateTime<chrono::Utc> =
            first["accepts_until"].as_str().unwrap().parse().unwrap();
        let day = (until - chrono::Utc::now()).num_minutes();
        assert!((24 * 60 - 2..=24 * 60).contains(&day), "{first}");
        // The answer was lost: the old secret asks again, by form this time.
        let form = [
            ("client_id", who.client_id.as_str()),
            ("client_secret", &who.secret),
        ];
        let request = world.request(Method::POST, "/sandbox/oauth2/credentials/rotate");
        let second = Answer::of(request.form(&form).send().await.unwrap())
            .await
            .expect(201);
        assert_eq!(second["accepts_until"], first["accepts_until"]);
        let new = own_successor(&who, &second);
        assert_eq!(
            (
                status(&world, &who).await,
                status(&world, &lost).await,
                status(&world, &new).await
            ),
            (200, 401, 200)
        );
        let row = listed(&operator, &new).await;
        assert_eq!(
            (&row["created_by"], &row["use_count"].is_i64()),
            (&json!(who.client_id), &true)
        );
        assert_eq!(
            listed(&operator, &who).await["replaced_by"],
            new.credential_id
        );
        assert_eq!(revocations(&world, &lost), 1);

        // The new one is in use now: the old one, whoever holds it, rotates no more.
        let thief = rotate_own(&world, "sandbox", &who).await;
        assert_snapshot!(thief.line(), @r#"400 {"error":"invalid_grant","error_description":"this secret was superseded and its successor is in use: rotate with that one"}"#);
        let noted = format!(
            "SELECT actor AS line FROM audit_events WHERE target = '{}' AND outcome = 'refused'",
            who.credential_id
        );
        assert_eq!(world.lines(&noted), [who.client_id.as_str()]);
        let third = rotate_own(&world, "sandbox", &new).await;
        assert_eq!(third.status, 409, "{third:?}");
        assert_eq!(third.json()["error"], "rotation_pending");
        verb(&operator, &who.credential_id, "finish-rotation", json!({}))
            .await
            .expect(200);
        let next = own_successor(&who, &rotate_own(&world, "sandbox", &new).await.expect(201));
        assert_eq!(
            (status(&world, &new).await, status(&world, &next).await),
            (200, 200)
        );
        assert_eq!(
            told(&world, &who),
            [
                "credential.rotated",
                "credential.revoked",
                "credential.rotated",
                "credential.revoked",
                "credential.rotated"
            ]
        );
    }
}

#[actix_web::test]
async fn who_may_not_rotate_its_own_secret_hears_what_the_token_endpoint_says() {
    for world in worlds().await {
        let who = world.sandbox_client(&["orders:read"]).await;
        let nobody = Credential {
            secret: "wrong".to_owned(),
            ..who.clone()
        };
        let refused = rotate_own(&world, "sandbox", &nobody).await;
        let token = world.token_answer("sandbox", &nobody, &[]).await;
        assert_eq!((refused.status, &refused.text), (token.status, &token.text));
        assert_eq!(
            refused.header("www-authenticate"),
            token.header("www-authenticate")
        );
        let nothing = world
            .request(Method::POST, "/sandbox/oauth2/credentials/rotate")
            .send()
            .await;
        let nothing = Answer::of(nothing.unwrap()).await;
        assert_snapshot!(nothing.line(), @r#"400 {"error":"invalid_client","error_description":"no client credentials: use HTTP Basic, or client_id and client_secret in the form"}"#);
        let other_realm = rotate_own(&world, "live", &who).await;
        assert_eq!(
            (other_realm.status, &other_realm.text),
            (token.status, &token.text)
        );
        let got = world.get("/sandbox/oauth2/credentials/rotate", None).await;
        assert_eq!((got.status, got.header("allow")), (405, "POST"));

        // Operators do not, and what an operator has put in a secret's place no secret replaces.
        let operator = rotate_own(&world, "admin", &world.operator_credential()).await;
        assert_snapshot!(operator.line(), @r#"400 {"error":"unauthorized_client","error_description":"this client does not rotate its secret by itself: ask an operator"}"#);
        let issued = rotate(&world.operator().await, &who, json!({})).await;
        let refused = rotate_own(&world, "sandbox", &who).await;
        assert_eq!(refused.expect(400)["error"], "invalid_grant");
        assert_eq!(status(&world, &issued).await, 200);
    }
}

#[actix_web::test]
async fn self_rotation_is_off_in_live_and_on_in_the_sandbox_unless_said_otherwise() {
    for world in worlds().await {
        let live = world.live_client(&["orders:read"]).await;
        let sandbox = world.sandbox_client(&["orders:read"]).await;
        let say = |who: &Credential, on: bool| {
            let on = if on { "TRUE" } else { "FALSE" };
            world.execute(&format!(
                "UPDATE clients SET self_rotation = {on} WHERE id = '{}'",
                who.client_id
            ));
        };
        let refused = rotate_own(&world, "live", &live).await;
        assert_eq!(refused.expect(400)["error"], "unauthorized_client");
        say(&sandbox, false);
        let refused = rotate_own(&world, "sandbox", &sandbox).await;
        assert_eq!(refused.expect(400)["error"], "unauthorized_client");
        say(&live, true);
        let new = own_successor(&live, &rotate_own(&world, "live", &live).await.expect(201));
        world.token("live", &new, &[]).await;
    }
}
