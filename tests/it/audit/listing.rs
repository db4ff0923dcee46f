//! A page of the trail looks through so many events and no more.

use onyx_auth::domain::id::AuditEventId;

use crate::calls::stretches::walk;
use crate::support::world::{Credential, World, worlds};

/// Events of an hour ago, one after another: the newest by the actor `needle`, and each thousandth refused. Answers
/// what their ids begin with.
fn old_events(world: &World, who: &Credential, count: u32) -> String {
    let then = chrono::Utc::now() - chrono::TimeDelta::hours(1);
    let id = AuditEventId::generate(then.into()).to_string();
    let begin = format!("{}00000000", &id[..14]);
    let at = then.format("%Y-%m-%d %H:%M:%S");
    // Set aside at once, so that nobody looks for their MACs.
    world.execute(&format!(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count}) \
         INSERT INTO audit_events (id, at, actor, action, target, partner_id, realm, outcome, details, set_aside) \
         SELECT '{begin}' || CAST(10000000 + i AS TEXT), '{at}', \
         CASE WHEN i = {count} THEN 'needle' ELSE 'somebody' END, 'client.made', 'thing', '{}', 'sandbox', \
         CASE WHEN i % 1000 = 0 THEN 'refused' ELSE 'done' END, '{{}}', 'a test' FROM n",
        who.partner_id
    ));
    begin
}

#[actix_web::test]
async fn a_filter_that_little_fits_is_walked_in_short_pages() {
    for world in worlds().await {
        let who = world.sandbox_client(&["orders:read"]).await;
        let token = world.token("sandbox", &who, &[]).await;
        let begin = old_events(&world, &who, 25_000);
        let own = async |query: &str| {
            let path = format!("/sandbox/v1/audit/events?{query}");
            world.get(&path, Some(&token)).await.expect(200)
        };

        let needle = format!("{begin}10025000");
        let pages = walk(async |cursor| own(&format!("actor=needle{cursor}")).await).await;
        assert_eq!(pages, [vec![], vec![], vec![needle.clone()]]);
        let refused = "outcome=refused&target=thing&limit=4";
        let pages = walk(async |cursor| own(&format!("{refused}{cursor}")).await).await;
        let thousands: Vec<String> = (1..=25)
            .map(|n| format!("{begin}{}", 10_000_000 + n * 1000))
            .collect();
        assert_eq!(pages.concat(), thousands);

        let operator = world.operator().await;
        for query in [
            "actor=needle",
            "actor=needle&realm=sandbox",
            "actor=needle&target=thing",
            &format!("actor=needle&partner_id={}", who.partner_id),
            &format!("actor=needle&target=thing&partner_id={}", who.partner_id),
        ] {
            let ask = async |cursor: &str| {
                let path = format!("/audit/events?{query}{cursor}");
                operator.get(&path).await.expect(200)
            };
            let found = walk(ask).await.concat();
            assert_eq!(found, [needle.as_str()], "{query}");
        }
        // All that is on record of a partner, whatever the realm, in its order.
        let path = format!("/audit/events?partner_id={}&limit=100", who.partner_id);
        let after_all = format!("{path}&from={}", recent());
        let list = operator.get(&after_all).await.expect(200);
        let ids: Vec<_> = list["data"].as_array().unwrap().iter().collect();
        assert!(ids.len() > 2, "{list:#}");
        assert!(ids.is_sorted_by_key(|event| event["id"].as_str().unwrap()));
        assert!(ids.iter().any(|event| event["realm"].is_null()), "{list:#}");
        assert!(ids.iter().any(|event| event["realm"] == "sandbox"));
        assert!(list["next_cursor"].is_null());
    }
}

/// A moment after the old events and before the others.
fn recent() -> String {
    let at = chrono::Utc::now() - chrono::TimeDelta::minutes(30);
    at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}
