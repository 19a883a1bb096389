//! Signs requests of our own making: a call that a protocol has put on the wire, addressed to its host.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use http::header::HOST;
use http::{HeaderMap, Request, Uri};

use super::payload::sha256_hex;
use super::sign::{Over, SignError, Unsigned, sign_over, value};
use crate::aws::protocol::WireRequest;

/// The whole request: with its `Host`, and signed over its body's hash. Its target is in origin form; nothing of what it
/// says of its sender is signed, so that a `User-Agent` can be added.
///
/// # Errors
/// [`SignError`]; nothing was signed.
pub fn signed(
    wire: WireRequest,
    host: &str,
    credentials: &Credentials,
    over: Over<'_>,
    now: SystemTime,
) -> Result<Request<Vec<u8>>, SignError> {
    let (path, query) = match wire.path_and_query.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (wire.path_and_query.as_str(), None),
    };
    let unsigned = Unsigned {
        method: &wire.method,
        host,
        path,
        query,
        headers: &wire.headers,
        payload: &sha256_hex(&wire.body),
    };
    let (added, _) = sign_over(unsigned, credentials, over, now)?;
    let uri = Uri::try_from(wire.path_and_query).map_err(|_| SignError::Path)?;
    let mut headers = HeaderMap::new();
    headers.insert(HOST, value(host)?);
    headers.extend(wire.headers);
    headers.extend(added);
    let mut request = Request::new(wire.body);
    *request.method_mut() = wire.method;
    *request.uri_mut() = uri;
    *request.headers_mut() = headers;
    Ok(request)
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, Method};

    use super::*;
    use crate::aws::catalog::model::Signature;
    use crate::aws::endpoint::Addressed;
    use crate::aws::head::Head;
    use crate::aws::sigv4::{Authorization, verify};

    #[test]
    fn what_is_written_and_signed_verifies_as_it_stands() {
        let wire = WireRequest {
            method: Method::POST,
            path_and_query: "/a?b=c".to_owned(),
            headers: [(http::header::CONTENT_TYPE, HeaderValue::from_static("x"))]
                .into_iter()
                .collect(),
            body: b"body".to_vec(),
        };
        let credentials = Credentials::new("AKID", "secret", None, None, "test");
        let over = Over::hmac("eu-west-1", "sts", Signature::V4);
        let now = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_440_938_160);
        let request = signed(wire, "sts.example", &credentials, over, now).unwrap();
        let head = Head {
            method: request.method(),
            path: request.uri().path(),
            query: request.uri().query(),
            headers: request.headers(),
            addressed: &Addressed::Service,
        };
        let auth = Authorization::of(&head).unwrap();
        assert!(["content-type", "host"].iter().all(|name| auth.signs(name)));
        let verified = |body: &[u8]| {
            verify(
                &auth,
                &head,
                &sha256_hex(body),
                "secret",
                now,
                Signature::V4,
            )
        };
        assert_eq!(verified(request.body()), Ok(()));
        assert!(verified(b"other").is_err());
    }
}
