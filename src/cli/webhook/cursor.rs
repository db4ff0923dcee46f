//! How far events were forwarded: a file that survives the process, and the machine's fall.

use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::cli::Failure;
use crate::cli::fresh_file::{FreshFile, failed};

/// The place in a partner's events up to which all were taken by the receiver.
pub(super) struct Cursor {
    path: PathBuf,
    content: Content,
}

#[derive(Serialize, Deserialize)]
struct Content {
    /// Whose events: the API and the client.
    api: String,
    client_id: String,
    /// The number of the last event that was taken; 0: none.
    seq: i64,
}

impl Cursor {
    /// Reads the file of a client's cursor. `None`: there is none yet.
    pub(super) fn read(path: &Path, api: &str, client_id: &str) -> Result<Option<Self>, Failure> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(path)(error)),
        };
        let content: Content = serde_json::from_str(&text).map_err(|_| {
            Failure::Refused(format!(
                "{} is not a cursor of `webhook listen`",
                path.display()
            ))
        })?;
        if content.api != api || content.client_id != client_id {
            return Err(Failure::Refused(format!(
                "{} is the cursor of {} at {}: name another file with --cursor",
                path.display(),
                content.client_id,
                content.api
            )));
        }
        Ok(Some(Self {
            path: path.to_owned(),
            content,
        }))
    }

    /// A new one at a place.
    pub(super) fn create(
        path: &Path,
        api: &str,
        client_id: &str,
        seq: i64,
    ) -> Result<Self, Failure> {
        let mut cursor = Self {
            path: path.to_owned(),
            content: Content {
                api: api.to_owned(),
                client_id: client_id.to_owned(),
                seq,
            },
        };
        cursor.advance(seq)?;
        Ok(cursor)
    }

    /// The number up to which all were taken.
    pub(super) fn seq(&self) -> i64 {
        self.content.seq
    }

    /// Moves to a number, durably: when this has returned, a fall of the machine does not take it back.
    pub(super) fn advance(&mut self, seq: i64) -> Result<(), Failure> {
        self.content.seq = seq;
        let text = serde_json::to_string(&self.content)? + "\n";
        let mut file = FreshFile::beside(&self.path)?;
        file.write_all(text.as_bytes())
            .map_err(failed(&self.path))?;
        file.put()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_found_where_it_was_left_and_by_its_client_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cursor");
        let read = |client: &str| Cursor::read(&path, "https://a/sandbox/v1", client);
        assert!(read("cl_1").ok().unwrap().is_none());
        let mut cursor = Cursor::create(&path, "https://a/sandbox/v1", "cl_1", 7)
            .ok()
            .unwrap();
        assert_eq!(read("cl_1").ok().unwrap().unwrap().seq(), 7);
        cursor.advance(8).ok().unwrap();
        assert_eq!(read("cl_1").ok().unwrap().unwrap().seq(), 8);
        assert!(read("cl_2").is_err());
        std::fs::write(&path, "8").unwrap();
        assert!(read("cl_1").is_err());
    }
}
