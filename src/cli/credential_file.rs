//! Credential files: `{"server","client_id","client_secret"}`, readable by their owner alone.

use std::io::{Read, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::Failure;
use super::fresh_file::{FreshFile, failed};
use crate::keys::file;

/// More than any such file has.
const LONGEST: u64 = 64 * 1024;

/// A client, its secret, and where it is known.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct CredentialFile {
    pub(super) server: String,
    pub(super) client_id: String,
    pub(super) client_secret: Zeroizing<String>,
}

impl CredentialFile {
    /// Reads a file, or standard input where it is named -; a file that others can read is refused.
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        let content = if path.as_os_str() == "-" {
            let mut content = Zeroizing::new(Vec::with_capacity(LONGEST as usize));
            std::io::stdin().take(LONGEST).read_to_end(&mut content)?;
            content
        } else {
            file::read(path)?
        };
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
        Slot::replacing(path)?.fill(self)
    }
}

/// A place for a credential file, found good before there is anything to keep in it.
pub(super) struct Slot(FreshFile);

impl Slot {
    /// Makes an empty file beside the one that is wanted, with mode 0600.
    pub(super) fn prepare(path: &Path) -> Result<Self, Failure> {
        if std::fs::symlink_metadata(path).is_ok() {
            return Err(Failure::Refused(format!(
                "{0} is there already, and may hold the only copy of a secret: move it away, or name another file with --out",
                path.display()
            )));
        }
        Self::replacing(path)
    }

    /// The same in the place of whatever is there.
    pub(super) fn replacing(path: &Path) -> Result<Self, Failure> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(failed(path))?;
        }
        FreshFile::beside(path).map(Self)
    }

    /// What the file will be called.
    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes the file, and puts it in its place.
    pub(super) fn fill(mut self, content: &CredentialFile) -> Result<(), Failure> {
        let text = Zeroizing::new(serde_json::to_string_pretty(content)? + "\n");
        self.0
            .write_all(text.as_bytes())
            .map_err(failed(self.0.path()))?;
        self.0.put()
    }
}
