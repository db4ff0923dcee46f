//! What a partner has, ended as a whole.

use diesel::prelude::*;

use super::clients::Client;
use super::db::Db;
use super::error::StoreError;
use super::grants::Grant;
use super::schema::{
    clients, credentials, orders, partners, privacy_notices, scope_grants, secret_deliveries,
    webhook_endpoints, webhook_replays, webhook_secrets,
};
use crate::domain::allowlist::Allowlist;
use crate::domain::client::ClientStep;
use crate::domain::grant::GrantStep;
use crate::domain::id::{OrderId, PartnerId, ReplayId, WebhookEndpointId};
use crate::domain::instant::Instant;
use crate::domain::lifecycle::Step;
use crate::domain::partner::PartnerState;
use crate::domain::realm::Realm;
use crate::domain::replay::ReplayStep;
use crate::domain::webhook::{DisabledReason, EndpointStep};

/// Revokes every client of a partner, in both environments; answers those that were not revoked before.
pub fn revoke_clients(
    db: &mut Db,
    partner: &PartnerId,
    now: Instant,
) -> Result<Vec<Client>, StoreError> {
    let step = ClientStep::Revoke;
    let standing = clients::table
        .filter(clients::partner_id.eq(partner))
        .filter(clients::state.eq_any(step.from()));
    Ok(diesel::update(standing)
        .set((clients::state.eq(step.to()), clients::updated_at.eq(now)))
        .returning(clients::all_columns)
        .get_results(db)?)
}

/// Revokes every approved grant of a partner, in both environments; answers them.
pub fn revoke_grants(
    db: &mut Db,
    partner: &PartnerId,
    by: &str,
    reason: &str,
    now: Instant,
) -> Result<Vec<Grant>, StoreError> {
    let step = GrantStep::Revoke;
    let in_force = scope_grants::table
        .filter(scope_grants::partner_id.eq(partner))
        .filter(scope_grants::state.eq_any(step.from()));
    Ok(diesel::update(in_force)
        .set((
            scope_grants::state.eq(step.to()),
            scope_grants::ended_by.eq(by),
            scope_grants::ended_at.eq(now),
            scope_grants::ended_reason.eq(reason),
        ))
        .returning(scope_grants::all_columns)
        .get_results(db)?)
}

/// Cancels every replay of a partner that is not over, in both environments; answers them.
pub fn cancel_replays(
    db: &mut Db,
    partner: &PartnerId,
    now: Instant,
) -> Result<Vec<(ReplayId, Realm)>, StoreError> {
    let step = ReplayStep::Cancel;
    let standing = webhook_replays::table
        .filter(webhook_replays::partner_id.eq(partner))
        .filter(webhook_replays::state.eq_any(step.from()));
    Ok(diesel::update(standing)
        .set((
            webhook_replays::state.eq(step.to()),
            webhook_replays::ended_at.eq(now),
        ))
        .returning((webhook_replays::id, webhook_replays::realm))
        .get_results(db)?)
}

/// Deletes every webhook endpoint of a partner, in both environments, with what signs for it; answers those
/// that were not deleted before.
pub fn delete_webhook_endpoints(
    db: &mut Db,
    partner: &PartnerId,
    now: Instant,
) -> Result<Vec<(WebhookEndpointId, Realm)>, StoreError> {
    let secrets = webhook_secrets::table.filter(webhook_secrets::partner_id.eq(partner));
    diesel::delete(secrets).execute(db)?;
    let step = EndpointStep::Delete;
    let standing = webhook_endpoints::table
        .filter(webhook_endpoints::partner_id.eq(partner))
        .filter(webhook_endpoints::state.eq_any(step.from()));
    Ok(diesel::update(standing)
        .set((
            webhook_endpoints::state.eq(step.to()),
            webhook_endpoints::disabled_reason.eq(None::<DisabledReason>),
            webhook_endpoints::next_at.eq(None::<Instant>),
            webhook_endpoints::updated_at.eq(now),
        ))
        .returning((webhook_endpoints::id, webhook_endpoints::realm))
        .get_results(db)?)
}

/// What stands where something personal stood.
pub const REMOVED: &str = "removed";

/// How many records something was taken out of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Anonymised {
    pub security_contacts: usize,
    pub notices: usize,
    pub clients: usize,
    pub credentials: usize,
    pub deliveries: usize,
    pub webhook_urls: usize,
}

/// Takes contacts, names and addresses out of a partner's records.
///
/// What is taken out already is not counted again.
pub fn anonymise(db: &mut Db, partner: &PartnerId, now: Instant) -> Result<Anonymised, StoreError> {
    let contact = partners::table
        .find(partner)
        .filter(partners::security_contact.ne(REMOVED));
    let notice = privacy_notices::table
        .filter(privacy_notices::partner_id.eq(partner))
        .filter(privacy_notices::support_contact.ne(REMOVED));
    let theirs = clients::table
        .filter(clients::partner_id.eq(partner))
        .filter(
            clients::name
                .ne(REMOVED)
                .or(clients::ip_allowlist.is_not_null()),
        );
    let ids = || {
        clients::table
            .filter(clients::partner_id.eq(partner))
            .select(clients::id)
    };
    let credential = credentials::table
        .filter(credentials::client_id.eq_any(ids()))
        .filter(credentials::last_used_ip.is_not_null());
    let delivery = secret_deliveries::table
        .filter(
            secret_deliveries::credential_id.eq_any(
                credentials::table
                    .filter(credentials::client_id.eq_any(ids()))
                    .select(credentials::id),
            ),
        )
        .filter(secret_deliveries::opened_ip.is_not_null());
    let endpoint = webhook_endpoints::table
        .filter(webhook_endpoints::partner_id.eq(partner))
        .filter(webhook_endpoints::url.ne(REMOVED));
    Ok(Anonymised {
        security_contacts: diesel::update(contact)
            .set((
                partners::security_contact.eq(REMOVED),
                partners::updated_at.eq(now),
            ))
            .execute(db)?,
        notices: diesel::update(notice)
            .set(privacy_notices::support_contact.eq(REMOVED))
            .execute(db)?,
        clients: diesel::update(theirs)
            .set((
                clients::name.eq(REMOVED),
                clients::ip_allowlist.eq(None::<Allowlist>),
                clients::updated_at.eq(now),
            ))
            .execute(db)?,
        credentials: diesel::update(credential)
            .set(credentials::last_used_ip.eq(None::<String>))
            .execute(db)?,
        deliveries: diesel::update(delivery)
            .set(secret_deliveries::opened_ip.eq(None::<String>))
            .execute(db)?,
        webhook_urls: diesel::update(endpoint)
            .set(webhook_endpoints::url.eq(REMOVED))
            .execute(db)?,
    })
}

/// Takes what partners wrote into orders out of those of partners that were let go, at most so many
/// at a time; answers of how many.
pub fn forget_metadata_of_the_gone(db: &mut Db, most: i64) -> Result<usize, StoreError> {
    let gone = partners::table
        .filter(partners::state.eq(PartnerState::Offboarded))
        .select(partners::id);
    let ids: Vec<OrderId> = orders::table
        .filter(orders::partner_id.eq_any(gone))
        .filter(orders::metadata.is_not_null())
        .select(orders::id)
        .limit(most)
        .load(db)?;
    let those = orders::table.filter(orders::id.eq_any(&ids));
    Ok(diesel::update(those)
        .set(orders::metadata.eq(None::<String>))
        .execute(db)?)
}
