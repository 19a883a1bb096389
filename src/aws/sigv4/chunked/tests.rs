use super::*;
use crate::aws::sigv4::authorization::{Algorithm, Scope};
use crate::aws::sigv4::chain::Seed;
use crate::aws::sigv4::date::Instant;
use crate::aws::sigv4::payload::sha256_hex;

const CRC: &str = "x-amz-checksum-crc32c";

fn seed(algorithm: Algorithm, secret: &str) -> Seed {
    let scope = Scope {
        algorithm,
        date: "20130524".to_owned(),
        region: "us-east-1".to_owned(),
        service: "s3".to_owned(),
    };
    let at = Instant::parse_iso("20130524T000000Z").unwrap();
    Seed::new(
        "PALISADETEST".to_owned(),
        secret,
        scope,
        at,
        "0a".repeat(32),
    )
}

fn chain(algorithm: Algorithm, secret: &str) -> ChunkChain {
    seed(algorithm, secret).chunks().unwrap()
}

fn framing(length: usize, trailers: &[&str]) -> Framing {
    Framing {
        length: length as u64,
        trailers: trailers.iter().map(|&t| t.to_owned()).collect(),
    }
}

/// A body in chunks of that size, as an SDK writes it.
fn body(data: &[u8], size: usize, chain: Option<ChunkChain>, trailer: Option<&str>) -> Vec<u8> {
    let mut chain = chain;
    let mut out = Vec::new();
    let empty: &[u8] = &[];
    for chunk in data.chunks(size).chain([empty]) {
        out.extend(format!("{:x}", chunk.len()).into_bytes());
        if let Some(chain) = &mut chain {
            let signature = chain.sign(Piece::Chunk(&sha256_hex(chunk))).unwrap();
            out.extend(format!(";chunk-signature={signature}").into_bytes());
        }
        out.extend(b"\r\n");
        if !chunk.is_empty() {
            out.extend(chunk);
            out.extend(b"\r\n");
        }
    }
    if let Some(value) = trailer {
        out.extend(format!("{CRC}:{value}\r\n").into_bytes());
        if let Some(chain) = &mut chain {
            let canonical = format!("{CRC}:{value}\n");
            let signature = chain.sign(Piece::Trailers(&canonical)).unwrap();
            out.extend(format!("x-amz-trailer-signature:{signature}\r\n").into_bytes());
        }
    }
    out.extend(b"\r\n");
    out
}

/// Reads a body however it is cut, which may make no difference.
fn read(make: impl Fn() -> Chunked, body: &[u8]) -> Result<Vec<u8>, ChunkError> {
    let mut seen: Option<Result<Vec<u8>, ChunkError>> = None;
    for size in [1, 3, 17, 1000, body.len().max(1)] {
        let mut chunked = make();
        let mut out = BytesMut::new();
        let mut pieces = body.chunks(size);
        let read = pieces
            .try_for_each(|piece| chunked.push(piece, &mut out))
            .and_then(|()| chunked.finish())
            .map(|()| out.to_vec());
        assert!(seen.as_ref().is_none_or(|seen| *seen == read), "{size}");
        seen = Some(read);
    }
    seen.unwrap()
}

fn data() -> Vec<u8> {
    (0..20_000_u32).map(|n| n.to_le_bytes()[0]).collect()
}

#[test]
fn what_nobody_signs_goes_on_byte_for_byte() {
    let data = data();
    let body = body(&data, 8192, None, Some("sOO8/Q=="));
    let make =
        |onward: fn() -> Onward| move || Chunked::new(framing(20_000, &[CRC]), None, onward());
    assert_eq!(read(make(|| Onward::Unsigned), &body).as_ref(), Ok(&body));
    assert_eq!(read(make(|| Onward::Unwrapped), &body), Ok(data));
}

#[test]
fn signed_chunks_are_verified_and_signed_anew() {
    let data = data();
    for trailer in [None, Some("sOO8/Q==")] {
        let names: &[&str] = if trailer.is_some() { &[CRC] } else { &[] };
        let one = |secret| Some(chain(Algorithm::Hmac, secret));
        let client = body(&data, 8192, one("client"), trailer);
        let upstream = body(&data, 8192, one("upstream"), trailer);
        assert_eq!(client.len(), upstream.len());
        let make = |onward: fn() -> Onward| {
            move || {
                let verifying = Some(chain(Algorithm::Hmac, "client"));
                Chunked::new(framing(20_000, names), verifying, onward())
            }
        };
        let signed = || Onward::Signed(chain(Algorithm::Hmac, "upstream"));
        assert_eq!(read(make(signed), &client), Ok(upstream.clone()));
        assert_eq!(read(make(|| Onward::Unwrapped), &client), Ok(data.clone()));
        assert_eq!(read(make(signed), &upstream), Err(ChunkError::Signature));
    }
}

#[test]
fn version_4a_chunks_keep_their_length() {
    let data = data();
    let client = body(
        &data,
        8192,
        Some(chain(Algorithm::Ecdsa, "client")),
        Some("x"),
    );
    let through = |verifying, onward, body: &[u8]| {
        let mut chunked = Chunked::new(framing(20_000, &[CRC]), Some(verifying), onward);
        let mut out = BytesMut::new();
        chunked.push(body, &mut out)?;
        chunked.finish()?;
        Ok::<_, ChunkError>(out.to_vec())
    };
    let [ours, theirs] = ["client", "upstream"].map(|s| move || chain(Algorithm::Ecdsa, s));
    let sent = through(ours(), Onward::Signed(theirs()), &client).unwrap();
    assert_eq!(sent.len(), client.len());
    assert_eq!(through(theirs(), Onward::Unwrapped, &sent), Ok(data));
    assert_eq!(
        through(ours(), Onward::Unwrapped, &sent),
        Err(ChunkError::Signature)
    );
}

#[test]
fn nothing_of_a_chunk_goes_on_before_it_is_verified() {
    let client = chain(Algorithm::Hmac, "client");
    let mut body = body(&data(), 8192, Some(client), None);
    let head = "2000;chunk-signature=\r\n".len() + 64;
    let (first, rest) = body.split_at_mut(head + 8192 + 2);
    rest[8000] ^= 1;
    let mut chunked = Chunked::new(
        framing(20_000, &[]),
        Some(chain(Algorithm::Hmac, "client")),
        Onward::Signed(chain(Algorithm::Hmac, "upstream")),
    );
    let mut out = BytesMut::new();
    chunked.push(first, &mut out).unwrap();
    let before = out.len();
    assert_eq!(before, first.len());
    assert_eq!(chunked.push(&rest[..8192], &mut out), Ok(()));
    assert!(chunked.holds() >= 8000);
    let wrong = chunked.push(&rest[8192..], &mut out);
    assert_eq!(wrong, Err(ChunkError::Signature));
    assert_eq!(out.len(), before);
}

#[test]
fn what_is_not_right_to_the_end_is_never_sent_to_the_end() {
    let data = data();
    let whole = body(&data, 8192, None, Some("sOO8/Q=="));
    let make = || Chunked::new(framing(20_000, &[CRC]), None, Onward::Unsigned);
    for cut in [0, 1, 9000, whole.len() - 2, whole.len() - 1] {
        let error = read(make, &whole[..cut]).unwrap_err();
        assert_eq!(error, ChunkError::BrokenOff, "{cut}");
    }
    // Until the very last line nothing of the last chunk is sent on.
    let mut out = BytesMut::new();
    make().push(&whole[..whole.len() - 1], &mut out).unwrap();
    assert!(whole.starts_with(&out) && out.ends_with(b"\r\n"));
    assert_eq!(out.len(), 3 * 8 - 1 + 20_000);
}

#[test]
fn the_declared_length_is_the_length() {
    let body = body(&data(), 8192, None, None);
    for length in [0, 19_999, 20_001] {
        let make = || Chunked::new(framing(length, &[]), None, Onward::Unsigned);
        let declared = length as u64;
        assert_eq!(read(make, &body), Err(ChunkError::Length { declared }));
    }
}

#[test]
fn odd_framing_is_refused() {
    let unsigned = || Chunked::new(framing(3, &[]), None, Onward::Unsigned);
    assert_eq!(
        read(unsigned, b"3\r\nabc\r\n0\r\n\r\n").unwrap(),
        b"3\r\nabc\r\n0\r\n\r\n"
    );
    assert!(read(unsigned, b"0003\r\nabc\r\n00\r\n\r\n").is_ok());
    let long = format!("{}3\r\nabc\r\n0\r\n\r\n", "0".repeat(2000));
    for odd in [
        "3\nabc\n0\n\n",
        "3\r\nabc\n0\r\n\r\n",
        "3\r\nabcd\r\n0\r\n\r\n",
        "3;a=b\r\nabc\r\n0\r\n\r\n",
        "3;chunk-signature=00\r\nabc\r\n0\r\n\r\n",
        "+3\r\nabc\r\n0\r\n\r\n",
        "0x3\r\nabc\r\n0\r\n\r\n",
        " 3\r\nabc\r\n0\r\n\r\n",
        "\r\nabc\r\n0\r\n\r\n",
        "10000000000000003\r\nabc\r\n0\r\n\r\n",
        "3\r\nabc\r\n0\r\n\r\n\r\n",
        "3\r\nabc\r\n0\r\n\r\n0\r\n\r\n",
        "3\r\nabc\r\n0\r\nx-amz-checksum-crc32c:x\r\n\r\n",
        "3\r\nabc\r\n0\r\nx-amz-trailer-signature:00\r\n\r\n",
        "3\r\nabc\r\n0\r\nodd\r\n\r\n",
        "3\r\nabc\r\n0\r\n\u{e9}:1\r\n\r\n",
        &long,
    ] {
        assert!(read(unsigned, odd.as_bytes()).is_err(), "{odd:?}");
    }
    let signed = || {
        let verifying = Some(chain(Algorithm::Hmac, "client"));
        Chunked::new(framing(1 << 40, &[]), verifying, Onward::Unwrapped)
    };
    let head = |size: u64| format!("{size:x};chunk-signature={}\r\n", "0".repeat(64));
    let mut out = BytesMut::new();
    let fits = signed().push(head(CHUNK_BYTES_MAX).as_bytes(), &mut out);
    assert_eq!(fits, Ok(()));
    let max = CHUNK_BYTES_MAX;
    let large = signed().push(head(max + 1).as_bytes(), &mut out);
    assert_eq!(large, Err(ChunkError::TooLarge { max }));
    for odd in [
        "3\r\n",
        "3;\r\n",
        "3;signature=00\r\n",
        "3;chunk-signature\r\n",
    ] {
        assert!(signed().push(odd.as_bytes(), &mut out).is_err(), "{odd:?}");
    }
}

#[test]
fn trailers_are_those_that_were_announced() {
    let sha = "x-amz-checksum-sha256";
    let make = |names: &'static [&'static str]| {
        move || Chunked::new(framing(0, names), None, Onward::Unsigned)
    };
    let two = &[CRC, "x-amz-checksum-sha256"];
    let good = format!("0\r\n{CRC}:a\r\n{sha}: b\r\n\r\n");
    assert_eq!(read(make(two), good.as_bytes()).unwrap(), good.as_bytes());
    for odd in [
        format!("0\r\n{CRC}:a\r\n\r\n"),
        format!("0\r\n{sha}:a\r\n{CRC}:b\r\n\r\n"),
        format!("0\r\n{CRC}:a\r\n{CRC}:a\r\n{sha}:b\r\n\r\n"),
        format!("0\r\n{CRC}:a\r\n{sha}:b\r\n{sha}:b\r\n\r\n"),
        format!("0\r\n{CRC}:a\r\n{sha}:b\r\nx-amz-acl:c\r\n\r\n"),
        "0\r\n\r\n".to_owned(),
    ] {
        let error = read(make(two), odd.as_bytes()).unwrap_err();
        assert!(matches!(error, ChunkError::Trailers(_)), "{odd:?}: {error}");
    }
    let signed = || {
        let verifying = Some(chain(Algorithm::Hmac, "client"));
        Chunked::new(framing(0, &[CRC]), verifying, Onward::Unwrapped)
    };
    let body = body(b"", 1, Some(chain(Algorithm::Hmac, "client")), Some("a"));
    let text = String::from_utf8(body).unwrap();
    assert_eq!(read(signed, text.as_bytes()), Ok(Vec::new()));
    let changed = text.replace(":a\r\n", ":b\r\n");
    assert_eq!(read(signed, changed.as_bytes()), Err(ChunkError::Signature));
    let (before, _) = text.split_once("x-amz-trailer-signature").unwrap();
    let unsigned = format!("{before}\r\n");
    let error = read(signed, unsigned.as_bytes()).unwrap_err();
    assert!(matches!(error, ChunkError::Trailers(_)));
    let mut chunked = signed();
    let mut out = BytesMut::new();
    chunked.push(text.as_bytes(), &mut out).unwrap();
    let trailers = chunked.into_trailers();
    assert_eq!(
        trailers,
        [(CRC.parse().unwrap(), HeaderValue::from_static("a"))]
    );
}

#[test]
fn the_head_says_how_a_body_is_framed() {
    let of = |headers: &[(&'static str, &'static str)], trailer| {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_static(value));
        }
        Framing::of(&map, trailer)
    };
    let length = ("x-amz-decoded-content-length", "20000");
    let names = (
        "x-amz-trailer",
        "X-Amz-Checksum-SHA256, x-amz-checksum-crc32c",
    );
    assert_eq!(of(&[length], Trailer::Absent), Ok(framing(20_000, &[])));
    assert_eq!(
        of(&[length, names], Trailer::Announced),
        Ok(framing(20_000, &[CRC, "x-amz-checksum-sha256"]))
    );
    assert!(of(&[], Trailer::Absent).is_err());
    assert!(of(&[length, length], Trailer::Absent).is_err());
    assert!(of(&[("x-amz-decoded-content-length", "+1")], Trailer::Absent).is_err());
    assert!(of(&[length, names], Trailer::Absent).is_err());
    assert!(of(&[length], Trailer::Announced).is_err());
    for odd in ["", "x-amz-acl", "x-amz-checksum-a,x-amz-checksum-a"] {
        let odd = ("x-amz-trailer", odd);
        assert!(of(&[length, odd], Trailer::Announced).is_err(), "{odd:?}");
    }
}

#[test]
fn an_unwrapped_request_says_nothing_of_its_chunks() {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("content-encoding", "gzip, aws-chunked"),
        ("content-encoding", "aws-chunked"),
        ("x-amz-decoded-content-length", "5"),
        ("x-amz-trailer", CRC),
        ("x-amz-acl", "private"),
    ] {
        headers.append(name, HeaderValue::from_static(value));
    }
    unwrapped_headers(
        &mut headers,
        vec![(CRC.parse().unwrap(), HeaderValue::from_static("x"))],
    );
    let mut left: Vec<_> = headers
        .iter()
        .map(|(n, v)| (n.as_str(), v.to_str().unwrap()))
        .collect();
    left.sort_unstable();
    assert_eq!(
        left,
        [
            ("content-encoding", "gzip"),
            ("x-amz-acl", "private"),
            (CRC, "x")
        ]
    );
}
