//! What tags tell apart: a record as it was seen, and as it is.

use reqwest::Method;
use serde_json::{Value, json};

use super::NOBODY;
use crate::support::assert_snapshot;
use crate::support::shop::package;
use crate::support::world::{Answer, Operator, worlds};

/// What is asked for only if a record is as its tag says.
async fn bound(
    operator: &Operator<'_>,
    method: Method,
    path: &str,
    tag: &str,
    body: Value,
) -> Answer {
    let request = operator
        .world
        .request(method, &format!("/admin/v1{path}"))
        .bearer_auth(&operator.token)
        .header("if-match", tag);
    Answer::of(request.json(&body).send().await.unwrap()).await
}

#[actix_web::test]
async fn a_tag_from_before_a_restore_stands_for_nothing_that_came_after() {
    for mut world in worlds().await {
        let operator = world.operator().await;
        let shopper = world.shopper().await;
        let who = shopper.who.clone();
        let id = operator.published(package()).await;
        let gold = json!({ "name": "Gold", "requests_per_minute": 1_200, "burst": 200, "tokens_per_minute": 300 });
        let plan = operator.post("/plans", gold).await.expect(201);
        let plan = format!("/plans/{}", plan["id"].as_str().unwrap());
        let package = format!("/packages/{id}");
        let price = |amount: i64| json!({ "price": { "amount": amount, "currency": "EUR" } });
        world.cli(&["backup", "onyx.backup"]);

        let lost = [
            operator.patch(&package, price(1700)).await,
            operator.patch(&plan, json!({ "burst": 100 })).await,
        ];
        let version = |answer: &Answer| answer.expect(200)["version"].clone();
        let versions = lost.each_ref().map(version);
        let of_package = lost[0].header("etag").to_owned();
        let of_plan = lost[1].header("etag").to_owned();
        let one = format!("/catalogue/packages/{id}");
        let list = "/catalogue/packages".to_owned();
        let mut shown = Vec::new();
        for path in [one, list] {
            let tag = shopper.get(&path).await.header("etag").to_owned();
            shown.push((path, tag));
        }

        world.terminate();
        world.cli(&["restore", "onyx.backup", "--yes"]);
        world.start().await;
        let operator = world.operator().await;
        let shopper = world.shopper_as("sandbox", who).await;
        // As many changes as there had been, and others.
        let again = [
            operator.patch(&package, price(9900)).await,
            operator.patch(&plan, json!({ "burst": 150 })).await,
        ];
        assert_eq!(again.each_ref().map(version), versions);

        for (path, tag) in &shown {
            let request = shopper.request(Method::GET, path);
            let request = request.header("if-none-match", tag);
            let answer = Answer::of(request.send().await.unwrap()).await;
            assert_eq!(answer.status, 200, "{path}");
            assert!(answer.text.contains("9900"), "{}", answer.text);
        }
        let renamed = json!({ "name": "Other" });
        for (path, old, now) in [
            (&package, &of_package, &again[0]),
            (&plan, &of_plan, &again[1]),
        ] {
            let refused = bound(&operator, Method::PATCH, path, old, renamed.clone()).await;
            assert_eq!(refused.status, 412, "{path}");
            let tag = now.header("etag");
            let known = bound(&operator, Method::PATCH, path, tag, renamed.clone()).await;
            assert_eq!(known.status, 200, "{path}");
        }
    }
}

#[actix_web::test]
async fn a_step_can_be_bound_to_what_the_operator_knows() {
    for world in worlds().await {
        let operator = world.operator().await;
        let drafted = operator.post("/packages", package()).await;
        let stale = drafted.header("etag").to_owned();
        let id = drafted.expect(201)["id"].as_str().unwrap().to_owned();
        let path = format!("/packages/{id}");
        let (publish, withdraw) = (format!("{path}/publish"), format!("{path}/withdraw"));
        let step = async |path: &str, tag: &str| {
            bound(&operator, Method::POST, path, tag, json!({})).await
        };
        let state = async || operator.get(&path).await.expect(200)["state"].clone();

        let free = json!({ "price": { "amount": 0, "currency": "EUR" } });
        let edited = operator.patch(&path, free).await;
        assert_eq!(edited.status, 200, "{}", edited.text);
        let refused = step(&publish, &stale).await;
        assert_snapshot!(refused.problem(), @"412 outdated: the record was changed since: read it again");
        assert_eq!(state().await, "draft");
        let published = step(&publish, edited.header("etag")).await;
        assert_eq!(published.expect(200)["state"], "published");

        let tag = published.header("etag");
        let former = edited.header("etag").to_owned();
        let signed = tag.replace(&format!("{id}."), &format!("{id}.+"));
        for other in [former, signed, format!("W/{tag}"), "\"x\"".to_owned()] {
            assert_eq!(step(&withdraw, &other).await.status, 412, "{other}");
        }
        assert_eq!(state().await, "published");
        for bare in [tag.trim_matches('"'), ""] {
            let refused = step(&withdraw, bare).await;
            assert_snapshot!(refused.problem(), @"400 invalid_header: If-Match must be an ETag of an earlier answer, quotes included");
        }
        // One of several is enough, and `*` is any.
        let several = format!("\"x\", {stale}, {tag}");
        assert_eq!(step(&withdraw, &several).await.status, 200);
        assert_eq!(step(&publish, "*").await.status, 200);
        let nobody = format!("/packages/{NOBODY}/publish");
        assert_eq!(step(&nobody, tag).await.status, 404);
    }
}
