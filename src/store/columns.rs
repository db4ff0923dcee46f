//! How the trade's types stand in columns: words and ids as text, moments as timestamps.

use chrono::NaiveDateTime;
use diesel::backend::Backend;
use diesel::deserialize::{self, FromSql};
use diesel::serialize::{self, Output, ToSql};
use diesel::sql_types::{Text, Timestamp};
use diesel::sqlite::Sqlite;

use crate::domain::agreement::{AgreementKind, AgreementState};
use crate::domain::allowlist::Allowlist;
use crate::domain::call::Idempotency;
use crate::domain::client::{ClientKind, ClientState};
use crate::domain::credential::{CredentialKind, CredentialState, RevocationReason};
use crate::domain::delivery::{DeliveryState, ProofHash};
use crate::domain::event::{EventData, EventKind};
use crate::domain::grant::GrantState;
use crate::domain::id::{
    AgreementId, AnyId, AuditEventId, ClientId, CredentialId, DeliveryId, EventId, GrantId,
    InvoiceId, LaunchReviewId, LeakReportId, LedgerEntryId, OrderId, PackageId, PartnerId, PlanId,
    PrivacyNoticeId, ReplayId, RequestId, ResourceServerId, ReviewId, StatusListId, UsageRecordId,
    WebhookEndpointId,
};
use crate::domain::instant::Instant;
use crate::domain::invoice::InvoiceState;
use crate::domain::launch::{CheckName, CheckState, ReviewState};
use crate::domain::leak::{LeakAction, LeakReportState};
use crate::domain::ledger::{Account, EntryKind};
use crate::domain::limits::Mode;
use crate::domain::money::Currency;
use crate::domain::month::Month;
use crate::domain::order::{Metadata, OrderRef, OrderState};
use crate::domain::package::{Features, PackageState};
use crate::domain::partner::PartnerState;
use crate::domain::prohibited::Material;
use crate::domain::quota::Quota;
use crate::domain::realm::Realm;
use crate::domain::replay::{ReplayState, Selection};
use crate::domain::review::{CaseState, ReviewKind};
use crate::domain::revocation::RevocationKind;
use crate::domain::scope::{Scope, ScopeSet};
use crate::domain::secret::SecretHash;
use crate::domain::version::ApiVersion;
use crate::domain::webhook::{
    DisabledReason, EndpointState, EventTypes, FailureClass, SignatureKind,
};
use crate::domain::webhook_delivery::WebhookDeliveryState;

/// A type with one text form, checked when it is read back.
macro_rules! text_column {
    ($($name:ty),+ $(,)?) => { $(
        impl<DB: Backend> ToSql<Text, DB> for $name where str: ToSql<Text, DB> {
            fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, DB>) -> serialize::Result {
                self.as_str().to_sql(out)
            }
        }

        impl<DB: Backend> FromSql<Text, DB> for $name where String: FromSql<Text, DB> {
            fn from_sql(bytes: DB::RawValue<'_>) -> deserialize::Result<Self> {
                Ok(String::from_sql(bytes)?.parse()?)
            }
        }
    )+ };
}

text_column!(
    PartnerId,
    CredentialId,
    GrantId,
    ResourceServerId,
    ClientId,
    Realm,
    Scope,
    ClientKind,
    ClientState,
    CredentialKind,
    CredentialState,
    RevocationReason,
    GrantState,
    PartnerState,
    ScopeSet,
    AgreementId,
    PrivacyNoticeId,
    LaunchReviewId,
    ReviewId,
    LeakReportId,
    StatusListId,
    EventId,
    AuditEventId,
    AgreementKind,
    AgreementState,
    ReviewState,
    CheckName,
    CheckState,
    EventData,
    EventKind,
    ReviewKind,
    CaseState,
    RevocationKind,
    LeakReportState,
    LeakAction,
    Allowlist,
    DeliveryId,
    DeliveryState,
    AnyId,
    RequestId,
    Idempotency,
    PackageId,
    OrderId,
    UsageRecordId,
    LedgerEntryId,
    InvoiceId,
    Currency,
    PackageState,
    OrderState,
    Account,
    EntryKind,
    InvoiceState,
    ApiVersion,
    Material,
    Month,
    Quota,
    Features,
    Metadata,
    OrderRef,
    WebhookEndpointId,
    EndpointState,
    SignatureKind,
    EventTypes,
    DisabledReason,
    ReplayId,
    ReplayState,
    Selection,
    FailureClass,
    WebhookDeliveryState,
    PlanId,
    Mode,
);

/// A hash that nothing but the database may print.
macro_rules! hash_column {
    ($($name:ident),+ $(,)?) => { $(
        impl<DB: Backend> ToSql<Text, DB> for $name where str: ToSql<Text, DB> {
            fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, DB>) -> serialize::Result {
                self.0.as_str().to_sql(out)
            }
        }

        impl<DB: Backend> FromSql<Text, DB> for $name where String: FromSql<Text, DB> {
            fn from_sql(bytes: DB::RawValue<'_>) -> deserialize::Result<Self> {
                Ok(Self(String::from_sql(bytes)?))
            }
        }
    )+ };
}

hash_column!(SecretHash, ProofHash);

impl<DB: Backend> ToSql<Timestamp, DB> for Instant
where
    NaiveDateTime: ToSql<Timestamp, DB>,
{
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, DB>) -> serialize::Result {
        self.naive().to_sql(out)
    }
}

impl<DB: Backend> FromSql<Timestamp, DB> for Instant
where
    NaiveDateTime: FromSql<Timestamp, DB>,
{
    fn from_sql(bytes: DB::RawValue<'_>) -> deserialize::Result<Self> {
        Ok(NaiveDateTime::from_sql(bytes)?.into())
    }
}

/// A moment as it was found: what is kept for evidence is also read where it was garbled.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    diesel::expression::AsExpression,
    diesel::deserialize::FromSqlRow,
)]
#[diesel(sql_type = Timestamp)]
pub struct FoundInstant(Option<Instant>);

impl FoundInstant {
    /// The moment. `None`: what stands there is none.
    pub fn get(self) -> Option<Instant> {
        self.0
    }
}

impl From<Instant> for FoundInstant {
    fn from(moment: Instant) -> Self {
        Self(Some(moment))
    }
}

impl std::fmt::Display for FoundInstant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(moment) => moment.fmt(f),
            None => f.pad("not a time"),
        }
    }
}

impl<DB: Backend> ToSql<Timestamp, DB> for FoundInstant
where
    Instant: ToSql<Timestamp, DB>,
{
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, DB>) -> serialize::Result {
        match &self.0 {
            Some(moment) => moment.to_sql(out),
            None => Err("there is no time to write".into()),
        }
    }
}

impl<DB: Backend> FromSql<Timestamp, DB> for FoundInstant
where
    Instant: FromSql<Timestamp, DB>,
{
    fn from_sql(bytes: DB::RawValue<'_>) -> deserialize::Result<Self> {
        Ok(Self(Instant::from_sql(bytes).ok()))
    }
}

/// A moment as SQLite keeps it, written out by hand: what diesel writes, in a twentieth of the time.
#[derive(Debug, diesel::expression::AsExpression)]
#[diesel(sql_type = Timestamp)]
pub(super) struct Stamp {
    text: [u8; 26],
    length: usize,
}

impl Stamp {
    /// `2030-01-31 12:00:00`, and of its fraction 0, 3 or 6 digits.
    pub(super) fn of(moment: Instant) -> Self {
        use chrono::{Datelike, Timelike};
        let moment = moment.naive();
        let mut text = *b"0000-00-00 00:00:00.000000";
        let mut put = |at: usize, digits: usize, mut value: u32| {
            for place in text.iter_mut().skip(at).take(digits).rev() {
                *place = b'0' + u8::try_from(value % 10).unwrap_or_default();
                value /= 10;
            }
        };
        put(0, 4, moment.year().unsigned_abs());
        put(5, 2, moment.month());
        put(8, 2, moment.day());
        put(11, 2, moment.hour());
        put(14, 2, moment.minute());
        put(17, 2, moment.second());
        let micros = moment.nanosecond() / 1000;
        put(20, 6, micros);
        let length = match micros {
            0 => 19,
            whole if whole % 1000 == 0 => 23,
            _ => 26,
        };
        Self { text, length }
    }
}

impl ToSql<Timestamp, Sqlite> for Stamp {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> serialize::Result {
        let text = self.text.get(..self.length).unwrap_or_default();
        out.set_value(std::str::from_utf8(text)?);
        Ok(serialize::IsNull::No)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_stamp_is_what_diesel_writes(seconds in 0i64..253_402_300_799, micros in 0i64..1_000_000, cut in 0usize..3) {
            let micros = micros - micros % [1, 1000, 1_000_000][cut];
            let moment = chrono::DateTime::from_timestamp_micros(seconds * 1_000_000 + micros).unwrap();
            let stamp = Stamp::of(Instant::from(moment));
            prop_assert_eq!(
                std::str::from_utf8(&stamp.text[..stamp.length]).unwrap(),
                moment.naive_utc().format("%F %T%.f").to_string()
            );
        }
    }
}
