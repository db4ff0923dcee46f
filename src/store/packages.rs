//! Packages: what is for sale, and to whom it is shown.

use std::collections::BTreeMap;

use diesel::dsl::exists;
use diesel::prelude::*;
use diesel::sql_types::Text;

use super::db::{Db, on_engine};
use super::error::StoreError;
use super::schema::{package_partners, packages};
use crate::domain::id::{PackageId, PartnerId};
use crate::domain::instant::Instant;
use crate::domain::lifecycle::Step;
use crate::domain::money::{Currency, Money};
use crate::domain::package::{Feature, Features, Included, PackageState, PackageStep, Viewer};
use crate::domain::page::{Page, PageRequest};
use crate::domain::realm::Realm;
use crate::domain::tenant::Tenant;

diesel::define_sql_function!(
    /// Letters in lower case: of ASCII on both engines.
    fn lower(text: Text) -> Text
);

/// A row of `packages`.
#[derive(Clone, Debug, PartialEq, Eq, Queryable, Insertable)]
#[diesel(table_name = packages)]
pub struct Package {
    pub id: PackageId,
    pub name: String,
    pub description: String,
    pub price_amount: i64,
    pub price_currency: Currency,
    pub validity_days: i32,
    pub region: String,
    pub features: Features,
    pub state: PackageState,
    /// Counts changes.
    pub version: i64,
    /// Whether only its viewers see it.
    pub restricted: bool,
    pub created_by: String,
    pub created_at: Instant,
    pub updated_at: Instant,
    /// With `included_unit`: how much one of it includes.
    pub included_quantity: Option<i64>,
    pub included_unit: Option<String>,
}

impl Package {
    /// What one costs.
    pub fn price(&self) -> Money {
        Money::new(self.price_amount, self.price_currency)
    }

    /// How much one of it includes. `None`: it does not say.
    pub fn included(&self) -> Option<Included> {
        let quantity = self.included_quantity?;
        let unit = self.included_unit.clone()?;
        Some(Included { quantity, unit })
    }
}

/// Which packages a list shows.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub state: Option<PackageState>,
    pub region: Option<String>,
    pub currency: Option<Currency>,
    pub feature: Option<Feature>,
    /// A part of the name, in any case.
    pub name: Option<String>,
}

/// What may be edited; `None`: it stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, AsChangeset)]
#[diesel(table_name = packages)]
pub struct Edit {
    pub name: Option<String>,
    pub description: Option<String>,
    pub price_amount: Option<i64>,
    pub price_currency: Option<Currency>,
    pub validity_days: Option<i32>,
    pub region: Option<String>,
    pub features: Option<Features>,
    pub restricted: Option<bool>,
    pub included_quantity: Option<Option<i64>>,
    pub included_unit: Option<Option<String>>,
}

/// Writes a new package.
pub fn insert(db: &mut Db, package: &Package) -> Result<(), StoreError> {
    diesel::insert_into(packages::table)
        .values(package)
        .execute(db)?;
    Ok(())
}

/// A package by id. `None`: unknown.
pub fn find(db: &mut Db, id: &PackageId) -> Result<Option<Package>, StoreError> {
    Ok(packages::table.find(id).first(db).optional()?)
}

/// Whether there is any package.
pub fn any(db: &mut Db) -> Result<bool, StoreError> {
    let id: Option<PackageId> = packages::table.select(packages::id).first(db).optional()?;
    Ok(id.is_some())
}

/// A page of all packages, oldest first.
pub fn page(db: &mut Db, filter: &Filter, page: &PageRequest) -> Result<Page<Package>, StoreError> {
    let rows = filtered(filter, page)
        .order(packages::id.asc())
        .limit(page.probe())
        .load(db)?;
    Ok(page.page(rows, |p: &Package| p.id.as_str()))
}

/// A package that a tenant may order. `None`: unknown, or not shown to it.
pub fn visible(
    db: &mut Db,
    tenant: &Tenant,
    id: &PackageId,
) -> Result<Option<Package>, StoreError> {
    let shown = package_partners::table
        .filter(package_partners::partner_id.eq(tenant.partner_id()))
        .filter(package_partners::realm.eq(tenant.realm()))
        .filter(package_partners::package_id.eq(packages::id));
    let package = packages::table
        .filter(packages::id.eq(id))
        .filter(packages::state.eq(PackageState::Published))
        .filter(packages::restricted.eq(false).or(exists(shown)));
    let package = on_engine!(db, conn => package.first(conn));
    Ok(package.optional()?)
}

/// A page of the packages that a tenant may order, oldest first.
pub fn visible_page(
    db: &mut Db,
    tenant: &Tenant,
    filter: &Filter,
    page: &PageRequest,
) -> Result<Page<Package>, StoreError> {
    let shown = package_partners::table
        .filter(package_partners::partner_id.eq(tenant.partner_id().clone()))
        .filter(package_partners::realm.eq(tenant.realm()))
        .filter(package_partners::package_id.eq(packages::id));
    let rows = filtered(filter, page)
        .filter(packages::state.eq(PackageState::Published))
        .filter(packages::restricted.eq(false).or(exists(shown)))
        .order(packages::id.asc())
        .limit(page.probe())
        .load(db)?;
    Ok(page.page(rows, |p: &Package| p.id.as_str()))
}

fn filtered<'a>(
    filter: &'a Filter,
    page: &'a PageRequest,
) -> packages::BoxedQuery<'a, <Db as Connection>::Backend> {
    let mut query = packages::table
        .filter(packages::id.gt(page.after()))
        .into_boxed();
    if let Some(state) = filter.state {
        query = query.filter(packages::state.eq(state));
    }
    if let Some(region) = &filter.region {
        query = query.filter(packages::region.eq(region));
    }
    if let Some(currency) = filter.currency {
        query = query.filter(packages::price_currency.eq(currency));
    }
    if let Some(feature) = &filter.feature {
        // As it stands in the JSON array, quotes included: the whole name and no part of it.
        let quoted = serde_json::Value::from(feature.as_str()).to_string();
        let (exactly, anyhow) = patterns(&quoted);
        let holds = packages::features.like(exactly).escape('!');
        query = query.filter(holds.or(lower(packages::features).like(anyhow).escape('!')));
    }
    if let Some(name) = &filter.name {
        let (exactly, anyhow) = patterns(name);
        let holds = packages::name.like(exactly).escape('!');
        query = query.filter(holds.or(lower(packages::name).like(anyhow).escape('!')));
    }
    query
}

/// What holds a text somewhere: as it is, and with its ASCII letters in lower case.
fn patterns(text: &str) -> (String, String) {
    let mut pattern = String::from("%");
    for c in text.chars() {
        if matches!(c, '%' | '_' | '!') {
            pattern.push('!');
        }
        pattern.push(c);
    }
    pattern.push('%');
    let lower = pattern.to_ascii_lowercase();
    (pattern, lower)
}

/// Edits a package that is still at a version. `false`: unknown, or changed since.
pub fn edit(
    db: &mut Db,
    id: &PackageId,
    version: i64,
    edit: &Edit,
    now: Instant,
) -> Result<bool, StoreError> {
    let known = packages::table
        .find(id)
        .filter(packages::version.eq(version));
    let changed = diesel::update(known)
        .set((
            edit,
            packages::version.eq(packages::version + 1),
            packages::updated_at.eq(now),
        ))
        .execute(db)?;
    Ok(changed == 1)
}

/// Takes a package a step on. `false`: unknown, or in a state from which the step does not lead on.
pub fn step(
    db: &mut Db,
    id: &PackageId,
    step: PackageStep,
    now: Instant,
) -> Result<bool, StoreError> {
    let ready = packages::table
        .find(id)
        .filter(packages::state.eq_any(step.from()));
    let changed = diesel::update(ready)
        .set((
            packages::state.eq(step.to()),
            packages::version.eq(packages::version + 1),
            packages::updated_at.eq(now),
        ))
        .execute(db)?;
    Ok(changed == 1)
}

/// Shows a package to these and to nobody else.
pub fn show_to(db: &mut Db, id: &PackageId, viewers: &[Viewer]) -> Result<(), StoreError> {
    let former = package_partners::table.filter(package_partners::package_id.eq(id));
    diesel::delete(former).execute(db)?;
    for viewer in viewers {
        let row = (
            package_partners::partner_id.eq(&viewer.partner_id),
            package_partners::realm.eq(viewer.realm),
            package_partners::package_id.eq(id),
        );
        diesel::insert_into(package_partners::table)
            .values(row)
            .execute(db)?;
    }
    Ok(())
}

/// To whom restricted packages are shown, in order.
pub fn viewers(
    db: &mut Db,
    of: &[PackageId],
) -> Result<BTreeMap<PackageId, Vec<Viewer>>, StoreError> {
    let rows: Vec<(PackageId, PartnerId, Realm)> = package_partners::table
        .filter(package_partners::package_id.eq_any(of))
        .order((
            package_partners::partner_id.asc(),
            package_partners::realm.asc(),
        ))
        .select((
            package_partners::package_id,
            package_partners::partner_id,
            package_partners::realm,
        ))
        .load(db)?;
    let mut viewers: BTreeMap<_, Vec<Viewer>> = BTreeMap::new();
    for (package, partner_id, realm) in rows {
        let viewer = Viewer { partner_id, realm };
        viewers.entry(package).or_default().push(viewer);
    }
    Ok(viewers)
}

#[cfg(test)]
mod tests {
    use super::patterns;

    #[test]
    fn a_pattern_holds_the_text_and_no_wildcards_of_it() {
        assert_eq!(patterns("5 GB"), ("%5 GB%".to_owned(), "%5 gb%".to_owned()));
        assert_eq!(patterns("100%_!").0, "%100!%!_!!%");
    }
}
