//! The catalogue: drafted and published by operators, read by partners.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::assert_snapshot;
use crate::support::shop::{bare, column, package, package_with};
use crate::support::world::{Answer, Operator, World, worlds};

const NOBODY: &str = "pkg_01ARZ3NDEKTSV4RRFFQ69G5FAV";

async fn import(operator: &Operator<'_>, query: &str, media_type: &str, body: &str) -> Answer {
    let path = format!("/admin/v1/packages/import{query}");
    let request = operator.world.request(Method::POST, &path);
    let request = request
        .bearer_auth(&operator.token)
        .header("content-type", media_type)
        .body(body.to_owned());
    Answer::of(request.send().await.unwrap()).await
}

async fn edit(operator: &Operator<'_>, id: &str, tag: &str, body: Value) -> Answer {
    let path = format!("/admin/v1/packages/{id}");
    let request = operator.world.request(Method::PATCH, &path);
    let request = request.bearer_auth(&operator.token).header("if-match", tag);
    Answer::of(request.json(&body).send().await.unwrap()).await
}

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
async fn a_change_can_be_bound_to_what_the_operator_knows() {
    for world in worlds().await {
        let operator = world.operator().await;
        let drafted = operator.post("/packages", package()).await;
        let tag = drafted.header("etag").to_owned();
        let id = drafted.expect(201)["id"].as_str().unwrap().to_owned();
        let price = |amount: i64| json!({ "price": { "amount": amount, "currency": "EUR" } });
        let first = edit(&operator, &id, &tag, price(1700)).await;
        let newer = first.header("etag").to_owned();
        assert_eq!(first.expect(200)["price"]["amount"], 1700);
        let refused = edit(&operator, &id, &tag, price(1)).await;
        assert_snapshot!(refused.problem(), @"412 outdated: the record was changed since: read it again");
        assert_eq!(
            edit(&operator, &id, "\"other.1\"", price(1)).await.status,
            412
        );
        assert_eq!(edit(&operator, &id, "*", price(1600)).await.status, 200);
        assert_eq!(edit(&operator, &id, &newer, price(1)).await.status, 412);
        // What is already so changes nothing, the version neither.
        let same = operator
            .patch(&format!("/packages/{id}"), price(1600))
            .await
            .expect(200);
        assert_eq!(same["version"], 3);

        // What was ordered keeps its price and says which version it was.
        operator
            .post(&format!("/packages/{id}/publish"), json!({}))
            .await
            .expect(200);
        let shopper = world.shopper().await;
        let order = shopper.order(&id, 2, "PO-1").await.expect(201);
        operator
            .patch(&format!("/packages/{id}"), price(9900))
            .await
            .expect(200);
        let path = format!("/orders/{}", order["id"].as_str().unwrap());
        let after = shopper.get(&path).await.expect(200);
        assert_eq!(
            (&after["package_version"], &after["total"]["amount"]),
            (&json!(4), &json!(3200))
        );
    }
}

#[actix_web::test]
async fn bad_packages_are_told_all_at_once() {
    for world in worlds().await {
        let operator = world.operator().await;
        let body = json!({
            "name": "", "description": 7, "price": { "amount": -1, "currency": "XXX", "tax": 1 }, "validity_days": 0,
            "region": "x".repeat(65), "features": ["", 5], "partners": ["ptn_1", 7, { "realm": "admin" }], "colour": "red",
        });
        let answer = operator.post("/packages", body).await;
        assert_snapshot!(answer.problem(), @"
        422 invalid_body: the request body has members that must be mended; see errors
          /name invalid: must be 1 to 200 characters, without control characters
          /description type: must be a string
          /price/amount invalid: must be a whole number from 0 to 9007199254740991
          /price/currency invalid: must be one of AUD, CAD, CHF, CZK, DKK, EUR, GBP, HUF, INR, JPY, KRW, NOK, NZD, PLN, RON, SEK, SGD, USD
          /price/tax unknown: is not a member of this request
          /validity_days invalid: must be a whole number from 1 to 3650
          /region invalid: must be 1 to 64 characters, without control characters
          /features/0 invalid: must be 1 to 64 characters, without control characters
          /features/1 type: must be a string
          /partners/0 invalid: must be an id of the form ptn_<ULID>
          /partners/1 type: must be a partner's id, or an object with partner_id and realm
          /partners/2/partner_id missing: must be there
          /partners/2/realm invalid: must be one of sandbox, live
          /colour unknown: is not a member of this request
        ");
        let stranger = package_with(json!({ "partners": ["ptn_01ARZ3NDEKTSV4RRFFQ69G5FAV"] }));
        let refused = operator.post("/packages", stranger).await;
        assert_snapshot!(refused.problem(), @"
        422 invalid_body: the request body has members that must be mended; see errors
          /partners invalid: there is no such partner: ptn_01ARZ3NDEKTSV4RRFFQ69G5FAV
        ");
        assert_eq!(
            world.lines("SELECT id AS line FROM packages"),
            [] as [&str; 0]
        );
    }
}

#[actix_web::test]
async fn a_file_is_imported_whole_or_not_at_all() {
    for world in worlds().await {
        let operator = world.operator().await;
        let shopper = world.shopper().await;
        let partner = &shopper.who.partner_id;
        let header =
            "name,description,price_amount,price_currency,validity_days,region,features,partners\n";
        let good = format!(
            "{header}\"Europe, 5 GB\",Data,1900,EUR,30,Europe,5 GB;hotspot,\nOurs,Own,0,USD,1,US,,{partner}\n"
        );
        let count =
            || world.lines("SELECT CAST(COUNT(*) AS TEXT) AS line FROM packages")[0].clone();

        let looked = import(&operator, "?dry_run=true", "text/csv", &good)
            .await
            .expect(200);
        assert_eq!(looked, json!({ "dry_run": true, "count": 2, "data": [] }));
        assert_eq!(count(), "0");
        let made = import(&operator, "", "text/csv; charset=utf-8", &good)
            .await
            .expect(201);
        assert_eq!((&made["count"], count()), (&json!(2), "2".to_owned()));
        let states = column(&made, "state");
        assert_eq!(states, ["draft", "draft"]);
        let mut names = column(&made, "name");
        names.sort();
        assert_eq!(names, ["Europe, 5 GB", "Ours"]);

        let bad = format!(
            "{header}Good,Data,1,EUR,1,EU,,\n,Data,x,EUR,1,EU,,\nShort,Data\nWho,Data,1,EUR,0,EU,,ptn_01ARZ3NDEKTSV4RRFFQ69G5FAV\n"
        );
        let refused = import(&operator, "", "text/csv", &bad).await;
        assert_snapshot!(refused.problem(), @"
        422 invalid_body: the request body has members that must be mended; see errors
          /1/name missing: must be there
          /1/price/amount invalid: must be a whole number from 0 to 9007199254740991
          /2 invalid: has 2 fields, and the header has 8
          /3/validity_days invalid: must be a whole number from 1 to 3650
        ");
        let rows: Vec<_> = refused.json()["errors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|e| e["row"].clone())
            .collect();
        assert_eq!(rows, [2, 2, 3, 4]);

        let twice = format!("[{}, {{\"name\": 1, \"name\": 2}}, 7]", package());
        let refused = import(&operator, "", "application/json", &twice).await;
        assert_eq!(refused.status, 422, "{}", refused.text);
        assert!(refused.text.contains("/1/name") && refused.text.contains("duplicate"));
        let stranger = json!([
            package(),
            package_with(json!({ "partners": ["ptn_01ARZ3NDEKTSV4RRFFQ69G5FAV"] }))
        ]);
        let refused = import(
            &operator,
            "?dry_run=true",
            "application/json",
            &stranger.to_string(),
        )
        .await;
        assert_eq!(refused.json()["errors"][0]["row"], 2);
        for (media_type, body, status) in [
            ("text/plain", "x", 415),
            ("application/json", "{}", 400),
            ("application/json", "[]", 400),
            ("text/csv", "colour\nred\n", 400),
            ("text/csv", "", 400),
        ] {
            let answer = import(&operator, "", media_type, body).await;
            assert_eq!(
                answer.status, status,
                "{media_type} {body}: {}",
                answer.text
            );
        }
        let huge = "x".repeat(1024 * 1024 + 1);
        assert_eq!(import(&operator, "", "text/csv", &huge).await.status, 413);
        assert_eq!(count(), "2");
        import(
            &operator,
            "",
            "application/json",
            &json!([package()]).to_string(),
        )
        .await
        .expect(201);
        assert_eq!(count(), "3");
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

#[actix_web::test]
async fn operators_keep_the_catalogue_from_the_command_line() {
    for world in worlds().await {
        let id = world.cli(&[
            "package",
            "create",
            "--name",
            "Europe",
            "--description",
            "Data",
            "--amount",
            "1900",
            "--currency",
            "EUR",
            "--validity-days",
            "30",
            "--region",
            "Europe",
            "--feature",
            "5 GB",
            "--feature",
            "hotspot",
            "--field",
            "id",
        ]);
        assert_eq!(
            world.cli(&["package", "publish", &id, "--field", "state"]),
            "published"
        );
        world.cli(&[
            "package",
            "edit",
            &id,
            "--amount",
            "1700",
            "--currency",
            "EUR",
        ]);
        let shown: Value =
            serde_json::from_str(&world.cli(&["package", "show", &id, "--json"])).unwrap();
        assert_eq!(
            (&shown["price"]["amount"], &shown["features"]),
            (&json!(1700), &json!(["5 GB", "hotspot"]))
        );
        assert!(world.cli(&["package", "list"]).contains("1700 EUR"));
        let file = write(
            &world,
            "more.csv",
            "name,description,price_amount,price_currency,validity_days,region,features\nA,B,1,EUR,1,EU,x\n,B,1,EUR,1,EU,x\n",
        );
        let refused = world.run(&["package", "import", &file]);
        assert_eq!(refused.status.code(), Some(1));
        assert!(
            String::from_utf8_lossy(&refused.stderr).contains("row 2: /1/name must be there"),
            "{refused:?}"
        );
        let file = write(
            &world,
            "more.json",
            &json!([package(), package()]).to_string(),
        );
        world.cli(&["package", "import", &file, "--dry-run"]);
        assert_eq!(world.cli(&["package", "list", "--field", "id"]), id);
        assert_eq!(
            world.cli(&["package", "import", &file, "--field", "state"]),
            "draft\ndraft"
        );
        assert_eq!(
            world.cli(&["package", "withdraw", &id, "--field", "state"]),
            "withdrawn"
        );
        assert_eq!(
            world.cli(&["package", "list", "--state", "withdrawn", "--field", "id"]),
            id
        );
    }
}

fn write(world: &World, name: &str, text: &str) -> String {
    let path = world.path().join(name);
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}
