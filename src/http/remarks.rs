//! What a request's own code notes about it, for those who put it on record afterwards.
//!
//! The request log's columns are an allow-list, and these are its types: there is none that a
//! path, a body or a customer's data would fit into.

use std::fmt::Display;

use actix_web::{HttpMessage, HttpRequest};

use crate::domain::call::Idempotency;
use crate::domain::id::{AnyId, ClientId, CredentialId, OrderId};
use crate::domain::tenant::Tenant;
use crate::domain::version::ApiVersion;

/// What is known about a request beside its route, status and code.
///
/// Extractors note who calls; a handler adds what it alone knows:
///
/// ```ignore
/// remark(&request, |remarks| remarks.idempotency(Idempotency::Replayed).order(&order.id));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Remarks {
    /// The client of a verified token.
    pub(super) client_id: Option<ClientId>,
    /// A partner's verified token at the partner API.
    pub(super) caller: Option<(Tenant, CredentialId)>,
    pub(super) idempotency: Option<Idempotency>,
    pub(super) order_id: Option<OrderId>,
    pub(super) subject: Option<AnyId>,
    /// The version of the API that the answer is in.
    pub(super) version: Option<ApiVersion>,
}

impl Remarks {
    /// What became of the request's idempotency key.
    pub fn idempotency(&mut self, outcome: Idempotency) -> &mut Self {
        self.idempotency = Some(outcome);
        self
    }

    /// The order that the request made or was about, by its public id.
    pub fn order(&mut self, id: &OrderId) -> &mut Self {
        self.order_id = Some(id.clone());
        self
    }

    /// An id in the request's query or body that was not found. (One in its path is seen anyway.)
    pub fn not_found(&mut self, id: &impl Display) -> &mut Self {
        self.subject = id.to_string().parse().ok();
        self
    }
}

/// Notes something about a request.
pub fn remark<T>(request: &HttpRequest, work: impl FnOnce(&mut Remarks) -> T) {
    let mut extensions = request.extensions_mut();
    match extensions.get_mut::<Remarks>() {
        Some(remarks) => {
            work(remarks);
        }
        None => {
            let mut remarks = Remarks::default();
            work(&mut remarks);
            extensions.insert(remarks);
        }
    }
}
