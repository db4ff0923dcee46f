//! The issuer, as verifiers find it: reachable at its address, with the keys that are stored.

use std::time::Duration;

use chrono::DateTime;
use reqwest::header::DATE;
use serde_json::Value;

use super::Report;
use super::database::compare_clocks;
use crate::causes::Causes;
use crate::clock::Clock;
use crate::config::Settings;
use crate::domain::realm::Realm;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) async fn examine(
    settings: &Settings,
    clock: &Clock,
    published: Option<&[(Realm, String)]>,
    report: &mut Report,
) {
    let addresses = settings.addresses();
    let http = reqwest::Client::builder().timeout(PATIENCE).build();
    let http = match http {
        Ok(http) => http,
        Err(error) => return report.ill("issuer", error.to_string()),
    };
    for realm in [Realm::Sandbox, Realm::Live] {
        let issuer = addresses.issuer(realm);
        let metadata = format!("{issuer}/.well-known/openid-configuration");
        let (found, date) = match fetch(&http, &metadata).await {
            Ok(found) => found,
            // The same for every realm: once is enough.
            Err(why) => return report.ill("issuer", why),
        };
        if found.get("issuer").and_then(Value::as_str) != Some(issuer) {
            let detail = format!(
                "{metadata} names another issuer: base_url, or a proxy before the server, is wrong"
            );
            return report.ill("issuer", detail);
        }
        if realm == Realm::Sandbox
            && let Some(theirs) = date.and_then(|text| DateTime::parse_from_rfc2822(&text).ok())
        {
            compare_clocks(
                "issuer clock",
                theirs.timestamp() - clock.now().epoch_seconds(),
                report,
            );
        }
        match fetch(&http, &addresses.jwks(realm)).await {
            Ok((set, _)) => compare_keys(realm, &set, published, report),
            Err(why) => report.ill("published keys", why),
        }
    }
    report.well("issuer", format!("answers at {}", addresses.base()));
}

fn compare_keys(
    realm: Realm,
    set: &Value,
    published: Option<&[(Realm, String)]>,
    report: &mut Report,
) {
    let Some(published) = published else { return };
    let shown: Vec<&str> = set["keys"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|key| key["kid"].as_str())
        .collect();
    let hidden: Vec<&str> = published
        .iter()
        .filter(|(of, kid)| *of == realm && !shown.contains(&kid.as_str()))
        .map(|(_, kid)| kid.as_str())
        .collect();
    if hidden.is_empty() {
        report.well(
            "published keys",
            format!("{realm}: all {} are shown", shown.len()),
        );
    } else {
        let detail = format!(
            "{realm}: the server at this address does not show {}: it is another one, or runs on another database",
            hidden.join(", ")
        );
        report.ill("published keys", detail);
    }
}

/// A JSON document and when its server says it is.
async fn fetch(http: &reqwest::Client, url: &str) -> Result<(Value, Option<String>), String> {
    let unreachable = |error: reqwest::Error| {
        let error = error.without_url();
        format!("{url}: {}", Causes(&error))
    };
    let answer = http.get(url).send().await.map_err(unreachable)?;
    if !answer.status().is_success() {
        return Err(format!("{url} answers {}", answer.status()));
    }
    let date = answer
        .headers()
        .get(DATE)
        .and_then(|date| date.to_str().ok());
    let date = date.map(str::to_owned);
    let document = answer.json().await.map_err(unreachable)?;
    Ok((document, date))
}
