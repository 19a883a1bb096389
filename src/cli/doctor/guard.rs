//! The guard itself, met as its clients meet it: through the proxy that the environment names, with the keys that stand
//! there. One call is made, `sts:GetCallerIdentity`, which changes nothing.

use std::ffi::OsString;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use bytes::Bytes;
use http::header::{DATE, USER_AGENT};
use http::{HeaderValue, Request};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs};
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::finding::Finding;
use super::metadata::Whose;
use super::trust::Proof;
use super::{NET_MAX, agent, clock};
use crate::aws::catalog::Catalog;
use crate::aws::endpoint::Endpoint;
use crate::aws::protocol;
use crate::aws::sigv4::{self, Over};
use crate::aws::value::{Object, Value};
use crate::cli::exec::bundle;
use crate::proxy::Timeouts;
use crate::proxy::egress::{Dialler, Egress, OtherHosts, PrivateAddresses, Purpose};
use crate::proxy::parent::{Bypass, Parent};
use crate::proxy::roots;
use crate::proxy::stream::Stream;

const GUARD: &str = "client.guard";
const KEYS: &str = "client.keys";
const CLOCK: &str = "client.clock";

/// The longest answer that is read.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// Whose name the certificates of a guard bear.
const ISSUER: &str = "Palisade";

/// Where the clients' guard is, and who asks it.
pub(super) struct Visit<'a> {
    pub(super) given: &'a [(OsString, OsString)],
    pub(super) parent: Parent,
    pub(super) catalog: &'a Catalog,
    pub(super) endpoint: &'a Endpoint,
    /// Virtual keys, or why there are none.
    pub(super) keys: Result<Credentials, Finding>,
    pub(super) whose: Whose,
    pub(super) timeouts: Timeouts,
}

/// What was found, and what the guard showed for clients to trust it by.
pub(super) struct Visited {
    pub(super) findings: Vec<Finding>,
    pub(super) proof: Option<Proof>,
}

impl Visit<'_> {
    /// Goes there. Ends within a few seconds, whatever the proxy does.
    pub(super) async fn make(self) -> Visited {
        let met = tokio::time::timeout(NET_MAX, self.meet()).await;
        let met = met.unwrap_or_else(|_| Err(format!("no answer within {} s", NET_MAX.as_secs())));
        let (tls, chain) = match met {
            Ok(met) => met,
            Err(why) => return self.not_met(&why),
        };
        let is_guard = chain.first().is_some_and(is_of_a_guard);
        if !is_guard {
            return self.no_guard();
        }
        let mut findings = vec![Finding::ok(
            GUARD,
            format!("a guard answers at {}", self.parent),
        )];
        match &self.keys {
            Err(finding) => {
                findings.push(finding.clone());
                findings.push(Finding::skipped(CLOCK, "nothing can be asked without keys"));
            }
            Ok(keys) => {
                let asked = tokio::time::timeout(NET_MAX, self.ask(tls, keys)).await;
                let asked = asked.unwrap_or_else(|_| Err(anyhow::anyhow!("no answer in time")));
                findings.extend(told(asked));
            }
        }
        let proof = self.name().map(|name| Proof::Shown { name, chain });
        Visited { findings, proof }
    }

    fn name(&self) -> Option<ServerName<'static>> {
        ServerName::try_from(self.endpoint.host.as_str().to_owned()).ok()
    }

    fn not_met(&self, why: &str) -> Visited {
        let fix = format!(
            "start the guard, or set HTTPS_PROXY to where it listens (`palisade env`); `{}` is what it names now",
            self.parent
        );
        self.without(self.misled(why.to_owned(), fix))
    }

    fn no_guard(&self) -> Visited {
        let parent = &self.parent;
        let what =
            format!("what answers at {parent} isn't a guard: AWS's APIs are called without one");
        let fix = "set HTTPS_PROXY to where the guard listens (`palisade env` prints it); a guard's own way out is `upstream.proxy`";
        self.without(self.misled(what, fix.to_owned()))
    }

    /// A proxy that leads to no guard. On a guard's host, which has a proxy of its own and no virtual keys, the guard
    /// doesn't read the variable.
    fn misled(&self, what: String, fix: String) -> Finding {
        if self.keys.is_ok() || self.whose == Whose::Client {
            Finding::fault(GUARD, what, fix)
        } else {
            Finding::warning(GUARD, what, fix)
        }
    }

    fn without(&self, guard: Finding) -> Visited {
        let why = "there is no guard to ask";
        Visited {
            findings: vec![
                guard,
                Finding::skipped(KEYS, why),
                Finding::skipped(CLOCK, why),
            ],
            proof: None,
        }
    }

    /// A TLS connection with the guard in AWS's place, and the certificates that it shows, whoever may trust them.
    async fn meet(&self) -> Result<(TlsStream<Stream>, Vec<CertificateDer<'static>>), String> {
        let endpoint = &self.endpoint.host;
        let dialler = self.dialler()?;
        let stream = dialler.dial(endpoint, 443, Purpose::Aws).await;
        let stream = stream.map_err(|e| e.to_string())?;
        let seen = Arc::new(Seen::new());
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| e.to_string())?
            .dangerous()
            .with_custom_certificate_verifier(Arc::<Seen>::clone(&seen))
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let name = self.name().ok_or("the host is no name")?;
        let tls = TlsConnector::from(Arc::new(config)).connect(name, stream);
        let tls = tls
            .await
            .map_err(|e| format!("the TLS handshake through {} failed: {e}", self.parent))?;
        Ok((tls, seen.chain()))
    }

    /// The guard is wherever the user says; an `https://` one is trusted by whatever a client of the user's trusts.
    fn dialler(&self) -> Result<Dialler, String> {
        let egress = Egress {
            other_hosts: OtherHosts::Refuse,
            allow: Vec::new(),
            private_addresses: PrivateAddresses::Allow,
            private_cidrs: Vec::new(),
        };
        let mut trusted = RootCertStore::empty();
        trusted.add_parsable_certificates(roots::certificates(None).unwrap_or_default());
        trusted.add_parsable_certificates(bundle::of_user(self.given, &[]).certificates);
        Dialler::new(&egress, &self.timeouts)
            .through(self.parent.clone(), Bypass::default(), trusted)
            .map_err(|e| e.to_string())
    }

    /// Asks whose the keys are, on a connection that was made.
    async fn ask(&self, tls: TlsStream<Stream>, keys: &Credentials) -> anyhow::Result<Told> {
        let request = self.identity(keys)?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(tls)).await?;
        let connection = tokio::spawn(connection);
        let answer = sender.send_request(request).await?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
        connection.abort();
        let body = body.map_err(|e| anyhow::anyhow!("{e}"))?.to_bytes();
        let date = head.headers.get(DATE).and_then(|date| date.to_str().ok());
        let (service, operation) = self.operation()?;
        let spoken = protocol::preferred(&service)
            .ok_or_else(|| anyhow::anyhow!("the catalog's `sts` speaks no known protocol"))?;
        let result = if head.status.is_success() {
            let output =
                protocol::decode_output(&service, &operation, spoken, &head.headers, &body)?;
            let arn = output.get("Arn").and_then(Value::as_str);
            Ok(arn.unwrap_or_default().to_owned())
        } else {
            let error = protocol::decode_error(spoken, head.status, &head.headers, &body);
            Err(format!("{}: {}", error.code, error.message))
        };
        Ok(Told {
            date: date.map(str::to_owned),
            result,
        })
    }

    fn operation(
        &self,
    ) -> anyhow::Result<(
        Arc<crate::aws::catalog::Service>,
        crate::aws::catalog::Operation,
    )> {
        let unknown = || anyhow::anyhow!("the catalog has no `sts:GetCallerIdentity`");
        let service = self.catalog.service("sts")?.ok_or_else(unknown)?;
        let operation = service.operations.get("GetCallerIdentity").cloned();
        Ok((service, operation.ok_or_else(unknown)?))
    }

    fn identity(&self, keys: &Credentials) -> anyhow::Result<Request<Full<Bytes>>> {
        let (service, operation) = self.operation()?;
        let spoken = protocol::preferred(&service)
            .ok_or_else(|| anyhow::anyhow!("the catalog's `sts` speaks no known protocol"))?;
        let wire = protocol::encode(
            &service,
            &operation,
            spoken,
            &Object::new(),
            &self.endpoint.addressed,
        )?;
        let host = self.endpoint.host.as_str();
        let signing_name = self.endpoint.signing_name(&service);
        let over = Over::hmac(&self.endpoint.region, signing_name, service.signature);
        let mut request = sigv4::signed(wire, host, keys, over, SystemTime::now())?;
        let agent = HeaderValue::from_str(&agent())?;
        request.headers_mut().insert(USER_AGENT, agent);
        Ok(request.map(|body| Full::new(Bytes::from(body))))
    }
}

/// What the guard answered.
struct Told {
    date: Option<String>,
    /// Who the keys are, or why it doesn't say.
    result: Result<String, String>,
}

fn told(asked: anyhow::Result<Told>) -> [Finding; 2] {
    let told = match asked {
        Ok(told) => told,
        Err(error) => {
            return [
                Finding::fault(
                    KEYS,
                    format!("the guard gives no answer: {error:#}"),
                    "see the guard's log, and run `palisade doctor` on its host",
                ),
                Finding::skipped(CLOCK, "the guard gives no answer"),
            ];
        }
    };
    let clock = clock::check(CLOCK, told.date.as_deref(), SystemTime::now(), "the guard");
    let keys = match told.result {
        Ok(arn) => Finding::ok(
            KEYS,
            format!("the guard takes the keys, and AWS says `{arn}`"),
        ),
        Err(why) if is_of_policies(&why) => Finding::warning(
            KEYS,
            format!(
                "the guard takes the keys, and its policies refuse `sts:GetCallerIdentity`: {why}"
            ),
            "nothing, unless a tool needs that call: then have a policy permit it",
        ),
        Err(why) => Finding::fault(
            KEYS,
            why,
            "where it says that the guard doesn't take the key: `palisade keys new NAME` on the guard's host, or `palisade env`; where it is about the guard's own credentials: `palisade doctor` there",
        ),
    };
    [keys, clock]
}

fn is_of_policies(message: &str) -> bool {
    message.contains("no policy permits it") || message.contains("(policy `")
}

fn is_of_a_guard(leaf: &CertificateDer<'static>) -> bool {
    let Ok((_, certificate)) = X509Certificate::from_der(leaf) else {
        return false;
    };
    let mut organisations = certificate.issuer().iter_organization();
    organisations.any(|name| name.as_str() == Ok(ISSUER))
}

/// Keeps what a server shows, and takes all of it: it is judged later, by what each client trusts. Nothing but a request
/// signed with a virtual key is sent on such a connection.
#[derive(Debug)]
struct Seen {
    algorithms: WebPkiSupportedAlgorithms,
    chain: Mutex<Vec<CertificateDer<'static>>>,
}

impl Seen {
    fn new() -> Self {
        let provider: CryptoProvider = aws_lc_rs::default_provider();
        Self {
            algorithms: provider.signature_verification_algorithms,
            chain: Mutex::default(),
        }
    }

    fn chain(&self) -> Vec<CertificateDer<'static>> {
        let chain = self.chain.lock().unwrap_or_else(PoisonError::into_inner);
        chain.clone()
    }
}

impl ServerCertVerifier for Seen {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let all = std::iter::once(leaf).chain(rest);
        let all = all.map(|c| c.clone().into_owned()).collect();
        *self.chain.lock().unwrap_or_else(PoisonError::into_inner) = all;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// How long each step on the way may take.
pub(super) fn timeouts() -> Timeouts {
    let short = Duration::from_secs(3);
    Timeouts {
        resolve: short,
        dial: short,
        upstream_handshake: NET_MAX,
        response_head: NET_MAX,
        body_stall: short,
        ..Timeouts::default()
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::State;
    use super::*;

    fn found(result: Result<&str, &str>) -> State {
        let told_ = Told {
            date: None,
            result: result.map(str::to_owned).map_err(str::to_owned),
        };
        told(Ok(told_))[0].state
    }

    #[test]
    fn keys_that_are_taken_are_told_from_those_that_are_not() {
        assert_eq!(
            found(Ok("arn:aws:sts::123456789012:assumed-role/x/y")),
            State::Ok
        );
        assert_eq!(
            found(Err("AccessDenied: (policy `readers`)")),
            State::Warning
        );
        assert_eq!(found(Err("InvalidClientTokenId: unknown")), State::Fault);
        let [keys, clock] = told(Err(anyhow::anyhow!("broken")));
        assert_eq!((keys.state, clock.state), (State::Fault, State::Skipped));
    }

    #[test]
    fn a_guard_is_known_by_who_issued_its_certificate() {
        let folder = tempfile::tempdir().unwrap();
        let now = SystemTime::now();
        let authority =
            crate::proxy::Authority::open(&folder.path().join("ca"), ["amazonaws.com"], now);
        assert!(is_of_a_guard(authority.unwrap().certificate()));
        let other = rcgen::generate_simple_self_signed(["sts.example".to_owned()]).unwrap();
        assert!(!is_of_a_guard(other.cert.der()));
    }
}
