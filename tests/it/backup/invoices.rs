//! No invoice number names two invoices, and none is left out.

use serde_json::{Value, json};

use super::{backup, restore};
use crate::support::shop::package;
use crate::support::world::{Operator, PARTNER_SCOPES, World, worlds_with};

/// Bills what a partner owes in the sandbox.
async fn close(operator: &Operator<'_>, partner: &str, is_draft: bool) -> Value {
    let body = json!({ "partner_id": partner, "realm": "sandbox", "draft": is_draft });
    let made = operator.post("/invoices/close", body).await.expect(200);
    made["data"][0].clone()
}

fn path(invoice: &Value) -> String {
    format!("/invoices/{}", invoice["id"].as_str().unwrap())
}

/// A partner's invoices by their numbers: number, state, amount.
async fn all(world: &World, token: &str) -> Vec<String> {
    let list = world.get("/sandbox/v1/invoices", Some(token)).await;
    let list = list.expect(200);
    let mut all: Vec<String> = list["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| format!("{} {} {}", one["number"], text(one), one["total"]["amount"]))
        .collect();
    all.sort();
    all
}

fn text(invoice: &Value) -> &str {
    invoice["state"].as_str().unwrap()
}

#[actix_web::test]
async fn invoices_from_after_the_backup_are_void_and_keep_their_numbers() {
    for mut world in worlds_with(&[("ONYX_ROLES", "auth,admin,api")]).await {
        let package = world.operator().await.published(package()).await;
        let one = world.sandbox_client(&PARTNER_SCOPES).await;
        let other = world.sandbox_client(&PARTNER_SCOPES).await;
        let mut lost = Vec::new();
        {
            let operator = world.operator().await;
            let shopper = world.shopper_as("sandbox", one.clone()).await;
            shopper.order(&package, 1, "PO-1").await.expect(201);
            close(&operator, &one.partner_id, false).await;
            shopper.order(&package, 2, "PO-2").await.expect(201);
            let draft = close(&operator, &one.partner_id, true).await;
            backup(&world, "onyx.backup");

            let at = format!("{}/open", path(&draft));
            lost.push(operator.post(&at, json!({})).await.expect(200));
            shopper.order(&package, 3, "PO-3").await.expect(201);
            lost.push(close(&operator, &one.partner_id, false).await);
            // A partner that had no invoice when the backup was taken.
            let stranger = world.shopper_as("sandbox", other.clone()).await;
            stranger.order(&package, 1, "PO-1").await.expect(201);
            close(&operator, &other.partner_id, false).await;
            // One that the backup does not know.
            let later = world.sandbox_client(&PARTNER_SCOPES).await;
            let later = world.shopper_as("sandbox", later).await;
            later.order(&package, 1, "PO-1").await.expect(201);
            close(&operator, &later.who.partner_id, false).await;
        }
        world.terminate();
        let done = restore(&world, &["onyx.backup"]);
        assert_eq!(done["voided_invoices"], 3, "{done}");
        world.start().await;

        let operator = world.operator().await;
        let shopper = world.shopper_as("sandbox", one.clone()).await;
        let before = ["1 open 1900", "2 void 3800", "3 void 5700"];
        assert_eq!(all(&world, &shopper.token).await, before);
        for invoice in &lost {
            let at = format!("/sandbox/v1{}", path(invoice));
            let shown = world.get(&at, Some(&shopper.token)).await.expect(200);
            assert_eq!(
                (&shown["state"], &shown["number"]),
                (&json!("void"), &invoice["number"])
            );
        }
        // What the backup knows of is billed again, under the next number.
        let next = close(&operator, &one.partner_id, false).await;
        assert_eq!(
            (&next["number"], &next["total"]["amount"]),
            (&json!(4), &json!(3800))
        );
        let stranger = world.shopper_as("sandbox", other.clone()).await;
        stranger.order(&package, 2, "PO-1").await.expect(201);
        close(&operator, &other.partner_id, false).await;
        assert_eq!(
            all(&world, &stranger.token).await,
            ["1 void 1900", "2 open 3800"]
        );
        // Once more from the same backup: nothing that a partner holds comes back as another's, and what was voided
        // stays void.
        let list = world
            .get("/sandbox/v1/invoices", Some(&shopper.token))
            .await;
        let list = list.expect(200);
        let mut rows = list["data"].as_array().unwrap().iter();
        let first = rows.find(|one| one["number"] == 1).unwrap();
        let at = format!("{}/void", path(first));
        let void = operator.post(&at, json!({ "reason": "a typo" })).await;
        void.expect(200);
        world.terminate();
        let again = restore(&world, &["onyx.backup"]);
        assert_eq!(again["voided_invoices"], 6, "{again}");
        world.start().await;
        let shopper = world.shopper_as("sandbox", one.clone()).await;
        assert_eq!(
            all(&world, &shopper.token).await,
            ["1 void 1900", "2 void 3800", "3 void 5700", "4 void 3800"]
        );
        // A number that the backup gives to another invoice: the backup's stands.
        world.terminate();
        let of_one = format!("WHERE partner_id = '{}'", one.partner_id);
        world.execute(&format!("DELETE FROM invoice_lines {of_one}"));
        world.execute(&format!(
            "UPDATE invoices SET id = 'inv_01ARZ3NDEKTSV4RRFFQ69G5FAV' {of_one} AND number = 1"
        ));
        restore(&world, &["onyx.backup"]);
        world.start().await;
        let shopper = world.shopper_as("sandbox", one.clone()).await;
        assert_eq!(all(&world, &shopper.token).await[0], "1 open 1900");
    }
}
