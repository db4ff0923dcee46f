//! What is reported, by whom, and how often.

use reqwest::Method;
use serde_json::json;

use super::{
    actions, all_done, eventually, lines, report, report_body, reports, reviews, unknown_secret,
};
use crate::support::assert_snapshot;
use crate::support::world::{Credential, Engine, worlds, worlds_with};

#[actix_web::test]
async fn what_is_not_ours_gets_the_same_answer_and_leaves_nothing() {
    for world in worlds().await {
        let operator = world.operator().await;
        let who = world.sandbox_client(&["orders:read"]).await;
        let spoilt = format!("{}A", &who.secret[..who.secret.len() - 1]);
        assert_ne!(spoilt, who.secret);
        let unknown = unknown_secret(7);
        let shapes: [Vec<&str>; 6] = [
            vec![&who.secret],
            vec![&unknown],
            vec![&spoilt],
            vec!["", "password123", "AKIAIOSFODNN7EXAMPLE"],
            vec![],
            vec![&unknown, &unknown, &who.secret],
        ];
        let mut answers = Vec::new();
        for secrets in &shapes {
            let answer = report(&world, secrets).await;
            let mut headers: Vec<_> = answer
                .headers
                .iter()
                .filter(|(name, _)| !["date", "onyx-request-id"].contains(&name.as_str()))
                .map(|(name, value)| (name.to_string(), value.clone()))
                .collect();
            headers.sort_by(|one, other| one.0.cmp(&other.0));
            answers.push((answer.status, answer.text, headers));
        }
        assert_eq!(answers[0].0, 202);
        assert!(answers.iter().all(|a| *a == answers[0]), "{answers:?}");

        all_done(&operator).await;
        let all = reports(&operator).await;
        let counts: Vec<_> = all
            .iter()
            .map(|r| {
                (
                    r["candidates"].as_i64().unwrap(),
                    r["matches"].as_array().unwrap().len(),
                )
            })
            .collect();
        assert_eq!(counts, [(1, 1), (1, 0), (2, 1)]);
        // Of what matched nothing, no hash is kept.
        let kept = lines(&world, "leak_candidates", "action", "ORDER BY action");
        assert_eq!(kept, ["already_revoked", "revoked"]);
        let log = world.log();
        assert!(!log.contains(&who.secret) && !log.contains(&unknown));
    }
}

#[actix_web::test]
async fn a_report_is_checked_for_its_form_alone() {
    for world in worlds().await {
        let many: Vec<String> = (0..1001).map(unknown_secret).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let refused = report(&world, &many).await;
        assert_snapshot!(refused.problem(), @r"
        422 invalid_body: the request body has members that must be mended; see errors
          /secrets type: must be a list of at most 1000 strings
        ");
        assert_eq!(report(&world, &many[..1000]).await.status, 202);
        let large = json!({ "secrets": ["x".repeat(128 * 1024)] }).to_string();
        let refused = report_body(&world, large).await;
        assert_snapshot!(refused.problem(), @"413 body_too_large: a report has at most 131,072 bytes; send the rest in another");
        let just = json!({ "secrets": ["x".repeat(128 * 1024 - 16)] }).to_string();
        assert_eq!(just.len(), 128 * 1024);
        assert_eq!(report_body(&world, just).await.status, 202);
        let bad = json!({ "secrets": ["a", 1, null], "who": "me" }).to_string();
        let refused = report_body(&world, bad).await;
        assert_snapshot!(refused.problem(), @r"
        422 invalid_body: the request body has members that must be mended; see errors
          /secrets/1 type: must be a string
          /secrets/2 type: must be a string
          /who unknown: is not a member of this request
        ");
        let refused = report_body(&world, "{}".to_owned()).await;
        assert_snapshot!(refused.problem(), @r"
        422 invalid_body: the request body has members that must be mended; see errors
          /secrets missing: must be there
        ");
        let refused = report_body(&world, "{\"secrets\":".to_owned()).await;
        assert_snapshot!(refused.problem(), @"400 invalid_json: the body is not JSON: line 1, column 11");
        let form = world
            .request(Method::POST, "/leaks")
            .form(&[("secrets", "a")]);
        assert_eq!(form.send().await.unwrap().status(), 415);
        assert_eq!(world.get("/leaks", None).await.status, 405);
    }
}

#[actix_web::test]
async fn names_made_to_cost_much_are_told_in_few_words() {
    for world in worlds().await {
        let twice: Vec<String> = (0..1500)
            .map(|n| format!(r#""{n:x}":1,"{n:x}":1"#))
            .collect();
        let twice = format!(r#"{{"{}":{{{}}}}}"#, "z".repeat(40_000), twice.join(","));
        let many: Vec<String> = (0..10_000).map(|n| format!(r#""{n:x}":1"#)).collect();
        let many = format!("{{{}}}", many.join(","));
        // Were it looked at from each of its digits to its end, this would take many seconds.
        let digits = format!(r#"{{"secrets":[],"{}":1}}"#, "4 ".repeat(60_000));
        for (body, faults) in [(twice, 100), (many, 100), (digits, 1)] {
            assert!(body.len() < 128 * 1024);
            let refused = report_body(&world, body).await;
            let told = refused.expect(422)["errors"].as_array().unwrap().len();
            assert_eq!(told, faults);
            assert!(refused.text.len() < 32 * 1024, "{}", refused.text.len());
        }
    }
}

#[actix_web::test]
async fn the_database_never_holds_a_candidate() {
    // Without a worker, what came in stays as it is.
    for world in worlds_with(&[("ONYX_ROLES", "auth,admin,api")]).await {
        let operator = world.operator().await;
        let who = world.sandbox_client(&["orders:read"]).await;
        let unknown = unknown_secret(9);
        assert_eq!(report(&world, &[&who.secret, &unknown]).await.status, 202);
        let hashes = lines(&world, "leak_candidates", "hash", "ORDER BY hash");
        assert_eq!(hashes.len(), 2);
        assert!(
            hashes
                .iter()
                .all(|h| h.len() == 64 && h.bytes().all(|b| b.is_ascii_hexdigit()))
        );
        if world.engine == Engine::Sqlite {
            for file in ["onyx.db", "onyx.db-wal"] {
                let bytes = std::fs::read(world.path().join("data").join(file)).unwrap();
                for secret in [&who.secret, &unknown] {
                    let mut windows = bytes.windows(secret.len());
                    assert!(!windows.any(|window| window == secret.as_bytes()), "{file}");
                }
            }
        }
        assert_eq!(reports(&operator).await[0]["state"], "received");
        // A worker elsewhere takes it up, and the first node hears of it.
        let worker = world
            .neighbour_with(&[("ONYX_ROLES", "auth,admin,api,worker")])
            .await;
        all_done(&operator).await;
        assert_eq!(lines(&world, "leak_candidates", "action", ""), ["revoked"]);
        eventually("both nodes refuse it", async || {
            let there = worker.token_answer("sandbox", &who, &[]).await.status;
            let here = world.token_answer("sandbox", &who, &[]).await.status;
            (there, here) == (401, 401)
        })
        .await;
    }
}

#[actix_web::test]
async fn two_nodes_act_on_a_report_once() {
    for world in worlds().await {
        let other = world.neighbour().await;
        let operator = world.operator().await;
        let who = world.sandbox_client(&["orders:read"]).await;
        let mut leaked = vec![who.clone()];
        for _ in 0..8 {
            let client = json!({ "realm": "sandbox", "name": "leaky", "scopes": ["orders:read"] });
            leaked.push(operator.client_with(&who.partner_id, client).await);
        }
        let secrets: Vec<&str> = leaked.iter().map(|c| c.secret.as_str()).collect();
        // Both wake at once, since each takes in a report that holds all of them.
        let (one, two) = futures(report(&world, &secrets), report(&other, &secrets)).await;
        assert_eq!((one.status, two.status), (202, 202));
        all_done(&operator).await;
        for Credential { credential_id, .. } in &leaked {
            let done = actions(&world, credential_id);
            let count = |action: &str| done.iter().filter(|a| *a == action).count();
            assert_eq!(
                (count("credential.revoked"), count("leak.reported")),
                (1, 2),
                "{done:?}"
            );
            let entries = lines(
                &world,
                "revocations",
                "kind",
                &format!("WHERE id = '{credential_id}'"),
            );
            assert_eq!(entries, ["credential"]);
            let open = reviews(&operator, &format!("pointer={credential_id}")).await;
            assert_eq!(open.len(), 1);
        }
        let mut taken: Vec<_> = Vec::new();
        for report in reports(&operator).await {
            let matches = report["matches"].as_array().unwrap();
            assert_eq!((matches.len(), &report["candidates"]), (9, &json!(9)));
            taken.extend(
                matches
                    .iter()
                    .map(|m| m["action"].as_str().unwrap().to_owned()),
            );
        }
        let revoked = taken.iter().filter(|a| *a == "revoked").count();
        assert_eq!((taken.len(), revoked), (18, 9));
    }
}

/// Both at once.
async fn futures<A: Future, B: Future>(one: A, two: B) -> (A::Output, B::Output) {
    tokio::join!(one, two)
}

#[actix_web::test]
async fn a_full_queue_says_when_to_come_back() {
    for world in worlds_with(&[("ONYX_ROLES", "auth,admin,api")]).await {
        let many: Vec<String> = (0..1000).map(unknown_secret).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        for _ in 0..50 {
            assert_eq!(report(&world, &many).await.status, 202);
        }
        let refused = report(&world, &many[..1]).await;
        assert_eq!(refused.header("retry-after"), "5");
        assert_snapshot!(refused.problem(), @"503 unavailable: too many reports are waiting; send this one again a little later");
        // A worker drains it.
        let operator = world.operator().await;
        let _worker = world.neighbour_with(&[("ONYX_ROLES", "worker")]).await;
        all_done(&operator).await;
        assert_eq!(report(&world, &many[..1]).await.status, 202);
        assert!(
            lines(
                &world,
                "leak_candidates",
                "action",
                "WHERE action IS NOT NULL"
            )
            .is_empty()
        );
    }
}

#[actix_web::test]
async fn whoever_reports_without_end_fills_no_disk() {
    for world in worlds().await {
        let kept = || world.lines("SELECT id AS line FROM leak_reports").len();
        report(&world, &[]).await;
        report(&world, &["nothing of ours"]).await;
        assert_eq!(kept(), 0);
        let refused = async {
            loop {
                let answer = report(&world, &[]).await;
                if answer.status != 202 {
                    return answer;
                }
            }
        };
        let refused = refused.await;
        assert_eq!(refused.expect(429)["code"], "too_many_reports");
        assert!(!refused.header("retry-after").is_empty());
        assert_eq!(kept(), 0);
    }
}
