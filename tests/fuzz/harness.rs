//! What the fuzz targets do with their bytes; the replay of the corpus does the same on stable Rust.
//!
//! A request is spelt as in HTTP/1.1, in short: a line `SERVICE METHOD TARGET`, lines `name: value`, a blank line, the body. The
//! service's own host stands for the rest. Whatever decodes must encode to a request that decodes to the same.

use std::sync::{Arc, OnceLock};

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use palisade::aws::catalog::{Catalog, Service};
use palisade::aws::endpoint::Addressed;
use palisade::aws::head::Head;
use palisade::aws::host::Host;
use palisade::aws::protocol::{self, Identified, WireRequest, cbor, json, xml};
use palisade::aws::sigv4::Authorization;
use palisade::aws::value::{Object, Value};

/// A target: its name, which is that of its folder of the corpus, and what reads an input.
pub type Target = (&'static str, fn(&[u8]));

pub const TARGETS: [Target; 6] = [
    ("json", read_json),
    ("cbor", read_cbor),
    ("xml", read_xml),
    ("request", read_request),
    ("signature", read_signature),
    ("host", read_host),
];

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

/// A request: identified, decoded, encoded, and that once more.
pub fn read_request(data: &[u8]) {
    let Some(request) = Request::parse(data) else {
        return;
    };
    let Some(services) = services(&request.service) else {
        return;
    };
    let addressed = Addressed::Service;
    let Some((identified, read)) = understood(&services, &request, &addressed) else {
        return;
    };
    let service = identified.service();
    let wire = protocol::encode(
        service,
        identified.operation(),
        identified.protocol(),
        &read,
        &addressed,
    );
    // Not all that can be read can be written: an empty label, a text that no header takes. That refuses.
    let Ok(wire) = wire else { return };
    let again = Request::of(&request.service, wire);
    let Some((second, reread)) = understood(&services, &again, &addressed) else {
        panic!(
            "what was encoded isn't understood: {} {}",
            again.method, again.target
        );
    };
    assert_eq!(
        second.operation().name,
        identified.operation().name,
        "encoded it is another operation"
    );
    assert!(
        same(&read, &reread),
        "encoded it decodes to another input: {read:?} is {reread:?}"
    );
}

/// What a request says of its signature, in the header or in the query.
pub fn read_signature(data: &[u8]) {
    let Some(request) = Request::parse(data) else {
        return;
    };
    let addressed = Addressed::Service;
    let _ = Authorization::of(&request.head(&addressed));
}

/// A host.
pub fn read_host(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(host) = Host::parse(text) else { return };
    assert_eq!(
        Host::parse(host.as_str()).as_ref(),
        Ok(&host),
        "it is spelt otherwise when it's parsed again"
    );
    let _ = catalog().resolve(&host);
}

struct Request {
    service: String,
    method: Method,
    target: String,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Request {
    fn parse(data: &[u8]) -> Option<Self> {
        let end = data.windows(2).position(|w| w == b"\n\n")?;
        let head = std::str::from_utf8(data.get(..end)?).ok()?;
        let body = data.get(end + 2..)?.to_vec();
        let mut lines = head.split('\n');
        let mut first = lines.next()?.splitn(3, ' ');
        let (service, method, target) = (first.next()?, first.next()?, first.next()?);
        let mut headers = HeaderMap::new();
        for line in lines {
            let (name, value) = line.split_once(':')?;
            headers.append(
                HeaderName::try_from(name).ok()?,
                HeaderValue::from_str(value.trim()).ok()?,
            );
        }
        Some(Self {
            service: service.to_owned(),
            method: method.parse().ok()?,
            target: target.to_owned(),
            headers,
            body,
        })
        .filter(|request| request.target.starts_with('/') && !request.target.contains('#'))
    }

    fn of(service: &str, wire: WireRequest) -> Self {
        Self {
            service: service.to_owned(),
            method: wire.method,
            target: wire.path_and_query,
            headers: wire.headers,
            body: wire.body,
        }
    }

    fn head<'a>(&'a self, addressed: &'a Addressed) -> Head<'a> {
        let (path, query) = match self.target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (self.target.as_str(), None),
        };
        Head {
            method: &self.method,
            path,
            query,
            headers: &self.headers,
            addressed,
        }
    }
}

fn understood(
    services: &[Arc<Service>],
    request: &Request,
    addressed: &Addressed,
) -> Option<(Identified, Object)> {
    let head = request.head(addressed);
    let body = protocol::needs_body(&head).then_some(request.body.as_slice());
    let identified = protocol::identify(services, &head, body).ok()?;
    let read = protocol::decode(&identified, &head, &request.body).ok()?;
    Some((identified, read))
}

/// Whether two inputs are the same, whatever the order of their members.
fn same(one: &Object, other: &Object) -> bool {
    one.len() == other.len()
        && one
            .iter()
            .all(|(name, value)| other.get(name).is_some_and(|o| alike(value, o)))
}

fn alike(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => same(one, other),
        (Value::List(one), Value::List(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(a, b)| alike(a, b))
        }
        (one, other) => one == other,
    }
}

fn services(id: &str) -> Option<Vec<Arc<Service>>> {
    Some(vec![catalog().service(id).ok()??])
}

fn catalog() -> &'static Catalog {
    static CATALOG: OnceLock<Catalog> = OnceLock::new();
    CATALOG.get_or_init(|| Catalog::embedded().expect("the embedded catalog is whole"))
}
