//! What version 2026-09-01 said otherwise: the environment's name in `/me`, and prices as two
//! members beside each other.

use serde_json::{Map, Value};

/// Puts an answer of the current version into this one's words.
pub(super) fn say(route: &str, value: &mut Value) {
    if route.ends_with("/v1/me") {
        rename(value, "env", "environment");
    } else if route.contains("/v1/catalogue/packages") {
        each(value, |package| flatten(package, "price"));
    } else if route.contains("/v1/orders") {
        each(value, |order| flatten(order, "total"));
    }
}

/// Every row of a list, or the one thing that is shown.
fn each(value: &mut Value, work: impl FnMut(&mut Map<String, Value>)) {
    match value.get_mut("data").and_then(Value::as_array_mut) {
        Some(rows) => rows
            .iter_mut()
            .filter_map(Value::as_object_mut)
            .for_each(work),
        None => value.as_object_mut().into_iter().for_each(work),
    }
}

fn rename(value: &mut Value, current: &str, older: &str) {
    if let Some(members) = value.as_object_mut()
        && let Some(member) = members.remove(current)
    {
        members.insert(older.to_owned(), member);
    }
}

/// `"total":{"amount":1,"currency":"EUR"}` becomes `"total_amount":1,"total_currency":"EUR"`.
fn flatten(members: &mut Map<String, Value>, name: &str) {
    if let Some(Value::Object(money)) = members.remove(name) {
        for (part, value) in money {
            members.insert(format!("{name}_{part}"), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn said(route: &str, mut value: Value) -> Value {
        say(route, &mut value);
        value
    }

    #[test]
    fn money_was_two_members() {
        let order = json!({ "id": "ord_1", "total": { "amount": 5, "currency": "EUR" } });
        let older = json!({ "id": "ord_1", "total_amount": 5, "total_currency": "EUR" });
        assert_eq!(said("/live/v1/orders/{id}", order.clone()), older);
        let page = json!({ "data": [order], "next_cursor": null });
        assert_eq!(
            said("/live/v1/orders", page),
            json!({ "data": [older], "next_cursor": null })
        );
    }

    #[test]
    fn the_environment_had_another_name() {
        let me = json!({ "env": "live", "scopes": {} });
        assert_eq!(
            said("/live/v1/me", me),
            json!({ "environment": "live", "scopes": {} })
        );
    }

    #[test]
    fn what_is_not_named_here_stays_as_it_is() {
        let value = json!({ "data": [{ "env": 1, "total": { "amount": 1 } }] });
        assert_eq!(said("/live/v1/requests", value.clone()), value);
    }
}
