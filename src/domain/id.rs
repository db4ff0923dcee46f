//! Names of things: a prefix that says the kind, and a ULID.
//!
//! Ids are names, not secrets: they sort by the time of their making and may
//! be printed anywhere. Their copies share one text, since every token carries several.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use rand::{TryRng, rngs::SysRng};
use ulid::Ulid;

use super::instant::Instant;
use super::realm::Realm;
use super::secret::base62;

/// The text is not an id of the wanted kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be an id of the form {expected}<ULID>")]
pub struct BadId {
    expected: &'static str,
}

/// A fresh ULID for this moment; the random part keeps two nodes apart.
///
/// A ULID knows the millisecond. Ten of its eighty random bits hold the microsecond, so that what one
/// caller does in turn is in order also within one.
fn ulid(now: Instant) -> Ulid {
    const RANDOM: u32 = 70;
    let micros = u64::try_from(now.epoch_micros()).unwrap_or(0);
    let random = rand::random::<u128>() & ((1 << RANDOM) - 1);
    Ulid::from_parts(
        micros / 1_000,
        u128::from(micros % 1_000) << RANDOM | random,
    )
}

fn millis(moment: Instant) -> u64 {
    u64::try_from(moment.epoch_micros() / 1_000).unwrap_or(0)
}

fn made_at(id: &str, prefix: &str) -> Instant {
    let text = id.strip_prefix(prefix).unwrap_or_default();
    let millis = Ulid::from_string(text).map_or(0, |ulid| ulid.timestamp_ms());
    Instant::from_epoch_seconds(0).plus(Duration::from_millis(millis))
}

fn printed(prefix: &str, ulid: Ulid) -> Arc<str> {
    let mut digits = [0; ulid::ULID_LEN];
    [prefix, ulid.array_to_str(&mut digits)].concat().into()
}

/// What follows the prefix must be a ULID in its canonical upper-case form.
fn is_ulid(text: &str) -> bool {
    let mut canonical = [0; ulid::ULID_LEN];
    Ulid::from_string(text).is_ok_and(|ulid| ulid.array_to_str(&mut canonical) == text)
}

/// The ULID at the end of an id.
fn ulid_of(id: &str) -> u128 {
    let ulid = id.get(id.len().saturating_sub(ulid::ULID_LEN)..);
    ulid.and_then(|text| Ulid::from_string(text).ok())
        .map_or(0, u128::from)
}

/// What printing, storing and sending need of a text id, whatever its prefix.
macro_rules! text_id {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash,
                 diesel::expression::AsExpression, diesel::deserialize::FromSqlRow)]
        #[diesel(sql_type = diesel::sql_types::Text)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The id as it is printed and stored.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.serialize_str(&self.0)
            }
        }
    };
}

macro_rules! id_type {
    ($(#[$meta:meta])* $name:ident, $prefix:literal) => {
        text_id!($(#[$meta])* $name);

        impl $name {
            /// What every id of this kind begins with.
            pub const PREFIX: &'static str = $prefix;

            /// A new id, made now.
            pub fn generate(now: Instant) -> Self {
                Self(printed($prefix, ulid(now)))
            }

            /// The ULID, which tells ids of this kind apart.
            pub fn ulid(&self) -> u128 {
                ulid_of(&self.0)
            }

            /// The first id that this millisecond can have: ids sort by their making.
            pub fn first_of(moment: Instant) -> Self {
                Self(printed($prefix, Ulid::from_parts(millis(moment), 0)))
            }

            /// The last one.
            pub fn last_of(moment: Instant) -> Self {
                Self(printed($prefix, Ulid::from_parts(millis(moment), u128::MAX)))
            }

            /// When it was made, to the millisecond.
            pub fn made_at(&self) -> Instant {
                made_at(&self.0, $prefix)
            }
        }

        impl FromStr for $name {
            type Err = BadId;
            fn from_str(text: &str) -> Result<Self, BadId> {
                match text.strip_prefix($prefix) {
                    Some(rest) if is_ulid(rest) => Ok(Self(text.into())),
                    _ => Err(BadId { expected: $prefix }),
                }
            }
        }
    };
}

id_type!(
    /// A partner: an organisation and tenant.
    PartnerId, "ptn_"
);
id_type!(
    /// One way for a client to authenticate.
    CredentialId, "crd_"
);
id_type!(
    /// An approved permission of a partner.
    GrantId, "grt_"
);
id_type!(
    /// A resource server: an audience with its scopes.
    ResourceServerId, "rsv_"
);
id_type!(
    /// A contract or a data processing agreement.
    AgreementId, "agr_"
);
id_type!(
    /// A privacy notice on record.
    PrivacyNoticeId, "pvn_"
);
id_type!(
    /// A review before live access.
    LaunchReviewId, "lnr_"
);
id_type!(
    /// A case that operators look into.
    ReviewId, "rvw_"
);
id_type!(
    /// A report of leaked secrets.
    LeakReportId, "lkr_"
);
id_type!(
    /// Something that a partner is told.
    EventId, "evt_"
);
id_type!(
    /// An entry of the audit trail.
    AuditEventId, "aud_"
);
id_type!(
    /// A Token Status List.
    StatusListId, "stl_"
);
id_type!(
    /// A named set of limits.
    PlanId, "pln_"
);
id_type!(
    /// Something that is for sale.
    PackageId, "pkg_"
);
id_type!(
    /// An order of a partner.
    OrderId, "ord_"
);
id_type!(
    /// A record of what an order's holder used.
    UsageRecordId, "usg_"
);
id_type!(
    /// A movement in the ledger.
    LedgerEntryId, "led_"
);
id_type!(
    /// An invoice.
    InvoiceId, "inv_"
);
id_type!(
    /// Where a partner wants to be told of events.
    WebhookEndpointId, "whe_"
);
id_type!(
    /// Events that are sent to an endpoint again.
    ReplayId, "rpl_"
);
id_type!(
    /// One HTTP request, as the log and the caller see it.
    RequestId, "req_"
);

text_id!(
    /// A secret on its way. Other than the rest it is no ULID: it stands in a link, and nobody may guess it.
    DeliveryId
);

impl DeliveryId {
    const PREFIX: &str = "sdl_";
    /// 62^22 > 2^128.
    const LEN: usize = 22;

    /// A new id: 128 bits from the system's random source.
    ///
    /// # Errors
    /// The system has no randomness to give.
    pub fn generate() -> Result<Self, rand::rngs::SysError> {
        let mut bytes = [0u8; 16];
        SysRng.try_fill_bytes(&mut bytes)?;
        let digits = base62(u128::from_be_bytes(bytes));
        Ok(Self(format!("{}{digits}", Self::PREFIX).into()))
    }
}

impl FromStr for DeliveryId {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        let known = text.strip_prefix(Self::PREFIX).is_some_and(|rest| {
            rest.len() == Self::LEN && rest.bytes().all(|b| b.is_ascii_alphanumeric())
        });
        if known {
            Ok(Self(text.into()))
        } else {
            Err(BadId {
                expected: Self::PREFIX,
            })
        }
    }
}

text_id!(
    /// An OAuth client; the prefix names its realm.
    ClientId
);

impl ClientId {
    /// A new client id of a realm, made now.
    pub fn generate(realm: Realm, now: Instant) -> Self {
        let prefix = match realm {
            Realm::Sandbox => "cl_sbx_",
            Realm::Live => "cl_live_",
            Realm::Admin => "cl_adm_",
        };
        Self(printed(prefix, ulid(now)))
    }

    /// The ULID, which tells clients of a realm apart.
    pub fn ulid(&self) -> u128 {
        ulid_of(&self.0)
    }

    /// The realm that the prefix names.
    pub fn realm(&self) -> Realm {
        let of = |realm: &Realm| {
            self.0
                .strip_prefix("cl_")
                .is_some_and(|rest| rest.starts_with(realm.short()))
        };
        Realm::ALL
            .iter()
            .copied()
            .find(of)
            .unwrap_or(Realm::Sandbox)
    }
}

impl FromStr for ClientId {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        let known = text
            .strip_prefix("cl_")
            .and_then(|rest| rest.split_once('_'))
            .is_some_and(|(short, rest)| {
                Realm::ALL.iter().any(|r| r.short() == short) && is_ulid(rest)
            });
        if known {
            Ok(Self(text.into()))
        } else {
            Err(BadId {
                expected: "cl_<sbx|live|adm>_",
            })
        }
    }
}

macro_rules! found_by_time {
    ($($name:ident),+) => { $(
        impl $name {
            /// What sorts at or before every one of this moment and later, and after all earlier ones.
            pub fn floor(moment: Instant) -> Self {
                let millis = u64::try_from(moment.epoch_micros() / 1_000).unwrap_or(0);
                Self(printed(Self::PREFIX, Ulid::from_parts(millis, 0)))
            }

            /// What sorts after every one from before this moment: they know no more than the millisecond.
            pub fn ceiling(moment: Instant) -> Self {
                Self::floor(moment.plus(std::time::Duration::from_millis(1)))
            }
        }
    )+ };
}

found_by_time!(RequestId, AuditEventId);

text_id!(
    /// An id of anything that this server names by a ULID, whatever its kind.
    ///
    /// For columns and details into which nothing else may slip.
    AnyId
);

impl AnyId {
    /// The longest prefix, with its underscores.
    const PREFIX: usize = 12;

    /// What stands before the ULID: it names the kind.
    pub fn prefix(&self) -> &str {
        let end = self.0.rfind('_').map_or(0, |at| at + 1);
        self.0.get(..end).unwrap_or_default()
    }
}

impl FromStr for AnyId {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        let (kind, rest) = text.rsplit_once('_').unwrap_or_default();
        let is_kind = (1..Self::PREFIX).contains(&kind.len())
            && kind.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        if is_kind && is_ulid(rest) {
            Ok(Self(text.into()))
        } else {
            Err(BadId {
                expected: "<kind>_",
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Instant {
        Instant::from_epoch_seconds(1_800_000_000)
    }

    #[test]
    fn an_id_parses_back_to_itself() {
        let id = PartnerId::generate(now());
        assert_eq!(id.as_str().parse::<PartnerId>(), Ok(id.clone()));
        assert_eq!(id.as_str().len(), "ptn_".len() + 26);
    }

    #[test]
    fn an_id_knows_when_it_was_made() {
        let moment: Instant = "2028-02-29T23:59:59.999Z".parse().unwrap();
        assert_eq!(OrderId::generate(moment).made_at(), moment);
        assert_eq!(OrderId::last_of(moment).made_at(), moment);
    }

    #[test]
    fn an_id_of_another_kind_is_refused() {
        let id = PartnerId::generate(now());
        assert!(id.as_str().parse::<CredentialId>().is_err());
        for bad in [
            "",
            "ptn_",
            "ptn_x",
            "ptn_01arz3ndektsv4rrffq69g5fav",
            "PTN_01ARZ3NDEKTSV4RRFFQ69G5FAV",
        ] {
            assert!(bad.parse::<PartnerId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn any_id_is_a_kind_and_a_ulid_and_nothing_else() {
        let client = ClientId::generate(Realm::Live, now());
        let any: AnyId = client.as_str().parse().unwrap();
        assert_eq!((any.as_str(), any.prefix()), (client.as_str(), "cl_live_"));
        let ulid = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
        for bad in [
            ulid.to_owned(),
            format!("_{ulid}"),
            format!("ord_{}", ulid.to_lowercase()),
            format!("Ord_{ulid}"),
            format!("jane.doe_{ulid}"),
            format!("something_longer_{ulid}"),
            format!("ord_{ulid}?q"),
            "ORDER-4711".to_owned(),
        ] {
            assert!(bad.parse::<AnyId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn ids_are_in_order_within_a_millisecond() {
        let ids = (0..2000).map(|micros| now().plus(std::time::Duration::from_micros(micros)));
        let ids: Vec<_> = ids.map(RequestId::generate).collect();
        assert!(ids.is_sorted());
    }

    #[test]
    fn the_floor_of_a_moment_parts_earlier_requests_from_later_ones() {
        let floor = RequestId::floor(now());
        let earlier = now().minus(std::time::Duration::from_millis(1));
        assert!(RequestId::generate(earlier) < floor && floor <= RequestId::generate(now()));
    }

    #[test]
    fn a_client_id_names_its_realm() {
        for realm in Realm::ALL {
            let id = ClientId::generate(*realm, now());
            assert_eq!(id.realm(), *realm);
            assert_eq!(id.as_str().parse::<ClientId>(), Ok(id));
        }
        assert!(
            "cl_dev_01ARZ3NDEKTSV4RRFFQ69G5FAV"
                .parse::<ClientId>()
                .is_err()
        );
    }

    #[test]
    fn a_delivery_s_id_says_nothing_and_parses_back_to_itself() {
        let (one, other) = (
            DeliveryId::generate().unwrap(),
            DeliveryId::generate().unwrap(),
        );
        assert_ne!(one, other);
        assert_eq!(one.as_str().parse(), Ok(one.clone()));
        for bad in ["", "sdl_", "sdl_short", "sdl_0123456789abcdefghij-/"] {
            assert!(bad.parse::<DeliveryId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn ids_sort_by_the_time_of_their_making() {
        let earlier = GrantId::generate(Instant::from_epoch_seconds(1));
        let later = GrantId::generate(Instant::from_epoch_seconds(2));
        assert!(earlier < later);
        let moment = Instant::from_epoch_seconds(1_800_000_000);
        let id = GrantId::generate(moment);
        assert!(GrantId::first_of(moment) <= id && id <= GrantId::last_of(moment));
        assert!(
            GrantId::last_of(moment)
                < GrantId::first_of(Instant::from_epoch_seconds(1_800_000_001))
        );
    }
}
