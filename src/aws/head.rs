//! The head of a request as it stood on the wire.

use http::{HeaderMap, HeaderName, Method};

use crate::aws::endpoint::Addressed;

/// The error's code, of an answer.
pub const X_AMZN_ERRORTYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");
/// `true`: the request wants the code that the service had as a query service, too.
pub const X_AMZN_QUERY_MODE: HeaderName = HeaderName::from_static("x-amzn-query-mode");
/// `SERVICE.OPERATION`, in AWS JSON.
pub const X_AMZ_TARGET: HeaderName = HeaderName::from_static("x-amz-target");
/// Which protocol is spoken, of those that name themselves.
pub const SMITHY_PROTOCOL: HeaderName = HeaderName::from_static("smithy-protocol");

/// Method, raw target and headers of a request; the path and query are the bytes the client sent, never decoded.
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    pub method: &'a Method,
    /// The raw path, beginning with `/`.
    pub path: &'a str,
    /// The raw query without `?`.
    pub query: Option<&'a str>,
    pub headers: &'a HeaderMap,
    /// What of the call stands in the host that it came to.
    pub addressed: &'a Addressed,
}
