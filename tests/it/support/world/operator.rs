//! What operators do in the stories.

use std::time::Duration;

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::{Answer, Credential, World, claims, in_future};

/// An operator at the admin API.
pub struct Operator<'a> {
    pub world: &'a World,
    pub token: String,
}

impl Operator<'_> {
    pub async fn get(&self, path: &str) -> Answer {
        self.world
            .get(&format!("/admin/v1{path}"), Some(&self.token))
            .await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        let request = self
            .world
            .request(Method::POST, &format!("/admin/v1{path}"));
        Answer::of(
            request
                .bearer_auth(&self.token)
                .json(&body)
                .send()
                .await
                .unwrap(),
        )
        .await
    }

    /// An approved partner's id.
    pub async fn partner(&self) -> String {
        let body = json!({ "name": "Acme", "legal_name": "Acme Ltd", "security_contact": "sec@acme.example" });
        let partner = self.post("/partners", body).await.expect(201);
        let id = partner["id"].as_str().unwrap().to_owned();
        self.post(&format!("/partners/{id}/approve"), json!({}))
            .await
            .expect(200);
        id
    }

    /// Gives a partner limits that no test meets, for stories that ask as often as they can.
    pub async fn widen_limits(&self, partner: &str) {
        for realm in ["sandbox", "live"] {
            let body = json!({
                "realm": realm, "mode": "enforce",
                "requests_per_minute": 10_000_000, "burst": 1_000_000, "tokens_per_minute": 10_000_000,
            });
            self.send(Method::PUT, &format!("/partners/{partner}/limits"), body)
                .await
                .expect(200);
        }
    }

    /// Asks for a grant that ends in 30 days.
    pub async fn request_grant(
        &self,
        partner: &str,
        realm: &str,
        scope: &str,
        resource: Option<&str>,
    ) -> Answer {
        self.request_grant_until(
            partner,
            realm,
            scope,
            resource,
            Duration::from_secs(30 * 24 * 3600),
        )
        .await
    }

    /// Asks for a grant that ends after a while.
    pub async fn request_grant_until(
        &self,
        partner: &str,
        realm: &str,
        scope: &str,
        resource: Option<&str>,
        lasts: Duration,
    ) -> Answer {
        let body = json!({
            "realm": realm,
            "scope": scope,
            "resource": resource,
            "purpose": "showing orders to the customer who made them",
            "lawful_basis": "contract",
            "data_classes": ["orders"],
            "retention_days": 30,
            "expires_at": in_future(lasts),
        });
        self.post(&format!("/partners/{partner}/scope-grants"), body)
            .await
    }

    /// A sandbox grant, approved at once by policy.
    pub async fn sandbox_grant(&self, partner: &str, scope: &str, resource: Option<&str>) {
        let grant = self
            .request_grant(partner, "sandbox", scope, resource)
            .await
            .expect(201);
        assert_eq!(
            (grant["state"].as_str(), grant["decided_by"].as_str()),
            (Some("approved"), Some("policy"))
        );
    }

    /// Registers an audience; its `client_id` is that of its own client.
    pub async fn resource_server(
        &self,
        realm: &str,
        identifier: &str,
        scopes: &[&str],
        alg: &str,
    ) -> Value {
        let body = json!({ "realm": realm, "identifier": identifier, "name": "a service", "scopes": scopes, "signing_alg": alg });
        self.post("/resource-servers", body).await.expect(201)
    }

    /// A client of a partner with a secret.
    pub async fn client(&self, partner: &str, realm: &str, scopes: &[&str]) -> Credential {
        let body = json!({ "realm": realm, "name": "backend", "scopes": scopes });
        self.client_with(partner, body).await
    }

    /// The same with a body of one's own.
    pub async fn client_with(&self, partner: &str, body: Value) -> Credential {
        let client = self
            .post(&format!("/partners/{partner}/clients"), body)
            .await
            .expect(201);
        Credential {
            partner_id: partner.to_owned(),
            ..self.issue(client["id"].as_str().unwrap()).await
        }
    }

    /// Issues a secret.
    pub async fn issue(&self, client: &str) -> Credential {
        let issued = self
            .post(
                &format!("/clients/{client}/credentials"),
                json!({ "kind": "secret" }),
            )
            .await;
        let issued = issued.expect(201);
        Credential {
            partner_id: String::new(),
            client_id: client.to_owned(),
            credential_id: issued["id"].as_str().unwrap().to_owned(),
            secret: issued["secret"].as_str().unwrap().to_owned(),
        }
    }

    /// `PATCH`.
    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        let path = format!("/admin/v1{path}");
        let request = self.world.request(Method::PATCH, &path);
        let request = request.bearer_auth(&self.token).json(&body);
        Answer::of(request.send().await.unwrap()).await
    }

    /// `POST`, not sent yet.
    pub fn posting(&self, path: &str, body: &Value) -> RequestBuilder {
        let path = format!("/admin/v1{path}");
        let request = self.world.request(Method::POST, &path);
        request.bearer_auth(&self.token).json(body)
    }

    /// An operator of this one's making, with a token.
    pub async fn puppet(&self, scopes: &[&str]) -> Self {
        let made = self
            .post("/operators", json!({ "name": "made", "scopes": scopes }))
            .await
            .expect(201);
        let credential = self.issue(made["id"].as_str().unwrap()).await;
        let world = self.world;
        Self {
            world,
            token: world.token("admin", &credential, &[]).await,
        }
    }

    /// The operator's client id.
    pub fn id(&self) -> String {
        claims(&self.token)["client_id"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// Revokes a credential.
    pub async fn revoke(&self, credential: &str) -> Answer {
        self.post(
            &format!("/credentials/{credential}/revoke"),
            json!({ "reason": "compromised" }),
        )
        .await
    }
}
