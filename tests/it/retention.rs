//! What is kept long enough goes, in small batches, and is put on record.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::world::{Engine, World, days_away, worlds, worlds_with};

/// So many rows of old records, a moment apart.
fn old_rows(world: &World, table: &str, columns: &str, values: &str, count: u32) {
    let at = match world.engine {
        Engine::Sqlite => "printf('2025-01-01 %02d:%02d:%02d', i / 3600, i / 60 % 60, i % 60)",
        Engine::Postgres => "(timestamp '2025-01-01 00:00:00' + i * interval '1 second')",
    };
    // With the space before it: an id may have these letters too.
    let values = format!(" {values}").replace(" AT", &format!(" {at}"));
    world.execute(&format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count}) \
         INSERT INTO {table} ({columns}) SELECT {values} FROM n"
    ));
}

fn count(world: &World, table: &str) -> usize {
    let query = format!("SELECT CAST(COUNT(*) AS TEXT) AS line FROM {table}");
    world.lines(&query)[0].parse().unwrap()
}

/// What runs said that they took away, added up, once it satisfies.
async fn gone(world: &World, is_there: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let mut all = serde_json::Map::new();
        for line in world
            .lines("SELECT details AS line FROM audit_events WHERE action = 'retention.applied'")
        {
            let details: Value = serde_json::from_str(&line).unwrap();
            for (kind, count) in details["gone"].as_object().unwrap() {
                let before = all.get(kind).and_then(Value::as_u64).unwrap_or(0);
                all.insert(kind.clone(), (before + count.as_u64().unwrap()).into());
            }
        }
        let all = Value::from(all);
        if is_there(&all) {
            return all;
        }
        assert!(Instant::now() < deadline, "never came: {all}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[actix_web::test]
async fn old_records_go_and_young_ones_stay() {
    for mut world in worlds().await {
        let who = world.sandbox_client(&["orders:read"]).await;
        let token = world.token("sandbox", &who, &[]).await;
        world.get("/sandbox/v1/me", Some(&token)).await.expect(200);
        assert_eq!(world.terminate(), Some(0));
        let young = (count(&world, "issued_tokens"), count(&world, "request_log"));
        assert_eq!(young.1, 1);

        let (partner, client, credential) = (&who.partner_id, &who.client_id, &who.credential_id);
        old_rows(
            &world,
            "issued_tokens",
            "issued_at, jti, realm, client_id, partner_id, credential_id, scope, aud, kid, expires_at, source_ip",
            &format!(
                "AT, 'old' || i, 'sandbox', '{client}', '{partner}', '{credential}', 'orders:read', 'x', 'k', AT, '192.0.2.1'"
            ),
            2500,
        );
        old_rows(
            &world,
            "request_log",
            "request_id, at, partner_id, realm, client_id, credential_id, method, route, status, code, micros, idempotency, order_id, subject",
            &format!(
                "'req_01J000000000000000000' || (10000 + i), AT, '{partner}', 'sandbox', '{client}', '{credential}', 'GET', '/', 200, NULL, 1, 'none', NULL, NULL"
            ),
            2500,
        );
        old_rows(
            &world,
            "scope_usage",
            "client_id, day, scope, asked, used",
            &format!("'{client}', '2001-01-01', 'scope' || i, 1, 1"),
            2500,
        );
        old_rows(
            &world,
            "idempotency_keys",
            "partner_id, realm, operation, key_hash, fingerprint, status, headers, body, resource, created_at",
            &format!("'{partner}', 'sandbox', 'orders', 'k' || i, 'f', 201, '[]', '[]', NULL, AT"),
            1500,
        );
        old_rows(
            &world,
            "operator_keys",
            "client_id, operation, key_hash, fingerprint, status, headers, body, resource, created_at",
            &format!("'{client}', 'ledger.refund', 'k' || i, 'f', 201, '[]', '[]', NULL, AT"),
            1500,
        );
        world.start().await;
        let all = gone(&world, |all| all["scope_usage"] == 2500).await;
        assert_eq!(all["idempotency_keys"], 1500);
        assert_eq!(all["operator_keys"], 1500);
        assert_eq!(count(&world, "operator_keys"), 0);
        assert_eq!(count(&world, "idempotency_keys"), 0);
        assert_eq!(
            (&all["issued_tokens"], &all["request_log"]),
            (&2500.into(), &2500.into())
        );
        assert_eq!(
            (count(&world, "issued_tokens"), count(&world, "request_log")),
            young
        );
        // Who took them away is on record once a run, not once a batch.
        assert_eq!(
            world
                .lines("SELECT actor AS line FROM audit_events WHERE action = 'retention.applied'"),
            ["policy"]
        );
        // Nothing that lives was harmed.
        world.get("/sandbox/v1/me", Some(&token)).await.expect(200);
    }
}

#[actix_web::test]
async fn two_workers_at_it_take_each_row_away_once() {
    for mut world in worlds().await {
        let who = world.sandbox_client(&["orders:read"]).await;
        let (partner, client, credential) = (&who.partner_id, &who.client_id, &who.credential_id);
        world.kill();
        old_rows(
            &world,
            "request_log",
            "request_id, at, partner_id, realm, client_id, credential_id, method, route, status, code, micros, idempotency, order_id, subject",
            &format!(
                "'req_01J000000000000000000' || (10000 + i), AT, '{partner}', 'sandbox', '{client}', '{credential}', 'GET', '/', 200, NULL, 1, 'none', NULL, NULL"
            ),
            20_000,
        );
        world.start().await;
        let _neighbour = world.neighbour().await;
        let all = gone(&world, |all| all["request_log"].as_u64() >= Some(20_000)).await;
        assert_eq!(all["request_log"], 20_000);
        assert_eq!(count(&world, "request_log"), 0);
    }
}

#[actix_web::test]
async fn a_partner_s_events_go_and_its_numbers_go_on() {
    for mut world in worlds().await {
        let who = world.sandbox_client(&["orders:read"]).await;
        let operator = world.operator().await;
        for _ in 0..3 {
            let next = operator.issue(&who.client_id).await;
            operator.revoke(&next.credential_id).await.expect(200);
        }
        let numbers = |world: &World| {
            world.lines(&format!(
                "SELECT CAST(seq AS TEXT) AS line FROM events WHERE partner_id = '{}' ORDER BY seq",
                who.partner_id
            ))
        };
        let before = numbers(&world);
        assert!(before.len() > 2, "{before:?}");
        world.kill();
        world.execute("UPDATE events SET created_at = '2025-01-01 00:00:00' WHERE seq <= 2");
        world.start().await;
        gone(&world, |all| all["events"] == 2).await;
        // A warning may have come meanwhile.
        assert!(numbers(&world).starts_with(&before[2..]));

        let operator = world.operator().await;
        let next = operator.issue(&who.client_id).await;
        operator.revoke(&next.credential_id).await.expect(200);
        let after = numbers(&world);
        assert!(after.len() > before.len() - 2);
        let whole: Vec<_> = (3..3 + after.len()).map(|n| n.to_string()).collect();
        assert_eq!(after, whole);
        let purged = world.lines(&format!(
            "SELECT CAST(purged AS TEXT) AS line FROM event_counters WHERE partner_id = '{}'",
            who.partner_id
        ));
        assert_eq!(purged, ["2"]);
    }
}

#[actix_web::test]
async fn an_event_from_a_clock_that_was_behind_takes_no_younger_ones_along() {
    for mut world in worlds().await {
        let who = world.sandbox_client(&["orders:read"]).await;
        world.kill();
        let told = |seq: i64, at: &str| {
            let id = format!("evt_01ARZ3NDEKTSV4RRFFQ69G5F{seq:02}");
            world.execute(&format!(
                "INSERT INTO events (partner_id, realm, seq, id, kind, created_at, data) \
                 VALUES ('{}', 'live', {seq}, '{id}', 'order.accepted', '{at}', '{{}}')",
                who.partner_id
            ));
        };
        let (old, now) = ("2025-01-01 00:00:00", days_away(0));
        for (seq, at) in [(1, old), (2, &now), (3, old), (4, &now)] {
            told(seq, at);
        }
        world.execute(&format!(
            "INSERT INTO event_counters (partner_id, realm, value) VALUES ('{}', 'live', 4)",
            who.partner_id
        ));
        world.start().await;
        gone(&world, |all| all["events"] == 1).await;
        let left = world.lines(
            "SELECT CAST(seq AS TEXT) AS line FROM events WHERE realm = 'live' ORDER BY seq",
        );
        assert_eq!(left, ["2", "3", "4"]);
    }
}

#[actix_web::test]
async fn addresses_go_before_the_rows_that_they_stand_in() {
    for mut world in worlds_with(&[
        ("ONYX_TOKEN_RECORD_DAYS", "3650"),
        ("ONYX_PERSONAL_DAYS", "10"),
    ])
    .await
    {
        let (old, young) = (
            world.sandbox_client(&["orders:read"]).await,
            world.sandbox_client(&["orders:read"]).await,
        );
        for who in [&old, &young] {
            world.token("sandbox", who, &[]).await;
        }
        assert_eq!(world.terminate(), Some(0));
        let (id, long_ago) = (&old.credential_id, "'2025-01-01 00:00:00'");
        world.execute(&format!(
            "UPDATE credentials SET last_used_at = {long_ago} WHERE id = '{id}'"
        ));
        world.execute(&format!(
            "UPDATE issued_tokens SET issued_at = {long_ago} WHERE credential_id = '{id}'"
        ));
        world.execute(&format!(
            "INSERT INTO leak_reports (id, state, received_at, done_at, candidates, matches, source_ip) \
             VALUES ('lkr_01J00000000000000000000000', 'done', {long_ago}, {long_ago}, 1, 1, '192.0.2.1')"
        ));
        world.start().await;
        gone(&world, |all| {
            all["addresses_in_credentials"] == 1
                && all["addresses_in_issued_tokens"] == 1
                && all["addresses_in_leak_reports"] == 1
        })
        .await;
        for (who, address) in [(&old, "-"), (&young, "127.0.0.1")] {
            let id = &who.credential_id;
            for query in [
                format!(
                    "SELECT COALESCE(last_used_ip, '-') AS line FROM credentials WHERE id = '{id}'"
                ),
                format!(
                    "SELECT COALESCE(source_ip, '-') AS line FROM issued_tokens WHERE credential_id = '{id}'"
                ),
            ] {
                assert_eq!(world.lines(&query), [address], "{query}");
            }
        }
    }
}
