//! JSON objects in which no member stands twice.
//!
//! Parsers disagree on which of two equal members counts, so a token that has any could mean one
//! thing here and another at the next hop; RFC 8725 §2.4 and RFC 7515 §5.2 let them be refused.

use std::{borrow::Cow, collections::HashSet, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value};

use crate::error::TokenFault;

/// JSON's bytes as text, which all of it is (RFC 8259 §8.1): looked at once and whole, which is quicker than at
/// each string.
pub(crate) fn text(bytes: &[u8]) -> Result<&str, TokenFault> {
    std::str::from_utf8(bytes).map_err(|_| TokenFault::Malformed)
}

/// Reads a JSON object and nothing after it; members must be unique in it and in all within it.
pub(crate) fn object(bytes: &[u8]) -> Result<Map<String, Value>, TokenFault> {
    let text = text(bytes)?;
    names(text)?;
    serde_json::from_str(text).map_err(|_| TokenFault::Malformed)
}

/// The names of an object's members, which are unique in it and in all within it.
pub(crate) fn names(text: &str) -> Result<Vec<Cow<'_, str>>, TokenFault> {
    let looked = serde_json::from_str::<Unique>(text).map_err(|_| TokenFault::Malformed)?;
    looked.members.ok_or(TokenFault::Malformed)
}

/// Any JSON value, looked through for members that stand twice and then dropped.
///
/// A pass of its own and no collecting visitor, because how `serde_json` hands out numbers depends
/// on features that any crate of a build can turn on.
#[derive(Default)]
struct Unique<'de> {
    /// The names, if it is an object.
    members: Option<Vec<Cow<'de, str>>>,
}

/// So many members are compared one with another, which is quicker than hashing them.
const FEW: usize = 24;
/// As many as a token's claims are.
const USUAL: usize = 16;

/// One of 64 places for a name, as a bit: names on different places differ, and need no comparing.
fn place(name: &str) -> u64 {
    let end = |byte: Option<&u8>| byte.copied().map_or(0, usize::from);
    let bytes = name.as_bytes();
    1 << ((bytes.len() + 2 * end(bytes.first()) + end(bytes.last())) % 64)
}

impl<'de> Deserialize<'de> for Unique<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Unique::default())
    }
}

impl<'de> Visitor<'de> for Unique<'de> {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON without repeated members")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self, A::Error> {
        let mut names = Vec::with_capacity(USUAL);
        let mut more = HashSet::new();
        // The places of all names so far.
        let mut met = 0;
        while let Some(Name(name)) = members.next_key::<Name<'de>>()? {
            let before = met;
            met |= place(&name);
            let is_new = if before == met && names.contains(&name) {
                false
            } else if names.len() < FEW {
                names.push(name);
                true
            } else {
                more.insert(name)
            };
            if !is_new {
                return Err(A::Error::custom("repeated member"));
            }
            members.next_value::<Unique<'de>>()?;
        }
        names.extend(more);
        Ok(Self {
            members: Some(names),
        })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self, A::Error> {
        while items.next_element::<Unique<'de>>()?.is_some() {}
        Ok(self)
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }
}

/// A member's name, borrowed where no escape stands in it.
struct Name<'de>(Cow<'de, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Borrowing;
        impl<'de> Visitor<'de> for Borrowing {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Borrowed(name)))
            }

            fn visit_str<E>(self, name: &str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Owned(name.to_owned())))
            }
        }
        deserializer.deserialize_str(Borrowing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_with_unique_members_is_read() {
        let text = br#"{"a": {"a": [1, -1, 1.5, null, true, {"a": "b"}]}, "b": {"a": 1}}"#;
        assert!(object(text).is_ok());
    }

    /// An object of so many members, and one of them again.
    fn many(members: usize, again: usize) -> String {
        let all = (0..members).chain([again]);
        let all: Vec<String> = all.map(|n| format!("\"m{n}\": 1")).collect();
        format!("{{{}}}", all.join(","))
    }

    #[test]
    fn a_member_must_not_stand_twice_at_any_depth() {
        for text in [
            r#"{"a": 1, "a": 1}"#,
            r#"{"a": 1, "\u0061": 1}"#,
            r#"{"x": {"a": 1, "b": 2, "a": 1}}"#,
            r#"{"x": [0, [{"a": 1, "a": 2}]]}"#,
            &many(60, 3),
            &many(60, 50),
        ] {
            assert_eq!(
                object(text.as_bytes()),
                Err(TokenFault::Malformed),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_object_is_refused() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(4000), "]".repeat(4000));
        for text in [
            "",
            "null",
            "[]",
            "1",
            "\"a\"",
            "{} {}",
            "{}x",
            "{\"a\":1",
            "\u{feff}{}",
            "{\"a\":1e999}",
            "{'a':1}",
            "{\"a\":1,}",
            &deep,
        ] {
            assert_eq!(
                object(text.as_bytes()),
                Err(TokenFault::Malformed),
                "{text:.20}"
            );
        }
        assert_eq!(object(b"{\"a\":\"\xff\"}"), Err(TokenFault::Malformed));
    }
}
