//! Stories told to the real server over real sockets, each on SQLite and on PostgreSQL.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that is wrong should stop at once"
)]

mod support;

mod token_endpoint;
