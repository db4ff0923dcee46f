//! Leaked secrets: reported by anybody, revoked within moments, and found in files.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::assert_snapshot;
use crate::support::world::{Answer, Credential, Engine, Operator, World, worlds, worlds_with};

/// The form of a secret that nobody has: its checksum is right.
fn unknown_secret(nth: u32) -> String {
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let text = format!("onyx_live_sk_{nth:043}");
    // CRC-32/ISO-HDLC, bit by bit, so that the test owes the server nothing.
    let mut crc = u32::MAX;
    for byte in text.bytes() {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xEDB8_8320 & 0_u32.wrapping_sub(crc & 1));
        }
    }
    let mut rest = !crc;
    let mut digits = [b'0'; 6];
    for digit in digits.iter_mut().rev() {
        *digit = ALPHABET[(rest % 62) as usize];
        rest /= 62;
    }
    text + std::str::from_utf8(&digits).unwrap()
}

async fn report(world: &World, secrets: &[&str]) -> Answer {
    let body = json!({ "secrets": secrets }).to_string();
    report_body(world, body).await
}

async fn report_body(world: &World, body: String) -> Answer {
    let request = world
        .request(Method::POST, "/leaks")
        .header("content-type", "application/json")
        .body(body);
    Answer::of(request.send().await.unwrap()).await
}

/// Asks until it holds; a few seconds are more than enough.
async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !holds().await {
        assert!(started.elapsed() < Duration::from_secs(10), "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn all_done(operator: &Operator<'_>) {
    eventually("all reports are done", async || {
        let left = operator.get("/leak-reports?state=received").await;
        left.expect(200)["data"].as_array().unwrap().is_empty()
    })
    .await;
}

async fn reports(operator: &Operator<'_>) -> Vec<Value> {
    let list = operator.get("/leak-reports?limit=100").await.expect(200);
    list["data"].as_array().unwrap().clone()
}

async fn reviews(operator: &Operator<'_>, query: &str) -> Vec<Value> {
    let list = operator.get(&format!("/reviews?{query}")).await.expect(200);
    list["data"].as_array().unwrap().clone()
}

fn lines(world: &World, table: &str, columns: &str, rest: &str) -> Vec<String> {
    world.lines(&format!("SELECT {columns} AS line FROM {table} {rest}"))
}

/// What was done to something, in the order of the alphabet: one transaction has one time.
fn actions(world: &World, target: &str) -> Vec<String> {
    lines(
        world,
        "audit_events",
        "action",
        &format!("WHERE target = '{target}' ORDER BY action"),
    )
}

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
        assert_eq!(counts, [(1, 1), (1, 0), (0, 0), (0, 0), (0, 0), (2, 1)]);
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
async fn a_secret_that_is_reported_again_opens_no_second_case_until_the_first_is_closed() {
    for world in worlds().await {
        let operator = world.operator().await;
        let who = world.sandbox_client(&["orders:read"]).await;
        for _ in 0..2 {
            report(&world, &[&who.secret]).await;
            all_done(&operator).await;
        }
        let taken: Vec<_> = reports(&operator)
            .await
            .iter()
            .map(|r| r["matches"][0]["action"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(taken, ["revoked", "already_revoked"]);
        let of_partner = format!("partner_id={}&kind=leak", who.partner_id);
        let open = reviews(&operator, &of_partner).await;
        assert_eq!(open.len(), 1);
        assert_eq!(open[0]["pointer"], *who.credential_id);

        let close = format!("/reviews/{}/close", open[0]["id"].as_str().unwrap());
        let refused = operator.post(&close, json!({})).await;
        assert_snapshot!(refused.problem(), @r"
        422 invalid_body: the request body has members that must be mended; see errors
          /reason missing: must be there
        ");
        let closed = operator
            .post(
                &close,
                json!({ "reason": "rotated, the repository is gone" }),
            )
            .await
            .expect(200);
        assert_eq!(
            [
                &closed["state"],
                &closed["closed_reason"],
                &closed["closed_by"]
            ],
            [
                "closed",
                "rotated, the repository is gone",
                &world.operator_credential().client_id
            ]
        );
        let refused = operator.post(&close, json!({ "reason": "again" })).await;
        assert_snapshot!(refused.problem(), @r#"
        409 illegal_transition: the review is closed; from there: nothing
          state "closed", allowed []
        "#);
        let unknown = "/reviews/rvw_01ARZ3NDEKTSV4RRFFQ69G5FAV/close";
        assert_eq!(
            operator
                .post(unknown, json!({ "reason": "x" }))
                .await
                .status,
            404
        );
        assert_eq!(
            actions(&world, open[0]["id"].as_str().unwrap()),
            ["review.closed", "review.opened"]
        );

        report(&world, &[&who.secret]).await;
        all_done(&operator).await;
        let all = reviews(&operator, &of_partner).await;
        assert_eq!(
            all.iter()
                .map(|r| r["state"].as_str().unwrap())
                .collect::<Vec<_>>(),
            ["closed", "open"]
        );
        assert_eq!(reviews(&operator, "state=open").await.len(), 1);
        assert_eq!(reviews(&operator, "kind=related_partner").await.len(), 0);
        assert_eq!(operator.get("/reviews?state=odd").await.status, 400);
        // Revoked by one, told as leaked by the report after: the partner hears of each case once.
        let told = lines(&world, "events", "kind", "ORDER BY seq");
        assert_eq!(told, ["credential.revoked", "credential.revoked"]);
    }
}

#[actix_web::test]
async fn a_secret_that_was_revoked_before_is_a_case_all_the_same() {
    for world in worlds().await {
        let operator = world.operator().await;
        let who = world.sandbox_client(&["orders:read"]).await;
        let unused = json!({ "reason": "unused" });
        operator
            .post(
                &format!("/credentials/{}/revoke", who.credential_id),
                unused,
            )
            .await
            .expect(200);
        report(&world, &[&who.secret]).await;
        all_done(&operator).await;
        assert_eq!(
            reports(&operator).await[0]["matches"][0]["action"],
            "already_revoked"
        );
        assert_eq!(reviews(&operator, "state=open&kind=leak").await.len(), 1);
        let kept = lines(
            &world,
            "credentials",
            "revoked_reason",
            &format!("WHERE id = '{}'", who.credential_id),
        );
        assert_eq!(kept, ["unused"]);
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
async fn only_operators_for_security_see_reviews_and_reports() {
    for world in worlds().await {
        let operator = world.operator().await;
        let body = json!({ "name": "clerk", "scopes": ["partners:read"] });
        let clerk = operator.post("/operators", body).await.expect(201);
        let clerk = operator.issue(clerk["id"].as_str().unwrap()).await;
        let token = world.token("admin", &clerk, &[]).await;
        for path in ["/reviews", "/leak-reports"] {
            let path = format!("/admin/v1{path}");
            assert_eq!(world.get(&path, Some(&token)).await.status, 403);
            assert_eq!(world.get(&path, None).await.status, 401);
        }
    }
}
