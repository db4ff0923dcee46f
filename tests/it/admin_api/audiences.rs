//! Audiences: registered, with keys that take turns.

use serde_json::{Value, json};

use crate::support::assert_snapshot;
use crate::support::world::{claims, header, worlds};

#[actix_web::test]
async fn an_audience_is_registered_with_its_client_and_its_key() {
    for world in worlds().await {
        let operator = world.operator().await;
        let body = json!({ "realm": "sandbox", "identifier": "https://orders.example/api", "name": "Orders",
                           "scopes": ["orders:write", "orders:read"], "signing_alg": "RS256" });
        let server = operator
            .post("/resource-servers", body.clone())
            .await
            .expect(201);
        let id = server["id"].as_str().unwrap();
        assert!(id.starts_with("rsv_"));
        assert_eq!(
            (&server["scopes"], &server["signing_alg"]),
            (&json!(["orders:read", "orders:write"]), &json!("RS256"))
        );
        assert_eq!(
            operator
                .get(&format!("/resource-servers/{id}"))
                .await
                .expect(200),
            server
        );
        let client = operator
            .get(&format!(
                "/clients/{}",
                server["client_id"].as_str().unwrap()
            ))
            .await
            .expect(200);
        assert_eq!(
            (
                &client["kind"],
                &client["resource_server_id"],
                &client["scopes"]
            ),
            (
                &json!("resource_server"),
                &json!(id),
                &json!(["revocations:read"])
            )
        );

        // The key is there with the answer, and in this realm alone.
        let algs = async |realm: &str| {
            let jwks = world
                .get(&format!("/{realm}/oauth2/jwks"), None)
                .await
                .expect(200);
            let mut algs: Vec<String> = jwks["keys"]
                .as_array()
                .unwrap()
                .iter()
                .map(|key| key["alg"].as_str().unwrap().to_owned())
                .collect();
            algs.sort();
            algs
        };
        assert_eq!(algs("sandbox").await, ["ES256", "RS256"]);
        assert_eq!(algs("live").await, ["ES256"]);

        let partner = operator.partner().await;
        operator
            .sandbox_grant(&partner, "orders:write", Some("https://orders.example/api"))
            .await;
        let who = operator
            .client(&partner, "sandbox", &["orders:write"])
            .await;
        let token = world
            .token(
                "sandbox",
                &who,
                &[("resource", "https://orders.example/api")],
            )
            .await;
        assert_eq!(header(&token)["alg"], "RS256");
        assert_eq!(claims(&token)["aud"], "https://orders.example/api");

        let taken = operator.post("/resource-servers", body.clone()).await;
        assert_snapshot!(taken.problem(), @"409 identifier_taken: this identifier is registered in this realm already");
        let mut elsewhere = body;
        elsewhere["realm"] = json!("live");
        elsewhere["signing_alg"] = Value::Null;
        let elsewhere = operator
            .post("/resource-servers", elsewhere)
            .await
            .expect(201);
        assert_eq!(elsewhere["signing_alg"], "ES256");
    }
}

#[actix_web::test]
async fn an_audience_is_an_absolute_uri_and_none_of_the_servers_own() {
    for world in worlds().await {
        let operator = world.operator().await;
        let mut told = Vec::new();
        for identifier in [
            "orders",
            "https://a.example/#part",
            "https://a.example/ö",
            "/sandbox/v1",
        ] {
            let body = json!({ "realm": "live", "identifier": identifier, "name": "x", "scopes": ["read"],
                               "signing_alg": "EdDSA" });
            let answer = operator.post("/resource-servers", body).await.problem();
            told.push(answer.lines().skip(1).collect::<Vec<_>>().join("\n"));
        }
        for path in ["/sandbox", "/live/v1", "/admin/v1", "/admin"] {
            let body = json!({ "realm": "live", "identifier": format!("{}{path}", world.base), "name": "x",
                               "scopes": ["read"], "signing_alg": "EdDSA" });
            let answer = operator.post("/resource-servers", body).await.problem();
            told.push(answer.lines().skip(1).collect::<Vec<_>>().join("\n"));
        }
        for (changed, value) in [
            ("realm", json!("admin")),
            ("scopes", json!([])),
            ("signing_alg", json!("HS256")),
        ] {
            let mut body = json!({ "realm": "live", "identifier": "https://a.example", "name": "x",
                                   "scopes": ["read"], "signing_alg": "EdDSA" });
            body[changed] = value;
            let answer = operator.post("/resource-servers", body).await.problem();
            told.push(answer.lines().skip(1).collect::<Vec<_>>().join("\n"));
        }
        assert_snapshot!(told.join("\n"), @"
        /identifier invalid: must be an absolute URI without a fragment
        /identifier invalid: must be an absolute URI without a fragment
        /identifier invalid: must be an absolute URI without a fragment
        /identifier invalid: must be an absolute URI without a fragment
        /identifier invalid: must not be one of this server's own
        /identifier invalid: must not be one of this server's own
        /identifier invalid: must not be one of this server's own
        /identifier invalid: must not be one of this server's own
        /realm invalid: must be one of sandbox, live
        /scopes invalid: must name at least one scope
        /signing_alg invalid: not one of ES256, RS256, PS256, EdDSA
        ");

        // What was refused has left nothing behind: no record, and no key.
        let list = operator.get("/resource-servers").await.expect(200);
        assert_eq!(list["data"], json!([]));
        let jwks = world.get("/live/oauth2/jwks", None).await.expect(200);
        assert_eq!(jwks["keys"].as_array().unwrap().len(), 1);
    }
}

#[actix_web::test]
async fn a_rotated_key_is_published_before_it_signs() {
    for world in worlds().await {
        let operator = world.operator().await;
        let who = world.sandbox_client(&["orders:read"]).await;
        let before = world.token("sandbox", &who, &[]).await;
        let old = header(&before)["kid"].clone();
        let rotated = operator
            .post("/keys/rotate", json!({ "realm": "sandbox" }))
            .await
            .expect(201);
        assert_ne!(rotated["kid"], old);
        assert_eq!(
            (&rotated["realm"], &rotated["alg"], &rotated["origin"]),
            (&json!("sandbox"), &json!("ES256"), &json!("generated"))
        );
        let (published, signs) = (
            moment(&rotated["published_at"]),
            moment(&rotated["signs_from"]),
        );
        assert_eq!((signs - published).num_seconds(), 600);

        let jwks = world.get("/sandbox/oauth2/jwks", None).await.expect(200);
        let kids: Vec<&Value> = jwks["keys"]
            .as_array()
            .unwrap()
            .iter()
            .map(|key| &key["kid"])
            .collect();
        assert_eq!(kids, [&old, &rotated["kid"]]);
        let after = world.token("sandbox", &who, &[]).await;
        assert_eq!(header(&after)["kid"], old);

        let keys = operator.get("/keys").await.expect(200);
        let of_old = keys["data"]
            .as_array()
            .unwrap()
            .iter()
            .find(|key| key["kid"] == old)
            .unwrap();
        assert_eq!(of_old["signs_until"], rotated["signs_from"]);
        let stays = moment(&of_old["published_until"]) - moment(&of_old["signs_until"]);
        assert!(
            stays.num_seconds() >= 900 + 60,
            "the old key outlives its last token"
        );
        assert!(!operator.get("/keys").await.text.contains("sealed"));
    }
}

fn moment(value: &Value) -> chrono::DateTime<chrono::FixedOffset> {
    chrono::DateTime::parse_from_rfc3339(value.as_str().unwrap()).unwrap()
}
