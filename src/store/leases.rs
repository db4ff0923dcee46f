//! Leases: work that one node at a time does. Migrations put the rows there.

use std::time::Duration;

use diesel::prelude::*;

use super::db::Db;
use super::error::StoreError;
use super::instance;
use super::schema::leases;
use crate::domain::instant::Instant;

/// Names of what is leased.
#[derive(Clone, Copy, Debug)]
pub enum Lease {
    /// Giving audit events their places in the tree.
    AuditSequencer,
}

impl Lease {
    fn name(self) -> &'static str {
        match self {
            Lease::AuditSequencer => "audit_sequencer",
        }
    }
}

/// Takes a lease that is free or over, or extends it. `false`: another holds it.
///
/// The time is the database's, where it has one of its own: a node whose clock is wrong would hold a lease long
/// after its end. One that ends later than any can, left by such a clock or a backup, is free.
///
/// Within a transaction the row stays locked to its end, so that two holders, whose clocks may
/// disagree, work one after the other even so.
pub fn hold(
    db: &mut Db,
    lease: Lease,
    holder: &str,
    length: Duration,
    now: Instant,
) -> Result<bool, StoreError> {
    let now = instance::time(db)?.unwrap_or(now);
    let until = now.plus(length);
    let free = leases::table.find(lease.name()).filter(
        leases::holder
            .eq(holder)
            .or(leases::expires_at.le(now))
            .or(leases::expires_at.gt(until.plus(length))),
    );
    let taken = diesel::update(free)
        .set((leases::holder.eq(holder), leases::expires_at.eq(until)))
        .execute(db)?;
    Ok(taken == 1)
}

/// Gives a lease back before its end.
pub fn give_back(db: &mut Db, lease: Lease, holder: &str, now: Instant) -> Result<(), StoreError> {
    let now = instance::time(db)?.unwrap_or(now);
    let held = leases::table
        .find(lease.name())
        .filter(leases::holder.eq(holder));
    diesel::update(held)
        .set(leases::expires_at.eq(now))
        .execute(db)?;
    Ok(())
}
