//! Secrets of webhooks in files: read whole, never from an argument.

use std::io::Read;
use std::path::Path;

use zeroize::Zeroizing;

use crate::cli::Failure;
use crate::domain::webhook::SignatureKind;
use crate::keys::file::{self, KeyFileError};
use crate::keys::webhook::{WebhookKey, WebhookSecret};

/// The most bytes of a secret's text.
const LONGEST: u64 = 4096;

/// The key in a file, or on standard input where the file is `-`.
pub(super) fn key(path: &Path) -> Result<WebhookKey, Failure> {
    let text = if path.as_os_str() == "-" {
        let mut text = Zeroizing::new(Vec::new());
        std::io::stdin().take(LONGEST).read_to_end(&mut text)?;
        text
    } else {
        file::read(path)?
    };
    parsed(path, &text)
}

/// The secret in a file. Where there is none, a new one is made, which the receiver reads there.
pub(super) fn read_or_make(path: &Path) -> Result<WebhookSecret, Failure> {
    match file::read(path) {
        Ok(text) => parsed(path, &text),
        Err(KeyFileError::Missing(_)) => {
            let made = WebhookSecret::generate(SignatureKind::V1)?;
            write(path, &made.expose())?;
            eprintln!(
                "A new secret is in {}: let the receiver verify with it.",
                path.display()
            );
            Ok(made)
        }
        Err(other) => Err(other.into()),
    }
}

/// Keeps a secret in a new file, with mode 0600.
pub(super) fn write(path: &Path, secret: &str) -> Result<(), Failure> {
    let line = Zeroizing::new([secret, "\n"].concat());
    Ok(file::create(path, line.as_bytes())?)
}

fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(
    path: &Path,
    text: &[u8],
) -> Result<T, Failure> {
    let text = std::str::from_utf8(text).unwrap_or_default();
    text.trim()
        .parse()
        .map_err(|error| Failure::Refused(format!("the secret in {}: {error}", path.display())))
}
