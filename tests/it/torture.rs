//! A server is killed under load, again and again: what it answered is on record.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use serde_json::Value;

use crate::support::world::{claims, worlds};

/// How often each engine's server is killed; `ONYX_TORTURE` says otherwise.
fn rounds() -> usize {
    std::env::var("ONYX_TORTURE").map_or(50, |text| text.parse().unwrap())
}

#[actix_web::test]
async fn sigkill_loses_nothing_that_was_answered() {
    for mut world in worlds().await {
        let who = world.sandbox_client(&["orders:read"]).await;
        for round in 0..rounds() {
            let answered = Rc::new(RefCell::new(BTreeSet::new()));
            let callers: Vec<_> = (0..16)
                .map(|_| {
                    let answered = Rc::clone(&answered);
                    let request = world
                        .request(reqwest::Method::POST, "/sandbox/oauth2/token")
                        .basic_auth(&who.client_id, Some(&who.secret))
                        .form(&[("grant_type", "client_credentials")]);
                    actix_web::rt::spawn(async move {
                        while let Ok(answer) = request.try_clone().unwrap().send().await {
                            let Ok(body) = answer.json::<Value>().await else {
                                break;
                            };
                            let id = claims(body["access_token"].as_str().unwrap())["jti"].clone();
                            answered
                                .borrow_mut()
                                .insert(id.as_str().unwrap().to_owned());
                        }
                    })
                })
                .collect();
            // At another moment each time: within a commit, between two, before the first.
            tokio::time::sleep(Duration::from_millis(5 + (round as u64 * 7) % 60)).await;
            world.kill();
            for caller in callers {
                caller.await.unwrap();
            }
            let recorded: BTreeSet<String> = world
                .lines("SELECT jti AS line FROM issued_tokens")
                .into_iter()
                .collect();
            let lost: Vec<_> = answered.borrow().difference(&recorded).cloned().collect();
            assert!(
                lost.is_empty(),
                "round {round}: {} of {} lost",
                lost.len(),
                answered.borrow().len()
            );
            world.start().await;
        }
        assert!(
            !world
                .lines("SELECT jti AS line FROM issued_tokens LIMIT 1")
                .is_empty(),
            "no token was ever given"
        );
    }
}
