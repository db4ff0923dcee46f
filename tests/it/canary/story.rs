//! One story that asks every route for what it is there for. A new route is a line here.
//!
//! In a path `{id=partner}` stands for the route's `{id}` and for what the story keeps as `partner`. In a
//! body a text that begins with `$` is what was kept, and `*` is payload: a text that is stored for its
//! owner and belongs in no log.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use onyx_auth::domain::id::DeliveryId;
use onyx_auth::keys::link::LinkKey;
use reqwest::Method;
use serde_json::{Value, json};

use super::ledger::Ledger;
use crate::support::governance::{ATTESTED, COMPUTED, DAY, contract, notice};
use crate::support::recipient;
use crate::support::world::{Answer, World, days_away, in_future};

/// What a step does.
enum Step {
    Ask(Box<Ask>),
    /// Changes the database, as time would.
    Age(&'static str, &'static str),
}

/// A request that must have this answer.
struct Ask {
    route: String,
    who: Who,
    body: Body,
    status: u16,
    /// A pointer into the answer, and the name by which it is kept.
    keeps: Vec<(&'static str, String)>,
}

/// By what the request authenticates.
#[derive(Clone)]
enum Who {
    Nobody,
    Bearer(String),
    Basic(String),
}

enum Body {
    None,
    Json(Value),
    Form(Vec<(&'static str, String)>),
}

/// What the story kept.
pub type Kept = BTreeMap<String, String>;

fn step(route: impl Into<String>, who: Who) -> Ask {
    Ask {
        route: route.into(),
        who,
        body: Body::None,
        status: 200,
        keeps: Vec::new(),
    }
}

impl Ask {
    fn json(mut self, body: Value) -> Self {
        self.body = Body::Json(body);
        self
    }

    fn form(mut self, form: &[(&'static str, &str)]) -> Self {
        let owned = form
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()));
        self.body = Body::Form(owned.collect());
        self
    }

    fn is(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    fn keep(mut self, pointer: &'static str, name: impl Into<String>) -> Self {
        self.keeps.push((pointer, name.into()));
        self
    }
}

impl From<Ask> for Step {
    fn from(ask: Ask) -> Self {
        Self::Ask(Box::new(ask))
    }
}

fn operator() -> Who {
    Who::Bearer("operator".to_owned())
}

fn second() -> Who {
    Who::Bearer("second".to_owned())
}

/// A token of whoever has a credential by this name; kept as `token`.
fn token(realm: &str, who: &str, token: &str) -> Ask {
    step(
        format!("POST /{realm}/oauth2/token"),
        Who::Basic(who.to_owned()),
    )
    .form(&[("grant_type", "client_credentials")])
    .keep("/access_token", token)
}

/// A secret for a client; kept as `name.id`, `name.credential` and `name.secret`.
fn issue(client: &str, name: &str) -> Ask {
    step(
        format!("POST /admin/v1/clients/{{id={client}}}/credentials"),
        operator(),
    )
    .json(json!({ "kind": "secret" }))
    .is(201)
    .keep("/secret", format!("{name}.secret"))
    .keep("/id", format!("{name}.credential"))
    .keep("/client_id", format!("{name}.id"))
}

fn story() -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut add = |more: Vec<Ask>| steps.extend(more.into_iter().map(Step::from));
    add(operators());
    add(partners());
    add(governance());
    add(grants());
    add(clients());
    add(services());
    for realm in ["sandbox", "live", "admin"] {
        add(discovery(realm));
    }
    for realm in ["sandbox", "live"] {
        add(partner_realm(realm));
    }
    add(admin_realm());
    add(deliveries());
    add(security());
    steps.push(Step::Age("clients", "idle"));
    steps.push(Step::Age("credentials", "spare.credential"));
    steps.extend(endings().into_iter().map(Step::from));
    steps
}

fn operators() -> Vec<Ask> {
    vec![
        token("admin", "root", "operator"),
        token("admin", "recovered", "second"),
        step("POST /admin/v1/operators", operator())
            .json(json!({ "name": "*", "scopes": ["partners:read"] }))
            .is(201)
            .keep("/id", "colleague"),
        step("GET /admin/v1/operators", operator()),
        step("GET /admin/v1/operators/{id=colleague}", operator()),
    ]
}

fn partners() -> Vec<Ask> {
    let create = |name: &str| {
        step("POST /admin/v1/partners", operator())
            .json(json!({ "name": "*", "legal_name": "*", "security_contact": "sec@acme.example" }))
            .is(201)
            .keep("/id", name)
    };
    let verb = |verb: &str, partner: &str| {
        step(
            format!("POST /admin/v1/partners/{{id={partner}}}/{verb}"),
            operator(),
        )
        .json(json!({ "reason": "*" }))
    };
    vec![
        create("partner"),
        create("unwanted"),
        create("leaving"),
        verb("approve", "partner"),
        verb("reject", "unwanted"),
        verb("approve", "leaving"),
        verb("suspend", "leaving"),
        verb("resume", "leaving"),
        verb("offboard", "leaving"),
        step("GET /admin/v1/partners", operator()),
        step("GET /admin/v1/partners/{id=partner}", operator()),
        step("PATCH /admin/v1/partners/{id=partner}", operator()).json(json!({ "name": "*" })),
    ]
}

fn governance() -> Vec<Ask> {
    let of_partner = "/admin/v1/partners/{id=partner}";
    let agreement = |name: &str| {
        step(format!("POST {of_partner}/agreements"), operator())
            .json(contract(365 * DAY))
            .is(201)
            .keep("/id", name)
    };
    let check = |check: &str, who: Who, state: &str| {
        step(
            format!("POST {of_partner}/launch-review/checks/{{check={check}}}"),
            who,
        )
        .json(json!({ "state": state, "evidence": "*", "reason": "*" }))
    };
    let mut steps = vec![
        agreement("contract"),
        agreement("other_contract"),
        step(
            "POST /admin/v1/agreements/{id=contract}/bring-into-force",
            operator(),
        ),
        step(
            "POST /admin/v1/agreements/{id=other_contract}/bring-into-force",
            operator(),
        ),
        step(
            "POST /admin/v1/agreements/{id=other_contract}/terminate",
            operator(),
        )
        .json(json!({ "reason": "*" })),
        step(format!("GET {of_partner}/agreements"), operator()),
        step(format!("PUT {of_partner}/privacy-notice"), operator()).json(notice()),
        step(format!("GET {of_partner}/privacy-notice"), operator()),
        step(format!("POST {of_partner}/launch-review"), operator()).is(201),
        step(format!("GET {of_partner}/launch-review"), operator()),
    ];
    steps.extend(COMPUTED.map(|name| check(name, second(), "waived")));
    steps.extend(ATTESTED.map(|name| check(name, operator(), "passed")));
    steps.push(
        step(format!("POST {of_partner}/launch-review/decide"), second())
            .json(json!({ "decision": "approve", "reason": "*" })),
    );
    steps
}

fn grants() -> Vec<Ask> {
    let ask = |realm: &str, scope: &str, name: &str| {
        step("POST /admin/v1/partners/{id=partner}/scope-grants", operator())
            .json(json!({
                "realm": realm, "scope": scope, "purpose": "*", "lawful_basis": "contract",
                "data_classes": ["orders"], "retention_days": 30, "expires_at": in_future(Duration::from_secs(30 * 24 * 3600)),
            }))
            .is(201)
            .keep("/id", name)
    };
    let verb = |verb: &str, grant: &str| {
        step(
            format!("POST /admin/v1/scope-grants/{{id={grant}}}/{verb}"),
            second(),
        )
        .json(json!({ "reason": "*" }))
    };
    vec![
        ask("sandbox", "orders:read", "sandbox_grant"),
        ask("live", "orders:read", "live_grant"),
        ask("live", "usage:read", "denied_grant"),
        ask("sandbox", "usage:read", "revoked_grant"),
        verb("approve", "live_grant").json(json!({})),
        verb("deny", "denied_grant"),
        verb("revoke", "revoked_grant"),
        step("GET /admin/v1/scope-grants/{id=live_grant}", operator()),
        step(
            "GET /admin/v1/partners/{id=partner}/scope-grants",
            operator(),
        ),
    ]
}

fn clients() -> Vec<Ask> {
    let create = |realm: &str, name: &str| {
        step("POST /admin/v1/partners/{id=partner}/clients", operator())
            .json(json!({ "realm": realm, "name": "*", "scopes": ["orders:read"] }))
            .is(201)
            .keep("/id", name)
    };
    let verb = |verb: &str, client: &str| {
        step(
            format!("POST /admin/v1/clients/{{id={client}}}/{verb}"),
            operator(),
        )
        .json(json!({ "reason": "*" }))
    };
    let credential = |verb: &str, credential: &str| {
        step(
            format!("POST /admin/v1/credentials/{{id={credential}}}/{verb}"),
            operator(),
        )
    };
    vec![
        create("sandbox", "sandbox"),
        create("live", "live"),
        create("sandbox", "idle"),
        create("sandbox", "rotating"),
        create("sandbox", "ending"),
        step("PATCH /admin/v1/clients/{id=live}", operator())
            .json(json!({ "name": "*", "self_rotation": true })),
        issue("sandbox", "sandbox"),
        issue("live", "live"),
        issue("idle", "spare"),
        issue("rotating", "first"),
        credential("rotate", "first.credential")
            .json(json!({}))
            .is(201)
            .keep("/id", "undone"),
        credential("undo-rotation", "first.credential"),
        credential("rotate", "first.credential")
            .json(json!({}))
            .is(201)
            .keep("/id", "next"),
        credential("finish-rotation", "first.credential"),
        credential("revoke", "next").json(json!({ "reason": "other", "note": "*" })),
        step("GET /admin/v1/clients", operator()),
        step("GET /admin/v1/partners/{id=partner}/clients", operator()),
        step("GET /admin/v1/clients/{id=live}", operator()),
        step("GET /admin/v1/clients/{id=live}/credentials", operator()),
        step("GET /admin/v1/clients/{id=live}/scope-usage", operator()),
        verb("suspend", "ending"),
        verb("resume", "ending"),
        verb("revoke", "ending"),
    ]
}

fn services() -> Vec<Ask> {
    let create = |realm: &str| {
        step("POST /admin/v1/resource-servers", operator())
            .json(json!({
                "realm": realm, "identifier": format!("https://orders.{realm}.example"),
                "name": "*", "scopes": ["orders:read"],
            }))
            .is(201)
            .keep("/id", format!("{realm}_server"))
            .keep("/client_id", format!("{realm}_service"))
    };
    vec![
        create("sandbox"),
        create("live"),
        issue("sandbox_service", "sandbox_service"),
        issue("live_service", "live_service"),
        step("GET /admin/v1/resource-servers", operator()),
        step(
            "GET /admin/v1/resource-servers/{id=live_server}",
            operator(),
        ),
        step(
            "PATCH /admin/v1/resource-servers/{id=live_server}",
            operator(),
        )
        .json(json!({ "name": "*" })),
    ]
}

fn discovery(realm: &str) -> Vec<Ask> {
    let get = |path: String| step(format!("GET {path}"), Who::Nobody);
    let mut steps = vec![
        get(format!("/.well-known/oauth-authorization-server/{realm}")),
        get(format!("/{realm}/.well-known/oauth-authorization-server")),
        get(format!("/{realm}/.well-known/openid-configuration")),
        get(format!("/{realm}/oauth2/jwks")),
    ];
    if realm == "admin" {
        steps.extend(
            [
                "/openapi.json",
                "/admin/openapi.json",
                "/healthz",
                "/readyz",
                "/metrics",
            ]
            .map(|path| get(path.to_owned())),
        );
    } else {
        steps.push(get(format!(
            "/.well-known/oauth-protected-resource/{realm}/v1"
        )));
    }
    steps
}

fn partner_realm(realm: &str) -> Vec<Ask> {
    let (service, feed, mine) = (
        format!("{realm}_service"),
        format!("{realm}.feed"),
        format!("{realm}.token"),
    );
    let bearer = |name: &str| Who::Bearer(name.to_owned());
    let oauth = |path: &str, who: &str| {
        step(
            format!("POST /{realm}/oauth2/{path}"),
            Who::Basic(who.to_owned()),
        )
    };
    vec![
        token(realm, realm, &mine),
        token(realm, &service, &feed).form(&[
            ("grant_type", "client_credentials"),
            ("scope", "revocations:read"),
        ]),
        step(format!("GET /{realm}/v1/me"), bearer(&mine)),
        step(format!("GET /{realm}/oauth2/verify"), bearer(&mine)),
        step(
            format!("GET /{realm}/oauth2/verify/{{path=anything}}"),
            bearer(&mine),
        ),
        oauth("introspect", &service).form(&[("token", &format!("${mine}"))]),
        step(format!("GET /{realm}/oauth2/revocations"), bearer(&feed)),
        step(
            format!("GET /{realm}/oauth2/revocations/stream"),
            bearer(&feed),
        ),
        oauth("revoke", realm).form(&[("token", &format!("${mine}"))]),
        step(format!("GET /{realm}/v1/me"), bearer(&mine)).is(401),
        // By form, so that the body holds the secret too.
        step(format!("POST /{realm}/oauth2/token"), Who::Nobody)
            .form(&[
                ("grant_type", "client_credentials"),
                ("client_id", &format!("${realm}.id")),
                ("client_secret", &format!("${realm}.secret")),
            ])
            .keep("/access_token", &mine),
        oauth("credentials/rotate", realm)
            .is(201)
            .keep("/client_secret", format!("{realm}.renewed")),
    ]
}

/// Operators neither introspect, nor follow revocations, nor rotate by themselves: what they get is
/// a refusal, always.
fn admin_realm() -> Vec<Ask> {
    let oauth = |path: &str| {
        step(
            format!("POST /admin/oauth2/{path}"),
            Who::Basic("root".to_owned()),
        )
    };
    vec![
        token("admin", "root", "short-lived"),
        step("GET /admin/oauth2/verify", operator()),
        step("GET /admin/oauth2/verify/{path=anything}", operator()),
        oauth("introspect").form(&[("token", "$operator")]).is(400),
        oauth("credentials/rotate").is(400),
        step("GET /admin/oauth2/revocations", operator()).is(401),
        step("GET /admin/oauth2/revocations/stream", operator()).is(401),
        oauth("revoke").form(&[("token", "$short-lived")]),
    ]
}

fn deliveries() -> Vec<Ask> {
    let send = |client: &str, name: &str| {
        step(
            format!("POST /admin/v1/clients/{{id={client}}}/credentials"),
            operator(),
        )
        .json(json!({ "kind": "secret", "deliver": "link" }))
        .is(201)
        .keep("/delivery_url", name)
    };
    let at = |method: &str, side: &str, name: &str, verb: &str| {
        let ask = step(
            format!("{method} {side}/deliveries/{{id={name}.id}}{verb}"),
            Who::Nobody,
        );
        if method == "GET" {
            ask
        } else {
            ask.json(json!({ "proof": format!("${name}.proof") }))
        }
    };
    let recipient = recipient::ec();
    vec![
        send("idle", "link"),
        send("colleague", "admin_link"),
        at("GET", "", "link", ""),
        at("POST", "", "link", ""),
        at("POST", "", "link", "").is(410),
        at("POST", "", "link", "/revoke"),
        at("GET", "/admin", "admin_link", ""),
        at("POST", "/admin", "admin_link", ""),
        at("POST", "/admin", "admin_link", "/revoke"),
        step(
            "POST /admin/v1/clients/{id=colleague}/credentials",
            operator(),
        )
        .json(json!({ "kind": "secret", "deliver": "jwe", "recipient_jwk": recipient.public }))
        .is(201),
        // Somebody sends the private key.
        step(
            "POST /admin/v1/clients/{id=colleague}/credentials",
            operator(),
        )
        .json(json!({ "kind": "secret", "deliver": "jwe", "recipient_jwk": recipient.private }))
        .is(422),
    ]
}

fn security() -> Vec<Ask> {
    vec![
        step("POST /leaks", Who::Nobody)
            .json(json!({ "secrets": ["$live.renewed", "$sandbox.secret"] }))
            .is(202),
        step("GET /admin/v1/reviews", operator()).keep("/data/0/id", "review"),
        step("POST /admin/v1/reviews/{id=review}/close", operator()).json(json!({ "reason": "*" })),
        step("GET /admin/v1/leak-reports", operator()),
        step("GET /admin/v1/keys", operator()),
        step("POST /admin/v1/keys/rotate", operator())
            .json(json!({ "realm": "sandbox" }))
            .is(201),
    ]
}

fn endings() -> Vec<Ask> {
    vec![
        step("GET /admin/v1/recommendations", operator()).keep("/data/0/id", "recommendation"),
        step(
            "POST /admin/v1/recommendations/{id=recommendation}/apply",
            operator(),
        ),
        step("POST /admin/v1/tokens/revoke", operator()).json(json!({ "token": "$live.token" })),
    ]
}

/// Tells the story; answers what was kept, and the routes that were asked.
pub async fn tell(world: &World, ledger: &mut Ledger) -> (Kept, Vec<String>) {
    let mut kept = Kept::new();
    world.cli(&["operator", "recover", "--out", "data/second.json"]);
    for (name, file) in [
        ("root", "data/operator.json"),
        ("recovered", "data/second.json"),
    ] {
        let credential = world.credential_file(file);
        ledger.secret(&format!("the secret in {file}"), &credential.secret);
        kept.insert(format!("{name}.id"), credential.client_id);
        kept.insert(format!("{name}.secret"), credential.secret);
    }
    let mut asked = Vec::new();
    for step in story() {
        match step {
            Step::Ask(ask) => {
                asked.push(template(&ask.route));
                carry_out(world, ledger, &mut kept, &ask).await;
            }
            Step::Age(table, name) => {
                let (id, at) = (&kept[name], days_away(-200));
                world.execute(&format!(
                    "UPDATE {table} SET created_at = '{at}' WHERE id = '{id}'"
                ));
            }
        }
    }
    (kept, asked)
}

/// The route without what the story put into it.
fn template(route: &str) -> String {
    let mut parts = route.split('=');
    let mut template = parts.next().unwrap().to_owned();
    for part in parts {
        template.push_str(&part[part.find('}').unwrap()..]);
    }
    template
}

async fn carry_out(world: &World, ledger: &mut Ledger, kept: &mut Kept, ask: &Ask) {
    let (method, path) = ask.route.split_once(' ').unwrap();
    let base = match path {
        "/healthz" | "/readyz" | "/metrics" => &world.ops,
        _ => &world.base,
    };
    let url = format!("{base}{}", filled(path, kept));
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let method: Method = method.parse().unwrap();
        let mut request = world.http.request(method, &url);
        request = match &ask.who {
            Who::Nobody => request,
            Who::Bearer(name) => request.bearer_auth(&kept[name]),
            Who::Basic(name) => {
                let (id, secret) = (
                    &kept[&format!("{name}.id")],
                    &kept[&format!("{name}.secret")],
                );
                request.basic_auth(id, Some(secret))
            }
        };
        request = match &ask.body {
            Body::None => request,
            Body::Json(body) => request.json(&with_kept(body, kept, ledger, &ask.route)),
            Body::Form(form) => {
                let form = form
                    .iter()
                    .map(|(name, value)| match value.strip_prefix('$') {
                        Some(known) => (*name, kept[known].clone()),
                        None => (*name, value.clone()),
                    });
                request.form(&form.collect::<Vec<_>>())
            }
        };
        let response = request.send().await.unwrap();
        let streams = response
            .headers()
            .get("content-type")
            .is_some_and(|kind| kind == "text/event-stream");
        if streams {
            assert_eq!(response.status().as_u16(), ask.status, "{}", ask.route);
            return;
        }
        let answer = Answer::of(response).await;
        ledger.answered(&ask.route, &answer);
        assert_eq!(answer.status, ask.status, "{}: {}", ask.route, answer.text);
        let missing = !ask.keeps.is_empty()
            && ask
                .keeps
                .iter()
                .any(|(pointer, _)| answer.json().pointer(pointer).is_none());
        if !missing {
            return ask.keeps.iter().for_each(|(pointer, name)| {
                keep(kept, name, answer.json().pointer(pointer).unwrap(), ledger);
            });
        }
        // What a worker does comes a moment later.
        assert!(Instant::now() < deadline, "{}: {}", ask.route, answer.text);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn keep(kept: &mut Kept, name: &str, value: &Value, ledger: &mut Ledger) {
    let text = value.as_str().unwrap().to_owned();
    if let Some((place, key)) = text.split_once('#') {
        let id: DeliveryId = place.rsplit('/').next().unwrap().parse().unwrap();
        let key: LinkKey = key.parse().unwrap();
        let proof = key.proof(&id).unwrap().expose().to_string();
        ledger.secret(&format!("the proof of {name}"), &proof);
        kept.insert(format!("{name}.id"), id.to_string());
        kept.insert(format!("{name}.proof"), proof);
    }
    kept.insert(name.to_owned(), text);
}

fn filled(path: &str, kept: &Kept) -> String {
    let mut filled = String::new();
    for part in path.split_inclusive('}') {
        match part.strip_suffix('}').and_then(|part| part.split_once('{')) {
            Some((before, place)) => {
                let name = place.split_once('=').unwrap().1;
                filled.push_str(before);
                filled.push_str(kept.get(name).map_or(name, String::as_str));
            }
            None => filled.push_str(part),
        }
    }
    filled
}

fn with_kept(body: &Value, kept: &Kept, ledger: &mut Ledger, route: &str) -> Value {
    match body {
        Value::String(text) if text == "*" => ledger.payload(route).into(),
        Value::String(text) => match text.strip_prefix('$') {
            Some(name) => kept[name].clone().into(),
            None => body.clone(),
        },
        Value::Array(items) => items
            .iter()
            .map(|item| with_kept(item, kept, ledger, route))
            .collect(),
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| (name.clone(), with_kept(value, kept, ledger, route)))
            .collect(),
        _ => body.clone(),
    }
}
