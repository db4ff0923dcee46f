//! The life of clients: changed, suspended, resumed and revoked; bound to addresses; and single
//! tokens and audiences besides.

use std::time::Duration;

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::support::assert_snapshot;
use crate::support::world::{
    Answer, Credential, Operator, World, at_once, claims, header, in_future, worlds, worlds_with,
};

/// What was written to the feed, oldest first: kind, subject, reason.
fn revocations(world: &World, realm: &str) -> Vec<String> {
    world.lines(&format!(
        "SELECT kind || ' ' || id || ' ' || reason AS line
         FROM revocations WHERE realm = '{realm}' ORDER BY seq"
    ))
}

fn audit(world: &World, target: &str) -> Vec<String> {
    world.lines(&format!(
        "SELECT action || ' ' || details AS line FROM audit_events WHERE target = '{target}' ORDER BY id"
    ))
}

async fn step(operator: &Operator<'_>, client: &str, verb: &str) -> Answer {
    let body = json!({ "reason": "a drill" });
    operator
        .post(&format!("/clients/{client}/{verb}"), body)
        .await
}

async fn edit(operator: &Operator<'_>, client: &str, body: Value) -> Answer {
    operator.patch(&format!("/clients/{client}"), body).await
}

/// A token request that says where it comes from.
fn asking(world: &World, who: &Credential, from: &str) -> RequestBuilder {
    asking_in(world, "sandbox", who, from)
}

fn asking_in(world: &World, realm: &str, who: &Credential, from: &str) -> RequestBuilder {
    world
        .request(Method::POST, &format!("/{realm}/oauth2/token"))
        .header("x-forwarded-for", from)
        .basic_auth(&who.client_id, Some(&who.secret))
        .form(&[("grant_type", "client_credentials")])
}

async fn ask(world: &World, who: &Credential, from: &str) -> Answer {
    Answer::of(asking(world, who, from).send().await.unwrap()).await
}

#[actix_web::test]
async fn a_suspended_client_gets_no_token_and_a_resumed_one_at_once() {
    for world in worlds().await {
        let operator = world.operator().await;
        let who = world.sandbox_client(&["orders:read"]).await;
        let wrong = Credential {
            secret: operator.world.operator_credential().secret,
            ..who.clone()
        };
        let refused = world.token_answer("sandbox", &wrong, &[]).await;
        world.token("sandbox", &who, &[]).await;

        let suspended = step(&operator, &who.client_id, "suspend").await.expect(200);
        assert_eq!(suspended["state"], "suspended");
        let answer = world.token_answer("sandbox", &who, &[]).await;
        assert_eq!(answer.line(), refused.line());
        assert_snapshot!(answer.line(), @r#"401 {"error":"invalid_client","error_description":"client authentication failed"}"#);

        let resumed = step(&operator, &who.client_id, "resume").await.expect(200);
        assert_eq!(resumed["state"], "active");
        world.token("sandbox", &who, &[]).await;

        let id = &who.client_id;
        assert_eq!(
            revocations(&world, "sandbox"),
            [format!("client {id} suspended")]
        );
        let done: Vec<String> = audit(&world, id).into_iter().skip(1).collect();
        assert_eq!(
            done,
            [
                r#"client.suspended {"reason":"a drill"}"#,
                r#"client.resumed {"reason":"a drill"}"#
            ]
        );
    }
}

#[actix_web::test]
async fn a_revoked_client_ends_with_its_credentials() {
    for world in worlds().await {
        let operator = world.operator().await;
        let who = world.sandbox_client(&["orders:read"]).await;
        operator.issue(&who.client_id).await;
        let revoked = step(&operator, &who.client_id, "revoke").await.expect(200);
        assert_eq!(revoked["state"], "revoked");
        let answer = world.token_answer("sandbox", &who, &[]).await;
        assert_eq!(answer.json()["error"], "invalid_client");

        let path = format!("/clients/{}/credentials", who.client_id);
        let held = operator.get(&path).await.expect(200);
        for credential in held["data"].as_array().unwrap() {
            assert_eq!(
                (
                    &credential["state"],
                    &credential["revoked_by"],
                    &credential["revoked_reason"],
                    &credential["revoked_note"]
                ),
                (
                    &json!("revoked"),
                    &json!(operator.id()),
                    &json!("other"),
                    &json!("its client was revoked: a drill")
                )
            );
        }
        // One entry is enough: every token is the client's.
        let id = &who.client_id;
        assert_eq!(
            revocations(&world, "sandbox"),
            [format!("client {id} revoked")]
        );
        let told = world.lines("SELECT kind AS line FROM events ORDER BY seq");
        assert_eq!(told, ["credential.revoked", "credential.revoked"]);
        let about = format!("client_id\":\"{id}\",\"reason\":\"other");
        let last = audit(&world, &who.credential_id).pop().unwrap();
        assert!(
            last.starts_with("credential.revoked ") && last.contains(&about),
            "{last}"
        );

        let issue = operator.post(&path, json!({ "kind": "secret" })).await;
        assert_eq!(
            (issue.status, &issue.json()["code"]),
            (409, &json!("client_not_active"))
        );
        let edited = edit(&operator, id, json!({ "name": "again" })).await;
        assert_snapshot!(edited.problem(), @r#"
        409 illegal_transition: the client is revoked; from there: nothing
          state "revoked", allowed []
        "#);
    }
}

#[actix_web::test]
async fn every_client_keeps_to_the_drawing() {
    for world in worlds().await {
        let operator = world.operator().await;
        let partner = operator.partner().await;
        operator.sandbox_grant(&partner, "orders:read", None).await;
        let mut told = String::new();
        for state in ["active", "suspended", "revoked"] {
            for verb in ["suspend", "resume", "revoke"] {
                let who = operator.client(&partner, "sandbox", &["orders:read"]).await;
                match state {
                    "suspended" => {
                        drop(step(&operator, &who.client_id, "suspend").await.expect(200))
                    }
                    "revoked" => drop(step(&operator, &who.client_id, "revoke").await.expect(200)),
                    _ => {}
                }
                let entries = revocations(&world, "sandbox").len();
                let answer = step(&operator, &who.client_id, verb).await;
                let said = match answer.status {
                    200 => answer.json()["state"].to_string(),
                    _ => answer.problem().replace("\n  state ", ": "),
                };
                told += &format!("{state} {verb}: {said}\n");
                let new = revocations(&world, "sandbox").len() - entries;
                assert_eq!(new, usize::from(answer.status == 200 && verb != "resume"));
            }
        }
        assert_snapshot!(told, @r#"
        active suspend: "suspended"
        active resume: 409 illegal_transition: the client is active; from there: suspended, revoked: "active", allowed ["suspended","revoked"]
        active revoke: "revoked"
        suspended suspend: 409 illegal_transition: the client is suspended; from there: active, revoked: "suspended", allowed ["active","revoked"]
        suspended resume: "active"
        suspended revoke: "revoked"
        revoked suspend: 409 illegal_transition: the client is revoked; from there: nothing: "revoked", allowed []
        revoked resume: 409 illegal_transition: the client is revoked; from there: nothing: "revoked", allowed []
        revoked revoke: 409 illegal_transition: the client is revoked; from there: nothing: "revoked", allowed []
        "#);
        for verb in ["suspend", "resume", "revoke"] {
            let unknown = step(&operator, "cl_sbx_01ARZ3NDEKTSV4RRFFQ69G5FAV", verb).await;
            assert_eq!(unknown.status, 404);
        }
        let path = "/clients/cl_sbx_01ARZ3NDEKTSV4RRFFQ69G5FAV/suspend";
        let told = operator.post(path, json!({ "force": true })).await;
        assert_snapshot!(told.problem(), @"
        422 invalid_body: the request body has members that must be mended; see errors
          /reason missing: must be there
          /force unknown: is not a member of this request
        ");
    }
}

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
async fn a_list_of_addresses_binds_token_requests() {
    for world in worlds_with(&[("ONYX_TRUSTED_PROXIES", "127.0.0.1/32,10.0.0.0/8")]).await {
        let operator = world.operator().await;
        let who = world.sandbox_client(&["orders:read"]).await;
        let list =
            json!({ "ip_allowlist": ["203.0.113.0/24", "2001:db8:1::/48", "::ffff:198.51.100.7"] });
        let edited = edit(&operator, &who.client_id, list).await.expect(200);
        assert_eq!(
            edited["ip_allowlist"],
            json!(["198.51.100.7/32", "203.0.113.0/24", "2001:db8:1::/48"])
        );
        for from in [
            "203.0.113.0",
            "203.0.113.255",
            "::ffff:203.0.113.9",
            "2001:db8:1:ffff::1",
            "[2001:db8:1::1]:4711",
            "198.51.100.7",
            // Only the end of the chain counts.
            "192.0.2.1, 203.0.113.9, 10.1.2.3",
        ] {
            assert_eq!(ask(&world, &who, from).await.status, 200, "{from}");
        }
        let wrong = Credential {
            secret: world.operator_credential().secret,
            ..who.clone()
        };
        let refused = ask(&world, &wrong, "203.0.113.9").await;
        assert_eq!(refused.status, 401);
        for from in [
            "203.0.114.0",
            "2001:db8:2::1",
            "198.51.100.8",
            "::cb00:7109",
            "203.0.113.9, 192.0.2.1",
            "127.0.0.1",
            "unknown",
        ] {
            let answer = ask(&world, &who, from).await;
            assert_eq!(answer.line(), refused.line(), "{from}");
            assert_eq!(
                answer.header("www-authenticate"),
                refused.header("www-authenticate")
            );
        }
        edit(&operator, &who.client_id, json!({ "ip_allowlist": null }))
            .await
            .expect(200);
        assert_eq!(ask(&world, &who, "192.0.2.1").await.status, 200);
    }
}

#[actix_web::test]
async fn nobody_is_believed_who_is_no_trusted_proxy() {
    for world in worlds().await {
        let operator = world.operator().await;
        let who = world.sandbox_client(&["orders:read"]).await;
        edit(
            &operator,
            &who.client_id,
            json!({ "ip_allowlist": ["203.0.113.0/24"] }),
        )
        .await
        .expect(200);
        assert_eq!(ask(&world, &who, "203.0.113.9").await.status, 401);
        edit(
            &operator,
            &who.client_id,
            json!({ "ip_allowlist": ["127.0.0.0/8"] }),
        )
        .await
        .expect(200);
        assert_eq!(ask(&world, &who, "203.0.113.9").await.status, 200);
    }
}

#[actix_web::test]
async fn a_list_of_addresses_binds_calls() {
    for world in worlds_with(&[("ONYX_TRUSTED_PROXIES", "127.0.0.1/32")]).await {
        let operator = world.operator().await;
        let who = world.sandbox_client(&["orders:read"]).await;
        edit(
            &operator,
            &who.client_id,
            json!({ "ip_allowlist": ["203.0.113.0/24"] }),
        )
        .await
        .expect(200);
        let given = ask(&world, &who, "203.0.113.9").await.expect(200);
        let token = given["access_token"].as_str().unwrap();
        let call = async |path: &str, token: &str, from: &str| {
            let request = world.request(Method::GET, path).bearer_auth(token);
            Answer::of(
                request
                    .header("x-forwarded-for", from)
                    .send()
                    .await
                    .unwrap(),
            )
            .await
        };
        call("/sandbox/v1/me", token, "203.0.113.200")
            .await
            .expect(200);
        let elsewhere = call("/sandbox/v1/me", token, "192.0.2.1").await;
        assert_snapshot!(elsewhere.problem(), @"403 address_not_allowed: this client may not call from this address: its ip_allowlist says from where");
        // A token that is not valid is told nothing of lists.
        let forged = format!("{}x", token);
        let answer = call("/sandbox/v1/me", &forged, "192.0.2.1").await;
        assert_eq!(answer.json()["code"], "invalid_token");

        // Operators are bound alike; their tokens from before the list are dead.
        let bound = operator.puppet(&["partners:read"]).await;
        let list = json!({ "ip_allowlist": ["2001:db8::/32"] });
        edit(&operator, &bound.id(), list).await.expect(200);
        let before = call("/admin/v1/partners", &bound.token, "2001:db8::7").await;
        assert_eq!(before.status, 401);
        let held = operator.issue(&bound.id()).await;
        let given = asking_in(&world, "admin", &held, "2001:db8::7");
        let given = Answer::of(given.send().await.unwrap()).await.expect(200);
        let token = given["access_token"].as_str().unwrap();
        call("/admin/v1/partners", token, "2001:db8::7")
            .await
            .expect(200);
        let elsewhere = call("/admin/v1/partners", token, "192.0.2.1").await;
        assert_eq!(
            (elsewhere.status, &elsewhere.json()["code"]),
            (403, &json!("address_not_allowed"))
        );
    }
}

#[actix_web::test]
async fn what_is_done_to_operators_needs_the_right_over_operators() {
    for world in worlds().await {
        let operator = world.operator().await;
        let victim = operator.puppet(&["partners:read"]).await;
        let rest = operator
            .puppet(&["clients:write", "credentials:revoke", "clients:read"])
            .await;
        for verb in ["suspend", "resume", "revoke"] {
            let answer = step(&rest, &victim.id(), verb).await;
            assert_eq!(
                (answer.status, &answer.json()["code"]),
                (403, &json!("insufficient_scope"))
            );
        }
        assert_eq!(
            edit(&rest, &victim.id(), json!({ "name": "x" }))
                .await
                .status,
            403
        );

        let edited = edit(
            &operator,
            &victim.id(),
            json!({ "scopes": ["audit:read"], "token_ttl": 60 }),
        )
        .await;
        assert_eq!(edited.expect(200)["scopes"], json!(["audit:read"]));
        let mut told = String::new();
        for bad in [
            json!({ "scopes": ["orders:read"] }),
            json!({ "scopes": [] }),
            json!({ "self_rotation": true }),
        ] {
            let answer = edit(&operator, &victim.id(), bad).await.problem();
            told += &answer.lines().skip(1).collect::<Vec<_>>().join("\n");
            told += "\n";
        }
        assert_snapshot!(told, @"
        /scopes invalid: must be one or more of audit:read, billing:write, catalogue:write, clients:read, clients:write, credentials:issue, credentials:revoke, credentials:rotate, governance:write, grants:decide, keys:manage, limits:write, operators:write, orders:fulfil, partners:read, partners:write, requests:read, resource-servers:write, security:read, security:write, usage:write
        /scopes invalid: must be one or more of audit:read, billing:write, catalogue:write, clients:read, clients:write, credentials:issue, credentials:revoke, credentials:rotate, governance:write, grants:decide, keys:manage, limits:write, operators:write, orders:fulfil, partners:read, partners:write, requests:read, resource-servers:write, security:read, security:write, usage:write
        /self_rotation invalid: is for partners' clients only
        ");
        step(&operator, &victim.id(), "suspend").await.expect(200);
        step(&operator, &victim.id(), "revoke").await.expect(200);
        let id = victim.id();
        assert_eq!(
            revocations(&world, "admin"),
            [
                format!("client {id} scopes_narrowed"),
                format!("client {id} suspended"),
                format!("client {id} revoked")
            ]
        );
    }
}

#[actix_web::test]
async fn the_last_operator_who_can_make_operators_stays() {
    for world in worlds().await {
        let operator = world.operator().await;
        let own = operator.id();
        // Others are there, but none that could: without the right, without a credential, over.
        operator.puppet(&["partners:read", "clients:write"]).await;
        let body = json!({ "name": "unarmed", "scopes": ["operators:write"] });
        operator.post("/operators", body).await.expect(201);
        let over = operator.puppet(&["operators:write"]).await;
        world.execute(&format!(
            "UPDATE clients SET expires_at = created_at WHERE id = '{}'",
            over.id()
        ));
        for verb in ["suspend", "revoke"] {
            let told = step(&operator, &own, verb).await;
            assert_snapshot!(told.problem(), @"409 last_operator: it is the last operator who can make operators; make another with operators:write first, and give it a credential");
        }
        let narrowed = edit(&operator, &own, json!({ "scopes": ["partners:read"] })).await;
        assert_eq!(
            (narrowed.status, &narrowed.json()["code"]),
            (409, &json!("last_operator"))
        );
        assert!(revocations(&world, "admin").is_empty());
        let locked = edit(&operator, &own, json!({ "ip_allowlist": ["192.0.2.0/24"] })).await;
        assert_snapshot!(locked.problem(), @"
        422 invalid_body: the request body has members that must be mended; see errors
          /ip_allowlist invalid: must contain the address that this request comes from, or it would lock you out
        ");
        edit(&operator, &own, json!({ "ip_allowlist": ["127.0.0.1"] }))
            .await
            .expect(200);

        // With another, one may go; of two who do away with each other, one stays.
        let other = world.second_operator().await;
        let answers = at_once([
            operator.posting(
                &format!("/clients/{}/suspend", other.id()),
                &json!({ "reason": "a drill" }),
            ),
            other.posting(
                &format!("/clients/{own}/suspend"),
                &json!({ "reason": "a drill" }),
            ),
        ]);
        let won = answers.await.iter().filter(|a| a.status == 200).count();
        assert_eq!(won, 1);
    }
}

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

/// How often several operators meet at one client.
const ROUNDS: usize = 30;

#[actix_web::test]
async fn of_many_who_act_on_a_client_at_once_one_wins() {
    for world in worlds().await {
        let operator = world.operator().await;
        let other = world.neighbour().await;
        let there = Operator {
            world: &other,
            token: operator.token.clone(),
        };
        let partner = operator.partner().await;
        operator.sandbox_grant(&partner, "orders:read", None).await;
        let body = json!({ "reason": "a race" });
        for round in 0..ROUNDS {
            let who = operator.client(&partner, "sandbox", &["orders:read"]).await;
            let path = |verb: &str| format!("/clients/{}/{verb}", who.client_id);
            let entries = revocations(&world, "sandbox").len();
            let suspended = at_once([
                operator.posting(&path("suspend"), &body),
                there.posting(&path("suspend"), &body),
                operator.posting(&path("suspend"), &body),
                there.posting(&path("resume"), &body),
            ])
            .await;
            // Whoever resumes may come between two who suspend.
            let won = |answers: &[Answer]| answers.iter().filter(|a| a.status == 200).count();
            let (stopped, resumed) = (won(&suspended[..3]), won(&suspended[3..]));
            assert!(
                stopped == 1 || (stopped, resumed) == (2, 1),
                "{round}: {suspended:?}"
            );
            assert_eq!(revocations(&world, "sandbox").len() - entries, stopped);

            let answers = at_once([
                operator.posting(&path("revoke"), &body),
                there.posting(&path("revoke"), &body),
                there.posting(&path("suspend"), &body),
                operator.posting(&path("resume"), &body),
                operator.posting(&path("revoke"), &body),
            ])
            .await;
            let revoked: Vec<u16> = [0, 1, 4].map(|nth| answers[nth].status).to_vec();
            assert_eq!(
                revoked.iter().filter(|status| **status == 200).count(),
                1,
                "{revoked:?}"
            );
            assert!(
                answers.iter().all(|a| [200, 409].contains(&a.status)),
                "{answers:?}"
            );
            let shown = operator
                .get(&format!("/clients/{}", who.client_id))
                .await
                .expect(200);
            assert_eq!(shown["state"], "revoked");
            let last = revocations(&world, "sandbox").pop().unwrap();
            assert_eq!(last, format!("client {} revoked", who.client_id));
            let steps = audit(&world, &who.client_id);
            let all_won = 1 + stopped + resumed + won(&answers);
            assert_eq!(steps.len(), all_won, "{steps:?}");
            let ends = steps.iter().filter(|s| s.starts_with("client.revoked"));
            assert_eq!(ends.count(), 1, "{steps:?}");
        }
    }
}

#[actix_web::test]
async fn the_command_line_changes_suspends_and_revokes() {
    for world in worlds().await {
        let operator = world.operator().await;
        let who = world.sandbox_client(&["orders:read", "usage:read"]).await;
        let client = who.client_id.as_str();
        let edited = world.cli(&[
            "client",
            "edit",
            client,
            "--name",
            "front",
            "--scope",
            "orders:read",
            "--token-ttl",
            "60",
            "--allow-from",
            "127.0.0.1",
            "--allow-from",
            "10.0.0.0/8",
            "--self-rotation",
            "false",
            "--json",
        ]);
        let edited: Value = serde_json::from_str(&edited).unwrap();
        assert_eq!(
            (
                &edited["name"],
                &edited["scopes"],
                &edited["token_ttl"],
                &edited["ip_allowlist"],
                &edited["self_rotation"]
            ),
            (
                &json!("front"),
                &json!(["orders:read"]),
                &json!(60),
                &json!(["10.0.0.0/8", "127.0.0.1/32"]),
                &json!(false)
            )
        );
        let cleared = [
            "client",
            "edit",
            client,
            "--clear",
            "token_ttl",
            "--clear",
            "ip_allowlist",
            "--field",
            "token_ttl",
        ];
        assert_eq!(world.cli(&cleared), "");
        for wrong in [
            vec!["client", "edit", client],
            vec!["client", "edit", client, "--clear", "name"],
            vec![
                "client",
                "edit",
                client,
                "--token-ttl",
                "60",
                "--clear",
                "token_ttl",
            ],
            vec!["client", "suspend", client, "--reason", "a drill"],
            vec!["client", "revoke", client, "--reason", "a drill"],
            vec!["client", "revoke", client, "--yes"],
            vec!["token", "revoke", "--yes"],
            vec!["token", "revoke", "--jti", "x", "--yes"],
            vec!["resource-server", "edit", "rsv_x"],
        ] {
            assert_eq!(world.run(&wrong).status.code(), Some(2), "{wrong:?}");
        }
        let step = |verb: &str| {
            world.cli(&[
                "client", verb, client, "--reason", "a drill", "--yes", "--field", "state",
            ])
        };
        assert_eq!(step("suspend"), "suspended");
        assert_eq!(
            world.cli(&["client", "list", "--state", "suspended", "--field", "id"]),
            client
        );
        assert_eq!(
            world.cli(&[
                "client", "resume", client, "--reason", "over", "--field", "state"
            ]),
            "active"
        );

        let token = world.token("sandbox", &who, &[]).await;
        let revoke = ["token", "revoke", "-", "--yes", "--field", "revoked"];
        let output = world.run_with_input(&revoke, &format!("{token}\n"));
        assert_eq!(String::from_utf8_lossy(&output.stdout), "true\n");
        std::fs::write(world.path().join("token"), &token).unwrap();
        assert_eq!(
            world.cli(&["token", "revoke", "token", "--yes", "--field", "jti"]),
            claims(&token)["jti"]
        );
        let foreign = world.run_with_input(&revoke, "no token");
        assert_eq!(
            (foreign.status.code(), &foreign.stdout[..]),
            (Some(0), &b"false\n"[..])
        );
        let named = [
            "token", "revoke", "--realm", "sandbox", "--jti", "abc", "--yes", "--field", "realm",
        ];
        assert_eq!(world.cli(&named), "sandbox");
        assert_eq!(step("revoke"), "revoked");

        let server = operator
            .resource_server(
                "sandbox",
                "https://stock.acme.example",
                &["stock:read"],
                "ES256",
            )
            .await;
        let server = server["id"].as_str().unwrap();
        let edit = [
            "resource-server",
            "edit",
            server,
            "--signing-alg",
            "EdDSA",
            "--scope",
            "stock:count",
            "--field",
            "signing_alg",
        ];
        assert_eq!(world.cli(&edit), "EdDSA");
        assert_eq!(
            world.cli(&["resource-server", "show", server, "--field", "scopes"]),
            "stock:count"
        );
    }
}
