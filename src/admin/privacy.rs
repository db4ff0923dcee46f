//! Privacy notices: what a partner asks for, why, how long it keeps it, and how people say no.

use super::{Act, AdminError, partners};
use crate::audit::{Action, Deed};
use crate::domain::id::{PartnerId, PrivacyNoticeId};
use crate::domain::privacy::NoticeAddress;
use crate::store::Db;
use crate::store::changes::{Change, Subject};
use crate::store::privacy_notices::{self, PrivacyNotice};

/// What a notice says.
#[derive(Clone, Debug)]
pub struct NewNotice {
    pub requests: String,
    pub purpose: String,
    pub retention: String,
    pub how_to_revoke: String,
    pub support_contact: String,
    pub url: Option<NoticeAddress>,
}

/// Puts a notice on record in place of the former, which is kept. The same words again change nothing.
pub fn record(
    db: &mut Change<'_>,
    act: &Act,
    partner: &PartnerId,
    new: NewNotice,
) -> Result<PrivacyNotice, AdminError> {
    partners::open(db, partner)?;
    let former = privacy_notices::in_force(db, partner)?;
    let notice = PrivacyNotice {
        id: PrivacyNoticeId::generate(act.now),
        partner_id: partner.clone(),
        requests: new.requests,
        purpose: new.purpose,
        retention: new.retention,
        how_to_revoke: new.how_to_revoke,
        support_contact: new.support_contact,
        url: new.url.map(|url| url.to_string()),
        recorded_by: act.actor.to_string(),
        recorded_at: act.now,
        superseded_at: None,
    };
    if let Some(former) = &former
        && says_the_same(former, &notice)
    {
        return Ok(former.clone());
    }
    privacy_notices::supersede(db, partner, act.now)?;
    privacy_notices::insert(db, &notice)?;
    db.touch(Subject::Partner(partner.clone()));
    let deed = Deed::new(Action::PrivacyNoticeRecorded, &notice.id)
        .partner(partner)
        .detail("supersedes", former.map(|former| former.id.to_string()));
    act.record(db, deed)?;
    Ok(notice)
}

/// The notice in force.
pub fn get(db: &mut Db, partner: &PartnerId) -> Result<PrivacyNotice, AdminError> {
    privacy_notices::in_force(db, partner)?.ok_or(AdminError::NotFound)
}

fn says_the_same(one: &PrivacyNotice, other: &PrivacyNotice) -> bool {
    let words = |notice: &PrivacyNotice| {
        [
            Some(notice.requests.clone()),
            Some(notice.purpose.clone()),
            Some(notice.retention.clone()),
            Some(notice.how_to_revoke.clone()),
            Some(notice.support_contact.clone()),
            notice.url.clone(),
        ]
    };
    words(one) == words(other)
}
