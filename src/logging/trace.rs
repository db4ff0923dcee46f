//! The caller's trace (W3C Trace Context).

use std::str::FromStr;

use rand::RngExt;

/// A `traceparent` header: which trace, and which of the caller's spans asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceParent {
    trace_id: String,
    parent_id: String,
}

/// A span of ours within a caller's trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    parent: TraceParent,
    span_id: String,
}

/// The header is not of the recommendation's form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be a traceparent, as in W3C Trace Context")]
pub struct BadTraceParent;

impl TraceParent {
    /// A new span within the trace.
    pub fn child(self) -> Trace {
        // All zeros is no span.
        let span: u64 = rand::rng().random_range(1..=u64::MAX);
        Trace {
            parent: self,
            span_id: format!("{span:016x}"),
        }
    }
}

impl Trace {
    /// The trace: 32 hexadecimal digits.
    pub fn trace_id(&self) -> &str {
        &self.parent.trace_id
    }

    /// Our span: 16 hexadecimal digits.
    pub fn span_id(&self) -> &str {
        &self.span_id
    }

    /// The caller's span.
    pub fn parent_id(&self) -> &str {
        &self.parent.parent_id
    }
}

impl FromStr for TraceParent {
    type Err = BadTraceParent;

    /// Reads `version-traceid-parentid-flags` (§3.2.2). Of a later version the known beginning is read
    /// (§3.2.4).
    fn from_str(text: &str) -> Result<Self, BadTraceParent> {
        let mut parts = text.splitn(5, '-');
        let mut part = |digits: usize| {
            parts
                .next()
                .filter(|part| part.len() == digits && part.bytes().all(is_digit))
                .ok_or(BadTraceParent)
        };
        let (version, trace, parent, _flags) = (part(2)?, part(32)?, part(16)?, part(2)?);
        let has_more = parts.next().is_some();
        let is_none = |id: &str| id.bytes().all(|digit| digit == b'0');
        if version == "ff" || (version == "00" && has_more) || is_none(trace) || is_none(parent) {
            return Err(BadTraceParent);
        }
        Ok(Self {
            trace_id: trace.to_owned(),
            parent_id: parent.to_owned(),
        })
    }
}

/// Capitals are not allowed.
fn is_digit(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const PARENT: &str = "b7ad6b7169203331";

    fn reads(text: &str) -> bool {
        text.parse::<TraceParent>().is_ok()
    }

    #[test]
    fn what_the_recommendation_allows_is_taken_over() {
        for good in [
            format!("00-{TRACE}-{PARENT}-01"),
            format!("00-{TRACE}-{PARENT}-00"),
            format!("cc-{TRACE}-{PARENT}-01"),
            format!("cc-{TRACE}-{PARENT}-01-what-the-future-may-bring"),
        ] {
            let child = good.parse::<TraceParent>().unwrap().child();
            assert_eq!((child.trace_id(), child.parent_id()), (TRACE, PARENT));
            assert_ne!(child.span_id(), PARENT);
            assert_eq!(child.span_id().len(), 16);
        }
    }

    #[test]
    fn what_it_forbids_is_not() {
        for bad in [
            String::new(),
            format!("ff-{TRACE}-{PARENT}-01"),
            format!("00-{TRACE}-{PARENT}-01-more"),
            format!("00-{TRACE}-{PARENT}-01-"),
            format!("00-{TRACE}-{PARENT}"),
            format!("00-{TRACE}-{PARENT}-1"),
            format!("00-{}-{PARENT}-01", "0".repeat(32)),
            format!("00-{TRACE}-{}-01", "0".repeat(16)),
            format!("00-{}-{PARENT}-01", TRACE.to_uppercase()),
            format!("00-{TRACE}0-{PARENT}-01"),
            format!("cc-{TRACE}-{PARENT}-01.more"),
            format!(" 00-{TRACE}-{PARENT}-01"),
        ] {
            assert!(!reads(&bad), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_read_is_digits_alone(text in "[0-9a-f-]{0,60}|\\PC{0,60}") {
            if let Ok(parent) = text.parse::<TraceParent>() {
                prop_assert!(parent.trace_id.bytes().chain(parent.parent_id.bytes()).all(is_digit));
            }
        }
    }
}
