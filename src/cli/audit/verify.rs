//! `onyx-auth audit verify`, against a server or offline, and the check of a single proof.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use serde_json::{Value, json};
use tlog_tiles::{Hash, check_record, record_hash};

use super::keeping::{keep, kept};
use crate::audit::checkpoint::HeadVerifier;
use crate::audit::leaf::Leaf;
use crate::audit::verify::{BadExport, Verdict, Verification};
use crate::cli::admin_client::AdminClient;
use crate::cli::fresh_file::failed;
use crate::cli::output::Output;
use crate::cli::{Done, Failure};

/// What is checked, and against what.
#[derive(Args)]
pub(in crate::cli) struct FromFile {
    /// Check an export in a file, or - for standard input, without a server
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) export: Option<PathBuf>,
    /// The tree must have grown from the checkpoint in this file; the new one takes its place
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// The key that verifies checkpoints, as `audit key` prints it [default: the export's own word]
    #[arg(long)]
    key: Option<String>,
}

/// Checks an export in a file. No server is asked, and no secret is needed: the MACs are the server's own
/// means.
pub(in crate::cli) fn offline(from: &FromFile, output: &Output) -> Done {
    let export = from.export.as_deref().unwrap_or(Path::new("-"));
    if from.key.is_none() && from.checkpoint.is_none() {
        eprintln!(
            "The key is the one that the export names: whoever made up the one can have made up the other. --key and --checkpoint say better."
        );
    }
    let mut check = begin(from)?;
    if export.as_os_str() == "-" {
        lines(&mut check, std::io::stdin().lock())?;
    } else {
        let file = File::open(export).map_err(failed(export))?;
        lines(&mut check, BufReader::with_capacity(1 << 20, file))?;
    }
    conclude(from, check, output)
}

/// Checks what a server exports.
pub(super) async fn server(from: &FromFile, admin: &AdminClient, output: &Output) -> Done {
    let mut check = begin(from)?;
    let mut answer = admin.stream("/audit/export").await?;
    let mut rest: Vec<u8> = Vec::new();
    while let Some(bytes) = answer.chunk().await? {
        rest.extend_from_slice(&bytes);
        let Some(end) = rest.iter().rposition(|byte| *byte == b'\n') else {
            continue;
        };
        let tail = rest.split_off(end + 1);
        for line in rest.split(|byte| *byte == b'\n') {
            if !line.is_empty() {
                check.line(&utf8(line)?).map_err(unreadable)?;
            }
        }
        rest = tail;
    }
    conclude(from, check, output)
}

fn begin(from: &FromFile) -> Result<Verification, Failure> {
    let known = match &from.checkpoint {
        Some(path) => kept(path)?,
        None => None,
    };
    Verification::new(from.key.as_deref(), known).map_err(|error| match error {
        BadExport::Key(cause) => Failure::Usage(format!("--key: {cause}")),
        other => unreadable(other),
    })
}

fn lines(check: &mut Verification, mut reader: impl BufRead) -> Result<(), Failure> {
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 {
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        check.line(&utf8(text)?).map_err(unreadable)?;
        line.clear();
    }
    Ok(())
}

fn utf8(line: &[u8]) -> Result<std::borrow::Cow<'_, str>, Failure> {
    let text = std::str::from_utf8(line);
    let text =
        text.map_err(|_| Failure::Refused("the export is not UTF-8: it is garbled".to_owned()))?;
    Ok(text.into())
}

fn unreadable(error: BadExport) -> Failure {
    Failure::Refused(format!("the export cannot be checked: {error}"))
}

/// Says what came of it; keeps the new checkpoint only where nothing is wrong.
fn conclude(from: &FromFile, check: Verification, output: &Output) -> Done {
    let verdict = check.finish().map_err(unreadable)?;
    if let Some(first) = verdict.faults.first() {
        let more = verdict.faults.len() - 1;
        let rest = match more {
            0 => String::new(),
            _ => {
                let rest = verdict.faults.iter().skip(1).take(9);
                let rest: Vec<_> = rest.map(|fault| format!("\n  {}", fault.what)).collect();
                format!("\n{more} more:{}", rest.concat())
            }
        };
        return Err(Failure::Refused(format!(
            "the audit trail was changed: {}{rest}",
            first.what
        )));
    }
    if let (Some(path), Some(head)) = (&from.checkpoint, &verdict.head) {
        let is_first = kept(path)?.is_none();
        keep(path, &head.note)?;
        eprintln!(
            "{} holds the checkpoint over {} leaves now.",
            path.display(),
            head.size
        );
        if is_first {
            eprintln!("There was none before, so the tree was compared with nothing older.");
        }
    }
    if verdict.pending > 0 {
        eprintln!("{} events have no place in the tree yet.", verdict.pending);
    }
    output.record(&report(&verdict))
}

fn report(verdict: &Verdict) -> Value {
    let root = verdict.head.as_ref().map(|head| head.root.to_string());
    json!({
        "verified": true,
        "leaves": verdict.head.as_ref().map_or(0, |head| head.size),
        "events": verdict.events,
        "deleted": verdict.deleted,
        "pending": verdict.pending,
        "root": root,
    })
}

/// Checks a proof as the server answers it: the leaf under the root that was signed.
pub(super) fn proof(proof: &Value) -> Done {
    let wrong = |what: &str| Failure::Refused(format!("the proof does not hold: {what}"));
    let text = |name: &str| proof.get(name).and_then(Value::as_str).unwrap_or_default();
    let number = |name: &str| proof.get(name).and_then(Value::as_u64);
    let verifier = HeadVerifier::new(text("key"))?;
    let head = verifier.verify(text("checkpoint"))?;
    let leaf = STANDARD
        .decode(text("leaf"))
        .map_err(|_| wrong("its leaf is garbled"))?;
    let hashes = proof.get("hashes").and_then(Value::as_array);
    let hashes: Option<Vec<Hash>> = hashes
        .into_iter()
        .flatten()
        .map(|hash| Hash::parse_hash(hash.as_str()?).ok())
        .collect();
    let (Some(hashes), Some(index)) = (hashes, number("leaf_index")) else {
        return Err(wrong("its hashes are garbled"));
    };
    if number("tree_size") != Some(head.size) {
        return Err(wrong("it is for another tree than the checkpoint"));
    }
    if leaf != of_event(proof).bytes() {
        return Err(wrong("the leaf is not the event's"));
    }
    check_record(&hashes, head.size, head.root, index, record_hash(&leaf))
        .map_err(|_| wrong("the event is not in the tree that was signed"))
}

/// The leaf that the shown event makes.
fn of_event(proof: &Value) -> Shown<'_> {
    let event = proof.get("event").unwrap_or(&Value::Null);
    Shown {
        event,
        details: event
            .get("details")
            .map(Value::to_string)
            .unwrap_or_default(),
        commitment: proof.get("source_ip_commitment").and_then(Value::as_str),
    }
}

/// An event as a proof shows it.
struct Shown<'a> {
    event: &'a Value,
    details: String,
    commitment: Option<&'a str>,
}

impl Shown<'_> {
    fn bytes(&self) -> Vec<u8> {
        let some = |name: &str| self.event.get(name).and_then(Value::as_str);
        let text = |name: &str| some(name).unwrap_or_default();
        Leaf {
            id: text("id"),
            at: text("at"),
            actor: text("actor"),
            credential_id: some("credential_id"),
            action: text("action"),
            target: text("target"),
            partner_id: some("partner_id"),
            realm: some("realm"),
            outcome: text("outcome"),
            request_id: some("request_id"),
            source_ip_commitment: self.commitment,
            details: &self.details,
        }
        .bytes()
    }
}
