//! Catalogs: what `catalog = …` names.
//!
//! An input is either a catalog's own bytes, or its parts with a line `---` between them: the index, the outlines, one
//! part for each of the index's services, and at the end a request to one of them, spelt as in `request`. Of the latter
//! the harness makes the file, with its lengths and its checksums.

use palisade::aws::catalog::Catalog;
use palisade::aws::endpoint::Addressed;
use palisade::aws::host::Host;
use palisade::aws::protocol;
use palisade::aws::value::Object;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::request::Request;

const BETWEEN: &[u8] = b"\n---\n";
/// What a catalog begins with: its name, and the version of its format.
const MAGIC: &[u8] = b"PALISADE\0\x02";

/// A catalog: refused, or one that can be asked for all that it has.
pub fn read_catalog(data: &[u8]) {
    if let Ok(catalog) = Catalog::from_bytes(data.to_vec()) {
        ask(&catalog, None);
    }
    let mut parts = split(data);
    let request = parts.pop().and_then(Request::parse);
    if let Ok(catalog) = Catalog::from_bytes(made(&parts)) {
        ask(&catalog, request.as_ref());
    }
}

fn ask(catalog: &Catalog, request: Option<&Request>) {
    for id in catalog.known_ids() {
        for template in catalog.templates(id).expect("it was read before") {
            let template = template
                .replace("{region}", "eu-west-1")
                .replace("*.", "a.");
            for suffix in ["amazonaws.com", "api.aws"] {
                let host = template.replace("{dns}", suffix).replace("{dual}", suffix);
                if let Ok(host) = Host::parse(&host) {
                    let _ = catalog.resolve(&host);
                }
            }
        }
        let Ok(Some(service)) = catalog.service(id) else {
            continue;
        };
        for operation in service.operations.values() {
            for spoken in &service.protocols {
                let (none, plain) = (Object::new(), Addressed::Service);
                let _ = protocol::encode(&service, operation, *spoken, &none, &plain);
            }
        }
        // What it says may make no sense, so that nothing need come back as it was.
        if let Some((identified, read)) = request.and_then(|r| r.understood(&[service])) {
            let (service, operation) = (identified.service(), identified.operation());
            let plain = Addressed::Service;
            let _ = protocol::encode(service, operation, identified.protocol(), &read, &plain);
            let _ = operation.class_of(&read);
        }
    }
    for (_, outline) in catalog.outlines() {
        for name in outline.names() {
            let _ = outline.operation(name);
        }
        for brief in outline.operations().chain(outline.firsts()) {
            let _ = (brief.classes().count(), brief.members().count());
        }
    }
    let _ = catalog.nearest_action("ec2:TerminateInstance");
}

fn split(data: &[u8]) -> Vec<&[u8]> {
    let (mut parts, mut rest) = (Vec::new(), data);
    let next = |rest: &[u8]| rest.windows(BETWEEN.len()).position(|w| w == BETWEEN);
    while let Some(at) = next(rest) {
        parts.push(&rest[..at]);
        rest = &rest[at + BETWEEN.len()..];
    }
    parts.push(rest);
    parts
}

/// The file that these parts make.
fn made(parts: &[&[u8]]) -> Vec<u8> {
    let mut parts = parts.iter();
    let index = parts.next().copied().unwrap_or_default();
    let mut packed = Vec::new();
    let mut blobs = parts.map(|part| blob(part, &mut packed));
    let index = match serde_json::from_slice::<Value>(index) {
        Ok(Value::Object(mut index)) => {
            if let Some(outlines) = blobs.next() {
                index.insert("outlines".to_owned(), outlines);
            }
            let services = index.get_mut("services").and_then(Value::as_array_mut);
            for (service, blob) in services.into_iter().flatten().zip(blobs) {
                if let Value::Object(service) = service {
                    service.insert("blob".to_owned(), blob);
                }
            }
            serde_json::to_vec(&index).expect("it was JSON")
        }
        Ok(_) | Err(_) => {
            drop(blobs);
            index.to_vec()
        }
    };
    let compressed = zstd::bulk::compress(&index, 1).expect("in memory");
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).expect("short").to_be_bytes();
    [
        MAGIC,
        &length(&compressed),
        &length(&index),
        Sha256::digest(&compressed).as_slice(),
        &compressed,
        &packed,
    ]
    .concat()
}

fn blob(part: &[u8], packed: &mut Vec<u8>) -> Value {
    let compressed = zstd::bulk::compress(part, 1).expect("in memory");
    let sha256 = palisade::aws::sigv4::sha256_hex(&compressed);
    let offset = packed.len();
    packed.extend_from_slice(&compressed);
    json!({"offset": offset, "len": compressed.len(), "raw_len": part.len(), "sha256": sha256})
}
