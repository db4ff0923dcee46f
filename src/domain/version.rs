//! Versions of the partner API, by the day of their release.

use super::instant::Instant;
use super::words;

words!(
    /// A version that is served. Within one, changes only add.
    ApiVersion {
        V20260901 = "2026-09-01",
        V20261101 = "2026-11-01",
    }
);

/// What is spoken with who asks for nothing else.
pub const CURRENT: ApiVersion = ApiVersion::V20261101;

/// Why and until when an older version is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retirement {
    /// Since when there is a newer one.
    pub deprecated_at: Instant,
    /// From when on it may be gone.
    pub sunset_at: Instant,
}

impl ApiVersion {
    /// When it goes. `None`: it is the current one.
    pub fn retirement(self) -> Option<Retirement> {
        // Midnights in UTC.
        match self {
            Self::V20260901 => Some(Retirement {
                // 2026-11-01
                deprecated_at: Instant::from_epoch_seconds(1_793_491_200),
                // 2027-11-01
                sunset_at: Instant::from_epoch_seconds(1_825_027_200),
            }),
            Self::V20261101 => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_but_the_current_version_go_a_year_after_it_came_at_the_earliest() {
        for version in ApiVersion::ALL {
            let Some(end) = version.retirement() else {
                assert_eq!(*version, CURRENT);
                continue;
            };
            assert!(end.deprecated_at.to_string().starts_with(CURRENT.as_str()));
            let days = (end.sunset_at.epoch_seconds() - end.deprecated_at.epoch_seconds()) / 86_400;
            assert!(days >= 365, "{version}");
        }
    }
}
