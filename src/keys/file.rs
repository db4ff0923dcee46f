//! Key files: readable by their owner alone, or refused.

use std::io::{ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// A key file cannot be used; each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// Not there.
    #[error("{0} does not exist")]
    Missing(PathBuf),
    /// Not readable, or not writable.
    #[error("{path}: {cause}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// Others than the owner may read it.
    #[error(
        "{path} has mode {mode:04o}: others than its owner can read it; run `chmod 600 {path}`"
    )]
    TooOpen {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
}

/// Reads a key file of at most 64 KiB whose owner alone may touch it.
pub(crate) fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, KeyFileError> {
    let fail = |cause: std::io::Error| match cause.kind() {
        ErrorKind::NotFound => KeyFileError::Missing(path.to_owned()),
        _ => KeyFileError::Io {
            path: path.to_owned(),
            cause,
        },
    };
    // The open file is asked, not the path: nobody can swap it in between.
    let mut file = std::fs::File::open(path).map_err(fail)?;
    let metadata = file.metadata().map_err(fail)?;
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(KeyFileError::TooOpen {
            path: path.to_owned(),
            mode,
        });
    }
    if metadata.len() > 64 * 1024 {
        return Err(fail(std::io::Error::other("larger than any key")));
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(
        usize::try_from(metadata.len()).unwrap_or(0) + 1,
    ));
    std::io::Read::read_to_end(&mut file, &mut bytes).map_err(fail)?;
    Ok(bytes)
}

/// Writes a new key file with mode 0600; never over one that exists.
pub(crate) fn create(path: &Path, content: &[u8]) -> Result<(), KeyFileError> {
    let fail = |cause| KeyFileError::Io {
        path: path.to_owned(),
        cause,
    };
    if let Some(folder) = path
        .parent()
        .filter(|f| !f.as_os_str().is_empty() && !f.exists())
    {
        std::fs::DirBuilder::new()
            .recursive(true)
            .create(folder)
            .map_err(fail)?;
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700)).map_err(fail)?;
    }
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(fail)?;
    let written = file.write_all(content).and_then(|()| file.sync_all());
    if written.is_err() {
        // Half a key would be taken for one that was lost.
        let _ = std::fs::remove_file(path);
    }
    written.map_err(fail)
}
