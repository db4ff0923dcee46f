//! A secret travels by a link that opens once, or encrypted to the recipient's key, and is never
//! to be had from the database.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use onyx_auth::domain::id::DeliveryId;
use onyx_auth::keys::link::{LinkKey, Proof};
use reqwest::Method;
use serde_json::{Value, json};

use crate::secrecy::{database, holds};
use crate::support::world::{Answer, Credential, World, worlds, worlds_with};
use crate::support::{assert_snapshot, recipient};

/// A link, as who was sent it holds it.
struct Link {
    url: String,
    id: DeliveryId,
    key: LinkKey,
}

impl Link {
    fn of(issued: &Value) -> Self {
        assert_eq!(issued.get("secret"), None);
        let url = issued["delivery_url"].as_str().unwrap().to_owned();
        let (place, key) = url.split_once('#').unwrap();
        Self {
            id: place.rsplit('/').next().unwrap().parse().unwrap(),
            key: key.parse().unwrap(),
            url,
        }
    }

    fn place(&self) -> &str {
        self.url.split_once('#').unwrap().0
    }

    fn proof(&self) -> Proof {
        self.key.proof(&self.id).unwrap()
    }

    async fn post(&self, world: &World, part: &str, proof: &str) -> Answer {
        let url = format!("{}{part}", self.place());
        let request = world.http.post(url).json(&json!({ "proof": proof }));
        Answer::of(request.send().await.unwrap()).await
    }

    async fn open(&self, world: &World) -> Answer {
        self.post(world, "", self.proof().expose().as_str()).await
    }

    async fn disown(&self, world: &World) -> Answer {
        self.post(world, "/revoke", self.proof().expose().as_str())
            .await
    }

    fn unseal(&self, opened: &Value) -> Credential {
        let text = self
            .key
            .open(&self.id, opened["ciphertext"].as_str().unwrap())
            .unwrap();
        let letter: Value = serde_json::from_slice(&text).unwrap();
        let text = |name: &str| letter[name].as_str().unwrap().to_owned();
        Credential {
            partner_id: String::new(),
            client_id: text("client_id"),
            credential_id: text("credential_id"),
            secret: text("client_secret"),
        }
    }
}

/// A client without credentials, and its partner.
async fn bare_client(world: &World) -> (String, String) {
    let operator = world.operator().await;
    let partner = operator.partner().await;
    operator.sandbox_grant(&partner, "orders:read", None).await;
    let body = json!({ "realm": "sandbox", "name": "backend", "scopes": ["orders:read"] });
    let client = operator
        .post(&format!("/partners/{partner}/clients"), body)
        .await
        .expect(201);
    (partner, client["id"].as_str().unwrap().to_owned())
}

async fn issue(world: &World, client: &str, more: Value) -> Answer {
    let mut body = json!({ "kind": "secret" });
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    let path = format!("/clients/{client}/credentials");
    world.operator().await.post(&path, body).await
}

async fn linked(world: &World, client: &str) -> (Value, Link) {
    let issued = issue(world, client, json!({ "deliver": "link" })).await;
    let issued = issued.expect(201);
    let link = Link::of(&issued);
    (issued, link)
}

async fn credential(world: &World, client: &str, id: &str) -> Value {
    let list = world
        .operator()
        .await
        .get(&format!("/clients/{client}/credentials"))
        .await
        .expect(200);
    let rows = list["data"].as_array().unwrap();
    rows.iter().find(|row| row["id"] == id).unwrap().clone()
}

/// What the audit trail says of a credential, oldest first.
fn trail(world: &World, credential: &str) -> String {
    world
        .lines(&format!(
            "SELECT action || ' by ' || actor AS line FROM audit_events WHERE target = '{credential}' ORDER BY at, action"
        ))
        .join("\n")
}

/// Lets the time of a delivery run out.
fn run_out(world: &World, link: &Link) {
    world.execute(&format!(
        "UPDATE secret_deliveries SET created_at = '2020-01-01 00:00:00', expires_at = '2020-01-01 01:00:00' WHERE id = '{}'",
        link.id
    ));
}

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
        assert_snapshot!(shown.replace(at, "WHEN"), @"410 delivery_opened: the link was opened at WHEN; if that was not you, revoke the credential: POST the same proof to this path with /revoke after it");
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
            "delivery_opened"
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
        assert_snapshot!(cancelled, @"410 delivery_cancelled: the credential was revoked before its link was opened; ask for a new one");
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
async fn what_a_request_says_of_the_way_is_checked() {
    for world in worlds().await {
        let (_, client) = bare_client(&world).await;
        let mut answers = Vec::new();
        for more in [
            json!({ "deliver": "pigeon" }),
            json!({ "deliver": "link", "delivery_ttl_seconds": 59 }),
            json!({ "deliver": "link", "delivery_ttl_seconds": 86_401 }),
            json!({ "delivery_ttl_seconds": 60 }),
            json!({ "deliver": "jwe" }),
            json!({ "deliver": "jwe", "recipient_jwk": "text" }),
            json!({ "deliver": "link", "recipient_jwk": recipient::ec().public }),
            json!({ "deliver": "jwe", "recipient_jwk": {} }),
            json!({ "deliver": "jwe", "recipient_jwk": { "kty": "oct", "k": "AAAA" } }),
            json!({ "deliver": "jwe", "recipient_jwk": recipient::ec().private }),
            json!({ "deliver": "jwe", "recipient_jwk": { "kty": "EC", "crv": "P-521", "use": "sig", "x": "AA", "y": "AA" } }),
            json!({ "deliver": "jwe", "recipient_jwk": { "kty": "RSA", "n": URL_SAFE_NO_PAD.encode([0xff; 128]), "e": "AQAB" } }),
        ] {
            let problem = issue(&world, &client, more).await.problem();
            let (_, faults) = problem.split_once('\n').unwrap();
            assert!(problem.starts_with("422 invalid_body"), "{problem}");
            answers.extend(faults.lines().map(|line| line.trim().to_owned()));
        }
        assert_snapshot!(answers.join("\n"), @r#"
        /deliver invalid: must be one of response, link, jwe
        /delivery_ttl_seconds invalid: must be a whole number from 60 to 86400
        /delivery_ttl_seconds invalid: must be a whole number from 60 to 86400
        /delivery_ttl_seconds invalid: is for "deliver": "link"
        /recipient_jwk missing: must be there: the recipient's public key
        /recipient_jwk type: must be an object
        /recipient_jwk invalid: is for "deliver": "jwe"
        /recipient_jwk/kty missing: must be there
        /recipient_jwk/k invalid: belongs to a private key: send the public key alone, and use this key for nothing any more
        /recipient_jwk/kty invalid: a symmetric key is nobody's public key: send an RSA or EC key
        /recipient_jwk/d invalid: belongs to a private key: send the public key alone, and use this key for nothing any more
        /recipient_jwk/use invalid: must be enc, or left out
        /recipient_jwk/crv invalid: must be P-256
        /recipient_jwk/n invalid: must have 2048 to 8192 bits; it has 1024
        "#);
        // Nothing was issued.
        assert_eq!(
            world.lines(&format!(
                "SELECT COUNT(*) || '' AS line FROM credentials WHERE client_id = '{client}'"
            )),
            ["0"]
        );
    }
}

#[actix_web::test]
async fn a_secret_encrypted_to_a_key_is_read_by_software_of_others() {
    let keys = [recipient::ec(), recipient::ec_direct(), recipient::rsa()];
    for world in worlds().await {
        for key in &keys {
            let (_, client) = bare_client(&world).await;
            let asked = json!({ "deliver": "jwe", "recipient_jwk": key.public });
            let issued = issue(&world, &client, asked).await.expect(201);
            assert_eq!(
                (issued.get("secret"), issued.get("delivery_url")),
                (None, None)
            );
            let jwe = issued["jwe"].as_str().unwrap();
            let read = recipient::jwcrypto(key, jwe);
            assert_eq!(read["header"]["alg"], key.alg);
            assert_eq!(read["header"]["kid"], key.public["kid"]);
            assert_eq!(
                (&read["header"]["enc"], &read["header"]["cty"]),
                (&json!("A256GCM"), &json!("json"))
            );
            let letter = &read["plaintext"];
            assert_eq!(
                (&letter["client_id"], &letter["credential_id"]),
                (&json!(client), &issued["id"])
            );
            let who = Credential {
                partner_id: String::new(),
                client_id: client,
                credential_id: issued["id"].as_str().unwrap().to_owned(),
                secret: letter["client_secret"].as_str().unwrap().to_owned(),
            };
            world.token("sandbox", &who, &[]).await;
            // To which key is on record, by its thumbprint.
            let details = world.lines(&format!(
                "SELECT details AS line FROM audit_events WHERE target = '{}' AND action = 'secret_delivery.created'",
                who.credential_id
            ));
            assert!(
                details[0].contains(read["thumbprint"].as_str().unwrap()),
                "{details:?}"
            );
        }
    }
}

#[actix_web::test]
async fn neither_database_nor_log_ever_holds_what_opens_a_secret() {
    for mut world in worlds_with(&[("ONYX_LOG", "trace")]).await {
        let (_, client) = bare_client(&world).await;
        let (_, link) = linked(&world, &client).await;
        let key = link.key.expose().to_string();
        let proof = link.proof().expose().to_string();
        let sealed = world
            .lines("SELECT ciphertext AS line FROM secret_deliveries")
            .remove(0);
        // Before it is opened: sealed, and with a key that is not there.
        let before = database(&world);
        assert!(holds(&before, &sealed));
        Answer::of(world.http.get(&link.url).send().await.unwrap()).await;
        let opened = link.open(&world).await.expect(200);
        assert_eq!(opened["ciphertext"], sealed);
        let who = link.unseal(&opened);
        link.open(&world).await.expect(410);

        let (_, second) = bare_client(&world).await;
        let asked = json!({ "deliver": "jwe", "recipient_jwk": recipient::ec().public });
        let jwe = issue(&world, &second, asked).await.expect(201);
        let jwe = jwe["jwe"].as_str().unwrap().to_owned();
        let content = jwe.split('.').nth(3).unwrap().to_owned();

        let log = world.log();
        assert!(log.contains("POST /deliveries/{id} 200") && log.contains("TRACE"));
        world.terminate();
        // The last to close the file, so that SQLite writes its log back into it.
        world.lines("SELECT id AS line FROM secret_deliveries");
        let after = database(&world);
        assert!(holds(&after, &who.credential_id));
        for (name, text) in [
            ("secret", &who.secret),
            ("fragment", &key),
            ("proof", &proof),
            ("jwe", &content),
        ] {
            for state in [&before, &after] {
                assert!(!holds(state, text), "{name} is in the database");
                let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
                assert!(!holds(state, &hex), "{name} is in the database");
            }
            assert!(!log.contains(text.as_str()), "{name} is in the log");
        }
        // After it was opened, not even the sealed text is left.
        assert!(!holds(&after, &sealed), "the ciphertext is still there");
        assert!(!log.contains(&sealed));
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

#[actix_web::test]
async fn the_command_line_sends_links_opens_them_and_disowns_them() {
    for world in worlds().await {
        let (_, client) = bare_client(&world).await;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let issue = |more: &[&str]| {
            world.cli(&[&["credential", "issue", "--client", &client], more].concat())
        };
        let url = issue(&[
            "--deliver",
            "link",
            "--delivery-ttl",
            "60",
            "--field",
            "delivery_url",
        ]);

        // A link is no argument, and what cannot be kept is not opened.
        let refused = world.run(&["credential", "open", &url]);
        assert_eq!(refused.status.code(), Some(2));
        assert!(!text(&refused.stderr).contains('#'));
        std::fs::create_dir(world.path().join("folder")).unwrap();
        let refused = world.run_with_input(&["credential", "open", "--out", "folder"], &url);
        assert_eq!(refused.status.code(), Some(1));
        let refused = world.run_with_input(&["credential", "open", "--field", "nothing"], &url);
        assert_eq!(refused.status.code(), Some(2));
        let cut = world.run_with_input(&["credential", "open"], url.split_once('#').unwrap().0);
        assert_snapshot!(text(&cut.stderr), @"onyx-auth: this is no link to a secret: it must be https://…/deliveries/sdl_…#… whole
        ");

        let opened = world.run_with_input(
            &["credential", "open", "--field", "client_secret"],
            &format!("{url}\n"),
        );
        assert!(opened.status.success(), "{}", text(&opened.stderr));
        let who = Credential {
            partner_id: String::new(),
            client_id: client.clone(),
            credential_id: String::new(),
            secret: text(&opened.stdout).trim().to_owned(),
        };
        world.token("sandbox", &who, &[]).await;

        // Too late: told so, and what to do.
        std::fs::write(world.path().join("link"), &url).unwrap();
        let again = world.run(&["credential", "open", "link"]);
        assert_eq!(again.status.code(), Some(1));
        let told = text(&again.stderr);
        assert!(
            told.contains("410 delivery_opened") && told.contains("credential disown"),
            "{told}"
        );
        let unsure = world.run(&["credential", "disown", "link"]);
        assert_eq!(unsure.status.code(), Some(2));
        assert_eq!(
            world.cli(&["credential", "disown", "link", "--yes", "--field", "state"]),
            "revoked"
        );
        assert_eq!(world.token_answer("sandbox", &who, &[]).await.status, 401);

        // Kept in a file of one's own.
        let url = issue(&["--deliver", "link", "--field", "delivery_url"]);
        let kept = world.run_with_input(
            &["credential", "open", "--out", "kept.json", "--json"],
            &url,
        );
        assert!(kept.status.success() && !text(&kept.stdout).contains("onyx_sbx_sk_"));
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(world.path().join("kept.json"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        let token = world.cli(&[
            "token",
            "request",
            "--credential",
            "kept.json",
            "--field",
            "access_token",
        ]);
        world.get("/sandbox/v1/me", Some(&token)).await.expect(200);

        // Encrypted to a key; a private one does not leave the machine.
        let key = recipient::ec();
        std::fs::write(world.path().join("public.jwk"), key.public.to_string()).unwrap();
        std::fs::write(world.path().join("private.jwk"), key.private.to_string()).unwrap();
        let arguments = [
            "credential",
            "issue",
            "--client",
            &client,
            "--deliver",
            "jwe",
            "--field",
            "jwe",
        ];
        let refused = world.run(&[&arguments[..], &["--recipient-jwk", "private.jwk"]].concat());
        assert_snapshot!(text(&refused.stderr), @"onyx-auth: private.jwk: d belongs to a private key: send the public key alone, and use this key for nothing any more
        ");
        let jwe = world.cli(&[&arguments[..], &["--recipient-jwk", "public.jwk"]].concat());
        assert_eq!(
            recipient::jwcrypto(&key, &jwe)["plaintext"]["client_id"],
            client
        );
    }
}

#[actix_web::test]
async fn the_script_that_the_page_shows_for_a_terminal_works() {
    for world in worlds().await {
        let (_, client) = bare_client(&world).await;
        let (_, link) = linked(&world, &client).await;
        let page = Answer::of(world.http.get(link.place()).send().await.unwrap())
            .await
            .text;
        let script = page.split_once("<pre id=\"python\">").unwrap().1;
        let script = script.split_once("</pre>").unwrap().0;
        let letter = recipient::python(script, &format!("{}\n", link.url));
        let letter: Value = serde_json::from_str(&letter).unwrap();
        assert_eq!(letter["client_id"], client);
        let who = Credential {
            partner_id: String::new(),
            client_id: client,
            credential_id: String::new(),
            secret: letter["client_secret"].as_str().unwrap().to_owned(),
        };
        world.token("sandbox", &who, &[]).await;
    }
}
