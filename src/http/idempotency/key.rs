//! The request's header, and the key in it.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header::HeaderMap;
use actix_web::{FromRequest, HttpRequest};

use crate::domain::id::ClientId;
use crate::domain::tenant::Tenant;
use crate::http::members::Members;
use crate::http::problem::Problem;
use crate::partner::idempotency::Once;

const HEADER: &str = "idempotency-key";

/// The most characters of a key.
const LONGEST: usize = 255;

/// The key of a request, not looked at yet: who calls is asked first.
#[derive(Debug)]
pub struct IdempotencyKey(Result<String, Fault>);

/// What is wrong with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Missing,
    Malformed,
}

impl IdempotencyKey {
    /// A tenant's request under this key. All of `body` must still be in it.
    pub fn once(
        self,
        tenant: &Tenant,
        operation: &'static str,
        route: &str,
        body: &Members,
    ) -> Result<Once, Problem> {
        let said = ["POST", route, &body.canonical()];
        Ok(Once::new(tenant.clone(), operation, &self.key()?, &said))
    }

    /// Whether there is a good one, or none.
    fn check_if_sent(self) -> Result<Option<String>, Problem> {
        match self.0 {
            Err(Fault::Missing) => Ok(None),
            _ => self.key().map(Some),
        }
    }

    /// The key itself, where one must be.
    fn key(self) -> Result<String, Problem> {
        self.0.map_err(|fault| match fault {
            Fault::Missing => Problem::new(
                StatusCode::BAD_REQUEST,
                "idempotency_key_missing",
                "send an Idempotency-Key of your own making, such as a UUID, and the same one when you ask again",
            ),
            Fault::Malformed => Problem::new(
                StatusCode::BAD_REQUEST,
                "idempotency_key_invalid",
                "Idempotency-Key must be one text of 1 to 255 characters in double quotes, or one such word without",
            ),
        })
    }

    /// Whether there is a good one; asked before the body is read.
    pub fn check(self) -> Result<Self, Problem> {
        self.key().map(|key| Self(Ok(key)))
    }
}

impl FromRequest for IdempotencyKey {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self(of(request.headers()))))
    }
}

/// The key of a request that may come without one.
#[derive(Debug)]
pub struct OptionalKey(IdempotencyKey);

impl OptionalKey {
    /// A tenant's request under this key, if there is one; `path` is the request's own, with the ids in it.
    /// All of `body` must still be in it.
    pub fn once(
        self,
        tenant: &Tenant,
        operation: &'static str,
        path: &str,
        body: &Members,
    ) -> Result<Option<Once>, Problem> {
        let key = self.0.check_if_sent()?;
        let said = ["POST", path, &body.canonical()];
        Ok(key.map(|key| Once::new(tenant.clone(), operation, &key, &said)))
    }

    /// The same, of an operator's request.
    pub fn once_of_operator(
        self,
        operator: &ClientId,
        operation: &'static str,
        path: &str,
        body: &Members,
    ) -> Result<Option<Once>, Problem> {
        let key = self.0.check_if_sent()?;
        let said = ["POST", path, &body.canonical()];
        Ok(key.map(|key| Once::of_operator(operator.clone(), operation, &key, &said)))
    }
}

impl FromRequest for OptionalKey {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self(IdempotencyKey(of(request.headers())))))
    }
}

fn of(headers: &HeaderMap) -> Result<String, Fault> {
    let mut values = headers.get_all(HEADER);
    match (values.next(), values.next()) {
        (None, _) => Err(Fault::Missing),
        (Some(value), None) => {
            let text = value.to_str().map_err(|_| Fault::Malformed)?;
            parse(text).ok_or(Fault::Malformed)
        }
        (Some(_), Some(_)) => Err(Fault::Malformed),
    }
}

/// A String (RFC 8941 §3.3.3) without parameters, or a word without its quotes, as most clients send.
fn parse(text: &str) -> Option<String> {
    let text = text.trim_matches([' ', '\t']);
    let key = match text.strip_prefix('"') {
        Some(rest) => unquoted(rest)?,
        None => {
            let is_word = |b: u8| matches!(b, 0x21..=0x7E) && !b"\",;\\".contains(&b);
            text.bytes().all(is_word).then(|| text.to_owned())?
        }
    };
    (1..=LONGEST).contains(&key.len()).then_some(key)
}

fn unquoted(text: &str) -> Option<String> {
    let mut key = String::new();
    let mut characters = text.chars();
    loop {
        match characters.next()? {
            '"' => return characters.next().is_none().then_some(key),
            '\\' => match characters.next()? {
                c @ ('"' | '\\') => key.push(c),
                _ => return None,
            },
            c @ ' '..='~' => key.push(c),
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_key_is_a_quoted_string_or_a_word() {
        let longest = "k".repeat(255);
        for (text, key) in [
            (
                "\"8e03978e-40d5-43dd-bc93-6894a57f9324\"",
                "8e03978e-40d5-43dd-bc93-6894a57f9324",
            ),
            (
                "8e03978e-40d5-43dd-bc93-6894a57f9324",
                "8e03978e-40d5-43dd-bc93-6894a57f9324",
            ),
            (" order:17/a=b+c ", "order:17/a=b+c"),
            (r#""a \"b\" \\ c""#, r#"a "b" \ c"#),
            (longest.as_str(), longest.as_str()),
        ] {
            assert_eq!(parse(text).as_deref(), Some(key), "{text}");
        }
        let too_long = "k".repeat(256);
        let too_long_quoted = format!("\"{too_long}\"");
        for bad in [
            "",
            " ",
            "\"\"",
            "\"",
            "\"a",
            "a\"",
            "\"a\"b",
            "\"a\";p=1",
            "a, b",
            "a,b",
            "a b",
            "\"a\\b\"",
            "\"a\\",
            "\"ä\"",
            &too_long,
            &too_long_quoted,
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_quoted_reads_back(key in "[ -~]{1,255}") {
            let quoted = format!("\"{}\"", key.replace('\\', "\\\\").replace('"', "\\\""));
            prop_assert_eq!(parse(&quoted), Some(key));
        }

        #[test]
        fn nothing_stops_the_reader(text in ".*") {
            if let Some(key) = parse(&text) {
                prop_assert!((1..=255).contains(&key.len()));
            }
        }
    }
}
