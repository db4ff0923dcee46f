//! Settings: defaults, then a file, then the environment, then flags.
//!
//! Every problem is reported at once, each in one line that names the key, where
//! it was set and what to write instead.

mod display;
mod sources;
mod values;

use std::net::SocketAddr;
use std::path::PathBuf;

use ipnet::IpNet;

pub use sources::{Given, Problem, SETTINGS, Setting, Source};
pub use values::{LogFormat, Role};

use crate::domain::Algorithm;
use crate::domain::allowlist::Network;
use crate::domain::audience::Addresses;
use crate::domain::retention::Kept;
use values::Reader;

/// The lifetimes that a token may have, in seconds.
pub const TOKEN_TTL: std::ops::RangeInclusive<u32> = 60..=900;

/// Everything that can be configured, checked.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The public listener.
    pub listen: SocketAddr,
    /// A listener of its own for everything under `/admin`.
    pub admin_listen: Option<SocketAddr>,
    /// Health and readiness.
    pub ops_listen: SocketAddr,
    /// The public origin, without a slash at its end.
    pub base_url: String,
    /// `sqlite://…` or `postgres://…`; may hold a password.
    pub database_url: String,
    /// How many connections to it are kept: on PostgreSQL for everything, on SQLite for reading.
    pub database_connections: u32,
    /// Where imported PEM keys, and by default the master key, stand.
    pub keys_dir: PathBuf,
    /// 32 random bytes, base64.
    pub master_key_file: PathBuf,
    /// Where nodes share rates; may hold a password.
    pub redis_url: Option<String>,
    /// What a realm signs with unless a resource server asks otherwise.
    pub signing_alg: Algorithm,
    /// Seconds that a token lives unless its client says otherwise.
    pub token_ttl: u32,
    /// Seconds without news from the database after which held clients are no longer trusted.
    pub max_staleness: u32,
    /// How many clients are held in memory.
    pub client_cache: usize,
    /// What this process does.
    pub roles: Vec<Role>,
    /// Which lines are logged.
    pub log: String,
    /// How they look.
    pub log_format: LogFormat,
    /// Certificate chain and private key of the public listener.
    pub tls: Option<Tls>,
    /// How many may listen to the revocation feed at a time.
    pub feed_listeners: usize,
    /// How many connections a listener takes at a time.
    pub max_connections: usize,
    /// How many of them from one address.
    pub connections_per_address: usize,
    /// Seconds that a process that was told to stop still takes requests, unready, so that whoever sends them
    /// can turn to others.
    pub drain_delay: u64,
    /// Whether sandbox grants are approved at once.
    pub sandbox_auto_approve: bool,
    /// The longest that a secret may live in the sandbox, in days.
    pub sandbox_secret_days: u32,
    /// The longest that a secret may live in live, in days.
    pub live_secret_days: u32,
    /// Days without use after which the end of a scope or a credential is recommended.
    pub unused_days: u32,
    /// Days after which a signing key gets a successor; 0: never by itself.
    pub key_rotation_days: u32,
    /// Whether partners are held to their rates.
    pub rate_limits: bool,
    /// Whether partners' calls are logged.
    pub request_log: bool,
    /// For how long what is kept, in days.
    pub kept: Kept,
    /// Proxies whose word on the caller's address counts.
    pub trusted_proxies: Vec<IpNet>,
    /// Whether webhooks may go to this machine, and without TLS there.
    pub webhook_allow_loopback: bool,
}

/// PEM files for the public listener.
#[derive(Clone, Debug)]
pub struct Tls {
    /// The certificate chain, leaf first.
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

impl Settings {
    /// Reads every source and checks every value.
    ///
    /// # Errors
    /// All problems that there are, not just the first.
    pub fn load(given: &Given) -> Result<Self, Vec<Problem>> {
        let (values, problems) = sources::merge(given);
        Self::check(Reader::new(values, problems))
    }

    fn check(mut read: Reader) -> Result<Self, Vec<Problem>> {
        read.refuse_client_ca();
        let listen: SocketAddr = read.value("listen", "an address like 127.0.0.1:8080");
        let tls = read.tls();
        let base_url = read.base_url(listen, tls.is_some());
        let keys_dir: PathBuf = read.text("keys_dir").into();
        let master_key_file = match read.optional_text("master_key_file") {
            Some(file) => file.into(),
            None => keys_dir.join("master.key"),
        };
        let settings = Self {
            listen,
            admin_listen: read.optional("admin_listen", "an address like 127.0.0.1:8082"),
            ops_listen: read.value("ops_listen", "an address like 127.0.0.1:8081"),
            database_url: read.database_url(),
            database_connections: read.number("database_connections", 1..=1000),
            keys_dir,
            master_key_file,
            redis_url: read.redis_url(),
            signing_alg: read.value("signing_alg", "one of ES256, RS256, PS256, EdDSA"),
            token_ttl: read.number("token_ttl", TOKEN_TTL),
            max_staleness: read.number("max_staleness", 1..=3600),
            client_cache: read.number("client_cache", 1..=10_000_000),
            feed_listeners: read.number("feed_listeners", 1..=1_000_000),
            max_connections: read.number("max_connections", 1..=1_000_000),
            connections_per_address: read.number("connections_per_address", 1..=1_000_000),
            drain_delay: read.number("drain_delay", 0..=300),
            roles: read.nonempty_list("roles", "a list of auth, admin, api, worker"),
            log: read.log_filter(),
            log_format: read.value("log_format", "text or json"),
            tls,
            sandbox_auto_approve: read.value("sandbox_auto_approve", "true or false"),
            sandbox_secret_days: read.number("sandbox_secret_days", 1..=3650),
            live_secret_days: read.number("live_secret_days", 1..=3650),
            unused_days: read.number("unused_days", 1..=365),
            key_rotation_days: read.number("key_rotation_days", 0..=3650),
            rate_limits: read.value("rate_limits", "true or false"),
            request_log: read.value("request_log", "true or false"),
            kept: Kept {
                requests: read.number("request_log_days", 1..=3650),
                tokens: read.number("token_record_days", 1..=3650),
                events: read.number("events_days", 1..=3650),
                idempotency: read.number("idempotency_days", 1..=30),
                audit: read.number("audit_days", 1..=36_500),
                personal: read.number("personal_days", 1..=3650),
            },
            trusted_proxies: read
                .list::<Network>("trusted_proxies", "a list of networks like 10.0.0.0/8")
                .into_iter()
                .map(IpNet::from)
                .collect(),
            webhook_allow_loopback: read.webhook_allow_loopback(&base_url),
            base_url,
        };
        read.finish(settings)
    }

    /// Where this machine reaches the admin API: its own listener, if that is on loopback.
    pub fn admin_url(&self) -> String {
        match self
            .admin_listen
            .filter(|address| address.ip().is_loopback())
        {
            Some(address) => format!("http://{address}"),
            None => self.base_url.clone(),
        }
    }

    /// The issuers and audiences that the base URL makes.
    pub fn addresses(&self) -> Addresses {
        Addresses::new(self.base_url.clone())
    }

    /// Whether this process does something.
    pub fn has_role(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    /// Whether the base URL's host is this machine's loopback.
    pub fn is_loopback(&self) -> bool {
        values::is_loopback_url(&self.base_url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(env: &[(&str, &str)]) -> Result<Settings, Vec<String>> {
        let given = Given {
            env: env
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect(),
            ..Given::default()
        };
        Settings::load(&given)
            .map_err(|problems| problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn the_defaults_are_the_published_ones() {
        let settings = load(&[]).unwrap();
        assert_eq!(settings.listen.to_string(), "127.0.0.1:8080");
        assert_eq!(settings.ops_listen.to_string(), "127.0.0.1:8081");
        assert_eq!(settings.base_url, "http://127.0.0.1:8080");
        assert_eq!(settings.database_url, "sqlite://data/onyx.db");
        assert_eq!(settings.master_key_file, PathBuf::from("keys/master.key"));
        assert_eq!(
            (settings.signing_alg, settings.token_ttl),
            (Algorithm::Es256, 300)
        );
        assert_eq!(settings.roles.len(), 4);
        assert!(
            settings.sandbox_auto_approve
                && settings.tls.is_none()
                && settings.admin_listen.is_none()
        );
    }

    #[test]
    fn every_problem_is_reported_at_once_and_names_its_key() {
        let problems = load(&[
            ("ONYX_LISTEN", "nowhere"),
            ("ONYX_TOKEN_TTL", "5"),
            ("ONYX_SIGNING_ALG", "HS256"),
            ("ONYX_LISTN", "127.0.0.1:1"),
            ("ONYX_ROLES", "auth,cook"),
        ])
        .unwrap_err();
        insta::assert_snapshot!(problems.join("\n"), @r"
        ONYX_LISTN: unknown setting; did you mean ONYX_LISTEN?
        ONYX_LISTEN: must be an address like 127.0.0.1:8080
        ONYX_SIGNING_ALG: must be one of ES256, RS256, PS256, EdDSA
        ONYX_TOKEN_TTL: must be a number from 60 to 900
        ONYX_ROLES: must be a list of auth, admin, api, worker
        ");
    }

    #[test]
    fn a_public_base_url_must_be_https_and_an_origin() {
        for bad in [
            "http://auth.example.com",
            "https://a.example/path",
            "https://u@a.example",
            "ftp://a",
            "x",
        ] {
            assert!(load(&[("ONYX_BASE_URL", bad)]).is_err(), "{bad}");
        }
        assert_eq!(
            load(&[("ONYX_BASE_URL", "https://a.example:443/")])
                .unwrap()
                .base_url,
            "https://a.example"
        );
        assert!(
            load(&[("ONYX_BASE_URL", "http://localhost:9000")])
                .unwrap()
                .is_loopback()
        );
        assert!(
            load(&[("ONYX_BASE_URL", "http://[::1]:9000")])
                .unwrap()
                .is_loopback()
        );
    }

    #[test]
    fn the_base_url_follows_the_listener() {
        assert_eq!(
            load(&[("ONYX_LISTEN", "127.0.0.1:9999")]).unwrap().base_url,
            "http://127.0.0.1:9999"
        );
        assert_eq!(
            load(&[("ONYX_LISTEN", "0.0.0.0:9999")]).unwrap().base_url,
            "http://127.0.0.1:9999"
        );
    }

    #[test]
    fn a_flag_beats_the_environment_which_beats_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("onyx.toml");
        std::fs::write(
            &file,
            "token_ttl = 100\nlog = \"debug\"\nroles = [\"auth\", \"api\"]\n",
        )
        .unwrap();
        let mut given = Given {
            file: Some(file.clone()),
            ..Given::default()
        };
        given
            .env
            .insert("ONYX_TOKEN_TTL".to_owned(), "200".to_owned());
        let settings = Settings::load(&given).unwrap();
        assert_eq!(
            (
                settings.token_ttl,
                settings.log.as_str(),
                settings.roles.len()
            ),
            (200, "debug", 2)
        );
        given.flags.insert("token_ttl", "300".to_owned());
        assert_eq!(Settings::load(&given).unwrap().token_ttl, 300);

        std::fs::write(&file, "token_tll = 100\n").unwrap();
        let problems = Settings::load(&Given {
            file: Some(file),
            ..Given::default()
        })
        .unwrap_err();
        assert!(
            problems[0].to_string().contains("token_tll in "),
            "{}",
            problems[0]
        );
    }
}
