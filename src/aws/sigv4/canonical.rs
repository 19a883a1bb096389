//! The canonical request, from the bytes that the client sent.
//!
//! INVARIANT: nothing is lost: two requests have the same canonical form only if AWS reads them as the same request.
//! Percent-escapes are compared as bytes, so that `%FE` and `%FF` differ.
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html#create-canonical-request>

use http::HeaderMap;

use super::error::AuthError;
use crate::aws::catalog::model::Signature;
use crate::aws::head::Head;

/// Writes the canonical request: method, path, query, the signed headers, their names, and the payload's hash.
///
/// # Errors
/// [`AuthError::Malformed`] for a path that doesn't begin with `/`, a broken escape or an empty parameter in the
/// query; [`AuthError::AbsentHeader`] for a signed header that isn't there.
pub(super) fn request<N: AsRef<str>>(
    head: &Head<'_>,
    signed_headers: &[N],
    payload: &str,
    signature: Signature,
) -> Result<Vec<u8>, AuthError> {
    let mut out = Vec::with_capacity(1024);
    out.extend_from_slice(head.method.as_str().as_bytes());
    out.push(b'\n');
    if !head.path.starts_with('/') {
        return Err(AuthError::Malformed("the path does not begin with `/`"));
    }
    match signature {
        Signature::V4 => normalised_path(head.path, &mut out),
        Signature::S3v4 => path_as_it_is(head.path, &mut out),
    }
    out.push(b'\n');
    query(head.query.unwrap_or_default(), &mut out)?;
    out.push(b'\n');
    for name in signed_headers {
        header(name.as_ref(), head.headers, &mut out)?;
    }
    out.push(b'\n');
    for (at, name) in signed_headers.iter().enumerate() {
        if at > 0 {
            out.push(b';');
        }
        out.extend_from_slice(name.as_ref().as_bytes());
    }
    out.push(b'\n');
    out.extend_from_slice(payload.as_bytes());
    Ok(out)
}

/// Undoes percent-escapes, to bytes. A `+` stays one.
///
/// # Errors
/// [`AuthError::Malformed`] for a `%` that two hex digits don't follow.
pub(super) fn decode(text: &str) -> Result<Vec<u8>, AuthError> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let (high, low) = (bytes.next().and_then(nibble), bytes.next().and_then(nibble));
        let (Some(high), Some(low)) = (high, low) else {
            return Err(AuthError::Malformed(
                "the query has a `%` that two hex digits do not follow",
            ));
        };
        out.push(high << 4 | low);
    }
    Ok(out)
}

/// Dot segments removed (RFC 3986 section 5.2.4) and empty ones too, then everything but unreserved characters
/// encoded: an escape of the client's is encoded a second time.
fn normalised_path(raw: &str, out: &mut Vec<u8>) {
    let mut kept: Vec<&str> = Vec::new();
    for segment in raw.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(kept.pop()),
            other => kept.push(other),
        }
    }
    for segment in &kept {
        out.push(b'/');
        encode(segment.bytes(), out);
    }
    let open = ["/", "/.", "/.."].iter().any(|end| raw.ends_with(end));
    if open || kept.is_empty() {
        out.push(b'/');
    }
}

/// The client's own escapes, once, nothing normalised. Bytes that may not stand in a path at all are encoded.
fn path_as_it_is(raw: &str, out: &mut Vec<u8>) {
    for byte in raw.bytes() {
        if byte.is_ascii_graphic() {
            out.push(byte);
        } else {
            escape(byte, out);
        }
    }
}

/// Parameters decoded to bytes, encoded in one way, sorted by encoded name, then value; each with its `=`. A `+` is a
/// space, as AWS's services read it. A parameter without name and value is read in two ways, and refused.
fn query(raw: &str, out: &mut Vec<u8>) -> Result<(), AuthError> {
    if raw.is_empty() {
        return Ok(());
    }
    let mut parameters = Vec::new();
    for piece in raw.split('&') {
        if piece.is_empty() {
            return Err(AuthError::Malformed("the query has an empty parameter"));
        }
        let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
        parameters.push((encoded(name)?, encoded(value)?));
    }
    parameters.sort_unstable();
    for (at, (name, value)) in parameters.iter().enumerate() {
        if at > 0 {
            out.push(b'&');
        }
        out.extend_from_slice(name);
        out.push(b'=');
        out.extend_from_slice(value);
    }
    Ok(())
}

fn encoded(text: &str) -> Result<Vec<u8>, AuthError> {
    let mut out = Vec::with_capacity(text.len());
    if text.bytes().all(is_unreserved) {
        out.extend_from_slice(text.as_bytes());
        return Ok(out);
    }
    encode(decode(&text.replace('+', " "))?.into_iter(), &mut out);
    Ok(out)
}

/// `name:value\n`; spaces around a value are dropped and runs of them folded, values of a repeated header joined by
/// commas in their order.
fn header(name: &str, headers: &HeaderMap, out: &mut Vec<u8>) -> Result<(), AuthError> {
    out.extend_from_slice(name.as_bytes());
    let mut separator = b':';
    // The name would have to be read to be looked up; there are at most some dozens.
    for (_, value) in headers.iter().filter(|(own, _)| own.as_str() == name) {
        out.push(separator);
        folded(value.as_bytes(), out);
        separator = b',';
    }
    if separator == b':' {
        return Err(AuthError::AbsentHeader(name.to_owned()));
    }
    out.push(b'\n');
    Ok(())
}

fn folded(value: &[u8], out: &mut Vec<u8>) {
    if memchr::memchr(b' ', value).is_none() {
        return out.extend_from_slice(value);
    }
    let words = value.split(|b| *b == b' ').filter(|word| !word.is_empty());
    for (at, word) in words.enumerate() {
        if at > 0 {
            out.push(b' ');
        }
        out.extend_from_slice(word);
    }
}

fn encode(bytes: impl Iterator<Item = u8>, out: &mut Vec<u8>) {
    for byte in bytes {
        if is_unreserved(byte) {
            out.push(byte);
        } else {
            escape(byte, out);
        }
    }
}

fn escape(byte: u8, out: &mut Vec<u8>) {
    out.extend([b'%', digit(byte >> 4), digit(byte & 0xf)]);
}

const fn digit(nibble: u8) -> u8 {
    match nibble {
        0..=9 => b'0' + nibble,
        _ => b'A' + nibble - 10,
    }
}

const fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// RFC 3986 section 2.3.
const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue, Method};

    use super::*;
    use crate::aws::endpoint::Addressed;

    fn part(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn paths_are_normalised_and_encoded_twice() {
        for (raw, canonical) in [
            ("/", "/"),
            ("//", "/"),
            ("/.", "/"),
            ("/..", "/"),
            ("/../a", "/a"),
            ("/a/./b//c/../d", "/a/b/d"),
            ("/a/b/", "/a/b/"),
            ("/a/b/.", "/a/b/"),
            ("/a/b/..", "/a/"),
            ("/a/...", "/a/..."),
            ("/a%2Fb", "/a%252Fb"),
            ("/a%2fb", "/a%252fb"),
            ("/%2e%2e/a", "/%252e%252e/a"),
            ("/a:b@c+d", "/a%3Ab%40c%2Bd"),
            ("/\u{e9}", "/%C3%A9"),
        ] {
            assert_eq!(part(|out| normalised_path(raw, out)), canonical, "{raw}");
        }
    }

    #[test]
    fn paths_of_s3_stay_as_they_are() {
        for raw in ["/", "//a/./b/..", "/a%2fb", "/a%2Fb", "/a:b@c+d", "/%2e"] {
            assert_eq!(part(|out| path_as_it_is(raw, out)), raw);
        }
        assert_eq!(part(|out| path_as_it_is("/\u{e9} ", out)), "/%C3%A9%20");
    }

    #[test]
    fn queries_are_decoded_encoded_and_sorted() {
        for (raw, canonical) in [
            ("", ""),
            ("b=2&a=1", "a=1&b=2"),
            ("a=2&a=1", "a=1&a=2"),
            ("a", "a="),
            ("=b", "=b"),
            ("a=b=c", "a=b%3Dc"),
            ("%61=%7e", "a=~"),
            ("a=%2f%2F/", "a=%2F%2F%2F"),
            ("a=b+c%20d%2Be", "a=b%20c%20d%2Be"),
            ("a-b=1&a=2&A=3&a%21=4", "A=3&a=2&a%21=4&a-b=1"),
            ("a=%FF&b=%FE", "a=%FF&b=%FE"),
            ("\u{1234}=%00", "%E1%88%B4=%00"),
        ] {
            assert_eq!(part(|out| query(raw, out).unwrap()), canonical, "{raw}");
        }
    }

    #[test]
    fn queries_that_are_read_in_two_ways_are_refused() {
        for raw in [
            "&", "a=1&", "&a=1", "a=1&&b=2", "%", "a=%4", "a=%4g", "%zz=1",
        ] {
            assert!(
                matches!(query(raw, &mut Vec::new()), Err(AuthError::Malformed(_))),
                "{raw}"
            );
        }
    }

    #[test]
    fn headers_are_folded_and_joined_in_order() {
        let mut headers = HeaderMap::new();
        let name = HeaderName::from_static("x-a");
        for value in [&b"  b   a "[..], b"", b"\xff\xfe  \tz"] {
            headers.append(&name, HeaderValue::from_bytes(value).unwrap());
        }
        let mut out = Vec::new();
        header("x-a", &headers, &mut out).unwrap();
        assert_eq!(out, b"x-a:b a,,\xff\xfe \tz\n");
        assert_eq!(
            header("x-b", &headers, &mut out),
            Err(AuthError::AbsentHeader("x-b".into()))
        );
    }

    #[test]
    fn only_paths_from_the_root_have_a_canonical_form() {
        let headers = HeaderMap::new();
        for path in ["", "*", "a/b", "https://example.com/"] {
            let head = Head {
                method: &Method::GET,
                path,
                query: None,
                headers: &headers,
                addressed: &Addressed::Service,
            };
            assert!(matches!(
                request::<&str>(&head, &[], "", Signature::V4),
                Err(AuthError::Malformed(_))
            ));
        }
    }
}
