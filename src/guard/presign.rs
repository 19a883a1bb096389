//! Presigned URLs: what is asked for, and the request that such a URL makes.
//!
//! INVARIANT: what is judged is what is presigned: the signature covers method, host, path and the whole query.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use http::header::HOST;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Uri};

use super::call::Call;
use super::token::Minted;
use crate::aws::catalog::model::{Operation, Service, Signature};
use crate::aws::endpoint::{Addressed, Endpoint};
use crate::aws::head::Head;
use crate::aws::host::Host;
use crate::aws::sigv4::{
    Algorithm, AuthError, Lifted, Over, SignError, Unsigned, lift_all, presign, sha256_hex,
    unsigned_query,
};
use crate::aws::value::{Object, Value};

/// Seven days, which is AWS's own bound.
const EXPIRES_SECONDS: std::ops::RangeInclusive<i64> = 1..=604_800;

/// What a `palisade:PresignUrl` asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presigning {
    method: Method,
    host: Host,
    path: String,
    /// Without what authenticates.
    query: String,
    expires: Duration,
}

/// Why there is no URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PresignError {
    #[error("`{parameter}` {problem}")]
    Invalid {
        parameter: &'static str,
        problem: String,
    },
    #[error(
        "`{action}` is of class `{class}`: a URL that makes such a call could be used again, later and by others, and nobody would judge it then; make the call itself"
    )]
    Guarded { action: String, class: String },
    #[error(
        "what `{action}` does stands in its body, which a URL leaves open; make the call itself"
    )]
    Body { action: String },
    #[error("`{action}` is answered by the guard alone: no URL makes it at AWS")]
    Answered { action: String },
    #[error("the URL is of partition `{found}`, the guard was asked in `{asked}`")]
    Partition { found: String, asked: String },
}

impl Presigning {
    /// Reads what is asked for. A URL that is presigned already, with a virtual key say, is taken without its signature.
    ///
    /// # Errors
    /// [`PresignError::Invalid`].
    pub fn of(input: &Object) -> Result<Self, PresignError> {
        let invalid = |parameter, problem: &str| PresignError::Invalid {
            parameter,
            problem: problem.to_owned(),
        };
        let text = |parameter| {
            let text = input.get(parameter).and_then(Value::as_str);
            text.ok_or_else(|| invalid(parameter, "is missing, or no text"))
        };
        let method = match text("Method")? {
            "GET" => Method::GET,
            "HEAD" => Method::HEAD,
            "PUT" => Method::PUT,
            "POST" => Method::POST,
            "DELETE" => Method::DELETE,
            _ => return Err(invalid("Method", "must be GET, HEAD, PUT, POST or DELETE")),
        };
        let url = text("Url")?;
        let bad_url = |problem: &str| invalid("Url", problem);
        let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
        if !scheme.eq_ignore_ascii_case("https") {
            return Err(bad_url("must begin with `https://`"));
        }
        let (authority, target) = match rest.find(['/', '?', '#']) {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        if target.contains('#') {
            return Err(bad_url("must have no fragment"));
        }
        let name = authority.strip_suffix(":443").unwrap_or(authority);
        let host = Host::parse(name).map_err(|e| bad_url(&format!("has no host of AWS's: {e}")))?;
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let path = if path.is_empty() { "/" } else { path };
        let query = unsigned_query(query).map_err(|e: AuthError| bad_url(&e.to_string()))?;
        let expires = input.get("Expires").and_then(Value::as_i64);
        let expires = expires.filter(|seconds| EXPIRES_SECONDS.contains(seconds));
        let expires = expires.and_then(|seconds| u64::try_from(seconds).ok());
        let expires =
            expires.ok_or_else(|| invalid("Expires", "must be 1 to 604800, in seconds"))?;
        let asked = Self {
            method,
            host,
            path: path.to_owned(),
            query,
            expires: Duration::from_secs(expires),
        };
        asked.request()?;
        Ok(asked)
    }

    /// Holds that a call which was judged without a body is the one that the URL makes. A URL of S3's is good for any body.
    ///
    /// # Errors
    /// [`PresignError::Guarded`] where the call is guarded, [`PresignError::Body`] where its body could make it so.
    pub fn may_be_had(
        service: &Service,
        operation: &Operation,
        call: &Call,
    ) -> Result<(), PresignError> {
        let action = call.action.to_string();
        if call.class.is_guarded() {
            let class = call.class.as_str().to_owned();
            return Err(PresignError::Guarded { action, class });
        }
        if service.signature == Signature::S3v4 && service.is_told_by_body(operation) {
            return Err(PresignError::Body { action });
        }
        Ok(())
    }

    /// Where the URL leads.
    #[must_use]
    pub const fn host(&self) -> &Host {
        &self.host
    }

    /// The request that the URL makes, as AWS reads it: unsigned, with parameters that are headers among the headers.
    ///
    /// # Errors
    /// [`PresignError::Invalid`] where the URL is none.
    pub fn request(&self) -> Result<Parts, PresignError> {
        let target = match self.query.as_str() {
            "" => self.path.clone(),
            query => format!("{}?{query}", self.path),
        };
        let invalid = |problem: String| PresignError::Invalid {
            parameter: "Url",
            problem,
        };
        let parse = |target: &str| {
            let parsed: Result<Uri, _> = target.parse();
            parsed.map_err(|e| invalid(format!("can't be read: {e}")))
        };
        let host = HeaderValue::from_str(self.host.as_str());
        let host = host.map_err(|e| invalid(format!("has a host that can't be sent: {e}")))?;
        let mut request = Request::new(());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = parse(&target)?;
        request.headers_mut().insert(HOST, host);
        let (mut parts, ()) = request.into_parts();
        let lifted = lift_all(&Head {
            method: &parts.method,
            path: parts.uri.path(),
            query: parts.uri.query(),
            headers: &parts.headers,
            addressed: &Addressed::Service,
        });
        let Lifted { query, headers } = lifted.map_err(|e| invalid(e.to_string()))?;
        let target = query.map_or_else(
            || self.path.clone(),
            |query| format!("{}?{query}", self.path),
        );
        parts.uri = parse(&target)?;
        parts.headers = headers;
        Ok(parts)
    }

    /// Makes the URL.
    ///
    /// # Errors
    /// [`SignError`].
    pub fn mint(
        &self,
        service: &Service,
        endpoint: &Endpoint,
        credentials: &Credentials,
        now: SystemTime,
    ) -> Result<Minted, SignError> {
        let over = Over {
            algorithm: Algorithm::Hmac,
            region: &endpoint.region,
            signing_name: endpoint.signing_name(service),
            signature: service.signature,
        };
        let (nothing, headers) = (sha256_hex(b""), HeaderMap::new());
        let request = Unsigned {
            method: &self.method,
            host: self.host.as_str(),
            path: &self.path,
            query: Some(&self.query)
                .filter(|query| !query.is_empty())
                .map(String::as_str),
            headers: &headers,
            payload: match service.signature {
                Signature::S3v4 => "UNSIGNED-PAYLOAD",
                Signature::V4 => &nothing,
            },
        };
        let query = presign(request, credentials, over, now, self.expires)?;
        let (host, path) = (&self.host, &self.path);
        Ok(Minted {
            token: format!("https://{host}{path}?{query}"),
            expires: now + self.expires,
        })
    }
}

#[cfg(test)]
mod tests;
