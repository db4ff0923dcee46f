//! `onyx-auth webhook listen`: a partner's events, forwarded to a receiver that the server cannot reach.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use reqwest::{Method, StatusCode, Url};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::Who;
use super::client::{PartnerClient, Unanswered};
use super::cursor::Cursor;
use super::forward::Forwarder;
use super::secret;
use crate::cli::output::{Output, line};
use crate::cli::{Done, Failure};
use crate::domain::event::EventKind;

/// How often new events are looked for.
const ROUND: Duration = Duration::from_secs(1);
/// How long is waited before a server that does not answer is asked again.
const PAUSE: Duration = Duration::from_secs(5);

#[derive(Args)]
pub(in crate::cli) struct Listen {
    /// The receiver, such as http://localhost:3000/webhooks
    #[arg(long, value_name = "URL")]
    forward_to: Url,
    #[command(flatten)]
    who: Who,
    /// Where it is kept how far events were taken; with it, another run goes on where this one ended
    #[arg(long, value_name = "FILE", default_value = "webhook-cursor.json")]
    cursor: PathBuf,
    /// The secret that messages are signed with; made where there is none
    #[arg(long, value_name = "FILE", default_value = "webhook-secret")]
    secret: PathBuf,
    /// Begin after the event with this number; 0: with the oldest that is kept [default: with what comes from now on]
    #[arg(long, value_name = "SEQ")]
    after: Option<i64>,
    /// Forward this type alone; may be said several times
    #[arg(long = "type", value_name = "TYPE")]
    types: Vec<EventKind>,
    /// End when all events that there are have been taken
    #[arg(long)]
    exit: bool,
}

/// A page of events; each as the text that it is sent as.
#[derive(Deserialize)]
struct Events<'a> {
    #[serde(borrow)]
    data: Vec<&'a RawValue>,
    last_seq: i64,
    purged_up_to: i64,
}

/// What of an event matters here.
#[derive(Deserialize)]
struct Head {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    seq: i64,
}

pub(super) async fn run(options: Listen, output: &Output) -> Done {
    if !matches!(options.forward_to.scheme(), "http" | "https") {
        return Err(Failure::Usage(
            "--forward-to must be an http or https URL".to_owned(),
        ));
    }
    let mut partner = options.who.connect().await?;
    let secret = secret::read_or_make(&options.secret)?;
    let forwarder = Forwarder::new(options.forward_to.clone(), secret)?;
    let mut cursor = begin(&options, &mut partner).await?;
    eprintln!(
        "Events of {} after number {} go to {}",
        partner.client_id(),
        cursor.seq(),
        options.forward_to
    );
    loop {
        let more = match page(&mut partner, Some(cursor.seq()), 100).await {
            Ok(text) => {
                let events: Events<'_> = serde_json::from_str(&text)?;
                forward(&options, &forwarder, &mut cursor, &events, output).await?;
                cursor.seq() < events.last_seq
            }
            Err(Unanswered::Refused(StatusCode::GONE, body)) => {
                skip(&mut cursor, &body)?;
                true
            }
            Err(Unanswered::Later(why)) => {
                eprintln!("{why}\nAsking again in {PAUSE:?}");
                tokio::time::sleep(PAUSE).await;
                true
            }
            Err(other) => return Err(other.into()),
        };
        if more {
            continue;
        }
        if options.exit {
            return Ok(());
        }
        tokio::time::sleep(ROUND).await;
    }
}

/// The cursor that was left, or a new one.
async fn begin(options: &Listen, partner: &mut PartnerClient) -> Result<Cursor, Failure> {
    let (api, client) = (partner.api(), partner.client_id().to_string());
    if let Some(cursor) = Cursor::read(&options.cursor, &api, &client)? {
        if options.after.is_some() {
            return Err(Failure::Usage(format!(
                "{} says how far events were taken: delete it, or leave --after out",
                options.cursor.display()
            )));
        }
        return Ok(cursor);
    }
    let text = page(partner, None, 1).await?;
    let events: Events<'_> = serde_json::from_str(&text)?;
    let seq = match options.after {
        Some(0) => events.purged_up_to,
        Some(seq) => seq,
        None => events.last_seq,
    };
    Cursor::create(&options.cursor, &api, &client, seq)
}

async fn page(
    partner: &mut PartnerClient,
    after: Option<i64>,
    limit: u8,
) -> Result<String, Unanswered> {
    let path = match after {
        Some(seq) => format!("/events?after_seq={seq}&limit={limit}"),
        None => format!("/events?limit={limit}"),
    };
    partner.text(Method::GET, &path, None).await
}

/// Forwards a page in order. The cursor moves when an event was taken, never before: what was taken and not
/// written down is sent again, under the same id.
async fn forward(
    options: &Listen,
    forwarder: &Forwarder,
    cursor: &mut Cursor,
    events: &Events<'_>,
    output: &Output,
) -> Done {
    for event in &events.data {
        let Head { id, kind, seq } = serde_json::from_str(event.get())?;
        if seq != cursor.seq() + 1 {
            return Err(Failure::Refused(format!(
                "the server left out what is between {} and {seq}",
                cursor.seq()
            )));
        }
        if options.types.is_empty() || options.types.iter().any(|one| one.as_str() == kind) {
            let taken = forwarder.deliver(&id, event.get()).await;
            let (status, attempts) = (taken.status, taken.attempts);
            if output.is_json() {
                let told = json!({ "seq": seq, "id": id, "type": kind, "status": status, "attempts": attempts });
                line(&told.to_string())?;
            } else {
                line(&format!("{seq} {id} {kind} {status}"))?;
            }
        }
        cursor.advance(seq)?;
    }
    Ok(())
}

/// Says what cannot be had any more, and goes on behind it.
fn skip(cursor: &mut Cursor, body: &Value) -> Done {
    let number = |name: &str| body.get(name).and_then(Value::as_i64);
    let (Some(last), Some(purged)) = (number("last_seq"), number("purged_up_to")) else {
        return Err(Failure::Refused(
            "the server does not say which events are kept".to_owned(),
        ));
    };
    let (seq, to) = (
        cursor.seq(),
        if cursor.seq() < purged { purged } else { last },
    );
    if seq < purged {
        eprintln!(
            "Events {} to {purged} are kept no more, or a backup was restored, and were not forwarded: fetch over the API what they were about.",
            seq + 1
        );
    } else {
        eprintln!(
            "The server's last event is {last}, and {seq} was taken: it was restored from a backup. Going on after {last}."
        );
    }
    cursor.advance(to)
}
