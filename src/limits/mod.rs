//! How much is let through: what counts, in memory, and what it says of the next request.
//!
//! Refuses to know HTTP and the database. Time is an argument.

pub mod failures;
