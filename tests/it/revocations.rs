//! Revoked means refused: on this node at once, on every other as soon as it hears, and to
//! whoever follows the feed.

use std::time::{Duration, Instant};

use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::support::proxy::Proxy;
use crate::support::world::{
    Answer, Credential, Engine, Operator, World, claims, postgres, worlds, worlds_with,
};

const AUDIENCE: &str = "https://orders.acme.example";

/// A registered service with a credential of its own, for following revocations.
async fn service(operator: &Operator<'_>) -> Credential {
    let server = operator
        .resource_server("sandbox", AUDIENCE, &["orders:read"], "ES256")
        .await;
    operator.issue(server["client_id"].as_str().unwrap()).await
}

async fn poll(world: &World, token: &str, query: &str) -> Answer {
    let path = format!("/sandbox/oauth2/revocations{query}");
    world.get(&path, Some(token)).await
}

/// The seqs and the ids of an answer's entries.
fn entries(answer: &Value) -> Vec<(i64, String)> {
    let entries = answer["entries"].as_array().unwrap().iter();
    entries
        .map(|e| {
            (
                e["seq"].as_i64().unwrap(),
                e["id"].as_str().unwrap().to_owned(),
            )
        })
        .collect()
}

#[actix_web::test]
async fn a_revoked_credentials_tokens_are_refused_from_the_answer_on() {
    for world in worlds().await {
        let operator = world.operator().await;
        let who = world.sandbox_client(&["orders:read"]).await;
        let second = operator.issue(&who.client_id).await;
        let (token, others) = (
            world.token("sandbox", &who, &[]).await,
            world.token("sandbox", &second, &[]).await,
        );
        world.get("/sandbox/v1/me", Some(&token)).await.expect(200);
        operator.revoke(&who.credential_id).await.expect(200);
        let refused = world.get("/sandbox/v1/me", Some(&token)).await;
        assert_eq!(refused.status, 401);
        assert!(
            refused
                .header("www-authenticate")
                .contains("The access token was revoked."),
            "{refused:?}"
        );
        // The client's other credential is not touched, before and after.
        world.get("/sandbox/v1/me", Some(&others)).await.expect(200);
        let later = world.token("sandbox", &second, &[]).await;
        assert!(claims(&later)["rsn"].as_u64() > claims(&token)["rsn"].as_u64());
        world.get("/sandbox/v1/me", Some(&later)).await.expect(200);
    }
}

#[actix_web::test]
async fn another_node_refuses_as_soon_as_it_hears() {
    for world in worlds().await {
        let other = world.neighbour().await;
        let who = world.sandbox_client(&["orders:read"]).await;
        let token = other.token("sandbox", &who, &[]).await;
        other.get("/sandbox/v1/me", Some(&token)).await.expect(200);
        world
            .operator()
            .await
            .revoke(&who.credential_id)
            .await
            .expect(200);
        let deadline = Instant::now() + Duration::from_secs(10);
        while other.get("/sandbox/v1/me", Some(&token)).await.status != 401 {
            assert!(Instant::now() < deadline, "the other node does not hear");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

#[actix_web::test]
async fn a_token_that_a_node_gives_out_before_it_hears_is_dead_on_arrival() {
    // Only over a network can news be held back.
    let world = worlds()
        .await
        .into_iter()
        .find(|w| w.engine == Engine::Postgres)
        .unwrap();
    let server = postgres();
    let address = server.split('@').nth(1).unwrap().split('/').next().unwrap();
    let proxy = Proxy::to(address);
    let through = world.database_url().replace(address, &proxy.address);
    let deaf = world
        .neighbour_with(&[
            ("ONYX_DATABASE_URL", &through),
            ("ONYX_MAX_STALENESS", "60"),
        ])
        .await;
    let who = world.sandbox_client(&["orders:read"]).await;
    deaf.token("sandbox", &who, &[]).await;
    // What made the client may be heard only now; from here on it is in memory to stay.
    tokio::time::sleep(Duration::from_secs(1)).await;
    deaf.token("sandbox", &who, &[]).await;
    let held = Instant::now();
    proxy.hold();
    world
        .operator()
        .await
        .revoke(&who.credential_id)
        .await
        .expect(200);
    // The deaf node still believes in the credential; its record of the token waits for the network.
    let asked = async { deaf.token_answer("sandbox", &who, &[]).await };
    let released = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        proxy.release();
    };
    let (answer, ()) = futures_util::future::join(asked, released).await;
    assert!(held.elapsed() < Duration::from_secs(30));
    let answer = answer.expect(200);
    let token = answer["access_token"].as_str().unwrap();
    let refused = world.get("/sandbox/v1/me", Some(token)).await;
    assert_eq!(refused.status, 401, "{}", refused.text);
}

#[actix_web::test]
async fn the_feed_tells_what_was_revoked_in_order_and_from_a_cursor_on() {
    for world in worlds().await {
        let operator = world.operator().await;
        let follower = service(&operator).await;
        let token = world.token("sandbox", &follower, &[]).await;
        let empty = poll(&world, &token, "").await.expect(200);
        assert_eq!(
            (&empty["cursor"], &empty["more"], &empty["entries"]),
            (&json!(0), &json!(false), &json!([]))
        );
        let now = chrono::Utc::now().timestamp();
        assert!(
            (now - empty["as_of"].as_i64().unwrap()).abs() <= 5,
            "{empty}"
        );

        let one = world.sandbox_client(&["orders:read"]).await;
        let two = world.sandbox_client(&["orders:read"]).await;
        operator.revoke(&one.credential_id).await.expect(200);
        operator.revoke(&two.credential_id).await.expect(200);
        let all = poll(&world, &token, "").await.expect(200);
        assert_eq!(
            entries(&all),
            [
                (1, one.credential_id.clone()),
                (2, two.credential_id.clone())
            ]
        );
        let entry = &all["entries"][0];
        assert_eq!(entry["kind"], "credential");
        let revoked_at = entry["revoked_at"].as_i64().unwrap();
        assert_eq!(entry["expires_at"], revoked_at + 900 + 60 + 5);
        assert!(entry.get("scope").is_none());

        let rest = poll(&world, &token, "?after=1").await.expect(200);
        assert_eq!(entries(&rest), [(2, two.credential_id)]);
        let none = poll(&world, &token, "?after=2&wait=1").await.expect(200);
        assert_eq!(
            (none["cursor"].as_i64(), entries(&none).len()),
            (Some(2), 0)
        );
    }
}

#[actix_web::test]
async fn a_poll_that_waits_is_answered_when_something_is_revoked() {
    for world in worlds().await {
        let operator = world.operator().await;
        let follower = service(&operator).await;
        let token = world.token("sandbox", &follower, &[]).await;
        let who = world.sandbox_client(&["orders:read"]).await;
        let waiting = poll(&world, &token, "?after=0&wait=60");
        let revoking = async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            operator.revoke(&who.credential_id).await.expect(200);
        };
        let (answer, ()) = futures_util::future::join(waiting, revoking).await;
        assert_eq!(entries(&answer.expect(200)), [(1, who.credential_id)]);
    }
}

#[actix_web::test]
async fn a_bad_cursor_is_refused_and_says_what_to_do() {
    for world in worlds().await {
        let operator = world.operator().await;
        let follower = service(&operator).await;
        let token = world.token("sandbox", &follower, &[]).await;
        let who = world.sandbox_client(&["orders:read"]).await;
        operator.revoke(&who.credential_id).await.expect(200);
        for (query, status, code) in [
            ("?after=x", 400, "invalid_parameter"),
            ("?after=-1", 400, "invalid_parameter"),
            ("?after=99999999999999999999", 400, "invalid_parameter"),
            ("?wait=61", 400, "invalid_parameter"),
            ("?after=1&after=1", 400, "invalid_parameter"),
            ("?since=1", 400, "invalid_parameter"),
            ("?after=2", 410, "cursor_gone"),
        ] {
            let answer = poll(&world, &token, query).await;
            assert_eq!(
                (answer.status, answer.json()["code"].as_str()),
                (status, Some(code)),
                "{query}"
            );
        }
        // No token, a partner's token, and one for another realm.
        let partner = world.sandbox_client(&["orders:read"]).await;
        let partner = world.token("sandbox", &partner, &[]).await;
        assert_eq!(poll(&world, &partner, "").await.status, 401);
        let path = "/sandbox/oauth2/revocations";
        let refused = world.get(path, None).await;
        // The partner API's description would lead to tokens that are of no use here.
        assert_eq!(
            (refused.status, refused.header("www-authenticate")),
            (401, "Bearer realm=\"sandbox\"")
        );
        let live = world.get("/live/oauth2/revocations", Some(&token)).await;
        assert_eq!(live.status, 401);
    }
}

/// Reads events from a stream until one fits; answers all that came, as `event id data` lines.
async fn read_until(
    stream: &mut Response,
    read: &mut String,
    fits: impl Fn(&str) -> bool,
) -> String {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(end) = read.find("\n\n") {
            let event: String = read.drain(..end + 2).collect();
            if fits(&event) {
                return event;
            }
            continue;
        }
        assert!(Instant::now() < deadline, "nothing came: {read}");
        let chunk = stream.chunk().await.unwrap().expect("the stream ended");
        read.push_str(std::str::from_utf8(&chunk).unwrap());
    }
}

async fn open_stream(world: &World, token: &str, last: Option<&str>) -> Response {
    let request = world
        .request(Method::GET, "/sandbox/oauth2/revocations/stream")
        .bearer_auth(token);
    let request = match last {
        Some(id) => request.header("Last-Event-ID", id),
        None => request,
    };
    request.send().await.unwrap()
}

#[actix_web::test]
async fn a_stream_tells_each_revocation_once_and_resumes() {
    for world in worlds().await {
        let operator = world.operator().await;
        let follower = service(&operator).await;
        let token = world.token("sandbox", &follower, &[]).await;
        let one = world.sandbox_client(&["orders:read"]).await;
        let two = world.sandbox_client(&["orders:read"]).await;
        operator.revoke(&one.credential_id).await.expect(200);

        let mut stream = open_stream(&world, &token, None).await;
        assert_eq!(stream.headers()["content-type"], "text/event-stream");
        let mut read = String::new();
        let first = read_until(&mut stream, &mut read, |_| true).await;
        assert!(
            first.starts_with("event: revocation\nid: 1\ndata: {\"seq\":1,\"kind\":\"credential\""),
            "{first}"
        );
        let beat = read_until(&mut stream, &mut read, |_| true).await;
        assert!(
            beat.starts_with("event: heartbeat\nid: 1\ndata: {\"cursor\":1,\"as_of\":"),
            "{beat}"
        );
        operator.revoke(&two.credential_id).await.expect(200);
        let second = read_until(&mut stream, &mut read, |e| e.contains("revocation")).await;
        assert!(
            second.contains("id: 2\n") && second.contains(&two.credential_id),
            "{second}"
        );

        let mut resumed = open_stream(&world, &token, Some("1")).await;
        let again = read_until(&mut resumed, &mut String::new(), |_| true).await;
        assert!(again.contains("id: 2\n"), "{again}");
        assert_eq!(open_stream(&world, &token, Some("7")).await.status(), 410);
        assert_eq!(open_stream(&world, &token, Some("x")).await.status(), 400);

        // The follower's own credential: its stream ends with it.
        operator.revoke(&follower.credential_id).await.expect(200);
        while let Ok(Some(_)) = stream.chunk().await {}
        assert_eq!(open_stream(&world, &token, None).await.status(), 401);
    }
}

#[actix_web::test]
async fn a_flood_of_listeners_is_refused_and_those_before_are_kept() {
    for mut world in worlds_with(&[("ONYX_FEED_LISTENERS", "2")]).await {
        let operator = world.operator().await;
        let follower = service(&operator).await;
        let token = world.token("sandbox", &follower, &[]).await;
        let mut first = open_stream(&world, &token, None).await;
        let _second = open_stream(&world, &token, None).await;
        let third = Answer::of(open_stream(&world, &token, None).await).await;
        assert_eq!(
            (third.status, third.header("retry-after")),
            (503, "5"),
            "{third:?}"
        );
        let who = world.sandbox_client(&["orders:read"]).await;
        operator.revoke(&who.credential_id).await.expect(200);
        let told = read_until(&mut first, &mut String::new(), |e| e.contains("revocation")).await;
        assert!(told.contains(&who.credential_id));
        // Streams do not hold up a server that is told to stop.
        drop(operator);
        let asked = Instant::now();
        assert_eq!(world.terminate(), Some(0));
        assert!(asked.elapsed() < Duration::from_secs(20));
    }
}

#[actix_web::test]
async fn a_gateway_is_told_who_calls() {
    for world in worlds().await {
        let operator = world.operator().await;
        let who = world.sandbox_client(&["orders:read", "usage:read"]).await;
        let token = world.token("sandbox", &who, &[]).await;
        let passed = world
            .get("/sandbox/oauth2/verify?scope=orders:read", Some(&token))
            .await;
        assert_eq!(passed.status, 200, "{}", passed.text);
        for (name, value) in [
            ("onyx-partner-id", who.partner_id.as_str()),
            ("onyx-client-id", &who.client_id),
            ("onyx-credential-id", &who.credential_id),
            ("onyx-env", "sandbox"),
            ("onyx-scope", "orders:read usage:read"),
            ("onyx-token-id", claims(&token)["jti"].as_str().unwrap()),
        ] {
            assert_eq!(passed.header(name), value, "{name}");
        }
        // Any method, any path below, as gateways ask.
        let request = world.request(
            Method::DELETE,
            "/sandbox/oauth2/verify/orders/7?scope=orders:read",
        );
        let passed = request.bearer_auth(&token).send().await.unwrap();
        assert_eq!(passed.status(), 200);

        let lacks = world
            .get("/sandbox/oauth2/verify?scope=orders:create", Some(&token))
            .await;
        assert_eq!(lacks.status, 403);
        assert!(
            lacks
                .header("www-authenticate")
                .contains("insufficient_scope")
        );
        // What demands nothing by mistake opens to nobody; behind `path` the caller's own query stands.
        for (query, status) in [
            ("Scope=orders:create", 400),
            ("scope[]=orders:create", 400),
            ("scope=", 400),
            ("aud=&scope=orders:read", 400),
            ("scope=orders:read&scope=usage:read", 400),
            ("scope=orders:read&path=/items?x=1&id=1&id=2&path=3", 200),
            ("scope=orders:create&path=/items?x=1&id=1&id=2", 403),
            ("scope=orders:create&path=/items?x=1&scope=orders:read", 403),
            ("scope=orders:read&path=/items?x=1&scope=orders:create", 200),
            ("scope=orders:read&path=/items?x=1&aud=urn:other", 400),
            ("path=/items?x=1&scope=orders:read", 400),
        ] {
            let path = format!("/sandbox/oauth2/verify?{query}");
            assert_eq!(
                world.get(&path, Some(&token)).await.status,
                status,
                "{query}"
            );
        }
        let elsewhere = format!("/sandbox/oauth2/verify?aud={AUDIENCE}");
        assert_eq!(world.get(&elsewhere, Some(&token)).await.status, 401);
        assert_eq!(
            world.get("/live/oauth2/verify", Some(&token)).await.status,
            401
        );
        // Where the API says how to get in; of another audience this server says nothing.
        let bare = world.get("/sandbox/oauth2/verify", None).await;
        let described = format!(
            "Bearer realm=\"sandbox\", resource_metadata=\"{}/.well-known/oauth-protected-resource/sandbox/v1\"",
            world.base
        );
        assert_eq!(
            (bare.status, bare.header("www-authenticate")),
            (401, described.as_str())
        );
        let bare = world.get(&elsewhere, None).await;
        assert_eq!(bare.header("www-authenticate"), "Bearer realm=\"sandbox\"");
        operator.revoke(&who.credential_id).await.expect(200);
        assert_eq!(
            world
                .get("/sandbox/oauth2/verify", Some(&token))
                .await
                .status,
            401
        );
    }
}
