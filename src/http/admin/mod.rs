//! The admin API, one file a noun.

pub mod clients;
pub mod credentials;
pub mod grants;
pub mod keys;
pub mod operators;
pub mod partners;
pub mod resource_servers;
pub mod reviews;

use utoipa::ToSchema;

use crate::http::problem::Problem;

/// A body without members; it may also be left out.
#[derive(Debug, ToSchema)]
pub struct Nothing {}

/// An id from the path; one that is malformed names nothing.
fn id<T: std::str::FromStr>(text: &str) -> Result<T, Problem> {
    text.parse().map_err(|_| Problem::not_found())
}
