//! Values held against the schemas of an OpenAPI document, strictly: a member that is not described is a fault,
//! and so is a keyword that this does not know.

use serde_json::Value;

/// Ids end so.
const ULID: &str = "[0-7][0-9A-HJKMNP-TV-Z]{25}$";

/// Keywords that say nothing of what is allowed.
const PROSE: [&str; 6] = [
    "description",
    "example",
    "examples",
    "title",
    "default",
    "deprecated",
];

/// What is wrong with a value, each with its place.
pub fn faults(document: &Value, schema: &Value, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let mut check = Check {
        document,
        found: &mut found,
    };
    check.value(schema, value, "");
    check.members(schema, value, "");
    found
}

/// What a `$ref` leads to, or the value itself.
pub fn follow<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str() {
        Some(reference) => {
            let pointer = reference.strip_prefix('#').unwrap();
            follow(document, document.pointer(pointer).unwrap())
        }
        None => value,
    }
}

struct Check<'a> {
    document: &'a Value,
    found: &'a mut Vec<String>,
}

impl Check<'_> {
    fn fault(&mut self, place: &str, what: impl std::fmt::Display) {
        self.found.push(format!("{place}: {what}"));
    }

    /// Whether the schema would find nothing.
    fn fits(&self, schema: &Value, value: &Value) -> bool {
        faults(self.document, schema, value).is_empty()
    }

    fn value(&mut self, schema: &Value, value: &Value, place: &str) {
        let schema = follow(self.document, schema).clone();
        for (keyword, said) in schema.as_object().unwrap() {
            match keyword.as_str() {
                "type" => {
                    let alternatives = said.as_array().cloned().unwrap_or(vec![said.clone()]);
                    let is_one = alternatives
                        .iter()
                        .any(|kind| is_of(kind.as_str().unwrap(), value));
                    if !is_one {
                        self.fault(place, format_args!("is {value}, not {said}"));
                    }
                }
                "enum" if !said.as_array().unwrap().contains(value) => {
                    self.fault(place, format_args!("is {value}, none of {said}"));
                }
                "const" if said != value => self.fault(place, format_args!("is {value}")),
                "allOf" => {
                    for part in said.as_array().unwrap() {
                        self.value(part, value, place);
                    }
                }
                "oneOf" | "anyOf" => {
                    let parts = said.as_array().unwrap().iter();
                    let fitting = parts.filter(|part| self.fits(part, value)).count();
                    if fitting == 0 || (keyword == "oneOf" && fitting > 1) {
                        self.fault(place, format_args!("{value} fits {fitting} of {said}"));
                    }
                }
                // What the value names must be there, and fit; `oneOf` beside it says that no other does.
                "discriminator" => {
                    let named = value[said["propertyName"].as_str().unwrap()].as_str();
                    let meant = named.and_then(|name| said["mapping"][name].as_str());
                    match meant {
                        Some(meant) => {
                            let meant = serde_json::json!({ "$ref": meant });
                            if !self.fits(&meant, value) {
                                self.fault(place, format_args!("{value} does not fit {meant}"));
                            }
                        }
                        None => self.fault(place, format_args!("{value} is none of {said}")),
                    }
                }
                "properties" => {
                    for (name, part) in said.as_object().unwrap() {
                        if let Some(member) = value.get(name) {
                            let place = format!("{place}/{name}");
                            self.value(part, member, &place);
                            self.members(part, member, &place);
                        }
                    }
                }
                "required" if value.is_object() => {
                    for name in said.as_array().unwrap() {
                        if value.get(name.as_str().unwrap()).is_none() {
                            self.fault(place, format_args!("lacks {name}"));
                        }
                    }
                }
                "items" => {
                    for (nth, item) in value.as_array().into_iter().flatten().enumerate() {
                        let place = format!("{place}/{nth}");
                        self.value(said, item, &place);
                        self.members(said, item, &place);
                    }
                }
                "additionalProperties" => {
                    let known = &schema["properties"];
                    for (name, member) in value.as_object().into_iter().flatten() {
                        if known.get(name).is_none() && said.is_object() {
                            self.value(said, member, &format!("{place}/{name}"));
                        }
                    }
                }
                "minimum" | "maximum" | "minLength" | "maxLength" | "maxItems" | "minItems" => {
                    self.bound(keyword, said, value, place);
                }
                "uniqueItems" => {
                    let items = value.as_array().cloned().unwrap_or_default();
                    let mut seen = Vec::new();
                    for item in items {
                        if seen.contains(&item) {
                            self.fault(place, format_args!("has {item} twice"));
                        }
                        seen.push(item);
                    }
                }
                "pattern" => {
                    if let Some(text) = value.as_str()
                        && !matches(said.as_str().unwrap(), text)
                    {
                        self.fault(place, format_args!("{text} does not match {said}"));
                    }
                }
                "format" => self.format(said.as_str().unwrap(), value, place),
                "enum" | "const" | "required" => {}
                prose if PROSE.contains(&prose) => {}
                other => panic!("{place}: the keyword {other} is not known here"),
            }
        }
    }

    fn bound(&mut self, keyword: &str, said: &Value, value: &Value, place: &str) {
        let measured = match keyword {
            "minimum" | "maximum" => value.as_f64(),
            "minLength" | "maxLength" => value.as_str().map(|text| text.chars().count() as f64),
            _ => value.as_array().map(|items| items.len() as f64),
        };
        let bound = said.as_f64().unwrap();
        let is_within = |measured: f64| match &keyword[..3] {
            "min" => measured >= bound,
            _ => measured <= bound,
        };
        if !measured.is_none_or(is_within) {
            self.fault(place, format_args!("{value} is past its {keyword} {said}"));
        }
    }

    fn format(&mut self, format: &str, value: &Value, place: &str) {
        let fits = match (format, value) {
            ("date-time", Value::String(text)) => {
                text.ends_with('Z') && chrono::DateTime::parse_from_rfc3339(text).is_ok()
            }
            ("date", Value::String(text)) => text.parse::<chrono::NaiveDate>().is_ok(),
            ("int32", Value::Number(number)) => number
                .as_i64()
                .is_some_and(|number| i32::try_from(number).is_ok()),
            ("int64", Value::Number(number)) => number.is_i64() || number.is_u64(),
            ("double" | "password" | "uri", _) | (_, Value::Null) => true,
            _ => false,
        };
        if !fits {
            self.fault(place, format_args!("{value} is no {format}"));
        }
    }

    /// Members that no part of the schema describes.
    fn members(&mut self, schema: &Value, value: &Value, place: &str) {
        let Some(sent) = value.as_object() else {
            return;
        };
        let mut known = Vec::new();
        if !describes(self.document, schema, &mut known) {
            return;
        }
        for name in sent.keys().filter(|name| !known.contains(name)) {
            self.fault(place, format_args!("{name} is not described"));
        }
    }
}

/// Collects the members that a schema describes. `false`: others are free.
fn describes(document: &Value, schema: &Value, known: &mut Vec<String>) -> bool {
    let schema = follow(document, schema);
    if schema["additionalProperties"].is_object() || schema["additionalProperties"] == true {
        return false;
    }
    let parts: Vec<&Value> = ["allOf", "oneOf", "anyOf"]
        .iter()
        .flat_map(|keyword| schema[*keyword].as_array().into_iter().flatten())
        .collect();
    let own = schema["properties"].as_object();
    if own.is_none() && parts.is_empty() {
        // An object of which nothing is said is anything; what is no object has no members.
        return schema["type"] != "object";
    }
    known.extend(own.into_iter().flatten().map(|(name, _)| name.clone()));
    parts
        .into_iter()
        .all(|part| describes(document, part, known))
}

fn is_of(kind: &str, value: &Value) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64(),
        other => panic!("the type {other} is not known here"),
    }
}

/// The patterns that documents have; others are not known here.
fn matches(pattern: &str, text: &str) -> bool {
    if let Some(prefix) = pattern.strip_suffix(ULID) {
        let prefix = prefix.strip_prefix('^').unwrap();
        let prefixes = match prefix.split_once('(') {
            Some((before, rest)) => {
                let (words, after) = rest.split_once(')').unwrap();
                words
                    .split('|')
                    .map(|word| format!("{before}{word}{after}"))
                    .collect()
            }
            None => vec![prefix.to_owned()],
        };
        let is_ulid = |text: &str| {
            text.len() == 26
                && text.starts_with(|c: char| ('0'..='7').contains(&c))
                && text
                    .chars()
                    .all(|c| c.is_ascii_digit() || c.is_ascii_uppercase() && !"ILOU".contains(c))
        };
        return prefixes
            .iter()
            .any(|prefix| text.strip_prefix(prefix.as_str()).is_some_and(is_ulid));
    }
    match pattern {
        "^client_credentials$" => text == "client_credentials",
        "^[0-9]{4}-[0-9]{2}$" => {
            let digits = text.bytes().enumerate();
            text.len() == 7
                && digits.into_iter().all(|(nth, b)| {
                    if nth == 4 {
                        b == b'-'
                    } else {
                        b.is_ascii_digit()
                    }
                })
        }
        r"^[\x21\x23-\x5B\x5D-\x7E]+$" => {
            !text.is_empty()
                && text
                    .bytes()
                    .all(|b| matches!(b, 0x21 | 0x23..=0x5B | 0x5D..=0x7E))
        }
        r"^(?=.*[0-9A-Za-z])[\x21-\x7E]([\x20-\x7E]*[\x21-\x7E])?$" => {
            text.bytes().all(|b| matches!(b, 0x20..=0x7E))
                && text.trim() == text
                && text.bytes().any(|b| b.is_ascii_alphanumeric())
        }
        other => panic!("the pattern {other} is not known here"),
    }
}

#[test]
fn what_does_not_fit_is_found() {
    let document = serde_json::json!({"components": {"schemas": {
        "Id": {"type": "string", "pattern": "^cl_(sbx|live)_[0-7][0-9A-HJKMNP-TV-Z]{25}$"},
        "Thing": {
            "type": "object", "required": ["id", "at"],
            "properties": {
                "id": {"$ref": "#/components/schemas/Id"},
                "at": {"type": ["string", "null"], "format": "date-time"},
                "count": {"type": "integer", "minimum": 0},
                "more": {"oneOf": [{"type": "null"}, {"$ref": "#/components/schemas/Thing"}]}
            }
        }
    }}});
    let schema = &document["components"]["schemas"]["Thing"];
    let good = serde_json::json!({
        "id": "cl_sbx_01ARZ3NDEKTSV4RRFFQ69G5FAV", "at": "2030-01-01T00:00:00Z", "count": 1, "more": null
    });
    assert_eq!(faults(&document, schema, &good), Vec::<String>::new());
    for (name, bad) in [
        ("id", serde_json::json!("cl_adm_01ARZ3NDEKTSV4RRFFQ69G5FAV")),
        ("id", serde_json::json!("cl_sbx_81ARZ3NDEKTSV4RRFFQ69G5FAV")),
        ("at", serde_json::json!("2030-01-01")),
        ("count", serde_json::json!(-1)),
        ("count", serde_json::json!("1")),
        ("more", serde_json::json!({})),
        (
            "more",
            serde_json::json!({"id": "x", "at": null, "other": 1}),
        ),
        ("other", serde_json::json!(1)),
    ] {
        let mut value = good.clone();
        value[name] = bad;
        assert!(!faults(&document, schema, &value).is_empty(), "{value}");
    }
    assert_eq!(faults(&document, schema, &serde_json::json!({})).len(), 2);
}
