//! A rate: so many a second.

use tokio::time::Instant as Moment;

/// So many a second, and a tenth of that at once.
#[derive(Debug)]
pub(super) struct Bucket {
    rate: f64,
    tokens: f64,
    at: Moment,
}

impl Bucket {
    /// Full.
    pub(super) fn new(rate: f64, now: Moment) -> Self {
        let tokens = Self::most(rate);
        Self {
            rate,
            tokens,
            at: now,
        }
    }

    fn most(rate: f64) -> f64 {
        (rate / 10.0).max(1.0)
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between nothing and a tenth of the rate"
    )]
    /// How many may begin.
    pub(super) fn left(&mut self, now: Moment) -> usize {
        let gained = now.saturating_duration_since(self.at).as_secs_f64() * self.rate;
        self.tokens = (self.tokens + gained).min(Self::most(self.rate));
        self.at = now;
        self.tokens.max(0.0) as usize
    }

    /// One has begun.
    pub(super) fn take(&mut self) {
        self.tokens -= 1.0;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_endpoint_gets_no_more_than_its_rate() {
        let now = Moment::now();
        let mut bucket = Bucket::new(200.0, now);
        for _ in 0..20 {
            assert!(bucket.left(now) > 0);
            bucket.take();
        }
        assert_eq!(bucket.left(now), 0);
        assert_eq!(bucket.left(now + Duration::from_millis(11)), 2);
        assert_eq!(bucket.left(now + Duration::from_secs(60)), 20);
    }
}
