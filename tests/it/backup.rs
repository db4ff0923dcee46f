//! A backup goes back, and brings nothing revoked back to life.

mod ended;
mod invoices;

use std::os::unix::fs::PermissionsExt;
use std::process::Output;
use std::time::Duration;

use onyx_verifier::{Rejection, TokenFault, Verifier};
use serde_json::{Value, json};

use crate::support::receiver::{LOOPBACK, Receiver};
use crate::support::world::{
    Answer, Credential, Engine, Operator, World, header, worlds, worlds_with,
};

const AUDIENCE: &str = "https://orders.acme.example";

fn backup(world: &World, file: &str) -> Value {
    serde_json::from_str(&world.cli(&["backup", file, "--json"])).unwrap()
}

fn restore(world: &World, arguments: &[&str]) -> Value {
    let all = [&["restore", "--json", "--yes"], arguments].concat();
    serde_json::from_str(&world.cli(&all)).unwrap()
}

fn told(output: &Output) -> String {
    let said = String::from_utf8(output.stderr.clone()).unwrap();
    format!("{} {}", output.status.code().unwrap(), said.trim_end())
}

async fn status(world: &World, who: &Credential) -> u16 {
    world.token_answer("sandbox", who, &[]).await.status
}

async fn follower(world: &World, operator: &Operator<'_>) -> Credential {
    let server = operator
        .resource_server("sandbox", AUDIENCE, &["orders:read"], "ES256")
        .await;
    let service = operator.issue(server["client_id"].as_str().unwrap()).await;
    world.token("sandbox", &service, &[]).await;
    service
}

async fn poll(world: &World, service: &Credential, query: &str) -> Answer {
    let token = world.token("sandbox", service, &[]).await;
    let path = format!("/sandbox/oauth2/revocations{query}");
    world.get(&path, Some(&token)).await
}

#[actix_web::test]
async fn what_was_revoked_after_the_backup_stays_revoked() {
    for mut world in worlds().await {
        let operator = world.operator().await;
        let service = follower(&world, &operator).await;
        let kept = world.sandbox_client(&["orders:read"]).await;
        let [credential, client, partner, suspended] = [
            world.sandbox_client(&["orders:read"]).await,
            world.sandbox_client(&["orders:read"]).await,
            world.sandbox_client(&["orders:read"]).await,
            world.sandbox_client(&["orders:read"]).await,
        ];
        let before = world.sandbox_client(&["orders:read"]).await;
        operator.revoke(&before.credential_id).await.expect(200);
        let tokens = [
            world.token("sandbox", &credential, &[]).await,
            world.token("sandbox", &client, &[]).await,
            world.token("sandbox", &partner, &[]).await,
        ];
        let key = header(&operator.token)["kid"].as_str().unwrap().to_owned();

        // Rows that the database lets nobody delete go back too.
        world.execute(&format!(
            "INSERT INTO ledger_entries (partner_id, realm, id, kind, debit_account, credit_account, amount, currency, \
             reference, actor, created_at) VALUES ('{}', 'sandbox', 'led_1', 'order', 'partner', 'sales', 100, 'EUR', \
             'order:1', 'nobody', '2026-01-01 00:00:00')",
            kept.partner_id
        ));
        let label = backup(&world, "onyx.backup");
        assert_eq!(label["feed_head"], 1);
        let file = world.path().join("onyx.backup");
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        // One that is there is never overwritten.
        let again = world.run(&["backup", "onyx.backup"]);
        assert_eq!(again.status.code(), Some(1));

        operator.revoke(&credential.credential_id).await.expect(200);
        for (path, status) in [
            (format!("/clients/{}/revoke", client.client_id), 200),
            (format!("/clients/{}/suspend", suspended.client_id), 200),
            (format!("/partners/{}/suspend", partner.partner_id), 200),
        ] {
            let body = json!({ "reason": "stolen" });
            operator.post(&path, body).await.expect(status);
        }
        let later = operator.partner().await;
        let path = format!("/keys/{key}/revoke");
        operator
            .post(&path, json!({ "reason": "stolen" }))
            .await
            .expect(200);
        let head = poll(&world, &service, "").await.expect(200)["cursor"].clone();

        // Not over a running server, and not by mistake.
        let running = world.run(&["restore", "onyx.backup", "--yes"]);
        assert_eq!(
            told(&running),
            "1 onyx-auth: the database is in use: stop every onyx-auth that runs on it, then try again"
        );
        assert_eq!(status(&world, &kept).await, 200);
        world.terminate();
        let unsure = world.run(&["restore", "onyx.backup"]);
        assert_eq!(unsure.status.code(), Some(2));
        let done = restore(&world, &["onyx.backup"]);
        // A partner, two clients, two credentials, a key.
        assert_eq!(done["kept_ended"], 6, "{done}");
        world.start().await;

        assert_eq!(
            world.lines("SELECT id AS line FROM ledger_entries"),
            ["led_1"]
        );
        world.try_execute("DELETE FROM ledger_entries").unwrap_err();
        // What came after the backup is gone; what had ended has ended still.
        let operator = world.operator().await;
        assert_ne!(header(&operator.token)["kid"], json!(key));
        assert_eq!(
            operator.get(&format!("/partners/{later}")).await.status,
            404
        );
        assert_eq!(status(&world, &kept).await, 200);
        for ended in [&before, &credential, &client, &partner, &suspended] {
            assert_eq!(status(&world, ended).await, 401, "{ended:?}");
        }
        for token in &tokens {
            assert_eq!(world.get("/sandbox/v1/me", Some(token)).await.status, 401);
        }
        let path = format!("/clients/{}/resume", suspended.client_id);
        operator
            .post(&path, json!({ "reason": "found" }))
            .await
            .expect(200);
        assert_eq!(status(&world, &suspended).await, 200);

        // Every cursor from before is of another feed; the new one tells everything again.
        for cursor in [json!(0), json!(1), head] {
            let gone = poll(&world, &service, &format!("?after={cursor}")).await;
            assert_eq!(
                (gone.status, &gone.json()["code"]),
                (410, &json!("cursor_gone"))
            );
        }
        let all = poll(&world, &service, "").await.expect(200);
        let first = done["feed_starts_after"].as_u64().unwrap() + 1;
        assert_eq!(all["entries"][0]["seq"], first);
        let ids: Vec<_> = all["entries"]
            .as_array()
            .unwrap()
            .iter()
            .map(|e| &e["id"])
            .collect();
        for revoked in [
            &before.credential_id,
            &credential.credential_id,
            &client.client_id,
        ] {
            assert!(ids.contains(&&json!(revoked)), "{ids:?}");
        }
        let record = world.lines(
            "SELECT actor || ' ' || action AS line FROM audit_events WHERE action = 'database.restored'",
        );
        assert_eq!(record, ["host database.restored"]);
    }
}

#[actix_web::test]
async fn what_was_revoked_lives_again_only_where_it_is_said() {
    for mut world in worlds().await {
        let operator = world.operator().await;
        let service = follower(&world, &operator).await;
        let who = world.sandbox_client(&["orders:read"]).await;
        backup(&world, "onyx.backup");
        operator.revoke(&who.credential_id).await.expect(200);
        drop(operator);
        assert_eq!(status(&world, &who).await, 401);
        world.terminate();
        let done = restore(&world, &["onyx.backup", "--forget-revocations"]);
        assert_eq!(
            (&done["kept_ended"], &done["kept_revocations"]),
            (&json!(0), &json!(0))
        );
        world.start().await;
        assert_eq!(status(&world, &who).await, 200);
        // The feed begins anew all the same, and a token of now is above all that was.
        assert_eq!(poll(&world, &service, "?after=1").await.status, 410);
        let token = world.token("sandbox", &who, &[]).await;
        world.get("/sandbox/v1/me", Some(&token)).await.expect(200);
        world
            .operator()
            .await
            .revoke(&who.credential_id)
            .await
            .expect(200);
        assert_eq!(world.get("/sandbox/v1/me", Some(&token)).await.status, 401);
    }
}

#[actix_web::test]
async fn a_verifier_that_follows_starts_anew_after_a_restore() {
    for mut world in worlds().await {
        let operator = world.operator().await;
        let service = follower(&world, &operator).await;
        let partner = operator.partner().await;
        operator
            .sandbox_grant(&partner, "orders:read", Some(AUDIENCE))
            .await;
        let client = operator.client(&partner, "sandbox", &["orders:read"]).await;
        let second = operator.issue(&client.client_id).await;
        backup(&world, "onyx.backup");
        let asked = [("resource", AUDIENCE)];
        let doomed = world.token("sandbox", &second, &asked).await;
        let issuer = format!("{}/sandbox", world.setting("ONYX_BASE_URL"));
        let verifier = Verifier::builder(issuer, AUDIENCE)
            .follow(&service.client_id, &service.secret)
            .connect()
            .await
            .unwrap();
        verifier.verify(&doomed).await.unwrap();
        drop(operator);
        world.terminate();
        restore(&world, &["onyx.backup"]);
        world.start().await;
        let good = world.token("sandbox", &client, &asked).await;
        world
            .operator()
            .await
            .revoke(&second.credential_id)
            .await
            .expect(200);
        let revoked = Err(Rejection::InvalidToken(TokenFault::Revoked));
        let deadline = std::time::Instant::now() + Duration::from_secs(60);
        while verifier.verify(&doomed).await.map(drop) != revoked {
            assert!(
                std::time::Instant::now() < deadline,
                "it hears nothing of the new feed"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        verifier.verify(&good).await.unwrap();
    }
}

#[actix_web::test]
async fn no_event_gets_a_number_that_another_had() {
    let scopes = ["webhooks:manage", "events:replay"];
    for mut world in worlds_with(&[LOOPBACK]).await {
        let receiver = Receiver::start().await;
        // Nothing of this partner's ends soon, so nobody tells of that.
        let who = {
            let operator = world.operator().await;
            let partner = operator.partner().await;
            let lasts = Duration::from_secs(60 * 24 * 3600);
            for scope in scopes {
                let asked = operator.request_grant_until(&partner, "sandbox", scope, None, lasts);
                asked.await.expect(201);
            }
            operator.client(&partner, "sandbox", &scopes).await
        };
        let stranger = world.sandbox_client(&scopes).await;
        let token = world.token("sandbox", &who, &[]).await;
        let post = async |world: &World, who: &Credential, path: &str, body: Value| {
            let token = world.token("sandbox", who, &[]).await;
            let request = world.request(reqwest::Method::POST, &format!("/sandbox/v1{path}"));
            Answer::of(request.bearer_auth(token).json(&body).send().await.unwrap()).await
        };
        let trigger = json!({ "type": "order.fulfilled" });
        let endpoint = world
            .endpoint(
                "sandbox",
                &token,
                &receiver.url("/in"),
                &["order.fulfilled"],
            )
            .await;
        let endpoint = format!("/webhook-endpoints/{}", endpoint["id"].as_str().unwrap());
        // Switched off, so that the backup has an event that is yet to be sent.
        let disabled = post(&world, &who, &format!("{endpoint}/disable"), json!({})).await;
        disabled.expect(200);
        let kept = post(&world, &who, "/events", trigger.clone())
            .await
            .expect(201);
        let at_backup = kept["seq"].as_i64().unwrap();
        backup(&world, "onyx.backup");
        let lost = post(&world, &who, "/events", trigger.clone())
            .await
            .expect(201);
        let strange = post(&world, &stranger, "/events", trigger.clone()).await;
        assert_eq!(strange.expect(201)["seq"], 1);
        let before = lost["seq"].as_i64().unwrap();
        world.terminate();
        restore(&world, &["onyx.backup"]);
        world.start().await;

        // Whatever number one has, also once others have overtaken it.
        let token = world.token("sandbox", &who, &[]).await;
        let events = async |query: &str| {
            let path = format!("/sandbox/v1/events{query}");
            world.get(&path, Some(&token)).await
        };
        let gone = events("?after_seq=0").await.expect(410);
        let passed = gone["purged_up_to"].as_i64().unwrap();
        assert!(passed > before + 5, "{gone}");
        assert_eq!(gone["last_seq"], passed);
        assert_eq!(events("").await.expect(200)["data"], json!([]));
        // What was not sent is sent, and the gap is passed though there is nothing behind it.
        let enabled = post(&world, &who, &format!("{endpoint}/enable"), json!({})).await;
        enabled.expect(200);
        let sent_upto = async |seq: i64| {
            let found = format!("SELECT id AS line FROM webhook_endpoints WHERE cursor >= {seq}");
            let deadline = std::time::Instant::now() + Duration::from_secs(60);
            while world.lines(&found).is_empty() {
                assert!(std::time::Instant::now() < deadline, "it stands still");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            let came = receiver.deliveries();
            let mut came: Vec<_> = came.iter().map(|one| one.json()["seq"].clone()).collect();
            came.sort_unstable_by_key(Value::as_i64);
            came
        };
        assert_eq!(sent_upto(passed).await, [json!(at_backup)]);
        let mut sent = vec![json!(at_backup)];
        for _ in 0..2 {
            let next = post(&world, &who, "/events", trigger.clone()).await;
            sent.push(next.expect(201)["seq"].clone());
            for cursor in [0, at_backup - 1, at_backup, before, before + 5] {
                let gone = events(&format!("?after_seq={cursor}")).await.expect(410);
                assert_eq!(gone["code"], "cursor_gone", "{cursor}");
                assert_eq!(gone["purged_up_to"], passed);
            }
        }
        assert_eq!(sent_upto(sent[2].as_i64().unwrap()).await, sent);
        let list = events(&format!("?after_seq={passed}")).await.expect(200);
        let numbers = list["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| &one["seq"]);
        assert!(numbers.eq(&sent[1..]), "{list}");
        assert_eq!(
            (&list["last_seq"], &sent[2]),
            (&sent[2], &json!(passed + 2))
        );
        assert_eq!(events("").await.expect(200)["data"], list["data"]);
        // A partner that had no event when the backup was taken had numbers since, too.
        let strange = post(&world, &stranger, "/events", trigger.clone()).await;
        assert!(strange.expect(201)["seq"].as_i64().unwrap() > 1_000_000);
        // What the backup has is there, what came after it is not.
        let by_id = |event: &Value| format!("/{}", event["id"].as_str().unwrap());
        assert_eq!(events(&by_id(&kept)).await.expect(200), kept);
        events(&by_id(&lost)).await.expect(404);
    }
}

#[actix_web::test]
async fn what_is_no_backup_of_this_database_changes_nothing() {
    for mut world in worlds().await {
        let who = world.sandbox_client(&["orders:read"]).await;
        backup(&world, "onyx.backup");
        let whole = std::fs::read(world.path().join("onyx.backup")).unwrap();
        std::fs::write(world.path().join("half"), &whole[..whole.len() / 2]).unwrap();
        std::fs::write(world.path().join("nonsense"), "nonsense").unwrap();
        std::fs::write(world.path().join("empty"), "").unwrap();
        if world.engine == Engine::Sqlite {
            // Its first page is good, and some other is not.
            let mut damaged = whole.clone();
            let middle = damaged.len() / 2 / 4096 * 4096;
            damaged[middle..middle + 4096].fill(0);
            std::fs::write(world.path().join("damaged"), damaged).unwrap();
        }
        world.terminate();
        for file in ["half", "nonsense", "empty", "missing"] {
            let refused = world.run(&["restore", file, "--yes"]);
            assert_eq!(refused.status.code(), Some(1), "{file}: {refused:?}");
        }
        if world.engine == Engine::Sqlite {
            let damaged = told(&world.run(&["restore", "damaged", "--yes"]));
            assert!(
                damaged.starts_with("1 onyx-auth: damaged is not a whole backup: it is damaged"),
                "{damaged}"
            );
        }
        assert!(!world.path().join("missing").exists());
        // Another key than the backup's would seal a record of it that nobody can verify.
        let key = world.path().join("keys/master.key");
        let right = std::fs::read(&key).unwrap();
        std::fs::write(&key, "kKjWGZAoQMAUlWXpl0bd5mTVMNOJC0ap6Kvl7Vne9nA=").unwrap();
        let other_key = told(&world.run(&["restore", "onyx.backup", "--yes"]));
        assert!(
            other_key.starts_with("1 onyx-auth: this cannot be put on record"),
            "{other_key}"
        );
        std::fs::write(&key, right).unwrap();
        // Another installation's, and into a place that knows nothing of what was revoked.
        let other = World::prepare(world.engine, &[]);
        let from = world.path().join("onyx.backup").display().to_string();
        let nothing = told(&other.run(&["restore", &from, "--yes"]));
        assert!(
            nothing.starts_with("1 onyx-auth: there is no database"),
            "{nothing}"
        );
        other.cli(&["operator", "bootstrap"]);
        let foreign = told(&other.run(&["restore", &from, "--yes", "--forget-revocations"]));
        assert!(foreign.contains("another master key"), "{foreign}");
        let engine = match world.engine {
            Engine::Sqlite => Engine::Postgres,
            Engine::Postgres => Engine::Sqlite,
        };
        let elsewhere = World::prepare(engine, &[]);
        let wrong = told(&elsewhere.run(&["restore", &from, "--yes", "--forget-revocations"]));
        assert!(
            wrong.contains("a backup goes back into the engine"),
            "{wrong}"
        );
        world.start().await;
        assert_eq!(status(&world, &who).await, 200);
    }
}

#[actix_web::test]
async fn a_lost_database_comes_back_with_its_master_key() {
    for mut world in worlds().await {
        let who = world.sandbox_client(&["orders:read"]).await;
        backup(&world, "onyx.backup");
        world.terminate();
        let count = "SELECT COUNT(*) || ' ' || MIN(issued_at) AS line FROM issued_tokens";
        let tokens = world.lines(count);
        let mut fresh = World::prepare(world.engine, &[]);
        let key = fresh.path().join("keys");
        std::fs::create_dir(&key).unwrap();
        std::fs::copy(world.path().join("keys/master.key"), key.join("master.key")).unwrap();
        let from = world.path().join("onyx.backup").display().to_string();
        restore(&fresh, &[&from, "--forget-revocations"]);
        assert_eq!(fresh.lines(count), tokens);
        fresh.start().await;
        assert_eq!(status(&fresh, &who).await, 200);
    }
}
