//! Signature Version 4: parsed, verified, made.
//!
//! A client's signature is checked over exactly the headers it names, by a canonical form of our own that loses
//! nothing of the escapes; what goes on to AWS is signed by AWS's own signer.
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>

pub mod authorization;
mod canonical;
mod date;
pub mod error;
pub mod payload;
pub mod sign;
pub mod verify;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod vectors;

use http::HeaderName;

pub use authorization::{Authorization, Scope};
pub use error::{AuthError, Family};
pub use payload::{Declared, payload_hash, sha256_hex};
pub use sign::{SignError, Unsigned, sign};
pub use verify::verify;

const X_AMZ_DATE: HeaderName = HeaderName::from_static("x-amz-date");
const X_AMZ_SECURITY_TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");

/// The only algorithm that is accepted and used.
const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// The last part of every credential scope.
const TERMINATOR: &str = "aws4_request";
