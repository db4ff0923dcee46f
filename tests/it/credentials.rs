//! Secrets are rotated: by operators, by the partner itself, finished early or taken back.

mod commands;
mod own;
mod races;
mod rotation;
mod uses;

use reqwest::Method;
use serde_json::Value;

use crate::support::world::{Answer, Credential, Operator, World};

/// A verb on a credential.
async fn verb(operator: &Operator<'_>, id: &str, verb: &str, body: Value) -> Answer {
    operator
        .post(&format!("/credentials/{id}/{verb}"), body)
        .await
}

/// The successor that a rotation's answer shows.
fn successor(old: &Credential, rotated: &Value) -> Credential {
    Credential {
        credential_id: rotated["id"].as_str().unwrap().to_owned(),
        secret: rotated["secret"].as_str().unwrap().to_owned(),
        ..old.clone()
    }
}

async fn rotate(operator: &Operator<'_>, old: &Credential, body: Value) -> Credential {
    let rotated = verb(operator, &old.credential_id, "rotate", body).await;
    successor(old, &rotated.expect(201))
}

async fn status(world: &World, who: &Credential) -> u16 {
    world.token_answer("sandbox", who, &[]).await.status
}

/// A credential as the list of its client's shows it.
async fn listed(operator: &Operator<'_>, who: &Credential) -> Value {
    let path = format!("/clients/{}/credentials", who.client_id);
    let list = operator.get(&path).await.expect(200);
    let mut rows = list["data"].as_array().unwrap().iter();
    let found = rows.find(|row| row["id"] == who.credential_id.as_str());
    found.unwrap().clone()
}

/// What a client gets that rotates its own secret.
async fn rotate_own(world: &World, realm: &str, who: &Credential) -> Answer {
    let path = format!("/{realm}/oauth2/credentials/rotate");
    let request = world.request(Method::POST, &path);
    let request = request.basic_auth(&who.client_id, Some(&who.secret));
    Answer::of(request.send().await.unwrap()).await
}

fn own_successor(old: &Credential, rotated: &Value) -> Credential {
    Credential {
        credential_id: rotated["credential_id"].as_str().unwrap().to_owned(),
        secret: rotated["client_secret"].as_str().unwrap().to_owned(),
        ..old.clone()
    }
}

/// How often a subject's tokens were made to die.
fn revocations(world: &World, who: &Credential) -> usize {
    let id = &who.credential_id;
    let query = format!("SELECT kind AS line FROM revocations WHERE id = '{id}'");
    let kinds = world.lines(&query);
    assert!(kinds.iter().all(|kind| kind == "credential"));
    kinds.len()
}

/// What partners were told of, oldest first.
fn told(world: &World, who: &Credential) -> Vec<String> {
    let partner = &who.partner_id;
    world.lines(&format!(
        "SELECT kind AS line FROM events WHERE partner_id = '{partner}' ORDER BY realm, seq"
    ))
}
