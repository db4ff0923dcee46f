//! Who fails to authenticate too often waits; and nobody is kept out by others' failures.

mod silence;

use std::time::Duration;

use reqwest::Method;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::support::world::{Answer, Credential, Engine, World, worlds, worlds_with};

const PROXIED: &[(&str, &str)] = &[("ONYX_TRUSTED_PROXIES", "127.0.0.1/32")];

/// Where clients authenticate.
const ENDPOINTS: [&str; 4] = ["token", "introspect", "revoke", "credentials/rotate"];

/// How a client shows its secret.
#[derive(Clone, Copy, Debug)]
enum Shown {
    Basic,
    Form,
}

async fn show(
    world: &World,
    endpoint: &str,
    shown: Shown,
    who: (&str, &str),
    from: &str,
) -> Answer {
    let path = format!("/sandbox/oauth2/{endpoint}");
    let request = world
        .request(Method::POST, &path)
        .header("x-forwarded-for", from);
    let mut form = vec![("grant_type", "client_credentials"), ("token", "x")];
    let request = match shown {
        Shown::Basic => request.basic_auth(who.0, Some(who.1)),
        Shown::Form => {
            form.extend([("client_id", who.0), ("client_secret", who.1)]);
            request
        }
    };
    Answer::of(request.form(&form).send().await.unwrap()).await
}

async fn ask(world: &World, who: &Credential, from: &str) -> Answer {
    let shown = (who.client_id.as_str(), who.secret.as_str());
    show(world, "token", Shown::Basic, shown, from).await
}

async fn guess(world: &World, client: &str, from: &str) -> Answer {
    let shown = (client, "onyx_sbx_sk_wrong");
    show(world, "token", Shown::Basic, shown, from).await
}

/// Another address each time.
fn anywhere(n: usize) -> String {
    format!("203.{}.{}.{}", n >> 16 & 255, n >> 8 & 255, n & 255)
}

/// What is the same of two answers, if they are.
fn told(answer: &Answer) -> String {
    let mut headers: Vec<_> = answer
        .headers
        .iter()
        .filter(|(name, _)| !["onyx-request-id", "date", "retry-after"].contains(&name.as_str()))
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
        .collect();
    headers.sort();
    format!("{}\n{}", answer.line(), headers.join("\n"))
}

/// The id of a client that there is not.
fn made_up(n: usize) -> String {
    format!("cl_sbx_01ARZ3NDEKTSV4RRFFQ6{n:06}")
}

/// Guesses, each time from elsewhere, until it must wait; the answers before, and the one that says so.
async fn guess_until_blocked(
    world: &World,
    client: &str,
    mut shown: impl AsyncFnMut(&World, &str, &str) -> Answer,
    seed: usize,
) -> (Vec<Answer>, Answer) {
    let mut before = Vec::new();
    for n in 0..200 {
        let answer = shown(world, client, &anywhere(seed + n)).await;
        if answer.status == 429 {
            return (before, answer);
        }
        before.push(answer);
    }
    panic!("never blocked");
}

async fn metric(world: &World, series: &str) -> f64 {
    let text = world.http.get(format!("{}/metrics", world.ops)).send();
    let text = text.await.unwrap().text().await.unwrap();
    let found = text.lines().filter(|line| line.starts_with(series));
    found
        .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
        .sum()
}

#[actix_web::test]
async fn at_every_endpoint_a_made_up_id_is_answered_as_a_real_one_before_and_while_it_is_blocked() {
    for world in worlds_with(PROXIED).await {
        let mut seed = 0;
        for endpoint in ENDPOINTS {
            for shown in [Shown::Basic, Shown::Form] {
                let who = world.sandbox_client(&["orders:read"]).await;
                let (hits, misses) = (
                    "onyx_directory_lookups_total{kind=\"client\",outcome=\"hit\"}",
                    "onyx_directory_lookups_total{kind=\"client\",outcome=\"miss\"}",
                );
                let looked_up = metric(&world, hits).await + metric(&world, misses).await;
                let mut all = Vec::new();
                for id in [who.client_id.clone(), made_up(seed)] {
                    let show = async |world: &World, id: &str, from: &str| {
                        show(world, endpoint, shown, (id, "wrong"), from).await
                    };
                    all.push(guess_until_blocked(&world, &id, show, seed).await);
                    seed += 200;
                }
                let refused = if matches!(shown, Shown::Basic) {
                    401
                } else {
                    400
                };
                for (before, blocked) in &all {
                    assert!(before.len() >= 10, "{endpoint}: {}", before.len());
                    assert!(before.iter().all(|answer| answer.status == refused));
                    assert_eq!(told(&before[0]), told(&all[0].0[0]), "{endpoint}");
                    assert_eq!(told(blocked), told(&all[0].1), "{endpoint}");
                    let wait: u64 = blocked.header("retry-after").parse().unwrap();
                    assert!((1..=900).contains(&wait), "{wait}");
                    assert_eq!(
                        blocked.text,
                        r#"{"error":"temporarily_unavailable","error_description":"too many failed authentications: wait as long as Retry-After says","code":"too_many_failures"}"#
                    );
                }
                // Whoever waits is not looked up at all.
                let looked_up =
                    metric(&world, hits).await + metric(&world, misses).await - looked_up;
                let looked_at = all.iter().map(|(before, _)| before.len()).sum::<usize>();
                assert_eq!(looked_up, looked_at as f64, "{endpoint}");
            }
        }
    }
}

#[actix_web::test]
async fn a_partner_is_let_in_from_where_it_worked_whatever_others_do_and_after_a_restart() {
    for mut world in worlds_with(PROXIED).await {
        let who = world.sandbox_client(&["orders:read"]).await;
        let home = "198.51.100.1";
        ask(&world, &who, home).await.expect(200);
        let mut seed = 0;
        for _ in 0..4 {
            let (_, blocked) = guess_until_blocked(&world, &who.client_id, guess, seed).await;
            seed += 200;
            // From home its secret is looked at: a right one passes, a wrong one is told what all are told.
            ask(&world, &who, home).await.expect(200);
            let wrong = guess(&world, &who.client_id, home).await;
            if wrong.status == 429 {
                assert_eq!(told(&wrong), told(&blocked));
            }
        }
        // Elsewhere even the right secret waits, or a thief would learn that it is right.
        let mut waited = false;
        for n in 0..50 {
            guess_until_blocked(&world, &who.client_id, guess, seed).await;
            seed += 200;
            let elsewhere = ask(&world, &who, &format!("192.0.2.{n}")).await;
            waited = elsewhere.status == 429;
            if waited {
                break;
            }
        }
        assert!(waited);
        let passed = "onyx_authentications_blocked_total{outcome=\"passed\",subject=\"client\"}";
        assert!(metric(&world, passed).await >= 1.0);
        let blocks = "onyx_authentication_blocks_total{subject=\"client\"}";
        assert!(metric(&world, blocks).await >= 1.0);

        ask(&world, &who, home).await.expect(200);
        assert_eq!(world.terminate(), Some(0));
        world.start().await;
        guess_until_blocked(&world, &who.client_id, guess, seed).await;
        ask(&world, &who, home).await.expect(200);

        assert_eq!(world.terminate(), Some(0));
        let on_record = world.lines(&format!(
            "SELECT action AS line FROM audit_events WHERE actor = '{}' AND details LIKE '%too_many_failures%'",
            who.client_id
        ));
        assert!(!on_record.is_empty());
        assert!(
            on_record
                .iter()
                .all(|action| action == "authentication.refused")
        );
    }
}

#[actix_web::test]
async fn an_address_that_fails_at_many_ids_waits_unless_many_partners_share_it() {
    for world in worlds_with(PROXIED).await {
        let (known, new) = (
            world.sandbox_client(&["orders:read"]).await,
            world.sandbox_client(&["orders:read"]).await,
        );
        let alone = "2001:db8:1:2::1";
        ask(&world, &known, alone).await.expect(200);
        let mut failed = 0;
        loop {
            // One customer, however many addresses it has.
            let from = format!("2001:db8:1:2::{failed:x}");
            let answer = guess(&world, &made_up(failed), &from).await;
            if answer.status == 429 {
                break;
            }
            failed += 1;
            assert!(failed < 500);
        }
        assert!(failed >= 50, "{failed}");
        ask(&world, &known, alone).await.expect(200);
        ask(&world, &new, "2001:db8:1:3::1").await.expect(200);

        let shared = "198.51.100.9";
        for _ in 0..3 {
            let who = world.sandbox_client(&["orders:read"]).await;
            ask(&world, &who, shared).await.expect(200);
        }
        for n in 0..150 {
            assert_eq!(guess(&world, &made_up(1000 + n), shared).await.status, 401);
        }
        ask(&world, &new, shared).await.expect(200);
    }
}

/// Fails from one address, at another made-up id each time, until it must wait for so many seconds.
async fn fail_until_it_waits(world: &World, from: &str, seconds: u64) {
    for n in 0..2000 {
        let answer = guess(world, &made_up(n), from).await;
        if answer.status == 429 {
            let wait: u64 = answer.header("retry-after").parse().unwrap();
            if wait >= seconds {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    panic!("{from} never waits for {seconds} s");
}

#[actix_web::test]
async fn an_address_that_fails_after_a_restart_keeps_nobody_out_who_was_right_there_before() {
    for mut world in worlds_with(PROXIED).await {
        let (early, late) = (
            world.sandbox_client(&["orders:read"]).await,
            world.sandbox_client(&["orders:read"]).await,
        );
        let home = "198.51.100.1";
        for who in [&early, &late] {
            ask(&world, who, home).await.expect(200);
        }
        assert_eq!(world.terminate(), Some(0));
        world.start().await;
        // This process has seen neither of them.
        fail_until_it_waits(&world, home, 4).await;
        for who in [&early, &late] {
            ask(&world, who, home).await.expect(200);
            let wrong = guess(&world, &who.client_id, home).await;
            assert_eq!(wrong.status, 429);
        }
        let passed = "onyx_authentications_blocked_total{outcome=\"passed\",subject=\"address\"}";
        assert!(metric(&world, passed).await >= 2.0);

        // Of as many clients as may be held it is known: of those that were used last.
        assert_eq!(world.terminate(), Some(0));
        world.set("ONYX_CLIENT_CACHE", "1");
        world.start().await;
        fail_until_it_waits(&world, home, 4).await;
        assert_eq!(ask(&world, &early, home).await.status, 429);
        ask(&world, &late, home).await.expect(200);
    }
}

#[actix_web::test]
async fn what_nobody_trusted_says_of_the_address_does_not_count() {
    for world in worlds().await {
        let mut failed = 0;
        loop {
            let from = anywhere(failed);
            let request = world
                .request(Method::POST, "/sandbox/oauth2/token")
                .header("forwarded", format!("for={from}"))
                .header("x-forwarded-for", &from)
                .basic_auth(made_up(failed), Some("wrong"))
                .form(&[("grant_type", "client_credentials")]);
            if request.send().await.unwrap().status().as_u16() == 429 {
                break;
            }
            failed += 1;
            assert!(failed < 500);
        }
        assert!(failed >= 50, "{failed}");
    }
    for world in worlds_with(PROXIED).await {
        for n in 0..100 {
            assert_eq!(guess(&world, &made_up(n), &anywhere(n)).await.status, 401);
        }
    }
}

#[actix_web::test]
async fn successes_block_nobody_however_many_there_are() {
    for world in worlds_with(PROXIED).await {
        let who = world.sandbox_client(&["orders:read"]).await;
        for n in 0..200 {
            ask(&world, &who, &anywhere(n % 20)).await.expect(200);
            // Refused for what they ask, not for who they are.
            if n % 4 == 0 {
                let narrow = [("scope", "invoices:read")];
                let refused = world.token_answer("sandbox", &who, &narrow).await;
                assert_eq!(refused.status, 400);
            }
        }
    }
}

#[actix_web::test]
async fn whoever_breaks_off_before_it_is_answered_has_failed() {
    for world in worlds().await {
        if world.engine != Engine::Postgres {
            // The look-up cannot be held up there.
            continue;
        }
        let held = world.hold("LOCK TABLE clients IN ACCESS EXCLUSIVE MODE", 3);
        tokio::time::sleep(Duration::from_millis(300)).await;
        let mut sockets = Vec::new();
        for n in 0..60 {
            let mut socket = TcpStream::connect(world.base.trim_start_matches("http://"))
                .await
                .unwrap();
            let form = format!(
                "grant_type=client_credentials&client_id={}&client_secret=x",
                made_up(n)
            );
            let request = format!(
                "POST /sandbox/oauth2/token HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n\
                 Content-Length: {}\r\n\r\n{form}",
                form.len()
            );
            socket.write_all(request.as_bytes()).await.unwrap();
            sockets.push(socket);
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        for socket in sockets {
            // Its end is a reset.
            socket.set_zero_linger().unwrap();
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        let shown = (made_up(99), "x");
        let path = "/sandbox/oauth2/token";
        let request = world.request(Method::POST, path);
        let form = [("grant_type", "client_credentials")];
        let request = request.basic_auth(&shown.0, Some(shown.1)).form(&form);
        let answer = Answer::of(request.send().await.unwrap()).await;
        assert_eq!(answer.status, 429, "{}", answer.text);
        assert!(world.log().contains("POST - broken off after"));
        held.join().unwrap();
    }
}
