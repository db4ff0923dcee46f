//! Recommendations: they come when they should, go when they should, and are followed at a word.

mod lists;
mod scopes;
mod secrets;

use serde_json::{Value, json};

use crate::support::world::{Answer, Operator, World, days_away};

/// Everything that a client holds and how it came to it is as old as this.
fn age_client(world: &World, client: &str, days: i64) {
    let at = days_away(-days);
    world.execute(&format!(
        "UPDATE clients SET created_at = '{at}' WHERE id = '{client}'"
    ));
    world.execute(&format!(
        "UPDATE scope_grants SET decided_at = '{at}', requested_at = '{at}' WHERE partner_id = \
         (SELECT partner_id FROM clients WHERE id = '{client}')"
    ));
}

fn count(world: &World, client: &str, days_ago: i64, scope: &str, (asked, used): (u32, u32)) {
    let day = &days_away(-days_ago)[..10];
    world.execute(&format!(
        "INSERT INTO scope_usage (client_id, day, scope, asked, used) \
         VALUES ('{client}', '{day}', '{scope}', {asked}, {used})"
    ));
}

fn set_credential(world: &World, id: &str, values: &str) {
    world.execute(&format!(
        "UPDATE credentials SET {values} WHERE id = '{id}'"
    ));
}

async fn list(operator: &Operator<'_>, query: &str) -> Vec<Value> {
    let list = operator
        .get(&format!("/recommendations?{query}"))
        .await
        .expect(200);
    assert_eq!(list["next_cursor"], Value::Null);
    list["data"].as_array().unwrap().clone()
}

async fn apply(operator: &Operator<'_>, found: &Value) -> Answer {
    let id = found["id"].as_str().unwrap();
    operator
        .post(&format!("/recommendations/{id}/apply"), json!({}))
        .await
}

fn scopes(list: &[Value]) -> Vec<&str> {
    list.iter()
        .map(|one| one["scope"].as_str().unwrap())
        .collect()
}

/// How often it is on record that something was done to this.
fn recorded(world: &World, action: &str, target: &Value) -> usize {
    let target = target.as_str().unwrap();
    let query = format!(
        "SELECT id AS line FROM audit_events WHERE action = '{action}' AND target = '{target}'"
    );
    world.lines(&query).len()
}
