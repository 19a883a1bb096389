//! One connection of the client: to the origin or to a peer, with CONNECT where the peer is a forward proxy.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use h2::client::SendRequest;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::signed::Signed;

/// How a peer is entered.
#[derive(Debug, Clone)]
pub struct Door {
    pub address: SocketAddr,
    /// Whom CONNECT asks for, `host:port`; none: TLS at once.
    pub connect: Option<String>,
    /// The name that the certificate must be for.
    pub name: String,
}

/// TCP, CONNECT, TLS.
async fn connect(door: &Door, tls: &Arc<ClientConfig>) -> Result<TlsStream<TcpStream>> {
    let mut stream = TcpStream::connect(door.address).await.context("connect")?;
    stream.set_nodelay(true)?;
    if let Some(target) = &door.connect {
        let ask = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n");
        stream.write_all(ask.as_bytes()).await?;
        let mut held = Vec::new();
        while !held.ends_with(b"\r\n\r\n") {
            let read = stream.read_buf(&mut held).await?;
            ensure!(read > 0, "closed at CONNECT: {}", text(&held));
        }
        ensure!(
            held.starts_with(b"HTTP/1.1 200") || held.starts_with(b"HTTP/1.0 200"),
            "CONNECT: {}",
            text(&held)
        );
    }
    let name = ServerName::try_from(door.name.clone())?;
    let connector = TlsConnector::from(Arc::clone(tls));
    connector.connect(name, stream).await.context("TLS")
}

/// A connection over HTTP/1.1, on which requests go one after the other.
pub struct Client {
    stream: TlsStream<TcpStream>,
    held: Vec<u8>,
}

impl Client {
    pub async fn open(door: &Door, tls: &Arc<ClientConfig>) -> Result<Self> {
        Ok(Self {
            stream: connect(door, tls).await?,
            held: Vec::new(),
        })
    }

    /// Ends the connection as TLS has it.
    pub async fn close(mut self) -> Result<()> {
        Ok(self.stream.shutdown().await?)
    }

    /// Sends a request and reads its answer whole.
    ///
    /// # Errors
    /// Also where the answer isn't 200: refusals are fast, and nothing that is worth measuring.
    pub async fn call(&mut self, request: &[u8]) -> Result<()> {
        self.stream.write_all(request).await?;
        self.stream.flush().await?;
        loop {
            if self.stream.read_buf(&mut self.held).await? == 0 {
                bail!("closed before the answer's end: {}", text(&self.held));
            }
            if let Some((status, length)) = read(&self.held)? {
                ensure!(status == 200, "{}", text(&self.held));
                ensure!(self.held.len() == length, "more than one answer");
                self.held.clear();
                return Ok(());
            }
        }
    }
}

/// One stream after the other on a connection over HTTP/2.
#[derive(Clone)]
pub struct Streams {
    send: SendRequest<Bytes>,
}

impl Streams {
    /// A connection; clones share it.
    pub async fn open(door: &Door, tls: &Arc<ClientConfig>) -> Result<Self> {
        let stream = connect(door, tls).await?;
        let (send, connection) = h2::client::handshake(stream).await?;
        // What goes wrong with it, whoever waits for an answer learns.
        tokio::spawn(connection);
        Ok(Self { send })
    }

    /// Sends a request and reads its answer whole.
    ///
    /// # Errors
    /// Also where the answer isn't 200.
    pub async fn call(&mut self, signed: &Signed) -> Result<()> {
        let mut send = self.send.clone().ready().await?;
        let (answer, mut body) = send.send_request(signed.head.clone(), false)?;
        body.send_data(signed.body.clone(), true)?;
        let (head, mut body) = answer.await?.into_parts();
        let mut held = Vec::new();
        while let Some(data) = body.data().await {
            let data = data?;
            body.flow_control().release_capacity(data.len())?;
            if head.status != 200 {
                held.extend_from_slice(&data);
            }
        }
        ensure!(head.status == 200, "{}: {}", head.status, text(&held));
        Ok(())
    }
}

/// The status and length of the answer in these bytes; nothing while it isn't whole.
fn read(held: &[u8]) -> Result<Option<(u16, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; 48];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(head) = response.parse(held)? else {
        return Ok(None);
    };
    let length = response
        .headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case("content-length"))
        .with_context(|| format!("no Content-Length: {}", text(held)))?;
    let whole = head + std::str::from_utf8(length.value)?.parse::<usize>()?;
    Ok((held.len() >= whole).then(|| (response.code.unwrap_or(0), whole)))
}

fn text(held: &[u8]) -> String {
    String::from_utf8_lossy(held).into_owned()
}
