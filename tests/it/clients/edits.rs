//! What is changed of a client, and what that does to its tokens.

use std::time::Duration;

use serde_json::{Value, json};

use super::{audit, edit, revocations, step};
use crate::support::assert_snapshot;
use crate::support::world::{header, in_future, worlds};

#[actix_web::test]
async fn an_edit_sets_clears_and_keeps() {
    for world in worlds().await {
        let operator = world.operator().await;
        let partner = operator.partner().await;
        for scope in ["orders:read", "usage:read"] {
            operator.sandbox_grant(&partner, scope, None).await;
        }
        let ends = in_future(Duration::from_secs(24 * 3600));
        let body = json!({
            "realm": "sandbox", "name": "backend", "scopes": ["orders:read", "usage:read"],
            "default_scopes": ["orders:read"], "token_ttl": 120, "expires_at": ends,
            "ip_allowlist": ["127.0.0.1", "2001:DB8::1/32"], "self_rotation": false,
        });
        let who = operator.client_with(&partner, body).await;
        let client = who.client_id.as_str();
        let show = async || {
            operator
                .get(&format!("/clients/{client}"))
                .await
                .expect(200)
        };
        let made = show().await;
        assert_eq!(
            (&made["ip_allowlist"], &made["self_rotation"]),
            (&json!(["127.0.0.1/32", "2001:db8::/32"]), &json!(false))
        );

        // Nothing said, nothing changed, nothing on record.
        assert_eq!(edit(&operator, client, json!({})).await.expect(200), made);
        assert_eq!(
            edit(&operator, client, json!({ "name": "backend" }))
                .await
                .expect(200),
            made
        );
        assert_eq!(audit(&world, client).len(), 1);

        let renamed = edit(
            &operator,
            client,
            json!({ "name": "front", "token_ttl": 60 }),
        )
        .await
        .expect(200);
        let mut expected = made.clone();
        expected["name"] = json!("front");
        expected["token_ttl"] = json!(60);
        expected["updated_at"] = renamed["updated_at"].clone();
        assert_eq!((&renamed, &show().await), (&expected, &expected));

        let cleared = edit(&operator, client, json!({
            "default_scopes": null, "token_ttl": null, "expires_at": null, "ip_allowlist": null, "self_rotation": null,
        })).await.expect(200);
        for name in [
            "default_scopes",
            "token_ttl",
            "expires_at",
            "ip_allowlist",
            "self_rotation",
        ] {
            expected[name] = Value::Null;
        }
        expected["updated_at"] = cleared["updated_at"].clone();
        assert_eq!((&cleared, &show().await), (&expected, &expected));
        let answer = world.token_answer("sandbox", &who, &[]).await.expect(200);
        assert_eq!(
            (&answer["scope"], &answer["expires_in"]),
            (&json!("orders:read usage:read"), &json!(300))
        );
        // Less was said of it, never less allowed: no token died.
        assert!(revocations(&world, "sandbox").is_empty());
        assert_eq!(
            audit(&world, client).last().unwrap(),
            r#"client.changed {"changed":["default_scopes","token_ttl","ip_allowlist","expires_at","self_rotation"],"scopes":"orders:read usage:read"}"#
        );
    }
}

#[actix_web::test]
async fn a_bad_edit_is_told_all_that_is_wrong() {
    for world in worlds().await {
        let operator = world.operator().await;
        let who = world.sandbox_client(&["orders:read", "usage:read"]).await;
        let client = who.client_id.as_str();
        let bad = json!({
            "name": null, "scopes": ["a b", 1], "default_scopes": "orders:read", "token_ttl": 901,
            "ip_allowlist": ["10.0.0.0/8", "10.0.0.0/40", "example.org", 7], "expires_at": "tomorrow",
            "self_rotation": "yes", "state": "revoked", "partner_id": "ptn_x",
        });
        let told = edit(&operator, client, bad).await;
        assert_snapshot!(told.problem(), @"
        422 invalid_body: the request body has members that must be mended; see errors
          /name type: must not be null: leave it out to keep it as it is
          /scopes/0 invalid: must be a scope of 1 to 128 visible ASCII characters without space, quote or backslash
          /scopes/1 type: must be a string
          /default_scopes type: must be a list of at most 100 strings
          /token_ttl invalid: must be a whole number from 60 to 900
          /ip_allowlist/1 invalid: must be an address or a network, like 203.0.113.7, 203.0.113.0/24 or 2001:db8::/32
          /ip_allowlist/2 invalid: must be an address or a network, like 203.0.113.7, 203.0.113.0/24 or 2001:db8::/32
          /ip_allowlist/3 type: must be a string
          /expires_at invalid: must be a time like 2030-01-31T12:00:00Z (RFC 3339)
          /self_rotation type: must be true or false
          /partner_id unknown: is not a member of this request
          /state unknown: is not a member of this request
        ");
        let mut told = String::new();
        let many: Vec<String> = (0..101).map(|n| format!("10.0.{n}.0/24")).collect();
        for bad in [
            json!({ "scopes": null }),
            json!({ "scopes": [] }),
            json!({ "scopes": ["orders:read", "ledger:read"] }),
            json!({ "default_scopes": ["orders:create"] }),
            json!({ "scopes": ["orders:read"], "default_scopes": ["usage:read"] }),
            json!({ "expires_at": "2020-01-01T00:00:00Z" }),
            json!({ "ip_allowlist": [] }),
            json!({ "ip_allowlist": many }),
        ] {
            let answer = edit(&operator, client, bad).await.problem();
            told += &answer.lines().skip(1).collect::<Vec<_>>().join("\n");
            told += "\n";
        }
        assert_snapshot!(told, @"
        /scopes type: must not be null: leave it out to keep it as it is
        /scopes invalid: must name at least one scope
        /scopes invalid: not granted to this partner in sandbox: ledger:read
        /default_scopes invalid: must be among scopes
        /default_scopes invalid: must be among scopes
        /expires_at invalid: must lie in the future
        /ip_allowlist invalid: must name at least one network; null lets it call from anywhere
        /ip_allowlist type: must be a list of at most 100 strings
        ");
        let path = format!("/partners/{}/clients", who.partner_id);
        let body = json!({ "realm": "sandbox", "name": "x", "scopes": ["orders:read"], "ip_allowlist": [], "self_rotation": 1 });
        let told = operator.post(&path, body).await;
        assert_snapshot!(told.problem(), @"
        422 invalid_body: the request body has members that must be mended; see errors
          /ip_allowlist invalid: must name at least one network; null lets it call from anywhere
          /self_rotation type: must be true or false
        ");
        assert_eq!(audit(&world, client).len(), 1);
        let unknown = edit(&operator, "cl_sbx_01ARZ3NDEKTSV4RRFFQ69G5FAV", json!({})).await;
        assert_eq!(unknown.status, 404);
        let reader = operator
            .puppet(&["clients:read", "credentials:revoke"])
            .await;
        assert_eq!(
            edit(&reader, client, json!({ "name": "x" })).await.status,
            403
        );
        for (verb, status) in [("suspend", 403), ("resume", 403), ("revoke", 200)] {
            assert_eq!(step(&reader, client, verb).await.status, status, "{verb}");
        }
    }
}

#[actix_web::test]
async fn who_may_do_less_loses_the_tokens_from_before() {
    for world in worlds().await {
        let operator = world.operator().await;
        let who = world.sandbox_client(&["orders:read", "usage:read"]).await;
        let client = who.client_id.as_str();
        let soon = in_future(Duration::from_secs(600));
        let sooner = in_future(Duration::from_secs(500));
        let far = in_future(Duration::from_secs(3600));
        let mut entries = Vec::new();
        for (change, reason) in [
            (
                json!({ "name": "b", "token_ttl": 60, "self_rotation": true }),
                None,
            ),
            (json!({ "default_scopes": ["orders:read"] }), None),
            (
                json!({ "scopes": ["orders:read"] }),
                Some("scopes_narrowed"),
            ),
            (json!({ "scopes": ["orders:read", "usage:read"] }), None),
            (
                json!({ "scopes": ["usage:read"], "default_scopes": null }),
                Some("scopes_narrowed"),
            ),
            (
                json!({ "ip_allowlist": ["127.0.0.0/8", "192.0.2.0/24"] }),
                Some("addresses_narrowed"),
            ),
            (
                json!({ "ip_allowlist": ["127.0.0.0/8", "192.0.0.0/16", "::1"] }),
                None,
            ),
            (
                json!({ "ip_allowlist": ["127.0.0.0/8", "192.0.0.0/16"] }),
                Some("addresses_narrowed"),
            ),
            (json!({ "ip_allowlist": null }), None),
            // Further ahead than any token lives.
            (json!({ "expires_at": far }), None),
            (json!({ "expires_at": soon }), Some("ends_earlier")),
            (json!({ "expires_at": sooner }), Some("ends_earlier")),
            (json!({ "expires_at": soon }), None),
            (json!({ "expires_at": null }), None),
        ] {
            edit(&operator, client, change.clone()).await.expect(200);
            entries.extend(reason.map(|reason| format!("client {client} {reason}")));
            assert_eq!(revocations(&world, "sandbox"), entries, "{change}");
        }
        let held = world.token_answer("sandbox", &who, &[]).await.expect(200);
        assert_eq!(held["scope"], "usage:read");
    }
}

#[actix_web::test]
async fn defaults_follow_the_scopes_while_some_are_left() {
    for world in worlds().await {
        let operator = world.operator().await;
        let who = world
            .sandbox_client(&["catalogue:read", "orders:read", "usage:read"])
            .await;
        let client = who.client_id.as_str();
        let defaults = json!({ "default_scopes": ["orders:read", "usage:read"] });
        edit(&operator, client, defaults).await.expect(200);
        let narrowed = edit(
            &operator,
            client,
            json!({ "scopes": ["catalogue:read", "orders:read"] }),
        )
        .await
        .expect(200);
        assert_eq!(narrowed["default_scopes"], json!(["orders:read"]));
        let none_left = edit(&operator, client, json!({ "scopes": ["catalogue:read"] })).await;
        assert_snapshot!(none_left.problem(), @"
        422 invalid_body: the request body has members that must be mended; see errors
          /default_scopes invalid: none of the default scopes would be left: send new ones, or null for all scopes
        ");
        let both = json!({ "scopes": ["catalogue:read"], "default_scopes": null });
        let narrowed = edit(&operator, client, both).await.expect(200);
        assert_eq!(narrowed["default_scopes"], Value::Null);
    }
}

#[actix_web::test]
async fn a_client_cannot_be_given_what_its_partner_has_lost() {
    for world in worlds().await {
        let operator = world.operator().await;
        let who = world.sandbox_client(&["orders:read", "usage:read"]).await;
        let client = who.client_id.as_str();
        let path = format!("/partners/{}/scope-grants?scope=usage:read", who.partner_id);
        let list = operator.get(&path).await.expect(200);
        let grant = list["data"][0]["id"].as_str().unwrap();
        let path = format!("/scope-grants/{grant}/revoke");
        let revoke = operator.post(&path, json!({ "reason": "unused" }));
        revoke.await.expect(200);
        // What does not touch the scopes goes on; scopes are checked as a whole.
        edit(&operator, client, json!({ "name": "b" }))
            .await
            .expect(200);
        let wide = json!({ "scopes": ["orders:read"] });
        edit(&operator, client, wide).await.expect(200);
        let again = json!({ "scopes": ["orders:read", "usage:read"] });
        let told = edit(&operator, client, again).await;
        assert_snapshot!(told.problem(), @"
        422 invalid_body: the request body has members that must be mended; see errors
          /scopes invalid: not granted to this partner in sandbox: usage:read
        ");
    }
}

#[actix_web::test]
async fn a_resource_server_is_changed_and_keeps_the_scopes_that_grants_name() {
    for world in worlds().await {
        let operator = world.operator().await;
        let who = world.sandbox_client(&["orders:read"]).await;
        let audience = "https://stock.acme.example";
        let server = operator
            .resource_server("sandbox", audience, &["stock:read", "stock:write"], "ES256")
            .await;
        let path = format!("/resource-servers/{}", server["id"].as_str().unwrap());
        operator
            .sandbox_grant(&who.partner_id, "stock:read", Some(audience))
            .await;
        edit(
            &operator,
            &who.client_id,
            json!({ "scopes": ["orders:read", "stock:read"] }),
        )
        .await
        .expect(200);
        let asked = [("resource", audience), ("scope", "stock:read")];
        let before = world.token("sandbox", &who, &asked).await;
        assert_eq!(header(&before)["alg"], "ES256");

        // Another algorithm: its key is there by the answer.
        let change = json!({ "name": "stock", "signing_alg": "EdDSA", "scopes": ["stock:read", "stock:count"] });
        let edited = operator.patch(&path, change).await.expect(200);
        let mut expected = server.clone();
        expected["name"] = json!("stock");
        expected["signing_alg"] = json!("EdDSA");
        expected["scopes"] = json!(["stock:count", "stock:read"]);
        assert_eq!(
            (&edited, &operator.get(&path).await.expect(200)),
            (&expected, &expected)
        );
        let after = world.token("sandbox", &who, &asked).await;
        assert_eq!(header(&after)["alg"], "EdDSA");
        operator
            .sandbox_grant(&who.partner_id, "stock:count", Some(audience))
            .await;

        let narrowed = operator
            .patch(&path, json!({ "scopes": ["stock:write"] }))
            .await;
        assert_snapshot!(narrowed.problem(), @"409 scope_in_use: grants that are requested or approved name stock:count stock:read: deny or revoke them first");
        let list = format!("/partners/{}/scope-grants?state=approved", who.partner_id);
        for grant in operator.get(&list).await.expect(200)["data"]
            .as_array()
            .unwrap()
        {
            let revoke = format!("/scope-grants/{}/revoke", grant["id"].as_str().unwrap());
            operator
                .post(&revoke, json!({ "reason": "moved" }))
                .await
                .expect(200);
        }
        operator
            .patch(&path, json!({ "scopes": ["stock:write"] }))
            .await
            .expect(200);
        let id = server["id"].as_str().unwrap();
        assert_eq!(
            audit(&world, id).into_iter().skip(1).collect::<Vec<_>>(),
            [
                r#"resource_server.changed {"changed":["name","scopes","signing_alg"],"scopes":"stock:count stock:read","signing_alg":"EdDSA"}"#,
                r#"resource_server.changed {"changed":["scopes"],"scopes":"stock:write","signing_alg":"EdDSA"}"#,
            ]
        );
        let bad = json!({ "name": null, "scopes": [], "signing_alg": "HS256", "identifier": "https://x.example" });
        let told = operator.patch(&path, bad).await;
        assert_snapshot!(told.problem(), @"
        422 invalid_body: the request body has members that must be mended; see errors
          /name type: must not be null: leave it out to keep it as it is
          /signing_alg invalid: not one of ES256, RS256, PS256, EdDSA
          /identifier unknown: is not a member of this request
        ");
        assert_eq!(
            operator.patch(&path, json!({ "scopes": [] })).await.status,
            422
        );
        let unknown = "/resource-servers/rsv_01ARZ3NDEKTSV4RRFFQ69G5FAV";
        assert_eq!(
            operator
                .patch(unknown, json!({ "signing_alg": "RS256" }))
                .await
                .status,
            404
        );
    }
}
