//! PEM keys that an operator placed in the keys folder.
//!
//! A file `{realm}.{alg}.pem`, such as `live.rs256.pem`, holds one private key.
//! Both are in the name because a key serves one realm and one algorithm.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rsa::RsaPrivateKey;
use rsa::pkcs1::DecodeRsaPrivateKey;
use rsa::pkcs8::EncodePrivateKey;
use zeroize::{Zeroize, Zeroizing};

use super::error::{ImportError, KeyError};
use super::file;
use super::master::MasterKey;
use super::provision;
use crate::domain::Algorithm;
use crate::domain::instant::Instant;
use crate::domain::realm::Realm;
use crate::store::changes::Change;
use crate::store::signing_keys::{self, StoredKey};

/// Imports every PEM key of the folder that the database does not know yet; answers them.
///
/// Must run alone among all processes on the database.
pub fn import_all(
    db: &mut Change<'_>,
    master: &MasterKey,
    folder: &Path,
    now: Instant,
) -> Result<Vec<StoredKey>, KeyError> {
    let mut imported = Vec::new();
    let mut seen: BTreeMap<String, PathBuf> = BTreeMap::new();
    for path in pem_files(folder)? {
        let (realm, alg, pkcs8) = read(&path)?;
        let content = || ImportError::Content {
            path: path.clone(),
            alg,
        };
        let key =
            provision::stored(master, realm, alg, &pkcs8, "imported", now).map_err(|error| {
                match error {
                    KeyError::Signer(super::signer::SignerError::WrongKey(_)) => content().into(),
                    other => other,
                }
            })?;
        if let Some(other) = seen.insert(key.kid.clone(), path.clone()) {
            return Err(ImportError::Twice { path, other }.into());
        }
        let known = signing_keys::find(db, &key.kid)?;
        if known.as_ref().is_some_and(|key| key.revoked_at.is_some()) {
            log::warn!(
                "{} holds a key that was revoked; it is never used again, and the file can go",
                path.display()
            );
        }
        if let Some(known) = &known
            && (known.realm, known.alg) != (realm, alg)
        {
            log::warn!(
                "{} holds a key that is known as {} of {}; it is passed over, and another must sign here",
                path.display(),
                known.alg,
                known.realm
            );
        }
        if known.is_none() {
            imported.push(provision::introduce(db, key, now)?);
        }
    }
    Ok(imported)
}

/// Looks whether a start could read every PEM key of the folder; answers how many there are.
pub fn examine(folder: &Path) -> Result<usize, ImportError> {
    let files = pem_files(folder)?;
    for path in &files {
        read(path)?;
    }
    Ok(files.len())
}

/// A file's private key, and what its name says that it is for.
fn read(path: &Path) -> Result<(Realm, Algorithm, Zeroizing<Vec<u8>>), ImportError> {
    let (realm, alg) = purpose(path).ok_or_else(|| ImportError::Name(path.to_owned()))?;
    let pem = file::read(path).map_err(ImportError::File)?;
    let pkcs8 = private_key(&pem).ok_or_else(|| ImportError::Content {
        path: path.to_owned(),
        alg,
    })?;
    Ok((realm, alg, pkcs8))
}

/// The folder's PEM files in order of their names; none where the folder does not exist.
fn pem_files(folder: &Path) -> Result<Vec<PathBuf>, ImportError> {
    let fail = |cause| ImportError::Folder {
        path: folder.to_owned(),
        cause,
    };
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(fail)? {
        let path = entry.map_err(fail)?.path();
        if path
            .extension()
            .is_some_and(|e| e.eq_ignore_ascii_case("pem"))
        {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// What the file's name says the key is for.
fn purpose(path: &Path) -> Option<(Realm, Algorithm)> {
    let (realm, alg) = path.file_stem()?.to_str()?.split_once('.')?;
    let alg = Algorithm::ALL
        .into_iter()
        .find(|a| a.as_str().eq_ignore_ascii_case(alg))?;
    Some((realm.parse().ok()?, alg))
}

/// The one private key in the PEM text, as PKCS#8.
fn private_key(pem: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let mut blocks = pem::parse_many(pem).ok()?;
    let pkcs8 = match blocks.as_slice() {
        [block] => pkcs8(block),
        _ => None,
    };
    blocks.iter_mut().for_each(zero);
    pkcs8
}

fn pkcs8(block: &pem::Pem) -> Option<Zeroizing<Vec<u8>>> {
    match block.tag() {
        "PRIVATE KEY" => Some(Zeroizing::new(block.contents().to_vec())),
        "RSA PRIVATE KEY" => RsaPrivateKey::from_pkcs1_der(block.contents())
            .and_then(|key| Ok(key.to_pkcs8_der()?))
            .ok()
            .map(|der| Zeroizing::new(der.as_bytes().to_vec())),
        _ => None,
    }
}

fn zero(block: &mut pem::Pem) {
    let mut contents = std::mem::replace(block, pem::Pem::new("", Vec::new())).into_contents();
    contents.zeroize();
}
