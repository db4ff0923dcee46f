//! The request log: what partners called, newest first.

use diesel::prelude::*;

use super::db::{Db, on_engine};
use super::error::StoreError;
use super::schema::{clients, credentials, request_log};
use super::stretch::{self, STRETCH};
use super::version_uses;
use super::{Begin, transaction};
use crate::domain::call::{Idempotency, StatusRange};
use crate::domain::id::{AnyId, ClientId, CredentialId, OrderId, PartnerId, RequestId};
use crate::domain::instant::Instant;
use crate::domain::page::{Page, PageRequest};
use crate::domain::realm::Realm;
use crate::domain::tenant::Tenant;
use crate::domain::version::ApiVersion;

/// A row of `request_log`: all that is kept of a partner's call.
#[derive(Clone, Debug, PartialEq, Queryable, Insertable)]
#[diesel(table_name = request_log, treat_none_as_default_value = false)]
pub struct Call {
    pub request_id: RequestId,
    /// When it came.
    pub at: Instant,
    pub partner_id: PartnerId,
    pub realm: Realm,
    pub client_id: ClientId,
    pub credential_id: CredentialId,
    pub method: String,
    /// The route's template.
    pub route: String,
    pub status: i32,
    /// The code of a refusal.
    pub code: Option<String>,
    /// From its coming to its answer.
    pub micros: i64,
    pub idempotency: Idempotency,
    pub order_id: Option<OrderId>,
    /// Of a 404, the id that was asked for, if it has the form of one.
    pub subject: Option<AnyId>,
    /// The version that it was answered in; `None`: refused before that was settled.
    pub version: Option<ApiVersion>,
}

/// Which calls a list shows.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub partner_id: Option<PartnerId>,
    pub realm: Option<Realm>,
    pub client_id: Option<ClientId>,
    pub credential_id: Option<CredentialId>,
    pub request_id: Option<RequestId>,
    pub order_id: Option<OrderId>,
    pub route: Option<String>,
    pub status: Option<StatusRange>,
    pub code: Option<String>,
    /// Not before.
    pub from: Option<Instant>,
    /// Before.
    pub to: Option<Instant>,
}

impl Filter {
    /// Whether an index leads to rows that do not fit.
    fn sifts(&self) -> bool {
        let is_one = self.request_id.is_some();
        !is_one
            && ((self.partner_id.is_none() && self.realm.is_some())
                || self.client_id.is_some()
                || self.credential_id.is_some()
                || self.order_id.is_some()
                || self.route.is_some()
                || self.status.is_some()
                || self.code.is_some())
    }
}

/// Writes calls, and adds up who spoke which version.
pub fn insert_all(db: &mut Db, calls: &[&Call]) -> Result<(), StoreError> {
    let insert = diesel::insert_into(request_log::table).values(calls.to_vec());
    on_engine!(db, conn => insert.execute(conn))?;
    version_uses::add(db, calls)
}

/// A page of calls, newest first: short or empty where little of what it looked through fits.
pub fn page(
    db: &mut Db,
    mut filter: Filter,
    asked: &PageRequest,
) -> Result<Page<Call>, StoreError> {
    // Rows are led by their partner: who asks about a client or a credential means its partner's.
    if filter.partner_id.is_none()
        && let Some((partner, realm)) = tenant_of(db, &filter)?
    {
        filter.partner_id = Some(partner);
        filter.realm = filter.realm.or(Some(realm));
    }
    if filter.partner_id.is_none() || filter.realm.is_some() || filter.request_id.is_some() {
        return in_order(db, &filter, asked);
    }
    // The index has a partner's calls realm by realm.
    // Of one moment, or a page could go on behind what came into one list while the other was read.
    let lists = transaction(db, Begin::Reading(None), |db| {
        let pages = [Realm::Sandbox, Realm::Live].into_iter().map(|realm| {
            filter.realm = Some(realm);
            in_order(db, &filter, asked)
        });
        pages.collect::<Result<Vec<_>, StoreError>>()
    })?;
    let page = stretch::merged(asked, lists, stretch::newest_first, |call: &Call| {
        call.request_id.as_str()
    });
    Ok(page)
}

/// A page of a tenant's calls or of everybody's: what an index has in this order.
fn in_order(db: &mut Db, filter: &Filter, asked: &PageRequest) -> Result<Page<Call>, StoreError> {
    let end = if filter.sifts() {
        last_looked_at(db, filter, asked)?
    } else {
        None
    };
    let mut query = range(filter, asked);
    if let Some(end) = &end {
        query = query.filter(request_log::request_id.ge(end));
    }
    if filter.partner_id.is_none()
        && let Some(realm) = filter.realm
    {
        query = query.filter(request_log::realm.eq(realm));
    }
    if let Some(client) = &filter.client_id {
        query = query.filter(request_log::client_id.eq(client));
    }
    if let Some(credential) = &filter.credential_id {
        query = query.filter(request_log::credential_id.eq(credential));
    }
    if let Some(id) = &filter.request_id {
        query = query.filter(request_log::request_id.eq(id));
    }
    if let Some(order) = &filter.order_id {
        query = query.filter(request_log::order_id.eq(order));
    }
    if let Some(route) = &filter.route {
        query = query.filter(request_log::route.eq(route));
    }
    if let Some(status) = filter.status {
        query = query.filter(request_log::status.between(status.from, status.to));
    }
    if let Some(code) = &filter.code {
        query = query.filter(request_log::code.eq(code));
    }
    // The key knows the millisecond, the column the rest.
    if let Some(from) = filter.from {
        query = query.filter(request_log::at.ge(from));
    }
    if let Some(to) = filter.to {
        query = query.filter(request_log::at.lt(to));
    }
    let rows = query
        .order(request_log::request_id.desc())
        .limit(asked.probe())
        .load(db)?;
    let end = end.map(|end| end.to_string());
    let page = stretch::page(asked, rows, end, |call: &Call| call.request_id.as_str());
    Ok(page)
}

/// Where a page ends at the latest. `None`: there are fewer rows than it may look through.
fn last_looked_at(
    db: &mut Db,
    filter: &Filter,
    asked: &PageRequest,
) -> Result<Option<RequestId>, StoreError> {
    let last = range(filter, asked)
        .select(request_log::request_id)
        .order(request_log::request_id.desc())
        .offset(STRETCH - 1)
        .limit(1);
    Ok(last.first(db).optional()?)
}

/// What a page looks through, as far as an index alone tells.
fn range<'a>(
    filter: &'a Filter,
    asked: &'a PageRequest,
) -> request_log::BoxedQuery<'a, <Db as Connection>::Backend> {
    let mut query = request_log::table.into_boxed();
    if let Some(partner) = &filter.partner_id {
        query = query.filter(request_log::partner_id.eq(partner));
        if let Some(realm) = filter.realm {
            query = query.filter(request_log::realm.eq(realm));
        }
    }
    if let Some(from) = filter.from {
        query = query.filter(request_log::request_id.ge(RequestId::floor(from)));
    }
    if let Some(to) = filter.to {
        query = query.filter(request_log::request_id.lt(RequestId::ceiling(to)));
    }
    if let Some(last) = &asked.after {
        query = query.filter(request_log::request_id.lt(last));
    }
    query
}

/// A page of a tenant's own calls, newest first.
pub fn of_tenant(
    db: &mut Db,
    tenant: &Tenant,
    filter: Filter,
    asked: &PageRequest,
) -> Result<Page<Call>, StoreError> {
    let filter = Filter {
        partner_id: Some(tenant.partner_id().clone()),
        realm: Some(tenant.realm()),
        ..filter
    };
    page(db, filter, asked)
}

/// Whose client or credential is asked about, and in which realm it is.
fn tenant_of(db: &mut Db, filter: &Filter) -> Result<Option<(PartnerId, Realm)>, StoreError> {
    let client: Option<ClientId> = match (&filter.client_id, &filter.credential_id) {
        (Some(client), _) => Some(client.clone()),
        (None, Some(credential)) => credentials::table
            .find(credential)
            .select(credentials::client_id)
            .first(db)
            .optional()?,
        (None, None) => None,
    };
    let Some(client) = client else {
        return Ok(None);
    };
    let found = clients::table.find(&client).select(clients::partner_id);
    let partner: Option<Option<PartnerId>> = found.first(db).optional()?;
    Ok(partner.flatten().map(|partner| (partner, client.realm())))
}

/// A tenant's first call of a route that was answered with success. `None`: there is none on record.
pub fn first_good(db: &mut Db, tenant: &Tenant, route: &str) -> Result<Option<Call>, StoreError> {
    let call = request_log::table
        .filter(request_log::partner_id.eq(tenant.partner_id()))
        .filter(request_log::realm.eq(tenant.realm()))
        .filter(request_log::route.eq(route))
        .filter(request_log::status.eq(200))
        .order(request_log::request_id.asc());
    Ok(call.first(db).optional()?)
}

/// Calls after one that asked for an id that they did not find, in their order.
pub fn misses(db: &mut Db, after: &RequestId, most: i64) -> Result<Vec<Call>, StoreError> {
    let rows = request_log::table
        .filter(request_log::subject.is_not_null())
        .filter(request_log::request_id.gt(after))
        .order(request_log::request_id.asc())
        .limit(most);
    Ok(on_engine!(db, conn => rows.load(conn))?)
}

/// Forgets calls from before a moment, the oldest first and at most so many; answers how many.
pub fn purge(db: &mut Db, before: Instant, most: i64) -> Result<usize, StoreError> {
    let floor = RequestId::floor(before);
    let old = request_log::table
        .filter(request_log::request_id.lt(&floor))
        .order(request_log::request_id.asc())
        .select(request_log::request_id);
    let last: Option<RequestId> = old.offset(most - 1).limit(1).first(db).optional()?;
    let deleted = match last {
        Some(last) => {
            diesel::delete(request_log::table.filter(request_log::request_id.le(last))).execute(db)
        }
        None => {
            diesel::delete(request_log::table.filter(request_log::request_id.lt(floor))).execute(db)
        }
    };
    Ok(deleted?)
}
