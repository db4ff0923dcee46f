//! Issuing: claims, signature, and a record that is durable before the answer.

use std::net::IpAddr;
use std::time::Duration;

use onyx_verifier::{Audience, Claims};
use serde::Serialize;
use utoipa::ToSchema;

use super::grant::Granted;
use super::record::TokenRecord;
use super::refusal::Refusal;
use crate::directory::Tallies;
use crate::domain::audience::Addresses;
use crate::domain::instant::Instant;
use crate::domain::realm::Realm;
use crate::domain::secret::unguessable_id;
use crate::journal::Journal;
use crate::keys::KeyRing;
use crate::store::issued_tokens::IssuedToken;
use crate::usage::Usage;

/// A successful answer (RFC 6749 §5.1).
#[derive(Serialize, ToSchema)]
#[schema(as = Token)]
pub struct TokenAnswer {
    /// The token, an at+jwt (RFC 9068).
    pub access_token: String,
    /// `Bearer`.
    pub token_type: &'static str,
    /// Seconds until it expires.
    pub expires_in: i64,
    /// What it carries, which may be less than was asked for.
    pub scope: String,
    /// When the credential that got it ends, if ever.
    #[serde(skip)]
    pub credential_ends_at: Option<Instant>,
}

/// What issuing needs besides the grant.
#[derive(Clone, Copy)]
pub struct Press<'a> {
    /// The keys.
    pub ring: &'a KeyRing,
    /// Where tokens are recorded.
    pub tokens: &'a Journal<TokenRecord>,
    /// Where uses of credentials are noted.
    pub uses: &'a Tallies,
    /// Where it is counted what clients ask for.
    pub usage: &'a Usage,
    /// The issuers' names.
    pub addresses: &'a Addresses,
    /// Seconds that a token lives unless its client says otherwise.
    pub token_ttl: u32,
    /// The issuer.
    pub realm: Realm,
    /// The highest revocation that had been applied before the client was looked up.
    pub rsn: i64,
    /// The moment of the request.
    pub now: Instant,
}

/// Signs a token for what was granted, and answers it once its record is durable.
pub async fn issue(
    press: Press<'_>,
    granted: Granted,
    source: Option<IpAddr>,
) -> Result<TokenAnswer, Refusal> {
    let key = press
        .ring
        .signer(press.realm, granted.alg, press.now)
        .ok_or(Refusal::NoKey)?;
    let claims = claims(press, &granted)?;
    let token = key.signing().sign_access_token(&claims)?;
    let source_ip = source.map(|ip| ip.to_string());
    let marks = &granted.who.marks;
    let record = TokenRecord {
        token: record(press.realm, &granted, &claims, key.kid(), source_ip),
        first_use: (!marks.was_used()).then_some(press.now),
    };
    press.tokens.append(record).await?;
    let client = &granted.who.entry.client.id;
    press.usage.asked(client, &granted.scopes, press.now);
    marks.first_use_recorded();
    press.uses.note(marks, press.now, source);
    Ok(TokenAnswer {
        access_token: token,
        token_type: "Bearer",
        expires_in: claims.exp - claims.iat,
        scope: claims.scope,
        credential_ends_at: granted.who.credential_ends_at,
    })
}

fn claims(press: Press<'_>, granted: &Granted) -> Result<Claims, Refusal> {
    let client = &granted.who.entry.client;
    let issued_at = press.now.to_whole_seconds();
    let lifetime = client
        .token_ttl
        .and_then(|ttl| u32::try_from(ttl).ok())
        .unwrap_or(press.token_ttl);
    let full = issued_at.plus(Duration::from_secs(lifetime.into()));
    let expires_at = granted.ends_at.map_or(full, |end| end.min(full));
    if expires_at.epoch_seconds() <= issued_at.epoch_seconds() {
        // What it hangs on ends within this second: too late for a token that could be used.
        return Err(Refusal::InvalidClient);
    }
    let aud = match granted.audiences.as_slice() {
        [one] => Audience::One(one.clone()),
        many => Audience::Many(many.to_vec()),
    };
    Ok(Claims {
        iss: press.addresses.issuer(press.realm),
        sub: client.id.to_string(),
        client_id: client.id.to_string(),
        aud,
        scope: granted.scopes.to_string(),
        iat: issued_at.epoch_seconds(),
        nbf: issued_at.epoch_seconds(),
        exp: expires_at.epoch_seconds(),
        jti: unguessable_id(),
        partner_id: client.partner_id.as_ref().map(ToString::to_string),
        env: client.partner_id.as_ref().map(|_| press.realm.to_string()),
        credential_id: Some(granted.who.credential_id.to_string()),
        rsn: Some(press.rsn.unsigned_abs()),
        status: None,
        cnf: None,
    })
}

fn record(
    realm: Realm,
    granted: &Granted,
    claims: &Claims,
    kid: &str,
    source_ip: Option<String>,
) -> IssuedToken {
    let client = &granted.who.entry.client;
    IssuedToken {
        issued_at: Instant::from_epoch_seconds(claims.iat),
        jti: claims.jti.clone(),
        realm,
        client_id: client.id.clone(),
        partner_id: client.partner_id.clone(),
        credential_id: granted.who.credential_id.clone(),
        scope: claims.scope.clone(),
        aud: granted.audiences.join(" "),
        kid: kid.to_owned(),
        expires_at: Instant::from_epoch_seconds(claims.exp),
        source_ip,
    }
}
