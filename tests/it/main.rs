//! Stories told to the real server over real sockets, each on SQLite and on PostgreSQL.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that is wrong should stop at once"
)]
#![expect(unreachable_pub, reason = "what the stories share is public to them")]

mod support;

mod admin_api;
mod audiences;
mod billing;
mod catalogue;
mod clients;
mod command_line;
mod credentials;
mod delivery;
mod delivery_page;
mod described;
mod discovery;
mod durability;
mod expiry_warnings;
mod following;
mod governance;
mod grants;
mod idempotency;
mod isolation;
mod journey;
mod key_files;
mod leak_scan;
mod leaks;
mod nodes;
mod orders;
mod other_languages;
mod own_tokens;
mod quickstart;
mod races;
mod recommendations;
mod revocations;
mod schema;
mod scope_usage;
mod secrecy;
mod startup;
mod token_endpoint;
mod torture;
