//! `onyx-auth audit fingerprint -`.
//!
//! On the host and not through the admin API: the text that is asked about travels nowhere, and whoever
//! may ask holds the master key already.

use std::io::Read;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::admin::fingerprint::{Kind, Seen, look};
use crate::cli::output::Output;
use crate::cli::settings::SettingFlags;
use crate::cli::{Done, Failure, block_on};
use crate::keys::MasterKey;
use crate::keys::master::MasterKeyError;
use crate::logging;
use crate::store::Store;

/// More than any secret or token has.
const LONGEST: u64 = 64 * 1024;

#[derive(clap::Args)]
pub(in crate::cli) struct Fingerprint {
    /// `-`: the secret or the token stands on standard input
    #[arg(value_name = "-", value_parser = ["-"])]
    _from: String,
    #[command(flatten)]
    flags: SettingFlags,
}

pub(super) fn run(options: &Fingerprint, output: &Output) -> Done {
    output.expect_fields(&[
        "fingerprint",
        "kind",
        "seen",
        "realm",
        "client_id",
        "partner_id",
        "credential_id",
        "credential_state",
        "token_id",
        "issued_at",
        "expires_at",
        "leak_reports",
    ])?;
    let settings = options.flags.load()?;
    logging::start(&settings.log, settings.log_format);
    let text = read()?;
    let store =
        Store::open(&settings.database_url).map_err(|error| Failure::Usage(error.to_string()))?;
    let (addresses, path) = (settings.addresses(), settings.master_key_file);
    let issuer = named_issuer(&text);
    let base = settings.base_url;
    block_on(async {
        let seen = store.read(move |db| {
            let master = MasterKey::existing(db, &path)?;
            Ok::<_, MasterKeyError>(look(db, &master, &addresses, &text)?)
        });
        let seen = seen.await?;
        if let (Kind::Other, Some(issuer)) = (seen.kind, issuer) {
            eprintln!(
                "It names the issuer {issuer}, which is none of {base}: if it should be, run this with the server's settings."
            );
        }
        tell(&seen, output)
    })
}

/// The text, without white space around it. It is in no argument: arguments are seen by all.
fn read() -> Result<Zeroizing<String>, Failure> {
    // As much room as it can take, so that it leaves no copies behind.
    let mut text = Zeroizing::new(String::with_capacity(LONGEST as usize));
    std::io::stdin().take(LONGEST).read_to_string(&mut text)?;
    match text.trim() {
        "" => Err(Failure::Usage(
            "standard input is empty: send the secret or the token there".to_owned(),
        )),
        trimmed => Ok(Zeroizing::new(trimmed.to_owned())),
    }
}

/// Whom a token names as its issuer, good or not.
fn named_issuer(text: &str) -> Option<String> {
    let payload = URL_SAFE_NO_PAD.decode(text.split('.').nth(1)?).ok()?;
    let claims: Value = serde_json::from_slice(&payload).ok()?;
    Some(claims.get("iss")?.as_str()?.to_owned())
}

fn tell(seen: &Seen, output: &Output) -> Done {
    let (credential, token) = (seen.credential.as_ref(), seen.token.as_ref());
    let client = credential.map(|credential| &credential.client_id);
    output.record(&json!({
        "fingerprint": seen.fingerprint,
        "kind": seen.kind.as_str(),
        "seen": credential.is_some() || token.is_some() || !seen.leak_reports.is_empty(),
        "realm": client.map(|client| client.realm()),
        "client_id": client,
        "partner_id": token.and_then(|token| token.partner_id.as_ref()),
        "credential_id": credential.map(|credential| &credential.id),
        "credential_state": credential.map(|credential| credential.state),
        "token_id": token.map(|token| &token.jti),
        "issued_at": token.map(|token| token.issued_at),
        "expires_at": token.map(|token| token.expires_at),
        "leak_reports": seen.leak_reports,
    }))
}
