//! What all peers stand before: an HTTPS server in a process of its own that answers as AWS would, with as little work
//! as it can, so that what is measured is the peer.
//!
//! `peers origin FOLDER` says on its first line where it listens: one port that speaks HTTP/1.1 alone, as most of AWS's
//! API does, and one that speaks HTTP/2 too. For each line that it reads it says what it counted, and it ends when its
//! input does, so that it never outlives the rig.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::calls::{answer, identity};
use crate::certificates::Files;
use crate::process::Process;
use crate::tls::{self, HTTP_1, HTTP_2};

/// The first line that the origin says.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Ports {
    /// HTTP/1.1 alone.
    pub plain: u16,
    /// HTTP/2 or HTTP/1.1, as the client asks.
    pub both: u16,
}

/// What it has seen since it began.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Counted {
    pub connections: u64,
    pub requests: u64,
}

impl Counted {
    pub const fn since(self, earlier: Self) -> Self {
        Self {
            connections: self.connections - earlier.connections,
            requests: self.requests - earlier.requests,
        }
    }
}

/// The origin as the rig holds it.
#[derive(Debug)]
pub struct Origin {
    process: Process,
    asks: ChildStdin,
    says: BufReader<ChildStdout>,
    pub ports: Ports,
}

impl Origin {
    pub fn start(folder: &Path) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("origin").arg(folder);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Process::start(&mut command)?;
        let asks = process.child().stdin.take().context("no stdin")?;
        let mut says = BufReader::new(process.child().stdout.take().context("no stdout")?);
        let ports = line(&mut says)?;
        Ok(Self {
            process,
            asks,
            says,
            ports,
        })
    }

    pub const fn id(&self) -> i32 {
        self.process.id()
    }

    pub fn counted(&mut self) -> Result<Counted> {
        writeln!(self.asks)?;
        line(&mut self.says)
    }
}

fn line<T: for<'a> Deserialize<'a>>(says: &mut BufReader<ChildStdout>) -> Result<T> {
    let mut line = String::new();
    says.read_line(&mut line)?;
    serde_json::from_str(&line).context("the origin ended")
}

#[derive(Debug, Default)]
struct Counters {
    connections: AtomicU64,
    requests: AtomicU64,
}

/// The process of the origin.
pub fn serve(folder: &Path) -> Result<()> {
    let files = Files::in_folder(folder);
    let counters = Arc::new(Counters::default());
    let ports = Ports {
        plain: listen(&files, &[HTTP_1], &counters)?,
        both: listen(&files, &[HTTP_2, HTTP_1], &counters)?,
    };
    say(&ports)?;
    for line in std::io::stdin().lines() {
        line?;
        say(&Counted {
            connections: counters.connections.load(Ordering::Relaxed),
            requests: counters.requests.load(Ordering::Relaxed),
        })?;
    }
    Ok(())
}

fn say(what: &impl Serialize) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", serde_json::to_string(what)?)?;
    Ok(out.flush()?)
}

/// A thread that accepts, and one for each core that answers; connections go to them in turn.
fn listen(files: &Files, alpn: &[&[u8]], counters: &Arc<Counters>) -> Result<u16> {
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    let port = listener.local_addr()?.port();
    let config = tls::server(files, alpn)?;
    let answers = Arc::new(Answers::new());
    let mut workers = Vec::new();
    for _ in 0..thread::available_parallelism()?.get() {
        let (send, receive) = unbounded_channel();
        workers.push(send);
        let worker = Worker {
            acceptor: TlsAcceptor::from(Arc::clone(&config)),
            answers: Arc::clone(&answers),
            counters: Arc::clone(counters),
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        thread::spawn(move || runtime.block_on(worker.run(receive)));
    }
    thread::spawn(move || {
        for (stream, worker) in listener.incoming().zip(workers.iter().cycle()) {
            // Where there is no connection, the client learns it.
            if let Ok(stream) = stream {
                let _ = worker.send(stream);
            }
        }
    });
    Ok(port)
}

#[derive(Clone)]
struct Worker {
    acceptor: TlsAcceptor,
    answers: Arc<Answers>,
    counters: Arc<Counters>,
}

impl Worker {
    async fn run(self, mut connections: UnboundedReceiver<std::net::TcpStream>) {
        while let Some(stream) = connections.recv().await {
            let worker = self.clone();
            tokio::spawn(async move {
                // Whoever was cut off says so.
                let _ = worker.serve(stream).await;
            });
        }
    }

    async fn serve(self, stream: std::net::TcpStream) -> Result<()> {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        self.counters.connections.fetch_add(1, Ordering::Relaxed);
        let stream = self.acceptor.accept(TcpStream::from_std(stream)?).await?;
        if stream.get_ref().1.alpn_protocol() == Some(HTTP_2) {
            self.multiplexed(stream).await
        } else {
            self.one_by_one(stream).await
        }
    }

    /// HTTP/1.1, without a server's care: no client of the rig sends what it wouldn't read right.
    async fn one_by_one(self, mut stream: TlsStream<TcpStream>) -> Result<()> {
        let mut held = Vec::with_capacity(8 * 1024);
        loop {
            while let Some((length, which)) = read(&held)? {
                held.drain(..length);
                self.counters.requests.fetch_add(1, Ordering::Relaxed);
                stream.write_all(self.answers.whole(which)).await?;
                stream.flush().await?;
            }
            if stream.read_buf(&mut held).await? == 0 {
                return Ok(());
            }
        }
    }

    async fn multiplexed(self, stream: TlsStream<TcpStream>) -> Result<()> {
        let mut connection = h2::server::handshake(stream).await?;
        while let Some(accepted) = connection.accept().await {
            let (request, mut respond) = accepted?;
            let worker = self.clone();
            tokio::spawn(async move {
                let (head, mut body) = request.into_parts();
                while let Some(data) = body.data().await {
                    body.flow_control().release_capacity(data?.len())?;
                }
                let target = head.headers.get("x-amz-target");
                let which = which(target.map(http::HeaderValue::as_bytes));
                worker.counters.requests.fetch_add(1, Ordering::Relaxed);
                let (head, body) = worker.answers.parts(which)?;
                respond.send_response(head, false)?.send_data(body, true)?;
                anyhow::Ok(())
            });
        }
        Ok(())
    }
}

/// Which answer a request gets.
#[derive(Debug, Clone, Copy)]
enum Which {
    Operation(usize),
    Identity,
}

const OPERATIONS: [&str; 3] = ["DescribeWorkspaces", "TerminateWorkspaces", "DescribeTags"];

fn which(target: Option<&[u8]>) -> Which {
    let operation = target.and_then(|target| target.rsplit(|byte| *byte == b'.').next());
    let found = OPERATIONS
        .iter()
        .position(|name| operation == Some(name.as_bytes()));
    found.map_or(Which::Identity, Which::Operation)
}

/// How long the first request in these bytes is, and what it asks; nothing while it isn't whole.
fn read(held: &[u8]) -> Result<Option<(usize, Which)>> {
    let mut headers = [httparse::EMPTY_HEADER; 48];
    let mut request = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(head) = request.parse(held)? else {
        return Ok(None);
    };
    let mut length = 0;
    let mut target = None;
    for header in &*request.headers {
        if header.name.eq_ignore_ascii_case("content-length") {
            length = std::str::from_utf8(header.value)?.parse()?;
        } else if header.name.eq_ignore_ascii_case("x-amz-target") {
            target = Some(header.value);
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            bail!("the origin reads no chunks");
        }
    }
    let whole = head + length;
    Ok((held.len() >= whole).then(|| (whole, which(target))))
}

/// Every answer, made before it's asked for.
#[derive(Debug)]
struct Answers {
    operations: Vec<Answer>,
    identity: Answer,
}

#[derive(Debug)]
struct Answer {
    content_type: &'static str,
    body: Bytes,
    /// As HTTP/1.1 has it.
    whole: Vec<u8>,
}

const REQUEST_ID: &str = "0d1e2f30-0000-4000-8000-000000000000";
const DATE: &str = "Thu, 01 Jan 2026 00:00:00 GMT";

impl Answers {
    fn new() -> Self {
        let json = |name: &&str| {
            let body = answer(name).unwrap_or_default();
            Answer::new("application/x-amz-json-1.1", body.to_owned())
        };
        Self {
            operations: OPERATIONS.iter().map(json).collect(),
            identity: Answer::new("text/xml", identity()),
        }
    }

    fn of(&self, which: Which) -> &Answer {
        match which {
            Which::Operation(n) => self.operations.get(n).unwrap_or(&self.identity),
            Which::Identity => &self.identity,
        }
    }

    fn whole(&self, which: Which) -> &[u8] {
        &self.of(which).whole
    }

    fn parts(&self, which: Which) -> Result<(http::Response<()>, Bytes)> {
        let answer = self.of(which);
        let head = http::Response::builder()
            .header("x-amzn-requestid", REQUEST_ID)
            .header("content-type", answer.content_type)
            .header("content-length", answer.body.len())
            .header("date", DATE)
            .body(())?;
        Ok((head, answer.body.clone()))
    }
}

impl Answer {
    fn new(content_type: &'static str, body: String) -> Self {
        let whole = format!(
            "HTTP/1.1 200 OK\r\nx-amzn-RequestId: {REQUEST_ID}\r\nContent-Type: {content_type}\r\n\
             Content-Length: {}\r\nDate: {DATE}\r\n\r\n{body}",
            body.len()
        );
        Self {
            content_type,
            body: body.into(),
            whole: whole.into_bytes(),
        }
    }
}
