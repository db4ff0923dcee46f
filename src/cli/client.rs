//! `onyx-auth client`.

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::admin_client::{AdminClient, path_segment};
use super::confirm::confirm;
use super::output::Output;
use super::paging::Paging;
use super::{Done, Failure};

#[derive(Subcommand)]
pub(super) enum Verb {
    /// Make a client for a partner
    Create {
        #[arg(long, value_name = "PARTNER_ID")]
        #[arg(value_parser = path_segment)]
        partner: String,
        /// sandbox or live
        #[arg(long)]
        realm: String,
        #[arg(long)]
        name: String,
        /// A scope that it may hold; repeat for several
        #[arg(long, required = true)]
        scope: Vec<String>,
        /// A scope of a token that is asked for without any; repeat for several [default: all]
        #[arg(long)]
        default_scope: Vec<String>,
        /// Seconds that its tokens live, 60 to 900
        #[arg(long)]
        token_ttl: Option<u32>,
        /// When it ends, like 2030-01-31T12:00:00Z
        #[arg(long)]
        expires_at: Option<String>,
        /// A network or address that it may call from; repeat for several [default: anywhere]
        #[arg(long, value_name = "CIDR")]
        allow_from: Vec<String>,
        /// Whether its partner may rotate its secret by itself [default: in the sandbox only]
        #[arg(long, value_name = "true|false")]
        self_rotation: Option<bool>,
    },
    /// List clients
    List {
        #[arg(long, value_name = "PARTNER_ID")]
        #[arg(value_parser = path_segment)]
        partner: Option<String>,
        #[arg(long)]
        realm: Option<String>,
        /// active, suspended or revoked
        #[arg(long)]
        state: Option<String>,
        #[command(flatten)]
        paging: Paging,
    },
    /// Show a client
    Show {
        #[arg(value_parser = path_segment)]
        id: String,
    },
    /// Change a client; what is not named stays
    Edit(Edit),
    /// Suspend a client: no tokens, and those it has die
    Suspend(Step),
    /// Let a suspended client have tokens again
    Resume {
        #[arg(value_parser = path_segment)]
        id: String,
        #[arg(long)]
        reason: String,
    },
    /// Revoke a client and its credentials, at once and for good
    Revoke(Step),
    /// Show the scopes that a client holds against those that it asked for and used
    Usage {
        #[arg(value_parser = path_segment)]
        id: String,
        /// How many days back, 1 to 365, today included
        #[arg(long, default_value_t = 30)]
        days: u16,
    },
}

#[derive(Args)]
pub(super) struct Step {
    #[arg(value_parser = path_segment)]
    id: String,
    #[arg(long)]
    reason: String,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

#[derive(Args)]
pub(super) struct Edit {
    #[arg(value_parser = path_segment)]
    id: String,
    #[arg(long)]
    name: Option<String>,
    /// A scope that it may hold from now on, instead of those it held; repeat for several
    #[arg(long)]
    scope: Vec<String>,
    /// A scope of a token that is asked for without any; repeat for several
    #[arg(long)]
    default_scope: Vec<String>,
    /// Seconds that its tokens live, 60 to 900
    #[arg(long)]
    token_ttl: Option<u32>,
    /// When it ends, like 2030-01-31T12:00:00Z
    #[arg(long)]
    expires_at: Option<String>,
    /// A network or address that it may call from, instead of those before; repeat for several
    #[arg(long, value_name = "CIDR")]
    allow_from: Vec<String>,
    /// Whether its partner may rotate its secret by itself
    #[arg(long, value_name = "true|false")]
    self_rotation: Option<bool>,
    /// Take a member away: all scopes by default, the server's lifetime, no end, from anywhere, the realm's rule
    #[arg(long, value_name = "MEMBER", value_parser = CLEARABLE)]
    clear: Vec<String>,
}

/// What a client can be without.
const CLEARABLE: [&str; 5] = [
    "default_scopes",
    "token_ttl",
    "expires_at",
    "ip_allowlist",
    "self_rotation",
];

impl Edit {
    /// The members that are named, and no others: null would take one away.
    fn body(self) -> Result<Value, Failure> {
        let list = |items: Vec<String>| (!items.is_empty()).then(|| json!(items));
        let members = [
            ("name", self.name.map(Value::from)),
            ("scopes", list(self.scope)),
            ("default_scopes", list(self.default_scope)),
            ("token_ttl", self.token_ttl.map(Value::from)),
            ("expires_at", self.expires_at.map(Value::from)),
            ("ip_allowlist", list(self.allow_from)),
            ("self_rotation", self.self_rotation.map(Value::from)),
        ];
        let mut body: Map<String, Value> = members
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?)))
            .collect();
        for name in self.clear {
            if body
                .insert(name.clone(), Value::Null)
                .is_some_and(|v| !v.is_null())
            {
                return Err(Failure::Usage(format!("{name} is both set and cleared")));
            }
        }
        if body.is_empty() {
            return Err(Failure::Usage("nothing is to be changed".to_owned()));
        }
        Ok(Value::Object(body))
    }
}

pub(super) async fn run(verb: Verb, admin: &AdminClient, output: &Output) -> Done {
    match verb {
        Verb::Create {
            partner,
            realm,
            name,
            scope,
            default_scope,
            token_ttl,
            expires_at,
            allow_from,
            self_rotation,
        } => {
            let body = json!({
                "realm": realm,
                "name": name,
                "scopes": scope,
                "default_scopes": if default_scope.is_empty() { None } else { Some(default_scope) },
                "token_ttl": token_ttl,
                "expires_at": expires_at,
                "ip_allowlist": if allow_from.is_empty() { None } else { Some(allow_from) },
                "self_rotation": self_rotation,
            });
            output.record(
                &admin
                    .post(&format!("/partners/{partner}/clients"), &body)
                    .await?,
            )
        }
        Verb::List {
            partner,
            realm,
            state,
            paging,
        } => {
            let filters = [
                ("partner_id", partner.as_deref()),
                ("realm", realm.as_deref()),
                ("state", state.as_deref()),
            ];
            let list = admin.get(&paging.of("/clients", &filters)).await?;
            output.list(
                &list,
                &["id", "state", "realm", "kind", "name", "partner_id"],
            )
        }
        Verb::Show { id } => output.record(&admin.get(&format!("/clients/{id}")).await?),
        Verb::Edit(edit) => {
            let path = format!("/clients/{}", edit.id);
            output.record(&admin.patch(&path, &edit.body()?).await?)
        }
        Verb::Suspend(step) => {
            let question = format!(
                "Suspend {}? It gets no tokens, and those it has die.",
                step.id
            );
            confirm(&question, step.yes)?;
            take(admin, output, &step.id, "suspend", &step.reason).await
        }
        Verb::Resume { id, reason } => take(admin, output, &id, "resume", &reason).await,
        Verb::Revoke(step) => {
            let question = format!(
                "Revoke {}? It and its credentials never work again.",
                step.id
            );
            confirm(&question, step.yes)?;
            take(admin, output, &step.id, "revoke", &step.reason).await
        }
        Verb::Usage { id, days } => {
            let path = format!("/clients/{id}/scope-usage?days={days}");
            let usage = admin.get(&path).await?;
            if output.is_json() {
                return output.record(&usage);
            }
            let columns = [
                "scope",
                "held",
                "asked",
                "used",
                "last_asked_on",
                "last_used_on",
            ];
            output.list(&json!({ "data": usage.get("scopes") }), &columns)
        }
    }
}

async fn take(admin: &AdminClient, output: &Output, id: &str, verb: &str, reason: &str) -> Done {
    let body = json!({ "reason": reason });
    output.record(&admin.post(&format!("/clients/{id}/{verb}"), &body).await?)
}
