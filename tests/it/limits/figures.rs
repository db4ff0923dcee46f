//! Who sets limits, and which hold.

use std::time::Duration;

use serde_json::{Value, json};

use super::{in_force, set, set_to, until, wide};
use crate::support::assert_snapshot;
use crate::support::world::{in_future, worlds};

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
