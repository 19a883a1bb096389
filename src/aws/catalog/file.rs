//! The bytes of a catalog: a header, a compressed index, one compressed part for each service.
//!
//! ```text
//! 0   "PALISADE"        8 bytes
//! 8   format version    u16, big-endian
//! 10  index bytes       u32, compressed
//! 14  index bytes       u32, decompressed
//! 18  SHA-256           32 bytes, of the compressed index
//! 50  index             zstd of JSON
//! …   the parts         the outlines (zstd of text), then each service (zstd of JSON), each part with offset, lengths
//!                       and SHA-256 in the index
//! ```
//! The same content gives the same bytes. Every length is checked before anything is decompressed.

use sha2::{Digest, Sha256};

use super::index::{Blob, Entry, Index};
use super::model::Service;
use super::outline;

const MAGIC: &[u8; 8] = b"PALISADE";
const FORMAT: u16 = 2;
const HEADER: usize = 50;
/// More than the whole of AWS takes; a length above it is damage.
const RAW_BYTES_MAX: usize = 64 << 20;
/// The largest file that is a catalog, in bytes: of a larger one no more need be read.
pub const FILE_BYTES_MAX: u64 = 64 << 20;
const LEVEL: i32 = 19;

/// Why bytes are not a catalog, or a part of it can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CatalogError {
    #[error("the file is not a catalog; make one with `palisade catalog build`")]
    NotACatalog,
    #[error(
        "the file is larger than {FILE_BYTES_MAX} bytes, as no catalog is; make one with `palisade catalog build`"
    )]
    TooLarge,
    #[error(
        "the catalog has format {found}, this version reads format {FORMAT}; build it again with `palisade catalog build`"
    )]
    Format { found: u16 },
    #[error(
        "the catalog is damaged: {what}; build it again with `palisade catalog build` or fetch a whole copy"
    )]
    Damaged { what: String },
    #[error("the catalog can't be written: {0}")]
    Write(String),
}

/// The index of a catalog and where its parts begin.
///
/// # Errors
/// [`CatalogError`] where the bytes aren't a whole catalog of this format.
pub fn read_index(bytes: &[u8]) -> Result<(Index, usize), CatalogError> {
    if u64::try_from(bytes.len()).map_or(true, |length| length > FILE_BYTES_MAX) {
        return Err(CatalogError::TooLarge);
    }
    let mut fields = Fields(bytes.get(..HEADER).ok_or(CatalogError::NotACatalog)?);
    if fields.take(MAGIC.len())? != MAGIC {
        return Err(CatalogError::NotACatalog);
    }
    let found = fields.number(2)?;
    if found != usize::from(FORMAT) {
        return Err(CatalogError::Format {
            found: u16::try_from(found).unwrap_or(u16::MAX),
        });
    }
    let (len, raw_len) = (fields.number(4)?, fields.number(4)?);
    let digest = fields.take(32)?;
    let end = HEADER.saturating_add(len);
    let packed = bytes
        .get(HEADER..end)
        .ok_or_else(|| damaged("it ends within its index"))?;
    if Sha256::digest(packed).as_slice() != digest {
        return Err(damaged("the index doesn't match its checksum"));
    }
    let index: Index = parse(&unpack(packed, raw_len, "the index")?, "the index")?;
    for entry in &index.services {
        if let Some(blob) = &entry.blob {
            part(bytes, end, blob, &format!("the part of `{}`", entry.id))?;
        }
    }
    Ok((index, end))
}

/// What stands before the index; the whole of what is no catalog.
#[must_use]
pub fn header(bytes: &[u8]) -> &[u8] {
    bytes.get(..HEADER).unwrap_or(bytes)
}

/// One service, read from its part.
///
/// # Errors
/// [`CatalogError::Damaged`] where the part is not what the index says.
pub fn read_service(
    bytes: &[u8],
    parts_at: usize,
    blob: &Blob,
    id: &str,
) -> Result<Service, CatalogError> {
    let what = format!("the part of `{id}`");
    let mut service: Service = parse(&read_part(bytes, parts_at, blob, &what)?, &what)?;
    if service.id != id {
        return Err(damaged(&format!(
            "the part of `{id}` holds `{}`",
            service.id
        )));
    }
    // A map that was filled in order has its nodes half full; one that is made of them all has them full.
    service.operations = std::mem::take(&mut service.operations)
        .into_iter()
        .collect();
    Ok(service)
}

/// The text of the outlines.
///
/// # Errors
/// [`CatalogError::Damaged`] where the part is not what the index says.
pub fn read_outlines(bytes: &[u8], parts_at: usize, blob: &Blob) -> Result<String, CatalogError> {
    let what = "the part of all operations";
    String::from_utf8(read_part(bytes, parts_at, blob, what)?)
        .map_err(|_| damaged(&format!("{what} is no text")))
}

/// The bytes of a catalog. The index's services get their blobs from `services`, which may be any of them.
///
/// # Errors
/// [`CatalogError::Write`] where something is too large for the format, or a service isn't in the index.
pub fn write(mut index: Index, services: &[Service]) -> Result<Vec<u8>, CatalogError> {
    let mut parts = Vec::new();
    let mut append = |(packed, raw_len): (Vec<u8>, usize)| {
        let blob = Blob {
            offset: parts.len(),
            len: packed.len(),
            raw_len,
            sha256: hex(&Sha256::digest(&packed)),
        };
        parts.extend_from_slice(&packed);
        blob
    };
    let (outlines, sections) = outline::write(services);
    index.outlines = append(pack(outlines.as_bytes())?);
    for (service, section) in services.iter().zip(sections) {
        let entry = index
            .services
            .iter_mut()
            .find(|e| e.id == service.id)
            .ok_or_else(|| CatalogError::Write(format!("`{}` is not in the index", service.id)))?;
        entry.blob = Some(append(pack(&json(service)?)?));
        entry.outline = Some(section);
    }
    let (packed, raw_len) = pack(&json(&Ordered::of(&index))?)?;
    let mut bytes = Vec::with_capacity(HEADER + packed.len() + parts.len());
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&FORMAT.to_be_bytes());
    for n in [packed.len(), raw_len] {
        let n = u32::try_from(n).map_err(|e| CatalogError::Write(e.to_string()))?;
        bytes.extend_from_slice(&n.to_be_bytes());
    }
    bytes.extend_from_slice(&Sha256::digest(&packed));
    bytes.extend_from_slice(&packed);
    bytes.extend_from_slice(&parts);
    Ok(bytes)
}

/// The index with its hosts in order, so that the same index gives the same bytes.
#[derive(serde::Serialize)]
struct Ordered<'a> {
    version: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    older: &'a [String],
    partitions: &'a [super::index::Partition],
    services: &'a [Entry],
    varying_labels: &'a [String],
    outlines: &'a Blob,
    hosts: std::collections::BTreeMap<&'a str, &'a [super::index::HostEntry]>,
    aliases: &'a std::collections::BTreeMap<String, String>,
    private_link:
        &'a std::collections::BTreeMap<String, std::collections::BTreeMap<String, String>>,
}

impl<'a> Ordered<'a> {
    fn of(index: &'a Index) -> Self {
        Self {
            version: &index.version,
            older: &index.older,
            partitions: &index.partitions,
            services: &index.services,
            varying_labels: &index.varying_labels,
            outlines: &index.outlines,
            hosts: index
                .hosts
                .iter()
                .map(|(template, entries)| (template.as_str(), entries.as_slice()))
                .collect(),
            aliases: &index.aliases,
            private_link: &index.private_link,
        }
    }
}

/// What is left of a header.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], CatalogError> {
        let (field, rest) = self
            .0
            .split_at_checked(len)
            .ok_or(CatalogError::NotACatalog)?;
        self.0 = rest;
        Ok(field)
    }

    fn number(&mut self, len: usize) -> Result<usize, CatalogError> {
        Ok(self
            .take(len)?
            .iter()
            .fold(0, |n, &b| (n << 8) | usize::from(b)))
    }
}

fn part<'a>(
    bytes: &'a [u8],
    parts_at: usize,
    blob: &Blob,
    what: &str,
) -> Result<&'a [u8], CatalogError> {
    let start = parts_at.saturating_add(blob.offset);
    bytes
        .get(start..start.saturating_add(blob.len))
        .ok_or_else(|| damaged(&format!("it ends within {what}")))
}

/// A part, unpacked, once it's found to be what the index says.
fn read_part(
    bytes: &[u8],
    parts_at: usize,
    blob: &Blob,
    what: &str,
) -> Result<Vec<u8>, CatalogError> {
    let packed = part(bytes, parts_at, blob, what)?;
    if hex(&Sha256::digest(packed)) != blob.sha256 {
        return Err(damaged(&format!("{what} doesn't match its checksum")));
    }
    unpack(packed, blob.raw_len, what)
}

fn json<T: serde::Serialize>(value: &T) -> Result<Vec<u8>, CatalogError> {
    serde_json::to_vec(value).map_err(|e| CatalogError::Write(e.to_string()))
}

fn pack(raw: &[u8]) -> Result<(Vec<u8>, usize), CatalogError> {
    if raw.len() > RAW_BYTES_MAX {
        return Err(CatalogError::Write(format!(
            "a part has {} bytes, at most {RAW_BYTES_MAX} are read back",
            raw.len()
        )));
    }
    let packed =
        zstd::bulk::compress(raw, LEVEL).map_err(|e| CatalogError::Write(e.to_string()))?;
    Ok((packed, raw.len()))
}

fn unpack(packed: &[u8], raw_len: usize, what: &str) -> Result<Vec<u8>, CatalogError> {
    if raw_len > RAW_BYTES_MAX {
        return Err(damaged(&format!("{what} claims {raw_len} bytes")));
    }
    let raw = zstd::bulk::decompress(packed, raw_len)
        .map_err(|e| damaged(&format!("{what} doesn't decompress ({e})")))?;
    if raw.len() != raw_len {
        return Err(damaged(&format!("{what} is shorter than it says")));
    }
    Ok(raw)
}

fn parse<T: serde::de::DeserializeOwned>(raw: &[u8], what: &str) -> Result<T, CatalogError> {
    serde_json::from_slice(raw).map_err(|e| damaged(&format!("{what} doesn't parse ({e})")))
}

fn damaged(what: &str) -> CatalogError {
    CatalogError::Damaged {
        what: what.to_owned(),
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, b| {
        let _ = write!(text, "{b:02x}");
        text
    })
}
