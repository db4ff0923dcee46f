//! How the trade's types stand in columns: words and ids as text, moments as timestamps.

use chrono::NaiveDateTime;
use diesel::backend::Backend;
use diesel::deserialize::{self, FromSql};
use diesel::serialize::{self, Output, ToSql};
use diesel::sql_types::{Text, Timestamp};

use crate::domain::agreement::{AgreementKind, AgreementState};
use crate::domain::allowlist::Allowlist;
use crate::domain::client::{ClientKind, ClientState};
use crate::domain::credential::{CredentialKind, CredentialState, RevocationReason};
use crate::domain::delivery::{DeliveryState, ProofHash};
use crate::domain::event::EventKind;
use crate::domain::grant::GrantState;
use crate::domain::id::{
    AgreementId, AuditEventId, ClientId, CredentialId, DeliveryId, EventId, GrantId,
    LaunchReviewId, LeakReportId, PartnerId, PrivacyNoticeId, ResourceServerId, ReviewId,
};
use crate::domain::instant::Instant;
use crate::domain::launch::{CheckName, CheckState, ReviewState};
use crate::domain::leak::{LeakAction, LeakReportState};
use crate::domain::partner::PartnerState;
use crate::domain::realm::Realm;
use crate::domain::review::{CaseState, ReviewKind};
use crate::domain::revocation::RevocationKind;
use crate::domain::scope::{Scope, ScopeSet};
use crate::domain::secret::SecretHash;

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
    EventId,
    AuditEventId,
    AgreementKind,
    AgreementState,
    ReviewState,
    CheckName,
    CheckState,
    EventKind,
    ReviewKind,
    CaseState,
    RevocationKind,
    LeakReportState,
    LeakAction,
    Allowlist,
    DeliveryId,
    DeliveryState,
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
