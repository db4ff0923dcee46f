//! A receiver of webhooks: verifies, keeps, answers; then processes each event once.

use std::collections::HashSet;
use std::env;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::sync::{Mutex, mpsc};
use std::time::{SystemTime, UNIX_EPOCH};

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

/// By how many seconds a message's time may be off.
const TOLERANCE: u64 = 300;
const LARGEST: usize = 65_536;

/// Whether one of the secrets signed this; else, why not.
fn verify(secrets: &str, request: &HttpRequest, body: &[u8]) -> Result<(), &'static str> {
    let header = |name: &str| {
        let value = request.headers().get(name);
        value
            .and_then(|value| value.to_str().ok())
            .ok_or("a header is missing")
    };
    let (id, sent) = (header("webhook-id")?, header("webhook-timestamp")?);
    let seconds: u64 = sent.parse().map_err(|_| "the timestamp is no number")?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    if now.map_or(0, |now| now.as_secs()).abs_diff(seconds) > TOLERANCE {
        return Err("the timestamp is too far from now");
    }
    let message = [id.as_bytes(), b".", sent.as_bytes(), b".", body].concat();
    let signatures: Vec<Vec<u8>> = header("webhook-signature")?
        .split(' ')
        .filter_map(|one| STANDARD.decode(one.strip_prefix("v1,")?).ok())
        .collect();
    for secret in secrets.split_whitespace() {
        let secret = secret.strip_prefix("whsec_").unwrap_or(secret);
        let secret = STANDARD
            .decode(secret)
            .map_err(|_| "a secret is no base64")?;
        let key = hmac::Key::new(hmac::HMAC_SHA256, &secret);
        // In constant time.
        if signatures
            .iter()
            .any(|one| hmac::verify(&key, &message, one).is_ok())
        {
            return Ok(());
        }
    }
    Err("no signature fits")
}

/// A file to which lines are added: one that is there after a call is on the disk.
struct Journal(File);

impl Journal {
    /// Opens it; answers the lines that it has.
    fn open(path: &str) -> io::Result<(Self, Vec<String>)> {
        let text = fs::read_to_string(path).unwrap_or_default();
        // What a crash left half written was never answered: it comes again.
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        file.set_len(whole as u64)?;
        let lines = text.get(..whole).unwrap_or_default().lines();
        Ok((Self(file), lines.map(str::to_owned).collect()))
    }

    fn add(&mut self, line: &str) -> io::Result<()> {
        let size = self.0.metadata()?.len();
        let written = self.0.write_all(format!("{line}\n").as_bytes());
        let written = written.and_then(|()| self.0.sync_data());
        if written.is_err() {
            // The disk is full, perhaps: no half line may stay before the next.
            self.0.set_len(size)?;
        }
        written
    }
}

/// What was received: each id once.
struct Inbox {
    journal: Journal,
    known: HashSet<String>,
    waiting: mpsc::Sender<Value>,
}

fn id(event: &Value) -> String {
    event["id"].as_str().unwrap_or_default().to_owned()
}

impl Inbox {
    /// Keeps an event. Of a repeated id nothing is kept, and so it is processed once.
    fn keep(&mut self, event: Value) -> io::Result<()> {
        if self.known.contains(&id(&event)) {
            return Ok(());
        }
        self.journal.add(&event.to_string())?;
        self.known.insert(id(&event));
        self.waiting.send(event).map_err(io::Error::other)
    }
}

async fn receive(
    request: HttpRequest,
    body: web::Bytes,
    inbox: web::Data<Mutex<Inbox>>,
) -> HttpResponse {
    // Read each time, one a line: no restart after a rotation.
    let path = env::var("SECRETS").unwrap_or_else(|_| "webhook-secret".to_owned());
    let secrets = fs::read_to_string(path).unwrap_or_default();
    if let Err(why) = verify(&secrets, &request, &body) {
        eprintln!("refused: {why}");
        return HttpResponse::Unauthorized().finish();
    }
    let Ok(message) = serde_json::from_slice::<Value>(&body) else {
        return HttpResponse::BadRequest().finish();
    };
    if message.get("type").and_then(Value::as_str) == Some("webhook_endpoint.challenge") {
        return HttpResponse::Ok().json(json!({ "challenge": message.get("challenge") }));
    }
    // Tests have no number.
    let kept = message.get("seq").is_none_or(Value::is_null)
        || inbox
            .lock()
            .is_ok_and(|mut inbox| inbox.keep(message).is_ok());
    if kept {
        HttpResponse::Ok().finish()
    } else {
        HttpResponse::ServiceUnavailable().finish()
    }
}

/// What you do about an event. Where it changes a database, mark it as done in the same transaction.
fn process(event: &Value) {
    println!(
        "processed {} {}",
        id(event),
        event["type"].as_str().unwrap_or_default()
    );
}

#[actix_web::main]
async fn main() -> io::Result<()> {
    let path = env::var("INBOX").unwrap_or_else(|_| "inbox.ndjson".to_owned());
    let (journal, received) = Journal::open(&path)?;
    let (mut finished, done) = Journal::open(&format!("{path}.done"))?;
    let done: HashSet<String> = done.into_iter().collect();
    let received: Vec<Value> = received
        .iter()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    let known = received.iter().map(id).collect();
    let (waiting, work) = mpsc::channel();
    for event in received
        .into_iter()
        .filter(|event| !done.contains(&id(event)))
    {
        waiting.send(event).map_err(io::Error::other)?;
    }
    std::thread::spawn(move || {
        for event in work {
            process(&event);
            if finished.add(&id(&event)).is_err() {
                std::process::abort();
            }
        }
    });
    let inbox = web::Data::new(Mutex::new(Inbox {
        journal,
        known,
        waiting,
    }));
    let port = env::var("PORT")
        .ok()
        .and_then(|port| port.parse().ok())
        .unwrap_or(3000);
    HttpServer::new(move || {
        App::new()
            .app_data(inbox.clone())
            .app_data(web::PayloadConfig::new(LARGEST))
            .default_service(web::post().to(receive))
    })
    .bind(("127.0.0.1", port))?
    .run()
    .await
}
