//! Catalogs with the operations of few services, as tests want them: small, and with services that have none.

use super::{Catalog, EMBEDDED, file};

/// The services whose classes and resources were reviewed one by one.
pub(crate) const REVIEWED: [&str; 6] = [
    "evs",
    "mgn",
    "servicecatalog",
    "sts",
    "workspaces",
    "workspaces-instances",
];

/// The embedded catalog with the operations of these services alone; of the others it knows what the index says.
pub(crate) fn few(ids: &[&str]) -> Catalog {
    Catalog::from_bytes(bytes(ids)).unwrap()
}

/// The file of [`few`].
pub(crate) fn bytes(ids: &[&str]) -> Vec<u8> {
    let (mut index, at) = file::read_index(EMBEDDED).unwrap();
    let mut services = Vec::new();
    for entry in &mut index.services {
        entry.outline = None;
        if let Some(blob) = entry.blob.take()
            && ids.contains(&entry.id.as_str())
        {
            services.push(file::read_service(EMBEDDED, at, &blob, &entry.id).unwrap());
        }
    }
    assert_eq!(services.len(), ids.len(), "{ids:?}");
    file::write(index, &services).unwrap()
}
