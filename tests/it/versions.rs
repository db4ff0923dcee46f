//! Versions of the partner API: pinned at the first call, named in every answer, and counted.

use std::time::Duration;

use serde_json::Value;

use crate::support::world::{Answer, PARTNER_SCOPES, World, at_once, worlds};

async fn me(world: &World, token: &str, version: Option<&str>) -> Answer {
    let mut request = world
        .request(reqwest::Method::GET, "/sandbox/v1/me")
        .bearer_auth(token);
    if let Some(version) = version {
        request = request.header("Onyx-Version", version);
    }
    Answer::of(request.send().await.unwrap()).await
}

#[actix_web::test]
async fn a_partner_is_spoken_to_in_the_version_that_it_used_first() {
    for world in worlds().await {
        let client = world.sandbox_client(&PARTNER_SCOPES).await;
        let token = world.token("sandbox", &client, &[]).await;
        let first = me(&world, &token, Some("2026-09-01")).await;
        let said = first.expect(200);
        assert_eq!(
            (&said["environment"], &said["env"]),
            (&"sandbox".into(), &Value::Null)
        );

        // Pinned: no word about the version is needed, and the older one says how long it lasts.
        let later = me(&world, &token, None).await;
        assert_eq!(later.expect(200)["environment"], "sandbox");
        assert_eq!(later.expect(200)["pinned_version"], "2026-09-01");
        assert_eq!(later.header("onyx-version"), "2026-09-01");
        assert_eq!(later.header("deprecation"), "@1793491200");
        assert_eq!(later.header("sunset"), "Mon, 01 Nov 2027 00:00:00 GMT");
        assert!(
            later
                .header("link")
                .ends_with("rel=\"deprecation\"; type=\"text/html\"")
        );
        assert_eq!(later.header("vary"), "Onyx-Version");

        // One call may ask for another; the pin stays.
        let current = me(&world, &token, Some("2026-11-01")).await;
        assert_eq!(current.expect(200)["env"], "sandbox");
        assert_eq!(current.expect(200)["pinned_version"], "2026-09-01");
        assert_eq!(
            (current.header("onyx-version"), current.header("sunset")),
            ("2026-11-01", "")
        );
        assert_eq!(
            me(&world, &token, None).await.header("onyx-version"),
            "2026-09-01"
        );
    }
}

#[actix_web::test]
async fn who_asks_for_no_version_gets_the_current_one_and_keeps_it() {
    for world in worlds().await {
        let client = world.sandbox_client(&PARTNER_SCOPES).await;
        let token = world.token("sandbox", &client, &[]).await;
        assert_eq!(
            me(&world, &token, None).await.header("onyx-version"),
            "2026-11-01"
        );
        let pinned = format!(
            "SELECT pinned_version AS line FROM partners WHERE id = '{}'",
            client.partner_id
        );
        assert_eq!(world.lines(&pinned), ["2026-11-01"]);
        let unknown = me(&world, &token, Some("2025-01-01")).await;
        assert_eq!(
            (unknown.status, unknown.json()["code"].clone()),
            (400, "unknown_version".into())
        );
    }
}

#[actix_web::test]
async fn who_was_not_first_is_answered_in_the_version_that_was() {
    for world in worlds().await {
        let client = world.sandbox_client(&PARTNER_SCOPES).await;
        // For the token this server looked the partner up, and nobody tells it what is pinned then.
        let token = world.token("sandbox", &client, &[]).await;
        let id = &client.partner_id;
        world.execute(&format!(
            "UPDATE partners SET pinned_version = '2026-09-01' WHERE id = '{id}'"
        ));
        let unasked = me(&world, &token, None).await;
        assert_eq!(unasked.header("onyx-version"), "2026-09-01");
        let said = unasked.expect(200);
        assert_eq!(
            (&said["environment"], &said["pinned_version"]),
            (&"sandbox".into(), &"2026-09-01".into())
        );
        let asked = me(&world, &token, Some("2026-11-01")).await;
        assert_eq!(asked.header("onyx-version"), "2026-11-01");
        assert_eq!(asked.expect(200)["pinned_version"], "2026-09-01");
    }
}

#[actix_web::test]
async fn of_first_calls_at_once_one_pins_the_version_for_all() {
    for world in worlds().await {
        let client = world.sandbox_client(&PARTNER_SCOPES).await;
        let token = world.token("sandbox", &client, &[]).await;
        let first = (0..12).map(|nth| {
            let request = world.request(reqwest::Method::GET, "/sandbox/v1/me");
            let request = request.bearer_auth(&token);
            if nth % 2 == 0 {
                request.header("Onyx-Version", "2026-09-01")
            } else {
                request
            }
        });
        let answers = at_once(first).await;
        let pinned = format!(
            "SELECT pinned_version AS line FROM partners WHERE id = '{}'",
            client.partner_id
        );
        let pinned = world.lines(&pinned);
        for (nth, answer) in answers.iter().enumerate() {
            answer.expect(200);
            let version = answer.header("onyx-version");
            if nth % 2 == 0 {
                assert_eq!(version, "2026-09-01");
            } else {
                assert_eq!(pinned, [version]);
            }
        }
    }
}

#[actix_web::test]
async fn operators_see_who_still_calls_an_older_version() {
    for world in worlds().await {
        let client = world.sandbox_client(&PARTNER_SCOPES).await;
        let token = world.token("sandbox", &client, &[]).await;
        for _ in 0..3 {
            me(&world, &token, Some("2026-09-01")).await.expect(200);
        }
        me(&world, &token, Some("2026-11-01")).await.expect(200);
        let operator = world.operator().await;
        let path = format!(
            "/versions?version=2026-09-01&partner_id={}",
            client.partner_id
        );
        let uses = loop {
            let uses = operator.get(&path).await.expect(200)["data"].clone();
            if uses[0]["calls"] == 3 {
                break uses;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        assert_eq!(uses.as_array().unwrap().len(), 1);
        assert_eq!(uses[0]["client_id"], client.client_id);
        assert_eq!(uses[0]["route"], "GET /{env}/v1/me");
        assert_eq!(uses[0]["sunset_at"], "2027-11-01T00:00:00Z");
        // Page by page, and by no other list's cursor.
        let path = format!("/versions?partner_id={}&limit=1", client.partner_id);
        let first = loop {
            let page = operator.get(&path).await.expect(200);
            if page["next_cursor"].is_string() {
                break page;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        let cursor = first["next_cursor"].as_str().unwrap();
        let next = operator.get(&format!("{path}&cursor={cursor}")).await;
        let next = next.expect(200);
        assert_eq!(next["data"][0]["version"], "2026-11-01");
        assert_eq!(
            (&first["data"][0]["version"], &next["next_cursor"]),
            (&"2026-09-01".into(), &Value::Null)
        );
        let foreign = operator.get(&format!("/partners?cursor={cursor}")).await;
        assert_eq!(foreign.status, 400);
    }
}
