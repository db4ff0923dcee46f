//! For how long records are kept.

/// For how many days each kind of record is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Partners' calls.
    pub requests: u32,
    /// What was given out, after its end.
    pub tokens: u32,
    /// What partners were told.
    pub events: u32,
    /// Stored answers to requests with an idempotency key.
    pub idempotency: u32,
    /// Audit events; the hashes of their leaves stay.
    pub audit: u32,
    /// Addresses, in records that are kept longer.
    pub personal: u32,
}
