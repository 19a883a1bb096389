//! Holds what botocore sent, as `record.py` wrote it down, against what Palisade reads in it.
//!
//! `oracle CATALOG FILE…` prints a line of JSON for each request that isn't understood as it was meant (which check failed, what
//! was found), and at the end a line with the counts. `CATALOG` is a file, or `embedded`. It judges nothing: who runs
//! it knows which exceptions there are.
//!
//! The checks, in order; a request fails at most one:
//! - `host`: the host belongs to an API;
//! - `operation`: the request is identified as the operation that was called;
//! - `decode`: its input decodes to what was serialised;
//! - `encode`: encoded again it is an equal request;
//! - `again`: that one decodes to the same input;
//! - `targets`: where its class is guarded, what it names is found.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "what isn't equal differs, whatever it is"
)]

use std::error::Error;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use palisade::aws::catalog::model::{Location, Protocol, Service, Shape, ShapeId, Structure};
use palisade::aws::catalog::{Catalog, Operation};
use palisade::aws::endpoint::Resolved;
use palisade::aws::head::Head;
use palisade::aws::host::Host;
use palisade::aws::protocol::{self, Identified, WireRequest};
use palisade::aws::value::{Object, Value};
use palisade::guard::knowledge::Knowledge;
use palisade::guard::target::{TargetError, targets};
use serde::Deserialize;
use serde_json::{Value as Json, json};

const THREADS: usize = 2;

/// A line of the recording.
#[derive(Deserialize)]
struct Sent {
    service: String,
    operation: String,
    protocol: String,
    which: String,
    host: String,
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: String,
    input: Json,
}

#[derive(Default)]
struct Counts {
    requests: AtomicU64,
    identified: AtomicU64,
    decoded: AtomicU64,
    /// Bodies that stream, or are framed in chunks: passed on as they are.
    streamed: AtomicU64,
    guarded: AtomicU64,
    named: AtomicU64,
    failed: AtomicU64,
}

/// A check that a request failed, and what was found.
struct Failure(&'static str, String);

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((catalog, files)) = arguments.split_first() else {
        return Err("usage: oracle CATALOG FILE…".into());
    };
    let catalog = match catalog.as_str() {
        "embedded" => Catalog::embedded()?,
        file => Catalog::from_bytes(std::fs::read(file)?)?,
    };
    let knowledge = Knowledge::embedded()?;
    let mut lines = Vec::new();
    for file in files {
        for line in BufReader::new(File::open(file)?).lines() {
            lines.push(line?);
        }
    }
    let counts = Counts::default();
    let share = lines.len().div_ceil(THREADS).max(1);
    std::thread::scope(|scope| {
        let parts: Vec<_> = lines
            .chunks(share)
            .map(|part| {
                scope.spawn(|| {
                    part.iter().try_for_each(|line| {
                        judge(&catalog, &knowledge, line, &counts).map_err(|e| e.to_string())
                    })
                })
            })
            .collect();
        parts
            .into_iter()
            .try_for_each(|part| part.join().map_err(|_| "a thread failed".to_owned())?)
    })?;
    let count = |n: &AtomicU64| n.load(Ordering::Relaxed);
    println!(
        "{}",
        json!({"requests": count(&counts.requests), "identified": count(&counts.identified), "decoded": count(&counts.decoded),
               "streamed": count(&counts.streamed), "guarded": count(&counts.guarded), "named": count(&counts.named), "failed": count(&counts.failed)})
    );
    Ok(())
}

fn judge(
    catalog: &Catalog,
    knowledge: &Knowledge,
    line: &str,
    counts: &Counts,
) -> Result<(), Box<dyn Error>> {
    let sent: Sent = serde_json::from_str(line)?;
    add(&counts.requests);
    if let Err(Failure(check, found)) = pass(catalog, knowledge, &sent, counts)? {
        add(&counts.failed);
        let failure = json!({"service": sent.service, "operation": sent.operation, "protocol": sent.protocol, "which": sent.which,
                             "check": check, "found": found});
        writeln!(std::io::stdout().lock(), "{failure}")?;
    }
    Ok(())
}

fn pass(
    catalog: &Catalog,
    knowledge: &Knowledge,
    sent: &Sent,
    counts: &Counts,
) -> Result<Result<(), Failure>, Box<dyn Error>> {
    let Ok(host) = Host::parse(&sent.host) else {
        return Ok(Err(Failure("host", format!("`{}` is no host", sent.host))));
    };
    let endpoint = match catalog.resolve(&host) {
        Resolved::Api(endpoint) => endpoint,
        other => return Ok(Err(Failure("host", format!("{}: {other:?}", sent.host)))),
    };
    let mut services: Vec<Arc<Service>> = Vec::new();
    for id in &endpoint.services {
        services.extend(catalog.service(id)?);
    }
    let mut headers = HeaderMap::new();
    for (name, value) in &sent.headers {
        headers.append(
            HeaderName::try_from(name)?,
            HeaderValue::from_bytes(value.as_bytes())?,
        );
    }
    let body = STANDARD.decode(&sent.body)?;
    let method: Method = sent.method.parse()?;
    let (path, query) = parted(&sent.target);
    let head = Head {
        method: &method,
        path,
        query,
        headers: &headers,
        addressed: &endpoint.addressed,
    };
    let in_body = protocol::needs_body(&head);
    let identified = match protocol::identify(&services, &head, in_body.then_some(body.as_slice()))
    {
        Ok(identified) => identified,
        Err(error) => {
            return Ok(Err(Failure(
                "operation",
                format!("{} {}: {error}", sent.method, short(&sent.target)),
            )));
        }
    };
    let meant = catalog.service(&sent.service)?;
    let meant = meant.and_then(|s| s.operations.get(&sent.operation)?.alias.clone());
    let meant = meant.as_deref().unwrap_or(&sent.service);
    if identified.operation().name != sent.operation || identified.service().id != meant {
        return Ok(Err(Failure(
            "operation",
            format!(
                "{}:{}",
                identified.service().id,
                identified.operation().name
            ),
        )));
    }
    add(&counts.identified);
    let service = identified.service();
    let operation = identified.operation();
    if headers
        .get("content-encoding")
        .is_some_and(|v| v.as_bytes().starts_with(b"aws-chunked"))
    {
        add(&counts.streamed);
        return Ok(Ok(()));
    }
    let read = match protocol::decode(&identified, &head, &body) {
        Ok(read) => read,
        Err(error) => return Ok(Err(Failure("decode", error.to_string()))),
    };
    let meant = service
        .input(operation)
        .map_or(Ok(()), |input| object(service, input, &sent.input, &read));
    if let Err(why) = meant {
        return Ok(Err(Failure("decode", why)));
    }
    add(&counts.decoded);
    let wire = match protocol::encode(
        service,
        operation,
        identified.protocol(),
        &read,
        &endpoint.addressed,
    ) {
        Ok(wire) => wire,
        Err(error) => return Ok(Err(Failure("encode", error.to_string()))),
    };
    if let Err(why) = equal(sent, &headers, &body, &wire, identified.protocol()) {
        return Ok(Err(Failure("encode", why)));
    }
    if let Err(why) = again(&services, &identified, &wire, &endpoint.addressed, &read) {
        return Ok(Err(Failure("again", why)));
    }
    Ok(name(service, operation, knowledge, &read, counts))
}

fn name(
    service: &Service,
    operation: &Operation,
    knowledge: &Knowledge,
    input: &Object,
    counts: &Counts,
) -> Result<(), Failure> {
    if !operation.class.is_guarded() {
        return Ok(());
    }
    add(&counts.guarded);
    match targets(service, operation, knowledge, input) {
        Ok(found) => {
            if !found.targets.is_empty() {
                add(&counts.named);
            }
            Ok(())
        }
        // Inputs with every member give names twice, and those with what is required sometimes none: AWS refuses both.
        Err(
            TargetError::Both { .. } | TargetError::Neither { .. } | TargetError::Unnamed { .. },
        ) => Ok(()),
        Err(error) => Err(Failure("targets", error.to_string())),
    }
}

fn again(
    services: &[Arc<Service>],
    identified: &Identified,
    wire: &WireRequest,
    addressed: &palisade::aws::endpoint::Addressed,
    read: &Object,
) -> Result<(), String> {
    let (path, query) = parted(&wire.path_and_query);
    let head = Head {
        method: &wire.method,
        path,
        query,
        headers: &wire.headers,
        addressed,
    };
    let in_body = protocol::needs_body(&head);
    let second = protocol::identify(services, &head, in_body.then_some(wire.body.as_slice()))
        .map_err(|e| e.to_string())?;
    if second.operation().name != identified.operation().name {
        return Err(format!("it is `{}` then", second.operation().name));
    }
    let reread = protocol::decode(&second, &head, &wire.body).map_err(|e| e.to_string())?;
    if sorted(&Value::Object(reread)) != sorted(&Value::Object(read.clone())) {
        return Err("it decodes to another input".to_owned());
    }
    Ok(())
}

/// Headers that belong to transport, signature and retries, and checksums of a body that may be spelt anew.
fn is_transport(name: &str) -> bool {
    matches!(
        name,
        "host"
            | "user-agent"
            | "authorization"
            | "content-length"
            | "x-amz-date"
            | "x-amz-content-sha256"
            | "x-amz-security-token"
            | "x-amz-region-set"
            | "expect"
            | "content-md5"
            | "transfer-encoding"
            | "x-amz-decoded-content-length"
            | "x-amz-trailer"
            | "accept-encoding"
            | "accept"
            | "date"
            | "x-amz-api-version"
            | "connection"
    ) || name.starts_with("amz-sdk-")
        || name.starts_with("x-amz-checksum-")
        || name == "x-amz-sdk-checksum-algorithm"
        || name == "x-amzn-query-mode"
}

fn equal(
    sent: &Sent,
    headers: &HeaderMap,
    body: &[u8],
    wire: &WireRequest,
    protocol: Protocol,
) -> Result<(), String> {
    let ((path, query), (new_path, new_query)) =
        (parted(&sent.target), parted(&wire.path_and_query));
    if wire.method != sent.method.as_str() {
        return Err(format!("the method is {}", wire.method));
    }
    if unescaped(&unqualified(path)) != unescaped(&unqualified(new_path)) {
        return Err(format!("the path is `{new_path}`, not `{path}`"));
    }
    if pairs(query.unwrap_or("")) != pairs(new_query.unwrap_or("")) {
        return Err(format!("the query is {new_query:?}, not {query:?}"));
    }
    for (name, value) in headers.iter().filter(|(n, _)| !is_transport(n.as_str())) {
        let found: Vec<_> = wire.headers.get_all(name).iter().collect();
        let same = found.iter().any(|f| header(f) == header(value));
        if !(same || name == "content-type" && body.is_empty()) {
            return Err(format!("the header `{name}` is {found:?}, not {value:?}"));
        }
    }
    for (name, value) in wire
        .headers
        .iter()
        .filter(|(n, _)| !is_transport(n.as_str()))
    {
        if !headers.contains_key(name) && !(name == "content-type") {
            return Err(format!("the header `{name}: {value:?}` is added"));
        }
    }
    match protocol {
        Protocol::AwsQuery | Protocol::Ec2Query => {
            let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
            let (old, new) = (form(&text(body)), form(&text(&wire.body)));
            if old != new {
                let gone: Vec<_> = old.iter().filter(|p| !new.contains(p)).collect();
                let more: Vec<_> = new.iter().filter(|p| !old.contains(p)).collect();
                return Err(short(&format!("the form lacks {gone:?} and has {more:?}")));
            }
        }
        Protocol::AwsJson | Protocol::RestJson if body != wire.body.as_slice() => {
            let read = |b: &[u8]| serde_json::from_slice::<Json>(b).map(|j| ordered(&j));
            match (read(body), read(&wire.body)) {
                (Ok(old), Ok(new)) if old == new => {}
                (Ok(old), Err(_)) if old == json!({}) && wire.body.is_empty() => {}
                (Err(_), Ok(new)) if new == json!({}) && body.is_empty() => {}
                _ => {
                    return Err(short(&format!(
                        "the body is {}, not {}",
                        String::from_utf8_lossy(&wire.body),
                        String::from_utf8_lossy(body)
                    )));
                }
            }
        }
        Protocol::RestXml => {
            let (old, new) = (xml(body), xml(&wire.body));
            if old != new {
                return Err(short(&format!("the body is {new}, not {old}")));
            }
        }
        // Its maps have no order and its numbers several spellings: what it decodes to is compared.
        _ => {}
    }
    Ok(())
}

/// A path of RPC v2 without the namespace that botocore puts before the service's name, and the protocol doesn't.
fn unqualified(path: &str) -> String {
    let mut parts: Vec<&str> = path.split('/').collect();
    if let ["", "service", name, "operation", _] = parts.as_mut_slice() {
        *name = name.rsplit('.').next().unwrap_or(name);
    }
    parts.join("/")
}

fn header(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).trim().to_owned()
}

fn xml(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let text = text.trim_start_matches('\u{feff}').trim();
    let text = match text
        .strip_prefix("<?xml")
        .and_then(|rest| rest.split_once("?>"))
    {
        Some((_, rest)) => rest.trim(),
        None => text,
    };
    text.replace(" />", "/>")
        .replace('\'', "\"")
        .replace("&quot;", "\"")
        .replace("&apos;", "'")
}

fn pairs(query: &str) -> Vec<String> {
    let mut pairs: Vec<String> = query
        .split('&')
        .filter(|p| !p.is_empty() && !p.starts_with("x-id="))
        .map(|p| unescaped(p.strip_suffix('=').unwrap_or(p)))
        .collect();
    pairs.sort();
    pairs
}

fn form(body: &str) -> Vec<String> {
    let mut pairs: Vec<String> = body
        .split('&')
        .filter(|p| !p.is_empty())
        .map(|p| unescaped(&p.replace('+', "%20")))
        .collect();
    pairs.sort();
    pairs
}

fn unescaped(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits: Vec<u8> = rest.by_ref().take(2).collect();
            let digits = String::from_utf8_lossy(&digits).into_owned();
            match u8::from_str_radix(&digits, 16) {
                // A slash that was escaped is no slash.
                Ok(b'/') => bytes.extend_from_slice(b"%2F"),
                Ok(byte) => bytes.push(byte),
                Err(_) => bytes.extend_from_slice(format!("%{digits}").as_bytes()),
            }
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Whether what was decoded is what was serialised, member by member.
fn object(
    service: &Service,
    structure: &Structure,
    meant: &Json,
    read: &Object,
) -> Result<(), String> {
    let Some(meant) = meant.as_object() else {
        return Err("a structure isn't one".to_owned());
    };
    for (name, value) in meant {
        let Some(member) = structure.member(name) else {
            return Err(format!("`{name}` isn't in the catalog"));
        };
        match read.get(name) {
            Some(found) => {
                same(service, member.shape, value, found).map_err(|e| format!("`{name}`: {e}"))?
            }
            // Nothing on the wire says that they are there.
            None if value.is_null() || is_empty(value) => {}
            None => return Err(format!("`{name}` is missing")),
        }
    }
    for (name, value) in read.iter() {
        let known = meant.contains_key(name);
        let member = structure.member(name);
        let streams = member.is_some_and(
            |m| matches!(service.shape(m.shape), Some(Shape::Structure(s)) if s.event_stream),
        );
        // What botocore puts into a header or a body by itself, from the shape's default or the host.
        let by_itself = member.is_some_and(|m| {
            matches!(
                m.location,
                Location::Header | Location::Headers | Location::Label
            )
        });
        if !known && !by_itself && !streams && *value != Value::Null {
            return Err(format!("`{name}` was not given: {value:?}"));
        }
    }
    Ok(())
}

fn same(service: &Service, id: ShapeId, meant: &Json, read: &Value) -> Result<(), String> {
    let shape = service.shape(id).ok_or("no shape")?;
    let differs = || Err(short(&format!("{read:?} is not {meant}")));
    match (shape, read) {
        (Shape::Structure(structure), Value::Object(read)) => {
            object(service, structure, meant, read)
        }
        (Shape::List { member, .. }, Value::List(read)) => {
            let Some(meant) = meant.as_array().filter(|m| m.len() == read.len()) else {
                return differs();
            };
            meant
                .iter()
                .zip(read)
                .try_for_each(|(m, r)| same(service, *member, m, r))
        }
        (Shape::Map { value, .. }, Value::Object(read)) => {
            let Some(meant) = meant.as_object().filter(|m| m.len() == read.len()) else {
                return differs();
            };
            meant.iter().try_for_each(|(key, m)| match read.get(key) {
                Some(r) => same(service, *value, m, r),
                None => Err(format!("the key `{key}` is missing")),
            })
        }
        (Shape::Blob, Value::String(text)) => {
            let meant = meant
                .get("$blob")
                .and_then(Json::as_str)
                .or(meant.as_str())
                .unwrap_or("");
            if *text == meant { Ok(()) } else { differs() }
        }
        (Shape::Timestamp { .. }, found) => {
            let meant = meant.get("$time").and_then(Json::as_f64);
            if meant.is_some() && meant == seconds(found) {
                Ok(())
            } else {
                differs()
            }
        }
        (Shape::Document, found) => {
            if json_of(found) == ordered(meant) {
                Ok(())
            } else {
                differs()
            }
        }
        (_, Value::String(text)) => match meant {
            Json::String(meant) if meant == text => Ok(()),
            // A header that holds JSON.
            Json::String(_) if serde_json::from_str::<Json>(text).ok().as_ref() == Some(meant) => {
                Ok(())
            }
            _ => differs(),
        },
        (_, Value::Bool(read)) => {
            if meant.as_bool() == Some(*read) {
                Ok(())
            } else {
                differs()
            }
        }
        (_, Value::Number(number)) => {
            let read: Option<f64> = number.to_string().parse().ok();
            if read.is_some() && read == meant.as_f64() {
                Ok(())
            } else {
                differs()
            }
        }
        _ => differs(),
    }
}

fn seconds(value: &Value) -> Option<f64> {
    use time::OffsetDateTime;
    use time::format_description::well_known::{Rfc2822, Rfc3339};
    match value {
        Value::Number(number) => number.to_string().parse().ok(),
        Value::String(text) => {
            let text = text.replace("GMT", "+0000");
            let read = OffsetDateTime::parse(&text, &Rfc3339)
                .or_else(|_| OffsetDateTime::parse(&text, &Rfc2822))
                .ok()?;
            text.parse().ok().or(Some(read.unix_timestamp() as f64))
        }
        _ => None,
    }
}

fn is_empty(value: &Json) -> bool {
    value.as_object().is_some_and(|o| o.values().all(is_empty))
        || value.as_array().is_some_and(Vec::is_empty)
}

fn json_of(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(b) => json!(b),
        Value::Number(n) => serde_json::from_str(&n.to_string()).unwrap_or(Json::Null),
        Value::String(s) => json!(s),
        Value::List(items) => Json::Array(items.iter().map(json_of).collect()),
        Value::Object(o) => ordered(&Json::Object(
            o.iter().map(|(k, v)| (k.to_owned(), json_of(v))).collect(),
        )),
    }
}

fn ordered(json: &Json) -> Json {
    match json {
        Json::Object(members) => {
            let mut members: Vec<_> = members
                .iter()
                .map(|(k, v)| (k.clone(), ordered(v)))
                .collect();
            members.sort_by(|a, b| a.0.cmp(&b.0));
            Json::Object(members.into_iter().collect())
        }
        Json::Array(items) => Json::Array(items.iter().map(ordered).collect()),
        other => other.clone(),
    }
}

fn sorted(value: &Value) -> String {
    ordered(&json_of(value)).to_string()
}

fn parted(target: &str) -> (&str, Option<&str>) {
    match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    }
}

fn short(text: &str) -> String {
    text.chars().take(400).collect()
}

fn add(count: &AtomicU64) {
    count.fetch_add(1, Ordering::Relaxed);
}
