//! Token Status Lists: every token has a place of its own, and the list says whether it was revoked.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io::Read;
use std::rc::Rc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use onyx_auth::domain::realm::Realm;
use onyx_auth::store::Store;
use onyx_auth::store::status_lists::{self, Lease};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::proxy::Proxy;
use crate::support::world::{Answer, Engine, World, claims, header, postgres, worlds};

const SIZE: usize = 1 << 20;

/// A token's place: the list's address, and the index.
fn place(token: &str) -> (String, usize) {
    let place = &claims(token)["status"]["status_list"];
    assert_eq!(place.as_object().unwrap().len(), 2, "{place}");
    let index = place["idx"].as_u64().unwrap();
    (
        place["uri"].as_str().unwrap().to_owned(),
        index.try_into().unwrap(),
    )
}

/// The path of an address, so that any node can be asked.
fn path(world: &World, uri: &str) -> String {
    let base = world.setting("ONYX_BASE_URL");
    uri.strip_prefix(base).unwrap().to_owned()
}

async fn fetch(world: &World, uri: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = world.request(Method::GET, &path(world, uri));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    Answer::of(request.send().await.unwrap()).await
}

/// The entries of a list, inflated.
fn entries(jwt: &str) -> Vec<u8> {
    let list = &claims(jwt)["status_list"];
    assert_eq!(list["bits"], 1);
    let packed = URL_SAFE_NO_PAD
        .decode(list["lst"].as_str().unwrap())
        .unwrap();
    let mut entries = Vec::new();
    let mut inflated = flate2::read::ZlibDecoder::new(packed.as_slice());
    inflated.read_to_end(&mut entries).unwrap();
    entries
}

/// Whether a token's list says that it is revoked.
async fn is_revoked(world: &World, token: &str) -> bool {
    let (uri, index) = place(token);
    let answer = fetch(world, &uri, &[]).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let entries = entries(&answer.text);
    assert!(index < entries.len() * 8);
    entries[index / 8] >> (index % 8) & 1 == 1
}

/// Waits until a token's list says that it is revoked.
async fn until_revoked(world: &World, token: &str, what: &str) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_revoked(world, token).await {
        assert!(Instant::now() < deadline, "not shown: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[actix_web::test]
async fn a_token_names_its_place_and_its_list_is_signed_cached_and_good() {
    for world in worlds().await {
        let who = world.sandbox_client(&["orders:read"]).await;
        let token = world.token("sandbox", &who, &[]).await;
        let (uri, index) = place(&token);
        let prefix = format!("{}/sandbox/oauth2/status-lists/stl_", world.base);
        assert!(uri.starts_with(&prefix) && index < SIZE, "{uri} {index}");

        let answer = fetch(&world, &uri, &[]).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert_eq!(answer.header("content-type"), "application/statuslist+jwt");
        assert_eq!(answer.header("cache-control"), "public, max-age=30");
        let (head, said) = (header(&answer.text), claims(&answer.text));
        assert_eq!(
            (head["typ"].as_str(), head["alg"].as_str()),
            (Some("statuslist+jwt"), Some("ES256"))
        );
        let keys = world.get("/sandbox/oauth2/jwks", None).await.json();
        let published = keys["keys"].as_array().unwrap();
        assert!(published.iter().any(|key| key["kid"] == head["kid"]));
        assert_eq!(
            (said["sub"].as_str(), said["ttl"].as_i64()),
            (Some(uri.as_str()), Some(30))
        );
        let (iat, exp) = (said["iat"].as_i64().unwrap(), said["exp"].as_i64().unwrap());
        assert_eq!(exp - iat, 600);
        assert!((chrono::Utc::now().timestamp() - iat).abs() < 60);
        assert_eq!(entries(&answer.text), vec![0; SIZE / 8]);

        // Nothing changed: the same again, and nothing for who has it.
        let tag = answer.header("etag").to_owned();
        assert_eq!(fetch(&world, &uri, &[]).await.text, answer.text);
        let known = fetch(&world, &uri, &[("If-None-Match", &tag)]).await;
        assert_eq!((known.status, known.text.as_str()), (304, ""));
        assert_eq!(known.header("etag"), tag);
        assert_eq!(known.header("cache-control"), "public, max-age=30");
        let other = fetch(&world, &uri, &[("If-None-Match", "\"x\"")]).await;
        assert_eq!(other.status, 200);
        let head = world.request(Method::HEAD, &path(&world, &uri));
        let head = Answer::of(head.send().await.unwrap()).await;
        assert_eq!((head.status, head.text.as_str()), (200, ""));

        // It changes with a revocation, and is signed anew.
        let operator = world.operator().await;
        operator.revoke(&who.credential_id).await.expect(200);
        let changed = fetch(&world, &uri, &[("If-None-Match", &tag)]).await;
        assert_eq!(changed.status, 200);
        assert_ne!(changed.header("etag"), tag);
        let mut wanted = vec![0; SIZE / 8];
        wanted[index / 8] = 1 << (index % 8);
        assert_eq!(entries(&changed.text), wanted);
    }
}

#[actix_web::test]
async fn a_list_never_passes_as_an_access_token() {
    for world in worlds().await {
        let who = world.sandbox_client(&["orders:read"]).await;
        let token = world.token("sandbox", &who, &[]).await;
        let list = fetch(&world, &place(&token).0, &[]).await.text;
        let refused = world.get("/sandbox/v1/me", Some(&list)).await;
        assert_eq!(refused.status, 401, "{}", refused.text);
        let gateway = world.get("/sandbox/oauth2/verify", Some(&list)).await;
        assert_eq!(gateway.status, 401, "{}", gateway.text);
    }
}

#[actix_web::test]
async fn every_height_of_revocation_is_shown_and_nothing_else() {
    for world in worlds().await {
        let operator = world.operator().await;
        let bystander = world.sandbox_client(&["orders:read"]).await;
        let good = world.token("sandbox", &bystander, &[]).await;
        let fresh = async || {
            let who = world.sandbox_client(&["orders:read", "usage:read"]).await;
            let token = world.token("sandbox", &who, &[]).await;
            assert!(!is_revoked(&world, &token).await);
            (who, token)
        };

        let (who, token) = fresh().await;
        let kept = world.token("sandbox", &who, &[]).await;
        let body = json!({ "token": token });
        operator.post("/tokens/revoke", body).await.expect(200);
        until_revoked(&world, &token, "a token").await;
        assert!(!is_revoked(&world, &kept).await);

        let (who, token) = fresh().await;
        let second = operator.issue(&who.client_id).await;
        let kept = world.token("sandbox", &second, &[]).await;
        operator.revoke(&who.credential_id).await.expect(200);
        until_revoked(&world, &token, "a credential").await;
        assert!(!is_revoked(&world, &kept).await);

        let reason = || json!({ "reason": "a test" });
        let (who, token) = fresh().await;
        let client = format!("/clients/{}", who.client_id);
        operator
            .post(&format!("{client}/suspend"), reason())
            .await
            .expect(200);
        until_revoked(&world, &token, "a client").await;
        operator
            .post(&format!("{client}/resume"), reason())
            .await
            .expect(200);
        let later = world.token("sandbox", &who, &[]).await;
        assert!(!is_revoked(&world, &later).await);
        assert!(is_revoked(&world, &token).await);

        let (who, token) = fresh().await;
        let partner = format!("/partners/{}", who.partner_id);
        operator
            .post(&format!("{partner}/suspend"), reason())
            .await
            .expect(200);
        until_revoked(&world, &token, "a partner").await;
        operator
            .post(&format!("{partner}/resume"), reason())
            .await
            .expect(200);
        let later = world.token("sandbox", &who, &[]).await;
        assert!(!is_revoked(&world, &later).await);

        let (who, token) = fresh().await;
        let narrow = world
            .token("sandbox", &who, &[("scope", "usage:read")])
            .await;
        let grants = operator
            .get(&format!("/partners/{}/scope-grants", who.partner_id))
            .await
            .json();
        let grants = grants["data"].as_array().unwrap();
        let grant = grants.iter().find(|g| g["scope"] == "orders:read").unwrap();
        let id = grant["id"].as_str().unwrap();
        operator
            .post(&format!("/scope-grants/{id}/revoke"), reason())
            .await
            .expect(200);
        until_revoked(&world, &token, "a grant").await;
        assert!(!is_revoked(&world, &narrow).await);

        // Until here the bystander was none of them.
        assert!(!is_revoked(&world, &good).await);
        let kid = header(&good)["kid"].as_str().unwrap().to_owned();
        operator
            .post(&format!("/keys/{kid}/revoke"), reason())
            .await
            .expect(200);
        until_revoked(&world, &good, "a key").await;

        // A server that starts anew finds the same, of those that live.
        let mut world = world;
        world.terminate();
        world.start().await;
        for dead in [&token, &good] {
            assert!(is_revoked(&world, dead).await);
        }
        let later = world.token("sandbox", &bystander, &[]).await;
        assert!(!is_revoked(&world, &later).await);
    }
}

#[actix_web::test]
async fn every_node_shows_what_any_node_revoked() {
    for world in worlds().await {
        let others = [world.neighbour().await, world.neighbour().await];
        let who = world.sandbox_client(&["orders:read"]).await;
        let mut tokens = vec![world.token("sandbox", &who, &[]).await];
        for other in &others {
            tokens.push(other.token("sandbox", &who, &[]).await);
        }
        let second = world.operator().await.issue(&who.client_id).await;
        let kept = world.token("sandbox", &second, &[]).await;
        for node in others.iter().chain([&world]) {
            assert!(!is_revoked(node, &tokens[0]).await);
        }
        let operator = others[1].operator().await;
        operator.revoke(&who.credential_id).await.expect(200);
        for node in others.iter().chain([&world]) {
            for token in &tokens {
                until_revoked(node, token, "on another node").await;
            }
            assert!(!is_revoked(node, &kept).await);
        }
    }
}

#[actix_web::test]
async fn a_token_that_a_node_gives_out_before_it_hears_is_shown_as_dead() {
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
    let settings = [
        ("ONYX_DATABASE_URL", through.as_str()),
        ("ONYX_MAX_STALENESS", "60"),
    ];
    let deaf = world.neighbour_with(&settings).await;
    let who = world.sandbox_client(&["orders:read"]).await;
    deaf.token("sandbox", &who, &[]).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = deaf.token("sandbox", &who, &[]).await;
    proxy.hold();
    let operator = world.operator().await;
    operator.revoke(&who.credential_id).await.expect(200);
    // Whoever asks now has the revocation taken in before the late token is on record.
    until_revoked(&world, &before, "what was given before").await;
    let asked = async { deaf.token_answer("sandbox", &who, &[]).await };
    let released = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        proxy.release();
    };
    let (answer, ()) = futures_util::future::join(asked, released).await;
    let answer = answer.expect(200);
    let late = answer["access_token"].as_str().unwrap();
    until_revoked(&world, late, "what was given too late").await;
}

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
async fn what_is_no_list_here_is_answered_as_such() {
    for world in worlds().await {
        let who = world.sandbox_client(&["orders:read"]).await;
        let (uri, _) = place(&world.token("sandbox", &who, &[]).await);
        let here = path(&world, &uri);
        let (before, id) = here.rsplit_once('/').unwrap();
        for (asked, status, code) in [
            (
                format!("{before}/stl_01K2ZJ6V9D3M5K7N2R4T6W8Y0A"),
                404,
                "not_found",
            ),
            (format!("{before}/1"), 404, "not_found"),
            (format!("{before}/{id}0"), 404, "not_found"),
            (format!("/live/oauth2/status-lists/{id}"), 404, "not_found"),
            (format!("/admin/oauth2/status-lists/{id}"), 404, "not_found"),
            (format!("{here}?time=1800000000"), 501, "not_implemented"),
            (format!("{here}?at=1"), 400, "invalid_parameter"),
        ] {
            let answer = world.get(&asked, None).await;
            assert_eq!(
                (answer.status, answer.json()["code"].as_str()),
                (status, Some(code)),
                "{asked}"
            );
            assert_eq!(answer.header("content-type"), "application/problem+json");
        }
        for (accept, status) in [
            ("application/statuslist+cwt", 406),
            ("text/html", 406),
            ("application/statuslist+jwt", 200),
            ("text/html, */*;q=0.1", 200),
            ("application/*", 200),
        ] {
            let answer = fetch(&world, &uri, &[("Accept", accept)]).await;
            assert_eq!(answer.status, status, "{accept}");
        }
        let posted = world.request(Method::POST, &here).send().await.unwrap();
        assert_eq!(posted.status(), 405);
        // Operators' tokens have places too, in a list of their own realm.
        let operator = world.operator().await;
        let (uri, _) = place(&operator.token);
        assert!(uri.contains("/admin/oauth2/status-lists/"), "{uri}");
        assert!(!is_revoked(&world, &operator.token).await);
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
