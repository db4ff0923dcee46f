//! `onyx-auth token`: what a partner and a resource service do, and what an operator does to a token.

use std::io::Read;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::Subcommand;
use onyx_verifier::Verifier;
use serde_json::{Value, json};
use url::Url;

use super::admin_client::{AdminClient, fetch_token, http, post_form};
use super::confirm::confirm;
use super::credential_file::{CredentialFile, Slot};
use super::output::Output;
use super::{Done, Failure};
use crate::domain::id::ClientId;

#[derive(Subcommand)]
pub(super) enum Verb {
    /// Fetch a token as a partner would
    Request {
        /// The credential file, or - for standard input
        #[arg(long, value_name = "FILE", default_value = "data/demo.json")]
        credential: PathBuf,
        /// The scopes, separated by spaces [default: the client's]
        #[arg(long)]
        scope: Option<String>,
        /// The audience; repeat for several [default: the partner API]
        #[arg(long)]
        resource: Vec<String>,
    },
    /// Rotate a client's own secret, as a partner would; the file holds the new one afterwards
    RotateSecret {
        /// The credential file
        #[arg(long, value_name = "FILE", default_value = "data/demo.json")]
        credential: PathBuf,
        /// Where the new one is kept [default: in the place of the old one]
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Decode and verify a token
    Inspect {
        /// A file, or - for standard input
        file: PathBuf,
    },
    /// Revoke a token, as an operator
    Revoke {
        /// The file that it is in, or - for standard input
        #[arg(required_unless_present = "jti", conflicts_with = "jti")]
        file: Option<PathBuf>,
        /// Its `jti`, where the token itself is not at hand
        #[arg(long, requires = "realm")]
        jti: Option<String>,
        /// The realm of its issuer: sandbox, live or admin
        #[arg(long, requires = "jti")]
        realm: Option<String>,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

pub(super) async fn run(verb: Verb, output: &Output) -> Done {
    match verb {
        Verb::Request {
            credential,
            scope,
            resource,
        } => {
            let credential = CredentialFile::read(&credential)?;
            let client: ClientId = credential.client_id.parse()?;
            let server = std::env::var("ONYX_SERVER").unwrap_or_else(|_| credential.server.clone());
            let mut more: Vec<(&str, &str)> = resource
                .iter()
                .map(|uri| ("resource", uri.as_str()))
                .collect();
            more.extend(scope.iter().map(|scope| ("scope", scope.as_str())));
            let realm = client.realm();
            let server = server.trim_end_matches('/');
            output.record(&fetch_token(&http()?, server, realm.as_str(), &credential, &more).await?)
        }
        Verb::RotateSecret { credential, out } => {
            rotate_secret(&credential, out.as_deref().unwrap_or(&credential), output).await
        }
        Verb::Inspect { file } => inspect(&file, output).await,
        Verb::Revoke {
            file,
            jti,
            realm,
            yes,
        } => {
            confirm("Revoke this token?", yes)?;
            let body = match file {
                Some(file) => json!({ "token": read(&file)?.trim() }),
                None => json!({ "realm": realm, "jti": jti }),
            };
            let admin = AdminClient::connect().await?;
            let revoked = admin.post("/tokens/revoke", &body).await?;
            if revoked.get("revoked") == Some(&Value::Bool(false)) {
                eprintln!(
                    "There was nothing to revoke: the token is not of this server, or is over."
                );
            }
            output.record(&revoked)
        }
    }
}

/// Rotates the secret in a file. Should the new one not reach the file, the old one still
/// works, and doing it again replaces what was lost.
async fn rotate_secret(from: &Path, to: &Path, output: &Output) -> Done {
    output.expect_fields(&["credential_id", "accepts_until", "expires_at", "replaces"])?;
    if to.as_os_str() == "-" {
        let detail = "--out must name a file for the new secret, where the old one comes from standard input";
        return Err(Failure::Usage(detail.to_owned()));
    }
    let old = CredentialFile::read(from)?;
    let slot = if to == from {
        Slot::replacing(to)?
    } else {
        Slot::prepare(to)?
    };
    let client: ClientId = old.client_id.parse()?;
    let server = std::env::var("ONYX_SERVER").unwrap_or_else(|_| old.server.clone());
    let server = server.trim_end_matches('/');
    let realm = client.realm();
    let path = format!("{realm}/oauth2/credentials/rotate");
    let (http, form) = (http()?, old.as_form());
    let mut rotated = post_form(&http, (server, &path), &form, "no new secret").await?;
    let secret = rotated
        .as_object_mut()
        .and_then(|answer| answer.remove("client_secret"));
    let Some(Value::String(secret)) = secret else {
        return Err(Failure::Refused("the answer holds no secret".to_owned()));
    };
    slot.fill(&CredentialFile {
        client_secret: secret.into(),
        ..old
    })?;
    eprintln!("The new secret is in {}.", to.display());
    output.record(&rotated)
}

/// Whether an argument is what it should name the file of.
fn is_secret(argument: &str) -> bool {
    argument.starts_with("eyJ") || argument.starts_with("onyx_")
}

/// A token from a file, or from standard input where it is named -.
fn read(file: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    if file.as_os_str() == "-" {
        std::io::stdin().take(64 * 1024).read_to_string(&mut text)?;
    } else if file.to_str().is_some_and(is_secret) && !file.exists() {
        // It would stand in a message about a file of that name.
        return Err(Failure::Usage(
            "name the file that the token is in, or - for standard input: others can read arguments".to_owned(),
        ));
    } else {
        std::fs::File::open(file)
            .and_then(|open| open.take(64 * 1024).read_to_string(&mut text))
            .map_err(|error| Failure::Refused(format!("{}: {error}", file.display())))?;
    }
    Ok(text)
}

/// Decodes a token, and verifies it with the keys of the issuer that it names.
async fn inspect(file: &Path, output: &Output) -> Done {
    let text = read(file)?;
    let token = text.trim();
    let mut parts = token.split('.').map(decode);
    let (Some(Some(header)), Some(Some(claims))) = (parts.next(), parts.next()) else {
        return Err(Failure::Refused("this is not a JWT".to_owned()));
    };
    let verdict = verify(token, &claims).await;
    let fault = verdict.as_ref().err().cloned();
    output.record(
        &json!({ "valid": fault.is_none(), "fault": fault, "header": header, "claims": claims }),
    )?;
    verdict.map_err(|fault| Failure::Refused(format!("the token is not valid: {fault}")))
}

fn decode(part: &str) -> Option<Value> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

/// Verifies with the keys of the token's own issuer, which must be of the server that is trusted here.
async fn verify(token: &str, claims: &Value) -> Result<(), String> {
    let issuer = claims
        .get("iss")
        .and_then(Value::as_str)
        .ok_or("it names no issuer")?;
    let audience = match claims.get("aud") {
        Some(Value::String(one)) => one.as_str(),
        Some(Value::Array(many)) => many.first().and_then(Value::as_str).unwrap_or_default(),
        _ => return Err("it names no audience".to_owned()),
    };
    if let Ok(server) = std::env::var("ONYX_SERVER") {
        let same = |a: &str, b: &str| {
            Url::parse(a).ok().map(|u| u.origin()) == Url::parse(b).ok().map(|u| u.origin())
        };
        if !same(&server, issuer) {
            return Err(format!("its issuer {issuer} is not at ONYX_SERVER"));
        }
    }
    let verifier = Verifier::builder(issuer, audience)
        .connect()
        .await
        .map_err(|error| error.to_string())?;
    verifier
        .verify(token)
        .await
        .map(|_| ())
        .map_err(|rejection| rejection.to_string())
}
