//! Answers to a case's lookups: word for word where it gives them, else made from what it says AWS knows.

use http::HeaderMap;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{Answer, CaseFault, Known, Run, Stop, fault, object};
use crate::aws::protocol;
use crate::aws::value::{Number, Object, Value};
use crate::guard::facts::{Attribute, Enquiry, Facts, LookupAnswer, LookupCall, Needs};
use crate::guard::knowledge::{AttributePlace, LookupRule};
use crate::guard::path::Path;
use crate::guard::target::Spelling;

/// More rounds than any plan takes.
const ROUNDS_MAX: usize = 16;

impl Run<'_> {
    /// Answers all that the enquiry asks.
    pub(super) fn learn(&mut self, mut enquiry: Enquiry<'_>) -> Result<Vec<Facts>, Stop> {
        for _ in 0..ROUNDS_MAX {
            let calls = enquiry.next_round()?;
            if calls.is_empty() {
                return Ok(enquiry.finish()?);
            }
            for call in calls {
                self.lookups.push(call.operation.clone());
                let answer = self.answer(&enquiry, &call).map_err(fault)?;
                enquiry.absorb(&call, answer)?;
            }
        }
        Err(fault(CaseFault::Guard("the lookups don't end".to_owned())))
    }

    fn answer(&self, enquiry: &Enquiry<'_>, call: &LookupCall) -> Result<LookupAnswer, CaseFault> {
        let mut given = self.case.answers.iter();
        let of = |answer: &&Answer| answer.operation == call.operation;
        if given.any(|answer| of(&answer)) {
            return self.given(call);
        }
        let Some(rule) = enquiry.rule(call) else {
            return Err(CaseFault::Guard(format!(
                "`{}` has no rule",
                call.operation
            )));
        };
        let mut items = Vec::new();
        for (spelling, id) in enquiry.subjects(call) {
            let known = self.known(call, spelling, id)?;
            if known.unknown {
                if rule.items.is_none() || !rule.unknown_id.is_empty() {
                    return Ok(unknown(rule));
                }
                continue;
            }
            let made = Made {
                call,
                rule,
                needs: enquiry.needs(),
                spelling,
                known,
            };
            if rule.each_is_a_tag {
                items.extend(made.tags()?);
                continue;
            }
            let item = made.item(&self.arn(known, id.unwrap_or(spelling.as_str())))?;
            items.push(Value::Object(item));
        }
        Ok(LookupAnswer::Pages(vec![page(rule, items)]))
    }

    /// An answer that the case gives word for word.
    fn given(&self, call: &LookupCall) -> Result<LookupAnswer, CaseFault> {
        let operation = call.operation.clone();
        let fits = |answer: &&Answer| {
            let wanted = answer.input.as_ref().map(object).unwrap_or_default();
            answer.operation == operation && has(&call.input, &wanted)
        };
        let Some(answer) = self.case.answers.iter().find(fits) else {
            let input = call.input.to_json().to_string();
            return Err(CaseFault::NoAnswer { operation, input });
        };
        match (&answer.pages, &answer.error) {
            (Some(pages), None) => {
                let pages = pages
                    .iter()
                    .map(|page| self.page(&call.service, &operation, &object(page)));
                pages.collect::<Result<_, _>>().map(LookupAnswer::Pages)
            }
            (None, Some(code)) => Ok(LookupAnswer::Error {
                status: answer.status.unwrap_or(400),
                code: code.clone(),
                message: "so the case says".to_owned(),
            }),
            (Some(_), Some(_)) | (None, None) => Err(CaseFault::BadAnswer {
                operation,
                message: "needs `pages` or `error`, and not both".to_owned(),
            }),
        }
    }

    /// A page read as AWS's answers are.
    fn page(&self, of: &str, operation: &str, page: &Object) -> Result<Object, CaseFault> {
        let bad = |message: String| CaseFault::BadAnswer {
            operation: operation.to_owned(),
            message,
        };
        let service = match self.catalog.service(of)? {
            Some(service) => service,
            None => return Err(bad(format!("is of `{of}`, which the catalog doesn't have"))),
        };
        let found = service.operations.get(operation);
        let found = found.ok_or_else(|| bad("is of no operation of the service".to_owned()))?;
        let body = page.to_json().to_string();
        let spoken = protocol::preferred(&service)
            .ok_or_else(|| bad(format!("is of `{of}`, whose protocol isn't spoken")))?;
        let read =
            protocol::decode_output(&service, found, spoken, &HeaderMap::new(), body.as_bytes());
        read.map_err(|e| bad(format!("can't be read: {e}")))
    }

    /// What the case says of a thing, by its id or by the name that was asked for.
    fn known(
        &self,
        call: &LookupCall,
        spelling: &Spelling,
        id: Option<&str>,
    ) -> Result<&Known, CaseFault> {
        let resources = &self.case.resources;
        let by_id = id.and_then(|id| {
            let mut all = resources.values();
            resources
                .get(id)
                .or_else(|| all.find(|k| k.id.as_deref() == Some(id)))
        });
        let asked = spelling.as_str();
        by_id
            .or_else(|| resources.get(asked))
            .ok_or_else(|| CaseFault::NotGiven {
                operation: call.operation.clone(),
                id: id.unwrap_or(asked).to_owned(),
            })
    }

    /// The ARN that the case gives, or one that serves as well.
    fn arn(&self, known: &Known, id: &str) -> String {
        let made = || {
            let (service, region) = (&self.service.id, &self.case.region);
            format!("arn:aws:{service}:{region}:{}:{id}", self.case.account)
        };
        known.arn.clone().unwrap_or_else(made)
    }
}

/// An item of an answer, to be made from what the case says.
struct Made<'m> {
    call: &'m LookupCall,
    rule: &'m LookupRule,
    needs: &'m Needs,
    spelling: &'m Spelling,
    known: &'m Known,
}

impl Made<'_> {
    fn item(&self, arn: &str) -> Result<Object, CaseFault> {
        let (rule, known) = (self.rule, self.known);
        let mut item = Object::new();
        let mut put = |path: &Option<Path>, text: &str| {
            if let Some(path) = path {
                path.set(&mut item, Value::String(text.to_owned()));
            }
        };
        put(&rule.id, self.id());
        put(&rule.name, self.name());
        if known.arn.is_none()
            && self.needs.attributes.contains_key(&Attribute::Arn)
            && rule.arn.is_some()
        {
            return Err(self.lacks("`arn`"));
        }
        put(&rule.arn, arn);
        for (path, alias) in rule.aliases.iter().zip(&known.aliases) {
            path.set(&mut item, Value::String(alias.clone()));
        }
        for (attribute, path) in &rule.attributes {
            match self.attribute(*attribute) {
                Some(text) => put_attribute(path, &mut item, &text),
                None if known.absent.contains(attribute) => {}
                None if self.needs.attributes.contains_key(attribute) => {
                    return Err(self.lacks(&format!("`{attribute}`")));
                }
                None => {}
            }
        }
        if let Some(path) = &rule.tags {
            match &known.tags {
                Some(tags) => {
                    let tags = tags.iter();
                    let tags = tags.map(|(k, v)| (k.clone(), Value::String(v.clone())));
                    path.set(&mut item, Value::Object(tags.collect()));
                }
                None if self.needs.tags.is_some() || self.needs.tag_keys.is_some() => {
                    return Err(self.lacks("the tags"));
                }
                None => {}
            }
        }
        Ok(item)
    }

    /// An item for each tag.
    fn tags(&self) -> Result<Vec<Value>, CaseFault> {
        let tags = self.known.tags.as_ref();
        let tags = tags.ok_or_else(|| self.lacks("the tags"))?;
        let item = |(key, value): (&String, &String)| {
            let mut item = Object::new();
            if let Some(path) = &self.rule.id {
                path.set(&mut item, Value::String(self.id().to_owned()));
            }
            item.set("Key", Value::String(key.clone()));
            item.set("Value", Value::String(value.clone()));
            Value::Object(item)
        };
        Ok(tags.iter().map(item).collect())
    }

    fn id(&self) -> &str {
        let asked = self.spelling.as_str();
        self.known.id.as_deref().unwrap_or(asked)
    }

    fn name(&self) -> &str {
        match (self.spelling, &self.known.name) {
            (_, Some(name)) | (Spelling::Name(name), None) => name,
            (Spelling::Id(id), None) => id,
        }
    }

    fn attribute(&self, attribute: Attribute) -> Option<String> {
        let known = self.known;
        match attribute {
            Attribute::Arn => known.arn.clone(),
            Attribute::BillingMode => known.billing_mode.clone(),
            Attribute::RunningMode => known.running_mode.clone(),
            Attribute::State => known.state.clone(),
            Attribute::CreatedAt => known.created_at.clone(),
            Attribute::DeletionProtection => known.deletion_protection.map(|flag| flag.to_string()),
            Attribute::ResourceCount => known.resource_count.map(|count| count.to_string()),
            Attribute::Versioning => known.versioning.clone(),
            Attribute::Empty => known.empty.map(|flag| flag.to_string()),
        }
    }

    fn lacks(&self, fact: &str) -> CaseFault {
        CaseFault::Lacks {
            operation: self.call.operation.clone(),
            fact: fact.to_owned(),
            id: self.id().to_owned(),
        }
    }
}

/// Puts an attribute where an answer would have it.
fn put_attribute(place: &AttributePlace, item: &mut Object, text: &str) {
    let spelt = || Value::String(text.to_owned());
    match place {
        AttributePlace::At(path) => path.set(item, spelt()),
        AttributePlace::OneOf(of) => {
            let word = of.one_of.first().filter(|_| text == "true").cloned();
            of.path.set(item, Value::String(word.unwrap_or_default()));
        }
        AttributePlace::NoneOf(of) => {
            let word = of.none_of.first().filter(|_| text != "true").cloned();
            of.path.set(item, Value::String(word.unwrap_or_default()));
        }
        AttributePlace::Named(named) => {
            let mut pair = Object::new();
            named.key.set(&mut pair, Value::String(named.is.clone()));
            named.value.set(&mut pair, spelt());
            named.list.set(item, Value::List(vec![Value::Object(pair)]));
        }
        AttributePlace::Millis(at) => {
            let moment = OffsetDateTime::parse(text, &Rfc3339);
            let millis = moment.map(|m| m.unix_timestamp_nanos() / 1_000_000);
            let millis = millis.ok().and_then(|m| i64::try_from(m).ok());
            if let Some(millis) = millis {
                at.millis.set(item, Value::Number(Number::from(millis)));
            }
        }
        AttributePlace::Count(of) => {
            let count = text.parse().unwrap_or_default();
            let one = Value::Object(Object::new());
            of.count.set(item, Value::List(vec![one; count]));
        }
        AttributePlace::Empty(of) => {
            if let Some(path) = of.empty.first().filter(|_| text != "true") {
                let one = Value::Object(Object::new());
                path.set(item, Value::List(vec![one]));
            }
        }
    }
}

/// The items as the answer holds them.
fn page(rule: &LookupRule, items: Vec<Value>) -> Object {
    let mut page = Object::new();
    match (&rule.items, &rule.item) {
        (Some(path), _) => path.set(&mut page, Value::List(items)),
        (None, Some(path)) => path.set(&mut page, items.into_iter().next().unwrap_or(Value::Null)),
        (None, None) => {
            if let Some(Value::Object(item)) = items.into_iter().next() {
                page = item;
            }
        }
    }
    page
}

/// By what AWS says that it doesn't know an id.
fn unknown(rule: &LookupRule) -> LookupAnswer {
    let code = rule.unknown_id.first().cloned();
    LookupAnswer::Error {
        status: 400,
        code: code.unwrap_or_else(|| "ResourceNotFoundException".to_owned()),
        message: "so the case says".to_owned(),
    }
}

/// Whether an input has all these members.
fn has(input: &Object, wanted: &Object) -> bool {
    wanted
        .iter()
        .all(|(key, value)| match (input.get(key), value) {
            (Some(Value::Object(inner)), Value::Object(wanted)) => has(inner, wanted),
            (Some(found), wanted) => found == wanted,
            (None, _) => false,
        })
}
