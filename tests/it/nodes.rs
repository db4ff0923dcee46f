//! Several servers on one database: what one changes, all know.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::proxy::Proxy;
use crate::support::world::{Engine, World, postgres, worlds};

/// How soon a change must count everywhere.
const SOON: Duration = Duration::from_secs(1);

/// Asks until the answer has this status; how long that took.
async fn until(status: u16, ask: impl AsyncFnMut() -> u16) -> Duration {
    until_by(Duration::from_millis(5), status, ask).await
}

/// The same, asking not so often: who fails ten times within a moment, from where it never was right, has to wait.
async fn until_by(pause: Duration, status: u16, mut ask: impl AsyncFnMut() -> u16) -> Duration {
    let started = Instant::now();
    loop {
        let answered = ask().await;
        if answered == status {
            return started.elapsed();
        }
        assert!(
            started.elapsed() < 10 * SOON,
            "still {answered}, not {status}"
        );
        tokio::time::sleep(pause).await;
    }
}

#[actix_web::test]
async fn what_one_node_changes_counts_on_the_other_within_a_second() {
    for world in worlds().await {
        let other = world.neighbour().await;
        let who = world.sandbox_client(&["orders:read"]).await;
        // The other holds the client in memory from now on.
        let token = other.token("sandbox", &who, &[]).await;
        world.get("/sandbox/v1/me", Some(&token)).await.expect(200);

        let operator = world.operator().await;
        let second = operator.issue(&who.client_id).await;
        let took = until(200, async || {
            other.token_answer("sandbox", &second, &[]).await.status
        })
        .await;
        assert!(took < SOON, "a new secret took {took:?}");

        operator.revoke(&who.credential_id).await.expect(200);
        let took = until(401, async || {
            other.token_answer("sandbox", &who, &[]).await.status
        })
        .await;
        assert!(took < SOON, "a revoked credential took {took:?}");

        // The other remembers that nobody has this audience; then somebody does.
        let audience = "https://stock.acme.example";
        let asked = [("resource", audience), ("scope", "stock:read")];
        let refused = other.token_answer("sandbox", &second, &asked).await;
        assert_eq!(
            (refused.status, &refused.json()["error"]),
            (400, &json!("invalid_target"))
        );
        operator
            .resource_server("sandbox", audience, &["stock:read"], "RS256")
            .await;
        operator
            .sandbox_grant(&who.partner_id, "stock:read", Some(audience))
            .await;
        let body = json!({ "realm": "sandbox", "name": "stock", "scopes": ["stock:read"] });
        let stock = operator.client_with(&who.partner_id, body).await;
        let took = until(200, async || {
            other.token_answer("sandbox", &stock, &asked).await.status
        })
        .await;
        assert!(took < SOON, "a new audience with a new key took {took:?}");
    }
}

#[actix_web::test]
async fn a_change_counts_on_its_own_node_before_it_is_answered() {
    for world in worlds().await {
        let operator = world.operator().await;
        let who = world.sandbox_client(&["orders:read"]).await;
        for _ in 0..40 {
            let fresh = operator.issue(&who.client_id).await;
            assert_eq!(world.token_answer("sandbox", &fresh, &[]).await.status, 200);
            operator.revoke(&fresh.credential_id).await.expect(200);
            let refused = world.token_answer("sandbox", &fresh, &[]).await.status;
            // The tenth dead secret in a row is one too many; good ones pass from where they passed before.
            assert!(matches!(refused, 401 | 429), "{refused}");
        }
    }
}

#[actix_web::test]
async fn an_unknown_client_that_is_made_later_is_known_then() {
    for world in worlds().await {
        let who = world.sandbox_client(&["orders:read"]).await;
        // A client of that id was never seen: guess one, many times.
        let mut ghost = who.clone();
        ghost.client_id = who
            .client_id
            .chars()
            .rev()
            .skip(1)
            .collect::<String>()
            .chars()
            .rev()
            .collect();
        ghost.client_id.push(if who.client_id.ends_with('0') {
            '1'
        } else {
            '0'
        });
        for _ in 0..3 {
            assert_eq!(world.token_answer("sandbox", &ghost, &[]).await.status, 401);
        }
        // It comes into the database as another node would bring it.
        world.execute(&format!(
            "INSERT INTO clients (id, realm, kind, partner_id, resource_server_id, name, state, scopes, \
             created_by, created_at, updated_at) SELECT '{}', realm, kind, partner_id, resource_server_id, name, \
             state, scopes, created_by, created_at, updated_at FROM clients WHERE id = '{}'",
            ghost.client_id, who.client_id
        ));
        world.execute(&format!(
            "UPDATE credentials SET client_id = '{}' WHERE id = '{}'",
            ghost.client_id, who.credential_id
        ));
        // The row first: a node that looks in between must not find the number without it.
        world.execute(&format!(
            "INSERT INTO changes SELECT value + 1, 'client', '{}', '2030-01-01 00:00:00' FROM sequences WHERE name = 'changes'",
            ghost.client_id
        ));
        world.execute("UPDATE sequences SET value = value + 1 WHERE name = 'changes'");
        let took = until_by(SOON / 6, 200, async || {
            world.token_answer("sandbox", &ghost, &[]).await.status
        })
        .await;
        assert!(took < SOON, "{took:?}");
    }
}

#[actix_web::test]
async fn a_node_that_hears_nothing_stops_trusting_its_memory_and_comes_back_by_itself() {
    let database = postgres();
    let (rest, name) = database.rsplit_once('/').unwrap();
    let (user, host) = rest
        .trim_start_matches("postgres://")
        .split_once('@')
        .unwrap();
    let proxy = Proxy::to(host);

    let world = World::prepare(Engine::Postgres, &[]);
    let bootstrapped = world.run(&["operator", "bootstrap"]);
    assert!(bootstrapped.status.success());
    let through = world.database_url().replacen(
        &database,
        &format!("postgres://{user}@{}/{name}", proxy.address),
        1,
    );
    let far = world
        .neighbour_with(&[("ONYX_DATABASE_URL", &through), ("ONYX_MAX_STALENESS", "2")])
        .await;
    let near = world.neighbour().await;
    let who = near.sandbox_client(&["orders:read"]).await;
    far.token("sandbox", &who, &[]).await;

    proxy.hold();
    let ready = || async {
        far.http
            .get(format!("{}/readyz", far.ops))
            .send()
            .await
            .unwrap()
            .status()
            .as_u16()
    };
    until(503, async || {
        far.token_answer("sandbox", &who, &[]).await.status
    })
    .await;
    until(503, async || ready().await).await;
    // Meanwhile the credential is revoked where the database can be heard.
    near.operator()
        .await
        .revoke(&who.credential_id)
        .await
        .expect(200);
    for _ in 0..20 {
        assert_eq!(far.token_answer("sandbox", &who, &[]).await.status, 503);
    }

    proxy.release();
    let back = until(401, async || {
        let status = far.token_answer("sandbox", &who, &[]).await.status;
        assert!(
            status == 503 || status == 401,
            "a token from stale memory: {status}"
        );
        status
    });
    back.await;
    until(200, async || ready().await).await;
}

/// A token says which revocations it knows of: those before the change that lets its client live again are among them.
#[actix_web::test]
async fn who_is_suspended_at_one_node_and_resumed_at_another_gets_tokens_that_live() {
    for world in worlds().await {
        let other = world.neighbour().await;
        let who = world.sandbox_client(&["orders:read"]).await;
        let (here, there) = (world.operator().await, other.operator().await);
        let step = |verb: &str| format!("/clients/{}/{verb}", who.client_id);
        let reason = json!({ "reason": "a drill" });
        for round in 0..25 {
            here.post(&step("suspend"), reason.clone())
                .await
                .expect(200);
            there
                .post(&step("resume"), reason.clone())
                .await
                .expect(200);
            let token = other.token("sandbox", &who, &[]).await;
            // It lives for as long as it says: also when both have heard of everything.
            tokio::time::sleep(Duration::from_millis(100)).await;
            for node in [&world, &other] {
                let me = node.get("/sandbox/v1/me", Some(&token)).await;
                assert_eq!(me.status, 200, "round {round}: {}", me.text);
            }
        }
    }
}

/// What a frozen node holds, PostgreSQL takes back: nobody can be revoked as long as it holds the counter of changes.
#[actix_web::test]
async fn a_node_that_freezes_within_a_change_holds_nobody_up_for_long() {
    const HELD: &str = "SELECT a.pid AS line FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid \
        WHERE l.relation = 'sequences'::regclass AND l.mode = 'RowExclusiveLock' AND l.granted \
        AND a.state = 'idle in transaction'";
    let world = World::prepare(Engine::Postgres, &[]);
    assert!(world.run(&["operator", "bootstrap"]).status.success());
    let near = world.neighbour().await;
    let frozen = world.neighbour().await;
    let who = near.sandbox_client(&["orders:read"]).await;
    let (operator, token) = (
        near.operator().await,
        near.token("sandbox", &who, &[]).await,
    );

    let (stop, over) = std::sync::mpsc::channel::<()>();
    let (url, bearer) = (
        format!("{}/admin/v1/partners", frozen.base),
        operator.token.clone(),
    );
    let load = std::thread::spawn(move || {
        actix_web::rt::System::new().block_on(async {
            let http = reqwest::Client::new();
            let body = json!({ "name": "Acme", "legal_name": "Acme Ltd", "security_contact": "sec@acme.example" });
            while over.try_recv().is_err() {
                let change = || http.post(&url).bearer_auth(&bearer).json(&body).send();
                let _ = tokio::join!(change(), change(), change(), change());
            }
        });
    });
    loop {
        frozen.signal("STOP");
        // What it had asked for is answered to it meanwhile.
        tokio::time::sleep(Duration::from_millis(200)).await;
        if !near.lines(HELD).is_empty() {
            break;
        }
        frozen.signal("CONT");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // Each try waits for four seconds.
    let mut tries = 0;
    while operator.revoke(&who.credential_id).await.status != 200 {
        tries += 1;
        assert!(tries < 5, "nobody can be revoked");
    }
    until(401, async || {
        near.get("/sandbox/v1/me", Some(&token)).await.status
    })
    .await;
    frozen.signal("CONT");
    stop.send(()).unwrap();
    load.join().unwrap();
}
