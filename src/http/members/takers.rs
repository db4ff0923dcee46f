//! How members of each kind are taken out. An outer `None` always means that a fault was noted.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde_json::{Map, Value};

use super::Members;
use crate::domain::edit::Edit;
use crate::domain::line::breaks_a_line;

/// The longest text that has a form of its own.
const LONGEST: usize = 2048;

impl Members {
    /// A text of 1 to `max` characters that is not all white space.
    pub fn text(&mut self, name: &str, max: usize) -> Option<String> {
        match self.optional_text(name, max)? {
            Some(text) => Some(text),
            None => {
                self.missing(name);
                None
            }
        }
    }

    /// Such a text on one line: a name, say, which lists and logs show among others.
    pub fn line(&mut self, name: &str, max: usize) -> Option<String> {
        match self.optional_line(name, max)? {
            Some(text) => Some(text),
            None => {
                self.missing(name);
                None
            }
        }
    }

    /// The same, or nothing. The outer `None`: a fault was noted.
    pub fn optional_line(&mut self, name: &str, max: usize) -> Option<Option<String>> {
        let text = self.optional_text(name, max)?;
        if text
            .as_deref()
            .is_some_and(|text| text.chars().any(breaks_a_line))
        {
            let detail = format!(
                "must be 1 to {max} characters on one line, without control characters and changes of direction"
            );
            self.fault(format!("/{name}"), "invalid", detail);
            return None;
        }
        Some(text)
    }

    /// Such a text, or nothing. The outer `None`: a fault was noted.
    pub fn optional_text(&mut self, name: &str, max: usize) -> Option<Option<String>> {
        match self.take(name) {
            None => Some(None),
            Some(Value::String(text)) if is_text(&text, max) => Some(Some(text)),
            Some(Value::String(_)) => {
                let detail = format!("must be 1 to {max} characters, without control characters");
                self.fault(format!("/{name}"), "invalid", detail);
                None
            }
            Some(_) => {
                self.fault(format!("/{name}"), "type", "must be a string");
                None
            }
        }
    }

    /// A text to put in another's place, or nothing: then that stays. `null` is a fault, for what
    /// cannot be without. The outer `None`: a fault was noted.
    pub fn changed_text(&mut self, name: &str, max: usize) -> Option<Option<String>> {
        self.not_null(name)?;
        self.optional_text(name, max)
    }

    /// The same on one line.
    pub fn changed_line(&mut self, name: &str, max: usize) -> Option<Option<String>> {
        self.not_null(name)?;
        self.optional_line(name, max)
    }

    /// A yes or no to put in another's place, or nothing. The outer `None`: a fault was noted.
    pub fn changed_bool(&mut self, name: &str) -> Option<Option<bool>> {
        self.not_null(name)?;
        self.optional_flag(name)
    }

    fn not_null(&mut self, name: &str) -> Option<()> {
        if self.members.get(name).is_some_and(Value::is_null) {
            self.take(name);
            self.fault(format!("/{name}"), "type", "must not be null");
            return None;
        }
        Some(())
    }

    /// A text with a form of its own: an id, a word, a time.
    pub fn parsed<T: FromStr<Err: Display>>(&mut self, name: &str) -> Option<T> {
        match self.optional_parsed(name)? {
            Some(value) => Some(value),
            None => {
                self.missing(name);
                None
            }
        }
    }

    /// Such a text, or nothing. The outer `None`: a fault was noted.
    pub fn optional_parsed<T: FromStr<Err: Display>>(&mut self, name: &str) -> Option<Option<T>> {
        // What it must be is what its type says, also where it is no text for people: an empty one, say.
        let bad = match self.peek(name) {
            Some(Value::String(text)) if text.len() <= LONGEST && !is_text(text, LONGEST) => {
                text.parse::<T>().err()
            }
            _ => None,
        };
        if let Some(error) = bad {
            self.take(name);
            self.fault(format!("/{name}"), "invalid", error.to_string());
            return None;
        }
        match self.optional_text(name, LONGEST)?.map(|text| text.parse()) {
            None => Some(None),
            Some(Ok(value)) => Some(Some(value)),
            Some(Err(error)) => {
                self.fault(format!("/{name}"), "invalid", T::Err::to_string(&error));
                None
            }
        }
    }

    /// A whole number within a range.
    pub fn integer(&mut self, name: &str, range: RangeInclusive<i32>) -> Option<i32> {
        match self.optional_integer(name, range)? {
            Some(number) => Some(number),
            None => {
                self.missing(name);
                None
            }
        }
    }

    /// Such a number, or nothing. The outer `None`: a fault was noted.
    pub fn optional_integer(
        &mut self,
        name: &str,
        range: RangeInclusive<i32>,
    ) -> Option<Option<i32>> {
        let Some(value) = self.take(name) else {
            return Some(None);
        };
        match value
            .as_i64()
            .and_then(|n| i32::try_from(n).ok())
            .filter(|n| range.contains(n))
        {
            Some(number) => Some(Some(number)),
            None => {
                let detail = format!(
                    "must be a whole number from {} to {}",
                    range.start(),
                    range.end()
                );
                self.fault(format!("/{name}"), of_number(&value), detail);
                None
            }
        }
    }

    /// A whole number within a range of any size.
    pub fn whole(&mut self, name: &str, range: RangeInclusive<i64>) -> Option<i64> {
        let Some(value) = self.take(name) else {
            self.missing(name);
            return None;
        };
        let number = value.as_i64().filter(|number| range.contains(number));
        if number.is_none() {
            let (from, to) = (range.start(), range.end());
            let detail = format!("must be a whole number from {from} to {to}");
            self.fault(format!("/{name}"), of_number(&value), detail);
        }
        number
    }

    /// The same, where it may be left out.
    pub fn optional_whole(
        &mut self,
        name: &str,
        range: RangeInclusive<i64>,
    ) -> Option<Option<i64>> {
        match self.members.get(name) {
            Some(Value::Null) => {
                self.take(name);
                Some(None)
            }
            Some(_) => self.whole(name, range).map(Some),
            None => {
                self.take(name);
                Some(None)
            }
        }
    }

    /// A list of texts with a form of their own, at most `max` of them.
    pub fn list<T: FromStr<Err: Display>>(&mut self, name: &str, max: usize) -> Option<Vec<T>> {
        match self.optional_list(name, max)? {
            Some(items) => Some(items),
            None => {
                self.missing(name);
                None
            }
        }
    }

    /// Such a list, or nothing. The outer `None`: a fault was noted.
    pub fn optional_list<T: FromStr<Err: Display>>(
        &mut self,
        name: &str,
        max: usize,
    ) -> Option<Option<Vec<T>>> {
        let items = match self.take(name) {
            None => return Some(None),
            Some(Value::Array(items)) if items.len() <= max => items,
            Some(_) => {
                self.fault(
                    format!("/{name}"),
                    "type",
                    format!("must be a list of at most {max} strings"),
                );
                return None;
            }
        };
        let mut parsed = Vec::with_capacity(items.len());
        for (nth, item) in items.iter().enumerate() {
            match item.as_str().map(str::parse) {
                Some(Ok(value)) => parsed.push(value),
                Some(Err(error)) => self.fault(
                    format!("/{name}/{nth}"),
                    "invalid",
                    T::Err::to_string(&error),
                ),
                None => self.fault(format!("/{name}/{nth}"), "type", "must be a string"),
            }
        }
        // Not by the faults: those that are too many are not kept.
        (parsed.len() == items.len()).then_some(Some(parsed))
    }

    /// `true` or `false`, or nothing. The outer `None`: a fault was noted.
    pub fn optional_flag(&mut self, name: &str) -> Option<Option<bool>> {
        match self.take(name) {
            None => Some(None),
            Some(Value::Bool(flag)) => Some(Some(flag)),
            Some(_) => {
                self.fault(format!("/{name}"), "type", "must be true or false");
                None
            }
        }
    }

    /// `true` or `false`.
    pub fn flag(&mut self, name: &str) -> Option<bool> {
        match self.optional_flag(name)? {
            Some(flag) => Some(flag),
            None => {
                self.missing(name);
                None
            }
        }
    }

    /// What a PATCH says of a member that may be absent (RFC 7396): left out, it stays; `null`
    /// takes it away; a value, which `taker` takes, replaces it. `None`: a fault was noted.
    pub fn edit<T>(
        &mut self,
        name: &str,
        taker: impl FnOnce(&mut Self, &str) -> Option<T>,
    ) -> Option<Edit<T>> {
        match self.members.get(name) {
            None => {
                self.known.push(name.to_owned());
                Some(Edit::Keep)
            }
            Some(Value::Null) => {
                self.take(name);
                Some(Edit::Clear)
            }
            Some(_) => taker(self, name).map(Edit::Set),
        }
    }

    /// What a PATCH says of a member that is always there: left out, it stays; a value, which
    /// `taker` takes, replaces it; `null` is a fault. The outer `None`: a fault was noted.
    pub fn replacement<T>(
        &mut self,
        name: &str,
        taker: impl FnOnce(&mut Self, &str) -> Option<T>,
    ) -> Option<Option<T>> {
        match self.edit(name, taker)? {
            Edit::Keep => Some(None),
            Edit::Set(value) => Some(Some(value)),
            Edit::Clear => {
                let detail = "must not be null: leave it out to keep it as it is";
                self.fault(format!("/{name}"), "type", detail);
                None
            }
        }
    }

    /// An object whose members are read elsewhere, or nothing. The outer `None`: a fault was noted.
    pub fn optional_object(&mut self, name: &str) -> Option<Option<Map<String, Value>>> {
        match self.take(name) {
            None => Some(None),
            Some(Value::Object(members)) => Some(Some(members)),
            Some(_) => {
                self.fault(format!("/{name}"), "type", "must be an object");
                None
            }
        }
    }

    /// An object that must be there, and whose members are read elsewhere.
    pub fn object(&mut self, name: &str) -> Option<Map<String, Value>> {
        match self.optional_object(name)? {
            Some(members) => Some(members),
            None => {
                self.missing(name);
                None
            }
        }
    }

    /// A list of what is read elsewhere, or nothing. The outer `None`: a fault was noted.
    pub fn optional_items(&mut self, name: &str, max: usize) -> Option<Option<Vec<Value>>> {
        match self.take(name) {
            None => Some(None),
            Some(Value::Array(items)) if items.len() <= max => Some(Some(items)),
            Some(_) => {
                let detail = format!("must be a list of at most {max}");
                self.fault(format!("/{name}"), "type", detail);
                None
            }
        }
    }
}

/// What is wrong with what is no such number.
fn of_number(value: &Value) -> &'static str {
    if value.is_number() { "invalid" } else { "type" }
}

fn is_text(text: &str, max: usize) -> bool {
    let fits = !text.trim().is_empty() && text.chars().count() <= max;
    fits && !text
        .chars()
        .any(|c| c.is_control() && c != '\n' && c != '\t')
}
