//! Endpoint rule sets, evaluated as far as hosts need it.
//!
//! After <https://smithy.io/2.0/additional-specs/rules-engine/specification.html>. Only region, FIPS, dual stack
//! and an operation's static parameters are ever set here: functions over other parameters find them unset,
//! which makes their condition false.

use std::collections::BTreeMap;

use serde_json::Value;

use super::json::{items, members, text};
use crate::aws::catalog::index::{Partition, RegionSet};

/// What a rule set gives for some parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// The URL with its region spelt `{region}` where the rule writes `{Region}`.
    pub(super) url: String,
    pub(super) signing_region: Option<String>,
    pub(super) signing_name: Option<String>,
    pub(super) region_set: RegionSet,
}

/// The parameters of an evaluation and what conditions assign on the way.
#[derive(Debug, Clone)]
pub(super) struct Scope<'a> {
    partitions: &'a [Partition],
    values: BTreeMap<String, Held>,
}

#[derive(Debug, Clone, PartialEq)]
enum Held {
    Text(String),
    Truth(bool),
    Record(BTreeMap<String, Held>),
}

impl<'a> Scope<'a> {
    /// The defaults of a rule set's parameters, then `region`, `fips`, `dualstack` and `fixed`.
    pub(super) fn new(
        set: &Value,
        partitions: &'a [Partition],
        region: &str,
        fips: bool,
        dualstack: bool,
        fixed: &BTreeMap<String, Value>,
    ) -> Self {
        let mut values = BTreeMap::new();
        let defaults =
            members(set, "parameters").filter_map(|(name, p)| Some((name, p.get("default")?)));
        for (name, value) in defaults.chain(fixed.iter().map(|(k, v)| (k.as_str(), v))) {
            if let Some(held) = literal(value) {
                values.insert(name.to_owned(), held);
            }
        }
        values.insert("Region".to_owned(), Held::Text(region.to_owned()));
        values.insert("UseFIPS".to_owned(), Held::Truth(fips));
        values.insert("UseDualStack".to_owned(), Held::Truth(dualstack));
        Self { partitions, values }
    }

    /// The endpoint of the first rule that holds; `None` where the rule set says it is an error.
    pub(super) fn evaluate(&self, set: &Value) -> Option<Found> {
        self.clone().rules(set)?
    }

    /// `None`: no rule held. `Some(None)`: one held and is an error.
    fn rules(&mut self, parent: &Value) -> Option<Option<Found>> {
        for rule in items(parent, "rules") {
            let mut scope = self.clone();
            if !items(rule, "conditions").all(|c| scope.condition(c)) {
                continue;
            }
            match text(rule, "type") {
                Some("endpoint") => {
                    return Some(rule.get("endpoint").and_then(|e| scope.endpoint(e)));
                }
                // A tree whose conditions hold is final.
                Some("tree") => return Some(scope.rules(rule).flatten()),
                Some(_) | None => return Some(None),
            }
        }
        None
    }

    fn condition(&mut self, condition: &Value) -> bool {
        let value = self.call(condition);
        if let (Some(name), Some(value)) = (text(condition, "assign"), &value) {
            self.values.insert(name.to_owned(), value.clone());
        }
        !matches!(value, None | Some(Held::Truth(false)))
    }

    fn call(&self, call: &Value) -> Option<Held> {
        let argv: Vec<&Value> = items(call, "argv").collect();
        let arg = |at: usize| argv.get(at).and_then(|v| self.value(v));
        match text(call, "fn")? {
            "isSet" => Some(Held::Truth(arg(0).is_some())),
            "not" => Some(Held::Truth(matches!(
                arg(0),
                None | Some(Held::Truth(false))
            ))),
            "booleanEquals" | "stringEquals" => Some(Held::Truth(arg(0)? == arg(1)?)),
            "isValidHostLabel" => match arg(0)? {
                Held::Text(label) => Some(Held::Truth(is_label(&label))),
                Held::Truth(_) | Held::Record(_) => None,
            },
            "getAttr" => match (arg(0)?, arg(1)?) {
                (Held::Record(record), Held::Text(key)) => record.get(&key).cloned(),
                (Held::Record(_) | Held::Text(_) | Held::Truth(_), _) => None,
            },
            "aws.partition" => match arg(0)? {
                Held::Text(region) => self.partition(&region),
                Held::Truth(_) | Held::Record(_) => None,
            },
            _ => None,
        }
    }

    fn value(&self, value: &Value) -> Option<Held> {
        if let Some(name) = text(value, "ref") {
            return self.values.get(name).cloned();
        }
        if value.get("fn").is_some() {
            return self.call(value);
        }
        match literal(value)? {
            Held::Text(template) => self.render(&template, None).map(Held::Text),
            held @ (Held::Truth(_) | Held::Record(_)) => Some(held),
        }
    }

    fn endpoint(&self, endpoint: &Value) -> Option<Found> {
        let url = self.render(text(endpoint, "url")?, Some("{region}"))?;
        let null = Value::Null;
        let properties = endpoint.get("properties").unwrap_or(&null);
        let signing_region = items(properties, "authSchemes")
            .find_map(|s| text(s, "signingRegion"))
            .and_then(|r| self.render(r, None));
        let (signing_name, region_set) = schemes(endpoint);
        Some(Found {
            url,
            signing_region,
            signing_name: signing_name.map(str::to_owned),
            region_set,
        })
    }

    /// Fills in `{Name}` and `{Name#attribute}`; `region`, where given, stands for `{Region}`.
    fn render(&self, template: &str, region: Option<&str>) -> Option<String> {
        let mut rendered = String::new();
        for piece in pieces(template) {
            match piece {
                Piece::Literal(text) => rendered.push_str(text),
                Piece::Variable("Region") if region.is_some() => rendered.push_str(region?),
                Piece::Variable(path) => {
                    let (name, attribute) = path
                        .split_once('#')
                        .map_or((path, None), |(n, a)| (n, Some(a)));
                    let held = self.values.get(name)?;
                    let held = match (held, attribute) {
                        (Held::Record(record), Some(attribute)) => record.get(attribute)?,
                        (held, None) => held,
                        (Held::Text(_) | Held::Truth(_), Some(_)) => return None,
                    };
                    match held {
                        Held::Text(text) => rendered.push_str(text),
                        Held::Truth(_) | Held::Record(_) => return None,
                    }
                }
            }
        }
        Some(rendered)
    }

    fn partition(&self, region: &str) -> Option<Held> {
        let known = self.partitions.iter().find(|p| {
            p.regions.iter().any(|r| r == region) || region == format!("{}-global", p.id)
        })?;
        let text = |t: &str| Held::Text(t.to_owned());
        Some(Held::Record(BTreeMap::from([
            ("name".to_owned(), text(&known.id)),
            ("dnsSuffix".to_owned(), text(&known.dns_suffix)),
            (
                "dualStackDnsSuffix".to_owned(),
                text(&known.dual_stack_dns_suffix),
            ),
            (
                "implicitGlobalRegion".to_owned(),
                text(&known.global_region),
            ),
            ("supportsFIPS".to_owned(), Held::Truth(true)),
            ("supportsDualStack".to_owned(), Held::Truth(true)),
        ])))
    }
}

/// What a rule's `authSchemes` say: the service signed for, and whether it is for a set of regions.
pub(super) fn schemes(endpoint: &Value) -> (Option<&str>, RegionSet) {
    let schemes = || {
        let properties = endpoint.get("properties").into_iter();
        properties.flat_map(|p| items(p, "authSchemes"))
    };
    let many = schemes()
        .filter(|s| text(s, "name") == Some("sigv4a"))
        .count();
    let region_set = match (many, schemes().count()) {
        (0, _) => RegionSet::Never,
        (many, all) if many == all => RegionSet::Only,
        (_, _) => RegionSet::Also,
    };
    let name = schemes().find_map(|s| text(s, "signingName"));
    (name, region_set)
}

/// A part of a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    Literal(&'a str),
    /// What stands between braces.
    Variable(&'a str),
}

/// The parts of a template in order; a brace without its pair is text.
pub(super) fn pieces(template: &str) -> Vec<Piece<'_>> {
    let mut found = Vec::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let Some((variable, behind)) = after.split_once('}') else {
            break;
        };
        if !before.is_empty() {
            found.push(Piece::Literal(before));
        }
        found.push(Piece::Variable(variable));
        rest = behind;
    }
    if !rest.is_empty() {
        found.push(Piece::Literal(rest));
    }
    found
}

fn literal(value: &Value) -> Option<Held> {
    match value {
        Value::String(text) => Some(Held::Text(text.clone())),
        Value::Bool(truth) => Some(Held::Truth(*truth)),
        Value::Null | Value::Number(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && !label.starts_with('-')
        && label
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partitions() -> Vec<Partition> {
        vec![Partition {
            id: "aws".into(),
            region_regex: "^us".into(),
            dns_suffix: "amazonaws.com".into(),
            dual_stack_dns_suffix: "api.aws".into(),
            global_region: "us-east-1".into(),
            regions: vec!["us-east-1".into()],
        }]
    }

    fn check(set: &str, fips: bool, expected: Option<&str>) {
        let set: Value = serde_json::from_str(set).unwrap();
        let partitions = partitions();
        let scope = Scope::new(
            &set,
            &partitions,
            "us-east-1",
            fips,
            false,
            &BTreeMap::new(),
        );
        assert_eq!(scope.evaluate(&set).map(|f| f.url).as_deref(), expected);
    }

    const SET: &str = r#"{"parameters": {"Endpoint": {"type": "string"}}, "rules": [
        {"type": "endpoint", "conditions": [{"fn": "isSet", "argv": [{"ref": "Endpoint"}]}],
         "endpoint": {"url": {"ref": "Endpoint"}}},
        {"type": "tree", "conditions": [{"fn": "aws.partition", "argv": [{"ref": "Region"}], "assign": "P"}],
         "rules": [
            {"type": "error", "conditions": [{"fn": "booleanEquals", "argv": [{"ref": "UseFIPS"}, true]}], "error": "no"},
            {"type": "endpoint", "conditions": [], "endpoint": {"url": "https://x.{Region}.{P#dnsSuffix}"}}]}]}"#;

    #[test]
    fn the_first_rule_that_holds_decides() {
        check(SET, false, Some("https://x.{region}.amazonaws.com"));
    }

    #[test]
    fn an_error_gives_no_host() {
        check(SET, true, None);
    }

    #[test]
    fn templates_come_apart() {
        assert_eq!(
            pieces("a{B}{C#d}e{"),
            [
                Piece::Literal("a"),
                Piece::Variable("B"),
                Piece::Variable("C#d"),
                Piece::Literal("e{")
            ]
        );
    }
}
