//! Why a key cannot be made, imported or loaded.

use std::path::PathBuf;

use super::file::KeyFileError;
use super::generate::GenerateError;
use super::ring::RingError;
use super::sealed::SealError;
use super::signer::SignerError;
use crate::domain::Algorithm;
use crate::store::StoreError;

/// A key could not be made or stored.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error(transparent)]
    Generate(#[from] GenerateError),
    #[error(transparent)]
    Seal(#[from] SealError),
    #[error(transparent)]
    Signer(#[from] SignerError),
    #[error(transparent)]
    Import(#[from] ImportError),
    #[error(transparent)]
    Ring(#[from] RingError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the public key could not be written")]
    Jwk(#[from] serde_json::Error),
}

/// A PEM file cannot be imported; each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The folder cannot be listed.
    #[error("keys_dir: {path}: {cause}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// The file cannot be used.
    #[error("keys_dir: {0}")]
    File(#[from] KeyFileError),
    /// The name does not say what the key is for.
    #[error("keys_dir: {0} must be named {{sandbox|live|admin}}.{{es256|rs256|ps256|eddsa}}.pem")]
    Name(PathBuf),
    /// The content is no private key.
    #[error(
        "keys_dir: {path} is not one PKCS#8 (or RSA PKCS#1) private key in PEM for {alg}; convert it with \
         `openssl pkcs8 -topk8 -nocrypt`"
    )]
    Content {
        /// The file.
        path: PathBuf,
        /// What its name says it is for.
        alg: Algorithm,
    },
    /// Another file holds the same key.
    #[error(
        "keys_dir: {path} holds the same key as {other}; a key serves one realm and one algorithm, so make one for each"
    )]
    Twice {
        /// The file.
        path: PathBuf,
        /// The one before it.
        other: PathBuf,
    },
}
