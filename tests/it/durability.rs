//! A token that was answered is on record, whatever happens to the server or its database.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::rc::Rc;
use std::time::Duration;

use diesel::RunQueryDsl as _;
use onyx_auth::store::issued_tokens::IssuedToken;
use onyx_auth::store::schema::issued_tokens;
use onyx_auth::store::{Store, StoreError};
use serde_json::{Value, json};

use crate::support::assert_snapshot;
use crate::support::world::{
    Answer, Credential, Engine, World, claims, header, postgres, sql, worlds,
};

const UNRECORDABLE: &str = r#"503 {"error":"temporarily_unavailable","error_description":"the server cannot record a token right now; try again"}"#;

/// What the database remembers of a client's tokens, by `jti`.
async fn recorded(world: &World, who: &Credential) -> BTreeMap<String, IssuedToken> {
    let url = match world.engine {
        Engine::Sqlite => format!("sqlite://{}/data/onyx.db", world.path().display()),
        Engine::Postgres => world.database_url(),
    };
    let store = Store::open(&url).unwrap();
    let rows: Result<Vec<IssuedToken>, StoreError> =
        store.read(|db| Ok(issued_tokens::table.load(db)?)).await;
    rows.unwrap()
        .into_iter()
        .filter(|row| row.client_id.as_str() == who.client_id)
        .map(|row| (row.jti.clone(), row))
        .collect()
}

fn id(token: &str) -> String {
    claims(token)["jti"].as_str().unwrap().to_owned()
}

/// The record of a token says what the token says.
fn assert_same(row: &IssuedToken, token: &str) {
    let said = claims(token);
    assert_eq!(
        (row.rsn, row.status_index, row.status_list.is_some()),
        (
            said["rsn"].as_i64(),
            said["status"]["status_list"]["idx"].as_i64(),
            true
        )
    );
    let text = |name: &str| said[name].as_str().unwrap().to_owned();
    assert_eq!(
        (
            row.client_id.to_string(),
            row.partner_id.as_ref().map(ToString::to_string),
            row.credential_id.to_string(),
            row.realm.to_string(),
        ),
        (
            text("client_id"),
            Some(text("partner_id")),
            text("credential_id"),
            text("env")
        )
    );
    assert_eq!(
        (row.scope.as_str(), &row.aud),
        (text("scope").as_str(), &text("aud"))
    );
    assert_eq!(row.kid, header(token)["kid"].as_str().unwrap());
    assert_eq!(
        (
            json!(row.issued_at.epoch_seconds()),
            json!(row.expires_at.epoch_seconds())
        ),
        (said["iat"].clone(), said["exp"].clone())
    );
    assert_eq!(row.source_ip.as_deref(), Some("127.0.0.1"));
}

fn assert_no_token(answer: &Answer) {
    assert_eq!(answer.line(), UNRECORDABLE);
    assert_eq!(
        (answer.header("retry-after"), answer.header("cache-control")),
        ("1", "no-store")
    );
}

/// An honest 503, whichever part of the work found the database gone.
fn assert_unavailable(answer: &Answer) {
    assert_eq!((answer.status, answer.header("retry-after")), (503, "1"));
    assert_eq!(answer.json()["error"], "temporarily_unavailable");
    assert!(answer.json().get("access_token").is_none());
}

#[actix_web::test]
async fn every_token_that_was_answered_is_on_record_after_the_server_is_killed() {
    for mut world in worlds().await {
        let who = world.sandbox_client(&["orders:read"]).await;
        let operator = world.operator().await;
        operator.widen_limits(&who.partner_id).await;
        let given = Rc::new(RefCell::new(Vec::new()));
        let callers: Vec<_> = (0..8)
            .map(|_| {
                let given = Rc::clone(&given);
                let request = world
                    .request(reqwest::Method::POST, "/sandbox/oauth2/token")
                    .basic_auth(&who.client_id, Some(&who.secret))
                    .form(&[("grant_type", "client_credentials")]);
                actix_web::rt::spawn(async move {
                    // Until the server is gone.
                    while let Ok(answer) = request.try_clone().unwrap().send().await {
                        let Ok(body) = answer.json::<Value>().await else {
                            break;
                        };
                        let token = body["access_token"].as_str().unwrap().to_owned();
                        given.borrow_mut().push(token);
                    }
                })
            })
            .collect();
        while given.borrow().len() < 100 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        world.kill();
        for caller in callers {
            caller.await.unwrap();
        }

        let rows = recorded(&world, &who).await;
        for token in given.borrow().iter() {
            let row = rows.get(&id(token));
            assert_same(row.expect("a token that was answered is on record"), token);
        }
        world.start().await;
        let last = given.borrow().last().cloned().unwrap();
        world.get("/sandbox/v1/me", Some(&last)).await.expect(200);
    }
}

#[actix_web::test]
async fn a_single_answer_is_on_record_however_soon_the_server_dies_after_it() {
    for mut world in worlds().await {
        let who = world.sandbox_client(&["orders:read"]).await;
        for _ in 0..5 {
            let token = world.token("sandbox", &who, &[]).await;
            world.kill();
            assert_same(&recorded(&world, &who).await[&id(&token)], &token);
            world.start().await;
        }
    }
}

#[actix_web::test]
async fn a_token_that_cannot_be_recorded_is_not_given() {
    for world in worlds().await {
        let who = world.sandbox_client(&["orders:read"]).await;
        let before = world.token("sandbox", &who, &[]).await;
        world.execute("ALTER TABLE issued_tokens RENAME TO out_of_reach");
        for _ in 0..10 {
            let answer = world.token_answer("sandbox", &who, &[]).await;
            assert_snapshot!(answer.line(), @r#"503 {"error":"temporarily_unavailable","error_description":"the server cannot record a token right now; try again"}"#);
            assert_no_token(&answer);
        }
        // What was given before is still good.
        world.get("/sandbox/v1/me", Some(&before)).await.expect(200);
        // It is told, and nobody is sent elsewhere: all nodes write into the same database.
        let readiness = async || {
            let asked = world.http.get(format!("{}/readyz", world.ops)).send().await;
            let answer = Answer::of(asked.unwrap()).await;
            let checks = answer.json()["checks"].clone();
            let mut checks = checks.as_array().unwrap().iter();
            let journal = checks.find(|check| check["name"] == "journal");
            (answer.status, journal.unwrap()["state"].clone())
        };
        assert_eq!(readiness().await, (200, json!("doubtful")));
        world.execute("ALTER TABLE out_of_reach RENAME TO issued_tokens");
        let after = world.token("sandbox", &who, &[]).await;
        assert_eq!(readiness().await, (200, json!("ok")));
        let rows = recorded(&world, &who).await;
        let known: BTreeSet<&str> = rows.keys().map(String::as_str).collect();
        assert_eq!(known, BTreeSet::from([&*id(&before), &*id(&after)]));
    }
}

#[actix_web::test]
async fn a_full_disk_means_an_error_and_never_an_unrecorded_token() {
    for mut world in worlds().await {
        if world.engine != Engine::Sqlite {
            // PostgreSQL's disk is PostgreSQL's; what it refuses is the story above.
            continue;
        }
        let who = world.sandbox_client(&["orders:read"]).await;
        let operator = world.operator().await;
        operator.widen_limits(&who.partner_id).await;
        assert_eq!(world.terminate(), Some(0));
        // No file may grow past a megabyte or two (shells count differently), and trying is an error.
        let serve = world.command(&["serve"]);
        let mut limited = Command::new("sh");
        limited
            .args(["-c", r#"trap "" XFSZ; ulimit -f 2048; exec "$0" serve"#])
            .arg(serve.get_program())
            .current_dir(world.path())
            .env_clear()
            .envs(
                serve
                    .get_envs()
                    .filter_map(|(name, value)| Some((name, value?))),
            );
        world.start_as(limited).await;

        let mut given = BTreeSet::new();
        let mut refused = 0;
        while refused < 10 {
            let answer = world.token_answer("sandbox", &who, &[]).await;
            if answer.status == 200 {
                given.insert(id(answer.json()["access_token"].as_str().unwrap()));
                assert!(given.len() < 2000, "the disk does not fill");
            } else {
                assert_no_token(&answer);
                refused += 1;
            }
        }
        assert!(!given.is_empty());

        world.kill();
        world.start().await;
        world.token("sandbox", &who, &[]).await;
        let rows = recorded(&world, &who).await;
        for id in &given {
            assert!(rows.contains_key(id), "{id} was given and is not on record");
        }
        assert_eq!(rows.len(), given.len() + 1, "and nothing else is");
    }
}

#[actix_web::test]
async fn a_dead_database_means_an_error_until_it_lives_again() {
    let name = format!("dying{}", std::process::id());
    let mut world = World::prepare(Engine::Postgres, &[]);
    sql(&format!("CREATE DATABASE {name}"));
    let (server, _) = postgres()
        .rsplit_once('/')
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .unwrap();
    world.set("ONYX_DATABASE_URL", &format!("{server}/{name}"));
    world.cli(&["operator", "bootstrap"]);
    world.start().await;
    let who = world.sandbox_client(&["orders:read"]).await;
    let before = world.token("sandbox", &who, &[]).await;

    sql(&format!(
        "ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false"
    ));
    sql(&format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
    ));
    let nobody = Credential {
        client_id: "cl_sbx_01ARZ3NDEKTSV4RRFFQ69G5FAV".to_owned(),
        ..who.clone()
    };
    let (known, unknown, me) = tokio::join!(
        world.token_answer("sandbox", &who, &[]),
        world.token_answer("sandbox", &nobody, &[]),
        world.get("/sandbox/v1/me", Some(&before)),
    );
    assert_unavailable(&known);
    assert_unavailable(&unknown);
    assert_eq!(
        (me.status, &me.json()["code"]),
        (503, &json!("unavailable"))
    );
    assert_eq!(world.get("/sandbox/oauth2/jwks", None).await.status, 200);

    sql(&format!(
        "ALTER DATABASE {name} WITH ALLOW_CONNECTIONS true"
    ));
    let mut after = world.token_answer("sandbox", &who, &[]).await;
    for _ in 0..50 {
        if after.status == 200 {
            break;
        }
        assert_unavailable(&after);
        tokio::time::sleep(Duration::from_millis(200)).await;
        after = world.token_answer("sandbox", &who, &[]).await;
    }
    let after = after.expect(200)["access_token"]
        .as_str()
        .unwrap()
        .to_owned();
    let rows = recorded(&world, &who).await;
    let known: BTreeSet<&str> = rows.keys().map(String::as_str).collect();
    assert_eq!(known, BTreeSet::from([&*id(&before), &*id(&after)]));

    drop(world);
    sql(&format!("DROP DATABASE {name} WITH (FORCE)"));
}
