//! The Redis or Valkey that nodes share rates in.

use super::Report;
use crate::config::Settings;
use crate::limits::shared::Shared;

/// Looks for it where one is set. Without it a server works on: each node goes by its share.
pub(super) async fn examine(settings: &Settings, report: &mut Report) {
    let Some(url) = &settings.redis_url else {
        return;
    };
    let shared = match Shared::at(url, &settings.base_url) {
        Ok(shared) => shared,
        Err(error) => return report.ill("redis", error.to_string()),
    };
    match shared.connect().await {
        Ok(connection) => match Shared::evicts(connection).await {
            Some(policy) => {
                let detail = format!(
                    "its maxmemory-policy is {policy}: when it is full it forgets what partners have used up; set \
                     noeviction"
                );
                report.doubtful("redis", detail);
            }
            None => report.well("redis", "answers, and takes decisions"),
        },
        Err(error) => {
            let detail = format!("{error}; without it each node goes by its share of the rates");
            report.doubtful("redis", detail);
        }
    }
}
