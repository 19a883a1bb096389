//! Bodies by themselves: JSON, CBOR, XML.

use palisade::aws::protocol::xml::Element;
use palisade::aws::protocol::{cbor, json, xml};
use palisade::aws::role_keys::RoleKeys;

/// JSON, as strictly as bodies are read.
pub fn read_json(data: &[u8]) {
    let Ok(read) = json::parse(data) else { return };
    let written = json::write(&read);
    assert_eq!(
        json::parse(&written).ok(),
        Some(read),
        "written anew it reads otherwise"
    );
}

/// CBOR, as strictly as bodies are read.
pub fn read_cbor(data: &[u8]) {
    let Ok(read) = cbor::parse(data) else { return };
    let written = cbor::write(&read);
    let again = cbor::parse(&written).map(|item| cbor::write(&item));
    assert_eq!(again.ok(), Some(written), "written anew it reads otherwise");
}

/// XML, as strictly as bodies and answers are read.
pub fn read_xml(data: &[u8]) {
    let _ = RoleKeys::parse(data);
    let Ok(read) = xml::parse(data) else { return };
    if let Ok(request) = xml::parse_request(data) {
        assert_eq!(request, read, "a request reads otherwise than an answer");
    }
    let again = xml::parse(written(&read).as_bytes());
    assert_eq!(again.as_ref(), Ok(&read), "written anew it reads otherwise");
}

fn written(element: &Element) -> String {
    let attribute = |(name, value): &(String, String)| {
        // Bare they would be read as blanks.
        let value = xml::escaped(value)
            .replace('\n', "&#10;")
            .replace('\t', "&#9;");
        format!(" {name}=\"{value}\"")
    };
    let attributes: String = element.attributes.iter().map(attribute).collect();
    let children: String = element.children.iter().map(written).collect();
    let (name, text) = (&element.name, xml::escaped(&element.text));
    format!("<{name}{attributes}>{text}{children}</{name}>")
}
