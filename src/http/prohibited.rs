//! Free text in partners' requests is looked through for material that must not be sent.
//!
//! It is refused with where it was and what kind it is. It is not stored, not logged and not
//! repeated; that it came is counted, and operators look into it.

use std::collections::BTreeSet;

use serde_json::Value;

use super::json;
use super::members::Members;
use super::problem::Problem;
use crate::app::App;
use crate::audit::Actor;
use crate::domain::prohibited::{self, Material};
use crate::domain::tenant::Tenant;

/// The code of a bad member.
const CODE: &str = "prohibited_material";

/// Looks a reference and pairs of texts through and notes the faults; answers the kinds.
pub fn look_through(body: &mut Members, reference: &str, pairs: &str) -> BTreeSet<Material> {
    let mut found = Vec::new();
    if let Some(Value::String(text)) = body.peek(reference) {
        let material = prohibited::in_reference(text);
        found.extend(material.map(|material| (format!("/{reference}"), material)));
    }
    if let Some(Value::Object(members)) = body.peek(pairs) {
        for (name, value) in members {
            // A name that is itself at fault is not repeated.
            if let Some(material) = prohibited::in_text(name) {
                found.push((format!("/{pairs}"), material));
            } else if let Value::String(text) = value
                && let Some(material) = prohibited::in_named(name, text)
            {
                found.push((format!("/{pairs}/{}", json::pointer_token(name)), material));
            }
        }
    }
    for (pointer, material) in &found {
        body.fault(pointer.clone(), CODE, material.advice());
    }
    found.into_iter().map(|(_, material)| material).collect()
}

/// Has operators look into what a tenant sent.
pub async fn report(
    app: &App,
    actor: Actor,
    tenant: &Tenant,
    found: BTreeSet<Material>,
) -> Result<(), Problem> {
    let (tenant, found) = (tenant.clone(), found.into_iter().collect::<Vec<_>>());
    app.carry_out(actor, move |db, act| {
        crate::admin::prohibited::note(db, act, &tenant, &found)
    })
    .await?;
    Ok(())
}
