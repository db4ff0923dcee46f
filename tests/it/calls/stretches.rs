//! A page looks through so many rows and no more, and who asks for much holds up nobody else.

use std::time::Duration;

use onyx_auth::domain::id::RequestId;
use reqwest::Method;
use serde_json::Value;

use crate::support::world::{Answer, Credential, Engine, World, worlds};

/// Calls of an hour ago, one after another: the oldest with the code `needle`, and each thousandth with the status
/// 418. Answers what their ids begin with.
fn old_calls(world: &World, who: &Credential, realm: &str, count: u32) -> String {
    let then = chrono::Utc::now() - chrono::TimeDelta::hours(1);
    let id = RequestId::generate(then.into()).to_string();
    // The moment, and zeros: what follows is a number and the realm's mark.
    let (begin, mark) = (
        format!("{}0000000", &id[..14]),
        u8::from(realm != "sandbox"),
    );
    let at = then.format("%Y-%m-%d %H:%M:%S");
    world.execute(&format!(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count}) \
         INSERT INTO request_log (request_id, at, partner_id, realm, client_id, credential_id, method, route, \
         status, code, micros, idempotency, order_id, subject) \
         SELECT '{begin}' || CAST(10000000 + i AS TEXT) || '{mark}', '{at}', '{}', '{realm}', '{}', '{}', \
         'GET', '/{{env}}/v1/things', CASE WHEN i % 1000 = 0 THEN 418 ELSE 200 END, \
         CASE WHEN i = 1 THEN 'needle' ELSE NULL END, 1200, 'none', NULL, NULL FROM n",
        who.partner_id, who.client_id, who.credential_id
    ));
    begin
}

/// All pages of a list, to its end: the ids on each.
pub async fn walk(ask: impl AsyncFn(&str) -> Value) -> Vec<Vec<String>> {
    let (mut cursor, mut pages) = (String::new(), Vec::new());
    loop {
        assert!(pages.len() < 100, "it never ends: {pages:?}");
        let page = ask(&cursor).await;
        let rows = page["data"].as_array().unwrap().iter();
        pages.push(
            rows.map(|row| row["id"].as_str().unwrap().to_owned())
                .collect(),
        );
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return pages,
        }
    }
}

#[actix_web::test]
async fn a_filter_that_little_fits_is_walked_in_short_pages() {
    for world in worlds().await {
        let who = world.sandbox_client(&["orders:read"]).await;
        let token = world.token("sandbox", &who, &[]).await;
        let begin = old_calls(&world, &who, "sandbox", 25_000);
        let own = async |query: &str| {
            let path = format!("/sandbox/v1/requests?{query}");
            world.get(&path, Some(&token)).await.expect(200)
        };

        let needle = format!("{begin}100000010");
        let pages = walk(async |cursor| own(&format!("code=needle{cursor}")).await).await;
        assert_eq!(pages, [vec![], vec![], vec![needle.clone()]]);
        let pages = walk(async |cursor| own(&format!("status=418&limit=4{cursor}")).await).await;
        let thousands: Vec<String> = (1..=25)
            .rev()
            .map(|n| format!("{begin}{}0", 10_000_000 + n * 1000))
            .collect();
        assert_eq!(pages.concat(), thousands);
        assert!(pages.iter().all(|page| page.len() <= 4), "{pages:?}");
        let by_id = own(&format!("id={needle}&code=needle")).await;
        assert_eq!(by_id["data"][0]["id"], needle.as_str());
        assert!(by_id["next_cursor"].is_null());

        // Operators see all realms: one after another in the index, newest first on the page.
        let live = old_calls(&world, &who, "live", 15_000);
        let both = [format!("{live}100000011"), needle.clone()];
        let operator = world.operator().await;
        let found = async |query: &str| {
            let ask = async |cursor: &str| {
                let path = format!("/requests?{query}{cursor}");
                operator.get(&path).await.expect(200)
            };
            walk(ask).await.concat()
        };
        let partner = &who.partner_id;
        let by_partner = format!("partner_id={partner}&code=needle");
        assert_eq!(found(&by_partner).await, both);
        assert_eq!(found("realm=sandbox&code=needle").await, [needle.as_str()]);
        let by_client = format!("client_id={}&code=needle", who.client_id);
        assert_eq!(found(&by_client).await, [needle.as_str()]);
        let many = found(&format!("partner_id={partner}&status=418&limit=7")).await;
        assert_eq!(many.len(), 25 + 15);
        assert!(many.is_sorted_by(|one, other| one > other), "{many:?}");
    }
}

#[actix_web::test]
async fn one_tenant_s_reads_leave_connections_to_the_others() {
    for world in worlds().await {
        if world.engine != Engine::Postgres {
            // A query cannot be held up there.
            continue;
        }
        let (busy, other) = (
            world.sandbox_client(&["orders:read"]).await,
            world.sandbox_client(&["orders:read"]).await,
        );
        let busy_token = world.token("sandbox", &busy, &[]).await;
        let token = world.token("sandbox", &other, &[]).await;
        for token in [&busy_token, &token] {
            world.get("/sandbox/v1/me", Some(token)).await.expect(200);
        }
        let held = world.hold("LOCK TABLE request_log IN ACCESS EXCLUSIVE MODE", 3);
        tokio::time::sleep(Duration::from_millis(300)).await;
        let mut asked = Vec::new();
        for _ in 0..24 {
            let request = world.request(Method::GET, "/sandbox/v1/requests?code=none");
            let request = request.bearer_auth(&busy_token);
            asked.push(actix_web::rt::spawn(request.send()));
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
        let orders = world.get("/sandbox/v1/orders", Some(&token)).await;
        orders.expect(200);
        world.token("sandbox", &other, &[]).await;
        assert!(!held.is_finished(), "others had to wait");
        // Theirs come one after another, and in time.
        for answer in asked {
            let answer = answer.await.unwrap().unwrap();
            Answer::of(answer).await.expect(200);
        }
        held.join().unwrap();
    }
}
