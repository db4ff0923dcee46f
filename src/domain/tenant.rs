//! Whose data: a partner in an environment, known only from a verified token.

use super::id::PartnerId;
use super::realm::Realm;

/// A partner in one environment.
///
/// Every query for a partner's rows takes one first. It has no public
/// constructor: it comes from a verified token, never from a path, a query or a
/// body; or, for operators, from the row that they deal with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant {
    partner_id: PartnerId,
    realm: Realm,
}

impl Tenant {
    /// The tenant that a verified token names.
    pub(crate) fn of_token(partner_id: PartnerId, realm: Realm) -> Self {
        Self { partner_id, realm }
    }

    /// Whose a record is that operators or the server itself have found: never for a partner's request.
    pub(crate) fn of_record(partner_id: PartnerId, realm: Realm) -> Self {
        Self { partner_id, realm }
    }

    /// The partner.
    pub fn partner_id(&self) -> &PartnerId {
        &self.partner_id
    }

    /// The environment.
    pub fn realm(&self) -> Realm {
        self.realm
    }
}
