//! HTTP/2 by hand, for peers that do what no library would.

use tokio::io::{AsyncRead, AsyncWrite};

use super::*;

pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
pub(super) const CONTINUATION: u8 = 9;
pub(super) const END_STREAM: u8 = 1;
pub(super) const ACK: u8 = 1;
pub(super) const END_HEADERS: u8 = 4;
pub(super) const REFUSED_STREAM: u32 = 7;
pub(super) const CANCEL: u32 = 8;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
    pub(super) payload: Vec<u8>,
}

impl Frame {
    /// The error code of a reset.
    pub(super) fn code(&self) -> u32 {
        u32::from_be_bytes(self.payload[..4].try_into().unwrap())
    }
}

pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A header, literally (RFC 7541, section 6.2.2). Neither part is longer than 126 bytes.
pub(super) fn header(name: &str, value: &str) -> Vec<u8> {
    let mut bytes = vec![0, u8::try_from(name.len()).unwrap()];
    bytes.extend(name.as_bytes());
    bytes.push(u8::try_from(value.len()).unwrap());
    bytes.extend(value.as_bytes());
    bytes
}

pub(super) fn headers(list: &[(&str, &str)]) -> Vec<u8> {
    list.iter().flat_map(|(n, v)| header(n, v)).collect()
}

/// The headers of a GET of `path` from the API.
pub(super) fn get(path: &str) -> Vec<u8> {
    headers(&[
        (":method", "GET"),
        (":scheme", "https"),
        (":authority", API),
        (":path", path),
    ])
}

pub(super) async fn read_frame(stream: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Frame> {
    let mut head = [0; 9];
    stream.read_exact(&mut head).await?;
    let [l0, l1, l2, kind, flags, s0, s1, s2, s3] = head;
    let mut payload = vec![0; u32::from_be_bytes([0, l0, l1, l2]) as usize];
    stream.read_exact(&mut payload).await?;
    Ok(Frame {
        kind,
        flags,
        stream: u32::from_be_bytes([s0, s1, s2, s3]),
        payload,
    })
}

/// Frames until one is `wanted`. What the other side asks of a peer is done meanwhile.
pub(super) async fn until(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    wanted: impl Fn(&Frame) -> bool,
) -> Frame {
    let reading = async {
        loop {
            let got = read_frame(stream).await.expect("the connection stands");
            if wanted(&got) {
                return got;
            }
            let answer = match got.kind {
                SETTINGS if got.flags & ACK == 0 => frame(SETTINGS, ACK, 0, &[]),
                PING if got.flags & ACK == 0 => frame(PING, ACK, 0, &got.payload),
                _ => continue,
            };
            stream.write_all(&answer).await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(10), reading)
        .await
        .expect("the frame comes")
}

/// All frames until the connection ends. Nothing is answered.
pub(super) async fn all(stream: &mut (impl AsyncRead + Unpin)) -> Vec<Frame> {
    let mut frames = Vec::new();
    let reading = async {
        while let Ok(frame) = read_frame(stream).await {
            frames.push(frame);
        }
    };
    tokio::time::timeout(Duration::from_secs(10), reading)
        .await
        .expect("the connection ends");
    frames
}
