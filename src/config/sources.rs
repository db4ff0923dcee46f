//! Where settings come from, and which there are.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// One thing that can be configured: `key` in the file, `ONYX_KEY` in the environment, `--key` as a flag.
#[derive(Debug)]
pub struct Setting {
    /// Its name in the file.
    pub key: &'static str,
    /// What counts where nothing is said; `None`: see the help.
    pub default: Option<&'static str>,
    /// One line for `--help`.
    pub help: &'static str,
}

const fn setting(key: &'static str, default: Option<&'static str>, help: &'static str) -> Setting {
    Setting { key, default, help }
}

/// Every setting, in the order of the documentation.
pub const SETTINGS: &[Setting] = &[
    setting("listen", Some("127.0.0.1:8080"), "public listener"),
    setting(
        "admin_listen",
        None,
        "moves everything under /admin off the public listener",
    ),
    setting(
        "ops_listen",
        Some("127.0.0.1:8081"),
        "listener for /healthz, /readyz and /metrics",
    ),
    setting(
        "base_url",
        None,
        "public origin; https unless the host is loopback [default: the listener, https with tls_cert]",
    ),
    setting(
        "database_url",
        Some("sqlite://data/onyx.db"),
        "sqlite://FILE or postgres://...",
    ),
    setting(
        "database_connections",
        Some("8"),
        "connections to the database: on PostgreSQL of all, on SQLite of those that read",
    ),
    setting(
        "keys_dir",
        Some("keys"),
        "folder of the master key and of PEM keys to import",
    ),
    setting(
        "master_key_file",
        None,
        "32 random bytes, base64 [default: master.key in the keys folder]",
    ),
    setting(
        "redis_url",
        None,
        "where several nodes share rates: redis://HOST:6379 or rediss://...",
    ),
    setting(
        "signing_alg",
        Some("ES256"),
        "default algorithm: ES256, RS256, PS256 or EdDSA",
    ),
    setting(
        "token_ttl",
        Some("300"),
        "seconds that a token lives, 60 to 900",
    ),
    setting(
        "max_staleness",
        Some("5"),
        "seconds without news from the database before caches are distrusted",
    ),
    setting(
        "client_cache",
        Some("100000"),
        "how many clients are held in memory; about 2 KiB each",
    ),
    setting(
        "feed_listeners",
        Some("2000"),
        "how many may listen to revocations at a time, half of them with one client's tokens; about 20 KiB each",
    ),
    setting(
        "max_connections",
        Some("10000"),
        "how many connections a listener takes at a time",
    ),
    setting(
        "connections_per_address",
        Some("2000"),
        "how many of them may come from one address that is no trusted proxy's",
    ),
    setting(
        "drain_delay",
        Some("1"),
        "seconds between turning unready and taking no more requests, once told to stop",
    ),
    setting(
        "roles",
        Some("auth,admin,api,worker"),
        "what this process does",
    ),
    setting(
        "log",
        Some("info"),
        "log filter, such as info or onyx_auth=debug",
    ),
    setting("log_format", Some("text"), "text or json"),
    setting(
        "tls_cert",
        None,
        "PEM certificate chain of the public listener",
    ),
    setting("tls_key", None, "PEM private key of the public listener"),
    setting(
        "tls_client_ca",
        None,
        "not supported by this version: a start refuses it",
    ),
    setting(
        "sandbox_auto_approve",
        Some("true"),
        "approve sandbox scope grants at once",
    ),
    setting(
        "sandbox_secret_days",
        Some("365"),
        "longest life of a sandbox secret, in days",
    ),
    setting(
        "live_secret_days",
        Some("90"),
        "longest life of a live secret, in days",
    ),
    setting(
        "unused_days",
        Some("90"),
        "days without use after which the end of a scope or credential is recommended",
    ),
    setting(
        "rate_limits",
        Some("true"),
        "hold partners to their rates; false where a gateway does",
    ),
    setting("request_log", Some("true"), "keep a log of partners' calls"),
    setting(
        "request_log_days",
        Some("90"),
        "days that partners' calls are kept in the log",
    ),
    setting(
        "token_record_days",
        Some("1"),
        "days that the record of a token outlives it",
    ),
    setting(
        "events_days",
        Some("30"),
        "days that what partners were told is kept",
    ),
    setting(
        "idempotency_days",
        Some("1"),
        "days for which an idempotency key is remembered",
    ),
    setting("audit_days", Some("400"), "days that audit events are kept"),
    setting(
        "personal_days",
        Some("30"),
        "days after which addresses are taken out of records that are kept longer",
    ),
    setting(
        "key_rotation_days",
        Some("90"),
        "days after which a signing key gets a successor; 0: never by itself",
    ),
    setting(
        "trusted_proxies",
        None,
        "networks whose Forwarded or X-Forwarded-For counts",
    ),
    setting(
        "webhook_allow_loopback",
        Some("false"),
        "let webhooks go to this machine; for tests",
    ),
];

/// Variables that other parts of the program read.
const OTHER_VARIABLES: &[&str] = &["ONYX_SERVER", "ONYX_ADMIN_CREDENTIAL"];

/// What the user gave.
#[derive(Clone, Debug, Default)]
pub struct Given {
    /// `--config FILE`; without it `onyx.toml` is read where it exists.
    pub file: Option<PathBuf>,
    /// The environment; only `ONYX_*` counts.
    pub env: BTreeMap<String, String>,
    /// Flags by key.
    pub flags: BTreeMap<&'static str, String>,
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Nothing was said.
    Default,
    /// The file of this name.
    File(String),
    /// The environment.
    Environment,
    /// The command line.
    Flag,
}

/// A value and where it came from.
#[derive(Clone, Debug)]
pub(super) struct Value {
    pub(super) text: String,
    pub(super) source: Source,
}

/// One thing wrong, in one line.
#[derive(Clone, Debug)]
pub struct Problem {
    /// The key as its source writes it.
    subject: String,
    advice: String,
}

impl Problem {
    pub(super) fn new(subject: impl Into<String>, advice: impl Into<String>) -> Self {
        Self {
            subject: subject.into(),
            advice: advice.into(),
        }
    }

    pub(super) fn of(key: &str, source: &Source, advice: impl Into<String>) -> Self {
        let subject = match source {
            Source::File(file) => format!("{key} in {file}"),
            Source::Environment => variable(key),
            Source::Flag => format!("--{}", key.replace('_', "-")),
            Source::Default => key.to_owned(),
        };
        Self::new(subject, advice)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.subject, self.advice)
    }
}

/// The environment's name for a setting.
pub(super) fn variable(key: &str) -> String {
    format!("ONYX_{}", key.to_ascii_uppercase())
}

/// Lays the sources over each other, and finds what belongs to no setting.
pub(super) fn merge(given: &Given) -> (BTreeMap<&'static str, Value>, Vec<Problem>) {
    let mut values = BTreeMap::new();
    let mut problems = Vec::new();
    for setting in SETTINGS {
        if let Some(text) = setting.default {
            values.insert(
                setting.key,
                Value {
                    text: text.to_owned(),
                    source: Source::Default,
                },
            );
        }
    }
    read_file(given, &mut values, &mut problems);
    for (name, text) in given
        .env
        .iter()
        .filter(|(name, _)| name.starts_with("ONYX_"))
    {
        match SETTINGS.iter().find(|s| variable(s.key) == *name) {
            // An empty variable is how a unit file or a compose file says "not set".
            Some(_) if text.is_empty() => {}
            Some(setting) => {
                values.insert(
                    setting.key,
                    Value {
                        text: text.clone(),
                        source: Source::Environment,
                    },
                );
            }
            None if OTHER_VARIABLES.contains(&name.as_str()) => {}
            None => problems.push(unknown(name, SETTINGS.iter().map(|s| variable(s.key)))),
        }
    }
    for (key, text) in &given.flags {
        values.insert(
            key,
            Value {
                text: text.clone(),
                source: Source::Flag,
            },
        );
    }
    (values, problems)
}

fn read_file(
    given: &Given,
    values: &mut BTreeMap<&'static str, Value>,
    problems: &mut Vec<Problem>,
) {
    let path = given.file.clone().unwrap_or_else(|| "onyx.toml".into());
    if given.file.is_none() && !path.exists() {
        return;
    }
    let name = path.display().to_string();
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) => return problems.push(Problem::new(name, format!("cannot be read: {error}"))),
    };
    let table = match text.parse::<toml::Table>() {
        Ok(table) => table,
        Err(error) => {
            let line = error.span().map_or(1, |span| {
                text.get(..span.start).unwrap_or("").lines().count().max(1)
            });
            return problems.push(Problem::new(
                name,
                format!("line {line}: {}", error.message()),
            ));
        }
    };
    for (key, value) in table {
        match SETTINGS.iter().find(|s| s.key == key) {
            Some(setting) => match plain(&value) {
                Some(text) => {
                    values.insert(
                        setting.key,
                        Value {
                            text,
                            source: Source::File(name.clone()),
                        },
                    );
                }
                None => problems.push(Problem::of(
                    &key,
                    &Source::File(name.clone()),
                    "must be a plain value",
                )),
            },
            None => {
                let known = SETTINGS.iter().map(|s| s.key.to_owned());
                problems.push(unknown(&format!("{key} in {name}"), known));
            }
        }
    }
}

/// The text of a string, a number, a truth value or a list of strings.
fn plain(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Boolean(truth) => Some(truth.to_string()),
        toml::Value::Array(items) => {
            let items: Option<Vec<_>> = items.iter().map(|item| item.as_str()).collect();
            Some(items?.join(","))
        }
        _ => None,
    }
}

fn unknown(name: &str, known: impl Iterator<Item = String>) -> Problem {
    let bare = name.split(' ').next().unwrap_or(name);
    let nearest = known
        .map(|k| (distance(bare, &k), k))
        .min()
        .filter(|(far, _)| *far <= 3);
    let advice = match nearest {
        Some((_, near)) => format!("unknown setting; did you mean {near}?"),
        None => "unknown setting; `onyx-auth config` lists all".to_owned(),
    };
    Problem::new(name, advice)
}

/// How many letters differ (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.chars().enumerate() {
        let mut next = vec![i + 1];
        for ((b, left_above), above) in other.iter().zip(&row).zip(row.iter().skip(1)) {
            let left = next.last().copied().unwrap_or(0);
            next.push(
                (left_above + usize::from(a != *b))
                    .min(left + 1)
                    .min(above + 1),
            );
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}
