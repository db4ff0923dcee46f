//! New private keys.
//!
//! RSA keys come from the `rsa` crate, which is good for generating and for reading
//! parts; every private-key operation runs on aws-lc (RUSTSEC-2023-0071).

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
use rsa::RsaPrivateKey;
use rsa::pkcs8::EncodePrivateKey;
use zeroize::Zeroizing;

use crate::domain::Algorithm;

/// The library could not make a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a {0} key could not be generated")]
pub struct GenerateError(Algorithm);

/// A new private key as PKCS#8 (RFC 5208), RSA with 2048 bits.
pub fn pkcs8(alg: Algorithm) -> Result<Zeroizing<Vec<u8>>, GenerateError> {
    let failed = || GenerateError(alg);
    match alg {
        Algorithm::Es256 => {
            let pair =
                EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(|_| failed())?;
            let der = pair.to_pkcs8v1().map_err(|_| failed())?;
            Ok(Zeroizing::new(der.as_ref().to_vec()))
        }
        Algorithm::EdDsa => {
            let pair = Ed25519KeyPair::generate().map_err(|_| failed())?;
            let der = pair.to_pkcs8v1().map_err(|_| failed())?;
            Ok(Zeroizing::new(der.as_ref().to_vec()))
        }
        Algorithm::Rs256 | Algorithm::Ps256 => {
            let key = RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2048).map_err(|_| failed())?;
            let der = key.to_pkcs8_der().map_err(|_| failed())?;
            Ok(Zeroizing::new(der.as_bytes().to_vec()))
        }
    }
}
