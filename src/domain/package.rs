//! Packages: what is for sale.

use super::lifecycle::steps;
use super::words;

words!(
    /// A package's state: draft → published ⇄ withdrawn.
    PackageState {
        Draft = "draft",
        Published = "published",
        Withdrawn = "withdrawn",
    }
);

steps!(
    /// What operators do with a package. What was ordered stays ordered.
    PackageStep over PackageState {
        Publish: Draft, Withdrawn => Published;
        Withdraw: Published => Withdrawn;
    }
);

#[cfg(test)]
mod tests {
    use super::PackageState::*;
    use super::*;
    use crate::domain::lifecycle::tests::keeps_to;

    #[test]
    fn a_package_keeps_to_the_drawing() {
        keeps_to::<PackageStep>(
            Draft,
            &[
                (Draft, Published),
                (Published, Withdrawn),
                (Withdrawn, Published),
            ],
        );
    }
}
