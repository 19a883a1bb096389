//! Checksums of a request's body in its headers: what a client said is checked, what is rebuilt gets its own.
//!
//! INVARIANT: no header of a rebuilt request says a checksum that isn't its body's.

use aws_lc_rs::digest as hash;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crc::{CRC_32_ISCSI, CRC_32_ISO_HDLC, CRC_64_NVME, Crc, Table};
use http::{HeaderMap, HeaderName, HeaderValue};
use md5::{Digest as _, Md5};

use crate::aws::value::Object;

use super::malformed::{EncodeError, Malformed};
use super::path::shown;
use super::rest::Asked;
use super::rest_headers::single;

const CONTENT_MD5: &str = "content-md5";
const PREFIX: &str = "x-amz-checksum-";
/// Headers with that prefix that hold no checksum of a body.
const NO_CHECKSUMS: [&str; 3] = ["algorithm", "mode", "type"];

static CRC32: Crc<u32, Table<1>> = Crc::<u32, Table<1>>::new(&CRC_32_ISO_HDLC);
static CRC32C: Crc<u32, Table<1>> = Crc::<u32, Table<1>>::new(&CRC_32_ISCSI);
static CRC64NVME: Crc<u64, Table<1>> = Crc::<u64, Table<1>>::new(&CRC_64_NVME);

/// How a body is summed up.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Algorithm {
    Crc32,
    Crc32c,
    Crc64Nvme,
    Sha1,
    Sha256,
    Sha512,
    Md5,
}

impl Algorithm {
    const ALL: [Self; 7] = [
        Self::Crc32,
        Self::Crc32c,
        Self::Crc64Nvme,
        Self::Sha1,
        Self::Sha256,
        Self::Sha512,
        Self::Md5,
    ];

    /// The algorithm of that name in any case; `None` for one that isn't computed here.
    fn named(name: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|a| a.name().eq_ignore_ascii_case(name))
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Crc32 => "crc32",
            Self::Crc32c => "crc32c",
            Self::Crc64Nvme => "crc64nvme",
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
            Self::Md5 => "md5",
        }
    }

    /// A body's checksum in base64.
    fn of(self, body: &[u8]) -> String {
        let digest = |algorithm| STANDARD.encode(hash::digest(algorithm, body));
        match self {
            Self::Crc32 => STANDARD.encode(CRC32.checksum(body).to_be_bytes()),
            Self::Crc32c => STANDARD.encode(CRC32C.checksum(body).to_be_bytes()),
            Self::Crc64Nvme => STANDARD.encode(CRC64NVME.checksum(body).to_be_bytes()),
            Self::Sha1 => digest(&hash::SHA1_FOR_LEGACY_USE_ONLY),
            Self::Sha256 => digest(&hash::SHA256),
            Self::Sha512 => digest(&hash::SHA512),
            Self::Md5 => STANDARD.encode(Md5::digest(body)),
        }
    }
}

/// Checks the checksums that a request's headers have of its body.
///
/// # Errors
/// [`Malformed::Checksum`]; [`Malformed::ChecksumAlgorithm`] for one that can't be checked.
pub(super) fn verify(asked: Asked<'_>, headers: &HeaderMap, body: &[u8]) -> Result<(), Malformed> {
    for name in headers.keys() {
        let Some(algorithm) = algorithm(asked, name) else {
            continue;
        };
        let algorithm = algorithm.map_err(Malformed::ChecksumAlgorithm)?;
        let said = single(headers, name)?.unwrap_or_default();
        if said.trim() != algorithm.of(body) {
            return Err(Malformed::Checksum {
                header: shown(name.as_str()),
            });
        }
    }
    Ok(())
}

/// Gives a rebuilt request the checksums of its body: those that its headers have, that which its caller asks for, and
/// one where the service refuses requests without.
///
/// # Errors
/// [`EncodeError::ChecksumAlgorithm`] for one that can't be computed here.
pub(super) fn renew(
    asked: Asked<'_>,
    input: &Object,
    body: &[u8],
    headers: &mut HeaderMap,
) -> Result<(), EncodeError> {
    let mut summed = false;
    let names: Vec<HeaderName> = headers.keys().cloned().collect();
    for name in names {
        if let Some(algorithm) = algorithm(asked, &name) {
            let algorithm = algorithm.map_err(EncodeError::ChecksumAlgorithm)?;
            put(headers, name, &algorithm.of(body));
            summed = true;
        }
    }
    let Some(checksum) = asked.operation.checksum.as_deref() else {
        return Ok(());
    };
    let member = checksum.algorithm.as_deref();
    let chosen = member.and_then(|m| input.get(m)?.as_str());
    let algorithm = match (chosen, summed, checksum.required) {
        (Some(name), ..) => {
            Algorithm::named(name).ok_or_else(|| EncodeError::ChecksumAlgorithm(shown(name)))?
        }
        // S3's directory buckets take no MD5.
        (None, false, true) if member.is_some() => Algorithm::Crc32,
        (None, false, true) => {
            let name = HeaderName::from_static(CONTENT_MD5);
            put(headers, name, &Algorithm::Md5.of(body));
            return Ok(());
        }
        (None, true, _) | (None, _, false) => return Ok(()),
    };
    if let Ok(name) = HeaderName::try_from(format!("{PREFIX}{}", algorithm.name())) {
        put(headers, name, &algorithm.of(body));
    }
    Ok(())
}

/// The algorithm of a header that holds the body's checksum; its name where that isn't known. `None` for other headers:
/// where an operation's bodies aren't summed up, such a header speaks of an object elsewhere.
fn algorithm(asked: Asked<'_>, header: &HeaderName) -> Option<Result<Algorithm, String>> {
    if header.as_str() == CONTENT_MD5 {
        return Some(Ok(Algorithm::Md5));
    }
    asked.operation.checksum.as_ref()?;
    let name = header.as_str().strip_prefix(PREFIX)?;
    if NO_CHECKSUMS.contains(&name) {
        return None;
    }
    Some(Algorithm::named(name).ok_or_else(|| shown(name)))
}

fn put(headers: &mut HeaderMap, name: HeaderName, text: &str) {
    // Base64 is always a header's text.
    if let Ok(value) = HeaderValue::from_str(text) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_algorithm_sums_up_as_its_specification_says() {
        let hex = |algorithm: Algorithm| {
            let bytes = STANDARD.decode(algorithm.of(b"123456789")).unwrap();
            bytes.iter().map(|b| format!("{b:02x}")).collect::<String>()
        };
        // The check values of the CRC catalogue; FIPS 180 and RFC 1321 for the others.
        assert_eq!(hex(Algorithm::Crc32), "cbf43926");
        assert_eq!(hex(Algorithm::Crc32c), "e3069283");
        assert_eq!(hex(Algorithm::Crc64Nvme), "ae8b14860a799888");
        assert_eq!(hex(Algorithm::Md5), "25f9e794323b453885f5181f1b624d0b");
        assert_eq!(
            hex(Algorithm::Sha1),
            "f7c3bc1d808e04732adf679965ccc34ca7ae3441"
        );
        assert!(hex(Algorithm::Sha256).starts_with("15e2b0d3c33891ebb0f1ef609ec41942"));
        assert!(hex(Algorithm::Sha512).starts_with("d9e6762dd1c8eaf6d61b3c6192fc408d"));
    }
}
