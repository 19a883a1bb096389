//! Where the ids of a call's resources stand in its input, found by general rules.
//!
//! In order: a member named after the operation's noun; the last label of the URI; a member named after a part
//! of the noun; the single required member; the required id-like members as a tuple; any other id-like member.
//! What none of them finds, data names, or the operation affects the account as a whole.

use super::CompileError;
use super::places::{Named, Places};
use super::rules::Rules;
use super::words::{camel, ends_with, same, words};
use crate::aws::catalog::model::{
    Location, Member, Operation, ParentRule, ResourceRule, Service, Shape, ShapeId, Structure,
};
use crate::aws::class::{Class, Group};

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
    /// What the structure that it stands in is called; none for a member of the input itself.
    container: Vec<String>,
    /// How many structures it stands in.
    depth: usize,
    /// Whether it is free text: neither one of a list of values nor a number.
    text: bool,
}

impl Candidate {
    fn is_id_like(&self) -> bool {
        self.text && self.ending != Ending::Plain
    }

    /// Whether its name, or that of the structure of which it is the name, is just these words.
    fn is_called(&self, name: &[String]) -> bool {
        same(&self.words, name)
            || (self.words.is_empty() && self.depth > 0 && same(&self.container, name))
    }
}

/// What an operation's name says it does, and to what: `DisassociateProductFromPortfolio` is to a product, from a portfolio.
struct Said<'a> {
    verb: &'a str,
    subject: Vec<String>,
    /// From the preposition on.
    object: Vec<String>,
}

impl<'a> Said<'a> {
    fn by(operation: &'a str, rules: &Rules) -> Self {
        let (verb, rest) = rules.verb(operation);
        let mut subject = words(rest);
        let cut = subject
            .iter()
            .position(|w| PREPOSITIONS.contains(&w.as_str()))
            .filter(|at| *at > 0 && at + 1 < subject.len());
        let object = cut.map(|at| subject.split_off(at)).unwrap_or_default();
        Self {
            verb,
            subject,
            object,
        }
    }

    /// Whether the operation makes what its noun says.
    fn makes(&self) -> bool {
        self.verb == "Create"
    }

    /// What stands after the preposition.
    fn whole(&self) -> &[String] {
        self.object.get(1..).unwrap_or_default()
    }
}

/// Whether a model has to have what data names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Model {
    Today,
    /// It may lack what came later.
    Older,
}

/// The resource rule of an operation; `None` where it is about the account as a whole.
///
/// # Errors
/// [`CompileError::Odd`] where a path that data names isn't in the input.
pub(super) fn find(
    service: &Service,
    operation: &Operation,
    rules: &Rules,
    places: &Places,
    model: Model,
) -> Result<Option<ResourceRule>, CompileError> {
    if places.about_account(&service.id, &operation.name).is_some() {
        return Ok(None);
    }
    let said = Said::by(&operation.name, rules);
    if let Some(named) = places.named(&service.id, &operation.name) {
        match (as_named(service, operation, named, &said), model) {
            (Err(_), Model::Older) => {}
            (found, Model::Today | Model::Older) => return found.map(Some),
        }
    }
    let Some(input) = service.input(operation) else {
        return Ok(None);
    };
    let selectors: Vec<String> = input
        .members
        .iter()
        .filter(|m| places.is_selector(&m.name))
        .map(|m| m.name.clone())
        .collect();
    let found = by_rules(service, operation, input, &said, places);
    Ok(match found {
        Some(rule) => Some(ResourceRule { selectors, ..rule }),
        None if selectors.is_empty() => None,
        None => Some(ResourceRule {
            rule: "selector".to_owned(),
            ids: String::new(),
            or: Vec::new(),
            also: Vec::new(),
            parents: Vec::new(),
            selectors,
            optional: true,
            loose: false,
            kind: noun(service, &said.subject),
        }),
    })
}

/// Whether it is known why an operation in which no resource was found is about the account: data says so, it makes what
/// isn't there yet, or it takes no input.
#[must_use]
pub fn is_about_account(
    service: &Service,
    operation: &Operation,
    rules: &Rules,
    places: &Places,
) -> bool {
    places.about_account(&service.id, &operation.name).is_some()
        || Said::by(&operation.name, rules).makes()
        || service
            .input(operation)
            .is_none_or(|input| input.members.is_empty())
}

fn noun(service: &Service, words: &[String]) -> String {
    format!("{}:{}", service.id, camel(words))
}

fn as_named(
    service: &Service,
    operation: &Operation,
    named: &Named,
    said: &Said<'_>,
) -> Result<ResourceRule, CompileError> {
    let places = named.also.iter().chain(&named.parents);
    let others = places.flat_map(|place| [&place.id].into_iter().chain(&place.or));
    let selectors = &named.selectors;
    for path in [&named.ids]
        .into_iter()
        .chain(&named.or)
        .chain(others)
        .chain(selectors)
        .filter(|path| !path.is_empty())
    {
        if !is_path(service, operation, path) {
            return Err(CompileError::Odd {
                service: service.id.clone(),
                what: format!(
                    "`{path}`, which the resource rules name for `{}`, isn't in its input",
                    operation.name
                ),
            });
        }
    }
    Ok(ResourceRule {
        rule: "named".to_owned(),
        ids: named.ids.clone(),
        or: named.or.clone(),
        also: named.also.clone(),
        parents: named.parents.clone(),
        selectors: named.selectors.clone(),
        optional: named.optional || named.ids.is_empty(),
        loose: false,
        kind: named
            .kind
            .clone()
            .unwrap_or_else(|| noun(service, &said.subject)),
    })
}

fn by_rules(
    service: &Service,
    operation: &Operation,
    input: &Structure,
    said: &Said<'_>,
    places: &Places,
) -> Option<ResourceRule> {
    let mut candidates = candidates(service, input, places);
    if said.makes() && operation.class != Class::Tag {
        // What it makes isn't there yet, and what may be left out isn't what it is about.
        candidates.retain(|c| {
            let own = c.words.is_empty() || ends_with(&c.words, &said.subject);
            let wanted = c.required || operation.class == Class::Credentials;
            let named = c.ending < Ending::Name || operation.class == Class::Credentials;
            wanted && !own && (c.label.is_some() || c.is_id_like() && named)
        });
        candidates.retain(|c| !places.is_never_parent(&c.path));
    }
    let uri = operation.uri.as_str();
    let (rule, chosen) = by_noun(&candidates, said)
        .map(|c| ("noun", c))
        .or_else(|| by_label(&candidates, uri).map(|c| ("label", c)))
        .or_else(|| by_part(&candidates, said).map(|c| ("suffix", c)))
        .or_else(|| single(&candidates).map(|c| ("single", c)))
        .or_else(|| last_of_tuple(&candidates, operation, places).map(|c| ("tuple", c)))
        .or_else(|| {
            candidates
                .iter()
                .find(|c| c.is_id_like() && c.depth == 0)
                .map(|c| ("id-like", c))
        })?;
    let chosen = listed_in(&candidates, chosen, operation);
    let also = also(&candidates, chosen, operation, service);
    let own = !matches!(rule, "noun" | "tuple") && !chosen.words.is_empty();
    Some(ResourceRule {
        rule: rule.to_owned(),
        ids: chosen.path.clone(),
        or: candidates
            .iter()
            .filter(|c| !chosen.required && !c.required && c.path != chosen.path && !c.list)
            .filter(|c| c.words == chosen.words && c.is_id_like() && c.within == chosen.within)
            .filter(|c| c.list == chosen.list && c.container == chosen.container)
            .map(|c| c.path.clone())
            .collect(),
        also,
        parents: parents(
            &candidates,
            chosen,
            said,
            rule == "tuple" || takes_away(operation),
            operation,
            places,
        ),
        selectors: Vec::new(),
        // Where only some calls are guarded, the others may name nothing.
        optional: !chosen.required && !operation.class.is_guarded(),
        loose: false,
        kind: if own {
            noun(service, &chosen.words)
        } else {
            noun(service, &said.subject)
        },
    })
}

/// Every member, to a depth of three, that could name something.
fn candidates(service: &Service, input: &Structure, places: &Places) -> Vec<Candidate> {
    let mut found = Vec::new();
    let top = Inside {
        path: String::new(),
        within: None,
        container: Vec::new(),
        required: true,
        depth: 0,
    };
    collect(service, input, places, &top, &mut found);
    found.sort_by_key(|c| c.depth);
    found
}

/// Where in an input the members of a structure stand.
struct Inside {
    path: String,
    within: Option<String>,
    container: Vec<String>,
    required: bool,
    depth: usize,
}

const DEPTH_MAX: usize = 2;

fn collect(
    service: &Service,
    structure: &Structure,
    places: &Places,
    at: &Inside,
    found: &mut Vec<Candidate>,
) {
    for member in structure.members.iter().filter(|m| may_name(m, places)) {
        let path = format!("{}{}", at.path, member.name);
        let (shape, list) = match service.shape(member.shape) {
            Some(Shape::List { member, .. }) => (service.shape(*member), true),
            shape => (shape, false),
        };
        let path = if list { format!("{path}[]") } else { path };
        let within = if list {
            Some(path.clone())
        } else {
            at.within.clone()
        };
        match shape {
            Some(Shape::String { values, .. }) => {
                let mut one = candidate(member, path, list, at);
                one.text = values.is_empty();
                found.push(one);
            }
            Some(Shape::Integer | Shape::Long) => found.push(candidate(member, path, list, at)),
            Some(Shape::Structure(inner)) if at.depth < DEPTH_MAX => {
                let inside = Inside {
                    path: format!("{path}."),
                    within,
                    container: candidate(member, String::new(), list, at).words,
                    required: at.required && member.required,
                    depth: at.depth + 1,
                };
                collect(service, inner, places, &inside, found);
            }
            Some(
                Shape::Structure(_)
                | Shape::List { .. }
                | Shape::Map { .. }
                | Shape::Blob
                | Shape::Boolean
                | Shape::Float
                | Shape::Timestamp { .. }
                | Shape::Document,
            )
            | None => {}
        }
    }
}

fn candidate(member: &Member, path: String, list: bool, at: &Inside) -> Candidate {
    let name = member.name.replace("Username", "UserName");
    let name = name.replace("username", "userName");
    let (base, ending) = ENDINGS
        .iter()
        .find_map(|(text, ending)| {
            let base = name.strip_suffix(text)?;
            let lower = text.starts_with(|c: char| c.is_ascii_lowercase());
            (base.is_empty() || !lower).then_some((base, *ending))
        })
        .unwrap_or((name.as_str(), Ending::Plain));
    Candidate {
        list: list || at.within.is_some(),
        path,
        words: words(base),
        ending,
        required: at.required && member.required,
        label: (member.location == Location::Label).then(|| member.wire_name().to_owned()),
        within: at.within.clone(),
        container: at.container.clone(),
        depth: at.depth,
        text: false,
    }
}

fn may_name(member: &Member, places: &Places) -> bool {
    !member.idempotency_token
        && !["token", "password"]
            .iter()
            .any(|end| member.name.to_ascii_lowercase().ends_with(end))
        && !places.is_never_id(&member.name)
        && !places.is_selector(&member.name)
}

fn by_noun<'a>(candidates: &'a [Candidate], said: &Said<'_>) -> Option<&'a Candidate> {
    let subject = said.subject.as_slice();
    if subject.is_empty() {
        return None;
    }
    let text = || candidates.iter().filter(|c| c.text);
    best(text().filter(|c| c.is_called(subject) && (c.depth == 0 || c.is_id_like())))
        .or_else(|| {
            let ending = |c: &&Candidate| c.is_id_like() && ends_with(&c.words, subject);
            best(
                text()
                    .filter(ending)
                    .filter(|c| c.depth == 0 || c.within.is_some()),
            )
        })
        .or_else(|| {
            let number = |c: &&Candidate| c.required && c.depth == 0 && same(&c.words, subject);
            best(candidates.iter().filter(number))
        })
        .or_else(|| {
            let bare = |c: &&Candidate| c.depth == 0 && c.words.is_empty() && c.required;
            best(text().filter(bare))
        })
}

fn by_label<'a>(candidates: &'a [Candidate], uri: &str) -> Option<&'a Candidate> {
    let last = labels(uri).last()?;
    candidates.iter().find(|c| c.label.as_deref() == Some(last))
}

/// The longest part of the noun that a member is named after, from its end; then of what stands after the preposition.
fn by_part<'a>(candidates: &'a [Candidate], said: &Said<'_>) -> Option<&'a Candidate> {
    let named = |part: &[String]| {
        let fits = |c: &&Candidate| c.is_id_like() && !part.is_empty() && c.is_called(part);
        best(candidates.iter().filter(fits))
    };
    let plain = |part: &[String]| {
        let fits = |c: &&Candidate| c.required && c.text && c.depth == 0 && same(&c.words, part);
        best(candidates.iter().filter(fits))
    };
    let ends = |whole: &[String]| {
        (1..whole.len()).find_map(|skip| {
            let part = whole.get(skip..)?;
            named(part).or_else(|| plain(part))
        })
    };
    let inside = |whole: &[String]| {
        (1..whole.len())
            .rev()
            .find_map(|len| whole.windows(len).rev().find_map(named))
    };
    ends(&said.subject)
        .or_else(|| {
            let owner = inside(&said.subject)?;
            let begins = said.subject.get(..owner.words.len());
            let begins = begins.is_some_and(|words| same(words, &owner.words));
            part_of(candidates, owner)
                .filter(|_| begins)
                .or(Some(owner))
        })
        .or_else(|| named(said.whole()))
        .or_else(|| ends(said.whole()))
        .or_else(|| inside(said.whole()))
}

/// What a call names after the thing that its noun begins with: of an environment's membership the member.
fn part_of<'a>(candidates: &'a [Candidate], owner: &Candidate) -> Option<&'a Candidate> {
    let after = || {
        candidates
            .iter()
            .skip_while(|c| c.path != owner.path)
            .skip(1)
            .filter(|c| owner.required && c.required && c.text && c.depth == 0)
            .filter(|c| !c.words.is_empty() && c.label.is_some() == owner.label.is_some())
    };
    after()
        .filter(|c| c.is_id_like())
        .last()
        .or_else(|| after().last())
}

fn single(candidates: &[Candidate]) -> Option<&Candidate> {
    let mut required = candidates.iter().filter(|c| c.required);
    let first = required.next()?;
    required.next().is_none().then_some(first)
}

/// Of several required ones a list, else the last: the others are its parents. Of what is taken away, text that isn't
/// called an id names it all the same.
fn last_of_tuple<'a>(
    candidates: &'a [Candidate],
    operation: &Operation,
    places: &Places,
) -> Option<&'a Candidate> {
    let required = || candidates.iter().filter(|c| c.required && c.text);
    let ids = || required().filter(|c| c.is_id_like());
    let top = || ids().filter(|c| c.depth == 0);
    let all = takes_away(operation) || operation.class == Class::Tag;
    let several = top().nth(1).is_some() || !all;
    let says = |c: &&Candidate| all && !places.is_never_parent(&c.path);
    ids()
        .find(|c| c.list)
        .or_else(|| top().next_back().filter(|_| several))
        .or_else(|| required().filter(|c| c.depth == 0).rfind(says))
        .or_else(|| ids().next_back())
}

/// Where a call takes several things out of the one that was found, those: of a detector its members.
fn listed_in<'a>(
    candidates: &'a [Candidate],
    chosen: &'a Candidate,
    operation: &Operation,
) -> &'a Candidate {
    let inside = |c: &&Candidate| c.list && c.depth == 0 && c.required && c.is_id_like();
    if chosen.list || !chosen.required || !takes_away(operation) {
        return chosen;
    }
    candidates.iter().find(inside).unwrap_or(chosen)
}

/// Further lists of things: what a call that takes away names in them goes too.
fn also(
    candidates: &[Candidate],
    chosen: &Candidate,
    operation: &Operation,
    service: &Service,
) -> Vec<ParentRule> {
    if !takes_away(operation) && operation.group != Some(Group::Interrupt) {
        return Vec::new();
    }
    let further =
        |c: &&Candidate| c.list && c.depth == 0 && c.is_id_like() && c.path != chosen.path;
    candidates
        .iter()
        .filter(further)
        .map(|c| ParentRule {
            kind: (!c.words.is_empty()).then(|| noun(service, &c.words)),
            ..ParentRule::required(c.path.clone())
        })
        .collect()
}

/// Whether all that a call has to say serves to identify what it takes away.
fn takes_away(operation: &Operation) -> bool {
    match operation.class {
        Class::Destroy => true,
        Class::Disrupt => matches!(
            operation.group,
            Some(Group::Detach | Group::Release | Group::Revoke)
        ),
        Class::Read
        | Class::Write
        | Class::Tag
        | Class::Unprotect
        | Class::Indirect
        | Class::Credentials
        | Class::Grant => false,
    }
}

/// The other required ids: those that come before the chosen one, stand in the path, or are what its preposition speaks
/// of; all, where there is nothing else that they could be.
fn parents(
    candidates: &[Candidate],
    chosen: &Candidate,
    said: &Said<'_>,
    all: bool,
    operation: &Operation,
    places: &Places,
) -> Vec<ParentRule> {
    let uri = operation.uri.as_str();
    let order: Vec<&str> = labels(uri).collect();
    let at = candidates.iter().position(|c| c.path == chosen.path);
    let mut found: Vec<&Candidate> = candidates
        .iter()
        .enumerate()
        .filter(|(_, c)| c.path != chosen.path && c.required && c.text)
        .filter(|(_, c)| c.label.is_some() || !places.is_never_parent(&c.path))
        .filter(|(_, c)| c.words != chosen.words || c.container != chosen.container)
        .filter(|(_, c)| !c.list || (c.within.is_some() && c.within == chosen.within))
        .filter(|(_, c)| c.depth == 0 || c.container == chosen.container)
        .filter(|(i, c)| {
            let before = at.is_some_and(|at| *i < at);
            let spoken_of = same(&c.words, said.whole()) && !c.words.is_empty();
            let sibling = c.depth > 0;
            c.label.is_some()
                || all && c.depth == 0
                || (c.is_id_like() && (before || spoken_of || sibling))
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
    found
        .into_iter()
        .map(|c| ParentRule::required(c.path.clone()))
        .collect()
}

/// Required before optional, ids before names, then the order of the model.
fn best<'a>(candidates: impl Iterator<Item = &'a Candidate>) -> Option<&'a Candidate> {
    candidates.min_by_key(|c| (c.depth, !c.required, c.ending))
}

/// The labels of a URI template, in order: `/apps/{appId}/jobs/{jobId+}` has `appId` and `jobId`.
fn labels(uri: &str) -> impl Iterator<Item = &str> {
    let path = uri.split('?').next().unwrap_or(uri);
    path.split('{')
        .skip(1)
        .filter_map(|part| part.split('}').next())
        .map(|label| label.trim_end_matches('+'))
}

/// Whether a path such as `Delete.Objects[].Key` is in an operation's input.
fn is_path(service: &Service, operation: &Operation, path: &str) -> bool {
    let mut shape = operation.input;
    path.split('.').all(|step| {
        shape = shape.and_then(|at| member_shape(service, at, step));
        shape.is_some()
    })
}

/// The shape behind one step of a path: `Objects[]` is an item of the list `Objects`.
fn member_shape(service: &Service, of: ShapeId, step: &str) -> Option<ShapeId> {
    let name = step.trim_end_matches(['[', ']', '{', '}', '/']);
    let Some(Shape::Structure(structure)) = service.shape(of) else {
        return None;
    };
    let member = structure.member(name)?.shape;
    match (step.strip_prefix(name)?, service.shape(member)?) {
        ("", _) => Some(member),
        ("[]" | "[/]", Shape::List { member, .. }) => Some(*member),
        ("{}", Shape::Map { value, .. }) => Some(*value),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_come_in_the_order_of_the_path() {
        let found: Vec<&str> = labels("/apps/{appId}/jobs/{jobId+}?x={y}").collect();
        assert_eq!(found, ["appId", "jobId"]);
    }
}
