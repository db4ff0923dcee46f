//! Replays: events that a partner has sent to an endpoint again.

use super::lifecycle::steps;
use super::words;

words!(
    /// A replay's state: previewed → running → completed or cancelled.
    ReplayState {
        Previewed = "previewed",
        Running = "running",
        Completed = "completed",
        Cancelled = "cancelled",
    }
);

steps!(
    /// What happens to a replay.
    ReplayStep over ReplayState {
        Run: Previewed => Running;
        /// Everything that was meant has been sent.
        Complete: Running => Completed;
        Cancel: Previewed, Running => Cancelled;
    }
);

words!(
    /// Which of an endpoint's events a replay sends.
    Selection {
        /// Those that were tried and did not arrive.
        Failed = "failed",
        /// Those that were never tried, since the endpoint was disabled or did not ask for their type.
        Missing = "missing",
        /// All, also those that arrived.
        All = "all",
    }
);

#[cfg(test)]
mod tests {
    use super::ReplayState::*;
    use super::*;
    use crate::domain::lifecycle::tests::keeps_to;

    #[test]
    fn a_replay_keeps_to_the_drawing() {
        keeps_to::<ReplayStep>(
            Previewed,
            &[
                (Previewed, Running),
                (Running, Completed),
                (Previewed, Cancelled),
                (Running, Cancelled),
            ],
        );
    }
}
