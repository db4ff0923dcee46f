//! Secrets are types that cannot be printed: held against the compiler.
//!
//! A type that is listed here has no `Display` and no `Serialize`, so it reaches no message and no JSON; if it
//! has a `Debug`, that says the type's name alone. A new type that carries a secret gets a line here.

use std::fmt::{Debug, Display};

use serde::Serialize;

use crate::domain::realm::Realm;
use crate::domain::secret::{PlainSecret, SecretHash};
use crate::domain::webhook::SignatureKind;
use crate::keys::webhook::{WebhookKey, WebhookSecret};

/// Does not compile if the type implements the trait: then two candidates fit the call.
macro_rules! cannot {
    ($trait:path: $($secret:ty),+ $(,)?) => { $(
        const _: fn() = || {
            trait Ambiguous<Of> {
                fn call() {}
            }
            struct Implements;
            impl<T: ?Sized> Ambiguous<()> for T {}
            impl<T: ?Sized + $trait> Ambiguous<Implements> for T {}
            let _ = <$secret as Ambiguous<_>>::call;
        };
    )+ };
}

macro_rules! secrets {
    ($($secret:ty),+ $(,)?) => {
        cannot!(Display: $($secret),+);
        cannot!(Serialize: $($secret),+);
    };
}

secrets!(
    PlainSecret,
    SecretHash,
    crate::keys::MasterKey,
    crate::keys::signer::SigningKey,
    crate::keys::ring::RingKey,
    crate::keys::KeyRing,
    crate::keys::link::LinkKey,
    crate::keys::link::Proof,
    crate::keys::webhook::WebhookSecret,
    crate::keys::webhook::WebhookKey,
    crate::store::webhook_secrets::Sealed,
    crate::oauth::request::TokenRequest,
    crate::http::extract::Follower,
    crate::admin::credentials::Issued,
    crate::admin::rotation::Rotated,
);

// These have no use for a `Debug` either.
cannot!(
    Debug: crate::http::extract::Follower,
    crate::oauth::issue::TokenAnswer,
);

/// What `Debug` says of whatever can be made here without a database.
#[test]
fn a_secrets_debug_is_its_name() {
    let secret = PlainSecret::generate(Realm::Live).unwrap();
    let master = crate::keys::master::tests::master(7);
    let hash = master.hash_secret(secret.expose().as_bytes());
    let form = format!(
        "grant_type=client_credentials&client_id=x&client_secret={}&token={}",
        secret.expose(),
        secret.expose()
    );
    let asked = crate::oauth::request::TokenRequest::read(&[], form.as_bytes()).unwrap();
    let key = crate::keys::link::LinkKey::generate().unwrap();
    let id = crate::domain::id::DeliveryId::generate().unwrap();
    let proof = key.proof(&id).unwrap();
    let signing = WebhookSecret::generate(SignatureKind::V1a).unwrap();
    let verifying: WebhookKey = signing.expose().parse().unwrap();
    let shown: [(&dyn Debug, &str); 8] = [
        (&signing, "WebhookSecret"),
        (&verifying, "WebhookKey"),
        (&key, "LinkKey"),
        (&proof, "Proof"),
        (&secret, "PlainSecret"),
        (&hash, "SecretHash"),
        (&master, "MasterKey"),
        (&asked, "TokenRequest"),
    ];
    for (value, name) in shown {
        assert_eq!(format!("{value:?}"), name);
        assert_eq!(format!("{value:#?}"), name);
    }
}

/// A message that quotes the error of an `unwrap` must not quote a secret with it.
#[test]
fn an_error_quotes_no_input() {
    let text = "onyx_live_sk_AlmostASecretButForItsChecksum777777777777777";
    let told = [
        format!("{:?}", text.parse::<PlainSecret>().unwrap_err()),
        format!(
            "{:?}",
            text.parse::<crate::domain::id::ClientId>().unwrap_err()
        ),
        format!(
            "{:?}",
            text.parse::<crate::domain::id::DeliveryId>().unwrap_err()
        ),
        format!(
            "{:?}",
            text.parse::<crate::logging::TraceParent>().unwrap_err()
        ),
        format!("{:?}", text.parse::<Realm>().unwrap_err()),
        format!("{:?}", text.parse::<WebhookKey>().unwrap_err()),
    ];
    for told in told {
        assert!(!told.contains("AlmostASecret"), "{told}");
    }
}
