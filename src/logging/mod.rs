//! One line an event, as text or JSON, each with the request that it belongs to.
//!
//! What a line may hold is decided where it is written: secrets are types that cannot be printed. Two
//! more walls stand here. Libraries say nothing below `info`, whatever the filter asks for: at `trace` some
//! print headers, bodies and handshakes. And a panic is logged by its place and never by its message,
//! which can hold any value that the code at fault had in its hands.

mod line;
mod trace;

use std::panic::PanicHookInfo;

use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::config::LogFormat;
use crate::domain::id::RequestId;
use crate::telemetry::telemetry;

pub use trace::{BadTraceParent, Trace, TraceParent};

tokio::task_local! {
    /// The request that the running task serves.
    static REQUEST: Context;
}

/// What the log says of the request that is served.
#[derive(Clone, Debug)]
pub struct Context {
    /// Its id.
    pub request: RequestId,
    /// The caller's trace, and our place in it.
    pub trace: Option<Trace>,
}

/// Crates whose lines below `info` are ours, or were looked through: they hold nothing of a request.
const HEARD_BELOW_INFO: [&str; 6] = [
    "onyx_auth",
    "onyx_verifier",
    "actix_server",
    "actix_rt",
    "mio",
    "oxide_auth",
];

/// Runs a request's work so that its log lines and errors carry its id.
pub async fn in_request<F: Future>(context: Context, work: F) -> F::Output {
    REQUEST.scope(context, work).await
}

/// What the log says of the request that is served, for work that is done for it elsewhere; see [`on_behalf`].
pub fn context() -> Option<Context> {
    REQUEST.try_with(Clone::clone).ok()
}

/// Does work on another thread so that its log lines carry the id of the request that it is done for.
pub fn on_behalf<T>(context: Option<Context>, work: impl FnOnce() -> T) -> T {
    match context {
        Some(context) => REQUEST.sync_scope(context, work),
        None => work(),
    }
}

/// The request that is being served, if any.
pub fn current_request() -> Option<RequestId> {
    REQUEST.try_with(|context| context.request.clone()).ok()
}

/// Starts logging to standard error, panics included; a second call in a process changes nothing.
pub fn start(filter: &str, format: LogFormat) {
    let mut builder = env_logger::Builder::new();
    // Its lines say what ours say, once a worker; a filter that names it is heard.
    builder.filter_module("actix_server", LevelFilter::Warn);
    // An error to it is whatever a stranger sends that is no HTTP: no fault of ours, and he could fill the log with it.
    builder.filter_module("actix_http", LevelFilter::Off);
    builder.parse_filters(filter);
    builder.format(move |out, record| {
        let context = context();
        line::write(out, format, record, context.as_ref())
    });
    let inner = builder.build();
    let most = inner.filter();
    if log::set_boxed_logger(Box::new(Discreet(inner))).is_err() {
        return log::debug!("logging was started before");
    }
    log::set_max_level(most);
    std::panic::set_hook(Box::new(panicked));
}

/// A logger that does not hear what libraries say in confidence.
struct Discreet(env_logger::Logger);

impl Log for Discreet {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        may_be_heard(metadata.level(), metadata.target()) && self.0.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if may_be_heard(record.level(), record.target()) {
            self.0.log(record);
        }
    }

    fn flush(&self) {
        self.0.flush();
    }
}

fn may_be_heard(level: Level, target: &str) -> bool {
    let of = target.split("::").next().unwrap_or_default();
    level <= Level::Info || HEARD_BELOW_INFO.contains(&of)
}

/// Logs a panic: where, and what it said only if that was written in the source as it stands.
fn panicked(info: &PanicHookInfo<'_>) {
    telemetry().panics.inc();
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("unnamed");
    match info.payload().downcast_ref::<&'static str>() {
        Some(literal) => log::error!("thread {name} panicked at {place}: {literal}"),
        None => log::error!("thread {name} panicked at {place}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_say_nothing_in_confidence() {
        for target in [
            "h2::codec::framed_write",
            "hyper::proto::h1::role",
            "hyper_util::client",
            "rustls::server::hs",
            "reqwest::connect",
            "actix_http::h1::decoder",
            "diesel::connection",
        ] {
            assert!(!may_be_heard(Level::Debug, target), "{target}");
            assert!(!may_be_heard(Level::Trace, target), "{target}");
            assert!(may_be_heard(Level::Warn, target), "{target}");
        }
        assert!(may_be_heard(Level::Trace, "onyx_auth::http::trace"));
        assert!(!may_be_heard(Level::Trace, "onyx_auth_lookalike::http"));
    }
}
