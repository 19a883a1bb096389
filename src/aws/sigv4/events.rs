//! Signed event streams: each event stands in a frame with its date and its signature.
//!
//! INVARIANT: nothing of an event goes on before its signature is verified.
//! <https://docs.aws.amazon.com/transcribe/latest/dg/streaming-setting-up.html>

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::BytesMut;
use subtle::ConstantTimeEq;

use super::chain::EventChain;
use super::hex::{hex, unhex};
use super::payload::sha256_hex;
use super::verify::SKEW_SECONDS_MAX;
use crate::aws::event_stream::{FrameError, HeaderValue, Message, write_header};

const DATE: &str = ":date";
const SIGNATURE: &str = ":chunk-signature";

/// Why a stream isn't what its request declares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("an event of the stream has other headers than its date and its signature")]
    Headers,
    #[error(
        "the signature of an event does not match: check the secret access key and the signing method"
    )]
    Signature,
    #[error("an event was signed more than 5 minutes before or after now: set the client's clock")]
    Skewed,
    #[error("something follows the end of the event stream")]
    AfterEnd,
    #[error("the event stream broke off within an event")]
    BrokenOff,
}

/// Reads a signed event stream piece by piece, and signs it anew.
#[derive(Debug)]
pub struct Events {
    verifying: EventChain,
    signing: EventChain,
    /// An event that isn't whole yet.
    held: BytesMut,
    ended: bool,
}

impl Events {
    /// Verifies events by one chain and signs them by the other.
    #[must_use]
    pub fn new(verifying: EventChain, signing: EventChain) -> Self {
        Self {
            verifying,
            signing,
            held: BytesMut::new(),
            ended: false,
        }
    }

    /// Reads on at that time; what may be sent on is appended to `out`.
    ///
    /// # Errors
    /// [`EventError`]; nothing more may be sent from then on.
    pub fn push(
        &mut self,
        data: &[u8],
        now: SystemTime,
        out: &mut BytesMut,
    ) -> Result<(), EventError> {
        self.held.extend_from_slice(data);
        loop {
            if self.ended && !self.held.is_empty() {
                return Err(EventError::AfterEnd);
            }
            let Some((message, length)) = Message::read(&self.held)? else {
                return Ok(());
            };
            let signed = Signed::of(&message)?;
            signed.verify(&mut self.verifying, now)?;
            // The last one is empty; any other holds an event.
            self.ended = signed.event.is_empty();
            if !self.ended {
                match Message::read(signed.event)? {
                    Some((_, length)) if length == signed.event.len() => {}
                    Some(_) | None => return Err(FrameError::Lengths.into()),
                }
            }
            sign(signed.event, &mut self.signing, now, out)?;
            drop(self.held.split_to(length));
        }
    }

    /// The body has come to its end.
    ///
    /// # Errors
    /// [`EventError::BrokenOff`] within an event.
    pub fn finish(&self) -> Result<(), EventError> {
        if self.held.is_empty() {
            Ok(())
        } else {
            Err(EventError::BrokenOff)
        }
    }

    /// How many bytes are held.
    #[must_use]
    pub fn holds(&self) -> u64 {
        self.held.len() as u64
    }
}

/// An event in its frame.
struct Signed<'a> {
    /// Milliseconds since 1970.
    millis: i64,
    signature: &'a [u8],
    event: &'a [u8],
}

impl<'a> Signed<'a> {
    fn of(message: &Message<'a>) -> Result<Self, EventError> {
        let headers = message.headers().map_err(|_| EventError::Headers)?;
        let (date, signature) = match headers.as_slice() {
            [date, signature] if date.0 == DATE.as_bytes() => (date, signature),
            [signature, date] => (date, signature),
            _ => return Err(EventError::Headers),
        };
        let named = date.0 == DATE.as_bytes() && signature.0 == SIGNATURE.as_bytes();
        match (date.1, signature.1) {
            (HeaderValue::Timestamp(millis), HeaderValue::Bytes(signature)) if named => Ok(Self {
                millis,
                signature,
                event: message.payload,
            }),
            (HeaderValue::Timestamp(_) | HeaderValue::Bytes(_), _) => Err(EventError::Headers),
        }
    }

    fn verify(&self, chain: &mut EventChain, now: SystemTime) -> Result<(), EventError> {
        let millis = u64::try_from(self.millis).map_err(|_| EventError::Skewed)?;
        let at = UNIX_EPOCH
            .checked_add(Duration::from_millis(millis))
            .ok_or(EventError::Skewed)?;
        let apart = now.duration_since(at).or_else(|_| at.duration_since(now));
        if apart.is_ok_and(|apart| apart.as_secs() > SKEW_SECONDS_MAX) {
            return Err(EventError::Skewed);
        }
        let headers = date_header(self.millis);
        let expected = chain.next(at, &sha256_hex(&headers), &sha256_hex(self.event));
        let found = hex(self.signature);
        let agrees = expected
            .is_some_and(|expected| bool::from(expected.as_bytes().ct_eq(found.as_bytes())));
        match agrees {
            true => Ok(()),
            false => Err(EventError::Signature),
        }
    }
}

fn sign(
    event: &[u8],
    chain: &mut EventChain,
    now: SystemTime,
    out: &mut BytesMut,
) -> Result<(), EventError> {
    // Whole seconds: the text that is signed has no more.
    let seconds = now
        .duration_since(UNIX_EPOCH)
        .map_err(|_| EventError::Skewed)?;
    let millis = seconds.as_secs().checked_mul(1000);
    let millis = millis.and_then(|millis| i64::try_from(millis).ok());
    let millis = millis.ok_or(EventError::Skewed)?;
    let mut headers = date_header(millis);
    let signature = chain
        .next(now, &sha256_hex(&headers), &sha256_hex(event))
        .and_then(|signature| unhex(&signature))
        .ok_or(EventError::Skewed)?;
    write_header(SIGNATURE, HeaderValue::Bytes(&signature), &mut headers);
    let message = Message {
        headers: &headers,
        payload: event,
    };
    Ok(message.write(out)?)
}

fn date_header(millis: i64) -> Vec<u8> {
    let mut header = Vec::new();
    write_header(DATE, HeaderValue::Timestamp(millis), &mut header);
    header
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::sigv4::authorization::{Algorithm, Scope};
    use crate::aws::sigv4::chain::Seed;
    use crate::aws::sigv4::date::Instant;

    fn now() -> SystemTime {
        Instant::parse_iso("20130524T000000Z")
            .unwrap()
            .system_time()
    }

    fn chain(secret: &str) -> EventChain {
        let scope = Scope {
            algorithm: Algorithm::Hmac,
            date: "20130524".to_owned(),
            region: "us-east-1".to_owned(),
            service: "transcribe".to_owned(),
        };
        let at = Instant::of(now()).unwrap();
        Seed::new(
            "PALISADETEST".to_owned(),
            secret,
            scope,
            at,
            "0a".repeat(32),
        )
        .events()
        .unwrap()
    }

    fn event(payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        Message {
            headers: b"",
            payload,
        }
        .write(&mut out)
        .unwrap();
        out
    }

    fn stream(secret: &str, events: &[Vec<u8>], at: SystemTime) -> Vec<u8> {
        let mut chain = chain(secret);
        let mut out = BytesMut::new();
        for event in events {
            sign(event, &mut chain, at, &mut out).unwrap();
        }
        out.to_vec()
    }

    fn read(stream: &[u8], piece: usize) -> Result<Vec<u8>, EventError> {
        let mut events = Events::new(chain("client"), chain("upstream"));
        let mut out = BytesMut::new();
        for piece in stream.chunks(piece) {
            events.push(piece, now(), &mut out)?;
        }
        events.finish()?;
        Ok(out.to_vec())
    }

    #[test]
    fn events_are_verified_and_signed_anew_however_they_are_cut() {
        let events = [event(b"one"), event(&[7; 5000]), Vec::new()];
        let client = stream("client", &events, now());
        for piece in [1, 7, 100, client.len()] {
            let sent = read(&client, piece);
            assert_eq!(sent, Ok(stream("upstream", &events, now())), "{piece}");
        }
        let other = stream("upstream", &events, now());
        assert_eq!(read(&other, 64), Err(EventError::Signature));
    }

    /// The frame of the empty event at the end, as AWS's own signer writes it (aws-sigv4's `sign_empty_message` with
    /// these values is made of the same two headers, in this order).
    #[test]
    fn a_signed_frame_has_its_date_and_its_signature() {
        let bytes = stream("client", &[Vec::new()], now());
        let (message, _) = Message::read(&bytes).unwrap().unwrap();
        let headers = message.headers().unwrap();
        let names: Vec<&[u8]> = headers.iter().map(|h| h.0).collect();
        assert_eq!(names, [&b":date"[..], b":chunk-signature"]);
        assert!(matches!(headers[1].1, HeaderValue::Bytes(b) if b.len() == 32));
        assert!(message.payload.is_empty());
    }

    #[test]
    fn events_cannot_be_left_out_turned_or_repeated() {
        let events = [event(b"one"), event(b"two")];
        let client = stream("client", &events, now());
        let (_, length) = Message::read(&client).unwrap().unwrap();
        let (first, second) = client.split_at(length);
        for bad in [
            second.to_vec(),
            [second, first].concat(),
            [first, first].concat(),
        ] {
            assert_eq!(read(&bad, 64), Err(EventError::Signature));
        }
        assert!(read(first, 64).is_ok());
        assert_eq!(read(&client[..length + 5], 64), Err(EventError::BrokenOff));
    }

    #[test]
    fn nothing_follows_the_end() {
        let events = [event(b"one"), Vec::new(), event(b"two")];
        let client = stream("client", &events, now());
        assert_eq!(read(&client, client.len()), Err(EventError::AfterEnd));
    }

    #[test]
    fn stale_events_and_odd_frames_are_refused() {
        let late = now() + Duration::from_secs(301);
        let early = now() - Duration::from_secs(301);
        for at in [late, early] {
            let stale = stream("client", &[event(b"one")], at);
            assert_eq!(read(&stale, 64), Err(EventError::Skewed));
        }
        let edge = stream("client", &[event(b"one")], now() - Duration::from_secs(300));
        assert!(read(&edge, 64).is_ok());
        assert_eq!(read(&event(b"bare"), 64), Err(EventError::Headers));
        // Signed, and no event.
        let odd = stream("client", &[b"text".to_vec()], now());
        assert_eq!(read(&odd, 64), Err(EventError::Frame(FrameError::Lengths)));
        let two = [event(b"a"), event(b"b")].concat();
        let odd = stream("client", &[two], now());
        assert_eq!(read(&odd, 64), Err(EventError::Frame(FrameError::Lengths)));
    }
}
