//! Single tokens, revoked by themselves.

use serde_json::{Value, json};

use super::{audit, edit, revocations};
use crate::support::assert_snapshot;
use crate::support::world::{claims, worlds};

#[actix_web::test]
async fn a_single_token_is_revoked_by_itself_or_by_its_name() {
    for world in worlds().await {
        let operator = world.operator().await;
        let who = world.sandbox_client(&["orders:read"]).await;
        let audience = "https://stock.acme.example";
        operator
            .resource_server("sandbox", audience, &["stock:read"], "EdDSA")
            .await;
        operator
            .sandbox_grant(&who.partner_id, "stock:read", Some(audience))
            .await;
        let scopes = json!({ "scopes": ["orders:read", "stock:read"] });
        edit(&operator, &who.client_id, scopes).await.expect(200);
        let stock = [("resource", audience), ("scope", "stock:read")];
        let tokens = [
            world.token("sandbox", &who, &[]).await,
            world.token("sandbox", &who, &stock).await,
            operator.puppet(&["partners:read"]).await.token,
        ];
        for token in &tokens {
            let (realm, mine) = match claims(token)["partner_id"].as_str() {
                Some(partner) => ("sandbox", json!(partner)),
                None => ("admin", Value::Null),
            };
            let answer = operator
                .post("/tokens/revoke", json!({ "token": token }))
                .await;
            let jti = claims(token)["jti"].clone();
            let client = claims(token)["client_id"].clone();
            let expected = json!({ "revoked": true, "realm": realm, "jti": jti, "client_id": client, "partner_id": mine });
            assert_eq!(answer.expect(200), expected);
        }
        let named = world.token("sandbox", &who, &[]).await;
        let body = json!({ "realm": "sandbox", "jti": claims(&named)["jti"] });
        let answer = operator.post("/tokens/revoke", body).await.expect(200);
        assert_eq!(
            (&answer["revoked"], &answer["client_id"]),
            (&json!(true), &json!(who.client_id))
        );
        // After a restore, a token may live that is not on record.
        let body = json!({ "realm": "live", "jti": "nobody-knows" });
        let answer = operator.post("/tokens/revoke", body).await.expect(200);
        assert_eq!(
            (&answer["revoked"], &answer["client_id"]),
            (&json!(true), &Value::Null)
        );

        let jti = |token: &str| format!("token {} revoked", claims(token)["jti"].as_str().unwrap());
        assert_eq!(
            revocations(&world, "sandbox"),
            [jti(&tokens[0]), jti(&tokens[1]), jti(&named)]
        );
        assert_eq!(revocations(&world, "admin"), [jti(&tokens[2])]);
        assert_eq!(revocations(&world, "live"), ["token nobody-knows revoked"]);
        let target = claims(&named)["jti"].as_str().unwrap().to_owned();
        let expected = format!(r#"token.revoked {{"client_id":"{}"}}"#, who.client_id);
        assert_eq!(audit(&world, &target), [expected]);
        for token in tokens.iter().chain([&named]) {
            assert!(!world.log().contains(token.split('.').nth(2).unwrap()));
        }
    }
}

#[actix_web::test]
async fn what_is_no_token_of_ours_needs_no_revoking() {
    let mut worlds = worlds().await.into_iter();
    let (world, stranger) = (worlds.next().unwrap(), worlds.next().unwrap());
    let operator = world.operator().await;
    let who = world.sandbox_client(&["orders:read"]).await;
    let theirs = stranger.operator().await.token;
    let own = world.token("sandbox", &who, &[]).await;
    let [head, body, _] = own.split('.').collect::<Vec<_>>()[..] else {
        panic!()
    };
    let forged = format!("{head}.{body}.{}", theirs.rsplit('.').next().unwrap());
    for token in [
        theirs.as_str(),
        &forged,
        "x",
        "a.b.c",
        "eyJhbGciOiJub25lIn0.e30.",
    ] {
        let answer = operator
            .post("/tokens/revoke", json!({ "token": token }))
            .await
            .expect(200);
        let expected = json!({ "revoked": false, "realm": null, "jti": null, "client_id": null, "partner_id": null });
        assert_eq!(answer, expected, "{token}");
    }
    assert!(revocations(&world, "sandbox").is_empty() && revocations(&world, "admin").is_empty());
    let mut told = String::new();
    for bad in [
        json!({}),
        json!({ "realm": "sandbox" }),
        json!({ "jti": "x" }),
        json!({ "token": own, "jti": "x" }),
        json!({ "token": 1, "realm": "moon", "jti": "", "reason": "x" }),
        json!({ "realm": "sandbox", "jti": "a b" }),
    ] {
        let answer = operator.post("/tokens/revoke", bad).await.problem();
        told += &answer.lines().skip(1).collect::<Vec<_>>().join("\n");
        told += "\n";
    }
    assert_snapshot!(told, @"
    /token missing: must be there, or realm and jti
    /jti missing: must be there
    /realm missing: must be there
    /token invalid: send either token, or realm and jti
    /token type: must be a string
    /realm invalid: must be one of sandbox, live, admin
    /jti invalid: must be 1 to 128 characters, without control characters
    /reason unknown: is not a member of this request
    /jti invalid: must be visible ASCII characters
    ");
    let other = operator.puppet(&["clients:write"]).await;
    let refused = other.post("/tokens/revoke", json!({ "token": own })).await;
    assert_eq!(refused.status, 403);
}
