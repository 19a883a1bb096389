//! Whether the service files fit the catalog. A path that leads nowhere finds nothing, and what isn't found isn't
//! protected: it stops the load.

use std::sync::Arc;

use crate::aws::catalog::model::{Operation, Service, Shape, ShapeId, Structure};
use crate::aws::catalog::{Catalog, CatalogError};
use crate::aws::class::Class;
use crate::aws::endpoint::Addressed;
use crate::aws::nearest::nearest;
use crate::aws::protocol;
use crate::aws::value::{Number, Object, Value};
use crate::guard::facts::AttributeType;
use crate::guard::knowledge::{AttributePlace, LookupRule, OperationRule, ServiceRules};
use crate::guard::path::{Into, Path};

/// In what a service file doesn't fit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    #[error("AWS has no service `{service}`{}", did_you_mean(.nearest))]
    NoService {
        service: String,
        nearest: Option<String>,
    },
    #[error("`{service}` has no operation `{operation}`, which {of} names{}", did_you_mean(.nearest))]
    NoOperation {
        service: String,
        operation: String,
        of: String,
        nearest: Option<String>,
    },
    #[error("{of} of `{service}` says `{path}`, but {place} has nothing there")]
    NoPlace {
        service: String,
        of: String,
        path: String,
        place: String,
    },
    #[error("{of} of `{service}` says `{path}`, where {place} has {found}, not {expected}")]
    WrongShape {
        service: String,
        of: String,
        path: String,
        place: String,
        found: &'static str,
        expected: &'static str,
    },
    #[error("{of} of `{service}` asks by `{operation}`, which is no read")]
    NoRead {
        service: String,
        of: String,
        operation: String,
    },
    #[error("{of} of `{service}` asks by `{operation}`, whose input isn't right: {message}")]
    BadInput {
        service: String,
        of: String,
        operation: String,
        message: String,
    },
    #[error("{of} of `{service}` {message}")]
    Incomplete {
        service: String,
        of: String,
        message: &'static str,
    },
}

/// Why service files can't be held against a catalog, or don't fit it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FitError {
    #[error("the service files don't fit the catalog: {0}")]
    Misfit(#[from] Misfit),
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

fn did_you_mean(nearest: &Option<String>) -> String {
    nearest
        .as_ref()
        .map(|n| format!("; did you mean `{n}`?"))
        .unwrap_or_default()
}

/// Checks the files of some services against the catalog; those services alone are decoded. A file of one whose
/// operations the catalog leaves out can't be checked, and its calls are refused anyway.
///
/// # Errors
/// [`FitError`] for the first thing that leads nowhere, or that can't be decoded.
pub fn check<'r>(
    files: impl Iterator<Item = &'r ServiceRules>,
    catalog: &Catalog,
) -> Result<(), FitError> {
    for rules in files {
        let Some(service) = catalog.service(&rules.service)? else {
            let near = nearest(&rules.service, catalog.known_ids());
            return Err(FitError::Misfit(Misfit::NoService {
                service: rules.service.clone(),
                nearest: near.map(str::to_owned),
            }));
        };
        if !service.operations.is_empty() {
            let service = &service;
            let others = others(rules, catalog)?;
            Fitting {
                service,
                rules,
                others: &others,
            }
            .check()?;
        }
    }
    Ok(())
}

/// The other services that the lookups of a file ask, as far as the catalog has their operations.
fn others(rules: &ServiceRules, catalog: &Catalog) -> Result<Vec<Arc<Service>>, FitError> {
    let mut found = Vec::new();
    for lookup in rules.lookups.values() {
        let Some(other) = &lookup.service else {
            continue;
        };
        let service = catalog.service(other)?.ok_or_else(|| Misfit::NoService {
            service: other.clone(),
            nearest: nearest(other, catalog.known_ids()).map(str::to_owned),
        })?;
        if !service.operations.is_empty() {
            found.push(service);
        }
    }
    Ok(found)
}

/// A service file held against its service.
struct Fitting<'f> {
    service: &'f Service,
    rules: &'f ServiceRules,
    /// The other services that lookups ask.
    others: &'f [Arc<Service>],
}

/// What must stand at a path.
#[derive(Clone, Copy)]
enum Wanted {
    /// A text or a number.
    Plain,
    /// What a fact of that type is read from.
    Fact(AttributeType),
    /// Pairs of key and value, or a map.
    Tags,
    Structure,
    Anything,
}

impl Fitting<'_> {
    fn check(&self) -> Result<(), Misfit> {
        if let Some(path) = &self.rules.account {
            let mut inputs = self.service.operations.values();
            if !inputs.any(|o| {
                self.service
                    .input(o)
                    .is_some_and(|i| self.at(i, path).is_some())
            }) {
                return Err(self.nowhere("`account`", path, "every input"));
            }
        }
        for (name, rule) in &self.rules.operations {
            let of = format!("`operations.{name}`");
            self.operation(&of, rule, self.found(name, &of)?)?;
        }
        for (name, rule) in &self.rules.lookups {
            let of = format!("`lookups.{name}`");
            match &rule.service {
                Some(other) => {
                    let mut others = self.others.iter();
                    // One whose operations the catalog leaves out can't be asked, and that refuses.
                    if let Some(service) = others.find(|s| s.id == *other) {
                        Fitting { service, ..*self }.looks_up(&of, rule)?;
                    }
                }
                None => self.looks_up(&of, rule)?,
            }
        }
        for (kind, rule) in &self.rules.types {
            let lookups = rule.lookups.iter();
            let mut lookups = lookups.filter_map(|name| self.rules.lookups.get(name));
            if rule.send_id && !lookups.any(|lookup| lookup.id.is_some()) {
                return Err(Misfit::Incomplete {
                    service: self.service.id.clone(),
                    of: format!("`types.\"{kind}\"`"),
                    message: "sends the id, but no lookup of it tells one",
                });
            }
        }
        Ok(())
    }

    fn looks_up(&self, of: &str, rule: &LookupRule) -> Result<(), Misfit> {
        self.lookup(of, rule, self.found(&rule.operation, of)?)
    }

    fn found(&self, operation: &str, of: &str) -> Result<&Operation, Misfit> {
        let operations = &self.service.operations;
        operations
            .get(operation)
            .ok_or_else(|| Misfit::NoOperation {
                service: self.service.id.clone(),
                operation: operation.to_owned(),
                of: of.to_owned(),
                nearest: nearest(operation, operations.keys().map(String::as_str))
                    .map(str::to_owned),
            })
    }

    fn operation(
        &self,
        of: &str,
        rule: &OperationRule,
        operation: &Operation,
    ) -> Result<(), Misfit> {
        let place = "the input";
        let nothing = Structure::default();
        let input = self.service.input(operation).unwrap_or(&nothing);
        if let Some(resources) = &rule.resources {
            let parents = resources.parents.iter().map(|parent| &parent.id);
            for path in [&resources.ids]
                .into_iter()
                .chain(&resources.name)
                .chain(parents)
            {
                self.expect(of, input, path, Wanted::Plain, place)?;
            }
        }
        for path in &rule.selectors {
            self.expect(of, input, path, Wanted::Anything, place)?;
        }
        for path in rule.tag_keys.iter().flatten() {
            self.expect(of, input, path, Wanted::Plain, place)?;
        }
        for path in rule.defaults.keys() {
            let path = Path::parse(path).map_err(|_| Misfit::Incomplete {
                service: self.service.id.clone(),
                of: of.to_owned(),
                message: "has a default at what is no path",
            })?;
            self.expect(of, input, &path, Wanted::Plain, place)?;
        }
        Ok(())
    }

    fn lookup(&self, of: &str, rule: &LookupRule, operation: &Operation) -> Result<(), Misfit> {
        let (service, name) = (&self.service.id, &operation.name);
        if operation.class != Class::Read {
            return Err(Misfit::NoRead {
                service: service.clone(),
                of: of.to_owned(),
                operation: name.clone(),
            });
        }
        let incomplete = |message| Misfit::Incomplete {
            service: service.clone(),
            of: of.to_owned(),
            message,
        };
        for input in rule.inputs.iter().chain(&rule.inputs_by_name) {
            self.asks(of, rule, operation, input)?;
        }
        // Without it an answer reads as empty, and what isn't in it as absent.
        let output = operation.output.and_then(|id| self.service.shape(id));
        let Some(Shape::Structure(output)) = output else {
            return Err(incomplete(
                "asks for an answer that the catalog doesn't know",
            ));
        };
        let place = "the answer";
        let item = match (&rule.items, &rule.item) {
            (Some(_), Some(_)) => return Err(incomplete("has both `items` and `item`")),
            (Some(_), None) if rule.id.is_none() => {
                return Err(incomplete("has `items` but no `id` to tell them by"));
            }
            (None, _) if rule.batch != 1 => {
                return Err(incomplete("has a `batch` but no `items`"));
            }
            (Some(path), None) | (None, Some(path)) => {
                self.expect(of, output, path, Wanted::Structure, place)?
            }
            (None, None) => output,
        };
        let plain = rule.id.iter().chain(&rule.name).chain(&rule.arn);
        for path in plain.chain(&rule.aliases).chain(&rule.spellings) {
            self.expect(of, item, path, Wanted::Plain, place)?;
        }
        for (attribute, at) in &rule.attributes {
            self.attribute(of, item, attribute.kind(), at)?;
        }
        for (attribute, value) in &rule.defaults {
            if !attribute.kind().admits(value) {
                return Err(incomplete(
                    "has a default that isn't of the attribute's type",
                ));
            }
        }
        if rule.each_is_a_tag && (rule.items.is_none() || rule.tags.is_some()) {
            return Err(incomplete("has tags for items, but says otherwise besides"));
        }
        if !rule.none.is_empty() && rule.items.is_some() {
            return Err(incomplete(
                "has `none`, but a list that is empty says the same",
            ));
        }
        if let Some(path) = &rule.tags {
            self.expect(of, item, path, Wanted::Tags, place)?;
        }
        if let Some((from, _)) = &rule.next
            && output.member(from).is_none()
        {
            return Err(incomplete("turns pages by a member that the answer hasn't"));
        }
        Ok(())
    }

    /// Where an attribute is read from.
    fn attribute(
        &self,
        of: &str,
        item: &Structure,
        kind: AttributeType,
        at: &AttributePlace,
    ) -> Result<(), Misfit> {
        let place = "the answer";
        let flag = kind == AttributeType::Flag;
        let wrong = |message| Misfit::Incomplete {
            service: self.service.id.clone(),
            of: of.to_owned(),
            message,
        };
        match at {
            AttributePlace::At(path) => self.expect(of, item, path, Wanted::Fact(kind), place)?,
            AttributePlace::OneOf(words) if flag => {
                self.expect(of, item, &words.path, Wanted::Plain, place)?
            }
            AttributePlace::NoneOf(words) if flag => {
                self.expect(of, item, &words.path, Wanted::Plain, place)?
            }
            AttributePlace::Named(named) => {
                let pair = self.expect(of, item, &named.list, Wanted::Structure, place)?;
                self.expect(of, pair, &named.key, Wanted::Plain, place)?;
                self.expect(of, pair, &named.value, Wanted::Plain, place)?
            }
            AttributePlace::Millis(at) if kind == AttributeType::Time => {
                let count = Wanted::Fact(AttributeType::Count);
                self.expect(of, item, &at.millis, count, place)?
            }
            AttributePlace::Count(counted) if kind == AttributeType::Count => {
                self.expect(of, item, &counted.count, Wanted::Anything, place)?
            }
            AttributePlace::Empty(empty) if flag => {
                for path in &empty.empty {
                    self.expect(of, item, path, Wanted::Anything, place)?;
                }
                item
            }
            AttributePlace::OneOf(_)
            | AttributePlace::NoneOf(_)
            | AttributePlace::Millis(_)
            | AttributePlace::Count(_)
            | AttributePlace::Empty(_) => {
                return Err(wrong("reads an attribute as what it isn't"));
            }
        };
        Ok(())
    }

    /// The input as it would be asked, with its variables standing for what they become.
    fn asks(
        &self,
        of: &str,
        rule: &LookupRule,
        operation: &Operation,
        input: &toml::Table,
    ) -> Result<(), Misfit> {
        let bad = |message: String| Misfit::BadInput {
            service: self.service.id.clone(),
            of: of.to_owned(),
            operation: operation.name.clone(),
            message,
        };
        let mut asked = object(input);
        let next = rule.next.iter().map(|(_, to)| to);
        for member in next.chain(&rule.account) {
            asked.set(member, Value::String("123456789012".to_owned()));
        }
        let spoken = protocol::preferred(self.service)
            .ok_or_else(|| bad("its service speaks no protocol that is known".to_owned()))?;
        protocol::encode(self.service, operation, spoken, &asked, &Addressed::Service)
            .map(|_| ())
            .map_err(|e| bad(e.to_string()))
    }

    /// Holds a path to what must stand there; gives the structure, where it is one.
    fn expect<'s>(
        &'s self,
        of: &str,
        from: &'s Structure,
        path: &Path,
        wanted: Wanted,
        place: &str,
    ) -> Result<&'s Structure, Misfit> {
        let shape = self
            .at(from, path)
            .ok_or_else(|| self.nowhere(of, path, place))?;
        let fits = match wanted {
            Wanted::Anything => true,
            Wanted::Structure => matches!(shape, Shape::Structure(_)),
            Wanted::Tags => matches!(shape, Shape::List { .. } | Shape::Map { .. }),
            Wanted::Plain => matches!(
                shape,
                Shape::String { .. } | Shape::Integer | Shape::Long | Shape::Timestamp { .. }
            ),
            Wanted::Fact(kind) => match kind {
                AttributeType::Text => matches!(shape, Shape::String { .. }),
                AttributeType::Time => matches!(
                    shape,
                    Shape::String { .. } | Shape::Integer | Shape::Long | Shape::Timestamp { .. }
                ),
                AttributeType::Flag => matches!(shape, Shape::Boolean | Shape::String { .. }),
                AttributeType::Count => matches!(shape, Shape::Integer | Shape::Long),
            },
        };
        if !fits {
            return Err(Misfit::WrongShape {
                service: self.service.id.clone(),
                of: of.to_owned(),
                path: path.to_string(),
                place: place.to_owned(),
                found: kind(shape),
                expected: wanted.as_str(),
            });
        }
        Ok(shape.as_structure().unwrap_or(from))
    }

    /// The shape at a path.
    fn at<'s>(&'s self, from: &'s Structure, path: &Path) -> Option<&'s Shape> {
        let mut structure = Some(from);
        let mut found = None;
        for (name, into) in path.steps() {
            let member = structure?.member(name)?;
            let mut shape = self.shape(member.shape)?;
            shape = match (into, shape) {
                (Into::Whole, shape) => shape,
                (Into::Items | Into::Joined, Shape::List { member, .. }) => self.shape(*member)?,
                (Into::Values, Shape::Map { value, .. }) => self.shape(*value)?,
                (Into::Items | Into::Joined | Into::Values, _) => return None,
            };
            structure = shape.as_structure();
            found = Some(shape);
        }
        found
    }

    fn shape(&self, id: ShapeId) -> Option<&Shape> {
        self.service.shape(id)
    }

    fn nowhere(&self, of: &str, path: &Path, place: &str) -> Misfit {
        Misfit::NoPlace {
            service: self.service.id.clone(),
            of: of.to_owned(),
            path: path.to_string(),
            place: place.to_owned(),
        }
    }
}

impl Wanted {
    const fn as_str(self) -> &'static str {
        match self {
            Wanted::Plain | Wanted::Fact(AttributeType::Text) => "a text",
            Wanted::Fact(AttributeType::Time) => "a time",
            Wanted::Fact(AttributeType::Flag) => "a flag",
            Wanted::Fact(AttributeType::Count) => "a number",
            Wanted::Tags => "tags",
            Wanted::Structure => "a structure",
            Wanted::Anything => "anything",
        }
    }
}

const fn kind(shape: &Shape) -> &'static str {
    match shape {
        Shape::Structure(_) => "a structure",
        Shape::List { .. } => "a list",
        Shape::Map { .. } => "a map",
        Shape::String { .. } | Shape::Blob => "a text",
        Shape::Boolean => "a flag",
        Shape::Integer | Shape::Long | Shape::Float => "a number",
        Shape::Timestamp { .. } => "a time",
        Shape::Document => "a document",
    }
}

fn object(table: &toml::Table) -> Object {
    let members = table.iter();
    members
        .map(|(key, item)| (key.clone(), value(item)))
        .collect()
}

fn value(item: &toml::Value) -> Value {
    match item {
        toml::Value::String(text) => Value::String(text.clone()),
        toml::Value::Integer(number) => Value::Number(Number::from(*number)),
        toml::Value::Boolean(flag) => Value::Bool(*flag),
        toml::Value::Float(number) => Value::String(number.to_string()),
        toml::Value::Datetime(moment) => Value::String(moment.to_string()),
        toml::Value::Array(items) => Value::List(items.iter().map(value).collect()),
        toml::Value::Table(table) => Value::Object(object(table)),
    }
}

#[cfg(test)]
mod tests;
