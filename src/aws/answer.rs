//! Refusals in AWS's own error shapes, so that SDKs raise their own exception at the first attempt.
//!
//! INVARIANT: only [`Kind::Retry`] is answered so that an SDK sends again. Every answer carries the request id.
//! `Date` is the caller's to add: nothing here knows the time.

use std::sync::Arc;

use http::header::{CONNECTION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use crate::aws::catalog::model::{Protocol, Service, Signature};
use crate::aws::head::{Head, SMITHY_PROTOCOL, X_AMZ_TARGET, X_AMZN_QUERY_MODE};
use crate::aws::protocol::cbor::write_texts;
use crate::aws::protocol::json::write_string;
use crate::aws::protocol::xml::escaped;
use crate::aws::protocol::{Identified, JsonVersion, preferred};

/// A whole answer, ready to be written to a client.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    pub status: StatusCode,
    /// The error's code: `AccessDeniedException`.
    pub code: String,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

/// What a refusal tells the client; each has its status and code in each protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Denied: final.
    Denied,
    /// The request carries no signature.
    Unsigned,
    /// The access key isn't known.
    UnknownKey,
    /// The signature isn't the key's.
    BadSignature,
    /// The signature's time is too far from now. SDKs compare it with the answer's `Date`.
    Stale,
    /// The session of the key is over: SDKs get another one.
    Expired,
    /// Nothing was sent and it heals within a minute: the client may send again.
    Retry,
    /// Sent, and no answer came.
    OutcomeUnknown,
    /// The request can't be read. The connection closes after the answer.
    Malformed,
}

impl Kind {
    /// Every kind, for tests and tables.
    pub const ALL: [Kind; 9] = [
        Kind::Denied,
        Kind::Unsigned,
        Kind::UnknownKey,
        Kind::BadSignature,
        Kind::Stale,
        Kind::Expired,
        Kind::Retry,
        Kind::OutcomeUnknown,
        Kind::Malformed,
    ];
}

/// The family of an error's shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Format {
    /// The version is the one that the request asked in.
    AwsJson(JsonVersion),
    RestJson,
    RpcV2Cbor,
    RpcV2Json,
    /// The namespace is the service's, where its model has one.
    AwsQuery {
        namespace: Option<String>,
    },
    Ec2Query,
    RestXml {
        namespace: Option<String>,
    },
    /// Amazon S3's codes and ids. `bare`: without an element around the error.
    S3 {
        bare: bool,
    },
}

/// How one client wants its errors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    pub format: Format,
    /// The code with which the service says that access is denied, where it isn't the format's own.
    pub denied: Option<String>,
    /// The request said `x-amzn-query-mode: true`: the code goes into `x-amzn-query-error` as well.
    pub query_compatible: bool,
    /// The request was a HEAD: no body.
    pub bodiless: bool,
}

impl Shape {
    /// The shape for a request whose operation is known.
    #[must_use]
    pub fn of(identified: &Identified, head: &Head<'_>) -> Self {
        let version = identified.json_version().unwrap_or(JsonVersion::V1_0);
        let service = identified.service();
        let format = format(identified.protocol(), version, Some(service));
        Self::with(format, Some(service), head)
    }

    /// The best shape for a request that wasn't understood: by what it looks like, then by what the services behind
    /// the host speak. `candidates` may be empty.
    #[must_use]
    pub fn asked(candidates: &[Arc<Service>], head: &Head<'_>) -> Self {
        let text = |name: &HeaderName| head.headers.get(name).and_then(|v| v.to_str().ok());
        let content_type = text(&CONTENT_TYPE).unwrap_or_default().trim();
        let version = if content_type.starts_with(JsonVersion::V1_1.content_type()) {
            JsonVersion::V1_1
        } else {
            JsonVersion::V1_0
        };
        let service = candidates.first();
        let usual = service.and_then(|s| preferred(s).or(s.protocols.first().copied()));
        let speech = head.headers.get(SMITHY_PROTOCOL);
        let protocol = if speech.is_some_and(|v| v == "rpc-v2-json") {
            Protocol::RpcV2Json
        } else if speech.is_some() || content_type.starts_with("application/cbor") {
            Protocol::RpcV2Cbor
        } else if head.headers.contains_key(X_AMZ_TARGET)
            || content_type.starts_with("application/x-amz-json-")
        {
            Protocol::AwsJson
        } else if content_type.starts_with("application/x-www-form-urlencoded") {
            // Services without forms get some too: SDKs put a long query string of theirs into one.
            let spoken = service.and_then(|s| s.protocols.iter().find(|p| p.is_form()));
            spoken.copied().or(usual).unwrap_or(Protocol::AwsQuery)
        } else {
            usual.unwrap_or(Protocol::RestJson)
        };
        let service = service.map(Arc::as_ref);
        Self::with(format(protocol, version, service), service, head)
    }

    fn with(format: Format, service: Option<&Service>, head: &Head<'_>) -> Self {
        let mode = head.headers.get(X_AMZN_QUERY_MODE);
        Self {
            format,
            denied: service.and_then(|s| s.denied.clone()),
            query_compatible: mode.is_some_and(|v| v.as_bytes().eq_ignore_ascii_case(b"true")),
            bodiless: *head.method == Method::HEAD,
        }
    }
}

/// Makes a refusal. `message` is for the client; `request_id` is the decision's.
#[must_use]
pub fn refusal(shape: &Shape, kind: Kind, message: &str, request_id: &str) -> Answer {
    let (status, usual) = status_and_code(&shape.format, kind);
    let code = match (kind, &shape.denied) {
        (Kind::Denied, Some(own)) => own.as_str(),
        (_, _) => usual,
    };
    let message = lead(&shape.format, kind, message);
    let mut answer = Answer {
        status,
        code: code.to_owned(),
        headers: HeaderMap::new(),
        body: Vec::new(),
    };
    if !shape.bodiless {
        answer.body = body(&shape.format, code, kind, &message, request_id);
    }
    answer.put("content-type", content_type(&shape.format));
    answer.put("x-amzn-requestid", request_id);
    match &shape.format {
        Format::AwsJson(_) | Format::RestJson => answer.put("x-amzn-errortype", code),
        Format::RpcV2Cbor => answer.put("smithy-protocol", "rpc-v2-cbor"),
        Format::RpcV2Json => answer.put("smithy-protocol", "rpc-v2-json"),
        Format::S3 { .. } => {
            answer.put("x-amz-request-id", request_id);
            answer.put("x-amz-id-2", request_id);
        }
        Format::AwsQuery { .. } | Format::Ec2Query | Format::RestXml { .. } => {}
    }
    if shape.query_compatible {
        let query = Format::AwsQuery { namespace: None };
        let (_, code) = status_and_code(&query, kind);
        answer.put("x-amzn-query-error", &format!("{code};{}", fault(kind)));
    }
    if kind == Kind::Malformed {
        answer
            .headers
            .insert(CONNECTION, HeaderValue::from_static("close"));
    }
    answer
}

impl Answer {
    fn put(&mut self, name: &'static str, text: &str) {
        if let Ok(value) = HeaderValue::from_str(text) {
            self.headers.insert(HeaderName::from_static(name), value);
        }
    }
}

fn format(protocol: Protocol, version: JsonVersion, service: Option<&Service>) -> Format {
    let namespace = || service.and_then(|s| s.xml_namespace.clone());
    match protocol {
        Protocol::AwsJson => Format::AwsJson(version),
        Protocol::RestJson => Format::RestJson,
        Protocol::RpcV2Cbor => Format::RpcV2Cbor,
        Protocol::RpcV2Json => Format::RpcV2Json,
        Protocol::AwsQuery => Format::AwsQuery {
            namespace: namespace(),
        },
        Protocol::Ec2Query => Format::Ec2Query,
        Protocol::RestXml => match service {
            Some(s) if s.signature == Signature::S3v4 => Format::S3 {
                bare: s.bare_errors,
            },
            Some(_) | None => Format::RestXml {
                namespace: namespace(),
            },
        },
    }
}

/// The table: what each family answers to each kind. The query family's statuses and codes are those of AWS's
/// lists of common errors; `Throttling` is retried by SDKs at 400 only.
fn status_and_code(format: &Format, kind: Kind) -> (StatusCode, &'static str) {
    const BAD: StatusCode = StatusCode::BAD_REQUEST;
    const UNAUTHORIZED: StatusCode = StatusCode::UNAUTHORIZED;
    const FORBIDDEN: StatusCode = StatusCode::FORBIDDEN;
    const BUSY: StatusCode = StatusCode::SERVICE_UNAVAILABLE;
    // awsJson and Smithy's RPC v2 say 400 where restJson1 says 403.
    let rpc = match format {
        Format::AwsJson(_) | Format::RpcV2Cbor | Format::RpcV2Json => BAD,
        Format::RestJson
        | Format::AwsQuery { .. }
        | Format::Ec2Query
        | Format::RestXml { .. }
        | Format::S3 { .. } => FORBIDDEN,
    };
    match (format, kind) {
        (_, Kind::OutcomeUnknown) => (StatusCode::CONFLICT, "GuardOutcomeUnknown"),
        (Format::AwsJson(_) | Format::RestJson | Format::RpcV2Cbor | Format::RpcV2Json, kind) => {
            match kind {
                Kind::Denied => (rpc, "AccessDeniedException"),
                Kind::Unsigned => (rpc, "MissingAuthenticationTokenException"),
                Kind::UnknownKey => (rpc, "UnrecognizedClientException"),
                Kind::BadSignature | Kind::Stale => (rpc, "InvalidSignatureException"),
                Kind::Expired => (rpc, "ExpiredTokenException"),
                Kind::Retry if rpc == BAD => (BAD, "ThrottlingException"),
                Kind::Retry => (StatusCode::TOO_MANY_REQUESTS, "ThrottlingException"),
                Kind::Malformed => (BAD, "ValidationException"),
                Kind::OutcomeUnknown => (StatusCode::CONFLICT, "GuardOutcomeUnknown"),
            }
        }
        (Format::Ec2Query, Kind::Denied) => (FORBIDDEN, "UnauthorizedOperation"),
        (Format::Ec2Query, Kind::UnknownKey) => (UNAUTHORIZED, "AuthFailure"),
        // EC2 has no `ExpiredToken`.
        (Format::Ec2Query, Kind::Expired) => (BAD, "RequestExpired"),
        (Format::Ec2Query, Kind::Retry) => (BUSY, "RequestLimitExceeded"),
        (Format::S3 { .. }, Kind::Unsigned) => (FORBIDDEN, "AccessDenied"),
        (Format::S3 { .. }, Kind::UnknownKey) => (FORBIDDEN, "InvalidAccessKeyId"),
        (Format::S3 { .. }, Kind::Stale) => (FORBIDDEN, "RequestTimeTooSkewed"),
        (Format::S3 { .. }, Kind::Expired) => (BAD, "ExpiredToken"),
        (Format::S3 { .. }, Kind::Retry) => (BUSY, "SlowDown"),
        (Format::S3 { .. } | Format::Ec2Query, Kind::Malformed) => (BAD, "InvalidRequest"),
        (_, Kind::Denied) => (FORBIDDEN, "AccessDenied"),
        (_, Kind::Unsigned) => (FORBIDDEN, "MissingAuthenticationToken"),
        (_, Kind::UnknownKey) => (FORBIDDEN, "InvalidClientTokenId"),
        (_, Kind::BadSignature) => (FORBIDDEN, "SignatureDoesNotMatch"),
        (_, Kind::Stale) => (BAD, "RequestExpired"),
        (_, Kind::Expired) => (FORBIDDEN, "ExpiredToken"),
        (_, Kind::Retry) => (BAD, "Throttling"),
        (_, Kind::Malformed) => (BAD, "ValidationError"),
    }
}

/// The message. The JSON family tells a stale signature from a wrong one only by these words.
fn lead(format: &Format, kind: Kind, message: &str) -> String {
    match (format, kind) {
        (
            Format::AwsJson(_) | Format::RestJson | Format::RpcV2Cbor | Format::RpcV2Json,
            Kind::Stale,
        ) => format!("Signature expired: {message}"),
        (_, _) => message.to_owned(),
    }
}

const fn content_type(format: &Format) -> &'static str {
    match format {
        Format::AwsJson(version) => version.content_type(),
        Format::RestJson | Format::RpcV2Json => "application/json",
        Format::RpcV2Cbor => "application/cbor",
        Format::AwsQuery { .. } | Format::RestXml { .. } => "text/xml",
        Format::Ec2Query => "text/xml;charset=UTF-8",
        Format::S3 { .. } => "application/xml",
    }
}

const fn fault(kind: Kind) -> &'static str {
    match kind {
        Kind::Denied
        | Kind::Unsigned
        | Kind::UnknownKey
        | Kind::BadSignature
        | Kind::Stale
        | Kind::Expired
        | Kind::Malformed => "Sender",
        Kind::Retry | Kind::OutcomeUnknown => "Receiver",
    }
}

fn body(format: &Format, code: &str, kind: Kind, message: &str, request_id: &str) -> Vec<u8> {
    match format {
        Format::AwsJson(_) => json(&[("__type", code), ("message", message), ("Message", message)]),
        Format::RpcV2Json => json(&[("__type", code), ("message", message)]),
        Format::RestJson => json(&[("message", message), ("Message", message)]),
        Format::RpcV2Cbor => write_texts(&[("__type", code), ("message", message)]),
        Format::AwsQuery { namespace } | Format::RestXml { namespace } => {
            let xmlns = namespace.as_deref().map_or_else(String::new, |n| {
                format!(" xmlns=\"{}\"", escaped(n))
            });
            format!(
                "<ErrorResponse{xmlns}><Error><Type>{}</Type><Code>{code}</Code><Message>{}</Message></Error><RequestId>{}</RequestId></ErrorResponse>",
                fault(kind),
                escaped(message),
                escaped(request_id),
            )
            .into_bytes()
        }
        Format::Ec2Query => format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Errors><Error><Code>{code}</Code><Message>{}</Message></Error></Errors><RequestID>{}</RequestID></Response>",
            escaped(message),
            escaped(request_id),
        )
        .into_bytes(),
        Format::S3 { bare } => {
            let told = format!("<Code>{code}</Code><Message>{}</Message>", escaped(message));
            let ids = format!("<RequestId>{0}</RequestId><HostId>{0}</HostId>", escaped(request_id));
            let error = if *bare {
                format!("<Error>{told}{ids}</Error>")
            } else {
                format!("<ErrorResponse><Error>{told}</Error>{ids}</ErrorResponse>")
            };
            format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{error}").into_bytes()
        }
    }
}

fn json(members: &[(&str, &str)]) -> Vec<u8> {
    let mut out = String::from("{");
    for (n, (key, text)) in members.iter().enumerate() {
        if n > 0 {
            out.push(',');
        }
        write_string(key, &mut out);
        out.push(':');
        write_string(text, &mut out);
    }
    out.push('}');
    out.into_bytes()
}

#[cfg(test)]
mod tests;
