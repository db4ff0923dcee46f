//! What stands before routes, whatever serves them: who may pass, and what the others are answered.

use std::sync::Arc;

use serde::Serialize;

use crate::{Caller, Rejection, Verifier, bearer};

/// The realm of the challenges that are sent (RFC 9110 §11.5).
pub(crate) const REALM: &str = "onyx";

/// A verifier with the scopes that callers must have.
#[derive(Clone, Debug)]
pub(crate) struct Gate {
    pub(crate) verifier: Verifier,
    /// Separated by spaces, as challenges name them.
    scopes: Arc<str>,
}

impl Gate {
    pub(crate) fn new(verifier: Verifier) -> Self {
        Self {
            verifier,
            scopes: Arc::from(""),
        }
    }

    /// Wants these scopes besides, all of them.
    pub(crate) fn wanting(self, scopes: &str) -> Self {
        let all: Vec<_> = self
            .scopes
            .split(' ')
            .chain(scopes.split(' '))
            .filter(|scope| !scope.is_empty())
            .collect();
        Self {
            scopes: Arc::from(all.join(" ")),
            verifier: self.verifier,
        }
    }

    /// The caller, if the request may pass.
    pub(crate) async fn pass<'a>(
        &self,
        authorization: impl Iterator<Item = &'a [u8]>,
        query: Option<&str>,
    ) -> Result<Caller, Rejection> {
        let token = bearer::token(authorization, query)?;
        let caller = self.verifier.verify(token).await?;
        let mut wanted = self.scopes.split(' ').filter(|scope| !scope.is_empty());
        if wanted.all(|scope| caller.has_scope(scope)) {
            Ok(caller)
        } else {
            Err(Rejection::InsufficientScope {
                required: self.scopes.as_ref().to_owned(),
            })
        }
    }
}

/// The JSON body of a refusal; without `error` where RFC 6750 has no code.
#[derive(Serialize)]
pub(crate) struct RefusalBody {
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'static str>,
    error_description: &'static str,
}

impl From<&Rejection> for RefusalBody {
    fn from(rejection: &Rejection) -> Self {
        Self {
            error: rejection.code(),
            error_description: rejection.description(),
        }
    }
}
