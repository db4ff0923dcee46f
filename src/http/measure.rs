//! How long requests take, by the template of their route.
//!
//! Each worker has a [`Measured`] of its own for each resource, with the instruments that it has
//! used: finding one takes no lock and no hash of its labels.

use std::cell::RefCell;
use std::time::Duration;

use actix_web::http::{Method, StatusCode};
use prometheus::Histogram;

use crate::telemetry::{observe, telemetry};

/// More kinds of answers than a route has.
const REMEMBERED: usize = 64;

/// What a route's requests are measured by.
pub struct Measured {
    template: Box<str>,
    known: RefCell<Vec<(Kind, Histogram)>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Kind {
    method: &'static str,
    status: StatusCode,
    error: &'static str,
}

impl Measured {
    /// By a template.
    pub fn new(template: &str) -> Self {
        Self {
            template: template.into(),
            known: RefCell::default(),
        }
    }

    /// What no route matches: all of it together, since callers choose the paths.
    pub fn unmatched() -> Self {
        Self::new("-")
    }

    /// The template.
    pub fn template(&self) -> &str {
        &self.template
    }

    /// Notes an answer. `code` is the reason, where there is one; it counts for our own faults alone,
    /// as OpenTelemetry's `error.type` does.
    pub fn note(
        &self,
        method: &Method,
        status: StatusCode,
        code: Option<&'static str>,
        took: Duration,
    ) {
        let kind = Kind {
            method: word(method),
            status,
            error: code
                .filter(|_| status.is_server_error())
                .unwrap_or_default(),
        };
        let mut known = self.known.borrow_mut();
        if let Some((_, histogram)) = known.iter().find(|(held, _)| *held == kind) {
            return observe(histogram, took);
        }
        let labels = [kind.method, &self.template, status.as_str(), kind.error];
        let histogram = telemetry().requests.with_label_values(&labels);
        observe(&histogram, took);
        if known.len() < REMEMBERED {
            known.push((kind, histogram));
        }
    }
}

/// The method, or OpenTelemetry's word for those that nobody has heard of.
fn word(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "HEAD" => "HEAD",
        "OPTIONS" => "OPTIONS",
        "CONNECT" => "CONNECT",
        "TRACE" => "TRACE",
        _ => "_OTHER",
    }
}
