//! `onyx-auth credential open` and `disown`: what who was sent a link does, without any credential.

use std::io::{BufRead, Read};
use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::{Value, json};
use url::Url;
use zeroize::Zeroizing;

use super::admin_client::{http, problem, unreachable};
use super::confirm::confirm;
use super::credential_file::{CredentialFile, Slot};
use super::output::Output;
use super::{Done, Failure};
use crate::domain::id::DeliveryId;
use crate::keys::link::LinkKey;

#[derive(Subcommand)]
pub(super) enum LinkVerb {
    /// Open a link to a secret, once
    Open {
        /// A file that holds the link, or - for standard input
        #[arg(value_name = "FILE", default_value = "-")]
        link: PathBuf,
        /// Keep the secret in a credential file, and do not print it
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Revoke the credential whose link somebody else opened
    Disown {
        /// A file that holds the link, or - for standard input
        #[arg(value_name = "FILE", default_value = "-")]
        link: PathBuf,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

pub(super) async fn run(verb: LinkVerb, output: &Output) -> Done {
    match verb {
        LinkVerb::Open { link, out } => open(&Link::read(&link)?, out.as_deref(), output).await,
        LinkVerb::Disown { link, yes } => {
            let link = Link::read(&link)?;
            confirm(
                "Revoke the credential of this link? It gets no more tokens.",
                yes,
            )?;
            output.record(&link.post("/revoke").await?)
        }
    }
}

async fn open(link: &Link, out: Option<&Path>, output: &Output) -> Done {
    // A secret that opens once must find its place ready.
    let slot = out.map(Slot::prepare).transpose()?;
    output.expect_fields(if slot.is_some() {
        &["client_id", "credential_id", "credential_file"]
    } else {
        &["client_id", "credential_id", "client_secret"]
    })?;
    let answer = link.post("").await?;
    let sealed = answer.get("ciphertext").and_then(Value::as_str);
    let text = link.key.open(&link.id, sealed.unwrap_or_default())?;
    let letter: Value = serde_json::from_slice(&text)?;
    let Some(slot) = slot else {
        eprintln!("This is the only time that the secret is shown.");
        return output.record(&letter);
    };
    let member = |name: &str| letter.get(name).and_then(Value::as_str).unwrap_or_default();
    let file = CredentialFile {
        server: link.server().to_owned(),
        client_id: member("client_id").to_owned(),
        client_secret: Zeroizing::new(member("client_secret").to_owned()),
    };
    if let Err(failure) = slot.fill(&file) {
        eprintln!("The file could not be written; keep the secret from here.");
        output.record(&letter)?;
        return Err(failure);
    }
    output.record(&json!({
        "client_id": member("client_id"),
        "credential_id": member("credential_id"),
        "credential_file": out,
    }))
}

/// A link to a secret, taken apart.
struct Link {
    /// Without the fragment.
    url: String,
    id: DeliveryId,
    key: LinkKey,
}

impl Link {
    fn read(path: &Path) -> Result<Self, Failure> {
        let mut text = Zeroizing::new(String::new());
        if path.as_os_str() == "-" {
            std::io::stdin().lock().take(4096).read_line(&mut text)?;
        } else if path.to_string_lossy().contains("://") {
            let advice = "the link is a secret, and arguments are not: give it on standard input, or in a file";
            return Err(Failure::Usage(advice.to_owned()));
        } else {
            std::fs::File::open(path)
                .and_then(|file| file.take(4096).read_to_string(&mut text))
                .map_err(|error| Failure::Refused(format!("{}: {error}", path.display())))?;
        }
        Self::parse(text.trim()).ok_or_else(|| {
            let wanted =
                "this is no link to a secret: it must be https://…/deliveries/sdl_…#… whole";
            Failure::Refused(wanted.to_owned())
        })
    }

    fn parse(text: &str) -> Option<Self> {
        let (url, fragment) = text.split_once('#')?;
        let parsed = Url::parse(url).ok()?;
        let is_web = ["https", "http"].contains(&parsed.scheme());
        let (before, id) = url.rsplit_once('/')?;
        (is_web && before.ends_with("/deliveries")).then_some(())?;
        Some(Self {
            url: url.to_owned(),
            id: id.parse().ok()?,
            key: fragment.parse().ok()?,
        })
    }

    /// The server that the link leads to.
    fn server(&self) -> &str {
        let place = self
            .url
            .rsplit_once("/deliveries/")
            .map(|(server, _)| server);
        let place = place.unwrap_or_default();
        place.strip_suffix("/admin").unwrap_or(place)
    }

    /// Shows that one holds the link.
    async fn post(&self, part: &str) -> Result<Value, Failure> {
        let proof = self.key.proof(&self.id)?;
        let answer = http()?
            .post(format!("{}{part}", self.url))
            .json(&json!({ "proof": proof.expose().as_str() }))
            .send()
            .await
            .map_err(unreachable)?;
        let status = answer.status();
        let body: Value = answer.json().await.unwrap_or_default();
        if status.is_success() {
            return Ok(body);
        }
        let mut message = problem(status, &body);
        if body.get("code").and_then(Value::as_str) == Some("delivery_opened") {
            message += "\n  with this program: onyx-auth credential disown";
        }
        Err(Failure::Refused(message))
    }
}
