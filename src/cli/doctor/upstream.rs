//! The way from the guard's host to AWS: names, egress, parent proxy and TLS, by one request that carries no signature and
//! asks for nothing.

use std::sync::Arc;
use std::time::SystemTime;

use http::header::{DATE, HOST, USER_AGENT};
use http::{HeaderValue, Request};

use super::finding::Finding;
use super::{NET_MAX, agent, clock, guard};
use crate::aws::catalog::Catalog;
use crate::aws::endpoint::Endpoint;
use crate::aws::host::Host;
use crate::config::{Config, Override, Scheme};
use crate::proxy::egress::{DialError, Purpose};
use crate::proxy::stream::Stream;
use crate::proxy::upstream::{Freshness, Target, Upstream, UpstreamConfig};
use crate::proxy::{Body, Budget};
use crate::sources::api::Api;
use crate::sources::clock::Clock;

const UPSTREAM: &str = "host.upstream";
const CLOCK: &str = "host.clock";

/// More than the answers have.
const BUDGET_BYTES: u64 = 8 << 20;

/// The guard's own way to AWS.
pub(super) struct Way {
    pub(super) catalog: Arc<Catalog>,
    /// STS in the region of the environment.
    pub(super) endpoint: Endpoint,
    pub(super) api: Api,
    upstream: Upstream,
    instead: Option<Override>,
}

impl Way {
    /// As the configuration says, but with less patience.
    ///
    /// # Errors
    /// The fault.
    pub(super) fn new(
        config: &Config,
        catalog: Arc<Catalog>,
        endpoint: Endpoint,
    ) -> Result<Self, Finding> {
        let timeouts = guard::timeouts();
        let upstream = UpstreamConfig {
            timeout: config.upstream.timeout.min(NET_MAX),
            ..config.upstream.clone()
        };
        let upstream = Upstream::new(&upstream, &config.egress, timeouts).map_err(|error| {
            let fix = "mend `[upstream]` of the configuration, or what `upstream.ca_file` names";
            Finding::fault(UPSTREAM, error.to_string(), fix)
        })?;
        let budget = Budget::new(BUDGET_BYTES);
        let api = Api::new(upstream.clone(), Clock::system(), budget, timeouts);
        Ok(Self {
            catalog,
            endpoint,
            api,
            upstream,
            instead: config.upstream.dangerous_override.clone(),
        })
    }

    /// Goes it once.
    pub(super) async fn check(&self) -> [Finding; 2] {
        let went = tokio::time::timeout(NET_MAX * 2, self.go()).await;
        match went.unwrap_or_else(|_| Err(self.silent())) {
            Ok(date) => {
                let host = &self.endpoint.host;
                let whose = if self.upstream.is_overridden() {
                    "`upstream.dangerous_override`".to_owned()
                } else {
                    host.to_string()
                };
                let clock = clock::check(CLOCK, date.as_deref(), SystemTime::now(), &whose);
                [
                    Finding::ok(
                        UPSTREAM,
                        format!("{whose} is reached, and its certificate is trusted"),
                    ),
                    clock,
                ]
            }
            Err(finding) => [
                finding,
                Finding::skipped(CLOCK, "nobody answers whose clock could be asked"),
            ],
        }
    }

    fn silent(&self) -> Finding {
        Finding::fault(
            UPSTREAM,
            format!("`{}`: no answer in time", self.endpoint.host),
            "let this host reach port 443 of AWS, or name its way out in `upstream.proxy`",
        )
    }

    /// The `Date` of an answer.
    async fn go(&self) -> Result<Option<String>, Finding> {
        let host = &self.endpoint.host;
        // Once by itself, since its failures are told apart.
        self.dial().await.map_err(|error| not_dialled(&error))?;
        let mut request = Request::new(Body::empty());
        let headers = request.headers_mut();
        for (name, value) in [(HOST, host.as_str()), (USER_AGENT, &agent())] {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(name, value);
            }
        }
        let target = Target {
            host: host.clone(),
            port: 443,
        };
        let answer = self.upstream.send_once(&target, request, Freshness::Fresh);
        let answer = answer.await.map_err(|error| {
            Finding::fault(
                UPSTREAM,
                error.to_string(),
                "where a proxy or a firewall on the way inspects TLS, name its certificate authority in `upstream.ca_file`; else find what answers in AWS's place",
            )
        })?;
        let date = answer.headers().get(DATE);
        Ok(date.and_then(|date| date.to_str().ok()).map(str::to_owned))
    }

    async fn dial(&self) -> Result<Stream, DialError> {
        let dialler = self.upstream.dialler();
        let instead = self.instead.as_ref();
        let instead = instead.and_then(|o| Some((o.scheme, Host::parse(&o.host).ok()?, o.port)));
        match instead {
            None => dialler.dial(&self.endpoint.host, 443, Purpose::Aws).await,
            Some((Scheme::Https, host, port)) => dialler.dangerous_dial(&host, port).await,
            Some((Scheme::Http, host, port)) => dialler.dangerous_dial_here(&host, port).await,
        }
    }
}

fn not_dialled(error: &DialError) -> Finding {
    let fix = match error {
        DialError::Resolve { .. } => {
            "mend the resolver of this host, or let a parent proxy resolve: `upstream.proxy`"
        }
        DialError::Refused { .. } => {
            "where AWS is reached by addresses of your own (VPC endpoints), list their networks in `egress.private_cidrs`"
        }
        DialError::Unreachable { .. } | DialError::Local { .. } => {
            "let this host reach port 443 of AWS, or name its way out in `upstream.proxy`"
        }
        DialError::ParentFailed { .. } => {
            "see that the parent proxy runs and `upstream.proxy` names it"
        }
        DialError::ParentRefused { .. } => {
            "mend user and password in `upstream.proxy`, or the rules of the parent proxy"
        }
    };
    Finding::fault(UPSTREAM, error.to_string(), fix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_to_fail_has_a_fix_of_its_own() {
        let host = || Host::parse("sts.us-east-1.amazonaws.com").unwrap();
        let why = || "x".to_owned();
        let check = |error: DialError, words: &str| {
            let fix = not_dialled(&error).fix.unwrap();
            assert!(fix.contains(words), "{fix}");
        };
        check(
            DialError::Resolve {
                host: host(),
                why: why(),
            },
            "resolver",
        );
        check(
            DialError::Unreachable {
                host: host(),
                why: why(),
            },
            "port 443",
        );
        let address = "10.0.0.1".parse().unwrap();
        let reach = crate::proxy::egress::classify(address);
        let refused = DialError::Refused {
            host: host(),
            address,
            reach,
        };
        check(refused, "egress.private_cidrs");
        let parent = "http://p:1".to_owned();
        let refused = DialError::ParentRefused {
            host: host(),
            parent,
            why: why(),
        };
        check(refused, "password");
    }
}
