//! `onyx-auth doctor`: says what is well, what is not, and what to do.

use serde_json::Value;

use crate::support::redis::Redis;
use crate::support::world::{Engine, World, worlds};

/// What the doctor says, by check; and how it ended.
fn examine(world: &World) -> (Option<i32>, Vec<(String, String, String)>) {
    let output = world.run(&["doctor", "--json"]);
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |row: &Value, name: &str| row[name].as_str().unwrap().to_owned();
    let rows = said["data"].as_array().unwrap();
    let rows = rows
        .iter()
        .map(|row| (text(row, "check"), text(row, "state"), text(row, "detail")));
    (output.status.code(), rows.collect())
}

fn failed(rows: &[(String, String, String)]) -> Vec<&str> {
    rows.iter()
        .filter(|(_, state, _)| state == "failed")
        .map(|(check, _, _)| check.as_str())
        .collect()
}

#[actix_web::test]
async fn a_server_that_runs_is_well() {
    for world in worlds().await {
        let (code, rows) = examine(&world);
        assert_eq!(failed(&rows), Vec::<&str>::new(), "{rows:?}");
        assert_eq!(code, Some(0), "{rows:?}");
        let wall = rows
            .iter()
            .find(|(check, _, _)| check == "row-level security");
        assert_eq!(wall.unwrap().1, "ok");
    }
}

#[actix_web::test]
async fn a_server_that_does_not_run_is_told_by_its_issuer_alone() {
    for mut world in worlds().await {
        world.terminate();
        let (code, rows) = examine(&world);
        assert_eq!(failed(&rows), ["issuer"], "{rows:?}");
        assert_eq!(code, Some(1));
    }
}

#[actix_web::test]
async fn files_that_others_can_read_and_a_wrong_master_key_are_named() {
    use std::os::unix::fs::PermissionsExt;
    for world in worlds().await {
        let key = world.path().join("keys/master.key");
        let right = std::fs::read(&key).unwrap();
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
        let (_, rows) = examine(&world);
        assert_eq!(failed(&rows), ["master key file"], "{rows:?}");
        assert!(
            rows.iter()
                .any(|(_, _, detail)| detail.contains("chmod 600"))
        );

        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::write(&key, "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\n").unwrap();
        let (_, rows) = examine(&world);
        assert_eq!(failed(&rows), ["master key"], "{rows:?}");
        std::fs::write(&key, right).unwrap();

        // What the next start would not get past.
        let pem = world.path().join("keys/live.es256.pem");
        std::fs::write(&pem, "no key").unwrap();
        for (mode, told) in [(0o600, "is not one PKCS#8"), (0o644, "chmod 600")] {
            std::fs::set_permissions(&pem, std::fs::Permissions::from_mode(mode)).unwrap();
            let (_, rows) = examine(&world);
            assert_eq!(failed(&rows), ["imported keys"], "{rows:?}");
            let detail = rows.iter().find(|(check, ..)| check == "imported keys");
            assert!(detail.unwrap().2.contains(told), "{rows:?}");
        }
    }
}

#[test]
fn a_database_that_is_not_there_is_told_and_not_made() {
    let world = World::prepare(Engine::Sqlite, &[]);
    let (code, rows) = examine(&world);
    let failed = failed(&rows);
    assert!(
        failed.contains(&"database") && failed.contains(&"master key file"),
        "{rows:?}"
    );
    assert_eq!(code, Some(1));
    assert!(!world.path().join("data").exists() && !world.path().join("keys").exists());
}

#[actix_web::test]
async fn a_database_of_a_newer_program_is_named() {
    for mut world in worlds().await {
        world.terminate();
        world.execute(
            "INSERT INTO __diesel_schema_migrations (version, run_on) VALUES ('99999999999999', CURRENT_TIMESTAMP)",
        );
        let (code, rows) = examine(&world);
        let migrations = rows.iter().find(|(check, _, _)| check == "migrations");
        let (_, state, detail) = migrations.unwrap();
        assert_eq!((code, state.as_str()), (Some(1), "failed"));
        assert!(detail.contains("run a newer onyx-auth"), "{detail}");
    }
}

#[actix_web::test]
async fn a_process_that_is_not_ready_is_named_with_its_own_word() {
    for world in worlds().await {
        let (_, rows) = examine(&world);
        let process = |rows: &[(String, String, String)]| {
            let row = rows.iter().find(|(check, _, _)| check == "process");
            let (_, state, detail) = row.unwrap();
            (state.clone(), detail.clone())
        };
        assert_eq!(process(&rows).0, "ok");
        if world.engine != Engine::Postgres {
            continue;
        }
        // Whoever asks anew gets an answer: only the one that follows changes waits.
        let held = world.hold("LOCK TABLE sequences IN ACCESS EXCLUSIVE MODE", 20);
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(18);
        loop {
            let (code, rows) = examine(&world);
            let (state, detail) = process(&rows);
            if state == "failed" {
                assert!(detail.contains("news: the database was heard"), "{detail}");
                assert_eq!(code, Some(1));
                break;
            }
            assert!(std::time::Instant::now() < deadline, "{rows:?}");
        }
        held.join().unwrap();
    }
}

#[actix_web::test]
async fn a_redis_that_forgets_is_named() {
    let redis = Redis::start();
    let mut world = World::prepare(Engine::Sqlite, &[("ONYX_REDIS_URL", &redis.url())]);
    world.cli(&["operator", "bootstrap"]);
    world.start().await;
    let of_redis = |rows: Vec<(String, String, String)>| {
        let mut row = rows.into_iter().filter(|(check, _, _)| check == "redis");
        row.next().unwrap()
    };
    assert_eq!(of_redis(examine(&world).1).1, "ok");
    let mut set = redis::cmd("CONFIG");
    set.arg("SET").arg("maxmemory-policy").arg("allkeys-lru");
    set.exec(&mut redis.connection().unwrap()).unwrap();
    let (code, rows) = examine(&world);
    let (_, state, detail) = of_redis(rows);
    assert_eq!((code, state.as_str()), (Some(0), "warning"));
    assert!(detail.contains("allkeys-lru"), "{detail}");
}
