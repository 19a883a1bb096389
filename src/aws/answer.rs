//! Refusals in AWS's own error shapes.

use http::{HeaderMap, StatusCode};

/// A whole answer, ready to be written to a client.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}
