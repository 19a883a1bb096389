//! Where connections may go: each address is classified, and the one that was checked is the one that is dialled.
//!
//! Behind a parent proxy it is the parent who resolves names: what can be judged then is what the client spelt, an
//! address or a name that always means this machine.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::parent::{Bypass, Closed, Parent, Via};
use super::stream::Stream;
use super::timeouts::Timeouts;
use crate::aws::host::Host;

/// The most addresses of one name that are looked at.
const ADDRESSES_MAX: usize = 16;

/// `[egress]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Egress {
    pub other_hosts: OtherHosts,
    /// Hosts that may be tunnelled to, by exact name.
    pub allow: Vec<String>,
    /// Whether private addresses may be dialled.
    pub private_addresses: PrivateAddresses,
    /// Where an AWS name may resolve to although it's private.
    pub private_cidrs: Vec<IpNet>,
}

/// `egress.other_hosts`: what becomes of hosts that aren't AWS's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OtherHosts {
    Refuse,
    Tunnel,
}

/// `egress.private_addresses`: metadata, loopback, link-local, private, CGNAT and the like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrivateAddresses {
    Refuse,
    Allow,
}

/// What kind of address one is (IANA's special-purpose registries, RFC 6890 and after).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Anybody's.
    Public,
    /// 127/8, `::1`.
    Loopback,
    /// 10/8, 172.16/12, 192.168/16, fc00::/7 (metadata at `fd00:ec2::254` too).
    Private,
    /// 169.254/16 (metadata at `169.254.169.254` too), fe80::/10, fec0::/10.
    LinkLocal,
    /// 100.64/10: carrier-grade NAT.
    Shared,
    /// An IPv4 address inside an IPv6 one, where the IPv4 address isn't public or the form is never routed:
    /// mapped, compatible, NAT64, 6to4, Teredo.
    Translated,
    /// Never a host on a network: unspecified, multicast, broadcast, documentation, benchmarking, reserved.
    Never,
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reach::Public => "public",
            Reach::Loopback => "loopback",
            Reach::Private => "private",
            Reach::LinkLocal => "link-local",
            Reach::Shared => "carrier-grade NAT",
            Reach::Translated => "an IPv4 address inside an IPv6 one",
            Reach::Never => "reserved",
        })
    }
}

/// Classifies an address.
#[must_use]
pub fn classify(address: IpAddr) -> Reach {
    match address {
        IpAddr::V4(v4) => classify_v4(v4),
        IpAddr::V6(v6) => classify_v6(v6),
    }
}

fn classify_v4(address: Ipv4Addr) -> Reach {
    match address.octets() {
        [127, ..] => Reach::Loopback,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => Reach::Private,
        [169, 254, ..] => Reach::LinkLocal,
        [100, 64..=127, ..] => Reach::Shared,
        // "This network"; protocol assignments; documentation; 6to4 relays; benchmarking; multicast and beyond.
        [0, ..]
        | [192, 0, 0 | 2, _]
        | [198, 51, 100, _]
        | [203, 0, 113, _]
        | [192, 88, 99, _]
        | [198, 18..=19, ..]
        | [224..=255, ..] => Reach::Never,
        [_, _, _, _] => Reach::Public,
    }
}

fn classify_v6(address: Ipv6Addr) -> Reach {
    let embedded = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        match classify_v4(Ipv4Addr::new(a, b, c, d)) {
            Reach::Public => Reach::Public,
            Reach::Loopback
            | Reach::Private
            | Reach::LinkLocal
            | Reach::Shared
            | Reach::Translated
            | Reach::Never => Reach::Translated,
        }
    };
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => Reach::Never,
        [0, 0, 0, 0, 0, 0, 0, 1] => Reach::Loopback,
        // Compatible, mapped, translated; NAT64 with the well-known prefix and the local one.
        [0, 0, 0, 0, 0, 0, _, _]
        | [0, 0, 0, 0, 0, 0xffff, _, _]
        | [0, 0, 0, 0, 0xffff, 0, _, _]
        | [0x64, 0xff9b, 0 | 1, ..] => Reach::Translated,
        [0xfc00..=0xfdff, ..] => Reach::Private,
        [0xfe80..=0xfeff, ..] => Reach::LinkLocal,
        [0x2002, high, low, ..] => embedded(high, low),
        // Teredo: the server, and the client with its bits inverted (RFC 4380, section 4).
        [0x2001, 0, server_high, server_low, _, _, high, low] => {
            match (embedded(server_high, server_low), embedded(!high, !low)) {
                (Reach::Public, Reach::Public) => Reach::Public,
                (_, _) => Reach::Translated,
            }
        }
        // Protocol assignments; documentation.
        [0x2001, 1..=0x1ff, ..] | [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => Reach::Never,
        [0x2000..=0x3fff, ..] => Reach::Public,
        _ => Reach::Never,
    }
}

/// Whose host is dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A name of AWS's: `egress.private_cidrs` apply.
    Aws,
    /// Another host, by tunnel.
    Tunnel,
}

/// Why there is no connection. Nothing was sent.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    #[error("`{host}` could not be resolved: {why}")]
    Resolve { host: Host, why: String },
    #[error(
        "`{host}` resolves to {address}, which is {reach}: it is not dialled (see `egress.private_cidrs` and `egress.private_addresses`)"
    )]
    Refused {
        host: Host,
        address: IpAddr,
        reach: Reach,
    },
    #[error("`{host}` could not be reached: {why}")]
    Unreachable { host: Host, why: String },
    #[error("`{host}` always means an address of the machine that resolves it: it is not dialled")]
    Local { host: Host },
    /// It may be otherwise in a moment.
    #[error("`{host}` could not be reached: the parent proxy `{parent}` {why}")]
    ParentFailed {
        host: Host,
        parent: String,
        why: String,
    },
    /// It lasts until somebody acts.
    #[error("`{host}` could not be reached: the parent proxy `{parent}` {why}")]
    ParentRefused {
        host: Host,
        parent: String,
        why: String,
    },
}

impl DialError {
    /// Whether it stays so until somebody acts.
    #[must_use]
    pub const fn is_lasting(&self) -> bool {
        match self {
            DialError::Refused { .. }
            | DialError::Local { .. }
            | DialError::ParentRefused { .. } => true,
            DialError::Resolve { .. }
            | DialError::Unreachable { .. }
            | DialError::ParentFailed { .. } => false,
        }
    }
}

/// Resolves and dials, by the address policy.
#[derive(Debug, Clone)]
pub struct Dialler {
    private_addresses: PrivateAddresses,
    private_cidrs: Vec<IpNet>,
    resolve: Duration,
    dial: Duration,
    handshake: Duration,
    via: Option<Arc<Via>>,
}

impl Dialler {
    /// A dialler by `[egress]`.
    #[must_use]
    pub fn new(egress: &Egress, timeouts: &Timeouts) -> Self {
        Self {
            private_addresses: egress.private_addresses,
            private_cidrs: egress.private_cidrs.clone(),
            resolve: timeouts.resolve,
            dial: timeouts.dial,
            handshake: timeouts.upstream_handshake,
            via: None,
        }
    }

    /// The same dialler behind a parent proxy: every host but those of `bypass` is reached through it. An `https://`
    /// parent is trusted by these roots.
    ///
    /// # Errors
    /// A `rustls` error if no TLS client can be made.
    pub fn through(
        self,
        parent: Parent,
        bypass: Bypass,
        roots: rustls::RootCertStore,
    ) -> Result<Self, rustls::Error> {
        let via = Some(Arc::new(Via::new(parent, bypass, roots)?));
        Ok(Self { via, ..self })
    }

    /// Whether an address may be dialled.
    ///
    /// # Errors
    /// What kind of address it is, if it may not.
    pub fn permit(&self, address: IpAddr, purpose: Purpose) -> Result<(), Reach> {
        let reach = classify(address);
        let listed =
            || purpose == Purpose::Aws && self.private_cidrs.iter().any(|c| c.contains(&address));
        match (reach, self.private_addresses) {
            (Reach::Public, _) => Ok(()),
            (Reach::Never, _) => Err(reach),
            (
                Reach::Loopback
                | Reach::Private
                | Reach::LinkLocal
                | Reach::Shared
                | Reach::Translated,
                PrivateAddresses::Allow,
            ) => Ok(()),
            (
                Reach::Loopback
                | Reach::Private
                | Reach::LinkLocal
                | Reach::Shared
                | Reach::Translated,
                PrivateAddresses::Refuse,
            ) => listed().then_some(()).ok_or(reach),
        }
    }

    /// Opens a connection to one of the host's permitted addresses, in the resolver's order. A name that has none is
    /// refused. Behind a parent proxy it is the parent who resolves names; a host that is an address is judged all the
    /// same.
    ///
    /// # Errors
    /// [`DialError`].
    pub async fn dial(
        &self,
        host: &Host,
        port: u16,
        purpose: Purpose,
    ) -> Result<Stream, DialError> {
        if let Some(via) = self.parent_of(host) {
            self.permit_unresolved(host, purpose)?;
            return self.ask(via, host, port).await;
        }
        let mut permitted = Vec::new();
        let mut refused = None;
        for address in self.addresses(host, port).await? {
            match self.permit(address.ip(), purpose) {
                Ok(()) => permitted.push(address),
                Err(reach) => refused = Some((address.ip(), reach)),
            }
        }
        match (permitted.is_empty(), refused) {
            (true, Some((address, reach))) => Err(DialError::Refused {
                host: host.clone(),
                address,
                reach,
            }),
            (true, None) => Err(DialError::Resolve {
                host: host.clone(),
                why: "it has no address".to_owned(),
            }),
            (false, _) => Ok(Stream::direct(self.connect(host, &permitted).await?)),
        }
    }

    /// Opens a connection without asking the address policy: for `upstream.dangerous_override`, which the
    /// operator spelt out. A parent proxy is used as ever.
    ///
    /// # Errors
    /// [`DialError`], never [`DialError::Refused`].
    pub async fn dangerous_dial(&self, host: &Host, port: u16) -> Result<Stream, DialError> {
        match self.parent_of(host) {
            Some(via) => self.ask(via, host, port).await,
            None => self.dangerous_dial_here(host, port).await,
        }
    }

    /// The same without a parent proxy: for what is in the clear and so may not leave this machine.
    ///
    /// # Errors
    /// [`DialError`], never [`DialError::Refused`].
    pub async fn dangerous_dial_here(&self, host: &Host, port: u16) -> Result<Stream, DialError> {
        let addresses = self.addresses(host, port).await?;
        Ok(Stream::direct(self.connect(host, &addresses).await?))
    }

    /// The parent that leads to the host, unless it is dialled directly.
    fn parent_of(&self, host: &Host) -> Option<&Via> {
        self.via.as_deref().filter(|via| !via.bypass.covers(host))
    }

    /// What can be told of a host without resolving it.
    fn permit_unresolved(&self, host: &Host, purpose: Purpose) -> Result<(), DialError> {
        if let Some(address) = host.ip() {
            return self
                .permit(address, purpose)
                .map_err(|reach| DialError::Refused {
                    host: host.clone(),
                    address,
                    reach,
                });
        }
        if means_this_machine(host) && self.private_addresses == PrivateAddresses::Refuse {
            return Err(DialError::Local { host: host.clone() });
        }
        Ok(())
    }

    /// Reaches the parent, wherever the operator says it is, and has it open a way.
    async fn ask(&self, via: &Via, host: &Host, port: u16) -> Result<Stream, DialError> {
        let parent = &via.parent;
        let failed = |why: String| DialError::ParentFailed {
            host: host.clone(),
            parent: parent.to_string(),
            why,
        };
        let unreached = |e: DialError| failed(format!("can't be used: {e}"));
        let addresses = self.addresses(parent.host(), parent.port()).await;
        let tcp = self
            .connect(parent.host(), &addresses.map_err(unreached)?)
            .await
            .map_err(unreached)?;
        match tokio::time::timeout(self.handshake, via.open(tcp, host, port)).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(Closed::Passing(why))) => Err(failed(why)),
            Ok(Err(Closed::Lasting(why))) => Err(DialError::ParentRefused {
                host: host.clone(),
                parent: parent.to_string(),
                why,
            }),
            Err(_) => Err(failed("did not answer in time".to_owned())),
        }
    }

    async fn addresses(&self, host: &Host, port: u16) -> Result<Vec<SocketAddr>, DialError> {
        if let Some(ip) = host.ip() {
            return Ok(vec![SocketAddr::new(ip, port)]);
        }
        let failed = |why: String| DialError::Resolve {
            host: host.clone(),
            why,
        };
        let found =
            tokio::time::timeout(self.resolve, tokio::net::lookup_host((host.as_str(), port)))
                .await
                .map_err(|_| failed("the resolver did not answer in time".to_owned()))?
                .map_err(|e| failed(e.to_string()))?;
        Ok(found.take(ADDRESSES_MAX).collect())
    }

    async fn connect(&self, host: &Host, addresses: &[SocketAddr]) -> Result<TcpStream, DialError> {
        let deadline = Instant::now() + self.dial;
        let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for (i, address) in addresses.iter().enumerate() {
            // What is left is shared, so that one silent address leaves time for the next.
            let left = deadline.saturating_duration_since(Instant::now());
            let share = u32::try_from(addresses.len() - i).map_or(left, |n| left / n.min(4));
            match tokio::time::timeout(share, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    // A latency matter only: without it the connection works as well.
                    stream.set_nodelay(true).ok();
                    return Ok(stream);
                }
                Ok(Err(e)) => last = e,
                Err(_) => last = io::ErrorKind::TimedOut.into(),
            }
        }
        Err(DialError::Unreachable {
            host: host.clone(),
            why: last.to_string(),
        })
    }
}

/// Whether a name is loopback wherever it is resolved: `localhost` (RFC 6761, section 6.3), and numbers that
/// resolvers take for an address although they aren't spelt as one.
fn means_this_machine(host: &Host) -> bool {
    let last = host.as_str().rsplit('.').next().unwrap_or_default();
    let hex = last.strip_prefix("0x");
    last == "localhost" || hex.is_some_and(|h| h.bytes().all(|b| b.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests;
