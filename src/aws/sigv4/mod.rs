//! Signature Version 4: parsed, verified, made.
//!
//! A client's signature is checked over exactly the headers it names, by a canonical form of our own that loses
//! nothing of the escapes, and what goes on to AWS is signed by the same form; AWS's own signer makes presigned URLs, and
//! tests hold the form to it. Both sides' bodies are signed in [`chunked`] and in [`events`].
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>

pub mod authorization;
mod canonical;
pub mod chain;
pub mod chunked;
mod date;
mod derived;
mod ecdsa;
pub mod error;
pub mod events;
mod hex;
pub mod payload;
pub mod presign;
pub mod presigned;
pub mod sign;
pub mod verify;
pub mod wire;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod vectors;

use http::HeaderName;

pub use authorization::{Algorithm, Authorization, Scope};
pub use chain::Seed;
pub use error::{AuthError, Family};
pub use payload::{Declared, payload_hash, sha256_hex};
pub use presign::presign;
pub use presigned::{Lifted, lift, lift_all, unsigned_query};
pub use sign::{Over, SignError, Unsigned, sign, sign_over};
pub use verify::verify;
pub use wire::signed;

const X_AMZ_DATE: HeaderName = HeaderName::from_static("x-amz-date");
pub const X_AMZ_SECURITY_TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");
const X_AMZ_REGION_SET: HeaderName = HeaderName::from_static("x-amz-region-set");

/// The last part of every credential scope.
const TERMINATOR: &str = "aws4_request";
