use super::*;
use crate::aws::endpoint::Endpoint;

fn catalog() -> Catalog {
    Catalog::embedded().unwrap()
}

fn endpoint(host: &str) -> Endpoint {
    match catalog().resolve(&Host::parse(host).unwrap()) {
        Resolved::Api(endpoint) => endpoint,
        other @ (Resolved::Unmodelled | Resolved::Foreign) => panic!("{host}: {other:?}"),
    }
}

#[test]
fn the_embedded_catalog_holds_the_five_services_and_sts() {
    let catalog = catalog();
    let ids: Vec<&str> = catalog.service_ids().collect();
    assert_eq!(
        ids,
        [
            "evs",
            "mgn",
            "servicecatalog",
            "sts",
            "workspaces",
            "workspaces-instances"
        ]
    );
    for id in ids {
        assert!(!catalog.service(id).unwrap().unwrap().operations.is_empty());
    }
}

#[test]
fn a_service_without_operations_is_known_with_its_protocols() {
    let ec2 = catalog().service("ec2").unwrap().unwrap();
    assert!(ec2.operations.is_empty());
    assert_eq!(ec2.protocols, [Protocol::Ec2Query]);
    assert_eq!(endpoint("ec2.us-east-1.amazonaws.com").services, ["ec2"]);
    assert!(catalog().service("ec3").unwrap().is_none());
}

#[test]
fn a_service_is_decoded_once() {
    let catalog = catalog();
    let first = catalog.service("mgn").unwrap().unwrap();
    let second = catalog.service("mgn").unwrap().unwrap();
    assert!(Arc::ptr_eq(&first, &second));
}

#[test]
fn damage_anywhere_is_an_error() {
    let whole = EMBEDDED.to_vec();
    assert_eq!(
        Catalog::from_bytes(b"palisade".to_vec()).unwrap_err(),
        CatalogError::NotACatalog
    );
    let mut newer = whole.clone();
    newer[9] = 99;
    assert_eq!(
        Catalog::from_bytes(newer).unwrap_err(),
        CatalogError::Format { found: 99 }
    );
    for cut in [10, 60, whole.len() - 1] {
        assert!(Catalog::from_bytes(whole[..cut].to_vec()).is_err(), "{cut}");
    }
    for flipped in [20, 60, 5000] {
        let mut bytes = whole.clone();
        bytes[flipped] ^= 1;
        assert!(Catalog::from_bytes(bytes).is_err(), "{flipped}");
    }
}

#[test]
fn a_damaged_service_is_an_error_when_asked_for() {
    let mut bytes = EMBEDDED.to_vec();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    let catalog = Catalog::from_bytes(bytes).unwrap();
    let damaged = |id: &str| catalog.service(id).is_err();
    assert!(damaged("workspaces-instances"));
    assert!(!damaged("evs"));
}

#[test]
fn a_length_that_lies_is_refused_before_anything_is_unpacked() {
    let mut bytes = EMBEDDED.to_vec();
    bytes[14..18].copy_from_slice(&u32::MAX.to_be_bytes());
    assert!(matches!(
        Catalog::from_bytes(bytes),
        Err(CatalogError::Damaged { .. })
    ));
}

#[test]
fn the_same_content_gives_the_same_bytes() {
    let (index, at) = file::read_index(EMBEDDED).unwrap();
    let services: Vec<Service> = index
        .services
        .iter()
        .filter_map(|e| Some((e.blob.as_ref()?, &e.id)))
        .map(|(blob, id)| file::read_service(EMBEDDED, at, blob, id).unwrap())
        .collect();
    let again = file::write(index, &services).unwrap();
    assert_eq!(again, EMBEDDED);
}
