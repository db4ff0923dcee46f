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
use crate::domain::revision::Revision;
use crate::domain::tenant::Tenant;

diesel::define_sql_function!(
    /// Letters in lower case: of ASCII on both engines.
    fn lower(text: Text) -> Text
);
diesel::define_sql_function!(
    /// A text in which something stands in the place of something else, from its start to its end.
    fn replace(text: Text, old: Text, new: Text) -> Text
);

/// How many rows are written at a time: on PostgreSQL each statement is a journey.
const ROWS: usize = 500;

/// What stands for the two characters that a JSON text escapes, where features are looked for: a feature has no
/// control characters, so it is nothing else.
const BACKSLASH: &str = "\u{1}";
const QUOTE: &str = "\u{2}";

/// A row of `packages`.
#[derive(Clone, Debug, PartialEq, Eq, Queryable, Insertable)]
#[diesel(table_name = packages, treat_none_as_default_value = false)]
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

    /// Which state of the package this is.
    pub fn revision(&self) -> Revision {
        Revision::new(self.version, self.updated_at)
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

/// Writes new packages.
pub fn insert_all(db: &mut Db, new: &[&Package]) -> Result<(), StoreError> {
    for some in new.chunks(ROWS) {
        let insert = diesel::insert_into(packages::table).values(some.to_vec());
        on_engine!(db, conn => insert.execute(conn))?;
    }
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
        // Each quote in it is the start or the end of a feature.
        let array = || {
            replace(
                replace(packages::features, r"\\", BACKSLASH),
                r#"\""#,
                QUOTE,
            )
        };
        let [first, later] = holding(feature);
        let anyhow = lower(array()).like(first.to_ascii_lowercase()).escape('!');
        let anyhow = anyhow.or(lower(array()).like(later.to_ascii_lowercase()).escape('!'));
        let exactly = array().like(first).escape('!');
        let exactly = exactly.or(array().like(later).escape('!'));
        query = query.filter(exactly.or(anyhow));
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
    let pattern = format!("%{}%", literally(text));
    let lower = pattern.to_ascii_lowercase();
    (pattern, lower)
}

/// What an array holds that has this feature: at its start, or after another's end.
///
/// Its own quotes would tell every feature but one: `","` is a comma, and what stands between two others.
fn holding(feature: &Feature) -> [String; 2] {
    let name = feature.as_str().replace('\\', BACKSLASH);
    let name = literally(&name.replace('"', QUOTE));
    [format!(r#"["{name}"%"#), format!(r#"%","{name}"%"#)]
}

/// A text as a pattern that only it fits: nothing of it is a wildcard.
fn literally(text: &str) -> String {
    let mut pattern = String::new();
    for c in text.chars() {
        if matches!(c, '%' | '_' | '!') {
            pattern.push('!');
        }
        pattern.push(c);
    }
    pattern
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
    let pairs: Vec<_> = viewers.iter().map(|viewer| (id, viewer)).collect();
    show(db, &pairs)
}

/// Shows packages to some more, each to one who does not see it yet.
pub fn show(db: &mut Db, pairs: &[(&PackageId, &Viewer)]) -> Result<(), StoreError> {
    for some in pairs.chunks(ROWS) {
        let rows = some.iter().map(|(id, viewer)| {
            (
                package_partners::partner_id.eq(&viewer.partner_id),
                package_partners::realm.eq(viewer.realm),
                package_partners::package_id.eq(*id),
            )
        });
        let rows: Vec<_> = rows.collect();
        let insert = diesel::insert_into(package_partners::table).values(rows);
        on_engine!(db, conn => insert.execute(conn))?;
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
    use proptest::prelude::*;

    use super::{BACKSLASH, QUOTE, holding, patterns};
    use crate::domain::package::{Feature, Features};

    #[test]
    fn a_pattern_holds_the_text_and_no_wildcards_of_it() {
        assert_eq!(patterns("5 GB"), ("%5 GB%".to_owned(), "%5 gb%".to_owned()));
        assert_eq!(patterns("100%_!").0, "%100!%!_!!%");
        let [first, later] = holding(&"5_GB".parse().unwrap());
        assert_eq!(
            (first.as_str(), later.as_str()),
            (r#"["5!_GB"%"#, r#"%","5!_GB"%"#)
        );
    }

    proptest! {
        #[test]
        fn a_feature_is_found_where_it_is_and_nowhere_else(
            all in proptest::collection::vec(r#"[,"\\a\[\]]{1,3}"#, 1..4),
            wanted in r#"[,"\\a\[\]]{1,3}"#,
        ) {
            let features: Features = all.iter().map(|name| name.parse::<Feature>().unwrap()).collect();
            // As the database does it.
            let array = features.as_str().replace(r"\\", BACKSLASH).replace(r#"\""#, QUOTE);
            let [first, later] = holding(&wanted.parse().unwrap());
            let found = array.starts_with(first.trim_end_matches('%')) || array.contains(later.trim_matches('%'));
            prop_assert_eq!(found, all.contains(&wanted));
        }
    }
}
