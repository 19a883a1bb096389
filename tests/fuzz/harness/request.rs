//! Requests, spelt as in HTTP/1.1, in short: a line `SERVICE METHOD TARGET`, lines `name: value`, an empty line, the
//! body. The service's own host stands for the rest, unless a line `host: …` names another of its hosts.

use std::sync::{Arc, OnceLock};

use http::header::HOST;
use http::{HeaderMap, Method};
use palisade::aws::answer::{Kind, Shape, refusal};
use palisade::aws::catalog::Service;
use palisade::aws::endpoint::{Addressed, Resolved};
use palisade::aws::head::Head;
use palisade::aws::host::Host;
use palisade::aws::protocol::{self, Identified, WireRequest};
use palisade::aws::value::{Object, Value};
use palisade::guard::knowledge::Knowledge;
use palisade::guard::target::targets;

use super::{catalog, head_and_body, headers};

/// What a refusal repeats of a request at most, so that the whole of it is read back.
const WORDS_BYTES_MAX: usize = 8192;

/// A request: whatever decodes must encode to a request that decodes to the same.
pub fn read_request(data: &[u8]) {
    let Some(request) = Request::parse(data) else {
        return;
    };
    let services: Vec<_> = (request.services.iter())
        .filter_map(|id| catalog().service(id).ok()?)
        .collect();
    let services = services.as_slice();
    let head = request.head();
    let words = String::from_utf8_lossy(&request.body);
    let Some((identified, read)) = request.understood(services) else {
        let _ = refusal(
            &Shape::asked(services, &head),
            Kind::Malformed,
            &words,
            "id",
        );
        return;
    };
    let service = identified.service();
    let _ = targets(service, identified.operation(), knowledge(), &read);
    // Whatever a refusal repeats of the request, it's read as what it is.
    let refused = refusal(&Shape::of(&identified, &head), Kind::Denied, &words, "id");
    if head.method != Method::HEAD && words.len() < WORDS_BYTES_MAX {
        let (status, headers, body) = (refused.status, &refused.headers, &refused.body);
        let error = protocol::decode_error(identified.protocol(), status, headers, body);
        assert_eq!(
            error.code, refused.code,
            "refused otherwise than it is read"
        );
    }
    let wire = protocol::encode(
        service,
        identified.operation(),
        identified.protocol(),
        &read,
        &request.addressed,
    );
    // Not all that can be read can be written: an empty label, a text that no header takes. That refuses.
    if let Ok(wire) = wire {
        request.means(services, &identified, &read, wire);
    }
    let restated = protocol::restate(&identified, &head, &request.body);
    if let Ok(Some(wire)) = restated {
        request.means(services, &identified, &read, wire);
    }
}

fn knowledge() -> &'static Knowledge {
    static KNOWLEDGE: OnceLock<Knowledge> = OnceLock::new();
    KNOWLEDGE.get_or_init(|| Knowledge::embedded().expect("the embedded files are right"))
}

pub(super) struct Request {
    /// Those that share the host.
    services: Vec<String>,
    method: Method,
    pub(super) target: String,
    pub(super) headers: HeaderMap,
    pub(super) addressed: Addressed,
    pub(super) body: Vec<u8>,
}

impl Request {
    pub(super) fn parse(data: &[u8]) -> Option<Self> {
        let (head, body) = head_and_body(data)?;
        let mut lines = head.split('\n');
        let mut first = lines.next()?.splitn(3, ' ');
        let (service, method, target) = (first.next()?, first.next()?, first.next()?);
        let headers = headers(lines)?;
        let host = headers.get(HOST).and_then(|host| host.to_str().ok());
        let host = host.and_then(|host| Host::parse(host).ok());
        let (services, addressed) = match host.map(|host| catalog().resolve(&host)) {
            Some(Resolved::Api(endpoint)) => (endpoint.services, endpoint.addressed),
            Some(Resolved::Unmodelled | Resolved::Foreign) | None => {
                (vec![service.to_owned()], Addressed::Service)
            }
        };
        Some(Self {
            services,
            method: method.parse().ok()?,
            target: target.to_owned(),
            headers,
            addressed,
            body: body.to_vec(),
        })
        .filter(|request| request.target.starts_with('/') && !request.target.contains('#'))
    }

    pub(super) fn head(&self) -> Head<'_> {
        let (path, query) = match self.target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (self.target.as_str(), None),
        };
        Head {
            method: &self.method,
            path,
            query,
            headers: &self.headers,
            addressed: &self.addressed,
        }
    }

    pub(super) fn understood(&self, services: &[Arc<Service>]) -> Option<(Identified, Object)> {
        let head = self.head();
        let body = protocol::needs_body(&head).then_some(self.body.as_slice());
        let identified = protocol::identify(services, &head, body).ok()?;
        let read = protocol::decode(&identified, &head, &self.body).ok()?;
        Some((identified, read))
    }

    /// Holds what goes on in this request's place against what it was read as.
    fn means(
        &self,
        services: &[Arc<Service>],
        identified: &Identified,
        read: &Object,
        wire: WireRequest,
    ) {
        let again = Self {
            services: self.services.clone(),
            method: wire.method,
            target: wire.path_and_query,
            headers: wire.headers,
            addressed: self.addressed.clone(),
            body: wire.body,
        };
        let Some((second, reread)) = again.understood(services) else {
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
            same(read, &reread),
            "encoded it decodes to another input: {read:?} is {reread:?}"
        );
    }
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
