//! A partner's receiver of webhooks: a real server that notes what it gets, and behaves as it is told.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use actix_web::dev::ServerHandle;
use actix_web::http::StatusCode;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use onyx_auth::domain::instant::Instant as Moment;
use onyx_auth::webhook::sign::{self, Headers, Unverified};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};

use super::world::World;

/// Lets webhooks go to this machine: for `worlds_with`.
pub const LOOPBACK: (&str, &str) = ("ONYX_WEBHOOK_ALLOW_LOOPBACK", "true");

/// What a receiver does with a message.
#[derive(Clone, Debug)]
pub enum Behaviour {
    /// Answers 200, and a challenge with the challenge.
    Good,
    /// Answers 200 with this, whatever it was asked.
    Says(String),
    /// Answers with this status.
    Status(u16),
    /// Answers with this status, and wants to be left alone for so many seconds.
    Busy(u16, u64),
    /// Answers 307 to another URL.
    Redirect(String),
    /// Never answers.
    Hang,
}

/// A message as it came.
#[derive(Clone, Debug)]
pub struct Received {
    /// Path and query.
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Received {
    /// A header's value; nothing where it has none.
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value)
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// What kind of message it is.
    pub fn kind(&self) -> String {
        self.json()["type"].as_str().unwrap_or_default().to_owned()
    }

    /// By what doubles are known.
    pub fn id(&self) -> &str {
        self.header(sign::ID)
    }

    /// The three headers.
    pub fn signed(&self) -> Headers {
        Headers {
            id: self.id().to_owned(),
            timestamp: self.header(sign::TIMESTAMP).parse().unwrap(),
            signature: self.header(sign::SIGNATURE).to_owned(),
        }
    }

    /// Verifies it with a secret or a public key, as it is now.
    pub fn verify(&self, key: &str) -> Result<(), Unverified> {
        let now = Moment::from(chrono::Utc::now());
        let key = key.parse().unwrap();
        sign::verify(&key, &self.signed(), &self.body, sign::TOLERANCE, now)
    }
}

struct State {
    challenged: Behaviour,
    otherwise: Behaviour,
    received: Vec<Received>,
}

/// A running receiver; it stops when it is dropped.
pub struct Receiver {
    scheme: &'static str,
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    server: ServerHandle,
}

impl Receiver {
    /// A good one.
    pub async fn start() -> Self {
        Self::run(None)
    }

    /// The same behind TLS, with a certificate and its key in PEM.
    pub async fn start_secure(certificate: &[u8], key: &[u8]) -> Self {
        let certificate = CertificateDer::from_pem_slice(certificate).unwrap();
        let key = PrivateKeyDer::from_pem_slice(key).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        Self::run(Some(config))
    }

    fn run(tls: Option<ServerConfig>) -> Self {
        let state = Arc::new(Mutex::new(State {
            challenged: Behaviour::Good,
            otherwise: Behaviour::Good,
            received: Vec::new(),
        }));
        let shared = Arc::clone(&state);
        let server = HttpServer::new(move || {
            App::new()
                .app_data(web::Data::from(Arc::clone(&shared)))
                .default_service(web::to(receive))
        });
        let server = server.workers(1).disable_signals().shutdown_timeout(0);
        let scheme = if tls.is_some() { "https" } else { "http" };
        let server = match tls {
            Some(config) => server.bind_rustls_0_23("127.0.0.1:0", config),
            None => server.bind("127.0.0.1:0"),
        };
        let server = server.unwrap();
        let address = server.addrs()[0];
        let server = server.run();
        let handle = server.handle();
        actix_web::rt::spawn(server);
        Self {
            scheme,
            address,
            state,
            server: handle,
        }
    }

    /// A URL at which it stands.
    pub fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme, self.address)
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// From now on it does this with all but challenges.
    pub fn behave(&self, behaviour: Behaviour) {
        self.state.lock().unwrap().otherwise = behaviour;
    }

    /// From now on it does this with challenges.
    pub fn meet_challenges(&self, behaviour: Behaviour) {
        self.state.lock().unwrap().challenged = behaviour;
    }

    /// All that came, in order.
    pub fn received(&self) -> Vec<Received> {
        self.state.lock().unwrap().received.clone()
    }

    /// All that came but challenges, in order.
    pub fn deliveries(&self) -> Vec<Received> {
        let mut received = self.received();
        received.retain(|message| message.kind() != sign_of_challenge());
        received
    }

    /// Waits until at least so many deliveries have come; answers all of them.
    pub async fn wait_for(&self, count: usize) -> Vec<Received> {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let deliveries = self.deliveries();
            if deliveries.len() >= count {
                return deliveries;
            }
            let came = deliveries.len();
            assert!(Instant::now() < deadline, "{came} of {count} have come");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        // Told at once; nobody waits for what hangs.
        drop(self.server.stop(false));
    }
}

fn sign_of_challenge() -> &'static str {
    onyx_auth::webhook::challenge::TYPE
}

async fn receive(
    request: HttpRequest,
    body: web::Bytes,
    state: web::Data<Mutex<State>>,
) -> HttpResponse {
    let value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let headers = request.headers().iter();
    let headers = headers.map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        (name.as_str().to_owned(), value)
    });
    let received = Received {
        path: request.uri().to_string(),
        headers: headers.collect(),
        body: body.to_vec(),
    };
    let is_challenge = value["type"] == sign_of_challenge();
    let behaviour = {
        let mut state = state.lock().unwrap();
        state.received.push(received);
        match is_challenge {
            true => state.challenged.clone(),
            false => state.otherwise.clone(),
        }
    };
    let with = |status: u16| HttpResponse::build(StatusCode::from_u16(status).unwrap());
    match behaviour {
        Behaviour::Good if is_challenge => {
            with(200).json(json!({ "challenge": value["challenge"] }))
        }
        Behaviour::Good => with(200).finish(),
        Behaviour::Says(text) => with(200).body(text),
        Behaviour::Status(status) => with(status).body("what partners are not shown"),
        Behaviour::Busy(status, seconds) => with(status)
            .insert_header(("retry-after", seconds.to_string()))
            .finish(),
        Behaviour::Redirect(url) => with(307).insert_header(("location", url)).finish(),
        Behaviour::Hang => std::future::pending().await,
    }
}

impl World {
    /// Sets up an endpoint of a partner's, which must answer its challenge; answers it with its secret.
    pub async fn endpoint(&self, env: &str, token: &str, url: &str, types: &[&str]) -> Value {
        let path = format!("/{env}/v1/webhook-endpoints");
        let body = json!({ "url": url, "event_types": types });
        let request = self.request(reqwest::Method::POST, &path);
        let sent = request.bearer_auth(token).json(&body).send().await;
        let made = super::world::Answer::of(sent.unwrap()).await.expect(201);
        assert_eq!(made["challenge"]["succeeded"], true, "{made}");
        made
    }
}
