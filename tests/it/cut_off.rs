//! Networks that stop forwarding: whoever hears nothing refuses in time, and comes back by itself.

use std::time::{Duration, Instant};

use onyx_verifier::{Rejection, Staleness, Verifier};

use crate::support::mesh::{AUDIENCE, Mesh, revoked, stock_client, stock_token, until};
use crate::support::proxy::Proxy;
use crate::support::world::{Answer, Credential, Engine, World, postgres};

/// Two tokens of one client, by credentials of their own.
struct Pair {
    good: String,
    doomed: String,
    /// The credential of the doomed one.
    credential: String,
}

impl Pair {
    async fn of(node: &World, who: &Credential) -> Self {
        let second = node.operator().await.issue(&who.client_id).await;
        Self {
            good: stock_token(node, who).await,
            doomed: stock_token(node, &second).await,
            credential: second.credential_id,
        }
    }

    async fn revoke(&self, node: &World) {
        let operator = node.operator().await;
        operator.revoke(&self.credential).await.expect(200);
    }
}

async fn said(verifier: &Verifier, token: &str) -> Result<(), Rejection> {
    verifier.verify(token).await.map(|_| ())
}

/// One of each policy, following a node.
async fn one_of_each(mesh: &Mesh, node: &World) -> [Verifier; 3] {
    [
        mesh.follower(node, AUDIENCE, Staleness::Strict).await,
        mesh.follower(node, AUDIENCE, Staleness::Introspect).await,
        mesh.follower(node, AUDIENCE, Staleness::Lenient).await,
    ]
}

const UNAVAILABLE: Result<(), Rejection> = Err(Rejection::Unavailable);

#[actix_web::test]
async fn a_node_that_is_cut_off_from_its_database_refuses_and_whoever_followed_it_turns_to_others()
{
    let mesh = Mesh::start(Engine::Postgres, 2, &[]).await;
    let server = postgres();
    let address = server.split('@').nth(1).unwrap().split('/').next().unwrap();
    let line = Proxy::to(address);
    let near = &mesh.nodes[0];
    let through = near.database_url().replace(address, &line.address);
    let far = near
        .neighbour_with(&[("ONYX_DATABASE_URL", &through), ("ONYX_MAX_STALENESS", "3")])
        .await;
    let who = stock_client(near).await;
    let pair = Pair::of(near, &who).await;
    let followers = one_of_each(&mesh, &far).await;
    // Whoever follows it has nobody else for now.
    mesh.door.point_at([far.base.as_str()]);
    for verifier in &followers {
        verifier.verify(&pair.doomed).await.unwrap();
    }

    line.hold();
    pair.revoke(near).await;
    let [strict, introspect, lenient] = &followers;
    until(strict, &pair.doomed, &UNAVAILABLE).await;
    until(introspect, &pair.doomed, &UNAVAILABLE).await;
    while lenient.accepted_while_stale() == 0 {
        lenient.verify(&pair.good).await.unwrap();
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let verify = format!("/sandbox/oauth2/verify?aud={AUDIENCE}");
    for _ in 0..20 {
        assert_eq!(said(strict, &pair.doomed).await, UNAVAILABLE);
        assert_eq!(said(introspect, &pair.doomed).await, UNAVAILABLE);
        // The node's own doors have closed before.
        assert_eq!(far.get(&verify, Some(&pair.doomed)).await.status, 503);
        assert_eq!(far.token_answer("sandbox", &who, &[]).await.status, 503);
        let asked = far
            .request(reqwest::Method::POST, "/sandbox/oauth2/introspect")
            .basic_auth(&mesh.service.client_id, Some(&mesh.service.secret))
            .form(&[("token", &pair.doomed)]);
        assert_eq!(Answer::of(asked.send().await.unwrap()).await.status, 503);
    }

    // Another node can be reached: it has the news.
    mesh.open_to_all();
    for verifier in &followers {
        until(verifier, &pair.doomed, &revoked()).await;
        until(verifier, &pair.good, &Ok(())).await;
    }

    line.release();
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let good = far.get(&verify, Some(&pair.good)).await.status;
        let doomed = far.get(&verify, Some(&pair.doomed)).await.status;
        assert_ne!(
            doomed, 200,
            "a node that comes back accepts what was revoked"
        );
        if (good, doomed) == (200, 401) {
            break;
        }
        assert!(Instant::now() < deadline, "{good} {doomed}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[actix_web::test]
async fn followers_of_a_node_that_is_cut_off_hear_from_others_before_they_have_to_refuse() {
    let mesh = Mesh::start(Engine::Postgres, 2, &[]).await;
    let server = postgres();
    let address = server.split('@').nth(1).unwrap().split('/').next().unwrap();
    let line = Proxy::to(address);
    let near = &mesh.nodes[0];
    let through = near.database_url().replace(address, &line.address);
    let far = near
        .neighbour_with(&[("ONYX_DATABASE_URL", &through), ("ONYX_MAX_STALENESS", "2")])
        .await;
    let pair = Pair::of(near, &stock_client(near).await).await;
    let strict = mesh.follower(&far, AUDIENCE, Staleness::Strict).await;
    line.hold();
    pair.revoke(near).await;
    // The cut-off node ends its streams; the door leads to the others.
    until(&strict, &pair.doomed, &revoked()).await;
    until(&strict, &pair.good, &Ok(())).await;
    line.release();
}

#[actix_web::test]
async fn a_service_that_is_cut_off_does_as_its_owner_chose_and_comes_back_by_itself() {
    for mesh in Mesh::each().await {
        let node = &mesh.nodes[0];
        let pair = Pair::of(node, &stock_client(node).await).await;
        let followers = one_of_each(&mesh, node).await;
        for verifier in &followers {
            verifier.verify(&pair.doomed).await.unwrap();
        }
        let [strict, introspect, lenient] = &followers;
        mesh.door.hold();
        pair.revoke(node).await;
        until(strict, &pair.doomed, &UNAVAILABLE).await;
        while lenient.accepted_while_stale() == 0 {
            lenient.verify(&pair.good).await.unwrap();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        // Who asks is not answered.
        until(introspect, &pair.good, &UNAVAILABLE).await;
        for _ in 0..200 {
            assert_eq!(said(strict, &pair.doomed).await, UNAVAILABLE);
            assert!(strict.news_age().unwrap() > Duration::from_secs(10));
        }
        mesh.door.release();
        for verifier in &followers {
            until(verifier, &pair.doomed, &revoked()).await;
            until(verifier, &pair.good, &Ok(())).await;
        }
    }
}

#[actix_web::test]
async fn without_the_feed_whoever_may_ask_asks() {
    for mesh in Mesh::each().await {
        let node = &mesh.nodes[0];
        let pair = Pair::of(node, &stock_client(node).await).await;
        let [strict, introspect, lenient] = &one_of_each(&mesh, node).await;
        for verifier in [strict, introspect, lenient] {
            verifier.verify(&pair.doomed).await.unwrap();
        }
        // Everything passes but the feed.
        mesh.door.swallow("/oauth2/revocations");
        mesh.door.hang_up();
        pair.revoke(node).await;
        until(introspect, &pair.doomed, &revoked()).await;
        until(strict, &pair.good, &UNAVAILABLE).await;
        until(introspect, &pair.good, &Ok(())).await;
        until(lenient, &pair.good, &Ok(())).await;
        for _ in 0..20 {
            assert_eq!(said(introspect, &pair.doomed).await, revoked());
            assert_eq!(said(strict, &pair.doomed).await, UNAVAILABLE);
        }
    }
}

#[actix_web::test]
async fn a_service_polls_where_streams_do_not_come_through_and_is_never_without_news() {
    for mesh in Mesh::each().await {
        let node = &mesh.nodes[0];
        let pair = Pair::of(node, &stock_client(node).await).await;
        mesh.door.swallow("/oauth2/revocations/stream");
        let strict = mesh.follower(node, AUDIENCE, Staleness::Strict).await;
        let polls = || mesh.door.heads("/oauth2/revocations?after=").len();
        let deadline = Instant::now() + Duration::from_secs(60);
        while polls() < 3 {
            assert_eq!(said(&strict, &pair.good).await, Ok(()));
            assert!(Instant::now() < deadline, "it does not poll");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(mesh.door.heads("/oauth2/revocations/stream").len(), 1);
        pair.revoke(node).await;
        until(&strict, &pair.doomed, &revoked()).await;
        assert_eq!(said(&strict, &pair.good).await, Ok(()));
    }
}

#[actix_web::test]
async fn a_broken_stream_is_opened_again_where_it_left_off_and_not_without_pause() {
    for mesh in Mesh::each().await {
        let node = &mesh.nodes[0];
        let who = stock_client(node).await;
        let (first, second) = (Pair::of(node, &who).await, stock_client(node).await);
        let strict = mesh.follower(node, AUDIENCE, Staleness::Strict).await;
        first.revoke(node).await;
        until(&strict, &first.doomed, &revoked()).await;

        mesh.door.hang_up();
        let deadline = Instant::now() + Duration::from_secs(30);
        let streams = loop {
            let streams = mesh.door.heads("/oauth2/revocations/stream");
            if streams.len() > 1 {
                break streams;
            }
            assert!(Instant::now() < deadline, "the stream is not opened again");
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        assert!(
            streams[1].contains("\r\nlast-event-id: 1\r\n"),
            "{}",
            streams[1]
        );

        // As long as nobody answers, it tries less and less often.
        let second = Pair::of(node, &second).await;
        let before = mesh.door.refused();
        mesh.door.cut();
        second.revoke(node).await;
        tokio::time::sleep(Duration::from_secs(4)).await;
        let tries = mesh.door.refused() - before;
        assert!((1..=40).contains(&tries), "{tries} tries in four seconds");
        mesh.door.mend();
        until(&strict, &second.doomed, &revoked()).await;
        until(&strict, &second.good, &Ok(())).await;
    }
}
