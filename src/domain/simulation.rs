//! What the sandbox plays with an order: nobody fulfils it, so a script does.

use std::time::Duration;

use super::order::{OrderRef, OrderState, OrderStep};

/// How an order of the sandbox goes, by how its reference begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Script {
    /// accepted → preparing → fulfilled.
    Succeed,
    /// accepted → preparing → failed; `sim-fail`.
    Fail,
    /// accepted → cancelled; `sim-cancel`.
    Cancel,
    /// A minute in `accepted`, then as usual; `sim-delay`.
    Delay,
}

/// How long an order stays in a state.
const USUAL: Duration = Duration::from_secs(1);
/// How long one that is delayed stays in `accepted`.
const LONG: Duration = Duration::from_secs(60);

impl Script {
    /// The script that a reference asks for, in any case.
    pub fn of(reference: &OrderRef) -> Self {
        let begins = |word: &str| {
            let start = reference.as_str().get(..word.len());
            start.is_some_and(|start| start.eq_ignore_ascii_case(word))
        };
        if begins("sim-fail") {
            Self::Fail
        } else if begins("sim-cancel") {
            Self::Cancel
        } else if begins("sim-delay") {
            Self::Delay
        } else {
            Self::Succeed
        }
    }

    /// What is played from a state, and after how long in it. `None`: the script is over.
    pub fn next(self, state: OrderState) -> Option<(OrderStep, Duration)> {
        match (state, self) {
            (OrderState::Accepted, Self::Cancel) => Some((OrderStep::Cancel, USUAL)),
            (OrderState::Accepted, Self::Delay) => Some((OrderStep::Prepare, LONG)),
            (OrderState::Accepted, _) => Some((OrderStep::Prepare, USUAL)),
            (OrderState::Preparing, Self::Fail) => Some((OrderStep::Fail, USUAL)),
            (OrderState::Preparing, _) => Some((OrderStep::Fulfil, USUAL)),
            (OrderState::Fulfilled | OrderState::Cancelled | OrderState::Failed, _) => None,
        }
    }

    /// What partners are told as the reason of a step.
    pub fn reason(step: OrderStep) -> Option<&'static str> {
        match step {
            OrderStep::Fail => Some("simulated failure"),
            OrderStep::Cancel => Some("simulated cancellation"),
            OrderStep::Prepare | OrderStep::Fulfil => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::lifecycle::after;

    fn played(reference: &str) -> (Vec<OrderState>, Duration) {
        let script = Script::of(&reference.parse().unwrap());
        let (mut states, mut takes) = (vec![OrderState::Accepted], Duration::ZERO);
        while let Some((step, wait)) = script.next(states[states.len() - 1]) {
            let state = states[states.len() - 1];
            states.push(after(state, step).expect("the script keeps to the drawing"));
            takes += wait;
        }
        (states, takes)
    }

    #[test]
    fn references_choose_the_script() {
        use OrderState::*;
        let seconds = Duration::from_secs;
        let usual = vec![Accepted, Preparing, Fulfilled];
        for (reference, states, takes) in [
            ("PO-1", usual.clone(), seconds(2)),
            ("not-sim-fail", usual.clone(), seconds(2)),
            ("sim-fail", vec![Accepted, Preparing, Failed], seconds(2)),
            ("SIM-FAIL-77", vec![Accepted, Preparing, Failed], seconds(2)),
            ("sim-cancel-1", vec![Accepted, Cancelled], seconds(1)),
            ("sim-delay.x", usual, seconds(61)),
        ] {
            assert_eq!(played(reference), (states, takes), "{reference}");
        }
    }
}
