//! Messages of `application/vnd.amazon.eventstream`, as far as their frame goes.
//! <https://smithy.io/2.0/aws/amazon-eventstream.html>
//!
//! INVARIANT: a [`Message`] was whole: its lengths agree with one another, and both its checksums are right.

use flate2::Crc;

/// The largest message, in bytes: AWS's own bound of a payload.
pub const MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Lengths, and their checksum.
const PRELUDE_BYTES: usize = 12;
/// The least that a message has: the prelude and its own checksum.
const FRAME_BYTES: usize = PRELUDE_BYTES + 4;

/// Why bytes are no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    #[error("an event of the stream is larger than {MESSAGE_BYTES_MAX} bytes")]
    TooLarge,
    #[error("an event of the stream has lengths that contradict one another")]
    Lengths,
    #[error("an event of the stream has a wrong checksum")]
    Checksum,
    #[error("the headers of an event of the stream can't be read")]
    Headers,
}

/// One message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// Encoded.
    pub headers: &'a [u8],
    pub payload: &'a [u8],
}

/// The value of a header, of the types that the frame of a signed event has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderValue<'a> {
    Bytes(&'a [u8]),
    /// Milliseconds since 1970.
    Timestamp(i64),
}

const BYTES: u8 = 6;
const TIMESTAMP: u8 = 8;

impl<'a> Message<'a> {
    /// Reads the first message of `bytes`; also returns how long it is. `None`: more must come.
    ///
    /// # Errors
    /// [`FrameError`], as soon as enough has come to tell.
    pub fn read(bytes: &'a [u8]) -> Result<Option<(Self, usize)>, FrameError> {
        let Some((prelude, _)) = bytes.split_first_chunk::<PRELUDE_BYTES>() else {
            return Ok(None);
        };
        let [t0, t1, t2, t3, h0, h1, h2, h3, c0, c1, c2, c3] = *prelude;
        let (total, headers) = (length([t0, t1, t2, t3]), length([h0, h1, h2, h3]));
        if crc(prelude.get(..8).unwrap_or_default()) != u32::from_be_bytes([c0, c1, c2, c3]) {
            return Err(FrameError::Checksum);
        }
        if total > MESSAGE_BYTES_MAX {
            return Err(FrameError::TooLarge);
        }
        let payload = total
            .checked_sub(FRAME_BYTES)
            .and_then(|l| l.checked_sub(headers));
        payload.ok_or(FrameError::Lengths)?;
        let Some((message, _)) = bytes.split_at_checked(total) else {
            return Ok(None);
        };
        let (summed, sum) = message.split_last_chunk::<4>().ok_or(FrameError::Lengths)?;
        if crc(summed) != u32::from_be_bytes(*sum) {
            return Err(FrameError::Checksum);
        }
        let body = summed.get(PRELUDE_BYTES..).unwrap_or_default();
        let (headers, payload) = body.split_at_checked(headers).ok_or(FrameError::Lengths)?;
        Ok(Some((Self { headers, payload }, total)))
    }

    /// Appends the message to `out`.
    ///
    /// # Errors
    /// [`FrameError::TooLarge`].
    pub fn write(&self, out: &mut impl Extend<u8>) -> Result<(), FrameError> {
        let total = FRAME_BYTES
            .saturating_add(self.headers.len())
            .saturating_add(self.payload.len());
        if total > MESSAGE_BYTES_MAX {
            return Err(FrameError::TooLarge);
        }
        let lengths = [total, self.headers.len()]
            .map(|length| u32::try_from(length).map_err(|_| FrameError::TooLarge));
        let [total, headers] = lengths;
        let mut frame = Vec::new();
        frame.extend(total?.to_be_bytes());
        frame.extend(headers?.to_be_bytes());
        frame.extend(crc(&frame).to_be_bytes());
        frame.extend_from_slice(self.headers);
        frame.extend_from_slice(self.payload);
        frame.extend(crc(&frame).to_be_bytes());
        out.extend(frame);
        Ok(())
    }

    /// The headers: names with values.
    ///
    /// # Errors
    /// [`FrameError::Headers`] where they can't be read, or one is of another type than [`HeaderValue`] has.
    pub fn headers(&self) -> Result<Vec<(&'a [u8], HeaderValue<'a>)>, FrameError> {
        let mut rest = self.headers;
        let mut found = Vec::new();
        while !rest.is_empty() {
            let name = counted(&mut rest, 1)?;
            let value = match counted_by(&mut rest, 1)? {
                [BYTES] => HeaderValue::Bytes(counted(&mut rest, 2)?),
                [TIMESTAMP] => {
                    let bytes = counted_by(&mut rest, 8)?;
                    let bytes = bytes.try_into().map_err(|_| FrameError::Headers)?;
                    HeaderValue::Timestamp(i64::from_be_bytes(bytes))
                }
                _ => return Err(FrameError::Headers),
            };
            found.push((name, value));
        }
        Ok(found)
    }
}

/// Appends an encoded header to `out`. Names are shorter than 256 bytes, values than 32 KiB.
pub fn write_header(name: &str, value: HeaderValue<'_>, out: &mut Vec<u8>) {
    out.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
    out.extend_from_slice(name.as_bytes());
    match value {
        HeaderValue::Bytes(bytes) => {
            out.push(BYTES);
            let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
            out.extend_from_slice(&length.to_be_bytes());
            out.extend_from_slice(bytes);
        }
        HeaderValue::Timestamp(millis) => {
            out.push(TIMESTAMP);
            out.extend_from_slice(&millis.to_be_bytes());
        }
    }
}

fn length(bytes: [u8; 4]) -> usize {
    usize::try_from(u32::from_be_bytes(bytes)).unwrap_or(usize::MAX)
}

fn crc(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// So many bytes of `rest`.
fn counted_by<'a>(rest: &mut &'a [u8], count: usize) -> Result<&'a [u8], FrameError> {
    let (taken, left) = rest.split_at_checked(count).ok_or(FrameError::Headers)?;
    *rest = left;
    Ok(taken)
}

/// As many bytes as a number of `width` bytes before them says.
fn counted<'a>(rest: &mut &'a [u8], width: usize) -> Result<&'a [u8], FrameError> {
    let count = counted_by(rest, width)?;
    let count = count
        .iter()
        .fold(0_usize, |count, byte| count << 8 | usize::from(*byte));
    counted_by(rest, count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message() -> Vec<u8> {
        let mut headers = Vec::new();
        write_header(":date", HeaderValue::Timestamp(8_675_309), &mut headers);
        write_header("b", HeaderValue::Bytes(b"xyz"), &mut headers);
        let mut out = Vec::new();
        let message = Message {
            headers: &headers,
            payload: b"{}",
        };
        message.write(&mut out).unwrap();
        out
    }

    /// The frame that the specification shows: no headers, no payload.
    #[test]
    fn the_empty_message_is_the_one_of_the_specification() {
        let empty = [
            0, 0, 0, 0x10, 0, 0, 0, 0, 0x05, 0xc2, 0x48, 0xeb, 0x7d, 0x98, 0xc8, 0xff,
        ];
        let bare = Message {
            headers: b"",
            payload: b"",
        };
        let mut out = Vec::new();
        bare.write(&mut out).unwrap();
        assert_eq!(out, empty);
        assert_eq!(Message::read(&empty), Ok(Some((bare, 16))));
    }

    #[test]
    fn a_message_reads_back_and_tells_where_it_ends() {
        let mut bytes = message();
        let length = bytes.len();
        for cut in 0..length {
            assert_eq!(Message::read(&bytes[..cut]), Ok(None), "{cut}");
        }
        bytes.extend(b"more");
        let (message, end) = Message::read(&bytes).unwrap().unwrap();
        assert_eq!((message.payload, end), (&b"{}"[..], length));
        assert_eq!(
            message.headers().unwrap(),
            [
                (&b":date"[..], HeaderValue::Timestamp(8_675_309)),
                (b"b", HeaderValue::Bytes(b"xyz"))
            ]
        );
    }

    #[test]
    fn a_damaged_message_is_refused() {
        let good = message();
        for at in 0..good.len() {
            let mut bytes = good.clone();
            bytes[at] ^= 1;
            assert_eq!(Message::read(&bytes), Err(FrameError::Checksum), "{at}");
        }
        let prelude = |total: u32, headers: u32| {
            let mut bytes = [total.to_be_bytes(), headers.to_be_bytes()].concat();
            bytes.extend(crc(&bytes).to_be_bytes());
            Message::read(&bytes).map(|read| read.is_some())
        };
        assert_eq!(prelude(16, 0), Ok(false));
        assert_eq!(prelude(16, 1), Err(FrameError::Lengths));
        assert_eq!(prelude(15, 0), Err(FrameError::Lengths));
        assert_eq!(prelude(u32::MAX, 0), Err(FrameError::TooLarge));
        assert_eq!(prelude(16 * 1024 * 1024, 0), Ok(false));
        assert_eq!(prelude(16 * 1024 * 1024 + 1, 0), Err(FrameError::TooLarge));
    }

    #[test]
    fn odd_headers_are_refused() {
        for odd in [
            &b"\x01"[..],
            b"\x01a",
            b"\x01a\x07\0\x01x",
            b"\x01a\x06\0\x02x",
            b"\x01a\x08\0",
        ] {
            let message = Message {
                headers: odd,
                payload: b"",
            };
            assert_eq!(message.headers(), Err(FrameError::Headers), "{odd:?}");
        }
    }
}
