//! Reports of leaked secrets: hashes of candidates until they are looked for, then what matched.

use diesel::prelude::*;

use super::db::Db;
use super::error::StoreError;
use super::schema::{credentials, leak_candidates, leak_reports};
use crate::domain::credential::CredentialState;
use crate::domain::id::{CredentialId, LeakReportId};
use crate::domain::instant::Instant;
use crate::domain::leak::{LeakAction, LeakReportState, LeakReportStep};
use crate::domain::lifecycle::Step;
use crate::domain::page::{Page, PageRequest};
use crate::domain::secret::SecretHash;

/// A row of `leak_reports`.
#[derive(Clone, Debug, Queryable, Insertable)]
#[diesel(table_name = leak_reports, treat_none_as_default_value = false)]
pub struct LeakReport {
    pub id: LeakReportId,
    pub state: LeakReportState,
    pub received_at: Instant,
    pub done_at: Option<Instant>,
    /// How many candidates had the form of a secret, without doubles.
    pub candidates: i32,
    /// How many of them were somebody's.
    pub matches: i32,
    pub source_ip: Option<String>,
}

/// A candidate that was somebody's secret, and what was done about it.
#[derive(Clone, Debug, Queryable)]
pub struct Match {
    pub report_id: LeakReportId,
    pub credential_id: CredentialId,
    pub action: LeakAction,
}

/// Which reports a list shows.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub state: Option<LeakReportState>,
    pub credential_id: Option<CredentialId>,
}

#[derive(Insertable)]
#[diesel(table_name = leak_candidates)]
struct Candidate<'a> {
    report_id: &'a LeakReportId,
    hash: &'a SecretHash,
}

/// Writes a report with its candidates, none of which stands twice.
pub fn insert(db: &mut Db, report: &LeakReport, hashes: &[SecretHash]) -> Result<(), StoreError> {
    diesel::insert_into(leak_reports::table)
        .values(report)
        .execute(db)?;
    let report_id = &report.id;
    let rows = hashes.iter().map(|hash| Candidate { report_id, hash });
    match db {
        Db::Sqlite(conn) => {
            for row in rows {
                diesel::insert_into(leak_candidates::table)
                    .values(row)
                    .execute(conn)?;
            }
        }
        // One statement for all: each would cost a round trip.
        #[cfg(feature = "postgres")]
        Db::Postgres(conn) => {
            diesel::insert_into(leak_candidates::table)
                .values(rows.collect::<Vec<_>>())
                .execute(conn)?;
        }
    }
    Ok(())
}

/// How many candidates wait to be looked for.
pub fn waiting(db: &mut Db) -> Result<i64, StoreError> {
    Ok(leak_candidates::table
        .filter(leak_candidates::action.is_null())
        .count()
        .get_result(db)?)
}

/// Reports that wait, oldest first.
pub fn received(db: &mut Db, limit: i64) -> Result<Vec<LeakReportId>, StoreError> {
    Ok(leak_reports::table
        .filter(leak_reports::state.eq(LeakReportState::Received))
        .order(leak_reports::id.asc())
        .limit(limit)
        .select(leak_reports::id)
        .load(db)?)
}

/// The waiting candidates of some reports that are somebody's secret, in any realm.
pub fn hits(
    db: &mut Db,
    reports: &[LeakReportId],
) -> Result<Vec<(LeakReportId, SecretHash)>, StoreError> {
    let waiting = leak_candidates::report_id
        .eq_any(reports)
        .and(leak_candidates::action.is_null());
    Ok(leak_candidates::table
        .inner_join(credentials::table.on(credentials::secret_hash.eq(leak_candidates::hash)))
        .filter(waiting)
        .select((leak_candidates::report_id, leak_candidates::hash))
        .distinct()
        .order((
            leak_candidates::report_id.asc(),
            leak_candidates::hash.asc(),
        ))
        .load(db)?)
}

/// Takes a waiting candidate on, and notes what is done. `false`: somebody has it already.
pub fn claim(
    db: &mut Db,
    (report, hash): (&LeakReportId, &SecretHash),
    credential: &CredentialId,
    action: LeakAction,
) -> Result<bool, StoreError> {
    let waiting = leak_candidates::table
        .find((report, hash))
        .filter(leak_candidates::action.is_null());
    let changed = diesel::update(waiting)
        .set((
            leak_candidates::credential_id.eq(credential),
            leak_candidates::action.eq(action),
        ))
        .execute(db)?;
    Ok(changed == 1)
}

/// Forgets the candidates of some reports that are nobody's secret, and marks the reports done
/// in which none waits any more.
pub fn finish(db: &mut Db, reports: &[LeakReportId], now: Instant) -> Result<(), StoreError> {
    let owned = credentials::table
        .filter(credentials::secret_hash.eq(leak_candidates::hash))
        .select(credentials::id);
    diesel::delete(
        leak_candidates::table
            .filter(leak_candidates::report_id.eq_any(reports))
            .filter(leak_candidates::action.is_null())
            .filter(diesel::dsl::not(diesel::dsl::exists(owned))),
    )
    .execute(db)?;
    let waiting: Vec<LeakReportId> = leak_candidates::table
        .filter(leak_candidates::report_id.eq_any(reports))
        .filter(leak_candidates::action.is_null())
        .select(leak_candidates::report_id)
        .distinct()
        .load(db)?;
    let over: Vec<_> = reports.iter().filter(|id| !waiting.contains(id)).collect();
    // Counted where none waits any more: another node may be at work on the rest.
    let counts: Vec<(LeakReportId, i64)> = leak_candidates::table
        .filter(leak_candidates::report_id.eq_any(&over))
        .group_by(leak_candidates::report_id)
        .select((leak_candidates::report_id, diesel::dsl::count_star()))
        .load(db)?;
    for (report, count) in counts {
        diesel::update(leak_reports::table.find(report))
            .set(leak_reports::matches.eq(i32::try_from(count).unwrap_or(i32::MAX)))
            .execute(db)?;
    }
    let step = LeakReportStep::Finish;
    diesel::update(
        leak_reports::table
            .filter(leak_reports::id.eq_any(over))
            .filter(leak_reports::state.eq_any(step.from())),
    )
    .set((
        leak_reports::state.eq(step.to()),
        leak_reports::done_at.eq(now),
    ))
    .execute(db)?;
    Ok(())
}

/// Leaked secrets whose hour is over, or that were revoked within it.
pub fn graces_over(db: &mut Db, now: Instant, limit: i64) -> Result<Vec<CredentialId>, StoreError> {
    let over = credentials::state
        .eq(CredentialState::Revoked)
        .or(credentials::expires_at.assume_not_null().le(now));
    Ok(leak_candidates::table
        .inner_join(
            credentials::table.on(leak_candidates::credential_id.eq(credentials::id.nullable())),
        )
        .filter(leak_candidates::action.eq(LeakAction::Grace))
        .filter(over)
        .select(credentials::id)
        .distinct()
        .limit(limit)
        .load(db)?)
}

/// Notes how a secret's hour ended.
pub fn end_grace(
    db: &mut Db,
    credential: &CredentialId,
    action: LeakAction,
) -> Result<(), StoreError> {
    diesel::update(
        leak_candidates::table
            .filter(leak_candidates::credential_id.eq(credential))
            .filter(leak_candidates::action.eq(LeakAction::Grace)),
    )
    .set(leak_candidates::action.eq(action))
    .execute(db)?;
    Ok(())
}

/// The reports in which a secret with this hash was, oldest first; and which credential it was, if any.
pub fn reported(
    db: &mut Db,
    hash: &SecretHash,
) -> Result<Vec<(LeakReportId, Option<CredentialId>)>, StoreError> {
    Ok(leak_candidates::table
        .filter(leak_candidates::hash.eq(hash))
        .order(leak_candidates::report_id.asc())
        .select((leak_candidates::report_id, leak_candidates::credential_id))
        .load(db)?)
}

/// A page of reports, oldest first.
pub fn page(
    db: &mut Db,
    filter: &Filter,
    page: &PageRequest,
) -> Result<Page<LeakReport>, StoreError> {
    let mut query = leak_reports::table
        .filter(leak_reports::id.gt(page.after()))
        .into_boxed();
    if let Some(state) = filter.state {
        query = query.filter(leak_reports::state.eq(state));
    }
    if let Some(credential) = &filter.credential_id {
        let named = leak_candidates::table
            .filter(leak_candidates::credential_id.eq(credential))
            .select(leak_candidates::report_id);
        query = query.filter(leak_reports::id.eq_any(named));
    }
    let rows = query
        .order(leak_reports::id.asc())
        .limit(page.probe())
        .load(db)?;
    Ok(page.page(rows, |r: &LeakReport| r.id.as_str()))
}

/// What matched in some reports.
pub fn matches(db: &mut Db, reports: &[LeakReportId]) -> Result<Vec<Match>, StoreError> {
    Ok(leak_candidates::table
        .filter(leak_candidates::report_id.eq_any(reports))
        .filter(leak_candidates::action.is_not_null())
        .order((
            leak_candidates::report_id.asc(),
            leak_candidates::credential_id.asc(),
        ))
        .select((
            leak_candidates::report_id,
            leak_candidates::credential_id.assume_not_null(),
            leak_candidates::action.assume_not_null(),
        ))
        .load(db)?)
}

/// Forgets reports from before a moment in which nothing matched, at most so many; answers how many.
pub fn purge(db: &mut Db, before: Instant, most: i64) -> Result<usize, StoreError> {
    let empty = leak_reports::table
        .filter(leak_reports::state.eq(LeakReportState::Done))
        .filter(leak_reports::matches.eq(0))
        .filter(leak_reports::received_at.lt(before))
        .select(leak_reports::id)
        .limit(most);
    let empty: Vec<LeakReportId> = empty.load(db)?;
    let those = leak_reports::table.filter(leak_reports::id.eq_any(&empty));
    Ok(diesel::delete(those).execute(db)?)
}

/// Takes the addresses out of reports from before a moment, at most so many; answers of how many.
pub fn forget_addresses(db: &mut Db, before: Instant, most: i64) -> Result<usize, StoreError> {
    let old = leak_reports::table
        .filter(leak_reports::source_ip.is_not_null())
        .filter(leak_reports::received_at.lt(before))
        .select(leak_reports::id)
        .limit(most);
    let old: Vec<LeakReportId> = old.load(db)?;
    let those = leak_reports::table.filter(leak_reports::id.eq_any(&old));
    Ok(diesel::update(those)
        .set(leak_reports::source_ip.eq(None::<String>))
        .execute(db)?)
}
