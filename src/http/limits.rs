//! How limits are told: the RateLimit headers, and refusals by status 429.
//!
//! The headers are structured fields (draft-ietf-httpapi-ratelimit-headers-10 §4): `RateLimit-Policy` names
//! every limit that concerns a request, `RateLimit` the one that is nearest to its end.

use std::fmt::Write;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use actix_web::{HttpMessage, HttpRequest};

use super::problem::Problem;
use crate::app::App;
use crate::domain::id::WebhookEndpointId;
use crate::domain::limits::{Limits, RouteClass};
use crate::domain::tenant::Tenant;
use crate::limits::{Ask, Charged, Over, Part, Reading};
use crate::partner::quotas::Told;
use crate::telemetry::telemetry;

static POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
static LIMIT: HeaderName = HeaderName::from_static("ratelimit");
static SHADOW: HeaderName = HeaderName::from_static("onyx-shadow-limit");

/// Tells in an answer's headers how the limits stand.
pub(super) fn tell(headers: &mut HeaderMap, charged: &Charged) {
    let decision = &charged.decision;
    let Some(tightest) = decision.tightest() else {
        return;
    };
    insert(headers, &POLICY, policy(&decision.readings));
    insert(headers, &LIMIT, standing(tightest));
    if let Some(over) = charged.shadowed() {
        headers.insert(SHADOW.clone(), HeaderValue::from_static(over.limit.code()));
    }
}

/// Notes how quotas of orders stand, beside what the request itself was charged.
pub(super) fn note(request: &HttpRequest, told: &Told) {
    if let Some(charged) = request.extensions_mut().get_mut::<Charged>() {
        charged.decision.readings.extend_from_slice(&told.readings);
        charged.decision.over = charged.decision.over.or(told.over);
        if let Some(over) = told.over {
            let counted = &telemetry().limits;
            counted.exceeded(over.limit.as_str(), charged.bites);
        }
    }
}

/// Charges a message that a request is about to have sent to an endpoint of its partner's.
///
/// It bites in every mode, and where partners are held to no rates: it is others who own what URLs lead to.
pub(super) async fn charge_message(
    request: &HttpRequest,
    app: &App,
    tenant: &Tenant,
    endpoint: &WebhookEndpointId,
) -> Result<(), Problem> {
    let limits = Limits::default();
    let ask = Ask {
        partner: tenant.partner_id(),
        realm: tenant.realm(),
        part: Part::Endpoint(endpoint),
        class: RouteClass::Message,
        limits: &limits,
    };
    let decision = app.buckets.decide(ask).await;
    let over = decision.over;
    if let Some(charged) = request.extensions_mut().get_mut::<Charged>() {
        charged.decision.readings.extend(decision.readings);
        charged.decision.over = over.or(charged.decision.over);
        charged.bites |= over.is_some();
    }
    let counted = &telemetry().limits;
    over.map_or(Ok(()), |over| {
        counted.exceeded(over.limit.as_str(), true);
        Err(refused(over))
    })
}

/// A request that is over a limit which bites.
pub(super) fn refused(over: Over) -> Problem {
    let wait = seconds(over.retry_after).max(1);
    let what = over.limit.what();
    let detail = if over.limit.is_quota() {
        format!("{what} have no room for this: come again in {wait} s")
    } else {
        format!("{what} are over their limit: come again in {wait} s, and ask more evenly")
    };
    Problem::new(StatusCode::TOO_MANY_REQUESTS, over.limit.code(), detail)
        .violating(over.limit.as_str())
        .with_header(RETRY_AFTER, HeaderValue::from(wait))
}

/// Whole seconds, begun ones counted.
pub(super) fn seconds(length: Duration) -> u64 {
    length.as_secs() + u64::from(length.subsec_nanos() > 0)
}

fn policy(readings: &[Reading]) -> String {
    let mut text = String::with_capacity(32 * readings.len());
    for reading in readings {
        if !text.is_empty() {
            text.push_str(", ");
        }
        let (name, window) = (reading.limit, seconds(reading.window).max(1));
        // Into a string, which takes everything.
        let _ = write!(text, "\"{name}\";q={};w={window}", reading.quota);
    }
    text
}

fn standing(reading: &Reading) -> String {
    let (name, reset) = (reading.limit, seconds(reading.reset));
    format!("\"{name}\";r={};t={reset}", reading.remaining)
}

fn insert(headers: &mut HeaderMap, name: &HeaderName, text: String) {
    if let Ok(value) = HeaderValue::try_from(text) {
        headers.insert(name.clone(), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::limits::LimitName;
    use crate::limits::Decision;

    fn reading(limit: LimitName, quota: u64, remaining: u64) -> Reading {
        Reading {
            limit,
            quota,
            window: Duration::from_millis(9_500),
            remaining,
            reset: Duration::from_millis(1),
        }
    }

    fn told(charged: &Charged) -> Vec<String> {
        let mut headers = HeaderMap::new();
        tell(&mut headers, charged);
        let mut lines: Vec<String> = headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        lines.sort();
        lines
    }

    #[test]
    fn every_limit_is_named_and_the_tightest_is_told() {
        let decision = Decision {
            over: None,
            readings: vec![
                reading(LimitName::Requests, 100, 40),
                reading(LimitName::ClientRequests, 10, 3),
            ],
        };
        let charged = Charged {
            decision,
            bites: true,
        };
        assert_eq!(
            told(&charged),
            [
                "ratelimit-policy: \"requests\";q=100;w=10, \"client_requests\";q=10;w=10",
                "ratelimit: \"client_requests\";r=3;t=1",
            ]
        );
    }

    #[test]
    fn what_would_be_refused_is_told_in_shadow() {
        let over = Over {
            limit: LimitName::Requests,
            retry_after: Duration::from_millis(1),
        };
        let decision = Decision {
            over: Some(over),
            readings: vec![
                reading(LimitName::Requests, 100, 1),
                reading(LimitName::ClientRequests, 10, 0),
            ],
        };
        let charged = Charged {
            decision,
            bites: false,
        };
        assert_eq!(
            told(&charged)[0],
            "onyx-shadow-limit: requests_limit_exceeded"
        );
        // The one that it is over, whatever the others have left.
        assert_eq!(told(&charged)[2], "ratelimit: \"requests\";r=1;t=1");
    }
}
