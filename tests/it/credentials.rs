//! Secrets are rotated: by operators, by the partner itself, finished early or taken back.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::assert_snapshot;
use crate::support::world::{
    Answer, Credential, Engine, Operator, World, in_future, worlds, worlds_with,
};

/// A verb on a credential.
async fn verb(operator: &Operator<'_>, id: &str, verb: &str, body: Value) -> Answer {
    operator
        .post(&format!("/credentials/{id}/{verb}"), body)
        .await
}

/// The successor that a rotation's answer shows.
fn successor(old: &Credential, rotated: &Value) -> Credential {
    Credential {
        credential_id: rotated["id"].as_str().unwrap().to_owned(),
        secret: rotated["secret"].as_str().unwrap().to_owned(),
        ..old.clone()
    }
}

async fn rotate(operator: &Operator<'_>, old: &Credential, body: Value) -> Credential {
    let rotated = verb(operator, &old.credential_id, "rotate", body).await;
    successor(old, &rotated.expect(201))
}

async fn status(world: &World, who: &Credential) -> u16 {
    world.token_answer("sandbox", who, &[]).await.status
}

/// A credential as the list of its client's shows it.
async fn listed(operator: &Operator<'_>, who: &Credential) -> Value {
    let path = format!("/clients/{}/credentials", who.client_id);
    let list = operator.get(&path).await.expect(200);
    let mut rows = list["data"].as_array().unwrap().iter();
    let found = rows.find(|row| row["id"] == who.credential_id.as_str());
    found.unwrap().clone()
}

/// What a client gets that rotates its own secret.
async fn rotate_own(world: &World, realm: &str, who: &Credential) -> Answer {
    let path = format!("/{realm}/oauth2/credentials/rotate");
    let request = world.request(Method::POST, &path);
    let request = request.basic_auth(&who.client_id, Some(&who.secret));
    Answer::of(request.send().await.unwrap()).await
}

fn own_successor(old: &Credential, rotated: &Value) -> Credential {
    Credential {
        credential_id: rotated["credential_id"].as_str().unwrap().to_owned(),
        secret: rotated["client_secret"].as_str().unwrap().to_owned(),
        ..old.clone()
    }
}

/// How often a subject's tokens were made to die.
fn revocations(world: &World, who: &Credential) -> usize {
    let id = &who.credential_id;
    let query = format!("SELECT kind AS line FROM revocations WHERE id = '{id}'");
    let kinds = world.lines(&query);
    assert!(kinds.iter().all(|kind| kind == "credential"));
    kinds.len()
}

/// What partners were told of, oldest first.
fn told(world: &World, who: &Credential) -> Vec<String> {
    let partner = &who.partner_id;
    world.lines(&format!(
        "SELECT kind AS line FROM events WHERE partner_id = '{partner}' ORDER BY realm, seq"
    ))
}

#[actix_web::test]
async fn both_secrets_work_while_a_rotation_overlaps_and_the_old_one_ends_by_itself() {
    for world in worlds().await {
        let who = world.sandbox_client(&["orders:read"]).await;
        let operator = world.operator().await;
        let answer = verb(
            &operator,
            &who.credential_id,
            "rotate",
            json!({ "overlap_seconds": 8 }),
        )
        .await;
        assert_eq!(answer.header("cache-control"), "no-store");
        let rotated = answer.expect(201);
        assert_eq!(
            (&rotated["replaces"], &rotated["state"]),
            (&json!(who.credential_id), &json!("active"))
        );
        let new = successor(&who, &rotated);
        assert_eq!(
            (status(&world, &who).await, status(&world, &new).await),
            (200, 200)
        );
        let old = listed(&operator, &who).await;
        assert_eq!(
            (
                &old["state"],
                &old["usable"],
                &old["replaced_by"],
                &old["accepts_until"]
            ),
            (
                &json!("rotated"),
                &json!(true),
                &rotated["id"],
                &rotated["accepts_until"]
            )
        );
        // A third would be one too many, whichever of the two it is to replace.
        let again = verb(&operator, &who.credential_id, "rotate", json!({})).await;
        assert_snapshot!(again.problem(), @r#"
        409 illegal_transition: the credential is rotated; from there: active, revoked
          state "rotated", allowed ["active","revoked"]
        "#);
        let third = verb(&operator, &new.credential_id, "rotate", json!({})).await;
        assert_snapshot!(third.problem(), @"409 too_many_credentials: the client has two usable secrets; finish its rotation, or revoke one, first");
        // The last second gives no tokens any more: they would be dead on arrival.
        while listed(&operator, &who).await["usable"] == true {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert_eq!(
            (status(&world, &who).await, status(&world, &new).await),
            (401, 200)
        );
        let old = listed(&operator, &who).await;
        assert_eq!(
            (&old["state"], &old["usable"]),
            (&json!("rotated"), &json!(false))
        );
        let undone = verb(&operator, &who.credential_id, "undo-rotation", json!({})).await;
        assert_eq!(undone.expect(409)["code"], "overlap_ended");
        assert_eq!(revocations(&world, &who), 0);
        assert_eq!(told(&world, &who), ["credential.rotated"]);
        // There is room again.
        rotate(&operator, &new, json!({})).await;
    }
}

#[actix_web::test]
async fn a_rotation_without_overlap_ends_the_old_secret_and_its_tokens_at_once() {
    for world in worlds().await {
        let who = world.sandbox_client(&["orders:read"]).await;
        world.token("sandbox", &who, &[]).await;
        let operator = world.operator().await;
        let new = rotate(&operator, &who, json!({ "overlap_seconds": 0 })).await;
        assert_eq!(
            (status(&world, &who).await, status(&world, &new).await),
            (401, 200)
        );
        assert_eq!(revocations(&world, &who), 1);
        let refused = verb(
            &operator,
            &new.credential_id,
            "rotate",
            json!({ "overlap_seconds": 604_801, "expires_at": "soon", "overlap": 1 }),
        )
        .await;
        assert_snapshot!(refused.problem(), @"
        422 invalid_body: the request body has members that must be mended; see errors
          /overlap_seconds invalid: must be a whole number from 0 to 604800
          /expires_at invalid: must be a time like 2030-01-31T12:00:00Z (RFC 3339)
          /overlap unknown: is not a member of this request
        ");
    }
}

#[actix_web::test]
async fn a_rotation_is_finished_early_once_the_old_secret_is_quiet() {
    for world in worlds().await {
        let who = world.sandbox_client(&["orders:read"]).await;
        let operator = world.operator().await;
        world.token("sandbox", &who, &[]).await;
        let new = rotate(&operator, &who, json!({})).await;
        let old = listed(&operator, &who).await;
        assert_eq!(old["safe_to_finish"], false);
        assert_snapshot!(old["advice"].as_str().unwrap(), @"the new secret has not been used yet: do not finish; the rotation can still be undone");
        world.token("sandbox", &new, &[]).await;
        let old = listed(&operator, &who).await;
        assert_eq!(old["safe_to_finish"], false);
        assert!(
            old["advice"]
                .as_str()
                .unwrap()
                .ends_with("tokens live for up to 5 minutes: wait"),
            "{old}"
        );

        // An hour without use, as the database remembers it.
        while listed(&operator, &who).await["use_count"] != 1 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let ago = (chrono::Utc::now() - chrono::TimeDelta::minutes(59)).format("%F %T");
        world.execute(&format!(
            "UPDATE credentials SET first_used_at = '{ago}', last_used_at = '{ago}' WHERE id = '{}'",
            who.credential_id
        ));
        let old = listed(&operator, &who).await;
        assert_eq!(old["safe_to_finish"], true);
        assert_eq!(old["quiet_seconds"].as_i64().unwrap() / 60, 59);
        assert_snapshot!(old["advice"].as_str().unwrap(), @"the old secret has been quiet for 59 minutes: safe to finish");

        let done = verb(&operator, &who.credential_id, "finish-rotation", json!({})).await;
        let done = done.expect(200);
        assert_eq!(
            (&done["state"], &done["revoked_reason"]),
            (&json!("revoked"), &json!("superseded"))
        );
        assert_eq!(
            (status(&world, &who).await, status(&world, &new).await),
            (401, 200)
        );
        assert_eq!(revocations(&world, &who), 1);
        for gone in ["finish-rotation", "undo-rotation", "rotate"] {
            let again = verb(&operator, &who.credential_id, gone, json!({})).await;
            assert_snapshot!(again.problem(), @r#"
            409 illegal_transition: the credential is revoked; from there: nothing
              state "revoked", allowed []
            "#);
        }
        let active = verb(&operator, &new.credential_id, "finish-rotation", json!({})).await;
        assert_eq!(active.expect(409)["state"], "active");
        let unknown = "crd_01ARZ3NDEKTSV4RRFFQ69G5FAV";
        assert_eq!(
            verb(&operator, unknown, "finish-rotation", json!({}))
                .await
                .status,
            404
        );
        assert_eq!(
            told(&world, &who),
            ["credential.rotated", "credential.revoked"]
        );
    }
}

#[actix_web::test]
async fn a_rotation_is_taken_back_only_while_its_secret_is_unused() {
    for world in worlds().await {
        let who = world.sandbox_client(&["orders:read"]).await;
        let operator = world.operator().await;
        let unused = rotate(&operator, &who, json!({})).await;
        let undone = verb(&operator, &who.credential_id, "undo-rotation", json!({})).await;
        let undone = undone.expect(200);
        assert_eq!(
            (
                &undone["state"],
                &undone["accepts_until"],
                &undone["replaced_by"]
            ),
            (&json!("active"), &Value::Null, &Value::Null)
        );
        assert_eq!(
            (status(&world, &who).await, status(&world, &unused).await),
            (200, 401)
        );
        assert_eq!(revocations(&world, &unused), 1);

        let used = rotate(&operator, &who, json!({})).await;
        world.token("sandbox", &used, &[]).await;
        let refused = verb(&operator, &who.credential_id, "undo-rotation", json!({})).await;
        assert_snapshot!(refused.problem(), @r#"
        409 successor_used: the new secret has been used already: whoever uses it would be locked out; finish the rotation instead
          state "rotated", allowed ["revoked"]
        "#);
        assert_eq!(
            (status(&world, &who).await, status(&world, &used).await),
            (200, 200)
        );
        assert_eq!(listed(&operator, &who).await["state"], "rotated");
    }
}

#[actix_web::test]
async fn the_first_use_is_as_durable_as_its_token() {
    for mut world in worlds().await {
        let who = world.sandbox_client(&["orders:read"]).await;
        let new = rotate(&world.operator().await, &who, json!({})).await;
        world.token("sandbox", &new, &[]).await;
        world.kill();
        world.start().await;
        let operator = world.operator().await;
        let refused = verb(&operator, &who.credential_id, "undo-rotation", json!({})).await;
        assert_eq!(refused.expect(409)["code"], "successor_used");
        assert!(listed(&operator, &new).await["first_used_at"].is_string());
    }
}

#[actix_web::test]
async fn uses_are_counted_by_all_nodes_and_written_at_the_end() {
    for mut world in worlds().await {
        let who = world.sandbox_client(&["orders:read"]).await;
        let mut other = world.neighbour().await;
        let before = chrono::Utc::now();
        for _ in 0..7 {
            world.token("sandbox", &who, &[]).await;
            other.token("sandbox", &who, &[]).await;
        }
        // Asked to end, each writes what is left.
        assert_eq!((world.terminate(), other.terminate()), (Some(0), Some(0)));
        world.start().await;
        let operator = world.operator().await;
        let row = listed(&operator, &who).await;
        assert_eq!(
            (&row["use_count"], &row["last_used_ip"]),
            (&json!(14), &json!("127.0.0.1"))
        );
        let time = |name: &str| {
            row[name]
                .as_str()
                .unwrap()
                .parse::<chrono::DateTime<chrono::Utc>>()
                .unwrap()
        };
        assert!(time("first_used_at") < time("last_used_at"));
        assert!(before < time("last_used_at") && time("last_used_at") < chrono::Utc::now());
        // And while it runs, soon.
        world.token("sandbox", &who, &[]).await;
        while listed(&operator, &who).await["use_count"] != 15 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let list = world.cli(&[
            "credential",
            "list",
            "--client",
            &who.client_id,
            "--field",
            "use_count",
        ]);
        assert_eq!(list, "15");
    }
}

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

#[actix_web::test]
async fn a_compromised_secret_takes_with_it_what_its_holder_made_of_it() {
    for world in worlds().await {
        let who = world.sandbox_client(&["orders:read"]).await;
        let operator = world.operator().await;
        let one = own_successor(&who, &rotate_own(&world, "sandbox", &who).await.expect(201));
        world.token("sandbox", &one, &[]).await;
        verb(&operator, &who.credential_id, "finish-rotation", json!({}))
            .await
            .expect(200);
        let two = own_successor(&who, &rotate_own(&world, "sandbox", &one).await.expect(201));
        operator.revoke(&one.credential_id).await.expect(200);
        assert_eq!(
            (status(&world, &one).await, status(&world, &two).await),
            (401, 401)
        );
        let row = listed(&operator, &two).await;
        assert_eq!(
            (&row["state"], &row["revoked_reason"]),
            (&json!("revoked"), &json!("compromised"))
        );
        assert_eq!(
            (revocations(&world, &one), revocations(&world, &two)),
            (1, 1)
        );

        // What an operator issued is not the thief's; and another reason takes nothing along.
        let fresh = Credential {
            partner_id: who.partner_id.clone(),
            ..operator.issue(&who.client_id).await
        };
        let given = rotate(&operator, &fresh, json!({})).await;
        operator.revoke(&fresh.credential_id).await.expect(200);
        assert_eq!(status(&world, &given).await, 200);
        let own = own_successor(
            &given,
            &rotate_own(&world, "sandbox", &given).await.expect(201),
        );
        verb(
            &operator,
            &given.credential_id,
            "revoke",
            json!({ "reason": "unused" }),
        )
        .await
        .expect(200);
        assert_eq!(status(&world, &own).await, 200);
    }
}

#[actix_web::test]
async fn no_secret_outlives_the_longest_age_of_its_realm() {
    for world in worlds_with(&[
        ("ONYX_SANDBOX_SECRET_DAYS", "40"),
        ("ONYX_LIVE_SECRET_DAYS", "20"),
    ])
    .await
    {
        let (sandbox, live) = (
            world.sandbox_client(&["orders:read"]).await,
            world.live_client(&["orders:read"]).await,
        );
        let operator = world.operator().await;
        for (who, days) in [(&sandbox, 40), (&live, 20)] {
            let row = listed(&operator, who).await;
            let end: chrono::DateTime<chrono::Utc> =
                row["expires_at"].as_str().unwrap().parse().unwrap();
            let left = (end - chrono::Utc::now()).num_minutes();
            assert!((days * 1440 - 5..=days * 1440).contains(&left), "{row}");
        }
        let too_late = json!({ "kind": "secret", "expires_at": in_future(Duration::from_secs(21 * 24 * 3600)) });
        let path = format!("/clients/{}/credentials", live.client_id);
        let refused = operator.post(&path, too_late.clone()).await;
        assert_snapshot!(refused.problem(), @"
        422 invalid_body: the request body has members that must be mended; see errors
          /expires_at invalid: must lie at most 20 days ahead: a secret in live lives no longer
        ");
        let late = json!({ "expires_at": too_late["expires_at"] });
        let refused = verb(&operator, &live.credential_id, "rotate", late).await;
        assert_eq!(refused.expect(422)["errors"][0]["pointer"], "/expires_at");
        // An operator's own secret has no such end.
        let first = world.operator_credential().client_id;
        let list = operator
            .get(&format!("/clients/{first}/credentials"))
            .await
            .expect(200);
        assert_eq!(list["data"][0]["expires_at"], Value::Null);

        // Who comes near the end is told with each token: 20 days are near, 40 are not.
        let far = world.token_answer("sandbox", &sandbox, &[]).await;
        assert_eq!(
            (far.status, far.header("onyx-credential-expires")),
            (200, "")
        );
        let near = world.token_answer("live", &live, &[]).await;
        assert_eq!(
            near.header("onyx-credential-expires"),
            listed(&operator, &live).await["expires_at"]
                .as_str()
                .unwrap()
        );
        rotate(&operator, &sandbox, json!({})).await;
        let ending = world.token_answer("sandbox", &sandbox, &[]).await;
        assert_eq!(
            ending.header("onyx-credential-expires"),
            listed(&operator, &sandbox).await["accepts_until"]
                .as_str()
                .unwrap()
        );
    }
}

#[actix_web::test]
async fn an_operators_secret_is_rotated_by_who_makes_operators_alone() {
    for world in worlds().await {
        let operator = world.operator().await;
        let who = world.sandbox_client(&["orders:read"]).await;
        let made = operator
            .post(
                "/operators",
                json!({ "name": "x", "scopes": ["partners:read"] }),
            )
            .await
            .expect(201);
        let second = operator.issue(made["id"].as_str().unwrap()).await;
        let with = async |scope: &str| Operator {
            world: &world,
            token: world
                .token("admin", &world.operator_credential(), &[("scope", scope)])
                .await,
        };
        let (rotators, makers) = (
            with("credentials:rotate").await,
            with("operators:write").await,
        );
        assert_eq!(
            verb(&rotators, &second.credential_id, "rotate", json!({}))
                .await
                .status,
            403
        );
        assert_eq!(
            verb(&makers, &who.credential_id, "rotate", json!({}))
                .await
                .status,
            403
        );
        let new = rotate(&makers, &second, json!({})).await;
        world.token("admin", &new, &[]).await;
        rotate(&rotators, &who, json!({})).await;
        assert_eq!(
            verb(&rotators, &second.credential_id, "undo-rotation", json!({}))
                .await
                .status,
            403
        );
        verb(&makers, &second.credential_id, "finish-rotation", json!({}))
            .await
            .expect(200);
        let refused = makers.revoke(&who.credential_id).await;
        assert_eq!(refused.expect(403)["code"], "insufficient_scope");
        makers.revoke(&new.credential_id).await.expect(200);
    }
}

#[actix_web::test]
async fn rotations_at_the_command_line() {
    for world in worlds().await {
        let who = world.sandbox_client(&["orders:read"]).await;
        let id = world.cli(&[
            "credential",
            "rotate",
            &who.credential_id,
            "--overlap-seconds",
            "3600",
            "--field",
            "id",
        ]);
        let refused = world.run(&["credential", "undo-rotation", &who.credential_id]);
        assert_eq!(refused.status.code(), Some(2));
        let undone = world.cli(&[
            "credential",
            "undo-rotation",
            "--yes",
            &who.credential_id,
            "--field",
            "state",
        ]);
        assert_eq!(undone, "active");
        let listed = world.cli(&[
            "credential",
            "list",
            "--client",
            &who.client_id,
            "--field",
            "id",
        ]);
        assert_eq!(listed, format!("{}\n{id}", who.credential_id));
        // A mistyped field costs no secret.
        let mistyped = world.run(&[
            "credential",
            "rotate",
            &who.credential_id,
            "--field",
            "secrte",
        ]);
        assert_eq!(mistyped.status.code(), Some(2));
        let unasked = world.run(&[
            "credential",
            "rotate",
            &who.credential_id,
            "--overlap-seconds",
            "0",
        ]);
        assert_eq!(unasked.status.code(), Some(2));

        let file = json!({ "server": world.base, "client_id": who.client_id, "client_secret": who.secret });
        let path = world.path().join("partner.json");
        std::fs::write(&path, file.to_string()).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600))
            .unwrap();
        let new = world.cli(&[
            "token",
            "rotate-secret",
            "--credential",
            "partner.json",
            "--field",
            "credential_id",
        ]);
        let kept = world.credential_file("partner.json");
        assert_ne!(kept.secret, who.secret);
        let mode = std::os::unix::fs::PermissionsExt::mode(
            &std::fs::metadata(&path).unwrap().permissions(),
        );
        assert_eq!(mode & 0o777, 0o600);
        world.cli(&["token", "request", "--credential", "partner.json"]);
        let finished = world.cli(&[
            "credential",
            "finish-rotation",
            "--yes",
            &who.credential_id,
            "--field",
            "replaced_by",
        ]);
        assert_eq!(finished, new);
        assert_eq!(
            (status(&world, &who).await, status(&world, &kept).await),
            (401, 200)
        );
    }
}

#[actix_web::test]
async fn quickstart_mends_a_secret_that_has_ended() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let world = World::prepare(engine, &[]);
        let run = || world.cli(&["quickstart", "--exit", "--json"]);
        let secret =
            |shown: &str| serde_json::from_str::<Value>(shown).unwrap()["client_secret"].clone();
        let first = secret(&run());
        assert_eq!(secret(&run()), first);
        world.execute("UPDATE credentials SET expires_at = '2020-01-01 00:00:00' WHERE expires_at IS NOT NULL");
        assert_ne!(secret(&run()), first);
    }
}

/// How many rounds of the race; `ONYX_ROTATIONS` says otherwise.
fn rounds() -> usize {
    std::env::var("ONYX_ROTATIONS").map_or(100, |text| text.parse().unwrap())
}

/// A credential's states that count as usable, as the database sees them.
fn usable(world: &World, client: &str) -> Vec<String> {
    let now = chrono::Utc::now().format("%F %T%.6f");
    world.lines(&format!(
        "SELECT id || ' ' || state AS line FROM credentials WHERE client_id = '{client}' AND state <> 'revoked' \
         AND (accepts_until IS NULL OR accepts_until > '{now}') ORDER BY id"
    ))
}

#[actix_web::test]
async fn of_many_who_decide_about_one_credential_at_once_one_wins() {
    for world in worlds().await {
        let who = world.sandbox_client(&["orders:read"]).await;
        let mut current = who.credential_id.clone();
        for round in 0..rounds() {
            let operator = world.operator().await;
            let token = operator.token.clone();
            let send = |id: &str, verb: &str| {
                let body = if verb == "revoke" {
                    json!({ "reason": "other" })
                } else {
                    json!({})
                };
                let path = format!("/admin/v1/credentials/{id}/{verb}");
                let request = world
                    .request(Method::POST, &path)
                    .bearer_auth(&token)
                    .json(&body);
                let verb = verb.to_owned();
                async move { (verb, Answer::of(request.send().await.unwrap()).await) }
            };
            // Two rotate, and at most one of them can.
            let race: JoinSet<_> = ["rotate", "rotate"]
                .iter()
                .map(|verb| send(&current, verb))
                .collect();
            let answers = race.join_all().await;
            let won: Vec<&Answer> = answers
                .iter()
                .map(|(_, a)| a)
                .filter(|a| a.status == 201)
                .collect();
            assert_eq!(won.len(), 1, "round {round}: {answers:?}");
            assert!(
                answers.iter().all(|(_, a)| [201, 409].contains(&a.status)),
                "{answers:?}"
            );
            let next = won[0].json();
            assert_eq!(usable(&world, &who.client_id).len(), 2, "round {round}");

            // Then all at once, with the first use of the new secret among them.
            let new = successor(&who, &next);
            let verbs: &[&str] = match round % 3 {
                0 => &[
                    "finish-rotation",
                    "undo-rotation",
                    "finish-rotation",
                    "undo-rotation",
                ],
                1 => &["undo-rotation", "revoke", "rotate", "undo-rotation"],
                _ => &["finish-rotation", "revoke", "finish-rotation", "rotate"],
            };
            let race: JoinSet<_> = verbs.iter().map(|verb| send(&current, verb)).collect();
            let used = async {
                if round % 2 == 0 {
                    Some(world.token_answer("sandbox", &new, &[]).await)
                } else {
                    None
                }
            };
            let (answers, used) = tokio::join!(race.join_all(), used);
            assert!(
                answers
                    .iter()
                    .all(|(_, a)| [200, 201, 409].contains(&a.status)),
                "round {round}: {answers:?}"
            );
            if let Some(used) = used {
                assert!([200, 401].contains(&used.status), "{used:?}");
            }
            // Whoever won, there is an order in which one after the other could.
            let won: Vec<&str> = answers
                .iter()
                .filter(|(_, a)| a.status < 300)
                .map(|(verb, _)| verb.as_str())
                .collect();
            let end = state(&world, &current);
            assert!(!won.is_empty(), "round {round}: {answers:?}");
            assert!(
                leads("rotated", &won, &end),
                "round {round}: {won:?} to {end}"
            );
            let left = usable(&world, &who.client_id);
            assert!(left.len() <= 2, "round {round}: {left:?}");

            // One that is active goes on.
            let mut active = None;
            for line in &left {
                let (id, state) = line.split_once(' ').unwrap();
                if state == "active" && active.is_none() {
                    active = Some(id.to_owned());
                } else {
                    send(id, "revoke").await.1.expect(200);
                }
            }
            current = match active {
                Some(id) => id,
                None => operator.issue(&who.client_id).await.credential_id,
            };
        }
    }
}

/// Whether these verbs lead from one state to another in some order, each taken once.
fn leads(from: &str, verbs: &[&str], to: &str) -> bool {
    if verbs.is_empty() {
        return from == to;
    }
    (0..verbs.len()).any(|nth| {
        let next = match (from, verbs[nth]) {
            ("active", "rotate") => "rotated",
            ("rotated", "undo-rotation") => "active",
            ("rotated", "finish-rotation") | ("active" | "rotated", "revoke") => "revoked",
            _ => return false,
        };
        let rest: Vec<&str> = [&verbs[..nth], &verbs[nth + 1..]].concat();
        leads(next, &rest, to)
    })
}

fn state(world: &World, id: &str) -> String {
    let query = format!("SELECT state AS line FROM credentials WHERE id = '{id}'");
    world.lines(&query).remove(0)
}
