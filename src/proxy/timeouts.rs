//! Every timeout of the proxy, in one place.

use std::time::Duration;

/// How long the proxy waits for what. None of them can be switched off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// For the head of a CONNECT, from the moment the connection was accepted.
    pub connect_head: Duration,
    /// For a client's whole TLS handshake, from the answer to its CONNECT.
    pub handshake: Duration,
    /// For the head of one request inside TLS, from its first byte.
    pub head: Duration,
    /// For the first byte of the next request on a kept-alive connection.
    pub idle: Duration,
    /// For a peer that takes nothing of what is written to it.
    pub write_stall: Duration,
    /// For the next piece of a request's body, and of a response's.
    pub body_stall: Duration,
    /// For a request's whole body, where it is read before anything is sent.
    pub body_total: Duration,
    /// For one name to be resolved.
    pub resolve: Duration,
    /// For one TCP connection to be opened, all of the name's addresses together.
    pub dial: Duration,
    /// For a TLS handshake with an upstream.
    pub upstream_handshake: Duration,
    /// For the head of an upstream's answer, from the end of the request's body (`upstream.timeout`).
    pub response_head: Duration,
    /// For a tunnel in which no byte moves.
    pub tunnel_idle: Duration,
    /// How long an upstream connection is kept for the next request: shorter than the 20 s after which AWS's
    /// shortest-lived endpoints close theirs.
    pub pool_idle: Duration,
    /// How long one may have been idle for a guarded call.
    pub fresh_idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect_head: Duration::from_secs(10),
            handshake: Duration::from_secs(10),
            head: Duration::from_secs(15),
            idle: Duration::from_secs(60),
            write_stall: Duration::from_secs(60),
            body_stall: Duration::from_secs(30),
            body_total: Duration::from_secs(300),
            resolve: Duration::from_secs(5),
            dial: Duration::from_secs(5),
            upstream_handshake: Duration::from_secs(10),
            response_head: Duration::from_secs(50),
            tunnel_idle: Duration::from_secs(300),
            pool_idle: Duration::from_secs(15),
            fresh_idle: Duration::from_secs(3),
        }
    }
}
