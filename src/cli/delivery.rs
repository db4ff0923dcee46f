//! How a new secret travels: the flags of every verb that issues one.

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Map, Value, json};

use super::Failure;
use super::output::Output;
use crate::keys::recipient::Recipient;

/// The flags.
#[derive(Args)]
pub(super) struct Delivery {
    /// How the secret reaches its owner: response, link or jwe [default: response]
    #[arg(long, value_name = "WAY")]
    deliver: Option<String>,
    /// With jwe: the owner's public key, a JWK; - for standard input
    #[arg(long, value_name = "FILE", requires = "deliver")]
    recipient_jwk: Option<PathBuf>,
    /// With link: how long it waits to be opened, 60 to 86400 [default: 3600]
    #[arg(long, value_name = "SECONDS", requires = "deliver")]
    delivery_ttl: Option<u32>,
}

impl Delivery {
    fn way(&self) -> &str {
        self.deliver.as_deref().unwrap_or("response")
    }

    /// Refuses a `--field` that the answer will not have: it would cost what is shown once.
    pub(super) fn expect_fields(&self, output: &Output, others: &[&str]) -> Result<(), Failure> {
        let shown: &[&str] = match self.way() {
            "link" => &["delivery_url", "delivery_expires_at"],
            "jwe" => &["jwe"],
            _ => &["secret"],
        };
        output.expect_fields(&[others, shown].concat())
    }

    /// Adds what was said to a request.
    pub(super) fn add_to(&self, body: &mut Value) -> Result<(), Failure> {
        let jwk = self.recipient_jwk.as_deref().map(read).transpose()?;
        for (name, value) in [
            ("deliver", json!(self.deliver)),
            ("recipient_jwk", json!(jwk)),
            ("delivery_ttl_seconds", json!(self.delivery_ttl)),
        ] {
            if let Some(members) = body.as_object_mut().filter(|_| !value.is_null()) {
                members.insert(name.to_owned(), value);
            }
        }
        Ok(())
    }

    /// Says what the answer is good for.
    pub(super) fn explain(&self) {
        eprintln!(
            "{}",
            match self.way() {
                "link" =>
                    "The link shows the secret once, to whoever opens it first; it is shown here this once. \
                     If nobody opens it in time, the credential is revoked.",
                "jwe" =>
                    "The secret is encrypted to the recipient's key; it is shown here this once.",
                _ => "This is the only time that the secret is shown.",
            }
        );
    }
}

/// Reads a public key. One that is not fit is refused here: a private key goes nowhere.
fn read(path: &Path) -> Result<Map<String, Value>, Failure> {
    let shown = path.display();
    let mut text = String::new();
    if path.as_os_str() == "-" {
        std::io::stdin().take(64 * 1024).read_to_string(&mut text)?;
    } else {
        std::fs::File::open(path)
            .and_then(|file| file.take(64 * 1024).read_to_string(&mut text))
            .map_err(|error| Failure::Refused(format!("{shown}: {error}")))?;
    }
    let jwk: Map<String, Value> = serde_json::from_str(&text).map_err(|_| {
        Failure::Refused(format!("{shown} is not a JWK: it must hold a JSON object"))
    })?;
    match Recipient::parse(&jwk) {
        Ok(_) => Ok(jwk),
        Err(faults) => {
            let lines = faults
                .iter()
                .map(|fault| format!("{shown}: {} {}", fault.member, fault.detail));
            Err(Failure::Refused(lines.collect::<Vec<_>>().join("\n")))
        }
    }
}
