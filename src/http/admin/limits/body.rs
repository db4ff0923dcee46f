//! What bodies and answers say of limits: the same members wherever there are figures.

use utoipa::ToSchema;

use crate::domain::id::PlanId;
use crate::domain::instant::Instant;
use crate::domain::limits::{Figures, Mode, Percent, Quotas, Rate};
use crate::domain::money::{LARGEST, Money};
use crate::domain::realm::Realm;
use crate::http::admin::packages::body::price;
use crate::http::members::Members;
use crate::http::openapi::domain::Environment;

/// A shape of answers that has figures beside members of its own.
macro_rules! with_figures {
    ($(#[$meta:meta])* pub struct $name:ident { $($(#[$own:meta])* $member:ident: $kind:ty,)* }) => {
        #[derive(Debug, serde::Serialize, utoipa::ToSchema)]
        $(#[$meta])*
        pub struct $name {
            $($(#[$own])* $member: $kind,)*
            /// Requests of the partner API a minute: how fast the partner's bucket refills.
            requests_per_minute: u32,
            /// How many of them at once: what the bucket holds.
            burst: u32,
            /// Token requests a minute; at once as many, but no more than `burst`.
            tokens_per_minute: u32,
            /// What one client may take of these, in per cent.
            #[schema(value_type = u32, minimum = 1, maximum = 100)]
            client_share: $crate::domain::limits::Percent,
            /// What reads may take of the requests, in per cent.
            #[schema(value_type = u32, minimum = 1, maximum = 100)]
            reads_share: $crate::domain::limits::Percent,
            /// What writes may take of the requests, in per cent.
            #[schema(value_type = u32, minimum = 1, maximum = 100)]
            writes_share: $crate::domain::limits::Percent,
            /// Requests of the partner API on a day (UTC). `null`: without end.
            requests_per_day: Option<i64>,
            /// In a month (UTC).
            requests_per_month: Option<i64>,
            /// Token requests on a day.
            tokens_per_day: Option<i64>,
            /// In a month.
            tokens_per_month: Option<i64>,
            /// Orders on a day.
            orders_per_day: Option<i64>,
            /// In a month.
            orders_per_month: Option<i64>,
            /// What orders of a month may cost together. `null`: without end.
            spend_per_month: Option<$crate::domain::money::Money>,
        }

        impl $name {
            /// Its own members, with figures.
            #[allow(clippy::too_many_arguments, reason = "the members of its own, as many as they are")]
            fn with($($member: $kind,)* figures: &$crate::domain::limits::Figures) -> Self {
                let quotas = &figures.quotas;
                Self {
                    $($member,)*
                    requests_per_minute: figures.requests_per_minute,
                    burst: figures.burst,
                    tokens_per_minute: figures.tokens_per_minute,
                    client_share: figures.client_share,
                    reads_share: figures.reads_share,
                    writes_share: figures.writes_share,
                    requests_per_day: quotas.requests_per_day,
                    requests_per_month: quotas.requests_per_month,
                    tokens_per_day: quotas.tokens_per_day,
                    tokens_per_month: quotas.tokens_per_month,
                    orders_per_day: quotas.orders_per_day,
                    orders_per_month: quotas.orders_per_month,
                    spend_per_month: quotas.spend_per_month,
                }
            }
        }
    };
}
pub(crate) use with_figures;

/// A partner's limits to be, in a realm: a plan, figures of its own, or neither, which are the defaults.
#[derive(Debug, ToSchema)]
#[schema(as = LimitsBody, example = json!({
    "realm": "live", "mode": "enforce", "requests_per_minute": 6000, "burst": 1000, "tokens_per_minute": 600
}))]
pub struct LimitsBody {
    #[schema(value_type = Environment)]
    pub realm: Realm,
    /// Whether they bite; in `shadow` who is over one is told and counted, and goes on.
    pub mode: Mode,
    /// The plan that holds where figures of its own do not.
    pub plan_id: Option<PlanId>,
    /// When figures of its own end; the plan holds from then on.
    pub ends_at: Option<Instant>,
    /// Requests of the partner API a minute: how fast the partner's bucket refills.
    #[schema(minimum = 1, maximum = 10_000_000)]
    pub requests_per_minute: Option<i32>,
    /// How many of them at once: what the bucket holds.
    #[schema(minimum = 1, maximum = 10_000_000)]
    pub burst: Option<i32>,
    /// Token requests a minute; at once as many, but no more than `burst`.
    #[schema(minimum = 1, maximum = 10_000_000)]
    pub tokens_per_minute: Option<i32>,
    /// What one client may take of these, in per cent.
    #[schema(minimum = 1, maximum = 100)]
    pub client_share: Option<i32>,
    /// What reads may take of the requests, in per cent.
    #[schema(minimum = 1, maximum = 100)]
    pub reads_share: Option<i32>,
    /// What writes may take of the requests, in per cent.
    #[schema(minimum = 1, maximum = 100)]
    pub writes_share: Option<i32>,
    /// Requests of the partner API on a day (UTC). `null`: without end.
    #[schema(minimum = 0)]
    pub requests_per_day: Option<i64>,
    /// In a month (UTC).
    #[schema(minimum = 0)]
    pub requests_per_month: Option<i64>,
    /// Token requests on a day.
    #[schema(minimum = 0)]
    pub tokens_per_day: Option<i64>,
    /// In a month.
    #[schema(minimum = 0)]
    pub tokens_per_month: Option<i64>,
    /// Orders on a day.
    #[schema(minimum = 0)]
    pub orders_per_day: Option<i64>,
    /// In a month.
    #[schema(minimum = 0)]
    pub orders_per_month: Option<i64>,
    /// What orders of a month may cost together. `null`: without end.
    pub spend_per_month: Option<Money>,
}

/// A plan to be.
#[derive(Debug, ToSchema)]
#[schema(as = NewPlan, example = json!({
    "name": "Gold", "requests_per_minute": 12000, "burst": 2000, "tokens_per_minute": 1200, "orders_per_day": 5000
}))]
pub struct NewPlanBody {
    #[schema(min_length = 1, max_length = 100)]
    pub name: String,
    /// Requests of the partner API a minute: how fast the partner's bucket refills.
    #[schema(minimum = 1, maximum = 10_000_000)]
    pub requests_per_minute: i32,
    /// How many of them at once: what the bucket holds.
    #[schema(minimum = 1, maximum = 10_000_000)]
    pub burst: i32,
    /// Token requests a minute; at once as many, but no more than `burst`.
    #[schema(minimum = 1, maximum = 10_000_000)]
    pub tokens_per_minute: i32,
    /// What one client may take of these, in per cent.
    #[schema(minimum = 1, maximum = 100)]
    pub client_share: Option<i32>,
    /// What reads may take of the requests, in per cent.
    #[schema(minimum = 1, maximum = 100)]
    pub reads_share: Option<i32>,
    /// What writes may take of the requests, in per cent.
    #[schema(minimum = 1, maximum = 100)]
    pub writes_share: Option<i32>,
    /// Requests of the partner API on a day (UTC). `null`: without end.
    #[schema(minimum = 0)]
    pub requests_per_day: Option<i64>,
    /// In a month (UTC).
    #[schema(minimum = 0)]
    pub requests_per_month: Option<i64>,
    /// Token requests on a day.
    #[schema(minimum = 0)]
    pub tokens_per_day: Option<i64>,
    /// In a month.
    #[schema(minimum = 0)]
    pub tokens_per_month: Option<i64>,
    /// Orders on a day.
    #[schema(minimum = 0)]
    pub orders_per_day: Option<i64>,
    /// In a month.
    #[schema(minimum = 0)]
    pub orders_per_month: Option<i64>,
    /// What orders of a month may cost together. `null`: without end.
    pub spend_per_month: Option<Money>,
}

/// What is to change of a plan; what is absent stays.
#[derive(Debug, ToSchema)]
#[schema(as = PlanEdit, example = json!({"requests_per_minute": 9000}))]
pub struct PlanEditBody {
    #[schema(min_length = 1, max_length = 100, nullable = false)]
    pub name: Option<String>,
    /// Requests of the partner API a minute: how fast the partner's bucket refills.
    #[schema(minimum = 1, maximum = 10_000_000, nullable = false)]
    pub requests_per_minute: Option<i32>,
    /// How many of them at once: what the bucket holds.
    #[schema(minimum = 1, maximum = 10_000_000, nullable = false)]
    pub burst: Option<i32>,
    /// Token requests a minute; at once as many, but no more than `burst`.
    #[schema(minimum = 1, maximum = 10_000_000, nullable = false)]
    pub tokens_per_minute: Option<i32>,
    /// What one client may take of these, in per cent.
    #[schema(minimum = 1, maximum = 100, nullable = false)]
    pub client_share: Option<i32>,
    /// What reads may take of the requests, in per cent.
    #[schema(minimum = 1, maximum = 100, nullable = false)]
    pub reads_share: Option<i32>,
    /// What writes may take of the requests, in per cent.
    #[schema(minimum = 1, maximum = 100, nullable = false)]
    pub writes_share: Option<i32>,
    /// Requests of the partner API on a day (UTC). `null`: without end.
    #[schema(minimum = 0)]
    pub requests_per_day: Option<i64>,
    /// In a month (UTC).
    #[schema(minimum = 0)]
    pub requests_per_month: Option<i64>,
    /// Token requests on a day.
    #[schema(minimum = 0)]
    pub tokens_per_day: Option<i64>,
    /// In a month.
    #[schema(minimum = 0)]
    pub tokens_per_month: Option<i64>,
    /// Orders on a day.
    #[schema(minimum = 0)]
    pub orders_per_day: Option<i64>,
    /// In a month.
    #[schema(minimum = 0)]
    pub orders_per_month: Option<i64>,
    /// What orders of a month may cost together. `null`: without end.
    pub spend_per_month: Option<Money>,
}

/// Every member that is a figure.
const FIGURES: [&str; 13] = [
    "requests_per_minute",
    "burst",
    "tokens_per_minute",
    "client_share",
    "reads_share",
    "writes_share",
    "requests_per_day",
    "requests_per_month",
    "tokens_per_day",
    "tokens_per_month",
    "orders_per_day",
    "orders_per_month",
    "spend_per_month",
];

/// Figures, of which the rates must be there.
pub(in crate::http::admin) fn figures(body: &mut Members) -> Option<Figures> {
    let requests_per_minute = rate(body, "requests_per_minute");
    let burst = rate(body, "burst");
    let tokens_per_minute = rate(body, "tokens_per_minute");
    let client_share = optional_share(body, "client_share");
    let reads_share = optional_share(body, "reads_share");
    let writes_share = optional_share(body, "writes_share");
    let requests_per_day = body.optional_whole("requests_per_day", 0..=LARGEST);
    let requests_per_month = body.optional_whole("requests_per_month", 0..=LARGEST);
    let tokens_per_day = body.optional_whole("tokens_per_day", 0..=LARGEST);
    let tokens_per_month = body.optional_whole("tokens_per_month", 0..=LARGEST);
    let orders_per_day = body.optional_whole("orders_per_day", 0..=LARGEST);
    let orders_per_month = body.optional_whole("orders_per_month", 0..=LARGEST);
    let spend_per_month = optional_spend(body);
    Some(Figures {
        requests_per_minute: requests_per_minute?,
        burst: burst?,
        tokens_per_minute: tokens_per_minute?,
        client_share: client_share?.unwrap_or(Percent::ALL),
        reads_share: reads_share?.unwrap_or(Percent::ALL),
        writes_share: writes_share?.unwrap_or(Percent::ALL),
        quotas: Quotas {
            requests_per_day: requests_per_day?,
            requests_per_month: requests_per_month?,
            tokens_per_day: tokens_per_day?,
            tokens_per_month: tokens_per_month?,
            orders_per_day: orders_per_day?,
            orders_per_month: orders_per_month?,
            spend_per_month: spend_per_month?,
        },
    })
}

/// Figures, if any member is one. The outer `None`: a fault was noted.
pub(in crate::http::admin) fn optional_figures(body: &mut Members) -> Option<Option<Figures>> {
    let is_one = |name: &&str| body.peek(name).is_some_and(|value| !value.is_null());
    if FIGURES.iter().any(is_one) {
        return figures(body).map(Some);
    }
    for name in FIGURES {
        // Nothing is there: asked for so that the name is known.
        body.optional_whole(name, 0..=0)?;
    }
    Some(None)
}

/// What a PATCH makes of figures. `None`: a fault was noted.
pub(in crate::http::admin) fn edited(
    body: &mut Members,
) -> Option<impl FnOnce(&Figures) -> Figures + Send + use<>> {
    let requests_per_minute = body.replacement("requests_per_minute", rate);
    let burst = body.replacement("burst", rate);
    let tokens_per_minute = body.replacement("tokens_per_minute", rate);
    let client_share = body.replacement("client_share", share);
    let reads_share = body.replacement("reads_share", share);
    let writes_share = body.replacement("writes_share", share);
    let requests_per_day = body.edit("requests_per_day", quota);
    let requests_per_month = body.edit("requests_per_month", quota);
    let tokens_per_day = body.edit("tokens_per_day", quota);
    let tokens_per_month = body.edit("tokens_per_month", quota);
    let orders_per_day = body.edit("orders_per_day", quota);
    let orders_per_month = body.edit("orders_per_month", quota);
    let spend_per_month = body.edit("spend_per_month", price);
    let requests_per_minute = requests_per_minute?;
    let burst = burst?;
    let tokens_per_minute = tokens_per_minute?;
    let client_share = client_share?;
    let reads_share = reads_share?;
    let writes_share = writes_share?;
    let requests_per_day = requests_per_day?;
    let requests_per_month = requests_per_month?;
    let tokens_per_day = tokens_per_day?;
    let tokens_per_month = tokens_per_month?;
    let orders_per_day = orders_per_day?;
    let orders_per_month = orders_per_month?;
    let spend_per_month = spend_per_month?;
    Some(move |was: &Figures| Figures {
        requests_per_minute: requests_per_minute.unwrap_or(was.requests_per_minute),
        burst: burst.unwrap_or(was.burst),
        tokens_per_minute: tokens_per_minute.unwrap_or(was.tokens_per_minute),
        client_share: client_share.unwrap_or(was.client_share),
        reads_share: reads_share.unwrap_or(was.reads_share),
        writes_share: writes_share.unwrap_or(was.writes_share),
        quotas: Quotas {
            requests_per_day: requests_per_day.apply(was.quotas.requests_per_day),
            requests_per_month: requests_per_month.apply(was.quotas.requests_per_month),
            tokens_per_day: tokens_per_day.apply(was.quotas.tokens_per_day),
            tokens_per_month: tokens_per_month.apply(was.quotas.tokens_per_month),
            orders_per_day: orders_per_day.apply(was.quotas.orders_per_day),
            orders_per_month: orders_per_month.apply(was.quotas.orders_per_month),
            spend_per_month: spend_per_month.apply(was.quotas.spend_per_month),
        },
    })
}

fn rate(body: &mut Members, name: &str) -> Option<u32> {
    let highest = i64::from(Rate::HIGHEST);
    let figure = body.whole(name, 1..=highest)?;
    u32::try_from(figure).ok()
}

fn share(body: &mut Members, name: &str) -> Option<Percent> {
    let figure = body.whole(name, 1..=100)?;
    u32::try_from(figure).ok().and_then(Percent::new)
}

fn optional_share(body: &mut Members, name: &str) -> Option<Option<Percent>> {
    let figure = body.optional_whole(name, 1..=100)?;
    let figure = figure.and_then(|figure| u32::try_from(figure).ok());
    Some(figure.and_then(Percent::new))
}

fn quota(body: &mut Members, name: &str) -> Option<i64> {
    body.whole(name, 0..=LARGEST)
}

fn optional_spend(body: &mut Members) -> Option<Option<Money>> {
    const NAME: &str = "spend_per_month";
    if body.peek(NAME).is_none_or(serde_json::Value::is_null) {
        return body.optional_object(NAME).map(|_| None);
    }
    price(body, NAME).map(Some)
}
