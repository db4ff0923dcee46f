//! Why a backup cannot be taken or restored.

use std::path::PathBuf;

use crate::store::db::Target;
use crate::store::error::{OpenError, StoreError};

/// A backup cannot be taken or restored; each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The database cannot be opened or migrated.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The database refused or failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file cannot be read or written.
    #[error("{path}: {cause}")]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// The file is something else, or only a part of a backup.
    #[error("{0} is not a whole backup: {1}")]
    NotABackup(PathBuf, String),
    /// The file is of the other engine.
    #[error("{path} was taken of {engine}: a backup goes back into the engine that it came from")]
    OtherEngine {
        /// The file.
        path: PathBuf,
        /// Its engine.
        engine: String,
    },
    /// The tables of a PostgreSQL backup are not those of this program.
    #[error(
        "{path} was taken by version {version}, whose tables differ from this program's: restore it with that \
         version into a database of its own, then run this version's `onyx-auth migrate`"
    )]
    OtherTables {
        /// The file.
        path: PathBuf,
        /// Who took it.
        version: String,
    },
    /// What is put on record is sealed, and the key is not to be had.
    #[error("this cannot be put on record, and the server would not start either: {0}")]
    NoKey(String),
    /// Somebody works on the database.
    #[error("the database is in use: stop every onyx-auth that runs on it, then try again")]
    InUse,
    /// The database that would be replaced cannot say what was revoked.
    #[error(
        "there is no database to be replaced, so nobody knows what was revoked since the backup: restore over the \
         database that was lost, or say --forget-revocations and revoke again what must not live"
    )]
    NothingKnown,
    /// There is nothing to be backed up where the settings say that it is.
    #[error(
        "there is no database at {0}: is it the folder and are they the settings that the server runs with?"
    )]
    NoDatabase(String),
    /// The database that would be replaced cannot be read.
    #[error(
        "the database at {path} is damaged ({cause}), so nobody can read what was revoked since the backup: put it and \
         its -wal and -shm aside, restore with --forget-revocations, and revoke again what must not live"
    )]
    Damaged {
        /// The file.
        path: String,
        /// What the engine said.
        cause: String,
    },
    /// The backup is of another installation.
    #[error(
        "the backup was made under another master key than the database that it would replace: it is another \
         installation's"
    )]
    OtherInstallation,
    /// Rows of the backup point at rows that it does not have.
    #[error("the backup does not hold together: {0}")]
    Broken(String),
}

impl BackupError {
    /// The same, save where it is the replaced SQLite file that is damaged: of a damaged backup it is said as such.
    pub(super) fn told_of_damage(self, target: &Target) -> Self {
        let (Self::Open(_) | Self::Store(_), Target::Sqlite(path)) = (&self, target) else {
            return self;
        };
        let cause = self.to_string();
        if !says_damage(&cause) {
            return self;
        }
        Self::Damaged {
            path: path.clone(),
            cause,
        }
    }
}

impl From<diesel::result::Error> for BackupError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Store(error.into())
    }
}

impl From<diesel::ConnectionError> for BackupError {
    fn from(error: diesel::ConnectionError) -> Self {
        Self::Open(OpenError::connect(&error))
    }
}

/// Whether the engine says that a file is damaged, or is no database at all.
pub(super) fn says_damage(error: &str) -> bool {
    ["malformed", "not a database"]
        .iter()
        .any(|sign| error.contains(sign))
}
