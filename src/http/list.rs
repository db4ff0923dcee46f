//! Lists: `limit` and `cursor` in, `{"data","next_cursor"}` out.

use std::convert::Infallible;

use actix_web::{FromRequest, HttpRequest, dev::Payload, web};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use std::future::{Ready, ready};
use utoipa::ToSchema;

use super::problem::Problem;
use crate::domain::page::{Page, PageRequest};

/// Rows on a page, unless `limit` says otherwise.
pub const DEFAULT_LIMIT: u8 = 20;

/// The most rows that a page may have.
pub const MAX_LIMIT: u8 = 100;

/// The parameters of a query, each of which is taken out by name.
///
/// What is wrong with a query is told when its parameters are taken, or at the end: who calls is asked first, and that
/// may take a while.
#[derive(Debug)]
pub struct Parameters {
    given: Vec<(String, String)>,
    /// The parameters that this path takes.
    known: Vec<String>,
}

/// The query of a list: the page, and filters that the handler takes out one by one.
#[derive(Debug)]
pub struct ListQuery {
    filters: Parameters,
}

/// Words to look for.
#[derive(Debug)]
pub struct Words(String);

impl Words {
    /// The words.
    pub fn into_inner(self) -> String {
        self.0
    }
}

impl std::str::FromStr for Words {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fits = (1..=200).contains(&text.chars().count());
        if fits && !text.chars().any(char::is_control) {
            Ok(Self(text.to_owned()))
        } else {
            Err("must be 1 to 200 characters, without control characters")
        }
    }
}

/// A page as it is sent.
#[derive(Debug, Serialize, ToSchema)]
pub struct ListView<T> {
    data: Vec<T>,
    /// The `cursor` of the next page; `null` on the last.
    next_cursor: Option<String>,
}

impl Parameters {
    fn of(query: &str) -> Self {
        Self {
            given: url::form_urlencoded::parse(query.as_bytes())
                .into_owned()
                .collect(),
            known: Vec::new(),
        }
    }

    fn text(&mut self, name: &str) -> Result<Option<String>, Problem> {
        self.known.push(name.to_owned());
        let (mut found, rest): (Vec<_>, _) = std::mem::take(&mut self.given)
            .into_iter()
            .partition(|(given, _)| given == name);
        self.given = rest;
        let value = found.pop().map(|(_, value)| value);
        if found.is_empty() {
            Ok(value)
        } else {
            let detail = format!("{name} was sent more than once");
            Err(Problem::bad_parameter(detail))
        }
    }

    /// Takes a parameter out. `None`: not sent.
    pub fn take<T: std::str::FromStr<Err: std::fmt::Display>>(
        &mut self,
        name: &str,
    ) -> Result<Option<T>, Problem> {
        let Some(text) = self.text(name)? else {
            return Ok(None);
        };
        let value = text
            .parse()
            .map_err(|error| Problem::bad_parameter(format!("{name} {error}")))?;
        // Nothing that is looked for has any, and PostgreSQL takes no NUL.
        if text.chars().any(char::is_control) {
            let detail = format!("{name} must be without control characters");
            return Err(Problem::bad_parameter(detail));
        }
        Ok(Some(value))
    }

    /// Takes a yes or no out. `None`: not sent.
    pub fn flag(&mut self, name: &str) -> Result<Option<bool>, Problem> {
        let Some(text) = self.text(name)? else {
            return Ok(None);
        };
        let flag = text.parse().map(Some);
        flag.map_err(|_| Problem::bad_parameter(format!("{name} must be true or false")))
    }

    /// Takes a whole number out. `None`: not sent.
    pub fn whole(&mut self, name: &str) -> Result<Option<u64>, Problem> {
        let Some(text) = self.text(name)? else {
            return Ok(None);
        };
        let number = text.parse().map(Some);
        number.map_err(|_| Problem::bad_parameter(format!("{name} must be a whole number")))
    }

    /// Takes a number out that is within bounds. `None`: not sent.
    pub fn number(
        &mut self,
        name: &str,
        bounds: std::ops::RangeInclusive<u32>,
    ) -> Result<Option<u32>, Problem> {
        let Some(text) = self.text(name)? else {
            return Ok(None);
        };
        let number = text.parse().ok().filter(|number| bounds.contains(number));
        number.map(Some).ok_or_else(|| {
            Problem::bad_parameter(format!(
                "{name} must be a number from {} to {}",
                bounds.start(),
                bounds.end()
            ))
        })
    }

    /// Takes out the parameter of this name, and all behind it: what is somebody else's.
    pub fn split_off(&mut self, name: &str) -> Self {
        let mut given = self.given.iter();
        let at = given.position(|(given, _)| given == name);
        let given = self.given.split_off(at.unwrap_or(self.given.len()));
        let known = Vec::new();
        Self { given, known }
    }

    /// Whether a parameter was sent.
    pub fn has(&self, name: &str) -> bool {
        self.given.iter().any(|(given, _)| given == name)
    }

    /// A parameter that nobody took is an error.
    pub fn finish(self) -> Result<(), Problem> {
        match self.given.first().map(|(name, _)| name) {
            Some(name) => Err(Problem::bad_parameter(format!(
                "{name} is not a parameter of this list"
            ))
            .with("parameters", self.known)),
            None => Ok(()),
        }
    }
}

impl FromRequest for Parameters {
    type Error = Infallible;
    type Future = Ready<Result<Self, Infallible>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self::of(request.query_string())))
    }
}

impl ListQuery {
    /// Takes a filter out. `None`: not sent.
    pub fn filter<T: std::str::FromStr<Err: std::fmt::Display>>(
        &mut self,
        name: &str,
    ) -> Result<Option<T>, Problem> {
        self.filters.take(name)
    }

    /// Takes a number out that is within bounds. `None`: not sent.
    pub fn number(
        &mut self,
        name: &str,
        bounds: std::ops::RangeInclusive<u32>,
    ) -> Result<Option<u32>, Problem> {
        self.filters.number(name, bounds)
    }

    /// The page that is asked for of a list by these ids; a parameter that nobody took is an error.
    pub fn page_of<Id: std::str::FromStr>(self) -> Result<PageRequest, Problem> {
        let page = self.page()?;
        // A cursor of another list would begin somewhere, and look like this one's end.
        let is_of_it = |after: &String| after.parse::<Id>().is_ok();
        if page.after.as_ref().is_some_and(|after| !is_of_it(after)) {
            return Err(bad_cursor());
        }
        Ok(page)
    }

    /// The same of a list that checks cursors by itself.
    pub fn page(mut self) -> Result<PageRequest, Problem> {
        let limit = self.filters.number("limit", 1..=MAX_LIMIT.into())?;
        let cursor = self.filters.text("cursor")?;
        let after = cursor.map(|cursor| decode(&cursor)).transpose()?;
        // They are named first, as every list has them.
        self.filters.known.rotate_right(2);
        self.filters.finish()?;
        Ok(PageRequest {
            limit: limit.map_or(DEFAULT_LIMIT.into(), |limit| limit as usize),
            after,
        })
    }
}

impl FromRequest for ListQuery {
    type Error = Infallible;
    type Future = Ready<Result<Self, Infallible>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let filters = Parameters::of(request.query_string());
        ready(Ok(Self { filters }))
    }
}

impl<T> ListView<T> {
    /// The page's rows as the wire shows them.
    pub fn of<R>(page: Page<R>, view: impl Fn(R) -> T) -> web::Json<Self> {
        let next_cursor = page.next.map(|id| cursor(&id));
        web::Json(Self {
            data: page.rows.into_iter().map(view).collect(),
            next_cursor,
        })
    }
}

/// What names the page after this id.
pub(super) fn cursor(id: &str) -> String {
    URL_SAFE_NO_PAD.encode(id)
}

fn decode(cursor: &str) -> Result<String, Problem> {
    let id = URL_SAFE_NO_PAD
        .decode(cursor)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok());
    // PostgreSQL takes no NUL in a text.
    let is_text = |id: &String| id.bytes().all(|b| matches!(b, b' '..=b'~'));
    id.filter(|id| (1..=512).contains(&id.len()) && is_text(id))
        .ok_or_else(bad_cursor)
}

/// The cursor is of no page of this list.
pub(super) fn bad_cursor() -> Problem {
    Problem::bad_parameter("cursor must be a next_cursor of an earlier page")
}
