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
mod any_order;
mod audiences;
mod audit;
mod backup;
mod billing;
mod calls;
mod canary;
mod catalogue;
mod clients;
mod come_and_go;
mod command_line;
mod credentials;
mod cut_off;
mod delivery;
mod delivery_page;
mod described;
mod described_partner;
mod discovery;
mod docs_page;
mod doctor;
mod durability;
mod events;
mod expiry_warnings;
mod failed_authentications;
mod failover;
mod feed;
mod first_order;
mod following;
mod gateways;
mod governance;
mod grants;
mod idempotency;
mod isolation;
mod journey;
mod key_files;
mod leak_scan;
mod leaks;
mod limits;
mod moving;
mod neighbours;
mod nodes;
mod operator_keys;
mod orders;
mod other_languages;
mod own_tokens;
mod pending_deliveries;
mod prohibited;
mod quickstart;
mod quotas;
mod races;
mod recommendations;
mod refusals;
mod refused_everywhere;
mod replays;
mod retention;
mod revocations;
mod schema;
mod scope_usage;
mod secrecy;
mod services;
mod shared_limits;
mod signing_keys;
mod slow;
mod startup;
mod status_lists;
mod telemetry;
mod token_endpoint;
mod torture;
mod verify_guide;
mod versions;
mod walls;
mod webhook_delivery;
mod webhook_endpoints;
mod webhook_guard;
mod webhook_guide;
mod webhook_tools;
mod webhook_torture;
mod wrong_clocks;
