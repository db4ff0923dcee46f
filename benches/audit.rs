//! How many audit events a second get their places, and how long a million take to verify.
//!
//! `cargo bench --bench audit` writes events into a fresh database, gives them their places as the worker does, and
//! prints the rate; then it writes an export of made-up events with a true tree, and runs `audit verify` over it. Options
//! after `--`:
//!
//!     --events 100000           events to be sequenced
//!     --exported 1000000        events in the export
//!     --database postgres://…   another database than a fresh SQLite file (`--features postgres`)

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a benchmark that cannot be set up should stop at once"
)]

use std::borrow::Cow;
use std::io::Write;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant as Clock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use onyx_auth::audit::lines::{CheckpointLine, EventLine, LogLine, VERSION};
use onyx_auth::audit::sequence::{Batch, Tree, extend};
use onyx_auth::audit::tree::Edge;
use onyx_auth::audit::{self, Action, Actor, Deed, checkpoint, leaf};
use onyx_auth::domain::id::AuditEventId;
use onyx_auth::domain::instant::Instant;
use onyx_auth::keys::{AuditKeys, MasterKey};
use onyx_auth::store::{Store, StoreError, audit_events};
use serde_json::value::RawValue;

/// How many events the worker takes at a time.
const BATCH: i64 = 1000;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let option = |name: &str| {
        let at = arguments.iter().position(|a| a == name);
        at.map(|at| arguments[at + 1].as_str())
    };
    let events = option("--events").map_or(100_000, |n| n.parse().unwrap());
    let exported = option("--exported").map_or(1_000_000, |n| n.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let sqlite = format!("sqlite://{}/onyx.db", folder.path().display());
    let master = MasterKey::parse(STANDARD.encode([7; 32]).as_bytes()).unwrap();
    let keys = Arc::clone(master.audit());
    let url = option("--database").unwrap_or(&sqlite);
    actix_web::rt::System::new().block_on(sequence(url, &keys, events));
    verify(&folder.path().join("export.ndjson"), &keys, exported);
}

fn deed() -> (Actor, Deed) {
    let actor = Actor::host().within(
        Some("req_01K2ZJ6V9D3M5K7N2R4T6W8Y0A".to_owned()),
        Some("192.0.2.9".to_owned()),
    );
    let deed = Deed::new(Action::CredentialIssued, "crd_01K2ZJ6V9D3M5K7N2R4T6W8Y0A")
        .detail("client_id", "cl_sbx_01K2ZJ6V9D3M5K7N2R4T6W8Y0A")
        .detail("expires_at", "2030-01-31T12:00:00Z");
    (actor, deed)
}

async fn sequence(url: &str, keys: &Arc<AuditKeys>, events: usize) {
    let store = Store::open(url).unwrap();
    store.migrate().unwrap();
    let now = Instant::from_epoch_seconds(1_800_000_000);
    let mut written = 0;
    while written < events {
        let keys = Arc::clone(keys);
        let write = store.write(move |db| {
            for _ in 0..BATCH {
                let (actor, deed) = deed();
                audit::record(db, &keys, &actor, deed, now)?;
            }
            Ok::<_, StoreError>(())
        });
        write.await.unwrap();
        written += usize::try_from(BATCH).unwrap();
    }
    let reader = Arc::clone(keys);
    let mut tree = store.read(move |db| Tree::read(db, &reader)).await.unwrap();
    let (begun, mut longest, before) = (Clock::now(), Duration::ZERO, tree.size());
    loop {
        let judge = Arc::clone(keys);
        let batch = store.read(move |db| {
            let events = audit_events::pending(db, "", BATCH)?;
            Ok::<_, StoreError>(Batch::of(&judge, &events))
        });
        let batch = batch.await.unwrap();
        if batch.is_empty() {
            break;
        }
        let (signer, known, write) = (Arc::clone(keys), tree.clone(), Clock::now());
        let extended = store.write(move |db| extend(db, &signer, "bench", &known, &batch, now));
        tree = extended.await.unwrap().unwrap();
        longest = longest.max(write.elapsed());
    }
    let took = begun.elapsed().as_secs_f64();
    let rate = (tree.size() - before) as f64 / took;
    let engine = url.split(':').next().unwrap();
    println!(
        "{engine}: {rate:.0} events/s get their places; the longest transaction {longest:.1?}"
    );
}

/// Writes an export of so many events, and runs the real program over it.
fn verify(path: &std::path::Path, keys: &AuditKeys, events: u64) {
    let mut out = std::io::BufWriter::new(std::fs::File::create(path).unwrap());
    let log = LogLine {
        r#type: "log".into(),
        version: VERSION,
        name: keys.name().into(),
        key: keys.verifier().into(),
        size: events,
    };
    writeln!(out, "{}", serde_json::to_string(&log).unwrap()).unwrap();
    let mut edge = Edge::default();
    let now = Instant::from_epoch_seconds(1_800_000_000);
    for place in 0..events {
        let salt = format!("{place:032x}");
        let mut event = EventLine {
            r#type: "event".into(),
            leaf_index: Some(i64::try_from(place).unwrap()),
            leaf_hash: None,
            id: AuditEventId::generate(now).to_string().into(),
            at: "2027-01-15T08:00:00.123456Z".into(),
            actor: "cl_adm_01K2ZJ6V9D3M5K7N2R4T6W8Y0A".into(),
            credential_id: Some("crd_01K2ZJ6V9D3M5K7N2R4T6W8Y0A".into()),
            action: "credential.issued".into(),
            target: "crd_01K2ZJ6V9D3M5K7N2R4T6W8Y0A".into(),
            partner_id: Some("ptn_01K2ZJ6V9D3M5K7N2R4T6W8Y0A".into()),
            realm: Some("sandbox".into()),
            outcome: "done".into(),
            request_id: Some("req_01K2ZJ6V9D3M5K7N2R4T6W8Y0A".into()),
            source_ip: Some("192.0.2.9".into()),
            source_ip_commitment: Some(leaf::commitment(&salt, "192.0.2.9").into()),
            source_ip_salt: Some(salt.into()),
            details: Cow::Owned(RawValue::from_string(r#"{"client_id":"cl_sbx_01K2ZJ6V9D3M5K7N2R4T6W8Y0A","expires_at":"2030-01-31T12:00:00Z"}"#.to_owned()).unwrap()),
            authentic: true,
            set_aside: None,
        };
        let hash = event.leaf(&event.details_text()).hash();
        event.leaf_hash = Some(STANDARD.encode(hash.0).into());
        edge.push(hash, |_| ());
        writeln!(out, "{}", serde_json::to_string(&event).unwrap()).unwrap();
        // As often as at 5,000 events a second.
        if (place + 1).is_multiple_of(1000) && place + 1 < events {
            let head = checkpoint::sign(keys, place + 1, edge.root()).unwrap();
            writeln!(out, "{}", head_line("checkpoint", &head.note, None)).unwrap();
        }
    }
    let head = checkpoint::sign(keys, events, edge.root()).unwrap();
    let lines = 2 + events + (events - 1) / 1000;
    writeln!(out, "{}", head_line("end", &head.note, Some(lines))).unwrap();
    out.flush().unwrap();
    drop(out);
    let begun = Clock::now();
    let checked = Command::new(env!("CARGO_BIN_EXE_onyx-auth"))
        .args(["audit", "verify", "--key", keys.verifier(), "--export"])
        .arg(path)
        .output()
        .unwrap();
    let took = begun.elapsed().as_secs_f64();
    assert!(
        checked.status.success(),
        "{}",
        String::from_utf8_lossy(&checked.stderr)
    );
    let size = std::fs::metadata(path).unwrap().len() / 1_000_000;
    println!("{events} events ({size} MB) verify in {took:.1} s");
}

fn head_line(kind: &str, note: &str, lines: Option<u64>) -> String {
    let line = CheckpointLine {
        r#type: kind.into(),
        note: Some(note.into()),
        lines,
    };
    serde_json::to_string(&line).unwrap()
}
