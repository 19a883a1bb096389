//! Errors that AWS answers with: code and message, whatever protocol they come in.

use http::{HeaderMap, StatusCode};

use crate::aws::catalog::Protocol;
use crate::aws::head::X_AMZN_ERRORTYPE;
use crate::aws::value::{Object, Value};

use super::{json, rpc_v2_cbor, xml};

/// Bytes of an error's body that are read; a longer one tells its code by header or status only.
const BODY_BYTES_MAX: usize = 64 * 1024;
const CODE_CHARS_MAX: usize = 128;
const MESSAGE_CHARS_MAX: usize = 1024;

/// What AWS answered instead of an output.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct UpstreamError {
    /// `ResourceNotFoundException`, without namespace; the status where the answer names no code.
    pub code: String,
    /// Control characters replaced, at most 1,024 characters; may be empty. Not AWS's own words where those repeat
    /// what was signed.
    pub message: String,
}

/// The errors that AWS explains by repeating the request that it got: what it would have signed, header by header (the
/// session token is one), or the access key.
const REPEATING: [&str; 7] = [
    "SignatureDoesNotMatch",
    "InvalidSignatureException",
    "IncompleteSignature",
    "IncompleteSignatureException",
    "InvalidAccessKeyId",
    "InvalidToken",
    "ExpiredToken",
];

impl UpstreamError {
    /// Whether AWS's own words hold what the request was signed with.
    #[must_use]
    pub fn repeats_the_signature(&self) -> bool {
        REPEATING.contains(&self.code.as_str())
    }
}

/// Reads an answer that is an error. Never fails: what can't be read leaves the status as the code.
#[must_use]
pub fn decode_error(
    protocol: Protocol,
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
) -> UpstreamError {
    let body = if body.len() > BODY_BYTES_MAX {
        &[]
    } else {
        body
    };
    let (in_body, message) = match protocol {
        Protocol::AwsJson | Protocol::RestJson | Protocol::RpcV2Json => json_error(body),
        Protocol::AwsQuery | Protocol::Ec2Query | Protocol::RestXml => xml_error(body),
        Protocol::RpcV2Cbor => cbor_error(body),
    };
    // Smithy has clients of its RPC v2 heed the body alone.
    let in_header = headers
        .get(X_AMZN_ERRORTYPE)
        .filter(|_| !matches!(protocol, Protocol::RpcV2Cbor | Protocol::RpcV2Json))
        .and_then(|v| v.to_str().ok())
        .map(str::to_owned);
    let code = in_header
        .as_deref()
        .and_then(plain_code)
        .or_else(|| in_body.as_deref().and_then(plain_code))
        .unwrap_or_else(|| status.as_u16().to_string());
    let mut error = UpstreamError {
        code,
        message: plain_message(&message.unwrap_or_default()),
    };
    if error.repeats_the_signature() {
        "AWS doesn't take the signature".clone_into(&mut error.message);
    }
    error
}

fn json_error(body: &[u8]) -> (Option<String>, Option<String>) {
    let Ok(Value::Object(object)) = json::parse(body) else {
        return (None, None);
    };
    (
        first(&object, &["__type", "code", "Code"]),
        first(&object, &["message", "Message"]),
    )
}

fn cbor_error(body: &[u8]) -> (Option<String>, Option<String>) {
    let Ok(Some(members)) = rpc_v2_cbor::map(body) else {
        return (None, None);
    };
    let text = |names: &[&str]| {
        names.iter().find_map(|name| {
            let (_, item) = members.iter().find(|(key, _)| key == name)?;
            item.as_text().map(str::to_owned)
        })
    };
    (text(&["__type"]), text(&["message", "Message"]))
}

fn first(object: &Object, names: &[&str]) -> Option<String> {
    let found = names.iter().find_map(|n| object.get(n)?.as_str());
    found.map(str::to_owned)
}

fn xml_error(body: &[u8]) -> (Option<String>, Option<String>) {
    let Ok(root) = xml::parse(body) else {
        return (None, None);
    };
    let text = |name| Some(root.find("Error")?.child(name)?.text.clone());
    (text("Code"), text("Message"))
}

/// A code without its namespace (`com.amazonaws.workspaces#…`) and without what follows a colon; `None` for what
/// isn't a name.
fn plain_code(text: &str) -> Option<String> {
    let code = text.split_once(':').map_or(text, |(code, _)| code);
    let code = code.rsplit_once('#').map_or(code, |(_, code)| code).trim();
    let is_name = !code.is_empty()
        && code.len() <= CODE_CHARS_MAX
        && code
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
    is_name.then(|| code.to_owned())
}

fn plain_message(text: &str) -> String {
    text.chars()
        .take(MESSAGE_CHARS_MAX)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(protocol: Protocol, header: Option<&str>, body: &str, expected: &str) {
        let mut headers = HeaderMap::new();
        if let Some(text) = header {
            headers.insert("x-amzn-errortype", text.parse().unwrap());
        }
        let status = StatusCode::BAD_REQUEST;
        let error = decode_error(protocol, status, &headers, body.as_bytes());
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn a_code_is_found_wherever_the_protocol_puts_it() {
        use Protocol::*;
        check(
            AwsJson,
            None,
            r#"{"__type":"com.amazonaws.x#NotFound","message":"gone"}"#,
            "NotFound: gone",
        );
        check(
            AwsJson,
            None,
            r#"{"__type":"Throttling","Message":"a\nb"}"#,
            "Throttling: a b",
        );
        check(
            RestJson,
            Some("NotFound:http://x/"),
            r#"{"message":"gone"}"#,
            "NotFound: gone",
        );
        check(RestJson, None, r#"{"code":"NotFound"}"#, "NotFound: ");
        check(
            AwsQuery,
            None,
            "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>",
            "AccessDenied: no",
        );
        check(
            Ec2Query,
            None,
            "<Response><Errors><Error><Code>X.Y</Code><Message>m</Message></Error></Errors></Response>",
            "X.Y: m",
        );
    }

    #[test]
    fn errors_in_xml_are_read_bare_and_wrapped() {
        let error = "<Code>NoSuchBucket</Code><Message>It isn't &lt;there&gt;</Message>";
        let ids = "<RequestId>r</RequestId><HostId>h</HostId>";
        let read = "NoSuchBucket: It isn't <there>";
        for body in [
            format!(
                "<?xml version=\"1.0\"?>\n<Error>{error}<BucketName>b</BucketName>{ids}</Error>"
            ),
            format!(
                "<ErrorResponse xmlns=\"u\"><Error><Type>Sender</Type>{error}</Error>{ids}</ErrorResponse>"
            ),
            format!(
                "<Response><Errors><Error>{error}</Error></Errors><RequestID>r</RequestID></Response>"
            ),
        ] {
            for protocol in [Protocol::RestXml, Protocol::AwsQuery, Protocol::Ec2Query] {
                check(protocol, None, &body, read);
            }
        }
        // The answer to a HEAD has no body.
        check(Protocol::RestXml, None, "", "400: ");
    }

    #[test]
    fn words_of_awss_that_repeat_what_was_signed_are_not_kept() {
        let repeated = r#"{"__type":"InvalidSignatureException","message":"It should have been\n\nx-amz-security-token:IQoJ"}"#;
        let expected = "InvalidSignatureException: AWS doesn't take the signature";
        check(Protocol::AwsJson, None, repeated, expected);
        check(
            Protocol::RestXml,
            None,
            "<Error><Code>SignatureDoesNotMatch</Code><Message>m: IQoJ</Message><CanonicalRequest>IQoJ</CanonicalRequest></Error>",
            "SignatureDoesNotMatch: AWS doesn't take the signature",
        );
    }

    #[test]
    fn a_cbor_error_is_named_by_its_body_alone() {
        let error = |header: Option<&str>, members: &[(&str, &str)]| {
            let mut headers = HeaderMap::new();
            if let Some(text) = header {
                headers.insert("x-amzn-errortype", text.parse().unwrap());
            }
            let body = crate::aws::protocol::cbor::write_texts(members);
            decode_error(
                Protocol::RpcV2Cbor,
                StatusCode::BAD_REQUEST,
                &headers,
                &body,
            )
            .to_string()
        };
        let named = [("__type", "com.amazonaws.x#NotFound"), ("Message", "gone")];
        assert_eq!(error(None, &named), "NotFound: gone");
        assert_eq!(error(Some("Other"), &named), "NotFound: gone");
        assert_eq!(error(Some("Other"), &[("message", "gone")]), "400: gone");
        let headers = HeaderMap::new();
        let status = StatusCode::BAD_REQUEST;
        for body in [
            b"\x80".as_slice(),
            b"\xa1",
            b"",
            b"{}",
            b"\xa1\x66__type\x01",
        ] {
            let found = decode_error(Protocol::RpcV2Cbor, status, &headers, body);
            assert_eq!(found.to_string(), "400: ");
        }
    }

    #[test]
    fn what_cannot_be_read_leaves_the_status() {
        check(Protocol::AwsJson, None, "<html>", "400: ");
        check(Protocol::AwsQuery, None, "{}", "400: ");
        check(Protocol::AwsJson, None, r#"{"__type":"<b>"}"#, "400: ");
        let long = format!(
            "{{\"__type\":\"X\",\"message\":\"{}\"}}",
            "a".repeat(BODY_BYTES_MAX)
        );
        check(Protocol::AwsJson, None, &long, "400: ");
    }
}
