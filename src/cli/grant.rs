//! `onyx-auth grant`.

use std::time::Duration;

use clap::Subcommand;
use serde_json::json;

use super::admin_client::{AdminClient, path_segment};
use super::confirm::confirm;
use super::output::Output;
use super::paging::Paging;
use super::{Done, Failure};
use crate::clock::Clock;

#[derive(Subcommand)]
pub(super) enum Verb {
    /// Ask for a scope on behalf of a partner
    Request {
        #[arg(long, value_name = "PARTNER_ID")]
        #[arg(value_parser = path_segment)]
        partner: String,
        /// sandbox or live
        #[arg(long)]
        realm: String,
        /// The scope; repeat for several grants
        #[arg(long, required = true)]
        scope: Vec<String>,
        /// The audience's identifier [default: the partner API]
        #[arg(long)]
        resource: Option<String>,
        /// What the partner needs it for
        #[arg(long)]
        purpose: String,
        #[arg(long)]
        lawful_basis: Option<String>,
        /// A class of data that it opens; repeat for several
        #[arg(long)]
        data_class: Vec<String>,
        /// How long the partner keeps what it reads
        #[arg(long, default_value_t = 30)]
        retention_days: u32,
        /// How long the grant lasts
        #[arg(long, default_value_t = 365)]
        days: u32,
    },
    /// List a partner's grants
    List {
        #[arg(long, value_name = "PARTNER_ID")]
        #[arg(value_parser = path_segment)]
        partner: String,
        #[arg(long)]
        realm: Option<String>,
        /// requested, approved, denied, revoked or expired
        #[arg(long)]
        state: Option<String>,
        #[arg(long)]
        scope: Option<String>,
        #[command(flatten)]
        paging: Paging,
    },
    /// Show a grant
    Show {
        #[arg(value_parser = path_segment)]
        id: String,
    },
    /// Approve a requested grant; not by who asked for it
    Approve {
        #[arg(value_parser = path_segment)]
        id: String,
    },
    /// Deny a requested grant
    Deny {
        #[arg(value_parser = path_segment)]
        id: String,
    },
    /// Revoke an approved grant; the tokens that carry its scope die
    Revoke {
        #[arg(value_parser = path_segment)]
        id: String,
        #[arg(long)]
        reason: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

pub(super) async fn run(verb: Verb, admin: &AdminClient, output: &Output) -> Done {
    match verb {
        Verb::Request {
            partner,
            realm,
            scope,
            resource,
            purpose,
            lawful_basis,
            data_class,
            retention_days,
            days,
        } => {
            let expires_at = Clock::system()
                .now()
                .plus(Duration::from_secs(u64::from(days) * 24 * 3600));
            for scope in scope {
                let body = json!({
                    "realm": realm,
                    "scope": scope,
                    "resource": resource,
                    "purpose": purpose,
                    "lawful_basis": lawful_basis,
                    "data_classes": data_class,
                    "retention_days": retention_days,
                    "expires_at": expires_at,
                });
                output.record(
                    &admin
                        .post(&format!("/partners/{partner}/scope-grants"), &body)
                        .await?,
                )?;
            }
            Ok::<(), Failure>(())
        }
        Verb::List {
            partner,
            realm,
            state,
            scope,
            paging,
        } => {
            let filters = [
                ("realm", realm.as_deref()),
                ("state", state.as_deref()),
                ("scope", scope.as_deref()),
            ];
            let list = admin
                .get(&paging.of(&format!("/partners/{partner}/scope-grants"), &filters))
                .await?;
            output.list(
                &list,
                &["id", "state", "realm", "scope", "resource", "expires_at"],
            )
        }
        Verb::Approve { id } => output.record(
            &admin
                .post(&format!("/scope-grants/{id}/approve"), &json!({}))
                .await?,
        ),
        Verb::Deny { id } => output.record(
            &admin
                .post(&format!("/scope-grants/{id}/deny"), &json!({}))
                .await?,
        ),
        Verb::Show { id } => output.record(&admin.get(&format!("/scope-grants/{id}")).await?),
        Verb::Revoke { id, reason, yes } => {
            confirm(
                &format!("Revoke {id}? The partner's tokens that carry its scope die."),
                yes,
            )?;
            output.record(
                &admin
                    .post(
                        &format!("/scope-grants/{id}/revoke"),
                        &json!({ "reason": reason }),
                    )
                    .await?,
            )
        }
    }
}
