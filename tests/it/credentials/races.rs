//! Of many who decide about one credential at once, one wins.

use reqwest::Method;
use serde_json::json;
use tokio::task::JoinSet;

use super::successor;
use crate::support::world::{Answer, World, worlds};

/// How many rounds of the race; `ONYX_ROTATIONS` says otherwise.
fn rounds() -> usize {
    std::env::var("ONYX_ROTATIONS").map_or(100, |text| text.parse().unwrap())
}

/// A credential's states that count as usable, as the database sees them.
fn usable(world: &World, client: &str) -> Vec<String> {
    let now = chrono::Utc::now().format("%F %T%.6f");
    world.lines(&format!(
        "SELECT id || ' ' || state AS line FROM credentials WHERE client_id = '{client}' AND state <> 'revoked' \
         AND (accepts_until IS NULL OR accepts_until > '{now}') ORDER BY id"
    ))
}

#[actix_web::test]
async fn of_many_who_decide_about_one_credential_at_once_one_wins() {
    for world in worlds().await {
        let who = world.sandbox_client(&["orders:read"]).await;
        let mut current = who.credential_id.clone();
        for round in 0..rounds() {
            let operator = world.operator().await;
            let token = operator.token.clone();
            let send = |id: &str, verb: &str| {
                let body = if verb == "revoke" {
                    json!({ "reason": "other" })
                } else {
                    json!({})
                };
                let path = format!("/admin/v1/credentials/{id}/{verb}");
                let request = world
                    .request(Method::POST, &path)
                    .bearer_auth(&token)
                    .json(&body);
                let verb = verb.to_owned();
                async move { (verb, Answer::of(request.send().await.unwrap()).await) }
            };
            // Two rotate, and at most one of them can.
            let race: JoinSet<_> = ["rotate", "rotate"]
                .iter()
                .map(|verb| send(&current, verb))
                .collect();
            let answers = race.join_all().await;
            let won: Vec<&Answer> = answers
                .iter()
                .map(|(_, a)| a)
                .filter(|a| a.status == 201)
                .collect();
            assert_eq!(won.len(), 1, "round {round}: {answers:?}");
            assert!(
                answers.iter().all(|(_, a)| [201, 409].contains(&a.status)),
                "{answers:?}"
            );
            let next = won[0].json();
            assert_eq!(usable(&world, &who.client_id).len(), 2, "round {round}");

            // Then all at once, with the first use of the new secret among them.
            let new = successor(&who, &next);
            let verbs: &[&str] = match round % 3 {
                0 => &[
                    "finish-rotation",
                    "undo-rotation",
                    "finish-rotation",
                    "undo-rotation",
                ],
                1 => &["undo-rotation", "revoke", "rotate", "undo-rotation"],
                _ => &["finish-rotation", "revoke", "finish-rotation", "rotate"],
            };
            let race: JoinSet<_> = verbs.iter().map(|verb| send(&current, verb)).collect();
            let used = async {
                if round % 2 == 0 {
                    Some(world.token_answer("sandbox", &new, &[]).await)
                } else {
                    None
                }
            };
            let (answers, used) = tokio::join!(race.join_all(), used);
            assert!(
                answers
                    .iter()
                    .all(|(_, a)| [200, 201, 409].contains(&a.status)),
                "round {round}: {answers:?}"
            );
            if let Some(used) = used {
                assert!([200, 401].contains(&used.status), "{used:?}");
            }
            // Whoever won, there is an order in which one after the other could.
            let won: Vec<&str> = answers
                .iter()
                .filter(|(_, a)| a.status < 300)
                .map(|(verb, _)| verb.as_str())
                .collect();
            let end = state(&world, &current);
            assert!(!won.is_empty(), "round {round}: {answers:?}");
            assert!(
                leads("rotated", &won, &end),
                "round {round}: {won:?} to {end}"
            );
            let left = usable(&world, &who.client_id);
            assert!(left.len() <= 2, "round {round}: {left:?}");

            // One that is active goes on.
            let mut active = None;
            for line in &left {
                let (id, state) = line.split_once(' ').unwrap();
                if state == "active" && active.is_none() {
                    active = Some(id.to_owned());
                } else {
                    send(id, "revoke").await.1.expect(200);
                }
            }
            current = match active {
                Some(id) => id,
                None => operator.issue(&who.client_id).await.credential_id,
            };
        }
    }
}

/// Whether these verbs lead from one state to another in some order, each taken once.
fn leads(from: &str, verbs: &[&str], to: &str) -> bool {
    if verbs.is_empty() {
        return from == to;
    }
    (0..verbs.len()).any(|nth| {
        let next = match (from, verbs[nth]) {
            ("active", "rotate") => "rotated",
            ("rotated", "undo-rotation") => "active",
            ("rotated", "finish-rotation") | ("active" | "rotated", "revoke") => "revoked",
            _ => return false,
        };
        let rest: Vec<&str> = [&verbs[..nth], &verbs[nth + 1..]].concat();
        leads(next, &rest, to)
    })
}

fn state(world: &World, id: &str) -> String {
    let query = format!("SELECT state AS line FROM credentials WHERE id = '{id}'");
    world.lines(&query).remove(0)
}
