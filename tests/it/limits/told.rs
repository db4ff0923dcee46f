//! What is told of limits, and of whom nothing is.

use serde_json::json;

use super::{set, set_to};
use crate::support::assert_snapshot;
use crate::support::world::{worlds, worlds_with};

#[actix_web::test]
async fn in_shadow_it_is_told_and_counted_and_nobody_is_refused() {
    for world in worlds().await {
        let operator = world.operator().await;
        let who = world.sandbox_client(&["orders:read"]).await;
        let mut body =
            set_to(json!({ "requests_per_minute": 1, "burst": 2, "tokens_per_minute": 1 }));
        body["mode"] = "shadow".into();
        set(&operator, &who.partner_id, body).await.expect(200);
        let token = world.token("sandbox", &who, &[]).await;
        let second = world.token_answer("sandbox", &who, &[]).await;
        assert_eq!(
            (second.status, second.header("onyx-shadow-limit")),
            (200, "tokens_limit_exceeded")
        );
        let mut shadowed = Vec::new();
        for _ in 0..5 {
            let me = world.get("/sandbox/v1/me", Some(&token)).await;
            assert_eq!(me.status, 200);
            assert_eq!(me.json()["limits"]["mode"], "shadow");
            shadowed.push(me.header("onyx-shadow-limit").to_owned());
        }
        let over = "requests_limit_exceeded";
        assert_eq!(shadowed, ["", "", over, over, over]);
        let metrics = world
            .http
            .get(format!("{}/metrics", world.ops))
            .send()
            .await;
        let metrics = metrics.unwrap().text().await.unwrap();
        for line in [
            r#"onyx_limit_decisions_total{limit="requests",outcome="shadowed"} 3"#,
            r#"onyx_limit_decisions_total{limit="tokens",outcome="shadowed"} 1"#,
            r#"onyx_limit_decisions_total{limit="requests",outcome="allowed"} 2"#,
            "onyx_limit_partners 1",
        ] {
            assert!(
                metrics.lines().any(|found| found == line),
                "{line}: {metrics}"
            );
        }
        let refused = |line: &&str| {
            line.starts_with("onyx_limit_decisions_total{") && line.contains(r#""refused""#)
        };
        assert_eq!(metrics.lines().find(refused), None);
    }
}

#[actix_web::test]
async fn a_caller_sees_its_limits_and_what_is_left() {
    for world in worlds().await {
        let operator = world.operator().await;
        let who = world.sandbox_client(&["orders:read"]).await;
        let figures = json!({
            "requests_per_minute": 60, "burst": 10, "tokens_per_minute": 6, "client_share": 50, "reads_share": 80,
            "orders_per_day": 7,
        });
        set(&operator, &who.partner_id, set_to(figures))
            .await
            .expect(200);
        let token = world.token("sandbox", &who, &[]).await;
        let me = world.get("/sandbox/v1/me", Some(&token)).await.expect(200);
        let mut limits = me["limits"].clone();
        let left = limits["left"].take();
        assert_snapshot!(limits.to_string(), @r#"{"burst":10,"client_share":50,"left":null,"mode":"enforce","orders_per_day":7,"orders_per_month":null,"reads_share":80,"requests_per_day":null,"requests_per_minute":60,"requests_per_month":null,"spend_per_month":null,"tokens_per_day":null,"tokens_per_minute":6,"tokens_per_month":null,"writes_share":100}"#);
        let lines: Vec<String> = left
            .as_array()
            .unwrap()
            .iter()
            .map(|of| {
                let number = |name: &str| of[name].as_u64().unwrap();
                format!(
                    "{} {}/{} in {}",
                    of["limit"].as_str().unwrap(),
                    number("remaining"),
                    number("quota"),
                    number("window")
                )
            })
            .collect();
        assert_eq!(
            lines,
            [
                "requests 9/10 in 10",
                "reads 7/8 in 10",
                "client_requests 4/5 in 10",
                "tokens 5/6 in 60",
                "client_tokens 2/3 in 60",
                "orders_per_day 7/7 in 86400",
            ]
        );
    }
}

#[actix_web::test]
async fn operators_and_services_have_no_partner_to_be_charged_to() {
    for world in worlds().await {
        let operator = world.operator().await;
        let partners = operator.get("/partners").await;
        assert_eq!((partners.status, partners.header("ratelimit")), (200, ""));
        let given = world
            .token_answer("admin", &world.operator_credential(), &[])
            .await;
        assert_eq!((given.status, given.header("ratelimit-policy")), (200, ""));
    }
}

#[actix_web::test]
async fn a_setting_leaves_rates_to_the_gateway() {
    for world in worlds_with(&[("ONYX_RATE_LIMITS", "false")]).await {
        let operator = world.operator().await;
        let who = world.sandbox_client(&["orders:read"]).await;
        let figures = json!({ "requests_per_minute": 1, "burst": 1, "tokens_per_minute": 1 });
        set(&operator, &who.partner_id, set_to(figures))
            .await
            .expect(200);
        for _ in 0..3 {
            let given = world.token_answer("sandbox", &who, &[]).await;
            assert_eq!((given.status, given.header("ratelimit")), (200, ""));
        }
        let token = world.token("sandbox", &who, &[]).await;
        let me = world.get("/sandbox/v1/me", Some(&token)).await.expect(200);
        assert_eq!(me["limits"]["left"], json!([]));
    }
}
