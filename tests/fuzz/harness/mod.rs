//! What the fuzz targets do with their bytes; the replay of the corpus does the same on stable Rust.
//!
//! A target is a function that panics where something that must hold doesn't. To add one: write it here, name it in
//! [`TARGETS`], give it a file in `fuzz_targets/` and a `[[bin]]` in `Cargo.toml`, and put at least five inputs into
//! `corpus/<its name>/`, by hand or by `seed.py` and `seeds.rs`. What all of them hold:
//! - nothing panics, whatever the bytes;
//! - what is read, written and read again is the same;
//! - what comes piece by piece is read the same however it is cut, and what goes on is never longer than what came.
//!
//! A checksum or a signature would keep the fuzzer from whatever stands behind it: where an input leaves room for one,
//! the harness fills it in. The head of `Cargo.toml` says how the corpus is replayed, grown and kept small.

mod answer;
mod bodies;
mod catalog;
mod chunks;
mod events;
mod heads;
mod host;
mod keys;
mod request;
mod signature;

use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_credential_types::Credentials;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use palisade::aws::catalog::Catalog;
use palisade::aws::catalog::model::Signature;
use palisade::aws::sigv4::{Algorithm, Over, Seed, Unsigned, sign_over};

pub use answer::read_answer;
pub use bodies::{read_cbor, read_json, read_xml};
pub use catalog::read_catalog;
pub use chunks::read_chunks;
pub use events::read_events;
pub use heads::read_heads;
pub use host::read_host;
pub use keys::{MASTER, read_keys};
pub use request::read_request;
pub use signature::read_signature;

/// A target: its name, which is that of its folder of the corpus, and what reads an input.
pub type Target = (&'static str, fn(&[u8]));

pub const TARGETS: [Target; 12] = [
    ("answer", read_answer),
    ("catalog", read_catalog),
    ("cbor", read_cbor),
    ("chunks", read_chunks),
    ("events", read_events),
    ("heads", read_heads),
    ("host", read_host),
    ("json", read_json),
    ("keys", read_keys),
    ("request", read_request),
    ("signature", read_signature),
    ("xml", read_xml),
];

/// The embedded catalog.
fn catalog() -> &'static Catalog {
    static CATALOG: OnceLock<Catalog> = OnceLock::new();
    CATALOG.get_or_init(|| Catalog::embedded().expect("the embedded catalog is whole"))
}

/// The lines before the first empty one, and what follows it.
fn head_and_body(data: &[u8]) -> Option<(&str, &[u8])> {
    let end = data.windows(2).position(|pair| pair == b"\n\n")?;
    let head = std::str::from_utf8(data.get(..end)?).ok()?;
    Some((head, data.get(end + 2..)?))
}

/// Lines `name: value`.
fn headers<'a>(lines: impl Iterator<Item = &'a str>) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(':')?;
        headers
            .try_append(
                HeaderName::try_from(name).ok()?,
                HeaderValue::from_str(value.trim()).ok()?,
            )
            .ok()?;
    }
    Some(headers)
}

/// The same bytes cut in several ways: whole, one by one, and in pieces whose lengths follow from the bytes.
fn cuts(data: &[u8]) -> [Vec<&[u8]>; 3] {
    let mut pieces = Vec::new();
    let (mut rest, mut at) = (data, 0);
    while !rest.is_empty() {
        let length = usize::from(rest[rest.len() / 2] % 61) + at % 3;
        let (piece, after) = rest.split_at(length.clamp(1, rest.len()));
        pieces.push(piece);
        (rest, at) = (after, at + 1);
    }
    [vec![data], data.chunks(1).collect(), pieces]
}

/// When all that the harness signs is signed: 2013-05-24, at midnight.
pub fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_369_353_600)
}

/// Whose signatures the pieces of a body have: the client's, which come, and the guard's own, which go on.
struct Seeds {
    client: Seed,
    ours: Seed,
}

fn seeds(algorithm: Algorithm) -> &'static Seeds {
    static HMAC: OnceLock<Seeds> = OnceLock::new();
    static ECDSA: OnceLock<Seeds> = OnceLock::new();
    let made = || Seeds {
        client: seed(algorithm, "client"),
        ours: seed(algorithm, "ours"),
    };
    match algorithm {
        Algorithm::Hmac => HMAC.get_or_init(made),
        Algorithm::Ecdsa => ECDSA.get_or_init(made),
    }
}

fn seed(algorithm: Algorithm, secret: &str) -> Seed {
    let request = Unsigned {
        method: &Method::PUT,
        host: "bucket.s3.eu-west-1.amazonaws.com",
        path: "/key",
        query: None,
        headers: &HeaderMap::new(),
        payload: "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
    };
    let over = Over {
        algorithm,
        region: "eu-west-1",
        signing_name: "s3",
        signature: Signature::S3v4,
    };
    let credentials = Credentials::new("PALISADETEST", secret, None, None, "test");
    let (_, seed) = sign_over(request, &credentials, over, now()).expect("a plain request");
    seed
}
