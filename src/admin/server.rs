//! The admin server: plain HTTP/1.1, read-only, one request a connection.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::metrics::Metrics;
use super::readiness::Readiness;

/// What the admin server shows.
#[derive(Debug, Clone)]
pub struct Admin {
    pub metrics: Arc<Metrics>,
    pub readiness: Readiness,
    /// What must be so for the guard to be left running.
    pub health: Readiness,
}

impl Admin {
    /// Answers on the listener until `shutdown` is done. Requests that are being answered then have a moment to end.
    pub async fn serve(self, listener: TcpListener, shutdown: impl Future<Output = ()>) {
        let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        tokio::select! {
            () = self.accept(&listener, &connections) => {}
            () = shutdown => {}
        }
        drop(listener);
        let all = u32::try_from(CONNECTIONS_MAX).unwrap_or(u32::MAX);
        // Whoever is slower than this is cut off with the process.
        let _ = timeout(GOODBYE, connections.acquire_many(all)).await;
    }

    async fn accept(&self, listener: &TcpListener, connections: &Arc<Semaphore>) {
        loop {
            let Ok(permit) = Arc::clone(connections).acquire_owned().await else {
                return;
            };
            match listener.accept().await {
                Ok((stream, _)) => {
                    let admin = self.clone();
                    tokio::spawn(async move {
                        admin.connection(stream).await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "the admin server cannot accept connections for a moment");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    async fn connection(self, stream: TcpStream) {
        let service = service_fn(|request| {
            let answer = self.answer(&request);
            async move { Ok::<_, Infallible>(answer) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIMEOUT)
            .keep_alive(false)
            .max_headers(HEADERS_MAX)
            .max_header_size(HEADER_BYTES_MAX)
            .serve_connection(TokioIo::new(stream), service);
        // A client that errs or is slow is its own loss.
        let _ = timeout(CONNECTION_TIMEOUT, connection).await;
    }

    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let page = match request.uri().path() {
            "/metrics" => Self::metrics,
            "/healthz" => Self::health,
            "/readyz" => Self::ready,
            _ => return text(StatusCode::NOT_FOUND, "not found\n"),
        };
        if ![Method::GET, Method::HEAD].contains(request.method()) {
            let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
            answer
                .headers_mut()
                .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return answer;
        }
        page(self)
    }

    fn metrics(&self) -> Response<Full<Bytes>> {
        match self.metrics.exposition() {
            Ok(exposition) => {
                let mut answer = text(StatusCode::OK, exposition);
                answer
                    .headers_mut()
                    .insert(CONTENT_TYPE, HeaderValue::from_static(EXPOSITION));
                answer
            }
            Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
        }
    }

    fn health(&self) -> Response<Full<Bytes>> {
        told(&self.health)
    }

    fn ready(&self) -> Response<Full<Bytes>> {
        told(&self.readiness)
    }
}

/// 200, or 503 with the reasons; then what is remarked.
fn told(conditions: &Readiness) -> Response<Full<Bytes>> {
    let reasons = conditions.reasons();
    let (status, mut lines) = if reasons.is_empty() {
        (StatusCode::OK, vec!["ok".to_owned()])
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, reasons)
    };
    lines.extend(conditions.remarked());
    text(status, format!("{}\n", lines.join("\n")))
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(PLAIN));
    answer
}

const EXPOSITION: &str = "text/plain; version=0.0.4; charset=utf-8";
const PLAIN: &str = "text/plain; charset=utf-8";
const CONNECTIONS_MAX: usize = 64;
const HEADERS_MAX: usize = 64;
const HEADER_BYTES_MAX: usize = 16 * 1024;
const HEADER_TIMEOUT: Duration = Duration::from_millis(if cfg!(test) { 300 } else { 5000 });
/// For all of a connection, a slow reader's too.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(30);
/// After `accept` failed: too many open files pass.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// For requests that are being answered at shutdown.
const GOODBYE: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::atomic::{AtomicBool, Ordering};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::oneshot;
    use tokio::task::JoinHandle;

    use super::*;
    use crate::admin::metrics::tests::metrics;

    struct Running {
        at: SocketAddr,
        readiness: Readiness,
        stuck: Arc<AtomicBool>,
        stop: oneshot::Sender<()>,
        task: JoinHandle<()>,
    }

    async fn running() -> Running {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let (readiness, health) = (Readiness::new(), Readiness::new());
        let stuck = Arc::new(AtomicBool::new(false));
        let lane = Arc::clone(&stuck);
        health.ask("lanes", move || {
            lane.load(Ordering::Relaxed)
                .then(|| "one is stuck".to_owned())
        });
        let admin = Admin {
            metrics: Arc::new(metrics()),
            readiness: readiness.clone(),
            health,
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(admin.serve(listener, async move {
            let _ = stopped.await;
        }));
        Running {
            at,
            readiness,
            stuck,
            stop,
            task,
        }
    }

    /// Sends bytes and reads to the end.
    async fn ask(at: SocketAddr, request: &str) -> (String, String) {
        let mut stream = TcpStream::connect(at).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        (head.to_ascii_lowercase(), body.to_owned())
    }

    async fn request(at: SocketAddr, method: &str, path: &str) -> (String, String) {
        ask(
            at,
            &format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\n\r\n"),
        )
        .await
    }

    #[tokio::test]
    async fn metrics_are_in_prometheus_text_format() {
        let admin = running().await;
        let (head, body) = request(admin.at, "GET", "/metrics").await;
        assert!(head.starts_with("http/1.1 200"), "{head}");
        assert!(
            head.contains("content-type: text/plain; version=0.0.4"),
            "{head}"
        );
        assert!(body.contains("palisade_build_info{"), "{body}");
    }

    #[tokio::test]
    async fn a_head_request_gets_no_body() {
        let admin = running().await;
        let (head, body) = request(admin.at, "HEAD", "/healthz").await;
        assert!(head.starts_with("http/1.1 200"), "{head}");
        assert!(head.contains("content-length: 3"), "{head}");
        assert_eq!(body, "");
    }

    #[tokio::test]
    async fn ready_says_why_not() {
        let admin = running().await;
        let condition = admin.readiness.condition("policies", "are being read");
        let (head, body) = request(admin.at, "GET", "/readyz").await;
        assert!(head.starts_with("http/1.1 503"), "{head}");
        assert_eq!(body, "policies: are being read\n");
        condition.met();
        let (head, body) = request(admin.at, "GET", "/readyz").await;
        assert!(head.starts_with("http/1.1 200"), "{head}");
        assert_eq!(body, "ok\n");
        let (_, health) = request(admin.at, "GET", "/healthz").await;
        assert_eq!(health, "ok\n");
    }

    #[tokio::test]
    async fn a_guard_that_is_stuck_is_not_healthy() {
        let admin = running().await;
        admin.stuck.store(true, Ordering::Relaxed);
        let (head, health) = request(admin.at, "GET", "/healthz").await;
        assert!(head.starts_with("http/1.1 503"), "{head}");
        assert_eq!(health, "lanes: one is stuck\n");
    }

    #[tokio::test]
    async fn nothing_else_is_there() {
        let admin = running().await;
        for (method, path, status) in [
            ("GET", "/", "404"),
            ("GET", "/metrics/", "404"),
            ("POST", "/metrics", "405"),
            ("DELETE", "/readyz", "405"),
            ("CONNECT", "example.com:443", "404"),
        ] {
            let (head, _) = request(admin.at, method, path).await;
            let expected = format!("http/1.1 {status}");
            assert!(head.starts_with(&expected), "{method} {path}: {head}");
        }
    }

    #[tokio::test]
    async fn shutdown_lets_the_port_go_and_does_not_wait_for_the_silent() {
        let admin = running().await;
        let mut silent = TcpStream::connect(admin.at).await.unwrap();
        silent.write_all(b"GET /metr").await.unwrap();
        let (_, _) = request(admin.at, "GET", "/healthz").await;
        admin.stop.send(()).unwrap();
        timeout(GOODBYE * 3, admin.task).await.unwrap().unwrap();
        assert!(TcpStream::connect(admin.at).await.is_err());
    }

    #[tokio::test]
    async fn a_client_that_sends_no_head_is_cut_off() {
        let admin = running().await;
        let (answer, _) = ask(admin.at, "GET /metrics HTTP/1.1\r\n").await;
        assert!(
            answer.is_empty() || answer.starts_with("http/1.1 408"),
            "{answer}"
        );
    }
}
