//! The partner API's routes.

use crate::domain::realm::Realm;
use crate::http::table::{Part, at, scope};
use crate::http::v1;

/// The partner API of an environment.
pub(super) fn api(realm: Realm) -> Part {
    use v1::webhook_endpoints;
    let events = at("/events").get(v1::events::list);
    let events = match realm {
        Realm::Sandbox => events.post(v1::events::trigger),
        _ => events,
    };
    scope(realm, "v1")
        .in_versions()
        .service(at("/me").get(v1::me::show).done())
        .service(at("/catalogue/packages").get(v1::catalogue::list).done())
        .service(
            at("/catalogue/packages/{id}")
                .get(v1::catalogue::show)
                .done(),
        )
        .service(
            at("/orders")
                .get(v1::orders::list)
                .post(v1::orders::create)
                .done(),
        )
        .service(
            at("/orders/by-reference/{partner_order_ref}")
                .get(v1::orders::show_by_reference)
                .done(),
        )
        .service(at("/orders/{id}").get(v1::orders::show).done())
        .service(at("/usage").get(v1::usage::list).done())
        .service(at("/ledger/entries").get(v1::ledger::list).done())
        .service(at("/ledger/balance").get(v1::ledger::balance).done())
        .service(at("/invoices").get(v1::invoices::list).done())
        .service(at("/invoices/{id}").get(v1::invoices::show).done())
        .service(events.done())
        .service(at("/events/{id}").get(v1::events::show).done())
        .service(
            at("/webhook-endpoints")
                .get(webhook_endpoints::list)
                .post(webhook_endpoints::create)
                .done(),
        )
        .service(
            at("/webhook-endpoints/{id}")
                .get(webhook_endpoints::show)
                .patch(webhook_endpoints::edit)
                .delete(webhook_endpoints::delete)
                .done(),
        )
        .service(
            at("/webhook-endpoints/{id}/verify")
                .post(webhook_endpoints::verbs::verify)
                .done(),
        )
        .service(
            at("/webhook-endpoints/{id}/rotate-secret")
                .post(webhook_endpoints::verbs::rotate_secret)
                .done(),
        )
        .service(
            at("/webhook-endpoints/{id}/test")
                .post(webhook_endpoints::verbs::test)
                .done(),
        )
        .service(
            at("/webhook-endpoints/{id}/enable")
                .post(webhook_endpoints::verbs::enable)
                .done(),
        )
        .service(
            at("/webhook-endpoints/{id}/disable")
                .post(webhook_endpoints::verbs::disable)
                .done(),
        )
        .service(
            at("/webhook-endpoints/{id}/deliveries")
                .get(v1::webhook_deliveries::list)
                .done(),
        )
        .service(at("/replays").post(v1::replays::create).done())
        .service(at("/replays/{id}").get(v1::replays::show).done())
        .service(at("/replays/{id}/run").post(v1::replays::run).done())
        .service(at("/replays/{id}/cancel").post(v1::replays::cancel).done())
        .service(at("/requests").get(v1::requests::list).done())
        .service(at("/audit/events").get(v1::audit::list).done())
        .service(at("/audit/events/{id}/proof").get(v1::audit::proof).done())
}
