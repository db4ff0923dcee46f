//! The process on this machine, by its own word: what it finds amiss may show nowhere else.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use serde_json::Value;

use super::Report;
use crate::causes::Causes;
use crate::config::Settings;

/// How long an answer may take: longer than the process waits for its database.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks the operations listener. Where nobody listens there is nothing to find: that no server runs is the issuer's
/// check.
pub(super) async fn examine(settings: &Settings, report: &mut Report) {
    let url = format!("http://{}/readyz", reachable(settings.ops_listen));
    let http = reqwest::Client::builder().timeout(PATIENCE).no_proxy();
    let asked = match http.build() {
        Ok(http) => http.get(&url).send().await,
        Err(error) => Err(error),
    };
    let told: Value = match asked {
        Ok(answer) => answer.json().await.unwrap_or_default(),
        Err(error) if error.is_connect() => return,
        Err(error) => return report.ill("process", format!("{url}: {}", Causes(&error))),
    };
    let amiss = amiss(&told);
    if !amiss.is_empty() {
        report.ill("process", format!("{url}: {}", amiss.join("; ")));
    } else if told.get("ready") == Some(&Value::Bool(true)) {
        report.well("process", format!("{url} says that it is ready"));
    } else {
        let detail = format!("{url} does not answer as this program does: who listens there?");
        report.ill("process", detail);
    }
}

/// The checks that failed, or are in doubt.
fn amiss(told: &Value) -> Vec<String> {
    let text = |check: &Value, name: &str| {
        let text = check.get(name).and_then(Value::as_str);
        text.unwrap_or_default().to_owned()
    };
    let checks = told.get("checks").and_then(Value::as_array);
    let checks = checks.into_iter().flatten();
    checks
        .filter(|check| ["failed", "doubtful"].contains(&text(check, "state").as_str()))
        .map(|check| format!("{}: {}", text(check, "name"), text(check, "detail")))
        .collect()
}

/// The address at which this machine reaches a listener.
fn reachable(listener: SocketAddr) -> SocketAddr {
    let ip = match listener.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listener.port())
}
