//! Files that are written beside the one that is wanted, and then take its place: whole or not at all.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::Failure;

/// A new file, for its owner alone, that is not in its place yet. Dropped before, it is gone.
pub(super) struct FreshFile {
    path: PathBuf,
    fresh: PathBuf,
    file: File,
}

impl FreshFile {
    /// Makes it, empty, beside the file that is wanted.
    pub(super) fn beside(path: &Path) -> Result<Self, Failure> {
        let fail = failed(path);
        if path.is_dir() {
            return Err(fail(io::ErrorKind::IsADirectory.into()));
        }
        let mut fresh = path.as_os_str().to_owned();
        fresh.push(".new");
        let fresh = PathBuf::from(fresh);
        // What an interrupted run left would keep the mode that it has, and a link would be followed.
        if let Err(error) = std::fs::remove_file(&fresh)
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(failed(&fresh)(error));
        }
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&fresh)
            .map_err(failed(&fresh))?;
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

    /// Puts it in its place, durably: when this has returned, a fall of the machine does not take it back.
    pub(super) fn put(self) -> Result<(), Failure> {
        let put = || {
            self.file.sync_all()?;
            std::fs::rename(&self.fresh, &self.path)?;
            // The name too must be on the disk.
            let folder = self.path.parent();
            let folder = folder.filter(|path| !path.as_os_str().is_empty());
            File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
        };
        put().map_err(failed(&self.path))
    }
}

impl Write for FreshFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for FreshFile {
    /// Leaves nothing behind where nothing came of it; what was put has its own name by now.
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.fresh);
    }
}

/// What went wrong with a file.
pub(super) fn failed(path: &Path) -> impl Fn(io::Error) -> Failure {
    move |error| Failure::Refused(format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_file_is_whole_or_not_there_and_no_link_is_followed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trail.ndjson");
        let victim = folder.path().join("victim");
        std::fs::write(&victim, "mine").unwrap();
        symlink(&victim, folder.path().join("trail.ndjson.new")).unwrap();

        let mut file = FreshFile::beside(&path).unwrap();
        file.write_all(b"half").unwrap();
        drop(file);
        assert!(!path.exists());

        let mut file = FreshFile::beside(&path).unwrap();
        file.write_all(b"whole").unwrap();
        file.put().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "whole");
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "mine");
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let left = std::fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(left, 2);
    }
}
