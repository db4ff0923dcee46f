//! What becomes of a secret that is known.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::{actions, all_done, eventually, lines, report, reports, reviews};
use crate::support::world::{Answer, Credential, World, worlds};

#[actix_web::test]
async fn a_leaked_secret_of_any_realm_is_revoked() {
    for world in worlds().await {
        let operator = world.operator().await;
        let sandbox = world.sandbox_client(&["orders:read"]).await;
        let live = world.live_client(&["orders:read"]).await;
        let made = operator
            .post(
                "/operators",
                json!({ "name": "leaky", "scopes": ["partners:read"] }),
            )
            .await
            .expect(201);
        let admin = operator.issue(made["id"].as_str().unwrap()).await;
        let safe = operator.issue(&sandbox.client_id).await;

        let leaked = [("sandbox", &sandbox), ("live", &live), ("admin", &admin)];
        let secrets = leaked.map(|(_, who)| who.secret.as_str());
        let answer = report(&world, &secrets).await;
        assert_eq!((answer.status, answer.text.as_str()), (202, ""));

        for (realm, who) in leaked {
            eventually("it gets no token", async || {
                let answer = world.token_answer(realm, who, &[]).await;
                answer.status == 401
            })
            .await;
        }
        all_done(&operator).await;
        for (realm, who) in leaked {
            let shown = operator
                .get(&format!("/clients/{}/credentials", who.client_id))
                .await
                .expect(200);
            let shown = shown["data"].as_array().unwrap();
            let shown = shown
                .iter()
                .find(|c| c["id"] == *who.credential_id)
                .unwrap();
            assert_eq!(
                [
                    &shown["state"],
                    &shown["revoked_reason"],
                    &shown["revoked_by"]
                ],
                ["revoked", "compromised", "policy"]
            );
            let open = reviews(&operator, "state=open&kind=leak").await;
            let open: Vec<_> = open
                .iter()
                .filter(|r| r["pointer"] == *who.credential_id)
                .collect();
            assert_eq!(open.len(), 1, "{open:?}");
            let is_partners = realm != "admin";
            assert_eq!(open[0]["partner_id"].is_string(), is_partners);
            let done = actions(&world, &who.credential_id);
            assert_eq!(
                done,
                ["credential.issued", "credential.revoked", "leak.reported"]
            );
            let entries = lines(
                &world,
                "revocations",
                "realm || ' ' || kind",
                &format!("WHERE id = '{}'", who.credential_id),
            );
            assert_eq!(entries, [format!("{realm} credential")]);
            let told = lines(
                &world,
                "events",
                "kind",
                &format!("WHERE data LIKE '%{}%'", who.credential_id),
            );
            let expected: &[&str] = if is_partners {
                &["credential.revoked"]
            } else {
                &[]
            };
            assert_eq!(told, expected);
        }
        // What was not reported goes on.
        world.token("sandbox", &safe, &[]).await;
        let all = reports(&operator).await;
        assert_eq!(all.len(), 1);
        assert_eq!(
            (&all[0]["candidates"], &all[0]["state"]),
            (&json!(3), &json!("done"))
        );
        let matches = all[0]["matches"].as_array().unwrap();
        assert_eq!(matches.len(), 3);
        assert!(matches.iter().all(|m| m["action"] == "revoked"));
        let of_one = operator
            .get(&format!(
                "/leak-reports?credential_id={}",
                live.credential_id
            ))
            .await
            .expect(200);
        assert_eq!(of_one["data"][0]["id"], all[0]["id"]);
    }
}

#[actix_web::test]
async fn a_partner_that_chose_so_has_one_more_hour_in_live() {
    for world in worlds().await {
        let operator = world.operator().await;
        let live = world.live_client(&["orders:read"]).await;
        let partner = &live.partner_id;
        world.execute(&format!(
            "UPDATE partners SET leaked_secret_grace = TRUE WHERE id = '{partner}'"
        ));
        operator.sandbox_grant(partner, "orders:read", None).await;
        let sandbox = operator.client(partner, "sandbox", &["orders:read"]).await;
        // The node holds both in memory from now on.
        world.token("live", &live, &[]).await;
        world.token("sandbox", &sandbox, &[]).await;
        let before = chrono::Utc::now();
        report(&world, &[&live.secret, &sandbox.secret]).await;
        all_done(&operator).await;

        assert_eq!(
            world.token_answer("sandbox", &sandbox, &[]).await.status,
            401
        );
        world.token("live", &live, &[]).await;
        let credential = async || {
            let path = format!("/clients/{}/credentials", live.client_id);
            operator.get(&path).await.expect(200)["data"][0].clone()
        };
        let shown = credential().await;
        assert_eq!(
            (&shown["state"], &shown["usable"]),
            (&json!("active"), &json!(true))
        );
        let end = |shown: &Value| {
            let end = shown["expires_at"].as_str().unwrap();
            chrono::DateTime::parse_from_rfc3339(end).unwrap()
        };
        let left = end(&shown).signed_duration_since(before).num_seconds();
        assert!((3600..3700).contains(&left), "{left}");
        let told = lines(&world, "events", "kind", "WHERE realm = 'live'");
        assert_eq!(told, ["credential.expiring"]);
        // The warning of an end within a day would not say why.
        let given = lines(
            &world,
            "expiry_warnings",
            "subject",
            &format!("WHERE days = 1 AND subject = '{}'", live.credential_id),
        );
        assert_eq!(given, [live.credential_id.as_str()]);
        let record = lines(
            &world,
            "audit_events",
            "details",
            &format!(
                "WHERE action = 'leak.reported' AND target = '{}'",
                live.credential_id
            ),
        );
        let record: Value = serde_json::from_str(&record[0]).unwrap();
        assert_eq!(
            (&record["action"], &record["expires_at"]),
            (&json!("grace"), &shown["expires_at"])
        );

        // Reporting it again moves nothing.
        report(&world, &[&live.secret]).await;
        all_done(&operator).await;
        assert_eq!(end(&credential().await), end(&shown));
        assert_eq!(
            lines(&world, "events", "kind", "WHERE realm = 'live'").len(),
            1
        );
        assert_eq!(
            reviews(&operator, &format!("pointer={}", live.credential_id))
                .await
                .len(),
            1
        );

        // The hour is over: as if it had been reported then.
        world.execute(&format!(
            "UPDATE credentials SET expires_at = '2026-01-01 00:00:00' WHERE id = '{}'",
            live.credential_id
        ));
        eventually("it is revoked", async || {
            credential().await["state"] == "revoked"
        })
        .await;
        assert_eq!(credential().await["revoked_reason"], "compromised");
        assert_eq!(world.token_answer("live", &live, &[]).await.status, 401);
        let of_it = format!("/leak-reports?credential_id={}", live.credential_id);
        let all = operator.get(&of_it).await.expect(200);
        for report in all["data"].as_array().unwrap() {
            let matches = report["matches"].as_array().unwrap();
            let this = matches
                .iter()
                .find(|m| m["credential_id"] == *live.credential_id);
            assert_eq!(this.unwrap()["action"], "revoked_after_grace");
        }
    }
}

#[actix_web::test]
async fn an_old_secret_that_is_found_ends_none_that_is_in_use() {
    for world in worlds().await {
        let operator = world.operator().await;
        let status = async |who: &Credential| world.token_answer("sandbox", who, &[]).await.status;
        let compromised = async |id: &str| {
            let body = json!({ "reason": "compromised" });
            operator
                .post(&format!("/credentials/{id}/revoke"), body)
                .await
        };
        // Rotated by the client itself, in use, and the old one has run out since.
        let old = world.sandbox_client(&["orders:read"]).await;
        let new = rotated(&world, &old).await;
        assert_eq!(status(&new).await, 200);
        world.execute(&format!(
            "UPDATE credentials SET accepts_until = created_at WHERE id = '{}'",
            old.credential_id
        ));
        report(&world, &[&old.secret]).await;
        all_done(&operator).await;
        assert_eq!(
            reports(&operator).await[0]["matches"][0]["action"],
            "revoked"
        );
        let query = format!("state=open&kind=leak&pointer={}", old.credential_id);
        assert_eq!(reviews(&operator, &query).await.len(), 1);
        assert_eq!((status(&old).await, status(&new).await), (401, 200));
        // Whoever looks into it may find that the new one is a thief's.
        let ended = compromised(&old.credential_id).await.expect(200);
        assert_eq!(ended["state"], "revoked");
        assert_eq!(status(&new).await, 401);
        assert_eq!(
            compromised(&old.credential_id).await.expect(409)["code"],
            "illegal_transition"
        );

        // The same where a rotation was finished: that revoked the old one.
        let old = world.sandbox_client(&["orders:read"]).await;
        let new = rotated(&world, &old).await;
        assert_eq!(status(&new).await, 200);
        let finish = format!("/credentials/{}/finish-rotation", old.credential_id);
        operator.post(&finish, json!({})).await.expect(200);
        report(&world, &[&old.secret]).await;
        all_done(&operator).await;
        assert_eq!(status(&new).await, 200);
        compromised(&old.credential_id).await.expect(200);
        assert_eq!(status(&new).await, 401);

        // While the old one still works, its finder could have rotated it: both go.
        let old = world.sandbox_client(&["orders:read"]).await;
        let new = rotated(&world, &old).await;
        report(&world, &[&old.secret]).await;
        all_done(&operator).await;
        assert_eq!((status(&old).await, status(&new).await), (401, 401));
    }
}

/// What a client has that rotated its own secret.
async fn rotated(world: &World, old: &Credential) -> Credential {
    let request = world.request(Method::POST, "/sandbox/oauth2/credentials/rotate");
    let request = request.basic_auth(&old.client_id, Some(&old.secret));
    let answer = Answer::of(request.send().await.unwrap()).await;
    assert!(answer.header("ratelimit").contains("r="), "{answer:?}");
    let answer = answer.expect(201);
    Credential {
        credential_id: answer["credential_id"].as_str().unwrap().to_owned(),
        secret: answer["client_secret"].as_str().unwrap().to_owned(),
        ..old.clone()
    }
}

#[actix_web::test]
async fn an_end_that_comes_sooner_than_the_hour_stays() {
    for world in worlds().await {
        let operator = world.operator().await;
        let live = world.live_client(&["orders:read"]).await;
        world.execute(&format!(
            "UPDATE partners SET leaked_secret_grace = TRUE WHERE id = '{}'",
            live.partner_id
        ));
        let soon = crate::support::world::in_future(Duration::from_secs(600));
        let body = json!({ "kind": "secret", "expires_at": soon });
        let path = format!("/clients/{}/credentials", live.client_id);
        let issued = operator.post(&path, body).await.expect(201);
        report(&world, &[issued["secret"].as_str().unwrap()]).await;
        all_done(&operator).await;
        let shown = operator.get(&path).await.expect(200);
        let shown = shown["data"].as_array().unwrap();
        let shown = shown.iter().find(|c| c["id"] == issued["id"]).unwrap();
        assert_eq!(shown["expires_at"], issued["expires_at"]);
    }
}
