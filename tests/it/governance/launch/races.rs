//! Of many who decide at once, one does.

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{passed, review, waived};
use crate::governance::{illegal, text, trail};
use crate::support::governance::{ATTESTED, COMPUTED};
use crate::support::world::{Answer, World, worlds};

/// Sends all at once, each on its own task, to one node or the other in turn.
async fn at_once(nodes: [&World; 2], asked: Vec<(String, String, Value)>) -> Vec<Answer> {
    let mut running = JoinSet::new();
    for (nth, (token, path, body)) in asked.into_iter().enumerate() {
        let node = nodes[nth % nodes.len()];
        let request = node
            .request(reqwest::Method::POST, &format!("/admin/v1{path}"))
            .bearer_auth(token)
            .json(&body);
        running.spawn(async move { Answer::of(request.send().await.unwrap()).await });
    }
    running.join_all().await
}

#[actix_web::test]
async fn of_many_who_decide_at_two_nodes_at_once_one_wins() {
    const ROUNDS: usize = 20;
    for world in worlds().await {
        let (operator, second) = (world.operator().await, world.second_operator().await);
        let third = world.second_operator().await;
        let neighbour = world.neighbour().await;
        let partner = operator.partner().await;
        let path = format!("/partners/{partner}/launch-review");
        let mut ends = Vec::new();
        for round in 0..ROUNDS {
            // Many ask at once, many waive the last check at once, many decide at once.
            let asked = vec![(operator.token.clone(), path.clone(), json!({})); 4];
            let answers = at_once([&world, &neighbour], asked).await;
            let made: Vec<_> = answers.iter().filter(|a| a.status == 201).collect();
            assert_eq!(made.len(), 1, "round {round}: {answers:?}");
            let id = text(&made[0].json(), "id");
            for check in &COMPUTED[1..] {
                second.check(&partner, check, waived()).await.expect(200);
            }
            for check in ATTESTED {
                operator.check(&partner, check, passed()).await.expect(200);
            }
            let check = format!("{path}/checks/{}", COMPUTED[0]);
            let pair = [&second, &third];
            let waivers = pair.iter().cycle().take(6);
            let waivers = waivers
                .map(|o| (o.token.clone(), check.clone(), waived()))
                .collect();
            let answers = at_once([&world, &neighbour], waivers).await;
            assert_eq!(answers.iter().filter(|a| a.status == 200).count(), 1);
            for lost in answers.iter().filter(|a| a.status != 200) {
                assert_eq!(illegal(lost), r#""waived" to []"#);
            }

            let decide = format!("{path}/decide");
            let deciders = [(&second, "approve"), (&third, "reject")];
            let decisions = deciders.iter().cycle().take(8).map(|(o, decision)| {
                (
                    o.token.clone(),
                    decide.clone(),
                    json!({ "decision": decision, "reason": "seen" }),
                )
            });
            let answers = at_once([&world, &neighbour], decisions.collect()).await;
            let won: Vec<_> = answers.iter().filter(|a| a.status == 200).collect();
            assert_eq!(won.len(), 1, "round {round}: {answers:?}");
            let won = won[0].json();
            let end = text(&won, "state");
            for lost in answers.iter().filter(|a| a.status != 200) {
                assert_eq!(illegal(lost), format!("{:?} to []", end));
            }
            let after = review(&operator, &partner).await;
            assert_eq!((&after["id"], &after["state"]), (&won["id"], &won["state"]));
            let decided = trail(&world, &id).into_iter();
            let decided: Vec<_> = decided
                .filter(|line| {
                    line.starts_with("launch_review.approved")
                        || line.starts_with("launch_review.rejected")
                })
                .collect();
            assert_eq!(decided.len(), 1);
            assert!(decided[0].starts_with(&format!("launch_review.{end}")));
            ends.push(end);
        }
        let total = world.lines(&format!(
            "SELECT state AS line FROM launch_reviews WHERE partner_id = '{partner}' ORDER BY id"
        ));
        assert_eq!(total.len(), ROUNDS);
        assert_eq!(
            total.iter().filter(|s| *s == "approved").count(),
            ends.iter().filter(|s| *s == "approved").count()
        );
    }
}

#[actix_web::test]
async fn of_many_who_move_a_partner_or_an_agreement_at_once_one_wins() {
    const ROUNDS: usize = 15;
    for world in worlds().await {
        let operator = world.operator().await;
        let neighbour = world.neighbour().await;
        let partner = operator.partner().await;
        let reason = json!({ "reason": "for the round" });
        let all = async |path: String| {
            let asked = vec![(operator.token.clone(), path, reason.clone()); 6];
            let answers = at_once([&world, &neighbour], asked).await;
            assert_eq!(
                answers.iter().filter(|a| a.status == 200).count(),
                1,
                "{answers:?}"
            );
            for lost in answers.iter().filter(|a| a.status != 200) {
                illegal(lost);
            }
        };
        for _ in 0..ROUNDS {
            all(format!("/partners/{partner}/suspend")).await;
            all(format!("/partners/{partner}/resume")).await;
            let path = format!("/partners/{partner}/agreements");
            let body = crate::support::governance::contract(crate::support::governance::DAY);
            let id = text(&operator.post(&path, body).await.expect(201), "id");
            all(format!("/agreements/{id}/bring-into-force")).await;
            all(format!("/agreements/{id}/terminate")).await;
            assert_eq!(trail(&world, &id).len(), 3);
        }
        // As many deeds as winners, and a revocation in both realms for each suspension.
        let moves = trail(&world, &partner);
        let count = |action: &str| moves.iter().filter(|line| line.starts_with(action)).count();
        assert_eq!(
            (count("partner.suspended"), count("partner.resumed")),
            (ROUNDS, ROUNDS)
        );
        let refused = crate::governance::revocations(&world);
        let sandbox = refused
            .iter()
            .filter(|line| line.starts_with("sandbox partner"));
        assert_eq!(sandbox.count(), ROUNDS);
    }
}
