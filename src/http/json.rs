//! JSON as callers send it: no member twice, and one way to write what was said.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;

use actix_web::http::StatusCode;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::problem::Problem;
use crate::domain::prohibited;

/// What is told of a member that was sent twice.
pub(super) const DOUBLED: &str = "was sent more than once";

/// No more faults of a body are told. Whoever sends more may be after an answer, or a use of
/// memory, that is a thousand times what was sent.
pub(super) const MOST_FAULTS: usize = 100;

/// Of a longer name a pointer shows so many characters, and an ellipsis.
const LONGEST_NAME: usize = 64;

/// A pointer that would have more bytes ends earlier, at what the place is in.
const LONGEST_POINTER: usize = 300;

/// So much of a name is looked through before it is shown: more than is shown, lest a secret be
/// cut into something that is none.
const LOOKED_THROUGH: usize = 512;

/// Reads a JSON text; with it the pointers (RFC 6901) of members that were sent more than once, at
/// most `MOST_FAULTS`.
///
/// Readers disagree about which of two members counts (RFC 8259 §4), so neither does. Nesting is
/// bounded by serde_json.
pub(super) fn read(text: &[u8]) -> Result<(Value, Vec<String>), Problem> {
    let doubled = RefCell::new(Vec::new());
    let mut from = serde_json::Deserializer::from_slice(text);
    let root = Place {
        step: None,
        doubled: &doubled,
    };
    let value = root
        .deserialize(&mut from)
        .and_then(|value| from.end().map(|()| value))
        .map_err(|error| {
            let (line, column) = (error.line(), error.column());
            let detail = format!("the body is not JSON: line {line}, column {column}");
            Problem::new(StatusCode::BAD_REQUEST, "invalid_json", detail)
        })?;
    // The same place again, where what it is in was sent twice.
    let (mut doubled, mut seen) = (doubled.into_inner(), BTreeSet::new());
    doubled.retain(|pointer| seen.insert(pointer.clone()));
    Ok((value, doubled))
}

/// The body is JSON, and of another kind than it must be.
pub(super) fn not(kind: &str) -> Problem {
    let detail = format!("the body must be {kind}");
    Problem::new(StatusCode::BAD_REQUEST, "invalid_json", detail)
}

/// A member's name within a pointer (RFC 6901 §3), a long one cut.
pub(super) fn pointer_token(name: &str) -> String {
    let mut shown: String = name.chars().take(LONGEST_NAME).collect();
    if shown.len() < name.len() {
        shown.push('…');
    }
    shown.replace('~', "~0").replace('/', "~1")
}

/// The same of any name. `None`: it holds what must not be repeated, such as a secret in the wrong place.
fn harmless_token(name: &str) -> Option<String> {
    let end = name.char_indices().nth(LOOKED_THROUGH).map(|(at, _)| at);
    let begin = end.and_then(|end| name.get(..end)).unwrap_or(name);
    prohibited::in_text(begin)
        .is_none()
        .then(|| pointer_token(name))
}

/// The pointer to a member of the body, or to the body where its name must not be repeated.
pub(super) fn member_pointer(name: &str) -> String {
    harmless_token(name).map_or_else(String::new, |token| format!("/{token}"))
}

/// A pointer that ends before a name that holds what must not be repeated.
pub(super) fn harmless(pointer: String) -> String {
    let mut end = 0;
    for token in pointer.split('/').skip(1) {
        let name = token.replace("~1", "/").replace("~0", "~");
        if prohibited::in_text(&name).is_some() {
            return pointer.get(..end).unwrap_or_default().to_owned();
        }
        end += 1 + token.len();
    }
    pointer
}

/// An object with its members in order and without white space: whoever says the same writes the same.
pub(super) fn canonical(members: &Map<String, Value>) -> String {
    let mut text = String::new();
    write_object(members, &mut text);
    text
}

fn write_object(members: &Map<String, Value>, text: &mut String) {
    let mut sorted: Vec<_> = members.iter().collect();
    sorted.sort_by_key(|(name, _)| *name);
    text.push('{');
    for (nth, (name, value)) in sorted.into_iter().enumerate() {
        if nth > 0 {
            text.push(',');
        }
        text.push_str(&Value::from(name.as_str()).to_string());
        text.push(':');
        write_value(value, text);
    }
    text.push('}');
}

fn write_value(value: &Value, text: &mut String) {
    match value {
        Value::Object(members) => write_object(members, text),
        Value::Array(items) => {
            text.push('[');
            for (nth, item) in items.iter().enumerate() {
                if nth > 0 {
                    text.push(',');
                }
                write_value(item, text);
            }
            text.push(']');
        }
        plain => text.push_str(&plain.to_string()),
    }
}

/// A place within a JSON text. Its pointer is written where something is wrong with it: to write
/// each place's would take time and memory with the square of the text.
#[derive(Clone, Copy)]
struct Place<'a> {
    /// What it is in, and how one gets from there to here. `None`: it is the whole.
    step: Option<(&'a Place<'a>, Step<'a>)>,
    doubled: &'a RefCell<Vec<String>>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Member(&'a str),
    Item(usize),
}

impl Place<'_> {
    fn below<'a>(&'a self, step: Step<'a>) -> Place<'a> {
        Place {
            step: Some((self, step)),
            doubled: self.doubled,
        }
    }

    /// Notes that the member was there already.
    fn note(&self) {
        let mut doubled = self.doubled.borrow_mut();
        if doubled.len() < MOST_FAULTS {
            doubled.push(self.pointer());
        }
    }

    fn pointer(&self) -> String {
        let mut steps = Vec::new();
        let mut place = self;
        while let Some((above, step)) = place.step {
            steps.push(step);
            place = above;
        }
        let mut pointer = String::new();
        for step in steps.into_iter().rev() {
            let token = match step {
                Step::Member(name) => harmless_token(name),
                Step::Item(nth) => Some(nth.to_string()),
            };
            match token {
                Some(token) if pointer.len() + 1 + token.len() <= LONGEST_POINTER => {
                    pointer.push('/');
                    pointer.push_str(&token);
                }
                _ => break,
            }
        }
        pointer
    }
}

impl<'de> DeserializeSeed<'de> for Place<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Place<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut all = Vec::new();
        while let Some(item) = items.next_element_seed(self.below(Step::Item(all.len())))? {
            all.push(item);
        }
        Ok(Value::Array(all))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let (mut all, mut told) = (Map::new(), BTreeSet::new());
        while let Some(name) = members.next_key::<String>()? {
            let place = self.below(Step::Member(&name));
            if all.contains_key(&name) && told.insert(name.clone()) {
                place.note();
            }
            let value = members.next_value_seed(place)?;
            all.insert(name, value);
        }
        Ok(Value::Object(all))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn object(text: &str) -> Map<String, Value> {
        match read(text.as_bytes()).unwrap().0 {
            Value::Object(members) => members,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn a_member_that_is_sent_twice_is_found_wherever_it_is() {
        let text = r#"{"a":1,"b":[{"c/d":1,"c/d":2,"c/d":3}],"a":2}"#;
        let (_, doubled) = read(text.as_bytes()).unwrap();
        assert_eq!(doubled, ["/b/0/c~1d", "/a"]);
        let (_, doubled) = read(br#"{"a":{"b":1,"b":2},"a":{"b":1,"b":2}}"#).unwrap();
        assert_eq!(doubled, ["/a/b", "/a"]);
    }

    #[test]
    fn pointers_are_few_and_short_whatever_was_sent() {
        let twice: Vec<String> = (0..2000).map(|n| format!(r#""{n}":1,"{n}":1"#)).collect();
        let twice = format!("{{{}}}", twice.join(","));
        let long = format!(r#"{{"{}":{twice}}}"#, "z".repeat(100_000));
        let (_, doubled) = read(long.as_bytes()).unwrap();
        assert_eq!(doubled.len(), MOST_FAULTS);
        let shown = "z".repeat(LONGEST_NAME);
        assert_eq!(doubled.first().unwrap(), &format!("/{shown}…/0"));
        // Deep down a pointer ends on the way.
        let name = "n".repeat(50);
        let deep = format!(
            r#"{}{twice}{}"#,
            format!(r#"{{"{name}":"#).repeat(100),
            "}".repeat(100)
        );
        let (_, doubled) = read(deep.as_bytes()).unwrap();
        assert_eq!(doubled, [format!("/{name}").repeat(5)]);
    }

    #[test]
    fn names_that_must_not_be_repeated_are_in_no_pointer() {
        let card = "4111 1111 1111 1111";
        // Cut after 64 characters, it would be no card's number any more.
        let cut = format!("{}{card}", " ".repeat(50));
        for name in [card, &cut] {
            let text = format!(r#"{{"a":{{"{name}":{{"b":1,"b":2}}}}}}"#);
            let (_, doubled) = read(text.as_bytes()).unwrap();
            assert_eq!(doubled, ["/a"]);
            assert_eq!(member_pointer(name), "");
        }
        assert_eq!(member_pointer("a/b~c"), "/a~1b~0c");
    }

    #[test]
    fn what_is_not_one_json_text_is_refused() {
        let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
        for bad in ["", "{", "{} {}", "nul", "'a'", "\"\\ud800\"", &deep] {
            assert!(read(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(read(b"\"\xff\"").is_err());
    }

    #[test]
    fn order_and_white_space_do_not_count_and_the_rest_does() {
        let one = canonical(&object(r#"{"b":{"y":[1,{"d":1,"c":2}],"x":null},"a":"ä"}"#));
        let same = canonical(&object(
            "{ \"a\": \"\\u00e4\",\n \"b\": {\"x\":null, \"y\":[1,{\"c\":2,\"d\":1}]} }",
        ));
        assert_eq!(one, same);
        assert_eq!(one, r#"{"a":"ä","b":{"x":null,"y":[1,{"c":2,"d":1}]}}"#);
        assert_ne!(
            one,
            canonical(&object(r#"{"a":"ä","b":{"x":null,"y":[{"c":2,"d":1},1]}}"#))
        );
    }

    fn values() -> impl Strategy<Value = Value> {
        let plain = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            ".*".prop_map(Value::from),
        ];
        plain.prop_recursive(4, 32, 5, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                proptest::collection::btree_map(".{0,3}", inner, 0..5)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn it_reads_what_serde_json_reads(value in values()) {
            let text = value.to_string();
            let (read, doubled) = read(text.as_bytes()).unwrap();
            prop_assert_eq!(&read, &value);
            prop_assert!(doubled.is_empty());
        }

        #[test]
        fn the_canonical_text_says_the_same(value in values()) {
            let Value::Object(members) = json!({ "m": value }) else { unreachable!() };
            let text = canonical(&members);
            prop_assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), Value::Object(members));
        }
    }
}
