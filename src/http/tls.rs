//! The public listener's certificate: read at the start, and again while the process runs.
//!
//! Certificates live for weeks and are renewed by others. A new one counts for connections made from then on; what
//! cannot be used is told, and the one before it goes on.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::signal::unix::{Signal, SignalKind, signal};
use x509_cert::der::Decode;

use crate::clock::Clock;
use crate::config::Tls;
use crate::domain::instant::Instant;
use crate::keys::file::{self, KeyFileError};
use crate::telemetry::telemetry;

/// How often the files are looked at.
const EVERY: Duration = Duration::from_secs(10);

/// A certificate cannot be served; each says which file.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The certificate file cannot be used.
    #[error("tls_cert: {0}")]
    Certificate(String),
    /// The key file cannot be used.
    #[error("tls_key: {0}")]
    KeyFile(#[from] KeyFileError),
    /// The key file holds no key, or not the certificate's.
    #[error("tls_key: {0}")]
    Key(String),
}

/// A certificate with its key, as its files have it.
#[derive(Debug)]
pub struct Pair {
    key: CertifiedKey,
    /// When it ends, if that can be told.
    pub ends_at: Option<Instant>,
}

impl Pair {
    /// Reads the files; the key must be the certificate's.
    pub fn read(files: &Tls) -> Result<Self, TlsError> {
        let chain = chain(files)?;
        let shown = files.key.display();
        let text = file::read(&files.key)?;
        let key = PrivateKeyDer::from_pem_slice(&text).map_err(|error| {
            let is_encrypted = text.windows(9).any(|some| some == b"ENCRYPTED");
            TlsError::Key(if is_encrypted {
                format!("{shown} is encrypted: write it without a password (openssl pkey), for this process alone to read")
            } else {
                format!("{shown}: {}", in_words(&error, "private key"))
            })
        })?;
        let ends_at = chain.first().and_then(ends_at);
        let key = CertifiedKey::from_der(chain, key, &provider()).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => TlsError::Key(format!(
                "{shown} is not the key of the certificate in {}",
                files.cert.display()
            )),
            rustls::Error::InvalidCertificate(fault) => {
                TlsError::Certificate(format!("{}: {fault:?}", files.cert.display()))
            }
            other => TlsError::Key(format!("{shown}: {other}")),
        })?;
        Ok(Self { key, ends_at })
    }
}

fn chain(files: &Tls) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let shown = files.cert.display();
    let fail =
        |error| TlsError::Certificate(format!("{shown}: {}", in_words(&error, "certificate")));
    let chain = CertificateDer::pem_file_iter(&files.cert).map_err(fail)?;
    let chain = chain.collect::<Result<Vec<_>, _>>().map_err(fail)?;
    if chain.is_empty() {
        let advice = format!("{shown} holds no certificate in PEM");
        return Err(TlsError::Certificate(advice));
    }
    Ok(chain)
}

/// What is wrong with a PEM file, whoever wrote it.
fn in_words(error: &pem::Error, wanted: &str) -> String {
    match error {
        pem::Error::NoItemsFound => format!("holds no {wanted} in PEM"),
        pem::Error::MissingSectionEnd { .. } => {
            format!("ends in the middle of a {wanted}: is it still being written?")
        }
        other => other.to_string(),
    }
}

fn ends_at(certificate: &CertificateDer<'_>) -> Option<Instant> {
    let read = x509_cert::Certificate::from_der(certificate).ok()?;
    let end = read.tbs_certificate.validity.not_after.to_unix_duration();
    Some(Instant::from_epoch_seconds(
        i64::try_from(end.as_secs()).ok()?,
    ))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// What every new connection is shown.
#[derive(Debug)]
struct Shown(ArcSwap<CertifiedKey>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

/// The certificate of a listener, as it is now.
#[derive(Debug)]
pub(super) struct Certificates {
    files: Tls,
    shown: Arc<Shown>,
}

impl Certificates {
    /// Reads the files for the first time.
    pub(super) fn open(files: &Tls) -> Result<Self, TlsError> {
        let pair = Pair::read(files)?;
        measure(&pair);
        Ok(Self {
            files: files.clone(),
            shown: Arc::new(Shown(ArcSwap::from_pointee(pair.key))),
        })
    }

    /// How connections are made.
    pub(super) fn config(&self) -> Result<ServerConfig, TlsError> {
        let builder = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError::Key(error.to_string()))?;
        let shown = Arc::clone(&self.shown);
        Ok(builder.with_no_client_auth().with_cert_resolver(shown))
    }

    /// Serves what the files hold from now on, if it is another certificate than before.
    fn renew(&self) -> Result<(), TlsError> {
        if chain(&self.files)? == self.shown.0.load().cert {
            return Ok(());
        }
        let pair = Pair::read(&self.files)?;
        measure(&pair);
        match pair.ends_at {
            Some(end) if end <= Clock::system().now() => {
                log::warn!("serving a new certificate, which ended at {end}: renew it");
            }
            Some(end) => log::info!("serving a new certificate, which ends at {end}"),
            None => log::info!("serving a new certificate"),
        }
        self.shown.0.store(Arc::new(pair.key));
        Ok(())
    }

    /// Looks at the files every ten seconds, and when the process is told to (SIGHUP). Does not end.
    pub(super) async fn follow(self) {
        let mut told = signal(SignalKind::hangup())
            .inspect_err(|error| log::warn!("SIGHUP cannot be heard: {error}"))
            .ok();
        let mut trouble = None;
        loop {
            // What was told once is not told every ten seconds; who asks is told again.
            if asked_within(EVERY, &mut told).await {
                trouble = None;
            }
            let now = self.renew().err().map(|error| error.to_string());
            if let Some(error) = now.as_ref().filter(|_| now != trouble) {
                log::warn!(
                    "the new certificate cannot be served, the one before it still is: {error}"
                );
            }
            trouble = now;
        }
    }
}

/// Whether somebody asked before the time was over.
async fn asked_within(time: Duration, told: &mut Option<Signal>) -> bool {
    let asked = async {
        match told {
            Some(signal) => signal.recv().await.is_some(),
            None => std::future::pending().await,
        }
    };
    tokio::time::timeout(time, asked).await.is_ok()
}

fn measure(pair: &Pair) {
    if let Some(end) = pair.ends_at {
        let told = &telemetry().certificate_ends;
        told.with_label_values(&["public"]).set(end.epoch_seconds());
    }
}
