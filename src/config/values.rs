//! From text to checked values.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::str::FromStr;

use url::{Host, Url};

use super::Tls;
use super::sources::{Problem, Source, Value};
use crate::domain::words;
use crate::store::Target;

words!(
    /// How a log line looks.
    LogFormat { Text = "text", Json = "json" }
);

words!(
    /// What a process does.
    Role {
        /// The OAuth endpoints.
        Auth = "auth",
        /// The admin API.
        Admin = "admin",
        /// The partner API.
        Api = "api",
        /// The loops in the background.
        Worker = "worker",
    }
);

/// Takes values out one by one, and collects what is wrong with them.
///
/// A wrong value yields a stand-in so that the reading goes on; [`Reader::finish`]
/// makes sure that no stand-in gets out.
pub(super) struct Reader {
    values: BTreeMap<&'static str, Value>,
    problems: Vec<Problem>,
}

impl Reader {
    pub(super) fn new(values: BTreeMap<&'static str, Value>, problems: Vec<Problem>) -> Self {
        Self { values, problems }
    }

    pub(super) fn finish<T>(self, settings: T) -> Result<T, Vec<Problem>> {
        if self.problems.is_empty() {
            Ok(settings)
        } else {
            Err(self.problems)
        }
    }

    fn complain(&mut self, key: &str, advice: impl Into<String>) {
        let source = self
            .values
            .get(key)
            .map_or(Source::Default, |v| v.source.clone());
        self.problems.push(Problem::of(key, &source, advice));
    }

    pub(super) fn text(&self, key: &str) -> String {
        self.optional_text(key).unwrap_or_default()
    }

    pub(super) fn optional_text(&self, key: &str) -> Option<String> {
        self.values
            .get(key)
            .map(|v| v.text.clone())
            .filter(|text| !text.is_empty())
    }

    pub(super) fn optional<T: FromStr>(&mut self, key: &str, wanted: &str) -> Option<T> {
        let text = self.optional_text(key)?;
        let value = text.parse().ok();
        if value.is_none() {
            self.complain(key, format!("must be {wanted}"));
        }
        value
    }

    pub(super) fn value<T: FromStr + StandIn>(&mut self, key: &str, wanted: &str) -> T {
        self.optional(key, wanted).unwrap_or_else(T::stand_in)
    }

    pub(super) fn number<T>(&mut self, key: &str, range: RangeInclusive<T>) -> T
    where
        T: FromStr + PartialOrd + Display + Copy,
    {
        match self.text(key).parse() {
            Ok(number) if range.contains(&number) => number,
            _ => {
                self.complain(
                    key,
                    format!("must be a number from {} to {}", range.start(), range.end()),
                );
                *range.start()
            }
        }
    }

    pub(super) fn list<T: FromStr>(&mut self, key: &str, wanted: &str) -> Vec<T> {
        let text = self.text(key);
        let items: Result<Vec<T>, _> = text
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty())
            .map(str::parse)
            .collect();
        match items {
            Ok(items) => items,
            Err(_) => {
                self.complain(key, format!("must be {wanted}"));
                Vec::new()
            }
        }
    }

    pub(super) fn nonempty_list<T: FromStr>(&mut self, key: &str, wanted: &str) -> Vec<T> {
        let before = self.problems.len();
        let items = self.list(key, wanted);
        if items.is_empty() && self.problems.len() == before {
            self.complain(key, format!("must be {wanted}, at least one of them"));
        }
        items
    }

    pub(super) fn database_url(&mut self) -> String {
        let url = self.text("database_url");
        if let Err(error) = Target::parse(&url) {
            let advice = error.to_string();
            self.complain("database_url", advice.trim_start_matches("database_url: "));
        } else if !url.starts_with("sqlite:") && !is_percent_encoded(&url) {
            // libpq would say so too, and repeat the password that it stumbled over.
            self.complain(
                "database_url",
                "must have each % of a name or password written as %25",
            );
        }
        url
    }

    pub(super) fn redis_url(&mut self) -> Option<String> {
        let url = self.optional_text("redis_url")?;
        // What the reader says may repeat a password.
        if redis::Client::open(url.as_str()).is_err() {
            self.complain(
                "redis_url",
                "must be a URL like redis://HOST:6379 or rediss://USER:PASSWORD@HOST:6379/0",
            );
        }
        Some(url)
    }

    pub(super) fn log_filter(&mut self) -> String {
        let filter = self.text("log");
        if let Err(error) = env_filter::Builder::new().try_parse(&filter).map(|_| ()) {
            self.complain(
                "log",
                format!("must be a log filter such as info or onyx_auth=debug ({error})"),
            );
        }
        // A word that is no level would be taken for the name of a crate, and everything else be silent.
        let (directives, _) = filter.split_once('/').unwrap_or((&filter, ""));
        let is_slip = |word: &&str| {
            !word.is_empty()
                && !word.contains(['=', '_', ':'])
                && word.parse::<log::LevelFilter>().is_err()
        };
        if let Some(word) = directives.split(',').map(str::trim).find(is_slip) {
            self.complain(
                "log",
                format!("{word:?} is no level: there are off, error, warn, info, debug, trace; a crate is named with its own, as in onyx_auth=debug"),
            );
        }
        filter
    }

    /// The public origin. Said by nobody, it follows the listener, as this machine reaches it.
    pub(super) fn base_url(&mut self, listen: SocketAddr, is_tls: bool) -> String {
        let Some(text) = self.optional_text("base_url") else {
            let scheme = if is_tls { "https" } else { "http" };
            let host = if listen.ip().is_loopback() {
                listen.to_string()
            } else {
                format!("127.0.0.1:{}", listen.port())
            };
            return format!("{scheme}://{host}");
        };
        match origin(&text) {
            Ok(origin) => origin,
            Err(advice) => {
                self.complain("base_url", advice);
                text
            }
        }
    }

    pub(super) fn tls(&mut self) -> Option<Tls> {
        match (
            self.optional_text("tls_cert"),
            self.optional_text("tls_key"),
        ) {
            (Some(cert), Some(key)) => Some(Tls {
                cert: cert.into(),
                key: key.into(),
            }),
            (None, None) => None,
            (Some(_), None) => {
                self.complain("tls_key", "must be set together with tls_cert");
                None
            }
            (None, Some(_)) => {
                self.complain("tls_cert", "must be set together with tls_key");
                None
            }
        }
    }

    /// Whether webhooks may go to this machine: never where others can reach the server.
    pub(super) fn webhook_allow_loopback(&mut self, base_url: &str) -> bool {
        let allowed: bool = self.value("webhook_allow_loopback", "true or false");
        if allowed && !is_loopback_url(base_url) {
            self.complain(
                "webhook_allow_loopback",
                "is only for a base_url whose host is loopback",
            );
        }
        allowed
    }

    /// Refuses a key that would open a door if it were passed over in silence.
    pub(super) fn refuse_client_ca(&mut self) {
        if self.optional_text("tls_client_ca").is_some() {
            self.complain(
                "tls_client_ca",
                "client certificates are not supported by this version",
            );
        }
    }
}

/// What takes the place of a wrong value until [`Reader::finish`] throws everything away.
pub(super) trait StandIn {
    fn stand_in() -> Self;
}

impl StandIn for SocketAddr {
    fn stand_in() -> Self {
        SocketAddr::from(([127, 0, 0, 1], 0))
    }
}

impl StandIn for bool {
    fn stand_in() -> Self {
        false
    }
}

impl StandIn for LogFormat {
    fn stand_in() -> Self {
        LogFormat::Text
    }
}

impl StandIn for crate::domain::Algorithm {
    fn stand_in() -> Self {
        crate::domain::Algorithm::Es256
    }
}

/// Whether two hexadecimal digits, not both zero, follow each percent sign (RFC 3986 §2.1).
fn is_percent_encoded(url: &str) -> bool {
    url.split('%').skip(1).all(|after| {
        let digits = after
            .get(..2)
            .filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()));
        digits.is_some_and(|digits| digits != "00")
    })
}

/// Whether the URL's host is this machine's loopback.
pub(super) fn is_loopback_url(url: &str) -> bool {
    Url::parse(url).is_ok_and(|url| is_loopback(&url))
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

/// The origin of a base URL: issuers are built by appending to it, so it can hold nothing else.
fn origin(text: &str) -> Result<String, &'static str> {
    let wanted = "must be an origin like https://auth.example.com";
    let url = Url::parse(text).map_err(|_| wanted)?;
    let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    if !matches!(url.scheme(), "http" | "https")
        || !bare
        || !url.username().is_empty()
        || url.password().is_some()
    {
        return Err(wanted);
    }
    if url.scheme() == "http" && !is_loopback(&url) {
        return Err("must be https, since its host is not loopback");
    }
    Ok(url.origin().ascii_serialization())
}
