//! What partners see of it.

use reqwest::Method;
use serde_json::{Value, json};

use super::NOBODY;
use crate::support::assert_snapshot;
use crate::support::shop::{bare, column, package, package_with};
use crate::support::world::{Answer, worlds};

#[actix_web::test]
async fn a_package_is_seen_once_it_is_published_and_as_long_as_it_is() {
    for world in worlds().await {
        let operator = world.operator().await;
        let shopper = world.shopper().await;
        let drafted = operator.post("/packages", package()).await;
        let tag = drafted.header("etag").to_owned();
        let drafted = drafted.expect(201);
        let id = drafted["id"].as_str().unwrap();
        assert!(id.starts_with("pkg_"));
        assert_eq!(
            (&drafted["state"], &drafted["version"]),
            (&json!("draft"), &json!(1))
        );
        assert_eq!(drafted["partners"], Value::Null);

        let path = format!("/catalogue/packages/{id}");
        let unknown = shopper.get(&format!("/catalogue/packages/{NOBODY}")).await;
        assert_eq!(unknown.status, 404);
        assert_eq!(bare(&shopper.get(&path).await), bare(&unknown));
        assert_eq!(
            shopper.get("/catalogue/packages").await.expect(200)["data"],
            json!([])
        );

        let steps = format!("/packages/{id}");
        operator
            .post(&format!("{steps}/publish"), json!({}))
            .await
            .expect(200);
        let shown = shopper.get(&path).await;
        assert_ne!(shown.header("etag"), tag);
        let shown = shown.expect(200);
        assert_eq!(
            shown,
            json!({
                "id": id, "version": 2, "name": "Europe 5 GB", "description": "Data in 33 countries",
                "price": { "amount": 1900, "currency": "EUR" }, "validity_days": 30, "region": "Europe",
                "features": ["5 GB", "hotspot"], "included": null,
            })
        );
        let list = shopper.get("/catalogue/packages").await.expect(200);
        assert_eq!(list["data"], json!([shown]));

        let again = operator.post(&format!("{steps}/publish"), json!({})).await;
        assert_snapshot!(again.problem(), @r#"
        409 illegal_transition: the package is published; from there: withdrawn
          state "published", allowed ["withdrawn"]
        "#);
        operator
            .post(&format!("{steps}/withdraw"), json!({}))
            .await
            .expect(200);
        assert_eq!(bare(&shopper.get(&path).await), bare(&unknown));
        operator
            .post(&format!("{steps}/publish"), json!({}))
            .await
            .expect(200);
        shopper.get(&path).await.expect(200);
        let done = world.lines(&format!(
            "SELECT action AS line FROM audit_events WHERE target = '{id}' ORDER BY id"
        ));
        assert_eq!(done.len(), 4, "{done:?}");
    }
}

#[actix_web::test]
async fn a_restricted_package_is_not_there_for_others_nor_in_another_environment() {
    for world in worlds().await {
        let operator = world.operator().await;
        let (one, other) = (world.shopper().await, world.shopper().await);
        let partner = one.who.partner_id.clone();
        let both = operator
            .published(package_with(json!({ "partners": [partner] })))
            .await;
        let live_alone = json!({ "partners": [{ "partner_id": partner, "realm": "live" }] });
        let live_alone = operator.published(package_with(live_alone)).await;
        let nobody = operator
            .published(package_with(json!({ "partners": [] })))
            .await;

        let unknown = one.get(&format!("/catalogue/packages/{NOBODY}")).await;
        one.get(&format!("/catalogue/packages/{both}"))
            .await
            .expect(200);
        for (who, id) in [
            (&one, &live_alone),
            (&other, &both),
            (&other, &live_alone),
            (&one, &nobody),
        ] {
            let answer = who.get(&format!("/catalogue/packages/{id}")).await;
            assert_eq!(bare(&answer), bare(&unknown));
        }
        let list = one.get("/catalogue/packages").await.expect(200);
        assert_eq!(column(&list, "id"), [both.as_str()]);
        assert_eq!(
            other.get("/catalogue/packages").await.expect(200)["data"],
            json!([])
        );
        let shown = operator.get(&format!("/packages/{both}")).await.expect(200);
        assert_eq!(
            shown["partners"],
            json!([{ "partner_id": partner, "realm": "live" }, { "partner_id": partner, "realm": "sandbox" }])
        );
        // To the same again is no change.
        let same = json!({ "partners": [partner] });
        let same = operator.patch(&format!("/packages/{both}"), same).await;
        assert_eq!(same.expect(200), shown);

        // Nor can others order it.
        for (who, id) in [(&one, &live_alone), (&other, &both), (&one, &nobody)] {
            let answer = who.order(id, 1, "PO-1").await;
            assert_snapshot!(answer.problem(), @"
            422 invalid_body: the request body has members that must be mended; see errors
              /package_id invalid: is not a package that you can order: see /catalogue/packages
            ");
        }
        one.order(&both, 1, "PO-1").await.expect(201);

        let opened = operator
            .patch(&format!("/packages/{both}"), json!({ "partners": null }))
            .await;
        assert_eq!(opened.expect(200)["partners"], Value::Null);
        other
            .get(&format!("/catalogue/packages/{both}"))
            .await
            .expect(200);
    }
}

#[actix_web::test]
async fn what_a_partner_has_already_is_not_sent_again() {
    for world in worlds().await {
        let operator = world.operator().await;
        let shopper = world.shopper().await;
        let id = operator.published(package()).await;
        let ask = async |path: &str, tag: &str| {
            let request = shopper
                .request(Method::GET, path)
                .header("if-none-match", tag);
            Answer::of(request.send().await.unwrap()).await
        };
        for path in [
            "/catalogue/packages".to_owned(),
            format!("/catalogue/packages/{id}"),
        ] {
            let first = shopper.get(&path).await;
            assert_eq!(first.status, 200);
            assert_eq!(first.header("cache-control"), "private, no-cache");
            let tag = first.header("etag").to_owned();
            assert!(tag.starts_with('"'), "a strong tag: {tag}");
            let known = ask(&path, &tag).await;
            assert_eq!(
                (known.status, known.text.as_str(), known.header("etag")),
                (304, "", &*tag)
            );
            assert_eq!(ask(&path, "\"of-yesterday\"").await.status, 200);

            // Another version says it in other words, and tells its own tags from the others.
            let in_older = async |tag: &str| {
                let request = shopper
                    .request(Method::GET, &path)
                    .header("onyx-version", "2026-09-01")
                    .header("if-none-match", tag);
                Answer::of(request.send().await.unwrap()).await
            };
            let older = in_older(&tag).await;
            assert_eq!(older.status, 200, "a tag of other words");
            let older_tag = older.header("etag").to_owned();
            assert_ne!(older_tag, tag);
            let known = in_older(&older_tag).await;
            assert_eq!((known.status, known.header("etag")), (304, &*older_tag));
            assert_eq!(ask(&path, &older_tag).await.status, 200);

            operator
                .patch(
                    &format!("/packages/{id}"),
                    json!({ "description": format!("for {path}") }),
                )
                .await
                .expect(200);
            let changed = ask(&path, &tag).await;
            assert_eq!(changed.status, 200);
            assert_ne!(changed.header("etag"), tag);
        }
    }
}

#[actix_web::test]
async fn the_catalogue_is_filtered_and_paged() {
    for world in worlds().await {
        let operator = world.operator().await;
        let shopper = world.shopper().await;
        let mut ids = Vec::new();
        for (name, region, currency, feature) in [
            ("Alps 100%", "Europe", "EUR", "5G"),
            ("Fjords", "Europe", "CHF", "hotspot"),
            ("Desert_1", "Africa", "EUR", "5"),
        ] {
            let body = package_with(json!({
                "name": name, "region": region, "price": { "amount": 100, "currency": currency }, "features": [feature],
            }));
            ids.push(operator.published(body).await);
        }
        let found = async |query: &str| {
            let list = shopper
                .get(&format!("/catalogue/packages?{query}"))
                .await
                .expect(200);
            let shown = column(&list, "id");
            let nth = |id| ids.iter().position(|known| known == id).unwrap();
            shown.iter().map(nth).collect::<Vec<_>>()
        };
        assert_eq!(found("region=Europe").await, [0, 1]);
        assert_eq!(found("currency=EUR").await, [0, 2]);
        assert_eq!(found("feature=5").await, [2], "the whole of its name");
        assert_eq!(found("feature=5g").await, [0]);
        assert_eq!(found("name=ALPS").await, [0]);
        assert_eq!(found("name=100%25").await, [0]);
        assert_eq!(found("name=_").await, [2], "no wildcards");
        assert_eq!(found("region=Europe&currency=EUR").await, [0]);
        assert_eq!(found("region=nowhere").await, [] as [usize; 0]);

        let first = shopper.get("/catalogue/packages?limit=2").await.expect(200);
        let cursor = first["next_cursor"].as_str().unwrap();
        let rest = shopper
            .get(&format!("/catalogue/packages?limit=2&cursor={cursor}"))
            .await
            .expect(200);
        let mut all = column(&first, "id");
        all.extend(column(&rest, "id"));
        all.sort();
        ids.sort();
        assert_eq!(all, ids);
        assert_eq!(rest["next_cursor"], Value::Null);
        for bad in [
            "name=a%00b",
            "currency=eur",
            "state=draft",
            "limit=0",
            "feature=",
        ] {
            let answer = shopper.get(&format!("/catalogue/packages?{bad}")).await;
            assert_eq!(answer.status, 400, "{bad}: {}", answer.text);
        }
    }
}

#[actix_web::test]
async fn a_feature_is_found_by_the_whole_of_its_name_whatever_is_in_it() {
    for world in worlds().await {
        let operator = world.operator().await;
        let shopper = world.shopper().await;
        let mut ids = Vec::new();
        for features in [
            json!(["5 GB", "hotspot"]),
            json!(["a,", ",b"]),
            json!(["a\",", ",b"]),
            json!([","]),
            json!(["b", ","]),
            json!(["a\"x\\", "b"]),
            json!(["x\\"]),
            json!(["100%_!", "x"]),
        ] {
            let body = package_with(json!({ "features": features }));
            ids.push(operator.published(body).await);
        }
        for (feature, with_it) in [
            ("HOTSPOT", vec![0]),
            (",", vec![3, 4]),
            ("a,", vec![1]),
            (",b", vec![1, 2]),
            ("a%22,", vec![2]),
            ("%22,%22", vec![]),
            ("a%22x%5C", vec![5]),
            ("x%5C", vec![6]),
            ("x", vec![7]),
            ("B", vec![4, 5]),
            ("100%25_!", vec![7]),
            ("100%25%25!", vec![]),
        ] {
            let path = format!("/catalogue/packages?feature={feature}");
            let list = shopper.get(&path).await.expect(200);
            let shown = column(&list, "id");
            let nth = |id| ids.iter().position(|known| known == id).unwrap();
            let found: Vec<usize> = shown.iter().map(nth).collect();
            assert_eq!(found, with_it, "{feature}");
        }
    }
}

#[actix_web::test]
async fn scopes_open_the_catalogue() {
    for world in worlds().await {
        let operator = world.operator().await;
        let puppet = operator.puppet(&["partners:read"]).await;
        assert_eq!(puppet.get("/packages").await.status, 403);
        assert_eq!(puppet.post("/packages", package()).await.status, 403);
        let who = world.sandbox_client(&["orders:read"]).await;
        let token = world.token("sandbox", &who, &[]).await;
        let refused = world
            .get("/sandbox/v1/catalogue/packages", Some(&token))
            .await;
        assert_eq!(refused.status, 403);
        assert_eq!(
            world
                .get("/sandbox/v1/catalogue/packages", None)
                .await
                .status,
            401
        );
    }
}
