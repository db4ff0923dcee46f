//! The time of day, as an argument.

use std::sync::Arc;

use chrono::Utc;

use crate::domain::instant::Instant;

/// What tells the time; tests bring their own.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Instant + Send + Sync>);

impl Clock {
    /// The system's clock, cut to the microsecond.
    pub fn system() -> Self {
        Self(Arc::new(|| Instant::from(Utc::now())))
    }

    /// A clock that says what the function says.
    pub fn from_fn(tell: impl Fn() -> Instant + Send + Sync + 'static) -> Self {
        Self(Arc::new(tell))
    }

    /// What time it is.
    pub fn now(&self) -> Instant {
        (self.0)()
    }
}

impl std::fmt::Debug for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Clock")
    }
}
