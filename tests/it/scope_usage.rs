//! What clients hold against what they ask for and use.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::assert_snapshot;
use crate::support::world::{Operator, World, days_away, worlds};

/// A client's usage, once it satisfies: counts are written down by the second.
async fn usage(operator: &Operator<'_>, client: &str, is_there: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let usage = operator
            .get(&format!("/clients/{client}/scope-usage"))
            .await
            .expect(200);
        if is_there(&usage) {
            return usage;
        }
        assert!(Instant::now() < deadline, "never came: {usage:#}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn of<'a>(usage: &'a Value, scope: &str) -> &'a Value {
    let scopes = usage["scopes"].as_array().unwrap();
    scopes.iter().find(|one| one["scope"] == scope).unwrap()
}

fn today() -> String {
    days_away(0)[..10].to_owned()
}

/// Counts as if a client had been at work some days ago.
fn count(world: &World, client: &str, days_ago: i64, scope: &str, (asked, used): (u32, u32)) {
    let day = &days_away(-days_ago)[..10];
    world.execute(&format!(
        "INSERT INTO scope_usage (client_id, day, scope, asked, used) \
         VALUES ('{client}', '{day}', '{scope}', {asked}, {used})"
    ));
}

#[actix_web::test]
async fn what_is_asked_for_and_what_is_used_is_counted() {
    for world in worlds().await {
        let who = world
            .sandbox_client(&["orders:create", "orders:read"])
            .await;
        world.token("sandbox", &who, &[]).await;
        world
            .token("sandbox", &who, &[("scope", "orders:read")])
            .await;
        let refused = world
            .token_answer("sandbox", &who, &[("scope", "invoices:read")])
            .await;
        refused.expect(400);

        let operator = world.operator().await;
        let seen = usage(&operator, &who.client_id, |usage| {
            of(usage, "orders:read")["asked"] == 2
        })
        .await;
        assert_eq!(of(&seen, "orders:create")["asked"], 1);
        assert_eq!(of(&seen, "orders:read")["last_asked_on"], today());
        assert_eq!(seen["unused"], json!(["orders:create", "orders:read"]));
        assert_eq!(seen["scopes"].as_array().unwrap().len(), 2);
        assert_eq!(seen["partner_id"], who.partner_id);

        // The operator itself has just used what the route demands, and the scopes that a route
        // demands by what it is about.
        let own = world.operator_credential().client_id;
        let seen = usage(&operator, &own, |usage| {
            of(usage, "clients:read")["used"].as_u64() >= Some(2)
                && of(usage, "credentials:issue")["used"] == 1
        })
        .await;
        assert_eq!(of(&seen, "clients:read")["last_used_on"], today());
        assert_eq!(of(&seen, "keys:manage")["used"], 0);
        assert_eq!(of(&seen, "keys:manage")["last_used_on"], Value::Null);
        let unused = seen["unused"].as_array().unwrap();
        assert!(unused.contains(&json!("keys:manage")) && !unused.contains(&json!("clients:read")));

        // Whoever is turned away at the door has used nothing.
        let weak = world
            .token(
                "admin",
                &world.operator_credential(),
                &[("scope", "clients:read")],
            )
            .await;
        let refused = world.get("/admin/v1/keys", Some(&weak)).await;
        refused.expect(403);
        let before = of(&seen, "clients:read")["used"].as_u64().unwrap();
        let seen = usage(&operator, &own, |usage| {
            of(usage, "clients:read")["used"].as_u64().unwrap() > before
        })
        .await;
        assert_eq!(of(&seen, "keys:manage")["used"], 0);
    }
}

#[actix_web::test]
async fn usage_is_shown_for_as_many_days_as_are_asked_about() {
    for world in worlds().await {
        let who = world
            .sandbox_client(&["orders:create", "orders:read"])
            .await;
        count(&world, &who.client_id, 29, "orders:read", (3, 1));
        count(&world, &who.client_id, 30, "orders:read", (5, 2));
        count(&world, &who.client_id, 200, "orders:create", (7, 4));
        count(&world, &who.client_id, 200, "invoices:read", (1, 1));
        let operator = world.operator().await;
        let path = format!("/clients/{}/scope-usage", who.client_id);
        let mut told = String::new();
        for days in ["", "?days=31", "?days=365"] {
            let usage = operator.get(&format!("{path}{days}")).await.expect(200);
            told += &format!("{} days, unused {}\n", usage["days"], usage["unused"]);
            for one in usage["scopes"].as_array().unwrap() {
                told += &format!(
                    "  {} held {} asked {} used {}\n",
                    one["scope"], one["held"], one["asked"], one["used"]
                );
            }
        }
        assert_snapshot!(told, @r#"
        30 days, unused ["orders:create"]
          "invoices:read" held false asked 0 used 0
          "orders:create" held true asked 0 used 0
          "orders:read" held true asked 3 used 1
        31 days, unused ["orders:create"]
          "invoices:read" held false asked 0 used 0
          "orders:create" held true asked 0 used 0
          "orders:read" held true asked 8 used 3
        365 days, unused []
          "invoices:read" held false asked 1 used 1
          "orders:create" held true asked 7 used 4
          "orders:read" held true asked 8 used 3
        "#);
        let usage = operator.get(&path).await.expect(200);
        let day = &days_away(-200)[..10];
        assert_eq!(of(&usage, "orders:create")["last_used_on"], day);

        let mut told = String::new();
        for bad in [
            "?days=0",
            "?days=366",
            "?days=x",
            "?limit=5",
            "?scope=orders:read",
        ] {
            told += &format!(
                "{bad} {}\n",
                operator.get(&format!("{path}{bad}")).await.problem()
            );
        }
        assert_snapshot!(told, @r"
        ?days=0 400 invalid_parameter: days must be a number from 1 to 365
        ?days=366 400 invalid_parameter: days must be a number from 1 to 365
        ?days=x 400 invalid_parameter: days must be a number from 1 to 365
        ?limit=5 400 invalid_parameter: limit is not a parameter of this list
        ?scope=orders:read 400 invalid_parameter: scope is not a parameter of this list
        ");
        let nobody = "/clients/cl_sbx_01ARZ3NDEKTSV4RRFFQ69G5FAV/scope-usage";
        operator.get(nobody).await.expect(404);

        let table = world.cli(&["client", "usage", &who.client_id, "--days", "31"]);
        let row = table
            .lines()
            .find(|line| line.contains("orders:read"))
            .unwrap();
        let words: Vec<&str> = row.split_whitespace().collect();
        assert_eq!(words[..4], ["orders:read", "true", "8", "3"], "{table}");
        let json = world.cli(&["--json", "client", "usage", &who.client_id]);
        let json: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["unused"], json!(["orders:create"]));
    }
}

#[actix_web::test]
async fn a_partner_sees_what_its_client_has_used() {
    for world in worlds().await {
        let who = world
            .sandbox_client(&["orders:create", "orders:read"])
            .await;
        let other = world.sandbox_client(&["orders:read"]).await;
        let token = world.token("sandbox", &who, &[]).await;
        let me = world.get("/sandbox/v1/me", Some(&token)).await.expect(200);
        assert_eq!(me["scopes"]["used"], json!([]));

        count(&world, &who.client_id, 29, "orders:read", (1, 1));
        count(&world, &who.client_id, 28, "orders:read", (1, 1));
        count(&world, &who.client_id, 30, "orders:create", (1, 1));
        count(&world, &other.client_id, 1, "invoices:read", (1, 1));
        let me = world.get("/sandbox/v1/me", Some(&token)).await.expect(200);
        assert_eq!(me["scopes"]["used"], json!(["orders:read"]));
        assert_eq!(
            me["scopes"]["granted"],
            json!(["orders:create", "orders:read"])
        );
    }
}

#[actix_web::test]
async fn a_server_that_is_asked_to_end_writes_down_what_it_counted() {
    for mut world in worlds().await {
        let who = world.sandbox_client(&["orders:read"]).await;
        for _ in 0..5 {
            world.token("sandbox", &who, &[]).await;
        }
        assert_eq!(world.terminate(), Some(0));
        let counted = world.lines(&format!(
            "SELECT CAST(SUM(asked) AS TEXT) AS line FROM scope_usage WHERE client_id = '{}'",
            who.client_id
        ));
        assert_eq!(counted, ["5"]);
    }
}

#[actix_web::test]
async fn several_nodes_count_into_one_row_and_nothing_is_lost() {
    for world in worlds().await {
        let other = world.neighbour().await;
        let who = world
            .sandbox_client(&["orders:create", "orders:read"])
            .await;
        // For some seconds, so that both write the same rows again and again.
        for _ in 0..60 {
            tokio::join!(
                world.token("sandbox", &who, &[]),
                other.token("sandbox", &who, &[]),
                tokio::time::sleep(Duration::from_millis(50)),
            );
        }
        let operator = world.operator().await;
        let seen = usage(&operator, &who.client_id, |usage| {
            of(usage, "orders:read")["asked"] == 120
        })
        .await;
        assert_eq!(of(&seen, "orders:create")["asked"], 120);
    }
}
