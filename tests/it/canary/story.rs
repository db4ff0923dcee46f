//! One story that asks every route for what it is there for. A new route is a line here.
//!
//! In a path `{id=partner}` stands for the route's `{id}` and for what the story keeps as `partner`. In a
//! body a text that begins with `$` is what was kept, and `*` is payload: a text that is stored for its
//! owner and belongs in no log.

use std::time::Duration;

use serde_json::{Value, json};

use super::{shop, webhooks};

use crate::support::governance::{ATTESTED, COMPUTED, DAY, contract, notice};
use crate::support::recipient;
use crate::support::world::in_future;

/// What a step does.
pub enum Step {
    Ask(Box<Ask>),
    /// Changes the database, as time would.
    Age(&'static str, &'static str),
}

/// A request that must have this answer.
pub struct Ask {
    pub route: String,
    pub who: Who,
    pub body: Body,
    pub status: u16,
    /// A pointer into the answer, and the name by which it is kept.
    pub keeps: Vec<(&'static str, String)>,
}

/// By what the request authenticates.
#[derive(Clone)]
pub enum Who {
    Nobody,
    Bearer(String),
    Basic(String),
}

pub enum Body {
    None,
    Json(Value),
    Form(Vec<(&'static str, String)>),
}

pub(super) fn step(route: impl Into<String>, who: Who) -> Ask {
    Ask {
        route: route.into(),
        who,
        body: Body::None,
        status: 200,
        keeps: Vec::new(),
    }
}

impl Ask {
    pub(super) fn json(mut self, body: Value) -> Self {
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

    pub(super) fn is(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    pub(super) fn keep(mut self, pointer: &'static str, name: impl Into<String>) -> Self {
        self.keeps.push((pointer, name.into()));
        self
    }
}

impl From<Ask> for Step {
    fn from(ask: Ask) -> Self {
        Self::Ask(Box::new(ask))
    }
}

pub(super) fn operator() -> Who {
    Who::Bearer("operator".to_owned())
}

pub(super) fn second() -> Who {
    Who::Bearer("second".to_owned())
}

/// A token of whoever has a credential by this name; kept as `token`.
pub(super) fn token(realm: &str, who: &str, token: &str) -> Ask {
    step(
        format!("POST /{realm}/oauth2/token"),
        Who::Basic(who.to_owned()),
    )
    .form(&[("grant_type", "client_credentials")])
    .keep("/access_token", token)
}

/// A secret for a client; kept as `name.id`, `name.credential` and `name.secret`.
pub(super) fn issue(client: &str, name: &str) -> Ask {
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

/// All of it, in order.
pub fn story() -> Vec<Step> {
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
    add(shop::packages());
    for realm in ["sandbox", "live"] {
        add(shop::shopper(realm));
        add(shop::shopping(realm));
        add(shop::selling(realm));
        add(webhooks::endpoints(realm));
    }
    add(shop::records());
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
        verb("suspend", "leaving"),
        verb("offboard", "leaving"),
        step("GET /admin/v1/partners", operator()),
        step("GET /admin/v1/partners/{id=partner}", operator()),
        step("PATCH /admin/v1/partners/{id=partner}", operator()).json(json!({ "name": "*" })),
        step("POST /admin/v1/plans", operator())
            .json(json!({
                "name": "*", "requests_per_minute": 60_000, "burst": 6_000, "tokens_per_minute": 6_000,
                "orders_per_day": 1_000, "spend_per_month": { "amount": 1_000_000, "currency": "EUR" },
            }))
            .is(201)
            .keep("/id", "plan"),
        step("GET /admin/v1/plans", operator()),
        step("GET /admin/v1/plans/{id=plan}", operator()),
        step("PATCH /admin/v1/plans/{id=plan}", operator())
            .json(json!({ "name": "*", "client_share": 90 })),
        step("PUT /admin/v1/partners/{id=partner}/limits", operator())
            .json(json!({ "realm": "sandbox", "mode": "shadow", "plan_id": "$plan" })),
        step("GET /admin/v1/partners/{id=partner}/limits", operator()),
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
        verb("deny", "denied_grant").json(json!({})),
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
        step(
            format!("GET /{realm}/oauth2/status-lists/{{id={mine}.list}}"),
            Who::Nobody,
        ),
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
        step(
            "GET /admin/oauth2/status-lists/{id=operator.list}",
            Who::Nobody,
        ),
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
            .is(201)
            .keep("/kid", "new_key"),
        step("POST /admin/v1/keys/{kid=new_key}/revoke", operator()).json(json!({ "reason": "*" })),
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
        // What was leaked is revoked by now; the routes are asked with these.
        issue("sandbox", "last_sandbox"),
        issue("live", "last_live"),
        token("sandbox", "last_sandbox", "sandbox.token"),
        token("live", "last_live", "live.token"),
    ]
}
