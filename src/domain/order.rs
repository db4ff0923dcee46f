//! Orders: what a partner bought, and what became of it.

use super::lifecycle::steps;
use super::words;

words!(
    /// An order's state: accepted → preparing → fulfilled; or cancelled or failed before that.
    OrderState {
        Accepted = "accepted",
        Preparing = "preparing",
        Fulfilled = "fulfilled",
        Cancelled = "cancelled",
        Failed = "failed",
    }
);

steps!(
    /// What happens to an order. One that is cancelled or fails is not charged.
    OrderStep over OrderState {
        Prepare: Accepted => Preparing;
        Fulfil: Preparing => Fulfilled;
        Cancel: Accepted, Preparing => Cancelled;
        Fail: Accepted, Preparing => Failed;
    }
);

#[cfg(test)]
mod tests {
    use super::OrderState::*;
    use super::*;
    use crate::domain::lifecycle::tests::keeps_to;

    #[test]
    fn an_order_keeps_to_the_drawing() {
        keeps_to::<OrderStep>(
            Accepted,
            &[
                (Accepted, Preparing),
                (Preparing, Fulfilled),
                (Accepted, Cancelled),
                (Preparing, Cancelled),
                (Accepted, Failed),
                (Preparing, Failed),
            ],
        );
    }
}
