//! A verifier whose keys come from an issuer on a real socket.

use std::{
    iter,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use onyx_verifier::{Algorithm, Caller, ConnectError, Rejection, TokenFault, Verifier};
use serde_json::{Value, json};

use crate::{
    issuer::{AUDIENCE, SigningKey, claims, header, jwks, key, with},
    server::{Answer, Server},
};

const METADATA: &str = "/.well-known/oauth-authorization-server/live";
pub(crate) const JWKS: &str = "/live/oauth2/jwks";

/// An issuer that publishes itself and the keys that it is told to publish.
pub(crate) struct Issuer {
    pub(crate) server: Server,
    pub(crate) url: String,
}

impl Issuer {
    pub(crate) fn with_keys<'a>(keys: impl IntoIterator<Item = &'a SigningKey>) -> Self {
        let server = Server::start();
        let url = server.url("/live");
        let jwks_uri = server.url(JWKS);
        server.serve(
            METADATA,
            Answer::json(json!({"issuer": url, "jwks_uri": jwks_uri, "x": 1})),
        );
        let issuer = Self { server, url };
        issuer.publish(keys);
        issuer
    }

    pub(crate) fn publish<'a>(&self, keys: impl IntoIterator<Item = &'a SigningKey>) {
        self.server.serve(JWKS, Answer::json(json!(jwks(keys))));
    }

    async fn connect(&self) -> Result<Verifier, ConnectError> {
        Verifier::builder(&self.url, AUDIENCE).connect().await
    }

    /// A token that is good at this moment.
    pub(crate) fn token(&self, key: &SigningKey) -> String {
        self.token_for(json!(AUDIENCE), key)
    }

    /// The same for an audience, or for several.
    pub(crate) fn token_for(&self, audience: Value, key: &SigningKey) -> String {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs();
        let claims = [("iat", now), ("nbf", now), ("exp", now + 300)]
            .into_iter()
            .fold(claims(), |claims, (name, time)| {
                with(claims, name, json!(time))
            });
        let claims = with(with(claims, "iss", json!(self.url)), "aud", audience);
        let header = with(header(key.jwk.alg), "kid", json!(key.jwk.kid));
        key.token(header, claims)
    }
}

pub(crate) const UNKNOWN_KEY: Result<Caller, Rejection> =
    Err(Rejection::InvalidToken(TokenFault::UnknownKey));

#[tokio::test]
async fn a_verifier_finds_the_keys_through_the_metadata() {
    let issuer = Issuer::with_keys([key(Algorithm::Es256), key(Algorithm::EdDsa)]);
    let verifier = issuer.connect().await.unwrap();
    for algorithm in [Algorithm::Es256, Algorithm::EdDsa] {
        let token = issuer.token(key(algorithm));
        assert!(verifier.verify(&token).await.is_ok());
    }
    assert_eq!(issuer.server.hits(METADATA), 1);
    assert_eq!(issuer.server.hits(JWKS), 1);
}

#[tokio::test]
async fn a_given_jwks_uri_makes_metadata_unnecessary() {
    let issuer = Issuer::with_keys([key(Algorithm::Es256)]);
    let verifier = Verifier::builder(&issuer.url, AUDIENCE)
        .jwks_uri(issuer.server.url(JWKS))
        .connect()
        .await
        .unwrap();
    let token = issuer.token(key(Algorithm::Es256));
    assert!(verifier.verify(&token).await.is_ok());
    assert_eq!(issuer.server.hits(METADATA), 0);
}

#[tokio::test]
async fn a_new_key_is_learnt_from_the_first_token_that_it_signs() {
    let (old, new) = (
        key(Algorithm::Es256),
        SigningKey::generate(Algorithm::Es256).named("new"),
    );
    let issuer = Issuer::with_keys([old]);
    let verifier = issuer.connect().await.unwrap();

    issuer.publish([old, &new]);
    assert!(verifier.verify(&issuer.token(&new)).await.is_ok());
    assert!(verifier.verify(&issuer.token(old)).await.is_ok());
    assert_eq!(issuer.server.hits(JWKS), 2);
}

#[tokio::test]
async fn a_key_that_is_no_longer_published_is_forgotten() {
    let (old, new) = (
        key(Algorithm::Es256),
        SigningKey::generate(Algorithm::Es256).named("new"),
    );
    let issuer = Issuer::with_keys([old]);
    let verifier = issuer.connect().await.unwrap();

    issuer.publish([&new]);
    assert!(verifier.verify(&issuer.token(old)).await.is_ok());
    assert!(verifier.verify(&issuer.token(&new)).await.is_ok());
    assert_eq!(verifier.verify(&issuer.token(old)).await, UNKNOWN_KEY);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_unknown_keys_is_one_request() {
    let issuer = Issuer::with_keys([key(Algorithm::EdDsa)]);
    let verifier = issuer.connect().await.unwrap();
    let good = issuer.token(key(Algorithm::EdDsa));

    let stranger = SigningKey::generate(Algorithm::EdDsa);
    let callers: Vec<_> = (0..200)
        .map(|kid| {
            let header = with(
                header(Algorithm::EdDsa),
                "kid",
                json!(format!("unknown {kid}")),
            );
            let (verifier, token) = (verifier.clone(), stranger.token(header, claims()));
            tokio::spawn(async move { verifier.verify(&token).await })
        })
        .collect();
    assert!(verifier.verify(&good).await.is_ok());
    for caller in callers {
        assert_eq!(caller.await.unwrap(), UNKNOWN_KEY);
    }
    assert_eq!(issuer.server.hits(JWKS), 2);
}

#[tokio::test]
async fn a_failed_fetch_leaves_the_old_keys() {
    let (old, new) = (
        key(Algorithm::Es256),
        SigningKey::generate(Algorithm::Es256).named("new"),
    );
    let issuer = Issuer::with_keys([old]);
    let verifier = issuer.connect().await.unwrap();

    issuer.server.serve(JWKS, Answer::status(500));
    let unheard_of = verifier.verify(&issuer.token(&new)).await;
    assert_eq!(unheard_of, Err(Rejection::Unavailable));
    assert!(verifier.verify(&issuer.token(old)).await.is_ok());
}

#[tokio::test]
async fn a_caller_who_hangs_up_does_not_spoil_the_fetch_for_others() {
    let (old, new) = (
        key(Algorithm::Es256),
        SigningKey::generate(Algorithm::Es256).named("new"),
    );
    let issuer = Issuer::with_keys([old]);
    let verifier = issuer.connect().await.unwrap();

    let slow = Answer {
        delay: Duration::from_millis(300),
        ..Answer::json(json!(jwks([old, &new])))
    };
    issuer.server.serve(JWKS, slow);
    let token = issuer.token(&new);
    let hung_up = tokio::time::timeout(Duration::from_millis(50), verifier.verify(&token)).await;
    assert!(hung_up.is_err());
    assert!(verifier.verify(&token).await.is_ok());
    assert_eq!(issuer.server.hits(JWKS), 2);
}

#[tokio::test]
async fn only_an_unknown_key_makes_the_verifier_ask() {
    let issuer = Issuer::with_keys([key(Algorithm::Es256)]);
    let verifier = issuer.connect().await.unwrap();
    let es256 = key(Algorithm::Es256);
    for header in [
        with(header(Algorithm::Es256), "kid", Value::Null),
        with(header(Algorithm::Es256), "alg", json!("none")),
        with(header(Algorithm::Es256), "typ", json!("JWT")),
        with(
            header(Algorithm::Es256),
            "jku",
            json!(issuer.server.url("/evil")),
        ),
    ] {
        let refused = verifier.verify(&es256.token(header, claims())).await;
        assert!(matches!(refused, Err(Rejection::InvalidToken(_))));
    }
    assert_eq!(issuer.server.hits(JWKS), 1);
    assert_eq!(issuer.server.hits("/evil"), 0);
}

#[tokio::test]
async fn keys_that_are_too_old_are_not_used() {
    let issuer = Issuer::with_keys([key(Algorithm::Es256)]);
    let verifier = Verifier::builder(&issuer.url, AUDIENCE)
        .max_key_age(Duration::ZERO)
        .connect()
        .await
        .unwrap();
    let verdict = verifier.verify(&issuer.token(key(Algorithm::Es256))).await;
    assert_eq!(verdict, Err(Rejection::Unavailable));
}

#[tokio::test]
async fn one_odd_key_does_not_cost_the_others() {
    let good = key(Algorithm::Es256);
    let issuer = Issuer::with_keys([good]);
    let mut set = json!(jwks([good]));
    let keys = set.get_mut("keys").and_then(Value::as_array_mut).unwrap();
    keys.insert(
        0,
        json!({"kty": "EC", "crv": "P-256", "kid": "off the curve", "x": "eA", "y": "eQ"}),
    );
    keys.insert(
        0,
        json!({"kty": "AKP", "alg": "ML-DSA-44", "kid": "of the future", "pub": "eA"}),
    );
    issuer.server.serve(JWKS, Answer::json(set));
    let verifier = issuer.connect().await.unwrap();
    assert!(verifier.verify(&issuer.token(good)).await.is_ok());
}

#[tokio::test]
async fn metadata_of_another_issuer_are_refused() {
    let issuer = Issuer::with_keys([key(Algorithm::Es256)]);
    for other in [format!("{}/", issuer.url), issuer.server.url("/sandbox")] {
        let metadata = json!({"issuer": other, "jwks_uri": issuer.server.url(JWKS)});
        issuer.server.serve(METADATA, Answer::json(metadata));
        let refused = issuer.connect().await;
        assert!(
            matches!(&refused, Err(ConnectError::IssuerMismatch { expected, found })
                if *expected == issuer.url && *found == other),
            "{refused:?}"
        );
    }
    assert_eq!(issuer.server.hits(JWKS), 0);
}

#[tokio::test]
async fn what_is_not_a_key_set_makes_no_verifier() {
    let issuer = Issuer::with_keys([key(Algorithm::Es256)]);
    let url = issuer.server.url(JWKS);
    let fault = async |answer| {
        issuer.server.serve(JWKS, answer);
        issuer.connect().await.unwrap_err()
    };

    let missing = fault(Answer::status(404)).await;
    assert!(
        matches!(missing, ConnectError::Status { status: 404, .. }),
        "{missing}"
    );
    assert_eq!(
        missing.to_string(),
        format!("{url} answered with status 404")
    );

    let redirect = Answer {
        headers: "Location: /elsewhere\r\n",
        ..Answer::status(302)
    };
    let redirected = fault(redirect).await;
    assert!(
        matches!(redirected, ConnectError::Status { status: 302, .. }),
        "{redirected}"
    );
    assert_eq!(issuer.server.hits("/elsewhere"), 0);

    let text = fault(Answer::json("<html>")).await;
    assert!(matches!(text, ConnectError::Json { .. }), "{text}");

    let empty = fault(Answer::json(r#"{"keys":[]}"#)).await;
    assert!(matches!(empty, ConnectError::NoKeys), "{empty}");

    let long: String = iter::repeat_n(' ', 64 * 1024 + 1).collect();
    let long = fault(Answer::json(long)).await;
    assert!(matches!(long, ConnectError::TooLarge { .. }), "{long}");
}

#[tokio::test]
async fn keys_over_plain_http_are_refused_unless_local() {
    let issuer = Issuer::with_keys([key(Algorithm::Es256)]);
    let metadata = json!({"issuer": issuer.url, "jwks_uri": "http://keys.example/jwks"});
    issuer.server.serve(METADATA, Answer::json(metadata));
    let refused = issuer.connect().await;
    assert!(
        matches!(&refused, Err(ConnectError::Url { url, .. }) if url == "http://keys.example/jwks"),
        "{refused:?}"
    );
    let unreachable = Verifier::builder("http://auth.example/live", AUDIENCE)
        .connect()
        .await;
    assert!(matches!(unreachable, Err(ConnectError::Url { .. })));
}
