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
        // By its bytes: a number is also read with a sign or zeros before it, and may be too large for its class.
        match *text.as_bytes() {
            [class @ b'1'..=b'5', b'x', b'x'] => {
                let from = i32::from(class - b'0') * 100;
                let to = from + 99;
                Ok(Self { from, to })
            }
            [b'1'..=b'5', b'0'..=b'9', b'0'..=b'9'] => {
                let status = text.parse().map_err(|_| BadStatus)?;
                Ok(Self {
                    from: status,
                    to: status,
                })
            }
            _ => Err(BadStatus),
        }
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

    #[test]
    fn a_class_is_one_digit_and_no_other_number() {
        for bad in [
            "99999999xx",
            "2147483647xx",
            "99999999999999999999xx",
            "-9xx",
            "+2xx",
            " 2xx",
            "02xx",
            "0xx",
            "6xx",
            "xx",
            "2x",
            "2xxx",
            "2XX",
            "2xx ",
            "\u{662}xx",
            "+20",
            "099",
            "600",
            "0404",
        ] {
            assert_eq!(bad.parse::<StatusRange>(), Err(BadStatus), "{bad}");
        }
    }
}
