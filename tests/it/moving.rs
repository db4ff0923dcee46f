//! From SQLite to PostgreSQL: all goes along, and nobody whom the server serves has to change anything.

use std::collections::BTreeMap;
use std::process::Output;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::canary;
use crate::support::receiver::LOOPBACK;
use crate::support::shop::{order, package};
use crate::support::world::{Answer, Engine, World, claims};

const AUDIENCE: &str = "https://orders.acme.example";

/// A running server on SQLite, and an empty PostgreSQL database.
async fn one_of_each(settings: &[(&str, &str)]) -> (World, World) {
    let mut world = World::prepare(Engine::Sqlite, settings);
    world.cli(&["operator", "bootstrap"]);
    world.start().await;
    (world, World::prepare(Engine::Postgres, &[]))
}

/// Has what is started from now on use PostgreSQL.
fn turn(world: &mut World, target: &World) {
    world.set("ONYX_DATABASE_URL", &target.database_url());
}

fn told(output: &Output) -> String {
    let said = String::from_utf8(output.stderr.clone()).unwrap();
    format!("{} {}", output.status.code().unwrap(), said.trim_end())
}

/// The rows of each table, written the same whichever engine has them.
fn rows(world: &World) -> BTreeMap<String, Vec<String>> {
    let tables = match world.engine {
        Engine::Sqlite => {
            "SELECT name AS line FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
             AND name NOT LIKE '\\_\\_%' ESCAPE '\\'"
        }
        Engine::Postgres => {
            "SELECT tablename FROM pg_tables WHERE schemaname = current_schema() AND tablename NOT LIKE '\\_\\_%'"
        }
    };
    let of = |table: String| {
        let query = match world.engine {
            Engine::Sqlite => {
                let columns = format!(
                    "SELECT '''' || name || ''', ' || CASE type WHEN 'BLOB' \
                     THEN 'CASE WHEN ' || name || ' IS NOT NULL THEN hex(' || name || ') END' ELSE name END \
                     AS line FROM pragma_table_info('{table}')"
                );
                let members = world.lines(&columns).join(", ");
                format!("SELECT json_object({members}) AS line FROM {table}")
            }
            Engine::Postgres => format!("SELECT row_to_json(t) FROM {table} t"),
        };
        let mut rows: Vec<_> = world.lines(&query).iter().map(|row| plain(row)).collect();
        rows.sort();
        (table, rows)
    };
    world.lines(tables).into_iter().map(of).collect()
}

/// A row without what engines write each in its own way: times, truth and bytes.
fn plain(row: &str) -> String {
    let row: BTreeMap<String, Value> = serde_json::from_str(row).unwrap();
    let value = |value: Value| match value {
        Value::Bool(is) => json!(i64::from(is)),
        Value::String(text) => {
            let time = text.replacen('T', " ", 1);
            match chrono::NaiveDateTime::parse_from_str(&time, "%F %T%.f") {
                Ok(time) => json!(time.to_string()),
                Err(_) => match text.strip_prefix("\\x") {
                    Some(bytes) => json!(bytes.to_uppercase()),
                    None => json!(text),
                },
            }
        }
        other => other,
    };
    let row: BTreeMap<_, _> = row.into_iter().map(|(name, v)| (name, value(v))).collect();
    json!(row).to_string()
}

#[actix_web::test]
async fn every_row_of_every_table_moves() {
    let (mut world, target) = one_of_each(&[LOOPBACK]).await;
    canary::ask_everything(&world).await;
    assert_eq!(world.terminate(), Some(0));
    let before = rows(&world);
    let filled = before.values().filter(|rows| !rows.is_empty()).count();
    assert!(filled > 40, "{filled} of {}", before.len());

    turn(&mut world, &target);
    let moved: Value =
        serde_json::from_str(&world.cli(&["move", "data/onyx.db", "--json"])).unwrap();
    let count: usize = before.values().map(Vec::len).sum();
    assert_eq!(moved["rows"], json!(count));
    let mut after = rows(&target);
    // Who did so is on record there, and nowhere yet in its order.
    let events = after.get_mut("audit_events").unwrap();
    let is_of_the_move = |row: &String| row.contains("database.moved");
    assert_eq!(events.iter().filter(|row| is_of_the_move(row)).count(), 1);
    events.retain(|row| !is_of_the_move(row));
    for (table, rows) in before {
        assert_eq!(after.get(&table), Some(&rows), "{table}");
    }
    // What guards the tables stands again.
    let gone = target.try_execute("DELETE FROM ledger_entries");
    assert!(gone.is_err());
    world.engine = Engine::Postgres;
    world.start().await;
    world.cli(&["audit", "verify"]);
}

#[actix_web::test]
async fn partners_and_services_go_on_as_if_nothing_had_happened() {
    let (mut world, target) = one_of_each(&[("ONYX_ROLES", "auth,admin,api")]).await;
    let (who, placed, body, token, stolen, service, cursor) = {
        let operator = world.operator().await;
        let server = operator
            .resource_server("sandbox", AUDIENCE, &["orders:read"], "ES256")
            .await;
        let service = operator.issue(server["client_id"].as_str().unwrap()).await;
        let package = operator.published(package()).await;
        let shopper = world.shopper().await;
        let body = order(&package, 2, "PO-1");
        let placed = shopper.order_under("k-1", &body).await;
        assert_eq!(placed.status, 201);
        let thief = world.sandbox_client(&["orders:read"]).await;
        let stolen = world.token("sandbox", &thief, &[]).await;
        operator.revoke(&thief.credential_id).await.expect(200);
        let cursor = poll(&world, &service, "").await.expect(200)["cursor"].clone();
        let (who, token) = (shopper.who.clone(), shopper.token.clone());
        (who, placed, body, token, stolen, service, cursor)
    };
    assert_eq!(world.terminate(), Some(0));
    turn(&mut world, &target);
    let moved: Value =
        serde_json::from_str(&world.cli(&["move", "data/onyx.db", "--json"])).unwrap();
    assert_eq!(moved["feed_head"], cursor);
    world.engine = Engine::Postgres;
    world.start().await;

    // Tokens of before, good ones and revoked ones; the orders' answers of before; and cursors of before.
    for node in [&world, &world.neighbour().await] {
        let me = |token: &str| {
            let token = token.to_owned();
            async move { node.get("/sandbox/v1/me", Some(&token)).await.status }
        };
        assert_eq!((me(&token).await, me(&stolen).await), (200, 401));
        let shopper = node.shopper_as("sandbox", who.clone()).await;
        let again = shopper.order_under("k-1", &body).await;
        assert_eq!((again.status, &again.text), (201, &placed.text));
        assert_eq!(again.header("idempotent-replayed"), "true");
        let query = format!("?after={cursor}&wait=0");
        let heard = poll(node, &service, &query).await.expect(200);
        assert_eq!((&heard["entries"], &heard["cursor"]), (&json!([]), &cursor));
    }
    // The next revocation has the next number.
    let operator = world.operator().await;
    let other = world.sandbox_client(&["orders:read"]).await;
    let lost = world.token("sandbox", &other, &[]).await;
    assert_eq!(claims(&lost)["rsn"], cursor);
    operator.revoke(&other.credential_id).await.expect(200);
    let heard = poll(&world, &service, &format!("?after={cursor}&wait=0")).await;
    let next = cursor.as_i64().unwrap() + 1;
    assert_eq!(heard.expect(200)["cursor"], json!(next));
}

async fn poll(world: &World, service: &crate::support::world::Credential, query: &str) -> Answer {
    let token = world.token("sandbox", service, &[]).await;
    let path = format!("/sandbox/oauth2/revocations{query}");
    world.get(&path, Some(&token)).await
}

#[actix_web::test]
async fn no_server_starts_on_what_has_moved() {
    let (mut world, target) = one_of_each(&[]).await;
    world.terminate();
    let old = world.database_url();
    turn(&mut world, &target);
    world.cli(&["move", "data/onyx.db"]);
    let again = told(&world.run(&["move", "data/onyx.db"]));
    let (begins, ends) = (
        "1 onyx-auth: it moved there at 20",
        ": start servers on the PostgreSQL database",
    );
    assert!(
        again.starts_with(begins) && again.ends_with(ends),
        "{again}"
    );

    world.set("ONYX_DATABASE_URL", &old);
    for command in ["serve", "migrate", "doctor"] {
        let refused = world.run(&[command]);
        let all = format!(
            "{}{}",
            told(&refused),
            String::from_utf8_lossy(&refused.stdout)
        );
        assert!(!refused.status.success(), "{command}: {all}");
        assert!(
            all.contains("it moved to PostgreSQL at 20"),
            "{command}: {all}"
        );
    }
    // There is a way back: what a backup of it is put back as.
    world.cli(&["backup", "back"]);
    world.cli(&["restore", "back", "--yes"]);
    world.start().await;
    world.operator().await;
}

#[actix_web::test]
async fn what_cannot_move_stays_where_it_is() {
    let (mut world, target) = one_of_each(&[]).await;
    let same = told(&world.run(&["move", "data/onyx.db"]));
    assert_eq!(
        same,
        "2 onyx-auth: database_url: name the PostgreSQL database that it moves to, postgres://…"
    );
    let old = world.database_url();
    turn(&mut world, &target);
    let running = told(&world.run(&["move", "data/onyx.db"]));
    assert_eq!(
        running,
        "1 onyx-auth: the database is in use: stop every onyx-auth that runs on it, then try again"
    );
    assert_eq!(world.operator().await.get("/partners").await.status, 200);
    world.terminate();

    let missing = told(&world.run(&["move", "data/none.db"]));
    assert_eq!(
        missing,
        "1 onyx-auth: data/none.db cannot be moved: No such file or directory (os error 2)"
    );
    assert!(!world.path().join("data/none.db").exists());
    let other = told(&world.run(&["move", "data/operator.json"]));
    assert_eq!(
        other,
        "1 onyx-auth: data/operator.json cannot be moved: it is no SQLite database"
    );

    // Half-way something is in the way there: nothing has come, and the old one serves on.
    target.cli(&["migrate"]);
    target.execute("ALTER TABLE instance ADD CONSTRAINT no_room CHECK (name = 'nothing')");
    let failed = told(&world.run(&["move", "data/onyx.db"]));
    assert!(
        failed.starts_with("1 ") && failed.contains("no_room"),
        "{failed}"
    );
    assert_eq!(target.lines("SELECT id FROM partners"), [""; 0]);
    world.set("ONYX_DATABASE_URL", &old);
    world.start().await;
    world.terminate();

    // Nor into a database that has an installation of its own.
    target.execute("ALTER TABLE instance DROP CONSTRAINT no_room");
    target.cli(&["operator", "bootstrap"]);
    turn(&mut world, &target);
    let occupied = told(&world.run(&["move", "data/onyx.db"]));
    assert_eq!(
        occupied,
        "1 onyx-auth: the PostgreSQL database holds an installation already: name one on which no onyx-auth \
         was ever started, or another schema of it"
    );
    world.set("ONYX_DATABASE_URL", &old);
    world.start().await;
}

/// Whether somebody who does not wait may write into the old database.
fn writes(world: &World) -> bool {
    use diesel::prelude::*;
    let path = world.path().join("data/onyx.db");
    let mut db = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
    let write = diesel::sql_query("UPDATE instance SET value = value");
    write.execute(&mut db).is_ok()
}

#[actix_web::test]
async fn nobody_gets_at_the_file_while_it_moves() {
    let (mut world, target) = one_of_each(&[]).await;
    world.terminate();
    turn(&mut world, &target);
    // Somebody is on the other database, whose end is waited for.
    target.cli(&["migrate"]);
    let alone = "SELECT pg_advisory_lock(1869511032, hashtext(current_schema()::text))";
    let held = target.hold(alone, 2);
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut moving = world.command(&["move", "data/onyx.db"]).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    while writes(&world) {
        assert!(Instant::now() < deadline, "it is never held");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(moving.try_wait().unwrap().is_none(), "it waits still");
    held.join().unwrap();
    assert!(moving.wait().unwrap().success());
}

#[actix_web::test]
async fn who_is_refused_has_both_databases_as_they_were() {
    let (mut world, target) = one_of_each(&[]).await;
    world.terminate();
    target.cli(&["operator", "bootstrap"]);
    turn(&mut world, &target);
    let last = "DELETE FROM __diesel_schema_migrations WHERE version = '00000000000019'";
    let seen =
        "SELECT version AS line FROM __diesel_schema_migrations ORDER BY version DESC LIMIT 1";
    for one in [&world, &target] {
        one.execute(last);
    }
    assert_eq!(world.run(&["move", "data/onyx.db"]).status.code(), Some(1));
    for one in [&world, &target] {
        assert_eq!(one.lines(seen), ["00000000000018"]);
    }
}
