//! The life of scope grants: asked for by one, decided by another, ended by a hand or by time.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use reqwest::RequestBuilder;
use serde_json::{Value, json};

use crate::support::assert_snapshot;
use crate::support::world::{Answer, Operator, World, at_once, in_future, worlds, worlds_with};

/// Every admin scope that has to do with grants and operators.
const DECIDER: [&str; 4] = [
    "governance:write",
    "grants:decide",
    "operators:write",
    "partners:read",
];

fn id(record: &Value) -> String {
    record["id"].as_str().unwrap().to_owned()
}

/// What was written to the feed, oldest first: kind, subject, scope, reason.
fn revocations(world: &World, realm: &str) -> Vec<String> {
    world.lines(&format!(
        "SELECT kind || ' ' || id || ' ' || COALESCE(scope, '-') || ' ' || reason AS line
         FROM revocations WHERE realm = '{realm}' ORDER BY seq"
    ))
}

/// What the audit trail says of a subject: who did what, by name.
fn audit(world: &World, target: &str) -> Vec<String> {
    world.lines(&format!(
        "SELECT actor || ' ' || action AS line FROM audit_events WHERE target = '{target}' ORDER BY actor, action"
    ))
}

fn events(world: &World, partner: &str) -> Vec<String> {
    world.lines(&format!(
        "SELECT seq || ' ' || kind || ' ' || data AS line FROM events
         WHERE partner_id = '{partner}' ORDER BY realm, seq"
    ))
}

/// A live grant that waits for a decision.
async fn requested(operator: &Operator<'_>, partner: &str, realm: &str) -> String {
    let asked = operator.request_grant(partner, realm, "orders:read", None);
    id(&asked.await.expect(201))
}

fn acting(operator: &Operator<'_>, grant: &str, verb: &str) -> RequestBuilder {
    let body = match verb {
        "revoke" => json!({ "reason": "no longer needed" }),
        _ => json!({}),
    };
    operator.posting(&format!("/scope-grants/{grant}/{verb}"), &body)
}

async fn act(operator: &Operator<'_>, grant: &str, verb: &str) -> Answer {
    Answer::of(acting(operator, grant, verb).send().await.unwrap()).await
}

#[actix_web::test]
async fn a_revoked_grant_is_gone_from_the_next_token_and_on_record() {
    for world in worlds().await {
        let operator = world.operator().await;
        let who = world.sandbox_client(&["orders:read", "usage:read"]).await;
        let list = format!("/partners/{}/scope-grants", who.partner_id);
        let found = operator
            .get(&format!("{list}?scope=orders:read"))
            .await
            .expect(200);
        let grant = id(&found["data"][0]);
        let before = world.token("sandbox", &who, &[]).await;
        world.get("/sandbox/v1/me", Some(&before)).await.expect(200);

        let answer = act(&operator, &grant, "revoke").await.expect(200);
        assert_eq!(
            (
                &answer["state"],
                &answer["ended_by"],
                &answer["ended_reason"]
            ),
            (
                &json!("revoked"),
                &json!(operator.id()),
                &json!("no longer needed")
            )
        );
        assert!(answer["ended_at"].as_str().unwrap() >= answer["decided_at"].as_str().unwrap());

        let refused = world
            .token_answer("sandbox", &who, &[("scope", "orders:read")])
            .await;
        assert_snapshot!(refused.line(), @r#"400 {"error":"invalid_scope","error_description":"not granted here: orders:read"}"#);
        let left = world.token_answer("sandbox", &who, &[]).await.expect(200);
        assert_eq!(left["scope"], "usage:read");

        let partner = &who.partner_id;
        assert_eq!(
            revocations(&world, "sandbox"),
            [format!("grant {partner} orders:read revoked")]
        );
        assert!(revocations(&world, "live").is_empty());
        assert_eq!(
            audit(&world, &grant),
            [
                format!("{} scope_grant.requested", operator.id()),
                format!("{} scope_grant.revoked", operator.id()),
                "policy scope_grant.approved".to_owned(),
            ]
        );
        let told = format!(
            r#"1 scope_grant.revoked {{"grant_id":"{grant}","reason":"revoked","scope":"orders:read"}}"#
        );
        assert_eq!(events(&world, partner), [told]);

        // A client cannot be configured with what its partner lost; what it holds is shown all the same.
        let body = json!({ "realm": "sandbox", "name": "late", "scopes": ["orders:read"] });
        let late = operator
            .post(&format!("/partners/{partner}/clients"), body)
            .await;
        assert_snapshot!(late.problem(), @"
        422 invalid_body: the request body has members that must be mended; see errors
          /scopes invalid: not granted to this partner in sandbox: orders:read
        ");
        // Asked for and approved again, it is held again at once.
        operator.sandbox_grant(partner, "orders:read", None).await;
        let again = world.token_answer("sandbox", &who, &[]).await.expect(200);
        assert_eq!(again["scope"], "orders:read usage:read");
    }
}

#[actix_web::test]
async fn every_grant_keeps_to_the_drawing() {
    for world in worlds().await {
        let (operator, second) = (world.operator().await, world.second_operator().await);
        let partner = operator.partner().await;
        let mut told = String::new();
        for state in ["requested", "approved", "denied", "revoked", "expired"] {
            for verb in ["approve", "deny", "revoke"] {
                let grant = requested(&operator, &partner, "live").await;
                match state {
                    "approved" => drop(act(&second, &grant, "approve").await.expect(200)),
                    "denied" => drop(act(&second, &grant, "deny").await.expect(200)),
                    "revoked" => {
                        act(&second, &grant, "approve").await.expect(200);
                        act(&second, &grant, "revoke").await.expect(200);
                    }
                    "expired" => world.execute(&format!(
                        "UPDATE scope_grants SET state = 'expired', decided_by = 'policy',
                         decided_at = requested_at, ended_by = 'policy' WHERE id = '{grant}'"
                    )),
                    _ => {}
                }
                let entries = revocations(&world, "live").len();
                let answer = act(&second, &grant, verb).await;
                let said = match answer.status {
                    200 => answer.json()["state"].to_string(),
                    _ => answer.problem().replace("\n  state ", ": "),
                };
                told += &format!("{state} {verb}: {said}\n");
                let new = revocations(&world, "live").len() - entries;
                assert_eq!(new, usize::from(answer.status == 200 && verb == "revoke"));
            }
        }
        assert_snapshot!(told, @r#"
        requested approve: "approved"
        requested deny: "denied"
        requested revoke: 409 illegal_transition: the grant is requested; from there: approved, denied: "requested", allowed ["approved","denied"]
        approved approve: 409 illegal_transition: the grant is approved; from there: revoked, expired: "approved", allowed ["revoked","expired"]
        approved deny: 409 illegal_transition: the grant is approved; from there: revoked, expired: "approved", allowed ["revoked","expired"]
        approved revoke: "revoked"
        denied approve: 409 illegal_transition: the grant is denied; from there: nothing: "denied", allowed []
        denied deny: 409 illegal_transition: the grant is denied; from there: nothing: "denied", allowed []
        denied revoke: 409 illegal_transition: the grant is denied; from there: nothing: "denied", allowed []
        revoked approve: 409 illegal_transition: the grant is revoked; from there: nothing: "revoked", allowed []
        revoked deny: 409 illegal_transition: the grant is revoked; from there: nothing: "revoked", allowed []
        revoked revoke: 409 illegal_transition: the grant is revoked; from there: nothing: "revoked", allowed []
        expired approve: 409 illegal_transition: the grant is expired; from there: nothing: "expired", allowed []
        expired deny: 409 illegal_transition: the grant is expired; from there: nothing: "expired", allowed []
        expired revoke: 409 illegal_transition: the grant is expired; from there: nothing: "expired", allowed []
        "#);
        for verb in ["approve", "deny", "revoke"] {
            let unknown = act(&second, "grt_01ARZ3NDEKTSV4RRFFQ69G5FAV", verb).await;
            assert_eq!(
                (unknown.status, &unknown.json()["code"]),
                (404, &json!("not_found"))
            );
        }
        let grant = requested(&operator, &partner, "live").await;
        let path = format!("/scope-grants/{grant}/revoke");
        let told = second.post(&path, json!({ "why": 1 })).await;
        assert_snapshot!(told.problem(), @"
        422 invalid_body: the request body has members that must be mended; see errors
          /reason missing: must be there
          /why unknown: is not a member of this request
        ");
    }
}

#[actix_web::test]
async fn a_scope_with_several_grants_is_held_while_one_stands() {
    for world in worlds().await {
        let operator = world.operator().await;
        let who = world.sandbox_client(&["orders:read"]).await;
        operator
            .sandbox_grant(&who.partner_id, "orders:read", None)
            .await;
        let list = format!("/partners/{}/scope-grants", who.partner_id);
        let found = operator.get(&list).await.expect(200);
        let grants: Vec<String> = found["data"].as_array().unwrap().iter().map(id).collect();
        assert_eq!(grants.len(), 2);
        act(&operator, &grants[0], "revoke").await.expect(200);
        let held = world.token_answer("sandbox", &who, &[]).await.expect(200);
        assert_eq!(held["scope"], "orders:read");
        act(&operator, &grants[1], "revoke").await.expect(200);
        let gone = world.token_answer("sandbox", &who, &[]).await;
        assert_eq!(gone.json()["error"], "invalid_scope");
    }
}

/// Asks until the grant is in this state.
async fn becomes(operator: &Operator<'_>, grant: &str, state: &str) -> Value {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let shown = operator
            .get(&format!("/scope-grants/{grant}"))
            .await
            .expect(200);
        if shown["state"] == state {
            return shown;
        }
        assert!(Instant::now() < deadline, "{shown}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[actix_web::test]
async fn a_grant_whose_end_has_come_expires_by_itself() {
    for world in worlds().await {
        let operator = world.operator().await;
        let partner = operator.partner().await;
        let ending = async |scope: &str| {
            let lasts = Duration::from_secs(3600);
            let asked = operator
                .request_grant_until(&partner, "sandbox", scope, None, lasts)
                .await;
            id(&asked.expect(201))
        };
        let (alone, beside) = (ending("orders:read").await, ending("usage:read").await);
        operator.sandbox_grant(&partner, "usage:read", None).await;
        let who = operator
            .client(&partner, "sandbox", &["orders:read", "usage:read"])
            .await;
        // Time passes.
        world.execute(&format!(
            "UPDATE scope_grants SET expires_at = requested_at WHERE id IN ('{alone}', '{beside}')"
        ));
        let shown = becomes(&operator, &alone, "expired").await;
        becomes(&operator, &beside, "expired").await;
        assert_eq!(
            (&shown["ended_by"], &shown["ended_reason"]),
            (&json!("policy"), &json!("its end has come"))
        );
        assert!(audit(&world, &alone).contains(&"policy scope_grant.expired".to_owned()));
        // Where another grant stands, tokens of the scope go on.
        assert_eq!(
            revocations(&world, "sandbox"),
            [format!("grant {partner} orders:read expired")]
        );
        let held = world.token_answer("sandbox", &who, &[]).await.expect(200);
        assert_eq!(held["scope"], "usage:read");
        let late = act(&operator, &alone, "revoke").await;
        assert_snapshot!(late.problem(), @r#"
        409 illegal_transition: the grant is expired; from there: nothing
          state "expired", allowed []
        "#);
    }
}

#[actix_web::test]
async fn what_could_never_be_used_is_not_approved() {
    for world in worlds().await {
        let (operator, second) = (world.operator().await, world.second_operator().await);
        let partner = operator.partner().await;
        let grant = requested(&operator, &partner, "live").await;
        world.execute(&format!(
            "UPDATE scope_grants SET expires_at = requested_at WHERE id = '{grant}'"
        ));
        let told = act(&second, &grant, "approve").await;
        assert_snapshot!(told.problem(), @"409 grant_overdue: the end that was asked for has passed; deny it, and ask for a new one");
        act(&second, &grant, "deny").await.expect(200);

        let grant = requested(&operator, &partner, "live").await;
        world.execute(&format!(
            "UPDATE partners SET state = 'suspended' WHERE id = '{partner}'"
        ));
        let told = act(&second, &grant, "approve").await;
        assert_snapshot!(told.problem(), @"409 partner_not_approved: the partner is suspended; it must be approved first");
    }
}

#[actix_web::test]
async fn in_live_no_operator_of_ones_own_making_decides() {
    for world in worlds().await {
        let (operator, second) = (world.operator().await, world.second_operator().await);
        let partner = operator.partner().await;
        let puppet = operator.puppet(&DECIDER).await;
        let puppets_puppet = puppet.puppet(&DECIDER).await;
        let forbidden = async |asks: &Operator<'_>, decides: &Operator<'_>| {
            let grant = requested(asks, &partner, "live").await;
            for verb in ["approve", "deny"] {
                let answer = act(decides, &grant, verb).await;
                assert_eq!(
                    (answer.status, &answer.json()["code"]),
                    (403, &json!("four_eyes")),
                    "{verb}"
                );
            }
            grant
        };
        let own = forbidden(&operator, &operator).await;
        forbidden(&operator, &puppet).await;
        forbidden(&puppet, &operator).await;
        forbidden(&operator, &puppets_puppet).await;
        forbidden(&puppets_puppet, &operator).await;
        // A third decides; and two who owe each other nothing.
        act(&second, &own, "approve").await.expect(200);
        let other = requested(&puppets_puppet, &partner, "live").await;
        act(&second, &other, "deny").await.expect(200);
        // Whoever was given a credential by another is not a second person any more.
        let grant = requested(&operator, &partner, "live").await;
        operator.issue(&second.id()).await;
        let answer = act(&second, &grant, "approve").await;
        assert_snapshot!(answer.problem(), @"403 four_eyes: one of the two operators made the other or gave it a credential: in live, a third must decide");
    }
}

#[actix_web::test]
async fn in_the_sandbox_two_operators_are_two_whoever_made_them() {
    for world in worlds_with(&[("ONYX_SANDBOX_AUTO_APPROVE", "false")]).await {
        let operator = world.operator().await;
        let puppet = operator.puppet(&DECIDER).await;
        let partner = operator.partner().await;
        let grant = requested(&operator, &partner, "sandbox").await;
        assert_eq!(act(&operator, &grant, "approve").await.status, 403);
        act(&puppet, &grant, "approve").await.expect(200);
    }
}

#[actix_web::test]
async fn the_database_itself_refuses_a_decision_by_who_asked() {
    for world in worlds().await {
        let operator = world.operator().await;
        let partner = operator.partner().await;
        let grant = requested(&operator, &partner, "live").await;
        for (state, ended_by) in [("approved", "NULL"), ("denied", "NULL"), ("revoked", "'x'")] {
            let refused = world.try_execute(&format!(
                "UPDATE scope_grants SET state = '{state}', decided_by = requested_by,
                 ended_by = {ended_by} WHERE id = '{grant}'"
            ));
            let error = refused.unwrap_err().to_lowercase();
            assert!(error.contains("check constraint"), "{error}");
        }
        for broken in [
            // Decided by nobody.
            "state = 'approved'",
            // Ended by nobody, or ended while it stands.
            "state = 'revoked', decided_by = 'policy'",
            "state = 'approved', decided_by = 'policy', ended_by = 'policy'",
            "state = 'lost', decided_by = 'policy'",
        ] {
            let refused = world.try_execute(&format!(
                "UPDATE scope_grants SET {broken} WHERE id = '{grant}'"
            ));
            assert!(refused.is_err(), "{broken}");
        }
        let shown = operator
            .get(&format!("/scope-grants/{grant}"))
            .await
            .expect(200);
        assert_eq!(shown["state"], "requested");
    }
}

#[actix_web::test]
async fn a_list_shows_what_is_asked_for_and_who_decides_may_look() {
    for world in worlds().await {
        let operator = world.operator().await;
        let partner = operator.partner().await;
        operator.sandbox_grant(&partner, "orders:read", None).await;
        operator.sandbox_grant(&partner, "usage:read", None).await;
        let grant = requested(&operator, &partner, "live").await;
        let mut seen = BTreeMap::new();
        for query in [
            "",
            "?realm=live",
            "?state=approved",
            "?scope=orders:read",
            "?realm=live&state=denied",
        ] {
            let list = operator
                .get(&format!("/partners/{partner}/scope-grants{query}"))
                .await
                .expect(200);
            seen.insert(query, list["data"].as_array().unwrap().len());
        }
        let expected = [
            ("", 3),
            ("?realm=live", 1),
            ("?realm=live&state=denied", 0),
            ("?scope=orders:read", 2),
            ("?state=approved", 2),
        ];
        assert_eq!(seen, BTreeMap::from(expected));
        for query in ["?state=gone", "?realm=moon", "?scope=%22"] {
            let path = format!("/partners/{partner}/scope-grants{query}");
            let list = operator.get(&path);
            assert_eq!(list.await.status, 400, "{query}");
        }
        for (scope, status) in [
            ("grants:decide", 200),
            ("governance:write", 200),
            ("partners:read", 403),
        ] {
            let reader = operator.puppet(&[scope]).await;
            let shown = reader.get(&format!("/scope-grants/{grant}")).await;
            assert_eq!(shown.status, status, "{scope}");
        }
        let reader = operator.puppet(&["governance:write"]).await;
        assert_eq!(act(&reader, &grant, "revoke").await.status, 403);
    }
}

/// How often two and more operators meet at one thing.
const ROUNDS: usize = 50;

#[actix_web::test]
async fn of_many_who_decide_at_once_one_wins() {
    for world in worlds().await {
        let (operator, second) = (world.operator().await, world.second_operator().await);
        let other = world.neighbour().await;
        // The same operator at another node.
        let there = Operator {
            world: &other,
            token: second.token.clone(),
        };
        let partner = operator.partner().await;
        let mut revoked = 0;
        for round in 0..ROUNDS {
            let grant = requested(&operator, &partner, "live").await;
            let answers = at_once([
                acting(&second, &grant, "approve"),
                acting(&there, &grant, "deny"),
                acting(&there, &grant, "approve"),
                acting(&second, &grant, "deny"),
            ]);
            let statuses: Vec<u16> = answers.await.iter().map(|a| a.status).collect();
            let won = statuses.iter().filter(|status| **status == 200).count();
            let lost = statuses.iter().filter(|status| **status == 409).count();
            assert_eq!((won, lost), (1, 3), "round {round}: {statuses:?}");

            let state = operator
                .get(&format!("/scope-grants/{grant}"))
                .await
                .expect(200)["state"]
                .clone();
            let decided = audit(&world, &grant);
            assert_eq!(decided.len(), 2, "{decided:?}");
            let deed = format!("{} scope_grant.{}", second.id(), state.as_str().unwrap());
            assert!(decided.contains(&deed), "{decided:?}");

            let answers = at_once([
                acting(&second, &grant, "revoke"),
                acting(&there, &grant, "revoke"),
                acting(&operator, &grant, "revoke"),
            ]);
            let won = answers.await.iter().filter(|a| a.status == 200).count();
            assert_eq!(won, usize::from(state == "approved"), "round {round}");
            revoked += won;
            assert_eq!(revocations(&world, "live").len(), revoked);
        }
        assert_eq!(events(&world, &partner).len(), revoked);
    }
}

#[actix_web::test]
async fn the_command_line_shows_and_revokes_grants() {
    for world in worlds().await {
        let operator = world.operator().await;
        let partner = operator.partner().await;
        operator.sandbox_grant(&partner, "orders:read", None).await;
        let listed = [
            "grant",
            "list",
            "--partner",
            &partner,
            "--state",
            "approved",
            "--field",
            "id",
        ];
        let grant = world.cli(&listed);
        assert_eq!(
            world.cli(&["grant", "show", &grant, "--field", "scope"]),
            "orders:read"
        );
        let revoke = ["grant", "revoke", &grant, "--reason", "unused"];
        let unasked = world.run(&revoke);
        assert_eq!(unasked.status.code(), Some(2));
        assert!(unasked.stdout.is_empty());
        let yes: Vec<&str> = revoke
            .iter()
            .chain(&["--yes", "--field", "state"])
            .copied()
            .collect();
        assert_eq!(world.cli(&yes), "revoked");
        let again = world.run(&yes);
        assert_eq!(again.status.code(), Some(1));
        assert_snapshot!(String::from_utf8_lossy(&again.stderr), @"onyx-auth: 409 illegal_transition: the grant is revoked; from there: nothing");
        assert_eq!(world.cli(&listed), "");
    }
}

#[actix_web::test]
async fn a_grant_may_name_no_data_classes() {
    // As when a scope opens none: then the list says so.
    for world in worlds().await {
        let operator = world.operator().await;
        let partner = operator.partner().await;
        let body = json!({ "realm": "sandbox", "scope": "catalogue:read", "purpose": "prices", "data_classes": [],
                           "retention_days": 0, "expires_at": in_future(Duration::from_secs(3600)) });
        let path = format!("/partners/{partner}/scope-grants");
        let made = operator.post(&path, body).await.expect(201);
        assert_eq!(made["data_classes"], json!([]));
    }
}
