//! The partner's OpenAPI document, held against the server: every operation that it describes is asked for real, and
//! every answer, of success and of refusal, is of a status, a media type and a shape that it describes.

mod webhooks;

use std::collections::BTreeSet;

use onyx_auth::domain::id::DeliveryId;
use onyx_auth::keys::link::LinkKey;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::support::receiver::LOOPBACK;
use crate::support::schema::{faults, follow};
use crate::support::shop::{fresh_key, order, package};
use crate::support::world::{
    Answer, Credential, PARTNER_SCOPES, World, claims, in_future, worlds_with,
};

/// The audience of a service of the story.
const SERVICE: &str = "https://stock.example.com";

/// A document, and what of it was asked.
struct Document<'a> {
    world: &'a World,
    text: Value,
    /// Operations that answered with success.
    succeeded: BTreeSet<String>,
    /// Refusals: operation and status.
    refused: BTreeSet<(String, u16)>,
    /// Where server and document differ.
    faults: BTreeSet<String>,
}

impl<'a> Document<'a> {
    async fn of(world: &'a World) -> Self {
        Self {
            world,
            text: world.get("/openapi.json", None).await.expect(200),
            succeeded: BTreeSet::new(),
            refused: BTreeSet::new(),
            faults: BTreeSet::new(),
        }
    }

    /// Every operation: its method and the template of its path.
    fn operations(&self) -> BTreeSet<String> {
        let paths = self.text["paths"].as_object().unwrap();
        paths
            .iter()
            .flat_map(|(path, item)| {
                let methods = item.as_object().unwrap().keys();
                methods.map(move |method| format!("{} {path}", method.to_ascii_uppercase()))
            })
            .collect()
    }

    /// The operation that a request is for: a literal template before one with parameters.
    fn operation(&self, method: &Method, path: &str) -> (String, &Value) {
        let fits = |template: &str| {
            let (mut wanted, mut given) = (template.split('/'), path.split('/'));
            loop {
                match (wanted.next(), given.next()) {
                    (None, None) => return true,
                    (Some("{env}"), Some(part)) if !["sandbox", "live"].contains(&part) => {
                        return false;
                    }
                    (Some(wanted), Some(_)) if wanted.starts_with('{') => {}
                    (Some(wanted), Some(given)) if wanted == given => {}
                    _ => return false,
                }
            }
        };
        let method = method.as_str();
        let mut found: Vec<_> = self.text["paths"]
            .as_object()
            .unwrap()
            .iter()
            .filter(|(template, item)| {
                fits(template) && item.get(method.to_ascii_lowercase()).is_some()
            })
            .collect();
        found.sort_by_key(|(template, _)| template.matches('{').count());
        let (template, item) = found
            .first()
            .unwrap_or_else(|| panic!("{method} {path} is not described"));
        let said = &item[method.to_ascii_lowercase()];
        (format!("{method} {template}"), said)
    }

    /// Sends a request and holds the answer against what is described.
    async fn ask(&mut self, request: RequestBuilder, status: u16) -> Answer {
        let request = request.build().unwrap();
        let (method, path) = (request.method().clone(), request.url().path().to_owned());
        let sent = self.world.http.execute(request).await.unwrap();
        let is_stream = sent
            .headers()
            .get("content-type")
            .is_some_and(|kind| kind == "text/event-stream");
        let answer = if is_stream {
            // It has no end.
            Answer {
                status: sent.status().as_u16(),
                headers: sent.headers().clone(),
                text: String::new(),
            }
        } else {
            Answer::of(sent).await
        };
        let name = self.hold(&method, &path, &answer);
        if answer.status != status {
            let told = format!(
                "{name}: {path} is {}, not {status}: {}",
                answer.status, answer.text
            );
            self.faults.insert(told);
        } else if status < 400 {
            self.succeeded.insert(name);
        } else {
            self.refused.insert((name, status));
        }
        answer
    }

    /// Holds an answer against the document, and notes where they differ; answers whose it is.
    fn hold(&mut self, method: &Method, path: &str, answer: &Answer) -> String {
        let (name, said) = self.operation(method, path);
        let mut found = Vec::new();
        self.compare(said, answer, &mut found);
        let case = format!("{name}: {}", answer.status);
        let all = found.into_iter().map(|fault| format!("{case}: {fault}"));
        self.faults.extend(all);
        name
    }

    fn compare(&self, said: &Value, answer: &Answer, found: &mut Vec<String>) {
        let described = &said["responses"][answer.status.to_string()];
        if described.is_null() {
            return found.push(format!("this status is not described: {}", answer.text));
        }
        let described = follow(&self.text, described);
        for (name, header) in described["headers"].as_object().into_iter().flatten() {
            // Those that are told of one case alone may be missing.
            let sentence = follow(&self.text, header)["description"]
                .as_str()
                .unwrap_or_default();
            let is_always = !sentence.contains("where") && !sentence.contains("earlier request");
            if is_always && !answer.headers.contains_key(name.as_str()) {
                found.push(format!("{name} is not sent"));
            }
        }
        let contents = described["content"].as_object();
        let Some(contents) = contents.filter(|all| !all.is_empty()) else {
            if !answer.text.is_empty() {
                found.push(format!("no body is described: {}", answer.text));
            }
            return;
        };
        let sent = answer.header("content-type").split(';').next().unwrap();
        let Some(content) = contents.get(sent) else {
            return found.push(format!("{sent:?} is not described: {}", answer.text));
        };
        if sent.ends_with("json") {
            let faults = faults(&self.text, &content["schema"], &answer.json());
            // Rows of a list are wrong alike.
            found.extend(
                faults
                    .into_iter()
                    .map(|fault| fault.replace("/0/", "/n/").replace("/1/", "/n/")),
            );
        }
    }
}

/// A partner with all that it can have, and what is on record of it.
struct Story<'a> {
    world: &'a World,
    env: &'static str,
    who: Credential,
    token: String,
    package: String,
}

impl Story<'_> {
    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let path = format!("/{}/v1{path}", self.env);
        self.world.request(method, &path).bearer_auth(&self.token)
    }

    fn get(&self, path: &str) -> RequestBuilder {
        self.request(Method::GET, path)
    }

    fn ordering(&self, body: &Value) -> RequestBuilder {
        let request = self.request(Method::POST, "/orders");
        request.header("idempotency-key", fresh_key()).json(body)
    }

    /// An OAuth endpoint, as this client.
    fn oauth(&self, endpoint: &str, form: &[(&str, &str)]) -> RequestBuilder {
        let path = format!("/{}/oauth2/{endpoint}", self.env);
        let request = self.world.request(Method::POST, &path);
        let request = request.basic_auth(&self.who.client_id, Some(&self.who.secret));
        request.form(form)
    }
}

async fn story(world: &World) -> Story<'_> {
    let operator = world.operator().await;
    let package = operator.published(package()).await;
    let who = world.sandbox_client(&PARTNER_SCOPES).await;
    let token = world.token("sandbox", &who, &[]).await;
    Story {
        world,
        env: "sandbox",
        who,
        token,
        package,
    }
}

/// What the partner API answers.
async fn partner_api(document: &mut Document<'_>, story: &Story<'_>) {
    let operator = story.world.operator().await;
    let body = order(&story.package, 2, "sim-delay-described");
    let placed = document.ask(story.ordering(&body), 201).await.json();
    let id = placed["id"].as_str().unwrap();
    let mut with_metadata = order(&story.package, 1, "sim-delay-metadata");
    with_metadata["metadata"] = json!({ "trip": "Oslo" });
    document.ask(story.ordering(&with_metadata), 201).await;
    // What there is to read of it.
    let usage = json!({ "order_id": id, "quantity": 3, "unit": "MB", "recorded_at": in_future(std::time::Duration::from_secs(60)) });
    operator.post("/usage-records", usage).await.expect(201);
    let refund = json!({ "order_id": id, "amount": 700, "reference": "RF-1", "reason": "late" });
    operator.post("/ledger/refunds", refund).await.expect(201);
    let closed = operator
        .post("/invoices/close", json!({}))
        .await
        .expect(200);
    let invoice = closed["data"][0]["id"].as_str().unwrap();
    operator
        .post(&format!("/invoices/{invoice}/pay"), json!({}))
        .await
        .expect(200);
    operator
        .post(
            &format!("/orders/{id}/fail"),
            json!({ "reason": "no stock" }),
        )
        .await
        .expect(200);

    let lists = [
        "/catalogue/packages",
        "/orders",
        "/usage",
        "/ledger/entries",
        "/invoices",
        "/requests",
        "/audit/events",
    ];
    for list in lists {
        let answer = document
            .ask(story.get(&format!("{list}?limit=2")), 200)
            .await;
        let page = answer.json();
        if list != "/requests" {
            assert!(
                !page["data"].as_array().unwrap().is_empty(),
                "{list} shows nothing"
            );
        }
        document
            .ask(story.get(&format!("{list}?limit=0")), 400)
            .await;
        document
            .ask(story.get(&format!("{list}?nobody=knows")), 400)
            .await;
    }
    let event = document.ask(story.get("/audit/events"), 200).await.json();
    let event = event["data"][0]["id"].as_str().unwrap().to_owned();
    let records = [
        format!("/catalogue/packages/{}", story.package),
        format!("/orders/{id}"),
        "/orders/by-reference/sim-delay-described".to_owned(),
        format!("/invoices/{invoice}"),
    ];
    for record in &records {
        document.ask(story.get(record), 200).await;
        let (place, _) = record.rsplit_once('/').unwrap();
        document.ask(story.get(&format!("{place}/x")), 404).await;
    }
    for single in ["/me", "/ledger/balance"] {
        document.ask(story.get(single), 200).await;
    }
    // Its proof, once a worker has put it into the tree.
    let proof = format!("/audit/events/{event}/proof");
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while Answer::of(story.get(&proof).send().await.unwrap())
        .await
        .status
        == 409
    {
        assert!(std::time::Instant::now() < deadline, "never in the tree");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    document.ask(story.get(&proof), 200).await;
    document.ask(story.get("/audit/events/x/proof"), 404).await;
    for path in ["/catalogue/packages".to_owned(), records[0].clone()] {
        let first = document.ask(story.get(&path), 200).await;
        let again = story
            .get(&path)
            .header("if-none-match", first.header("etag"));
        document.ask(again, 304).await;
    }
    // An older version has the shapes of its own, and is described by its page.
    let unknown = story.get("/me").header("onyx-version", "2001-01-01");
    document.ask(unknown, 400).await;
    refused_orders(document, story, &body).await;
}

/// Every way in which an order is refused.
async fn refused_orders(document: &mut Document<'_>, story: &Story<'_>, body: &Value) {
    let taken = document.ask(story.ordering(body), 409).await.json();
    assert_eq!(taken["code"], "partner_order_ref_taken");
    document
        .ask(story.ordering(&json!({ "nobody": 1 })), 422)
        .await;
    let card = order(&story.package, 1, "4111111111111111");
    document.ask(story.ordering(&card), 422).await;
    let plain = || story.request(Method::POST, "/orders");
    document.ask(plain().json(body), 400).await;
    let keyed = || plain().header("idempotency-key", fresh_key());
    let json = |request: RequestBuilder| request.header("content-type", "application/json");
    document.ask(json(keyed()).body("{"), 400).await;
    document
        .ask(keyed().header("content-type", "text/plain").body("{}"), 415)
        .await;
    document
        .ask(json(keyed()).body("x".repeat(70_000)), 413)
        .await;
}

/// Who has no token, a bad one, or one without the scope.
async fn refused_calls(document: &mut Document<'_>, story: &Story<'_>) {
    let only = async |scope| {
        let scope = [("scope", scope)];
        story.world.token("sandbox", &story.who, &scope).await
    };
    // One of them lacks what is wanted.
    let weak = [only("events:replay").await, only("catalogue:read").await];
    for operation in document.operations() {
        let (method, template) = operation.split_once(' ').unwrap();
        let said = document.text["paths"][template][method.to_ascii_lowercase()].clone();
        let wants_token = said["security"]
            .as_array()
            .is_some_and(|all| all.iter().any(|one| one.get("sandbox").is_some()));
        if !wants_token {
            continue;
        }
        let path = template
            .replace("{env}", "sandbox")
            .replace("{realm}", "sandbox");
        let path = path.replace(['{', '}'], "");
        let request = || {
            let request = story.world.request(method.parse().unwrap(), &path);
            request.header("idempotency-key", fresh_key())
        };
        document.ask(request(), 401).await;
        document.ask(request().bearer_auth("x.y.z"), 401).await;
        let twice = request()
            .bearer_auth(&story.token)
            .header("authorization", "Bearer another");
        document.ask(twice, 400).await;
        let scopes = said["security"][0]["sandbox"].as_array().unwrap();
        // A partner's token is not for the issuer's own endpoints, whatever its scopes.
        if !scopes.is_empty() && !template.contains("/oauth2/") {
            let nth = usize::from(scopes.contains(&json!("events:replay")));
            document.ask(request().bearer_auth(&weak[nth]), 403).await;
        }
    }
}

/// The OAuth endpoints, and what others find out by themselves.
async fn oauth(document: &mut Document<'_>, story: &Story<'_>) {
    let world = story.world;
    let operator = world.operator().await;
    let grant = [("grant_type", "client_credentials")];
    let given = document.ask(story.oauth("token", &grant), 200).await.json();
    let token = given["access_token"].as_str().unwrap();
    let server = operator
        .resource_server("sandbox", SERVICE, &["stock:read"], "ES256")
        .await;
    let service = operator.issue(server["client_id"].as_str().unwrap()).await;
    operator
        .sandbox_grant(&story.who.partner_id, "stock:read", Some(SERVICE))
        .await;
    let shopper = operator
        .client(
            &story.who.partner_id,
            "sandbox",
            &["orders:read", "stock:read"],
        )
        .await;
    let wanted = [("resource", SERVICE), ("scope", "stock:read")];
    let for_service = world.token("sandbox", &shopper, &wanted).await;
    let as_service = |token: &str| {
        let request = world.request(Method::POST, "/sandbox/oauth2/introspect");
        let request = request.basic_auth(&service.client_id, Some(&service.secret));
        request.form(&[("token", token)])
    };
    let active = document.ask(as_service(&for_service), 200).await.json();
    assert_eq!(active["active"], true);
    document.ask(as_service("x"), 200).await;
    document
        .ask(story.oauth("introspect", &[("token", "x")]), 400)
        .await;
    document
        .ask(story.oauth("revoke", &[("token", token)]), 200)
        .await;
    document.ask(story.oauth("revoke", &[]), 400).await;

    let feeding = world.token("sandbox", &service, &[]).await;
    let feed = |path: &str| {
        let path = format!("/sandbox/oauth2/{path}");
        world.request(Method::GET, &path).bearer_auth(&feeding)
    };
    let page = document.ask(feed("revocations"), 200).await.json();
    assert!(!page["entries"].as_array().unwrap().is_empty());
    document
        .ask(feed("revocations?after=999999999999"), 410)
        .await;
    document.ask(feed("revocations?wait=x"), 400).await;
    document.ask(feed("revocations/stream"), 200).await;
    document
        .ask(feed("revocations/stream?after=999999999999"), 410)
        .await;
    for verify in ["verify", "verify/any/path"] {
        let path = format!("/sandbox/oauth2/{verify}");
        let request = world.request(Method::GET, &path).bearer_auth(&story.token);
        if verify == "verify" {
            document.ask(request, 200).await;
        } else {
            // What stands below is one parameter of the document, whatever it is.
            let answer = Answer::of(request.send().await.unwrap()).await;
            assert_eq!(answer.status, 200);
            document
                .ask(
                    world
                        .request(Method::GET, "/sandbox/oauth2/verify/any")
                        .bearer_auth(&story.token),
                    200,
                )
                .await;
        }
    }
    let list = &claims(&story.token)["status"]["status_list"]["uri"];
    let list = list
        .as_str()
        .unwrap()
        .strip_prefix(&world.base)
        .unwrap()
        .to_owned();
    let shown = document.ask(world.request(Method::GET, &list), 200).await;
    let again = world.request(Method::GET, &list);
    document
        .ask(again.header("if-none-match", shown.header("etag")), 304)
        .await;
    let other_type = world
        .request(Method::GET, &list)
        .header("accept", "application/statuslist+cwt");
    document.ask(other_type, 406).await;
    document
        .ask(
            world.request(Method::GET, "/sandbox/oauth2/status-lists/x"),
            404,
        )
        .await;
    for path in [
        "/.well-known/oauth-authorization-server/sandbox",
        "/sandbox/.well-known/oauth-authorization-server",
        "/sandbox/.well-known/openid-configuration",
        "/.well-known/oauth-protected-resource/sandbox/v1",
        "/sandbox/oauth2/jwks",
        "/openapi.json",
        "/docs/",
    ] {
        document.ask(world.request(Method::GET, path), 200).await;
    }
    document.ask(world.request(Method::GET, "/docs"), 308).await;
    document
        .ask(world.request(Method::GET, "/docs/nobody"), 404)
        .await;
    let report = |body: Value| world.request(Method::POST, "/leaks").json(&body);
    document.ask(report(json!({ "secrets": [] })), 202).await;
    document.ask(report(json!({ "nobody": 1 })), 422).await;
    let secrets = vec!["x".repeat(1000); 200];
    document
        .ask(report(json!({ "secrets": secrets })), 413)
        .await;
    refused_clients(document, story, &shopper).await;
}

/// What OAuth endpoints refuse, the last of it since it was refused too often.
async fn refused_clients(document: &mut Document<'_>, story: &Story<'_>, other: &Credential) {
    let world = story.world;
    for endpoint in ["token", "introspect", "revoke", "credentials/rotate"] {
        let path = format!("/sandbox/oauth2/{endpoint}");
        let form = "application/x-www-form-urlencoded";
        let post = || world.request(Method::POST, &path);
        let typed = |kind: &str, body: String| post().header("content-type", kind).body(body);
        document.ask(typed(form, String::new()), 400).await;
        document.ask(typed("text/plain", "x".to_owned()), 415).await;
        document.ask(typed(form, "x".repeat(70_000)), 413).await;
        let made_up = format!(
            "cl_sbx_01ARZ3NDEKTSV4RRFFQ69G5F{}",
            &endpoint[..2]
                .to_ascii_uppercase()
                .replace('O', "0")
                .replace('I', "1")
                .replace('U', "V")
        );
        let guess = || {
            post()
                .basic_auth(&made_up, Some("wrong"))
                .form(&[("grant_type", "client_credentials"), ("token", "x")])
        };
        document.ask(guess(), 401).await;
        let mut waits = false;
        for _ in 0..200 {
            waits = Answer::of(guess().send().await.unwrap()).await.status == 429;
            if waits {
                break;
            }
        }
        assert!(waits, "{endpoint} lets anybody guess");
        // It waits for a second at least, or for what comes next.
        let mut told = 0;
        for _ in 0..200 {
            let request = guess().build().unwrap();
            let answer = Answer::of(world.http.execute(request).await.unwrap()).await;
            document.hold(&Method::POST, &path, &answer);
            told = answer.status;
            if told == 429 {
                break;
            }
        }
        assert_eq!(told, 429, "{endpoint}");
    }
    let rotate = || {
        let request = world.request(Method::POST, "/sandbox/oauth2/credentials/rotate");
        request.basic_auth(&other.client_id, Some(&other.secret))
    };
    document.ask(rotate(), 201).await;
}

/// Links to secrets.
async fn deliveries(document: &mut Document<'_>, story: &Story<'_>) {
    let world = story.world;
    let operator = world.operator().await;
    let client = json!({ "realm": "sandbox", "name": "linked", "scopes": ["orders:read"] });
    let path = format!("/partners/{}/clients", story.who.partner_id);
    let client = operator.post(&path, client).await.expect(201);
    let path = format!("/clients/{}/credentials", client["id"].as_str().unwrap());
    let issued = operator
        .post(&path, json!({ "kind": "secret", "deliver": "link" }))
        .await
        .expect(201);
    let url = issued["delivery_url"].as_str().unwrap();
    let (place, key) = url.split_once('#').unwrap();
    let id: DeliveryId = place.rsplit('/').next().unwrap().parse().unwrap();
    let proof = key.parse::<LinkKey>().unwrap().proof(&id).unwrap();
    let proof = json!({ "proof": proof.expose().as_str() });
    let place = place.strip_prefix(&world.base).unwrap();
    let post = |path: &str, body: &Value| world.request(Method::POST, path).json(body);
    document.ask(world.request(Method::GET, place), 200).await;
    document
        .ask(post(place, &json!({ "proof": "x" })), 422)
        .await;
    document.ask(post(place, &proof), 200).await;
    document.ask(post(place, &proof), 410).await;
    document
        .ask(post(&format!("{place}/revoke"), &proof), 200)
        .await;
    document
        .ask(post("/deliveries/x/revoke", &proof), 404)
        .await;
    document.ask(post("/deliveries/x", &proof), 404).await;
}

#[actix_web::test]
async fn every_operation_of_the_partner_document_answers_as_it_is_described() {
    for world in worlds_with(&[LOOPBACK]).await {
        let mut document = Document::of(&world).await;
        let story = story(&world).await;
        partner_api(&mut document, &story).await;
        refused_calls(&mut document, &story).await;
        oauth(&mut document, &story).await;
        deliveries(&mut document, &story).await;
        webhooks::endpoints(&mut document, &story).await;
        let never: Vec<_> = document
            .operations()
            .into_iter()
            .filter(|operation| !document.succeeded.contains(operation))
            .collect();
        assert!(never.is_empty(), "described, and never asked: {never:#?}");
        let faults = &document.faults;
        assert!(faults.is_empty(), "server and document differ: {faults:#?}");
        assert!(document.refused.len() > 80, "{}", document.refused.len());
    }
}
