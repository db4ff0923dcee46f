//! Who decides, and that only one does.

use serde_json::json;

use super::{DECIDER, act, acting, audit, events, requested, revocations};
use crate::support::assert_snapshot;
use crate::support::world::{Operator, at_once, worlds, worlds_with};

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
