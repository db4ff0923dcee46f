//! Bodies, queries and pages: what is wrong with them is told.

use reqwest::Method;
use serde_json::json;

use super::NOBODY;
use crate::support::assert_snapshot;
use crate::support::world::{Answer, Operator, worlds};

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
            "/partners?cursor=Y2xfYWRtXzAxQVJaM05ERUtUU1Y0UlJGRlE2OUc1RkFW",
            "/audit/events?actor=%00",
            "/audit/events?target=a%07",
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
        /partners?cursor=Y2xfYWRtXzAxQVJaM05ERUtUU1Y0UlJGRlE2OUc1RkFW
        400 invalid_parameter: cursor must be a next_cursor of an earlier page
        /audit/events?actor=%00
        400 invalid_parameter: actor must be without control characters
        /audit/events?target=a%07
        400 invalid_parameter: target must be without control characters
        ");
        let body = json!({ "reason": "a drill" });
        operator.post("/keys/%00/revoke", body).await.expect(404);
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
          /realm invalid: must be one of sandbox, live
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
async fn a_long_text_of_many_bytes_a_character_is_not_taken_for_absent() {
    for world in worlds().await {
        let operator = world.operator().await;
        let partner = operator.partner().await;
        // Fewer characters than a text may have, and more bytes.
        let body = json!({
            "realm": "sandbox", "name": "backend", "scopes": ["orders:read"], "expires_at": "ä".repeat(1500),
        });
        let path = format!("/partners/{partner}/clients");
        let refused = operator.post(&path, body).await;
        assert_snapshot!(refused.problem(), @"
        422 invalid_body: the request body has members that must be mended; see errors
          /expires_at invalid: must be a time like 2030-01-31T12:00:00Z (RFC 3339)
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
        let compressed = world
            .request(Method::POST, "/admin/v1/partners")
            .bearer_auth(&operator.token)
            .header("content-type", "application/json")
            .header("content-encoding", "gzip")
            .body("{}");
        let compressed = Answer::of(compressed.send().await.unwrap()).await;
        assert_snapshot!(compressed.problem(), @"415 unsupported_content_encoding: send the body as it is, without Content-Encoding");
        assert_eq!(compressed.header("accept-encoding"), "identity");
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
        assert_eq!(larger.json()["title"], "Content Too Large");
    }
}
