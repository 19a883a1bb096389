//! How the tags of a service's resources are read, and their ARNs, as far as the model tells.
//!
//! Two forms: an operation that takes any resource of the service (`ListTagsForResource`), and one that tells of a
//! single type (`DescribeVolumes`, `ListRoleTags`). The second takes the very member by which guarded operations name
//! the type, so that it takes what they take.
//!
//! INVARIANT: a read whose pages can't be turned isn't one: tags on a later page would be missed.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::json::{members, text};
use super::rules::Rules;
use crate::aws::catalog::model::{Operation, Read, Service, Shape, ShapeId, Structure, TypeEntry};
use crate::aws::class::Class;

/// Stands for every type that has no entry of its own.
const EVERY: &str = "*";

/// How deep in structures tags and ARNs are looked for.
const DEPTH_MAX: usize = 3;

/// The reads of a service by key, and what is known of each type that its guarded operations name.
pub(super) fn find(
    service: &Service,
    model: &Value,
    rules: &Rules,
) -> (BTreeMap<String, Read>, BTreeMap<String, TypeEntry>) {
    let search = Search {
        service,
        model,
        rules,
    };
    let mut reads = BTreeMap::new();
    let mut types: BTreeMap<String, TypeEntry> = BTreeMap::new();
    let candidates: Vec<&Operation> = service
        .operations
        .values()
        .filter(|o| o.class == Class::Read && !o.unsigned)
        .collect();
    for operation in &candidates {
        if let Some(read) = search.of_any(operation) {
            let entry = types.entry(EVERY.to_owned()).or_default();
            entry.reads.push(read.operation.clone());
            reads.insert(read.operation.clone(), read);
        }
    }
    let every = types.get(EVERY).cloned().unwrap_or_default().reads;
    for (kind, named) in search.kinds() {
        let mut found: Vec<Read> = candidates
            .iter()
            .filter_map(|operation| search.of_kind(operation, &named))
            .collect();
        found.sort_by_key(|r| (r.tags.is_none(), r.arn.is_none(), r.id.is_none()));
        if found.is_empty() {
            continue;
        }
        // A description may leave tags out that its reader may not see, which what is there for tags says: that first.
        let (of_tags, others): (Vec<Read>, Vec<Read>) =
            found.into_iter().partition(|r| r.operation.contains("Tag"));
        let mut entry = TypeEntry::default();
        for (own, first) in [(of_tags, true), (others, false)] {
            for read in own {
                let key = format!("{}:{kind}", read.operation);
                entry.reads.push(key.clone());
                reads.insert(key, read);
            }
            if first {
                entry.reads.extend(every.iter().cloned());
            }
        }
        types.insert(kind, entry);
    }
    (reads, types)
}

/// How guarded operations name a type.
#[derive(Debug, Default)]
struct Named {
    /// What it is called: `loggroup`.
    nouns: BTreeSet<String>,
    /// The members that take it, as [`plain`] spells them; those of what destroys it first.
    ids: Vec<String>,
    /// The members that take its parents, outermost first; several where operations differ.
    parents: BTreeSet<Vec<String>>,
}

struct Search<'s> {
    service: &'s Service,
    model: &'s Value,
    rules: &'s Rules,
}

impl Search<'_> {
    fn kinds(&self) -> BTreeMap<String, Named> {
        let mut kinds: BTreeMap<String, Named> = BTreeMap::new();
        let mut operations: Vec<&Operation> = self.service.operations.values().collect();
        operations.sort_by_key(|operation| operation.class != Class::Destroy);
        for operation in operations {
            let Some(rule) = &operation.resource else {
                continue;
            };
            let named = kinds.entry(rule.kind.clone()).or_default();
            let tail = rule.kind.rsplit(':').next().unwrap_or(&rule.kind);
            named.nouns.insert(plain(tail));
            if operation.class == Class::Destroy && rule.rule == "noun" {
                let (_, noun) = self.rules.verb(&operation.name);
                named.nouns.insert(plain(noun));
            }
            let id = plain(last(&rule.ids));
            if !named.ids.contains(&id) {
                named.ids.push(id);
            }
            let parents = rule.parents.iter().map(|parent| plain(last(&parent.id)));
            named.parents.insert(parents.collect());
        }
        kinds
    }

    /// The read of an operation that takes any resource of the service.
    fn of_any(&self, operation: &Operation) -> Option<Read> {
        let (_, rest) = self.rules.verb(&operation.name);
        if !is_of_any(rest) {
            return None;
        }
        let input = self.service.input(operation)?;
        let mut required = input.members.iter().filter(|m| m.required);
        let member = match (required.next(), required.next()) {
            (Some(only), None) => only,
            (None, None) => {
                let mut arns = input
                    .members
                    .iter()
                    .filter(|m| self.takes_arn(operation, &m.name));
                let only = arns.next()?;
                arns.next().is_none().then_some(only)?
            }
            _ => return None,
        };
        if !is_any(&member.name) {
            return None;
        }
        let variable = if self.takes_arn(operation, &member.name) {
            "{arn}"
        } else {
            "{id}"
        };
        let key = self.key(&member.name, member.shape)?;
        let output = self.output(operation)?;
        let ids = [
            plain(&member.name),
            plain(member.name.trim_end_matches("List")),
        ]
        .into();
        let place = self.tags(output, &ids, None)?;
        let read = Read {
            operation: operation.name.clone(),
            input: [(key, variable.to_owned())].into(),
            next: self.next(output, input)?,
            unknown: unknown(operation),
            tags: place.tags,
            items: place.items,
            // An item has to be the one asked for; of a single answer nothing else tells it.
            id: place.id,
            arn: None,
        };
        // By an id alone, silence could be about nothing.
        (variable == "{arn}" || !read.unknown.is_empty()).then_some(read)
    }

    /// The read of an operation that tells of one type: its tags, its ARN, or both.
    fn of_kind(&self, operation: &Operation, named: &Named) -> Option<Read> {
        let (_, rest) = self.rules.verb(&operation.name);
        let about = named.nouns.iter().any(|noun| is_about(rest, noun));
        if !about && !is_of_any(rest) {
            return None;
        }
        let input = self.service.input(operation)?;
        let place = |name: &str| named.ids.iter().position(|id| *id == plain(name));
        let by = input.members.iter().filter(|m| place(&m.name).is_some());
        let by = by.min_by_key(|m| (!m.required, place(&m.name)))?;
        if !about && is_any(&by.name) {
            return None;
        }
        let mut asked: BTreeMap<String, String> =
            [(self.key(&by.name, by.shape)?, "{id}".to_owned())].into();
        for other in input
            .members
            .iter()
            .filter(|m| m.required && m.name != by.name)
        {
            let at = parent_at(named, &plain(&other.name))?;
            asked.insert(
                self.key(&other.name, other.shape)?,
                format!("{{parent{at}}}"),
            );
        }
        let output = self.output(operation)?;
        let ids: BTreeSet<String> = [plain(&by.name)].into();
        let mut place = self.tags(output, &ids, Some(named)).unwrap_or_default();
        if self.tags_on_request(input) || has_tag_error(output) {
            place.tags = None;
        }
        if place.arn.is_none() && place.items.is_none() {
            place.arn = self.arn(output, named);
        }
        if place.arn.is_none() && place.tags.is_none() {
            place = self.arn_of_items(output, &ids, named).unwrap_or_default();
        }
        if place.tags.is_none() && place.arn.is_none() {
            return None;
        }
        Some(Read {
            operation: operation.name.clone(),
            input: asked,
            next: self.next(output, input)?,
            unknown: unknown(operation),
            items: place.items,
            id: place.id,
            arn: place.arn,
            tags: place.tags,
        })
    }

    /// The name by which an input takes a text, or a list of texts.
    fn key(&self, name: &str, shape: ShapeId) -> Option<String> {
        let is_text = |id| matches!(self.service.shape(id), Some(Shape::String { values, .. }) if values.is_empty());
        if is_text(shape) {
            return Some(name.to_owned());
        }
        match self.service.shape(shape)? {
            Shape::List { member, .. } if is_text(*member) => Some(format!("{name}[]")),
            Shape::List { .. }
            | Shape::String { .. }
            | Shape::Structure(_)
            | Shape::Map { .. }
            | Shape::Blob
            | Shape::Boolean
            | Shape::Integer
            | Shape::Long
            | Shape::Float
            | Shape::Timestamp { .. }
            | Shape::Document => None,
        }
    }

    /// Whether a member takes an ARN: its name says so, or AWS's words about it do.
    fn takes_arn(&self, operation: &Operation, member: &str) -> bool {
        let lower = member.to_ascii_lowercase();
        if lower.ends_with("arn") || lower.ends_with("arns") || lower == "resource" {
            return true;
        }
        let shapes = |name: &str| self.model.get("shapes").and_then(|s| s.get(name));
        let described = self
            .model
            .get("operations")
            .and_then(|o| o.get(&operation.name))
            .and_then(|o| o.get("input"))
            .and_then(|i| text(i, "shape"))
            .and_then(shapes);
        let found = described
            .and_then(|input| members(input, "members").find(|(name, _)| *name == member))
            .map(|(_, described)| described);
        let Some(found) = found else {
            return false;
        };
        let shape = text(found, "shape").and_then(shapes);
        let item = shape.and_then(|s| s.get("member"));
        let said = [Some(found), shape, item]
            .into_iter()
            .flatten()
            .filter_map(|d| text(d, "documentation"));
        let pattern = shape.and_then(|s| text(s, "pattern")).unwrap_or_default();
        let starts = pattern.trim_start_matches(['^', '(']).starts_with("arn:");
        starts
            || said.into_iter().any(|words| {
                (words.contains("ARN") || words.contains("Amazon Resource Name"))
                    && !words.contains("ID or ")
                    && !words.contains(" or ID")
            })
    }

    /// Whether an input says whether the answer has tags at all: `include = ["TAGS"]`.
    fn tags_on_request(&self, input: &Structure) -> bool {
        let says = |id: ShapeId| match self.service.shape(id) {
            Some(Shape::String { values, .. }) => values
                .iter()
                .any(|v| v.to_ascii_lowercase().contains("tag")),
            Some(
                Shape::Structure(_)
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
            | None => false,
        };
        input
            .members
            .iter()
            .any(|m| match self.service.shape(m.shape) {
                Some(Shape::List { member, .. }) => says(*member),
                Some(Shape::Boolean) => m.name.to_ascii_lowercase().contains("tag"),
                _ => says(m.shape),
            })
    }

    fn output(&self, operation: &Operation) -> Option<&Structure> {
        let output = self.structure(operation.output?)?;
        (output.payload.is_none() && !output.event_stream || self.has_structured_payload(output))
            .then_some(output)
    }

    fn has_structured_payload(&self, output: &Structure) -> bool {
        let payload = output.payload.as_deref().and_then(|p| output.member(p));
        payload.is_some_and(|m| self.structure(m.shape).is_some_and(|s| !s.event_stream))
    }

    fn structure(&self, id: ShapeId) -> Option<&Structure> {
        self.service.shape(id)?.as_structure()
    }

    /// Where the tags stand in an answer. `named`: what the answer is about, where it is about one type.
    fn tags(
        &self,
        output: &Structure,
        ids: &BTreeSet<String>,
        named: Option<&Named>,
    ) -> Option<Place> {
        self.tags_in(output, named, "", 0)
            .or_else(|| self.tags_of_items(output, ids, named, "", 0))
    }

    fn tags_in(
        &self,
        structure: &Structure,
        named: Option<&Named>,
        within: &str,
        depth: usize,
    ) -> Option<Place> {
        if let Some(tags) = self.tag_member(structure) {
            return Some(Place {
                tags: Some(format!("{within}{tags}")),
                arn: named
                    .and_then(|n| arn_member(self, structure, n))
                    .map(|arn| format!("{within}{arn}")),
                ..Place::default()
            });
        }
        if depth >= DEPTH_MAX {
            return None;
        }
        self.inner(structure, named).find_map(|(name, inner)| {
            self.tags_in(inner, named, &format!("{within}{name}."), depth + 1)
        })
    }

    /// The structures in a structure that are about the same thing: the only one, or those called like it.
    fn inner<'a>(
        &'a self,
        structure: &'a Structure,
        named: Option<&'a Named>,
    ) -> impl Iterator<Item = (&'a str, &'a Structure)> {
        let all: Vec<(&str, &Structure)> = structure
            .members
            .iter()
            .filter_map(|m| Some((m.name.as_str(), self.structure(m.shape)?)))
            .collect();
        let only = all.len() == 1;
        all.into_iter().filter(move |(name, _)| {
            let name = plain(name);
            let called = |noun: &String| name.contains(noun.as_str()) || noun.contains(&name);
            only || named.is_some_and(|n| n.nouns.iter().any(called))
        })
    }

    fn tags_of_items(
        &self,
        structure: &Structure,
        ids: &BTreeSet<String>,
        named: Option<&Named>,
        within: &str,
        depth: usize,
    ) -> Option<Place> {
        structure.members.iter().find_map(|member| {
            let Some(Shape::List { member: item, .. }) = self.service.shape(member.shape) else {
                return None;
            };
            let item = self.structure(*item)?;
            let items = format!("{within}{}[]", member.name);
            let id = item
                .members
                .iter()
                .find(|m| ids.contains(&plain(&m.name)) && self.key(&m.name, m.shape).is_some());
            match (self.tag_member(item), id) {
                (Some(tags), Some(id)) => Some(Place {
                    items: Some(items),
                    id: Some(id.name.clone()),
                    tags: Some(tags),
                    arn: named
                        .and_then(|n| arn_member(self, item, n))
                        .map(str::to_owned),
                }),
                _ if depth < 1 => {
                    self.tags_of_items(item, ids, named, &format!("{items}."), depth + 1)
                }
                _ => None,
            }
        })
    }

    /// The member of a structure that holds tags: a list of keys and values, or a map of texts.
    fn tag_member(&self, structure: &Structure) -> Option<String> {
        const NAMES: [&str; 8] = [
            "tag",
            "tagset",
            "taglist",
            "resourcetag",
            "tagmap",
            "tagsmap",
            "tagsmodel",
            "tagslist",
        ];
        let named = structure
            .members
            .iter()
            .filter(|m| NAMES.contains(&plain(&m.name).as_str()));
        named
            .filter_map(|m| {
                if self.are_tags(m.shape) {
                    return Some(m.name.clone());
                }
                // Some put the list into a structure of its own.
                let of = self.structure(m.shape)?;
                let items = of.member("Items").filter(|i| self.are_tags(i.shape))?;
                Some(format!("{}.{}", m.name, items.name))
            })
            .next()
    }

    fn are_tags(&self, id: ShapeId) -> bool {
        let is_text = |id: ShapeId| matches!(self.service.shape(id), Some(Shape::String { .. }));
        match self.service.shape(id) {
            Some(Shape::Map { value, .. }) => is_text(*value),
            Some(Shape::List { member, .. }) => self.structure(*member).is_some_and(|pair| {
                let has = |names: [&str; 2]| {
                    pair.members.iter().any(|m| {
                        names.contains(&m.name.to_ascii_lowercase().as_str()) && is_text(m.shape)
                    })
                };
                has(["key", "tagkey"]) && has(["value", "tagvalue"])
            }),
            Some(
                Shape::Structure(_)
                | Shape::String { .. }
                | Shape::Blob
                | Shape::Boolean
                | Shape::Integer
                | Shape::Long
                | Shape::Float
                | Shape::Timestamp { .. }
                | Shape::Document,
            )
            | None => false,
        }
    }

    /// Where an answer about one thing has its ARN.
    fn arn(&self, output: &Structure, named: &Named) -> Option<String> {
        if let Some(arn) = arn_member(self, output, named) {
            return Some(arn.to_owned());
        }
        self.inner(output, Some(named)).find_map(|(name, inner)| {
            let arn = arn_member(self, inner, named)?;
            Some(format!("{name}.{arn}"))
        })
    }

    /// Where an answer that is a list has the ARNs of its items.
    fn arn_of_items(
        &self,
        output: &Structure,
        ids: &BTreeSet<String>,
        named: &Named,
    ) -> Option<Place> {
        output.members.iter().find_map(|member| {
            let Some(Shape::List { member: item, .. }) = self.service.shape(member.shape) else {
                return None;
            };
            let item = self.structure(*item)?;
            let id = item
                .members
                .iter()
                .find(|m| ids.contains(&plain(&m.name)))?;
            Some(Place {
                items: Some(format!("{}[]", member.name)),
                id: Some(id.name.clone()),
                arn: Some(arn_member(self, item, named)?.to_owned()),
                tags: None,
            })
        })
    }

    /// How pages are turned: `None` where they are and it isn't known how.
    fn next(&self, output: &Structure, input: &Structure) -> Option<Option<(String, String)>> {
        const TOKENS: [&str; 7] = [
            "nextmarker",
            "nexttoken",
            "nextpagetoken",
            "paginationtoken",
            "marker",
            "position",
            "nextpage",
        ];
        const MORE: [&str; 4] = ["hasmoretags", "hasmore", "istruncated", "truncated"];
        let from = TOKENS.iter().find_map(|token| {
            let mut members = output.members.iter();
            members.find(|m| m.name.eq_ignore_ascii_case(token))
        });
        let Some(from) = from else {
            let more = |name: &str| MORE.iter().any(|m| name.eq_ignore_ascii_case(m));
            let unknown = output.members.iter().any(|m| more(&m.name));
            return (!unknown).then_some(None);
        };
        let lower = from.name.to_ascii_lowercase();
        let bare = lower.strip_prefix("next").unwrap_or(&lower);
        let to = input
            .members
            .iter()
            .find(|m| m.name.eq_ignore_ascii_case(&lower))
            .or_else(|| {
                input
                    .members
                    .iter()
                    .find(|m| m.name.eq_ignore_ascii_case(bare))
            })?;
        Some(Some((from.name.clone(), to.name.clone())))
    }
}

/// Whether what stands after an operation's verb is the tags of any resource.
fn is_of_any(rest: &str) -> bool {
    const EVERY: [&str; 5] = [
        "tags",
        "tagsforresource",
        "tagsofresource",
        "resourcetags",
        "tagsforresources",
    ];
    EVERY.iter().any(|name| rest.eq_ignore_ascii_case(name))
}

/// Whether a member takes any resource, by its name.
fn is_any(member: &str) -> bool {
    let name = plain(member);
    let base = ["list", "arn", "id", "name", "identifier"];
    let mut bare = name.as_str();
    for end in base {
        bare = bare.strip_suffix(end).unwrap_or(bare);
    }
    matches!(bare, "" | "resource" | "taggableresource")
}

/// Whether an answer may say that its tags couldn't be read.
fn has_tag_error(output: &Structure) -> bool {
    let names = output.members.iter().map(|m| m.name.to_ascii_lowercase());
    names
        .into_iter()
        .any(|n| n.contains("tag") && n.contains("error"))
}

/// Where an answer has what is looked for.
#[derive(Debug, Default)]
struct Place {
    items: Option<String>,
    id: Option<String>,
    arn: Option<String>,
    tags: Option<String>,
}

/// The member of a structure that is the ARN of what the structure describes.
fn arn_member<'a>(search: &Search<'_>, structure: &'a Structure, named: &Named) -> Option<&'a str> {
    let is_own = |name: &str| {
        let name = plain(name);
        name == "arn"
            || name
                .strip_suffix("arn")
                .is_some_and(|of| named.nouns.contains(of))
    };
    let found = structure.members.iter().find(|m| is_own(&m.name))?;
    let plain_text = search.key(&found.name, found.shape)? == found.name;
    plain_text.then_some(found.name.as_str())
}

/// Whether what stands after an operation's verb is a noun or the tags of it: `Volumes`, `RoleTags`, `TagsForStream`.
fn is_about(rest: &str, noun: &str) -> bool {
    let rest = plain(rest);
    let bare = [
        rest.strip_suffix("tag"),
        rest.strip_suffix("tagging"),
        rest.strip_prefix("tagsfor"),
        rest.strip_prefix("tags"),
    ];
    rest == *noun || bare.into_iter().flatten().any(|of| plain(of) == *noun)
}

/// Where in the list of parents a member stands, if every operation lists the same.
fn parent_at(named: &Named, member: &str) -> Option<usize> {
    let mut lists = named.parents.iter().filter(|list| !list.is_empty());
    let parents = lists.next()?;
    if lists.next().is_some() {
        return None;
    }
    parents.iter().position(|parent| parent == member)
}

/// The codes of an operation's errors that say that there is no such thing.
fn unknown(operation: &Operation) -> Vec<String> {
    const SAYING: [&str; 5] = [
        "NotFound",
        "DoesNotExist",
        "NoSuch",
        "NotExist",
        "UnknownResource",
    ];
    let codes = operation.errors.iter();
    codes
        .filter(|code| SAYING.iter().any(|part| code.contains(part)))
        .cloned()
        .collect()
}

/// The last member of a path, without brackets.
fn last(path: &str) -> &str {
    let member = path.rsplit('.').next().unwrap_or(path);
    member.trim_end_matches(['[', ']', '{', '}', '/'])
}

/// A name in small letters and the singular: `VolumeIds` is `volumeid`.
fn plain(name: &str) -> String {
    let lower: String = name
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .collect();
    if let Some(stem) = lower.strip_suffix("ies") {
        return format!("{stem}y");
    }
    let kept = ["ss", "us", "is", "as"].iter().any(|e| lower.ends_with(e));
    match lower.strip_suffix('s') {
        Some(stem) if !kept => stem.to_owned(),
        Some(_) | None => lower,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::aws::catalog::compile::{Data, Models, Names, Notes, Own, Places, Types};

    #[test]
    fn an_operation_is_about_its_noun_or_the_tags_of_it() {
        for (rest, noun) in [
            ("Volumes", "volume"),
            ("RoleTags", "role"),
            ("TagsForStream", "stream"),
            ("TagsLogGroup", "loggroup"),
            ("BucketTagging", "bucket"),
            ("Policies", "policy"),
        ] {
            assert!(is_about(rest, noun), "{rest} {noun}");
        }
        assert!(!is_about("VolumeStatus", "volume"));
        assert!(!is_about("Tags", "volume"));
    }

    #[test]
    fn what_stands_at_the_end_of_a_path_names() {
        assert_eq!(last("Requests[].WorkspaceId"), "WorkspaceId");
        assert_eq!(last("InstanceIds[]"), "InstanceIds");
        assert_eq!(plain("InstanceIds"), "instanceid");
        assert_eq!(plain("Status"), "status");
    }

    /// A service with one operation for the tags of anything, one for those of a role, and descriptions.
    fn service(operations: &Value, shapes: &Value) -> Service {
        let model = json!({
            "metadata": {
                "endpointPrefix": "x", "apiVersion": "2026-01-01", "protocol": "json", "serviceFullName": "X",
            },
            "operations": operations, "shapes": shapes,
        });
        let models = Models {
            id: "x".to_owned(),
            service: model,
            endpoints: None,
        };
        let data = Data {
            rules: Rules::parse(include_str!("../../../../config/classes.toml")).unwrap(),
            places: Places::parse("").unwrap(),
            types: Types::new("", &[]).unwrap(),
            names: Names::parse("").unwrap(),
            own: Own::default(),
        };
        crate::aws::catalog::compile::service(&models, &data, &mut Notes::default()).unwrap()
    }

    fn shapes() -> Value {
        json!({
            "Text": { "type": "string" },
            "Tag": { "type": "structure", "members": { "Key": { "shape": "Text" }, "Value": { "shape": "Text" } } },
            "Tags": { "type": "list", "member": { "shape": "Tag" } },
            "Arn": { "type": "structure", "required": ["ResourceArn"], "members": { "ResourceArn": { "shape": "Text" } } },
            "Name": { "type": "structure", "required": ["RoleName"], "members": { "RoleName": { "shape": "Text" } } },
            "Names": { "type": "structure", "members": { "RoleNames": { "shape": "Texts" } } },
            "Texts": { "type": "list", "member": { "shape": "Text" } },
            "Tagged": { "type": "structure", "members": { "Tags": { "shape": "Tags" } } },
            "TaggedOnPages": {
                "type": "structure", "members": { "Tags": { "shape": "Tags" }, "HasMoreTags": { "shape": "Flag" } },
            },
            "Flag": { "type": "boolean" },
            "Role": {
                "type": "structure",
                "members": {
                    "RoleName": { "shape": "Text" }, "RoleArn": { "shape": "Text" }, "Tags": { "shape": "Tags" },
                },
            },
            "Roles": { "type": "structure", "members": { "Roles": { "shape": "ListOfRoles" } } },
            "ListOfRoles": { "type": "list", "member": { "shape": "Role" } },
            "Included": {
                "type": "structure", "required": ["RoleName"],
                "members": { "RoleName": { "shape": "Text" }, "Include": { "shape": "Fields" } },
            },
            "Fields": { "type": "list", "member": { "shape": "Field" } },
            "Field": { "type": "string", "enum": ["TAGS"] },
            "NotFound": { "type": "structure", "members": {}, "exception": true, "error": { "code": "NoSuchRole" } },
        })
    }

    fn operation(name: &str, input: &str, output: &str) -> (String, Value) {
        let described = json!({
            "name": name, "http": { "method": "POST", "requestUri": "/" },
            "input": { "shape": input }, "output": { "shape": output }, "errors": [{ "shape": "RoleNotFound" }],
        });
        (name.to_owned(), described)
    }

    fn reads_of(operations: &[(&str, &str, &str)]) -> Service {
        let all = operations.iter().map(|(n, i, o)| operation(n, i, o));
        let mut all: serde_json::Map<String, Value> = all.collect();
        let (name, delete) = operation("DeleteRole", "Name", "Tagged");
        all.insert(name, delete);
        let mut shapes = shapes();
        shapes["RoleNotFound"] = shapes["NotFound"].clone();
        service(&Value::Object(all), &shapes)
    }

    fn kind(service: &Service) -> &str {
        let rule = service.operations["DeleteRole"].resource.as_ref();
        &rule.unwrap().kind
    }

    #[test]
    fn tags_are_read_by_what_takes_the_member_that_names_the_type() {
        let service = reads_of(&[
            ("ListRoleTags", "Name", "Tagged"),
            ("ListTagsForResource", "Arn", "Tagged"),
            ("DescribeRoles", "Names", "Roles"),
        ]);
        let entry = &service.types[kind(&service)];
        let operations: Vec<&str> = entry
            .reads
            .iter()
            .map(|key| service.reads[key].operation.as_str())
            .collect();
        // What is there for tags first; a description last.
        assert_eq!(
            operations,
            ["ListRoleTags", "ListTagsForResource", "DescribeRoles"]
        );
        let own = &service.reads[&entry.reads[0]];
        assert_eq!(
            own.input,
            [("RoleName".to_owned(), "{id}".to_owned())].into()
        );
        assert_eq!(own.unknown, ["NoSuchRole"]);
        let described = &service.reads[&entry.reads[2]];
        assert_eq!(
            described.input,
            [("RoleNames[]".to_owned(), "{id}".to_owned())].into()
        );
        assert_eq!(described.items.as_deref(), Some("Roles[]"));
        assert_eq!(described.id.as_deref(), Some("RoleName"));
        assert_eq!(described.arn.as_deref(), Some("RoleArn"));
        assert_eq!(service.types["*"].reads, ["ListTagsForResource"]);
    }

    #[test]
    fn what_shows_tags_only_when_asked_to_or_on_pages_that_cannot_be_turned_reads_none() {
        let service = reads_of(&[
            ("GetRole", "Included", "Role"),
            ("ListRoleTags", "Name", "TaggedOnPages"),
        ]);
        let tells = |read: &Read| read.tags.is_some();
        assert!(!service.reads.values().any(tells), "{:?}", service.reads);
        // The description still tells the ARN.
        assert!(service.reads.values().any(|read| read.arn.is_some()));
    }
}
