//! `onyx-auth partner`.

use clap::Subcommand;
use serde_json::{Value, json};

use super::admin_client::AdminClient;
use super::confirm::confirm;
use super::output::Output;
use super::{Done, Failure, paging::Paging};

#[derive(Subcommand)]
pub(super) enum Verb {
    /// Record an application
    Create {
        /// What people call it
        #[arg(long)]
        name: String,
        /// The name in its contracts [default: the name]
        #[arg(long)]
        legal_name: Option<String>,
        /// Whom to tell about its credentials
        #[arg(long)]
        security_contact: String,
    },
    /// List partners
    List {
        /// applied, approved, suspended, offboarded or rejected
        #[arg(long)]
        state: Option<String>,
        #[command(flatten)]
        paging: Paging,
    },
    /// Show a partner
    Show { id: String },
    /// Approve an application
    Approve {
        id: String,
        #[arg(long)]
        reason: Option<String>,
    },
    /// Reject an application
    Reject {
        id: String,
        #[arg(long)]
        reason: Option<String>,
    },
    /// Change what is said about a partner; what is not named stays
    Edit {
        id: String,
        #[arg(long)]
        name: Option<String>,
        #[arg(long)]
        legal_name: Option<String>,
        #[arg(long)]
        security_contact: Option<String>,
        /// Whether a leaked live secret is accepted for one more hour: true or false
        #[arg(long)]
        leaked_secret_grace: Option<bool>,
    },
    /// Suspend a partner: its clients get no tokens, and those that they have are refused
    Suspend {
        id: String,
        #[arg(long)]
        reason: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Let a suspended partner go on
    Resume {
        id: String,
        #[arg(long)]
        reason: String,
    },
    /// Let a suspended partner go, for good: its clients, credentials and grants end
    Offboard {
        id: String,
        #[arg(long)]
        reason: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// What the partner tells those whose data it reads
    #[command(subcommand)]
    PrivacyNotice(NoticeVerb),
}

#[derive(Subcommand)]
pub(super) enum NoticeVerb {
    /// Put a notice on record in place of the former
    Set {
        id: String,
        /// What the partner asks for
        #[arg(long)]
        requests: String,
        /// What for
        #[arg(long)]
        purpose: String,
        /// For how long it keeps what it reads
        #[arg(long)]
        retention: String,
        /// How people take back what they agreed to
        #[arg(long)]
        how_to_revoke: String,
        /// Whom people ask
        #[arg(long)]
        support_contact: String,
        /// Where it can be read
        #[arg(long)]
        url: Option<String>,
    },
    /// Show the notice in force
    Show { id: String },
}

pub(super) async fn run(verb: Verb, admin: &AdminClient, output: &Output) -> Done {
    match verb {
        Verb::Create {
            name,
            legal_name,
            security_contact,
        } => {
            let legal_name = legal_name.unwrap_or_else(|| name.clone());
            let body = json!({ "name": name, "legal_name": legal_name, "security_contact": security_contact });
            output.record(&admin.post("/partners", &body).await?)
        }
        Verb::List { state, paging } => {
            let filters = [("state", state.as_deref())];
            let list = admin.get(&paging.of("/partners", &filters)).await?;
            output.list(&list, &["id", "state", "name", "created_at"])
        }
        Verb::Show { id } => output.record(&admin.get(&format!("/partners/{id}")).await?),
        Verb::Approve { id, reason } => decide(admin, output, &id, "approve", reason).await,
        Verb::Reject { id, reason } => decide(admin, output, &id, "reject", reason).await,
        Verb::Edit {
            id,
            name,
            legal_name,
            security_contact,
            leaked_secret_grace,
        } => {
            let members = [
                ("name", name.map(Value::from)),
                ("legal_name", legal_name.map(Value::from)),
                ("security_contact", security_contact.map(Value::from)),
                ("leaked_secret_grace", leaked_secret_grace.map(Value::from)),
            ];
            let named = |(name, value): (&str, Option<Value>)| Some((name.to_owned(), value?));
            let body: serde_json::Map<_, _> = members.into_iter().filter_map(named).collect();
            if body.is_empty() {
                return Err(Failure::Usage("name what is to change".to_owned()));
            }
            output.record(
                &admin
                    .patch(&format!("/partners/{id}"), &body.into())
                    .await?,
            )
        }
        Verb::Suspend { id, reason, yes } => {
            confirm(&format!("Suspend {id}? Its tokens die at once."), yes)?;
            decide(admin, output, &id, "suspend", Some(reason)).await
        }
        Verb::Resume { id, reason } => decide(admin, output, &id, "resume", Some(reason)).await,
        Verb::Offboard { id, reason, yes } => {
            let question =
                format!("Offboard {id}? Its clients, credentials and grants end for good.");
            confirm(&question, yes)?;
            decide(admin, output, &id, "offboard", Some(reason)).await
        }
        Verb::PrivacyNotice(verb) => notice(verb, admin, output).await,
    }
}

async fn decide(
    admin: &AdminClient,
    output: &Output,
    id: &str,
    verb: &str,
    reason: Option<String>,
) -> Done {
    let body = json!({ "reason": reason });
    output.record(&admin.post(&format!("/partners/{id}/{verb}"), &body).await?)
}

async fn notice(verb: NoticeVerb, admin: &AdminClient, output: &Output) -> Done {
    match verb {
        NoticeVerb::Set {
            id,
            requests,
            purpose,
            retention,
            how_to_revoke,
            support_contact,
            url,
        } => {
            let body = json!({
                "requests": requests,
                "purpose": purpose,
                "retention": retention,
                "how_to_revoke": how_to_revoke,
                "support_contact": support_contact,
                "url": url,
            });
            let path = format!("/partners/{id}/privacy-notice");
            output.record(&admin.put(&path, &body).await?)
        }
        NoticeVerb::Show { id } => {
            let path = format!("/partners/{id}/privacy-notice");
            output.record(&admin.get(&path).await?)
        }
    }
}
