//! A verifier that follows the revocations of an issuer on a real socket.

use std::time::Duration;

use onyx_verifier::{Algorithm, Caller, Rejection, Staleness, TokenFault, Verifier};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    issuer::{AUDIENCE, NOW, SigningKey, key},
    remote::{Issuer, JWKS, UNKNOWN_KEY},
    server::Answer,
};

const TOKEN: &str = "/live/oauth2/token";
const FEED: &str = "/live/oauth2/revocations";
const STREAM: &str = "/live/oauth2/revocations/stream";
const INTROSPECT: &str = "/live/oauth2/introspect";
const INVOICES: &str = "https://invoices.example";

const REVOKED: Result<Caller, Rejection> = Err(Rejection::InvalidToken(TokenFault::Revoked));

/// An issuer whose feed begins anew whenever somebody listens: each time what it tells is read whole.
fn issuer(key: &SigningKey) -> Issuer {
    let issuer = Issuer::with_keys([key]);
    let token = json!({"access_token": "for the feed", "expires_in": 300});
    issuer.server.serve(TOKEN, Answer::json(token));
    issuer.server.serve(STREAM, Answer::status(410));
    tell(&issuer, json!([]));
    issuer
}

/// What the issuer's feed tells from now on.
fn tell(issuer: &Issuer, entries: Value) {
    let page = json!({"cursor": 7, "as_of": NOW, "entries": entries});
    issuer.server.serve(FEED, Answer::json(page));
}

/// The feed's entry for a revoked key.
fn revoked(key: &SigningKey) -> Value {
    json!([{"seq": 7, "kind": "key", "id": key.jwk.kid, "revoked_at": NOW, "expires_at": NOW + 965}])
}

/// Waits until what the feed tells now has been taken in.
async fn heard(issuer: &Issuer) {
    let before = issuer.server.hits(FEED);
    for _ in 0..250 {
        // Whoever asks a second time has done with the first answer.
        if issuer.server.hits(FEED) >= before + 2 {
            return;
        }
        sleep(Duration::from_millis(20)).await;
    }
    panic!("the feed was not read within 5 seconds");
}

/// A verifier that follows the issuer, and for which news of this age is old.
async fn follower(issuer: &Issuer, staleness: Staleness, max_staleness: u64) -> Verifier {
    Verifier::builder(&issuer.url, AUDIENCE)
        .follow("cl_live_service", "secret")
        .staleness(staleness)
        .max_staleness(Duration::from_secs(max_staleness))
        .connect()
        .await
        .unwrap()
}

#[tokio::test]
async fn what_the_issuer_does_not_tell_about_another_audience_is_no_revocation() {
    let key = key(Algorithm::Es256);
    let issuer = issuer(key);
    let orders = follower(&issuer, Staleness::Introspect, 0).await;
    let invoices = orders.for_audience(INVOICES);
    let for_invoices = issuer.token_for(json!(INVOICES), key);
    let for_both = issuer.token_for(json!([AUDIENCE, INVOICES]), key);

    // So it answers where a token is not meant for the audience of the client that asks.
    let inactive = Answer::json(json!({"active": false}));
    issuer.server.serve(INTROSPECT, inactive);
    let verdict = invoices.verify(&for_invoices).await;
    assert_eq!(verdict, Err(Rejection::Unavailable));
    assert_eq!(issuer.server.hits(INTROSPECT), 0);

    // Of its own audience's tokens, whoever looks at them, it says what is true.
    let for_orders = issuer.token(key);
    assert_eq!(orders.verify(&for_orders).await, REVOKED);
    let again = invoices.for_audience(AUDIENCE);
    assert_eq!(again.verify(&for_orders).await, REVOKED);
    assert_eq!(invoices.verify(&for_both).await, REVOKED);
    let active = Answer::json(json!({"active": true}));
    issuer.server.serve(INTROSPECT, active);
    assert!(orders.verify(&for_orders).await.is_ok());
    assert!(invoices.verify(&for_both).await.is_ok());
}

#[tokio::test]
async fn another_audience_is_served_while_the_news_is_young() {
    let key = key(Algorithm::Es256);
    let issuer = issuer(key);
    let orders = follower(&issuer, Staleness::Introspect, 3600).await;
    let token = issuer.token_for(json!(INVOICES), key);
    let verdict = orders.for_audience(INVOICES).verify(&token).await;
    assert!(verdict.is_ok(), "{verdict:?}");
}

#[tokio::test]
async fn a_revoked_key_stays_dead_when_the_feed_begins_anew_without_it() {
    let stolen = key(Algorithm::Es256);
    let issuer = issuer(stolen);
    let verifier = follower(&issuer, Staleness::Strict, 3600).await;
    assert!(verifier.verify(&issuer.token(stolen)).await.is_ok());

    // From now on only the feed can be fetched.
    issuer.server.serve(JWKS, Answer::status(500));
    tell(&issuer, revoked(stolen));
    heard(&issuer).await;
    assert_eq!(verifier.verify(&issuer.token(stolen)).await, REVOKED);

    // The issuer has forgotten it: no token that it gave out itself can be alive.
    tell(&issuer, json!([]));
    heard(&issuer).await;
    assert_eq!(verifier.verify(&issuer.token(stolen)).await, REVOKED);
}

#[tokio::test]
async fn a_key_is_fetched_at_once_when_a_feed_that_begins_anew_revokes_the_one_before() {
    let stolen = key(Algorithm::Es256);
    let next = SigningKey::generate(Algorithm::Es256).named("next");
    let stranger = SigningKey::generate(Algorithm::Es256).named("stranger");
    let issuer = issuer(stolen);
    let verifier = follower(&issuer, Staleness::Strict, 3600).await;
    // Somebody has just had the keys fetched: for 30 seconds nobody else has.
    let unknown = verifier.verify(&issuer.token(&stranger)).await;
    assert_eq!(unknown, UNKNOWN_KEY);
    assert_eq!(issuer.server.hits(JWKS), 2);

    issuer.publish([&next]);
    tell(&issuer, revoked(stolen));
    heard(&issuer).await;
    let verdict = verifier.verify(&issuer.token(&next)).await;
    assert!(verdict.is_ok(), "{verdict:?}");
    assert_eq!(issuer.server.hits(JWKS), 3);

    // The same once more is no news.
    heard(&issuer).await;
    let unknown = verifier.verify(&issuer.token(&stranger)).await;
    assert_eq!(unknown, UNKNOWN_KEY);
    assert_eq!(issuer.server.hits(JWKS), 3);
}
