//! Documents of the issuer: its metadata (RFC 8414) and its keys (RFC 7517), fetched with bounds
//! on where they come from, how long they take and how big they are.

use std::time::Duration;

use reqwest::{
    Client, ClientBuilder, Response, StatusCode,
    header::{ACCEPT, CACHE_CONTROL, HeaderMap},
    redirect,
};
use serde::{Deserialize, de::DeserializeOwned};
use url::{Host, Url};

use crate::{ConnectError, JwkSet};

const TIMEOUT: Duration = Duration::from_secs(5);
const MAX_BODY: usize = 64 * 1024;

/// A place from which a document can be fetched, again and again.
pub(crate) struct Source {
    url: Url,
    http: Client,
}

/// Keys as fetched, and how long their publisher holds them to be fresh, where it says so.
pub(crate) struct Published {
    pub(crate) keys: JwkSet,
    pub(crate) fresh_for: Option<Duration>,
}

/// The members of an authorization server's metadata that matter here (RFC 8414 §2).
#[derive(Deserialize)]
struct Metadata {
    issuer: String,
    jwks_uri: String,
}

impl Source {
    pub(crate) fn new(url: &str) -> Result<Self, ConnectError> {
        Self::at(usable(url)?)
    }

    /// Finds an issuer's keys through its metadata, which must be that very issuer's (RFC 8414 §3.3).
    pub(crate) async fn discover(issuer: &str) -> Result<Self, ConnectError> {
        let metadata: Metadata = Self::at(metadata_url(issuer)?)?.json().await?.0;
        if metadata.issuer != issuer {
            return Err(ConnectError::IssuerMismatch {
                expected: issuer.to_owned(),
                found: metadata.issuer,
            });
        }
        Self::new(&metadata.jwks_uri)
    }

    fn at(url: Url) -> Result<Self, ConnectError> {
        let http = client(&url).timeout(TIMEOUT).build();
        Ok(Self {
            url,
            http: http.map_err(ConnectError::Client)?,
        })
    }

    /// Fetches keys.
    pub(crate) async fn keys(&self) -> Result<Published, ConnectError> {
        let (keys, headers) = self.json().await?;
        Ok(Published {
            keys,
            fresh_for: fresh_for(&headers),
        })
    }

    async fn json<T: DeserializeOwned>(&self) -> Result<(T, HeaderMap), ConnectError> {
        let mut response = self
            .http
            .get(self.url.clone())
            .header(ACCEPT, "application/json, application/jwk-set+json")
            .send()
            .await
            .map_err(|source| self.failed(source))?;
        if response.status() != StatusCode::OK {
            return Err(ConnectError::Status {
                url: self.url.to_string(),
                status: response.status().as_u16(),
            });
        }
        let headers = std::mem::take(response.headers_mut());
        let body = self.body(response).await?;
        let document = serde_json::from_slice(&body).map_err(|source| ConnectError::Json {
            url: self.url.to_string(),
            source,
        })?;
        Ok((document, headers))
    }

    async fn body(&self, mut response: Response) -> Result<Vec<u8>, ConnectError> {
        let mut body = Vec::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|source| self.failed(source))?
        {
            if body.len() + chunk.len() > MAX_BODY {
                return Err(ConnectError::TooLarge {
                    url: self.url.to_string(),
                });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    fn failed(&self, source: reqwest::Error) -> ConnectError {
        ConnectError::Fetch {
            url: self.url.to_string(),
            // The URL is in the sentence already.
            source: source.without_url(),
        }
    }
}

/// A client for a URL: it goes nowhere else than it is told to.
pub(crate) fn client(url: &Url) -> ClientBuilder {
    let http = Client::builder()
        .redirect(redirect::Policy::none())
        .user_agent(concat!("onyx-verifier/", env!("CARGO_PKG_VERSION")));
    // TLS goes through a proxy unharmed; what is plain must not leave the machine.
    if url.scheme() == "http" {
        http.no_proxy()
    } else {
        http.https_only(true)
    }
}

/// Reads a URL that documents may be fetched from: `https`, or `http` to this machine itself.
pub(crate) fn usable(url: &str) -> Result<Url, ConnectError> {
    let refuse = |reason| ConnectError::Url {
        url: url.to_owned(),
        reason,
    };
    let parsed = Url::parse(url).map_err(|_| refuse("it is not an absolute URL"))?;
    let loopback = match parsed.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    if !(parsed.scheme() == "https" || parsed.scheme() == "http" && loopback) {
        return Err(refuse("it is neither https nor http to a loopback address"));
    }
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return Err(refuse("it has a user name or a password"));
    }
    Ok(parsed)
}

/// The well-known part goes between the issuer's host and its path (RFC 8414 §3.1).
fn metadata_url(issuer: &str) -> Result<Url, ConnectError> {
    let mut url = usable(issuer)?;
    if url.query().is_some() || url.fragment().is_some() {
        return Err(ConnectError::Url {
            url: issuer.to_owned(),
            reason: "an issuer has no query and no fragment",
        });
    }
    let path = format!(
        "/.well-known/oauth-authorization-server{}",
        url.path().trim_end_matches('/')
    );
    url.set_path(&path);
    Ok(url)
}

/// The `max-age` of a `Cache-Control`; 0 where nothing may be kept (RFC 9111 §5.2.2).
fn fresh_for(headers: &HeaderMap) -> Option<Duration> {
    headers
        .get_all(CACHE_CONTROL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|directive| {
            let directive = directive.trim().to_ascii_lowercase();
            match directive.strip_prefix("max-age=") {
                Some(seconds) => seconds.parse().ok().map(Duration::from_secs),
                None => {
                    matches!(directive.as_str(), "no-store" | "no-cache").then_some(Duration::ZERO)
                }
            }
        })
        .min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_are_looked_for_between_host_and_path() {
        for (issuer, url) in [
            (
                "https://auth.example",
                "https://auth.example/.well-known/oauth-authorization-server",
            ),
            (
                "https://auth.example/",
                "https://auth.example/.well-known/oauth-authorization-server",
            ),
            (
                "https://auth.example:8443/a/live",
                "https://auth.example:8443/.well-known/oauth-authorization-server/a/live",
            ),
            (
                "http://[::1]:8080/live/",
                "http://[::1]:8080/.well-known/oauth-authorization-server/live",
            ),
        ] {
            assert_eq!(metadata_url(issuer).unwrap().as_str(), url);
        }
        for issuer in ["https://auth.example/live?a", "https://auth.example/live#a"] {
            assert!(metadata_url(issuer).is_err(), "{issuer}");
        }
    }

    #[test]
    fn plain_http_is_for_this_machine_only() {
        for url in [
            "https://auth.example",
            "http://localhost:1",
            "http://127.0.0.1",
            "http://127.9.9.9",
            "http://[::1]",
        ] {
            assert!(usable(url).is_ok(), "{url}");
        }
        for url in [
            "http://auth.example",
            "http://10.0.0.1",
            "http://localhost.example",
            "http://127.0.0.1.example",
            "file:///etc/passwd",
            "data:application/json,{}",
            "auth.example",
            "https://user@auth.example",
            "https://:pass@auth.example",
            "",
        ] {
            assert!(
                matches!(usable(url), Err(ConnectError::Url { .. })),
                "{url}"
            );
        }
    }

    #[test]
    fn freshness_is_read_from_cache_control() {
        for (value, seconds) in [
            ("max-age=60", Some(60)),
            ("public, Max-Age=60, must-revalidate", Some(60)),
            ("no-cache", Some(0)),
            ("max-age=60, no-store", Some(0)),
            ("max-age=x", None),
            ("s-maxage=60", None),
            ("", None),
        ] {
            let headers = HeaderMap::from_iter([(CACHE_CONTROL, value.parse().unwrap())]);
            assert_eq!(
                fresh_for(&headers),
                seconds.map(Duration::from_secs),
                "{value}"
            );
        }
        assert_eq!(fresh_for(&HeaderMap::new()), None);
    }
}
