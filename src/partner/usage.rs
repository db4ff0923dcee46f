//! Usage: what the holders of orders used, as a metering service or the sandbox says.

use std::time::Duration;

use serde_json::json;

use super::{Act, PartnerError};
use crate::audit::{Action, Deed};
use crate::domain::allowance;
use crate::domain::event::EventKind;
use crate::domain::id::{OrderId, UsageRecordId};
use crate::domain::instant::Instant;
use crate::domain::tenant::Tenant;
use crate::events::data::UsageReached;
use crate::store::usage_records::{self, UsageRecord};
use crate::store::{Db, StoreError, allowances, orders};

/// How far a meter's clock may be ahead.
const AHEAD: Duration = Duration::from_secs(300);

/// Usage to be written down.
#[derive(Clone, Debug)]
pub struct NewUsage {
    pub order_id: OrderId,
    pub quantity: i64,
    pub unit: String,
    pub recorded_at: Instant,
}

/// Writes down what was used of an order, whoever's it is.
pub fn record(db: &mut Db, act: &Act, new: NewUsage) -> Result<UsageRecord, PartnerError> {
    let order = orders::anywhere(db, &new.order_id)?.ok_or_else(|| {
        let detail = "is not the id of an order".to_owned();
        PartnerError::Invalid("/order_id", detail)
    })?;
    if new.recorded_at > act.now.plus(AHEAD) {
        let detail = "is in the future: usage is recorded once it was used".to_owned();
        return Err(PartnerError::Invalid("/recorded_at", detail));
    }
    Ok(write(db, &order.tenant(), act, new)?)
}

/// Writes down what a tenant's order was used for.
pub(super) fn write(
    db: &mut Db,
    tenant: &Tenant,
    act: &Act,
    new: NewUsage,
) -> Result<UsageRecord, StoreError> {
    let record = UsageRecord {
        partner_id: tenant.partner_id().clone(),
        realm: tenant.realm(),
        id: UsageRecordId::generate(act.now),
        order_id: new.order_id,
        quantity: new.quantity,
        unit: new.unit,
        recorded_at: new.recorded_at,
        created_by: act.actor.to_string(),
        created_at: act.now,
    };
    usage_records::insert(db, tenant, &record)?;
    let deed = Deed::new(Action::UsageRecorded, &record.id)
        .detail("order_id", record.order_id.as_str())
        .detail("quantity", record.quantity)
        .detail("unit", record.unit.as_str());
    act.record(db, tenant, deed)?;
    spend(db, tenant, act, &record)?;
    Ok(record)
}

/// Takes what was used from what the order includes, and tells the partner where little or nothing is left.
fn spend(db: &mut Db, tenant: &Tenant, act: &Act, record: &UsageRecord) -> Result<(), StoreError> {
    let used = (record.quantity, record.unit.as_str());
    let Some(spent) = allowances::spend(db, tenant, &record.order_id, used)? else {
        return Ok(());
    };
    let before = spent.used - record.quantity;
    let Some(percent) = allowance::passed(spent.included, before, spent.used) else {
        return Ok(());
    };
    let data = json!(UsageReached {
        order_id: spent.order_id,
        package_id: spent.package_id,
        unit: spent.unit,
        included: spent.included,
        used: spent.used,
        percent,
    });
    act.tell(db, tenant, EventKind::UsageThresholdReached, &data)
}
