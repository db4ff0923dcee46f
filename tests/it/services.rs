//! Resource services in Rust: the verifier's examples as programs, and what its middleware and its
//! layer make of the news of revocations.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::process::{Child, Command, Stdio};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use actix_web::test::{TestRequest, call_service, init_service};
use actix_web::{App, web};
use http_body_util::Full;
use onyx_verifier::actix::RequireToken;
use onyx_verifier::tower::RequireTokenLayer;
use onyx_verifier::{Caller, Staleness, Verifier};
use reqwest::Method;
use serde_json::Value;
use tower_layer::Layer;
use tower_service::Service;

use crate::support::world::{Answer, Credential, World, free_address, worlds};

const AUDIENCE: &str = "https://orders.example";

/// The service's own credential, a client that may read, and one that may also create.
async fn clients(world: &World) -> (Credential, Credential, Credential) {
    let operator = world.operator().await;
    let scopes = ["orders:create", "orders:read"];
    let server = operator
        .resource_server("sandbox", AUDIENCE, &scopes, "ES256")
        .await;
    let service = operator.issue(server["client_id"].as_str().unwrap()).await;
    let partner = operator.partner().await;
    for scope in scopes {
        operator
            .sandbox_grant(&partner, scope, Some(AUDIENCE))
            .await;
    }
    let reader = operator.client(&partner, "sandbox", &["orders:read"]).await;
    let writer = operator.client(&partner, "sandbox", &scopes).await;
    (service, reader, writer)
}

async fn token(world: &World, who: &Credential) -> String {
    world.token("sandbox", who, &[("resource", AUDIENCE)]).await
}

/// The program of an example of the verifier, as cargo builds it.
///
/// `cargo test --workspace` and nextest have built it by now, so that cargo only says where it is.
fn example(name: &str) -> String {
    let mut cargo = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()));
    cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
    cargo.args(["build", "--workspace", "--locked", "--quiet"]);
    cargo.args(["--message-format", "json", "--example", name]);
    if cfg!(feature = "postgres") {
        cargo.args(["--features", "postgres"]);
    }
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    let built = cargo.stderr(Stdio::inherit()).output().unwrap();
    assert!(built.status.success(), "{cargo:?}");
    let told = String::from_utf8(built.stdout).unwrap();
    let artifacts = told.lines().map(|line| serde_json::from_str(line).unwrap());
    let mut programs = artifacts
        .filter(|artifact: &Value| artifact["target"]["name"] == name)
        .filter_map(|artifact| Some(artifact["executable"].as_str()?.to_owned()));
    programs.next().unwrap()
}

/// An example that runs.
struct Running {
    process: Child,
    url: String,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Running {
    async fn start(world: &World, name: &str, service: &Credential) -> Self {
        let listen = free_address();
        let process = Command::new(example(name))
            .env("no_proxy", "*")
            .env("ORDERS_LISTEN", &listen)
            .env("ORDERS_ISSUER", format!("{}/sandbox", world.base))
            .env("ORDERS_AUDIENCE", AUDIENCE)
            .env("ORDERS_CLIENT_ID", &service.client_id)
            .env("ORDERS_CLIENT_SECRET", &service.secret)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let mut running = Self {
            process,
            url: format!("http://{listen}"),
        };
        let deadline = Instant::now() + Duration::from_secs(60);
        while world.http.get(&running.url).send().await.is_err() {
            let ended = running.process.try_wait().unwrap();
            assert!(
                ended.is_none() && Instant::now() < deadline,
                "{name} did not start"
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        running
    }

    async fn ask(&self, world: &World, method: Method, path: &str, token: Option<&str>) -> Answer {
        let request = world.http.request(method, format!("{}{path}", self.url));
        let request = match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        Answer::of(request.send().await.unwrap()).await
    }
}

/// What each of the examples must do.
async fn serves(world: &World, name: &str) {
    let (service, reader, writer) = clients(world).await;
    let running = Running::start(world, name, &service).await;
    let (reads, writes) = (token(world, &reader).await, token(world, &writer).await);
    let ask = async |method, token| running.ask(world, method, "/orders", token).await;

    let listed = ask(Method::GET, Some(&reads)).await;
    let expected = format!("orders of {}\n", reader.partner_id);
    assert_eq!((listed.status, listed.text), (200, expected));
    let placed = ask(Method::POST, Some(&writes)).await;
    let expected = format!("an order of {}\n", writer.partner_id);
    assert_eq!((placed.status, placed.text), (201, expected));

    let bare = ask(Method::GET, None).await;
    assert_eq!(
        (bare.status, bare.header("www-authenticate")),
        (401, "Bearer realm=\"onyx\"")
    );
    let lacks = ask(Method::POST, Some(&reads)).await;
    assert_eq!(lacks.status, 403);
    let challenge = lacks.header("www-authenticate");
    assert!(challenge.contains("scope=\"orders:create\""), "{challenge}");
    let elsewhere = world.token("sandbox", &service, &[]).await;
    assert_eq!(ask(Method::GET, Some(&elsewhere)).await.status, 401);

    let operator = world.operator().await;
    operator.revoke(&reader.credential_id).await.expect(200);
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let refused = ask(Method::GET, Some(&reads)).await;
        if refused.status == 401 {
            assert!(refused.header("www-authenticate").contains("revoked"));
            break;
        }
        assert!(Instant::now() < deadline, "{refused:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(ask(Method::GET, Some(&writes)).await.status, 200);

    let metrics = running.ask(world, Method::GET, "/metrics", None).await;
    let counted = "orders_accepted_while_stale_total 0\n";
    assert!(metrics.text.ends_with(counted), "{}", metrics.text);
}

#[actix_web::test]
async fn the_actix_example_serves_who_may_and_hears_what_is_revoked() {
    for world in worlds().await {
        serves(&world, "actix_service").await;
    }
}

#[actix_web::test]
async fn the_axum_example_serves_who_may_and_hears_what_is_revoked() {
    for world in worlds().await {
        serves(&world, "axum_service").await;
    }
}

#[test]
fn an_example_that_lacks_a_setting_names_it() {
    for name in ["actix_service", "axum_service"] {
        let ended = Command::new(example(name)).env_clear().output().unwrap();
        assert!(!ended.status.success());
        let told = String::from_utf8(ended.stderr).unwrap();
        assert!(told.contains("set ORDERS_ISSUER"), "{name}: {told}");
    }
}

/// Who calls, as the handler behind a guard is told.
async fn who(caller: web::ReqData<Caller>) -> String {
    caller.client_id().to_owned()
}

/// The answer of an app that actix-web's middleware guards.
async fn through_actix(verifier: &Verifier, token: &str) -> (u16, String) {
    let guard = RequireToken::new(verifier.clone()).scope("orders:read");
    let guarded = web::scope("/orders")
        .wrap(guard)
        .route("", web::get().to(who));
    let app = init_service(App::new().service(guarded)).await;
    let request = TestRequest::get().uri("/orders");
    let request = request.insert_header(("authorization", format!("Bearer {token}")));
    let answer = call_service(&app, request.to_request()).await;
    let status = answer.status().as_u16();
    let body = actix_web::test::read_body(answer).await;
    (status, String::from_utf8(body.to_vec()).unwrap())
}

/// The service behind the layer.
#[derive(Clone)]
struct Who;

impl Service<http::Request<()>> for Who {
    type Response = http::Response<Full<web::Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<()>) -> Self::Future {
        let caller = request.extensions().get::<Caller>().unwrap();
        let body = web::Bytes::from(caller.client_id().to_owned());
        ready(Ok(http::Response::new(Full::new(body))))
    }
}

/// The answer of a service that the layer guards.
async fn through_tower(verifier: &Verifier, token: &str) -> (u16, String) {
    use http_body_util::BodyExt as _;
    let layer = RequireTokenLayer::new(verifier.clone()).scope("orders:read");
    let request = http::Request::get("/orders").header("authorization", format!("Bearer {token}"));
    let answer = layer.layer(Who).call(request.body(()).unwrap()).await;
    let answer = answer.unwrap();
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[actix_web::test]
async fn middleware_and_layer_do_without_news_as_the_owner_chose() {
    const UNAVAILABLE: &str =
        r#"{"error_description":"The access token cannot be verified right now."}"#;
    for mut world in worlds().await {
        let (service, reader, writer) = clients(&world).await;
        let issuer = format!("{}/sandbox", world.base);
        // No news is ever young enough for the first three: what is new is old at once.
        let connect = async |staleness, max_staleness| {
            Verifier::builder(&issuer, AUDIENCE)
                .follow(&service.client_id, &service.secret)
                .staleness(staleness)
                .max_staleness(max_staleness)
                .connect()
                .await
                .unwrap()
        };
        let strict = connect(Staleness::Strict, Duration::ZERO).await;
        let introspect = connect(Staleness::Introspect, Duration::ZERO).await;
        let lenient = connect(Staleness::Lenient, Duration::ZERO).await;
        let relaxed = connect(Staleness::Lenient, Duration::from_secs(3600)).await;
        let good = token(&world, &writer).await;
        let doomed = token(&world, &reader).await;
        let accepted = (200, writer.client_id.clone());
        let unavailable = (503, UNAVAILABLE.to_owned());

        for (verifier, expected) in [
            (&strict, &unavailable),
            (&introspect, &accepted),
            (&lenient, &accepted),
            (&relaxed, &accepted),
        ] {
            assert_eq!(through_actix(verifier, &good).await, *expected);
            assert_eq!(through_tower(verifier, &good).await, *expected);
        }
        // What was accepted for want of news is counted, for metrics; nothing else is.
        assert_eq!(lenient.accepted_while_stale(), 2);
        for verifier in [&strict, &introspect, &relaxed] {
            assert_eq!(verifier.accepted_while_stale(), 0);
        }

        // Asking tells at once what was revoked.
        let operator = world.operator().await;
        operator.revoke(&reader.credential_id).await.expect(200);
        assert_eq!(through_actix(&introspect, &doomed).await.0, 401);
        assert_eq!(through_tower(&introspect, &doomed).await.0, 401);
        drop(operator);

        // Where nobody is left to ask, nobody gets in.
        world.kill();
        assert_eq!(through_actix(&introspect, &good).await, unavailable);
        assert_eq!(through_tower(&introspect, &good).await, unavailable);
        assert_eq!(through_actix(&lenient, &good).await, accepted);
        assert_eq!(through_tower(&lenient, &good).await, accepted);
        assert_eq!(lenient.accepted_while_stale(), 4);
    }
}
