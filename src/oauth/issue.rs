//! Issuing: claims, signature, and a record that is durable before the answer.

use std::time::Duration;

use onyx_verifier::{Audience, Claims};
use serde::Serialize;
use utoipa::ToSchema;

use super::grant::Granted;
use super::refusal::Refusal;
use crate::domain::audience::Addresses;
use crate::domain::instant::Instant;
use crate::domain::realm::Realm;
use crate::domain::secret::unguessable_id;
use crate::journal::{Journal, Row};
use crate::keys::KeyRing;
use crate::store::issued_tokens::{self, IssuedToken};
use crate::store::{Db, StoreError};

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
}

impl Row for IssuedToken {
    fn write_all(db: &mut Db, rows: &[&Self]) -> Result<(), StoreError> {
        issued_tokens::insert_all(db, rows)
    }
}

/// What issuing needs besides the grant.
#[derive(Clone, Copy)]
pub struct Press<'a> {
    /// The keys.
    pub ring: &'a KeyRing,
    /// Where tokens are recorded.
    pub tokens: &'a Journal<IssuedToken>,
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
    source_ip: Option<String>,
) -> Result<TokenAnswer, Refusal> {
    let key = press
        .ring
        .signer(press.realm, granted.alg, press.now)
        .ok_or(Refusal::NoKey)?;
    let claims = claims(press, &granted)?;
    let token = key.signing().sign_access_token(&claims)?;
    let record = record(press.realm, &granted, &claims, key.kid(), source_ip);
    press.tokens.append(record).await?;
    Ok(TokenAnswer {
        access_token: token,
        token_type: "Bearer",
        expires_in: claims.exp - claims.iat,
        scope: claims.scope,
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
