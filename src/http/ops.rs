//! Health and readiness, on a listener of their own.

use std::sync::atomic::Ordering;
use std::time::Duration;

use actix_web::{HttpResponse, web};
use serde::Serialize;

use crate::app::App;

/// How long the database may take to answer: less than probes wait for their own answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// Whether the process can do its work, and what was looked at.
#[derive(Serialize)]
struct Readiness {
    ready: bool,
    /// What the checks found amiss, in a word each.
    reasons: Vec<&'static str>,
    checks: Vec<Check>,
}

#[derive(Serialize)]
struct Check {
    name: &'static str,
    #[serde(skip)]
    reason: &'static str,
    state: State,
    /// What was found; nothing that only the log may hold.
    detail: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Ok,
    /// It is not well, and elsewhere it would be no better: whoever hands requests out should not turn away.
    Doubtful,
    Failed,
    /// Another check says already that it cannot be well.
    Skipped,
}

/// `GET /healthz`: the process serves.
pub async fn healthz() -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/plain; charset=utf-8")
        .body("ok\n")
}

/// `GET /readyz`: the process can do its work; 503 with the reasons where it cannot.
pub async fn readyz(app: web::Data<App>) -> HttpResponse {
    let news = news(&app);
    let database = database(&app, news.state).await;
    let checks = vec![news, database, journal(&app), serving(&app)];
    let failed = checks.iter().filter(|check| check.state == State::Failed);
    let reasons: Vec<_> = failed.map(|check| check.reason).collect();
    let mut answer = if reasons.is_empty() {
        HttpResponse::Ok()
    } else {
        HttpResponse::ServiceUnavailable()
    };
    answer.json(Readiness {
        ready: reasons.is_empty(),
        reasons,
        checks,
    })
}

fn check(name: &'static str, reason: &'static str, good: bool, detail: String) -> Check {
    let state = if good { State::Ok } else { State::Failed };
    if !good {
        log::warn!("not ready: {name}: {detail}");
    }
    Check {
        name,
        reason,
        state,
        detail,
    }
}

/// Where nothing is heard from the database, cached clients are no longer trusted.
fn news(app: &App) -> Check {
    let (silence, most) = (app.directory.staleness(), app.settings.max_staleness);
    let detail = if app.directory.is_doubted() {
        "a revocation of this node's own was not heard yet".to_owned()
    } else {
        format!(
            "the database was heard {:.3} s ago; {most} s are allowed",
            silence.as_secs_f64()
        )
    };
    check("news", "stale", app.directory.is_fresh(), detail)
}

async fn database(app: &App, news: State) -> Check {
    if news != State::Ok {
        return Check {
            name: "database",
            reason: "database",
            state: State::Skipped,
            detail: "not asked, since nothing was heard from it".to_owned(),
        };
    }
    match tokio::time::timeout(PATIENCE, app.store.ping()).await {
        Ok(Ok(())) => check("database", "database", true, "answers".to_owned()),
        Err(_) => {
            let detail = format!("has not answered within {} s", PATIENCE.as_secs());
            check("database", "database", false, detail)
        }
        Ok(Err(error)) => {
            log::warn!("not ready: {error}");
            let detail = "does not answer; the log says why".to_owned();
            check("database", "database", false, detail)
        }
    }
}

/// Who is asked to stop serves what it has, and is sent nothing new.
fn serving(app: &App) -> Check {
    let stopping = app.stopping.load(Ordering::Relaxed);
    let detail = if stopping {
        "was asked to stop"
    } else {
        "serves"
    };
    check("serving", "stopping", !stopping, detail.to_owned())
}

fn journal(app: &App) -> Check {
    let running = app.tokens.is_running();
    if running && app.tokens.is_failing() {
        // All nodes write into the same database; what is only read, partners and services still get here.
        let detail = "the last tokens could not be recorded, so none is given; the log says why";
        return Check {
            name: "journal",
            reason: "journal",
            state: State::Doubtful,
            detail: detail.to_owned(),
        };
    }
    let detail = if running {
        "writes"
    } else {
        "its writer has ended: restart the process"
    };
    check("journal", "journal", running, detail.to_owned())
}
