//! `onyx-auth doctor`: looks at everything that a server stands on, and changes nothing.

mod database;
mod files;
mod issuer;
mod process;
mod rates;
mod signing;

use clap::Args;
use serde_json::{Value, json};

use super::output::Output;
use super::settings::SettingFlags;
use super::{Done, Failure, block_on};
use crate::clock::Clock;
use crate::config::Settings;
use crate::logging;

/// The settings that the server would have.
#[derive(Args)]
pub(super) struct Doctor {
    #[command(flatten)]
    flags: SettingFlags,
}

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Well,
    /// It works, and somebody should know.
    Doubtful,
    /// A server would not start, or would refuse what it should serve.
    Ill,
}

impl State {
    fn as_str(self) -> &'static str {
        match self {
            Self::Well => "ok",
            Self::Doubtful => "warning",
            Self::Ill => "failed",
        }
    }
}

/// One thing that was looked at: how it is, and where it is not well, what to do.
#[derive(Debug)]
struct Finding {
    check: &'static str,
    state: State,
    detail: String,
}

/// What was found so far.
#[derive(Debug, Default)]
struct Report(Vec<Finding>);

impl Report {
    fn well(&mut self, check: &'static str, detail: impl Into<String>) {
        self.add(check, State::Well, detail);
    }

    fn doubtful(&mut self, check: &'static str, detail: impl Into<String>) {
        self.add(check, State::Doubtful, detail);
    }

    fn ill(&mut self, check: &'static str, detail: impl Into<String>) {
        self.add(check, State::Ill, detail);
    }

    fn add(&mut self, check: &'static str, state: State, detail: impl Into<String>) {
        let detail = detail.into();
        self.0.push(Finding {
            check,
            state,
            detail,
        });
    }

    fn count(&self, state: State) -> usize {
        self.0
            .iter()
            .filter(|finding| finding.state == state)
            .count()
    }

    fn as_json(&self) -> Value {
        let rows: Vec<Value> = self
            .0
            .iter()
            .map(|f| json!({ "check": f.check, "state": f.state.as_str(), "detail": f.detail }))
            .collect();
        json!({ "data": rows })
    }
}

/// Looks at everything. Exit 1 if anything failed.
pub(super) fn run(doctor: &Doctor, output: &Output) -> Done {
    let settings = doctor.flags.load()?;
    logging::start(&settings.log, settings.log_format);
    block_on(async {
        let report = examine(&settings, &Clock::system()).await;
        output.list(&report.as_json(), &["check", "state", "detail"])?;
        match (report.count(State::Ill), report.count(State::Doubtful)) {
            (0, 0) => eprintln!("All is well."),
            (0, doubtful) => eprintln!("Nothing failed; {doubtful} to look at."),
            (ill, _) => {
                return Err(Failure::Refused(format!(
                    "{ill} of {} checks failed",
                    report.0.len()
                )));
            }
        }
        Ok(())
    })
}

async fn examine(settings: &Settings, clock: &Clock) -> Report {
    let mut report = Report::default();
    files::examine(settings, clock, &mut report);
    let published = match database::examine(settings, clock, &mut report).await {
        Some(store) => signing::examine(settings, &store, clock, &mut report).await,
        None => None,
    };
    process::examine(settings, &mut report).await;
    rates::examine(settings, &mut report).await;
    issuer::examine(settings, clock, published.as_deref(), &mut report).await;
    report
}
