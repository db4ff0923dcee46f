//! Data for people and for scripts.

use std::io::Write;

use clap::Args;
use comfy_table::{Table, presets};
use serde_json::Value;

use super::Failure;
use crate::domain::line::breaks_a_line;

/// How data is printed.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct Format {
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
    /// Print one value and nothing else
    #[arg(long, global = true, value_name = "NAME", conflicts_with = "json")]
    field: Option<String>,
}

/// Prints data as asked.
pub(super) struct Output(Format);

impl Output {
    pub(super) fn new(format: Format) -> Self {
        Self(format)
    }

    /// Whether JSON is wanted.
    pub(super) fn is_json(&self) -> bool {
        self.0.json
    }

    /// Whether tables are wanted: neither JSON nor one value.
    pub(super) fn is_for_people(&self) -> bool {
        !self.0.json && self.0.field.is_none()
    }

    /// Refuses a `--field` that the answer will not have, before anything is done for it.
    pub(super) fn expect_fields(&self, known: &[&str]) -> Result<(), Failure> {
        match &self.0.field {
            Some(name) if !known.contains(&name.as_str()) => Err(no_such_field(name, known)),
            _ => Ok(()),
        }
    }

    /// Prints one record.
    pub(super) fn record(&self, record: &Value) -> Result<(), Failure> {
        if self.0.json {
            whole(&format!("{record:#}"))?;
        } else if let Some(name) = &self.0.field {
            whole(&field(record, name)?)?;
        } else {
            let mut table = table();
            for (name, value) in record.as_object().into_iter().flatten() {
                table.add_row([name.as_str(), &tall(value)]);
            }
            whole(&table.to_string())?;
        }
        Ok(())
    }

    /// Prints a text as it is, or for scripts a record of it.
    pub(super) fn text(&self, text: &str, record: &Value) -> Result<(), Failure> {
        if self.is_for_people() {
            line(text)
        } else {
            self.record(record)
        }
    }

    /// Prints a list; in a table, the named columns only.
    pub(super) fn list(&self, list: &Value, columns: &[&str]) -> Result<(), Failure> {
        let rows = list
            .get("data")
            .and_then(Value::as_array)
            .map(Vec::as_slice)
            .unwrap_or_default();
        if self.0.json {
            return line(&format!("{list:#}"));
        }
        if let Some(name) = &self.0.field {
            for row in rows {
                line(&field(row, name)?)?;
            }
            return Ok(());
        }
        let mut table = table();
        table.set_header(columns.iter().map(|name| name.to_uppercase()));
        for row in rows {
            table.add_row(
                columns
                    .iter()
                    .map(|name| row.get(name).map(cell).unwrap_or_default()),
            );
        }
        line(&table.to_string())?;
        if let Some(cursor) = list.get("next_cursor").and_then(Value::as_str) {
            eprintln!("There are more: --cursor {cursor}");
        }
        Ok(())
    }
}

/// Prints a record, which may hold a secret that is shown this once: that nobody was there to read it is a failure.
fn whole(text: &str) -> Result<(), Failure> {
    writeln!(std::io::stdout().lock(), "{text}").map_err(|error| {
        Failure::Refused(format!(
            "what was asked for is done, and the answer could not be written ({error}): a secret in it is lost, and is \
             to be rotated or revoked"
        ))
    })
}

/// Prints a line. A reader who has gone, as `head` goes, has seen enough.
pub(super) fn line(text: &str) -> Result<(), Failure> {
    match writeln!(std::io::stdout().lock(), "{text}") {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

fn table() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table
}

fn field(record: &Value, name: &str) -> Result<String, Failure> {
    record.get(name).map(plain).ok_or_else(|| {
        let names = record
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, _)| name.as_str());
        no_such_field(name, &names.collect::<Vec<_>>())
    })
}

fn no_such_field(name: &str, known: &[&str]) -> Failure {
    Failure::NoSuchField(format!(
        "--field {name}: no such field; there are {}",
        known.join(", ")
    ))
}

/// A value as a table shows it: what others wrote moves no cursor and makes no rows.
fn cell(value: &Value) -> String {
    harmless(&plain(value))
}

/// The same where a record has the width to itself: what has members of its own gets a line for each.
fn tall(value: &Value) -> String {
    let lines = match value {
        Value::Object(_) if plain(value).starts_with('{') => format!("{value:#}"),
        Value::Array(items) if items.iter().any(Value::is_object) => {
            items.iter().map(plain).collect::<Vec<_>>().join("\n")
        }
        other => plain(other),
    };
    harmless(&lines)
}

fn harmless(text: &str) -> String {
    let shown = |c: char| {
        if breaks_a_line(c) && c != '\n' {
            '\u{fffd}'
        } else {
            c
        }
    };
    text.chars().map(shown).collect()
}

/// A value without JSON's quotes; lists of plain values separated by spaces, money as `1900 EUR` in minor units.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Object(money) if money.len() == 2 && money.contains_key("currency") => {
            let part = |name| money.get(name).map(plain).unwrap_or_default();
            format!("{} {}", part("amount"), part("currency"))
        }
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}
