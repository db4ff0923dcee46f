//! Clocks that are wrong by minutes: revocations count in their order, whatever the time is.
//!
//! The server's process is given another time of day by libfaketime, which stands between it and
//! the system's clock; nothing in the server knows of it.

use std::time::{Duration, Instant};

use onyx_verifier::Staleness;
use serde_json::json;

use crate::support::mesh::{AUDIENCE, Mesh, revoked, says, stock_token, until};
use crate::support::receiver::LOOPBACK;
use crate::support::shop::{order, package};
use crate::support::world::{Credential, Engine, Operator, World, claims, days_away, worlds_with};

/// Where Debian puts libfaketime, whatever the architecture.
fn libfaketime() -> String {
    let found = std::fs::read_dir("/usr/lib").unwrap().find_map(|folder| {
        let library = folder.ok()?.path().join("faketime/libfaketime.so.1");
        library.exists().then(|| library.display().to_string())
    });
    found.expect("libfaketime: install faketime")
}

/// A node whose clock is this many seconds off.
async fn node_off_by(world: &World, seconds: i64) -> World {
    let node = world
        .neighbour_with(&[
            ("LD_PRELOAD", &libfaketime()),
            ("FAKETIME", &format!("{seconds:+}s")),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ])
        .await;
    let operator = node.operator().await;
    let off = claims(&operator.token)["iat"].as_i64().unwrap() - chrono::Utc::now().timestamp();
    assert!((off - seconds).abs() < 30, "its clock is {off} s off");
    drop(operator);
    node
}

#[actix_web::test]
async fn a_node_whose_clock_is_ahead_takes_no_endpoint_that_another_holds() {
    for world in worlds_with(&[LOOPBACK]).await {
        if world.engine == Engine::Postgres {
            holds_its_own(&world).await;
        }
    }
}

async fn holds_its_own(world: &World) {
    let one = world.subscriber().await;
    world.tell(&one.who.partner_id, 3);
    one.wait_for(1..=3).await;
    let owner = "SELECT lease_owner AS line FROM webhook_endpoints";
    let holder = world.lines(owner);
    let ahead = node_off_by(world, 300).await;
    // It has looked at what is free, again and again.
    let other = format!(
        "SELECT CAST(alive_until AS TEXT) AS line FROM webhook_workers WHERE node <> '{}'",
        holder[0]
    );
    for _ in 0..3 {
        let before = world.lines(&other);
        let deadline = Instant::now() + Duration::from_secs(30);
        while world.lines(&other) == before {
            assert!(Instant::now() < deadline, "it never claims: {before:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    assert_eq!(world.lines(owner), holder);
    world.tell(&one.who.partner_id, 3);
    one.wait_for(4..=6).await;
    // Each once; several are on their way at a time.
    let mut came = one.came();
    came.sort_unstable();
    assert_eq!(came, [1, 2, 3, 4, 5, 6]);
    assert_eq!(world.lines(owner), holder);
    drop(ahead);
}

/// A client whose tokens live for a quarter of an hour, so that clocks that are five minutes off let them.
async fn long_lived(operator: &Operator<'_>) -> (Credential, Credential) {
    let partner = operator.partner().await;
    operator
        .sandbox_grant(&partner, "stock:read", Some(AUDIENCE))
        .await;
    let body = json!({ "realm": "sandbox", "name": "backend", "scopes": ["stock:read"], "token_ttl": 900 });
    let first = operator.client_with(&partner, body).await;
    let second = operator.issue(&first.client_id).await;
    (first, second)
}

async fn step(operator: &Operator<'_>, who: &Credential, verb: &str) {
    let path = format!("/clients/{}/{verb}", who.client_id);
    let done = operator.post(&path, json!({ "reason": "a drill" })).await;
    done.expect(200);
}

/// Waits until everybody at this node says so of the token.
async fn until_said(node: &World, service: &Credential, token: &str, accepted: bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let said = says(node, service, token).await;
        if said.iter().all(|(_, said)| *said == accepted) {
            return;
        }
        assert!(Instant::now() < deadline, "{said:?}: {}", claims(token));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A token from a node as soon as it gives one.
async fn soon(node: &World, who: &Credential) -> String {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let asked = [("resource", AUDIENCE)];
        let answer = node.token_answer("sandbox", who, &asked).await;
        if answer.status == 200 {
            return answer.json()["access_token"].as_str().unwrap().to_owned();
        }
        assert!(Instant::now() < deadline, "{answer:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Signing keys are as old as in a house that has run for a while: a clock that is behind knows them too.
fn age_keys(world: &World) {
    let yesterday = days_away(-1);
    for column in ["published_at", "signs_from"] {
        world.execute(&format!("UPDATE signing_keys SET {column} = '{yesterday}'"));
    }
}

#[actix_web::test]
async fn a_node_whose_clock_is_wrong_by_minutes_revokes_and_obeys_in_order_all_the_same() {
    for mesh in Mesh::each().await {
        let right = &mesh.nodes[0];
        age_keys(right);
        let follower = mesh.follower(right, AUDIENCE, Staleness::Strict).await;
        for off in [-300, 300] {
            let wrong = &node_off_by(right, off).await;
            let (ours, theirs) = (right.operator().await, wrong.operator().await);
            let (who, second) = long_lived(&ours).await;
            let token = stock_token(right, &who).await;
            let spared = stock_token(right, &second).await;
            until(&follower, &token, &Ok(())).await;

            // Revoked by the wrong clock: minutes before the token was issued, or minutes later.
            let done = theirs.revoke(&who.credential_id).await;
            done.expect(200);
            until(&follower, &token, &revoked()).await;
            until_said(right, &mesh.service, &token, false).await;
            until(&follower, &spared, &Ok(())).await;
            let seconds = chrono::Utc::now().timestamp();
            let feed = right.token("sandbox", &mesh.service, &[]).await;
            let page = right
                .get("/sandbox/oauth2/revocations", Some(&feed))
                .await
                .expect(200);
            let entry = page["entries"].as_array().unwrap().last().unwrap().clone();
            let noted = entry["revoked_at"].as_i64().unwrap() - seconds;
            assert!((noted - off).abs() < 60, "{entry}");

            // A token that the wrong node gave dies by what the right one does, at both, though its
            // `iat` may be minutes after that.
            let given = soon(wrong, &second).await;
            until_said(wrong, &mesh.service, &given, true).await;
            step(&ours, &second, "suspend").await;
            until_said(wrong, &mesh.service, &given, false).await;
            until_said(right, &mesh.service, &given, false).await;
            // One that it gives after the resume lives, though its `iat` may be minutes before.
            step(&ours, &second, "resume").await;
            let again = soon(wrong, &second).await;
            until_said(wrong, &mesh.service, &again, true).await;
            if off < 0 {
                until_said(right, &mesh.service, &again, true).await;
                until(&follower, &again, &Ok(())).await;
            }

            // The same by the wrong node's hand. The right one must have heard of it before it is asked
            // for a token: what it gives out before that is dead on arrival.
            let before = soon(right, &second).await;
            until_said(right, &mesh.service, &before, true).await;
            step(&theirs, &second, "suspend").await;
            until_said(right, &mesh.service, &before, false).await;
            until(&follower, &before, &revoked()).await;
            step(&theirs, &second, "resume").await;
            let fresh = soon(right, &second).await;
            until_said(right, &mesh.service, &fresh, true).await;
            until(&follower, &fresh, &Ok(())).await;
            for dead in [&given, &again, &token, &spared, &before] {
                until_said(wrong, &mesh.service, dead, false).await;
                until_said(right, &mesh.service, dead, false).await;
            }
        }
    }
}

#[actix_web::test]
async fn a_service_that_turns_from_a_node_with_a_wrong_clock_to_one_with_another_goes_on_hearing() {
    for mesh in Mesh::each().await {
        let right = &mesh.nodes[0];
        age_keys(right);
        let (who, second) = long_lived(&right.operator().await).await;
        let good = stock_token(right, &who).await;
        let doomed = stock_token(right, &second).await;
        for off in [300, -300] {
            let mut wrong = node_off_by(right, off).await;
            let strict = mesh.follower(&wrong, AUDIENCE, Staleness::Strict).await;
            until(&strict, &good, &Ok(())).await;
            wrong.kill();
            drop(wrong);
            // Long enough for all that it heard of the first to be too old.
            tokio::time::sleep(Duration::from_secs(12)).await;
            until(&strict, &good, &Ok(())).await;
            assert!(strict.news_age().unwrap() < Duration::from_secs(12));
            if off < 0 {
                let operator = right.operator().await;
                operator.revoke(&second.credential_id).await.expect(200);
                until(&strict, &doomed, &revoked()).await;
            }
        }
    }
}

#[actix_web::test]
async fn a_node_whose_clock_is_a_day_ahead_forgets_no_revocation() {
    for world in worlds_with(&[]).await {
        if world.engine == Engine::Sqlite {
            // One machine, and one clock.
            continue;
        }
        let operator = world.operator().await;
        let who = world.sandbox_client(&["orders:read"]).await;
        operator.revoke(&who.credential_id).await.expect(200);
        let held = || world.lines("SELECT id AS line FROM revocations");
        assert_eq!(held(), [who.credential_id.as_str()]);
        let ahead = node_off_by(&world, 86_400).await;
        let deadline = Instant::now() + Duration::from_secs(20);
        while !ahead.log().contains("s ahead of the database's") {
            assert!(Instant::now() < deadline, "{}", ahead.log());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        // It has swept once by then, or does while it ends.
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(!ahead.log().contains("forgot"), "{}", ahead.log());
        drop(ahead);
        assert_eq!(held(), [who.credential_id.as_str()]);
    }
}

#[actix_web::test]
async fn a_token_is_revoked_at_a_node_to_which_it_is_not_valid_yet_or_over() {
    for world in worlds_with(&[]).await {
        age_keys(&world);
        let who = world.sandbox_client(&["orders:read"]).await;
        // To the one it begins in five minutes, to the other it ended ten seconds ago.
        for off in [-300, 310] {
            let wrong = node_off_by(&world, off).await;
            for by_operator in [false, true] {
                let token = world.token("sandbox", &who, &[]).await;
                world.get("/sandbox/v1/me", Some(&token)).await.expect(200);
                if by_operator {
                    let revoked = wrong.operator().await;
                    let revoked = revoked
                        .post("/tokens/revoke", json!({ "token": token }))
                        .await;
                    assert_eq!(revoked.expect(200)["revoked"], true);
                } else {
                    let request = wrong
                        .request(reqwest::Method::POST, "/sandbox/oauth2/revoke")
                        .basic_auth(&who.client_id, Some(&who.secret))
                        .form(&[("token", &token)]);
                    assert_eq!(request.send().await.unwrap().status(), 200);
                }
                let deadline = Instant::now() + Duration::from_secs(20);
                while world.get("/sandbox/v1/me", Some(&token)).await.status != 401 {
                    assert!(Instant::now() < deadline, "{off}: it lives");
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
        }
    }
}

#[actix_web::test]
async fn a_worker_whose_clock_is_far_ahead_ends_nothing_that_lives() {
    for world in worlds_with(&[]).await {
        if world.engine == Engine::Sqlite {
            // One machine, and one clock.
            continue;
        }
        let who = world.sandbox_client(&["orders:read"]).await;
        let operator = world.operator().await;
        let body = json!({ "kind": "secret", "deliver": "link" });
        let path = format!("/clients/{}/credentials", who.client_id);
        operator.post(&path, body).await.expect(201);
        let standing = || {
            let grants = "SELECT state || ' ' || scope AS line FROM scope_grants ORDER BY id";
            let credentials = "SELECT state || ' ' || id AS line FROM credentials ORDER BY id";
            let keys = "SELECT kid AS line FROM signing_keys ORDER BY kid";
            [grants, credentials, keys].map(|query| world.lines(query))
        };
        let before = standing();
        assert!(before.iter().all(|lines| !lines.is_empty()), "{before:?}");
        // Later than every grant's end, every link's and every key's age.
        let ahead = node_off_by(&world, 500 * 86_400).await;
        // It has looked for each of them by then: links are looked for every five seconds.
        tokio::time::sleep(Duration::from_secs(8)).await;
        assert!(
            !ahead.log().contains("have come to their end"),
            "{}",
            ahead.log()
        );
        drop(ahead);
        assert_eq!(standing(), before);
        world.token("sandbox", &who, &[]).await;
    }
}

#[actix_web::test]
async fn an_answer_is_kept_also_at_a_node_whose_clock_is_days_ahead() {
    for world in worlds_with(&[]).await {
        if world.engine == Engine::Sqlite {
            // One machine, and one clock.
            continue;
        }
        let package = world.operator().await.published(package()).await;
        let who = world.sandbox_client(&["orders:create"]).await;
        let here = world.shopper_as("sandbox", who.clone()).await;
        let body = order(&package, 1, "PO-1");
        let placed = here.order_under("\"k\"", &body).await;
        placed.expect(201);
        let ahead = node_off_by(&world, 3 * 86_400).await;
        let there = ahead.shopper_as("sandbox", who).await;
        let again = there.order_under("\"k\"", &body).await;
        assert_eq!((again.status, &again.text), (201, &placed.text));
        assert_eq!(again.header("idempotent-replayed"), "true");
    }
}
