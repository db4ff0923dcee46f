//! `/admin/v1/packages/import`: many packages at once, all of them or none.

use std::collections::BTreeSet;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::body::{NewPackageBody, made, new_package};
use super::{PackageView, sheet};
use crate::admin::packages::{self, NewPackage};
use crate::app::App;
use crate::domain::id::PartnerId;
use crate::domain::package::Viewer;
use crate::http::body::{self, BodyError};
use crate::http::extract::{CatalogueWrite, Operator, check_again};
use crate::http::json;
use crate::http::list::Parameters;
use crate::http::members::Members;
use crate::http::problem::{FieldFault, Problem};
use crate::store::{Db, StoreError};

/// The most bytes of a body.
const MAX_IMPORT: usize = 1024 * 1024;
/// The most packages of an import.
pub(super) const MOST: usize = 1000;
/// The most partners that its packages name, one by one.
const MOST_NAMED: usize = 10_000;
/// The most faults that are told at once.
const MOST_FAULTS: usize = 1000;

/// What became of an import.
#[derive(Debug, Serialize, ToSchema)]
pub struct ImportView {
    /// Whether it was only looked at.
    dry_run: bool,
    /// How many packages there are in it.
    count: usize,
    /// The packages, in the state `draft`; of a dry run none.
    data: Vec<PackageView>,
}

/// Drafts many packages: all of them, or none.
///
/// A JSON array of packages, or `text/csv` with the header `name,description,price_amount,
/// price_currency,validity_days,region,features,partners,included_quantity,included_unit`, of which the last
/// three may be left out; features and partners are separated by `;`, an empty field of partners means every
/// partner. Quotes are as in RFC 4180. At most 1,000 packages, 10,000 partners that they name, and 1 MiB. What is wrong
/// is told all at once: each fault says its `row`, counted from 1 without the header, and a pointer.
#[utoipa::path(
    post, path = "/admin/v1/packages/import", operation_id = "import_packages", tag = "packages",
    params(("dry_run" = Option<bool>, Query, description = "Only look whether it would be taken.")),
    request_body(content((Vec<NewPackageBody> = "application/json"), (String = "text/csv"))),
    responses(
        (status = 200, description = "It would be taken; nothing was made", body = ImportView),
        (status = 201, description = "The packages", body = ImportView),
    )
)]
pub async fn import(
    who: Operator<CatalogueWrite>,
    mut query: Parameters,
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
) -> Result<HttpResponse, Problem> {
    let dry_run = query.flag("dry_run")?.unwrap_or(false);
    query.finish()?;
    let body = body::bytes_within(&request, payload, MAX_IMPORT).await;
    let body = body.map_err(unread)?;
    check_again(&request)?;
    let new = read(&request, &body)?;
    let count = new.len();
    let named: Vec<_> = new.iter().map(|one| one.viewers.clone()).collect();
    let faults = app.store.read(move |db| strangers(db, &named)).await?;
    if !faults.is_empty() {
        return Err(Problem::invalid(faults));
    }
    if dry_run {
        return Ok(HttpResponse::Ok().json(ImportView {
            dry_run,
            count,
            data: Vec::new(),
        }));
    }
    let made = app
        .carry_out(who.actor, move |db, act| packages::create_all(db, act, new))
        .await?;
    Ok(HttpResponse::Created().json(ImportView {
        dry_run,
        count,
        data: made.into_iter().map(PackageView::from).collect(),
    }))
}

fn unread(error: BodyError) -> Problem {
    match error {
        BodyError::TooLarge => too_large(
            "body_too_large",
            "an import has at most 1,048,576 bytes; send the rest in another",
        ),
        other => other.into(),
    }
}

fn too_large(code: &'static str, detail: &'static str) -> Problem {
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, code, detail)
}

/// Who is named and does not exist, for each package.
fn strangers(db: &mut Db, named: &[Option<Vec<Viewer>>]) -> Result<Vec<FieldFault>, StoreError> {
    let unknown = packages::unknown_partners(db, named.iter().flatten().flatten())?;
    let mut faults = Vec::new();
    for (nth, viewers) in named.iter().enumerate() {
        let ids: BTreeSet<&PartnerId> = viewers.iter().flatten().map(|v| &v.partner_id).collect();
        for id in ids.into_iter().filter(|id| unknown.contains(*id)) {
            let detail = format!("there is no such partner: {id}");
            faults.push(fault(format!("/{nth}/partners"), "invalid", detail, nth));
        }
    }
    faults.truncate(MOST_FAULTS);
    Ok(faults)
}

fn read(request: &HttpRequest, body: &[u8]) -> Result<Vec<NewPackage>, Problem> {
    let (rows, faults) = if body::is(request, "text/csv") {
        sheet::read(body)?
    } else if body::is(request, "application/json") {
        of_json(body)?
    } else {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            "send the body as application/json or text/csv",
        ));
    };
    packages_of(rows, faults)
}

/// The packages, or all that is wrong with any of them.
pub(super) fn packages_of(
    rows: Vec<Option<Map<String, Value>>>,
    mut faults: Vec<FieldFault>,
) -> Result<Vec<NewPackage>, Problem> {
    if rows.is_empty() {
        let detail = "there is no package in it";
        return Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "empty_import",
            detail,
        ));
    }
    if rows.len() > MOST {
        return Err(too_large(
            "too_many_packages",
            "an import has at most 1,000 packages; send the rest in another",
        ));
    }
    if rows.iter().flatten().map(named_by).sum::<usize>() > MOST_NAMED {
        return Err(too_large(
            "too_many_partners",
            "the packages of an import name at most 10,000 partners, counted for each of them; send the rest in another",
        ));
    }
    let mut all = Vec::with_capacity(rows.len());
    for (nth, row) in rows.into_iter().enumerate() {
        let Some(row) = row else { continue };
        let mut members = Members::within(row);
        let taken = new_package(&mut members);
        match members.values(taken) {
            Ok(values) => all.push(made(values)),
            Err(found) => faults.extend(found.into_iter().map(|fault| FieldFault {
                pointer: format!("/{nth}{}", fault.pointer),
                row: Some(nth + 1),
                ..fault
            })),
        }
    }
    if faults.is_empty() {
        return Ok(all);
    }
    faults.sort_by_key(|fault| fault.row);
    faults.truncate(MOST_FAULTS);
    Err(Problem::invalid(faults))
}

/// How many partners a package names.
fn named_by(package: &Map<String, Value>) -> usize {
    let partners = package.get("partners").and_then(Value::as_array);
    partners.map_or(0, Vec::len)
}

/// Each package's members, `None` where it has none that can be read, and what is wrong.
pub(super) type Rows = (Vec<Option<Map<String, Value>>>, Vec<FieldFault>);

fn of_json(body: &[u8]) -> Result<Rows, Problem> {
    let (value, doubled) = json::read(body)?;
    let Value::Array(items) = value else {
        return Err(json::not("a JSON array of packages"));
    };
    let mut faults: Vec<_> = doubled
        .into_iter()
        .map(|pointer| {
            let nth = pointer.split('/').nth(1).and_then(|nth| nth.parse().ok());
            fault(pointer, "duplicate", json::DOUBLED, nth.unwrap_or(0))
        })
        .collect();
    let mut rows = Vec::with_capacity(items.len());
    for (nth, item) in items.into_iter().enumerate() {
        rows.push(match item {
            Value::Object(members) => Some(members),
            _ => {
                faults.push(fault(format!("/{nth}"), "type", "must be an object", nth));
                None
            }
        });
    }
    Ok((rows, faults))
}

pub(super) fn fault(
    pointer: String,
    code: &'static str,
    detail: impl Into<String>,
    nth: usize,
) -> FieldFault {
    FieldFault {
        pointer,
        code,
        detail: detail.into(),
        row: Some(nth + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_array_stops_the_reader(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = of_json(&bytes).and_then(|(rows, faults)| packages_of(rows, faults));
        }
    }
}
