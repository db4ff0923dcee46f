//! Who reads which orders.

use serde_json::json;

use super::{NOBODY, STILL, id_of};
use crate::support::shop::{Shopper, bare, column, package};
use crate::support::world::worlds_with;

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
