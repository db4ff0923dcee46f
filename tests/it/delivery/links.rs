//! A link opens once, to whom it was made for.

use onyx_auth::domain::id::DeliveryId;
use reqwest::Method;
use serde_json::{Value, json};

use super::{Link, bare_client, credential, linked, trail};
use crate::support::assert_snapshot;
use crate::support::world::{Answer, World, worlds};

#[actix_web::test]
async fn a_link_shows_the_secret_once_and_later_when_it_was_opened() {
    for world in worlds().await {
        let (_, client) = bare_client(&world).await;
        let (issued, link) = linked(&world, &client).await;
        assert!(
            link.url
                .starts_with(&format!("{}/deliveries/sdl_", world.base))
        );
        assert_eq!(
            (&issued["state"], &issued["usable"]),
            (&json!("active"), &json!(true))
        );
        let seen = credential(&world, &client, issued["id"].as_str().unwrap()).await;
        assert_eq!(seen["delivery"]["state"], "pending");
        let lasts = |end: &Value| {
            let time = |value: &Value| {
                chrono::DateTime::parse_from_rfc3339(value.as_str().unwrap()).unwrap()
            };
            (time(end) - time(&issued["created_at"])).num_seconds()
        };
        assert_eq!(lasts(&issued["delivery_expires_at"]), 3600);

        let answer = link.open(&world).await;
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
        let opened = answer.expect(200);
        assert_eq!(opened["env"], "sandbox");
        let who = link.unseal(&opened);
        assert_eq!(
            (&json!(who.client_id), &json!(who.credential_id)),
            (&json!(client), &issued["id"])
        );
        assert_eq!(
            opened["token_endpoint"],
            format!("{}/sandbox/oauth2/token", world.base)
        );
        world.token("sandbox", &who, &[]).await;

        let again = link.open(&world).await;
        let shown = again.problem();
        let body = again.expect(410);
        let at = body["opened_at"].as_str().unwrap();
        assert_snapshot!(shown.replace(at, "WHEN"), @"410 delivery_opened: the link was opened at WHEN; if that was not you, or you do not have the secret, revoke the credential and ask for a new one: POST the same proof to this path with /revoke after it");
        let seen = credential(&world, &client, &who.credential_id).await;
        assert_eq!(seen["delivery"]["state"], "opened");
        assert_eq!(seen["delivery"]["opened_at"], at);
        assert_eq!(seen["delivery"]["opened_ip"], "127.0.0.1");

        assert_snapshot!(trail(&world, &who.credential_id).replace(&world.operator_credential().client_id, "OPERATOR"), @"
        credential.issued by OPERATOR
        secret_delivery.created by OPERATOR
        secret_delivery.opened by link_holder
        ");
    }
}

#[actix_web::test]
async fn who_holds_the_link_may_revoke_what_somebody_else_opened() {
    for world in worlds().await {
        let (_, client) = bare_client(&world).await;
        let (_, link) = linked(&world, &client).await;
        let thief = link.unseal(&link.open(&world).await.expect(200));
        world.token("sandbox", &thief, &[]).await;

        let revoked = link.disown(&world).await.expect(200);
        assert_eq!(revoked["credential_id"], thief.credential_id);
        assert_eq!(revoked["state"], "revoked");
        assert_eq!(world.token_answer("sandbox", &thief, &[]).await.status, 401);
        let seen = credential(&world, &client, &thief.credential_id).await;
        assert_eq!(
            (&seen["revoked_reason"], &seen["revoked_by"]),
            (&json!("compromised"), &json!("link_holder"))
        );
        // Tokens from before die too, and the partner is told.
        let entries = world.lines(&format!(
            "SELECT kind || ' ' || reason AS line FROM revocations WHERE id = '{}'",
            thief.credential_id
        ));
        assert_eq!(entries, ["credential compromised"]);
        let told = world.lines("SELECT kind AS line FROM events");
        assert_eq!(told, ["credential.revoked"]);
        // Twice is once.
        assert_eq!(link.disown(&world).await.expect(200), revoked);
        assert_eq!(
            link.open(&world).await.expect(410)["code"],
            "delivery_cancelled"
        );
        assert_eq!(world.lines("SELECT kind AS line FROM events").len(), 1);
    }
}

#[actix_web::test]
async fn a_wrong_proof_is_answered_as_an_unknown_link_and_uses_nothing_up() {
    for world in worlds().await {
        let (_, client) = bare_client(&world).await;
        let (_, link) = linked(&world, &client).await;
        let (_, other) = {
            let (_, client) = bare_client(&world).await;
            linked(&world, &client).await
        };
        let unknown = format!(
            "{}/deliveries/{}",
            world.base,
            DeliveryId::generate().unwrap()
        );
        let nonsense = format!("{}/deliveries/nonsense", world.base);
        let operators = link.place().replace("/deliveries/", "/admin/deliveries/");
        let mut answers = Vec::new();
        for part in ["", "/revoke"] {
            for (place, proof) in [
                (link.place(), other.proof()),
                (&unknown, link.proof()),
                (&nonsense, link.proof()),
                // Operators' links are elsewhere, and partners' links are not there.
                (&operators, link.proof()),
            ] {
                let body = json!({ "proof": proof.expose().as_str() });
                let request = world.http.post(format!("{place}{part}")).json(&body);
                answers.push(Answer::of(request.send().await.unwrap()).await.problem());
            }
        }
        answers.dedup();
        assert_snapshot!(answers.join("\n"), @"404 not_found: there is nothing at this path");

        let short = link.post(&world, "", "short").await.problem();
        assert_snapshot!(short, @"
        422 invalid_body: the request body has members that must be mended; see errors
          /proof invalid: must be 32 bytes as base64url without padding: 43 characters
        ");
        let request = world.http.post(link.place()).json(&json!({ "key": "x" }));
        let other = Answer::of(request.send().await.unwrap()).await.problem();
        assert_snapshot!(other, @"
        422 invalid_body: the request body has members that must be mended; see errors
          /proof missing: must be there
          /key unknown: is not a member of this request
        ");
        link.unseal(&link.open(&world).await.expect(200));
    }
}

#[actix_web::test]
async fn looking_at_the_page_consumes_nothing_and_is_counted() {
    for world in worlds().await {
        let (_, client) = bare_client(&world).await;
        let (issued, link) = linked(&world, &client).await;
        let mut pages = Vec::new();
        for method in [Method::GET, Method::GET, Method::HEAD] {
            let request = world.http.request(method, link.place());
            pages.push(Answer::of(request.send().await.unwrap()).await);
        }
        let page = &pages[0];
        assert_eq!(page.status, 200);
        assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
        assert_eq!(page.header("cache-control"), "no-store");
        assert_eq!(page.header("referrer-policy"), "no-referrer");
        assert_eq!(page.header("x-frame-options"), "DENY");
        assert_eq!(page.header("x-content-type-options"), "nosniff");
        let policy = page.header("content-security-policy");
        assert!(
            policy.starts_with("default-src 'none'; script-src 'sha256-"),
            "{policy}"
        );
        assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"));
        // What helps the one it is for, and nothing that helps a finder.
        assert!(page.text.contains(issued["id"].as_str().unwrap()));
        assert!(page.text.contains("<dd id=\"environment\">sandbox</dd>"));
        assert!(!page.text.contains(&client) && !page.text.contains("Acme"));
        assert!(!page.text.contains("{{"));
        assert!(pages[2].text.is_empty());
        let seen = credential(&world, &client, issued["id"].as_str().unwrap()).await;
        assert_eq!(seen["delivery"]["lookups"], 3);
        assert_eq!(seen["delivery"]["state"], "pending");
        link.unseal(&link.open(&world).await.expect(200));
        // Afterwards it looks the same: only who holds the link is told.
        let after = Answer::of(world.http.get(link.place()).send().await.unwrap()).await;
        assert_eq!(after.text, page.text);

        let unknown = format!(
            "{}/deliveries/{}",
            world.base,
            DeliveryId::generate().unwrap()
        );
        let missing = Answer::of(world.http.get(&unknown).send().await.unwrap()).await;
        assert_snapshot!(missing.problem(), @"404 not_found: there is nothing at this path");
        let browser = world
            .http
            .get(&unknown)
            .header("accept", "text/html,*/*;q=0.8");
        let missing = Answer::of(browser.send().await.unwrap()).await;
        assert_eq!(missing.status, 404);
        assert!(missing.text.contains("There is nothing at this link"));
        assert_eq!(missing.header("x-frame-options"), "DENY");
        let put = Answer::of(world.http.put(link.place()).send().await.unwrap()).await;
        assert_eq!((put.status, put.header("allow")), (405, "GET, HEAD, POST"));
    }
}

#[actix_web::test]
async fn of_many_who_open_a_link_at_once_exactly_one_gets_the_secret() {
    for world in worlds().await {
        let other = world.neighbour().await;
        for _ in 0..8 {
            let (_, client) = bare_client(&world).await;
            let (_, link) = linked(&world, &client).await;
            let mut tasks = Vec::new();
            for nth in 0..16 {
                // Every other one at another node.
                let base = if nth % 2 == 0 {
                    &world.base
                } else {
                    &other.base
                };
                let url = link.place().replace(&world.base, base);
                let body = json!({ "proof": link.proof().expose().as_str() });
                let request = world.http.post(url).json(&body);
                tasks.push(actix_web::rt::spawn(async move {
                    Answer::of(request.send().await.unwrap()).await
                }));
            }
            let (mut won, mut lost) = (Vec::new(), 0);
            for task in tasks {
                let answer = task.await.unwrap();
                if answer.status == 200 {
                    won.push(answer.json());
                } else {
                    assert_eq!(answer.expect(410)["code"], "delivery_opened");
                    lost += 1;
                }
            }
            assert_eq!((won.len(), lost), (1, 15));
            let who = link.unseal(&won[0]);
            world.token("sandbox", &who, &[]).await;
            let opened = trail(&world, &who.credential_id)
                .matches("secret_delivery.opened")
                .count();
            assert_eq!(opened, 1);
        }
    }
}

#[actix_web::test]
async fn opening_and_revoking_at_once_leave_no_secret_that_works() {
    for world in worlds().await {
        for _ in 0..8 {
            let (_, client) = bare_client(&world).await;
            let (issued, link) = linked(&world, &client).await;
            let operator = world.operator().await;
            let (opened, revoked) = tokio::join!(
                link.open(&world),
                operator.revoke(issued["id"].as_str().unwrap()),
            );
            revoked.expect(200);
            if opened.status == 200 {
                let who = link.unseal(&opened.json());
                assert_eq!(world.token_answer("sandbox", &who, &[]).await.status, 401);
            } else {
                assert_eq!(opened.expect(410)["code"], "delivery_cancelled");
            }
            assert_eq!(
                world.lines("SELECT COUNT(*) || '' AS line FROM secret_deliveries WHERE ciphertext IS NOT NULL"),
                ["0"]
            );
        }
    }
}

#[actix_web::test]
async fn operators_links_open_on_the_operators_side() {
    for engine in [
        crate::support::world::Engine::Sqlite,
        crate::support::world::Engine::Postgres,
    ] {
        let mut world = World::prepare(engine, &[]);
        let admin = format!("http://{}", crate::support::world::free_address());
        world.set("ONYX_ADMIN_LISTEN", admin.trim_start_matches("http://"));
        assert!(world.run(&["operator", "bootstrap"]).status.success());
        world.start().await;
        let made = world.cli(&[
            "operator",
            "create",
            "--name",
            "Second",
            "--scope",
            "audit:read",
            "--field",
            "id",
        ]);
        let url = world.cli(&[
            "credential",
            "issue",
            "--client",
            &made,
            "--deliver",
            "link",
            "--field",
            "delivery_url",
        ]);
        assert!(
            url.starts_with(&format!("{admin}/admin/deliveries/sdl_")),
            "{url}"
        );
        let link = Link::of(&json!({ "delivery_url": url }));
        // The public side knows nothing of it, under either path.
        for path in ["deliveries", "admin/deliveries"] {
            let place = format!("{}/{path}/{}", world.base, link.id);
            let page = Answer::of(world.http.get(&place).send().await.unwrap()).await;
            assert_eq!(page.status, 404, "{place}");
            let body = json!({ "proof": link.proof().expose().as_str() });
            let answer =
                Answer::of(world.http.post(&place).json(&body).send().await.unwrap()).await;
            assert_eq!(answer.status, 404, "{place}");
        }
        let page = Answer::of(world.http.get(link.place()).send().await.unwrap()).await;
        assert!(page.text.contains("<dd id=\"environment\">admin</dd>"));
        // By the program, into a file that works as an operator's credential.
        let kept = world.run_with_input(
            &[
                "credential",
                "open",
                "--out",
                "second.json",
                "--field",
                "credential_file",
            ],
            &url,
        );
        assert!(
            kept.status.success(),
            "{}",
            String::from_utf8_lossy(&kept.stderr)
        );
        let file = std::fs::read_to_string(world.path().join("second.json")).unwrap();
        let file: Value = serde_json::from_str(&file).unwrap();
        assert_eq!(
            (&file["server"], &file["client_id"]),
            (&json!(admin), &json!(made))
        );
        let mut command = world.command(&["operator", "list"]);
        let listed = command
            .env("ONYX_ADMIN_CREDENTIAL", "second.json")
            .output()
            .unwrap();
        let refused = String::from_utf8(listed.stderr).unwrap();
        assert!(refused.contains("403 insufficient_scope"), "{refused}");
    }
}
