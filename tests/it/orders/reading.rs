//! Who reads which orders.

use reqwest::Method;
use serde_json::json;

use super::{NOBODY, STILL, id_of};
use crate::support::shop::{Shopper, bare, column, package};
use crate::support::world::{Answer, PARTNER_SCOPES, worlds_with};

#[actix_web::test]
async fn another_s_order_is_not_there() {
    for world in worlds_with(&STILL).await {
        let operator = world.operator().await;
        let package = operator.published(package()).await;
        let (one, other) = (world.shopper().await, world.shopper().await);
        let live = world.live_shopper().await;
        let of_one = id_of(&one.order(&package, 1, "PO-1").await.expect(201));
        let of_live = id_of(&live.order(&package, 1, "PO-9").await.expect(201));
        // The partner of `live` in its sandbox.
        let operator_view = &live.who.partner_id;
        operator
            .sandbox_grant(operator_view, "orders:read", None)
            .await;
        let same_partner = operator
            .client(operator_view, "sandbox", &["orders:read"])
            .await;
        let same_partner = world.shopper_as("sandbox", same_partner).await;

        for (who, id, reference) in [
            (&other, &of_one, "PO-1"),
            (&live, &of_one, "PO-1"),
            (&one, &of_live, "PO-9"),
            (&same_partner, &of_live, "PO-9"),
        ] {
            let unknown = who.get(&format!("/orders/{NOBODY}")).await;
            assert_eq!(unknown.status, 404);
            for path in [
                format!("/orders/{id}"),
                "/orders/nonsense".to_owned(),
                format!("/orders/by-reference/{reference}"),
                "/orders/by-reference/unheard-of".to_owned(),
                "/orders/by-reference/%00".to_owned(),
            ] {
                assert_eq!(bare(&who.get(&path).await), bare(&unknown), "{path}");
            }
            let list = who.get("/orders").await.expect(200);
            assert!(!column(&list, "id").contains(id));
        }
        // A token of one environment opens nothing in the other.
        let path = format!("/live/v1/orders/{of_live}");
        assert_eq!(world.get(&path, Some(&one.token)).await.status, 401);
    }
}

#[actix_web::test]
async fn orders_are_listed_newest_first_page_by_page() {
    for world in worlds_with(&STILL).await {
        let operator = world.operator().await;
        let shopper = world.shopper().await;
        let (package, rare) = (
            operator.published(package()).await,
            operator.published(package()).await,
        );
        let mut ids = Vec::new();
        for nth in 0..7 {
            let of = if nth == 3 { &rare } else { &package };
            ids.push(id_of(
                &shopper.order(of, 1, &format!("PO-{nth}")).await.expect(201),
            ));
            // Ids of one millisecond are in no order.
            tokio::time::sleep(std::time::Duration::from_millis(3)).await;
        }
        ids.reverse();
        let mut seen = Vec::new();
        let mut query = "limit=3".to_owned();
        loop {
            let page = shopper.get(&format!("/orders?{query}")).await.expect(200);
            seen.extend(column(&page, "id"));
            let Some(cursor) = page["next_cursor"].as_str() else {
                break;
            };
            query = format!("limit=3&cursor={cursor}");
        }
        assert_eq!(seen, ids);

        let failed = &ids[5];
        operator
            .post(&format!("/orders/{failed}/fail"), json!({}))
            .await
            .expect(200);
        let found = async |query: String| {
            column(
                &shopper.get(&format!("/orders?{query}")).await.expect(200),
                "id",
            )
        };
        assert_eq!(found("state=failed".to_owned()).await, [failed.as_str()]);
        assert_eq!(found(format!("package_id={rare}")).await, [ids[3].as_str()]);
        let made = |nth: usize| {
            let at = world.lines(&format!(
                "SELECT CAST(created_at AS TEXT) AS line FROM orders WHERE id = '{}'",
                ids[nth]
            ));
            format!("{}Z", at[0].replace(' ', "T"))
        };
        let between = format!("created_from={}&created_to={}", made(4), made(1));
        assert_eq!(found(between.clone()).await, ids[2..=4]);
        assert_eq!(
            found(format!("{between}&package_id={package}&state=accepted")).await,
            [ids[2].as_str(), ids[4].as_str()]
        );
        for bad in [
            "state=lost",
            "created_from=yesterday",
            "package_id=1",
            "cursor=x",
            "colour=red",
        ] {
            assert_eq!(
                shopper.get(&format!("/orders?{bad}")).await.status,
                400,
                "{bad}"
            );
        }
    }
}

#[actix_web::test]
async fn a_cursor_is_of_the_list_that_gave_it() {
    for world in worlds_with(&STILL).await {
        let package = world.operator().await.published(package()).await;
        let who = world.sandbox_client(&PARTNER_SCOPES).await;
        let shopper = world.shopper_as("sandbox", who).await;
        for nth in 0..3 {
            let placed = shopper.order(&package, 1, &format!("PO-{nth}")).await;
            placed.expect(201);
        }
        let page = shopper.get("/orders?limit=1").await.expect(200);
        let cursor = page["next_cursor"].as_str().unwrap();
        for list in [
            "/catalogue/packages",
            "/usage",
            "/ledger/entries",
            "/invoices",
            "/webhook-endpoints",
            "/events",
            "/requests",
            "/audit/events",
        ] {
            let refused = shopper.get(&format!("{list}?cursor={cursor}")).await;
            assert_eq!(
                refused.problem(),
                "400 invalid_parameter: cursor must be a next_cursor of an earlier page",
                "{list}"
            );
        }
        // Events too are walked by it, as by their numbers.
        let first = shopper.get("/events?limit=2").await.expect(200);
        let cursor = first["next_cursor"].as_str().unwrap();
        let rest = shopper.get(&format!("/events?cursor={cursor}")).await;
        let rest = rest.expect(200);
        let last = first["data"][1]["seq"].as_i64().unwrap();
        let by_number = shopper.get(&format!("/events?after_seq={last}")).await;
        assert_eq!(rest, by_number.expect(200));
        assert_eq!(
            (&rest["data"][0]["seq"], &rest["next_cursor"]),
            (&json!(last + 1), &json!(null))
        );
        let both = shopper
            .get(&format!("/events?cursor={cursor}&after_seq=2"))
            .await;
        assert_eq!(both.expect(400)["code"], "invalid_parameter");
    }
}

#[actix_web::test]
async fn what_is_not_served_is_a_partners_call_all_the_same() {
    for world in worlds_with(&STILL).await {
        let shopper = world.shopper().await;
        let wrong = [
            (Method::PUT, "/orders", 405),
            (Method::GET, "/nothing/here", 404),
        ];
        for (method, path, status) in wrong {
            let ask = || shopper.world.request(method.clone(), &shopper.path(path));
            let answer = ask().bearer_auth(&shopper.token).send().await.unwrap();
            let answer = Answer::of(answer).await;
            assert_eq!(answer.status, status, "{path}");
            assert_eq!(answer.header("onyx-version"), "2026-11-01", "{path}");
            assert!(
                answer.header("ratelimit").contains("r="),
                "{path}: {answer:?}"
            );
            let logged = async || {
                let id = answer.header("onyx-request-id");
                let found = shopper.get(&format!("/requests?id={id}")).await;
                found.expect(200)["data"].as_array().unwrap().len()
            };
            let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
            while logged().await == 0 {
                assert!(std::time::Instant::now() < deadline, "{path} is not logged");
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
            // Nobody is told anything else without a token, or with a bad one.
            for request in [ask(), ask().bearer_auth("x")] {
                let stranger = Answer::of(request.send().await.unwrap()).await;
                assert_eq!(stranger.status, status, "{path}");
                let told = (
                    stranger.header("ratelimit"),
                    stranger.header("onyx-version"),
                );
                assert_eq!(told, ("", ""), "{path}");
            }
        }
    }
}

#[actix_web::test]
async fn scopes_open_orders() {
    for world in worlds_with(&STILL).await {
        let operator = world.operator().await;
        let package = operator.published(package()).await;
        let reader = world.sandbox_client(&["orders:read"]).await;
        let reader = world.shopper_as("sandbox", reader).await;
        assert_eq!(reader.order(&package, 1, "PO-1").await.status, 403);
        let writer = world.sandbox_client(&["orders:create"]).await;
        let writer = world.shopper_as("sandbox", writer).await;
        writer.order(&package, 1, "PO-1").await.expect(201);
        assert_eq!(writer.get("/orders").await.status, 403);
        // Who calls is asked before what is sent is looked at.
        let nobody = Shopper {
            token: "x".to_owned(),
            ..writer
        };
        let answer = nobody.order_under("", &json!({})).await;
        assert_eq!(answer.status, 401);
    }
}
