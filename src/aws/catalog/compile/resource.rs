//! Where the ids of a call's resources stand in its input, found by general rules.
//!
//! In order: a member named after the operation's noun; the last label of the URI; a member named after a part
//! of the noun; the single required member; the required id-like members as a tuple; any other id-like member.
//! What none of them finds, data names, or the operation affects the account as a whole.

use super::CompileError;
use super::rules::Rules;
use crate::aws::catalog::model::{
    Location, Member, Operation, ResourceRule, Service, Shape, Structure,
};

/// Words that end what an operation's name says it acts on: `DisassociateProductFromPortfolio`.
const PREPOSITIONS: [&str; 12] = [
    "with", "from", "for", "to", "in", "of", "on", "by", "as", "into", "and", "using",
];

/// How the end of a member's name says that it identifies something, the best first.
const ENDINGS: [(&str, Ending); 22] = [
    ("Ids", Ending::Id),
    ("IDs", Ending::Id),
    ("Id", Ending::Id),
    ("ID", Ending::Id),
    ("ids", Ending::Id),
    ("id", Ending::Id),
    ("Identifiers", Ending::Identifier),
    ("Identifier", Ending::Identifier),
    ("identifiers", Ending::Identifier),
    ("identifier", Ending::Identifier),
    ("Arns", Ending::Arn),
    ("ARNs", Ending::Arn),
    ("Arn", Ending::Arn),
    ("ARN", Ending::Arn),
    ("arns", Ending::Arn),
    ("arn", Ending::Arn),
    ("Names", Ending::Name),
    ("Name", Ending::Name),
    ("names", Ending::Name),
    ("name", Ending::Name),
    ("Urls", Ending::Name),
    ("Url", Ending::Name),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Ending {
    Id,
    Identifier,
    Arn,
    Name,
    /// The name says nothing of the kind.
    Plain,
}

/// A member that could name a resource.
#[derive(Debug, Clone)]
struct Candidate {
    path: String,
    /// What the member's name says it identifies: `SourceWorkspaceId` is source, workspace.
    words: Vec<String>,
    ending: Ending,
    required: bool,
    list: bool,
    /// The name on the wire, where it is a label of the URI.
    label: Option<String>,
    /// For a member of a list's structures, that list's path.
    within: Option<String>,
}

impl Candidate {
    fn is_id_like(&self) -> bool {
        self.ending != Ending::Plain
    }
}

/// The resource rule of an operation; `None` where it names nothing.
///
/// # Errors
/// [`CompileError::Odd`] where a path that data names isn't in the input.
pub(super) fn find(
    service: &Service,
    operation: &Operation,
    rules: &Rules,
) -> Result<Option<ResourceRule>, CompileError> {
    let (verb, rest) = rules.verb(&operation.name);
    let all = words(rest);
    let cut = all.iter().position(|w| PREPOSITIONS.contains(&w.as_str()));
    let (subject, object) = match cut {
        Some(at) if at > 0 && at + 1 < all.len() => all.split_at(at),
        Some(_) | None => (all.as_slice(), [].as_slice()),
    };
    let noun = |words: &[String]| format!("{}:{}", service.id, camel(words));
    if let Some(named) = rules.resource(&service.id, &operation.name) {
        for path in named.ids.iter().chain(&named.or).chain(&named.parents) {
            if !is_path(service, operation, path) {
                return Err(CompileError::Odd {
                    service: service.id.clone(),
                    what: format!(
                        "`{path}`, which the rules name for `{}`, isn't in its input",
                        operation.name
                    ),
                });
            }
        }
        return Ok(named.ids.clone().map(|ids| ResourceRule {
            rule: "named".to_owned(),
            ids,
            or: named.or.clone(),
            parents: named.parents.clone(),
            kind: named.kind.clone().unwrap_or_else(|| noun(subject)),
        }));
    }
    let Some(input) = service.input(operation) else {
        return Ok(None);
    };
    let mut candidates = candidates(service, input, rules);
    if verb == "Create" {
        // Its own name is of something that isn't there yet; what may be left out isn't what it is about.
        candidates.retain(|c| (c.required && c.ending < Ending::Name) || c.label.is_some());
    }
    let found = by_noun(&candidates, subject)
        .map(|c| ("noun", c))
        .or_else(|| by_label(&candidates, operation.uri.as_str()).map(|c| ("label", c)))
        .or_else(|| by_part(&candidates, subject, object).map(|c| ("suffix", c)))
        .or_else(|| single(&candidates).map(|c| ("single", c)))
        .or_else(|| last_of_tuple(&candidates).map(|c| ("tuple", c)))
        .or_else(|| {
            candidates
                .iter()
                .find(|c| c.is_id_like())
                .map(|c| ("id-like", c))
        });
    let Some((rule, chosen)) = found else {
        return Ok(None);
    };
    let own = !matches!(rule, "noun" | "tuple") && !chosen.words.is_empty();
    Ok(Some(ResourceRule {
        rule: rule.to_owned(),
        ids: chosen.path.clone(),
        or: candidates
            .iter()
            .filter(|c| !chosen.required && !c.required && c.path != chosen.path)
            .filter(|c| c.words == chosen.words && c.is_id_like() && c.within == chosen.within)
            .map(|c| c.path.clone())
            .collect(),
        parents: parents(
            &candidates,
            chosen,
            object,
            rule == "tuple",
            operation.uri.as_str(),
        ),
        kind: if own {
            noun(&chosen.words)
        } else {
            noun(subject)
        },
    }))
}

fn candidates(service: &Service, input: &Structure, rules: &Rules) -> Vec<Candidate> {
    let mut found = Vec::new();
    for member in input.members.iter().filter(|m| may_name(m, rules)) {
        match service.shape(member.shape) {
            Some(Shape::String { values, .. }) if values.is_empty() => {
                found.push(candidate(member, member.name.clone(), false, None));
            }
            Some(Shape::List { member: item, .. }) => match service.shape(*item) {
                Some(Shape::String { values, .. }) if values.is_empty() => {
                    found.push(candidate(member, format!("{}[]", member.name), true, None));
                }
                Some(Shape::Structure(inner)) => {
                    found.extend(of_items(service, member, inner, rules));
                }
                Some(
                    Shape::String { .. }
                    | Shape::List { .. }
                    | Shape::Map { .. }
                    | Shape::Blob
                    | Shape::Boolean
                    | Shape::Integer
                    | Shape::Long
                    | Shape::Float
                    | Shape::Timestamp { .. }
                    | Shape::Document,
                )
                | None => {}
            },
            Some(
                Shape::String { .. }
                | Shape::Structure(_)
                | Shape::Map { .. }
                | Shape::Blob
                | Shape::Boolean
                | Shape::Integer
                | Shape::Long
                | Shape::Float
                | Shape::Timestamp { .. }
                | Shape::Document,
            )
            | None => {}
        }
    }
    found
}

/// The id-like members of a list's structures.
fn of_items<'a>(
    service: &'a Service,
    list: &'a Member,
    inner: &'a Structure,
    rules: &'a Rules,
) -> impl Iterator<Item = Candidate> + 'a {
    let within = format!("{}[]", list.name);
    inner
        .members
        .iter()
        .filter(|m| may_name(m, rules))
        .filter(|m| matches!(service.shape(m.shape), Some(Shape::String { values, .. }) if values.is_empty()))
        .map(move |m| {
            let path = format!("{within}.{}", m.name);
            let mut found = candidate(m, path, true, Some(within.clone()));
            found.required &= list.required;
            found
        })
        .filter(Candidate::is_id_like)
}

fn candidate(member: &Member, path: String, list: bool, within: Option<String>) -> Candidate {
    let (base, ending) = ENDINGS
        .iter()
        .find_map(|(text, ending)| {
            let base = member.name.strip_suffix(text)?;
            let lower = text.starts_with(|c: char| c.is_ascii_lowercase());
            (base.is_empty() || !lower).then_some((base, *ending))
        })
        .unwrap_or((member.name.as_str(), Ending::Plain));
    Candidate {
        path,
        words: words(base),
        ending,
        required: member.required,
        list,
        label: (member.location == Location::Label).then(|| member.wire_name().to_owned()),
        within,
    }
}

fn may_name(member: &Member, rules: &Rules) -> bool {
    !member.idempotency_token
        && !member.name.to_ascii_lowercase().ends_with("token")
        && !rules.is_never_id(&member.name)
}

fn by_noun<'a>(candidates: &'a [Candidate], subject: &[String]) -> Option<&'a Candidate> {
    if subject.is_empty() {
        return None;
    }
    best(candidates.iter().filter(|c| same(&c.words, subject)))
        .or_else(|| {
            best(
                candidates
                    .iter()
                    .filter(|c| c.is_id_like() && ends_with(&c.words, subject)),
            )
        })
        .or_else(|| {
            best(
                candidates
                    .iter()
                    .filter(|c| c.words.is_empty() && c.required),
            )
        })
}

fn by_label<'a>(candidates: &'a [Candidate], uri: &str) -> Option<&'a Candidate> {
    let last = labels(uri).last()?;
    candidates.iter().find(|c| c.label.as_deref() == Some(last))
}

/// The longest part of the noun that a member is named after, from its end; then of what stands after the preposition.
fn by_part<'a>(
    candidates: &'a [Candidate],
    subject: &[String],
    object: &[String],
) -> Option<&'a Candidate> {
    let named = |part: &[String]| {
        best(
            candidates
                .iter()
                .filter(|c| c.is_id_like() && !part.is_empty() && same(&c.words, part)),
        )
    };
    let parts = |whole: &[String]| {
        let ends = (1..whole.len()).find_map(|skip| whole.get(skip..).and_then(named));
        ends.or_else(|| {
            (1..whole.len())
                .rev()
                .find_map(|len| whole.windows(len).rev().find_map(named))
        })
    };
    let rest = object.get(1..).unwrap_or_default();
    parts(subject)
        .or_else(|| named(rest))
        .or_else(|| parts(rest))
}

fn single(candidates: &[Candidate]) -> Option<&Candidate> {
    let mut required = candidates.iter().filter(|c| c.required);
    let first = required.next()?;
    required.next().is_none().then_some(first)
}

/// Of several required ones a list, else the last: the others are its parents.
fn last_of_tuple(candidates: &[Candidate]) -> Option<&Candidate> {
    let required = || candidates.iter().filter(|c| c.required && c.is_id_like());
    required()
        .find(|c| c.list)
        .or_else(|| required().next_back())
}

/// The other required ids: those that come before the chosen one, stand in the path, or are what its preposition speaks
/// of; of a tuple all.
fn parents(
    candidates: &[Candidate],
    chosen: &Candidate,
    object: &[String],
    tuple: bool,
    uri: &str,
) -> Vec<String> {
    let order: Vec<&str> = labels(uri).collect();
    let at = candidates.iter().position(|c| c.path == chosen.path);
    let mut found: Vec<&Candidate> = candidates
        .iter()
        .enumerate()
        .filter(|(_, c)| c.path != chosen.path && c.required && c.words != chosen.words)
        .filter(|(_, c)| !c.list || (c.within.is_some() && c.within == chosen.within))
        .filter(|(i, c)| {
            let before = at.is_some_and(|at| *i < at);
            let spoken_of = object.get(1..).is_some_and(|o| same(&c.words, o));
            let sibling = c.within.is_some();
            c.label.is_some() || (c.is_id_like() && (tuple || before || spoken_of || sibling))
        })
        .map(|(_, c)| c)
        .collect();
    // Labels in the order of the path, outermost first, then the rest as the model lists them.
    found.sort_by_key(|c| {
        c.label
            .as_deref()
            .and_then(|l| order.iter().position(|o| *o == l))
            .unwrap_or(usize::MAX)
    });
    found.into_iter().map(|c| c.path.clone()).collect()
}

/// Required before optional, ids before names, then the order of the model.
fn best<'a>(candidates: impl Iterator<Item = &'a Candidate>) -> Option<&'a Candidate> {
    candidates.min_by_key(|c| (!c.required, c.ending))
}

/// The labels of a URI template, in order: `/apps/{appId}/jobs/{jobId+}` has `appId` and `jobId`.
fn labels(uri: &str) -> impl Iterator<Item = &str> {
    let path = uri.split('?').next().unwrap_or(uri);
    path.split('{')
        .skip(1)
        .filter_map(|part| part.split('}').next())
        .map(|label| label.trim_end_matches('+'))
}

/// Whether a path such as `Requests[].WorkspaceId` is in an operation's input, one level of list at most.
fn is_path(service: &Service, operation: &Operation, path: &str) -> bool {
    let mut structure = service.input(operation);
    let mut steps = path.split('.').peekable();
    while let Some(step) = steps.next() {
        let name = step.strip_suffix("[]").unwrap_or(step);
        let Some(member) = structure.and_then(|s| s.member(name)) else {
            return false;
        };
        let mut shape = service.shape(member.shape);
        if name != step {
            shape = match shape {
                Some(Shape::List { member, .. }) => service.shape(*member),
                _ => return false,
            };
        }
        structure = match shape {
            Some(Shape::Structure(s)) => Some(s),
            _ if steps.peek().is_none() => return true,
            _ => return false,
        };
    }
    false
}

/// The words of a camel-case name, lower-case: `IPSetWorkspacesPool` is ip, set, workspaces, pool.
fn words(name: &str) -> Vec<String> {
    let chars: Vec<char> = name.chars().collect();
    let mut found: Vec<String> = Vec::new();
    for (at, &c) in chars.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|b| chars.get(b));
        let after = chars.get(at + 1);
        let starts = c.is_ascii_uppercase()
            && (before.is_none_or(|b| !b.is_ascii_uppercase())
                || after.is_some_and(char::is_ascii_lowercase));
        match found.last_mut() {
            Some(word) if !starts => word.push(c.to_ascii_lowercase()),
            Some(_) | None => found.push(c.to_ascii_lowercase().to_string()),
        }
    }
    found
}

fn same(a: &[String], b: &[String]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(x, y)| same_word(x, y))
}

fn ends_with(longer: &[String], end: &[String]) -> bool {
    longer
        .len()
        .checked_sub(end.len())
        .and_then(|skip| longer.get(skip..))
        .is_some_and(|tail| same(tail, end))
}

/// Whether two words are the same, singular or plural.
fn same_word(a: &str, b: &str) -> bool {
    let forms = |w: &str| {
        let mut forms = vec![w.to_owned()];
        forms.extend(w.strip_suffix('s').map(str::to_owned));
        forms.extend(w.strip_suffix("es").map(str::to_owned));
        forms.extend(w.strip_suffix("ies").map(|s| format!("{s}y")));
        forms
    };
    let (a, b) = (forms(a), forms(b));
    a.iter().any(|f| b.contains(f))
}

/// Words as one name, the last in the singular: ip, sets is `IpSet`.
fn camel(words: &[String]) -> String {
    let last = words.len().saturating_sub(1);
    words
        .iter()
        .enumerate()
        .map(|(at, word)| {
            let word = if at == last {
                singular(word)
            } else {
                word.clone()
            };
            let mut chars = word.chars();
            chars.next().map_or_else(String::new, |c| {
                c.to_ascii_uppercase().to_string() + chars.as_str()
            })
        })
        .collect()
}

fn singular(word: &str) -> String {
    if let Some(stem) = word.strip_suffix("ies") {
        return format!("{stem}y");
    }
    if let Some(stem) = word
        .strip_suffix("iases")
        .or_else(|| word.strip_suffix("sses"))
    {
        return word.strip_suffix("es").unwrap_or(stem).to_owned();
    }
    let kept = ["ss", "us", "is", "ias"].iter().any(|e| word.ends_with(e));
    match word.strip_suffix('s') {
        Some(stem) if !kept => stem.to_owned(),
        Some(_) | None => word.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_split_into_words() {
        for (name, expected) in [
            ("WorkspacesPoolSession", "workspaces pool session"),
            ("IPSet", "ip set"),
            ("sourceServer", "source server"),
            ("AWSOrganizationsAccess", "aws organizations access"),
            ("", ""),
        ] {
            assert_eq!(words(name).join(" "), expected);
        }
    }

    #[test]
    fn plural_and_singular_are_the_same_word() {
        for (a, b) in [
            ("workspaces", "workspace"),
            ("policies", "policy"),
            ("aliases", "alias"),
            ("databases", "database"),
        ] {
            assert!(same_word(a, b), "{a} {b}");
        }
        assert!(!same_word("pool", "policy"));
    }

    #[test]
    fn a_kind_is_a_singular_name() {
        let kind = |name| camel(&words(name));
        assert_eq!(kind("Workspaces"), "Workspace");
        assert_eq!(kind("ConnectionAliases"), "ConnectionAlias");
        assert_eq!(kind("LaunchPolicies"), "LaunchPolicy");
        assert_eq!(kind("Status"), "Status");
    }

    #[test]
    fn labels_come_in_the_order_of_the_path() {
        let found: Vec<&str> = labels("/apps/{appId}/jobs/{jobId+}?x={y}").collect();
        assert_eq!(found, ["appId", "jobId"]);
    }
}
