//! What ended by another way than a revocation does not begin again, and what is on lists stays there.

use reqwest::Method;
use serde_json::json;

use super::{backup, restore, status, told};
use crate::status_lists::{is_revoked, until_revoked};
use crate::support::world::{Credential, Engine, World, worlds};

/// A moment so many seconds from now, as the database writes it.
fn seconds_away(seconds: i64) -> String {
    let moment = chrono::Utc::now() + chrono::TimeDelta::seconds(seconds);
    moment.format("%Y-%m-%d %H:%M:%S").to_string()
}

/// A running server on SQLite.
async fn sqlite() -> World {
    let mut world = World::prepare(Engine::Sqlite, &[]);
    world.cli(&["operator", "bootstrap"]);
    world.start().await;
    world
}

#[actix_web::test]
async fn what_ended_by_itself_stays_ended() {
    for mut world in worlds().await {
        let operator = world.operator().await;
        let first = world.sandbox_client(&["orders:read"]).await;
        let mut all: Vec<Credential> = vec![first.clone()];
        for _ in 0..3 {
            let more = operator
                .client(&first.partner_id, "sandbox", &["orders:read"])
                .await;
            all.push(more);
        }
        let [replaced, overlapped, expired, leaked] = <[_; 4]>::try_from(all).unwrap();
        let linked = operator
            .post(
                &format!("/clients/{}/credentials", leaked.client_id),
                json!({ "kind": "secret", "deliver": "link" }),
            )
            .await
            .expect(201)["id"]
            .as_str()
            .unwrap()
            .to_owned();
        backup(&world, "onyx.backup");

        for (who, overlap) in [(&replaced, 0), (&overlapped, 60)] {
            operator
                .post(
                    &format!("/credentials/{}/rotate", who.credential_id),
                    json!({ "overlap_seconds": overlap }),
                )
                .await
                .expect(201);
        }
        operator
            .post("/keys/rotate", json!({ "realm": "sandbox" }))
            .await
            .expect(201);
        let keys = "SELECT kid || ' ' || signs_from || ' ' || COALESCE(CAST(signs_until AS TEXT), '') AS line \
                    FROM signing_keys ORDER BY kid";
        let keys_before = world.lines(keys);
        drop(operator);
        world.terminate();
        world.execute(&format!(
            "UPDATE credentials SET accepts_until = '{}' WHERE id = '{}'",
            seconds_away(-2),
            overlapped.credential_id
        ));
        world.execute(&format!(
            "UPDATE clients SET expires_at = '{}' WHERE id = '{}'",
            seconds_away(-2),
            expired.client_id
        ));
        let soon = seconds_away(1800);
        world.execute(&format!(
            "UPDATE credentials SET expires_at = '{soon}' WHERE id = '{}'",
            leaked.credential_id
        ));
        world.execute(&format!(
            "UPDATE secret_deliveries SET state = 'opened', opened_at = '{}', ciphertext = NULL",
            seconds_away(-2)
        ));

        restore(&world, &["onyx.backup"]);
        // No key signs again, and none that signs is forgotten.
        assert_eq!(world.lines(keys), keys_before);
        assert_eq!(
            world.lines("SELECT state AS line FROM secret_deliveries"),
            ["opened"]
        );
        let end = format!(
            "SELECT CAST(expires_at AS TEXT) AS line FROM credentials WHERE id = '{}'",
            leaked.credential_id
        );
        assert!(world.lines(&end)[0].starts_with(&soon));
        world.start().await;
        for ended in [&replaced, &overlapped, &expired] {
            assert_eq!(status(&world, ended).await, 401, "{ended:?}");
        }
        assert_eq!(status(&world, &leaked).await, 200);
        // Opened in time, it is nobody's to revoke for not having been.
        let state = format!("SELECT state AS line FROM credentials WHERE id = '{linked}'");
        assert_eq!(world.lines(&state), ["active"]);
        // The same backup again: nothing is new, and nothing is told twice.
        world.terminate();
        let revocations = "SELECT id AS line FROM revocations ORDER BY id";
        let once = world.lines(revocations);
        let again = restore(&world, &["onyx.backup"]);
        assert_eq!(world.lines(revocations), once);
        assert_eq!(again["voided_invoices"], 0);
    }
}

#[actix_web::test]
async fn lists_show_after_a_restore_what_they_showed_before() {
    for mut world in worlds().await {
        let operator = world.operator().await;
        let [by_credential, by_client, by_token, good] = [
            world.sandbox_client(&["orders:read"]).await,
            world.sandbox_client(&["orders:read"]).await,
            world.sandbox_client(&["orders:read"]).await,
            world.sandbox_client(&["orders:read"]).await,
        ];
        world.token("sandbox", &good, &[]).await;
        backup(&world, "onyx.backup");
        let mut dead = Vec::new();
        for who in [&by_credential, &by_client, &by_token] {
            dead.push(world.token("sandbox", who, &[]).await);
        }
        let living = world.token("sandbox", &good, &[]).await;
        operator
            .revoke(&by_credential.credential_id)
            .await
            .expect(200);
        operator
            .post(
                &format!("/clients/{}/revoke", by_client.client_id),
                json!({ "reason": "stolen" }),
            )
            .await
            .expect(200);
        let revoked = world
            .request(Method::POST, "/sandbox/oauth2/revoke")
            .basic_auth(&by_token.client_id, Some(&by_token.secret))
            .form(&[("token", &dead[2])])
            .send()
            .await
            .unwrap();
        assert_eq!(revoked.status(), 200);
        for token in &dead {
            until_revoked(&world, token, "before the restore").await;
        }
        drop(operator);
        world.terminate();
        restore(&world, &["onyx.backup"]);
        world.start().await;
        for token in &dead {
            until_revoked(&world, token, "after the restore").await;
        }
        assert!(!is_revoked(&world, &living).await);
        let me = world.get("/sandbox/v1/me", Some(&living)).await;
        assert_eq!(me.status, 200, "{}", me.text);
    }
}

#[actix_web::test]
async fn what_a_replay_had_still_to_send_is_called_off_with_it() {
    for mut world in worlds().await {
        let who = world.sandbox_client(&["orders:read"]).await;
        world.terminate();
        let now = seconds_away(0);
        world.execute(&format!(
            "INSERT INTO webhook_endpoints (partner_id, realm, id, url, event_types, signature, state, created_at, \
             updated_at) VALUES ('{}', 'sandbox', 'whe_1', 'https://acme.example', '[\"*\"]', 'v1', 'pending', '{now}', \
             '{now}')",
            who.partner_id
        ));
        let replay = |state: &str, ended: &str| {
            format!(
                "INSERT INTO webhook_replays (partner_id, realm, id, endpoint_id, selection, upto, done_upto, state, \
                 count, created_by, created_at, ended_at) VALUES ('{}', 'sandbox', 'rpl_1', 'whe_1', 'all', 9, 9, \
                 '{state}', 1, 'nobody', '{now}', {ended})",
                who.partner_id
            )
        };
        world.execute(&replay("running", "NULL"));
        for (seq, of) in [(7, "rpl_1"), (8, "")] {
            world.execute(&format!(
                "INSERT INTO webhook_deliveries (endpoint_id, seq, replay_id, partner_id, realm, event_id, kind, state, \
                 attempts, next_attempt_at, created_at, updated_at) VALUES ('whe_1', {seq}, '{of}', '{}', 'sandbox', \
                 'evt_{seq}', 'order.accepted', 'retrying', 1, '{now}', '{now}', '{now}')",
                who.partner_id
            ));
        }
        backup(&world, "onyx.backup");
        world.execute("DELETE FROM webhook_replays");
        world.execute(&replay("cancelled", &format!("'{now}'")));
        restore(&world, &["onyx.backup"]);
        assert_eq!(
            world.lines("SELECT seq || ' ' || state AS line FROM webhook_deliveries ORDER BY seq"),
            ["7 cancelled", "8 retrying"]
        );
    }
}

#[actix_web::test]
async fn a_killed_restore_leaves_nothing_to_the_next() {
    let mut world = sqlite().await;
    let who = world.sandbox_client(&["orders:read"]).await;
    backup(&world, "onyx.backup");
    world.terminate();
    let left = ["", "-journal", "-wal", "-shm"]
        .map(|beside| world.path().join(format!("data/onyx.db.restoring{beside}")));
    for file in &left {
        std::fs::write(file, "left by another").unwrap();
    }
    restore(&world, &["onyx.backup"]);
    for file in &left {
        assert!(!file.exists(), "{}", file.display());
    }
    world.start().await;
    assert_eq!(status(&world, &who).await, 200);
}

#[actix_web::test]
async fn a_missing_and_a_damaged_database_are_told_as_what_they_are() {
    let mut world = sqlite().await;
    backup(&world, "onyx.backup");
    world.terminate();
    let database = world.path().join("data/onyx.db");
    std::fs::write(&database, "no database ".repeat(1000)).unwrap();
    for forget in [&["--forget-revocations"][..], &[]] {
        let all = [&["restore", "onyx.backup", "--yes"], forget].concat();
        let damaged = told(&world.run(&all));
        assert!(
            damaged.contains("is damaged")
                && damaged.contains("put it and its -wal and -shm aside"),
            "{damaged}"
        );
    }
    for beside in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(world.path().join(format!("data/onyx.db{beside}")));
    }
    let missing = told(&world.run(&["backup", "other.backup"]));
    assert!(missing.contains("there is no database at"), "{missing}");
    assert!(!database.exists() && !world.path().join("other.backup").exists());
    restore(&world, &["onyx.backup", "--forget-revocations"]);
    world.start().await;
}
