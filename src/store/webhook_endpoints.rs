//! Where partners want to be told of events.

use diesel::prelude::*;

use super::db::{Db, on_engine};
use super::error::StoreError;
use super::schema::{event_counters, webhook_endpoints};
use crate::domain::id::{PartnerId, WebhookEndpointId};
use crate::domain::instant::Instant;
use crate::domain::lifecycle::Step;
use crate::domain::page::{Page, PageRequest};
use crate::domain::realm::Realm;
use crate::domain::tenant::Tenant;
use crate::domain::webhook::{
    DisabledReason, EndpointState, EndpointStep, EventTypes, SignatureKind,
};

/// The most endpoints of a partner and realm.
pub const MOST: i64 = 20;

/// A row of `webhook_endpoints`.
#[derive(Clone, Debug, Queryable, Insertable)]
#[diesel(table_name = webhook_endpoints, treat_none_as_default_value = false)]
pub struct Endpoint {
    pub partner_id: PartnerId,
    pub realm: Realm,
    pub id: WebhookEndpointId,
    /// May hold a key of the partner's in its query: it goes into no log and no audit event.
    pub url: String,
    pub event_types: EventTypes,
    pub signature: SignatureKind,
    pub state: EndpointState,
    pub disabled_reason: Option<DisabledReason>,
    pub created_at: Instant,
    pub updated_at: Instant,
    /// When the challenge was answered at this URL. `None`: not yet, or the URL was changed since.
    pub verified_at: Option<Instant>,
    /// When it first became active.
    pub activated_at: Option<Instant>,
    /// Since when nothing reaches it. `None`: it works.
    pub failing_since: Option<Instant>,
    /// How many warnings were given of that.
    pub warned: i32,
    /// The highest number of an event that was taken up for it.
    pub cursor: i64,
    /// When it is next looked at. `None`: at once.
    pub next_at: Option<Instant>,
    pub lease_owner: Option<String>,
    pub lease_until: Option<Instant>,
}

impl Endpoint {
    /// Whose it is.
    pub fn tenant(&self) -> Tenant {
        Tenant::of_record(self.partner_id.clone(), self.realm)
    }
}

/// Holds a tenant's count of endpoints to the commit: who adds one goes one after the other.
pub fn hold(db: &mut Db, tenant: &Tenant) -> Result<(), StoreError> {
    let row = (
        event_counters::partner_id.eq(tenant.partner_id()),
        event_counters::realm.eq(tenant.realm()),
        event_counters::value.eq(0_i64),
    );
    on_engine!(db, conn => diesel::insert_into(event_counters::table)
        .values(row)
        .on_conflict((event_counters::partner_id, event_counters::realm))
        .do_update()
        .set(event_counters::value.eq(event_counters::value))
        .execute(conn))?;
    Ok(())
}

/// How many endpoints a tenant has.
pub fn count(db: &mut Db, tenant: &Tenant) -> Result<i64, StoreError> {
    Ok(webhook_endpoints::table
        .filter(webhook_endpoints::partner_id.eq(tenant.partner_id()))
        .filter(webhook_endpoints::realm.eq(tenant.realm()))
        .filter(webhook_endpoints::state.ne(EndpointState::Deleted))
        .count()
        .get_result(db)?)
}

/// Writes a new endpoint.
pub fn insert(db: &mut Db, tenant: &Tenant, endpoint: &Endpoint) -> Result<(), StoreError> {
    debug_assert_eq!(&endpoint.tenant(), tenant);
    diesel::insert_into(webhook_endpoints::table)
        .values(endpoint)
        .execute(db)?;
    Ok(())
}

/// A tenant's endpoint. `None`: it has none of that id, or deleted it.
pub fn find(
    db: &mut Db,
    tenant: &Tenant,
    id: &WebhookEndpointId,
) -> Result<Option<Endpoint>, StoreError> {
    Ok(webhook_endpoints::table
        .find((tenant.partner_id(), tenant.realm(), id))
        .filter(webhook_endpoints::state.ne(EndpointState::Deleted))
        .first(db)
        .optional()?)
}

/// A page of a tenant's endpoints, the newest first.
pub fn page(
    db: &mut Db,
    tenant: &Tenant,
    state: Option<EndpointState>,
    page: &PageRequest,
) -> Result<Page<Endpoint>, StoreError> {
    let mut query = webhook_endpoints::table
        .filter(webhook_endpoints::partner_id.eq(tenant.partner_id()))
        .filter(webhook_endpoints::realm.eq(tenant.realm()))
        .filter(webhook_endpoints::state.ne(EndpointState::Deleted))
        .order(webhook_endpoints::id.desc())
        .limit(page.probe())
        .into_boxed();
    if let Some(state) = state {
        query = query.filter(webhook_endpoints::state.eq(state));
    }
    if let Some(after) = &page.after {
        query = query.filter(webhook_endpoints::id.lt(after));
    }
    let rows = query.load(db)?;
    Ok(page.page(rows, |endpoint: &Endpoint| endpoint.id.as_str()))
}

/// Notes that a tenant's endpoint answered its challenge at a URL, and makes a pending one active: it is
/// told of what happens from its first activation on. `false`: it has another URL by now, or is no more.
pub fn verify(
    db: &mut Db,
    tenant: &Tenant,
    id: &WebhookEndpointId,
    url: &str,
    now: Instant,
) -> Result<bool, StoreError> {
    let row = webhook_endpoints::table
        .find((tenant.partner_id(), tenant.realm(), id))
        .filter(webhook_endpoints::url.eq(url))
        .filter(webhook_endpoints::state.ne(EndpointState::Deleted));
    let verified = diesel::update(row)
        .set(webhook_endpoints::verified_at.eq(now))
        .execute(db)?;
    if verified == 0 {
        return Ok(false);
    }
    let upto: Option<i64> = event_counters::table
        .find((tenant.partner_id(), tenant.realm()))
        .select(event_counters::value)
        .first(db)
        .optional()?;
    let pending = webhook_endpoints::table
        .find((tenant.partner_id(), tenant.realm(), id))
        .filter(webhook_endpoints::state.eq_any(EndpointStep::Activate.from()));
    let first = pending
        .clone()
        .filter(webhook_endpoints::activated_at.is_null());
    diesel::update(first)
        .set((
            webhook_endpoints::cursor.eq(upto.unwrap_or(0)),
            webhook_endpoints::activated_at.eq(now),
        ))
        .execute(db)?;
    diesel::update(pending)
        .set((
            webhook_endpoints::state.eq(EndpointStep::Activate.to()),
            webhook_endpoints::updated_at.eq(now),
        ))
        .execute(db)?;
    Ok(true)
}

/// Takes a tenant's endpoint to another URL, which has yet to answer: nothing is sent before it does, and
/// whoever delivers now has its lease taken. `false`: it has none of that id.
pub fn readdress(
    db: &mut Db,
    tenant: &Tenant,
    id: &WebhookEndpointId,
    url: &str,
    now: Instant,
) -> Result<bool, StoreError> {
    let row = || {
        webhook_endpoints::table
            .find((tenant.partner_id(), tenant.realm(), id))
            .filter(webhook_endpoints::state.ne(EndpointState::Deleted))
    };
    let active = row().filter(webhook_endpoints::state.eq_any(EndpointStep::Readdress.from()));
    diesel::update(active)
        .set(webhook_endpoints::state.eq(EndpointStep::Readdress.to()))
        .execute(db)?;
    let changed = diesel::update(row())
        .set((
            webhook_endpoints::url.eq(url),
            webhook_endpoints::verified_at.eq(None::<Instant>),
            webhook_endpoints::failing_since.eq(None::<Instant>),
            webhook_endpoints::warned.eq(0),
            webhook_endpoints::next_at.eq(None::<Instant>),
            webhook_endpoints::lease_owner.eq(None::<String>),
            webhook_endpoints::lease_until.eq(None::<Instant>),
            webhook_endpoints::updated_at.eq(now),
        ))
        .execute(db)?;
    Ok(changed == 1)
}

/// Says which events a tenant's endpoint is told of. `false`: it has none of that id.
pub fn choose(
    db: &mut Db,
    tenant: &Tenant,
    id: &WebhookEndpointId,
    event_types: &EventTypes,
    now: Instant,
) -> Result<bool, StoreError> {
    let row = webhook_endpoints::table
        .find((tenant.partner_id(), tenant.realm(), id))
        .filter(webhook_endpoints::state.ne(EndpointState::Deleted));
    let changed = diesel::update(row)
        .set((
            webhook_endpoints::event_types.eq(event_types),
            webhook_endpoints::updated_at.eq(now),
        ))
        .execute(db)?;
    Ok(changed == 1)
}

/// Notes a change of a tenant's endpoint, and holds it to the commit. `false`: it has none of that id.
pub fn touch(
    db: &mut Db,
    tenant: &Tenant,
    id: &WebhookEndpointId,
    now: Instant,
) -> Result<bool, StoreError> {
    let row = webhook_endpoints::table
        .find((tenant.partner_id(), tenant.realm(), id))
        .filter(webhook_endpoints::state.ne(EndpointState::Deleted));
    let changed = diesel::update(row)
        .set(webhook_endpoints::updated_at.eq(now))
        .execute(db)?;
    Ok(changed == 1)
}

/// Disables a tenant's endpoint. `false`: it has none of that id, or it is not active.
pub fn disable(
    db: &mut Db,
    tenant: &Tenant,
    id: &WebhookEndpointId,
    reason: DisabledReason,
    now: Instant,
) -> Result<bool, StoreError> {
    let row = webhook_endpoints::table
        .find((tenant.partner_id(), tenant.realm(), id))
        .filter(webhook_endpoints::state.eq_any(EndpointStep::Disable.from()));
    let changed = diesel::update(row)
        .set((
            webhook_endpoints::state.eq(EndpointStep::Disable.to()),
            webhook_endpoints::disabled_reason.eq(reason),
            webhook_endpoints::next_at.eq(None::<Instant>),
            webhook_endpoints::updated_at.eq(now),
        ))
        .execute(db)?;
    Ok(changed == 1)
}

/// Enables a tenant's endpoint, with a clean record. `false`: it has none of that id, it is not disabled,
/// or its URL has yet to answer the challenge.
pub fn enable(
    db: &mut Db,
    tenant: &Tenant,
    id: &WebhookEndpointId,
    now: Instant,
) -> Result<bool, StoreError> {
    let row = webhook_endpoints::table
        .find((tenant.partner_id(), tenant.realm(), id))
        .filter(webhook_endpoints::state.eq_any(EndpointStep::Enable.from()))
        .filter(webhook_endpoints::verified_at.is_not_null());
    let changed = diesel::update(row)
        .set((
            webhook_endpoints::state.eq(EndpointStep::Enable.to()),
            webhook_endpoints::disabled_reason.eq(None::<DisabledReason>),
            webhook_endpoints::failing_since.eq(None::<Instant>),
            webhook_endpoints::warned.eq(0),
            webhook_endpoints::next_at.eq(None::<Instant>),
            webhook_endpoints::updated_at.eq(now),
        ))
        .execute(db)?;
    Ok(changed == 1)
}

/// Deletes a tenant's endpoint; its row stays for what was delivered to it. `false`: it has none of that id.
pub fn delete(
    db: &mut Db,
    tenant: &Tenant,
    id: &WebhookEndpointId,
    now: Instant,
) -> Result<bool, StoreError> {
    let row = webhook_endpoints::table
        .find((tenant.partner_id(), tenant.realm(), id))
        .filter(webhook_endpoints::state.eq_any(EndpointStep::Delete.from()));
    let changed = diesel::update(row)
        .set((
            webhook_endpoints::state.eq(EndpointStep::Delete.to()),
            webhook_endpoints::disabled_reason.eq(None::<DisabledReason>),
            webhook_endpoints::next_at.eq(None::<Instant>),
            webhook_endpoints::updated_at.eq(now),
        ))
        .execute(db)?;
    Ok(changed == 1)
}

/// A tenant's endpoint that was the first to answer its challenge, deleted ones included. `None`: none has.
pub fn first_verified(db: &mut Db, tenant: &Tenant) -> Result<Option<Endpoint>, StoreError> {
    Ok(webhook_endpoints::table
        .filter(webhook_endpoints::partner_id.eq(tenant.partner_id()))
        .filter(webhook_endpoints::realm.eq(tenant.realm()))
        .filter(webhook_endpoints::activated_at.is_not_null())
        .order((webhook_endpoints::activated_at, webhook_endpoints::id))
        .first(db)
        .optional()?)
}
