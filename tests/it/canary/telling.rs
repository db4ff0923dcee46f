//! How the story is told to a server.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use onyx_auth::domain::id::DeliveryId;
use onyx_auth::keys::link::LinkKey;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;
use serde_json::Value;

use super::ledger::Ledger;
use super::story::{Ask, Body, Step, Who, story};
use crate::support::receiver::{Behaviour, Receiver};
use crate::support::world::{Answer, World, claims, days_away};

/// Numbers for the keys of requests that are executed once.
static KEYS: AtomicUsize = AtomicUsize::new(0);

/// What the story kept.
pub type Kept = BTreeMap<String, String>;

/// What the story kept by a name; nothing where the step that should have kept it failed.
fn known(kept: &Kept, name: &str) -> String {
    kept.get(name).cloned().unwrap_or_default()
}

/// Tells the story; answers what was kept, and the routes that were asked.
pub async fn tell(world: &World, ledger: &mut Ledger, receiver: &Receiver) -> (Kept, Vec<String>) {
    let mut kept = Kept::new();
    receiver.behave(Behaviour::Says(ledger.plant("a receiver's answer")));
    for name in ["receiver", "other_receiver"] {
        let payload = ledger.payload("the URL of a webhook endpoint");
        let payload = utf8_percent_encode(&payload, NON_ALPHANUMERIC);
        kept.insert(name.to_owned(), receiver.url(&format!("/in?key={payload}")));
    }
    world.cli(&["operator", "recover", "--out", "data/second.json"]);
    for (name, file) in [
        ("root", "data/operator.json"),
        ("recovered", "data/second.json"),
    ] {
        let credential = world.credential_file(file);
        ledger.secret(&format!("the secret in {file}"), &credential.secret);
        kept.insert(format!("{name}.id"), credential.client_id);
        kept.insert(format!("{name}.secret"), credential.secret);
    }
    let (mut asked, mut faults) = (Vec::new(), Vec::new());
    for step in story() {
        match step {
            Step::Ask(ask) => {
                asked.push(template(&ask.route));
                if let Err(fault) = carry_out(world, ledger, &mut kept, &ask).await {
                    faults.push(fault);
                }
            }
            Step::Age(table, name) => {
                let (id, at) = (known(&kept, name), days_away(-200));
                world.execute(&format!(
                    "UPDATE {table} SET created_at = '{at}' WHERE id = '{id}'"
                ));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    (kept, asked)
}

/// The route without what the story put into it.
fn template(route: &str) -> String {
    let mut parts = route.split('=');
    let mut template = parts.next().unwrap().to_owned();
    for part in parts {
        template.push_str(&part[part.find('}').unwrap()..]);
    }
    template
}

/// The error says what the answer was instead.
async fn carry_out(
    world: &World,
    ledger: &mut Ledger,
    kept: &mut Kept,
    ask: &Ask,
) -> Result<(), String> {
    let (method, path) = ask.route.split_once(' ').unwrap();
    let base = match path {
        "/healthz" | "/readyz" | "/metrics" => &world.ops,
        _ => &world.base,
    };
    let url = format!("{base}{}", filled(path, kept));
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let method: Method = method.parse().unwrap();
        let mut request = world.http.request(method, &url);
        request = match &ask.who {
            Who::Nobody => request,
            Who::Bearer(name) => request.bearer_auth(known(kept, name)),
            Who::Basic(name) => {
                let part = |part: &str| known(kept, &format!("{name}.{part}"));
                let (id, secret) = (part("id"), part("secret"));
                request.basic_auth(id, Some(secret))
            }
        };
        // Where it is asked for, it is a new one each time.
        let nth = KEYS.fetch_add(1, Ordering::Relaxed);
        request = request.header("idempotency-key", format!("story-{nth}"));
        request = match &ask.body {
            Body::None => request,
            Body::Json(body) => request.json(&with_kept(body, kept, ledger, &ask.route)),
            Body::Form(form) => {
                let form = form
                    .iter()
                    .map(|(name, value)| match value.strip_prefix('$') {
                        Some(wanted) => (*name, known(kept, wanted)),
                        None => (*name, value.clone()),
                    });
                request.form(&form.collect::<Vec<_>>())
            }
        };
        let response = request.send().await.unwrap();
        let streams = response
            .headers()
            .get("content-type")
            .is_some_and(|kind| kind == "text/event-stream");
        if streams {
            return Ok(());
        }
        let answer = Answer::of(response).await;
        ledger.answered(&ask.route, &answer);
        let fault = format!("{}: {} {}", ask.route, answer.status, answer.text);
        if answer.status != ask.status {
            return Err(format!("{fault}, and not {}", ask.status));
        }
        let missing = !ask.keeps.is_empty()
            && ask
                .keeps
                .iter()
                .any(|(pointer, _)| answer.json().pointer(pointer).is_none());
        if !missing {
            ask.keeps.iter().for_each(|(pointer, name)| {
                keep(kept, name, answer.json().pointer(pointer).unwrap(), ledger);
            });
            return Ok(());
        }
        // What a worker does comes a moment later.
        if Instant::now() > deadline {
            return Err(fault);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn keep(kept: &mut Kept, name: &str, value: &Value, ledger: &mut Ledger) {
    let text = value.as_str().unwrap().to_owned();
    if let Some((place, key)) = text.split_once('#') {
        let id: DeliveryId = place.rsplit('/').next().unwrap().parse().unwrap();
        let key: LinkKey = key.parse().unwrap();
        let proof = key.proof(&id).unwrap().expose().to_string();
        ledger.secret(&format!("the proof of {name}"), &proof);
        kept.insert(format!("{name}.id"), id.to_string());
        kept.insert(format!("{name}.proof"), proof);
    }
    // Where a token's status stands.
    if text.split('.').count() == 3 {
        let list = claims(&text)["status"]["status_list"]["uri"].clone();
        let list = list.as_str().and_then(|uri| uri.rsplit('/').next());
        kept.insert(format!("{name}.list"), list.unwrap_or_default().to_owned());
    }
    kept.insert(name.to_owned(), text);
}

fn filled(path: &str, kept: &Kept) -> String {
    let mut filled = String::new();
    for part in path.split_inclusive('}') {
        match part.strip_suffix('}').and_then(|part| part.split_once('{')) {
            Some((before, place)) => {
                let name = place.split_once('=').unwrap().1;
                filled.push_str(before);
                filled.push_str(kept.get(name).map_or(name, String::as_str));
            }
            None => filled.push_str(part),
        }
    }
    filled
}

fn with_kept(body: &Value, kept: &Kept, ledger: &mut Ledger, route: &str) -> Value {
    match body {
        Value::String(text) if text == "*" => ledger.payload(route).into(),
        Value::String(text) => match text.strip_prefix('$') {
            Some(name) => known(kept, name).into(),
            None => body.clone(),
        },
        Value::Array(items) => items
            .iter()
            .map(|item| with_kept(item, kept, ledger, route))
            .collect(),
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| (name.clone(), with_kept(value, kept, ledger, route)))
            .collect(),
        _ => body.clone(),
    }
}
