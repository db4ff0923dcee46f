//! What leads a partner to live.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::world::{Answer, Operator, World, in_future};

/// A day.
pub const DAY: Duration = Duration::from_secs(24 * 3600);

/// The checks that are computed, and those that people attest.
pub const COMPUTED: [&str; 5] = [
    "sandbox_order",
    "idempotent_retry",
    "webhook_verified",
    "billing_reconciled",
    "failure_recovery",
];
pub const ATTESTED: [&str; 2] = ["privacy_review", "support_path"];

/// The body of a contract that counts from a moment ago for a while.
pub fn contract(lasts: Duration) -> Value {
    json!({ "kind": "contract", "reference": "MSA-2026-17", "document_sha256": "ab".repeat(32),
            "lawful_basis": "contract", "in_force_from": "2026-01-01T00:00:00Z", "expires_at": in_future(lasts) })
}

/// The body of a privacy notice.
pub fn notice() -> Value {
    json!({ "requests": "orders of the customer", "purpose": "showing them", "retention": "30 days",
            "how_to_revoke": "in the account's settings", "support_contact": "privacy@acme.example" })
}

impl Operator<'_> {
    /// A request with a body.
    pub async fn send(&self, method: Method, path: &str, body: Value) -> Answer {
        let request = self
            .world
            .request(method, &format!("/admin/v1{path}"))
            .bearer_auth(&self.token)
            .json(&body);
        Answer::of(request.send().await.unwrap()).await
    }

    /// A contract in force; answers its id.
    pub async fn contract(&self, partner: &str, lasts: Duration) -> String {
        let path = format!("/partners/{partner}/agreements");
        let draft = self.post(&path, contract(lasts)).await.expect(201);
        let id = draft["id"].as_str().unwrap().to_owned();
        let path = format!("/agreements/{id}/bring-into-force");
        self.post(&path, json!({})).await.expect(200);
        id
    }

    /// Puts a privacy notice on record.
    pub async fn privacy_notice(&self, partner: &str) {
        let path = format!("/partners/{partner}/privacy-notice");
        self.send(Method::PUT, &path, notice()).await.expect(200);
    }

    /// Settles a check of the newest launch review.
    pub async fn check(&self, partner: &str, check: &str, body: Value) -> Answer {
        let path = format!("/partners/{partner}/launch-review/checks/{check}");
        self.post(&path, body).await
    }

    /// Decides the newest launch review.
    pub async fn decide_launch(&self, partner: &str, decision: &str) -> Answer {
        let path = format!("/partners/{partner}/launch-review/decide");
        let body = json!({ "decision": decision, "reason": "seen" });
        self.post(&path, body).await
    }

    /// Asks for a launch review and has it submitted: the second waives, this one attests.
    pub async fn submitted_review(&self, second: &Operator<'_>, partner: &str) {
        let path = format!("/partners/{partner}/launch-review");
        self.post(&path, json!({})).await.expect(201);
        for check in COMPUTED {
            let waived = json!({ "state": "waived", "reason": "not in this version" });
            second.check(partner, check, waived).await.expect(200);
        }
        for check in ATTESTED {
            let passed = json!({ "state": "passed", "evidence": "filed as PR-7" });
            self.check(partner, check, passed).await.expect(200);
        }
    }

    /// Gives an approved partner all that it needs for live: a contract of a year, a privacy notice, and a
    /// launch review that the second operator, nobody's puppet, approves.
    pub async fn ready_for_live(&self, second: &Operator<'_>, partner: &str) {
        self.contract(partner, 365 * DAY).await;
        self.privacy_notice(partner).await;
        self.submitted_review(second, partner).await;
        second.decide_launch(partner, "approve").await.expect(200);
    }
}

impl World {
    /// What the database says to a statement that it must refuse.
    pub fn refused_by_database(&self, statement: &str) -> String {
        match self.engine {
            super::world::Engine::Sqlite => {
                use diesel::prelude::*;
                let path = self.path().join("data/onyx.db");
                let mut db = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
                let refused = diesel::sql_query(statement).execute(&mut db);
                refused.expect_err(statement).to_string()
            }
            super::world::Engine::Postgres => {
                let mut psql = std::process::Command::new("psql");
                let url = self.database_url();
                let output =
                    psql.args(["-qAt", "-v", "ON_ERROR_STOP=1", "-d", &url, "-c", statement]);
                let output = output.output().unwrap();
                assert!(!output.status.success(), "{statement}");
                String::from_utf8(output.stderr).unwrap()
            }
        }
    }
}
