//! One line an event, as text or JSON, each with the request that it belongs to.

use std::io::Write;

use crate::config::LogFormat;
use crate::domain::id::RequestId;

tokio::task_local! {
    /// The request that the running task serves.
    static REQUEST: RequestId;
}

/// Runs a request's work so that its log lines and errors carry its id.
pub async fn in_request<F: Future>(id: RequestId, work: F) -> F::Output {
    REQUEST.scope(id, work).await
}

/// The request that is being served, if any.
pub fn current_request() -> Option<RequestId> {
    REQUEST.try_with(Clone::clone).ok()
}

/// Starts logging to standard error; a second call in a process changes nothing.
pub fn start(filter: &str, format: LogFormat) {
    let mut builder = env_logger::Builder::new();
    // Its lines say what ours say, once a worker; a filter that names it is heard.
    builder.filter_module("actix_server", log::LevelFilter::Warn);
    builder.parse_filters(filter);
    builder.format(move |out, record| {
        let request = current_request();
        let at = chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
        match format {
            LogFormat::Json => {
                let line = serde_json::json!({
                    "at": at,
                    "level": record.level().as_str(),
                    "target": record.target(),
                    "message": record.args().to_string(),
                    "request_id": request,
                });
                writeln!(out, "{line}")
            }
            LogFormat::Text => {
                let request = request.map(|id| format!(" {id}")).unwrap_or_default();
                writeln!(
                    out,
                    "{at} {:<5} {}{request} {}",
                    record.level(),
                    record.target(),
                    one_line(&record.args().to_string())
                )
            }
        }
    });
    if builder.try_init().is_err() {
        log::debug!("logging was started before");
    }
}

/// The message with its control characters escaped: nobody writes a log line into another's.
fn one_line(message: &str) -> String {
    let escape = |c: char| {
        if c.is_control() {
            c.escape_default().to_string()
        } else {
            c.to_string()
        }
    };
    message.chars().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::one_line;

    #[test]
    fn a_message_cannot_forge_a_line() {
        assert_eq!(
            one_line("ok\n2030 ERROR \u{1b}[31m é"),
            "ok\\n2030 ERROR \\u{1b}[31m é"
        );
    }
}
