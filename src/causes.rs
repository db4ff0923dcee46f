//! Errors with all that caused them, for people who must find out.

use std::error::Error;
use std::fmt;

/// An error, and after it each of its causes that it does not name itself.
pub struct Causes<'a>(pub &'a (dyn Error + 'static));

impl fmt::Display for Causes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut told = self.0.to_string();
        let mut cause = self.0.source();
        while let Some(error) = cause {
            let text = error.to_string();
            if !told.ends_with(&text) {
                told.push_str(": ");
                told.push_str(&text);
            }
            cause = error.source();
        }
        f.write_str(&told)
    }
}

/// The TLS library's error, which comes wrapped into errors of input and output. Their `source` passes over what they
/// hold.
pub fn of_tls<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let wrapped = error.downcast_ref::<std::io::Error>();
    match wrapped.and_then(std::io::Error::get_ref) {
        Some(inner) => of_tls(inner),
        None => error.downcast_ref(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    enum Sample {
        #[error("the request failed")]
        Request(#[source] Box<Sample>),
        #[error("no connection: {0}")]
        Connection(#[source] std::io::Error),
    }

    #[test]
    fn every_cause_is_named_once() {
        let refused = std::io::Error::other("refused");
        let error = Sample::Request(Box::new(Sample::Connection(refused)));
        assert_eq!(
            Causes(&error).to_string(),
            "the request failed: no connection: refused"
        );
    }
}
