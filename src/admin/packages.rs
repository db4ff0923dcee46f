//! The catalogue: packages are drafted, priced, published and withdrawn. What was ordered stays ordered.

use std::collections::BTreeSet;

use super::{Act, AdminError};
use crate::audit::{Action, Deed};
use crate::domain::edit;
use crate::domain::id::{PackageId, PartnerId};
use crate::domain::money::Money;
use crate::domain::package::{Feature, Included, PackageState, PackageStep, Viewer};
use crate::domain::revision::Revision;
use crate::store::changes::Change;
use crate::store::packages::{self, Edit, Package};
use crate::store::{Db, StoreError, partners};

/// A package to be.
#[derive(Clone, Debug)]
pub struct NewPackage {
    pub name: String,
    pub description: String,
    pub price: Money,
    pub validity_days: i32,
    pub region: String,
    pub features: Vec<Feature>,
    /// `None`: it does not say how much it includes.
    pub included: Option<Included>,
    /// `None`: shown to every partner.
    pub viewers: Option<Vec<Viewer>>,
}

/// What is to change; `None`: it stays.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    pub name: Option<String>,
    pub description: Option<String>,
    pub price: Option<Money>,
    pub validity_days: Option<i32>,
    pub region: Option<String>,
    pub features: Option<Vec<Feature>>,
    pub included: edit::Edit<Included>,
    /// Cleared: shown to every partner.
    pub viewers: edit::Edit<Vec<Viewer>>,
}

/// A package, and to whom it is shown. `None`: to every partner.
#[derive(Clone, Debug)]
pub struct Listed {
    pub package: Package,
    pub viewers: Option<Vec<Viewer>>,
}

/// Drafts a package.
pub fn create(db: &mut Change<'_>, act: &Act, new: NewPackage) -> Result<Listed, AdminError> {
    let mut made = create_all(db, act, vec![new])?;
    made.pop().ok_or(AdminError::NotFound)
}

/// Drafts several packages, or none of them.
///
/// Every other change waits meanwhile: they are written many at a time, and so are those to whom they are shown.
pub fn create_all(
    db: &mut Change<'_>,
    act: &Act,
    all: Vec<NewPackage>,
) -> Result<Vec<Listed>, AdminError> {
    check_viewers(db, all.iter().flat_map(|new| new.viewers.iter().flatten()))?;
    let mut made: Vec<Listed> = all.into_iter().map(|new| draft(act, new)).collect();
    made.sort_by(|one, other| one.package.id.cmp(&other.package.id));
    let rows: Vec<&Package> = made.iter().map(|one| &one.package).collect();
    packages::insert_all(db, &rows)?;
    let shown = made.iter().flat_map(|one| {
        let viewers = one.viewers.iter().flatten();
        viewers.map(move |viewer| (&one.package.id, viewer))
    });
    packages::show(db, &shown.collect::<Vec<_>>())?;
    for package in rows {
        let deed = Deed::new(Action::PackageCreated, &package.id)
            .detail("price_amount", package.price_amount)
            .detail("price_currency", package.price_currency.as_str());
        act.record(db, deed)?;
    }
    Ok(made)
}

fn draft(act: &Act, new: NewPackage) -> Listed {
    let viewers = new.viewers.map(in_order);
    let (included_quantity, included_unit) = parts(new.included);
    let package = Package {
        id: PackageId::generate(act.now),
        name: new.name,
        description: new.description,
        price_amount: new.price.amount,
        price_currency: new.price.currency,
        validity_days: new.validity_days,
        region: new.region,
        features: new.features.into_iter().collect(),
        state: PackageState::Draft,
        version: 1,
        restricted: viewers.is_some(),
        created_by: act.actor.to_string(),
        created_at: act.now,
        updated_at: act.now,
        included_quantity,
        included_unit,
    };
    Listed { package, viewers }
}

/// The partners among these viewers that do not exist.
pub fn unknown_partners<'a>(
    db: &mut Db,
    viewers: impl Iterator<Item = &'a Viewer>,
) -> Result<BTreeSet<PartnerId>, StoreError> {
    let mut unknown: BTreeSet<PartnerId> = viewers.map(|of| of.partner_id.clone()).collect();
    let named: Vec<PartnerId> = unknown.iter().cloned().collect();
    for known in partners::known(db, &named)? {
        unknown.remove(&known);
    }
    Ok(unknown)
}

/// A package by id.
pub fn get(db: &mut Db, id: &PackageId) -> Result<Listed, AdminError> {
    let package = packages::find(db, id)?.ok_or(AdminError::NotFound)?;
    let mut listed = list(db, vec![package])?;
    listed.pop().ok_or(AdminError::NotFound)
}

/// Packages with those to whom they are shown.
pub fn list(db: &mut Db, of: Vec<Package>) -> Result<Vec<Listed>, StoreError> {
    let restricted = of.iter().filter(|package| package.restricted);
    let ids: Vec<PackageId> = restricted.map(|package| package.id.clone()).collect();
    let mut viewers = packages::viewers(db, &ids)?;
    let listed = of.into_iter().map(|package| Listed {
        viewers: package
            .restricted
            .then(|| viewers.remove(&package.id).unwrap_or_default()),
        package,
    });
    Ok(listed.collect())
}

/// Refuses what is bound to other revisions of a package. `expected`: `None` where it is bound to none.
///
/// Changes follow one another, so the package stays at the revision that is seen here until this one is done.
pub fn check_revision(
    db: &mut Change<'_>,
    id: &PackageId,
    expected: Option<&[Revision]>,
) -> Result<(), AdminError> {
    let package = packages::find(db, id)?.ok_or(AdminError::NotFound)?;
    let is_expected = package.revision().is_among(expected);
    is_expected.then_some(()).ok_or(AdminError::Outdated)
}

/// Changes a package; what is already so is no change. `expected`: only if it is at one of these revisions.
pub fn edit(
    db: &mut Change<'_>,
    act: &Act,
    id: &PackageId,
    expected: Option<&[Revision]>,
    wanted: Wanted,
) -> Result<Listed, AdminError> {
    check_revision(db, id, expected)?;
    let before = get(db, id)?;
    let version = before.package.version;
    let viewers = match wanted.viewers {
        edit::Edit::Keep => before.viewers.clone(),
        edit::Edit::Clear => None,
        edit::Edit::Set(viewers) => Some(in_order(viewers)),
    };
    check_viewers(db, viewers.iter().flatten())?;
    let was = &before.package;
    let (included_quantity, included_unit) = parts(wanted.included.apply(was.included()));
    let features = wanted.features.map(|all| all.into_iter().collect());
    let edit = Edit {
        name: wanted.name.filter(|to| *to != was.name),
        description: wanted.description.filter(|to| *to != was.description),
        price_amount: wanted
            .price
            .map(|to| to.amount)
            .filter(|to| *to != was.price_amount),
        price_currency: wanted
            .price
            .map(|to| to.currency)
            .filter(|to| *to != was.price_currency),
        validity_days: wanted.validity_days.filter(|to| *to != was.validity_days),
        region: wanted.region.filter(|to| *to != was.region),
        features: features.filter(|to| *to != was.features),
        restricted: Some(viewers.is_some()).filter(|to| *to != was.restricted),
        included_quantity: Some(included_quantity).filter(|to| *to != was.included_quantity),
        included_unit: Some(included_unit).filter(|to| *to != was.included_unit),
    };
    if edit == Edit::default() && viewers == before.viewers {
        return Ok(before);
    }
    if !packages::edit(db, id, version, &edit, act.now)? {
        return Err(AdminError::Outdated);
    }
    if viewers != before.viewers {
        packages::show_to(db, id, viewers.as_deref().unwrap_or_default())?;
    }
    let after = get(db, id)?;
    let deed = Deed::new(Action::PackageChanged, id)
        .detail("version", after.package.version)
        .detail("price_amount", after.package.price_amount)
        .detail("price_currency", after.package.price_currency.as_str())
        .detail("restricted", after.package.restricted);
    act.record(db, deed)?;
    Ok(after)
}

/// Publishes or withdraws a package.
pub fn step(
    db: &mut Change<'_>,
    act: &Act,
    id: &PackageId,
    step: PackageStep,
    reason: Option<&str>,
) -> Result<Listed, AdminError> {
    let moved = packages::step(db, id, step, act.now)?;
    let listed = get(db, id)?;
    if !moved {
        let state = listed.package.state;
        return Err(AdminError::illegal::<PackageStep>("the package", state));
    }
    let action = match step {
        PackageStep::Publish => Action::PackagePublished,
        PackageStep::Withdraw => Action::PackageWithdrawn,
    };
    let deed = Deed::new(action, id)
        .detail("version", listed.package.version)
        .detail("reason", reason);
    act.record(db, deed)?;
    Ok(listed)
}

fn parts(included: Option<Included>) -> (Option<i64>, Option<String>) {
    included.map(|of| (of.quantity, of.unit)).unzip()
}

/// Each once, in the order in which the database tells them.
fn in_order(mut viewers: Vec<Viewer>) -> Vec<Viewer> {
    let key = |viewer: &Viewer| (viewer.partner_id.clone(), viewer.realm.as_str());
    viewers.sort_by_cached_key(key);
    viewers.dedup();
    viewers
}

fn check_viewers<'a>(
    db: &mut Db,
    viewers: impl Iterator<Item = &'a Viewer>,
) -> Result<(), AdminError> {
    let unknown = unknown_partners(db, viewers)?;
    if unknown.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = unknown.iter().map(PartnerId::as_str).collect();
    let detail = format!("there is no such partner: {}", names.join(", "));
    Err(AdminError::invalid("/partners", detail))
}
