//! How fast a partner may ask: buckets, what is told of them, and who sets them.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::assert_snapshot;
use crate::support::shop::{fresh_key, order, package};
use crate::support::world::{
    Answer, Credential, Operator, at_once, in_future, worlds, worlds_with,
};

/// Figures that hold nobody down.
fn wide() -> Value {
    json!({ "requests_per_minute": 600_000, "burst": 100_000, "tokens_per_minute": 600_000 })
}

/// A body that sets these figures in the sandbox.
fn set_to(figures: Value) -> Value {
    let mut body = json!({ "realm": "sandbox", "mode": "enforce" });
    for (name, value) in figures.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

async fn set(operator: &Operator<'_>, partner: &str, body: Value) -> Answer {
    let path = format!("/partners/{partner}/limits");
    operator.send(Method::PUT, &path, body).await
}

/// The limits in force in the sandbox.
async fn in_force(operator: &Operator<'_>, partner: &str) -> Value {
    let path = format!("/partners/{partner}/limits?realm=sandbox");
    let list = operator.get(&path).await.expect(200);
    assert_eq!(list["data"].as_array().unwrap().len(), 1);
    list["data"][0].clone()
}

/// The limit, what remains of it, and the seconds, as `RateLimit` tells.
fn told(answer: &Answer) -> (String, u64, u64) {
    let text = answer.header("ratelimit");
    let mut parts = text.split(';');
    let name = parts.next().unwrap().trim_matches('"').to_owned();
    let mut number = |key: &str| {
        let part = parts.next().unwrap_or_else(|| panic!("{answer:?}"));
        part.strip_prefix(key).unwrap().parse().unwrap()
    };
    (name, number("r="), number("t="))
}

fn line_without_id(answer: &Answer) -> String {
    let mut body = answer.json();
    body.as_object_mut().unwrap().remove("request_id");
    format!("{} {body}", answer.status)
}

async fn until(wanted: &str, mut look: impl AsyncFnMut() -> String) {
    let started = Instant::now();
    loop {
        let seen = look().await;
        if seen == wanted {
            return;
        }
        assert!(
            started.elapsed() < Duration::from_secs(20),
            "{seen}, not {wanted}"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

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
async fn a_change_counts_without_restart_on_every_node_and_refills_nothing() {
    for world in worlds().await {
        let other = world.neighbour().await;
        let operator = world.operator().await;
        let who = world.sandbox_client(&["orders:read"]).await;
        let token = world.token("sandbox", &who, &[]).await;
        // Both hold the client in memory from now on.
        for node in [&world, &other] {
            node.get("/sandbox/v1/me", Some(&token)).await.expect(200);
        }
        let tight = json!({ "requests_per_minute": 1, "burst": 2, "tokens_per_minute": 600 });
        let set_to_tight = set_to(tight.clone());
        set(&operator, &who.partner_id, set_to_tight)
            .await
            .expect(200);
        let tight_policy = r#""requests";q=2;w=120"#;
        // At once where it was set.
        let here = world.get("/sandbox/v1/me", Some(&token)).await;
        assert_eq!(here.header("ratelimit-policy"), tight_policy);
        until(tight_policy, async || {
            let there = other.get("/sandbox/v1/me", Some(&token)).await;
            there.header("ratelimit-policy").to_owned()
        })
        .await;
        for node in [&world, &other] {
            let mut refused = false;
            for _ in 0..3 {
                refused = node.get("/sandbox/v1/me", Some(&token)).await.status == 429;
            }
            assert!(refused);
        }
        // More at once, and still one a minute: what is drained stays drained.
        let mut more = tight;
        more["burst"] = 1_000.into();
        set(&operator, &who.partner_id, set_to(more))
            .await
            .expect(200);
        let here = world.get("/sandbox/v1/me", Some(&token)).await;
        assert_eq!(here.status, 429);
        assert_eq!(
            here.header("ratelimit-policy"),
            r#""requests";q=1000;w=60000"#
        );
        // A higher rate lets it on.
        set(&operator, &who.partner_id, set_to(wide()))
            .await
            .expect(200);
        for node in [&world, &other] {
            until("200", async || {
                let answer = node.get("/sandbox/v1/me", Some(&token)).await;
                answer.status.to_string()
            })
            .await;
        }
    }
}

#[actix_web::test]
async fn plans_hold_for_all_who_are_on_them_and_own_figures_until_they_end() {
    for world in worlds().await {
        let operator = world.operator().await;
        let who = world.sandbox_client(&["orders:read"]).await;
        let partner = &who.partner_id;
        let token = world.token("sandbox", &who, &[]).await;
        let policy = async || {
            let me = world.get("/sandbox/v1/me", Some(&token)).await;
            me.header("ratelimit-policy").to_owned()
        };
        assert_eq!(in_force(&operator, partner).await["source"], "default");
        let gold = json!({ "name": "Gold", "requests_per_minute": 1_200, "burst": 200, "tokens_per_minute": 300,
                           "orders_per_day": 50, "spend_per_month": { "amount": 100_000, "currency": "EUR" } });
        let plan = operator.post("/plans", gold.clone()).await.expect(201);
        let id = plan["id"].as_str().unwrap();
        assert!(id.starts_with("pln_"));
        assert_eq!(
            (&plan["version"], &plan["client_share"]),
            (&json!(1), &json!(100))
        );
        let again = operator.post("/plans", gold).await;
        assert_eq!(
            (again.status, &again.json()["code"]),
            (409, &json!("plan_name_taken"))
        );

        let on = json!({ "realm": "sandbox", "mode": "enforce", "plan_id": id });
        let set_on = set(&operator, partner, on).await.expect(200);
        assert_eq!(
            (
                &set_on["source"],
                &set_on["plan"]["name"],
                &set_on["orders_per_day"]
            ),
            (&json!("plan"), &json!("Gold"), &json!(50))
        );
        assert_eq!(policy().await, r#""requests";q=200;w=10"#);
        let path = format!("/plans/{id}");
        let edited = operator
            .patch(&path, json!({ "burst": 100 }))
            .await
            .expect(200);
        assert_eq!(
            (
                &edited["version"],
                &edited["requests_per_minute"],
                &edited["orders_per_day"]
            ),
            (&json!(2), &json!(1_200), &json!(50))
        );
        assert_eq!(policy().await, r#""requests";q=100;w=5"#);
        let cleared = operator
            .patch(&path, json!({ "orders_per_day": null }))
            .await;
        assert_eq!(cleared.expect(200)["orders_per_day"], Value::Null);

        // Its own figures stand before the plan, and end by themselves.
        let mut own =
            set_to(json!({ "requests_per_minute": 60, "burst": 30, "tokens_per_minute": 60 }));
        own["plan_id"] = id.into();
        own["ends_at"] = in_future(Duration::from_secs(3)).into();
        let both = set(&operator, partner, own).await.expect(200);
        assert_eq!(
            (&both["source"], &both["plan"]["id"]),
            (&json!("own"), &json!(id))
        );
        assert!(both["ends_at"].is_string());
        until(r#""requests";q=100;w=5"#, policy).await;
        let after = in_force(&operator, partner).await;
        assert_eq!(
            (&after["source"], &after["ends_at"]),
            (&json!("plan"), &Value::Null)
        );

        // The other environment was not concerned; each is told where nobody asks for one.
        let all = operator
            .get(&format!("/partners/{partner}/limits"))
            .await
            .expect(200);
        let told: Vec<_> = all["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|of| (&of["realm"], &of["source"]))
            .collect();
        assert_eq!(
            told,
            [
                (&json!("sandbox"), &json!("plan")),
                (&json!("live"), &json!("default"))
            ]
        );
        // Neither a plan nor figures: the defaults.
        let none = json!({ "realm": "sandbox", "mode": "enforce" });
        set(&operator, partner, none).await.expect(200);
        assert_eq!(policy().await, r#""requests";q=1000;w=10"#);
    }
}

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
async fn what_cannot_hold_is_refused_and_what_is_set_is_on_record() {
    for world in worlds().await {
        let operator = world.operator().await;
        let partner = operator.partner().await;
        let problem = async |body: Value| set(&operator, &partner, body).await.problem();
        let all_wrong = json!({
            "realm": "admin", "mode": "off", "burst": 0, "client_share": 101, "orders_per_day": -1,
            "spend_per_month": { "amount": 5 }, "color": "red",
        });
        let told = problem(all_wrong).await;
        assert_snapshot!(told, @r"
        422 invalid_body: the request body has members that must be mended; see errors
          /realm invalid: must be one of sandbox, live
          /mode invalid: must be one of enforce, shadow
          /requests_per_minute missing: must be there
          /burst invalid: must be a whole number from 1 to 10000000
          /tokens_per_minute missing: must be there
          /client_share invalid: must be a whole number from 1 to 100
          /orders_per_day invalid: must be a whole number from 0 to 9007199254740991
          /spend_per_month/currency missing: must be there
          /color unknown: is not a member of this request
        ");
        let unknown = format!("/partners/{partner}/limits?env=sandbox");
        let told = operator.get(&unknown).await.problem();
        assert_snapshot!(told, @"400 invalid_parameter: env is not a parameter of this list");
        let plan = "pln_01K2ZJ6V9D3M5K7N2R4T6W8Y0A";
        let past = "2020-01-01T00:00:00Z";
        let no_plan =
            json!({ "realm": "live", "mode": "enforce", "plan_id": plan, "ends_at": past });
        let told = problem(no_plan).await;
        assert_snapshot!(told, @r"
        422 invalid_body: the request body has members that must be mended; see errors
          /plan_id invalid: there is no plan pln_01K2ZJ6V9D3M5K7N2R4T6W8Y0A
          /ends_at invalid: only figures of the partner's own end: send them too, or leave it out
        ");
        let mut own = set_to(wide());
        own["ends_at"] = past.into();
        let told = problem(own).await;
        assert_snapshot!(told, @r"
        422 invalid_body: the request body has members that must be mended; see errors
          /ends_at invalid: must be in the future
        ");
        assert_eq!(operator.get(&format!("/plans/{plan}")).await.status, 404);
        let nobody = "ptn_01K2ZJ6V9D3M5K7N2R4T6W8Y0A";
        assert_eq!(set(&operator, nobody, set_to(wide())).await.status, 404);
        let weak = operator.puppet(&["partners:read", "partners:write"]).await;
        assert_eq!(set(&weak, &partner, set_to(wide())).await.status, 403);

        let audit = || {
            world.lines(&format!(
                "SELECT action || ' ' || realm || ' ' || details AS line FROM audit_events WHERE target = '{partner}' \
                 AND action = 'limits.changed' ORDER BY id"
            ))
        };
        assert_eq!(audit().len(), 0);
        set(&operator, &partner, set_to(wide())).await.expect(200);
        // What is already so is no change.
        set(&operator, &partner, set_to(wide())).await.expect(200);
        assert_snapshot!(audit().join("\n"), @r#"limits.changed sandbox {"burst":100000,"client_share":100,"ends_at":null,"mode":"enforce","orders_per_day":null,"orders_per_month":null,"plan_id":null,"reads_share":100,"requests_per_day":null,"requests_per_minute":600000,"requests_per_month":null,"source":"own","spend_currency":null,"spend_per_month":null,"tokens_per_day":null,"tokens_per_minute":600000,"tokens_per_month":null,"writes_share":100}"#);

        for step in ["suspend", "offboard"] {
            let gone = json!({ "reason": "they left" });
            operator
                .post(&format!("/partners/{partner}/{step}"), gone)
                .await
                .expect(200);
        }
        let closed = set(&operator, &partner, set_to(wide())).await;
        assert_eq!(
            (closed.status, &closed.json()["code"]),
            (409, &json!("partner_closed"))
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

#[actix_web::test]
async fn the_command_line_sets_limits() {
    for world in worlds().await {
        let operator = world.operator().await;
        let partner = operator.partner().await;
        let plan = [
            "limit",
            "plan",
            "create",
            "--name",
            "Silver",
            "--requests-per-minute",
            "3000",
            "--burst",
            "300",
            "--tokens-per-minute",
            "300",
            "--orders-per-month",
            "1000",
            "--spend-per-month",
            "500000",
            "--spend-currency",
            "EUR",
            "--field",
            "id",
        ];
        let plan = world.cli(&plan);
        let assigned = [
            "limit",
            "plan",
            "assign",
            &plan,
            "--partner",
            &partner,
            "--realm",
            "live",
            "--field",
            "source",
        ];
        assert_eq!(world.cli(&assigned), "plan");
        let edited = [
            "limit",
            "plan",
            "edit",
            &plan,
            "--burst",
            "200",
            "--no",
            "orders_per_month",
            "--field",
            "version",
        ];
        assert_eq!(world.cli(&edited), "2");
        let shown = |field: &str| {
            world.cli(&[
                "limit", "show", &partner, "--realm", "live", "--field", field,
            ])
        };
        assert_eq!(
            [shown("burst"), shown("orders_per_month"), shown("mode")],
            ["200", "", "enforce"]
        );
        let set = [
            "limit",
            "set",
            &partner,
            "--realm",
            "live",
            "--mode",
            "shadow",
            "--plan",
            &plan,
            "--requests-per-minute",
            "60",
            "--burst",
            "6",
            "--tokens-per-minute",
            "6",
            "--until",
            "2100-01-01T00:00:00Z",
            "--field",
            "source",
        ];
        assert_eq!(world.cli(&set), "own");
        assert_eq!([shown("burst"), shown("mode")], ["6", "shadow"]);
        let listed = world.cli(&["limit", "plan", "list"]);
        assert!(
            listed.contains("Silver") && listed.contains(&plan),
            "{listed}"
        );
        let both = world.cli(&["limit", "show", &partner]);
        assert!(
            both.contains("sandbox") && both.contains("default"),
            "{both}"
        );
    }
}
