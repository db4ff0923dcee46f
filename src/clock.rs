//! The time of day, as an argument.

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;

use crate::domain::instant::Instant;

/// By how much clocks may be wrong, those of the nodes that revoke, that give tokens out and that forget together: for so
/// long revocations are kept beyond their time. Whatever is forgotten too soon lets a token live again.
pub const WRONG_CLOCKS: Duration = Duration::from_secs(900);

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
