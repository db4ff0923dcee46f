//! Quotas of requests and tokens.

use reqwest::Method;
use serde_json::json;

use super::{left, refusal};
use crate::support::world::{World, worlds};

#[actix_web::test]
async fn a_quota_of_requests_is_told_counted_and_kept() {
    for world in worlds().await {
        let operator = world.operator().await;
        let (one, other) = (world.shopper().await, world.shopper().await);
        let partner = &one.who.partner_id;
        let quotas = json!({ "requests_per_day": 5, "requests_per_month": 1000 });
        operator.allow(partner, "enforce", quotas).await;
        for used in 1..=5 {
            let answer = one.get("/me").await;
            let me = answer.expect(200);
            assert_eq!(left(&me, "requests_per_day"), Some((5 - used, 5)));
            assert_eq!(left(&me, "requests_per_month"), Some((1000 - used, 1000)));
            assert_eq!(left(&me, "orders_per_day"), None);
            assert!(
                answer
                    .header("ratelimit-policy")
                    .contains("\"requests_per_day\";q=5;w=86400")
            );
            let told = format!("\"requests_per_day\";r={};t=", 5 - used);
            assert!(
                answer.header("ratelimit").starts_with(&told),
                "{:?}",
                answer.headers
            );
        }
        for _ in 0..3 {
            let refused = one.get("/me").await;
            assert_eq!(refusal(&refused), "requests_per_day_exceeded");
            assert_eq!(
                refused.json()["violated-policies"],
                json!(["requests_per_day"])
            );
            assert!(
                refused
                    .header("ratelimit")
                    .starts_with("\"requests_per_day\";r=0;t=")
            );
        }
        // Neither another partner is concerned, nor the partner's tokens.
        other.get("/me").await.expect(200);
        world.token("sandbox", &one.who, &[]).await;
        // What was refused is not counted.
        world
            .wait_for_counters(partner, &["requests_per_day 5", "requests_per_month 5"])
            .await;
        // All clients of a partner share what it has.
        let second = operator.client(partner, "sandbox", &["orders:read"]).await;
        let token = world.token("sandbox", &second, &[]).await;
        let refused = world.get("/sandbox/v1/me", Some(&token)).await;
        assert_eq!(refusal(&refused), "requests_per_day_exceeded");
        operator
            .allow(partner, "enforce", json!({ "requests_per_day": 6 }))
            .await;
        one.get("/me").await.expect(200);
        assert_eq!(refusal(&one.get("/me").await), "requests_per_day_exceeded");
    }
}

#[actix_web::test]
async fn a_quota_of_tokens_is_told_in_oauths_own_words_and_bars_no_clean_up() {
    for world in worlds().await {
        let operator = world.operator().await;
        let who = world.sandbox_client(&["orders:read"]).await;
        let quotas = json!({ "tokens_per_month": 3 });
        operator.allow(&who.partner_id, "enforce", quotas).await;
        for _ in 0..2 {
            world.token("sandbox", &who, &[]).await;
        }
        let token = world.token("sandbox", &who, &[]).await;
        let refused = world.token_answer("sandbox", &who, &[]).await;
        let body = refused.expect(429);
        assert_eq!(body["error"], "temporarily_unavailable");
        assert_eq!(body["code"], "tokens_per_month_exceeded");
        assert!(refused.header("retry-after").parse::<u64>().unwrap() > 0);
        assert!(
            refused
                .header("ratelimit")
                .starts_with("\"tokens_per_month\";r=0;t=")
        );
        // The wrong secret costs nothing, and is told nothing.
        let mut wrong = who.clone();
        wrong.secret.replace_range(20..24, "0000");
        assert_eq!(world.token_answer("sandbox", &wrong, &[]).await.status, 401);
        // A token that leaked can be revoked on any day of the month.
        let request = world.request(Method::POST, "/sandbox/oauth2/revoke");
        let request = request.basic_auth(&who.client_id, Some(&who.secret));
        let revoked = request.form(&[("token", &token)]).send().await.unwrap();
        assert_eq!(revoked.status().as_u16(), 200);
        world
            .wait_for_counters(&who.partner_id, &["tokens_per_day 3", "tokens_per_month 3"])
            .await;
    }
}

#[actix_web::test]
async fn a_restart_forgets_nothing_that_was_written_and_an_end_writes_all() {
    for mut world in worlds().await {
        let (partner, token) = {
            let shopper = world.shopper().await;
            let operator = world.operator().await;
            let quotas = json!({ "requests_per_day": 6 });
            operator
                .allow(&shopper.who.partner_id, "enforce", quotas)
                .await;
            (shopper.who.partner_id.clone(), shopper.token.clone())
        };
        for _ in 0..2 {
            world.get("/sandbox/v1/me", Some(&token)).await.expect(200);
        }
        world
            .wait_for_counters(&partner, &["requests_per_day 2"])
            .await;
        world.kill();
        world.start().await;
        for _ in 0..2 {
            world.get("/sandbox/v1/me", Some(&token)).await.expect(200);
        }
        // Within the second that a kill would lose.
        assert_eq!(world.terminate(), Some(0));
        assert!(
            world
                .counters(&partner)
                .contains(&"requests_per_day 4".to_owned())
        );
        world.start().await;
        for _ in 0..2 {
            world.get("/sandbox/v1/me", Some(&token)).await.expect(200);
        }
        let refused = world.get("/sandbox/v1/me", Some(&token)).await;
        assert_eq!(refusal(&refused), "requests_per_day_exceeded");
    }
}

#[actix_web::test]
async fn what_one_node_counts_all_know_within_a_second() {
    for world in worlds().await {
        let other = world.neighbour().await;
        let operator = world.operator().await;
        let shopper = world.shopper().await;
        let partner = shopper.who.partner_id.clone();
        operator
            .allow(&partner, "enforce", json!({ "tokens_per_day": 10 }))
            .await;
        // One token was asked for before, and is counted.
        for _ in 0..5 {
            world.token("sandbox", &shopper.who, &[]).await;
        }
        world
            .wait_for_counters(&partner, &["tokens_per_day 6"])
            .await;
        // Asked for the first time, the other reads what is on record.
        let mut given = 0;
        while other
            .token_answer("sandbox", &shopper.who, &[])
            .await
            .status
            == 200
        {
            given += 1;
        }
        // Before it has heard of the limit it counts, too.
        assert!((4..=9).contains(&given), "{given}");
        let total = format!("tokens_per_day {}", 6 + given);
        world.wait_for_counters(&partner, &[&total]).await;
        // The first knows no later than it has written down one more of its own.
        let mut late = 0;
        while world
            .token_answer("sandbox", &shopper.who, &[])
            .await
            .status
            == 200
        {
            late += 1;
            world
                .wait_for_counters(&partner, &[&format!("tokens_per_day {}", 6 + given + late)])
                .await;
        }
        assert!(late <= 2, "{late}");
    }
}

#[actix_web::test]
async fn nodes_know_of_each_other_and_one_that_ends_goes_at_once() {
    for world in worlds().await {
        let live = |world: &World| {
            world
                .lines("SELECT id AS line FROM nodes WHERE serves ORDER BY id")
                .len()
        };
        world.wait_for_sample("onyx_nodes", 1.0).await;
        let mut other = world.neighbour().await;
        let worker = world.neighbour_with(&[("ONYX_ROLES", "worker")]).await;
        world.wait_for_sample("onyx_nodes", 2.0).await;
        other.wait_for_sample("onyx_nodes", 2.0).await;
        worker.wait_for_sample("onyx_nodes", 2.0).await;
        assert_eq!(live(&world), 2);
        assert_eq!(world.lines("SELECT id AS line FROM nodes").len(), 3);
        assert_eq!(other.terminate(), Some(0));
        assert_eq!(live(&world), 1);
        world.wait_for_sample("onyx_nodes", 1.0).await;
        // One that is killed counts until it was silent for ten seconds.
        let mut third = world.neighbour().await;
        world.wait_for_sample("onyx_nodes", 2.0).await;
        third.kill();
        assert_eq!(live(&world), 2);
        world.wait_for_sample("onyx_nodes", 1.0).await;
        assert_eq!(live(&world), 2);
    }
}
