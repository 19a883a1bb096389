//! REST routes: which operation a method, a raw path, a query and headers are.
//!
//! INVARIANT: segments are split on the raw path and decoded once. A path that would be another operation had its
//! escapes been decoded first, or that a normaliser would shorten, is refused. Where a service takes paths as they are
//! (S3's keys), so are they taken here: nothing is refused that it would read in one way only.

use std::borrow::Cow;
use std::sync::Arc;

use crate::aws::catalog::Service;
use crate::aws::catalog::routes::{Asked, Clash, Found, Paths, Routes, Stray, X_ID};
use crate::aws::catalog::template::{Segment, Template};
use crate::aws::endpoint::Addressed;
use crate::aws::head::Head;

use super::escape::{self, Plus};
use super::malformed::Malformed;
use super::path::shown;

/// A request's path: its segments as they were sent, and decoded once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RequestPath<'a> {
    whole: &'a str,
    /// What stands in the host instead of in the first segment.
    bucket: Option<&'a str>,
    raw: Vec<&'a str>,
    /// `None` where nothing is escaped: the decoded segments are the raw ones.
    decoded: Option<Vec<Cow<'a, str>>>,
}

impl<'a> RequestPath<'a> {
    /// Splits and decodes the path of a request, in the way in which its service reads paths.
    ///
    /// # Errors
    /// [`Malformed`] for a broken escape and for segments that a normaliser would drop.
    pub(super) fn parse(head: &Head<'a>, paths: Paths) -> Result<Self, Malformed> {
        match paths {
            Paths::Segments => Self::segments(head.path),
            Paths::Keys => Self::key(head.path, head.addressed),
        }
    }

    /// A blank last segment is dropped: a slash at the end names nothing.
    fn segments(path: &'a str) -> Result<Self, Malformed> {
        let segment = || Malformed::Segment(shown(path));
        let inner = path.strip_prefix('/').ok_or_else(segment)?;
        if path.contains([';', '\\']) {
            return Err(Malformed::PathMark(shown(path)));
        }
        let trimmed = inner.strip_suffix('/').filter(|i| !i.is_empty());
        let raw: Vec<&str> = trimmed.unwrap_or(inner).split('/').collect();
        let decoded = if path.contains('%') {
            Some(decoded(&raw, Plus::Itself)?)
        } else {
            None
        };
        let alone = raw.len() == 1;
        let wrong = |s: &str| (is_dropped(s) && !(alone && s.is_empty())) || climbs(s);
        let any_wrong = match &decoded {
            Some(decoded) => decoded.iter().any(|s| wrong(s)),
            None => raw.iter().any(|s| wrong(s)),
        };
        if any_wrong {
            return Err(segment());
        }
        Ok(Self {
            whole: path,
            bucket: None,
            raw,
            decoded,
        })
    }

    /// The bucket up to the first slash unless it stands in the host, then the key, which is all that follows. S3
    /// decodes the key once and keeps each of its bytes.
    fn key(path: &'a str, addressed: &'a Addressed) -> Result<Self, Malformed> {
        let inner = path
            .strip_prefix('/')
            .ok_or_else(|| Malformed::Segment(shown(path)))?;
        let (bucket, raw) = match addressed {
            Addressed::Bucket(bucket) => (Some(bucket.as_str()), vec![inner]),
            Addressed::Service | Addressed::Prefix(_) => match inner.split_once('/') {
                Some((bucket, key)) => (None, vec![bucket, key]),
                None => (None, vec![inner]),
            },
        };
        let ends = raw.len() > 1 || bucket.is_some();
        let mut path = Self {
            whole: path,
            bucket,
            raw,
            decoded: None,
        };
        if ends && path.raw.last().is_some_and(|key| key.is_empty()) {
            path.raw.pop();
        }
        // S3 has read a bare `+` of a path as a blank, so that it names two keys.
        let all = decoded(&path.raw, Plus::Refused)?;
        let mut parts = all.iter();
        if bucket.is_none() {
            let first = parts.next().map_or("", AsRef::as_ref);
            if !is_bucket(first) && !inner.is_empty() {
                return Err(Malformed::Bucket(shown(first)));
            }
        }
        if parts.any(|key| climbs_out(key)) {
            return Err(Malformed::ClimbingKey(shown(path.whole)));
        }
        path.decoded = Some(all);
        Ok(path)
    }

    /// The values of a template's labels, where this path has that template's form.
    ///
    /// # Errors
    /// [`Malformed::EscapedSlash`] in a greedy label, unless paths are keys: it can't be told from a plain one.
    pub(super) fn labels(
        &self,
        template: &Template,
        paths: Paths,
    ) -> Result<Option<Vec<(String, String)>>, Malformed> {
        let mut segments = template.segments();
        let mut labels = Vec::new();
        if let (Some(bucket), Some((Segment::Label(name), rest))) =
            (self.bucket, segments.split_first())
        {
            labels.push((name.clone(), bucket.to_owned()));
            segments = rest;
        }
        let plain = || self.raw.iter().map(|s| Cow::Borrowed(*s)).collect();
        let path: Cow<'_, [Cow<'_, str>]> = match &self.decoded {
            Some(decoded) => Cow::Borrowed(decoded.as_slice()),
            None => Cow::Owned(plain()),
        };
        let Some(aligned) = aligned(segments, &path) else {
            return Ok(None);
        };
        for (segment, part) in aligned {
            match segment {
                Segment::Literal(_) => {}
                Segment::Label(name) => labels.push((name.to_owned(), part.concat())),
                Segment::Greedy(name) => {
                    if paths == Paths::Segments && part.iter().any(|s| s.contains('/')) {
                        return Err(Malformed::EscapedSlash(shown(self.whole)));
                    }
                    labels.push((name.to_owned(), part.join("/")));
                }
            }
        }
        Ok(Some(labels))
    }
}

/// Pairs each segment of a template with its part of a path of that many segments; `None` where the numbers don't fit.
fn aligned<'t, 'p, 'a>(
    segments: &'t [Segment],
    path: &'p [Cow<'a, str>],
) -> Option<impl Iterator<Item = (&'t Segment, &'p [Cow<'a, str>])>> {
    let greedy = segments.iter().filter(|s| matches!(s, Segment::Greedy(_)));
    // One greedy label takes what the others leave; where there are several, none can be told from the next.
    let spare = match (greedy.count(), path.len().checked_sub(segments.len())?) {
        (0, 0) => 0,
        (1, spare) => spare + 1,
        _ => return None,
    };
    let mut rest = path;
    Some(segments.iter().map(move |segment| {
        let take = match segment {
            Segment::Greedy(_) => spare,
            Segment::Literal(_) | Segment::Label(_) => 1,
        };
        let (part, after) = rest.split_at_checked(take).unwrap_or_default();
        rest = after;
        (segment, part)
    }))
}

/// The service and the operation that a request is for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Routed<'s> {
    pub(super) service: &'s Arc<Service>,
    pub(super) operation: &'s str,
    /// Where the route is one that older SDKs take: which of the service's older forms.
    pub(super) older: Option<usize>,
}

/// The operation that a request is, among those of one or several services; `None` where there is none. `query` is
/// decoded once.
///
/// # Errors
/// [`Malformed::Ambiguous`] where two are as good as each other, or where decoding first would give another;
/// [`Malformed`] where parameters or headers make it another one than its path does.
pub(super) fn route<'s>(
    services: impl Iterator<Item = &'s Arc<Service>>,
    head: &Head<'_>,
    query: &[(String, String)],
) -> Result<Option<Routed<'s>>, Malformed> {
    let asked = Asked {
        method: head.method.as_str(),
        query,
        headers: head.headers,
    };
    let clash = |Clash(first, second)| Malformed::Ambiguous {
        path: shown(head.path),
        first,
        second,
    };
    let mut best: Option<(&Arc<Service>, Found<'s>)> = None;
    for service in services {
        let table = Routes::of(service);
        let path = RequestPath::parse(head, table.paths)?;
        let Some(found) = find(service, &path, asked).map_err(clash)? else {
            continue;
        };
        best = match best {
            None => Some((service, found)),
            Some((other, rival)) => {
                let better = found.better(rival).ok_or_else(|| {
                    let name = |found: Found<'_>| found.route.operation.clone();
                    clash(Clash(name(rival), name(found)))
                })?;
                let ours = std::ptr::eq(better.route, found.route);
                Some((if ours { service } else { other }, better))
            }
        };
    }
    let Some((service, found)) = best else {
        return Ok(None);
    };
    if let Some(stray) = Routes::of(service).stray(found.route, asked) {
        return Err(refused(stray, service, &found, head));
    }
    Ok(Some(Routed {
        service,
        operation: &found.route.operation,
        older: found.route.older,
    }))
}

/// The route of one service, by the raw path and by the decoded one: both must find it.
fn find<'s>(
    service: &'s Arc<Service>,
    path: &RequestPath<'_>,
    asked: Asked<'_>,
) -> Result<Option<Found<'s>>, Clash> {
    let table = Routes::of(service);
    let raw = match path.bucket {
        Some(_) => table.find_below(&path.raw, asked)?,
        None => table.find(&path.raw, asked)?,
    };
    let Some(decoded) = &path.decoded else {
        return Ok(raw);
    };
    let decoded = match path.bucket {
        Some(_) => table.find_below(decoded, asked)?,
        None => table.find(decoded, asked)?,
    };
    match (raw, decoded) {
        (Some(raw), Some(decoded)) if !std::ptr::eq(raw.route, decoded.route) => Err(Clash(
            raw.route.operation.clone(),
            decoded.route.operation.clone(),
        )),
        (Some(raw), Some(_)) => Ok(Some(raw)),
        (None, _) | (_, None) => Ok(None),
    }
}

fn refused(stray: Stray, service: &Service, found: &Found<'_>, head: &Head<'_>) -> Malformed {
    let operation = found.route.operation.clone();
    match stray {
        Stray::Other(name) => Malformed::OthersParameter {
            name: shown(&name),
            operation,
        },
        Stray::Empty(name) => Malformed::EmptyParameter {
            name: shown(&name),
            operation,
        },
        Stray::Twice(name) => Malformed::DuplicateParameter(shown(&name)),
        Stray::Unknown(name) => Malformed::UnknownOperation {
            services: format!("`{}`", service.id),
            operation: shown(&format!("{} {}?{name}", head.method, head.path)),
        },
    }
}

/// Whether a request says `x-id` of another operation than it is.
pub(super) fn disagrees<'q>(query: &'q [(String, String)], operation: &str) -> Option<&'q str> {
    let other = query
        .iter()
        .find(|(name, value)| name == X_ID && value != operation);
    other.map(|(_, value)| value.as_str())
}

fn decoded<'a>(raw: &[&'a str], plus: Plus) -> Result<Vec<Cow<'a, str>>, Malformed> {
    let wrong = |error| Malformed::Escape {
        place: "in the path",
        error,
    };
    let segment = |s: &&'a str| {
        if s.contains(['%', '+']) {
            escape::decode(s, plus).map(Cow::Owned).map_err(wrong)
        } else {
            Ok(Cow::Borrowed(*s))
        }
    };
    raw.iter().map(segment).collect()
}

fn is_dropped(segment: &str) -> bool {
    matches!(segment, "" | "." | "..")
}

/// Whether a segment would leave its place where a server resolves a path only after it has decoded it.
fn climbs(segment: &str) -> bool {
    segment.contains('/') && segment.split('/').any(|part| matches!(part, "." | ".."))
}

/// Whether a text can be a bucket's name, of today or of long ago.
fn is_bucket(text: &str) -> bool {
    !is_dropped(text)
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

/// Whether a text can be a key that a path carries.
pub(super) fn is_key(text: &str) -> bool {
    !text.is_empty() && !climbs_out(text)
}

/// Whether a key's `..` lead above its first segment: S3 takes no such key.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html>
fn climbs_out(key: &str) -> bool {
    let mut depth = 0_usize;
    key.split('/').any(|part| match part {
        ".." => match depth.checked_sub(1) {
            Some(up) => {
                depth = up;
                false
            }
            None => true,
        },
        "" | "." => false,
        _ => {
            depth += 1;
            false
        }
    })
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, Method};

    use super::*;
    use crate::aws::catalog::model::{Operation, Protocol};
    use crate::aws::class::Class;
    use crate::aws::protocol::cases;

    fn operation(name: &str, method: &str, uri: &str) -> Operation {
        Operation {
            name: name.to_owned(),
            class: Class::Write,
            group: None,
            conditions: Vec::new(),
            hands: Vec::new(),
            method: method.to_owned(),
            uri: Template::parse(uri),
            success_status: None,
            host_prefix: None,
            input: None,
            output: None,
            unsigned: false,
            resource: None,
            alias: None,
            errors: Vec::new(),
            deprecated: false,
            own_host: false,
            xml_root: None,
            checksum: None,
            gone: None,
            answers: None,
        }
    }

    fn service() -> Arc<Service> {
        let operations = [
            operation("Describe", "POST", "/apps/{id}"),
            operation("List", "POST", "/apps/list"),
            operation("Create", "POST", "/apps/"),
            operation("Start", "POST", "/apps/{id}?action=start"),
            operation("Sub", "POST", "/apps/{id}/sub"),
            operation("Put", "POST", "/files/{key+}"),
            operation("Acl", "POST", "/files/{key+}/acl"),
            operation("Delete", "DELETE", "/apps/{id}"),
            operation("One", "POST", "/same/{a}"),
            operation("Two", "POST", "/same/{b}"),
        ];
        let mut service = Service::clone(&cases::service("mgn"));
        service.protocols = vec![Protocol::RestJson];
        service.operations = operations.map(|o| (o.name.clone(), o)).into();
        Arc::new(service)
    }

    fn check(path: &str, query: &[(&str, &str)], expected: &str) {
        let service = service();
        let head = Head {
            method: &Method::POST,
            path,
            query: None,
            headers: &HeaderMap::new(),
            addressed: &Addressed::Service,
        };
        let query: Vec<_> = query
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
            .collect();
        let found = route(std::iter::once(&service), &head, &query).and_then(|found| {
            let Some(found) = found else {
                return Ok("none".to_owned());
            };
            let template = &service.operations[found.operation].uri;
            let paths = Paths::Segments;
            let labels = RequestPath::parse(&head, paths)?.labels(template, paths)?;
            Ok(format!("{} {labels:?}", found.operation))
        });
        let found = found.unwrap_or_else(|e| e.to_string());
        assert_eq!(found, expected, "{path}");
    }

    #[test]
    fn a_literal_beats_a_label_and_a_constant_parameter_beats_none() {
        check("/apps/x", &[], r#"Describe Some([("id", "x")])"#);
        check("/apps/list", &[], "List Some([])");
        check(
            "/apps/x",
            &[("action", "start")],
            r#"Start Some([("id", "x")])"#,
        );
        check("/apps", &[], "Create Some([])");
        check("/apps/", &[], "Create Some([])");
        check("/apps/x/sub", &[], r#"Sub Some([("id", "x")])"#);
        check("/nothing", &[], "none");
    }

    #[test]
    fn a_parameter_by_which_routes_are_told_apart_belongs_to_the_route() {
        let other = |name: &str| {
            format!(
                "`{name}` stands in the request, which isn't one of `Describe`'s and makes it another call"
            )
        };
        check("/apps/x", &[("action", "stop")], &other("action"));
        check("/apps/x", &[("Action", "start")], &other("Action"));
        check(
            "/apps/x",
            &[("action", "start"), ("action", "stop")],
            "the parameter `action` stands twice",
        );
        check(
            "/apps/x",
            &[("new", "1")],
            r#"Describe Some([("id", "x")])"#,
        );
    }

    #[test]
    fn labels_are_matched_raw_and_decoded_once() {
        check(
            "/apps/arn%3Aaws%2Fx",
            &[],
            r#"Describe Some([("id", "arn:aws/x")])"#,
        );
        check("/apps/a%252Fb", &[], r#"Describe Some([("id", "a%2Fb")])"#);
        check("/files/a/b%20c", &[], r#"Put Some([("key", "a/b c")])"#);
        check("/files/a/b/acl", &[], r#"Acl Some([("key", "a/b")])"#);
    }

    #[test]
    fn a_path_with_two_readings_is_refused() {
        check(
            "/apps/%6cist",
            &[],
            "the path `/apps/%6cist` can be read as `Describe` and as `List`",
        );
        check(
            "/same/x",
            &[],
            "the path `/same/x` can be read as `One` and as `Two`",
        );
        check(
            "/files/a%2Fb",
            &[],
            "the path `/files/a%2Fb` has an escaped slash where a plain one may stand",
        );
        for bad in [
            "/apps/../apps/x",
            "/apps/%2e%2e/x",
            "/apps/./x",
            "/apps//x",
            "/apps/a%2F..%2F..%2Flist",
            "/apps/%2e%2F",
            "//",
            "apps",
        ] {
            check(
                bad,
                &[],
                &format!("the path `{bad}` has an empty segment, `.` or `..`"),
            );
        }
        for bad in ["/apps/list;x", "/apps/x\\list", ";/apps/x"] {
            let expected = match bad.strip_prefix('/') {
                Some(_) => format!("the path `{bad}` has a `;` or `\\` that isn't escaped"),
                None => format!("the path `{bad}` has an empty segment, `.` or `..`"),
            };
            check(bad, &[], &expected);
        }
        check(
            "/apps/%zz",
            &[],
            "in the path: a `%` isn't followed by two hexadecimal digits",
        );
    }
}
