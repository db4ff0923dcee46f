//! `onyx-auth launch`.

use clap::Subcommand;
use serde_json::{Value, json};

use super::Done;
use super::admin_client::{AdminClient, path_segment};
use super::output::Output;

#[derive(Subcommand)]
pub(super) enum Verb {
    /// Ask for the review that leads a partner to live
    Request {
        #[arg(long, value_name = "PARTNER_ID")]
        #[arg(value_parser = path_segment)]
        partner: String,
    },
    /// Show a partner's newest review
    Show {
        #[arg(long, value_name = "PARTNER_ID")]
        #[arg(value_parser = path_segment)]
        partner: String,
    },
    /// Settle a check: attest it, or waive it as a second operator
    Check {
        /// Such as privacy_review
        #[arg(value_parser = path_segment)]
        check: String,
        #[arg(long, value_name = "PARTNER_ID")]
        #[arg(value_parser = path_segment)]
        partner: String,
        /// passed, failed or waived
        #[arg(long)]
        state: String,
        /// What shows it
        #[arg(long)]
        evidence: Option<String>,
        /// Why; a waiver needs it
        #[arg(long)]
        reason: Option<String>,
    },
    /// Decide a submitted review; not by who asked for it
    Decide {
        #[arg(long, value_name = "PARTNER_ID")]
        #[arg(value_parser = path_segment)]
        partner: String,
        /// approve or reject
        #[arg(long)]
        decision: String,
        #[arg(long)]
        reason: String,
    },
}

pub(super) async fn run(verb: Verb, admin: &AdminClient, output: &Output) -> Done {
    let path = |partner: &str| format!("/partners/{partner}/launch-review");
    let review = match verb {
        Verb::Request { partner } => admin.post(&path(&partner), &json!({})).await?,
        Verb::Show { partner } => admin.get(&path(&partner)).await?,
        Verb::Check {
            check,
            partner,
            state,
            evidence,
            reason,
        } => {
            let path = format!("{}/checks/{check}", path(&partner));
            let body = json!({ "state": state, "evidence": evidence, "reason": reason });
            admin.post(&path, &body).await?
        }
        Verb::Decide {
            partner,
            decision,
            reason,
        } => {
            let path = format!("{}/decide", path(&partner));
            let body = json!({ "decision": decision, "reason": reason });
            admin.post(&path, &body).await?
        }
    };
    print(output, review)
}

/// For people the review, then its checks as a table of their own.
fn print(output: &Output, mut review: Value) -> Done {
    if !output.is_for_people() {
        return output.record(&review);
    }
    let mut take = |name: &str| review.get_mut(name).map(Value::take).unwrap_or_default();
    let (checks, earlier) = (take("checks"), take("earlier"));
    if let Some(members) = review.as_object_mut() {
        members.retain(|_, value| !value.is_null());
    }
    output.record(&review)?;
    output.list(
        &json!({ "data": checks }),
        &["check", "state", "settled_by", "evidence", "reason"],
    )?;
    if earlier
        .as_array()
        .is_some_and(|reviews| !reviews.is_empty())
    {
        output.list(
            &json!({ "data": earlier }),
            &["id", "state", "requested_by", "decided_by", "reason"],
        )?;
    }
    Ok(())
}
