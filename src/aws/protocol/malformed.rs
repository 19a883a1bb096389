//! Why a request can't be read, why an input can't be written, why an answer can't be read.

use crate::aws::catalog::Protocol;

use super::cbor::CborError;
use super::escape::EscapeError;
use super::json::JsonError;
use super::typed::TypeError;

/// Why a request isn't understood. Most of it is ambiguity, answered as malformed; what merely isn't known
/// ([`Malformed::is_unknown_operation`]) is answered as a denial. Texts from outside are shortened and escaped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("the header `{0}` stands twice")]
    DuplicateHeader(String),
    #[error("the header `{0}` isn't plain ASCII")]
    HeaderNotText(String),
    #[error("the header `{0}` would change what the request is; send the request as what it is")]
    Override(&'static str),
    #[error("the header `{0}` can be taken for the one with hyphens; leave it out")]
    Lookalike(String),
    #[error("the body is encoded with `{0}`; send it without Content-Encoding")]
    ContentEncoding(String),
    #[error("both {first} and {second} name what is asked; send one of them")]
    TwoSignals {
        first: &'static str,
        second: &'static str,
    },
    #[error("nothing names what is asked; {services} expects {expected}")]
    NoSignal {
        services: String,
        expected: &'static str,
    },
    #[error("{services} speaks no {protocol}")]
    NotItsProtocol {
        services: String,
        protocol: &'static str,
    },
    #[error("the method is `{found}`; {protocol} uses {expected}")]
    Method {
        protocol: &'static str,
        expected: &'static str,
        found: String,
    },
    #[error("the path is `{found}`; {protocol} uses {expected}")]
    Path {
        protocol: &'static str,
        expected: &'static str,
        found: String,
    },
    #[error("the request has both a query string and a body that name what is asked; use one")]
    TwoPlaces,
    #[error("a query string stands where {protocol} has none")]
    Query { protocol: &'static str },
    #[error("the path and `{0}` name different things; send one of them")]
    PathDisagrees(String),
    #[error("the content type is `{found}`; {protocol} uses {expected}")]
    ContentType {
        protocol: &'static str,
        expected: &'static str,
        found: String,
    },
    #[error(
        "the header `smithy-protocol` says `{0}`; of Smithy's protocols only `rpc-v2-cbor` and `rpc-v2-json` are spoken"
    )]
    SmithyProtocol(String),
    #[error("the target `{0}` isn't `Prefix.Operation`")]
    Target(String),
    #[error("the parameter `{0}` is missing")]
    NoParameter(&'static str),
    #[error("there are more than {max} parameters")]
    TooManyParameters { max: usize },
    #[error("the parameter `{0}` stands twice")]
    DuplicateParameter(String),
    #[error("the parameter `{0}` is both a value and a group")]
    TwoKinds(String),
    #[error("the parameter `{0}` has an empty part in its name, or too many")]
    ParameterName(String),
    #[error("`x-id` is `{found}`, but the path and method are those of `{operation}`")]
    Disagrees { found: String, operation: String },
    #[error("the path `{path}` can be read as `{first}` and as `{second}`")]
    Ambiguous {
        path: String,
        first: String,
        second: String,
    },
    #[error(
        "the host begins with `{found}`; `{operation}` is called at one that begins with {expected}, or at the service's own"
    )]
    HostPrefix {
        found: String,
        operation: String,
        expected: String,
    },
    #[error("the host says `{found}`, and the call `{expected}`")]
    HostLabel { found: String, expected: String },
    #[error("the path `{0}` has an empty segment, `.` or `..`")]
    Segment(String),
    #[error("the path `{0}` has a `;` or `\\` that isn't escaped")]
    PathMark(String),
    #[error("the path begins with `{0}`, which no bucket is called")]
    Bucket(String),
    #[error("the path `{0}` has a key that `..` leads out of")]
    ClimbingKey(String),
    #[error(
        "`{name}` stands in the request, which isn't one of `{operation}`'s and makes it another call"
    )]
    OthersParameter { name: String, operation: String },
    #[error("`{name}` makes the request `{operation}`, and has no value")]
    EmptyParameter { name: String, operation: String },
    #[error("the path `{0}` has an escaped slash where a plain one may stand")]
    EscapedSlash(String),
    #[error(
        "{services} has no operation `{operation}` in this catalog; a newer catalog may know it"
    )]
    UnknownOperation { services: String, operation: String },
    #[error("{services} has no version `{version}` in this catalog")]
    UnknownVersion { services: String, version: String },
    #[error("the body is needed to tell what is asked, and wasn't read")]
    BodyNeeded,
    #[error("the body must be empty for this operation")]
    BodyNotEmpty,
    #[error("the body must be a JSON object")]
    BodyNotObject,
    #[error("the body must be a CBOR map")]
    BodyNotMap,
    #[error("the body's element is `{found}`, not `{expected}`")]
    Root { expected: String, found: String },
    #[error("the body is a stream of events, which can't be read as a whole")]
    EventStream,
    #[error("`{header}` isn't the body's checksum")]
    Checksum { header: String },
    #[error("the checksum algorithm `{0}` isn't known here; use CRC32 or SHA256")]
    ChecksumAlgorithm(String),
    #[error(
        "the header `{0}` isn't one of this operation's in this catalog; a newer catalog may know it"
    )]
    UnknownHeader(String),
    #[error("{place}: {error}")]
    Escape {
        place: &'static str,
        error: EscapeError,
    },
    #[error("the header `{0}` isn't a list of values")]
    HeaderList(String),
    #[error("in the body, {0}")]
    Json(#[from] JsonError),
    #[error("in the body, {0}")]
    Cbor(#[from] CborError),
    #[error("in the body, {0}")]
    Xml(#[from] super::xml::XmlError),
    #[error("{0}")]
    Type(#[from] TypeError),
}

impl Malformed {
    /// Whether the request reads well and only names what the catalog doesn't know or this guard doesn't speak:
    /// not understood, so denied rather than malformed.
    #[must_use]
    pub const fn is_unknown_operation(&self) -> bool {
        matches!(
            self,
            Malformed::UnknownOperation { .. }
                | Malformed::UnknownVersion { .. }
                | Malformed::SmithyProtocol(_)
        )
    }
}

/// Why an input can't be written as a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    #[error("{0}")]
    Type(#[from] TypeError),
    #[error("the checksum algorithm `{0}` isn't known here; use CRC32 or SHA256")]
    ChecksumAlgorithm(String),
    #[error("`{member}` has a value that can't stand in {place}")]
    NotExpressible { member: String, place: &'static str },
    #[error("the catalog lacks {what} of `{operation}`; rebuild it")]
    Catalog {
        operation: String,
        what: &'static str,
    },
}

/// Why an answer can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OutputError {
    #[error("in the answer, {0}")]
    Json(#[from] JsonError),
    #[error("in the answer, {0}")]
    Cbor(#[from] CborError),
    #[error("in the answer, {0}")]
    Type(#[from] TypeError),
    #[error("in the answer, {0}")]
    Xml(#[from] super::xml::XmlError),
    #[error("the answer isn't an object")]
    NotObject,
    #[error("the answer lacks the element `{0}`")]
    NoElement(String),
    #[error("in the answer's head, {0}")]
    Header(String),
    #[error("the answer isn't UTF-8")]
    NotText,
}

/// The protocol's name as AWS's documentation spells it.
#[must_use]
pub const fn name(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::AwsJson => "awsJson",
        Protocol::RestJson => "restJson1",
        Protocol::RestXml => "restXml",
        Protocol::AwsQuery => "awsQuery",
        Protocol::Ec2Query => "ec2Query",
        Protocol::RpcV2Cbor => "rpcv2Cbor",
        Protocol::RpcV2Json => "rpcv2Json",
    }
}
