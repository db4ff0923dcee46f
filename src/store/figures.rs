//! The figures of limits as columns, which plans and partners' own limits have alike.

use diesel::prelude::*;

use crate::domain::limits::{Figures, Percent, Quotas};
use crate::domain::money::{Currency, Money};

/// The columns of a table, as they are selected into a [`FigureRow`].
macro_rules! figures_of {
    ($table:ident) => {
        (
            $table::requests_per_minute,
            $table::burst,
            $table::tokens_per_minute,
            $table::client_share,
            $table::reads_share,
            $table::writes_share,
            $table::requests_per_day,
            $table::requests_per_month,
            $table::tokens_per_day,
            $table::tokens_per_month,
            $table::orders_per_day,
            $table::orders_per_month,
            $table::spend_per_month,
            $table::spend_currency,
        )
    };
}
pub(super) use figures_of;

/// The columns of a table, as they are set from a [`FigureRow`].
macro_rules! set_figures {
    ($table:ident, $row:expr) => {
        (
            $table::requests_per_minute.eq($row.requests_per_minute),
            $table::burst.eq($row.burst),
            $table::tokens_per_minute.eq($row.tokens_per_minute),
            $table::client_share.eq($row.client_share),
            $table::reads_share.eq($row.reads_share),
            $table::writes_share.eq($row.writes_share),
            $table::requests_per_day.eq($row.requests_per_day),
            $table::requests_per_month.eq($row.requests_per_month),
            $table::tokens_per_day.eq($row.tokens_per_day),
            $table::tokens_per_month.eq($row.tokens_per_month),
            $table::orders_per_day.eq($row.orders_per_day),
            $table::orders_per_month.eq($row.orders_per_month),
            $table::spend_per_month.eq($row.spend_per_month),
            $table::spend_currency.eq($row.spend_currency),
        )
    };
}
pub(super) use set_figures;

/// The figures of a row.
#[derive(Clone, Debug, Queryable)]
pub(super) struct FigureRow {
    pub(super) requests_per_minute: i32,
    pub(super) burst: i32,
    pub(super) tokens_per_minute: i32,
    pub(super) client_share: i32,
    pub(super) reads_share: i32,
    pub(super) writes_share: i32,
    pub(super) requests_per_day: Option<i64>,
    pub(super) requests_per_month: Option<i64>,
    pub(super) tokens_per_day: Option<i64>,
    pub(super) tokens_per_month: Option<i64>,
    pub(super) orders_per_day: Option<i64>,
    pub(super) orders_per_month: Option<i64>,
    pub(super) spend_per_month: Option<i64>,
    pub(super) spend_currency: Option<Currency>,
}

impl From<&Figures> for FigureRow {
    fn from(figures: &Figures) -> Self {
        let number = |figure: u32| i32::try_from(figure).unwrap_or(i32::MAX);
        let quotas = &figures.quotas;
        Self {
            requests_per_minute: number(figures.requests_per_minute),
            burst: number(figures.burst),
            tokens_per_minute: number(figures.tokens_per_minute),
            client_share: number(figures.client_share.get()),
            reads_share: number(figures.reads_share.get()),
            writes_share: number(figures.writes_share.get()),
            requests_per_day: quotas.requests_per_day,
            requests_per_month: quotas.requests_per_month,
            tokens_per_day: quotas.tokens_per_day,
            tokens_per_month: quotas.tokens_per_month,
            orders_per_day: quotas.orders_per_day,
            orders_per_month: quotas.orders_per_month,
            spend_per_month: quotas.spend_per_month.map(|spend| spend.amount),
            spend_currency: quotas.spend_per_month.map(|spend| spend.currency),
        }
    }
}

impl From<FigureRow> for Figures {
    /// The database's constraints keep the figures within their bounds.
    fn from(row: FigureRow) -> Self {
        let number = |figure: i32| u32::try_from(figure).unwrap_or(1);
        let share = |figure: i32| Percent::new(number(figure)).unwrap_or(Percent::ALL);
        Self {
            requests_per_minute: number(row.requests_per_minute),
            burst: number(row.burst),
            tokens_per_minute: number(row.tokens_per_minute),
            client_share: share(row.client_share),
            reads_share: share(row.reads_share),
            writes_share: share(row.writes_share),
            quotas: Quotas {
                requests_per_day: row.requests_per_day,
                requests_per_month: row.requests_per_month,
                tokens_per_day: row.tokens_per_day,
                tokens_per_month: row.tokens_per_month,
                orders_per_day: row.orders_per_day,
                orders_per_month: row.orders_per_month,
                spend_per_month: row
                    .spend_per_month
                    .zip(row.spend_currency)
                    .map(|(amount, currency)| Money::new(amount, currency)),
            },
        }
    }
}
