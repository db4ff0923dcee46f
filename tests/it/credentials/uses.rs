//! What is known of the use of a secret.

use std::time::Duration;

use serde_json::json;

use super::{listed, rotate, verb};
use crate::support::world::worlds;

#[actix_web::test]
async fn the_first_use_is_as_durable_as_its_token() {
    for mut world in worlds().await {
        let who = world.sandbox_client(&["orders:read"]).await;
        let new = rotate(&world.operator().await, &who, json!({})).await;
        world.token("sandbox", &new, &[]).await;
        world.kill();
        world.start().await;
        let operator = world.operator().await;
        let refused = verb(&operator, &who.credential_id, "undo-rotation", json!({})).await;
        assert_eq!(refused.expect(409)["code"], "successor_used");
        assert!(listed(&operator, &new).await["first_used_at"].is_string());
    }
}

#[actix_web::test]
async fn uses_are_counted_by_all_nodes_and_written_at_the_end() {
    for mut world in worlds().await {
        let who = world.sandbox_client(&["orders:read"]).await;
        let mut other = world.neighbour().await;
        let before = chrono::Utc::now();
        for _ in 0..7 {
            world.token("sandbox", &who, &[]).await;
            other.token("sandbox", &who, &[]).await;
        }
        // Asked to end, each writes what is left.
        assert_eq!((world.terminate(), other.terminate()), (Some(0), Some(0)));
        world.start().await;
        let operator = world.operator().await;
        let row = listed(&operator, &who).await;
        assert_eq!(
            (&row["use_count"], &row["last_used_ip"]),
            (&json!(14), &json!("127.0.0.1"))
        );
        let time = |name: &str| {
            row[name]
                .as_str()
                .unwrap()
                .parse::<chrono::DateTime<chrono::Utc>>()
                .unwrap()
        };
        assert!(time("first_used_at") < time("last_used_at"));
        assert!(before < time("last_used_at") && time("last_used_at") < chrono::Utc::now());
        // And while it runs, soon.
        world.token("sandbox", &who, &[]).await;
        while listed(&operator, &who).await["use_count"] != 15 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let list = world.cli(&[
            "credential",
            "list",
            "--client",
            &who.client_id,
            "--field",
            "use_count",
        ]);
        assert_eq!(list, "15");
    }
}
