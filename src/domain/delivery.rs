//! Deliveries: how a secret reaches who it is for, and what becomes of it on the way.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::lifecycle::steps;
use super::words;

words!(
    /// How a secret reaches who it is for.
    Channel {
        /// In the answer to who asked for it.
        Response = "response",
        /// By a link that opens once.
        Link = "link",
        /// Encrypted to a public key of the recipient.
        Jwe = "jwe",
    }
);

words!(
    /// A delivery's state: pending → opened, expired or cancelled.
    DeliveryState {
        Pending = "pending",
        Opened = "opened",
        Expired = "expired",
        Cancelled = "cancelled",
    }
);

steps!(
    /// What happens to a delivery. Each leads out of pending, so that only one ever does.
    DeliveryStep over DeliveryState {
        /// Who holds the link proved it, and was handed the sealed secret.
        Open: Pending => Opened;
        /// Nobody did in time; the credential is revoked.
        Expire: Pending => Expired, tokens_die;
        /// The credential was revoked first.
        Cancel: Pending => Cancelled;
    }
);

/// What a link's holder must show, as it is stored: SHA-256, as hex. It has 256 bits that nobody can guess.
#[derive(
    Clone, PartialEq, Eq, diesel::expression::AsExpression, diesel::deserialize::FromSqlRow,
)]
#[diesel(sql_type = diesel::sql_types::Text)]
pub struct ProofHash(pub(crate) String);

impl std::fmt::Debug for ProofHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ProofHash")
    }
}

/// How long a link may wait to be opened.
pub const LINK_TTL: RangeInclusive<i32> = 60..=86_400;

/// How long it waits where nobody says otherwise.
pub const DEFAULT_LINK_TTL: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use super::DeliveryState::*;
    use super::*;
    use crate::domain::lifecycle::tests::keeps_to;

    #[test]
    fn a_delivery_keeps_to_the_drawing() {
        keeps_to::<DeliveryStep>(
            Pending,
            &[(Pending, Opened), (Pending, Expired), (Pending, Cancelled)],
        );
    }
}
