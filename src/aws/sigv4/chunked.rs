//! Bodies in aws-chunked framing, read strictly as they come: signatures verified, and what goes on framed and signed
//! anew, or unwrapped.
//!
//! INVARIANT: nothing of a signed chunk goes on before its signature is verified, and nothing of the last chunk before
//! all of the body is read: what isn't right to the end is never sent to the end.
//! INVARIANT: what goes on framed is as long as what came, so that the length that the client declared stays right.
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html>,
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html>

use bytes::BytesMut;
use http::header::{CONTENT_ENCODING, HeaderMap, HeaderName, HeaderValue};
use sha2::{Digest, Sha256};

use super::chain::{ChunkChain, Piece};
use super::hex::hex;

/// The largest signed chunk, in bytes: it is held until its signature is verified. SDKs send 64 KiB to 1 MiB.
pub const CHUNK_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// The longest line of the framing, in bytes: a chunk's head, or a trailer.
const LINE_BYTES_MAX: usize = 1024;
/// The most trailers. S3 takes one.
const TRAILERS_MAX: usize = 8;
const CHUNK_SIGNATURE: &str = "chunk-signature";
const TRAILER_SIGNATURE: &str = "x-amz-trailer-signature";
/// What may trail a body: a checksum of it.
const TRAILER_PREFIX: &str = "x-amz-checksum-";

const DECODED_LENGTH: HeaderName = HeaderName::from_static("x-amz-decoded-content-length");
const X_AMZ_TRAILER: HeaderName = HeaderName::from_static("x-amz-trailer");
const AWS_CHUNKED: &[u8] = b"aws-chunked";

/// Why a body isn't what its request declares.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChunkError {
    /// What is odd.
    #[error("the body isn't in the aws-chunked form that `x-amz-content-sha256` declares: {0}")]
    Malformed(&'static str),
    #[error(
        "the signature of a chunk, or of the trailer, does not match: check the secret access key and the signing method"
    )]
    Signature,
    #[error("a signed chunk is larger than {max} bytes: send smaller ones")]
    TooLarge { max: u64 },
    #[error(
        "the body has another length than the {declared} bytes that `x-amz-decoded-content-length` declares"
    )]
    Length { declared: u64 },
    #[error("the body's trailers aren't those that `x-amz-trailer` declares: {0}")]
    Trailers(&'static str),
    #[error("the body broke off before its last chunk")]
    BrokenOff,
    #[error("a chunk can't be signed")]
    Unsignable,
}

/// What the head of a request says of a body in chunks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Framing {
    /// The length of the data without framing, in bytes.
    length: u64,
    /// Lower case, sorted, each once.
    trailers: Vec<String>,
}

impl Framing {
    /// Reads the headers; `trailer` says whether `x-amz-content-sha256` announces trailers.
    ///
    /// # Errors
    /// [`ChunkError`] where a header is absent, stands twice, or contradicts.
    pub fn of(headers: &HeaderMap, trailer: Trailer) -> Result<Self, ChunkError> {
        let length = one(headers, &DECODED_LENGTH)?.ok_or(ChunkError::Malformed(
            "the header `x-amz-decoded-content-length` is missing",
        ))?;
        if length.is_empty() || !length.bytes().all(|b| b.is_ascii_digit()) {
            return Err(ODD_LENGTH);
        }
        let length = length.parse().map_err(|_| ODD_LENGTH)?;
        let trailers = match (trailer, one(headers, &X_AMZ_TRAILER)?) {
            (Trailer::Absent, None) => Vec::new(),
            (Trailer::Absent, Some(_)) => {
                return Err(ChunkError::Trailers(
                    "`x-amz-content-sha256` announces none",
                ));
            }
            (Trailer::Announced, None) => {
                return Err(ChunkError::Trailers("it is missing"));
            }
            (Trailer::Announced, Some(names)) => announced(names)?,
        };
        Ok(Self { length, trailers })
    }

    /// The length of the data without framing, in bytes.
    #[must_use]
    pub const fn length(&self) -> u64 {
        self.length
    }
}

/// Whether a body is followed by trailers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trailer {
    Absent,
    Announced,
}

const ODD_LENGTH: ChunkError =
    ChunkError::Malformed("the header `x-amz-decoded-content-length` isn't a plain number");

fn one<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h str>, ChunkError> {
    const ODD: ChunkError = ChunkError::Malformed("a header of the framing stands twice");
    let mut values = headers.get_all(name).iter();
    let value = values.next().map(|value| value.to_str().map_err(|_| ODD));
    match values.next() {
        Some(_) => Err(ODD),
        None => value.transpose(),
    }
}

fn announced(names: &str) -> Result<Vec<String>, ChunkError> {
    let mut names: Vec<String> = names
        .split(',')
        .map(|name| name.trim_matches(' ').to_ascii_lowercase())
        .collect();
    names.sort_unstable();
    let many = names.len();
    names.dedup();
    if many > TRAILERS_MAX || names.len() < many {
        return Err(ChunkError::Trailers("it names too many, or one twice"));
    }
    if !names.iter().all(|name| name.starts_with(TRAILER_PREFIX)) {
        return Err(ChunkError::Trailers("only checksums may follow a body"));
    }
    Ok(names)
}

/// What becomes of the data.
#[derive(Debug)]
enum Onward {
    /// It goes on as it came, in chunks that nobody signs.
    Unsigned,
    /// It goes on in the same chunks, signed by another.
    Signed(ChunkChain),
    /// It goes on without framing.
    Unwrapped,
}

/// Reads a body in chunks, piece by piece.
#[derive(Debug)]
pub struct Chunked {
    state: State,
    /// The line that is being read, without its end.
    line: Vec<u8>,
    /// Whose chunks they are; `None` where nobody signs them.
    verifying: Option<ChunkChain>,
    onward: Onward,
    declared: u64,
    /// Data still to come.
    left: u64,
    /// Trailers still to come.
    expected: Vec<String>,
    /// The head of the chunk that is being read.
    head: Head,
    digest: Sha256,
    /// A signed chunk's data, until it is verified.
    held: BytesMut,
    /// What goes on once the body is whole.
    last: Vec<u8>,
    /// The trailers so far, each `name:value\n`.
    canonical: String,
    trailers: Vec<(HeaderName, HeaderValue)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Head,
    /// Bytes of the chunk still to come.
    Data(u64),
    /// The line end after a chunk's data.
    DataEnd,
    Trailer,
    /// Nothing may come any more.
    Ended,
}

#[derive(Debug, Default)]
struct Head {
    /// The digits of the size, as the client spells them.
    size: String,
    signature: Option<String>,
}

impl Chunked {
    /// A body whose chunks nobody signs; it goes on as it came.
    #[must_use]
    pub fn passed(framing: Framing) -> Self {
        Self::new(framing, None, Onward::Unsigned)
    }

    /// A body whose chunks the client signed; it goes on signed by `signing`.
    #[must_use]
    pub fn resigned(framing: Framing, verifying: ChunkChain, signing: ChunkChain) -> Self {
        Self::new(framing, Some(verifying), Onward::Signed(signing))
    }

    /// A body that goes on without framing; `verifying` is the chain of the client that signed its chunks.
    #[must_use]
    pub fn unwrapped(framing: Framing, verifying: Option<ChunkChain>) -> Self {
        Self::new(framing, verifying, Onward::Unwrapped)
    }

    fn new(framing: Framing, verifying: Option<ChunkChain>, onward: Onward) -> Self {
        Self {
            state: State::Head,
            line: Vec::new(),
            verifying,
            onward,
            declared: framing.length,
            left: framing.length,
            expected: framing.trailers,
            head: Head::default(),
            digest: Sha256::new(),
            held: BytesMut::new(),
            last: Vec::new(),
            canonical: String::new(),
            trailers: Vec::new(),
        }
    }

    /// Reads on; what may be sent on is appended to `out`.
    ///
    /// # Errors
    /// [`ChunkError`]; nothing of the body may be sent from then on.
    pub fn push(&mut self, mut data: &[u8], out: &mut BytesMut) -> Result<(), ChunkError> {
        while !data.is_empty() {
            match self.state {
                State::Ended => {
                    return Err(ChunkError::Malformed("something follows its last chunk"));
                }
                State::Data(left) => {
                    let take = usize::try_from(left).unwrap_or(usize::MAX).min(data.len());
                    let (now, rest) = data.split_at_checked(take).unwrap_or((data, &[]));
                    self.take(now, out);
                    data = rest;
                    self.state = match left.saturating_sub(now.len() as u64) {
                        0 => State::DataEnd,
                        left => State::Data(left),
                    };
                }
                State::Head | State::DataEnd | State::Trailer => {
                    let (piece, rest) = match data.iter().position(|b| *b == b'\n') {
                        Some(at) => data.split_at_checked(at + 1).unwrap_or((data, &[])),
                        None => (data, &[][..]),
                    };
                    if self.line.len().saturating_add(piece.len()) > LINE_BYTES_MAX {
                        return Err(ChunkError::Malformed("a line of its framing is too long"));
                    }
                    self.line.extend_from_slice(piece);
                    data = rest;
                    if self.line.ends_with(b"\n") {
                        let line = std::mem::take(&mut self.line);
                        let line = line.strip_suffix(b"\r\n").ok_or(ChunkError::Malformed(
                            "a line of its framing doesn't end with CR LF",
                        ))?;
                        let line = std::str::from_utf8(line).map_err(|_| {
                            ChunkError::Malformed("a line of its framing isn't text")
                        })?;
                        self.read_line(line, out)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// The body has come to its end.
    ///
    /// # Errors
    /// [`ChunkError::BrokenOff`].
    pub fn finish(&self) -> Result<(), ChunkError> {
        match self.state {
            State::Ended => Ok(()),
            State::Head | State::Data(_) | State::DataEnd | State::Trailer => {
                Err(ChunkError::BrokenOff)
            }
        }
    }

    /// How many bytes are held until they are verified, at most, with the chunk that is being read.
    #[must_use]
    pub fn holds(&self) -> u64 {
        let coming = match self.state {
            State::Data(left) if self.verifying.is_some() => left,
            State::Data(_) | State::Head | State::DataEnd | State::Trailer | State::Ended => 0,
        };
        coming.saturating_add(self.held.len() as u64)
    }

    /// What followed the body: checksums of it, as the headers that they could have been.
    #[must_use]
    pub fn into_trailers(self) -> Vec<(HeaderName, HeaderValue)> {
        self.trailers
    }

    fn take(&mut self, data: &[u8], out: &mut BytesMut) {
        if self.verifying.is_some() {
            self.digest.update(data);
            self.held.extend_from_slice(data);
        } else {
            out.extend_from_slice(data);
        }
    }

    fn read_line(&mut self, line: &str, out: &mut BytesMut) -> Result<(), ChunkError> {
        match self.state {
            State::Head => self.read_head(line, out),
            State::DataEnd if line.is_empty() => self.end_chunk(out),
            State::DataEnd => Err(ChunkError::Malformed("a chunk is longer than it says")),
            State::Trailer if line.is_empty() => self.end(out),
            State::Trailer => self.read_trailer(line),
            State::Data(_) | State::Ended => {
                Err(ChunkError::Malformed("something follows its last chunk"))
            }
        }
    }

    fn read_head(&mut self, line: &str, out: &mut BytesMut) -> Result<(), ChunkError> {
        const ODD: ChunkError = ChunkError::Malformed("the head of a chunk can't be read");
        let (size, signature) = match (line.split_once(';'), &self.verifying) {
            (None, None) => (line, None),
            (Some((size, extension)), Some(_)) => match extension.split_once('=') {
                Some((CHUNK_SIGNATURE, signature)) => (size, Some(signature.to_owned())),
                Some(_) | None => return Err(ODD),
            },
            (None, Some(_)) => return Err(ChunkError::Malformed("a chunk isn't signed")),
            (Some(_), None) => {
                return Err(ChunkError::Malformed(
                    "a chunk has an extension where nobody signs them",
                ));
            }
        };
        let digits = !size.is_empty() && size.bytes().all(|b| b.is_ascii_hexdigit());
        let bytes = u64::from_str_radix(size, 16).ok().filter(|_| digits);
        let bytes = bytes.ok_or(ODD)?;
        if self.verifying.is_some() && bytes > CHUNK_BYTES_MAX {
            return Err(ChunkError::TooLarge {
                max: CHUNK_BYTES_MAX,
            });
        }
        let declared = self.declared;
        let left = self.left.checked_sub(bytes);
        self.left = left.ok_or(ChunkError::Length { declared })?;
        self.head = Head {
            size: size.to_owned(),
            signature,
        };
        if bytes > 0 {
            self.state = State::Data(bytes);
            if let Onward::Unsigned = self.onward {
                out.extend_from_slice(line.as_bytes());
                out.extend_from_slice(b"\r\n");
            }
            return Ok(());
        }
        if self.left > 0 {
            return Err(ChunkError::Length { declared });
        }
        self.state = State::Trailer;
        let head = self.onward_head()?;
        self.last.extend_from_slice(&head);
        Ok(())
    }

    /// A chunk's data is whole.
    fn end_chunk(&mut self, out: &mut BytesMut) -> Result<(), ChunkError> {
        self.state = State::Head;
        if self.verifying.is_some() {
            let head = self.onward_head()?;
            out.extend_from_slice(&head);
            out.extend_from_slice(&self.held);
            self.held.clear();
        }
        match self.onward {
            Onward::Unsigned | Onward::Signed(_) => out.extend_from_slice(b"\r\n"),
            Onward::Unwrapped => {}
        }
        Ok(())
    }

    /// The head that a chunk goes on with, once its own signature is verified.
    fn onward_head(&mut self) -> Result<Vec<u8>, ChunkError> {
        let hash = hex(&std::mem::take(&mut self.digest).finalize());
        let piece = Piece::Chunk(&hash);
        self.verify(piece, self.head.signature.clone())?;
        let size = &self.head.size;
        let head = match &mut self.onward {
            Onward::Unsigned => format!("{size}\r\n"),
            Onward::Unwrapped => String::new(),
            Onward::Signed(chain) => {
                let signature = chain.sign(piece).map_err(|_| ChunkError::Unsignable)?;
                format!("{size};{CHUNK_SIGNATURE}={signature}\r\n")
            }
        };
        Ok(head.into_bytes())
    }

    fn verify(&mut self, piece: Piece<'_>, signature: Option<String>) -> Result<(), ChunkError> {
        let Some(chain) = &mut self.verifying else {
            return Ok(());
        };
        match chain.verifies(piece, &signature.unwrap_or_default()) {
            true => Ok(()),
            false => Err(ChunkError::Signature),
        }
    }

    fn read_trailer(&mut self, line: &str) -> Result<(), ChunkError> {
        const ODD: ChunkError = ChunkError::Malformed("a trailer can't be read");
        let (name, value) = line.split_once(':').ok_or(ODD)?;
        let value = value.trim_matches(' ');
        let lower = name.to_ascii_lowercase();
        if lower == TRAILER_SIGNATURE {
            return self.read_trailer_signature(value);
        }
        // Sorted, as they are signed: there is one way to read them.
        if self.expected.first() != Some(&lower) {
            return Err(ChunkError::Trailers(
                "one isn't among them, or out of order",
            ));
        }
        self.expected.remove(0);
        let parsed = HeaderValue::from_str(value).map_err(|_| ODD)?;
        let header = HeaderName::from_bytes(lower.as_bytes()).map_err(|_| ODD)?;
        self.trailers.push((header, parsed));
        self.canonical.push_str(&format!("{lower}:{value}\n"));
        if !matches!(self.onward, Onward::Unwrapped) {
            self.last.extend_from_slice(line.as_bytes());
            self.last.extend_from_slice(b"\r\n");
        }
        Ok(())
    }

    fn read_trailer_signature(&mut self, signature: &str) -> Result<(), ChunkError> {
        if self.verifying.is_none() || self.trailers.is_empty() {
            return Err(ChunkError::Trailers("nobody signs them"));
        }
        if !self.expected.is_empty() {
            return Err(ChunkError::Trailers("one is missing"));
        }
        let canonical = std::mem::take(&mut self.canonical);
        let piece = Piece::Trailers(&canonical);
        self.verify(piece, Some(signature.to_owned()))?;
        if let Onward::Signed(chain) = &mut self.onward {
            let signature = chain.sign(piece).map_err(|_| ChunkError::Unsignable)?;
            let line = format!("{TRAILER_SIGNATURE}:{signature}\r\n");
            self.last.extend_from_slice(line.as_bytes());
        }
        Ok(())
    }

    /// The empty line after the last chunk and its trailers.
    fn end(&mut self, out: &mut BytesMut) -> Result<(), ChunkError> {
        if !self.expected.is_empty() {
            return Err(ChunkError::Trailers("one is missing"));
        }
        // Taken once its signature was verified.
        if self.verifying.is_some() && !self.canonical.is_empty() {
            return Err(ChunkError::Trailers("they aren't signed"));
        }
        if !matches!(self.onward, Onward::Unwrapped) {
            self.last.extend_from_slice(b"\r\n");
            out.extend_from_slice(&self.last);
        }
        self.state = State::Ended;
        Ok(())
    }
}

/// Takes from a request's headers what says that its body is in chunks, and adds what trailed it: the headers of the
/// same request with its body plain.
pub fn unwrapped_headers(headers: &mut HeaderMap, trailers: Vec<(HeaderName, HeaderValue)>) {
    headers.remove(DECODED_LENGTH);
    headers.remove(X_AMZ_TRAILER);
    let encodings: Vec<HeaderValue> = headers.get_all(CONTENT_ENCODING).iter().cloned().collect();
    headers.remove(CONTENT_ENCODING);
    for value in encodings {
        let kept: Vec<&[u8]> = value
            .as_bytes()
            .split(|b| *b == b',')
            .map(<[u8]>::trim_ascii)
            .filter(|coding| !coding.eq_ignore_ascii_case(AWS_CHUNKED))
            .collect();
        let kept = HeaderValue::from_bytes(&kept.join(&b","[..]));
        if let Some(kept) = kept.ok().filter(|kept| !kept.is_empty()) {
            headers.append(CONTENT_ENCODING, kept);
        }
    }
    for (name, value) in trailers {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests;
