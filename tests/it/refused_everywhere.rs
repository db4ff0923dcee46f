//! The table: every height of revocation, answered by every node, at every place that judges tokens.

use std::time::{Duration, Instant};

use onyx_verifier::{Staleness, Verifier};
use serde_json::{Value, json};

use crate::support::mesh::{AUDIENCE, Mesh, says, stock_client, stock_token};
use crate::support::world::{Answer, Credential, Operator, World, claims, header};

/// What is revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Height {
    Token,
    Credential,
    Client,
    Grant,
    Partner,
    SuspendedClient,
    SuspendedPartner,
    Key,
}

const HEIGHTS: [Height; 8] = [
    Height::Token,
    Height::Credential,
    Height::Client,
    Height::Grant,
    Height::Partner,
    Height::SuspendedClient,
    Height::SuspendedPartner,
    Height::Key,
];

/// A token, and where it is shown.
#[derive(Clone, Debug)]
enum Token {
    /// At the registered audience.
    Stock(String),
    /// At a realm's partner API.
    Api(&'static str, String),
}

impl Token {
    fn text(&self) -> &str {
        match self {
            Self::Stock(text) | Self::Api(_, text) => text,
        }
    }
}

/// The services that follow, one a node and policy; at the audience, and at the live API one a node.
struct Followers {
    stock: Vec<(String, Verifier)>,
    live: Vec<(String, Verifier)>,
}

impl Followers {
    async fn of(mesh: &Mesh) -> Self {
        let operator = mesh.nodes[0].operator().await;
        let server = operator
            .resource_server("live", AUDIENCE, &["stock:read"], "ES256")
            .await;
        let of_live = operator.issue(server["client_id"].as_str().unwrap()).await;
        let (mut stock, mut live) = (Vec::new(), Vec::new());
        for (nth, node) in mesh.nodes.iter().enumerate() {
            for policy in [Staleness::Strict, Staleness::Introspect, Staleness::Lenient] {
                let verifier = mesh.follower(node, AUDIENCE, policy).await;
                stock.push((format!("{policy:?} following node {nth}"), verifier));
            }
            mesh.door.point_at([node.base.as_str()]);
            let issuer = format!("http://{}/live", mesh.door.address);
            let verifier = Verifier::builder(&issuer, format!("{issuer}/v1"))
                .follow(&of_live.client_id, &of_live.secret)
                .connect();
            live.push((
                format!("live, following node {nth}"),
                verifier.await.unwrap(),
            ));
        }
        mesh.open_to_all();
        Self { stock, live }
    }

    fn at(&self, token: &Token) -> &[(String, Verifier)] {
        match token {
            Token::Stock(_) => &self.stock,
            Token::Api("live", _) => &self.live,
            Token::Api(..) => &[],
        }
    }
}

/// Who accepts a token at a node: each place by name.
async fn accepts(node: &World, service: &Credential, token: &Token) -> Vec<(&'static str, bool)> {
    match token {
        Token::Stock(text) => says(node, service, text).await.to_vec(),
        Token::Api(realm, text) => {
            let mut said = Vec::new();
            for (place, path) in [("me", "v1/me"), ("gateway", "oauth2/verify")] {
                let answer = node.get(&format!("/{realm}/{path}"), Some(text)).await;
                assert!(matches!(answer.status, 200 | 401), "{answer:?}");
                said.push((place, answer.status == 200));
            }
            said
        }
    }
}

/// Every place that says something else of the token than this.
async fn dissenters(
    mesh: &Mesh,
    followers: &Followers,
    token: &Token,
    accepted: bool,
) -> Vec<String> {
    let mut found = Vec::new();
    for (nth, node) in mesh.nodes.iter().enumerate() {
        let said = accepts(node, &mesh.service, token).await;
        let wrong = said.iter().filter(|(_, said)| *said != accepted);
        found.extend(wrong.map(|(place, _)| format!("node {nth}, {place}")));
    }
    for (name, verifier) in followers.at(token) {
        if verifier.verify(token.text()).await.is_ok() != accepted {
            found.push(name.clone());
        }
    }
    found
}

/// Waits until every place refuses the token.
async fn until_refused(mesh: &Mesh, followers: &Followers, token: &Token) {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let late = dissenters(mesh, followers, token, false).await;
        if late.is_empty() {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "still accepted: {late:?}\n{}",
            claims(token.text())
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A partner with what a height needs.
struct Subject {
    who: Credential,
    /// Another credential of the client.
    second: Credential,
    /// Another client of the partner.
    sibling: Credential,
    /// A client in live, where the height reaches so far.
    live: Option<Credential>,
}

impl Subject {
    async fn prepare(node: &World, height: Height, second_operator: &Operator<'_>) -> Self {
        let who = stock_client(node).await;
        let operator = node.operator().await;
        let second = operator.issue(&who.client_id).await;
        let scopes = ["orders:read", "stock:read", "stock:write"];
        let sibling = operator.client(&who.partner_id, "sandbox", &scopes).await;
        let reaches_live = [Height::Partner, Height::SuspendedPartner, Height::Key];
        let live = if reaches_live.contains(&height) {
            let asked = operator.request_grant(&who.partner_id, "live", "orders:read", None);
            let grant = asked.await.expect(201)["id"].as_str().unwrap().to_owned();
            let approve = format!("/scope-grants/{grant}/approve");
            let approved = second_operator.post(&approve, json!({})).await;
            approved.expect(200);
            operator
                .ready_for_live(second_operator, &who.partner_id)
                .await;
            let live = operator.client(&who.partner_id, "live", &["orders:read"]);
            Some(live.await)
        } else {
            None
        };
        Self {
            who,
            second,
            sibling,
            live,
        }
    }

    /// Tokens that the height must kill, from a node.
    async fn tokens(&self, height: Height, node: &World) -> Vec<Token> {
        let mut tokens = vec![
            Token::Stock(stock_token(node, &self.who).await),
            Token::Api("sandbox", node.token("sandbox", &self.who, &[]).await),
        ];
        // Each realm has keys of its own.
        if let Some(live) = self.live.as_ref().filter(|_| height != Height::Key) {
            tokens.push(Token::Api("live", node.token("live", live, &[]).await));
        }
        tokens
    }

    /// Tokens that the height must leave alone.
    async fn bystanders(&self, height: Height, node: &World, stranger: &Credential) -> Vec<Token> {
        if let (Height::Key, Some(live)) = (height, &self.live) {
            return vec![Token::Api("live", node.token("live", live, &[]).await)];
        }
        let mut tokens = vec![Token::Stock(stock_token(node, stranger).await)];
        let more = match height {
            Height::Token => stock_token(node, &self.who).await,
            Height::Credential => stock_token(node, &self.second).await,
            Height::Client | Height::SuspendedClient => stock_token(node, &self.sibling).await,
            Height::Grant => {
                let narrow = [("resource", AUDIENCE), ("scope", "stock:write")];
                node.token("sandbox", &self.who, &narrow).await
            }
            Height::Partner | Height::SuspendedPartner | Height::Key => return tokens,
        };
        tokens.push(Token::Stock(more));
        tokens
    }

    /// Revokes, at a node; each answer is waited for.
    async fn revoke(&self, height: Height, operator: &Operator<'_>, tokens: &[Token]) {
        let reason = json!({ "reason": "a drill" });
        let (client, partner) = (&self.who.client_id, &self.who.partner_id);
        let post = async |path: String, body: &Value| {
            let answer: Answer = operator.post(&path, body.clone()).await;
            answer.expect(200)
        };
        match height {
            Height::Token => {
                for token in tokens {
                    let body = json!({ "token": token.text() });
                    let done = post("/tokens/revoke".to_owned(), &body).await;
                    assert_eq!(done["revoked"], true);
                }
            }
            Height::Credential => {
                let done = operator.revoke(&self.who.credential_id).await;
                done.expect(200);
            }
            Height::Client => drop(post(format!("/clients/{client}/revoke"), &reason).await),
            Height::Grant => {
                let grants = format!("/partners/{partner}/scope-grants");
                let grants = operator.get(&grants).await.expect(200);
                let revoked = ["stock:read", "orders:read"];
                for grant in grants["data"].as_array().unwrap() {
                    if revoked.contains(&grant["scope"].as_str().unwrap()) {
                        let id = grant["id"].as_str().unwrap();
                        post(format!("/scope-grants/{id}/revoke"), &reason).await;
                    }
                }
            }
            Height::Partner => {
                // For good, which only a suspended one can be.
                post(format!("/partners/{partner}/suspend"), &reason).await;
                post(format!("/partners/{partner}/offboard"), &reason).await;
            }
            Height::Key => {
                let kid = header(tokens[0].text())["kid"].as_str().unwrap().to_owned();
                drop(post(format!("/keys/{kid}/revoke"), &reason).await);
            }
            Height::SuspendedClient => {
                drop(post(format!("/clients/{client}/suspend"), &reason).await);
            }
            Height::SuspendedPartner => {
                drop(post(format!("/partners/{partner}/suspend"), &reason).await);
            }
        }
    }

    /// What the token endpoint says to who was revoked.
    async fn asks_again(&self, height: Height, node: &World) {
        let (status, error) = match height {
            Height::Token | Height::Key => return,
            Height::Grant => (400, "invalid_scope"),
            _ => (401, "invalid_client"),
        };
        let asked = [("resource", AUDIENCE), ("scope", "stock:read")];
        let answer = node.token_answer("sandbox", &self.who, &asked).await;
        let told = answer.json();
        assert_eq!(
            (answer.status, told["error"].as_str()),
            (status, Some(error)),
            "{height:?}"
        );
        if let Some(live) = &self.live {
            assert_eq!(node.token_answer("live", live, &[]).await.status, 401);
        }
    }

    /// Resumes, where the height can be; `false`: it is for good.
    async fn resume(&self, height: Height, operator: &Operator<'_>) -> bool {
        let path = match height {
            Height::SuspendedClient => format!("/clients/{}/resume", self.who.client_id),
            Height::SuspendedPartner => format!("/partners/{}/resume", self.who.partner_id),
            // Another signs from now on.
            Height::Key => return true,
            _ => return false,
        };
        let resumed = operator.post(&path, json!({ "reason": "over" })).await;
        resumed.expect(200);
        true
    }
}

#[actix_web::test]
async fn what_is_revoked_at_any_height_on_any_node_is_refused_by_every_node_and_follower() {
    for mesh in Mesh::each().await {
        let followers = Followers::of(&mesh).await;
        let second_operator = mesh.nodes[0].second_operator().await;
        let stranger = stock_client(&mesh.nodes[0]).await;
        for (nth, node) in mesh.nodes.iter().enumerate() {
            for height in HEIGHTS {
                let case = format!("{:?}, {height:?}, answered by node {nth}", node.engine);
                let subject = Subject::prepare(&mesh.nodes[0], height, &second_operator).await;
                let mut doomed = Vec::new();
                for issuer in &mesh.nodes {
                    doomed.extend(subject.tokens(height, issuer).await);
                }
                let spared = subject.bystanders(height, node, &stranger).await;
                for token in doomed.iter().chain(&spared) {
                    let refused = dissenters(&mesh, &followers, token, true).await;
                    assert!(refused.is_empty(), "{case}: before, {refused:?}");
                }

                let operator = node.operator().await;
                subject.revoke(height, &operator, &doomed).await;
                // On the node that answered, at once; elsewhere as soon as it is heard.
                for token in &doomed {
                    let said = accepts(node, &mesh.service, token).await;
                    assert!(
                        said.iter().all(|(_, accepted)| !accepted),
                        "{case}: {said:?}"
                    );
                }
                subject.asks_again(height, node).await;
                for token in &doomed {
                    until_refused(&mesh, &followers, token).await;
                }
                for token in &spared {
                    let refused = dissenters(&mesh, &followers, token, true).await;
                    assert!(refused.is_empty(), "{case}: a bystander, {refused:?}");
                }

                if !subject.resume(height, &operator).await {
                    continue;
                }
                // What is given out right after lives everywhere, and what died stays dead.
                let fresh = subject.tokens(height, node).await;
                for token in &fresh {
                    let deadline = Instant::now() + Duration::from_secs(60);
                    loop {
                        let refused = dissenters(&mesh, &followers, token, true).await;
                        // Services fetch a new key, though not twice within a moment.
                        let may_wait = height == Height::Key && Instant::now() < deadline;
                        if refused.is_empty() {
                            break;
                        }
                        assert!(may_wait, "{case}: resumed, {refused:?}");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                }
                for token in &doomed {
                    let accepted = dissenters(&mesh, &followers, token, false).await;
                    assert!(accepted.is_empty(), "{case}: back to life, {accepted:?}");
                }
            }
        }
    }
}
