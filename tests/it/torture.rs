//! A server is killed under load, again and again: what it answered is on record.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::shop::{Shopper, order, package, package_with};
use crate::support::world::{World, claims, worlds};

/// How often each engine's server is killed; `ONYX_TORTURE` says otherwise.
fn rounds() -> usize {
    std::env::var("ONYX_TORTURE").map_or(50, |text| text.parse().unwrap())
}

#[actix_web::test]
async fn sigkill_loses_nothing_that_was_answered() {
    for mut world in worlds().await {
        let who = world.sandbox_client(&["orders:read"]).await;
        let operator = world.operator().await;
        operator.widen_limits(&who.partner_id).await;
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

/// What was sent under a key; and the id that was answered, once it was.
type Sent = Rc<RefCell<BTreeMap<String, (Value, Option<String>)>>>;

/// Orders under keys that two callers share, until the server is gone.
async fn order_until_killed(
    shopper: &Shopper<'_>,
    packages: &[String; 2],
    caller: usize,
    round: usize,
    sent: &Sent,
) {
    for nth in 0.. {
        let pair = caller / 2;
        let key = format!("{round}-{pair}-{nth}");
        let reference = match nth % 3 {
            0 => format!("sim-fail-{key}"),
            1 => format!("sim-cancel-{key}"),
            _ => key.clone(),
        };
        let body = order(&packages[nth % 2], 1 + (nth % 5) as i64, &reference);
        let known = (body.clone(), None);
        sent.borrow_mut().entry(key.clone()).or_insert(known);
        loop {
            let Ok(answer) = shopper.ordering(&key, &body).send().await else {
                return;
            };
            let status = answer.status().as_u16();
            let Ok(answer) = answer.json::<Value>().await else {
                return;
            };
            if status == 201 {
                note(sent, &key, &answer);
                break;
            }
            assert_eq!(
                (status, &answer["code"]),
                (409, &json!("idempotency_in_progress")),
                "{answer}"
            );
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

/// Every answer under a key names one order.
fn note(sent: &Sent, key: &str, answer: &Value) {
    let id = answer["id"].as_str().unwrap().to_owned();
    let mut sent = sent.borrow_mut();
    let (_, known) = sent.get_mut(key).unwrap();
    let known = known.get_or_insert_with(|| id.clone());
    assert_eq!(*known, id, "two orders under one key");
}

/// Orders, from an id on, that lack a part of what their transactions write, or have it twice. Each is
/// one query: the database may still be at work on what the server sent last.
const HALVES: [(&str, &str); 7] = [
    (
        "a state without its step, or no beginning",
        "SELECT o.id AS line FROM orders o
         LEFT JOIN order_events e ON e.partner_id = o.partner_id AND e.realm = o.realm AND e.order_id = o.id AND e.state = o.state
         LEFT JOIN order_events b ON b.partner_id = o.partner_id AND b.realm = o.realm AND b.order_id = o.id AND b.state = 'accepted'
         WHERE o.id >= '{since}' AND (e.state IS NULL OR b.state IS NULL)",
    ),
    (
        "a step that was not told, or twice",
        "SELECT s.order_id || ' ' || s.state AS line FROM order_events s
         LEFT JOIN (SELECT kind, SUBSTR(data, 14, 30) AS about, COUNT(*) AS n FROM events GROUP BY kind, SUBSTR(data, 14, 30)) e
         ON e.kind = 'order.' || s.state AND e.about = s.order_id
         WHERE s.order_id >= '{since}' AND COALESCE(e.n, 0) <> 1",
    ),
    (
        "a step that was not recorded, or twice",
        "SELECT s.order_id || ' ' || s.state AS line FROM order_events s
         LEFT JOIN (SELECT action, target, COUNT(*) AS n FROM audit_events WHERE target >= '{since}' GROUP BY action, target) a
         ON a.action = 'order.' || s.state AND a.target = s.order_id
         WHERE s.order_id >= '{since}' AND COALESCE(a.n, 0) <> 1",
    ),
    (
        "more told than done",
        "SELECT 'events' AS line WHERE
         (SELECT COUNT(*) FROM events WHERE kind LIKE 'order.%') <> (SELECT COUNT(*) FROM order_events)",
    ),
    (
        "no answer kept, or two, or another's",
        "SELECT o.id AS line FROM orders o
         LEFT JOIN (SELECT resource, COUNT(*) AS n, MIN(body) AS body FROM idempotency_keys WHERE resource >= '{since}' GROUP BY resource) k
         ON k.resource = o.id
         WHERE o.id >= '{since}' AND (COALESCE(k.n, 0) <> 1 OR k.body NOT LIKE '%' || o.id || '%')",
    ),
    (
        "not charged, or not credited",
        "SELECT o.id AS line FROM orders o
         LEFT JOIN (SELECT order_id, COUNT(*) AS n, SUM(CASE debit_account WHEN 'partner' THEN amount ELSE -amount END) AS owed
                    FROM ledger_entries WHERE order_id >= '{since}' GROUP BY order_id) l
         ON l.order_id = o.id
         WHERE o.id >= '{since}' AND (
            COALESCE(l.n, 0) <> CASE WHEN o.state IN ('failed', 'cancelled') THEN 2 ELSE 1 END
            OR l.owed <> CASE WHEN o.state IN ('failed', 'cancelled') THEN 0 ELSE o.total_amount END)",
    ),
    (
        "a gap among the events",
        "SELECT partner_id || realm AS line FROM events GROUP BY partner_id, realm
         HAVING MAX(seq) <> COUNT(*) OR MIN(seq) <> 1",
    ),
];

fn assert_whole(world: &World, since: &str, round: usize) {
    for (what, query) in HALVES {
        let halves = world.lines(&query.replace("{since}", since));
        assert!(halves.is_empty(), "round {round}: {what}: {halves:?}");
    }
}

#[actix_web::test]
async fn sigkill_makes_no_order_twice_and_none_by_halves() {
    for mut world in worlds().await {
        let operator = world.operator().await;
        let packages = [
            operator.published(package()).await,
            operator
                .published(package_with(
                    json!({ "price": { "amount": 5, "currency": "JPY" } }),
                ))
                .await,
        ];
        let who = world.shopper().await.who;
        operator.widen_limits(&who.partner_id).await;
        let mut placed = 0;
        let mut since = ["ord_".to_owned(), "ord_".to_owned()];
        for round in 0..rounds() {
            let sent = Sent::default();
            {
                let shopper = world.shopper_as("sandbox", who.clone()).await;
                let callers = (0..16)
                    .map(|caller| order_until_killed(&shopper, &packages, caller, round, &sent));
                let callers = futures_util::future::join_all(callers);
                // At another moment each time.
                let moment = Duration::from_millis(10 + (round as u64 * 13) % 90);
                let killer = async {
                    tokio::time::sleep(moment).await;
                    world.signal("KILL");
                };
                tokio::join!(callers, killer);
            }
            world.kill();
            // What was whole two rounds ago has moved on since, and is whole for good.
            assert_whole(&world, &since[0], round);
            let newest = world.lines("SELECT COALESCE(MAX(id), 'ord_') AS line FROM orders");
            since = [since[1].clone(), newest[0].clone()];
            let recorded: BTreeSet<String> = world
                .lines(&format!(
                    "SELECT id AS line FROM orders WHERE partner_order_ref LIKE '%{round}-%'"
                ))
                .into_iter()
                .collect();
            for (key, (_, id)) in sent.borrow().iter() {
                let lost = id.as_ref().filter(|id| !recorded.contains(*id));
                assert_eq!(
                    lost, None,
                    "round {round}: the order under {key} was answered and is lost"
                );
            }
            world.start().await;
            // Whoever got no answer asks again, and so does who got one.
            let shopper = world.shopper_as("sandbox", who.clone()).await;
            let mut asked: Vec<_> = sent
                .borrow()
                .iter()
                .map(|(key, (body, id))| (id.is_some(), key.clone(), body.clone()))
                .collect();
            asked.sort_by_key(|(answered, ..)| *answered);
            placed += asked.len();
            for (_, key, body) in asked.iter().take(40) {
                let mut answer = shopper.order_under(key, body).await;
                while answer.status == 409 {
                    // PostgreSQL may not have noticed yet that the server is gone.
                    assert_eq!(answer.json()["code"], "idempotency_in_progress");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    answer = shopper.order_under(key, body).await;
                }
                let placed = answer.expect(201);
                let was_there = recorded.contains(placed["id"].as_str().unwrap());
                assert!(
                    !was_there || answer.header("idempotent-replayed") == "true",
                    "{placed}"
                );
                note(&sent, key, &placed);
            }
        }
        assert!(placed > rounds(), "no orders were placed");
        let refs = world.lines("SELECT partner_order_ref AS line FROM orders GROUP BY partner_id, realm, partner_order_ref HAVING COUNT(*) > 1");
        assert_eq!(refs, [] as [&str; 0]);
    }
}
