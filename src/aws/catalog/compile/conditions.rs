//! What the rules say of inputs, fitted to a service's shapes: [`Test`]s → [`Condition`]s and the members that hand over a
//! role or code.

use serde::Deserialize;

use super::members::{Found, Members};
use super::rules::{Kind, Rules, RulesError};
use crate::aws::catalog::condition::{Condition, Place, Step, When, matches_glob};
use crate::aws::catalog::model::{Operation, Service, Shape, ShapeId};
use crate::aws::class::{Class, Group};

/// One test of an input, as rules write it: `Action=DELETE|REMOVE`, `**.DeletionProtection=false`, `Parts[].Delete`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Test {
    /// Whether the place begins at any member of that name, however deep.
    anywhere: bool,
    place: Place,
    when: When,
}

impl TryFrom<String> for Test {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let (place, when) = part(&text);
        let (anywhere, place) = match place.strip_prefix("**.") {
            Some(rest) => (true, rest),
            None => (false, place),
        };
        let place = Place::parse(place).map_err(|e| e.to_string())?;
        let named = matches!(place.steps().first(), Some(Step::Member(_)));
        let filtered = matches!(place.steps().last(), Some(Step::Where { .. }));
        if (anywhere && !named) || (filtered && when != When::Present) {
            return Err(format!(
                "`{text}` compares an object with a text; name a member of it"
            ));
        }
        Ok(Self {
            anywhere,
            place,
            when,
        })
    }
}

impl Test {
    /// Whether the test looks for members of that name anywhere.
    pub(super) fn wanders_to(&self, member: &str) -> bool {
        match self.place.steps().first() {
            Some(Step::Member(glob)) if self.anywhere => is_called(glob, member),
            Some(_) | None => false,
        }
    }
}

/// Whether a member's name fits a glob, in any letter case.
fn is_called(glob: &str, member: &str) -> bool {
    matches_glob(&glob.to_ascii_lowercase(), &member.to_ascii_lowercase())
}

/// The place and what must stand there: the first `=` or `!=` outside brackets parts them.
fn part(text: &str) -> (&str, When) {
    let mut depth = 0_usize;
    let found = text.char_indices().find(|(_, c)| {
        match c {
            '[' | '{' => depth += 1,
            ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0 && *c == '='
    });
    let Some((place, values)) = found.and_then(|(at, _)| text.split_at_checked(at)) else {
        return (text, When::Present);
    };
    let values = values.trim_start_matches('=');
    let values = values.split('|').map(str::to_owned).collect();
    match place.strip_suffix('!') {
        Some(place) => (place, When::Not(values)),
        None => (place, When::Is(values)),
    }
}

/// Gives an operation of a whole service its conditions and what it hands over.
///
/// A role or code that every call must hand over makes the operation `indirect`; one that a call may hand over makes a
/// condition. A place that isn't in the input makes none: [`check`] finds those.
pub(super) fn fit(
    service: &Service,
    members: &Members<'_>,
    operation: &mut Operation,
    rules: &Rules,
) {
    let mut found = Vec::new();
    for said in rules.tests(&service.id, &operation.name) {
        if matches!(operation.class, Class::Read | Class::Tag) && !said.particular {
            continue;
        }
        found.extend(
            places(service, members, operation, said.test)
                .into_iter()
                .map(|path| condition(path, said.test.when.clone(), said.kind)),
        );
    }
    if may_hand(operation) && rules.may_hand(&service.id, &operation.name) {
        for hand in members.find(operation, |name, shape| {
            carries(shape) && rules.is_hand(name)
        }) {
            operation.hands.push(hand.path());
            if hand.required {
                raise(operation, Kind::Class(Class::Indirect));
            } else {
                let kind = Kind::Class(Class::Indirect);
                found.push(condition(hand.place(), When::Present, kind));
            }
        }
    }
    let base = operation.class.weight();
    found.retain(|c| c.class.weight() > base);
    found.sort_by(|a, b| (&a.path, a.class).cmp(&(&b.path, b.class)));
    found.dedup();
    operation.conditions = found;
}

/// Checks that the places which the rules name in a service's operations are there.
///
/// # Errors
/// [`RulesError::NoPlace`] naming one that isn't.
pub(super) fn check(service: &Service, rules: &Rules) -> Result<(), RulesError> {
    let members = Members::of(service, |name| rules.is_looked_for(name));
    for operation in service.operations.values() {
        let said = rules.tests(&service.id, &operation.name);
        for said in said.filter(|s| s.must_be_there) {
            if places(service, &members, operation, said.test).is_empty() {
                return Err(RulesError::NoPlace {
                    operation: format!("{}:{}", service.id, operation.name),
                    place: said.test.place.to_string(),
                });
            }
        }
    }
    Ok(())
}

fn raise(operation: &mut Operation, kind: Kind) {
    if kind.class().weight() > operation.class.weight() {
        operation.class = kind.class();
        operation.group = kind.group();
    }
}

fn condition(path: Place, when: When, kind: Kind) -> Condition {
    Condition {
        path,
        when,
        class: kind.class(),
        group: kind.group(),
    }
}

/// Whether calls of the operation could hand something over: those that take a thing away name roles too, but to take them
/// away or to find things by.
const fn may_hand(operation: &Operation) -> bool {
    match operation.class {
        Class::Write | Class::Unprotect | Class::Indirect => true,
        Class::Disrupt => matches!(operation.group, Some(Group::Overwrite | Group::Shrink)),
        Class::Read | Class::Tag | Class::Destroy | Class::Credentials | Class::Grant => false,
    }
}

/// Whether a member of that shape can carry a role or code: a text that isn't one of a list, a blob, or what holds these.
fn carries(shape: &Shape) -> bool {
    match shape {
        Shape::String { values, .. } => values.is_empty(),
        Shape::Structure(_) | Shape::List { .. } | Shape::Map { .. } | Shape::Blob => true,
        Shape::Boolean
        | Shape::Integer
        | Shape::Long
        | Shape::Float
        | Shape::Timestamp { .. }
        | Shape::Document => false,
    }
}

/// The places of an operation's input that a test speaks of.
fn places(
    service: &Service,
    members: &Members<'_>,
    operation: &Operation,
    test: &Test,
) -> Vec<Place> {
    let steps = test.place.steps();
    let there = |shape: Option<&Shape>, rest: &[Step]| {
        let end = end(service, shape, rest);
        end.is_some_and(|end| may_hold(end, &test.when))
    };
    let Some((Step::Member(first), rest)) = steps.split_first() else {
        let input = operation.input.and_then(|id| service.shape(id));
        let place = there(input, steps).then(|| test.place.clone());
        return place.into_iter().collect();
    };
    if test.anywhere {
        let fits = |name: &str, shape: &Shape| is_called(first, name) && there(Some(shape), rest);
        let found = members.find(operation, fits);
        let whole = |f: Found| f.steps.into_iter().chain(rest.iter().cloned()).collect();
        return found.into_iter().map(whole).map(Place::of).collect();
    }
    let whole = |name: &str| {
        let first = Step::Member(name.to_owned());
        [first].into_iter().chain(rest.iter().cloned()).collect()
    };
    let input = service.input(operation).into_iter();
    input
        .flat_map(|input| &input.members)
        .filter(|m| matches_glob(first, &m.name) && there(service.shape(m.shape), rest))
        .map(|m| Place::of(whole(&m.name)))
        .collect()
}

/// Whether values of that shape can be what a test asks for. Of a list of values, at least one must.
fn may_hold(shape: &Shape, when: &When) -> bool {
    match (when, shape) {
        (When::Present, _) => true,
        (When::Is(texts), Shape::String { values, .. }) if !values.is_empty() => {
            values.iter().any(|v| texts.iter().any(|t| is_called(t, v)))
        }
        (
            When::Is(_) | When::Not(_),
            Shape::String { .. } | Shape::Boolean | Shape::Integer | Shape::Long | Shape::Float,
        ) => true,
        (
            When::Is(_) | When::Not(_),
            Shape::Structure(_)
            | Shape::List { .. }
            | Shape::Map { .. }
            | Shape::Blob
            | Shape::Timestamp { .. }
            | Shape::Document,
        ) => false,
    }
}

/// Where steps lead from a shape.
fn end<'a>(service: &'a Service, shape: Option<&'a Shape>, steps: &[Step]) -> Option<&'a Shape> {
    let Some((step, rest)) = steps.split_first() else {
        return shape;
    };
    let inside = |id: ShapeId| end(service, service.shape(id), rest);
    match (step, shape?) {
        (Step::Member(name), Shape::Structure(s)) => inside(s.member(name)?.shape),
        (Step::Items, Shape::List { member, .. }) => inside(*member),
        (Step::Values | Step::At(_), Shape::Map { value, .. }) => inside(*value),
        (Step::Where { .. }, Shape::List { member, .. }) => {
            end(service, service.shape(*member), steps)
        }
        (Step::Where { member, .. }, Shape::Structure(s)) => {
            s.member(member)?;
            end(service, shape, rest)
        }
        (Step::Member(_) | Step::Items | Step::Values | Step::At(_) | Step::Where { .. }, _) => {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::catalog::compile::{
        self, CompileError, Data, Models, Names, Own, Places, Types,
    };

    #[test]
    fn a_test_is_a_place_and_what_must_stand_there() {
        let is = |v: &[&str]| When::Is(v.iter().map(|v| (*v).to_owned()).collect());
        for (text, anywhere, place, when) in [
            ("A.B", false, "A.B", When::Present),
            ("A=x|y", false, "A", is(&["x", "y"])),
            ("**.A=false", true, "A", is(&["false"])),
            ("A!=x", false, "A", When::Not(vec!["x".into()])),
            ("A[Key=a.b].Value=1", false, "A[Key=a.b].Value", is(&["1"])),
            ("A[Key=a.b].Value", false, "A[Key=a.b].Value", When::Present),
        ] {
            let expected = Test {
                anywhere,
                place: Place::parse(place).unwrap(),
                when,
            };
            assert_eq!(Test::try_from(text.to_owned()), Ok(expected), "{text}");
        }
    }

    const RULES: &str = r#"
        prefixes = []
        [verbs]
        read = ["Get"]
        write = ["Create", "Update"]
        tag = ["Tag"]
        [patterns]
        [[conditions]]
        of = ["Update*"]
        except = ["UpdateOther"]
        unprotect = ["**.*Protection=off|false"]
        [inputs.things]
        UpdateThing.destroy = ["parts[].drop"]
        "Update*".disable = ["state=dead"]
        [hands]
        roles = ["*RoleArn"]
        code = ["script"]
        harmless = ["LogRoleArn"]
        except = ["things:UpdateOther"]
        [operations]
    "#;

    fn compiled(rules: &str) -> Result<Service, CompileError> {
        let operation = |input: &str| {
            serde_json::json!({
                "http": {"method": "POST", "requestUri": "/"}, "input": {"shape": input},
            })
        };
        let model = serde_json::json!({
            "metadata": {
                "apiVersion": "2020-01-01", "endpointPrefix": "things", "protocol": "json", "signatureVersion": "v4",
                "jsonVersion": "1.1", "targetPrefix": "Things",
            },
            "operations": {
                "CreateThing": operation("Created"), "UpdateThing": operation("Updated"),
                "UpdateOther": operation("Updated"), "GetThing": operation("Created"), "TagThing": operation("Created"),
            },
            "shapes": {
                "Text": {"type": "string"}, "Flag": {"type": "boolean"},
                "State": {"type": "string", "enum": ["ON", "OFF"]},
                "Created": {"type": "structure", "required": ["roleArn"], "members": {
                    "roleArn": {"shape": "Text"}, "logRoleArn": {"shape": "Text"},
                }},
                "Updated": {"type": "structure", "members": {
                    "parts": {"shape": "Parts"}, "state": {"shape": "State"}, "guard": {"shape": "Guard"},
                    "script": {"shape": "Text"},
                }},
                "Guard": {"type": "structure", "members": {
                    "lossProtection": {"shape": "State"}, "inner": {"shape": "Guard"}, "DropProtection": {"shape": "Guard"},
                }},
                "Parts": {"type": "list", "member": {"shape": "Part"}},
                "Part": {"type": "structure", "members": {"drop": {"shape": "Flag"}, "accessRoleArn": {"shape": "Text"}}},
            },
        });
        let models = Models {
            id: "things".into(),
            service: model,
            endpoints: None,
        };
        let data = Data {
            rules: Rules::parse(rules).unwrap(),
            places: Places::parse("").unwrap(),
            types: Types::new("", &[]).unwrap(),
            names: Names::parse("").unwrap(),
            own: Own::default(),
        };
        compile::service(&models, &data, &mut Default::default())
    }

    fn conditions(operation: &Operation) -> Vec<String> {
        let conditions = operation.conditions.iter();
        conditions.map(|c| format!("{} {c}", c.class)).collect()
    }

    #[test]
    fn conditions_and_hands_are_found_in_the_shapes() {
        let service = compiled(RULES).unwrap();
        let update = &service.operations["UpdateThing"];
        assert_eq!(update.class, Class::Write);
        assert_eq!(
            conditions(update),
            [
                "unprotect guard.lossProtection=off|false",
                "indirect parts[].accessRoleArn",
                "destroy parts[].drop",
                "indirect script",
            ]
        );
        assert_eq!(update.hands, ["parts[].accessRoleArn", "script"]);
        let other = &service.operations["UpdateOther"];
        assert!(other.conditions.is_empty(), "{:?}", conditions(other));
    }

    #[test]
    fn a_role_that_every_call_hands_over_makes_the_operation_indirect() {
        let service = compiled(RULES).unwrap();
        let create = &service.operations["CreateThing"];
        assert_eq!(create.class, Class::Indirect);
        assert_eq!(create.hands, ["roleArn"]);
        assert!(create.conditions.is_empty());
        for untouched in ["GetThing", "TagThing"] {
            assert!(
                service.operations[untouched].hands.is_empty(),
                "{untouched}"
            );
        }
    }

    #[test]
    fn a_place_that_is_not_in_the_input_stops_the_build() {
        for (right, wrong) in [
            ("parts[].drop", "parts.drop"),
            ("parts[].drop", "parts[].dropped"),
            ("parts[].drop", "guard=x"),
        ] {
            let rules = RULES.replace(right, wrong);
            let found = compiled(&rules);
            assert!(
                matches!(&found, Err(CompileError::Rules(RulesError::NoPlace { .. }))),
                "{wrong}: {found:?}"
            );
        }
    }

    #[test]
    fn an_object_is_not_compared_with_a_text() {
        for bad in ["A[Key=x]=y", "**.[Key=x].A", "", "=x", "A..B"] {
            assert!(Test::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }
}
