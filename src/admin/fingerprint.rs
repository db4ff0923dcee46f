//! Whether a secret or a token was seen: by hashes and names, so that the question leaves nothing behind.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use onyx_verifier::Claims;

use crate::domain::audience::Addresses;
use crate::domain::id::LeakReportId;
use crate::domain::instant::Instant;
use crate::domain::realm::Realm;
use crate::domain::secret::PlainSecret;
use crate::keys::MasterKey;
use crate::store::credentials::Credential;
use crate::store::issued_tokens::IssuedToken;
use crate::store::{Db, StoreError, credentials, issued_tokens, leaks};

/// What is known of a text.
pub struct Seen {
    /// By what it can be named.
    pub fingerprint: String,
    /// What it is by its form.
    pub kind: Kind,
    /// The credential whose secret it is.
    pub credential: Option<Credential>,
    /// The record of the token that it is. Forgotten a day after the token's end.
    pub token: Option<IssuedToken>,
    /// Reports of leaks that named it, of those in which something matched or that are not looked at yet.
    pub leak_reports: Vec<LeakReportId>,
}

/// What a text is by its form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    ClientSecret,
    AccessToken,
    Other,
}

impl Kind {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClientSecret => "client_secret",
            Self::AccessToken => "access_token",
            Self::Other => "other",
        }
    }
}

/// Looks for a text.
pub fn look(
    db: &mut Db,
    master: &MasterKey,
    addresses: &Addresses,
    text: &str,
) -> Result<Seen, StoreError> {
    let fingerprint = master.fingerprint_of(text.as_bytes());
    let mut seen = Seen {
        fingerprint,
        kind: Kind::Other,
        credential: None,
        token: None,
        leak_reports: Vec::new(),
    };
    if text.parse::<PlainSecret>().is_ok() {
        let hash = master.hash_secret(text.as_bytes());
        seen.kind = Kind::ClientSecret;
        seen.credential = credentials::with_hash(db, &hash)?.pop();
        let reported = leaks::reported(db, &hash)?;
        seen.leak_reports = reported.into_iter().map(|(report, _)| report).collect();
    } else if let Some((realm, claims)) = claims(addresses, text) {
        seen.kind = Kind::AccessToken;
        let second = Instant::from_epoch_seconds(claims.iat);
        let given = issued_tokens::given(db, realm, &claims.jti, second)?;
        // A name alone is soon forged: the record must say of the token what the token says.
        seen.token = given.filter(|row| {
            row.client_id.as_str() == claims.client_id
                && Some(row.credential_id.as_str()) == claims.credential_id.as_deref()
                && row.expires_at.epoch_seconds() == claims.exp
                && row.scope.as_str() == claims.scope
        });
        if let Some(row) = &seen.token {
            seen.credential = credentials::find(db, &row.credential_id)?;
        }
    }
    Ok(seen)
}

/// What a token of one of our realms says, unverified: its keys may be gone by now.
fn claims(addresses: &Addresses, token: &str) -> Option<(Realm, Claims)> {
    let mut parts = token.split('.');
    let payload = URL_SAFE_NO_PAD.decode(parts.nth(1)?).ok()?;
    parts.next().filter(|signature| !signature.is_empty())?;
    let claims: Claims = serde_json::from_slice(&payload).ok()?;
    let mut realms = Realm::ALL.iter().copied();
    let realm = realms.find(|realm| **addresses.issuer(*realm) == *claims.iss)?;
    Some((realm, claims))
}
