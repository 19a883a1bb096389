//! REST routes: which operation a method, a raw path and a query are.
//!
//! INVARIANT: segments are split on the raw path and decoded once. A path that would be another operation had its
//! escapes been decoded first, or that a normaliser would shorten, is refused.

use http::Method;

use crate::aws::catalog::model::Operation;
use crate::aws::catalog::template::{Segment, Template};

use super::escape::{self, Plus};
use super::malformed::Malformed;
use super::path::shown;

/// Pairs each segment of a template with its part of a path of that many segments; `None` where the numbers don't fit.
fn aligned<'t, 'p>(
    template: &'t Template,
    path: &'p [String],
) -> Option<impl Iterator<Item = (&'t Segment, &'p [String])>> {
    let segments = template.segments();
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

/// A request's path: its segments as they were sent, and decoded once. A blank last segment is dropped: a slash
/// at the end names nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RequestPath {
    whole: String,
    raw: Vec<String>,
    decoded: Vec<String>,
}

impl RequestPath {
    /// Splits and decodes a raw path.
    ///
    /// # Errors
    /// [`Malformed`] for a broken escape and for segments that a normaliser would drop.
    pub(super) fn parse(path: &str) -> Result<Self, Malformed> {
        let segment = || Malformed::Segment(shown(path));
        let inner = path.strip_prefix('/').ok_or_else(segment)?;
        if path.contains([';', '\\']) {
            return Err(Malformed::PathMark(shown(path)));
        }
        let trimmed = inner.strip_suffix('/').filter(|i| !i.is_empty());
        let inner = trimmed.unwrap_or(inner);
        let raw: Vec<String> = inner.split('/').map(str::to_owned).collect();
        let decoded = raw
            .iter()
            .map(|s| escape::decode(s, Plus::Itself))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| Malformed::Escape {
                place: "in the path",
                error,
            })?;
        let alone = decoded.len() == 1;
        if decoded
            .iter()
            .any(|s| (is_dropped(s) && !(alone && s.is_empty())) || climbs(s))
        {
            return Err(segment());
        }
        Ok(Self {
            whole: shown(path),
            raw,
            decoded,
        })
    }

    /// The values of a template's labels, where this path has that template's form.
    ///
    /// # Errors
    /// [`Malformed::EscapedSlash`] in a greedy label: it can't be told from a plain one.
    pub(super) fn labels(
        &self,
        template: &Template,
    ) -> Result<Option<Vec<(String, String)>>, Malformed> {
        let Some(aligned) = aligned(template, &self.decoded) else {
            return Ok(None);
        };
        let mut labels = Vec::new();
        for (segment, part) in aligned {
            match segment {
                Segment::Literal(_) => {}
                Segment::Label(name) => labels.push((name.to_owned(), part.concat())),
                Segment::Greedy(name) => {
                    if part.iter().any(|s| s.contains('/')) {
                        return Err(Malformed::EscapedSlash(self.whole.clone()));
                    }
                    labels.push((name.to_owned(), part.join("/")));
                }
            }
        }
        Ok(Some(labels))
    }
}

/// The operation that a request is, among those of one or several services; `None` where there is none.
///
/// # Errors
/// [`Malformed::Ambiguous`] where two are as good as each other, or where decoding first would give another.
pub(super) fn route<'s, T: Copy>(
    operations: impl Iterator<Item = (T, &'s Operation)>,
    method: &Method,
    path: &RequestPath,
    query: &[(String, String)],
) -> Result<Option<(T, &'s Operation)>, Malformed> {
    let fitting: Vec<_> = operations
        .filter(|(_, operation)| operation.method == method.as_str())
        .filter(|(_, operation)| has_constants(&operation.uri, query))
        .collect();
    let raw = best(&fitting, &path.raw, path)?;
    let decoded = best(&fitting, &path.decoded, path)?;
    match (raw, decoded) {
        (Some((tag, operation)), Some((_, other))) => {
            if !std::ptr::eq(operation, other) {
                return Err(ambiguous(path, operation, other));
            }
            Ok(Some((tag, operation)))
        }
        (None, _) | (_, None) => Ok(None),
    }
}

fn best<'s, T: Copy>(
    fitting: &[(T, &'s Operation)],
    segments: &[String],
    path: &RequestPath,
) -> Result<Option<(T, &'s Operation)>, Malformed> {
    let mut matches: Vec<_> = fitting
        .iter()
        .filter(|(_, operation)| fits(&operation.uri, segments))
        .map(|(tag, operation)| (weight(&operation.uri), *tag, *operation))
        .collect();
    matches.sort_by(|(a, ..), (b, ..)| b.cmp(a));
    match matches.as_slice() {
        [(first, _, a), (second, _, b), ..] if first == second => Err(ambiguous(path, a, b)),
        [(_, tag, operation), ..] => Ok(Some((*tag, *operation))),
        [] => Ok(None),
    }
}

/// How specific a template is: literal before label, from the left, then the number of constant parameters.
fn weight(template: &Template) -> (Vec<u8>, usize) {
    let segments = template.segments().iter().map(|segment| match segment {
        Segment::Literal(_) => 2,
        Segment::Label(_) => 1,
        Segment::Greedy(_) => 0,
    });
    (segments.collect(), template.query().len())
}

fn fits(template: &Template, segments: &[String]) -> bool {
    aligned(template, segments).is_some_and(|mut aligned| {
        aligned.all(|(segment, part)| match segment {
            Segment::Literal(text) => part.iter().all(|p| p == text),
            Segment::Label(_) | Segment::Greedy(_) => {
                !part.is_empty() && part.iter().all(|p| !p.is_empty())
            }
        })
    })
}

fn has_constants(template: &Template, query: &[(String, String)]) -> bool {
    template
        .query()
        .iter()
        .all(|(name, value)| query.iter().any(|(n, v)| n == name && v == value))
}

fn is_dropped(segment: &str) -> bool {
    matches!(segment, "" | "." | "..")
}

/// Whether a segment would leave its place where a server resolves a path only after it has decoded it.
fn climbs(segment: &str) -> bool {
    segment.contains('/') && segment.split('/').any(|part| matches!(part, "." | ".."))
}

fn ambiguous(path: &RequestPath, first: &Operation, second: &Operation) -> Malformed {
    Malformed::Ambiguous {
        path: path.whole.clone(),
        first: first.name.clone(),
        second: second.name.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::class::Class;

    fn operation(name: &str, method: &str, uri: &str) -> Operation {
        Operation {
            name: name.to_owned(),
            class: Class::Write,
            group: None,
            method: method.to_owned(),
            uri: Template::parse(uri),
            success_status: None,
            host_prefix: None,
            input: None,
            output: None,
            unsigned: false,
            resource: None,
            errors: Vec::new(),
        }
    }

    fn check(path: &str, query: &[(&str, &str)], expected: &str) {
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
        let query: Vec<_> = query
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
            .collect();
        let found = RequestPath::parse(path).and_then(|path| {
            let found = route(
                operations.iter().map(|o| ((), o)),
                &Method::POST,
                &path,
                &query,
            )?;
            let Some(((), operation)) = found else {
                return Ok("none".to_owned());
            };
            let labels = path.labels(&operation.uri)?;
            Ok(format!("{} {labels:?}", operation.name))
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
