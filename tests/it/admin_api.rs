//! Operators onboard partners, decide grants, and issue and revoke credentials.

mod asking;
mod audiences;
mod credentials;
mod doors;
mod grants;
mod operators;
mod races;

use crate::support::world::Operator;

/// A ULID that no record has.
const NOBODY: &str = "01ARZ3NDEKTSV4RRFFQ69G5FAV";

async fn operator_scopes(operator: &Operator<'_>) -> Vec<String> {
    let list = operator.get("/operators").await.expect(200);
    let scopes = list["data"][0]["scopes"].as_array().unwrap();
    scopes
        .iter()
        .map(|scope| scope.as_str().unwrap().to_owned())
        .collect()
}
