//! What is refused is on record, added up: guessing fills no disk.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::assert_snapshot;
use crate::support::world::{Answer, Credential, World, worlds, worlds_with};

const PROXIED: &[(&str, &str)] = &[("ONYX_TRUSTED_PROXIES", "127.0.0.1/32")];

/// A token request as if it came from an address.
async fn ask_from(
    world: &World,
    realm: &str,
    client: &str,
    secret: &str,
    from: &str,
    more: &[(&str, &str)],
) -> Answer {
    let mut form = vec![("grant_type", "client_credentials")];
    form.extend(more);
    let request = world
        .request(reqwest::Method::POST, &format!("/{realm}/oauth2/token"))
        .header("x-forwarded-for", from)
        .basic_auth(client, Some(secret))
        .form(&form);
    Answer::of(request.send().await.unwrap()).await
}

/// What was added up: action, reason, actor, target, realm and outcome, with how often.
fn added_up(world: &World) -> Vec<(String, Value)> {
    let rows = world.lines(
        "SELECT action || '|' || actor || '|' || target || '|' || COALESCE(realm, '-') || '|' || outcome \
         || '|' || COALESCE(partner_id, '-') || '|' || COALESCE(source_ip, '-') || '|' || details AS line \
         FROM audit_events WHERE details LIKE '%\"count\"%'",
    );
    let row = |line: String| {
        let (head, details) = line.split_at(line.find('{').unwrap());
        (head.to_owned(), serde_json::from_str(details).unwrap())
    };
    rows.into_iter().map(row).collect()
}

fn guess(n: usize) -> String {
    format!("onyx_sbx_sk_{n:049}")
}

#[actix_web::test]
async fn a_flood_of_guesses_makes_few_rows_and_is_counted_in_full() {
    for mut world in worlds_with(PROXIED).await {
        let who = world.sandbox_client(&["orders:read"]).await;
        for n in 0..260 {
            let from = format!("203.0.113.{}", n % 250);
            let client = if n % 2 == 0 {
                who.client_id.clone()
            } else {
                // Made up, another each time.
                format!("cl_sbx_01ARZ3NDEKTSV4RRFFQ69G5{:03}", 100 + n)
            };
            let refused = ask_from(&world, "sandbox", &client, &guess(n), &from, &[]).await;
            // The one that is always guessed at waits; those that are made up are new each time.
            let waits = refused.status == 429 && n % 2 == 0;
            assert!(refused.status == 401 || waits, "{refused:?}");
        }
        let mut waited = 0;
        for n in 0..30 {
            let from = "198.51.100.7";
            let refused = ask_from(&world, "sandbox", &who.client_id, &guess(n), from, &[]).await;
            assert!(matches!(refused.status, 401 | 429), "{refused:?}");
            waited += u64::from(refused.status == 429);
        }
        assert_eq!(world.terminate(), Some(0));

        let rows = added_up(&world);
        assert!(rows.len() <= 102, "{}", rows.len());
        let counts = rows
            .iter()
            .map(|(_, details)| details["count"].as_u64().unwrap());
        assert_eq!(counts.sum::<u64>(), 290);
        let busiest = format!(
            "authentication.refused|{}|token|sandbox|refused|{}|198.51.100.7|",
            who.client_id, who.partner_id
        );
        let (_, details) = rows
            .iter()
            .find(|(head, details)| *head == busiest && details["reason"] == "too_many_failures")
            .unwrap();
        assert_eq!(details["count"], waited);
        assert!(details["from"].as_str().unwrap() < details["to"].as_str().unwrap());
        // Clients that there are not have no name, and what was too much no address.
        let many: Vec<_> = rows
            .iter()
            .filter(|(head, _)| head.starts_with("authentication.refused|many|"))
            .collect();
        // One for each reason.
        assert!((1..=2).contains(&many.len()), "{many:?}");
        for (head, _) in many {
            assert_eq!(
                head,
                "authentication.refused|many|token|sandbox|refused|-|-|"
            );
        }
        assert!(
            rows.iter()
                .all(|(head, _)| !head.contains("01ARZ3NDEKTSV4RRFFQ69G5"))
        );
        // No guess is kept.
        assert!(!crate::secrecy::holds(
            &crate::secrecy::database(&world),
            "onyx_sbx_sk_"
        ));
    }
}

/// One line for each kind of thing, with ids by the names that the test knows them by.
fn told(world: &World, names: &[(&str, &str)]) -> String {
    let mut lines = BTreeMap::new();
    for (head, details) in added_up(world) {
        let parts: Vec<_> = head.split('|').collect();
        let [action, actor, target, realm, outcome, _, from, _] = parts[..] else {
            panic!("{head}");
        };
        let actor = names
            .iter()
            .find(|(id, _)| *id == actor)
            .map_or(actor, |(_, name)| name);
        let reason = details["reason"].as_str().unwrap_or("-");
        let key =
            format!("{action} {reason} by {actor} at {target} in {realm} from {from}: {outcome}");
        *lines.entry(key).or_insert(0) += details["count"].as_u64().unwrap();
    }
    let lines = lines.iter().map(|(line, count)| format!("{line} {count}"));
    lines.collect::<Vec<_>>().join("\n")
}

#[actix_web::test]
async fn every_refusal_that_concerns_security_is_on_record_with_whose_it_is() {
    for mut world in worlds_with(PROXIED).await {
        let operator = world.operator().await;
        let own = world.operator_credential();
        let who = world.sandbox_client(&["orders:read"]).await;
        let bound = operator
            .client_with(&who.partner_id, json!({"realm": "sandbox", "name": "bound", "scopes": ["orders:read"], "ip_allowlist": ["203.0.113.0/24"]}))
            .await;
        let token = world.token("sandbox", &who, &[]).await;
        let (near, far) = ("203.0.113.5", "198.51.100.5");

        // At the token endpoint.
        ask_from(&world, "sandbox", &who.client_id, &guess(1), far, &[])
            .await
            .expect(401);
        ask_from(&world, "live", &who.client_id, &who.secret, far, &[])
            .await
            .expect(401);
        ask_from(
            &world,
            "sandbox",
            "not an id, maybe a secret",
            &guess(2),
            far,
            &[],
        )
        .await
        .expect(401);
        ask_from(&world, "sandbox", &bound.client_id, &bound.secret, far, &[])
            .await
            .expect(401);
        ask_from(
            &world,
            "sandbox",
            &who.client_id,
            &who.secret,
            far,
            &[("scope", "invoices:read")],
        )
        .await
        .expect(400);
        ask_from(
            &world,
            "sandbox",
            &who.client_id,
            &who.secret,
            far,
            &[("resource", "https://x.example")],
        )
        .await
        .expect(400);
        let given = ask_from(
            &world,
            "sandbox",
            &bound.client_id,
            &bound.secret,
            near,
            &[],
        )
        .await
        .expect(200);
        let bounds = given["access_token"].as_str().unwrap().to_owned();

        // With tokens that are good elsewhere, or were.
        let call = async |path: &str, token: &str, status: u16| {
            let request = world
                .request(reqwest::Method::GET, path)
                .header("x-forwarded-for", far)
                .bearer_auth(token);
            let answer = Answer::of(request.send().await.unwrap()).await;
            assert_eq!(answer.status, status, "{path}");
            let challenge = answer.header("www-authenticate");
            assert!(
                challenge.starts_with("Bearer realm="),
                "{path}: {challenge}"
            );
        };
        call("/sandbox/oauth2/verify", &bounds, 403).await;
        call("/sandbox/v1/me", &bounds, 403).await;
        call("/live/v1/me", &token, 401).await;
        call("/admin/v1/partners", &token, 401).await;
        call("/sandbox/oauth2/revocations", &token, 401).await;
        call("/sandbox/oauth2/verify?scope=orders:create", &token, 403).await;
        call("/sandbox/v1/me", "x.y.z", 401).await;
        // Common, and no sign of anything.
        world.get("/sandbox/v1/me", None).await.expect(401);
        operator
            .post("/tokens/revoke", json!({ "token": token }))
            .await
            .expect(200);
        call("/sandbox/v1/me", &token, 401).await;
        // Written another way, the path is the same.
        call("/%73andbox/v1/me", &token, 401).await;

        // Among operators.
        let weak = world
            .token("admin", &own, &[("scope", "partners:read")])
            .await;
        call("/admin/v1/keys", &weak, 403).await;
        let grant = operator
            .request_grant(&who.partner_id, "live", "orders:read", None)
            .await
            .expect(201);
        let path = format!("/scope-grants/{}/approve", grant["id"].as_str().unwrap());
        operator.post(&path, json!({})).await.expect(403);

        // What is reported and read is on record too.
        let report = world
            .request(reqwest::Method::POST, "/leaks")
            .json(&json!({"secrets": [guess(3)]}));
        assert_eq!(report.send().await.unwrap().status(), 202);
        for path in ["/requests", "/requests", "/%72equests"] {
            operator.get(path).await.expect(200);
        }
        assert_eq!(world.terminate(), Some(0));

        let names = [
            (who.client_id.as_str(), "the client"),
            (bound.client_id.as_str(), "the bound client"),
            (own.client_id.as_str(), "the operator"),
        ];
        assert_snapshot!(told(&world, &names), @"
        access.refused address_not_allowed by the bound client at partner_api in sandbox from 198.51.100.5: refused 1
        access.refused address_not_allowed by the bound client at token in sandbox from 198.51.100.5: refused 1
        access.refused address_not_allowed by the bound client at verify in sandbox from 198.51.100.5: refused 1
        access.refused four_eyes by the operator at admin_api in admin from 127.0.0.1: refused 1
        access.refused insufficient_scope by the client at verify in sandbox from 198.51.100.5: refused 1
        access.refused insufficient_scope by the operator at admin_api in admin from 198.51.100.5: refused 1
        authentication.refused client_of_another_realm by the client at token in live from 198.51.100.5: refused 1
        authentication.refused invalid_client by the client at token in sandbox from 198.51.100.5: refused 1
        authentication.refused invalid_client by unknown at token in sandbox from 198.51.100.5: refused 1
        leak_report.received - by unknown at leaks in - from 127.0.0.1: done 1
        request_log.read - by the operator at admin_api in admin from 127.0.0.1: done 3
        scope.refused invalid_scope by the client at token in sandbox from 198.51.100.5: refused 1
        scope.refused invalid_target by the client at token in sandbox from 198.51.100.5: refused 1
        token.refused not_ours by unknown at partner_api in sandbox from 198.51.100.5: refused 1
        token.refused revoked by the client at partner_api in sandbox from 198.51.100.5: refused 2
        token.refused token_of_another_realm by the client at admin_api in admin from 198.51.100.5: refused 1
        token.refused token_of_another_realm by the client at partner_api in live from 198.51.100.5: refused 1
        token.refused wrong_audience by the client at oauth in sandbox from 198.51.100.5: refused 1
        ");
    }
}

#[actix_web::test]
async fn who_hands_in_what_is_another_s_is_on_record() {
    for mut world in worlds().await {
        let (who, other): (Credential, Credential) = (
            world.sandbox_client(&["orders:read"]).await,
            world.sandbox_client(&["orders:read"]).await,
        );
        let token = world.token("sandbox", &other, &[]).await;
        for path in ["revoke", "introspect"] {
            let request = world
                .request(reqwest::Method::POST, &format!("/sandbox/oauth2/{path}"))
                .basic_auth(&who.client_id, Some(&who.secret))
                .form(&[("token", &token)]);
            assert_eq!(request.send().await.unwrap().status(), 400);
        }
        assert_eq!(world.terminate(), Some(0));
        let names = [(who.client_id.as_str(), "the client")];
        assert_snapshot!(told(&world, &names), @"access.refused unauthorized_client by the client at oauth in sandbox from 127.0.0.1: refused 2");
    }
}
