//! How a line looks.

use std::io::{self, Write};

use chrono::{SecondsFormat, Utc};
use log::Record;
use log::kv::{Error, Key, Value, VisitSource};
use serde_json::{Map, json};

use super::Context;
use crate::config::LogFormat;

/// Writes a record, with the request that it belongs to.
pub(super) fn write(
    out: &mut impl Write,
    format: LogFormat,
    record: &Record<'_>,
    context: Option<&Context>,
) -> io::Result<()> {
    match format {
        LogFormat::Json => json_line(out, record, context),
        LogFormat::Text => text_line(out, record, context),
    }
}

fn now() -> String {
    Utc::now().to_rfc3339_opts(SecondsFormat::Micros, true)
}

fn json_line(
    out: &mut impl Write,
    record: &Record<'_>,
    context: Option<&Context>,
) -> io::Result<()> {
    let mut line = Map::new();
    let mut say = |name: &str, value: serde_json::Value| line.insert(name.to_owned(), value);
    say("at", now().into());
    say("level", record.level().as_str().into());
    say("target", record.target().into());
    say("message", record.args().to_string().into());
    say("request_id", json!(context.map(|context| &context.request)));
    if let Some(trace) = context.and_then(|context| context.trace.as_ref()) {
        say("trace_id", trace.trace_id().into());
        say("span_id", trace.span_id().into());
        say("parent_span_id", trace.parent_id().into());
    }
    // What a record says of itself comes last, and takes no other's place.
    let _ = record.key_values().visit(&mut Members(&mut line));
    writeln!(out, "{}", serde_json::Value::Object(line))
}

fn text_line(
    out: &mut impl Write,
    record: &Record<'_>,
    context: Option<&Context>,
) -> io::Result<()> {
    write!(out, "{} {:<5} {}", now(), record.level(), record.target())?;
    if let Some(context) = context {
        write!(out, " {}", context.request)?;
        if let Some(trace) = &context.trace {
            write!(out, " trace={} span={}", trace.trace_id(), trace.span_id())?;
        }
    }
    writeln!(out, " {}", one_line(&record.args().to_string()))
}

/// A record's own values, as members of its line.
struct Members<'a>(&'a mut Map<String, serde_json::Value>);

impl<'kvs> VisitSource<'kvs> for Members<'_> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
        let shown = match (value.to_u64(), value.to_f64()) {
            (Some(whole), _) => whole.into(),
            // To the microsecond.
            (None, Some(number)) => json!((number * 1000.0).round() / 1000.0),
            _ => value.to_string().into(),
        };
        self.0.entry(key.as_str()).or_insert(shown);
        Ok(())
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
    use super::*;

    fn line(format: LogFormat, context: Option<&Context>) -> String {
        let values = [
            ("status", Value::from(404_u16)),
            ("code", Value::from("not_found")),
        ];
        let mut out = Vec::new();
        let record = Record::builder()
            .args(format_args!("GET /x\n404"))
            .key_values(&values)
            .target("onyx_auth")
            .build();
        write(&mut out, format, &record, context).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn context() -> Context {
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        Context {
            request: "req_01JZZZZZZZZZZZZZZZZZZZZZZZ".parse().unwrap(),
            trace: Some(parent.parse::<super::super::TraceParent>().unwrap().child()),
        }
    }

    #[test]
    fn a_message_cannot_forge_a_line() {
        assert_eq!(
            one_line("ok\n2030 ERROR \u{1b}[31m é"),
            "ok\\n2030 ERROR \\u{1b}[31m é"
        );
        assert_eq!(line(LogFormat::Text, None).lines().count(), 1);
        assert_eq!(line(LogFormat::Json, None).lines().count(), 1);
    }

    #[test]
    fn a_line_says_which_request_and_which_trace() {
        let context = context();
        let text = line(LogFormat::Text, Some(&context));
        let span = context.trace.as_ref().unwrap().span_id();
        assert!(text.contains(&format!(
            " {} trace=4bf92f3577b34da6a3ce929d0e0e4736 span={span} ",
            context.request
        )));
        let json: serde_json::Value =
            serde_json::from_str(&line(LogFormat::Json, Some(&context))).unwrap();
        assert_eq!(json["request_id"], context.request.as_str());
        assert_eq!(json["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(json["parent_span_id"], "00f067aa0ba902b7");
        assert_eq!(json["span_id"], span);
        assert_eq!(
            (&json["status"], &json["code"]),
            (&json!(404), &json!("not_found"))
        );
    }
}
