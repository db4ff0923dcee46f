//! What is kept in files: exports and checkpoints.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use crate::cli::admin_client::AdminClient;
use crate::cli::fresh_file::{FreshFile, failed};
use crate::cli::{Done, Failure};

/// The largest checkpoint that is read.
const LARGEST: u64 = 64 * 1024;

/// Writes the trail to a file, which has its name only once it is whole; or to standard output.
pub(super) async fn export(admin: &AdminClient, path: &Path) -> Done {
    if path.as_os_str() == "-" {
        let out = std::io::stdout().lock();
        return copy(admin, out).await.map(|_| ());
    }
    let file = FreshFile::beside(path)?;
    copy(admin, file).await?.put()
}

async fn copy<W: Write>(admin: &AdminClient, out: W) -> Result<W, Failure> {
    let mut out = BufWriter::new(out);
    let mut answer = admin.stream("/audit/export").await?;
    // An export that broke off is one without its last line; saying so here spares a later look.
    let (mut last, mut is_whole) = (Vec::new(), false);
    while let Some(bytes) = answer.chunk().await? {
        out.write_all(&bytes)?;
        if std::mem::replace(&mut is_whole, bytes.ends_with(b"\n")) {
            last.clear();
        }
        let cut = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        match cut.iter().rposition(|byte| *byte == b'\n') {
            Some(newline) => last = cut.get(newline + 1..).unwrap_or_default().to_vec(),
            None => last.extend_from_slice(cut),
        }
    }
    if !is_whole || !last.starts_with(br#"{"type":"end""#) {
        return Err(Failure::Refused(
            "the export broke off: try again".to_owned(),
        ));
    }
    out.into_inner().map_err(|error| error.into_error().into())
}

/// The checkpoint that is kept in a file. `None`: there is no such file yet.
pub(super) fn kept(path: &Path) -> Result<Option<String>, Failure> {
    use std::io::Read;
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(path)(error)),
    };
    let mut note = String::new();
    let read = file.take(LARGEST).read_to_string(&mut note);
    read.map_err(failed(path))?;
    Ok(Some(note))
}

/// Keeps a checkpoint in the place of the one before, whole or not at all.
pub(super) fn keep(path: &Path, note: &str) -> Done {
    let mut file = FreshFile::beside(path)?;
    file.write_all(note.as_bytes()).map_err(failed(path))?;
    file.put()
}
