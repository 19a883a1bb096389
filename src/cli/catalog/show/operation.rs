//! All about one operation: how policies name it, what it would affect, what can be looked up about that, what it takes.

use std::fmt::Write;

use serde_json::{Value, json};

use super::super::changes::{kind, resource};
use super::input::{members_json, write_members};
use super::name_of;
use crate::aws::catalog::condition::{Condition, When};
use crate::aws::catalog::{Operation, Service};
use crate::aws::class::{Class, Group};
use crate::guard::facts::Attribute;
use crate::guard::knowledge::{Knowledge, LookupRule, derived};

/// An operation for people.
pub(super) fn text(
    out: &mut String,
    service: &Service,
    operation: &Operation,
    knowledge: &Knowledge,
) -> anyhow::Result<()> {
    writeln!(out, "Action::\"{}:{}\"", service.id, operation.name)?;
    let mut lines = of_policies(service, operation, knowledge);
    lines.extend(of_resource(service, operation, knowledge));
    lines.extend(of_wire(service, operation));
    let width = lines.iter().map(|(head, _)| head.len()).max();
    let width = width.unwrap_or_default().saturating_add(2);
    for (head, text) in lines {
        writeln!(out, "{head:width$}{text}")?;
    }
    writeln!(out, "input")?;
    write_members(out, service, operation.input)?;
    if operation.class == Class::Read {
        writeln!(out, "output")?;
        write_members(out, service, operation.output)?;
    }
    Ok(())
}

/// Lines of a head and a text, which begin below each other.
type Lines = Vec<(&'static str, String)>;

/// How policies name it, and what it is to them.
fn of_policies(service: &Service, operation: &Operation, knowledge: &Knowledge) -> Lines {
    let groups: Vec<String> = groups(service, operation)
        .iter()
        .map(|g| format!("Action::\"{g}\""))
        .collect();
    let by_file = knowledge.operation(&service.id, &operation.name);
    let guarded = match by_file {
        _ if operation.class.is_guarded() => "guarded",
        Some(rule) if rule.guarded => "guarded by its service file",
        _ if operation.conditions.iter().any(|c| c.class.is_guarded()) => {
            "guarded where its input makes it so"
        }
        Some(_) | None => "not guarded unless a policy names it and reads its input",
    };
    let mut lines = vec![
        ("in", groups.join(", ")),
        ("class", format!("{} ({guarded})", kind(operation))),
    ];
    let conditions = operation.conditions.iter();
    lines.extend(conditions.map(|condition| ("or", in_words(condition))));
    if !operation.hands.is_empty() {
        let hands = operation.hands.join(", ");
        lines.push(("hands over", format!("a role or code in {hands}")));
    }
    lines
}

/// How it is sent.
fn of_wire(service: &Service, operation: &Operation) -> Lines {
    let protocols: Vec<String> = service.protocols.iter().map(name_of).collect();
    let request = format!("{} {}", operation.method, operation.uri);
    let mut lines = vec![("request", format!("{request} in {}", protocols.join(", ")))];
    if let Some(prefix) = &operation.host_prefix {
        lines.push(("host", format!("with `{prefix}` in front")));
    }
    if operation.unsigned {
        lines.push(("signature", "none: callers send it unsigned".to_owned()));
    }
    if operation.answers.is_some() {
        let text = "by the guard itself: it is never sent to AWS";
        lines.push(("answered", text.to_owned()));
    }
    if let Some(release) = &operation.gone {
        let text = format!("{release} had it last; older SDKs still send it");
        lines.push(("gone", text));
    }
    let older = service.older.iter();
    let older = older.filter(|form| form.operation.name == operation.name);
    lines.extend(older.map(|form| {
        let (method, uri) = (&form.operation.method, &form.operation.uri);
        let protocol = name_of(&form.protocol);
        let text = format!("{method} {uri} in {protocol}, up to {}", form.release);
        ("older", text)
    }));
    lines
}

/// What it would affect, and what can be looked up about that.
fn of_resource(service: &Service, operation: &Operation, knowledge: &Knowledge) -> Lines {
    let place = knowledge
        .operation(&service.id, &operation.name)
        .and_then(|rule| rule.resources.as_ref());
    let (ids, kind, by) = match (place, &operation.resource) {
        (Some(place), _) => {
            let parents = place.parents.iter().map(|parent| parent.id.to_string());
            let path: Vec<String> = parents.chain([place.ids.to_string()]).collect();
            (path.join(" / "), &place.kind, "its service file")
        }
        (None, Some(rule)) => (resource(operation), &rule.kind, rule.rule.as_str()),
        (None, None) if operation.class.is_guarded() => {
            let text = "none in its input: judged on its account";
            return vec![("resource", text.to_owned())];
        }
        (None, None) => return vec![("resource", format!("Service::\"{}\"", service.id))],
    };
    let facts = Facts::of(service, kind, knowledge);
    let mut lines = vec![
        ("resource", format!("{ids}, found by {by}")),
        ("type", kind.clone()),
    ];
    lines.extend(facts.arn.map(|arn| ("arn", arn)));
    lines.push(("tags", facts.tags));
    let attributes = facts.attributes.into_iter();
    lines.extend(attributes.map(|(attribute, text)| (attribute.as_str(), text)));
    lines
}

/// What can be learnt about resources of a type.
struct Facts {
    arn: Option<String>,
    /// How the tags are read, in words.
    tags: String,
    /// Each attribute that can be looked up, with the operation that tells it.
    attributes: Vec<(Attribute, String)>,
}

impl Facts {
    fn of(service: &Service, kind: &str, knowledge: &Knowledge) -> Self {
        let rules = knowledge.service(&service.id);
        let rule = knowledge
            .kind(&service.id, kind)
            .cloned()
            .unwrap_or_default();
        let named = rule.lookups.iter();
        let of_file: Vec<&LookupRule> = named
            .filter_map(|name| rules.and_then(|rules| rules.lookups.get(name)))
            .collect();
        let tagged = of_file.iter().any(|lookup| lookup.tells_tags());
        let derived: Vec<LookupRule> = derived::lookups(service, kind)
            .filter(|_| !tagged)
            .map(|(_, lookup)| lookup)
            .collect();
        let all: Vec<&LookupRule> = of_file.into_iter().chain(&derived).collect();
        let lookups = || all.iter().copied();
        let by = lookups().find(|lookup| lookup.tells_tags());
        let tags = match (&rule.tags_unreadable, by) {
            _ if rule.untagged => "AWS has none for this type".to_owned(),
            _ if rule.facts_of_parent => "those of its outermost parent".to_owned(),
            (_, Some(lookup)) => format!("looked up by {}", lookup.operation),
            (Some(why), None) => format!("can't be read: {why}"),
            (None, None) => "no lookup is known: a policy that reads them refuses".to_owned(),
        };
        let mut attributes = Vec::new();
        for attribute in Attribute::ALL {
            let by = lookups().find(|lookup| lookup.attributes.contains_key(&attribute));
            if let Some(lookup) = by {
                attributes.push((attribute, format!("looked up by {}", lookup.operation)));
            } else if rule.never.contains(&attribute) {
                attributes.push((attribute, "AWS has no such thing for this type".to_owned()));
            }
        }
        Self {
            arn: rule
                .arn
                .clone()
                .or_else(|| derived::arn(service, kind))
                .map(|arn| arn.0),
            tags,
            attributes,
        }
    }
}

/// What a condition says: `destroy, where RequestItems{}[].DeleteRequest is given`.
pub(in crate::cli::catalog) fn in_words(condition: &Condition) -> String {
    let class = condition.class.as_str();
    let kind = condition.group.map_or(class, Group::as_str);
    let when = match &condition.when {
        When::Present => "is given".to_owned(),
        When::Is(texts) => format!("is {}", texts.join(" or ")),
        When::Not(texts) => format!("is other than {}", texts.join(", ")),
    };
    format!("{kind}, where {} {when}", condition.path)
}

/// The action groups of an operation, the finest first.
fn groups(service: &Service, operation: &Operation) -> Vec<String> {
    let finer = operation.group.map(|g| g.to_string());
    finer
        .into_iter()
        .chain([operation.class.to_string(), format!("{}:*", service.id)])
        .collect()
}

/// An operation for programs, without its members.
pub(super) fn brief_json(service: &Service, operation: &Operation) -> Value {
    json!({
        "action": format!("{}:{}", service.id, operation.name),
        "class": operation.class,
        "groups": groups(service, operation),
        "guarded": operation.class.is_guarded(),
        "method": operation.method,
        "uri": operation.uri,
        "resource": operation.resource,
        "conditions": operation.conditions,
        "hands": operation.hands,
        "gone": operation.gone,
        "answers": operation.answers,
    })
}

/// An operation for programs.
pub(super) fn json(service: &Service, operation: &Operation, knowledge: &Knowledge) -> Value {
    let mut shown = brief_json(service, operation);
    let Some(fields) = shown.as_object_mut() else {
        return shown;
    };
    let mut put = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    put("protocols", json!(service.protocols));
    put("hostPrefix", json!(operation.host_prefix));
    put("unsigned", json!(operation.unsigned));
    let forms = service
        .older
        .iter()
        .filter(|f| f.operation.name == operation.name);
    let form = |form: &crate::aws::catalog::model::OlderForm| {
        json!({
            "release": form.release,
            "protocol": form.protocol,
            "method": form.operation.method,
            "uri": form.operation.uri,
        })
    };
    put("older", forms.map(form).collect());
    let place = knowledge
        .operation(&service.id, &operation.name)
        .and_then(|r| r.resources.as_ref());
    if let Some(place) = place {
        let parents = place.parents.iter().map(|parent| parent.id.to_string());
        let rule = json!({
            "rule": "service file",
            "ids": place.ids.to_string(),
            "parents": parents.collect::<Vec<_>>(),
            "type": place.kind,
        });
        put("resource", rule);
    }
    let kind = place
        .map(|p| &p.kind)
        .or(operation.resource.as_ref().map(|r| &r.kind));
    if let Some(kind) = kind {
        let facts = Facts::of(service, kind, knowledge);
        let attributes = facts
            .attributes
            .iter()
            .map(|(a, by)| (a.as_str().to_owned(), json!(by)));
        let attributes: serde_json::Map<String, Value> = attributes.collect();
        put(
            "facts",
            json!({ "arn": facts.arn, "tags": facts.tags, "attributes": attributes }),
        );
    }
    put("input", members_json(service, operation.input));
    if operation.output.is_some() {
        put("output", members_json(service, operation.output));
    }
    shown
}
