//! `onyx-auth package`.

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::{Map, Value, json};

use super::admin_client::{AdminClient, path_segment};
use super::output::Output;
use super::{Done, Failure, paging::Paging};

#[derive(Subcommand)]
pub(super) enum Verb {
    /// Draft a package
    Create {
        #[arg(long)]
        name: String,
        #[arg(long)]
        description: String,
        /// What one costs, in minor units: cents for EUR
        #[arg(long)]
        amount: i64,
        /// EUR, USD, …
        #[arg(long)]
        currency: String,
        #[arg(long)]
        validity_days: i64,
        #[arg(long)]
        region: String,
        /// What it has; may be said several times
        #[arg(long = "feature", value_name = "TEXT")]
        features: Vec<String>,
        /// How much one of it includes, so that partners are told when that is used up
        #[arg(long, requires = "included_unit")]
        included_quantity: Option<i64>,
        /// In what usage of it is measured: MB, …
        #[arg(long, requires = "included_quantity")]
        included_unit: Option<String>,
        /// Show it to this partner and others so named; may be said several times [default: to all]
        #[arg(long = "partner", value_name = "PARTNER_ID")]
        partners: Vec<String>,
    },
    /// List packages
    List {
        /// draft, published or withdrawn
        #[arg(long)]
        state: Option<String>,
        #[arg(long)]
        region: Option<String>,
        #[arg(long)]
        currency: Option<String>,
        #[arg(long)]
        feature: Option<String>,
        /// A part of its name
        #[arg(long)]
        name: Option<String>,
        #[command(flatten)]
        paging: Paging,
    },
    /// Show a package
    Show {
        #[arg(value_parser = path_segment)]
        id: String,
    },
    /// Change a package; what is not named stays, and what was ordered keeps its price
    Edit {
        #[arg(value_parser = path_segment)]
        id: String,
        #[arg(long)]
        name: Option<String>,
        #[arg(long)]
        description: Option<String>,
        /// What one costs, in minor units
        #[arg(long, requires = "currency")]
        amount: Option<i64>,
        #[arg(long, requires = "amount")]
        currency: Option<String>,
        #[arg(long)]
        validity_days: Option<i64>,
        #[arg(long)]
        region: Option<String>,
        /// All that it has from now on; may be said several times
        #[arg(long = "feature", value_name = "TEXT")]
        features: Vec<String>,
        /// How much one of it includes from now on
        #[arg(long, requires = "included_unit")]
        included_quantity: Option<i64>,
        #[arg(long, requires = "included_quantity")]
        included_unit: Option<String>,
        /// Say no more how much it includes
        #[arg(long, conflicts_with = "included_quantity")]
        nothing_included: bool,
        /// Show it to this partner and others so named, and to nobody else
        #[arg(long = "partner", value_name = "PARTNER_ID")]
        partners: Vec<String>,
        /// Show it to every partner
        #[arg(long, conflicts_with = "partners")]
        for_all: bool,
    },
    /// Publish a package: partners can order it
    Publish {
        #[arg(value_parser = path_segment)]
        id: String,
        #[arg(long)]
        reason: Option<String>,
    },
    /// Withdraw a package: nobody can order it any more
    Withdraw {
        #[arg(value_parser = path_segment)]
        id: String,
        #[arg(long)]
        reason: Option<String>,
    },
    /// Draft all packages of a file, or none of them
    Import {
        /// A JSON array of packages, or CSV where the name ends in .csv
        file: PathBuf,
        /// Only look whether it would be taken
        #[arg(long)]
        dry_run: bool,
    },
}

const COLUMNS: [&str; 7] = [
    "id",
    "state",
    "version",
    "name",
    "price",
    "validity_days",
    "region",
];

pub(super) async fn run(verb: Verb, admin: &AdminClient, output: &Output) -> Done {
    match verb {
        Verb::Create {
            name,
            description,
            amount,
            currency,
            validity_days,
            region,
            features,
            included_quantity,
            included_unit,
            partners,
        } => {
            let body = json!({
                "name": name,
                "description": description,
                "price": { "amount": amount, "currency": currency },
                "validity_days": validity_days,
                "region": region,
                "features": features,
                "included": included(included_quantity, included_unit),
                "partners": (!partners.is_empty()).then_some(partners),
            });
            output.record(&admin.post("/packages", &body).await?)
        }
        Verb::List {
            state,
            region,
            currency,
            feature,
            name,
            paging,
        } => {
            let filters = [
                ("state", state.as_deref()),
                ("region", region.as_deref()),
                ("currency", currency.as_deref()),
                ("feature", feature.as_deref()),
                ("name", name.as_deref()),
            ];
            let list = admin.get(&paging.of("/packages", &filters)).await?;
            output.list(&list, &COLUMNS)
        }
        Verb::Show { id } => output.record(&admin.get(&format!("/packages/{id}")).await?),
        Verb::Edit {
            id,
            name,
            description,
            amount,
            currency,
            validity_days,
            region,
            features,
            included_quantity,
            included_unit,
            nothing_included,
            partners,
            for_all,
        } => {
            let mut body = Map::new();
            let price = amount
                .zip(currency)
                .map(|(amount, currency)| json!({ "amount": amount, "currency": currency }));
            for (member, value) in [
                ("name", name.map(Value::from)),
                ("description", description.map(Value::from)),
                ("price", price),
                ("validity_days", validity_days.map(Value::from)),
                ("region", region.map(Value::from)),
                ("features", (!features.is_empty()).then(|| features.into())),
                ("included", included(included_quantity, included_unit)),
                ("included", nothing_included.then_some(Value::Null)),
                ("partners", (!partners.is_empty()).then(|| partners.into())),
                ("partners", for_all.then_some(Value::Null)),
            ] {
                if let Some(value) = value {
                    body.insert(member.to_owned(), value);
                }
            }
            let path = format!("/packages/{id}");
            output.record(&admin.patch(&path, &Value::Object(body)).await?)
        }
        Verb::Publish { id, reason } => {
            let path = format!("/packages/{id}/publish");
            output.record(&admin.post(&path, &json!({ "reason": reason })).await?)
        }
        Verb::Withdraw { id, reason } => {
            let path = format!("/packages/{id}/withdraw");
            output.record(&admin.post(&path, &json!({ "reason": reason })).await?)
        }
        Verb::Import { file, dry_run } => {
            let bytes = std::fs::read(&file)
                .map_err(|error| Failure::Refused(format!("{}: {error}", file.display())))?;
            let is_csv = file
                .extension()
                .is_some_and(|extension| extension.eq_ignore_ascii_case("csv"));
            let media_type = if is_csv {
                "text/csv"
            } else {
                "application/json"
            };
            let path = format!("/packages/import?dry_run={dry_run}");
            let taken = admin.post_bytes(&path, media_type, bytes).await?;
            if output.is_for_people() {
                let count = taken.get("count").and_then(Value::as_u64).unwrap_or(0);
                if dry_run {
                    eprintln!("{count} packages would be drafted");
                    return Ok(());
                }
                eprintln!("{count} packages drafted");
            }
            if output.is_json() {
                output.record(&taken)
            } else {
                output.list(&taken, &COLUMNS)
            }
        }
    }
}

fn included(quantity: Option<i64>, unit: Option<String>) -> Option<Value> {
    let said = quantity.zip(unit);
    said.map(|(quantity, unit)| json!({ "quantity": quantity, "unit": unit }))
}
