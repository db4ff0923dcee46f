//! What verifying a token costs beside the signature check alone.
//!
//! `cargo bench --bench verify` prints, for each algorithm, the raw check with a parsed key, a cold
//! verification (nothing remembered) and a warm one, in microseconds, and the ratio.

#![expect(
    clippy::unwrap_used,
    reason = "a benchmark that cannot be set up should stop at once"
)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA256, RsaPublicKeyComponents,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use onyx_auth::domain::Algorithm;
use onyx_auth::keys::{generate, signer::SigningKey};
use onyx_verifier::{Jwk, JwkKey, JwkSet, Verifier};

const NOW: i64 = 1_800_000_000;
/// How long each thing is measured in one round; rounds alternate, and the median counts.
const ROUND: Duration = Duration::from_millis(150);
const ROUNDS: usize = 7;

fn main() {
    println!(
        "{:<6} {:>9} {:>9} {:>9} {:>9}",
        "alg", "raw µs", "cold µs", "warm µs", "cold/raw"
    );
    for alg in Algorithm::ALL {
        let key = SigningKey::from_pkcs8(alg, &generate::pkcs8(alg).unwrap()).unwrap();
        let token = key.sign_access_token(&claims()).unwrap();
        let verifier = |remembered| {
            Verifier::builder("https://auth.example/live", "https://auth.example/live/v1")
                .remember(remembered)
                .jwks(JwkSet {
                    keys: vec![key.jwk().clone()],
                })
                .unwrap()
        };
        let (cold, warm) = (verifier(0), verifier(1000));
        let (message, signature) = token.rsplit_once('.').unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        let public = parsed(key.jwk());

        let (mut raws, mut colds, mut warms) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            raws.push(micros(|| {
                public.verify_sig(message.as_bytes(), &signature).unwrap()
            }));
            colds.push(micros(|| {
                drop(black_box(cold.verify_at(black_box(&token), NOW).unwrap()))
            }));
            warms.push(micros(|| {
                drop(black_box(warm.verify_at(black_box(&token), NOW).unwrap()))
            }));
        }
        let (raw, cold, warm) = (median(raws), median(colds), median(warms));
        println!(
            "{:<6} {raw:>9.2} {cold:>9.2} {warm:>9.3} {:>9.2}",
            alg.as_str(),
            cold / raw
        );
    }
}

/// Microseconds a call.
fn micros(mut work: impl FnMut()) -> f64 {
    let (started, mut calls) = (Instant::now(), 0u32);
    while started.elapsed() < ROUND {
        for _ in 0..50 {
            work();
        }
        calls += 50;
    }
    started.elapsed().as_secs_f64() * 1e6 / f64::from(calls)
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or_default()
}

fn claims() -> serde_json::Value {
    serde_json::json!({
        "iss": "https://auth.example/live", "sub": "cl_live_01ARZ3NDEKTSV4RRFFQ69G5FAV",
        "client_id": "cl_live_01ARZ3NDEKTSV4RRFFQ69G5FAV", "aud": "https://auth.example/live/v1",
        "scope": "catalogue:read orders:create orders:read usage:read", "iat": NOW, "nbf": NOW,
        "exp": NOW + 300, "jti": "1gkLzcSSNzAAiJ2HBKs5Td", "partner_id": "ptn_01ARZ3NDEKTSV4RRFFQ69G5FAV",
        "env": "live", "credential_id": "crd_01ARZ3NDEKTSV4RRFFQ69G5FAV", "rsn": 0,
    })
}

/// The raw check's key, parsed once.
fn parsed(jwk: &Jwk) -> ParsedPublicKey {
    let bytes = |text: &str| URL_SAFE_NO_PAD.decode(text).unwrap();
    match (&jwk.key, jwk.alg) {
        (JwkKey::Ec { x, y, .. }, _) => {
            let point = [vec![4], bytes(x), bytes(y)].concat();
            ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).unwrap()
        }
        (JwkKey::Okp { x, .. }, _) => ParsedPublicKey::new(&ED25519, bytes(x)).unwrap(),
        (JwkKey::Rsa { n, e }, alg) => {
            let scheme = match alg {
                Algorithm::Ps256 => &RSA_PSS_2048_8192_SHA256,
                _ => &RSA_PKCS1_2048_8192_SHA256,
            };
            RsaPublicKeyComponents {
                n: bytes(n),
                e: bytes(e),
            }
            .to_parsed_public_key(scheme)
            .unwrap()
        }
    }
}
