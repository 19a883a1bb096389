//! Bodies by themselves: JSON, CBOR, XML.

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
    // What was taken for text is told from markup when it's written.
    let whole = format!("<a>{}</a>", xml::escaped(&read.text));
    let again = xml::parse(whole.as_bytes()).map(|a| a.text);
    assert_eq!(
        again.ok(),
        Some(read.text),
        "written anew it reads otherwise"
    );
}
