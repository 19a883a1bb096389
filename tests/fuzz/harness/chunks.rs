//! Bodies in aws-chunked framing, signed and not.
//!
//! An input is the headers that declare the framing, an empty line, and the body. `@` in the place of a signature,
//! `chunk-signature=@` or `x-amz-trailer-signature:@`, stands for the right one.

use bytes::BytesMut;
use http::{HeaderName, HeaderValue};
use palisade::aws::sigv4::chain::{ChunkChain, Piece};
use palisade::aws::sigv4::chunked::{CHUNK_BYTES_MAX, ChunkError, Chunked, Framing, Trailer};
use palisade::aws::sigv4::{Algorithm, Declared, Seed, sha256_hex};

use super::{cuts, head_and_body, headers, seeds};

/// A body in chunks: read the same however it is cut, signed anew at the same length, the same data unwrapped.
pub fn read_chunks(data: &[u8]) {
    let Some((head, body)) = head_and_body(data) else {
        return;
    };
    let Some(headers) = headers(head.split('\n')) else {
        return;
    };
    let (algorithm, trailer) = match Declared::of(&headers) {
        Ok(Declared::StreamingUnsignedTrailer) => (None, Trailer::Announced),
        Ok(Declared::StreamingSigned { algorithm, trailer }) if trailer => {
            (Some(algorithm), Trailer::Announced)
        }
        Ok(Declared::StreamingSigned { algorithm, .. }) => (Some(algorithm), Trailer::Absent),
        Ok(_) | Err(_) => return,
    };
    let Ok(framing) = Framing::of(&headers, trailer) else {
        return;
    };
    match algorithm {
        None => unsigned(&framing, body),
        Some(algorithm) => signed(&framing, algorithm, body),
    }
}

fn unsigned(framing: &Framing, body: &[u8]) {
    let passed = || Chunked::passed(framing.clone());
    let went = however_cut(body, passed);
    let plain = however_cut(body, || Chunked::unwrapped(framing.clone(), None));
    holds(framing, body, &went, &plain);
    if went.ended.is_ok() {
        assert_eq!(went.out, body, "it goes on otherwise than it came");
        let broken = Went::through(passed(), &[&body[..body.len() - 1]]);
        let broken = Went::through(passed(), &[&broken.out]);
        assert!(broken.ended.is_err(), "it is whole before it has ended");
    }
}

fn signed(framing: &Framing, algorithm: Algorithm, body: &[u8]) {
    let seeds = seeds(algorithm);
    let body = &filled_in(body, &mut chain(&seeds.client));
    let resigned = || Chunked::resigned(framing.clone(), chain(&seeds.client), chain(&seeds.ours));
    let unwrapped = |seed| Chunked::unwrapped(framing.clone(), Some(chain(seed)));
    let plain = however_cut(body, || unwrapped(&seeds.client));
    let went = match algorithm {
        Algorithm::Hmac => however_cut(body, resigned),
        // No two of its signatures are alike.
        Algorithm::Ecdsa => Went::through(resigned(), &[body]),
    };
    holds(framing, body, &went, &plain);
    if went.ended.is_ok() {
        let again = Went::through(unwrapped(&seeds.ours), &[&went.out]);
        assert_eq!(again, plain, "signed anew it holds something else");
        let broken = Went::through(resigned(), &[&body[..body.len() - 1]]);
        let broken = Went::through(unwrapped(&seeds.ours), &[&broken.out]);
        assert!(broken.ended.is_err(), "it is whole before it has ended");
    }
}

fn holds(framing: &Framing, body: &[u8], went: &Went, plain: &Went) {
    assert_eq!(went.ended, plain.ended, "it depends on where it goes");
    assert_eq!(went.trailers, plain.trailers);
    if went.ended.is_ok() {
        assert_eq!(went.out.len(), body.len(), "its length has changed");
        assert_eq!(plain.out.len() as u64, framing.length());
    }
}

fn chain(seed: &Seed) -> ChunkChain {
    seed.chunks().expect("a key that can be derived")
}

/// What became of a body.
#[derive(Debug, PartialEq)]
struct Went {
    out: Vec<u8>,
    trailers: Vec<(HeaderName, HeaderValue)>,
    ended: Result<(), ChunkError>,
}

impl Went {
    fn through(mut chunked: Chunked, pieces: &[&[u8]]) -> Self {
        let (mut out, mut came, mut ended) = (BytesMut::new(), 0, Ok(()));
        for piece in pieces {
            ended = chunked.push(piece, &mut out);
            came += piece.len();
            assert!(out.len() <= came, "more goes on than came");
            assert!(chunked.holds() <= CHUNK_BYTES_MAX, "it holds too much");
            if ended.is_err() {
                break;
            }
        }
        Self {
            ended: ended.and_then(|()| chunked.finish()),
            out: out.to_vec(),
            trailers: chunked.into_trailers(),
        }
    }
}

fn however_cut(body: &[u8], chunked: impl Fn() -> Chunked) -> Went {
    let [whole, one_by_one, pieces] = cuts(body).map(|cut| Went::through(chunked(), &cut));
    assert_eq!(whole, one_by_one, "it depends on how it is cut");
    assert_eq!(whole, pieces, "it depends on how it is cut");
    whole
}

/// The body with the right signature wherever `@` stands for one.
fn filled_in(body: &[u8], chain: &mut ChunkChain) -> Vec<u8> {
    let (mut out, mut rest, mut trailers) = (Vec::new(), body, String::new());
    while let Some(end) = rest.iter().position(|b| *b == b'\n') {
        let (line, after) = rest.split_at(end + 1);
        rest = after;
        let text = std::str::from_utf8(line).unwrap_or_default();
        let bare = text.trim_end_matches(['\r', '\n']);
        let mut data = &[][..];
        let signature = if let Some(size) = bare.strip_suffix(";chunk-signature=@") {
            let size = usize::from_str_radix(size, 16).unwrap_or(0);
            (data, rest) = rest.split_at(size.min(rest.len()));
            chain.sign(Piece::Chunk(&sha256_hex(data)))
        } else if bare.eq_ignore_ascii_case("x-amz-trailer-signature:@") {
            chain.sign(Piece::Trailers(&trailers))
        } else {
            if let Some((name, value)) = bare.split_once(':') {
                let (name, value) = (name.to_ascii_lowercase(), value.trim_matches(' '));
                trailers.push_str(&format!("{name}:{value}\n"));
            }
            out.extend_from_slice(line);
            continue;
        };
        let signature = signature.expect("a key that can be derived");
        let (unsigned, end) = line.split_at(bare.len());
        out.extend_from_slice(&unsigned[..bare.len() - 1]);
        out.extend_from_slice(signature.as_bytes());
        out.extend_from_slice(end);
        out.extend_from_slice(data);
    }
    out.extend_from_slice(rest);
    out
}
