//! Warnings before an end: the nearest, once, whoever looks.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::world::{World, days_away, worlds};

/// The warnings that partners were given.
fn told(world: &World) -> Vec<(String, Value)> {
    let query = "SELECT kind || ' ' || data AS line FROM events \
                 WHERE kind LIKE '%expiring' ORDER BY partner_id, realm, seq";
    let parted = |line: String| {
        let (kind, data) = line.split_once(' ').unwrap();
        (kind.to_owned(), serde_json::from_str(data).unwrap())
    };
    world.lines(query).into_iter().map(parted).collect()
}

/// How many warnings are on record as given.
fn marks(world: &World) -> usize {
    world
        .lines("SELECT subject AS line FROM expiry_warnings")
        .len()
}

async fn until_marks(world: &World, wanted: usize) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while marks(world) < wanted {
        assert!(Instant::now() < deadline, "{} of {wanted}", marks(world));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Starts both nodes at once: each looks as soon as it runs.
async fn run_both(world: &mut World, other: &mut World) {
    tokio::join!(world.start(), other.start());
}

/// Every credential of a client but the operators' ends so many hours from now.
fn credentials_end_in(world: &World, hours: i64) {
    let end = chrono::Utc::now() + chrono::TimeDelta::hours(hours);
    world.execute(&format!(
        "UPDATE credentials SET expires_at = '{}' WHERE client_id NOT LIKE 'cl_adm%'",
        end.format("%Y-%m-%d %H:%M:%S")
    ));
}

#[actix_web::test]
async fn each_warning_is_given_once_whichever_node_looks() {
    for mut world in worlds().await {
        let mut other = world.neighbour().await;
        let who = world.sandbox_client(&["orders:read"]).await;
        let operator = world.operator().await;
        let mut credentials = vec![who.credential_id.clone()];
        for _ in 0..9 {
            let more = operator
                .client(&who.partner_id, "sandbox", &["orders:read"])
                .await;
            credentials.push(more.credential_id);
        }
        drop(operator);
        // The grant's own warnings are another story.
        world.execute(&format!(
            "UPDATE scope_grants SET expires_at = '{}'",
            days_away(300)
        ));

        for (round, (hours, days)) in [(29 * 24 + 1, 30), (6 * 24 + 1, 7), (23, 1)]
            .into_iter()
            .enumerate()
        {
            world.terminate();
            other.terminate();
            credentials_end_in(&world, hours);
            run_both(&mut world, &mut other).await;
            until_marks(&world, 10 * (round + 1)).await;
            let told = told(&world);
            assert_eq!(told.len(), 10 * (round + 1), "{told:#?}");
            for id in &credentials {
                let mut of_this = told
                    .iter()
                    .filter(|(_, data)| data["credential_id"] == **id);
                let (kind, data) = of_this.next_back().unwrap();
                assert_eq!(
                    (kind.as_str(), &data["days_left"]),
                    ("credential.expiring", &json!(days))
                );
                assert!(data["client_id"].as_str().unwrap().starts_with("cl_sbx_"));
                assert!(data["expires_at"].as_str().unwrap().ends_with('Z'));
            }
        }
        // A second look, and a third: nothing more is said.
        world.terminate();
        other.terminate();
        run_both(&mut world, &mut other).await;
        let fresh = world.sandbox_client(&["orders:read"]).await;
        world.terminate();
        other.terminate();
        world.execute(&format!(
            "UPDATE credentials SET expires_at = '{}' WHERE id = '{}'",
            days_away(20),
            fresh.credential_id
        ));
        world.execute("DELETE FROM expiry_warnings WHERE subject LIKE 'grt_%'");
        run_both(&mut world, &mut other).await;
        until_marks(&world, 31).await;
        let told = told(&world);
        let of_credentials = told
            .iter()
            .filter(|(kind, _)| kind == "credential.expiring");
        assert_eq!(of_credentials.count(), 31, "{told:#?}");
    }
}

#[actix_web::test]
async fn of_warnings_that_were_missed_only_the_nearest_is_given() {
    for mut world in worlds().await {
        let who = world.sandbox_client(&["orders:read"]).await;
        world.terminate();
        world.execute(&format!(
            "UPDATE scope_grants SET expires_at = '{}'",
            days_away(300)
        ));
        credentials_end_in(&world, 20);
        world.start().await;
        until_marks(&world, 1).await;
        let told = told(&world);
        assert_eq!(told.len(), 1, "{told:#?}");
        assert_eq!(told[0].1["credential_id"], who.credential_id);
        assert_eq!(told[0].1["days_left"], 1);
    }
}

#[actix_web::test]
async fn a_grant_that_ends_is_told_of_unless_another_follows_it() {
    for mut world in worlds().await {
        let operator = world.operator().await;
        let partner = operator.partner().await;
        let lasts = |days: u64| Duration::from_secs(days * 24 * 3600);
        let mut ids = Vec::new();
        for (scope, days) in [
            ("orders:read", 5),
            ("orders:create", 5),
            ("orders:create", 200),
            ("invoices:read", 200),
        ] {
            let grant = operator
                .request_grant_until(&partner, "sandbox", scope, None, lasts(days))
                .await
                .expect(201);
            ids.push(grant["id"].as_str().unwrap().to_owned());
        }
        // Of a grant that is not approved nobody is told.
        operator
            .request_grant_until(&partner, "live", "orders:read", None, lasts(5))
            .await
            .expect(201);
        drop(operator);
        world.terminate();
        world.start().await;
        until_marks(&world, 1).await;
        let told = told(&world);
        assert_eq!(told.len(), 1, "{told:#?}");
        let (kind, data) = &told[0];
        assert_eq!(kind, "scope_grant.expiring");
        assert_eq!(data["grant_id"], ids[0]);
        assert_eq!(data["scope"], "orders:read");
        assert_eq!(data["days_left"], 5);
        assert_eq!(marks(&world), 1);
    }
}

#[actix_web::test]
async fn nobody_is_warned_of_what_is_over_already_and_the_log_warns_of_operators() {
    for mut world in worlds().await {
        let operator = world.operator().await;
        let revoked = world.sandbox_client(&["orders:read"]).await;
        operator.revoke(&revoked.credential_id).await.expect(200);
        let rotated = operator
            .client(&revoked.partner_id, "sandbox", &["orders:read"])
            .await;
        let expired = operator
            .client(&revoked.partner_id, "sandbox", &["orders:read"])
            .await;
        let seen = operator
            .client(&revoked.partner_id, "sandbox", &["orders:read"])
            .await;
        drop(operator);
        world.terminate();
        world.execute(&format!(
            "UPDATE scope_grants SET expires_at = '{}'",
            days_away(300)
        ));
        world.execute(&format!(
            "UPDATE credentials SET expires_at = '{}'",
            days_away(3)
        ));
        world.execute(&format!(
            "UPDATE credentials SET state = 'rotated', accepts_until = '{}' WHERE id = '{}'",
            days_away(1),
            rotated.credential_id
        ));
        world.execute(&format!(
            "UPDATE credentials SET expires_at = '{}' WHERE id = '{}'",
            days_away(-1),
            expired.credential_id
        ));
        world.start().await;
        // The operator's own, and the one that is in use.
        until_marks(&world, 2).await;
        let told = told(&world);
        assert_eq!(told.len(), 1, "{told:#?}");
        assert_eq!(told[0].1["credential_id"], seen.credential_id);
        let operator = world.operator_credential().client_id;
        let log = world.log();
        let warned = log.lines().find(|line| line.contains("expires in 3 days"));
        assert!(
            warned.is_some_and(|line| line.contains(&operator) && line.contains("WARN")),
            "{log}"
        );
        assert_eq!(marks(&world), 2);
    }
}

#[actix_web::test]
async fn what_is_replaced_is_told_of_in_its_last_hours_while_nobody_uses_its_successor() {
    for mut world in worlds().await {
        let operator = world.operator().await;
        let first = world.sandbox_client(&["orders:read"]).await;
        let mut all = vec![first.clone()];
        for _ in 0..4 {
            all.push(
                operator
                    .client(&first.partner_id, "sandbox", &["orders:read"])
                    .await,
            );
        }
        let mut successors = Vec::new();
        for client in &all {
            let rotated = operator
                .post(
                    &format!("/credentials/{}/rotate", client.credential_id),
                    json!({}),
                )
                .await
                .expect(201);
            successors.push(rotated["id"].as_str().unwrap().to_owned());
        }
        // The grants' own warnings are another story.
        world.execute(&format!(
            "UPDATE scope_grants SET expires_at = '{}'",
            days_away(300)
        ));
        // Whose successor is revoked has none; the link to it was not opened in time.
        operator.revoke(&successors[1]).await.expect(200);
        drop(operator);
        world.terminate();
        let hours = |hours: i64| {
            let moment = chrono::Utc::now() + chrono::TimeDelta::hours(hours);
            moment.format("%Y-%m-%d %H:%M:%S").to_string()
        };
        world.execute(&format!(
            "UPDATE credentials SET accepts_until = '{}' WHERE state = 'rotated'",
            hours(5)
        ));
        world.execute(&format!(
            "UPDATE credentials SET created_at = '{}'",
            hours(-19)
        ));
        let set = |what: &str, id: &str| {
            world.execute(&format!("UPDATE credentials SET {what} WHERE id = '{id}'"));
        };
        set(&format!("first_used_at = '{}'", hours(-1)), &successors[2]);
        set(&format!("created_at = '{}'", hours(0)), &successors[3]);
        let later = format!("accepts_until = '{}'", hours(7));
        set(&later, &all[4].credential_id);
        for _ in 0..2 {
            world.start().await;
            until_marks(&world, 2).await;
            let told = told(&world);
            let mut ids: Vec<_> = told
                .iter()
                .map(|(_, data)| &data["credential_id"])
                .collect();
            ids.sort_by_key(|id| id.to_string());
            let mut wanted = [&all[0].credential_id, &all[1].credential_id];
            wanted.sort();
            assert_eq!(ids, wanted, "{told:#?}");
            assert!(
                told.iter().all(|(kind, data)| {
                    kind == "credential.expiring" && data["days_left"] == 1
                })
            );
            let log = world.log();
            let warned = log
                .lines()
                .find(|line| line.contains("nobody uses its successor"));
            assert!(
                warned.is_some_and(|line| line.contains("within 5 hours") && line.contains("WARN")),
                "{log}"
            );
            world.terminate();
        }
    }
}
