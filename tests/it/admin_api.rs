//! Operators onboard partners, decide grants, and issue and revoke credentials.

use std::time::Duration;

use crate::support::assert_snapshot;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::world::{
    Answer, Credential, Operator, World, claims, header, in_future, worlds, worlds_with,
};

/// Every verb of the admin API with the scope that it demands.
const ROUTES: [(&str, &str, &str); 28] = [
    ("GET", "/operators", "operators:write"),
    ("POST", "/operators", "operators:write"),
    ("GET", "/operators/{cl_adm}", "operators:write"),
    ("GET", "/partners", "partners:read"),
    ("POST", "/partners", "partners:write"),
    ("GET", "/partners/{ptn}", "partners:read"),
    ("POST", "/partners/{ptn}/approve", "partners:write"),
    ("POST", "/partners/{ptn}/reject", "partners:write"),
    ("GET", "/partners/{ptn}/scope-grants", "governance:write"),
    ("POST", "/partners/{ptn}/scope-grants", "governance:write"),
    ("POST", "/scope-grants/{grt}/approve", "grants:decide"),
    ("POST", "/scope-grants/{grt}/deny", "grants:decide"),
    ("GET", "/partners/{ptn}/clients", "clients:read"),
    ("POST", "/partners/{ptn}/clients", "clients:write"),
    ("GET", "/clients", "clients:read"),
    ("GET", "/clients/{cl_sbx}", "clients:read"),
    ("GET", "/clients/{cl_sbx}/scope-usage", "clients:read"),
    ("GET", "/recommendations", "clients:read"),
    ("POST", "/recommendations/{rec}/apply", "grants:decide"),
    ("GET", "/clients/{cl_sbx}/credentials", "clients:read"),
    ("POST", "/clients/{cl_sbx}/credentials", "credentials:issue"),
    ("POST", "/credentials/{crd}/revoke", "credentials:revoke"),
    ("POST", "/credentials/{crd}/rotate", "credentials:rotate"),
    (
        "POST",
        "/credentials/{crd}/finish-rotation",
        "credentials:rotate",
    ),
    (
        "POST",
        "/credentials/{crd}/undo-rotation",
        "credentials:rotate",
    ),
    ("GET", "/resource-servers", "resource-servers:write"),
    ("POST", "/resource-servers", "resource-servers:write"),
    ("GET", "/resource-servers/{rsv}", "resource-servers:write"),
];

/// The routes of the signing keys: they have no record in their path.
const KEY_ROUTES: [(&str, &str, &str); 3] = [
    ("GET", "/keys", "keys:manage"),
    ("POST", "/keys/rotate", "keys:manage"),
    ("POST", "/keys/{kid}/revoke", "keys:manage"),
];

/// A ULID that no record has.
const NOBODY: &str = "01ARZ3NDEKTSV4RRFFQ69G5FAV";

/// A body that no verb takes: whoever gets past the door is told so, and changes nothing.
async fn knock(world: &World, (method, path): (&str, &str), token: Option<&str>) -> Answer {
    let path = path.replace('{', "").replace('}', &format!("_{NOBODY}"));
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let is_post = method == Method::POST;
    let mut request = world.request(method, &format!("/admin/v1{path}"));
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    if is_post {
        request = request.json(&json!({ "nonsense": true }));
    }
    Answer::of(request.send().await.unwrap()).await
}

fn routes() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    ROUTES.into_iter().chain(KEY_ROUTES)
}

#[actix_web::test]
async fn nobody_reaches_the_admin_api_without_a_token() {
    for world in worlds().await {
        for (method, path, _) in routes() {
            let answer = knock(&world, (method, path), None).await;
            assert_eq!(answer.status, 401, "{method} {path}");
            assert_eq!(
                answer.header("www-authenticate"),
                r#"Bearer realm="admin""#,
                "{method} {path}"
            );
        }
        let answer = world.get("/admin/v1/partners", None).await;
        assert_snapshot!(answer.problem(), @"401 token_missing: An access token is required.");
    }
}

#[actix_web::test]
async fn a_partners_token_opens_no_door_of_the_admin_api() {
    for world in worlds().await {
        let sandbox = world.sandbox_client(&["orders:read"]).await;
        let live = world.live_client(&["orders:read"]).await;
        let tokens = [
            world.token("sandbox", &sandbox, &[]).await,
            world.token("live", &live, &[]).await,
        ];
        for token in tokens {
            for (method, path, _) in routes() {
                let answer = knock(&world, (method, path), Some(&token)).await;
                assert_eq!(answer.status, 401, "{method} {path}");
                assert!(
                    answer
                        .header("www-authenticate")
                        .contains(r#"error="invalid_token""#)
                );
            }
        }
    }
}

#[actix_web::test]
async fn every_verb_demands_its_own_scope() {
    for world in worlds().await {
        let operator = world.operator().await;
        let everything = operator_scopes(&operator).await;
        for (method, path, scope) in routes() {
            let held: Vec<&str> = everything
                .iter()
                .map(String::as_str)
                .filter(|held| *held != scope)
                .collect();
            let token = world
                .token(
                    "admin",
                    &world.operator_credential(),
                    &[("scope", &held.join(" "))],
                )
                .await;
            let answer = knock(&world, (method, path), Some(&token)).await;
            assert_eq!(answer.status, 403, "{method} {path}");
            assert_eq!(answer.json()["code"], "insufficient_scope");
            let challenge = answer.header("www-authenticate");
            assert!(
                challenge.starts_with(r#"Bearer realm="admin", error="insufficient_scope""#)
                    && challenge.contains(&format!(r#"scope="{scope}""#)),
                "{challenge}"
            );

            let token = world
                .token("admin", &world.operator_credential(), &[("scope", scope)])
                .await;
            let answer = knock(&world, (method, path), Some(&token)).await;
            assert!(
                [200, 404, 422].contains(&answer.status),
                "{method} {path}: {}",
                answer.line()
            );
        }
    }
}

async fn operator_scopes(operator: &Operator<'_>) -> Vec<String> {
    let list = operator.get("/operators").await.expect(200);
    let scopes = list["data"][0]["scopes"].as_array().unwrap();
    scopes
        .iter()
        .map(|scope| scope.as_str().unwrap().to_owned())
        .collect()
}

#[actix_web::test]
async fn an_operator_makes_another_with_fewer_rights() {
    for world in worlds().await {
        let operator = world.operator().await;
        let made = operator
            .post(
                "/operators",
                json!({ "name": "reader", "scopes": ["partners:read", "clients:read", "partners:read"] }),
            )
            .await
            .expect(201);
        assert!(made["id"].as_str().unwrap().starts_with("cl_adm_"));
        assert_eq!(
            (&made["kind"], &made["state"], &made["scopes"]),
            (
                &json!("operator"),
                &json!("active"),
                &json!(["clients:read", "partners:read"])
            )
        );
        let first = world.operator_credential().client_id;
        assert_eq!(made["created_by"], first);
        let path = format!("/operators/{}", made["id"].as_str().unwrap());
        assert_eq!(operator.get(&path).await.expect(200), made);

        let reader = operator.issue(made["id"].as_str().unwrap()).await;
        let reader = Operator {
            world: &world,
            token: world.token("admin", &reader, &[]).await,
        };
        assert_eq!(claims(&reader.token)["scope"], "clients:read partners:read");
        assert!(claims(&reader.token).get("partner_id").is_none());
        reader.get("/partners").await.expect(200);
        let refused = reader
            .post(
                "/operators",
                json!({ "name": "x", "scopes": ["clients:read"] }),
            )
            .await;
        assert_snapshot!(refused.problem(), @"403 insufficient_scope: the token lacks the scope operators:write");

        // A partner's client is no operator, whatever path asks for it.
        let who = world.sandbox_client(&["orders:read"]).await;
        let answer = operator.get(&format!("/operators/{}", who.client_id)).await;
        assert_snapshot!(answer.problem(), @"404 not_found: there is nothing at this path");
    }
}

#[actix_web::test]
async fn an_operator_has_only_admin_scopes() {
    for world in worlds().await {
        let operator = world.operator().await;
        for scopes in [
            json!([]),
            json!(["orders:read"]),
            json!(["partners:read", "root"]),
        ] {
            let answer = operator
                .post("/operators", json!({ "name": "x", "scopes": scopes }))
                .await;
            assert_eq!(answer.status, 422);
            let fault = &answer.json()["errors"][0];
            assert_eq!(fault["pointer"], "/scopes");
            assert!(
                fault["detail"]
                    .as_str()
                    .unwrap()
                    .starts_with("must be one or more of audit:read, billing:write, ")
            );
        }
    }
}

#[actix_web::test]
async fn a_partner_is_applied_for_and_decided_once() {
    for world in worlds().await {
        let operator = world.operator().await;
        let body = json!({ "name": "Acme", "legal_name": "Acme Ltd", "security_contact": "sec@acme.example" });
        let partner = operator.post("/partners", body.clone()).await.expect(201);
        let id = partner["id"].as_str().unwrap();
        assert!(id.starts_with("ptn_"));
        assert_eq!(partner["state"], "applied");
        assert_eq!(partner["created_by"], world.operator_credential().client_id);
        let approved = operator
            .post(
                &format!("/partners/{id}/approve"),
                json!({ "reason": "signed" }),
            )
            .await
            .expect(200);
        assert_eq!(approved["state"], "approved");
        assert_eq!(
            operator.get(&format!("/partners/{id}")).await.expect(200),
            approved
        );
        for verb in ["approve", "reject"] {
            let again = operator
                .post(&format!("/partners/{id}/{verb}"), json!({}))
                .await;
            assert_snapshot!(again.problem(), @r#"
            409 illegal_transition: the partner is approved; from there: suspended
              state "approved", allowed ["suspended"]
            "#);
        }

        let other = operator.post("/partners", body).await.expect(201);
        let path = format!("/partners/{}", other["id"].as_str().unwrap());
        let rejected = operator
            .post(&format!("{path}/reject"), json!({}))
            .await
            .expect(200);
        assert_eq!(rejected["state"], "rejected");
        let late = operator.post(&format!("{path}/approve"), json!({})).await;
        assert_snapshot!(late.problem(), @r#"
        409 illegal_transition: the partner is rejected; from there: nothing
          state "rejected", allowed []
        "#);
    }
}

#[actix_web::test]
async fn what_is_not_there_is_not_found() {
    for world in worlds().await {
        let operator = world.operator().await;
        let nobody = [
            format!("/partners/ptn_{NOBODY}"),
            format!("/partners/ptn_{NOBODY}/clients"),
            format!("/partners/ptn_{NOBODY}/scope-grants"),
            format!("/clients/cl_sbx_{NOBODY}"),
            format!("/clients/cl_live_{NOBODY}/credentials"),
            format!("/operators/cl_adm_{NOBODY}"),
            format!("/resource-servers/rsv_{NOBODY}"),
            "/partners/ptn_x".to_owned(),
            format!("/partners/cl_sbx_{NOBODY}"),
            "/partners/%00".to_owned(),
            "/launches".to_owned(),
        ];
        for path in nobody {
            let answer = operator.get(&path).await;
            assert_snapshot!(answer.problem(), @"404 not_found: there is nothing at this path");
        }
        let nobody = [
            (format!("/partners/ptn_{NOBODY}/approve"), json!({})),
            (format!("/scope-grants/grt_{NOBODY}/approve"), json!({})),
            (
                format!("/credentials/crd_{NOBODY}/revoke"),
                json!({ "reason": "other" }),
            ),
            (
                format!("/clients/cl_sbx_{NOBODY}/credentials"),
                json!({ "kind": "secret" }),
            ),
            (
                format!("/partners/ptn_{NOBODY}/clients"),
                json!({ "realm": "sandbox", "name": "x", "scopes": ["orders:read"] }),
            ),
        ];
        for (path, body) in nobody {
            let answer = operator.post(&path, body).await;
            assert_snapshot!(answer.problem(), @"404 not_found: there is nothing at this path");
        }
    }
}

#[actix_web::test]
async fn another_method_is_told_what_the_path_takes() {
    for world in worlds().await {
        let operator = world.operator().await;
        let request = world
            .request(Method::DELETE, "/admin/v1/partners")
            .bearer_auth(&operator.token);
        let answer = Answer::of(request.send().await.unwrap()).await;
        assert_eq!(answer.header("allow"), "GET, HEAD, POST");
        assert_snapshot!(answer.problem(), @"405 method_not_allowed: this path takes GET, HEAD, POST");
    }
}

#[actix_web::test]
async fn lists_come_in_pages_that_miss_nothing_and_repeat_nothing() {
    for world in worlds().await {
        let operator = world.operator().await;
        let mut made = Vec::new();
        for _ in 0..5 {
            made.push(operator.partner().await);
        }
        made.sort();
        assert_eq!(pages(&operator, "/partners", 2).await, made);
        assert_eq!(pages(&operator, "/partners", 5).await, made);
        assert_eq!(pages(&operator, "/partners", 100).await, made);

        let partner = made.first().unwrap();
        for scope in ["orders:read", "catalogue:read", "usage:read"] {
            operator.sandbox_grant(partner, scope, None).await;
        }
        let grants = format!("/partners/{partner}/scope-grants");
        assert_eq!(pages(&operator, &grants, 1).await.len(), 3);

        let who = operator.client(partner, "sandbox", &["orders:read"]).await;
        for _ in 0..2 {
            operator.client(partner, "sandbox", &["usage:read"]).await;
        }
        let clients = format!("/partners/{partner}/clients");
        let of_partner = pages(&operator, &clients, 2).await;
        assert_eq!(of_partner.len(), 3);
        assert_eq!(
            pages(&operator, &format!("/clients?partner_id={partner}"), 2).await,
            of_partner
        );
        assert_eq!(
            pages(&operator, "/clients?kind=partner&realm=sandbox", 2).await,
            of_partner
        );
        assert!(pages(&operator, "/clients?realm=live", 2).await.is_empty());
        assert_eq!(pages(&operator, "/clients?kind=operator", 2).await.len(), 1);

        operator.issue(&who.client_id).await;
        let credentials = format!("/clients/{}/credentials", who.client_id);
        assert_eq!(pages(&operator, &credentials, 1).await.len(), 2);

        for nth in 0..3 {
            let body = json!({ "realm": "live", "identifier": format!("https://{nth}.example"), "name": "a service",
                               "scopes": ["read"] });
            operator.post("/resource-servers", body).await.expect(201);
        }
        assert_eq!(pages(&operator, "/resource-servers", 2).await.len(), 3);
        assert_eq!(pages(&operator, "/operators", 1).await.len(), 1);
    }
}

/// The ids of a list, read page by page.
async fn pages(operator: &Operator<'_>, path: &str, limit: usize) -> Vec<String> {
    let joint = if path.contains('?') { '&' } else { '?' };
    let (mut ids, mut next) = (Vec::new(), String::new());
    loop {
        let page = operator
            .get(&format!("{path}{joint}limit={limit}{next}"))
            .await
            .expect(200);
        let rows = page["data"].as_array().unwrap();
        assert!(rows.len() <= limit);
        ids.extend(
            rows.iter()
                .map(|row| row["id"].as_str().unwrap().to_owned()),
        );
        match page["next_cursor"].as_str() {
            Some(cursor) => {
                assert_eq!(rows.len(), limit, "a page before the last is full");
                next = format!("&cursor={cursor}");
            }
            None => return ids,
        }
    }
}

#[actix_web::test]
async fn a_query_that_no_list_takes_is_refused() {
    for world in worlds().await {
        let operator = world.operator().await;
        let mut told = Vec::new();
        for query in [
            "/partners?name=Acme",
            "/partners?limit=0",
            "/partners?limit=101",
            "/partners?limit=many",
            "/partners?limit=1&limit=2",
            "/partners?cursor=!",
            "/partners?cursor=AAAA",
            "/partners?cursor=",
            "/operators?kind=partner",
            "/clients?realm=mars",
            "/clients?kind=human",
            "/clients?partner_id=ptn_x",
            "/keys?realm=sandbox",
        ] {
            told.push(format!("{query}\n{}", operator.get(query).await.problem()));
        }
        assert_snapshot!(told.join("\n"), @"
        /partners?name=Acme
        400 invalid_parameter: name is not a parameter of this list
        /partners?limit=0
        400 invalid_parameter: limit must be a number from 1 to 100
        /partners?limit=101
        400 invalid_parameter: limit must be a number from 1 to 100
        /partners?limit=many
        400 invalid_parameter: limit must be a number from 1 to 100
        /partners?limit=1&limit=2
        400 invalid_parameter: limit was sent more than once
        /partners?cursor=!
        400 invalid_parameter: cursor must be a next_cursor of an earlier page
        /partners?cursor=AAAA
        400 invalid_parameter: cursor must be a next_cursor of an earlier page
        /partners?cursor=
        400 invalid_parameter: cursor must be a next_cursor of an earlier page
        /operators?kind=partner
        400 invalid_parameter: kind is not a parameter of this list
        /clients?realm=mars
        400 invalid_parameter: realm must be one of sandbox, live, admin
        /clients?kind=human
        400 invalid_parameter: kind must be one of partner, resource_server, operator
        /clients?partner_id=ptn_x
        400 invalid_parameter: partner_id must be an id of the form ptn_<ULID>
        /keys?realm=sandbox
        400 invalid_parameter: realm is not a parameter of this list
        ");
    }
}

#[actix_web::test]
async fn all_faults_of_a_body_are_told_at_once() {
    for world in worlds().await {
        let operator = world.operator().await;
        let body = json!({ "name": " ", "legal_name": 7, "state": "approved", "a/b~c": 1 });
        let answer = operator.post("/partners", body).await;
        assert_snapshot!(answer.problem(), @"
        422 invalid_body: the request body has members that must be mended; see errors
          /name invalid: must be 1 to 200 characters, without control characters
          /legal_name type: must be a string
          /security_contact missing: must be there
          /a~1b~0c unknown: is not a member of this request
          /state unknown: is not a member of this request
        ");
        let partner = operator.partner().await;
        let body = json!({ "realm": "mars", "name": null, "scopes": ["orders:read", 7, "a b"], "token_ttl": 59,
                           "expires_at": "tomorrow", "partner_id": partner });
        let answer = operator
            .post(&format!("/partners/{partner}/clients"), body)
            .await;
        assert_snapshot!(answer.problem(), @"
        422 invalid_body: the request body has members that must be mended; see errors
          /realm invalid: must be one of sandbox, live, admin
          /name missing: must be there
          /scopes/1 type: must be a string
          /scopes/2 invalid: must be a scope of 1 to 128 visible ASCII characters without space, quote or backslash
          /token_ttl invalid: must be a whole number from 60 to 900
          /expires_at invalid: must be a time like 2030-01-31T12:00:00Z (RFC 3339)
          /partner_id unknown: is not a member of this request
        ");
    }
}

#[actix_web::test]
async fn a_body_that_is_no_json_object_is_refused() {
    for world in worlds().await {
        let operator = world.operator().await;
        let send = async |content_type: Option<&str>, body: &str| {
            let mut request = world
                .request(Method::POST, "/admin/v1/partners")
                .bearer_auth(&operator.token)
                .body(body.to_owned());
            if let Some(content_type) = content_type {
                request = request.header("content-type", content_type);
            }
            Answer::of(request.send().await.unwrap()).await.problem()
        };
        let json = Some("application/json; charset=utf-8");
        let told = [
            send(json, "[]").await,
            send(json, "{\n  \"name\": }").await,
            send(json, "\"\u{0}\"").await,
            send(Some("text/plain"), "{}").await,
            send(None, "{}").await,
        ];
        assert_snapshot!(told.join("\n"), @"
        400 invalid_json: the body must be a JSON object
        400 invalid_json: the body is not JSON: line 2, column 11
        400 invalid_json: the body is not JSON: line 1, column 2
        415 unsupported_media_type: send the body as application/json
        415 unsupported_media_type: send the body as application/json
        ");
        let nested = "[".repeat(10_000);
        assert!(send(json, &nested).await.starts_with("400 invalid_json: "));
    }
}

#[actix_web::test]
async fn a_body_of_64_kib_is_read_and_one_byte_more_is_not() {
    for world in worlds().await {
        let operator = world.operator().await;
        let send = async |size: usize| {
            let mut body = json!({ "name": "Acme", "legal_name": "Acme Ltd", "security_contact": "s@acme.example" })
                .to_string();
            body.push_str(&" ".repeat(size - body.len()));
            let request = world
                .request(Method::POST, "/admin/v1/partners")
                .bearer_auth(&operator.token)
                .header("content-type", "application/json")
                .body(body);
            Answer::of(request.send().await.unwrap()).await
        };
        send(65_536).await.expect(201);
        let larger = send(65_537).await;
        assert_snapshot!(larger.problem(), @"413 body_too_large: a body has at most 65,536 bytes");
    }
}

#[actix_web::test]
async fn a_sandbox_grant_is_approved_at_once_by_policy() {
    for world in worlds().await {
        let operator = world.operator().await;
        let partner = operator.partner().await;
        let grant = operator
            .request_grant(&partner, "sandbox", "orders:read", None)
            .await
            .expect(201);
        assert_eq!(
            (&grant["state"], &grant["decided_by"]),
            (&json!("approved"), &json!("policy"))
        );
        assert_eq!(grant["decided_at"], grant["requested_at"]);
        assert_eq!(grant["resource"], format!("{}/sandbox/v1", world.base));
        assert_eq!(grant["data_classes"], json!(["orders"]));
        let list = operator
            .get(&format!("/partners/{partner}/scope-grants"))
            .await
            .expect(200);
        assert_eq!(list["data"], json!([grant]));
    }
}

#[actix_web::test]
async fn where_the_policy_is_off_a_sandbox_grant_waits_for_a_second_operator() {
    for world in worlds_with(&[("ONYX_SANDBOX_AUTO_APPROVE", "false")]).await {
        let operator = world.operator().await;
        let partner = operator.partner().await;
        let grant = operator
            .request_grant(&partner, "sandbox", "orders:read", None)
            .await
            .expect(201);
        assert_eq!(
            (&grant["state"], &grant["decided_by"], &grant["decided_at"]),
            (&json!("requested"), &Value::Null, &Value::Null)
        );
        let body = json!({ "realm": "sandbox", "name": "backend", "scopes": ["orders:read"] });
        let early = operator
            .post(&format!("/partners/{partner}/clients"), body)
            .await;
        assert_snapshot!(early.problem(), @"
        422 invalid_body: the request body has members that must be mended; see errors
          /scopes invalid: not granted to this partner in sandbox: orders:read
        ");
        let path = format!("/scope-grants/{}/approve", grant["id"].as_str().unwrap());
        assert_eq!(operator.post(&path, json!({})).await.status, 403);
        let second = world.second_operator().await;
        second.post(&path, json!({})).await.expect(200);
        operator.client(&partner, "sandbox", &["orders:read"]).await;
    }
}

#[actix_web::test]
async fn who_asks_for_a_live_grant_does_not_decide_it() {
    for world in worlds().await {
        let operator = world.operator().await;
        let partner = operator.partner().await;
        let grant = operator
            .request_grant(&partner, "live", "orders:read", None)
            .await
            .expect(201);
        assert_eq!(grant["state"], "requested");
        let path = format!("/scope-grants/{}", grant["id"].as_str().unwrap());
        for verb in ["approve", "deny"] {
            let own = operator.post(&format!("{path}/{verb}"), json!({})).await;
            assert_snapshot!(own.problem(), @"403 four_eyes: who asked does not decide: another operator must");
        }

        let second = world.second_operator().await;
        let approved = second
            .post(&format!("{path}/approve"), json!({}))
            .await
            .expect(200);
        let decided_by = claims(&second.token)["client_id"].clone();
        assert_eq!(
            (&approved["state"], &approved["decided_by"]),
            (&json!("approved"), &decided_by)
        );
        for verb in ["approve", "deny"] {
            let again = second.post(&format!("{path}/{verb}"), json!({})).await;
            assert_snapshot!(again.problem(), @r#"
            409 illegal_transition: the grant is approved; from there: revoked, expired
              state "approved", allowed ["revoked","expired"]
            "#);
        }
    }
}

#[actix_web::test]
async fn a_denied_grant_gives_nothing() {
    for world in worlds().await {
        let (operator, second) = (world.operator().await, world.second_operator().await);
        let partner = operator.partner().await;
        let grant = operator
            .request_grant(&partner, "live", "orders:read", None)
            .await
            .expect(201);
        let path = format!("/scope-grants/{}", grant["id"].as_str().unwrap());
        let denied = second
            .post(&format!("{path}/deny"), json!({}))
            .await
            .expect(200);
        assert_eq!(denied["state"], "denied");
        let late = second.post(&format!("{path}/approve"), json!({})).await;
        assert_snapshot!(late.problem(), @r#"
        409 illegal_transition: the grant is denied; from there: nothing
          state "denied", allowed []
        "#);
        operator.ready_for_live(&second, &partner).await;
        let body = json!({ "realm": "live", "name": "backend", "scopes": ["orders:read"] });
        let answer = operator
            .post(&format!("/partners/{partner}/clients"), body)
            .await;
        assert_snapshot!(answer.problem(), @"
        422 invalid_body: the request body has members that must be mended; see errors
          /scopes invalid: not granted to this partner in live: orders:read
        ");
    }
}

#[actix_web::test]
async fn a_grant_is_for_a_known_scope_and_for_a_while() {
    for world in worlds().await {
        let operator = world.operator().await;
        let partner = operator.partner().await;
        let days = |days: u64| in_future(Duration::from_secs(days * 24 * 3600));
        let good = json!({ "realm": "live", "scope": "orders:read", "purpose": "orders", "data_classes": [],
                           "retention_days": 0, "expires_at": days(366 - 1) });
        let ask = async |changed: Value| {
            let mut body = good.clone();
            for (name, value) in changed.as_object().unwrap() {
                body[name] = value.clone();
            }
            operator
                .post(&format!("/partners/{partner}/scope-grants"), body)
                .await
        };
        ask(json!({})).await.expect(201);
        ask(json!({ "resource": format!("{}/live/v1", world.base) }))
            .await
            .expect(201);
        let mut told = Vec::new();
        for changed in [
            json!({ "scope": "orders:all" }),
            json!({ "resource": "https://nobody.example" }),
            json!({ "resource": format!("{}/sandbox/v1", world.base) }),
            json!({ "realm": "admin" }),
            json!({ "expires_at": days(367) }),
            json!({ "expires_at": "2020-01-01T00:00:00Z" }),
            json!({ "retention_days": -1 }),
        ] {
            let answer = ask(changed).await.problem();
            told.push(answer.lines().skip(1).collect::<Vec<_>>().join("\n"));
        }
        assert_snapshot!(told.join("\n"), @"
        /scope invalid: must be one of catalogue:read, events:replay, invoices:read, ledger:read, orders:create, orders:read, usage:read, webhooks:manage
        /resource invalid: no resource server is registered under this identifier in the realm
        /resource invalid: no resource server is registered under this identifier in the realm
        /realm invalid: must be one of sandbox, live
        /expires_at invalid: must lie in the future, at most 366 days ahead
        /expires_at invalid: must lie in the future, at most 366 days ahead
        /retention_days invalid: must be a whole number from 0 to 36500
        ");
    }
}

#[actix_web::test]
async fn a_partner_that_is_not_approved_gets_no_grant_and_no_client() {
    for world in worlds().await {
        let operator = world.operator().await;
        let body = json!({ "name": "Acme", "legal_name": "Acme Ltd", "security_contact": "sec@acme.example" });
        let partner = operator.post("/partners", body).await.expect(201);
        let id = partner["id"].as_str().unwrap();
        let grant = operator
            .request_grant(id, "sandbox", "orders:read", None)
            .await;
        assert_snapshot!(grant.problem(), @"409 partner_not_approved: the partner is applied; it must be approved first");
        let body = json!({ "realm": "sandbox", "name": "backend", "scopes": ["orders:read"] });
        let client = operator
            .post(&format!("/partners/{id}/clients"), body.clone())
            .await;
        assert_snapshot!(client.problem(), @"409 partner_not_approved: the partner is applied; it must be approved first");
        operator
            .post(&format!("/partners/{id}/reject"), json!({}))
            .await
            .expect(200);
        let client = operator
            .post(&format!("/partners/{id}/clients"), body)
            .await;
        assert_snapshot!(client.problem(), @"409 partner_not_approved: the partner is rejected; it must be approved first");
    }
}

#[actix_web::test]
async fn a_client_holds_only_what_its_partner_was_granted() {
    for world in worlds().await {
        let operator = world.operator().await;
        let partner = operator.partner().await;
        operator.sandbox_grant(&partner, "orders:read", None).await;
        operator.sandbox_grant(&partner, "usage:read", None).await;
        let second = world.second_operator().await;
        operator.ready_for_live(&second, &partner).await;
        let ask = async |body: Value| {
            operator
                .post(&format!("/partners/{partner}/clients"), body)
                .await
        };
        let mut told = Vec::new();
        for body in [
            json!({ "realm": "sandbox", "name": "x", "scopes": ["orders:read", "ledger:read", "invoices:read"] }),
            json!({ "realm": "live", "name": "x", "scopes": ["orders:read"] }),
            json!({ "realm": "admin", "name": "x", "scopes": ["orders:read"] }),
            json!({ "realm": "sandbox", "name": "x", "scopes": [] }),
            json!({ "realm": "sandbox", "name": "x", "scopes": ["orders:read"], "default_scopes": ["usage:read"] }),
            json!({ "realm": "sandbox", "name": "x", "scopes": ["orders:read"], "expires_at": "2020-01-01T00:00:00Z" }),
        ] {
            let answer = ask(body).await.problem();
            told.push(answer.lines().skip(1).collect::<Vec<_>>().join("\n"));
        }
        assert_snapshot!(told.join("\n"), @"
        /scopes invalid: not granted to this partner in sandbox: invoices:read ledger:read
        /scopes invalid: not granted to this partner in live: orders:read
        /realm invalid: must be one of sandbox, live
        /scopes invalid: must name at least one scope
        /default_scopes invalid: must be among scopes
        /expires_at invalid: must lie in the future
        ");

        let body = json!({ "realm": "sandbox", "name": "x", "scopes": ["usage:read", "orders:read"],
                           "default_scopes": ["orders:read"], "token_ttl": 60 });
        let client = ask(body).await.expect(201);
        let id = client["id"].as_str().unwrap();
        assert!(id.starts_with("cl_sbx_"));
        assert_eq!(
            (&client["kind"], &client["partner_id"], &client["scopes"]),
            (
                &json!("partner"),
                &json!(partner),
                &json!(["orders:read", "usage:read"])
            )
        );
        assert_eq!(
            operator.get(&format!("/clients/{id}")).await.expect(200),
            client
        );
        let who = operator.issue(id).await;
        let token = world.token("sandbox", &who, &[]).await;
        let claims = claims(&token);
        assert_eq!(claims["scope"], "orders:read");
        assert_eq!(
            claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(),
            60
        );
    }
}

#[actix_web::test]
async fn a_secret_is_shown_once() {
    for world in worlds().await {
        let operator = world.operator().await;
        let who = world.sandbox_client(&["orders:read"]).await;
        let path = format!("/clients/{}/credentials", who.client_id);
        let answer = operator.post(&path, json!({ "kind": "secret" })).await;
        assert_eq!(answer.header("cache-control"), "no-store");
        let issued = answer.expect(201);
        let secret = issued["secret"].as_str().unwrap();
        assert!(secret.starts_with("onyx_sbx_sk_") && secret.len() == "onyx_sbx_sk_".len() + 49);
        assert_eq!(
            (&issued["state"], &issued["usable"]),
            (&json!("active"), &json!(true))
        );
        assert_eq!(issued["hint"], secret[secret.len() - 4..]);

        let listed = operator.get(&path).await;
        assert!(!listed.text.contains(secret) && !listed.text.contains(&who.secret));
        let mut without = issued.clone();
        without.as_object_mut().unwrap().remove("secret");
        assert!(
            listed.expect(200)["data"]
                .as_array()
                .unwrap()
                .contains(&without)
        );
    }
}

#[actix_web::test]
async fn a_client_has_at_most_two_usable_secrets() {
    for world in worlds().await {
        let operator = world.operator().await;
        let who = world.sandbox_client(&["orders:read"]).await;
        let second = operator.issue(&who.client_id).await;
        let path = format!("/clients/{}/credentials", who.client_id);
        let third = operator.post(&path, json!({ "kind": "secret" })).await;
        assert_snapshot!(third.problem(), @"409 too_many_credentials: the client has two usable secrets; revoke one first");
        operator.revoke(&who.credential_id).await.expect(200);
        let third = operator.issue(&who.client_id).await;
        for usable in [&second, &third] {
            world.token("sandbox", usable, &[]).await;
        }
        assert_eq!(world.token_answer("sandbox", &who, &[]).await.status, 401);
    }
}

#[actix_web::test]
async fn a_credential_is_of_a_kind_that_is_known_and_ends_in_the_future() {
    for world in worlds().await {
        let operator = world.operator().await;
        let who = world.sandbox_client(&["orders:read"]).await;
        let path = format!("/clients/{}/credentials", who.client_id);
        let mut told = Vec::new();
        for body in [
            json!({}),
            json!({ "kind": "password" }),
            json!({ "kind": "secret", "expires_at": "2020-01-01T00:00:00Z" }),
            json!({ "kind": "secret", "secret": "mine" }),
        ] {
            let answer = operator.post(&path, body).await.problem();
            told.push(answer.lines().skip(1).collect::<Vec<_>>().join("\n"));
        }
        assert_snapshot!(told.join("\n"), @"
        /kind missing: must be there
        /kind invalid: must be one of secret
        /expires_at invalid: must lie in the future
        /secret unknown: is not a member of this request
        ");
    }
}

#[actix_web::test]
async fn a_credential_is_revoked_once() {
    for world in worlds().await {
        let operator = world.operator().await;
        let who = world.sandbox_client(&["orders:read"]).await;
        let path = format!("/credentials/{}/revoke", who.credential_id);
        let bad = operator.post(&path, json!({ "reason": "bored" })).await;
        assert_snapshot!(bad.problem(), @"
        422 invalid_body: the request body has members that must be mended; see errors
          /reason invalid: must be one of compromised, unused, offboarding, superseded, other
        ");
        let body = json!({ "reason": "compromised", "note": "found in a repository" });
        let revoked = operator.post(&path, body).await.expect(200);
        assert_eq!(
            (
                &revoked["state"],
                &revoked["usable"],
                &revoked["revoked_reason"],
                &revoked["revoked_note"]
            ),
            (
                &json!("revoked"),
                &json!(false),
                &json!("compromised"),
                &json!("found in a repository")
            )
        );
        assert_eq!(revoked["revoked_by"], world.operator_credential().client_id);
        let again = operator.revoke(&who.credential_id).await;
        assert_snapshot!(again.problem(), @r#"
        409 illegal_transition: the credential is revoked; from there: nothing
          state "revoked", allowed []
        "#);
        let listed = operator
            .get(&format!("/clients/{}/credentials", who.client_id))
            .await
            .expect(200);
        assert_eq!(listed["data"], json!([revoked]));
    }
}

#[actix_web::test]
async fn an_operator_whose_credential_is_revoked_gets_no_token() {
    for world in worlds().await {
        let operator = world.operator().await;
        let second = world.second_operator().await;
        let id = claims(&second.token)["credential_id"]
            .as_str()
            .unwrap()
            .to_owned();
        let client = claims(&second.token)["client_id"]
            .as_str()
            .unwrap()
            .to_owned();
        let fresh = operator.issue(&client).await;
        operator.revoke(&id).await.expect(200);
        world.token("admin", &fresh, &[]).await;
        operator.revoke(&fresh.credential_id).await.expect(200);
        let answer = world.token_answer("admin", &fresh, &[]).await;
        assert_eq!(
            (answer.status, &answer.json()["error"]),
            (401, &json!("invalid_client"))
        );
    }
}

#[actix_web::test]
async fn of_many_who_decide_a_grant_at_once_one_wins() {
    for world in worlds().await {
        let (operator, second) = (world.operator().await, world.second_operator().await);
        let partner = operator.partner().await;
        let grant = operator
            .request_grant(&partner, "live", "orders:read", None)
            .await
            .expect(201);
        let path = format!("/scope-grants/{}", grant["id"].as_str().unwrap());
        let paths = [format!("{path}/approve"), format!("{path}/deny")];
        let asked: Vec<_> = paths
            .iter()
            .cycle()
            .take(16)
            .map(|path| (path.clone(), json!({})))
            .collect();
        let answers = at_once(&second, asked).await;
        let won: Vec<&Value> = answers
            .iter()
            .filter(|(status, _)| *status == 200)
            .map(|(_, body)| &body["state"])
            .collect();
        assert_eq!(won.len(), 1, "{:?}: {answers:?}", world.engine);
        for (status, body) in &answers {
            assert!(*status == 200 || *status == 409, "{answers:?}");
            assert_eq!(&body["state"], won[0]);
        }
        let list = operator
            .get(&format!("/partners/{partner}/scope-grants"))
            .await
            .expect(200);
        assert_eq!(&list["data"][0]["state"], won[0]);
    }
}

#[actix_web::test]
async fn of_many_secrets_issued_at_once_two_are_given() {
    for world in worlds().await {
        let operator = world.operator().await;
        let partner = operator.partner().await;
        operator.sandbox_grant(&partner, "orders:read", None).await;
        let body = json!({ "realm": "sandbox", "name": "backend", "scopes": ["orders:read"] });
        let client = operator
            .post(&format!("/partners/{partner}/clients"), body)
            .await
            .expect(201);
        let path = format!("/clients/{}/credentials", client["id"].as_str().unwrap());
        let asked = vec![(path.clone(), json!({ "kind": "secret" })); 16];
        let answers = at_once(&operator, asked).await;
        let given = answers.iter().filter(|(status, _)| *status == 201).count();
        let refused = answers
            .iter()
            .filter(|(_, body)| body["code"] == "too_many_credentials")
            .count();
        assert_eq!((given, refused), (2, 14), "{:?}: {answers:?}", world.engine);
        let listed = operator.get(&path).await.expect(200);
        assert_eq!(listed["data"].as_array().unwrap().len(), 2);
    }
}

#[actix_web::test]
async fn of_many_revocations_at_once_one_is_recorded() {
    for world in worlds().await {
        let operator = world.operator().await;
        let who = world.sandbox_client(&["orders:read"]).await;
        let path = format!("/credentials/{}/revoke", who.credential_id);
        let asked = vec![(path, json!({ "reason": "other" })); 12];
        let mut statuses: Vec<u16> = at_once(&operator, asked)
            .await
            .into_iter()
            .map(|(status, _)| status)
            .collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [&[200][..], &[409; 11]].concat());
    }
}

#[actix_web::test]
async fn of_many_registrations_of_an_audience_at_once_one_is_kept() {
    for world in worlds().await {
        let operator = world.operator().await;
        let body = json!({ "realm": "live", "identifier": "https://orders.example", "name": "orders",
                           "scopes": ["read"] });
        let asked = vec![("/resource-servers".to_owned(), body); 12];
        let answers = at_once(&operator, asked).await;
        let made = answers.iter().filter(|(status, _)| *status == 201).count();
        let taken = answers
            .iter()
            .filter(|(_, body)| body["code"] == "identifier_taken")
            .count();
        assert_eq!((made, taken), (1, 11), "{:?}: {answers:?}", world.engine);
    }
}

/// Sends all of these at the same time, each on a connection of its own.
async fn at_once(operator: &Operator<'_>, asked: Vec<(String, Value)>) -> Vec<(u16, Value)> {
    let mut running = JoinSet::new();
    for (path, body) in asked {
        let request = operator
            .world
            .request(Method::POST, &format!("/admin/v1{path}"))
            .bearer_auth(&operator.token)
            .json(&body);
        running.spawn(async move {
            let answer = Answer::of(request.send().await.unwrap()).await;
            (answer.status, answer.json())
        });
    }
    running.join_all().await
}

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

#[actix_web::test]
async fn the_actor_of_a_change_is_the_tokens_client_and_no_member_says_otherwise() {
    for world in worlds().await {
        let second = world.second_operator().await;
        let body = json!({ "name": "Acme", "legal_name": "Acme Ltd", "security_contact": "sec@acme.example",
                           "created_by": "cl_adm_x" });
        assert_eq!(second.post("/partners", body).await.status, 422);
        let partner = second.partner().await;
        let partner = second
            .get(&format!("/partners/{partner}"))
            .await
            .expect(200);
        assert_eq!(partner["created_by"], claims(&second.token)["client_id"]);
    }
}

#[actix_web::test]
async fn a_resource_servers_client_and_an_operator_have_credentials_as_any_client() {
    for world in worlds().await {
        let operator = world.operator().await;
        let body = json!({ "realm": "live", "identifier": "https://orders.example", "name": "Orders",
                           "scopes": ["read"] });
        let server = operator.post("/resource-servers", body).await.expect(201);
        let who: Credential = operator.issue(server["client_id"].as_str().unwrap()).await;
        assert!(who.secret.starts_with("onyx_live_sk_"));
        let token = world.token("live", &who, &[]).await;
        assert_eq!(
            (&claims(&token)["aud"], &claims(&token)["scope"]),
            (
                &json!(format!("{}/live", world.base)),
                &json!("revocations:read")
            )
        );
        let operator = world.second_operator().await;
        assert_eq!(
            claims(&operator.token)["aud"],
            format!("{}/admin/v1", world.base)
        );
    }
}

#[actix_web::test]
async fn only_who_may_make_operators_gets_an_operators_secret() {
    for world in worlds().await {
        let boss = world.operator().await;
        let boss_id = world.operator_credential().client_id;
        let path = format!("/clients/{boss_id}/credentials");

        let body = json!({ "name": "desk", "scopes": ["credentials:issue", "clients:read"] });
        let desk = boss.post("/operators", body).await.expect(201);
        let desk = boss.issue(desk["id"].as_str().unwrap()).await;
        let desk = Operator {
            world: &world,
            token: world.token("admin", &desk, &[]).await,
        };
        let refused = desk.post(&path, json!({ "kind": "secret" })).await;
        assert_snapshot!(refused.problem(), @"403 insufficient_scope: the token lacks the scope operators:write");

        // The other way round, making operators is enough to give them their secrets.
        let body = json!({ "name": "hr", "scopes": ["operators:write"] });
        let hr = boss.post("/operators", body).await.expect(201);
        let hr = boss.issue(hr["id"].as_str().unwrap()).await;
        let hr = Operator {
            world: &world,
            token: world.token("admin", &hr, &[]).await,
        };
        let made = hr
            .post(
                "/operators",
                json!({ "name": "new", "scopes": ["partners:read"] }),
            )
            .await
            .expect(201);
        hr.issue(made["id"].as_str().unwrap()).await;
        let partner = world.sandbox_client(&["orders:read"]).await;
        let path = format!("/clients/{}/credentials", partner.client_id);
        let refused = hr.post(&path, json!({ "kind": "secret" })).await;
        assert_snapshot!(refused.problem(), @"403 insufficient_scope: the token lacks the scope credentials:issue");
    }
}

#[actix_web::test]
async fn in_live_an_operator_of_ones_own_making_is_no_second_pair_of_eyes() {
    for world in worlds().await {
        let (boss, second) = (world.operator().await, world.second_operator().await);
        let partner = boss.partner().await;
        let body = json!({ "name": "puppet", "scopes": ["grants:decide", "governance:write"] });
        let puppet = boss.post("/operators", body).await.expect(201);
        let puppet = second.issue(puppet["id"].as_str().unwrap()).await;
        let puppet = Operator {
            world: &world,
            token: world.token("admin", &puppet, &[]).await,
        };

        // Asked by the maker, decided by the made, and the other way round; so for who issued.
        for (asker, decider) in [(&boss, &puppet), (&puppet, &boss), (&second, &puppet)] {
            let asked = asker
                .request_grant(&partner, "live", "orders:read", None)
                .await
                .expect(201);
            let path = format!("/scope-grants/{}/approve", asked["id"].as_str().unwrap());
            let refused = decider.post(&path, json!({})).await;
            assert_snapshot!(refused.problem(), @"403 four_eyes: one of the two operators made the other or gave it a credential: in live, a third must decide");
        }
        let asked = boss
            .request_grant(&partner, "live", "orders:read", None)
            .await
            .expect(201);
        let path = format!("/scope-grants/{}/approve", asked["id"].as_str().unwrap());
        second.post(&path, json!({})).await.expect(200);
    }
}
