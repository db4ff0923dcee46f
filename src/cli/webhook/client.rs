//! The partner API as a partner sees it, for as long as it takes: a token that ends is followed by another.

use std::path::Path;

use reqwest::{Client, Method, Response, StatusCode};
use serde_json::Value;

use crate::cli::Failure;
use crate::cli::admin_client::{fetch_token, http, problem, unreachable};
use crate::cli::credential_file::CredentialFile;
use crate::domain::id::ClientId;
use crate::domain::realm::Realm;

/// A partner with a token.
pub(super) struct PartnerClient {
    http: Client,
    server: String,
    client_id: ClientId,
    credential: CredentialFile,
    token: String,
}

/// Why a call came to nothing.
pub(super) enum Unanswered {
    /// It may be answered later: nobody was there, or somebody was too busy.
    Later(String),
    /// The answer was no.
    Refused(StatusCode, Value),
    /// There is no use in asking again.
    Never(Failure),
}

impl From<Unanswered> for Failure {
    fn from(why: Unanswered) -> Self {
        match why {
            Unanswered::Later(message) => Self::Refused(message),
            Unanswered::Refused(status, body) => Self::Refused(problem(status, &body)),
            Unanswered::Never(failure) => failure,
        }
    }
}

impl PartnerClient {
    /// Reads a partner's credential and fetches a token with it.
    pub(super) async fn connect(path: &Path) -> Result<Self, Failure> {
        let credential = CredentialFile::read(path)?;
        let client_id: ClientId = credential.client_id.parse()?;
        let server = std::env::var("ONYX_SERVER").unwrap_or_else(|_| credential.server.clone());
        let mut partner = Self {
            http: http()?,
            server: server.trim_end_matches('/').to_owned(),
            client_id,
            credential,
            token: String::new(),
        };
        partner.renew().await?;
        Ok(partner)
    }

    /// The environment that its client is of.
    pub(super) fn realm(&self) -> Realm {
        self.client_id.realm()
    }

    /// Its client.
    pub(super) fn client_id(&self) -> &ClientId {
        &self.client_id
    }

    /// Where its API is.
    pub(super) fn api(&self) -> String {
        format!("{}/{}/v1", self.server, self.realm())
    }

    async fn renew(&mut self) -> Result<(), Failure> {
        let realm = self.client_id.realm();
        let answer = fetch_token(
            &self.http,
            &self.server,
            realm.as_str(),
            &self.credential,
            &[],
        );
        let answer = answer.await?;
        let token = answer.get("access_token").and_then(Value::as_str);
        self.token = token.unwrap_or_default().to_owned();
        Ok(())
    }

    /// Calls `/{env}/v1{path}`; answers the body's text of a good answer.
    pub(super) async fn text(
        &mut self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<String, Unanswered> {
        let mut answer = self.send(&method, path, body).await?;
        if answer.status() == StatusCode::UNAUTHORIZED {
            // The token has ended, or was revoked: with another it may go on.
            self.renew().await.map_err(Unanswered::Never)?;
            answer = self.send(&method, path, body).await?;
        }
        let status = answer.status();
        let later = |error: reqwest::Error| Unanswered::Later(error.without_url().to_string());
        let text = answer.text().await.map_err(later)?;
        if status.is_success() {
            return Ok(text);
        }
        let body = serde_json::from_str(&text).unwrap_or_default();
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            return Err(Unanswered::Later(problem(status, &body)));
        }
        Err(Unanswered::Refused(status, body))
    }

    /// The same as JSON; an answer without a body is nothing.
    pub(super) async fn call(
        &mut self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, Failure> {
        let text = self.text(method, path, body).await?;
        Ok(serde_json::from_str(&text).unwrap_or_default())
    }

    async fn send(
        &self,
        method: &Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Response, Unanswered> {
        let url = format!("{}{path}", self.api());
        let request = self.http.request(method.clone(), url);
        let request = request.bearer_auth(&self.token);
        let request = match body {
            Some(body) => request.json(body),
            None => request,
        };
        let later = |error| match unreachable(error) {
            Failure::Refused(message) => Unanswered::Later(message),
            other => Unanswered::Never(other),
        };
        request.send().await.map_err(later)
    }
}
