//! The audit trail's lists: oldest first, in pages.

use diesel::prelude::*;

use super::AuditEvent;
use crate::domain::id::{AuditEventId, PartnerId};
use crate::domain::instant::Instant;
use crate::domain::page::{Page, PageRequest};
use crate::domain::realm::Realm;
use crate::domain::tenant::Tenant;
use crate::store::db::Db;
use crate::store::error::StoreError;
use crate::store::schema::audit_events;
use crate::store::stretch::{self, STRETCH};
use crate::store::{Begin, transaction};

/// Which events are wanted.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub partner_id: Option<PartnerId>,
    pub realm: Option<Realm>,
    pub actor: Option<String>,
    pub action: Option<String>,
    pub target: Option<String>,
    pub outcome: Option<String>,
    pub from: Option<Instant>,
    pub to: Option<Instant>,
}

/// By which index rows are looked through.
#[derive(Clone, Copy)]
enum By<'a> {
    Key,
    Target(&'a str),
    /// A partner's of one realm, or of none.
    Partner(&'a PartnerId, Option<Realm>),
}

/// A page of a tenant's own events, oldest first.
pub fn page_of_tenant(
    db: &mut Db,
    tenant: &Tenant,
    filter: Filter,
    asked: &PageRequest,
) -> Result<Page<AuditEvent>, StoreError> {
    let own = Filter {
        partner_id: Some(tenant.partner_id().clone()),
        realm: Some(tenant.realm()),
        ..filter
    };
    self::page(db, &own, asked)
}

/// A page of events, oldest first: short or empty where little of what it looked through fits.
pub fn page(
    db: &mut Db,
    filter: &Filter,
    asked: &PageRequest,
) -> Result<Page<AuditEvent>, StoreError> {
    let by = match (&filter.partner_id, filter.realm, &filter.target) {
        // First, as a tenant's wall lets its query see no others' rows of a target.
        (Some(partner), Some(realm), _) => By::Partner(partner, Some(realm)),
        (_, _, Some(target)) => By::Target(target),
        (Some(partner), None, None) => return of_partner(db, partner, filter, asked),
        (None, _, None) => By::Key,
    };
    in_order(db, by, filter, asked)
}

/// A page of a partner's events of all realms: the index has them realm by realm.
fn of_partner(
    db: &mut Db,
    partner: &PartnerId,
    filter: &Filter,
    asked: &PageRequest,
) -> Result<Page<AuditEvent>, StoreError> {
    let realms = Realm::ALL.iter().copied().map(Some);
    // Of one moment, or a page could go on behind what came into one list while another was read.
    let lists = transaction(db, Begin::Reading(None), |db| {
        let pages = realms.chain([None]);
        let pages = pages.map(|realm| in_order(db, By::Partner(partner, realm), filter, asked));
        pages.collect::<Result<Vec<_>, StoreError>>()
    })?;
    let page = stretch::merged(asked, lists, stretch::oldest_first, |event: &AuditEvent| {
        event.id.as_str()
    });
    Ok(page)
}

/// A page of what an index has in this order.
fn in_order(
    db: &mut Db,
    by: By<'_>,
    filter: &Filter,
    asked: &PageRequest,
) -> Result<Page<AuditEvent>, StoreError> {
    let end = if sifts(by, filter) {
        last_looked_at(db, by, filter, asked)?
    } else {
        None
    };
    let mut query = range(by, filter, asked);
    if let Some(end) = &end {
        query = query.filter(audit_events::id.le(end));
    }
    if !matches!(by, By::Partner(..)) {
        if let Some(partner) = &filter.partner_id {
            query = query.filter(audit_events::partner_id.eq(partner));
        }
        if let Some(realm) = filter.realm {
            query = query.filter(audit_events::realm.eq(realm));
        }
    }
    if let Some(actor) = &filter.actor {
        query = query.filter(audit_events::actor.eq(actor));
    }
    if let Some(action) = &filter.action {
        query = query.filter(audit_events::action.eq(action));
    }
    if let Some(target) = &filter.target {
        query = query.filter(audit_events::target.eq(target));
    }
    if let Some(outcome) = &filter.outcome {
        query = query.filter(audit_events::outcome.eq(outcome));
    }
    // The key knows the millisecond, the column the rest.
    if let Some(from) = filter.from {
        query = query.filter(audit_events::at.ge(from));
    }
    if let Some(to) = filter.to {
        query = query.filter(audit_events::at.lt(to));
    }
    let rows = query
        .order(audit_events::id.asc())
        .limit(asked.probe())
        .load(db)?;
    let page = stretch::page(asked, rows, end, |event: &AuditEvent| event.id.as_str());
    Ok(page)
}

/// Whether an index leads to rows that do not fit.
fn sifts(by: By<'_>, filter: &Filter) -> bool {
    let is_whose = filter.partner_id.is_some() || filter.realm.is_some();
    let is_served = match by {
        By::Key | By::Target(_) => !is_whose,
        By::Partner(..) => filter.target.is_none(),
    };
    !is_served || filter.actor.is_some() || filter.action.is_some() || filter.outcome.is_some()
}

/// Where a page ends at the latest. `None`: there are fewer rows than it may look through.
fn last_looked_at(
    db: &mut Db,
    by: By<'_>,
    filter: &Filter,
    asked: &PageRequest,
) -> Result<Option<String>, StoreError> {
    let last = range(by, filter, asked)
        .select(audit_events::id)
        .order(audit_events::id.asc())
        .offset(STRETCH - 1)
        .limit(1);
    Ok(last.first(db).optional()?)
}

/// What a page looks through, as far as an index alone tells.
fn range<'a>(
    by: By<'a>,
    filter: &Filter,
    asked: &'a PageRequest,
) -> audit_events::BoxedQuery<'a, <Db as Connection>::Backend> {
    let mut query = audit_events::table
        .filter(audit_events::id.gt(asked.after()))
        .into_boxed();
    query = match by {
        By::Key => query,
        By::Target(target) => query.filter(audit_events::target.eq(target)),
        By::Partner(partner, Some(realm)) => query
            .filter(audit_events::partner_id.eq(partner))
            .filter(audit_events::realm.eq(realm)),
        By::Partner(partner, None) => query
            .filter(audit_events::partner_id.eq(partner))
            .filter(audit_events::realm.is_null()),
    };
    if let Some(from) = filter.from {
        let floor = AuditEventId::floor(from).to_string();
        query = query.filter(audit_events::id.ge(floor));
    }
    if let Some(to) = filter.to {
        let ceiling = AuditEventId::ceiling(to).to_string();
        query = query.filter(audit_events::id.lt(ceiling));
    }
    query
}
