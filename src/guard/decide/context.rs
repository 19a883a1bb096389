//! The context of a decision, as Cedar has it: what is asked, by what request, with which parameters.
//!
//! INVARIANT: a parameter reads as AWS takes it or the call is refused; it never reads as absent because it can't be
//! put in Cedar's terms.

use std::sync::Arc;

use cedar_policy_core::ast::{Context, Entity, Value as Term};

use super::constants::Constants;
use super::values;
use super::{Denial, Question};
use crate::aws::catalog::model::{Service, Shape, ShapeId};
use crate::aws::value::{Number, Object, Value};
use crate::guard::entity::{TAGS, uid};
use crate::guard::policies::Slice;
use crate::guard::reads::Names;
use crate::guard::schema::{DEPTH_MAX, is_typed};
use crate::guard::time;

/// The most decimals of a number that Cedar's `decimal` has.
const DECIMALS_MAX: usize = 4;

/// The context: the fields that some policy of the slice reads, and the constants of the policies.
/// Entities that it refers to are added to `entities`.
pub(super) fn context(
    slice: &Slice,
    question: &Question,
    constants: &Constants,
    entities: &mut Vec<Arc<Entity>>,
) -> Result<Context, Denial> {
    let reads = &slice.reads.context;
    let mut pairs: Vec<(&str, Term)> = Vec::new();
    let mut put = |name: &'static str, value: Term| pairs.push((name, value));
    if reads.contains("batchSize") {
        let size = i64::try_from(question.batch_size).map_err(|e| unjudgeable(&e))?;
        put("batchSize", size.into());
    }
    if reads.contains("selector") {
        put("selector", question.selector.into());
    }
    if reads.contains("dryRun") {
        put("dryRun", question.dry_run.into());
    }
    if reads.contains("approved") {
        put("approved", false.into());
    }
    if reads.contains("used") {
        put("used", Term::empty_record(None));
    }
    if reads.contains("now") {
        let now =
            time::of(question.now).ok_or_else(|| unjudgeable(&"the clock is out of range"))?;
        put("now", values::datetime(&now).map_err(|e| unjudgeable(&e))?);
    }
    if reads.contains("source") {
        let ip = values::ip(&question.call.source_ip.to_string()).map_err(|e| unjudgeable(&e))?;
        let agent = question.call.user_agent.as_deref();
        let agent = agent.map(|agent| ("userAgent", Term::from(agent)));
        let source = [("ip", ip)].into_iter().chain(agent);
        put("source", Term::record(source, None));
    }
    if reads.contains("tagKeys") {
        let keys = question.tag_keys.iter().map(|key| key.as_str().into());
        put("tagKeys", Term::set(keys, None));
    }
    if reads.contains("requestTags") {
        let tags = question.request_tags.iter();
        let tags = tags.map(|(key, value)| (key.as_str(), value.as_str()));
        put("requestTags", tags_entity("requestTags", tags, entities));
    }
    if reads.contains("input") {
        put("input", input(question, &slice.reads.input, entities)?);
    }
    let pairs = pairs.into_iter().chain(constants.fields());
    let pairs = pairs.map(|(name, value)| (name.into(), value));
    Ok(Context::Value(Arc::new(pairs.collect())))
}

fn record(pairs: Vec<(String, Term)>) -> Result<Term, Denial> {
    values::record(pairs).map_err(|e| unjudgeable(&e))
}

fn tags_entity<'t>(
    name: &str,
    tags: impl Iterator<Item = (&'t str, &'t str)>,
    entities: &mut Vec<Arc<Entity>>,
) -> Term {
    let uid = uid(&TAGS, name);
    entities.push(Arc::new(values::entity(uid.clone(), [], [].into(), tags)));
    uid.into()
}

/// `context.input`: the members that some policy reads, typed by the model.
fn input(
    question: &Question,
    reads: &Names,
    entities: &mut Vec<Arc<Entity>>,
) -> Result<Term, Denial> {
    let service = question.service.as_ref();
    let operation = service.operations.get(&question.call.action.operation);
    let Some(structure) = operation.and_then(|operation| service.input(operation)) else {
        return record(Vec::new());
    };
    let mut typing = Typing {
        service,
        within: Vec::new(),
        entities,
    };
    let mut pairs = Vec::new();
    for member in structure.members.iter().filter(|m| reads.contains(&m.name)) {
        if let Some(value) = question.view.get(&member.name) {
            let at = format!("input.{}", member.name);
            let value = typing.value(member.shape, value, &at)?;
            pairs.extend(value.map(|value| (member.name.clone(), value)));
        }
    }
    record(pairs)
}

/// Puts values in Cedar's terms, as the schema types them.
struct Typing<'a> {
    service: &'a Service,
    /// The shapes that the present one stands in.
    within: Vec<ShapeId>,
    entities: &'a mut Vec<Arc<Entity>>,
}

impl Typing<'_> {
    /// A value as Cedar has it; `None` where the schema gives it no type.
    fn value(&mut self, id: ShapeId, value: &Value, at: &str) -> Result<Option<Term>, Denial> {
        if self.within.contains(&id) || self.within.len() > DEPTH_MAX {
            return Ok(None);
        }
        self.within.push(id);
        let typed = self.shaped(id, value, at);
        self.within.pop();
        typed
    }

    fn shaped(&mut self, id: ShapeId, value: &Value, at: &str) -> Result<Option<Term>, Denial> {
        let service = self.service;
        let mismatch = || unjudgeable(&format!("`{at}` isn't what its model says"));
        let shape = service.shape(id).ok_or_else(mismatch)?;
        let expression = match (shape, value) {
            (_, Value::Null) | (Shape::Document, _) => return Ok(None),
            (Shape::Structure(structure), Value::Object(object)) => {
                let mut pairs = Vec::new();
                for (name, value) in object.iter() {
                    let member = structure.member(name).ok_or_else(mismatch)?;
                    let value = self.value(member.shape, value, &format!("{at}.{name}"))?;
                    pairs.extend(value.map(|value| (name.to_owned(), value)));
                }
                record(pairs)?
            }
            (Shape::List { member, .. }, Value::List(items)) => {
                if !is_typed(service, *member, &mut self.within) {
                    return Ok(None);
                }
                let mut set = Vec::new();
                for (n, item) in items.iter().enumerate() {
                    set.extend(self.value(*member, item, &format!("{at}[{n}]"))?);
                }
                Term::set(set, None)
            }
            (Shape::Map { value: of, .. }, Value::Object(object)) => {
                return self.map(*of, object, at);
            }
            (Shape::String { values, .. }, Value::String(text)) => {
                Term::from(one_of(values, text, at)?)
            }
            (Shape::Blob, Value::String(text)) => Term::from(text.as_str()),
            (Shape::Boolean, Value::Bool(b)) => Term::from(*b),
            (Shape::Integer | Shape::Long, Value::Number(n)) => {
                Term::from(n.as_i64().ok_or_else(mismatch)?)
            }
            (Shape::Float, Value::Number(n)) => {
                let text = decimal(n).ok_or_else(|| coarse(at, n.as_str()))?;
                values::decimal(&text).map_err(|e| unjudgeable(&e))?
            }
            (Shape::Float, Value::String(text)) => return Err(coarse(at, text)),
            (Shape::Timestamp { .. }, value) => {
                let text = moment(value).ok_or_else(mismatch)?;
                values::datetime(&text).map_err(|e| unjudgeable(&e))?
            }
            (
                Shape::Structure(_)
                | Shape::List { .. }
                | Shape::Map { .. }
                | Shape::String { .. }
                | Shape::Blob
                | Shape::Boolean
                | Shape::Integer
                | Shape::Long
                | Shape::Float,
                _,
            ) => return Err(mismatch()),
        };
        Ok(Some(expression))
    }

    /// A map of strings as an entity with tags; another as a set of its entries.
    fn map(&mut self, of: ShapeId, object: &Object, at: &str) -> Result<Option<Term>, Denial> {
        let mismatch = || unjudgeable(&format!("`{at}` isn't what its model says"));
        if matches!(self.service.shape(of), Some(Shape::String { .. })) {
            let pairs = object.iter().map(|(k, v)| Some((k, v.as_str()?)));
            let pairs: Vec<_> = pairs.collect::<Option<_>>().ok_or_else(mismatch)?;
            return Ok(Some(tags_entity(at, pairs.into_iter(), self.entities)));
        }
        if !is_typed(self.service, of, &mut self.within) {
            return Ok(None);
        }
        let mut set = Vec::new();
        for (key, value) in object.iter() {
            let value = self.value(of, value, &format!("{at}[{key:?}]"))?;
            let key = Term::from(key);
            let pair = |value| record(vec![("key".to_owned(), key), ("value".to_owned(), value)]);
            set.extend(value.map(pair).transpose()?);
        }
        Ok(Some(Term::set(set, None)))
    }
}

/// A text that may be one of the model's values. One that differs from such a value in case alone would read as
/// another to a policy, and perhaps as the same to AWS.
fn one_of<'t>(values: &[String], text: &'t str, at: &str) -> Result<&'t str, Denial> {
    let known = values.iter().any(|value| value == text);
    let alike = |value: &&String| value.eq_ignore_ascii_case(text.trim());
    match values.iter().find(alike) {
        Some(value) if !known => Err(Denial::Unreadable {
            message: format!(
                "`{at}` is `{}`; AWS spells it `{value}`",
                text.escape_debug()
            ),
        }),
        Some(_) | None => Ok(text),
    }
}

/// A timestamp. Where it stands in a header it is written as HTTP writes dates (RFC 9110 section 5.6.7).
fn moment(value: &Value) -> Option<String> {
    time::rfc3339(value).or_else(|| time::http_date(value.as_str()?))
}

/// A number as Cedar's `decimal` spells it: no exponent, one to four decimals. `None` where it has more.
fn decimal(number: &Number) -> Option<String> {
    let text = number.as_str();
    let (sign, text) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text),
    };
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let exponent: i32 = exponent.parse().ok().filter(|e| (-40..=40).contains(e))?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let point = i32::try_from(whole.len()).ok()?.checked_add(exponent)?;
    let digits = format!("{whole}{fraction}");
    let (before, after) = if point <= 0 {
        let zeros = usize::try_from(point.unsigned_abs()).ok()?;
        (String::new(), format!("{}{digits}", "0".repeat(zeros)))
    } else {
        let point = usize::try_from(point).ok()?;
        let missing = point.saturating_sub(digits.len());
        let digits = format!("{digits}{}", "0".repeat(missing));
        let (before, after) = digits.split_at_checked(point)?;
        (before.to_owned(), after.to_owned())
    };
    let before = match before.trim_start_matches('0') {
        "" => "0",
        digits => digits,
    };
    let after = match after.trim_end_matches('0') {
        "" => "0",
        digits => digits,
    };
    (after.len() <= DECIMALS_MAX).then(|| format!("{sign}{before}.{after}"))
}

fn coarse(at: &str, text: &str) -> Denial {
    Denial::Unreadable {
        message: format!(
            "`{at}` is `{text}`, which a policy reads and can't compare: write it with no more than {DECIMALS_MAX} decimals"
        ),
    }
}

fn unjudgeable(error: &dyn std::fmt::Display) -> Denial {
    Denial::Unjudgeable {
        message: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<&str>) {
        let found = decimal(&Number::parse(text).unwrap());
        assert_eq!(found.as_deref(), expected, "{text}");
    }

    #[test]
    fn a_number_is_a_decimal_where_four_places_hold_it() {
        check("0", Some("0.0"));
        check("-0", Some("-0.0"));
        check("1.5", Some("1.5"));
        check("1.50000", Some("1.5"));
        check("-12.3456", Some("-12.3456"));
        check("12.34567", None);
        check("1e3", Some("1000.0"));
        check("1.25E+1", Some("12.5"));
        check("125e-2", Some("1.25"));
        check("1e-4", Some("0.0001"));
        check("1e-5", None);
        check("0e99", None);
        check("1e999999999999", None);
    }

    #[test]
    fn a_value_in_another_case_is_not_another_value() {
        let values = ["MONTHLY".to_owned(), "HOURLY".to_owned()];
        assert_eq!(one_of(&values, "MONTHLY", "x").unwrap(), "MONTHLY");
        assert_eq!(one_of(&values, "YEARLY", "x").unwrap(), "YEARLY");
        assert_eq!(one_of(&[], "monthly", "x").unwrap(), "monthly");
        for alike in ["monthly", "Monthly", " MONTHLY", "MONTHLY\t"] {
            let refused = one_of(&values, alike, "input.BillingMode");
            assert!(matches!(refused, Err(Denial::Unreadable { .. })), "{alike}");
        }
    }
}
