//! What an order includes, and when its partner is told how much of that is used up.

/// Shares at which the partner is told, in percent.
pub const THRESHOLDS: [i32; 2] = [80, 100];

/// The threshold that using more has passed; of several the highest. `None`: none.
///
/// `before` and `after` are what was used of `included`.
pub fn passed(included: i64, before: i64, after: i64) -> Option<i32> {
    let reaches = |used: i64, percent: i32| {
        i128::from(used) * 100 >= i128::from(included) * i128::from(percent)
    };
    let passes = |percent: &i32| !reaches(before, *percent) && reaches(after, *percent);
    THRESHOLDS.into_iter().rev().find(passes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_threshold_is_passed_by_who_reaches_it() {
        let told = |before, after| passed(5000, before, after);
        assert_eq!(told(0, 3999), None);
        assert_eq!(told(3999, 4000), Some(80));
        assert_eq!(told(4000, 4999), None);
        assert_eq!(told(4999, 5000), Some(100));
        assert_eq!(told(5000, 9000), None);
        // At one go: what matters more is told.
        assert_eq!(told(0, 6000), Some(100));
    }

    proptest! {
        #[test]
        fn each_threshold_is_passed_once_at_most_however_it_is_used(
            included in 1_i64..=1_000_000_000_000, uses in prop::collection::vec(1_i64..=1_000_000_000_000, 1..40)
        ) {
            let (mut used, mut told) = (0, Vec::new());
            for quantity in uses {
                told.extend(passed(included, used, used + quantity));
                used += quantity;
            }
            prop_assert!(told.is_empty() || told == [80] || told == [80, 100] || told == [100], "{told:?}");
            prop_assert_eq!(told.contains(&100), used >= included);
        }
    }
}
