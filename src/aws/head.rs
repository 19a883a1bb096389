//! The head of a request as it stood on the wire.

use http::{HeaderMap, Method};

use crate::aws::endpoint::Addressed;

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
