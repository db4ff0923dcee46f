//! Credential files: `{"server","client_id","client_secret"}`, readable by their owner alone.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::Failure;
use crate::keys::file;

/// A client, its secret, and where it is known.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct CredentialFile {
    pub(super) server: String,
    pub(super) client_id: String,
    pub(super) client_secret: Zeroizing<String>,
}

impl CredentialFile {
    /// Reads a file; one that others can read is refused.
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        let content = file::read(path)?;
        serde_json::from_slice(&content).map_err(|_| {
            let wanted = r#"{"server","client_id","client_secret"}"#;
            Failure::Refused(format!(
                "{} is not a credential file: it must hold {wanted}",
                path.display()
            ))
        })
    }

    /// How a client authenticates by form.
    pub(super) fn as_form(&self) -> [(&str, &str); 2] {
        [
            ("client_id", self.client_id.as_str()),
            ("client_secret", self.client_secret.as_str()),
        ]
    }

    /// Writes the file whole or not at all, with mode 0600.
    pub(super) fn write(&self, path: &Path) -> Result<(), Failure> {
        let fail = |error: std::io::Error| Failure::Refused(format!("{}: {error}", path.display()));
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(fail)?;
        }
        let text = Zeroizing::new(serde_json::to_string_pretty(self)? + "\n");
        let fresh = path.with_extension("json.new");
        // What an interrupted run left would keep the mode that it has.
        if let Err(error) = std::fs::remove_file(&fresh)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            return Err(fail(error));
        }
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&fresh)
            .map_err(fail)?;
        file.write_all(text.as_bytes())
            .and_then(|()| file.sync_all())
            .map_err(fail)?;
        std::fs::rename(&fresh, path).map_err(fail)
    }
}
