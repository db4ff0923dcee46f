//! Resource servers: registered audiences.

use diesel::prelude::*;

use super::db::Db;
use super::error::StoreError;
use super::schema::resource_servers;
use crate::domain::Algorithm;
use crate::domain::id::ResourceServerId;
use crate::domain::instant::Instant;
use crate::domain::page::{Page, PageRequest};
use crate::domain::realm::Realm;
use crate::domain::scope::ScopeSet;

/// A registered audience with its scopes and signing algorithm.
#[derive(Clone, Debug)]
pub struct ResourceServer {
    pub id: ResourceServerId,
    pub realm: Realm,
    /// The absolute URI that tokens name in `aud`.
    pub identifier: String,
    pub name: String,
    pub scopes: ScopeSet,
    pub signing_alg: Algorithm,
    pub created_by: String,
    pub created_at: Instant,
}

type Row = (
    ResourceServerId,
    Realm,
    String,
    String,
    ScopeSet,
    String,
    String,
    Instant,
);

impl TryFrom<Row> for ResourceServer {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let (id, realm, identifier, name, scopes, alg, created_by, created_at) = row;
        let signing_alg = super::algorithm(&alg)?;
        Ok(Self {
            id,
            realm,
            identifier,
            name,
            scopes,
            signing_alg,
            created_by,
            created_at,
        })
    }
}

/// Registers an audience; the same identifier again in the realm is a `Duplicate`.
pub fn insert(db: &mut Db, server: &ResourceServer) -> Result<(), StoreError> {
    diesel::insert_into(resource_servers::table)
        .values((
            resource_servers::id.eq(&server.id),
            resource_servers::realm.eq(server.realm),
            resource_servers::identifier.eq(&server.identifier),
            resource_servers::name.eq(&server.name),
            resource_servers::scopes.eq(server.scopes.to_string()),
            resource_servers::signing_alg.eq(server.signing_alg.as_str()),
            resource_servers::created_by.eq(&server.created_by),
            resource_servers::created_at.eq(server.created_at),
        ))
        .execute(db)?;
    Ok(())
}

/// Writes what an edit may change of a resource server. `false`: unknown.
pub fn edit(db: &mut Db, server: &ResourceServer) -> Result<bool, StoreError> {
    let changed = diesel::update(resource_servers::table.find(&server.id))
        .set((
            resource_servers::name.eq(&server.name),
            resource_servers::scopes.eq(server.scopes.to_string()),
            resource_servers::signing_alg.eq(server.signing_alg.as_str()),
        ))
        .execute(db)?;
    Ok(changed == 1)
}

/// A resource server by id. `None`: unknown.
pub fn find(db: &mut Db, id: &ResourceServerId) -> Result<Option<ResourceServer>, StoreError> {
    let row = resource_servers::table
        .find(id)
        .first::<Row>(db)
        .optional()?;
    row.map(ResourceServer::try_from).transpose()
}

/// The resource server that an identifier names in a realm. `None`: nobody registered it there.
pub fn by_identifier(
    db: &mut Db,
    realm: Realm,
    identifier: &str,
) -> Result<Option<ResourceServer>, StoreError> {
    let row = resource_servers::table
        .filter(
            resource_servers::realm
                .eq(realm)
                .and(resource_servers::identifier.eq(identifier)),
        )
        .first::<Row>(db)
        .optional()?;
    row.map(ResourceServer::try_from).transpose()
}

/// A page of all resource servers, oldest first.
pub fn page(db: &mut Db, page: &PageRequest) -> Result<Page<ResourceServer>, StoreError> {
    let rows = resource_servers::table
        .filter(resource_servers::id.gt(page.after()))
        .order(resource_servers::id.asc())
        .limit(page.probe())
        .load::<Row>(db)?;
    let rows = rows
        .into_iter()
        .map(ResourceServer::try_from)
        .collect::<Result<Vec<_>, _>>()?;
    Ok(page.page(rows, |r| r.id.as_str()))
}
