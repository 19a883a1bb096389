//! The `Authorization` header of Signature Version 4, read strictly.
//!
//! INVARIANT: the signed headers of an [`Authorization`] are lower case, sorted and unique, and its signature is 64
//! lower-case hex digits.

use http::HeaderMap;
use http::header::AUTHORIZATION;

use super::canonical;
use super::error::AuthError;
use super::payload::is_hash;
use super::{ALGORITHM, TERMINATOR};
use crate::aws::head::Head;

/// Longer headers are refused unread; AWS's own SDKs stay far below.
const HEADER_BYTES_MAX: usize = 8192;
/// AWS's own bound of an access key id.
const KEY_ID_BYTES_MAX: usize = 128;
const SCOPE_PART_BYTES_MAX: usize = 64;

/// Query parameters that authenticate a request, lower-cased.
const QUERY_AUTHENTICATION: [&str; 9] = [
    "x-amz-algorithm",
    "x-amz-credential",
    "x-amz-date",
    "x-amz-expires",
    "x-amz-region-set",
    "x-amz-security-token",
    "x-amz-signature",
    "x-amz-signedheaders",
    "awsaccesskeyid",
];

/// A request that is signed in its header and says something about signing in its query too.
pub(super) const IN_TWO_PLACES: AuthError =
    AuthError::Malformed("it stands both in the Authorization header and in the query");

/// Who signed a request, for what, and over which headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorization {
    /// 1 to 128 visible ASCII characters.
    pub access_key_id: String,
    pub scope: Scope,
    /// Lower case, sorted, each once, at least one.
    pub signed_headers: Vec<String>,
    /// 64 lower-case hex digits.
    pub signature: String,
}

/// What a signature is valid for: `20150830/us-east-1/iam/aws4_request`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// `YYYYMMDD`.
    pub date: String,
    pub region: String,
    /// The signing name.
    pub service: String,
}

impl Authorization {
    /// Reads the authentication of a request: the `Authorization` header, and nothing that authenticates in the query.
    ///
    /// # Errors
    /// As [`Authorization::parse`]; a presigned query is [`AuthError::Unsupported`], and one beside the header
    /// [`AuthError::Malformed`].
    pub fn of(head: &Head<'_>) -> Result<Self, AuthError> {
        let in_query = authenticates(head.query)?;
        match (in_query, head.headers.contains_key(AUTHORIZATION)) {
            (true, true) => Err(IN_TWO_PLACES),
            (true, false) => Err(AuthError::Unsupported("presigned URLs are")),
            (false, _) => Self::parse(head.headers),
        }
    }

    /// Reads the `Authorization` header. A request signed in its query looks unsigned here: see [`Authorization::of`].
    ///
    /// # Errors
    /// [`AuthError::Missing`] without the header, [`AuthError::Unsupported`] for other ways of signing,
    /// [`AuthError::Malformed`] for everything that isn't exactly of the documented form.
    pub fn parse(headers: &HeaderMap) -> Result<Self, AuthError> {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let value = values.next().ok_or(AuthError::Missing)?;
        if values.next().is_some() {
            return Err(AuthError::Malformed("two Authorization headers"));
        }
        if value.len() > HEADER_BYTES_MAX {
            return Err(AuthError::Malformed("the Authorization header is too long"));
        }
        let text = value
            .to_str()
            .map_err(|_| AuthError::Malformed("the Authorization header is not ASCII"))?;
        let fields = fields(after_algorithm(text)?)?;
        let (access_key_id, scope) = credential(fields.credential)?;
        Ok(Self {
            access_key_id,
            scope,
            signed_headers: signed_headers(fields.signed_headers)?,
            signature: signature(fields.signature)?,
        })
    }

    /// Whether a header is signed; the name in lower case.
    #[must_use]
    pub fn signs(&self, header: &str) -> bool {
        self.signed_headers
            .binary_search_by(|name| name.as_str().cmp(header))
            .is_ok()
    }
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}/{}/{}/{TERMINATOR}",
            self.date, self.region, self.service
        )
    }
}

/// Whether a query carries a parameter that authenticates, under any spelling of its name.
pub(super) fn authenticates(query: Option<&str>) -> Result<bool, AuthError> {
    for piece in query.unwrap_or_default().split('&') {
        let name = piece.split_once('=').map_or(piece, |(name, _)| name);
        let decoded = canonical::decode(name)?.to_ascii_lowercase();
        if QUERY_AUTHENTICATION
            .iter()
            .any(|q| q.as_bytes() == decoded.as_slice())
        {
            return Ok(true);
        }
    }
    Ok(false)
}

struct Fields<'a> {
    credential: &'a str,
    signed_headers: &'a str,
    signature: &'a str,
}

fn after_algorithm(text: &str) -> Result<&str, AuthError> {
    let (algorithm, rest) = text.split_once(' ').unwrap_or((text, ""));
    match algorithm {
        ALGORITHM => Ok(rest),
        "AWS4-ECDSA-P256-SHA256" => Err(AuthError::Unsupported("Signature Version 4A is")),
        "AWS" => Err(AuthError::Unsupported("Signature Version 2 is")),
        "Bearer" => Err(AuthError::Unsupported("bearer tokens are")),
        _ => Err(AuthError::Unsupported(
            "the scheme of the Authorization header is",
        )),
    }
}

fn fields(text: &str) -> Result<Fields<'_>, AuthError> {
    let (mut key, mut names, mut signature) = (None, None, None);
    for field in text.split(',') {
        let (name, value) = field
            .trim_matches(' ')
            .split_once('=')
            .ok_or(AuthError::Malformed(
                "a field of the Authorization header has no `=`",
            ))?;
        let slot = match name {
            "Credential" => &mut key,
            "SignedHeaders" => &mut names,
            "Signature" => &mut signature,
            _ => {
                return Err(AuthError::Malformed(
                    "the Authorization header has an unknown field",
                ));
            }
        };
        if slot.replace(value).is_some() {
            return Err(AuthError::Malformed(
                "a field of the Authorization header stands twice",
            ));
        }
    }
    Ok(Fields {
        credential: key.ok_or(AuthError::Malformed("`Credential` is missing"))?,
        signed_headers: names.ok_or(AuthError::Malformed("`SignedHeaders` is missing"))?,
        signature: signature.ok_or(AuthError::Malformed("`Signature` is missing"))?,
    })
}

fn credential(text: &str) -> Result<(String, Scope), AuthError> {
    const SHAPE: AuthError =
        AuthError::Malformed("`Credential` is not KEY/YYYYMMDD/REGION/SERVICE/aws4_request");
    let mut parts = text.split('/');
    let (Some(id), Some(date), Some(region), Some(service), Some(TERMINATOR), None) = (
        parts.next(),
        parts.next(),
        parts.next(),
        parts.next(),
        parts.next(),
        parts.next(),
    ) else {
        return Err(SHAPE);
    };
    let id_fits = (1..=KEY_ID_BYTES_MAX).contains(&id.len())
        && id.bytes().all(|b| b.is_ascii_graphic() && b != b'=');
    let date_fits = date.len() == 8 && date.bytes().all(|b| b.is_ascii_digit());
    if !(id_fits && date_fits && is_scope_part(region) && is_scope_part(service)) {
        return Err(SHAPE);
    }
    let scope = Scope {
        date: date.to_owned(),
        region: region.to_owned(),
        service: service.to_owned(),
    };
    Ok((id.to_owned(), scope))
}

fn is_scope_part(text: &str) -> bool {
    (1..=SCOPE_PART_BYTES_MAX).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

fn signed_headers(text: &str) -> Result<Vec<String>, AuthError> {
    let names: Vec<&str> = text.split(';').collect();
    if !names.iter().all(|name| is_lower_token(name)) {
        return Err(AuthError::Malformed(
            "`SignedHeaders` has a name that is empty or not in lower case",
        ));
    }
    if !names.is_sorted_by(|a, b| a < b) {
        return Err(AuthError::Malformed(
            "`SignedHeaders` is not sorted or names a header twice",
        ));
    }
    Ok(names.into_iter().map(str::to_owned).collect())
}

/// Whether a text is a header name (RFC 9110's token) in lower case.
fn is_lower_token(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|b| {
            b.is_ascii_lowercase() || b.is_ascii_digit() || b"!#$%&'*+-.^_`|~".contains(&b)
        })
}

fn signature(text: &str) -> Result<String, AuthError> {
    if !is_hash(text) {
        return Err(AuthError::Malformed(
            "`Signature` is not 64 lower-case hex digits",
        ));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, Method};

    use super::*;
    use crate::aws::endpoint::Addressed;

    const SIGNATURE: &str = "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7";

    fn headers(values: &[&str]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for value in values {
            map.append(
                AUTHORIZATION,
                HeaderValue::from_bytes(value.as_bytes()).unwrap(),
            );
        }
        map
    }

    fn parse(value: &str) -> Result<Authorization, AuthError> {
        Authorization::parse(&headers(&[value]))
    }

    fn good() -> String {
        format!(
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, \
             SignedHeaders=content-type;host;x-amz-date, Signature={SIGNATURE}"
        )
    }

    #[test]
    fn the_documented_form_is_read() {
        let auth = parse(&good()).unwrap();
        assert_eq!(auth.access_key_id, "AKIDEXAMPLE");
        assert_eq!(
            auth.scope.to_string(),
            "20150830/us-east-1/iam/aws4_request"
        );
        assert_eq!(auth.signed_headers, ["content-type", "host", "x-amz-date"]);
        assert_eq!(auth.signature, SIGNATURE);
        assert!(auth.signs("host") && !auth.signs("accept"));
    }

    #[test]
    fn spaces_after_commas_and_the_order_of_fields_are_free() {
        let auth = parse(&good()).unwrap();
        assert_eq!(parse(&good().replace(", ", ",")), Ok(auth.clone()));
        let turned = format!(
            "AWS4-HMAC-SHA256 Signature={SIGNATURE},  SignedHeaders=content-type;host;x-amz-date,\
             Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request"
        );
        assert_eq!(parse(&turned), Ok(auth));
    }

    #[test]
    fn every_other_form_is_malformed() {
        let long_key = "A".repeat(KEY_ID_BYTES_MAX + 1);
        let long_part = "r".repeat(SCOPE_PART_BYTES_MAX + 1);
        let upper = SIGNATURE.to_ascii_uppercase();
        let table: &[(&str, &str)] = &[
            ("Credential=", "Creds="),
            ("Credential=", "credential="),
            ("Credential=", ""),
            ("Credential=", "Credential=Credential="),
            ("Credential=AKIDEXAMPLE/", "Credential=/"),
            ("AKIDEXAMPLE", "AKID EXAMPLE"),
            ("AKIDEXAMPLE", "AKID,EXAMPLE"),
            ("AKIDEXAMPLE", "AKID\u{e9}EXAMPLE"),
            ("AKIDEXAMPLE", &long_key),
            ("AKIDEXAMPLE/", "AKIDEXAMPLE/x/"),
            ("/20150830/", "/"),
            ("/20150830/", "/2015083/"),
            ("/20150830/", "/2015083x/"),
            ("/us-east-1/", "//"),
            ("us-east-1", "us east 1"),
            ("us-east-1", "us%2Deast-1"),
            ("us-east-1", &long_part),
            ("/iam/", "//"),
            ("/iam/", "/i@m/"),
            ("/aws4_request", "/aws4_reques"),
            ("/aws4_request", "/AWS4_REQUEST"),
            ("/aws4_request", "/aws4_request/"),
            ("/aws4_request", ""),
            (
                "SignedHeaders=content-type;host;x-amz-date",
                "SignedHeaders=",
            ),
            ("SignedHeaders=content-type;host;x-amz-date, ", ""),
            ("SignedHeaders=", "SignedHeaders=host, SignedHeaders="),
            ("content-type;host", "host;content-type"),
            ("content-type;host", "host;host"),
            ("content-type;host", "Content-Type;host"),
            ("content-type;host", "content-type;;host"),
            ("content-type;host", ";content-type;host"),
            ("content-type;host", "content-type; host"),
            ("content-type;host", "content type;host"),
            ("x-amz-date,", "x-amz-date;,"),
            ("Signature=", ""),
            (", Signature=", ", signature="),
            (", Signature=", ", Extra=1, Signature="),
            (", Signature=", ",, Signature="),
            (", Signature=", "; Signature="),
            (", Signature=", ", Signature=0"),
            (SIGNATURE, ""),
            (SIGNATURE, &upper),
            ("5d672d79", "5d672d7g"),
            ("5d672d79", "5d672d7"),
        ];
        for (from, to) in table {
            let text = good().replacen(from, to, 1);
            assert_ne!(text, good(), "{from}");
            assert!(
                matches!(parse(&text), Err(AuthError::Malformed(_))),
                "{from} -> {to}: {:?}",
                parse(&text)
            );
        }
        for text in [
            "AWS4-HMAC-SHA256".to_owned(),
            "AWS4-HMAC-SHA256 ".to_owned(),
            format!("{},", good()),
            format!("{}, Signature={SIGNATURE}", good()),
            format!("{} {}", good(), " ".repeat(HEADER_BYTES_MAX)),
        ] {
            assert!(
                matches!(parse(&text), Err(AuthError::Malformed(_))),
                "{text}"
            );
        }
    }

    #[test]
    fn other_ways_of_signing_are_named() {
        for (text, named) in [
            ("AWS AKIDEXAMPLE:c2ln", "Version 2"),
            ("AWS4-ECDSA-P256-SHA256 Credential=A", "4A"),
            ("Bearer abc", "bearer"),
            ("Basic YTpi", "scheme"),
            ("aws4-hmac-sha256 Credential=A", "scheme"),
            ("", "scheme"),
            ("AWS4-HMAC-SHA256,Credential=A", "scheme"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(matches!(error, AuthError::Unsupported(_)), "{text}");
            assert!(error.to_string().contains(named), "{error}");
        }
    }

    #[test]
    fn no_header_is_missing_and_two_are_malformed() {
        assert_eq!(
            Authorization::parse(&HeaderMap::new()),
            Err(AuthError::Missing)
        );
        let two = headers(&[&good(), &good()]);
        assert_eq!(
            Authorization::parse(&two),
            Err(AuthError::Malformed("two Authorization headers"))
        );
    }

    #[test]
    fn a_signature_in_the_query_is_never_overlooked() {
        let of = |query, headers: &HeaderMap| {
            Authorization::of(&Head {
                method: &Method::GET,
                path: "/",
                query,
                headers,
                addressed: &Addressed::Service,
            })
        };
        let (signed, bare) = (headers(&[&good()]), HeaderMap::new());
        assert!(of(None, &signed).is_ok());
        assert!(of(Some("list-type=2&prefix=Signature"), &signed).is_ok());
        assert_eq!(of(None, &bare), Err(AuthError::Missing));
        for query in [
            "X-Amz-Signature=00",
            "a=b&x-amz-credential=A",
            "X%2DAmz-Algorithm",
            "AWSAccessKeyId=A&Signature=c2ln",
        ] {
            assert_eq!(
                of(Some(query), &bare),
                Err(AuthError::Unsupported("presigned URLs are"))
            );
            assert!(matches!(
                of(Some(query), &signed),
                Err(AuthError::Malformed(_))
            ));
        }
    }
}
