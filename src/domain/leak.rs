//! Reports of leaked secrets: how much one may hold, and what is done about a match.

use std::time::Duration;

use super::lifecycle::steps;
use super::words;

words!(
    /// A report's state: received → done.
    LeakReportState { Received = "received", Done = "done" }
);

steps!(
    /// What happens to a report.
    LeakReportStep over LeakReportState {
        /// Every candidate was looked for, and what matched was acted on.
        Finish: Received => Done;
    }
);

words!(
    /// What was done about a secret that was found leaked.
    LeakAction {
        /// It was revoked at once.
        Revoked = "revoked",
        /// It ends within the hour that its partner chose.
        Grace = "grace",
        /// That hour is over, and it was revoked.
        RevokedAfterGrace = "revoked_after_grace",
        /// It was revoked before the report.
        AlreadyRevoked = "already_revoked",
    }
);

/// At most so many candidates a report.
pub const MAX_CANDIDATES: usize = 1_000;

/// How long a leaked live secret is still accepted, where its partner chose so.
pub const GRACE: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::lifecycle::tests::keeps_to;

    #[test]
    fn a_report_keeps_to_the_drawing() {
        use LeakReportState::*;
        keeps_to::<LeakReportStep>(Received, &[(Received, Done)]);
    }
}
