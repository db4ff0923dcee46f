//! Each place is given out once.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::{Duration, Instant};

use onyx_auth::domain::realm::Realm;
use onyx_auth::store::Store;
use onyx_auth::store::status_lists::{self, Lease};
use reqwest::Method;
use serde_json::Value;

use super::{fetch, place};
use crate::support::world::{Engine, worlds};

#[actix_web::test]
async fn no_place_is_given_out_twice_by_three_nodes_under_load_and_killed() {
    for mut world in worlds().await {
        let who = world.sandbox_client(&["orders:read"]).await;
        let operator = world.operator().await;
        operator.widen_limits(&who.partner_id).await;
        let mut nodes = [world.neighbour().await, world.neighbour().await];
        let given = Rc::new(RefCell::new(Vec::new()));
        for round in 0..4 {
            let mut callers = Vec::new();
            for node in nodes.iter().chain([&world]) {
                for _ in 0..6 {
                    let given = Rc::clone(&given);
                    let request = node
                        .request(Method::POST, "/sandbox/oauth2/token")
                        .basic_auth(&who.client_id, Some(&who.secret))
                        .form(&[("grant_type", "client_credentials")]);
                    callers.push(actix_web::rt::spawn(async move {
                        for _ in 0..40 {
                            let sent = request.try_clone().unwrap().send().await;
                            let Ok(answer) = sent else { return };
                            let Ok(body) = answer.json::<Value>().await else {
                                return;
                            };
                            let token = body["access_token"].as_str().unwrap_or_default();
                            assert!(!token.is_empty(), "{body}");
                            given.borrow_mut().push(place(token));
                        }
                    }));
                }
            }
            tokio::time::sleep(Duration::from_millis(120)).await;
            let victim = round % nodes.len();
            nodes[victim].kill();
            for caller in callers {
                caller.await.unwrap();
            }
            nodes[victim].start().await;
        }
        let given = given.take();
        assert!(given.len() > 500, "{} tokens", given.len());
        let places: BTreeSet<_> = given.iter().collect();
        assert_eq!(places.len(), given.len(), "a place was given out twice");
        // What was recorded and not answered counts, too.
        let twice = world.lines(
            "SELECT status_list || ' ' || status_index AS line FROM issued_tokens \
             GROUP BY status_list, status_index HAVING count(*) > 1",
        );
        assert_eq!(twice, Vec::<String>::new());
        let unlisted = world.lines(
            "SELECT jti AS line FROM issued_tokens WHERE status_index IS NULL OR rsn IS NULL",
        );
        assert_eq!(unlisted, Vec::<String>::new());
        // Each node and each restart leased for itself.
        let leases = world.lines(
            "SELECT first_index || '' AS line FROM status_index_leases l JOIN status_lists s \
             ON s.number = l.list WHERE s.realm = 'sandbox'",
        );
        assert!(leases.len() >= 3, "{leases:?}");
        world.kill();
    }
}

#[actix_web::test]
async fn leases_that_are_taken_at_once_never_overlap() {
    for world in worlds().await {
        let url = match world.engine {
            Engine::Sqlite => format!("sqlite://{}/data/onyx.db", world.path().display()),
            Engine::Postgres => world.database_url(),
        };
        let takers: Vec<_> = (0..6)
            .map(|_| {
                let store = Store::open(&url).unwrap();
                actix_web::rt::spawn(async move {
                    let mut taken = Vec::new();
                    for _ in 0..50 {
                        let now = chrono::Utc::now().into();
                        let lease =
                            store.write(move |db| status_lists::lease(db, Realm::Live, now));
                        taken.push(lease.await.unwrap());
                    }
                    taken
                })
            })
            .collect();
        let mut leases: Vec<Lease> = Vec::new();
        for taker in takers {
            leases.extend(taker.await.unwrap());
        }
        // 128 a list: they went through two lists and into a third.
        let begins: BTreeSet<_> = leases.iter().map(|l| (l.list, l.first)).collect();
        assert_eq!(begins.len(), 300);
        assert!(leases.iter().all(|l| l.first % l.length == 0));
        let lists: BTreeSet<_> = leases.iter().map(|l| l.id.clone()).collect();
        assert!(lists.len() >= 3, "{}", lists.len());
        let closed = world.lines("SELECT id AS line FROM status_lists WHERE closed_at IS NOT NULL");
        assert!(closed.len() >= 2, "{closed:?}");
    }
}

#[actix_web::test]
async fn without_a_place_there_is_no_token() {
    for mut world in worlds().await {
        let who = world.sandbox_client(&["orders:read"]).await;
        world.kill();
        world.execute("ALTER TABLE status_index_leases RENAME TO lost");
        world.start().await;
        let refused = world.token_answer("sandbox", &who, &[]).await;
        assert_eq!(
            (refused.status, refused.header("retry-after")),
            (503, "1"),
            "{refused:?}"
        );
        assert_eq!(refused.json()["error"], "temporarily_unavailable");
        world.execute("ALTER TABLE lost RENAME TO status_index_leases");
        world.token("sandbox", &who, &[]).await;
    }
}

#[actix_web::test]
async fn a_list_is_retired_when_all_its_tokens_are_dead() {
    for mut world in worlds().await {
        let who = world.sandbox_client(&["orders:read"]).await;
        let old = world.token("sandbox", &who, &[]).await;
        let (uri, _) = place(&old);
        // Its last indices are leased out, and every lease of it ended hours ago.
        world.kill();
        world.execute("UPDATE status_lists SET leased = size, closed_at = created_at");
        world.execute("UPDATE status_index_leases SET ends_at = '2020-01-01 00:00:00'");
        world.start().await;
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let answer = fetch(&world, &uri, &[]).await;
            if answer.status == 410 {
                assert_eq!(answer.json()["code"], "status_list_retired");
                break;
            }
            assert!(Instant::now() < deadline, "{answer:?}");
            // What is on record of lists is looked at again for who asks for an unknown one.
            let unknown = format!(
                "{}/stl_01K2ZJ6V9D3M5K7N2R4T6W8Y0A",
                uri.rsplit_once('/').unwrap().0
            );
            assert_eq!(fetch(&world, &unknown, &[]).await.status, 404);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let (new, _) = place(&world.token("sandbox", &who, &[]).await);
        assert_ne!(new, uri);
        assert_eq!(fetch(&world, &new, &[]).await.status, 200);
    }
}
