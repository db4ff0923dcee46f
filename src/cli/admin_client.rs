//! The admin API as a client of it sees it.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::Value;
use url::Url;

use super::Failure;
use super::credential_file::CredentialFile;
use crate::causes::{Causes, of_tls};
use crate::domain::id::ClientId;
use crate::domain::realm::Realm;

/// The longest that an answer is read which comes piece by piece.
const LONGEST: Duration = Duration::from_secs(3600);

/// An operator with a token.
pub(super) struct AdminClient {
    http: Client,
    server: String,
    token: String,
    /// Whether the server has done something for it.
    has_changed: AtomicBool,
}

impl AdminClient {
    /// Where a client gets its tokens: operators where this one does, all others at the public address, which the
    /// metadata tell.
    pub(super) async fn server_of(&self, client: &str) -> String {
        let is_operator = client
            .parse()
            .is_ok_and(|id: ClientId| id.realm() == Realm::Admin);
        let told = if is_operator {
            None
        } else {
            self.public_server().await
        };
        told.unwrap_or_else(|| self.server.clone())
    }

    async fn public_server(&self) -> Option<String> {
        let url = format!(
            "{}/.well-known/oauth-authorization-server/admin",
            self.server
        );
        let metadata: Value = self.http.get(url).send().await.ok()?.json().await.ok()?;
        let issuer = metadata.get("issuer")?.as_str()?;
        Some(issuer.strip_suffix("/admin")?.to_owned())
    }

    /// Whether it has had something done.
    pub(super) fn has_changed(&self) -> bool {
        self.has_changed.load(Ordering::Relaxed)
    }

    /// Reads the operator's credential and fetches a token with it.
    pub(super) async fn connect() -> Result<Self, Failure> {
        let path = std::env::var_os("ONYX_ADMIN_CREDENTIAL")
            .map_or_else(|| "data/operator.json".into(), PathBuf::from);
        let credential = CredentialFile::read(&path).map_err(|failure| match failure {
            Failure::Refused(message) => Failure::Refused(format!(
                "{message}; ONYX_ADMIN_CREDENTIAL names the operator's credential file"
            )),
            other => other,
        })?;
        let server = std::env::var("ONYX_SERVER").unwrap_or_else(|_| credential.server.clone());
        let server = server.trim_end_matches('/').to_owned();
        let http = http()?;
        let answer = fetch_token(&http, &server, "admin", &credential, &[]).await;
        let answer = answer.map_err(|failure| match failure {
            Failure::Refused(told) if told.contains(" invalid_client: ") => Failure::Refused(format!(
                "{told}\n{} holds no operator's credential of this server that works: it may have ended or been revoked. \
                 Where no other operator can issue one, `onyx-auth operator recover` on the server's machine makes an operator.",
                path.display()
            )),
            other => other,
        })?;
        let token = answer
            .get("access_token")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        Ok(Self {
            http,
            server,
            token,
            has_changed: AtomicBool::new(false),
        })
    }

    /// `GET /admin/v1{path}`
    pub(super) async fn get(&self, path: &str) -> Result<Value, Failure> {
        self.call(Method::GET, path, None).await
    }

    /// `POST /admin/v1{path}`
    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.call(Method::POST, path, Some(body)).await
    }

    /// `PUT /admin/v1{path}`
    pub(super) async fn put(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.call(Method::PUT, path, Some(body)).await
    }

    /// `PATCH /admin/v1{path}`
    pub(super) async fn patch(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.call(Method::PATCH, path, Some(body)).await
    }

    /// `GET /admin/v1{path}`, which answers text.
    pub(super) async fn text(&self, path: &str) -> Result<String, Failure> {
        Ok(self.stream(path).await?.text().await?)
    }

    /// `GET /admin/v1{path}`, to be read piece by piece, for as long as it takes.
    pub(super) async fn stream(&self, path: &str) -> Result<reqwest::Response, Failure> {
        let request = self.request(Method::GET, path);
        let answer = request.timeout(LONGEST).send().await.map_err(unreachable)?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let body: Value = answer.json().await.unwrap_or_default();
        Err(Failure::Refused(problem(status, &body)))
    }

    /// `POST /admin/v1{path}` of a body of its own media type.
    pub(super) async fn post_bytes(
        &self,
        path: &str,
        media_type: &str,
        body: Vec<u8>,
    ) -> Result<Value, Failure> {
        let request = self
            .request(Method::POST, path)
            .header(CONTENT_TYPE, media_type)
            .body(body);
        let answer = answer(request).await?;
        self.has_changed.store(true, Ordering::Relaxed);
        Ok(answer)
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("{}/admin/v1{path}", self.server);
        self.http.request(method, url).bearer_auth(&self.token)
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, Failure> {
        let changes = method != Method::GET;
        let request = self.request(method, path);
        let answer = answer(match body {
            Some(body) => request.json(body),
            None => request,
        });
        let answer = answer.await?;
        self.has_changed.fetch_or(changes, Ordering::Relaxed);
        Ok(answer)
    }
}

/// An id or a name as a part of a path: what has more in it would lead elsewhere.
pub(super) fn path_segment(text: &str) -> Result<String, String> {
    let leads_on = |c: char| c.is_whitespace() || c.is_control() || "/?#%\\".contains(c);
    if text.is_empty() || text == "." || text == ".." || text.contains(leads_on) {
        return Err("must be an id, as lists show it".to_owned());
    }
    Ok(text.to_owned())
}

/// Looks at a server's address before a secret is sent there.
pub(super) fn check_server(server: &str) -> Result<(), Failure> {
    let url = Url::parse(server).ok();
    let Some(url) = url.filter(|url| matches!(url.scheme(), "http" | "https")) else {
        return Err(Failure::Usage(format!(
            "{server:?} is no server's address: ONYX_SERVER or the credential file must name one like https://auth.example.com"
        )));
    };
    let is_local = match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    if url.scheme() == "http" && !is_local {
        eprintln!("Warning: secrets travel to {server} in the clear; use https.");
    }
    Ok(())
}

async fn answer(request: RequestBuilder) -> Result<Value, Failure> {
    let answer = request.send().await.map_err(unreachable)?;
    let (status, url) = (answer.status(), answer.url().clone());
    let body: Value = answer.json().await.unwrap_or_default();
    if status.is_success() {
        return Ok(body);
    }
    let mut told = problem(status, &body);
    if status == StatusCode::NOT_FOUND {
        told.push_str(&format!(" ({url}); ids are as lists show them"));
    }
    Err(Failure::Refused(told))
}

/// An HTTP client that waits 30 seconds and follows nobody elsewhere with a secret in hand.
pub(super) fn http() -> Result<Client, Failure> {
    let builder = Client::builder()
        .timeout(Duration::from_secs(30))
        .redirect(reqwest::redirect::Policy::none());
    Ok(builder.build()?)
}

/// Exchanges a credential for a token; answers the whole answer.
pub(super) async fn fetch_token(
    http: &Client,
    server: &str,
    realm: &str,
    credential: &CredentialFile,
    more: &[(&str, &str)],
) -> Result<Value, Failure> {
    let mut form = vec![("grant_type", "client_credentials")];
    form.extend_from_slice(&credential.as_form());
    form.extend_from_slice(more);
    let path = format!("{realm}/oauth2/token");
    post_form(http, (server, &path), &form, "no token").await
}

/// Posts a form to an OAuth endpoint of a server; answers the whole answer.
pub(super) async fn post_form(
    http: &Client,
    (server, path): (&str, &str),
    form: &[(&str, &str)],
    without: &str,
) -> Result<Value, Failure> {
    check_server(server)?;
    let url = format!("{server}/{path}");
    let answer = http
        .post(url)
        .form(form)
        .send()
        .await
        .map_err(unreachable)?;
    let status = answer.status();
    let body: Value = answer.json().await.unwrap_or_default();
    if status.is_success() {
        return Ok(body);
    }
    // Where there is no such endpoint, the answer is a problem document.
    let text = |name: &str, other: &str| {
        let value = body.get(name).or_else(|| body.get(other));
        value.and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let mut told = format!(
        "{without} from {server}: {} {}: {}",
        status.as_u16(),
        text("error", "code"),
        text("error_description", "detail")
    );
    if status == StatusCode::NOT_FOUND {
        told.push_str(&format!(
            "\n{server} does not serve {path}: where it is served by another listener, ONYX_SERVER must name that one"
        ));
    }
    Err(Failure::Refused(told))
}

pub(super) fn unreachable(error: reqwest::Error) -> Failure {
    let url = error.url().map(ToString::to_string).unwrap_or_default();
    let error = error.without_url();
    let why = Causes(&error);
    Failure::Refused(if is_not_trusted(&error) {
        format!("{url} is not trusted: SSL_CERT_FILE can name the CA of its certificate ({why})")
    } else {
        format!("{url} does not answer: is the server running? ({why})")
    })
}

/// Whether somebody answers there whose certificate is not trusted here.
fn is_not_trusted(error: &reqwest::Error) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if let Some(rustls::Error::InvalidCertificate(_)) = of_tls(error) {
            return true;
        }
        cause = error.source();
    }
    false
}

/// A problem document in lines: the sentence, then each bad member.
pub(super) fn problem(status: StatusCode, body: &Value) -> String {
    let text = |value: &Value, name: &str| {
        value
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let mut lines = vec![format!(
        "{} {}: {}",
        status.as_u16(),
        text(body, "code"),
        text(body, "detail")
    )];
    for error in body
        .get("errors")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let row = error.get("row").and_then(Value::as_u64);
        let row = row.map_or_else(String::new, |row| format!("row {row}: "));
        lines.push(format!(
            "  {row}{} {}",
            text(error, "pointer"),
            text(error, "detail")
        ));
    }
    if status.is_server_error() {
        lines.push(format!("  request {}", text(body, "request_id")));
    }
    lines.join("\n")
}
