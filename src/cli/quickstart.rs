//! `onyx-auth quickstart`: from nothing to a token at work, each step repeatable with curl.

use std::path::Path;
use std::sync::Arc;

use clap::Args;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::admin_client::{fetch_token, http};
use super::credential_file::CredentialFile;
use super::output::{Output, line};
use super::settings::SettingFlags;
use super::{Done, Failure, block_on, serve};
use crate::admin::credentials::Issued;
use crate::admin::demo::{self, Remembered};
use crate::app::App;
use crate::audit::Actor;
use crate::http::server::{self, Listeners, Told};
use crate::{logging, worker};

const DEMO: &str = "data/demo.json";
const OPERATOR: &str = "data/operator.json";

#[derive(Args)]
pub(super) struct Quickstart {
    /// Stop after the steps
    #[arg(long)]
    exit: bool,
    #[command(flatten)]
    flags: SettingFlags,
}

/// What the steps showed.
struct Shown {
    partner_id: String,
    credential: CredentialFile,
    access_token: String,
    me: Value,
}

/// What scripts are told.
const FIELDS: [&str; 5] = [
    "base_url",
    "partner_id",
    "client_id",
    "client_secret",
    "access_token",
];

pub(super) fn run(options: &Quickstart, output: &Output) -> Done {
    output.expect_fields(&FIELDS)?;
    let settings = options.flags.load_with(|given| {
        // Beside the steps, the log would be noise unless somebody asked for it.
        if !given.env.contains_key("ONYX_LOG") {
            given
                .flags
                .entry("log")
                .or_insert_with(|| "warn".to_owned());
        }
    })?;
    if !settings.is_loopback() {
        let advice = "base_url: quickstart is for trying out on this machine, with a loopback host; use `serve`";
        return Err(Failure::Usage(advice.to_owned()));
    }
    logging::start(&settings.log, settings.log_format);
    let listeners = serve::bind(&settings)?;
    let app = serve::build(settings)?;
    let (partner_id, credential) = prepare(&app)?;
    let shared = Arc::clone(&app);
    block_on(serve_and_show(
        app,
        listeners,
        partner_id,
        credential,
        options.exit,
        output,
    ))?;
    shared.close();
    Ok(())
}

/// Makes the demo's records, and keeps its credentials where the next run finds them.
fn prepare(app: &App) -> Result<(String, CredentialFile), Failure> {
    let (operator, client) = (remembered(OPERATOR)?, remembered(DEMO)?);
    let act = app.act(Actor::host());
    let (base, admin) = (app.settings.base_url.clone(), app.settings.admin_url());
    let demo = app.store.alone(act.now, |db| {
        demo::prepare(db, &app.master, &act, operator.as_ref(), client.as_ref())
    })?;
    if let Some(issued) = &demo.operator {
        credential_file(admin, issued).write(Path::new(OPERATOR))?;
    }
    if let Some(issued) = &demo.client {
        credential_file(base, issued).write(Path::new(DEMO))?;
    }
    Ok((
        demo.partner_id.to_string(),
        CredentialFile::read(Path::new(DEMO))?,
    ))
}

fn remembered(path: &str) -> Result<Option<Remembered>, Failure> {
    if !Path::new(path).exists() {
        return Ok(None);
    }
    let file = CredentialFile::read(Path::new(path))?;
    Ok(Some(Remembered {
        client_id: file.client_id.parse()?,
        secret: file.client_secret,
    }))
}

fn credential_file(server: String, issued: &Issued) -> CredentialFile {
    CredentialFile {
        server,
        client_id: issued.credential.client_id.to_string(),
        client_secret: issued.secret.expose().to_owned().into(),
    }
}

async fn serve_and_show(
    app: Arc<App>,
    listeners: Listeners,
    partner_id: String,
    credential: CredentialFile,
    exit: bool,
    output: &Output,
) -> Done {
    let loops = worker::start(&app);
    let running = server::start(&app, listeners)?;
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = actix_web::rt::spawn(running.run(async {
        if stopped.await.is_err() {
            // Nobody says stop any more: only a signal ends it.
            std::future::pending::<()>().await;
        }
        Told::Done
    }));
    let shown = show(&app, partner_id, credential).await;
    let failed = match &shown {
        Ok(shown) => report(&app, shown, exit, output).err(),
        Err(_) => None,
    };
    let is_over = exit || shown.is_err() || failed.is_some();
    if is_over {
        let _ = stop.send(());
    } else {
        drop(stop);
    }
    let ended = serving.await;
    worker::finish(&app, loops).await;
    if let Ok(ended) = ended {
        ended?;
    }
    shown.and_then(|_| failed.map_or(Ok(()), Err))
}

/// Fetches a token and calls the partner API with it, over HTTP like anybody.
async fn show(app: &App, partner_id: String, credential: CredentialFile) -> Result<Shown, Failure> {
    let (http, base) = (http()?, &app.settings.base_url);
    let answer = fetch_token(&http, base, "sandbox", &credential, &[]).await?;
    let access_token = answer
        .get("access_token")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    let called = http
        .get(format!("{base}/sandbox/v1/me"))
        .bearer_auth(&access_token)
        .send()
        .await?;
    let status = called.status();
    let me: Value = called.json().await.unwrap_or_default();
    if !status.is_success() {
        return Err(Failure::Refused(format!(
            "GET /sandbox/v1/me answered {status}: {me}"
        )));
    }
    Ok(Shown {
        partner_id,
        credential,
        access_token,
        me,
    })
}

fn report(app: &App, shown: &Shown, exit: bool, output: &Output) -> Done {
    let base = &app.settings.base_url;
    let (id, secret) = (
        &shown.credential.client_id,
        shown.credential.client_secret.as_str(),
    );
    if !output.is_for_people() {
        let shown = json!({
            "base_url": base,
            "partner_id": shown.partner_id,
            "client_id": id,
            "client_secret": secret,
            "access_token": shown.access_token,
        });
        // One line, so that whoever reads the pipe of a server that stays up knows its end.
        return if output.is_json() {
            line(&shown.to_string())
        } else {
            output.record(&shown)
        };
    }
    let scopes = shown
        .me
        .pointer("/scopes/token")
        .and_then(Value::as_array)
        .map_or(0, Vec::len);
    line(&format!(
        "1. A demo partner, {}, with a sandbox client and {scopes} approved scopes.",
        shown.partner_id
    ))?;
    line(&format!(
        "   Its credential is in {DEMO}; the operator's is in {OPERATOR}.\n"
    ))?;
    line("2. The client exchanged its secret for a token:\n")?;
    line(&format!(
        "   TOKEN=$(curl -s -u '{id}:{secret}' -d grant_type=client_credentials \\"
    ))?;
    line(&format!(
        "     {base}/sandbox/oauth2/token | sed 's/.*\"access_token\":\"\\([^\"]*\\)\".*/\\1/')\n"
    ))?;
    line("3. The partner API verified it without asking anyone, and answered:\n")?;
    line(&format!(
        "   curl -s -H \"Authorization: Bearer $TOKEN\" {base}/sandbox/v1/me\n"
    ))?;
    for row in format!("{:#}", shown.me).lines() {
        line(&format!("   {row}"))?;
    }
    if !exit {
        line(&format!("\nThe server stays up at {base}; Ctrl-C ends it."))?;
    }
    Ok(())
}
