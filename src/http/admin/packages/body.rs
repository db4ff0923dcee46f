//! What bodies say of a package.

use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::admin::packages::NewPackage;
use crate::domain::id::{BadId, PartnerId};
use crate::domain::money::{Currency, LARGEST, Money};
use crate::domain::package::{Feature, Included, Viewer};
use crate::domain::realm::Realm;
use crate::http::admin::named::Named;
use crate::http::members::Members;

/// The most partners that a package is shown to by name.
const MOST_VIEWERS: usize = 1000;

/// A package to be.
#[derive(Debug, ToSchema)]
#[schema(as = NewPackage, example = json!({
    "name": "Europe 5 GB", "description": "Data in 30 countries", "price": {"amount": 1900, "currency": "EUR"},
    "validity_days": 30, "region": "Europe", "features": ["5 GB", "hotspot"]
}))]
pub struct NewPackageBody {
    #[schema(min_length = 1, max_length = 200)]
    pub name: String,
    #[schema(min_length = 1, max_length = 2000)]
    pub description: String,
    pub price: Money,
    #[schema(minimum = 1, maximum = 3650)]
    pub validity_days: i32,
    #[schema(min_length = 1, max_length = 64)]
    pub region: String,
    /// At most 50, each of 1 to 64 characters.
    #[schema(max_items = 50)]
    pub features: Vec<String>,
    /// How much one of it includes: its partners are told when 80 % and all of that is used. What was
    /// ordered includes what the package said then.
    pub included: Option<Included>,
    /// To whom it is shown: ids of partners, for both environments, or objects that name one. Left
    /// out or `null`: to every partner.
    #[schema(max_items = 1000)]
    pub partners: Option<Vec<ViewerBody>>,
}

/// A partner by its id, in both environments, or in one.
#[derive(Debug, ToSchema)]
#[schema(as = PackageViewer, example = json!("ptn_01K2ZJ6V9D3M5K7N2R4T6W8Y0A"))]
#[serde(untagged)]
pub enum ViewerBody {
    Everywhere(PartnerId),
    In(Viewer),
}

/// What is to change; what is absent stays.
#[derive(Debug, ToSchema)]
#[schema(as = PackageEdit, example = json!({"price": {"amount": 1700, "currency": "EUR"}}))]
pub struct PackageEditBody {
    #[schema(min_length = 1, max_length = 200, nullable = false)]
    pub name: Option<String>,
    #[schema(min_length = 1, max_length = 2000, nullable = false)]
    pub description: Option<String>,
    #[schema(nullable = false)]
    pub price: Option<Money>,
    #[schema(minimum = 1, maximum = 3650, nullable = false)]
    pub validity_days: Option<i32>,
    #[schema(min_length = 1, max_length = 64, nullable = false)]
    pub region: Option<String>,
    #[schema(max_items = 50, nullable = false)]
    pub features: Option<Vec<String>>,
    /// `null`: it does not say.
    pub included: Option<Included>,
    /// `null`: shown to every partner.
    #[schema(max_items = 1000)]
    pub partners: Option<Vec<ViewerBody>>,
}

type Taken = (
    Option<String>,
    Option<String>,
    Option<Money>,
    Option<i32>,
    Option<String>,
    Option<Vec<Feature>>,
    Option<Option<Included>>,
    Option<Option<Vec<Viewer>>>,
);

pub(super) fn new_package(body: &mut Members) -> Taken {
    (
        body.line("name", 200),
        body.text("description", 2000),
        price(body, "price"),
        body.integer("validity_days", 1..=3650),
        body.line("region", 64),
        features(body, "features"),
        optional_included(body, "included"),
        viewers(body, "partners"),
    )
}

type Given = (
    String,
    String,
    Money,
    i32,
    String,
    Vec<Feature>,
    Option<Included>,
    Option<Vec<Viewer>>,
);

pub(super) fn made(
    (name, description, price, validity_days, region, features, included, viewers): Given,
) -> NewPackage {
    NewPackage {
        name,
        description,
        price,
        validity_days,
        region,
        features,
        included,
        viewers,
    }
}

pub(in crate::http::admin) fn price(body: &mut Members, name: &str) -> Option<Money> {
    let mut price = Members::within(body.object(name)?);
    let taken = (
        price.whole("amount", 0..=LARGEST),
        price.parsed::<Currency>("currency"),
    );
    let (amount, currency) = body.part(name, price, taken)?;
    Some(Money::new(amount, currency))
}

/// How much of it, and in what.
pub(super) fn included(body: &mut Members, name: &str) -> Option<Included> {
    let members = body.object(name)?;
    included_of(body, name, members)
}

/// The outer `None`: a fault was noted.
fn optional_included(body: &mut Members, name: &str) -> Option<Option<Included>> {
    match body.optional_object(name)? {
        None => Some(None),
        Some(members) => included_of(body, name, members).map(Some),
    }
}

fn included_of(body: &mut Members, name: &str, members: Map<String, Value>) -> Option<Included> {
    let mut part = Members::within(members);
    let taken = (
        part.whole("quantity", 1..=Included::MOST),
        part.line("unit", Included::LONGEST_UNIT),
    );
    let (quantity, unit) = body.part(name, part, taken)?;
    Some(Included { quantity, unit })
}

pub(super) fn features(body: &mut Members, name: &str) -> Option<Vec<Feature>> {
    body.list(name, 50)
}

/// Partners by id, or by id and realm. The outer `None`: a fault was noted.
pub(super) fn viewers(body: &mut Members, name: &str) -> Option<Option<Vec<Viewer>>> {
    let Some(items) = body.optional_items(name, MOST_VIEWERS)? else {
        return Some(None);
    };
    let mut viewers = Some(Vec::new());
    for (nth, item) in items.into_iter().enumerate() {
        let place = format!("{name}/{nth}");
        let found = match item {
            Value::String(text) => everywhere(body, &place, &text),
            Value::Object(members) => {
                let mut part = Members::within(members);
                let taken = (part.parsed("partner_id"), part.parsed::<Named>("realm"));
                let named = body.part(&place, part, taken);
                named.map(|(partner_id, Named(realm))| vec![Viewer { partner_id, realm }])
            }
            _ => {
                let detail = "must be a partner's id, or an object with partner_id and realm";
                body.fault(format!("/{place}"), "type", detail);
                None
            }
        };
        viewers = viewers.zip(found).map(|(mut all, more)| {
            all.extend(more);
            all
        });
    }
    viewers.map(Some)
}

fn everywhere(body: &mut Members, place: &str, text: &str) -> Option<Vec<Viewer>> {
    match text.parse() {
        Ok(partner_id) => {
            let partner_id: PartnerId = partner_id;
            let viewer = |realm| Viewer {
                partner_id: partner_id.clone(),
                realm,
            };
            Some(vec![viewer(Realm::Sandbox), viewer(Realm::Live)])
        }
        Err(error) => {
            let error: BadId = error;
            body.fault(format!("/{place}"), "invalid", error.to_string());
            None
        }
    }
}
