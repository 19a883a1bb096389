//! What every operation is, in one text: name, class and what its input's members are, without any service decoded.
//!
//! A service's section is lines, its first operation of each kind in the first one:
//! ```text
//! read ListThings destroy DeleteThing
//! DeleteThing destroy Force:0 ThingId:2
//! ListThings read
//! PutThing write|destroy Force:0 Mode:1 destroy?Mode=DELETE
//! ```
//! then its operations in the order of their names, each with its kind (its finer group, or its class; `write|destroy`
//! where its input may put a call in another) and, where that is guarded, the members of its input. The number after a member's name tells which of the types it has that members of
//! this name have anywhere in the catalog: the same number is the same type. Words without a colon are what in its input
//! puts a call in another class, as rules write it, with `%` before the codes of letters that part words.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

use super::condition::Condition;
use super::model::{Operation, Service, Shape, ShapeId, Structure};
use crate::aws::class::{Class, Group};
use crate::aws::text::{cut, pieces};

/// The operations of one service, in brief.
#[derive(Debug, Clone, Copy)]
pub struct Outline<'a> {
    text: &'a str,
}

/// One operation, in brief.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Brief<'a> {
    pub name: &'a str,
    pub class: Class,
    /// The finer group, for [`Class::Disrupt`].
    pub group: Option<Group>,
    /// The kinds that its calls can be of, its own first: `write|destroy`.
    pub kind: &'a str,
    members: &'a str,
}

impl<'a> Outline<'a> {
    /// Takes a section of the text; `None` where it isn't one.
    #[must_use]
    pub(super) fn of(text: &'a str) -> Option<Self> {
        (text.is_empty() || text.ends_with('\n')).then_some(Self { text })
    }

    /// The first operation of each kind that the service has.
    pub fn firsts(self) -> impl Iterator<Item = Brief<'a>> {
        let mut words = self.head().split(' ');
        std::iter::from_fn(move || {
            let (kind, name) = (words.next()?, words.next()?);
            Brief::new(name, kind, "")
        })
    }

    /// Every operation, in the order of their names.
    pub fn operations(self) -> impl Iterator<Item = Brief<'a>> {
        self.body().lines().filter_map(Brief::read)
    }

    /// The names of all operations, in order.
    pub fn names(self) -> impl Iterator<Item = &'a str> {
        self.body().lines().map(|line| first_word(line).0)
    }

    /// The operation of that name. The cost grows with the logarithm of how many there are.
    #[must_use]
    pub fn operation(self, name: &str) -> Option<Brief<'a>> {
        let mut rest = self.body();
        while !rest.is_empty() {
            let middle = rest.len() / 2;
            let start = rest.as_bytes().get(..middle)?;
            let start = memchr::memrchr(b'\n', start).map_or(0, |at| at + 1);
            let (before, at) = rest.split_at_checked(start)?;
            let (line, after) = cut(at, b'\n')?;
            match name.cmp(first_word(line).0) {
                std::cmp::Ordering::Less => rest = before,
                std::cmp::Ordering::Equal => return Brief::read(line),
                std::cmp::Ordering::Greater => rest = after,
            }
        }
        None
    }

    fn head(self) -> &'a str {
        cut(self.text, b'\n').map_or("", |(head, _)| head)
    }

    fn body(self) -> &'a str {
        cut(self.text, b'\n').map_or("", |(_, body)| body)
    }
}

impl<'a> Brief<'a> {
    fn read(line: &'a str) -> Option<Self> {
        let (name, rest) = first_word(line);
        let (kind, members) = first_word(rest);
        Self::new(name, kind, members)
    }

    fn new(name: &'a str, kind: &'a str, members: &'a str) -> Option<Self> {
        let (class, group) = kinds(kind).next()??;
        kinds(kind).all(|k| k.is_some()).then_some(Self {
            name,
            class,
            group,
            kind,
            members,
        })
    }

    /// The kinds that its calls can be of, as their names stand in policies: finer groups, or classes.
    pub fn kinds(self) -> impl Iterator<Item = &'a str> {
        self.kind.split('|')
    }

    /// The classes that its calls can be of.
    pub fn classes(self) -> impl Iterator<Item = Class> {
        kinds(self.kind).flatten().map(|(class, _)| class)
    }

    /// Whether a call of it can be guarded.
    #[must_use]
    pub fn may_be_guarded(self) -> bool {
        self.classes().any(Class::is_guarded)
    }

    /// Top-level members of the input, each with its name and the word that tells its type too. None for what isn't
    /// guarded.
    pub fn members(self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let words = self.members.split(' ').filter(|word| !word.is_empty());
        words.filter_map(|word| Some((word.rsplit_once(':')?.0, word)))
    }

    /// What in its input puts a call in another class, each with the kind that the call is of then, as rules write it:
    /// `destroy`, `Mode=DELETE`. A catalog that was made before outlines had them has none, though the operation has more
    /// than one kind.
    pub fn conditions(self) -> impl Iterator<Item = (&'a str, String)> {
        let words = self.members.split(' ').filter(|word| !word.contains(':'));
        words.filter_map(read_word)
    }
}

/// A condition as one word without a colon: `destroy?Mode=DELETE`.
fn word_of(condition: &Condition) -> String {
    let class = condition.class.as_str();
    let kind = condition.group.map_or(class, Group::as_str);
    let mut word = format!("{kind}?");
    for letter in condition.to_string().chars() {
        match letter {
            '%' | ':' | ' ' | '\n' => {
                let _ = write!(word, "%{:02X}", u32::from(letter));
            }
            letter => word.push(letter),
        }
    }
    word
}

/// What [`word_of`] wrote, as `kind` and the condition.
fn read_word(word: &str) -> Option<(&str, String)> {
    let (kind, condition) = word.split_once('?')?;
    let mut parts = condition.split('%');
    let mut text = parts.next()?.to_owned();
    for part in parts {
        let (code, rest) = part.split_at_checked(2)?;
        text.push(char::from(u8::from_str_radix(code, 16).ok()?));
        text.push_str(rest);
    }
    Some((kind, text))
}

/// What the words of a kind stand for; `None` for one that is no kind.
fn kinds(kind: &str) -> impl Iterator<Item = Option<(Class, Option<Group>)>> {
    pieces(kind, b'|').map(
        |word| match Group::ALL.into_iter().find(|g| g.as_str() == word) {
            Some(group) => Some((Class::Disrupt, Some(group))),
            None => {
                let class = Class::ALL.into_iter().find(|c| c.as_str() == word)?;
                Some((class, None))
            }
        },
    )
}

fn first_word(line: &str) -> (&str, &str) {
    cut(line, b' ').unwrap_or((line, ""))
}

/// The outlines of some services in one text, and where the section of each stands in it: offset and length.
#[must_use]
pub(super) fn write(services: &[Service]) -> (String, Vec<(usize, usize)>) {
    let mut types = Types::default();
    let mut text = String::new();
    let sections = services.iter().map(|service| {
        let start = text.len();
        section(service, &mut types, &mut text);
        (start, text.len() - start)
    });
    let sections = sections.collect();
    (text, sections)
}

fn section(service: &Service, types: &mut Types, text: &mut String) {
    let mut firsts = BTreeMap::new();
    for operation in service.operations.values() {
        firsts.entry(kind(operation)).or_insert(&operation.name);
    }
    let firsts: Vec<String> = firsts
        .iter()
        .map(|(kind, name)| format!("{kind} {name}"))
        .collect();
    let _ = writeln!(text, "{}", firsts.join(" "));
    for operation in service.operations.values() {
        let _ = write!(text, "{} {}", operation.name, kind(operation));
        let guarded = operation.class.is_guarded() || operation.is_conditional();
        let input = service.input(operation).filter(|_| guarded);
        for member in input.iter().flat_map(|input| &input.members) {
            let number = types.number(service, &member.name, member.shape);
            let _ = write!(text, " {}:{number}", member.name);
        }
        for condition in &operation.conditions {
            let _ = write!(text, " {}", word_of(condition));
        }
        text.push('\n');
    }
}

fn kind(operation: &Operation) -> String {
    let own = (operation.class, operation.group);
    let by_input = operation.conditions.iter().map(|c| (c.class, c.group));
    let mut words: Vec<&str> = Vec::new();
    for (class, group) in std::iter::once(own).chain(by_input) {
        let word = group.map_or(class.as_str(), Group::as_str);
        if !words.contains(&word) {
            words.push(word);
        }
    }
    words.join("|")
}

/// The types that members have, numbered for each name.
#[derive(Default)]
struct Types(HashMap<String, HashMap<String, usize>>);

impl Types {
    fn number(&mut self, service: &Service, name: &str, shape: ShapeId) -> usize {
        let known = self.0.entry(name.to_owned()).or_default();
        let next = known.len();
        *known.entry(spelt(service, shape)).or_insert(next)
    }
}

/// More of a type than this isn't spelt out: such a type counts as one of its own.
const SPELT_BYTES_MAX: usize = 2_000;
const SPELT_DEPTH_MAX: usize = 4;

/// A type in words: two that read the same are the same.
fn spelt(service: &Service, id: ShapeId) -> String {
    let mut words = String::new();
    if spell(service, id, 0, &mut words) {
        words
    } else {
        format!("{}#{}", service.id, id.0)
    }
}

/// Whether the type could be spelt out.
fn spell(service: &Service, id: ShapeId, depth: usize, words: &mut String) -> bool {
    if depth > SPELT_DEPTH_MAX || words.len() > SPELT_BYTES_MAX {
        return false;
    }
    let Some(shape) = service.shape(id) else {
        return false;
    };
    match shape {
        Shape::Structure(Structure { members, .. }) => {
            words.push('{');
            let spelt = members.iter().all(|member| {
                let _ = write!(words, "{}:", member.name);
                let spelt = spell(service, member.shape, depth + 1, words);
                words.push(',');
                spelt
            });
            words.push('}');
            spelt
        }
        Shape::List { member, .. } => {
            words.push('*');
            spell(service, *member, depth + 1, words)
        }
        Shape::Map { value, .. } => {
            words.push('%');
            spell(service, *value, depth + 1, words)
        }
        Shape::String { .. } | Shape::Blob => plain(words, "text"),
        Shape::Boolean => plain(words, "flag"),
        Shape::Integer | Shape::Long => plain(words, "whole"),
        Shape::Float => plain(words, "float"),
        Shape::Timestamp { .. } => plain(words, "time"),
        Shape::Document => plain(words, "any"),
    }
}

fn plain(words: &mut String, word: &str) -> bool {
    words.push_str(word);
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::catalog::condition::{Place, When};

    const TEXT: &str = "read ListThings destroy DeleteThing interrupt StopThing\n\
        DeleteThing destroy Force:0 ThingId:2\nListThings read\nStopThing interrupt ThingId:2\n";

    fn outline() -> Outline<'static> {
        Outline::of(TEXT).unwrap()
    }

    #[test]
    fn every_operation_is_found_by_its_name_and_no_other() {
        for name in ["DeleteThing", "ListThings", "StopThing"] {
            assert_eq!(outline().operation(name).unwrap().name, name);
        }
        for name in [
            "",
            "A",
            "DeleteThin",
            "DeleteThings",
            "Liss",
            "Z",
            "read",
            "\n",
        ] {
            assert_eq!(outline().operation(name), None, "{name}");
        }
        assert!(Outline::of("").unwrap().operation("A").is_none());
        assert_eq!(outline().names().count(), 3);
        assert_eq!(outline().operations().count(), 3);
    }

    #[test]
    fn an_operation_has_its_kind_and_its_members() {
        let stop = outline().operation("StopThing").unwrap();
        assert_eq!(
            (stop.class, stop.group),
            (Class::Disrupt, Some(Group::Interrupt))
        );
        assert_eq!(
            stop.members().collect::<Vec<_>>(),
            [("ThingId", "ThingId:2")]
        );
        let list = outline().operation("ListThings").unwrap();
        assert_eq!((list.class, list.group), (Class::Read, None));
        assert_eq!(list.members().count(), 0);
    }

    #[test]
    fn a_condition_is_read_as_it_was_written_and_is_no_member() {
        let condition = |path: &str, when| Condition {
            path: Place::parse(path).unwrap(),
            when,
            class: Class::Destroy,
            group: None,
        };
        let is = When::Is(vec!["arn:*:x 100%".to_owned(), "DELETE".to_owned()]);
        let all = [
            condition("Items{}[].DeleteRequest", When::Present),
            condition("Mode[Key=a|b].Value", is),
            condition("Status", When::Not(vec!["On?".to_owned()])),
        ];
        let words: Vec<String> = all.iter().map(word_of).collect();
        let text = format!(
            "write|destroy PutThing\nPutThing write|destroy Mode:0 {}\n",
            words.join(" ")
        );
        let put = Outline::of(&text).unwrap().operation("PutThing").unwrap();
        assert_eq!(put.members().collect::<Vec<_>>(), [("Mode", "Mode:0")]);
        let read: Vec<(&str, String)> = put.conditions().collect();
        let written: Vec<(&str, String)> = all.iter().map(|c| ("destroy", c.to_string())).collect();
        assert_eq!(read, written);
        assert_eq!(read[1].1, "Mode[Key=a|b].Value=arn:*:x 100%|DELETE");
        for broken in ["destroy?a%", "destroy?a%4", "destroy?a%zz", "destroy"] {
            assert_eq!(read_word(broken), None, "{broken}");
        }
    }

    #[test]
    fn an_operation_whose_input_tells_its_class_has_each_kind() {
        let text = "write|destroy|detach PutThing\nPutThing write|destroy|detach ThingId:2\n";
        let put = Outline::of(text).unwrap().operation("PutThing").unwrap();
        assert_eq!((put.class, put.group), (Class::Write, None));
        assert_eq!(
            put.kinds().collect::<Vec<_>>(),
            ["write", "destroy", "detach"]
        );
        assert_eq!(
            put.classes().collect::<Vec<_>>(),
            [Class::Write, Class::Destroy, Class::Disrupt]
        );
        assert!(put.may_be_guarded());
    }

    #[test]
    fn the_first_of_each_kind_stands_in_front() {
        let firsts: Vec<(&str, Class)> = outline().firsts().map(|b| (b.name, b.class)).collect();
        let expected = [
            ("ListThings", Class::Read),
            ("DeleteThing", Class::Destroy),
            ("StopThing", Class::Disrupt),
        ];
        assert_eq!(firsts, expected);
    }

    #[test]
    fn a_text_that_was_cut_is_no_outline() {
        assert!(Outline::of("read ListThings").is_none());
    }
}
