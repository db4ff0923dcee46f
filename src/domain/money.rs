//! Money: whole minor units of one currency.

use super::words;

words!(
    /// A currency, by its ISO 4217 code. Those in which packages can be priced.
    Currency {
        Aud = "AUD",
        Cad = "CAD",
        Chf = "CHF",
        Czk = "CZK",
        Dkk = "DKK",
        Eur = "EUR",
        Gbp = "GBP",
        Huf = "HUF",
        Inr = "INR",
        Jpy = "JPY",
        Krw = "KRW",
        Nok = "NOK",
        Nzd = "NZD",
        Pln = "PLN",
        Ron = "RON",
        Sek = "SEK",
        Sgd = "SGD",
        Usd = "USD",
    }
);

/// An amount in a currency's minor units: cents for EUR, yen for JPY.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Money {
    /// Minor units.
    pub amount: i64,
    /// Of what.
    pub currency: Currency,
}

/// The largest amount that is handled: JSON readers that keep numbers as doubles still read it exactly.
pub const LARGEST: i64 = (1 << 53) - 1;

/// An amount is beyond [`LARGEST`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the amount is too large: at most 9007199254740991 minor units")]
pub struct TooMuch;

impl Money {
    /// So many minor units.
    pub fn new(amount: i64, currency: Currency) -> Self {
        Self { amount, currency }
    }

    /// So many times as much.
    ///
    /// # Errors
    /// The product is beyond [`LARGEST`].
    pub fn times(self, quantity: i64) -> Result<Self, TooMuch> {
        let amount = self.amount.checked_mul(quantity).ok_or(TooMuch)?;
        if amount.unsigned_abs() > LARGEST.unsigned_abs() {
            return Err(TooMuch);
        }
        Ok(Self { amount, ..self })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_is_exact_or_refused() {
        let price = Money::new(1999, Currency::Eur);
        assert_eq!(price.times(3), Ok(Money::new(5997, Currency::Eur)));
        assert_eq!(Money::new(LARGEST, Currency::Eur).times(2), Err(TooMuch));
        assert_eq!(price.times(i64::MAX), Err(TooMuch));
        assert_eq!(
            Money::new(0, Currency::Jpy)
                .times(i64::MAX)
                .map(|m| m.amount),
            Ok(0)
        );
    }

    #[test]
    fn codes_are_upper_case() {
        assert_eq!("EUR".parse::<Currency>(), Ok(Currency::Eur));
        assert!("eur".parse::<Currency>().is_err());
    }
}
