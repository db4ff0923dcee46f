//! Suspended, resumed, revoked: as the drawing of their life allows.

use serde_json::{Value, json};

use super::{audit, edit, revocations, step};
use crate::support::assert_snapshot;
use crate::support::world::{Answer, Credential, Operator, at_once, claims, worlds};

#[actix_web::test]
async fn a_suspended_client_gets_no_token_and_a_resumed_one_at_once() {
    for world in worlds().await {
        let operator = world.operator().await;
        let who = world.sandbox_client(&["orders:read"]).await;
        let wrong = Credential {
            secret: operator.world.operator_credential().secret,
            ..who.clone()
        };
        let refused = world.token_answer("sandbox", &wrong, &[]).await;
        world.token("sandbox", &who, &[]).await;

        let suspended = step(&operator, &who.client_id, "suspend").await.expect(200);
        assert_eq!(suspended["state"], "suspended");
        let answer = world.token_answer("sandbox", &who, &[]).await;
        assert_eq!(answer.line(), refused.line());
        assert_snapshot!(answer.line(), @r#"401 {"error":"invalid_client","error_description":"client authentication failed"}"#);

        let resumed = step(&operator, &who.client_id, "resume").await.expect(200);
        assert_eq!(resumed["state"], "active");
        world.token("sandbox", &who, &[]).await;

        let id = &who.client_id;
        assert_eq!(
            revocations(&world, "sandbox"),
            [format!("client {id} suspended")]
        );
        let done: Vec<String> = audit(&world, id).into_iter().skip(1).collect();
        assert_eq!(
            done,
            [
                r#"client.suspended {"reason":"a drill"}"#,
                r#"client.resumed {"reason":"a drill"}"#
            ]
        );
    }
}

#[actix_web::test]
async fn a_revoked_client_ends_with_its_credentials() {
    for world in worlds().await {
        let operator = world.operator().await;
        let who = world.sandbox_client(&["orders:read"]).await;
        operator.issue(&who.client_id).await;
        let revoked = step(&operator, &who.client_id, "revoke").await.expect(200);
        assert_eq!(revoked["state"], "revoked");
        let answer = world.token_answer("sandbox", &who, &[]).await;
        assert_eq!(answer.json()["error"], "invalid_client");

        let path = format!("/clients/{}/credentials", who.client_id);
        let held = operator.get(&path).await.expect(200);
        for credential in held["data"].as_array().unwrap() {
            assert_eq!(
                (
                    &credential["state"],
                    &credential["revoked_by"],
                    &credential["revoked_reason"],
                    &credential["revoked_note"]
                ),
                (
                    &json!("revoked"),
                    &json!(operator.id()),
                    &json!("other"),
                    &json!("its client was revoked: a drill")
                )
            );
        }
        // One entry is enough: every token is the client's.
        let id = &who.client_id;
        assert_eq!(
            revocations(&world, "sandbox"),
            [format!("client {id} revoked")]
        );
        let told = world.lines("SELECT kind AS line FROM events ORDER BY seq");
        assert_eq!(told, ["credential.revoked", "credential.revoked"]);
        let about = format!("client_id\":\"{id}\",\"reason\":\"other");
        let last = audit(&world, &who.credential_id).pop().unwrap();
        assert!(
            last.starts_with("credential.revoked ") && last.contains(&about),
            "{last}"
        );

        let issue = operator.post(&path, json!({ "kind": "secret" })).await;
        assert_eq!(
            (issue.status, &issue.json()["code"]),
            (409, &json!("client_not_active"))
        );
        let edited = edit(&operator, id, json!({ "name": "again" })).await;
        assert_snapshot!(edited.problem(), @r#"
        409 illegal_transition: the client is revoked; from there: nothing
          state "revoked", allowed []
        "#);
    }
}

#[actix_web::test]
async fn every_client_keeps_to_the_drawing() {
    for world in worlds().await {
        let operator = world.operator().await;
        let partner = operator.partner().await;
        operator.sandbox_grant(&partner, "orders:read", None).await;
        let mut told = String::new();
        for state in ["active", "suspended", "revoked"] {
            for verb in ["suspend", "resume", "revoke"] {
                let who = operator.client(&partner, "sandbox", &["orders:read"]).await;
                match state {
                    "suspended" => {
                        drop(step(&operator, &who.client_id, "suspend").await.expect(200))
                    }
                    "revoked" => drop(step(&operator, &who.client_id, "revoke").await.expect(200)),
                    _ => {}
                }
                let entries = revocations(&world, "sandbox").len();
                let answer = step(&operator, &who.client_id, verb).await;
                let said = match answer.status {
                    200 => answer.json()["state"].to_string(),
                    _ => answer.problem().replace("\n  state ", ": "),
                };
                told += &format!("{state} {verb}: {said}\n");
                let new = revocations(&world, "sandbox").len() - entries;
                assert_eq!(new, usize::from(answer.status == 200 && verb != "resume"));
            }
        }
        assert_snapshot!(told, @r#"
        active suspend: "suspended"
        active resume: 409 illegal_transition: the client is active; from there: suspended, revoked: "active", allowed ["suspended","revoked"]
        active revoke: "revoked"
        suspended suspend: 409 illegal_transition: the client is suspended; from there: active, revoked: "suspended", allowed ["active","revoked"]
        suspended resume: "active"
        suspended revoke: "revoked"
        revoked suspend: 409 illegal_transition: the client is revoked; from there: nothing: "revoked", allowed []
        revoked resume: 409 illegal_transition: the client is revoked; from there: nothing: "revoked", allowed []
        revoked revoke: 409 illegal_transition: the client is revoked; from there: nothing: "revoked", allowed []
        "#);
        for verb in ["suspend", "resume", "revoke"] {
            let unknown = step(&operator, "cl_sbx_01ARZ3NDEKTSV4RRFFQ69G5FAV", verb).await;
            assert_eq!(unknown.status, 404);
        }
        let path = "/clients/cl_sbx_01ARZ3NDEKTSV4RRFFQ69G5FAV/suspend";
        let told = operator.post(path, json!({ "force": true })).await;
        assert_snapshot!(told.problem(), @"
        422 invalid_body: the request body has members that must be mended; see errors
          /reason missing: must be there
          /force unknown: is not a member of this request
        ");
    }
}

/// How often several operators meet at one client.
const ROUNDS: usize = 30;

#[actix_web::test]
async fn of_many_who_act_on_a_client_at_once_one_wins() {
    for world in worlds().await {
        let operator = world.operator().await;
        let other = world.neighbour().await;
        let there = Operator {
            world: &other,
            token: operator.token.clone(),
        };
        let partner = operator.partner().await;
        operator.sandbox_grant(&partner, "orders:read", None).await;
        let body = json!({ "reason": "a race" });
        for round in 0..ROUNDS {
            let who = operator.client(&partner, "sandbox", &["orders:read"]).await;
            let path = |verb: &str| format!("/clients/{}/{verb}", who.client_id);
            let entries = revocations(&world, "sandbox").len();
            let suspended = at_once([
                operator.posting(&path("suspend"), &body),
                there.posting(&path("suspend"), &body),
                operator.posting(&path("suspend"), &body),
                there.posting(&path("resume"), &body),
            ])
            .await;
            // Whoever resumes may come between two who suspend.
            let won = |answers: &[Answer]| answers.iter().filter(|a| a.status == 200).count();
            let (stopped, resumed) = (won(&suspended[..3]), won(&suspended[3..]));
            assert!(
                stopped == 1 || (stopped, resumed) == (2, 1),
                "{round}: {suspended:?}"
            );
            assert_eq!(revocations(&world, "sandbox").len() - entries, stopped);

            let answers = at_once([
                operator.posting(&path("revoke"), &body),
                there.posting(&path("revoke"), &body),
                there.posting(&path("suspend"), &body),
                operator.posting(&path("resume"), &body),
                operator.posting(&path("revoke"), &body),
            ])
            .await;
            let revoked: Vec<u16> = [0, 1, 4].map(|nth| answers[nth].status).to_vec();
            assert_eq!(
                revoked.iter().filter(|status| **status == 200).count(),
                1,
                "{revoked:?}"
            );
            assert!(
                answers.iter().all(|a| [200, 409].contains(&a.status)),
                "{answers:?}"
            );
            let shown = operator
                .get(&format!("/clients/{}", who.client_id))
                .await
                .expect(200);
            assert_eq!(shown["state"], "revoked");
            let last = revocations(&world, "sandbox").pop().unwrap();
            assert_eq!(last, format!("client {} revoked", who.client_id));
            let steps = audit(&world, &who.client_id);
            let all_won = 1 + stopped + resumed + won(&answers);
            assert_eq!(steps.len(), all_won, "{steps:?}");
            let ends = steps.iter().filter(|s| s.starts_with("client.revoked"));
            assert_eq!(ends.count(), 1, "{steps:?}");
        }
    }
}

#[actix_web::test]
async fn the_command_line_changes_suspends_and_revokes() {
    for world in worlds().await {
        let operator = world.operator().await;
        let who = world.sandbox_client(&["orders:read", "usage:read"]).await;
        let client = who.client_id.as_str();
        let edited = world.cli(&[
            "client",
            "edit",
            client,
            "--name",
            "front",
            "--scope",
            "orders:read",
            "--token-ttl",
            "60",
            "--allow-from",
            "127.0.0.1",
            "--allow-from",
            "10.0.0.0/8",
            "--self-rotation",
            "false",
            "--json",
        ]);
        let edited: Value = serde_json::from_str(&edited).unwrap();
        assert_eq!(
            (
                &edited["name"],
                &edited["scopes"],
                &edited["token_ttl"],
                &edited["ip_allowlist"],
                &edited["self_rotation"]
            ),
            (
                &json!("front"),
                &json!(["orders:read"]),
                &json!(60),
                &json!(["10.0.0.0/8", "127.0.0.1/32"]),
                &json!(false)
            )
        );
        let cleared = [
            "client",
            "edit",
            client,
            "--clear",
            "token_ttl",
            "--clear",
            "ip_allowlist",
            "--field",
            "token_ttl",
        ];
        assert_eq!(world.cli(&cleared), "");
        for wrong in [
            vec!["client", "edit", client],
            vec!["client", "edit", client, "--clear", "name"],
            vec![
                "client",
                "edit",
                client,
                "--token-ttl",
                "60",
                "--clear",
                "token_ttl",
            ],
            vec!["client", "suspend", client, "--reason", "a drill"],
            vec!["client", "revoke", client, "--reason", "a drill"],
            vec!["client", "revoke", client, "--yes"],
            vec!["token", "revoke", "--yes"],
            vec!["token", "revoke", "--jti", "x", "--yes"],
            vec!["resource-server", "edit", "rsv_x"],
        ] {
            assert_eq!(world.run(&wrong).status.code(), Some(2), "{wrong:?}");
        }
        let step = |verb: &str| {
            world.cli(&[
                "client", verb, client, "--reason", "a drill", "--yes", "--field", "state",
            ])
        };
        assert_eq!(step("suspend"), "suspended");
        assert_eq!(
            world.cli(&["client", "list", "--state", "suspended", "--field", "id"]),
            client
        );
        assert_eq!(
            world.cli(&[
                "client", "resume", client, "--reason", "over", "--field", "state"
            ]),
            "active"
        );

        let token = world.token("sandbox", &who, &[]).await;
        let revoke = ["token", "revoke", "-", "--yes", "--field", "revoked"];
        let output = world.run_with_input(&revoke, &format!("{token}\n"));
        assert_eq!(String::from_utf8_lossy(&output.stdout), "true\n");
        std::fs::write(world.path().join("token"), &token).unwrap();
        assert_eq!(
            world.cli(&["token", "revoke", "token", "--yes", "--field", "jti"]),
            claims(&token)["jti"]
        );
        let foreign = world.run_with_input(&revoke, "no token");
        assert_eq!(
            (foreign.status.code(), &foreign.stdout[..]),
            (Some(0), &b"false\n"[..])
        );
        let named = [
            "token", "revoke", "--realm", "sandbox", "--jti", "abc", "--yes", "--field", "realm",
        ];
        assert_eq!(world.cli(&named), "sandbox");
        assert_eq!(step("revoke"), "revoked");

        let server = operator
            .resource_server(
                "sandbox",
                "https://stock.acme.example",
                &["stock:read"],
                "ES256",
            )
            .await;
        let server = server["id"].as_str().unwrap();
        let edit = [
            "resource-server",
            "edit",
            server,
            "--signing-alg",
            "EdDSA",
            "--scope",
            "stock:count",
            "--field",
            "signing_alg",
        ];
        assert_eq!(world.cli(&edit), "EdDSA");
        assert_eq!(
            world.cli(&["resource-server", "show", server, "--field", "scopes"]),
            "stock:count"
        );
    }
}
