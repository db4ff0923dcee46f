//! Credential files: `{"server","client_id","client_secret"}`, readable by their owner alone.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

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
        Slot::prepare(path)?.fill(self)
    }
}

/// A place for a credential file, found good before there is anything to keep in it.
pub(super) struct Slot {
    path: PathBuf,
    fresh: PathBuf,
    file: File,
}

impl Slot {
    /// Makes an empty file beside the one that is wanted, with mode 0600.
    pub(super) fn prepare(path: &Path) -> Result<Self, Failure> {
        let fail = failed(path);
        if path.is_dir() {
            return Err(fail(std::io::ErrorKind::IsADirectory.into()));
        }
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(&fail)?;
        }
        let fresh = path.with_extension("json.new");
        // What an interrupted run left would keep the mode that it has.
        if let Err(error) = std::fs::remove_file(&fresh)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            return Err(fail(error));
        }
        let file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&fresh)
            .map_err(&fail)?;
        Ok(Self {
            path: path.to_owned(),
            fresh,
            file,
        })
    }

    /// What the file will be called.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the file, and puts it in its place.
    pub(super) fn fill(mut self, content: &CredentialFile) -> Result<(), Failure> {
        let text = Zeroizing::new(serde_json::to_string_pretty(content)? + "\n");
        self.file
            .write_all(text.as_bytes())
            .and_then(|()| self.file.sync_all())
            .and_then(|()| std::fs::rename(&self.fresh, &self.path))
            .map_err(failed(&self.path))
    }
}

impl Drop for Slot {
    /// Leaves nothing behind where nothing came of it; what was filled has its own name by now.
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.fresh);
    }
}

fn failed(path: &Path) -> impl Fn(std::io::Error) -> Failure {
    move |error| Failure::Refused(format!("{}: {error}", path.display()))
}
