//! What partners are told: each kind's data as a type, and the one text in which all of it is sent.
//!
//! `GET /events`, deliveries and replays send the same text of an event, since all take it from
//! [`Envelope`]. Data are ids and times: whatever is private is fetched over the API. This room
//! refuses to know whom an event is sent to, and how.

pub mod data;
mod envelope;
pub mod example;

pub use envelope::Envelope;
