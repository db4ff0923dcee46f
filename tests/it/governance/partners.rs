//! Partners: suspended, resumed, let go, edited.

use reqwest::Method;
use serde_json::{Value, json};

use super::{INVALID_CLIENT, illegal, revocations, text, trail, who};
use crate::support::assert_snapshot;
use crate::support::world::worlds;

const REASON: &str = "they asked for it";

#[actix_web::test]
async fn a_partner_keeps_to_its_drawing_and_says_what_is_allowed() {
    // How a partner comes to a state, and what else is answered there.
    let verbs = ["approve", "reject", "suspend", "resume", "offboard"];
    let ways: [(&[&str], &str, &[&str]); 5] = [
        (&[], "applied", &["approved", "rejected"]),
        (&["approve"], "approved", &["suspended"]),
        (
            &["approve", "suspend"],
            "suspended",
            &["approved", "offboarded"],
        ),
        (&["approve", "suspend", "offboard"], "offboarded", &[]),
        (&["reject"], "rejected", &[]),
    ];
    for world in worlds().await {
        let operator = world.operator().await;
        for (way, state, allowed) in ways {
            let body = json!({ "name": "Acme", "legal_name": "Acme Ltd", "security_contact": "sec@acme.example" });
            let id = text(&operator.post("/partners", body).await.expect(201), "id");
            let step = async |verb: &str| {
                let path = format!("/partners/{id}/{verb}");
                operator.post(&path, json!({ "reason": REASON })).await
            };
            let mut partner = operator.get(&format!("/partners/{id}")).await.expect(200);
            for verb in way {
                partner = step(verb).await.expect(200);
            }
            assert_eq!(partner["state"], state);
            // What became of its records is told once.
            for told in ["anonymised", "kept"] {
                partner.as_object_mut().unwrap().remove(told);
            }
            let before = trail(&world, &id);
            for verb in verbs {
                let to = match verb {
                    "approve" | "resume" => "approved",
                    "reject" => "rejected",
                    "suspend" => "suspended",
                    _ => "offboarded",
                };
                // The same state is reached by one of two verbs, from one state each.
                let leads_on = allowed.contains(&to)
                    && (verb == "resume") == (state == "suspended" && to == "approved");
                if !leads_on {
                    let answer = illegal(&step(verb).await);
                    assert_eq!(
                        answer,
                        format!("{} to {}", json!(state), json!(allowed)),
                        "{verb}"
                    );
                }
            }
            if state == "offboarded" {
                let path = format!("/partners/{id}");
                let changed = operator.patch(&path, json!({ "name": "Again" })).await;
                assert_eq!(illegal(&changed), "\"offboarded\" to []");
            }
            let after = operator.get(&format!("/partners/{id}")).await.expect(200);
            assert_eq!(after, partner);
            assert_eq!(
                trail(&world, &id),
                before,
                "what is refused leaves no trace"
            );
        }
        for state in ["applied", "approved", "suspended", "offboarded", "rejected"] {
            let list = operator.get(&format!("/partners?state={state}")).await;
            let list = list.expect(200)["data"].as_array().unwrap().clone();
            assert_eq!(list.len(), 1);
            assert_eq!(list[0]["state"], state);
        }
        let all = operator.get("/partners").await.expect(200);
        assert_eq!(all["data"].as_array().unwrap().len(), 5);
        let unknown = operator.get("/partners?state=gone").await;
        assert_snapshot!(unknown.problem(), @"400 invalid_parameter: state must be one of applied, approved, suspended, offboarded, rejected");
    }
}

#[actix_web::test]
async fn suspending_resuming_and_offboarding_want_a_reason() {
    for world in worlds().await {
        let operator = world.operator().await;
        let partner = operator.partner().await;
        for verb in ["suspend", "resume", "offboard"] {
            let path = format!("/partners/{partner}/{verb}");
            for body in [json!({}), json!({ "reason": null })] {
                let refused = operator.post(&path, body).await;
                assert_snapshot!(refused.problem(), @"
                422 invalid_body: the request body has members that must be mended; see errors
                  /reason missing: must be there
                ");
            }
            let refused = operator
                .post(&path, json!({ "reason": " ", "why": "x" }))
                .await;
            assert_snapshot!(refused.problem(), @"
            422 invalid_body: the request body has members that must be mended; see errors
              /reason invalid: must be 1 to 1000 characters, without control characters
              /why unknown: is not a member of this request
            ");
            let nobody = "/partners/ptn_01ARZ3NDEKTSV4RRFFQ69G5FAV";
            let path = format!("{nobody}/{verb}");
            let unknown = operator.post(&path, json!({ "reason": REASON })).await;
            assert_eq!(unknown.status, 404);
        }
        let shown = operator.get(&format!("/partners/{partner}")).await;
        assert_eq!(shown.expect(200)["state"], "approved");
    }
}

#[actix_web::test]
async fn a_suspended_partner_gets_no_token_until_it_is_resumed() {
    for world in worlds().await {
        let operator = world.operator().await;
        let client = world.sandbox_client(&["orders:read"]).await;
        world.token("sandbox", &client, &[]).await;
        let partner = &client.partner_id;
        let step = async |verb: &str| {
            let path = format!("/partners/{partner}/{verb}");
            operator.post(&path, json!({ "reason": REASON })).await
        };
        step("suspend").await.expect(200);
        let refused = world.token_answer("sandbox", &client, &[]).await;
        assert_eq!(refused.line(), INVALID_CLIENT);
        assert_eq!(
            revocations(&world),
            [
                format!("sandbox partner {partner}"),
                format!("live partner {partner}")
            ]
        );
        step("resume").await.expect(200);
        world.token("sandbox", &client, &[]).await;
        assert_eq!(revocations(&world).len(), 2, "resuming revokes nothing");
        let actor = who(&operator);
        let reason = format!(r#"{{"reason":"{REASON}"}}"#);
        assert_eq!(
            trail(&world, partner)[2..],
            [
                format!("partner.suspended {actor} {reason}"),
                format!("partner.resumed {actor} {reason}"),
            ]
        );
    }
}

#[actix_web::test]
async fn offboarding_ends_all_that_a_partner_has() {
    for world in worlds().await {
        let operator = world.operator().await;
        let live = world.live_client(&["orders:read"]).await;
        let partner = live.partner_id.clone();
        operator.sandbox_grant(&partner, "orders:read", None).await;
        let sandbox = operator.client(&partner, "sandbox", &["orders:read"]).await;
        let spare = operator.issue(&sandbox.client_id).await;
        let gone = operator.issue(&live.client_id).await;
        operator.revoke(&gone.credential_id).await.expect(200);
        let bystander = world.sandbox_client(&["orders:read"]).await;
        let known = revocations(&world).len();

        for verb in ["suspend", "offboard"] {
            let path = format!("/partners/{partner}/{verb}");
            let partner = operator.post(&path, json!({ "reason": REASON })).await;
            partner.expect(200);
        }

        for (realm, client, usable) in [
            ("live", &live, vec![&live]),
            ("sandbox", &sandbox, vec![&sandbox, &spare]),
        ] {
            let path = format!("/clients/{}", client.client_id);
            assert_eq!(operator.get(&path).await.expect(200)["state"], "revoked");
            let held = operator
                .get(&format!("{path}/credentials"))
                .await
                .expect(200);
            for credential in held["data"].as_array().unwrap() {
                assert_eq!(credential["state"], "revoked");
                let reason = if text(credential, "id") == gone.credential_id {
                    "compromised"
                } else {
                    "offboarding"
                };
                assert_eq!(credential["revoked_reason"], reason);
            }
            for secret in usable {
                let refused = world.token_answer(realm, secret, &[]).await;
                assert_eq!(refused.line(), INVALID_CLIENT);
            }
        }
        let grants = operator
            .get(&format!("/partners/{partner}/scope-grants"))
            .await;
        let grants = grants.expect(200)["data"].as_array().unwrap().clone();
        assert_eq!(grants.len(), 2);
        assert!(grants.iter().all(|grant| grant["state"] == "revoked"));
        let ended = world.lines(&format!("SELECT ended_by || ' ' || ended_reason AS line FROM scope_grants WHERE partner_id = '{partner}'"));
        assert_eq!(ended, vec![format!("{} offboarding", who(&operator)); 2]);

        let mut refused = revocations(&world).split_off(known);
        refused.sort();
        let (of_live, of_sandbox) = (&live.client_id, &sandbox.client_id);
        let mut wanted = vec![
            format!("live client {of_live}"),
            format!("live credential {}", live.credential_id),
            format!("live grant {partner}"),
            format!("sandbox client {of_sandbox}"),
            format!("sandbox credential {}", sandbox.credential_id),
            format!("sandbox credential {}", spare.credential_id),
            format!("sandbox grant {partner}"),
        ];
        // Once for the suspension, once for the end.
        for realm in ["live", "live", "sandbox", "sandbox"] {
            wanted.push(format!("{realm} partner {partner}"));
        }
        wanted.sort();
        assert_eq!(refused, wanted);
        for (target, action) in [
            (of_live, "client.revoked"),
            (&spare.credential_id, "credential.revoked"),
            (&text(&grants[0], "id"), "scope_grant.revoked"),
        ] {
            let last = trail(&world, target).pop().unwrap();
            assert!(
                last.starts_with(action) && last.contains("offboarding"),
                "{last}"
            );
        }
        let told = world.lines(&format!("SELECT realm || ' ' || kind AS line FROM events WHERE partner_id = '{partner}' ORDER BY realm, seq"));
        assert_eq!(
            told,
            [
                "live credential.revoked",
                "live credential.revoked",
                "live scope_grant.revoked",
                "sandbox credential.revoked",
                "sandbox credential.revoked",
                "sandbox scope_grant.revoked",
            ]
        );

        // It is over for good, and for this partner alone.
        for (path, body) in [
            (
                format!("/partners/{partner}/clients"),
                json!({ "realm": "sandbox", "name": "x", "scopes": ["orders:read"] }),
            ),
            (
                format!("/partners/{partner}/agreements"),
                crate::support::governance::contract(crate::support::governance::DAY),
            ),
        ] {
            assert_eq!(operator.post(&path, body).await.status, 409, "{path}");
        }
        world.token("sandbox", &bystander, &[]).await;
    }
}

#[actix_web::test]
async fn what_is_said_of_a_partner_can_be_edited_member_by_member() {
    for world in worlds().await {
        let operator = world.operator().await;
        let id = operator.partner().await;
        let path = format!("/partners/{id}");
        let before = operator.get(&path).await.expect(200);
        assert_eq!(before["leaked_secret_grace"], json!(false));
        let edit = async |body: Value| operator.send(Method::PATCH, &path, body).await;

        let after =
            edit(json!({ "security_contact": "soc@acme.example", "leaked_secret_grace": true }));
        let after = after.await.expect(200);
        let mut wanted = before.clone();
        wanted["security_contact"] = json!("soc@acme.example");
        wanted["leaked_secret_grace"] = json!(true);
        wanted["updated_at"] = after["updated_at"].clone();
        assert_eq!(after, wanted);
        assert_ne!(after["updated_at"], before["updated_at"]);
        assert_eq!(operator.get(&path).await.expect(200), after);
        let edited = json!({ "leaked_secret_grace": true, "security_contact": "soc@acme.example" });
        assert_eq!(
            trail(&world, &id).pop().unwrap(),
            format!("partner.changed {} {edited}", who(&operator))
        );

        // What is so already is no change, and leaves no trace.
        let known = trail(&world, &id);
        for body in [
            json!({}),
            json!({ "name": "Acme", "leaked_secret_grace": true }),
        ] {
            assert_eq!(edit(body).await.expect(200), after);
        }
        assert_eq!(trail(&world, &id), known);

        let refused = edit(
            json!({ "name": null, "legal_name": "", "security_contact": 7,
                                   "leaked_secret_grace": "yes", "state": "approved" }),
        );
        let refused = refused.await;
        assert_snapshot!(refused.problem(), @"
        422 invalid_body: the request body has members that must be mended; see errors
          /name type: must not be null
          /legal_name invalid: must be 1 to 200 characters, without control characters
          /security_contact type: must be a string
          /leaked_secret_grace type: must be true or false
          /state unknown: is not a member of this request
        ");
        assert_eq!(operator.get(&path).await.expect(200), after);
        let renamed = edit(json!({ "name": "Acme & Sons", "legal_name": "Acme & Sons Ltd" }));
        assert_eq!(renamed.await.expect(200)["name"], "Acme & Sons");
    }
}

#[actix_web::test]
async fn offboarding_takes_out_what_the_books_do_not_need_and_says_what_it_keeps() {
    for mut world in worlds().await {
        let live = world.live_client(&["orders:read"]).await;
        let partner = live.partner_id.clone();
        world.token("live", &live, &[]).await;
        // Uses are written down at the end.
        assert_eq!(world.terminate(), Some(0));
        world.start().await;
        let operator = world.operator().await;
        let path = format!("/clients/{}/credentials", live.client_id);
        let held = operator.get(&path).await.expect(200);
        assert_eq!(held["data"][0]["last_used_ip"], "127.0.0.1");

        let step = async |verb: &str| {
            let path = format!("/partners/{partner}/{verb}");
            operator
                .post(&path, json!({ "reason": REASON }))
                .await
                .expect(200)
        };
        step("suspend").await;
        let before = operator
            .get(&format!("/partners/{partner}"))
            .await
            .expect(200);
        let gone = step("offboard").await;
        assert_eq!(
            (&gone["state"], &gone["legal_name"]),
            (&json!("offboarded"), &before["legal_name"])
        );
        assert_eq!(gone["security_contact"], "removed");
        let told = |name: &str, value: &str| {
            let rows = gone[name].as_array().unwrap().iter();
            let rows = rows.map(|row| format!("{}: {}", text(row, "what"), row[value]));
            rows.collect::<Vec<_>>().join("\n")
        };
        assert_snapshot!(told("anonymised", "records"), @"
        the security contact: 1
        support contacts in privacy notices: 1
        names and address lists of clients: 1
        addresses in credentials: 1
        addresses in deliveries of secrets: 0
        URLs of webhook endpoints: 0
        ");
        assert_snapshot!(told("kept", "why"), @r#"
        name and legal name: "contracts and books are with this name"
        agreements with their references and documents' hashes: "they prove what was agreed, and on which basis data was handed over"
        orders, ledger and invoices: "they are the books; what the partner wrote into orders as metadata is taken out within the hour"
        privacy notices, launch reviews and scope grants: "they prove which access was given, for which purpose and by whom"
        ids of clients, and credentials with their secrets' hashes: "records name them, and a secret that turns up later must be recognised"
        audit trail: "what was done must stay provable; it says who, and contacts as they were told then"
        request log: "it holds no names and no addresses; each row goes after 90 days"
        records of issued tokens, with addresses: "investigations need them; how many days past its token's end each goes: 1"
        events: "they hold the ids of what they are about; each goes after 30 days"
        "#);

        // Nothing of it is left but in the audit trail, which says so.
        let client = operator
            .get(&format!("/clients/{}", live.client_id))
            .await
            .expect(200);
        assert_eq!(client["name"], "removed");
        let held = operator.get(&path).await.expect(200);
        assert!(held["data"][0]["last_used_ip"].is_null());
        let notice = operator
            .get(&format!("/partners/{partner}/privacy-notice"))
            .await;
        assert_eq!(notice.expect(200)["support_contact"], "removed");
        let agreements = operator
            .get(&format!("/partners/{partner}/agreements"))
            .await
            .expect(200);
        assert_ne!(agreements["data"][0]["reference"], "removed");
        let trail = trail(&world, &partner);
        let told =
            |line: &String| line.starts_with("partner.anonymised") && line.contains("legal name");
        assert_eq!(
            trail.iter().filter(|line| told(line)).count(),
            1,
            "{trail:?}"
        );
    }
}
