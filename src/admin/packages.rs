//! The catalogue: packages are drafted, priced, published and withdrawn. What was ordered stays ordered.

use std::collections::BTreeSet;

use super::{Act, AdminError};
use crate::audit::{Action, Deed};
use crate::domain::edit;
use crate::domain::id::{PackageId, PartnerId};
use crate::domain::money::Money;
use crate::domain::package::{Feature, Included, PackageState, PackageStep, Viewer};
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
pub fn create_all(
    db: &mut Change<'_>,
    act: &Act,
    all: Vec<NewPackage>,
) -> Result<Vec<Listed>, AdminError> {
    let mut made = Vec::with_capacity(all.len());
    for new in all {
        let viewers = new.viewers.map(in_order);
        check_viewers(db, viewers.as_deref())?;
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
        packages::insert(db, &package)?;
        packages::show_to(db, &package.id, viewers.as_deref().unwrap_or_default())?;
        let deed = Deed::new(Action::PackageCreated, &package.id)
            .detail("price_amount", package.price_amount)
            .detail("price_currency", package.price_currency.as_str());
        act.record(db, deed)?;
        made.push(Listed { package, viewers });
    }
    made.sort_by(|one, other| one.package.id.cmp(&other.package.id));
    Ok(made)
}

/// The partners among these viewers that do not exist.
pub fn unknown_partners(
    db: &mut Db,
    viewers: &[Viewer],
) -> Result<BTreeSet<PartnerId>, StoreError> {
    let named: BTreeSet<&PartnerId> = viewers.iter().map(|v| &v.partner_id).collect();
    let mut unknown = BTreeSet::new();
    for partner in named {
        if partners::state(db, partner)?.is_none() {
            unknown.insert(partner.clone());
        }
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

/// Changes a package; what is already so is no change. `expected`: only if it is at this version.
pub fn edit(
    db: &mut Change<'_>,
    act: &Act,
    id: &PackageId,
    expected: Option<i64>,
    wanted: Wanted,
) -> Result<Listed, AdminError> {
    let before = get(db, id)?;
    let version = before.package.version;
    if expected.is_some_and(|expected| expected != version) {
        return Err(AdminError::Outdated);
    }
    let viewers = match wanted.viewers {
        edit::Edit::Keep => before.viewers.clone(),
        edit::Edit::Clear => None,
        edit::Edit::Set(viewers) => Some(in_order(viewers)),
    };
    check_viewers(db, viewers.as_deref())?;
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

fn in_order(viewers: Vec<Viewer>) -> Vec<Viewer> {
    let viewers: BTreeSet<Viewer> = viewers.into_iter().collect();
    viewers.into_iter().collect()
}

fn check_viewers(db: &mut Db, viewers: Option<&[Viewer]>) -> Result<(), AdminError> {
    let unknown = unknown_partners(db, viewers.unwrap_or_default())?;
    if unknown.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = unknown.iter().map(PartnerId::as_str).collect();
    let detail = format!("there is no such partner: {}", names.join(", "));
    Err(AdminError::invalid("/partners", detail))
}
