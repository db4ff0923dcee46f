//! The demo that `quickstart` shows: an operator, a partner with sandbox scopes, a client.
//!
//! A second run finds what the first made, and mends what has ended since.

use std::time::Duration;

use super::clients::NewClient;
use super::credentials::Issued;
use super::grants::NewGrant;
use super::packages::NewPackage;
use super::partners::NewPartner;
use super::{Act, AdminError, clients, credentials, grants, operators, packages, partners};
use crate::domain::client::ClientState;
use crate::domain::credential::RevocationReason;
use crate::domain::id::{ClientId, PartnerId};
use crate::domain::instant::Instant;
use crate::domain::money::{Currency, Money};
use crate::domain::package::PackageStep;
use crate::domain::page::PageRequest;
use crate::domain::partner::PartnerStep;
use crate::domain::realm::Realm;
use crate::domain::scope::{PARTNER_SCOPES, Scope, ScopeSet};
use crate::keys::MasterKey;
use crate::keys::master::same_hash;
use crate::store::changes::Change;
use crate::store::clients::{Filter, any_operator, page};
use crate::store::credentials::unrevoked;
use crate::store::instance::{self, Fact};
use crate::store::packages::any as any_package;
use crate::store::partners as partner_rows;
use crate::store::{Db, StoreError, grants as grant_rows};

/// How long the demo's grants last.
const GRANTS: Duration = Duration::from_secs(365 * 24 * 3600);

/// A package of the demo: name, description, price in cents, days, region, features.
type Example = (
    &'static str,
    &'static str,
    i64,
    i32,
    &'static str,
    &'static [&'static str],
);

/// What the demo has for sale.
const PACKAGES: &[Example] = &[
    (
        "Europe 5 GB",
        "Data in 33 countries of Europe",
        1900,
        30,
        "Europe",
        &["5 GB", "hotspot"],
    ),
    (
        "Japan 10 GB",
        "Data in all of Japan",
        2900,
        15,
        "Japan",
        &["10 GB", "5G", "hotspot"],
    ),
    (
        "World day pass",
        "A day of data in 120 countries",
        500,
        1,
        "World",
        &["1 GB"],
    ),
];

/// A client and a secret that a file remembers from an earlier run.
#[derive(Debug)]
pub struct Remembered {
    pub client_id: ClientId,
    pub secret: zeroize::Zeroizing<String>,
}

/// The demo, and the credentials that had to be issued for it.
#[derive(Debug)]
pub struct Demo {
    pub partner_id: PartnerId,
    pub client_id: ClientId,
    /// `None`: the remembered one still works.
    pub client: Option<Issued>,
    /// `None`: the remembered one still works.
    pub operator: Option<Issued>,
}

/// Makes the demo, or finds it; refuses a database with partners of others.
///
/// Must run alone among all processes on the database.
pub fn prepare(
    db: &mut Change<'_>,
    master: &MasterKey,
    act: &Act,
    operator: Option<&Remembered>,
    client: Option<&Remembered>,
) -> Result<Demo, AdminError> {
    let now = act.now;
    let partner_id = partner(db, act)?;
    grant_all(db, act, &partner_id)?;
    let client_id = sandbox_client(db, act, &partner_id)?;
    catalogue(db, act)?;
    let works =
        client.is_some_and(|c| c.client_id == client_id) && is_usable(db, master, client, now)?;
    let client = if works {
        None
    } else {
        Some(replace_secret(db, master, act, &client_id)?)
    };
    let operator = if is_usable(db, master, operator, now)? {
        None
    } else if any_operator(db)? {
        Some(operators::recover(db, master, act, true)?)
    } else {
        Some(operators::bootstrap(db, master, act, true)?)
    };
    Ok(Demo {
        partner_id,
        client_id,
        client,
        operator,
    })
}

fn partner(db: &mut Change<'_>, act: &Act) -> Result<PartnerId, AdminError> {
    let known = instance::get(db, Fact::QuickstartPartner)?;
    let everyone = partner_rows::page(
        db,
        None,
        &PageRequest {
            limit: 2,
            after: None,
        },
    )?;
    if everyone
        .rows
        .iter()
        .any(|p| Some(p.id.as_str()) != known.as_deref())
    {
        let detail =
            "this database holds partners that quickstart did not make; use `onyx-auth serve`";
        return Err(AdminError::conflict("not_a_demo", detail));
    }
    if let Some(partner) = everyone.rows.into_iter().next() {
        return Ok(partner.id);
    }
    let new = NewPartner {
        name: "Demo partner".to_owned(),
        legal_name: "Demo Partner Ltd".to_owned(),
        security_contact: "security@partner.example".to_owned(),
    };
    let partner = partners::create(db, act, new)?;
    partners::step(db, act, &partner.id, PartnerStep::Approve, None)?;
    instance::remember(db, Fact::QuickstartPartner, partner.id.as_str())?;
    Ok(partner.id)
}

fn grant_all(db: &mut Change<'_>, act: &Act, partner: &PartnerId) -> Result<(), AdminError> {
    let now = act.now;
    let held: ScopeSet = grant_rows::in_force(db, partner, Realm::Sandbox, now)?
        .into_iter()
        .map(|g| g.scope)
        .collect();
    let mut at_once = act.clone();
    at_once.policy.sandbox_auto_approve = true;
    for scope in ScopeSet::of(PARTNER_SCOPES).difference(&held).iter() {
        let new = NewGrant {
            realm: Realm::Sandbox,
            scope: Scope::clone(scope),
            resource: None,
            purpose: "trying Onyx Auth out".to_owned(),
            lawful_basis: None,
            data_classes: vec!["synthetic".to_owned()],
            retention_days: 1,
            expires_at: now.plus(GRANTS),
        };
        grants::request(db, &at_once, partner, new)?;
    }
    Ok(())
}

fn sandbox_client(
    db: &mut Change<'_>,
    act: &Act,
    partner: &PartnerId,
) -> Result<ClientId, AdminError> {
    let filter = Filter {
        partner_id: Some(partner.clone()),
        realm: Some(Realm::Sandbox),
        state: Some(ClientState::Active),
        kind: None,
    };
    let found = page(
        db,
        &filter,
        &PageRequest {
            limit: 1,
            after: None,
        },
    )?;
    if let Some(client) = found.rows.into_iter().next() {
        return Ok(client.id);
    }
    let new = NewClient {
        realm: Realm::Sandbox,
        name: "Demo client".to_owned(),
        scopes: ScopeSet::of(PARTNER_SCOPES),
        default_scopes: None,
        token_ttl: None,
        expires_at: None,
        ip_allowlist: None,
        self_rotation: None,
    };
    Ok(clients::create(db, act, partner, new)?.id)
}

/// A small catalogue to order from, where there is none.
fn catalogue(db: &mut Change<'_>, act: &Act) -> Result<(), AdminError> {
    if any_package(db)? {
        return Ok(());
    }
    for (name, description, amount, validity_days, region, features) in PACKAGES {
        let new = NewPackage {
            name: (*name).to_owned(),
            description: (*description).to_owned(),
            price: Money::new(*amount, Currency::Eur),
            validity_days: *validity_days,
            region: (*region).to_owned(),
            features: features
                .iter()
                .filter_map(|name| name.parse().ok())
                .collect(),
            included: None,
            viewers: None,
        };
        let drafted = packages::create(db, act, new)?;
        packages::step(db, act, &drafted.package.id, PackageStep::Publish, None)?;
    }
    Ok(())
}

fn is_usable(
    db: &mut Db,
    master: &MasterKey,
    remembered: Option<&Remembered>,
    now: Instant,
) -> Result<bool, StoreError> {
    let Some(remembered) = remembered else {
        return Ok(false);
    };
    let hash = master.hash_secret(remembered.secret.as_bytes());
    let held = unrevoked(db, &remembered.client_id)?;
    Ok(held
        .iter()
        .any(|c| c.validity().is_usable(now) && same_hash(&c.secret_hash, &hash)))
}

/// A new secret, and room for it: nobody knows the others any more.
fn replace_secret(
    db: &mut Change<'_>,
    master: &MasterKey,
    act: &Act,
    client: &ClientId,
) -> Result<Issued, AdminError> {
    for credential in unrevoked(db, client)? {
        credentials::revoke(db, act, &credential.id, RevocationReason::Superseded, None)?;
    }
    credentials::issue(db, master, act, client, None)
}
