//! Bytes: the listening proxy, the certificate authority, the way out to AWS.
//!
//! Nothing here knows a policy, a caller or a record: whoever owns the proxy says what a host is ([`Doors`]) and
//! what becomes of a request ([`Handle`]). What this module keeps true: an intercepted connection speaks for
//! one host only (CONNECT = SNI = `Host` and `:authority`), the address that was checked is the address that is dialled, no
//! request is sent twice, and everything that a peer controls is bounded in bytes and in time.

#![expect(
    clippy::disallowed_methods,
    reason = "this folder does I/O and may read the clock"
)]

mod answer;
pub mod authority;
pub mod body;
pub(crate) mod boxed;
pub mod connect;
pub mod egress;
pub mod entrance;
pub mod framing;
pub mod headers;
pub mod intercept;
pub mod lanes;
mod linger;
pub mod listen;
mod pace;
pub mod parent;
mod pool;
pub mod proof;
pub mod roots;
pub mod stall;
pub mod stream;
pub mod timeouts;
pub mod tunnel;
pub mod upstream;

#[cfg(test)]
mod tests;

/// The protocols that a TLS handshake chooses from (ALPN).
const ALPN_HTTP_2: &[u8] = b"h2";
const ALPN_HTTP_1: &[u8] = b"http/1.1";

pub use authority::Authority;
pub use body::{Body, BodyError, Budget, Buffered};
pub use connect::{Door, Doors, House, Refused, Tunnel};
pub use intercept::{Handle, Intercepted};
pub use listen::{Drained, Proxy};
pub use timeouts::Timeouts;
pub use upstream::{Answer, Freshness, SendError, Target, Upstream};
