//! What must not be sent is refused with its kind, leaves no trace, and is looked into.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::assert_snapshot;
use crate::support::shop::{fresh_key, package};
use crate::support::world::{Answer, worlds};

#[actix_web::test]
async fn no_name_that_holds_prohibited_material_is_repeated() {
    for world in worlds().await {
        let package = world.operator().await.published(package()).await;
        let shopper = world.shopper().await;
        let secret = shopper.who.secret.clone();
        let named = |name: &str, value: &str| format!("\"{name}\":{value}");
        let bad = [
            named(
                "metadata",
                &format!("{{{}}}", named("4111111111111111", "5")),
            ),
            named(
                "metadata",
                &format!("{{{}}}", named("4111111111111111\\u0001", "\"x\"")),
            ),
            named("metadata", &format!("{{{}}}", named(&secret, "5"))),
            named(
                "metadata",
                r#"{"4111111111111111":"x","4111111111111111":"y"}"#,
            ),
            named(&secret, "1"),
            named("4111 1111 1111 1111", "1"),
            // Cut where pointers cut names, it would be no card's number.
            named(&format!("{}4111 1111 1111 1111", "- ".repeat(25)), "1"),
            named(
                "metadata",
                r#"{"note":{"4111 1111 1111 1111":{"a":1,"a":2}}}"#,
            ),
        ];
        for member in bad {
            let body = format!(
                r#"{{"package_id":"{package}","quantity":1,"partner_order_ref":"PO-1",{member}}}"#
            );
            let request = shopper
                .request(Method::POST, "/orders")
                .header("idempotency-key", fresh_key())
                .header("content-type", "application/json")
                .body(body);
            let refused = Answer::of(request.send().await.unwrap()).await;
            assert_eq!(refused.status, 422, "{member}");
            for value in ["4111", &secret[..24]] {
                assert!(!refused.text.contains(value), "{member}: {}", refused.text);
            }
        }
    }
}

#[actix_web::test]
async fn a_name_tells_of_a_one_time_code_and_a_neighbour_hides_no_card() {
    for world in worlds().await {
        let package = world.operator().await.published(package()).await;
        let shopper = world.shopper().await;
        let with = |metadata: Value| {
            json!({
                "package_id": package, "quantity": 1, "partner_order_ref": "PO-1",
                "metadata": metadata,
            })
        };
        let body = with(json!({
            "a": "Q4 4111 1111 1111 1111", "b": "4111–1111–1111–1111 3DS",
            "otp": "493817", "verificationCode": "482 913", "verification_code": "775533",
        }));
        let refused = shopper.order_under(&fresh_key(), &body).await;
        assert_snapshot!(refused.problem(), @r"
        422 invalid_body: the request body has members that must be mended; see errors
          /metadata/a prohibited_material: looks like a full card number, which must not be sent here
          /metadata/b prohibited_material: looks like a full card number, which must not be sent here
          /metadata/otp prohibited_material: looks like a one-time code, which must not be sent here
          /metadata/verificationCode prohibited_material: looks like a one-time code, which must not be sent here
          /metadata/verification_code prohibited_material: looks like a one-time code, which must not be sent here
        ");
        for value in ["4111", "493817", "482 913", "775533"] {
            assert!(!refused.text.contains(value), "{}", refused.text);
        }
        let harmless = with(json!({
            "code": "493817", "pin": "4821", "otp_sent_at": "2026-11-27T10:15:00Z",
            "place": "49.01212784378666,12.70920654246491", "iccid": "8934 2504 9383 8186 0814",
            "iban": "GB38 LOYD 3030 6274 6111 49",
        }));
        let placed = shopper.order_under(&fresh_key(), &harmless).await;
        placed.expect(201);
    }
}

#[actix_web::test]
async fn prohibited_material_is_refused_by_kind_and_never_kept() {
    for world in worlds().await {
        let operator = world.operator().await;
        let package = operator.published(package()).await;
        let shopper = world.shopper().await;
        let secret = shopper.who.secret.clone();
        let card = "4111 1111 1111 1111";
        let token =
            "eyJhbGciOiJFUzI1NiIsInR5cCI6ImF0K2p3dCJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJlLXNpZ25hdHVyZQ";
        let phrase = "legal winner thank year wave sausage worth useful legal winner thank yellow";
        let body = json!({
            "package_id": package, "quantity": 1, "partner_order_ref": "4111111111111111",
            "metadata": {
                "card": card, "phrase": phrase, "key": "-----BEGIN PRIVATE KEY-----", "code": "OTP 482913",
                "secret": secret, "token": token, "fine": "Oslo", "5555 5555 5555 4444": "x",
            },
        });
        let refused = shopper.order_under(&fresh_key(), &body).await;
        let faults = refused.expect(422)["errors"].clone();
        let told: Vec<(String, String)> = faults
            .as_array()
            .unwrap()
            .iter()
            .map(|fault| {
                assert_eq!(fault["code"], "prohibited_material", "{fault}");
                let text = |name: &str| fault[name].as_str().unwrap().to_owned();
                (text("pointer"), text("detail"))
            })
            .collect();
        let pointers: Vec<&str> = told.iter().map(|(pointer, _)| pointer.as_str()).collect();
        let mut sorted = pointers.clone();
        sorted.sort_unstable();
        assert_eq!(
            sorted,
            [
                "/metadata",
                "/metadata/card",
                "/metadata/code",
                "/metadata/key",
                "/metadata/phrase",
                "/metadata/secret",
                "/metadata/token",
                "/partner_order_ref",
            ]
        );
        for value in [card, phrase, token, "5555", "482913", &secret] {
            assert!(!refused.text.contains(value), "{}", refused.text);
        }
        // Nothing was bought, and the case is open once however often it happens.
        let again = shopper.order_under(&fresh_key(), &body).await;
        assert_eq!(again.status, 422);
        assert_eq!(shopper.get("/orders").await.expect(200)["data"], json!([]));
        let cases = operator
            .get("/reviews?kind=prohibited_material&limit=100")
            .await
            .expect(200);
        let of_partner = |case: &&Value| case["partner_id"] == shopper.who.partner_id.as_str();
        let cases: Vec<&Value> = cases["data"]
            .as_array()
            .unwrap()
            .iter()
            .filter(of_partner)
            .collect();
        assert_eq!(cases.len(), 7, "{cases:#?}");
        let counts = world.lines(&format!(
            "SELECT material || ' ' || count AS line FROM prohibited_findings WHERE partner_id = '{}' ORDER BY material",
            shopper.who.partner_id
        ));
        assert_eq!(
            counts,
            [
                "card_number 2",
                "client_secret 2",
                "long_number 2",
                "one_time_code 2",
                "private_key 2",
                "recovery_phrase 2",
                "token 2",
            ]
        );
        let log = world.log();
        assert!(!log.contains("sausage") && !log.contains("4111"));
    }
}
