//! A first start makes what it needs, and those after it find that.

use std::time::Duration;

use serde_json::json;

use super::{ENGINES, mode, told};
use crate::support::assert_snapshot;
use crate::support::world::{Engine, World, free_address};

#[actix_web::test]
async fn a_first_start_makes_what_it_needs_for_its_owner_alone() {
    for engine in ENGINES {
        let mut world = World::prepare(engine, &[]);
        world.start().await;
        let master = world.path().join("keys/master.key");
        assert_eq!(
            (mode(&master), mode(&world.path().join("keys"))),
            (0o600, 0o700)
        );
        if engine == Engine::Sqlite {
            assert_eq!(mode(&world.path().join("data/onyx.db")), 0o600);
            assert_eq!(mode(&world.path().join("data/onyx.db-wal")), 0o600);
        }
        let answer = world.http.get(format!("{}/readyz", world.ops)).send().await;
        let ready: serde_json::Value = answer.unwrap().json().await.unwrap();
        assert_eq!(
            (&ready["ready"], &ready["reasons"]),
            (&json!(true), &json!([]))
        );
        for (nth, name) in ["news", "database", "journal"].iter().enumerate() {
            let check = &ready["checks"][nth];
            assert_eq!(
                (&check["name"], &check["state"]),
                (&json!(name), &json!("ok"))
            );
        }
        let answer = world
            .http
            .get(format!("{}/healthz", world.ops))
            .send()
            .await;
        assert_eq!(answer.unwrap().text().await.unwrap(), "ok\n");
        assert_eq!(world.get("/readyz", None).await.status, 404);
    }
}

/// The kids of a server's three realms.
async fn kids(http: &reqwest::Client, base: &str) -> Vec<String> {
    let mut kids = Vec::new();
    for realm in ["sandbox", "live", "admin"] {
        let answer = http.get(format!("{base}/{realm}/oauth2/jwks")).send().await;
        let jwks: serde_json::Value = answer.unwrap().json().await.unwrap();
        let keys = jwks["keys"].as_array().unwrap();
        kids.extend(
            keys.iter()
                .map(|key| key["kid"].as_str().unwrap().to_owned()),
        );
    }
    kids
}

#[actix_web::test]
async fn a_second_start_finds_the_keys_of_the_first() {
    for engine in ENGINES {
        let mut world = World::prepare(engine, &[]);
        world.start().await;
        let first = kids(&world.http, &world.base).await;
        assert_eq!(first.len(), 3);
        assert_eq!(world.terminate(), Some(0));
        world.start().await;
        assert_eq!(kids(&world.http, &world.base).await, first);
    }
}

#[actix_web::test]
async fn servers_that_start_at_once_on_a_fresh_database_share_its_keys() {
    for engine in ENGINES {
        let world = World::prepare(engine, &[]);
        let started: Vec<_> = (0..4)
            .map(|nth| {
                let (listen, ops) = (free_address(), free_address());
                let log = std::fs::File::create(world.path().join(format!("{nth}.log"))).unwrap();
                let server = world
                    .command(&["serve"])
                    .env("ONYX_LISTEN", &listen)
                    .env("ONYX_OPS_LISTEN", &ops)
                    .stderr(log)
                    .spawn()
                    .unwrap();
                (server, format!("http://{listen}"), format!("http://{ops}"))
            })
            .collect();
        let mut seen = Vec::new();
        for (nth, (mut server, base, ops)) in started.into_iter().enumerate() {
            let log = || std::fs::read_to_string(world.path().join(format!("{nth}.log"))).unwrap();
            loop {
                let ready = world.http.get(format!("{ops}/readyz")).send().await;
                if ready.is_ok_and(|ready| ready.status().is_success()) {
                    break;
                }
                assert!(
                    server.try_wait().unwrap().is_none(),
                    "{engine:?}: {}",
                    log()
                );
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            seen.push(kids(&world.http, &base).await);
            server.kill().unwrap();
            server.wait().unwrap();
        }
        assert_eq!(seen[0].len(), 3);
        assert!(seen.iter().all(|kids| *kids == seen[0]), "{engine:?}");
        let migrations = world.lines("SELECT version AS line FROM __diesel_schema_migrations");
        let mut once = migrations.clone();
        once.dedup();
        assert_eq!(migrations, once);
    }
}

#[test]
fn a_database_of_a_newer_program_is_refused() {
    for engine in ENGINES {
        let world = World::prepare(engine, &[]);
        world.cli(&["migrate"]);
        world.execute("INSERT INTO __diesel_schema_migrations (version) VALUES ('99991231235959')");
        for command in ["serve", "migrate"] {
            assert_snapshot!(told(&world, &world.run(&[command])), @"
            exit 2
            onyx-auth: the database has migration 99991231235959, which this program does not know: run a newer onyx-auth
            ");
        }
        assert!(!world.path().join("keys").exists());
    }
}
