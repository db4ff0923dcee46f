//! Scopes: single names, and ordered sets of them.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, LazyLock};

/// The partner API's scopes (both environments).
pub const PARTNER_SCOPES: &[&str] = &[
    "catalogue:read",
    "events:replay",
    "invoices:read",
    "ledger:read",
    "orders:create",
    "orders:read",
    "usage:read",
    "webhooks:manage",
];

/// What a resource server's client may hold at the issuer itself.
pub const RESOURCE_SERVER_SCOPES: &[&str] = &["revocations:read"];

/// The admin API's scopes.
pub const ADMIN_SCOPES: &[&str] = &[
    "audit:read",
    "billing:write",
    "catalogue:write",
    "clients:read",
    "clients:write",
    "credentials:issue",
    "credentials:revoke",
    "credentials:rotate",
    "governance:write",
    "grants:decide",
    "keys:manage",
    "limits:write",
    "operators:write",
    "orders:fulfil",
    "partners:read",
    "partners:write",
    "requests:read",
    "resource-servers:write",
    "security:read",
    "security:write",
    "usage:write",
];

/// One scope-token (RFC 6749 §3.3): 1*( %x21 / %x23-5B / %x5D-7E ), at most 128 long.
#[derive(
    Clone,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    diesel::expression::AsExpression,
    diesel::deserialize::FromSqlRow,
)]
#[diesel(sql_type = diesel::sql_types::Text)]
pub struct Scope(Arc<str>);

/// The house's own scopes, whose copies share one text: if every client had its own, each comparison for each of
/// its tokens would look at memory that nobody has looked at lately.
static OWN: LazyLock<BTreeSet<Scope>> = LazyLock::new(|| {
    let all = [PARTNER_SCOPES, RESOURCE_SERVER_SCOPES, ADMIN_SCOPES];
    let names = all.into_iter().flatten();
    names.map(|name| Scope((*name).into())).collect()
});

/// The text is not a scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be a scope of 1 to 128 visible ASCII characters without space, quote or backslash")]
pub struct BadScope;

impl Scope {
    /// The scope's name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// So that a map of scopes can be asked by name. Text and scope compare and hash alike.
impl std::borrow::Borrow<str> for Scope {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl FromStr for Scope {
    type Err = BadScope;

    fn from_str(text: &str) -> Result<Self, BadScope> {
        if let Some(own) = OWN.get(text) {
            return Ok(own.clone());
        }
        let fits = |b: u8| matches!(b, 0x21 | 0x23..=0x5B | 0x5D..=0x7E);
        if (1..=128).contains(&text.len()) && text.bytes().all(fits) {
            Ok(Self(text.into()))
        } else {
            Err(BadScope)
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl serde::Serialize for Scope {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.0)
    }
}

/// An ordered set of scopes; prints separated by single spaces, sorted.
#[derive(
    Clone,
    Debug,
    Default,
    PartialEq,
    Eq,
    diesel::expression::AsExpression,
    diesel::deserialize::FromSqlRow,
)]
#[diesel(sql_type = diesel::sql_types::Text)]
pub struct ScopeSet(Arc<Scopes>);

/// What the copies of a set share: no token changes it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Scopes {
    /// In order and without doubles.
    each: Vec<Scope>,
    /// The set as it is printed, stored and sent.
    text: Arc<str>,
}

impl ScopeSet {
    /// The scopes named by a fixed list of the project's own.
    pub fn of(names: &[&str]) -> Self {
        names
            .iter()
            .filter_map(|name| name.parse::<Scope>().ok())
            .collect()
    }

    /// The scopes in order, separated by single spaces.
    pub fn as_str(&self) -> &str {
        &self.0.text
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.0.each.is_empty()
    }

    /// Whether the scope is in it.
    pub fn contains(&self, scope: &Scope) -> bool {
        self.names(scope.as_str())
    }

    /// Whether a scope of this name is in it.
    pub fn names(&self, name: &str) -> bool {
        let place = self.0.each.binary_search_by(|held| held.as_str().cmp(name));
        place.is_ok()
    }

    /// How many are in it.
    pub fn len(&self) -> usize {
        self.0.each.len()
    }

    /// The set as it is printed, to be shared.
    pub fn text(&self) -> Arc<str> {
        Arc::clone(&self.0.text)
    }

    /// The scopes in order.
    pub fn iter(&self) -> impl Iterator<Item = &Scope> {
        self.0.each.iter()
    }

    /// What is in both.
    pub fn intersection(&self, other: &Self) -> Self {
        if self.is_subset(other) {
            return self.clone();
        }
        let both = self.iter().filter(|scope| other.contains(scope));
        both.cloned().collect()
    }

    /// What is here and not in the other.
    pub fn difference(&self, other: &Self) -> Self {
        let only_here = self.iter().filter(|scope| !other.contains(scope));
        only_here.cloned().collect()
    }

    /// Whether all of this is in the other.
    pub fn is_subset(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.iter().all(|scope| other.contains(scope))
    }
}

impl FromIterator<Scope> for ScopeSet {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        let scopes: BTreeSet<Scope> = scopes.into_iter().collect();
        let each: Vec<Scope> = scopes.into_iter().collect();
        let text = each.iter().map(Scope::as_str).collect::<Vec<_>>().join(" ");
        Self(Arc::new(Scopes {
            each,
            text: text.into(),
        }))
    }
}

impl FromStr for ScopeSet {
    type Err = BadScope;

    /// Reads scopes separated by spaces; doubles and extra spaces are harmless.
    fn from_str(text: &str) -> Result<Self, BadScope> {
        text.split(' ')
            .filter(|name| !name.is_empty())
            .map(str::parse)
            .collect()
    }
}

impl fmt::Display for ScopeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0.text)
    }
}

/// On the wire of the admin API: a list of names.
impl serde::Serialize for ScopeSet {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(&self.0.each)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_prints_sorted_and_without_doubles() {
        let set: ScopeSet = "orders:read  catalogue:read orders:read".parse().unwrap();
        assert_eq!(set.to_string(), "catalogue:read orders:read");
    }

    #[test]
    fn characters_outside_the_rfc_are_refused() {
        for bad in ["a\"b", "a\\b", "é", "a\tb", "a\u{7f}"] {
            assert!(bad.parse::<ScopeSet>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_fixed_lists_hold_scopes_only() {
        for list in [PARTNER_SCOPES, ADMIN_SCOPES, RESOURCE_SERVER_SCOPES] {
            assert_eq!(ScopeSet::of(list).iter().count(), list.len());
        }
    }
}
