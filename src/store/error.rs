//! What can go wrong at the database, sorted by what the caller can do about it.

use diesel::result::{DatabaseErrorKind, Error as Diesel};

/// A failure of the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A row with this key exists already; the text names the constraint.
    #[error("a row with this key exists already ({0})")]
    Duplicate(String),
    /// The row points at one that does not exist.
    #[error("a row that this one points at does not exist ({0})")]
    Dangling(String),
    /// No connection in time: the database is down or all connections are busy.
    #[error("the database gave no connection: {0}")]
    Unreachable(String),
    /// A tenant reads on all connections that it may.
    #[error("all connections of this tenant's share are busy")]
    Crowded,
    /// The database refused or failed.
    #[error("the database failed: {0}")]
    Failed(#[source] Diesel),
    /// The database is not where it was: it was restored, or the reader was away for too long.
    #[error("the database's changes do not follow on what was read before")]
    Rewound,
    /// The thread that held the connection ended early.
    #[error("the database task ended early")]
    Interrupted,
}

impl From<Diesel> for StoreError {
    fn from(error: Diesel) -> Self {
        match error {
            Diesel::DatabaseError(DatabaseErrorKind::UniqueViolation, info) => Self::Duplicate(
                info.constraint_name()
                    .unwrap_or_else(|| info.message())
                    .to_owned(),
            ),
            Diesel::DatabaseError(DatabaseErrorKind::ForeignKeyViolation, info) => Self::Dangling(
                info.constraint_name()
                    .unwrap_or_else(|| info.message())
                    .to_owned(),
            ),
            Diesel::DatabaseError(DatabaseErrorKind::ClosedConnection, _) => {
                Self::Unreachable("the connection was closed".to_owned())
            }
            Diesel::DatabaseError(_, ref info) if info.message() == "database is locked" => {
                Self::Unreachable("the database is locked by another process".to_owned())
            }
            other => Self::Failed(other),
        }
    }
}

/// The database cannot be opened; each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL has neither known scheme.
    #[error("database_url: must start with sqlite:// or postgres://")]
    UnknownScheme,
    /// The password ends the URL's authority.
    #[error(
        "database_url: a password's own `@`, `/`, `:` and `?` are written %40, %2F, %3A and %3F"
    )]
    BarePassword,
    /// Built without PostgreSQL.
    #[error(
        "database_url: this build has no PostgreSQL; build with `--features postgres` (system libpq) \
         or `--features postgres-bundled`"
    )]
    NoPostgres,
    /// The folder or file of the SQLite database cannot be made.
    #[error("database_url: cannot create {path}: {cause}")]
    File {
        /// The file that was wanted.
        path: String,
        /// What the system said.
        cause: std::io::Error,
    },
    /// The database does not answer.
    #[error("database_url: cannot connect: {0}")]
    Connect(String),
    /// A migration failed.
    #[error("migration failed: {0}")]
    Migrate(Box<dyn std::error::Error + Send + Sync>),
    /// The database is at a version that this program does not know.
    #[error(
        "the database has migration {0}, which this program does not know: run a newer onyx-auth"
    )]
    Newer(String),
    /// What is here is history.
    #[error(
        "it moved to PostgreSQL at {0}: name that database in database_url (or run `onyx-auth move` again, where it \
         was cut short)"
    )]
    Moved(String),
    /// A query failed while opening.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl OpenError {
    /// The first line of what the library says: more lines repeat it, and may repeat the URL. So does what it quotes
    /// before it has tried to connect: the part of the URL that it could not read, which may be a part of a password.
    pub(super) fn connect(error: &dyn std::fmt::Display) -> Self {
        let text = error.to_string();
        let line = text.lines().next().unwrap_or_default();
        let told = if line.starts_with("connection to ") {
            line
        } else {
            line.split(": \"").next().unwrap_or_default()
        };
        Self::Connect(told.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_read_of_a_url_is_not_repeated() {
        let told = |text: &str| OpenError::connect(&text).to_string();
        for text in [
            r#"end of string reached when looking for matching "]" in IPv6 host address in URI: "postgres://u:hunter2@[::1/x""#,
            r#"missing key/value separator "=" in URI query parameter: "hunter2""#,
            r#"invalid percent-encoded token: "hunter2%""#,
            "invalid\npostgres://u:hunter2@h",
        ] {
            assert!(!told(text).contains("hunter2"), "{}", told(text));
        }
        let refused = r#"connection to server at "127.0.0.1", port 5432 failed: FATAL:  role "u" does not exist"#;
        assert!(told(refused).ends_with(refused));
    }
}
