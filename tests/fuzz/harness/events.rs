//! Event streams: frames one after another, as they stand on the wire. The harness puts in the checksums, those of an
//! event within a frame too, and the right signature wherever a frame has 32 bytes `@` for one.

use std::time::{Duration, UNIX_EPOCH};

use bytes::BytesMut;
use flate2::Crc;
use palisade::aws::event_stream::{HeaderValue, MESSAGE_BYTES_MAX, Message, write_header};
use palisade::aws::sigv4::chain::EventChain;
use palisade::aws::sigv4::events::{EventError, Events};
use palisade::aws::sigv4::{Algorithm, sha256_hex};

use super::{cuts, now, seeds};

const PRELUDE_BYTES: usize = 12;
const CRC_BYTES: usize = 4;

/// A stream of events: each frame written as it was read, all of them read the same however they are cut, signed anew
/// the same events.
pub fn read_events(data: &[u8]) {
    read_frames(data);
    read_frames(&whole(data, None));
    let stream = whole(data, Some(client()));
    read_frames(&stream);
    let went = cuts(&stream).map(|cut| Went::through(client(), ours(), &cut));
    let [once, one_by_one, pieces] = went;
    assert_eq!(once, one_by_one, "it depends on how it is cut");
    assert_eq!(once, pieces, "it depends on how it is cut");
    assert!(once.out.len() <= stream.len(), "more goes on than came");
    // Signed once more by whom it came from, it is as long, and it is another's.
    let back = Went::through(ours(), client(), &[&once.out]);
    assert_eq!(back.ended, Ok(()), "what goes on isn't a whole stream");
    let again = Went::through(client(), ours(), &[&back.out]);
    assert_eq!(again.out, once.out, "signed anew it holds something else");
}

/// What the frames say, before anybody asks for signatures.
fn read_frames(mut rest: &[u8]) {
    loop {
        match Message::read(rest) {
            Ok(None) => return,
            Ok(Some((message, length))) => {
                let mut written = Vec::new();
                message.write(&mut written).expect("it was short enough");
                assert_eq!(written, rest[..length], "written anew it is another");
                for cut in [length - 1, length / 2, 12, 11] {
                    let cut = Message::read(&rest[..cut.min(length - 1)]);
                    assert_eq!(cut, Ok(None), "it depends on how it is cut");
                }
                read_headers(&message);
                rest = &rest[length..];
            }
            Err(error) => {
                let cut = Message::read(&rest[..rest.len() - 1]);
                assert!(matches!(cut, Ok(None)) || cut == Err(error), "{cut:?}");
                return;
            }
        }
    }
}

fn read_headers(message: &Message<'_>) {
    let Ok(headers) = message.headers() else {
        return;
    };
    let mut written = Vec::new();
    for (name, value) in headers {
        let Ok(name) = std::str::from_utf8(name) else {
            return;
        };
        write_header(name, value, &mut written);
    }
    assert_eq!(written, message.headers, "written anew they are others");
}

#[derive(Debug, PartialEq)]
struct Went {
    out: Vec<u8>,
    ended: Result<(), EventError>,
}

impl Went {
    fn through(verifying: EventChain, signing: EventChain, pieces: &[&[u8]]) -> Self {
        let mut events = Events::new(verifying, signing);
        let (mut out, mut ended) = (BytesMut::new(), Ok(()));
        for piece in pieces {
            ended = events.push(piece, now(), &mut out);
            let holds = usize::try_from(events.holds()).unwrap_or(usize::MAX);
            assert!(holds < MESSAGE_BYTES_MAX + piece.len(), "it holds too much");
            if ended.is_err() {
                break;
            }
        }
        Self {
            ended: ended.and_then(|()| events.finish()),
            out: out.to_vec(),
        }
    }
}

fn client() -> EventChain {
    let chain = seeds(Algorithm::Hmac).client.events();
    chain.expect("its events are signed")
}

fn ours() -> EventChain {
    let chain = seeds(Algorithm::Hmac).ours.events();
    chain.expect("its events are signed")
}

/// The frames with their checksums, and signed where there is a chain to sign them by.
fn whole(data: &[u8], mut chain: Option<EventChain>) -> Vec<u8> {
    let mut data = data.to_vec();
    let mut rest = data.as_mut_slice();
    while let Some(length) = make_whole(rest, chain.as_mut()) {
        rest = &mut rest[length..];
    }
    data
}

/// Makes the first frame whole; returns how long it is, if it is one.
fn make_whole(frame: &mut [u8], chain: Option<&mut EventChain>) -> Option<usize> {
    let (prelude, _) = frame.split_first_chunk_mut::<PRELUDE_BYTES>()?;
    let [t0, t1, t2, t3, h0, h1, h2, h3, ..] = *prelude;
    let (total, headers) = (number([t0, t1, t2, t3])?, number([h0, h1, h2, h3])?);
    let sum = crc(&prelude[..8]);
    prelude[8..].copy_from_slice(&sum);
    let payload_end = total.checked_sub(CRC_BYTES)?;
    let payload_at = PRELUDE_BYTES.checked_add(headers)?;
    if payload_at > payload_end || total > frame.len() {
        return None;
    }
    let (head, payload) = frame[PRELUDE_BYTES..payload_end].split_at_mut(headers);
    if let Some(chain) = chain {
        make_whole(payload, None);
        sign(head, payload, chain);
    }
    let sum = crc(&frame[..payload_end]);
    frame[payload_end..total].copy_from_slice(&sum);
    Some(total)
}

/// Puts the right signature in the place of 32 bytes `@`.
fn sign(headers: &mut [u8], payload: &[u8], chain: &mut EventChain) {
    let message = Message { headers, payload };
    let millis = message.headers().ok().and_then(|headers| {
        headers.iter().find_map(|(_, value)| match value {
            HeaderValue::Timestamp(millis) => u64::try_from(*millis).ok(),
            HeaderValue::Bytes(_) => None,
        })
    });
    let at = headers.windows(32).position(|bytes| bytes == [b'@'; 32]);
    let (Some(millis), Some(at)) = (millis, at) else {
        return;
    };
    let Some(date) = UNIX_EPOCH.checked_add(Duration::from_millis(millis)) else {
        return;
    };
    let mut dated = Vec::new();
    let millis = i64::try_from(millis).unwrap_or_default();
    write_header(":date", HeaderValue::Timestamp(millis), &mut dated);
    let Some(signature) = chain.next(date, &sha256_hex(&dated), &sha256_hex(payload)) else {
        return;
    };
    for (byte, digits) in headers[at..].iter_mut().zip(signature.as_bytes().chunks(2)) {
        let digits = std::str::from_utf8(digits).expect("hex digits");
        *byte = u8::from_str_radix(digits, 16).expect("hex digits");
    }
}

fn number(bytes: [u8; 4]) -> Option<usize> {
    usize::try_from(u32::from_be_bytes(bytes)).ok()
}

fn crc(bytes: &[u8]) -> [u8; 4] {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum().to_be_bytes()
}
