//! Invoices: what a month's entries of the ledger come to.

use super::lifecycle::steps;
use super::words;

words!(
    /// An invoice's state: draft → open → paid, void or uncollectible.
    InvoiceState {
        Draft = "draft",
        Open = "open",
        Paid = "paid",
        Void = "void",
        Uncollectible = "uncollectible",
    }
);

steps!(
    /// What happens to an invoice.
    InvoiceStep over InvoiceState {
        /// It gets its number.
        Open: Draft => Open;
        Pay: Open => Paid;
        Void: Open => Void;
        GiveUp: Open => Uncollectible;
    }
);

#[cfg(test)]
mod tests {
    use super::InvoiceState::*;
    use super::*;
    use crate::domain::lifecycle::tests::keeps_to;

    #[test]
    fn an_invoice_keeps_to_the_drawing() {
        keeps_to::<InvoiceStep>(
            Draft,
            &[
                (Draft, Open),
                (Open, Paid),
                (Open, Void),
                (Open, Uncollectible),
            ],
        );
    }
}
