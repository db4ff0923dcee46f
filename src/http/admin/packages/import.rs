//! `/admin/v1/packages/import`: many packages at once, all of them or none.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::PackageView;
use super::body::{NewPackageBody, made, new_package};
use crate::admin::packages::{self, NewPackage};
use crate::app::App;
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
const MOST: usize = 1000;
/// The most faults that are told at once.
const MOST_FAULTS: usize = 1000;

/// The columns of a CSV file, of which those from `partners` on may be missing.
const COLUMNS: [&str; 10] = [
    "name",
    "description",
    "price_amount",
    "price_currency",
    "validity_days",
    "region",
    "features",
    "partners",
    "included_quantity",
    "included_unit",
];

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
/// partner. At most 1,000 packages and 1 MiB. What is wrong
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
        BodyError::TooLarge => Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "body_too_large",
            "an import has at most 1,048,576 bytes; send the rest in another",
        ),
        other => other.into(),
    }
}

/// Who is named and does not exist.
fn strangers(db: &mut Db, named: &[Option<Vec<Viewer>>]) -> Result<Vec<FieldFault>, StoreError> {
    let mut faults = Vec::new();
    for (nth, viewers) in named.iter().enumerate() {
        for id in packages::unknown_partners(db, viewers.as_deref().unwrap_or_default())? {
            faults.push(FieldFault {
                pointer: format!("/{nth}/partners"),
                code: "invalid",
                detail: format!("there is no such partner: {id}"),
                row: Some(nth + 1),
            });
        }
    }
    Ok(faults)
}

fn read(request: &HttpRequest, body: &[u8]) -> Result<Vec<NewPackage>, Problem> {
    let (rows, faults) = if body::is(request, "text/csv") {
        of_csv(body)?
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
fn packages_of(
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
        let detail = "an import has at most 1,000 packages; send the rest in another";
        return Err(Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too_many_packages",
            detail,
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

type Rows = (Vec<Option<Map<String, Value>>>, Vec<FieldFault>);

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

fn fault(pointer: String, code: &'static str, detail: impl Into<String>, nth: usize) -> FieldFault {
    FieldFault {
        pointer,
        code,
        detail: detail.into(),
        row: Some(nth + 1),
    }
}

/// Each record of a CSV file as the JSON object that says the same.
fn of_csv(body: &[u8]) -> Result<Rows, Problem> {
    let bad = |detail: String| Problem::new(StatusCode::BAD_REQUEST, "invalid_csv", detail);
    let mut reader = csv::ReaderBuilder::new()
        .flexible(true)
        .trim(csv::Trim::All)
        .from_reader(body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body));
    let header = reader
        .headers()
        .map_err(|_| bad("the header is not UTF-8".to_owned()))?
        .clone();
    for (nth, name) in header.iter().enumerate() {
        if !COLUMNS.contains(&name) || header.iter().take(nth).any(|other| other == name) {
            let known = COLUMNS.join(",");
            return Err(bad(format!("column {}: the columns are {known}", nth + 1)));
        }
    }
    let (mut rows, mut faults) = (Vec::new(), Vec::new());
    for (nth, record) in reader.records().enumerate() {
        if nth > MOST {
            break;
        }
        rows.push(match record {
            Ok(record) if record.len() == header.len() => Some(object(&header, &record)),
            Ok(record) => {
                let detail = format!(
                    "has {} fields, and the header has {}",
                    record.len(),
                    header.len()
                );
                faults.push(fault(format!("/{nth}"), "invalid", detail, nth));
                None
            }
            Err(_) => {
                faults.push(fault(format!("/{nth}"), "invalid", "is not UTF-8", nth));
                None
            }
        });
    }
    Ok((rows, faults))
}

fn object(header: &csv::StringRecord, record: &csv::StringRecord) -> Map<String, Value> {
    let mut object = Map::new();
    let (mut price, mut included) = (Map::new(), Map::new());
    for (name, field) in header.iter().zip(record.iter()) {
        let list = || -> Value {
            let items = field.split(';').map(str::trim);
            items.filter(|item| !item.is_empty()).collect()
        };
        // A field that is no number stays a text, and is told as one.
        let number = || {
            field
                .parse::<i64>()
                .map_or_else(|_| json!(field), Value::from)
        };
        match name {
            "price_amount" => price.insert("amount".to_owned(), number()),
            "price_currency" => price.insert("currency".to_owned(), json!(field)),
            "validity_days" => object.insert(name.to_owned(), number()),
            "features" => object.insert(name.to_owned(), list()),
            "included_quantity" | "included_unit" if field.is_empty() => None,
            "included_quantity" => included.insert("quantity".to_owned(), number()),
            "included_unit" => included.insert("unit".to_owned(), json!(field)),
            "partners" if field.is_empty() => None,
            "partners" => object.insert(name.to_owned(), list()),
            _ if field.is_empty() => None,
            _ => object.insert(name.to_owned(), json!(field)),
        };
    }
    object.insert("price".to_owned(), Value::Object(price));
    if !included.is_empty() {
        object.insert("included".to_owned(), Value::Object(included));
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HEADER: &str =
        "name,description,price_amount,price_currency,validity_days,region,features,partners\n";

    fn csv(rows: &str) -> Result<Vec<NewPackage>, Problem> {
        let (rows, faults) = of_csv(format!("{HEADER}{rows}").as_bytes())?;
        packages_of(rows, faults)
    }

    #[test]
    fn a_file_of_a_spreadsheet_is_read() {
        let all =
            csv("\"Europe, 5 GB\",Data,1900,EUR,30,Europe,5 GB; hotspot,\nFree,Try,0,USD,1,US,,\n");
        let all = all.unwrap();
        assert_eq!(
            (all[0].name.as_str(), all[0].features.len()),
            ("Europe, 5 GB", 2)
        );
        assert!(all[0].viewers.is_none() && all[1].features.is_empty());
    }

    #[test]
    fn a_file_may_say_how_much_is_included() {
        let file = b"name,description,price_amount,price_currency,validity_days,region,features,included_quantity,included_unit\n\
            A,A,1,EUR,1,EU,,5000,MB\nB,B,1,EUR,1,EU,,,\nC,C,1,EUR,1,EU,,5000,\n";
        let (mut rows, faults) = of_csv(file).unwrap();
        assert!(packages_of(rows.clone(), faults).is_err(), "C says no unit");
        rows.pop();
        let all = packages_of(rows, Vec::new()).unwrap();
        let said = all[0]
            .included
            .as_ref()
            .map(|i| (i.quantity, i.unit.as_str()));
        assert_eq!((said, all[1].included.as_ref()), (Some((5000, "MB")), None));
    }

    proptest! {
        #[test]
        fn no_file_and_no_array_stops_the_reader(bytes in proptest::collection::vec(any::<u8>(), 0..400), rows in "[a-z0-9,;\"\n-]{0,200}") {
            let _ = of_csv(&bytes).and_then(|(rows, faults)| packages_of(rows, faults));
            let _ = csv(&rows);
            let _ = of_json(&bytes).and_then(|(rows, faults)| packages_of(rows, faults));
        }
    }
}
