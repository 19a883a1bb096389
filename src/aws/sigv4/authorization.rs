//! What a request says of its signature, in its `Authorization` header or in its query, read strictly.
//!
//! INVARIANT: the signed headers of an [`Authorization`] are lower case, sorted and unique, and its signature is
//! lower-case hex digits: 64, or of Signature Version 4A up to 144.

use http::HeaderMap;
use http::header::{AUTHORIZATION, CONTENT_TYPE};

use super::ecdsa::HEX_DIGITS_MAX;
use super::error::AuthError;
use super::hex::unhex;
use super::payload::is_hash;
use super::presigned::{self, Presigned};
use super::{TERMINATOR, X_AMZ_REGION_SET};
use crate::aws::head::Head;
use crate::aws::text::{all, cut, pieces};

/// Longer headers are refused unread; AWS's own SDKs stay far below.
const HEADER_BYTES_MAX: usize = 8192;
/// AWS's own bound of an access key id.
const KEY_ID_BYTES_MAX: usize = 128;
const SCOPE_PART_BYTES_MAX: usize = 64;

/// The longest region set, in bytes.
const REGION_SET_BYTES_MAX: usize = 1024;

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
    /// Lower-case hex digits: 64, or an even number up to 144 for [`Algorithm::Ecdsa`].
    pub signature: String,
    /// Where the signature stands in the query: when it was made, and how long it is good for.
    pub presigned: Option<Presigned>,
}

/// How a signature is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// Signature Version 4, for one region.
    Hmac,
    /// Signature Version 4A, for a set of regions.
    Ecdsa,
}

impl Algorithm {
    /// The algorithm's name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Algorithm::Hmac => "AWS4-HMAC-SHA256",
            Algorithm::Ecdsa => "AWS4-ECDSA-P256-SHA256",
        }
    }
}

/// What a signature is valid for: `20150830/us-east-1/iam/aws4_request`, and without the region for
/// [`Algorithm::Ecdsa`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    pub algorithm: Algorithm,
    /// `YYYYMMDD`.
    pub date: String,
    /// One region; for [`Algorithm::Ecdsa`] a set of them as it is spelt, `us-east-1,us-west-*` or `*`.
    pub region: String,
    /// The signing name.
    pub service: String,
}

impl Authorization {
    /// Reads the authentication of a request: the `Authorization` header, or the query of a presigned URL.
    ///
    /// # Errors
    /// As [`Authorization::parse`]; [`AuthError::Malformed`] where it stands in both places.
    pub fn of(head: &Head<'_>) -> Result<Self, AuthError> {
        let in_query = presigned::authenticates(head.query)?;
        match (in_query, head.headers.contains_key(AUTHORIZATION)) {
            (true, true) => Err(IN_TWO_PLACES),
            (true, false) => Self::in_query(head.query.unwrap_or_default()),
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
        let Some(value) = values.next() else {
            return Err(missing(headers));
        };
        if values.next().is_some() {
            return Err(AuthError::Malformed("two Authorization headers"));
        }
        if value.len() > HEADER_BYTES_MAX {
            return Err(AuthError::Malformed("the Authorization header is too long"));
        }
        let text = value
            .to_str()
            .map_err(|_| AuthError::Malformed("the Authorization header is not ASCII"))?;
        let (algorithm, rest) = after_algorithm(text)?;
        let fields = fields(rest)?;
        let regions = match algorithm {
            Algorithm::Hmac => None,
            Algorithm::Ecdsa => Some(region_set(headers)?),
        };
        Self::from_parts(algorithm, &fields, regions, None)
    }

    fn in_query(query: &str) -> Result<Self, AuthError> {
        let found = presigned::Parameters::of(query)?;
        let (algorithm, _) = after_algorithm(found.algorithm()?)?;
        let regions = match algorithm {
            Algorithm::Hmac => None,
            Algorithm::Ecdsa => Some(found.region_set()?),
        };
        let fields = Fields {
            credential: found.credential()?,
            signed_headers: found.signed_headers()?,
            signature: found.signature()?,
        };
        Self::from_parts(algorithm, &fields, regions, Some(found.presigned()?))
    }

    fn from_parts(
        algorithm: Algorithm,
        fields: &Fields<'_>,
        regions: Option<&str>,
        presigned: Option<Presigned>,
    ) -> Result<Self, AuthError> {
        let (access_key_id, scope) = credential(algorithm, fields.credential, regions)?;
        Ok(Self {
            access_key_id,
            scope,
            signed_headers: signed_headers(fields.signed_headers)?,
            signature: signature(algorithm, fields.signature)?,
            presigned,
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

impl Scope {
    /// As it stands in a request.
    #[must_use]
    pub fn text(&self) -> String {
        let (date, region, service) = (&*self.date, &*self.region, &*self.service);
        match self.algorithm {
            Algorithm::Hmac => [date, region, service, TERMINATOR].join("/"),
            Algorithm::Ecdsa => [date, service, TERMINATOR].join("/"),
        }
    }

    /// Whether the signature is good for a region.
    #[must_use]
    pub fn covers(&self, region: &str) -> bool {
        match self.algorithm {
            Algorithm::Hmac => self.region == region,
            Algorithm::Ecdsa => self
                .region
                .split(',')
                .any(|one| match one.strip_suffix('*') {
                    Some(start) => region.starts_with(start),
                    None => one == region,
                }),
        }
    }
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text())
    }
}

/// A form that a browser sends carries its signature in its body.
fn missing(headers: &HeaderMap) -> AuthError {
    let content_type = headers.get(CONTENT_TYPE).map(|v| v.as_bytes());
    match content_type.and_then(|t| t.get(..FORM.len())) {
        Some(start) if start.eq_ignore_ascii_case(FORM) => {
            AuthError::Unsupported("a browser's form with a signed policy (POST policy) is")
        }
        Some(_) | None => AuthError::Missing,
    }
}

const FORM: &[u8] = b"multipart/form-data";

struct Fields<'a> {
    credential: &'a str,
    signed_headers: &'a str,
    signature: &'a str,
}

fn after_algorithm(text: &str) -> Result<(Algorithm, &str), AuthError> {
    let (algorithm, rest) = cut(text, b' ').unwrap_or((text, ""));
    match algorithm {
        "AWS4-HMAC-SHA256" => Ok((Algorithm::Hmac, rest)),
        "AWS4-ECDSA-P256-SHA256" => Ok((Algorithm::Ecdsa, rest)),
        "AWS" => Err(AuthError::Unsupported("Signature Version 2 is")),
        "Bearer" => Err(AuthError::Unsupported("bearer tokens are")),
        _ => Err(AuthError::Unsupported(
            "the scheme of the Authorization header is",
        )),
    }
}

fn fields(text: &str) -> Result<Fields<'_>, AuthError> {
    let (mut key, mut names, mut signature) = (None, None, None);
    for field in pieces(text, b',') {
        let (name, value) = cut(field.trim_matches(' '), b'=').ok_or(AuthError::Malformed(
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

/// `regions` are those of Signature Version 4A, whose credential names none.
fn credential(
    algorithm: Algorithm,
    text: &str,
    regions: Option<&str>,
) -> Result<(String, Scope), AuthError> {
    const SHAPE: AuthError =
        AuthError::Malformed("`Credential` is not KEY/YYYYMMDD/REGION/SERVICE/aws4_request");
    const SHAPE_4A: AuthError =
        AuthError::Malformed("`Credential` is not KEY/YYYYMMDD/SERVICE/aws4_request");
    let mut parts = pieces(text, b'/');
    let mut part = || parts.next();
    let (id, date, region, service, terminator, shape) = match (algorithm, regions) {
        (Algorithm::Hmac, None) => (part(), part(), part(), part(), part(), SHAPE),
        (Algorithm::Ecdsa, Some(_)) => (part(), part(), regions, part(), part(), SHAPE_4A),
        (Algorithm::Hmac, Some(_)) => return Err(SHAPE),
        (Algorithm::Ecdsa, None) => return Err(SHAPE_4A),
    };
    let (Some(id), Some(date), Some(region), Some(service), Some(TERMINATOR), None) =
        (id, date, region, service, terminator, part())
    else {
        return Err(shape);
    };
    let id_fits = (1..=KEY_ID_BYTES_MAX).contains(&id.len())
        && all(id, |b| b.is_ascii_graphic() && b != b'=');
    let date_fits = date.len() == 8 && all(date, |b| b.is_ascii_digit());
    let region_fits = match algorithm {
        Algorithm::Hmac => is_scope_part(region),
        Algorithm::Ecdsa => is_region_set(region),
    };
    if !(id_fits && date_fits && region_fits && is_scope_part(service)) {
        return Err(shape);
    }
    let scope = Scope {
        algorithm,
        date: date.to_owned(),
        region: region.to_owned(),
        service: service.to_owned(),
    };
    Ok((id.to_owned(), scope))
}

/// The regions that Signature Version 4A is for.
fn region_set(headers: &HeaderMap) -> Result<&str, AuthError> {
    const SHAPE: AuthError =
        AuthError::Malformed("`x-amz-region-set` is not there once, as a list of regions");
    let mut values = headers.get_all(X_AMZ_REGION_SET).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().map_err(|_| SHAPE),
        (Some(_) | None, _) => Err(SHAPE),
    }
}

/// Regions separated by commas, each of which may end in `*`.
fn is_region_set(text: &str) -> bool {
    text.len() <= REGION_SET_BYTES_MAX
        && text.split(',').all(|one| {
            let bare = one.strip_suffix('*').unwrap_or(one);
            is_scope_part(bare) || one == "*"
        })
}

fn is_scope_part(text: &str) -> bool {
    (1..=SCOPE_PART_BYTES_MAX).contains(&text.len())
        && all(text, |b| {
            b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.')
        })
}

fn signed_headers(text: &str) -> Result<Vec<String>, AuthError> {
    let mut names: Vec<String> = Vec::with_capacity(8);
    for name in pieces(text, b';') {
        if !is_lower_token(name) {
            return Err(AuthError::Malformed(
                "`SignedHeaders` has a name that is empty or not in lower case",
            ));
        }
        if names.last().is_some_and(|last| last.as_str() >= name) {
            return Err(AuthError::Malformed(
                "`SignedHeaders` is not sorted or names a header twice",
            ));
        }
        names.push(name.to_owned());
    }
    Ok(names)
}

/// Whether a text is a header name (RFC 9110's token) in lower case.
fn is_lower_token(text: &str) -> bool {
    let usual = |b: u8| b.is_ascii_lowercase() | b.is_ascii_digit() | (b == b'-');
    let rare = |b: u8| b"!#$%&'*+.^_`|~".contains(&b);
    !text.is_empty() && (all(text, usual) || text.bytes().all(|b| usual(b) || rare(b)))
}

fn signature(algorithm: Algorithm, text: &str) -> Result<String, AuthError> {
    let (fits, why) = match algorithm {
        Algorithm::Hmac => (is_hash(text), "`Signature` is not 64 lower-case hex digits"),
        Algorithm::Ecdsa => (
            !text.is_empty() && text.len() <= HEX_DIGITS_MAX && unhex(text).is_some(),
            "`Signature` is not up to 144 lower-case hex digits",
        ),
    };
    if !fits {
        return Err(AuthError::Malformed(why));
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
    fn every_character_that_a_header_name_may_have_is_read() {
        let names = "host;x!#$%&'*+-.^_`|~09az";
        let text = good().replace("content-type;host;x-amz-date", names);
        let auth = parse(&text).unwrap();
        assert_eq!(auth.signed_headers.join(";"), names);
        for other in ["x(", "x\"", "x@", "x[", "x{", "x/", "xA"] {
            let text = good().replace("content-type;host;x-amz-date", &format!("host;{other}"));
            let odd = parse(&text);
            assert!(matches!(odd, Err(AuthError::Malformed(_))), "{other}");
        }
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
    fn version_4a_names_its_regions_in_a_header() {
        let text = format!(
            "AWS4-ECDSA-P256-SHA256 Credential=AKIDEXAMPLE/20150830/s3/aws4_request, \
             SignedHeaders=host;x-amz-date;x-amz-region-set, Signature={SIGNATURE}30"
        );
        let parse = |text: &str, regions: &[&str]| {
            let mut headers = headers(&[text]);
            for set in regions {
                headers.append(X_AMZ_REGION_SET, HeaderValue::from_str(set).unwrap());
            }
            Authorization::parse(&headers)
        };
        let scope = parse(&text, &["us-east-1,eu-*"]).unwrap().scope;
        assert_eq!(scope.to_string(), "20150830/s3/aws4_request");
        assert!(scope.covers("us-east-1") && scope.covers("eu-west-3"));
        assert!(!scope.covers("us-east-2") && !scope.covers(""));
        assert!(parse(&text, &["*"]).unwrap().scope.covers("us-east-2"));
        for regions in [
            &[][..],
            &["*", "*"],
            &[""],
            &["a,,b"],
            &["a b"],
            &["*a"],
            &["**"],
        ] {
            let odd = parse(&text, regions);
            assert!(matches!(odd, Err(AuthError::Malformed(_))), "{regions:?}");
        }
        let with_region = text.replace("/s3/", "/us-east-1/s3/");
        let odd = text.replacen(SIGNATURE, "0", 1);
        let long = text.replace(SIGNATURE, &SIGNATURE.repeat(3));
        for text in [with_region, odd, long] {
            let odd = parse(&text, &["*"]);
            assert!(matches!(odd, Err(AuthError::Malformed(_))), "{text}");
        }
    }

    #[test]
    fn a_browsers_form_is_named() {
        let mut form = HeaderMap::new();
        form.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("multipart/form-data; boundary=x"),
        );
        let error = Authorization::parse(&form).unwrap_err();
        assert!(error.to_string().contains("POST policy"), "{error}");
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
            assert!(matches!(
                of(Some(query), &bare),
                Err(AuthError::Unsupported(_) | AuthError::Malformed(_))
            ));
            assert!(matches!(
                of(Some(query), &signed),
                Err(AuthError::Malformed(_))
            ));
        }
    }
}
