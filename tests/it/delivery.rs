//! A secret travels by a link that opens once, or encrypted to the recipient's key, and is never
//! to be had from the database.

mod commands;
mod ends;
mod links;
mod ways;

use onyx_auth::domain::id::DeliveryId;
use onyx_auth::keys::link::{LinkKey, Proof};
use serde_json::{Value, json};

use crate::support::world::{Answer, Credential, World};

/// A link, as who was sent it holds it.
struct Link {
    url: String,
    id: DeliveryId,
    key: LinkKey,
}

impl Link {
    fn of(issued: &Value) -> Self {
        assert_eq!(issued.get("secret"), None);
        let url = issued["delivery_url"].as_str().unwrap().to_owned();
        let (place, key) = url.split_once('#').unwrap();
        Self {
            id: place.rsplit('/').next().unwrap().parse().unwrap(),
            key: key.parse().unwrap(),
            url,
        }
    }

    fn place(&self) -> &str {
        self.url.split_once('#').unwrap().0
    }

    fn proof(&self) -> Proof {
        self.key.proof(&self.id).unwrap()
    }

    async fn post(&self, world: &World, part: &str, proof: &str) -> Answer {
        let url = format!("{}{part}", self.place());
        let request = world.http.post(url).json(&json!({ "proof": proof }));
        Answer::of(request.send().await.unwrap()).await
    }

    async fn open(&self, world: &World) -> Answer {
        self.post(world, "", self.proof().expose().as_str()).await
    }

    async fn disown(&self, world: &World) -> Answer {
        self.post(world, "/revoke", self.proof().expose().as_str())
            .await
    }

    fn unseal(&self, opened: &Value) -> Credential {
        let text = self
            .key
            .open(&self.id, opened["ciphertext"].as_str().unwrap())
            .unwrap();
        let letter: Value = serde_json::from_slice(&text).unwrap();
        let text = |name: &str| letter[name].as_str().unwrap().to_owned();
        Credential {
            partner_id: String::new(),
            client_id: text("client_id"),
            credential_id: text("credential_id"),
            secret: text("client_secret"),
        }
    }
}

/// A client without credentials, and its partner.
async fn bare_client(world: &World) -> (String, String) {
    let operator = world.operator().await;
    let partner = operator.partner().await;
    operator.sandbox_grant(&partner, "orders:read", None).await;
    let body = json!({ "realm": "sandbox", "name": "backend", "scopes": ["orders:read"] });
    let client = operator
        .post(&format!("/partners/{partner}/clients"), body)
        .await
        .expect(201);
    (partner, client["id"].as_str().unwrap().to_owned())
}

async fn issue(world: &World, client: &str, more: Value) -> Answer {
    let mut body = json!({ "kind": "secret" });
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    let path = format!("/clients/{client}/credentials");
    world.operator().await.post(&path, body).await
}

async fn linked(world: &World, client: &str) -> (Value, Link) {
    let issued = issue(world, client, json!({ "deliver": "link" })).await;
    let issued = issued.expect(201);
    let link = Link::of(&issued);
    (issued, link)
}

async fn credential(world: &World, client: &str, id: &str) -> Value {
    let list = world
        .operator()
        .await
        .get(&format!("/clients/{client}/credentials"))
        .await
        .expect(200);
    let rows = list["data"].as_array().unwrap();
    rows.iter().find(|row| row["id"] == id).unwrap().clone()
}

/// What the audit trail says of a credential, oldest first.
fn trail(world: &World, credential: &str) -> String {
    world
        .lines(&format!(
            "SELECT action || ' by ' || actor AS line FROM audit_events WHERE target = '{credential}' ORDER BY at, action"
        ))
        .join("\n")
}

/// Lets the time of a delivery run out.
fn run_out(world: &World, link: &Link) {
    world.execute(&format!(
        "UPDATE secret_deliveries SET created_at = '2020-01-01 00:00:00', expires_at = '2020-01-01 01:00:00' WHERE id = '{}'",
        link.id
    ));
}
