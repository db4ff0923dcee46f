//! `onyx-auth partner`.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::admin_client::{AdminClient, path_segment};
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
    Show {
        #[arg(value_parser = path_segment)]
        id: String,
    },
    /// Approve an application
    Approve {
        #[arg(value_parser = path_segment)]
        id: String,
        #[arg(long)]
        reason: Option<String>,
    },
    /// Reject an application
    Reject {
        #[arg(value_parser = path_segment)]
        id: String,
        #[arg(long)]
        reason: Option<String>,
    },
    /// Change what is said about a partner; what is not named stays
    Edit {
        #[arg(value_parser = path_segment)]
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
        #[arg(value_parser = path_segment)]
        id: String,
        #[arg(long)]
        reason: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Let a suspended partner go on
    Resume {
        #[arg(value_parser = path_segment)]
        id: String,
        #[arg(long)]
        reason: String,
    },
    /// Let a suspended partner go, for good: its clients, credentials and grants end
    Offboard {
        #[arg(value_parser = path_segment)]
        id: String,
        #[arg(long)]
        reason: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// List what a partner called, newest first
    Requests {
        #[arg(value_parser = path_segment)]
        id: String,
        #[command(flatten)]
        which: Calls,
        #[command(flatten)]
        paging: Paging,
    },
    /// List who still calls which version of the partner API, and when last
    // Its `--version` is the API's, not the program's.
    #[command(disable_version_flag = true)]
    Versions {
        /// Only this one, such as 2026-09-01
        #[arg(id = "api_version", long = "version", value_name = "VERSION")]
        version: Option<String>,
        /// Only this partner
        #[arg(long)]
        #[arg(value_parser = path_segment)]
        partner: Option<String>,
        #[command(flatten)]
        paging: Paging,
    },
    /// What the partner tells those whose data it reads
    #[command(subcommand)]
    PrivacyNotice(NoticeVerb),
}

/// Which calls.
#[derive(Args)]
pub(super) struct Calls {
    /// sandbox or live
    #[arg(long)]
    realm: Option<String>,
    /// Only those of this client
    #[arg(long)]
    #[arg(value_parser = path_segment)]
    client: Option<String>,
    /// Only those with tokens of this credential
    #[arg(long)]
    credential: Option<String>,
    /// Only those that made this order or were about it
    #[arg(long)]
    #[arg(value_parser = path_segment)]
    order: Option<String>,
    /// Only those of this route, such as "/{env}/v1/me"
    #[arg(long)]
    route: Option<String>,
    /// Only those with this status or class, such as 404 or 4xx
    #[arg(long)]
    status: Option<String>,
    /// Only those refused with this code
    #[arg(long)]
    code: Option<String>,
    /// Not before this moment
    #[arg(long)]
    from: Option<String>,
    /// Before this moment
    #[arg(long)]
    to: Option<String>,
}

#[derive(Subcommand)]
pub(super) enum NoticeVerb {
    /// Put a notice on record in place of the former
    Set {
        #[arg(value_parser = path_segment)]
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
    Show {
        #[arg(value_parser = path_segment)]
        id: String,
    },
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
            offboard(admin, output, &id, &reason).await
        }
        Verb::Versions {
            version,
            partner,
            paging,
        } => {
            let filters = [
                ("version", version.as_deref()),
                ("partner_id", partner.as_deref()),
            ];
            let list = admin.get(&paging.of("/versions", &filters)).await?;
            let columns = [
                "version",
                "sunset_at",
                "partner_id",
                "realm",
                "client_id",
                "route",
                "calls",
                "last_at",
            ];
            output.list(&list, &columns)
        }
        Verb::Requests { id, which, paging } => {
            let filters = [
                ("partner_id", Some(id.as_str())),
                ("realm", which.realm.as_deref()),
                ("client_id", which.client.as_deref()),
                ("credential_id", which.credential.as_deref()),
                ("order_id", which.order.as_deref()),
                ("route", which.route.as_deref()),
                ("status", which.status.as_deref()),
                ("code", which.code.as_deref()),
                ("from", which.from.as_deref()),
                ("to", which.to.as_deref()),
            ];
            let list = admin.get(&paging.of("/requests", &filters)).await?;
            let columns = [
                "id",
                "at",
                "realm",
                "method",
                "route",
                "status",
                "code",
                "milliseconds",
            ];
            output.list(&list, &columns)
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

/// In a table, what was taken out and what is kept stand below the partner, a line each.
async fn offboard(admin: &AdminClient, output: &Output, id: &str, reason: &str) -> Done {
    let body = json!({ "reason": reason });
    let mut gone = admin
        .post(&format!("/partners/{id}/offboard"), &body)
        .await?;
    if !output.is_for_people() {
        return output.record(&gone);
    }
    let mut take = |name: &str| gone.as_object_mut().and_then(|record| record.remove(name));
    let (anonymised, kept) = (take("anonymised"), take("kept"));
    output.record(&gone)?;
    let list = |rows: Option<Value>| json!({ "data": rows });
    output.list(&list(anonymised), &["what", "records"])?;
    output.list(&list(kept), &["what", "why"])
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
