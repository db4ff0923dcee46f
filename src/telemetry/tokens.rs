//! What is measured of the token endpoint.

use prometheus::{IntCounter, IntCounterVec, Registry};

use super::making::counters;
use crate::domain::realm::Realm;

/// What the token endpoint did.
pub struct Tokens {
    sandbox: IntCounter,
    live: IntCounter,
    admin: IntCounter,
    refused: IntCounterVec,
}

impl Tokens {
    pub(super) fn register(r: &Registry) -> Self {
        let issued = counters(
            r,
            "onyx_tokens_issued_total",
            "Access tokens given out.",
            &["realm"],
        );
        Self {
            sandbox: issued.with_label_values(&["sandbox"]),
            live: issued.with_label_values(&["live"]),
            admin: issued.with_label_values(&["admin"]),
            refused: counters(
                r,
                "onyx_tokens_refused_total",
                "Token requests refused, by the code that the caller was told.",
                &["realm", "reason"],
            ),
        }
    }

    /// A token was given out.
    pub fn issued(&self, realm: Realm) {
        self.issued_in(realm).inc();
    }

    /// A token request was refused, with the code that the caller was told.
    pub fn refused(&self, realm: Realm, reason: &'static str) {
        self.refused
            .with_label_values(&[realm.as_str(), reason])
            .inc();
    }

    fn issued_in(&self, realm: Realm) -> &IntCounter {
        match realm {
            Realm::Sandbox => &self.sandbox,
            Realm::Live => &self.live,
            Realm::Admin => &self.admin,
        }
    }
}
