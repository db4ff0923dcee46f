//! Calls of partners, as far as they are remembered.

use super::words;

words!(
    /// What became of a call's idempotency key.
    Idempotency {
        None = "none",
        Executed = "executed",
        Replayed = "replayed",
        Mismatch = "mismatch",
        InProgress = "in_progress",
    }
);

/// A class of statuses (RFC 9110 §15), or one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusRange {
    /// The first that counts.
    pub from: i32,
    /// The last that counts.
    pub to: i32,
}

/// The text is neither a status nor a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be a status like 404, or a class like 4xx")]
pub struct BadStatus;

impl std::str::FromStr for StatusRange {
    type Err = BadStatus;

    fn from_str(text: &str) -> Result<Self, BadStatus> {
        if let Some(class) = text.strip_suffix("xx") {
            let class: i32 = class.parse().map_err(|_| BadStatus)?;
            let is_class = text.len() == 3 && (1..=5).contains(&class);
            let range = Self {
                from: class * 100,
                to: class * 100 + 99,
            };
            return is_class.then_some(range).ok_or(BadStatus);
        }
        let is_plain = text.len() == 3 && text.bytes().all(|b| b.is_ascii_digit());
        let status = text.parse().ok().filter(|_| is_plain);
        let status = status.filter(|status| (100..=599).contains(status));
        status
            .map(|status| Self {
                from: status,
                to: status,
            })
            .ok_or(BadStatus)
    }
}

/// A text that a list is searched for: a route's template, a code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term(String);

/// The text cannot be in any list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 200 printable characters")]
pub struct BadTerm;

impl Term {
    /// The text itself.
    pub fn into_text(self) -> String {
        self.0
    }
}

impl std::str::FromStr for Term {
    type Err = BadTerm;

    fn from_str(text: &str) -> Result<Self, BadTerm> {
        let fits = (1..=200).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        fits.then(|| Self(text.to_owned())).ok_or(BadTerm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_status_is_read_as_itself_and_belongs_to_its_class(status in 100i32..600) {
            let one: StatusRange = status.to_string().parse().unwrap();
            prop_assert_eq!((one.from, one.to), (status, status));
            let class: StatusRange = format!("{}xx", status / 100).parse().unwrap();
            prop_assert!((class.from..=class.to).contains(&status));
        }

        #[test]
        fn nothing_else_is_read(text in "[0-9x+ -]{0,5}") {
            let is_status = text.len() == 3 && ('1'..='5').contains(&text.chars().next().unwrap())
                && (text.ends_with("xx") || text.bytes().all(|b| b.is_ascii_digit()));
            prop_assert_eq!(text.parse::<StatusRange>().is_ok(), is_status);
        }
    }
}
