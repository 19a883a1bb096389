//! A client as any AWS SDK is one: CONNECT to the proxy, TLS that trusts the guard's authority alone, a request
//! signed with a virtual key.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use aws_credential_types::Credentials;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{HOST, PROXY_AUTHORIZATION, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Empty, Full, Limited};
use hyper_util::rt::TokioIo;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::aws::catalog::{Catalog, Operation, Service};
use crate::aws::endpoint::Addressed;
use crate::aws::protocol::{self, UpstreamError, WireRequest};
use crate::aws::sigv4::{self, Over};
use crate::aws::value::Object;
use crate::cli::ask::endpoint;
use crate::sources::clock::Clock;

/// How long one call may take.
const DEADLINE: Duration = Duration::from_secs(20);

/// The longest answer that is read.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// Calls AWS through one proxy.
#[derive(Debug)]
pub(in crate::cli) struct Client {
    proxy: SocketAddr,
    region: String,
    agent: &'static str,
    /// Whether the proxy is told who comes.
    proves: bool,
    tls: Tls,
    catalog: Arc<Catalog>,
    clock: Clock,
}

/// A TLS client; it has nothing to show in debug output.
struct Tls(TlsConnector);

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls")
    }
}

/// What came back.
#[derive(Debug)]
pub(in crate::cli) struct Answer {
    /// `x-amzn-RequestId`: AWS's own, or the id of the decision where the guard answered.
    pub(in crate::cli) request_id: Option<String>,
    pub(in crate::cli) result: Result<Object, UpstreamError>,
}

impl Client {
    pub(in crate::cli) fn new(
        proxy: SocketAddr,
        authority: &CertificateDer<'static>,
        catalog: Arc<Catalog>,
        region: &str,
        agent: &'static str,
    ) -> anyhow::Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone())?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            proxy,
            region: region.to_owned(),
            agent,
            proves: false,
            tls: Tls(TlsConnector::from(Arc::new(tls))),
            catalog,
            clock: Clock::system(),
        })
    }

    /// From now on tells the proxy who comes, by the keys of each call.
    pub(in crate::cli) fn prove(&mut self) {
        self.proves = true;
    }

    /// Makes one call: `service:Operation` with its input, once.
    ///
    /// # Errors
    /// Where there is no answer, or none that can be read. An error that was answered is an [`Answer`].
    pub(in crate::cli) async fn call(
        &self,
        keys: &Credentials,
        action: &str,
        input: &Object,
    ) -> anyhow::Result<Answer> {
        let (service, operation) = self.find(action)?;
        let protocol = protocol::preferred(&service).context("no protocol of it is spoken")?;
        let wire = protocol::encode(&service, &operation, protocol, input, &Addressed::Service)?;
        let host = self.host(&service)?;
        let request = self.signed(keys, &service, &host, wire)?;
        let answered = tokio::time::timeout(DEADLINE, self.exchange(keys, &host, request)).await;
        let (status, headers, body) = answered.context("no answer came in time")??;
        let request_id = headers
            .get("x-amzn-requestid")
            .and_then(|id| id.to_str().ok())
            .map(str::to_owned);
        let result = if status.is_success() {
            let output = protocol::decode_output(&service, &operation, protocol, &headers, &body);
            Ok(output.context("the answer can't be read")?)
        } else {
            Err(protocol::decode_error(protocol, status, &headers, &body))
        };
        Ok(Answer { request_id, result })
    }

    fn find(&self, action: &str) -> anyhow::Result<(Arc<Service>, Operation)> {
        let unknown = || anyhow!("the catalog has no `{action}`");
        let (service, operation) = action.split_once(':').with_context(unknown)?;
        let service = self.catalog.service(service)?.with_context(unknown)?;
        let operation = service.operations.get(operation).cloned();
        Ok((service, operation.with_context(unknown)?))
    }

    /// The service's host in the region, as the catalog has it.
    fn host(&self, service: &Service) -> anyhow::Result<String> {
        let (id, region) = (&service.id, &self.region);
        let endpoint = endpoint(&self.catalog, id, region);
        let endpoint = endpoint.with_context(|| format!("`{id}` has no host in `{region}`"))?;
        Ok(endpoint.host.to_string())
    }

    fn signed(
        &self,
        keys: &Credentials,
        service: &Service,
        host: &str,
        wire: WireRequest,
    ) -> anyhow::Result<Request<Full<Bytes>>> {
        let over = Over::hmac(&self.region, &service.signing_name, service.signature);
        let mut request = sigv4::signed(wire, host, keys, over, self.clock.now())?;
        let agent = HeaderValue::from_static(self.agent);
        request.headers_mut().insert(USER_AGENT, agent);
        Ok(request.map(|body| Full::new(Bytes::from(body))))
    }

    async fn exchange(
        &self,
        keys: &Credentials,
        host: &str,
        request: Request<Full<Bytes>>,
    ) -> anyhow::Result<(StatusCode, HeaderMap, Bytes)> {
        let tunnel = self.connect(keys, host).await?;
        let name = ServerName::try_from(host.to_owned())?;
        let tls = self.tls.0.connect(name, TokioIo::new(tunnel)).await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(tls)).await?;
        let connection = tokio::spawn(connection);
        let answer = sender.send_request(request).await?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|e| anyhow!("the answer broke off: {e}"))?;
        connection.abort();
        Ok((head.status, head.headers, body.to_bytes()))
    }

    async fn connect(
        &self,
        keys: &Credentials,
        host: &str,
    ) -> anyhow::Result<hyper::upgrade::Upgraded> {
        let tcp = TcpStream::connect(self.proxy).await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(tcp)).await?;
        tokio::spawn(connection.with_upgrades());
        let authority = format!("{host}:443");
        let mut request = Request::builder()
            .method(Method::CONNECT)
            .uri(&authority)
            .header(HOST, &authority);
        if self.proves {
            let pair = format!("{}:{}", keys.access_key_id(), keys.secret_access_key());
            let mut proof = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(pair)))?;
            proof.set_sensitive(true);
            request = request.header(PROXY_AUTHORIZATION, proof);
        }
        let request = request.body(Empty::<Bytes>::new())?;
        let answer = sender.send_request(request).await?;
        if !answer.status().is_success() {
            bail!(
                "the proxy answered {} to CONNECT {authority}",
                answer.status()
            );
        }
        Ok(hyper::upgrade::on(answer).await?)
    }
}
