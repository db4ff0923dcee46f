//! The ledger: movements of money between two accounts, which are never changed.

use super::words;

words!(
    /// An account of a partner's book.
    Account {
        /// What the partner owes: debits raise it, credits lower it.
        Partner = "partner",
        Sales = "sales",
        Adjustments = "adjustments",
        Bank = "bank",
        BadDebt = "bad_debt",
    }
);

words!(
    /// Why money moved.
    EntryKind {
        Order = "order",
        Refund = "refund",
        Adjustment = "adjustment",
        Payment = "payment",
        WriteOff = "write_off",
    }
);

impl EntryKind {
    /// The kinds that invoices bill. How an invoice was settled is no part of one.
    pub const BILLED: [Self; 3] = [Self::Order, Self::Refund, Self::Adjustment];
}

/// From which account to which: both sides at once, so no entry can be out of balance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Movement {
    /// The account that is debited.
    pub debit: Account,
    /// The account that is credited.
    pub credit: Account,
}

impl Movement {
    /// The partner owes more.
    pub fn charge(against: Account) -> Self {
        Self {
            debit: Account::Partner,
            credit: against,
        }
    }

    /// The partner owes less.
    pub fn credit(against: Account) -> Self {
        Self {
            debit: against,
            credit: Account::Partner,
        }
    }

    /// What an amount does to the partner's balance, which is what it owes.
    pub fn signed(self, amount: i64) -> i64 {
        match (self.debit, self.credit) {
            (Account::Partner, _) => amount,
            (_, Account::Partner) => -amount,
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_charge_and_its_credit_leave_nothing() {
        for account in [Account::Sales, Account::Adjustments] {
            let (charge, credit) = (Movement::charge(account), Movement::credit(account));
            assert_eq!(charge.signed(500) + credit.signed(500), 0);
            assert_eq!(charge.debit, credit.credit);
        }
    }
}
