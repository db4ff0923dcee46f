//! Packages: what is for sale.

use std::str::FromStr;

use super::id::PartnerId;
use super::lifecycle::steps;
use super::realm::Realm;
use super::words;

words!(
    /// A package's state: draft → published ⇄ withdrawn.
    PackageState {
        Draft = "draft",
        Published = "published",
        Withdrawn = "withdrawn",
    }
);

steps!(
    /// What operators do with a package. What was ordered stays ordered.
    PackageStep over PackageState {
        Publish: Draft, Withdrawn => Published;
        Withdraw: Published => Withdrawn;
    }
);

/// One thing that a package has: `5 GB`, `hotspot`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Feature(String);

/// The text is not a feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 64 characters, without control characters")]
pub struct BadFeature;

impl Feature {
    /// The most characters of one.
    pub const LONGEST: usize = 64;

    /// Its name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Feature {
    type Err = BadFeature;

    fn from_str(text: &str) -> Result<Self, BadFeature> {
        let text = text.trim();
        let fits = (1..=Self::LONGEST).contains(&text.chars().count());
        if fits && !text.chars().any(char::is_control) {
            Ok(Self(text.to_owned()))
        } else {
            Err(BadFeature)
        }
    }
}

/// What a package has, in the order in which it was said; kept as a JSON array of texts.
#[derive(
    Clone, Debug, PartialEq, Eq, diesel::expression::AsExpression, diesel::deserialize::FromSqlRow,
)]
#[diesel(sql_type = diesel::sql_types::Text)]
pub struct Features {
    each: Vec<String>,
    text: String,
}

impl Features {
    /// The JSON text that the database keeps.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromIterator<Feature> for Features {
    /// Doubles are harmless: the first of them counts.
    fn from_iter<I: IntoIterator<Item = Feature>>(features: I) -> Self {
        let mut each: Vec<String> = Vec::new();
        for Feature(name) in features {
            if !each.contains(&name) {
                each.push(name);
            }
        }
        let text = serde_json::Value::from(each.clone()).to_string();
        Self { each, text }
    }
}

impl FromStr for Features {
    type Err = serde_json::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self {
            each: serde_json::from_str(text)?,
            text: text.to_owned(),
        })
    }
}

impl serde::Serialize for Features {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(&self.each)
    }
}

/// How much one of a package includes, in the unit in which usage of it is measured.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Included {
    /// More than nothing.
    pub quantity: i64,
    /// Such as `MB`.
    pub unit: String,
}

impl Included {
    /// The most that one of a package includes.
    pub const MOST: i64 = 1_000_000_000_000;
    /// The most characters of a unit.
    pub const LONGEST_UNIT: usize = 40;
}

/// Somebody to whom a restricted package is shown: a partner in one of its realms.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Viewer {
    /// Who.
    pub partner_id: PartnerId,
    /// Where.
    pub realm: Realm,
}

#[cfg(test)]
mod tests {
    use super::PackageState::*;
    use super::*;
    use crate::domain::lifecycle::tests::keeps_to;

    #[test]
    fn features_are_kept_as_they_were_said() {
        let said = ["5 GB", "hot\"spot", "5 GB"];
        let features: Features = said.iter().map(|name| name.parse().unwrap()).collect();
        assert_eq!(features.as_str(), r#"["5 GB","hot\"spot"]"#);
        assert_eq!(features.as_str().parse::<Features>().unwrap(), features);
        for bad in ["", "  ", "a\0b", &"x".repeat(65)] {
            assert!(bad.parse::<Feature>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_package_keeps_to_the_drawing() {
        keeps_to::<PackageStep>(
            Draft,
            &[
                (Draft, Published),
                (Published, Withdrawn),
                (Withdrawn, Published),
            ],
        );
    }
}
