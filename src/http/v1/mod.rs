//! The partner API, one file a noun.

pub mod audit;
pub mod catalogue;
pub mod events;
pub mod invoices;
pub mod ledger;
pub mod me;
pub mod orders;
pub mod replays;
pub mod requests;
pub mod usage;
pub mod webhook_deliveries;
pub mod webhook_endpoints;
