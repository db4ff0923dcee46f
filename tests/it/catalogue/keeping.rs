//! How operators keep it.

use serde_json::{Value, json};

use super::{edit, import};
use crate::support::assert_snapshot;
use crate::support::shop::{column, package, package_with};
use crate::support::world::{World, worlds};

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
          /1/price/amount type: must be a whole number from 0 to 9007199254740991
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
