//! The words of the trade as types: ids, realms, scopes, secrets, states, time.
//!
//! Pure values and functions. This room refuses to know I/O, HTTP and the time
//! of day: whoever calls says what time it is.

pub mod agreement;
pub mod allowance;
pub mod allowlist;
pub mod audience;
pub mod call;
pub mod client;
pub mod credential;
pub mod day;
pub mod delivery;
pub mod edit;
pub mod event;
pub mod grant;
pub mod id;
pub mod instant;
pub mod invoice;
pub mod key;
pub mod launch;
pub mod leak;
pub mod ledger;
pub mod lifecycle;
pub mod limits;
pub mod line;
pub mod money;
pub mod month;
pub mod order;
pub mod package;
pub mod page;
pub mod partner;
pub mod privacy;
pub mod prohibited;
pub mod quota;
pub mod realm;
pub mod recommendation;
pub mod replay;
pub mod retention;
pub mod review;
pub mod revision;
pub mod revocation;
pub mod scope;
pub mod secret;
pub mod simulation;
pub mod status_list;
pub mod tenant;
pub mod version;
pub mod webhook;
pub mod webhook_delivery;

pub use onyx_verifier::Algorithm;

/// An enum whose values are words: one list for printing, parsing and storing.
///
/// The words are what the wire, the command line and the database say, so a
/// variant's word is never changed once released.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash,
                 diesel::expression::AsExpression, diesel::deserialize::FromSqlRow)]
        #[diesel(sql_type = diesel::sql_types::Text)]
        pub enum $name { $($(#[$vmeta])* $variant),+ }

        impl $name {
            /// Every value, in the order of the definition.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word for this value.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::domain::UnknownWord;
            fn from_str(word: &str) -> Result<Self, Self::Err> {
                Self::ALL.iter().copied().find(|v| v.as_str() == word)
                    .ok_or_else(|| $crate::domain::UnknownWord::new(Self::ALL.iter().map(|v| v.as_str())))
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.serialize_str(self.as_str())
            }
        }
    };
}
pub(crate) use words;

/// The word is not one of a fixed list; the message names the list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be one of {expected}")]
pub struct UnknownWord {
    expected: String,
}

impl UnknownWord {
    pub(crate) fn new<'a>(words: impl Iterator<Item = &'a str>) -> Self {
        Self {
            expected: words.collect::<Vec<_>>().join(", "),
        }
    }
}
