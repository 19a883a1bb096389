//! What a CONNECT may lead to: an API is intercepted, whatever the configuration says; other hosts follow
//! `[egress]`; and every tunnel that is opened is recorded.

use std::net::SocketAddr;
use std::sync::Arc;

use subtle::ConstantTimeEq as _;

use super::Guard;
use crate::aws::endpoint::Resolved;
use crate::aws::host::Host;
use crate::config::OtherHosts;
use crate::guard::call::Verdict;
use crate::journal::Record;
use crate::journal::record;
use crate::proxy::connect::{Door, Doors, Refused, Tunnel};
use crate::proxy::egress::{DialError, Dialler};
use crate::proxy::entrance::Entrance;
use crate::proxy::proof::CertificateName;
use crate::proxy::tunnel::{Ended, Traffic};

impl Doors for Guard {
    fn door(&self, host: &Host, _port: u16) -> Door {
        let named = self
            .egress
            .allow
            .iter()
            .any(|allowed| allowed.eq_ignore_ascii_case(host.as_str()));
        match self.ruleset.catalog.resolve(host) {
            Resolved::Api(_) => Door::Intercept,
            Resolved::Unmodelled | Resolved::Foreign if named => Door::Tunnel,
            // Refused inside the tunnel, where an SDK can read it.
            Resolved::Unmodelled => Door::Intercept,
            Resolved::Foreign => match self.egress.other_hosts {
                OtherHosts::Tunnel => Door::Tunnel,
                OtherHosts::Refuse => Door::Refuse(format!(
                    "`{host}` is no API of AWS's; to let it through, name it in `egress.allow`, or set `egress.other_hosts = \"tunnel\"`"
                )),
            },
        }
    }

    fn entrance(&self) -> Arc<Entrance> {
        Arc::clone(&self.entrance)
    }

    fn caller_of_certificate(&self, name: &CertificateName) -> Option<Arc<str>> {
        self.certificates.get(name).cloned()
    }

    fn caller_of_password(&self, user: &str, password: &str) -> Option<Arc<str>> {
        let identity = self.keys.resolve(user.into(), self.clock.now()).ok()?;
        let secret = identity.secret.expose().as_bytes();
        bool::from(secret.ct_eq(password.as_bytes())).then(|| {
            self.keys.used(&identity.caller);
            Arc::from(identity.caller.name.as_str())
        })
    }

    fn dialler(&self) -> Dialler {
        self.dialler.clone()
    }

    async fn tunnel_opening(&self, tunnel: &Tunnel) -> Result<(), String> {
        let recorded = self.journal.append_later(self.tunnel(tunnel));
        recorded
            .map_err(|error| format!("the tunnel can't be recorded, so it isn't opened: {error}"))
    }

    fn tunnel_closed(&self, tunnel: &Tunnel, passed: Result<(Traffic, Ended), &DialError>) {
        match passed {
            Ok((traffic, ended)) => {
                tracing::debug!(host = %tunnel.host, port = tunnel.port, ?traffic, ?ended, "tunnel closed");
            }
            Err(error) => {
                tracing::info!(host = %tunnel.host, port = tunnel.port, peer = %tunnel.peer, "tunnel not opened: {error}");
            }
        }
    }

    fn refused(&self, peer: SocketAddr, refused: &Refused) {
        // Nobody is authenticated here: a metric and a bounded log line, no record that a stranger could fill the disk with.
        match refused {
            Refused::Host { .. } => self.metrics.tunnel_refused(),
            Refused::NotAProxyRequest(_)
            | Refused::Entrance { .. }
            | Refused::Unproven
            | Refused::ClientCertificate { .. }
            | Refused::WrongPassword
            | Refused::PasswordInClear
            | Refused::TwoCallers { .. }
            | Refused::Unencrypted(_)
            | Refused::Malformed(_)
            | Refused::Port { .. }
            | Refused::Certificate(_)
            | Refused::NotPermitted { .. }
            | Refused::Dial(_)
            | Refused::Handshake { .. } => {}
        }
        self.metrics.refused_unrecorded(reason(refused));
        if self.log_rate.permits() {
            tracing::info!(%peer, "refused at the door: {refused}");
        }
    }
}

impl Guard {
    fn tunnel(&self, tunnel: &Tunnel) -> Record {
        Record::tunnel(record::Tunnel {
            time: self.clock.now(),
            host: tunnel.host.to_string(),
            port: tunnel.port,
            source: tunnel.peer,
            caller: tunnel.caller.as_deref().map(str::to_owned),
            verdict: Verdict::Allowed,
            reason: None,
        })
    }
}

/// Reasons of refusals at the door, which have no record.
pub const UNRECORDED: [&str; 15] = [
    "entrance",
    "unproven",
    "client_certificate",
    "wrong_password",
    "password_in_clear",
    "two_callers",
    "egress",
    "not_a_proxy_request",
    "unencrypted",
    "malformed_connect",
    "port",
    "certificate",
    "not_permitted",
    "dial",
    "handshake",
];

fn reason(refused: &Refused) -> &'static str {
    match refused {
        Refused::Entrance { .. } => "entrance",
        Refused::Unproven => "unproven",
        Refused::ClientCertificate { .. } => "client_certificate",
        Refused::WrongPassword => "wrong_password",
        Refused::PasswordInClear => "password_in_clear",
        Refused::TwoCallers { .. } => "two_callers",
        Refused::NotAProxyRequest(_) => "not_a_proxy_request",
        Refused::Unencrypted(_) => "unencrypted",
        Refused::Malformed(_) => "malformed_connect",
        Refused::Port { .. } => "port",
        Refused::Host { .. } => "egress",
        Refused::Certificate(_) => "certificate",
        Refused::NotPermitted { .. } => "not_permitted",
        Refused::Dial(_) => "dial",
        Refused::Handshake { .. } => "handshake",
    }
}
