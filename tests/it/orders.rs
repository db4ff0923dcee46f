//! Orders: placed, read, moved on, and nobody else's business.

mod moving;
mod placing;
mod reading;

use serde_json::Value;

use crate::support::world::World;

const NOBODY: &str = "ord_01ARZ3NDEKTSV4RRFFQ69G5FAV";

/// No simulator: orders of the sandbox stay where they are put.
const STILL: [(&str, &str); 1] = [("ONYX_ROLES", "auth,admin,api")];

fn id_of(order: &Value) -> String {
    order["id"].as_str().unwrap().to_owned()
}

/// What is in the ledger for an order: kind, debit, credit, amount.
fn entries(world: &World, order: &str) -> Vec<String> {
    world.lines(&format!(
        "SELECT kind || ' ' || debit_account || ' ' || credit_account || ' ' || amount || ' ' || currency AS line
         FROM ledger_entries WHERE order_id = '{order}' ORDER BY created_at, kind"
    ))
}

/// What the partner was told of an order.
fn told(world: &World, order: &str) -> Vec<String> {
    world.lines(&format!(
        "SELECT kind AS line FROM events WHERE data LIKE '%{order}%' ORDER BY seq"
    ))
}
