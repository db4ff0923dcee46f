//! Verifies the access tokens of an Onyx Auth server, statelessly: with the issuer's public keys,
//! which it fetches and keeps fresh, and without asking anybody about a token.
//!
//! Tokens are JWT access tokens after RFC 9068, checked as RFC 8725 advises; a refusal knows the
//! answer that RFC 6750 wants.
//!
//! # In a service
//!
//! One [`Verifier`] for each issuer and audience, made once and cloned freely:
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use onyx_verifier::Verifier;
//!
//! let verifier = Verifier::builder("https://auth.example/live", "https://auth.example/live/v1")
//!     .connect()
//!     .await?;
//!
//! let header = "Bearer eyJ…";
//! match verifier.authorize([header.as_bytes()].into_iter(), None).await {
//!     Ok(caller) if caller.has_scope("orders:read") => println!("{:?}", caller.partner_id()),
//!     Ok(_) => println!("403"),
//!     Err(rejection) => println!("{} {:?}", rejection.status(), rejection.challenge("orders", None)),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! With actix-web, turn on the feature `actix` and take an `actix::Authenticated` in each handler.
//!
//! # What is checked
//!
//! In this order; the first failure is the answer.
//!
//! 1. The form: at most 8 KiB, compact serialisation, strict base64url, JSON without repeated members.
//! 2. The header: `typ` is `at+jwt`; none of `crit`, `b64`, `jku`, `jwk`, `x5u`, `x5c`.
//! 3. The key that `kid` names, and that `alg` is the one algorithm of that key.
//! 4. The signature: ES256, RS256, PS256 or EdDSA (Ed25519).
//! 5. The required claims, and that the token is not bound to a key (`cnf`).
//! 6. `iss`, `aud`, `exp`, `nbf`, `iat`.
//! 7. Whether the token, its credential, client, partner, key or a grant that it carries was revoked
//!    since it was issued, as far as the given [`Revocations`] know ([`Builder::revocations`]).

mod bearer;
mod builder;
mod caller;
mod claims;
mod error;
mod fetch;
mod filter;
mod follow;
mod json;
mod jwks;
mod keys;
mod refresh;
mod revocations;
mod token;
mod verifier;
mod warm;

#[cfg(feature = "actix")]
pub mod actix;

pub use builder::Builder;
pub use caller::Caller;
pub use claims::{Audience, Claims, StatusClaim, StatusListRef};
pub use error::{ConnectError, Rejection, TokenFault};
pub use follow::{FeedError, Staleness};
pub use jwks::{Algorithm, Jwk, JwkKey, JwkSet, UnknownAlgorithm};
pub use revocations::{Revocation, RevocationKind, Revocations};
pub use verifier::Verifier;
