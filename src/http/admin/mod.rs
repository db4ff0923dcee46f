//! The admin API, one file a noun.

pub mod agreements;
pub mod audit;
pub mod billing;
pub mod clients;
pub mod credentials;
pub mod delivery;
pub mod grants;
pub mod invoices;
pub mod keys;
pub mod launch;
pub mod limits;
mod named;
pub mod operators;
pub mod orders;
pub mod packages;
pub mod partners;
pub mod plans;
pub mod privacy;
pub mod recommendations;
pub mod requests;
pub mod resource_servers;
pub mod reviews;
pub mod rotation;
pub mod scope_usage;
pub mod tokens;
pub mod versions;

use utoipa::ToSchema;

use crate::http::problem::Problem;

/// A body without members; it may also be left out.
#[derive(Debug, ToSchema)]
pub struct Nothing {}

/// Why something is done, for the record.
#[derive(Debug, ToSchema)]
#[schema(example = json!({"reason": "they asked for it"}))]
pub struct StatedReason {
    #[schema(min_length = 1, max_length = 1000)]
    pub reason: String,
}

/// The same, where it need not be said.
#[derive(Debug, ToSchema)]
#[schema(example = json!({"reason": "contract signed"}))]
pub struct Reason {
    #[schema(min_length = 1, max_length = 1000)]
    pub reason: Option<String>,
}

/// An id from the path; one that is malformed names nothing.
fn id<T: std::str::FromStr>(text: &str) -> Result<T, Problem> {
    text.parse().map_err(|_| Problem::not_found())
}
