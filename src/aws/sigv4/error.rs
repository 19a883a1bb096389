//! Why a signature is not accepted.

/// What is wrong with a request's authentication. The texts carry nothing secret, and of what the client sent only
/// header names and dates that were checked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    #[error("the request is not signed: it has no Authorization header")]
    Missing,
    /// What is malformed, and where.
    #[error("the signature cannot be read: {0}")]
    Malformed(&'static str),
    /// A way of signing that is known and not accepted.
    #[error(
        "{0} not accepted: sign with AWS4-HMAC-SHA256, in the Authorization header or as a presigned URL"
    )]
    Unsupported(&'static str),
    /// A header that must be signed isn't.
    #[error("the header `{0}` is present but not signed")]
    UnsignedHeader(String),
    /// A header that is named as signed, or the `host`, isn't there.
    #[error("the header `{0}` must be present: the signature is over it")]
    AbsentHeader(String),
    /// The request was signed more than five minutes before or after now. Both dates as `YYYYMMDD'T'HHMMSS'Z'`.
    #[error(
        "the request was signed at `{signed}` and it is `{now}`, more than 5 minutes apart: set the client's clock"
    )]
    Skewed { signed: String, now: String },
    /// A presigned URL was good for so many seconds from `YYYYMMDD'T'HHMMSS'Z'` on.
    #[error(
        "the URL was presigned at `{signed}` for {seconds} seconds, which are over: make a new one"
    )]
    Expired { signed: String, seconds: u64 },
    /// The credential scope is for another day than the request. Both as `YYYYMMDD`.
    #[error("the credential scope is for `{scope}` but the request is dated `{request}`")]
    ScopeDate { scope: String, request: String },
    /// The body is not the one whose hash `x-amz-content-sha256` declares.
    #[error("the body does not have the hash that `x-amz-content-sha256` declares")]
    PayloadMismatch,
    #[error("the signature does not match: check the secret access key and the signing method")]
    Mismatch,
}

/// What an error amounts to for the client: which of AWS's error codes fits is the service's matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// `UnrecognizedClientException`, `InvalidClientTokenId`, `AuthFailure`, `InvalidAccessKeyId`.
    UnknownKey,
    /// `InvalidSignatureException`, `SignatureDoesNotMatch`.
    BadSignature,
    /// `RequestExpired`, `RequestTimeTooSkewed`.
    Stale,
    /// `ExpiredToken`, `ExpiredTokenException`.
    Expired,
    /// `IncompleteSignature`, `MissingAuthenticationToken`.
    Malformed,
}

impl AuthError {
    /// The family of codes that the answer is chosen from.
    #[must_use]
    pub const fn family(&self) -> Family {
        match self {
            AuthError::Missing | AuthError::Malformed(_) | AuthError::Unsupported(_) => {
                Family::Malformed
            }
            AuthError::Skewed { .. } | AuthError::Expired { .. } => Family::Stale,
            AuthError::UnsignedHeader(_)
            | AuthError::AbsentHeader(_)
            | AuthError::ScopeDate { .. }
            | AuthError::PayloadMismatch
            | AuthError::Mismatch => Family::BadSignature,
        }
    }
}
