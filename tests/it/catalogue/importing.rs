//! Files of packages, however long and however written.

use serde_json::json;

use super::import;
use crate::support::assert_snapshot;
use crate::support::shop::{column, package, package_with};
use crate::support::world::{World, worlds};

const HEADER: &str =
    "name,description,price_amount,price_currency,validity_days,region,features,partners\n";

/// How many rows a table has.
fn count(world: &World, table: &str) -> String {
    let query = format!("SELECT CAST(COUNT(*) AS TEXT) AS line FROM {table}");
    world.lines(&query).remove(0)
}

#[actix_web::test]
async fn a_long_file_that_names_many_partners_is_imported() {
    for world in worlds().await {
        let operator = world.operator().await;
        let mut partners = Vec::new();
        for _ in 0..30 {
            partners.push(operator.partner().await);
        }
        let row = format!("Ours,Own,100,EUR,30,Europe,5 GB,{}\n", partners.join(";"));
        let file = format!("{HEADER}{}", row.repeat(300));
        let looked = import(&operator, "?dry_run=true", "text/csv", &file).await;
        assert_eq!(looked.expect(200)["count"], 300);
        let made = import(&operator, "", "text/csv", &file).await.expect(201);
        assert_eq!(made["count"], 300);
        for package in made["data"].as_array().unwrap() {
            assert_eq!(package["partners"].as_array().unwrap().len(), 60);
        }
        assert_eq!(count(&world, "packages"), "300");
        assert_eq!(count(&world, "package_partners"), "18000");
        let told = count(&world, "audit_events WHERE action = 'package.created'");
        assert_eq!(told, "300");
        let last = &made["data"][299];
        let path = format!("/packages/{}", last["id"].as_str().unwrap());
        assert_eq!(&operator.get(&path).await.expect(200), last);

        // As many packages as there may be, and more partners than may be named.
        let most = "All,Data,100,EUR,30,Europe,5 GB,\n".repeat(1000);
        let made = import(&operator, "", "text/csv", &format!("{HEADER}{most}")).await;
        assert_eq!(made.expect(201)["count"], 1000);
        assert_eq!(count(&world, "packages"), "1300");
        let file = format!("{HEADER}{}", row.repeat(334));
        for query in ["?dry_run=true", ""] {
            let refused = import(&operator, query, "text/csv", &file).await;
            assert_snapshot!(refused.problem(), @"413 too_many_partners: the packages of an import name at most 10,000 partners, counted for each of them; send the rest in another");
        }
        assert_eq!(count(&world, "packages"), "1300");
    }
}

#[actix_web::test]
async fn who_is_named_and_does_not_exist_is_told_for_each_row() {
    for world in worlds().await {
        let operator = world.operator().await;
        let known = operator.partner().await;
        let (one, other) = (
            "ptn_01ARZ3NDEKTSV4RRFFQ69G5FAV",
            "ptn_01ARZ3NDEKTSV4RRFFQ69G5FAW",
        );
        let shown_to = |partners: &[&str]| package_with(json!({ "partners": partners }));
        let file = json!([
            shown_to(&[one, &known, other]),
            shown_to(&[&known]),
            package(),
            shown_to(&[other]),
        ]);
        let refused = import(&operator, "", "application/json", &file.to_string()).await;
        assert_snapshot!(refused.problem(), @"
        422 invalid_body: the request body has members that must be mended; see errors
          /0/partners invalid: there is no such partner: ptn_01ARZ3NDEKTSV4RRFFQ69G5FAV
          /0/partners invalid: there is no such partner: ptn_01ARZ3NDEKTSV4RRFFQ69G5FAW
          /3/partners invalid: there is no such partner: ptn_01ARZ3NDEKTSV4RRFFQ69G5FAW
        ");
        assert_eq!(count(&world, "packages"), "0");
    }
}

#[actix_web::test]
async fn a_stray_quote_joins_no_rows() {
    for world in worlds().await {
        let operator = world.operator().await;
        let file = async |query: &str, rows: &str| {
            import(&operator, query, "text/csv", &format!("{HEADER}{rows}")).await
        };
        let left_open = "A,\"Data in 33 countries,1900,EUR,30,Europe,5 GB,\n\
                         B,\"Data in 12 countries\",900,EUR,30,Asia,5 GB,\n";
        for query in ["?dry_run=true", ""] {
            let refused = file(query, left_open).await;
            assert_snapshot!(refused.problem(), @"400 invalid_csv: line 2: a field in quotes goes on after a quote on line 3: write each quote in it twice");
        }
        let to_the_end = "A,Data,1,EUR,1,EU,\"5 GB,\nB,Data,2,EUR,1,EU,x,\n";
        let refused = file("", to_the_end).await;
        assert_snapshot!(refused.problem(), @"400 invalid_csv: line 2: a field begins with a quote, and none ends it");
        let within = "A,Data,1,EUR,1,EU,,\nB,On a 7\" screen,2,EUR,1,EU,,\n";
        let refused = file("", within).await;
        assert_snapshot!(refused.problem(), @"400 invalid_csv: line 3: a quote stands in a field that does not begin with one: put the field into quotes, and write each quote in it twice");
        assert_eq!(count(&world, "packages"), "0");

        // As spreadsheets write it, with the mark of its encoding before the first quote.
        let file = "\u{feff}\"name\",description,price_amount,price_currency,validity_days,region,features\r\n\
                    \"The \"\"best\"\", 5 GB\",\"On a 7\"\" screen\",1,EUR,1,EU,\r\n";
        let made = import(&operator, "", "text/csv", file).await.expect(201);
        assert_eq!(column(&made, "name"), ["The \"best\", 5 GB"]);
        assert_eq!(column(&made, "description"), ["On a 7\" screen"]);
    }
}
