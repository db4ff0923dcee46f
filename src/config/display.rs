//! The effective settings as a settings file, with what is secret masked.

use std::fmt::{self, Display};

use url::Url;

use super::Settings;

impl Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line =
            |key: &str, value: String| writeln!(f, "{key} = {}", toml::Value::String(value));
        line("listen", self.listen.to_string())?;
        if let Some(address) = self.admin_listen {
            line("admin_listen", address.to_string())?;
        }
        line("ops_listen", self.ops_listen.to_string())?;
        line("base_url", self.base_url.clone())?;
        line("database_url", masked(&self.database_url))?;
        line("keys_dir", self.keys_dir.display().to_string())?;
        line(
            "master_key_file",
            self.master_key_file.display().to_string(),
        )?;
        if let Some(url) = &self.redis_url {
            line("redis_url", masked(url))?;
        }
        line("signing_alg", self.signing_alg.to_string())?;
        line("roles", joined(&self.roles))?;
        line("log", self.log.clone())?;
        line("log_format", self.log_format.to_string())?;
        if let Some(tls) = &self.tls {
            line("tls_cert", tls.cert.display().to_string())?;
            line("tls_key", tls.key.display().to_string())?;
        }
        if !self.trusted_proxies.is_empty() {
            line("trusted_proxies", joined(&self.trusted_proxies))?;
        }
        writeln!(f, "database_connections = {}", self.database_connections)?;
        writeln!(f, "token_ttl = {}", self.token_ttl)?;
        writeln!(f, "max_staleness = {}", self.max_staleness)?;
        writeln!(f, "client_cache = {}", self.client_cache)?;
        writeln!(f, "feed_listeners = {}", self.feed_listeners)?;
        writeln!(f, "max_connections = {}", self.max_connections)?;
        writeln!(
            f,
            "connections_per_address = {}",
            self.connections_per_address
        )?;
        writeln!(f, "drain_delay = {}", self.drain_delay)?;
        writeln!(f, "sandbox_auto_approve = {}", self.sandbox_auto_approve)?;
        writeln!(f, "sandbox_secret_days = {}", self.sandbox_secret_days)?;
        writeln!(f, "live_secret_days = {}", self.live_secret_days)?;
        writeln!(f, "unused_days = {}", self.unused_days)?;
        writeln!(f, "key_rotation_days = {}", self.key_rotation_days)?;
        writeln!(f, "rate_limits = {}", self.rate_limits)?;
        writeln!(f, "request_log = {}", self.request_log)?;
        writeln!(f, "request_log_days = {}", self.kept.requests)?;
        writeln!(f, "token_record_days = {}", self.kept.tokens)?;
        writeln!(f, "events_days = {}", self.kept.events)?;
        writeln!(f, "idempotency_days = {}", self.kept.idempotency)?;
        writeln!(f, "audit_days = {}", self.kept.audit)?;
        writeln!(f, "personal_days = {}", self.kept.personal)?;
        writeln!(
            f,
            "webhook_allow_loopback = {}",
            self.webhook_allow_loopback
        )
    }
}

fn joined<T: Display>(items: &[T]) -> String {
    items
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(",")
}

/// The URL without its password, which libpq also takes as a parameter.
fn masked(url: &str) -> String {
    let Ok(mut parsed) = Url::parse(url) else {
        return "***".to_owned();
    };
    if parsed.scheme() == "sqlite" {
        return url.to_owned();
    }
    if parsed.password().is_some() && parsed.set_password(Some("***")).is_err() {
        return "***".to_owned();
    }
    if parsed.query().is_some() {
        let pairs: Vec<(String, String)> = parsed.query_pairs().into_owned().collect();
        let mut query = parsed.query_pairs_mut();
        query.clear();
        for (name, value) in pairs {
            let secret = name.contains("pass");
            query.append_pair(&name, if secret { "***" } else { &value });
        }
    }
    parsed.to_string()
}

#[cfg(test)]
mod tests {
    use super::masked;

    #[test]
    fn a_database_password_is_not_shown_wherever_it_stands() {
        assert_eq!(
            masked("postgres://u:hunter2@db/onyx"),
            "postgres://u:***@db/onyx"
        );
        assert!(
            !masked("postgres://u@db/onyx?password=hunter2&sslmode=require").contains("hunter2")
        );
        assert_eq!(
            masked("rediss://:hunter2@cache:6380/1"),
            "rediss://:***@cache:6380/1"
        );
        assert_eq!(masked("sqlite://data/onyx.db"), "sqlite://data/onyx.db");
    }
}
