//! What a partner has left, and what it hears when that is nothing.

use std::time::Instant;

use reqwest::Method;
use serde_json::json;

use super::{line_without_id, set, set_to, told};
use crate::support::assert_snapshot;
use crate::support::shop::{fresh_key, order, package};
use crate::support::world::{Answer, Credential, at_once, worlds};

#[actix_web::test]
async fn every_answer_says_what_is_left() {
    for world in worlds().await {
        let who = world.sandbox_client(&["orders:read"]).await;
        let given = world.token_answer("sandbox", &who, &[]).await;
        assert_snapshot!(given.header("ratelimit-policy"), @r#""tokens";q=600;w=60"#);
        assert_eq!(told(&given), ("tokens".to_owned(), 599, 1));
        let token = given.expect(200)["access_token"]
            .as_str()
            .unwrap()
            .to_owned();
        // A success, what lacks a scope, what is not there, and what cannot be read.
        let policy = r#""requests";q=1000;w=10"#;
        for (path, status) in [
            ("/sandbox/v1/me", 200),
            ("/sandbox/v1/invoices", 403),
            ("/sandbox/v1/orders/ord_nothing", 404),
            ("/sandbox/v1/orders?limit=many", 400),
        ] {
            let answer = world.get(path, Some(&token)).await;
            assert_eq!(answer.status, status, "{path}: {}", answer.text);
            assert_eq!(answer.header("ratelimit-policy"), policy, "{path}");
            let (name, left, reset) = told(&answer);
            assert_eq!((name.as_str(), reset), ("requests", 1), "{path}");
            assert!((990..1000).contains(&left), "{path}: {left}");
        }
        let refused = world.token_answer("sandbox", &who, &[("scope", "usage:read")]);
        let refused = refused.await;
        assert_eq!((refused.status, told(&refused).0.as_str()), (400, "tokens"));
        // Who is not known has nothing that could be told.
        let unknown = world.get("/sandbox/v1/me", Some("no-token")).await;
        assert_eq!((unknown.status, unknown.header("ratelimit")), (401, ""));
    }
}

#[actix_web::test]
async fn a_query_that_cannot_be_read_waits_until_it_is_known_who_calls() {
    for world in worlds().await {
        let who = world.sandbox_client(&["orders:read"]).await;
        let token = world.token("sandbox", &who, &[]).await;
        for query in [
            "limit=many",
            "cursor=!",
            "state=odd",
            "state=paid&state=paid",
        ] {
            // It has seen nobody yet, and has to look the caller up.
            let node = world.neighbour().await;
            let path = format!("/sandbox/v1/orders?{query}");
            let answer = node.get(&path, Some(&token)).await;
            assert_eq!(answer.status, 400, "{query}: {}", answer.text);
            assert_eq!(told(&answer).0, "requests", "{query}");
            assert!(!answer.header("onyx-version").is_empty(), "{query}");
        }
    }
}

#[actix_web::test]
async fn who_is_over_is_refused_with_the_limit_and_the_time_and_others_are_not() {
    for world in worlds().await {
        let operator = world.operator().await;
        let who = world.sandbox_client(&["orders:read"]).await;
        let other = world.sandbox_client(&["orders:read"]).await;
        let figures = json!({ "requests_per_minute": 1, "burst": 3, "tokens_per_minute": 2 });
        set(&operator, &who.partner_id, set_to(figures))
            .await
            .expect(200);
        let token = world.token("sandbox", &who, &[]).await;
        for left in [2, 1, 0] {
            let answer = world.get("/sandbox/v1/me", Some(&token)).await;
            assert_eq!((answer.status, told(&answer).1), (200, left));
        }
        let refused = world.get("/sandbox/v1/me", Some(&token)).await;
        assert_eq!(refused.header("content-type"), "application/problem+json");
        assert_snapshot!(refused.header("ratelimit-policy"), @r#""requests";q=3;w=180"#);
        let wait: u64 = refused.header("retry-after").parse().unwrap();
        assert_eq!(told(&refused), ("requests".to_owned(), 0, wait));
        assert!((50..=60).contains(&wait), "{wait}");
        let text = line_without_id(&refused).replace(&format!("{wait} s"), "N s");
        assert_snapshot!(text, @r#"429 {"code":"requests_limit_exceeded","detail":"the partner's requests are over their limit: come again in N s, and ask more evenly","status":429,"title":"Request cannot be satisfied as assigned quota has been exceeded","type":"https://iana.org/assignments/http-problem-types#quota-exceeded","violated-policies":["requests"]}"#);

        world.token("sandbox", &who, &[]).await;
        let refused = world.token_answer("sandbox", &who, &[]).await;
        assert_snapshot!(refused.line(), @r#"429 {"error":"temporarily_unavailable","error_description":"the partner's token requests are over their limit; try again later, and keep a token for as long as it lives","code":"tokens_limit_exceeded"}"#);
        let wait: u64 = refused.header("retry-after").parse().unwrap();
        assert!((20..=30).contains(&wait), "{wait}");
        assert_eq!(told(&refused), ("tokens".to_owned(), 0, wait));
        assert_eq!(
            (refused.header("cache-control"), refused.header("pragma")),
            ("no-store", "no-cache")
        );

        // Another partner has its own, and so has this one in another realm.
        let token = world.token("sandbox", &other, &[]).await;
        world.get("/sandbox/v1/me", Some(&token)).await.expect(200);
    }
}

#[actix_web::test]
async fn more_clients_buy_nothing() {
    for world in worlds().await {
        let operator = world.operator().await;
        let first = world.sandbox_client(&["orders:read"]).await;
        let partner = first.partner_id.clone();
        let mut all = vec![first];
        for _ in 0..3 {
            let one = operator.client(&partner, "sandbox", &["orders:read"]).await;
            all.push(one);
        }
        let mut tokens = Vec::new();
        for who in &all {
            tokens.push(world.token("sandbox", who, &[]).await);
        }
        let figures = json!({
            "requests_per_minute": 1, "burst": 20, "tokens_per_minute": 1, "client_share": 50,
        });
        set(&operator, &partner, set_to(figures)).await.expect(200);
        let me = |token: &String| {
            let request = world.request(Method::GET, "/sandbox/v1/me");
            request.bearer_auth(token)
        };
        // One client has its share, and says so.
        let alone = at_once((0..30).map(|_| me(&tokens[0]))).await;
        let passed = |answers: &[Answer]| answers.iter().filter(|a| a.status == 200).count();
        assert_eq!(passed(&alone), 10);
        let refused = alone.iter().find(|a| a.status == 429).unwrap();
        assert_eq!(refused.json()["code"], "client_requests_limit_exceeded");
        assert_snapshot!(refused.header("ratelimit-policy"), @r#""requests";q=20;w=1200, "client_requests";q=10;w=600"#);
        assert_eq!(told(refused).0, "client_requests");
        // All others together have what is left.
        let together = tokens[1..]
            .iter()
            .flat_map(|token| (0..10).map(|_| me(token)));
        let together = at_once(together).await;
        assert_eq!(passed(&together), 10);
        let refused = together.iter().find(|a| a.status == 429).unwrap();
        assert_eq!(refused.json()["code"], "requests_limit_exceeded");
    }
}

#[actix_web::test]
async fn reads_and_writes_have_their_parts_and_what_is_refused_is_not_done() {
    for world in worlds().await {
        let operator = world.operator().await;
        let package = operator.published(package()).await;
        let shopper = world.shopper().await;
        let figures = json!({
            "requests_per_minute": 1, "burst": 20, "tokens_per_minute": 1, "writes_share": 10,
        });
        set(&operator, &shopper.who.partner_id, set_to(figures))
            .await
            .expect(200);
        for (nth, status) in [(0, 201), (1, 201), (2, 429), (3, 429)] {
            let body = order(&package, 1, &format!("sim-delay-{nth}"));
            let sent = shopper.ordering(&fresh_key(), &body).send().await;
            let answer = Answer::of(sent.unwrap()).await;
            assert_eq!(answer.status, status, "{nth}: {}", answer.text);
            if status == 429 {
                assert_eq!(answer.json()["code"], "writes_limit_exceeded");
            }
        }
        let listed = world
            .get("/sandbox/v1/orders", Some(&shopper.token))
            .await
            .expect(200);
        assert_eq!(listed["data"].as_array().unwrap().len(), 2);
    }
}

#[actix_web::test]
async fn nobody_drains_what_a_partner_has_without_its_secret() {
    for world in worlds().await {
        let operator = world.operator().await;
        let who = world.sandbox_client(&["orders:read"]).await;
        let figures = json!({ "requests_per_minute": 1, "burst": 2, "tokens_per_minute": 2 });
        set(&operator, &who.partner_id, set_to(figures))
            .await
            .expect(200);
        let wrong = Credential {
            secret: format!("{}x", who.secret),
            ..who.clone()
        };
        for _ in 0..5 {
            assert_eq!(world.token_answer("sandbox", &wrong, &[]).await.status, 401);
        }
        let given = world.token_answer("sandbox", &who, &[]).await;
        assert_eq!((given.status, told(&given).1), (200, 1));
        let token = given.json()["access_token"].as_str().unwrap().to_owned();
        let broken = format!("{token}x");
        for _ in 0..5 {
            let answer = world.get("/sandbox/v1/me", Some(&broken)).await;
            assert_eq!(answer.status, 401);
        }
        let me = world.get("/sandbox/v1/me", Some(&token)).await;
        assert_eq!((me.status, told(&me).1), (200, 1));
    }
}

#[actix_web::test]
async fn under_load_no_more_is_let_through_than_the_bound() {
    for world in worlds().await {
        let operator = world.operator().await;
        let who = world.sandbox_client(&["orders:read"]).await;
        let token = world.token("sandbox", &who, &[]).await;
        let figures = json!({ "requests_per_minute": 600, "burst": 20, "tokens_per_minute": 600 });
        set(&operator, &who.partner_id, set_to(figures))
            .await
            .expect(200);
        let me = || {
            world
                .request(Method::GET, "/sandbox/v1/me")
                .bearer_auth(&token)
        };
        let started = Instant::now();
        let mut passed = 0;
        for _ in 0..10 {
            let answers = at_once((0..30).map(|_| me())).await;
            passed += answers.iter().filter(|answer| answer.status == 200).count();
            let over = answers.iter().filter(|answer| answer.status != 200);
            assert!(over.into_iter().all(|answer| answer.status == 429));
        }
        let window = started.elapsed().as_secs_f64();
        let bound = (20.0 + 10.0 * window) * 1.02;
        assert!(
            passed >= 20 && (passed as f64) <= bound,
            "{passed} in {window} s"
        );
    }
}
