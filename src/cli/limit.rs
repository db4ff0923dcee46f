//! `onyx-auth limit`.

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::Done;
use super::admin_client::{AdminClient, path_segment};
use super::output::Output;
use super::paging::Paging;

#[derive(Subcommand)]
pub(super) enum Verb {
    /// Show a partner's limits in force
    Show {
        /// The partner
        #[arg(value_parser = path_segment)]
        id: String,
        /// sandbox or live [default: both]
        #[arg(long)]
        realm: Option<String>,
    },
    /// Set a partner's limits: a plan, figures of its own, or both; with neither, the defaults
    Set {
        /// The partner
        #[arg(value_parser = path_segment)]
        id: String,
        /// sandbox or live
        #[arg(long)]
        realm: String,
        /// enforce, or shadow: who is over a limit is told and counted, and goes on
        #[arg(long, default_value = "enforce")]
        mode: String,
        /// The plan that holds where figures of its own do not
        #[arg(long, value_name = "PLAN_ID")]
        #[arg(value_parser = path_segment)]
        plan: Option<String>,
        /// When figures of its own end, as 2030-01-31T12:00:00Z
        #[arg(long, value_name = "TIME")]
        until: Option<String>,
        #[command(flatten)]
        figures: Figures,
    },
    /// Named sets of limits
    #[command(subcommand)]
    Plan(PlanVerb),
}

#[derive(Subcommand)]
pub(super) enum PlanVerb {
    /// List plans
    List {
        #[command(flatten)]
        paging: Paging,
    },
    /// Show a plan
    Show {
        #[arg(value_parser = path_segment)]
        id: String,
    },
    /// Make a plan
    Create {
        #[arg(long)]
        name: String,
        #[command(flatten)]
        figures: Figures,
    },
    /// Change a plan for all who are on it; what is not named stays
    Edit {
        #[arg(value_parser = path_segment)]
        id: String,
        #[arg(long)]
        name: Option<String>,
        #[command(flatten)]
        figures: Figures,
        /// A quota that is to be without end, as its member is called; may be said several times
        #[arg(long = "no", value_name = "QUOTA")]
        without: Vec<String>,
    },
    /// Put a partner on a plan, without figures of its own
    Assign {
        /// The plan
        #[arg(value_parser = path_segment)]
        id: String,
        #[arg(long, value_name = "PARTNER_ID")]
        #[arg(value_parser = path_segment)]
        partner: String,
        /// sandbox or live
        #[arg(long)]
        realm: String,
        /// enforce or shadow
        #[arg(long, default_value = "enforce")]
        mode: String,
    },
}

#[derive(Args)]
pub(super) struct Figures {
    /// Requests of the partner API a minute
    #[arg(long, value_name = "N")]
    requests_per_minute: Option<i64>,
    /// How many of them at once
    #[arg(long, value_name = "N")]
    burst: Option<i64>,
    /// Token requests a minute
    #[arg(long, value_name = "N")]
    tokens_per_minute: Option<i64>,
    /// What one client may take of these, in per cent
    #[arg(long, value_name = "PERCENT")]
    client_share: Option<i64>,
    /// What reads may take of the requests, in per cent
    #[arg(long, value_name = "PERCENT")]
    reads_share: Option<i64>,
    /// What writes may take of the requests, in per cent
    #[arg(long, value_name = "PERCENT")]
    writes_share: Option<i64>,
    #[arg(long, value_name = "N")]
    requests_per_day: Option<i64>,
    #[arg(long, value_name = "N")]
    requests_per_month: Option<i64>,
    #[arg(long, value_name = "N")]
    tokens_per_day: Option<i64>,
    #[arg(long, value_name = "N")]
    tokens_per_month: Option<i64>,
    #[arg(long, value_name = "N")]
    orders_per_day: Option<i64>,
    #[arg(long, value_name = "N")]
    orders_per_month: Option<i64>,
    /// What orders of a month may cost together, in minor units
    #[arg(long, value_name = "AMOUNT", requires = "spend_currency")]
    spend_per_month: Option<i64>,
    /// EUR, USD, …
    #[arg(long, value_name = "CURRENCY", requires = "spend_per_month")]
    spend_currency: Option<String>,
}

impl Figures {
    /// The members that were said.
    fn members(self) -> Map<String, Value> {
        let spend = self.spend_per_month.zip(self.spend_currency);
        let spend = spend.map(|(amount, currency)| json!({"amount": amount, "currency": currency}));
        let number = |figure: Option<i64>| figure.map(Value::from);
        let all = [
            ("requests_per_minute", number(self.requests_per_minute)),
            ("burst", number(self.burst)),
            ("tokens_per_minute", number(self.tokens_per_minute)),
            ("client_share", number(self.client_share)),
            ("reads_share", number(self.reads_share)),
            ("writes_share", number(self.writes_share)),
            ("requests_per_day", number(self.requests_per_day)),
            ("requests_per_month", number(self.requests_per_month)),
            ("tokens_per_day", number(self.tokens_per_day)),
            ("tokens_per_month", number(self.tokens_per_month)),
            ("orders_per_day", number(self.orders_per_day)),
            ("orders_per_month", number(self.orders_per_month)),
            ("spend_per_month", spend),
        ];
        let said = all.into_iter();
        said.filter_map(|(name, value)| Some((name.to_owned(), value?)))
            .collect()
    }
}

const COLUMNS: [&str; 8] = [
    "realm",
    "mode",
    "source",
    "requests_per_minute",
    "burst",
    "tokens_per_minute",
    "ends_at",
    "updated_at",
];
const PLAN_COLUMNS: [&str; 6] = [
    "id",
    "name",
    "version",
    "requests_per_minute",
    "burst",
    "tokens_per_minute",
];

pub(super) async fn run(verb: Verb, admin: &AdminClient, output: &Output) -> Done {
    match verb {
        Verb::Show { id, realm } => {
            let asked = realm.map_or_else(String::new, |realm| format!("?realm={realm}"));
            let list = admin.get(&format!("/partners/{id}/limits{asked}")).await?;
            output.list(&list, &COLUMNS)
        }
        Verb::Set {
            id,
            realm,
            mode,
            plan,
            until,
            figures,
        } => {
            let mut body = figures.members();
            body.extend(decision(&realm, &mode, plan.as_deref()));
            if let Some(until) = until {
                body.insert("ends_at".to_owned(), until.into());
            }
            set(admin, output, &id, body).await
        }
        Verb::Plan(verb) => plan(verb, admin, output).await,
    }
}

async fn plan(verb: PlanVerb, admin: &AdminClient, output: &Output) -> Done {
    match verb {
        PlanVerb::List { paging } => {
            let list = admin.get(&paging.of("/plans", &[])).await?;
            output.list(&list, &PLAN_COLUMNS)
        }
        PlanVerb::Show { id } => output.record(&admin.get(&format!("/plans/{id}")).await?),
        PlanVerb::Create { name, figures } => {
            let mut body = figures.members();
            body.insert("name".to_owned(), name.into());
            output.record(&admin.post("/plans", &Value::Object(body)).await?)
        }
        PlanVerb::Edit {
            id,
            name,
            figures,
            without,
        } => {
            let mut body = figures.members();
            body.extend(name.map(|name| ("name".to_owned(), name.into())));
            body.extend(without.into_iter().map(|quota| (quota, Value::Null)));
            let path = format!("/plans/{id}");
            output.record(&admin.patch(&path, &Value::Object(body)).await?)
        }
        PlanVerb::Assign {
            id,
            partner,
            realm,
            mode,
        } => {
            let body = decision(&realm, &mode, Some(&id)).collect();
            set(admin, output, &partner, body).await
        }
    }
}

fn decision(
    realm: &str,
    mode: &str,
    plan: Option<&str>,
) -> impl Iterator<Item = (String, Value)> + use<> {
    let all = [
        ("realm", Some(realm.to_owned())),
        ("mode", Some(mode.to_owned())),
        ("plan_id", plan.map(str::to_owned)),
    ];
    all.into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?.into())))
}

async fn set(
    admin: &AdminClient,
    output: &Output,
    partner: &str,
    body: Map<String, Value>,
) -> Done {
    let path = format!("/partners/{partner}/limits");
    output.record(&admin.put(&path, &Value::Object(body)).await?)
}
