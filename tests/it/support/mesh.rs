//! Several nodes on one database, and services that follow them.

use std::time::{Duration, Instant};

use onyx_verifier::{Rejection, Staleness, TokenFault, Verifier};
use reqwest::Method;

use super::proxy::Proxy;
use super::world::{Answer, Credential, Engine, World};

/// An audience that nodes of a mesh know.
pub const AUDIENCE: &str = "https://stock.acme.example";

/// Nodes behind one address, which is the issuer's.
pub struct Mesh {
    pub nodes: Vec<World>,
    pub door: Proxy,
    /// A registered service, for following and asking.
    pub service: Credential,
}

impl Mesh {
    /// A mesh on each engine: one process on SQLite and another beside it, three on PostgreSQL.
    pub async fn each() -> Vec<Self> {
        vec![
            Self::start(Engine::Sqlite, 2, &[]).await,
            Self::start(Engine::Postgres, 3, &[]).await,
        ]
    }

    pub async fn start(engine: Engine, size: usize, settings: &[(&str, &str)]) -> Self {
        let door = Proxy::new();
        let base = format!("http://{}", door.address);
        let settings = [&[("ONYX_BASE_URL", base.as_str())], settings].concat();
        let mut first = World::prepare(engine, &settings);
        first.cli(&["operator", "bootstrap"]);
        first.start().await;
        let mut nodes = vec![first];
        while nodes.len() < size {
            let another = nodes[0].neighbour_with(&settings).await;
            nodes.push(another);
        }
        let operator = nodes[0].operator().await;
        let scopes = ["stock:read", "stock:write"];
        let server = operator
            .resource_server("sandbox", AUDIENCE, &scopes, "ES256")
            .await;
        let service = operator.issue(server["client_id"].as_str().unwrap()).await;
        drop(operator);
        let mesh = Self {
            nodes,
            door,
            service,
        };
        mesh.open_to_all();
        mesh
    }

    /// The issuer's address leads to each node in turns.
    pub fn open_to_all(&self) {
        self.door
            .point_at(self.nodes.iter().map(|node| node.base.as_str()));
    }

    /// A service that follows a node, for as long as that lives.
    pub async fn follower(&self, node: &World, audience: &str, staleness: Staleness) -> Verifier {
        self.door.point_at([node.base.as_str()]);
        let issuer = format!("http://{}/sandbox", self.door.address);
        let verifier = Verifier::builder(issuer, audience)
            .follow(&self.service.client_id, &self.service.secret)
            .staleness(staleness)
            .connect()
            .await
            .unwrap();
        self.open_to_all();
        verifier
    }
}

/// A partner's client that holds both scopes of the audience, and may read orders.
pub async fn stock_client(node: &World) -> Credential {
    let operator = node.operator().await;
    let partner = operator.partner().await;
    for scope in ["stock:read", "stock:write"] {
        operator
            .sandbox_grant(&partner, scope, Some(AUDIENCE))
            .await;
    }
    operator.sandbox_grant(&partner, "orders:read", None).await;
    let scopes = ["orders:read", "stock:read", "stock:write"];
    operator.client(&partner, "sandbox", &scopes).await
}

/// A token of such a client for the audience.
pub async fn stock_token(node: &World, who: &Credential) -> String {
    node.token("sandbox", who, &[("resource", AUDIENCE)]).await
}

/// What a node says of a token for the audience to those who ask it: whoever introspects, and a gateway.
pub async fn says(node: &World, service: &Credential, token: &str) -> [(&'static str, bool); 2] {
    let asked = node
        .request(Method::POST, "/sandbox/oauth2/introspect")
        .basic_auth(&service.client_id, Some(&service.secret))
        .form(&[("token", token)]);
    let told = Answer::of(asked.send().await.unwrap()).await.expect(200);
    let verify = format!("/sandbox/oauth2/verify?aud={AUDIENCE}");
    let passed = node.get(&verify, Some(token)).await;
    assert!(matches!(passed.status, 200 | 401), "{passed:?}");
    [
        ("introspect", told["active"].as_bool().unwrap()),
        ("verify", passed.status == 200),
    ]
}

/// Asks until the verifier says this of the token.
pub async fn until(verifier: &Verifier, token: &str, expected: &Result<(), Rejection>) {
    let deadline = Instant::now() + Duration::from_secs(40);
    loop {
        let said = verifier.verify(token).await.map(|_| ());
        if said == *expected {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "still {said:?}, not {expected:?}"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// What a verifier says of a revoked token.
pub fn revoked() -> Result<(), Rejection> {
    Err(Rejection::InvalidToken(TokenFault::Revoked))
}
