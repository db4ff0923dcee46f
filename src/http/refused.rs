//! What the audit trail counts of a request, seen once it is answered: refusals that concern
//! security, and reads of what is on record.

use std::borrow::Cow;
use std::net::IpAddr;

use actix_web::HttpRequest;
use actix_web::dev::ServiceResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::AUTHORIZATION;
use onyx_verifier::{Rejection, TokenFault};

use super::problem::Problem;
use super::source;
use crate::app::App;
use crate::audit::tally::{Place, Refused, Sighting, What};
use crate::domain::id::ClientId;
use crate::domain::instant::Instant;
use crate::domain::realm::Realm;
use crate::oauth::recognise::recognise;
use crate::oauth::refusal::Refusal;

/// Why a token was refused, if that is more than its age.
///
/// A client that shows an expired token, or none, is told so every day.
pub(super) fn of_bearer(rejection: &Rejection) -> Option<Refused> {
    match rejection {
        Rejection::InvalidToken(fault) => match fault {
            TokenFault::Expired | TokenFault::NotYetValid => None,
            TokenFault::Revoked => Some(Refused::Revoked),
            TokenFault::WrongAudience => Some(Refused::WrongAudience),
            _ => Some(Refused::NotOurs),
        },
        Rejection::InsufficientScope { .. } => Some(Refused::InsufficientScope),
        Rejection::NoCredentials | Rejection::InvalidRequest(_) | Rejection::Unavailable => None,
    }
}

/// Why an OAuth endpoint refused, where that concerns security.
pub(super) fn of_oauth(refusal: &Refusal) -> Option<Refused> {
    match refusal {
        Refusal::InvalidClient => Some(Refused::InvalidClient),
        Refusal::WrongAddress => Some(Refused::AddressNotAllowed),
        Refusal::TooManyFailures(_) => Some(Refused::TooManyFailures),
        Refusal::InvalidScope(_) => Some(Refused::InvalidScope),
        Refusal::InvalidTarget(_) => Some(Refused::InvalidTarget),
        Refusal::UnauthorizedClient(_) => Some(Refused::UnauthorizedClient),
        // Malformed, out of turn, too much, or this server's own trouble; a superseded secret (`invalid_grant`) is put
        // on record one by one.
        Refusal::InvalidRequest(_)
        | Refusal::NoClientAuthentication(_)
        | Refusal::UnsupportedGrantType
        | Refusal::InvalidGrant(_)
        | Refusal::RotationPending(_)
        | Refusal::LimitExceeded(_)
        | Refusal::Store(_)
        | Refusal::Append(_)
        | Refusal::Late
        | Refusal::NoKey
        | Refusal::NoIndex(_)
        | Refusal::Randomness(_)
        | Refusal::Signer(_) => None,
    }
}

/// Counts an OAuth endpoint's refusal, of a client that it claimed to be or is.
pub(super) fn note_oauth(
    app: &App,
    request: &HttpRequest,
    refusal: &Refusal,
    client: Option<&str>,
    realm: Realm,
) {
    let Some(mut reason) = of_oauth(refusal) else {
        return;
    };
    // What is no id is not kept: it can be anything, a secret too.
    let client: Option<ClientId> = client.and_then(|id| id.parse().ok());
    if reason == Refused::InvalidClient && client.as_ref().is_some_and(|id| id.realm() != realm) {
        reason = Refused::OtherRealmsClient;
    }
    let sighting = Sighting {
        what: What::Refused(reason),
        client,
        from: from(app, request),
        realm: Some(realm),
        place: place(&path(request)).0,
    };
    app.tally.note(sighting, app.clock.now());
}

/// Counts what an answer says. `client` is that of a verified token.
pub(super) fn note<B>(
    app: &App,
    answer: &ServiceResponse<B>,
    client: Option<&ClientId>,
    now: Instant,
) {
    let request = answer.request();
    let path = path(request);
    let what = match answer.status() {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => refusal(answer).map(What::Refused),
        status if status.is_success() => read(&path),
        _ => None,
    };
    let Some(what) = what else { return };
    let (place, realm) = place(&path);
    let mut sighting = Sighting {
        what,
        client: client.cloned(),
        from: from(app, request),
        realm,
        place,
    };
    let is_token = client.is_none() && matches!(what, What::Refused(_));
    if is_token && app.tally.may_look_closer(now) {
        look_closer(app, request, &mut sighting, now);
    }
    app.tally.note(sighting, now);
}

/// Whose a refused token is, and of which realm: it can be a good one at the wrong place.
fn look_closer(app: &App, request: &HttpRequest, sighting: &mut Sighting, now: Instant) {
    let shown = request.headers().get(AUTHORIZATION);
    let shown = shown.and_then(|value| value.to_str().ok()?.split_once(' '));
    let found =
        shown.and_then(|(_, token)| recognise(&app.ring, &app.addresses, token.trim(), now));
    if let Some((realm, caller)) = found {
        sighting.client = caller.client_id().parse().ok();
        if Some(realm) != sighting.realm {
            sighting.what = What::Refused(Refused::OtherRealmsToken);
        }
    }
}

fn refusal<B>(answer: &ServiceResponse<B>) -> Option<Refused> {
    let error = answer.response().error()?;
    error.as_error::<Problem>()?.refusal()
}

fn from(app: &App, request: &HttpRequest) -> Option<IpAddr> {
    source::address(request, &app.settings.trusted_proxies)
}

/// The path by which a request found its handler. As it was sent it may have letters of it encoded, and lead to the
/// same place: then the route's template says which.
fn path(request: &HttpRequest) -> Cow<'_, str> {
    let sent = request.path();
    if !sent.contains('%') {
        return Cow::Borrowed(sent);
    }
    request
        .match_pattern()
        .map_or(Cow::Borrowed(sent), Cow::Owned)
}

/// What was read of what is on record. An export is put on record by itself.
fn read(path: &str) -> Option<What> {
    if path == "/leaks" {
        return Some(What::LeakReport);
    }
    let below = path.strip_prefix("/admin/v1/")?;
    if below == "requests" {
        Some(What::RequestsRead)
    } else if below.starts_with("audit/") && below != "audit/export" {
        Some(What::AuditRead)
    } else {
        None
    }
}

/// The part of the server that a path leads to, and its realm.
fn place(path: &str) -> (Place, Option<Realm>) {
    let mut parts = path.split('/').skip(1);
    let realm: Option<Realm> = parts.next().and_then(|part| part.parse().ok());
    let place = match (realm, parts.next(), parts.next()) {
        (Some(Realm::Admin), Some("v1"), _) => Place::AdminApi,
        (Some(_), Some("v1"), _) => Place::PartnerApi,
        (Some(_), Some("oauth2"), Some("token")) => Place::Token,
        (Some(_), Some("oauth2"), Some("verify")) => Place::Verify,
        (Some(_), Some("oauth2"), _) => Place::OAuth,
        _ if path == "/leaks" => Place::Leaks,
        _ => Place::Elsewhere,
    };
    (place, realm)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_leads_to_its_part_of_the_server() {
        let told = |path| {
            let (place, realm) = place(path);
            format!("{place} {}", realm.map_or("-", Realm::as_str))
        };
        assert_eq!(told("/live/oauth2/token"), "token live");
        assert_eq!(told("/sandbox/oauth2/verify/a/b"), "verify sandbox");
        assert_eq!(told("/live/oauth2/introspect"), "oauth live");
        assert_eq!(told("/sandbox/v1/me"), "partner_api sandbox");
        assert_eq!(told("/admin/v1/partners"), "admin_api admin");
        assert_eq!(told("/admin/oauth2/token"), "token admin");
        assert_eq!(told("/leaks"), "leaks -");
        assert_eq!(told("/"), "elsewhere -");
    }

    #[test]
    fn reads_of_the_record_are_known_by_their_path() {
        assert_eq!(read("/admin/v1/audit/events"), Some(What::AuditRead));
        assert_eq!(read("/admin/v1/audit/export"), None);
        assert_eq!(read("/admin/v1/requests"), Some(What::RequestsRead));
        assert_eq!(read("/admin/v1/partners"), None);
        assert_eq!(read("/sandbox/v1/requests"), None);
    }
}
