//! Issuing: claims, signature, and a record that is durable before the answer.

use std::net::IpAddr;
use std::time::{Duration, Instant as Stopwatch};

use onyx_verifier::{Audience, Claims, StatusClaim, StatusListRef};
use utoipa::ToSchema;

use super::grant::Granted;
use super::record::TokenRecord;
use super::refusal::Refusal;
use crate::directory::Tallies;
use crate::domain::audience::Addresses;
use crate::domain::instant::Instant;
use crate::domain::realm::Realm;
use crate::domain::scope::ScopeSet;
use crate::domain::secret::unguessable_id;
use crate::journal::Journal;
use crate::keys::KeyRing;
use crate::revocation::status_list::indices::{Indices, Place};
use crate::store::issued_tokens::IssuedToken;
use crate::usage::Usage;

/// How long looking up, placing and signing may take: whoever derives status lists counts on it that what is recorded
/// later knows of all that was revoked before (see `revocation::status_list`).
pub const PROMPT: Duration = Duration::from_secs(2);

/// A successful answer (RFC 6749 §5.1).
#[derive(ToSchema)]
#[schema(as = Token)]
pub struct TokenAnswer {
    /// The token, an at+jwt (RFC 9068).
    pub access_token: String,
    /// `Bearer`.
    pub token_type: &'static str,
    /// Seconds until it expires.
    pub expires_in: i64,
    /// What it carries, which may be less than was asked for.
    #[schema(value_type = String)]
    pub scope: ScopeSet,
    /// When the credential that got it ends, if ever; said in a header, and not here.
    #[schema(ignore)]
    pub credential_ends_at: Option<Instant>,
}

impl TokenAnswer {
    /// The answer as JSON.
    ///
    /// Put together by hand and at once as long as it gets: neither base64url nor a scope has a
    /// character that JSON escapes, and looking for one costs as much as half the request's parsing.
    pub fn json(&self) -> String {
        let lifetime = self.expires_in.to_string();
        [
            r#"{"access_token":""#,
            &self.access_token,
            r#"","token_type":""#,
            self.token_type,
            r#"","expires_in":"#,
            &lifetime,
            r#","scope":""#,
            self.scope.as_str(),
            r#""}"#,
        ]
        .concat()
    }
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
    /// Where tokens get their places on status lists.
    pub indices: &'a Indices,
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
    /// The same by a clock that nobody sets.
    pub began: Stopwatch,
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
    let life = life(press, &granted)?;
    let taken = press.indices.take(press.realm, press.now).await;
    let place = taken.map_err(Refusal::NoIndex)?;
    let jti = unguessable_id();
    let token = key
        .signing()
        .sign_access_token(&claims(press, &granted, life, &place, &jti))?;
    if token.len() > onyx_verifier::MAX_TOKEN_LENGTH {
        // No verifier of ours reads it, so nobody could revoke it either.
        let advice = "the token would be too long: ask for fewer scopes or resources";
        return Err(Refusal::InvalidScope(advice.into()));
    }
    let marks = &granted.who.marks;
    let record = TokenRecord {
        token: IssuedToken {
            source_ip: source.map(|ip| ip.to_string()),
            ..record(press, &granted, life, &place, jti, key.kid())
        },
        first_use: (!marks.was_used()).then_some(press.now),
    };
    if press.began.elapsed() > PROMPT {
        return Err(Refusal::Late);
    }
    press.tokens.append(record).await?;
    let client = &granted.who.entry.client.id;
    press.usage.asked(client, &granted.scopes, press.now);
    marks.first_use_recorded();
    press.uses.note(marks, press.now, source);
    Ok(TokenAnswer {
        access_token: token,
        token_type: "Bearer",
        expires_in: life.exp - life.iat,
        credential_ends_at: granted.who.credential_ends_at,
        scope: granted.scopes,
    })
}

/// When a token begins and ends, in whole seconds.
#[derive(Clone, Copy)]
struct Life {
    iat: i64,
    exp: i64,
}

fn life(press: Press<'_>, granted: &Granted) -> Result<Life, Refusal> {
    let client = &granted.who.entry.client;
    let issued_at = press.now.to_whole_seconds();
    let lifetime = client
        .token_ttl
        .and_then(|ttl| u32::try_from(ttl).ok())
        .unwrap_or(press.token_ttl);
    let full = issued_at.plus(Duration::from_secs(lifetime.into()));
    let expires_at = granted.ends_at.map_or(full, |end| end.min(full));
    let (iat, exp) = (issued_at.epoch_seconds(), expires_at.epoch_seconds());
    if exp <= iat {
        // What it hangs on ends within this second: too late for a token that could be used.
        return Err(Refusal::InvalidClient);
    }
    Ok(Life { iat, exp })
}

fn claims<'a>(
    press: Press<'a>,
    granted: &'a Granted,
    life: Life,
    place: &'a Place,
    jti: &'a str,
) -> Claims<&'a str> {
    let client = &granted.who.entry.client;
    let aud = match granted.audiences.as_slice() {
        [one] => Audience::One(&**one),
        many => Audience::Many(many.iter().map(|one| &**one).collect()),
    };
    let partner_id = client.partner_id.as_ref();
    Claims {
        iss: press.addresses.issuer(press.realm),
        sub: client.id.as_str(),
        client_id: client.id.as_str(),
        aud,
        scope: granted.scopes.as_str(),
        iat: life.iat,
        nbf: life.iat,
        exp: life.exp,
        jti,
        partner_id: partner_id.map(|id| id.as_str()),
        env: partner_id.map(|_| press.realm.as_str()),
        credential_id: Some(granted.who.credential_id.as_str()),
        rsn: Some(press.rsn.unsigned_abs()),
        status: Some(StatusClaim {
            status_list: StatusListRef {
                idx: place.index.into(),
                uri: &*place.uri,
            },
        }),
        cnf: None,
    }
}

fn record(
    press: Press<'_>,
    granted: &Granted,
    life: Life,
    place: &Place,
    jti: String,
    kid: &str,
) -> IssuedToken {
    let client = &granted.who.entry.client;
    IssuedToken {
        issued_at: press.now,
        jti,
        realm: press.realm,
        client_id: client.id.clone(),
        partner_id: client.partner_id.clone(),
        credential_id: granted.who.credential_id.clone(),
        scope: granted.scopes.clone(),
        aud: granted.audiences.join(" "),
        kid: kid.to_owned(),
        expires_at: Instant::from_epoch_seconds(life.exp),
        source_ip: None,
        rsn: Some(press.rsn),
        status_list: Some(place.list),
        status_index: Some(place.index.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_the_json_that_a_library_would_write() {
        let answer = TokenAnswer {
            access_token: "e-A._9.Zg".to_owned(),
            token_type: "Bearer",
            expires_in: 300,
            // Every character that a scope can have.
            scope: ScopeSet::of(&["!#[]^~", "a:b/c.d'e", "{}|`"]),
            credential_ends_at: None,
        };
        let read: serde_json::Value = serde_json::from_str(&answer.json()).unwrap();
        assert_eq!(
            read,
            serde_json::json!({
                "access_token": answer.access_token, "token_type": "Bearer", "expires_in": 300,
                "scope": answer.scope.as_str(),
            })
        );
    }
}
