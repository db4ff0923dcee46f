//! The part of the story that is told about what partners buy, and about what is on record of it.

use std::time::Duration;

use serde_json::json;

use super::story::{Ask, Who, issue, operator, second, step, token};
use crate::support::world::in_future;

/// What a shopper needs.
const SCOPES: [&str; 7] = [
    "catalogue:read",
    "events:replay",
    "invoices:read",
    "ledger:read",
    "orders:create",
    "orders:read",
    "webhooks:manage",
];

pub(super) fn bearer(realm: &str) -> Who {
    Who::Bearer(format!("{realm}_shop.token"))
}

pub(super) fn packages() -> Vec<Ask> {
    let package = || {
        json!({
            "name": "*", "description": "*", "price": { "amount": 1900, "currency": "EUR" },
            "validity_days": 30, "region": "*", "features": ["*"],
        })
    };
    let on = |method: &str, verb: &str| {
        step(
            format!("{method} /admin/v1/packages/{{id=package}}{verb}"),
            operator(),
        )
    };
    vec![
        step("POST /admin/v1/packages", operator())
            .json(package())
            .is(201)
            .keep("/id", "package"),
        on("PATCH", "").json(json!({ "description": "*" })),
        on("POST", "/publish").json(json!({ "reason": "*" })),
        on("POST", "/withdraw").json(json!({ "reason": "*" })),
        on("POST", "/publish").json(json!({ "reason": "*" })),
        on("GET", ""),
        step("GET /admin/v1/packages", operator()),
        step("POST /admin/v1/packages/import", operator())
            .json(json!([package()]))
            .is(201),
    ]
}

/// A client of a realm with all that it takes to buy.
pub(super) fn shopper(realm: &str) -> Vec<Ask> {
    let name = format!("{realm}_shop");
    let mut steps = Vec::new();
    for scope in SCOPES {
        let grant = format!("{realm}.{scope}");
        steps.push(
            step(
                "POST /admin/v1/partners/{id=partner}/scope-grants",
                operator(),
            )
            .json(json!({
                "realm": realm, "scope": scope, "purpose": "*", "lawful_basis": "contract",
                "data_classes": ["orders"], "retention_days": 30,
                "expires_at": in_future(Duration::from_secs(30 * 24 * 3600)),
            }))
            .is(201)
            .keep("/id", &*grant),
        );
        if realm == "live" {
            let approve = format!("POST /admin/v1/scope-grants/{{id={grant}}}/approve");
            steps.push(step(approve, second()).json(json!({})));
        }
    }
    steps.push(
        step("POST /admin/v1/partners/{id=partner}/clients", operator())
            .json(json!({ "realm": realm, "name": "*", "scopes": SCOPES }))
            .is(201)
            .keep("/id", &*name),
    );
    steps.push(issue(&name, &name));
    steps.push(token(realm, &name, &format!("{name}.token")));
    steps
}

/// What is bought, and read of it.
pub(super) fn shopping(realm: &str) -> Vec<Ask> {
    let get = |path: &str| step(format!("GET /{realm}/v1{path}"), bearer(realm));
    let order = |reference: &str, name: &str| {
        step(format!("POST /{realm}/v1/orders"), bearer(realm))
            .json(json!({
                "package_id": "$package", "quantity": 2, "partner_order_ref": reference, "metadata": { "trip": "*" },
            }))
            .is(201)
            .keep("/id", format!("{realm}.{name}"))
    };
    let mut steps = vec![
        get("/catalogue/packages"),
        get("/catalogue/packages/{id=package}"),
        order("sim-delay-1", "order"),
        order("sim-delay-2", "failing"),
        order("sim-delay-3", "cancelled"),
        get("/orders"),
        get(&format!("/orders/{{id={realm}.order}}")),
        get("/orders/by-reference/{partner_order_ref=sim-delay-1}"),
        get("/ledger/entries").keep("/data/0/id", format!("{realm}.entry")),
        get("/ledger/balance"),
        get("/requests"),
        get("/audit/events").keep("/data/0/id", format!("{realm}.event")),
        get(&format!("/audit/events/{{id={realm}.event}}/proof")),
        // A scope that this client does not hold.
        get("/usage").is(403),
        get("/events").keep("/data/0/id", format!("{realm}.told")),
        get(&format!("/events/{{id={realm}.told}}")),
    ];
    if realm == "sandbox" {
        let trigger = step("POST /sandbox/v1/events", bearer(realm));
        let body = json!({ "type": "invoice.opened" });
        steps.push(trigger.json(body).is(201));
    }
    steps
}

/// What operators do with it.
pub(super) fn selling(realm: &str) -> Vec<Ask> {
    let of_order = |order: &str, verb: &str| {
        let path = format!("POST /admin/v1/orders/{{id={realm}.{order}}}/{verb}");
        step(path, operator()).json(json!({ "reason": "*" }))
    };
    let of_invoice = |verb: &str| {
        let path = format!("POST /admin/v1/invoices/{{id={realm}.invoice}}/{verb}");
        step(path, operator())
    };
    let close = || {
        step("POST /admin/v1/invoices/close", operator())
            .json(json!({ "partner_id": "$partner", "realm": realm, "draft": true }))
            .keep("/data/0/id", format!("{realm}.invoice"))
    };
    let reason = || json!({ "reason": "*" });
    vec![
        of_order("order", "prepare"),
        of_order("order", "fulfil"),
        of_order("failing", "fail"),
        of_order("cancelled", "cancel"),
        step("GET /admin/v1/orders", operator()),
        step(
            format!("GET /admin/v1/orders/{{id={realm}.order}}"),
            operator(),
        ),
        step("POST /admin/v1/usage-records", operator())
            .json(json!({
                "order_id": format!("${realm}.order"), "quantity": 3, "unit": "*",
                "recorded_at": in_future(Duration::from_secs(60)),
            }))
            .is(201),
        step("POST /admin/v1/ledger/refunds", operator())
            .json(json!({ "order_id": format!("${realm}.order"), "amount": 100, "reference": "*", "reason": "*" }))
            .is(201)
            .keep("/corrects", format!("{realm}.charge")),
        step("POST /admin/v1/ledger/adjustments", operator())
            .json(json!({
                "partner_id": "$partner", "realm": realm, "amount": { "amount": -50, "currency": "EUR" },
                "corrects": format!("${realm}.charge"), "reference": "*", "reason": "*",
            }))
            .is(201),
        // What it lists needs a query.
        step("GET /admin/v1/ledger/entries", operator()).is(400),
        close(),
        of_invoice("open").json(json!({})),
        of_invoice("void").json(reason()),
        close(),
        of_invoice("open").json(json!({})),
        of_invoice("uncollectible").json(reason()),
        of_invoice("pay").json(json!({})).is(409),
        step("GET /admin/v1/invoices", operator()),
        step(
            format!("GET /admin/v1/invoices/{{id={realm}.invoice}}"),
            operator(),
        ),
        step(format!("GET /{realm}/v1/invoices"), bearer(realm)),
        step(
            format!("GET /{realm}/v1/invoices/{{id={realm}.invoice}}"),
            bearer(realm),
        ),
    ]
}

/// What is on record, and the pages about the API.
pub(super) fn records() -> Vec<Ask> {
    let get = |path: &str| step(format!("GET {path}"), operator());
    let page = |path: &str| step(format!("GET {path}"), Who::Nobody);
    vec![
        get("/admin/v1/requests"),
        get("/admin/v1/versions"),
        get("/admin/v1/audit/events").keep("/data/0/id", "event"),
        get("/admin/v1/audit/events/{id=event}/proof"),
        get("/admin/v1/audit/checkpoint"),
        get("/admin/v1/audit/key"),
        // What it proves needs a query.
        get("/admin/v1/audit/consistency").is(400),
        get("/admin/v1/audit/export"),
        page("/docs").is(308),
        page("/docs/{file=index.html}"),
        page("/admin/docs").is(308),
        page("/admin/docs/{file=index.html}"),
    ]
}
