//! A database that has lost the last of what it told: what was revoked stays refused, and can be revoked.
//!
//! What a standby that took over too early does not know is taken out of the database by hand.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::world::{Answer, Engine, World, claims, worlds};

async fn me(world: &World, token: &str) -> Answer {
    world.get("/sandbox/v1/me", Some(token)).await
}

async fn until_logged(world: &World, wanted: &str) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !world.log().contains(wanted) {
        assert!(Instant::now() < deadline, "`{wanted}`: {}", world.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[actix_web::test]
async fn what_was_revoked_stays_refused_where_the_database_has_lost_it() {
    for mut world in worlds().await {
        let operator = world.operator().await;
        let (stolen, other) = (
            world.sandbox_client(&["orders:read"]).await,
            world.sandbox_client(&["orders:read"]).await,
        );
        let token = world.token("sandbox", &stolen, &[]).await;
        let number = |name: &str| {
            let value =
                format!("SELECT CAST(value AS TEXT) AS line FROM sequences WHERE name = '{name}'");
            world.lines(&value).remove(0)
        };
        let (changes, revocations) = (number("changes"), number("revocations"));
        operator.revoke(&stolen.credential_id).await.expect(200);
        assert_eq!(me(&world, &token).await.status, 401);
        // It knows of that revocation, and carries a number that is about to be given out again.
        let late = world.token("sandbox", &other, &[]).await;
        let known = claims(&late)["rsn"].as_i64().unwrap();
        assert!(known > revocations.parse().unwrap());

        for lost in [
            format!("DELETE FROM revocations WHERE seq > {revocations}"),
            format!("DELETE FROM changes WHERE seq > {changes}"),
            format!(
                "UPDATE sequences SET value = CASE name WHEN 'changes' THEN {changes} ELSE {revocations} END \
                 WHERE name IN ('changes', 'revocations')"
            ),
        ] {
            world.execute(&lost);
        }
        until_logged(&world, "the database has lost what it had told").await;
        until_logged(
            &world,
            &format!("credential {} (sandbox)", stolen.credential_id),
        )
        .await;
        until_logged(&world, "the directory hears the database again").await;
        assert_eq!(me(&world, &token).await.status, 401);
        assert_eq!(me(&world, &late).await.status, 200);

        // A number that no token carries.
        let body = json!({ "token": late });
        operator.post("/tokens/revoke", body).await.expect(200);
        assert_eq!(me(&world, &late).await.status, 401);
        let newest = world.token("sandbox", &other, &[]).await;
        assert_eq!(me(&world, &newest).await.status, 200);
        drop(operator);

        // And for who did not hear it.
        world.kill();
        world.start().await;
        let statuses = [
            me(&world, &token).await.status,
            me(&world, &late).await.status,
            me(&world, &newest).await.status,
        ];
        assert_eq!(statuses, [401, 401, 200]);
    }
}

#[actix_web::test]
async fn what_one_node_alone_had_heard_is_told_to_all() {
    for world in worlds().await {
        let other = world.neighbour().await;
        let operator = world.operator().await;
        let (stolen, more) = (
            world.sandbox_client(&["orders:read"]).await,
            world.sandbox_client(&["orders:read"]).await,
        );
        let tokens = [
            world.token("sandbox", &stolen, &[]).await,
            world.token("sandbox", &more, &[]).await,
        ];
        operator.revoke(&stolen.credential_id).await.expect(200);
        operator.revoke(&more.credential_id).await.expect(200);
        for node in [&world, &other] {
            for token in &tokens {
                let deadline = Instant::now() + Duration::from_secs(10);
                while me(node, token).await.status != 401 {
                    assert!(Instant::now() < deadline);
                }
            }
        }
        // Lost without a trace: the numbers go on, and the last of them was given out again.
        let lost = "DELETE FROM revocations";
        world.execute(lost);
        // At once: a node that looked in between would see that numbers went on, and not what is gone.
        world.execute(
            "UPDATE sequences SET value = (SELECT value + 5 FROM sequences WHERE name = 'changes') \
             WHERE name IN ('changes', 'changes_purged')",
        );
        for node in [&world, &other] {
            until_logged(node, "the directory hears the database again").await;
        }
        until_in(&world, &[&stolen.credential_id, &more.credential_id]).await;
        let fresh = world.neighbour().await;
        for node in [&world, &other, &fresh] {
            for token in &tokens {
                assert_eq!(me(node, token).await.status, 401);
            }
        }
        drop(operator);
    }
}

/// Waits until these credentials' revocations are on record, each once.
async fn until_in(world: &World, wanted: &[&String]) {
    let mut wanted: Vec<&str> = wanted.iter().map(|id| id.as_str()).collect();
    wanted.sort_unstable();
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let there = world.lines("SELECT id AS line FROM revocations ORDER BY id");
        if there == wanted {
            return;
        }
        assert!(Instant::now() < deadline, "{there:?}: {}", world.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[actix_web::test]
async fn a_lease_that_ends_when_none_can_is_nobodys() {
    for mut world in worlds().await {
        assert_eq!(world.terminate(), Some(0));
        let far = "2099-01-01 00:00:00";
        world.execute(&format!(
            "UPDATE leases SET holder = 'a node that is gone', expires_at = '{far}'"
        ));
        world.start().await;
        // Something that wants a place in the tree.
        world.sandbox_client(&["orders:read"]).await;
        let waiting = "SELECT CAST(count(*) AS TEXT) AS line FROM leases WHERE expires_at >= '2098-01-01 00:00:00'";
        let deadline = Instant::now() + Duration::from_secs(20);
        while world.lines(waiting) != ["0"] {
            assert!(Instant::now() < deadline, "{}", world.log());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

#[actix_web::test]
async fn a_node_that_cannot_hear_of_its_own_revocation_lets_nobody_in() {
    for world in worlds().await {
        if world.engine != Engine::Postgres {
            // The one file is read by whoever writes it.
            continue;
        }
        let operator = world.operator().await;
        let who = world.sandbox_client(&["orders:read"]).await;
        let token = world.token("sandbox", &who, &[]).await;
        assert_eq!(me(&world, &token).await.status, 200);
        let held = world.hold("LOCK TABLE changes IN ACCESS EXCLUSIVE MODE", 6);
        tokio::time::sleep(Duration::from_millis(500)).await;
        let body = json!({ "token": token });
        operator.post("/tokens/revoke", body).await.expect(200);
        for _ in 0..20 {
            let status = me(&world, &token).await.status;
            assert!([401, 503].contains(&status), "{status}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        held.join().unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        while me(&world, &token).await.status != 401 {
            assert!(Instant::now() < deadline, "{}", world.log());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert!(world.log().contains("answers 503 until it has"));
    }
}

#[actix_web::test]
async fn a_node_whose_own_revocation_is_lost_serves_on_and_says_so() {
    for world in worlds().await {
        if world.engine != Engine::Postgres {
            continue;
        }
        let operator = world.operator().await;
        let who = world.sandbox_client(&["orders:read"]).await;
        let token = world.token("sandbox", &who, &[]).await;
        let held = world.hold("LOCK TABLE changes IN ACCESS EXCLUSIVE MODE", 6);
        tokio::time::sleep(Duration::from_millis(500)).await;
        let body = json!({ "token": token });
        operator.post("/tokens/revoke", body).await.expect(200);
        assert_eq!(me(&world, &token).await.status, 503);
        // A standby takes over that never had it.
        world.execute("DELETE FROM revocations");
        held.join().unwrap();
        until_logged(&world, "the database has lost revocation").await;
        assert_eq!(operator.get("/partners").await.status, 200);
    }
}
