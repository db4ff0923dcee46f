//! Revocations of every height, in any order, against a model that fits on a page.

use std::time::{Duration, Instant};

use onyx_verifier::{Staleness, Verifier};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use serde_json::json;

use crate::support::mesh::{AUDIENCE, Mesh, revoked, says, until};
use crate::support::world::{Credential, World};

/// How many sequences are told to each engine.
const SEQUENCES: usize = 6;
const SCOPES: [&str; 2] = ["stock:read", "stock:write"];

/// Something that happens, to the one of two that a number says.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// A token for a partner's client by a credential: of the first scope, the second, or both.
    Issue(usize, usize, usize, usize),
    RevokeToken(usize),
    RevokeCredential(usize, usize, usize),
    RevokeClient(usize, usize),
    RevokeGrant(usize, usize),
    SuspendClient(usize, usize),
    ResumeClient(usize, usize),
    SuspendPartner(usize),
    ResumePartner(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let (a, b, c) = (0..2usize, 0..2usize, 0..2usize);
    prop_oneof![
        12 => (a.clone(), b.clone(), c.clone(), 0..3usize).prop_map(|(p, c, k, s)| Step::Issue(p, c, k, s)),
        3 => (0..40usize).prop_map(Step::RevokeToken),
        2 => (a.clone(), b.clone(), c).prop_map(|(p, c, k)| Step::RevokeCredential(p, c, k)),
        1 => (a.clone(), b.clone()).prop_map(|(p, c)| Step::RevokeClient(p, c)),
        1 => (a.clone(), b.clone()).prop_map(|(p, s)| Step::RevokeGrant(p, s)),
        3 => (a.clone(), b.clone()).prop_map(|(p, c)| Step::SuspendClient(p, c)),
        4 => (a.clone(), b).prop_map(|(p, c)| Step::ResumeClient(p, c)),
        2 => a.clone().prop_map(Step::SuspendPartner),
        3 => a.prop_map(Step::ResumePartner),
    ]
}

/// A client's state, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Active,
    Suspended,
    Revoked,
}

/// What ought to be true: no numbers, no clocks, no nodes.
struct Model {
    partners: [bool; 2],
    grants: [[bool; 2]; 2],
    clients: [[State; 2]; 2],
    credentials: [[[bool; 2]; 2]; 2],
    tokens: Vec<Held>,
}

/// A token that was given out.
#[derive(Clone, Debug)]
struct Held {
    partner: usize,
    client: usize,
    credential: usize,
    scopes: Vec<usize>,
    lives: bool,
}

impl Model {
    fn new() -> Self {
        Self {
            partners: [true; 2],
            grants: [[true; 2]; 2],
            clients: [[State::Active; 2]; 2],
            credentials: [[[true; 2]; 2]; 2],
            tokens: Vec::new(),
        }
    }

    fn kill(&mut self, whom: impl Fn(&Held) -> bool) -> bool {
        for token in &mut self.tokens {
            token.lives &= !whom(token);
        }
        true
    }

    /// Takes a step; `false`: it cannot be taken from here.
    fn take(&mut self, step: Step) -> bool {
        match step {
            Step::Issue(p, c, k, s) => {
                let scopes = scopes(s);
                let may = self.partners[p]
                    && self.clients[p][c] == State::Active
                    && self.credentials[p][c][k]
                    && scopes.iter().all(|scope| self.grants[p][*scope]);
                if may {
                    self.tokens.push(Held {
                        partner: p,
                        client: c,
                        credential: k,
                        scopes,
                        lives: true,
                    });
                }
                may
            }
            Step::RevokeToken(nth) => {
                let Some(token) = self.tokens.get_mut(nth) else {
                    return false;
                };
                token.lives = false;
                true
            }
            Step::RevokeCredential(p, c, k) => {
                std::mem::replace(&mut self.credentials[p][c][k], false)
                    && self.kill(|t| (t.partner, t.client, t.credential) == (p, c, k))
            }
            Step::RevokeClient(p, c) => {
                self.credentials[p][c] = [false; 2];
                std::mem::replace(&mut self.clients[p][c], State::Revoked) != State::Revoked
                    && self.kill(|t| (t.partner, t.client) == (p, c))
            }
            Step::RevokeGrant(p, s) => {
                std::mem::replace(&mut self.grants[p][s], false)
                    && self.kill(|t| t.partner == p && t.scopes.contains(&s))
            }
            Step::SuspendClient(p, c) => {
                if self.clients[p][c] != State::Active {
                    return false;
                }
                self.clients[p][c] = State::Suspended;
                self.kill(|t| (t.partner, t.client) == (p, c))
            }
            Step::ResumeClient(p, c) => {
                let may = self.clients[p][c] == State::Suspended;
                if may {
                    self.clients[p][c] = State::Active;
                }
                may
            }
            Step::SuspendPartner(p) => {
                std::mem::replace(&mut self.partners[p], false) && self.kill(|t| t.partner == p)
            }
            Step::ResumePartner(p) => !std::mem::replace(&mut self.partners[p], true),
        }
    }
}

fn scopes(nth: usize) -> Vec<usize> {
    match nth {
        0 => vec![0],
        1 => vec![1],
        _ => vec![0, 1],
    }
}

/// The same, in a database.
struct Real {
    partners: Vec<String>,
    grants: Vec<Vec<String>>,
    /// By partner, client and number.
    credentials: Vec<Vec<Vec<Credential>>>,
    tokens: Vec<String>,
}

impl Real {
    async fn prepare(node: &World) -> Self {
        let operator = node.operator().await;
        let (mut partners, mut grants, mut credentials) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..2 {
            let partner = operator.partner().await;
            let mut ids = Vec::new();
            for scope in SCOPES {
                let grant = operator.request_grant(&partner, "sandbox", scope, Some(AUDIENCE));
                let grant = grant.await.expect(201);
                ids.push(grant["id"].as_str().unwrap().to_owned());
            }
            let mut clients = Vec::new();
            for _ in 0..2 {
                let first = operator.client(&partner, "sandbox", &SCOPES).await;
                let second = operator.issue(&first.client_id).await;
                clients.push(vec![first, second]);
            }
            partners.push(partner);
            grants.push(ids);
            credentials.push(clients);
        }
        Self {
            partners,
            grants,
            credentials,
            tokens: Vec::new(),
        }
    }

    /// Takes a step at a node. `may`: whether it ought to be possible.
    async fn take(&mut self, step: Step, may: bool, node: &World) {
        let client = |p: usize, c: usize| self.credentials[p][c][0].client_id.clone();
        let (path, body) = match step {
            Step::Issue(p, c, k, s) => {
                let scope: Vec<_> = scopes(s).into_iter().map(|nth| SCOPES[nth]).collect();
                let asked = [("resource", AUDIENCE), ("scope", &scope.join(" "))];
                let who = &self.credentials[p][c][k];
                let deadline = Instant::now() + Duration::from_secs(20);
                // That somebody was resumed elsewhere is heard within moments.
                let answer = loop {
                    let answer = node.token_answer("sandbox", who, &asked).await;
                    if !may || answer.status == 200 || Instant::now() > deadline {
                        break answer;
                    }
                    tokio::time::sleep(Duration::from_millis(5)).await;
                };
                if !may {
                    assert!(matches!(answer.status, 400 | 401), "{step:?}: {answer:?}");
                    return;
                }
                let told = answer.expect(200);
                let token = told["access_token"].as_str().unwrap();
                self.tokens.push(token.to_owned());
                return;
            }
            Step::RevokeToken(nth) => match self.tokens.get(nth) {
                Some(token) => ("/tokens/revoke".to_owned(), json!({ "token": token })),
                None => return,
            },
            Step::RevokeCredential(p, c, k) => {
                let id = &self.credentials[p][c][k].credential_id;
                let body = json!({ "reason": "other" });
                (format!("/credentials/{id}/revoke"), body)
            }
            Step::RevokeClient(p, c) => (format!("/clients/{}/revoke", client(p, c)), stated()),
            Step::RevokeGrant(p, s) => {
                let id = &self.grants[p][s];
                (format!("/scope-grants/{id}/revoke"), stated())
            }
            Step::SuspendClient(p, c) => (format!("/clients/{}/suspend", client(p, c)), stated()),
            Step::ResumeClient(p, c) => (format!("/clients/{}/resume", client(p, c)), stated()),
            Step::SuspendPartner(p) => {
                (format!("/partners/{}/suspend", self.partners[p]), stated())
            }
            Step::ResumePartner(p) => (format!("/partners/{}/resume", self.partners[p]), stated()),
        };
        let answer = node.operator().await.post(&path, body).await;
        let expected = if may { 200 } else { 409 };
        // What is revoked already stays so, and some steps say that with 200.
        assert!(
            answer.status == expected || (!may && answer.status == 200),
            "{step:?}, may {may}: {answer:?}"
        );
    }
}

fn stated() -> serde_json::Value {
    json!({ "reason": "a drill" })
}

/// Waits until a node has heard of every revocation that another has.
async fn hears(node: &World, of: &World, token: &str) {
    let cursor = async |node: &World| {
        let page = node.get("/sandbox/oauth2/revocations", Some(token)).await;
        page.expect(200)["cursor"].as_i64().unwrap()
    };
    let (wanted, deadline) = (cursor(of).await, Instant::now() + Duration::from_secs(20));
    while cursor(node).await < wanted {
        assert!(Instant::now() < deadline, "the other node does not hear");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Every token, everywhere, is worth what the model says.
async fn check(mesh: &Mesh, follower: &Verifier, model: &Model, real: &Real, steps: &[Step]) {
    assert_eq!(model.tokens.len(), real.tokens.len());
    for (nth, (held, token)) in model.tokens.iter().zip(&real.tokens).enumerate() {
        let expected = if held.lives { Ok(()) } else { revoked() };
        for node in &mesh.nodes {
            for (place, said) in says(node, &mesh.service, token).await {
                assert_eq!(
                    said, held.lives,
                    "{place} of token {nth}, {held:?}\n{steps:?}"
                );
            }
        }
        until(follower, token, &expected).await;
    }
}

#[actix_web::test]
async fn whatever_is_revoked_suspended_and_resumed_in_whatever_order_tokens_are_worth_what_they_ought()
 {
    let mut random = TestRunner::new(Config::default());
    for mesh in Mesh::each().await {
        let follower = mesh
            .follower(&mesh.nodes[1], AUDIENCE, Staleness::Strict)
            .await;
        let token = mesh.nodes[0].token("sandbox", &mesh.service, &[]).await;
        let story = proptest::collection::vec((step(), 0..mesh.nodes.len()), 20..45);
        for _ in 0..SEQUENCES {
            let story = story.new_tree(&mut random).unwrap().current();
            let steps: Vec<Step> = story.iter().map(|(step, _)| *step).collect();
            let (mut model, mut real) = (Model::new(), Real::prepare(&mesh.nodes[0]).await);
            let mut last = &mesh.nodes[0];
            for (step, at) in &story {
                let node = &mesh.nodes[*at];
                hears(node, last, &token).await;
                let may = model.take(*step);
                real.take(*step, may, node).await;
                last = node;
            }
            for node in &mesh.nodes {
                hears(node, last, &token).await;
            }
            check(&mesh, &follower, &model, &real, &steps).await;
        }
    }
}
