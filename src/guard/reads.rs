//! What a policy can look at: [`Reads`], told from its expression.
//!
//! Cedar has no variables of its own, so that whatever a policy reads stands in it as a path from `principal`,
//! `resource` or `context`. Where an expression is not such a path (an `if` that yields an entity), everything
//! counts as read.

use std::collections::BTreeSet;

use serde_json::Value as Json;

/// What the conditions of a policy, or of several, read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reads {
    /// Attributes of the resource.
    pub resource: Names,
    /// Tag keys of the resource.
    pub tags: Names,
    /// Fields of the context.
    pub context: Names,
    /// Top-level members of `context.input`.
    pub input: Names,
}

/// Some names, or all there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Names {
    Some(BTreeSet<String>),
    All,
}

impl Default for Names {
    fn default() -> Self {
        Names::Some(BTreeSet::new())
    }
}

impl Names {
    /// Whether the name is among them.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        match self {
            Names::Some(names) => names.contains(name),
            Names::All => true,
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match self {
            Names::Some(names) => names.is_empty(),
            Names::All => false,
        }
    }

    /// Whether all of them are among `names`.
    #[must_use]
    pub fn is_within(&self, names: &[&str]) -> bool {
        match self {
            Names::Some(own) => own.iter().all(|name| names.contains(&name.as_str())),
            Names::All => false,
        }
    }

    fn add(&mut self, name: &str) {
        match self {
            Names::Some(names) => {
                names.insert(name.to_owned());
            }
            Names::All => {}
        }
    }

    /// Adds other names.
    pub fn join(&mut self, other: &Names) {
        match (&mut *self, other) {
            (Names::All, _) => {}
            (_, Names::All) => *self = Names::All,
            (Names::Some(mine), Names::Some(theirs)) => mine.extend(theirs.iter().cloned()),
        }
    }
}

impl Reads {
    /// What a policy reads, from its JSON form (Cedar's EST, `Policy::to_json`).
    #[must_use]
    pub fn of(policy: &Json) -> Self {
        let mut reads = Self::default();
        let conditions = policy.get("conditions").and_then(Json::as_array);
        for condition in conditions.into_iter().flatten() {
            match condition.get("body") {
                Some(body) => reads.visit(body),
                None => reads = Self::everything(),
            }
        }
        reads
    }

    /// Whatever can be read.
    #[must_use]
    pub fn everything() -> Self {
        Self {
            resource: Names::All,
            tags: Names::All,
            context: Names::All,
            input: Names::All,
        }
    }

    /// Adds what another reads.
    pub fn join(&mut self, other: &Reads) {
        self.resource.join(&other.resource);
        self.tags.join(&other.tags);
        self.context.join(&other.context);
        self.input.join(&other.input);
    }

    fn visit(&mut self, expression: &Json) {
        let Some((operator, operands)) = single(expression) else {
            *self = Self::everything();
            return;
        };
        match operator {
            "Value" | "Slot" => {}
            "Var" => self.whole(operands.as_str().unwrap_or_default()),
            "." | "has" => self.access(expression),
            "hasTag" | "getTag" => self.tag(operands),
            "==" | "!=" | "in" | "is" => self.compare(operands),
            "like" => self.like(operands),
            _ => self.inside(operands),
        }
    }

    /// `==`, `!=`, `in`, `is`: a bare entity among the operands is compared by its id, nothing of it is read.
    fn compare(&mut self, operands: &Json) {
        for (name, operand) in operands.as_object().into_iter().flatten() {
            let entity = variable(operand).is_some_and(|v| v != "context");
            if name != "entity_type" && !entity {
                self.visit(operand);
            }
        }
    }

    /// `like`: the pattern is no expression.
    fn like(&mut self, operands: &Json) {
        match operands.get("left") {
            Some(left) => self.visit(left),
            None => *self = Self::everything(),
        }
    }

    fn inside(&mut self, operands: &Json) {
        match operands {
            Json::Array(items) => items.iter().for_each(|item| self.visit(item)),
            Json::Object(members) => {
                members.values().for_each(|member| self.visit(member));
            }
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
        }
    }

    /// A variable used as a whole, other than to compare entities.
    fn whole(&mut self, variable: &str) {
        match variable {
            "principal" | "action" => {}
            "resource" => {
                self.resource = Names::All;
                self.tags = Names::All;
            }
            _ => {
                self.context = Names::All;
                self.input = Names::All;
            }
        }
    }

    fn tag(&mut self, operands: &Json) {
        let (left, right) = (operands.get("left"), operands.get("right"));
        let key = right.and_then(|r| r.get("Value")).and_then(Json::as_str);
        match left.map(|left| (path(left), left)) {
            Some((Some(("resource", names)), _)) if names.is_empty() => match key {
                Some(key) => self.tags.add(key),
                None => {
                    self.tags = Names::All;
                    if let Some(right) = right {
                        self.visit(right);
                    }
                }
            },
            Some((Some((variable, names)), _)) => {
                self.reach(variable, &names);
                if let (None, Some(right)) = (key, right) {
                    self.visit(right);
                }
            }
            _ => *self = Self::everything(),
        }
    }

    fn access(&mut self, expression: &Json) {
        match path(expression) {
            Some((variable, names)) => self.reach(variable, &names),
            None => *self = Self::everything(),
        }
    }

    fn reach(&mut self, variable: &str, names: &[&str]) {
        match (variable, names) {
            ("principal" | "action", _) => {}
            ("resource", [first, ..]) => self.resource.add(first),
            ("context", ["input", member, ..]) => {
                self.context.add("input");
                self.input.add(member);
            }
            ("context", ["input"]) => {
                self.context.add("input");
                self.input = Names::All;
            }
            ("context", [first, ..]) => self.context.add(first),
            _ => self.whole(variable),
        }
    }
}

/// The one operator of an expression and its operands.
pub(in crate::guard) fn single(expression: &Json) -> Option<(&str, &Json)> {
    let object = expression.as_object()?;
    let (operator, operands) = object.iter().next()?;
    (object.len() == 1).then_some((operator.as_str(), operands))
}

fn variable(expression: &Json) -> Option<&str> {
    match single(expression)? {
        ("Var", name) => name.as_str(),
        _ => None,
    }
}

/// `context.a.b` (or `context.a has b`) as the variable and the names after it.
fn path(expression: &Json) -> Option<(&str, Vec<&str>)> {
    match single(expression)? {
        ("Var", name) => Some((name.as_str()?, Vec::new())),
        ("." | "has", operands) => {
            let (variable, mut names) = path(operands.get("left")?)?;
            match operands.get("attr")? {
                Json::String(name) => names.push(name),
                Json::Array(several) => {
                    for name in several {
                        names.push(name.as_str()?);
                    }
                }
                Json::Null | Json::Bool(_) | Json::Number(_) | Json::Object(_) => return None,
            }
            Some((variable, names))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cedar_policy::Policy;

    fn reads(condition: &str) -> Reads {
        let text = format!("permit (principal, action, resource) when {{ {condition} }};");
        Reads::of(&Policy::parse(None, text).unwrap().to_json().unwrap())
    }

    fn some(names: &[&str]) -> Names {
        Names::Some(names.iter().map(|n| (*n).to_owned()).collect())
    }

    #[test]
    fn attributes_tags_and_members_are_told_apart() {
        let r = reads(
            r#"resource has billingMode && resource.state == "x" && resource.hasTag("env") && resource.getTag("env") == "prod"
               && context.input.BillingConfiguration.BillingMode == "MONTHLY" && context.batchSize > 3 && principal.name == "x""#,
        );
        assert_eq!(r.resource, some(&["billingMode", "state"]));
        assert_eq!(r.tags, some(&["env"]));
        assert_eq!(r.context, some(&["batchSize", "input"]));
        assert_eq!(r.input, some(&["BillingConfiguration"]));
    }

    #[test]
    fn comparing_entities_reads_nothing_of_them() {
        let r = reads(
            r#"resource in Service::"mgn" && principal in Group::"a" && resource is Resource && action == Action::"x""#,
        );
        assert_eq!(r, Reads::default());
    }

    #[test]
    fn extended_has_reads_its_path() {
        assert_eq!(reads("context has input.A.B").input, some(&["A"]));
    }

    #[test]
    fn an_input_as_a_whole_is_all_of_it() {
        assert_eq!(reads("context.input == {}").input, Names::All);
        assert_eq!(reads("context == context").context, Names::All);
        assert_eq!(reads("[context.input].isEmpty()").input, Names::All);
    }

    #[test]
    fn a_computed_tag_key_is_every_tag() {
        let r = reads("resource.hasTag(context.source.userAgent)");
        assert_eq!((r.tags, r.context), (Names::All, some(&["source"])));
    }

    #[test]
    fn what_is_no_path_counts_as_everything() {
        assert_eq!(
            reads("(if principal has name then resource else resource).state == \"x\""),
            Reads::everything()
        );
        assert_eq!(reads("{a: resource}.a has state"), Reads::everything());
    }

    #[test]
    fn no_name_in_a_record_hides_what_its_value_reads() {
        for key in ["pattern", "attr", "entity_type", "left"] {
            let r = reads(&format!(
                "{{{key}: resource has billingMode}} == {{{key}: true}}"
            ));
            assert_eq!(r.resource, some(&["billingMode"]), "{key}");
        }
    }

    /// Every operator of Cedar's, with a read inside it: none may hide what it holds.
    #[test]
    fn every_operator_shows_what_it_reads() {
        for condition in [
            r#"resource.state like "a*""#,
            r#"!(resource.state == "x")"#,
            r#"-(context.batchSize) < 3 && resource.state == "x""#,
            r#"(if resource.state == "x" then true else false)"#,
            r#"(if true then resource.state == "x" else false)"#,
            r#"(if true then false else resource.state == "x")"#,
            r#"["x", resource.state].contains("y")"#,
            r#"["x"].contains(resource.state)"#,
            r#"["x"].containsAll([resource.state])"#,
            r#"["x"].containsAny([resource.state])"#,
            r#"[resource.state].isEmpty()"#,
            r#"{a: {b: resource.state}} == {a: {b: "x"}}"#,
            r#"ip(resource.state).isLoopback()"#,
            r#"decimal(resource.state).lessThan(decimal("1.0"))"#,
            r#"context.now < datetime(resource.state)"#,
            r#"context.now.offset(duration(resource.state)) < context.now"#,
            r#"principal is Caller in Group::"a" && resource.state == "x""#,
            r#"principal.hasTag(resource.state)"#,
            r#"context.requestTags.getTag(resource.state) == "x""#,
            r#"resource has state"#,
            r#"resource has "state""#,
            r#"resource["state"] == "x""#,
        ] {
            let r = reads(condition);
            assert!(r.resource.contains("state"), "{condition}");
        }
    }

    #[test]
    fn unless_reads_as_when_does() {
        let text = r#"forbid (principal, action, resource) when { true } unless { resource.hasTag("x") };"#;
        let policy = Policy::parse(None, text).unwrap().to_json().unwrap();
        assert_eq!(Reads::of(&policy).tags, some(&["x"]));
    }

    #[test]
    fn what_two_policies_read_is_joined() {
        let mut joined = reads(r#"resource.hasTag("a") && context.input has B"#);
        joined.join(&reads(r#"resource.hasTag("c") && context.input == {}"#));
        assert_eq!(joined.tags, some(&["a", "c"]));
        assert_eq!(joined.input, Names::All);
        joined.join(&reads("true"));
        assert_eq!(joined.input, Names::All);
        assert!(joined.input.contains("anything") && !joined.input.is_empty());
    }

    #[test]
    fn tags_of_the_request_are_not_tags_of_the_resource() {
        let r = reads(r#"context.requestTags.hasTag("env")"#);
        assert_eq!((r.tags, r.context), (some(&[]), some(&["requestTags"])));
    }
}
