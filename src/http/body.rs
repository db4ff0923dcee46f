//! Request bodies: bounded, and read member by member so that all faults are told at once.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use actix_web::{HttpRequest, web};
use serde_json::{Map, Value};

use super::json;
use super::problem::{FieldFault, Problem};
use crate::domain::edit::Edit;

/// No request body is larger than this many bytes.
pub const MAX_BODY: usize = 64 * 1024;

/// How long a body may take to arrive: who sends a byte a second holds a connection for ever.
pub const BODY_PATIENCE: Duration = Duration::from_secs(10);

/// Why a body could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// Over [`MAX_BODY`], or what else was allowed.
    TooLarge,
    /// Not there within [`BODY_PATIENCE`].
    Slow,
    /// The connection broke, or the transfer coding is wrong.
    Broken,
}

/// Reads a whole body of at most [`MAX_BODY`] bytes.
pub async fn bytes(request: &HttpRequest, payload: web::Payload) -> Result<web::Bytes, BodyError> {
    bytes_within(request, payload, MAX_BODY).await
}

/// Reads a whole body of at most `max` bytes. One that says that it is longer is not waited for.
pub async fn bytes_within(
    request: &HttpRequest,
    payload: web::Payload,
    max: usize,
) -> Result<web::Bytes, BodyError> {
    if announced(request).is_some_and(|length| length > max) {
        return Err(BodyError::TooLarge);
    }
    match tokio::time::timeout(BODY_PATIENCE, payload.to_bytes_limited(max)).await {
        Ok(Ok(Ok(bytes))) => Ok(bytes),
        Ok(Ok(Err(_))) => Err(BodyError::Broken),
        Ok(Err(_)) => Err(BodyError::TooLarge),
        Err(_) => Err(BodyError::Slow),
    }
}

/// How long a body says that it is.
fn announced(request: &HttpRequest) -> Option<usize> {
    let length = request.headers().get(CONTENT_LENGTH)?;
    length.to_str().ok()?.parse().ok()
}

/// Whether a request's body has a media type, whatever its case and parameters.
pub fn is(request: &HttpRequest, media_type: &str) -> bool {
    let value = request.headers().get(CONTENT_TYPE);
    let value = value.and_then(|value| value.to_str().ok());
    let bare = value.and_then(|value| value.split(';').next());
    bare.is_some_and(|bare| bare.trim().eq_ignore_ascii_case(media_type))
}

impl From<BodyError> for Problem {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge => Problem::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "body_too_large",
                "a body has at most 65,536 bytes",
            ),
            BodyError::Slow => Problem::new(
                StatusCode::REQUEST_TIMEOUT,
                "slow_body",
                "the body did not arrive within 10 seconds",
            ),
            BodyError::Broken => Problem::new(
                StatusCode::BAD_REQUEST,
                "broken_body",
                "the body did not arrive whole",
            ),
        }
    }
}

/// The members of a JSON object, taken out one by one.
///
/// Each taker notes what is wrong and answers `None`; [`Members::finish`] tells all
/// faults together, those of members that nobody took included.
pub struct Members {
    members: Map<String, Value>,
    /// The names that were asked for.
    known: Vec<String>,
    faults: Vec<FieldFault>,
}

impl Members {
    /// Reads a JSON object. An empty body is an empty object.
    pub async fn read(request: &HttpRequest, payload: web::Payload) -> Result<Self, Problem> {
        Self::of(request, &bytes(request, payload).await?)
    }

    /// The same of a body that was read already.
    pub fn of(request: &HttpRequest, body: &[u8]) -> Result<Self, Problem> {
        if body.is_empty() {
            return Ok(Self::within(Map::new()));
        }
        if !is(request, "application/json") {
            let detail = "send the body as application/json";
            return Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                detail,
            ));
        }
        let (value, doubled) = json::read(body)?;
        let Value::Object(members) = value else {
            return Err(json::not("a JSON object"));
        };
        let mut read = Self::within(members);
        for pointer in doubled {
            read.fault(pointer, "duplicate", json::DOUBLED);
        }
        Ok(read)
    }

    /// An object within a body, whose faults are told with the body's.
    pub fn within(members: Map<String, Value>) -> Self {
        Self {
            members,
            known: Vec::new(),
            faults: Vec::new(),
        }
    }

    /// What was sent, written alike whatever the order of members and the white space were. To be
    /// asked before anything is taken out.
    pub fn canonical(&self) -> String {
        json::canonical(&self.members)
    }

    /// A member as it was sent, left where it is.
    pub fn peek(&self, name: &str) -> Option<&Value> {
        self.members.get(name)
    }

    /// Notes what else is wrong, at a pointer.
    pub fn fault(&mut self, pointer: String, code: &'static str, detail: impl Into<String>) {
        self.faults.push(FieldFault {
            pointer,
            code,
            detail: detail.into(),
            row: None,
        });
    }

    /// Takes a member out; `null` counts as absent.
    fn take(&mut self, name: &str) -> Option<Value> {
        self.known.push(name.to_owned());
        self.members.remove(name).filter(|value| !value.is_null())
    }

    /// Notes what a handler itself finds wrong with a member.
    pub fn refuse(&mut self, name: &str, detail: impl Into<String>) {
        self.fault(format!("/{name}"), "invalid", detail);
    }

    fn missing(&mut self, name: &str) {
        self.fault(format!("/{name}"), "missing", "must be there");
    }

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

    /// A yes or no to put in another's place, or nothing. The outer `None`: a fault was noted.
    pub fn changed_bool(&mut self, name: &str) -> Option<Option<bool>> {
        self.not_null(name)?;
        match self.take(name) {
            None => Some(None),
            Some(Value::Bool(value)) => Some(Some(value)),
            Some(_) => {
                self.fault(format!("/{name}"), "type", "must be true or false");
                None
            }
        }
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
        match self.optional_text(name, 2048)? {
            None => Some(None),
            Some(text) => match text.parse() {
                Ok(value) => Some(Some(value)),
                Err(error) => {
                    self.fault(format!("/{name}"), "invalid", error.to_string());
                    None
                }
            },
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
                self.fault(format!("/{name}"), "invalid", detail);
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
            self.fault(format!("/{name}"), "invalid", detail);
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
        let before = self.faults.len();
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
        if self.faults.len() == before {
            Some(Some(parsed))
        } else {
            None
        }
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

    /// The values taken from an object within this body. `None`: faults of it were noted.
    pub fn part<T: Taken>(&mut self, name: &str, part: Self, taken: T) -> Option<T::Values> {
        match part.values(taken) {
            Ok(values) => Some(values),
            Err(faults) => {
                self.faults
                    .extend(faults.into_iter().map(|fault| FieldFault {
                        pointer: format!("/{name}{}", fault.pointer),
                        ..fault
                    }));
                None
            }
        }
    }

    /// All the taken values, or all the faults.
    pub fn finish<T: Taken>(self, taken: T) -> Result<T::Values, Problem> {
        let known = (!self.members.is_empty()).then(|| self.known.clone());
        self.values(taken).map_err(|faults| match known {
            Some(known) => Problem::invalid(faults).with("members", known),
            None => Problem::invalid(faults),
        })
    }

    /// The same, for who tells the faults together with others.
    pub fn values<T: Taken>(mut self, taken: T) -> Result<T::Values, Vec<FieldFault>> {
        let unknown = std::mem::take(&mut self.members);
        for name in unknown.keys() {
            let pointer = format!("/{}", json::pointer_token(name));
            self.fault(pointer, "unknown", "is not a member of this request");
        }
        match taken.values() {
            Some(values) if self.faults.is_empty() => Ok(values),
            _ => Err(self.faults),
        }
    }
}

fn is_text(text: &str, max: usize) -> bool {
    let fits = !text.trim().is_empty() && text.chars().count() <= max;
    fits && !text
        .chars()
        .any(|c| c.is_control() && c != '\n' && c != '\t')
}

/// What the takers of [`Members`] answered, in a tuple.
pub trait Taken {
    /// The tuple with every `Option` opened.
    type Values;
    /// `None`: one of them noted a fault.
    fn values(self) -> Option<Self::Values>;
}

macro_rules! taken {
    ($($name:ident),*) => {
        impl<$($name),*> Taken for ($(Option<$name>,)*) {
            type Values = ($($name,)*);
            #[expect(non_snake_case, reason = "each variable has the name of its type")]
            fn values(self) -> Option<Self::Values> {
                let ($($name,)*) = self;
                Some(($($name?,)*))
            }
        }
    };
}

/// A request without members of its own.
impl Taken for () {
    type Values = ();
    fn values(self) -> Option<()> {
        Some(())
    }
}

taken!(A);
taken!(A, B);
taken!(A, B, C);
taken!(A, B, C, D);
taken!(A, B, C, D, E);
taken!(A, B, C, D, E, F);
taken!(A, B, C, D, E, F, G);
taken!(A, B, C, D, E, F, G, H);
taken!(A, B, C, D, E, F, G, H, I);
taken!(A, B, C, D, E, F, G, H, I, J);
