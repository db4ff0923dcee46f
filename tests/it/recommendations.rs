//! Recommendations: they come when they should, go when they should, and are followed at a word.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::assert_snapshot;
use crate::support::world::{Answer, Operator, World, claims, days_away, worlds, worlds_with};

/// Everything that a client holds and how it came to it is as old as this.
fn age_client(world: &World, client: &str, days: i64) {
    let at = days_away(-days);
    world.execute(&format!(
        "UPDATE clients SET created_at = '{at}' WHERE id = '{client}'"
    ));
    world.execute(&format!(
        "UPDATE scope_grants SET decided_at = '{at}', requested_at = '{at}' WHERE partner_id = \
         (SELECT partner_id FROM clients WHERE id = '{client}')"
    ));
}

fn count(world: &World, client: &str, days_ago: i64, scope: &str, (asked, used): (u32, u32)) {
    let day = &days_away(-days_ago)[..10];
    world.execute(&format!(
        "INSERT INTO scope_usage (client_id, day, scope, asked, used) \
         VALUES ('{client}', '{day}', '{scope}', {asked}, {used})"
    ));
}

fn set_credential(world: &World, id: &str, values: &str) {
    world.execute(&format!(
        "UPDATE credentials SET {values} WHERE id = '{id}'"
    ));
}

async fn list(operator: &Operator<'_>, query: &str) -> Vec<Value> {
    let list = operator
        .get(&format!("/recommendations?{query}"))
        .await
        .expect(200);
    assert_eq!(list["next_cursor"], Value::Null);
    list["data"].as_array().unwrap().clone()
}

async fn apply(operator: &Operator<'_>, found: &Value) -> Answer {
    let id = found["id"].as_str().unwrap();
    operator
        .post(&format!("/recommendations/{id}/apply"), json!({}))
        .await
}

fn scopes(list: &[Value]) -> Vec<&str> {
    list.iter()
        .map(|one| one["scope"].as_str().unwrap())
        .collect()
}

/// How often it is on record that something was done to this.
fn recorded(world: &World, action: &str, target: &Value) -> usize {
    let target = target.as_str().unwrap();
    let query = format!(
        "SELECT id AS line FROM audit_events WHERE action = '{action}' AND target = '{target}'"
    );
    world.lines(&query).len()
}

#[actix_web::test]
async fn an_unused_scope_is_recommended_for_removal_and_removed() {
    for world in worlds().await {
        let operator = world.operator().await;
        let held = ["orders:create", "orders:read", "usage:read"];
        let who = world.sandbox_client(&held).await;
        let query = format!("kind=unused_scope&partner_id={}", who.partner_id);
        // It is new: nobody can say yet what it needs.
        assert_eq!(list(&operator, &query).await, [] as [Value; 0]);
        age_client(&world, &who.client_id, 100);
        count(&world, &who.client_id, 95, "orders:create", (9, 9));
        count(&world, &who.client_id, 90, "orders:read", (9, 9));
        count(&world, &who.client_id, 1, "usage:read", (9, 0));

        let found = list(&operator, &query).await;
        assert_eq!(scopes(&found), ["orders:create", "usage:read"]);
        let (first, second) = (&found[0], &found[1]);
        assert_eq!(first["kind"], "unused_scope");
        assert_eq!(first["apply"], "narrow_client");
        assert_eq!(first["client_id"], who.client_id);
        assert_eq!(first["realm"], "sandbox");
        let (day, made) = (&days_away(-95)[..10], &days_away(-100)[..10]);
        assert_eq!(
            first["reason"],
            format!("the client holds orders:create and has not used it since {day}")
        );
        assert_eq!(
            second["reason"],
            format!("the client has held usage:read since {made} and has never used it")
        );
        assert_eq!(
            list(&operator, &query).await,
            found,
            "an id is the same each time"
        );

        let token = world.token("sandbox", &who, &[]).await;
        assert_eq!(
            claims(&token)["scope"],
            "orders:create orders:read usage:read"
        );
        let applied = apply(&operator, first).await.expect(200);
        assert_eq!(applied["id"], first["id"]);
        let dead = world.get("/sandbox/v1/me", Some(&token)).await;
        assert_eq!(dead.expect(401)["code"], "invalid_token");
        assert!(applied["applied_at"].is_string());
        let token = world.token("sandbox", &who, &[]).await;
        assert_eq!(claims(&token)["scope"], "orders:read usage:read");
        let refused = world
            .token_answer("sandbox", &who, &[("scope", "orders:create")])
            .await;
        assert_eq!(refused.expect(400)["error"], "invalid_scope");
        let client = operator
            .get(&format!("/clients/{}", who.client_id))
            .await
            .expect(200);
        assert_eq!(client["scopes"], json!(["orders:read", "usage:read"]));

        // Every token from before is refused, and it is on record who did what.
        let revoked = world.lines(&format!(
            "SELECT kind || ' ' || realm AS line FROM revocations WHERE id = '{}'",
            who.client_id
        ));
        assert_eq!(revoked, ["client sandbox"]);
        assert_eq!(recorded(&world, "recommendation.applied", &first["id"]), 1);
        assert_eq!(recorded(&world, "client.changed", &first["client_id"]), 1);

        let again = apply(&operator, first).await;
        assert_snapshot!(again.problem(), @"409 no_longer_applies: this no longer applies: it was used meanwhile, or is gone already");
        // Used meanwhile, it stays.
        count(&world, &who.client_id, 2, "usage:read", (0, 1));
        let overtaken = apply(&operator, second).await;
        assert_eq!(overtaken.expect(409)["code"], "no_longer_applies");
        assert_eq!(list(&operator, &query).await, [] as [Value; 0]);
        assert_eq!(recorded(&world, "recommendation.applied", &second["id"]), 0);
    }
}

#[actix_web::test]
async fn a_default_scope_that_goes_leaves_the_others_and_never_widens() {
    for world in worlds().await {
        let operator = world.operator().await;
        let partner = operator.partner().await;
        for scope in ["orders:create", "orders:read"] {
            operator.sandbox_grant(&partner, scope, None).await;
        }
        let who = operator
            .client_with(
                &partner,
                json!({ "realm": "sandbox", "name": "x", "scopes": ["orders:create", "orders:read"],
                        "default_scopes": ["orders:create"] }),
            )
            .await;
        age_client(&world, &who.client_id, 100);
        count(&world, &who.client_id, 1, "orders:read", (1, 1));
        let found = list(
            &operator,
            &format!("kind=unused_scope&partner_id={partner}"),
        )
        .await;
        assert_eq!(scopes(&found), ["orders:create"]);
        apply(&operator, &found[0]).await.expect(200);
        let by_default = world.token_answer("sandbox", &who, &[]).await;
        assert_eq!(by_default.expect(400)["error"], "invalid_scope");
        let token = world
            .token("sandbox", &who, &[("scope", "orders:read")])
            .await;
        assert_eq!(claims(&token)["scope"], "orders:read");
    }
}

#[actix_web::test]
async fn what_is_used_at_another_service_counts_by_what_is_asked_for() {
    for world in worlds().await {
        let operator = world.operator().await;
        let service = "https://stock.example";
        operator
            .resource_server("sandbox", service, &["stock:read", "stock:write"], "ES256")
            .await;
        let partner = operator.partner().await;
        for scope in ["stock:read", "stock:write"] {
            operator.sandbox_grant(&partner, scope, Some(service)).await;
        }
        let who = operator
            .client(&partner, "sandbox", &["stock:read", "stock:write"])
            .await;
        age_client(&world, &who.client_id, 100);
        count(&world, &who.client_id, 1, "stock:read", (1, 0));
        let found = list(
            &operator,
            &format!("kind=unused_scope&partner_id={partner}"),
        )
        .await;
        assert_eq!(scopes(&found), ["stock:write"]);
        assert!(
            found[0]["reason"]
                .as_str()
                .unwrap()
                .ends_with("has never asked for it")
        );
        // A scope that the client was given lately, by a grant of long ago, has its time too.
        let path = format!("/clients/{}", who.client_id);
        for scopes in [json!(["stock:read"]), json!(["stock:read", "stock:write"])] {
            let changed = operator.patch(&path, json!({ "scopes": scopes })).await;
            changed.expect(200);
        }
        let query = format!("kind=unused_scope&partner_id={partner}");
        assert_eq!(list(&operator, &query).await, [] as [Value; 0]);
        assert_eq!(
            apply(&operator, &found[0]).await.expect(409)["code"],
            "no_longer_applies"
        );
        world.take_down_the_audit_fence();
        world.execute(&format!(
            "UPDATE audit_events SET at = '{}'",
            days_away(-95)
        ));
        assert_eq!(scopes(&list(&operator, &query).await), ["stock:write"]);

        // A grant that was given lately speaks for its scope.
        world.execute(&format!(
            "UPDATE scope_grants SET decided_at = '{}' WHERE scope = 'stock:write'",
            days_away(-5)
        ));
        let found = list(
            &operator,
            &format!("kind=unused_scope&partner_id={partner}"),
        )
        .await;
        assert_eq!(found, [] as [Value; 0]);
    }
}

#[actix_web::test]
async fn clients_that_are_over_and_resource_servers_lose_nothing() {
    for world in worlds().await {
        let operator = world.operator().await;
        let server = operator
            .resource_server("sandbox", "https://stock.example", &["stock:read"], "ES256")
            .await;
        let who = world.sandbox_client(&["orders:read"]).await;
        world.execute(&format!(
            "UPDATE clients SET created_at = '{}'",
            days_away(-100)
        ));
        age_client(&world, &who.client_id, 100);
        let found = list(&operator, "kind=unused_scope&realm=sandbox").await;
        assert_eq!(found.len(), 1);
        assert_eq!(found[0]["client_id"], who.client_id);
        assert_ne!(found[0]["client_id"], server["client_id"]);
        for (column, value) in [
            ("state", "suspended"),
            ("state", "revoked"),
            ("expires_at", "2020-01-01 00:00:00"),
        ] {
            world.execute(&format!(
                "UPDATE clients SET {column} = '{value}' WHERE id = '{}'",
                who.client_id
            ));
            assert_eq!(
                list(&operator, "kind=unused_scope&realm=sandbox").await,
                [] as [Value; 0]
            );
            assert_eq!(
                apply(&operator, &found[0]).await.expect(409)["code"],
                "no_longer_applies"
            );
            world.execute(&format!(
                "UPDATE clients SET state = 'active' WHERE id = '{}'",
                who.client_id
            ));
        }
    }
}

#[actix_web::test]
async fn an_unused_credential_is_recommended_for_revocation_and_revoked() {
    for world in worlds().await {
        let operator = world.operator().await;
        let who = world.sandbox_client(&["orders:read"]).await;
        let other = operator.issue(&who.client_id).await;
        let query = format!("kind=unused_credential&partner_id={}", who.partner_id);
        assert_eq!(list(&operator, &query).await, [] as [Value; 0]);

        let (long_ago, used) = (days_away(-100), days_away(-91));
        set_credential(
            &world,
            &who.credential_id,
            &format!("created_at = '{long_ago}'"),
        );
        set_credential(
            &world,
            &other.credential_id,
            &format!(
                "created_at = '{long_ago}', first_used_at = '{long_ago}', last_used_at = '{used}'"
            ),
        );
        let found = list(&operator, &query).await;
        let of = |id: &str| {
            let found = found.iter().find(|one| one["credential_id"] == id);
            found.unwrap_or_else(|| panic!("{id} is not in {found:#?}"))
        };
        assert_eq!(found.len(), 2);
        let never = of(&who.credential_id);
        assert_eq!(never["apply"], "revoke_credential");
        assert_eq!(never["client_id"], who.client_id);
        assert!(
            never["reason"]
                .as_str()
                .unwrap()
                .ends_with("and has never been used")
        );
        let quiet = of(&other.credential_id);
        assert!(quiet["since"].as_str().unwrap().starts_with(&used[..10]));
        assert!(
            quiet["reason"]
                .as_str()
                .unwrap()
                .starts_with("the credential has not been used since")
        );

        let applied = apply(&operator, never).await.expect(200);
        assert_eq!(applied["credential_id"], who.credential_id);
        let refused = world.token_answer("sandbox", &who, &[]).await;
        assert_eq!(refused.expect(401)["error"], "invalid_client");
        let path = format!("/clients/{}/credentials", who.client_id);
        let credentials = operator.get(&path).await.expect(200);
        let revoked = credentials["data"].as_array().unwrap().iter();
        let revoked = revoked
            .filter(|one| one["state"] == "revoked")
            .collect::<Vec<_>>();
        assert_eq!(revoked.len(), 1);
        assert_eq!(revoked[0]["revoked_reason"], "unused");
        assert_eq!(
            recorded(&world, "credential.revoked", &never["credential_id"]),
            1
        );
        assert_eq!(recorded(&world, "recommendation.applied", &never["id"]), 1);
        assert_eq!(
            apply(&operator, never).await.expect(409)["code"],
            "no_longer_applies"
        );

        // Used again, the other stays.
        set_credential(
            &world,
            &other.credential_id,
            &format!("last_used_at = '{}'", days_away(0)),
        );
        assert_eq!(
            apply(&operator, quiet).await.expect(409)["code"],
            "no_longer_applies"
        );
        world.token("sandbox", &other, &[]).await;
        assert_eq!(list(&operator, &query).await, [] as [Value; 0]);
    }
}

#[actix_web::test]
async fn secrets_near_or_past_their_age_are_shown_and_there_is_nothing_to_apply() {
    for world in worlds().await {
        let operator = world.operator().await;
        let who = world.sandbox_client(&["orders:read"]).await;
        let live = world.live_client(&["orders:read"]).await;
        let far = format!(
            "created_at = '{}', expires_at = '{}'",
            days_away(-1),
            days_away(80)
        );
        let in_sandbox = format!("kind=secret_near_end&partner_id={}", who.partner_id);
        let in_live = format!("kind=secret_near_end&partner_id={}", live.partner_id);
        for (values, expected) in [
            (far.clone(), None),
            (format!("expires_at = '{}'", days_away(31)), None),
            (
                format!("expires_at = '{}'", days_away(29)),
                Some("in 29 days: rotate it before"),
            ),
            (format!("expires_at = '{}'", days_away(-1)), None),
            // A sandbox secret may be 365 days old.
            (
                format!("expires_at = NULL, created_at = '{}'", days_away(-334)),
                None,
            ),
            (
                format!("created_at = '{}'", days_away(-336)),
                Some("the secret reaches its longest age"),
            ),
            (
                format!("created_at = '{}'", days_away(-366)),
                Some("the secret has been past its longest age since"),
            ),
        ] {
            set_credential(&world, &who.credential_id, &values);
            let found = list(&operator, &in_sandbox).await;
            match expected {
                None => assert_eq!(found, [] as [Value; 0], "{values}"),
                Some(reason) => {
                    assert_eq!(found.len(), 1, "{values}");
                    let told = found[0]["reason"].as_str().unwrap();
                    assert!(told.contains(reason), "{values}: {told}");
                    assert_eq!(found[0]["apply"], Value::Null);
                    assert!(found[0]["ends_at"].is_string());
                    let refused = apply(&operator, &found[0]).await;
                    assert_snapshot!(refused.problem(), @"409 nothing_to_apply: there is nothing that the server could do by itself: the secret must be rotated by who uses it");
                }
            }
        }
        // A live one 90.
        set_credential(&world, &live.credential_id, &far);
        assert_eq!(list(&operator, &in_live).await, [] as [Value; 0]);
        let aged = format!("expires_at = NULL, created_at = '{}'", days_away(-61));
        set_credential(&world, &live.credential_id, &aged);
        let found = list(&operator, &in_live).await;
        assert_eq!(found[0]["credential_id"], live.credential_id);
        assert_eq!(found[0]["realm"], "live");
        // Rotated away or revoked, it is no longer anybody's care.
        set_credential(
            &world,
            &live.credential_id,
            &format!("state = 'rotated', accepts_until = '{}'", days_away(1)),
        );
        assert_eq!(list(&operator, &in_live).await, [] as [Value; 0]);
        operator.revoke(&live.credential_id).await.expect(200);
        assert_eq!(list(&operator, &in_live).await, [] as [Value; 0]);
    }
}

#[actix_web::test]
async fn grants_near_their_end_are_shown_until_another_follows() {
    for world in worlds().await {
        let operator = world.operator().await;
        let partner = operator.partner().await;
        let lasts = |days: u64| Duration::from_secs(days * 24 * 3600);
        for (scope, days) in [("orders:read", 10), ("invoices:read", 31)] {
            let grant = operator.request_grant_until(&partner, "sandbox", scope, None, lasts(days));
            grant.await.expect(201);
        }
        let query = format!("kind=grant_near_end&partner_id={partner}");
        let found = list(&operator, &query).await;
        assert_eq!(scopes(&found), ["orders:read"]);
        assert_eq!(found[0]["apply"], Value::Null);
        assert!(found[0]["grant_id"].as_str().unwrap().starts_with("grt_"));
        assert!(
            found[0]["reason"]
                .as_str()
                .unwrap()
                .contains("in 10 days and none follows it")
        );
        assert_eq!(
            apply(&operator, &found[0]).await.expect(409)["code"],
            "nothing_to_apply"
        );

        let next =
            operator.request_grant_until(&partner, "sandbox", "orders:read", None, lasts(100));
        next.await.expect(201);
        assert_eq!(list(&operator, &query).await, [] as [Value; 0]);
    }
}

#[actix_web::test]
async fn recommendations_are_paged_and_filtered() {
    for world in worlds().await {
        let operator = world.operator().await;
        let held = ["orders:create", "orders:read", "usage:read"];
        let first = world.sandbox_client(&held).await;
        let second = world.sandbox_client(&held).await;
        let live = world.live_client(&["orders:read"]).await;
        for who in [&first, &second, &live] {
            age_client(&world, &who.client_id, 100);
            let values = format!(
                "created_at = '{}', expires_at = '{}'",
                days_away(-100),
                days_away(9)
            );
            set_credential(&world, &who.credential_id, &values);
        }
        let of_partners = list(&operator, "realm=sandbox&limit=100").await;
        // Each: three scopes, a credential that is unused, and near its end, three grants.
        assert_eq!(of_partners.len(), 2 * (3 + 1 + 1 + 3));
        let kinds: BTreeSet<&str> = of_partners
            .iter()
            .map(|one| one["kind"].as_str().unwrap())
            .collect();
        assert_eq!(kinds.len(), 4);

        for limit in [1, 2, 3, 7, 100] {
            let (mut walked, mut cursor) = (Vec::new(), String::new());
            loop {
                let path = format!("/recommendations?realm=sandbox&limit={limit}{cursor}");
                let page = operator.get(&path).await.expect(200);
                let rows = page["data"].as_array().unwrap();
                assert!(rows.len() <= limit);
                walked.extend(rows.iter().cloned());
                match page["next_cursor"].as_str() {
                    Some(next) => cursor = format!("&cursor={next}"),
                    None => break,
                }
            }
            assert_eq!(walked, of_partners, "by {limit}");
        }
        let of_first = list(
            &operator,
            &format!("partner_id={}&limit=100", first.partner_id),
        )
        .await;
        assert_eq!(of_first.len(), 8);
        assert!(
            of_first
                .iter()
                .all(|one| one["partner_id"] == first.partner_id)
        );
        let of_live = list(&operator, "realm=live&kind=unused_scope").await;
        assert_eq!(of_live.len(), 1);
        assert_eq!(of_live[0]["client_id"], live.client_id);

        let mut told = String::new();
        for bad in [
            "kind=x",
            "realm=mars",
            "partner_id=x",
            "cursor=eA",
            "days=1",
        ] {
            told += &format!(
                "{bad} {}\n",
                operator
                    .get(&format!("/recommendations?{bad}"))
                    .await
                    .problem()
            );
        }
        assert_snapshot!(told, @r"
        kind=x 400 invalid_parameter: kind must be one of unused_scope, unused_credential, secret_near_end, grant_near_end
        realm=mars 400 invalid_parameter: realm must be one of sandbox, live, admin
        partner_id=x 400 invalid_parameter: partner_id must be an id of the form ptn_<ULID>
        cursor=eA 400 invalid_parameter: cursor must be a next_cursor of an earlier page
        days=1 400 invalid_parameter: days is not a parameter of this list
        ");
    }
}

#[actix_web::test]
async fn a_search_among_many_clients_that_need_everything_goes_on_from_page_to_page() {
    for world in worlds().await {
        let operator = world.operator().await;
        let who = world.sandbox_client(&["orders:read"]).await;
        age_client(&world, &who.client_id, 100);
        // Two thousand others before it, by their ids, that hold nothing.
        let old = days_away(-100);
        let rows: Vec<String> = (0..2000)
            .map(|nth| {
                format!(
                    "('cl_sbx_0000000000000000000000{nth:04}', 'sandbox', 'partner', '{}', 'x', 'active', '', \
                     'host', '{old}', '{old}')",
                    who.partner_id
                )
            })
            .collect();
        for some in rows.chunks(400) {
            world.execute(&format!(
                "INSERT INTO clients (id, realm, kind, partner_id, name, state, scopes, created_by, created_at, \
                 updated_at) VALUES {}",
                some.join(", ")
            ));
        }
        let mut path = "/recommendations?kind=unused_scope&realm=sandbox".to_owned();
        let (mut pages, mut found) = (0, Vec::new());
        loop {
            let page = operator.get(&path).await.expect(200);
            pages += 1;
            found.extend(page["data"].as_array().unwrap().iter().cloned());
            let Some(next) = page["next_cursor"].as_str() else {
                break;
            };
            path = format!("/recommendations?kind=unused_scope&realm=sandbox&cursor={next}");
        }
        assert_eq!(pages, 3);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0]["client_id"], who.client_id);
    }
}

#[actix_web::test]
async fn who_decides_about_partners_does_not_decide_about_operators() {
    for world in worlds_with(&[("ONYX_UNUSED_DAYS", "7")]).await {
        let operator = world.operator().await;
        let who = world.operator_credential();
        world.execute(&format!(
            "UPDATE clients SET created_at = '{}'",
            days_away(-8)
        ));
        let found = list(&operator, "kind=unused_scope&realm=admin&limit=100").await;
        let catalogue = found
            .iter()
            .find(|one| one["scope"] == "catalogue:write")
            .unwrap();
        assert_eq!(catalogue["client_id"], who.client_id);
        let decider = world
            .token("admin", &who, &[("scope", "grants:decide")])
            .await;
        let decider = Operator {
            world: &world,
            token: decider,
        };
        let refused = apply(&decider, catalogue).await;
        assert_snapshot!(refused.problem(), @"403 insufficient_scope: the token lacks the scope operators:write");
        apply(&operator, catalogue).await.expect(200);
        let token = world.token("admin", &who, &[]).await;
        assert!(
            !claims(&token)["scope"]
                .as_str()
                .unwrap()
                .contains("catalogue:write")
        );

        // The operator's own tokens from before died with the scope.
        let operator = world.operator().await;
        for unknown in [
            "rec_unused_scope_cl_sbx_01ARZ3NDEKTSV4RRFFQ69G5FAV_b3JkZXJzOnJlYWQ",
            "rec_unused_credential_crd_01ARZ3NDEKTSV4RRFFQ69G5FAV",
            "rec_secret_near_end_crd_01ARZ3NDEKTSV4RRFFQ69G5FAV",
            "rec_grant_near_end_grt_01ARZ3NDEKTSV4RRFFQ69G5FAV",
            "rec_01ARZ3NDEKTSV4RRFFQ69G5FAV",
        ] {
            let path = format!("/recommendations/{unknown}/apply");
            operator.post(&path, json!({})).await.expect(404);
        }
    }
}

#[actix_web::test]
async fn of_many_who_apply_at_once_one_does() {
    for world in worlds().await {
        let other = world.neighbour().await;
        let operator = world.operator().await;
        let elsewhere = Operator {
            world: &other,
            token: operator.token.clone(),
        };
        let who = world
            .sandbox_client(&["orders:create", "orders:read"])
            .await;
        age_client(&world, &who.client_id, 100);
        let found = list(&operator, "kind=unused_scope&realm=sandbox").await;
        assert_eq!(found.len(), 2);
        for one in &found {
            let (a, b, c, d) = tokio::join!(
                apply(&operator, one),
                apply(&elsewhere, one),
                apply(&operator, one),
                apply(&elsewhere, one)
            );
            let mut statuses = [a.status, b.status, c.status, d.status];
            statuses.sort_unstable();
            assert_eq!(statuses, [200, 409, 409, 409]);
            assert_eq!(recorded(&world, "recommendation.applied", &one["id"]), 1);
        }
        let client = operator
            .get(&format!("/clients/{}", who.client_id))
            .await
            .expect(200);
        assert_eq!(client["scopes"], json!([]));
    }
}

#[actix_web::test]
async fn the_command_line_lists_and_applies() {
    for world in worlds().await {
        let who = world.sandbox_client(&["orders:read"]).await;
        age_client(&world, &who.client_id, 100);
        let ids = world.cli(&[
            "recommendation",
            "list",
            "--kind",
            "unused_scope",
            "--partner",
            &who.partner_id,
            "--field",
            "id",
        ]);
        assert_eq!(ids.lines().count(), 1);
        let unasked = world.run(&["recommendation", "apply", &ids]);
        assert_eq!(unasked.status.code(), Some(2));
        let scope = world.cli(&["recommendation", "apply", &ids, "--yes", "--field", "scope"]);
        assert_eq!(scope, "orders:read");
        let again = world.run(&["recommendation", "apply", &ids, "--yes"]);
        assert_eq!(again.status.code(), Some(1));
        let said = String::from_utf8(again.stderr).unwrap();
        assert!(said.contains("409 no_longer_applies"), "{said}");
        let table = world.cli(&["recommendation", "list", "--realm", "sandbox"]);
        assert!(table.contains("grant_near_end"), "{table}");
    }
}
