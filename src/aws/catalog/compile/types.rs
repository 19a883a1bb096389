//! What kind of thing an operation is about, as CloudFormation calls it.
//!
//! A type is taken for what an operation names where CloudFormation itself calls that operation to delete it and calls it
//! by the same noun, or where the service has just one type of that noun.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::words::{same, words};
use crate::aws::catalog::model::{ParentRule, ResourceRule, Service};

/// What CloudFormation says about one type of resource.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Schema {
    /// `AWS::EC2::Volume`.
    pub type_name: String,
    #[serde(default)]
    pub handlers: Handlers,
}

/// What CloudFormation does with a type.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Handlers {
    #[serde(default)]
    pub delete: Handler,
}

/// What CloudFormation has to be allowed for that: `ec2:DeleteVolume`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Handler {
    #[serde(default)]
    pub permissions: Vec<String>,
}

/// What can't be read out of the schemas.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    /// By service: the second part of its types' names, where the permissions leave that open.
    #[serde(default)]
    namespaces: BTreeMap<String, Vec<String>>,
    /// By `service:Noun`: the type, where it has another noun.
    #[serde(default)]
    types: BTreeMap<String, String>,
}

/// CloudFormation's types.
#[derive(Debug, Clone, Default)]
pub struct Types {
    namespaces: BTreeMap<String, Vec<String>>,
    named: BTreeMap<String, String>,
    /// By namespace (`EC2`): each type with the words of its own name.
    by_namespace: BTreeMap<String, Vec<(Vec<String>, String)>>,
    /// By permission (`ec2:DeleteVolume`, in small letters): the types that it deletes.
    by_permission: BTreeMap<String, BTreeSet<String>>,
    /// By the prefix of permissions (`ec2`): the namespaces whose types it mostly deletes.
    by_prefix: BTreeMap<String, BTreeSet<String>>,
}

/// Why the data can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TypesError {
    #[error("the types don't parse: {0}")]
    Syntax(String),
    #[error("the types name `{0}`, which CloudFormation doesn't have; take it out or correct it")]
    Unknown(String),
}

impl Types {
    /// Puts together what the schemas say and what data adds, in TOML.
    ///
    /// # Errors
    /// [`TypesError`] where the data doesn't parse or names what there isn't.
    pub fn new(text: &str, schemas: &[Schema]) -> Result<Self, TypesError> {
        let text: Text = toml::from_str(text).map_err(|e| TypesError::Syntax(e.to_string()))?;
        let mut types = Self {
            namespaces: text.namespaces,
            named: text.types,
            ..Self::default()
        };
        for schema in schemas {
            types.take(schema);
        }
        if schemas.is_empty() {
            return Ok(types);
        }
        let known: BTreeSet<&str> = schemas.iter().map(|s| s.type_name.as_str()).collect();
        let mut named = types.named.values();
        if let Some(missing) = named.find(|kind| !known.contains(kind.as_str())) {
            return Err(TypesError::Unknown(missing.clone()));
        }
        let mut spaces = types.namespaces.values().flatten();
        if let Some(missing) = spaces.find(|space| !types.by_namespace.contains_key(*space)) {
            return Err(TypesError::Unknown(format!("AWS::{missing}")));
        }
        Ok(types)
    }

    fn take(&mut self, schema: &Schema) {
        let Some((namespace, noun)) = own_name(&schema.type_name) else {
            return;
        };
        let kind = schema.type_name.clone();
        let types = self.by_namespace.entry(namespace.to_owned()).or_default();
        types.push((words(noun), kind.clone()));
        for permission in &schema.handlers.delete.permissions {
            let permission = permission.to_ascii_lowercase();
            let Some((prefix, action)) = permission.split_once(':') else {
                continue;
            };
            // What is deleted along with it is called by another noun.
            if action.ends_with(&noun.to_ascii_lowercase()) {
                let spaces = self.by_prefix.entry(prefix.to_owned()).or_default();
                spaces.insert(namespace.to_owned());
            }
            let deleted = self.by_permission.entry(permission).or_default();
            deleted.insert(kind.clone());
        }
    }

    /// Gives everything that a service's operations name the type that CloudFormation has for it.
    pub(super) fn apply(&self, service: &mut Service) {
        let id = service.id.clone();
        let signing = service.signing_name.clone();
        for (name, operation) in &mut service.operations {
            let Some(rule) = &mut operation.resource else {
                continue;
            };
            let by_noun = self.of(&id, &signing, &rule.kind);
            let found = by_noun.or_else(|| self.deleted_by(&id, &signing, name, rule));
            if let Some(found) = found {
                rule.kind = found;
            }
            for other in rule.parents.iter_mut().chain(&mut rule.also) {
                self.name(&id, &signing, other);
            }
        }
    }

    fn name(&self, service: &str, signing: &str, other: &mut ParentRule) {
        let kind = other.kind_in(service);
        if let Some(found) = self.of(service, signing, &kind) {
            other.kind = Some(found);
        }
    }

    /// The type for `service:Noun`, where there is just one.
    fn of(&self, service: &str, signing: &str, kind: &str) -> Option<String> {
        if let Some(named) = self.named.get(kind) {
            return Some(named.clone());
        }
        let (of, noun) = kind
            .split_once(':')
            .filter(|(_, noun)| !noun.starts_with(':'))?;
        let spaces: Vec<&String> = match self.namespaces.get(of) {
            Some(spaces) => spaces.iter().collect(),
            None if of == service => [service, signing]
                .into_iter()
                .filter_map(|prefix| self.by_prefix.get(&prefix.to_ascii_lowercase()))
                .flatten()
                .collect(),
            None => Vec::new(),
        };
        // Where a namespace is the service's own by name, types that only share permissions with it are another's.
        let is_namesake = |space: &&&String| {
            let space = space.to_ascii_lowercase();
            [service, signing]
                .iter()
                .any(|id| id.replace('-', "") == space)
        };
        let namesake = spaces.iter().find(is_namesake).copied();
        let own: BTreeSet<&String> = match namesake {
            Some(own) => [own].into(),
            None => spaces.into_iter().collect(),
        };
        let wanted = words(noun);
        let squeezed = noun.to_ascii_lowercase();
        let mut found = own
            .into_iter()
            .filter_map(|space| self.by_namespace.get(space))
            .flatten()
            .filter(|(words, _)| same(words, &wanted) || words.concat() == squeezed)
            .map(|(_, kind)| kind);
        let first = found.next()?;
        found.next().is_none().then(|| first.clone())
    }

    /// The one type that CloudFormation deletes by this operation and that its noun ends with.
    fn deleted_by(
        &self,
        service: &str,
        signing: &str,
        operation: &str,
        rule: &ResourceRule,
    ) -> Option<String> {
        let rest = operation
            .strip_prefix("Delete")
            .or_else(|| operation.strip_prefix("Terminate"))?;
        if rule.rule == "named" {
            return None;
        }
        let lower = rest.to_ascii_lowercase();
        let deleted: BTreeSet<&String> = [service, signing]
            .into_iter()
            .filter_map(|prefix| {
                let permission = format!("{prefix}:{operation}").to_ascii_lowercase();
                self.by_permission.get(&permission)
            })
            .flatten()
            .filter(|kind| {
                own_name(kind).is_some_and(|(_, own)| {
                    let own = own.to_ascii_lowercase();
                    lower.ends_with(&own) || own.ends_with(&lower)
                })
            })
            .collect();
        let mut deleted = deleted.into_iter();
        let first = deleted.next()?;
        deleted.next().is_none().then(|| first.clone())
    }
}

/// Namespace and name: `EC2` and `Volume` of `AWS::EC2::Volume`.
fn own_name(kind: &str) -> Option<(&str, &str)> {
    kind.strip_prefix("AWS::")?.split_once("::")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(name: &str, deletes: &[&str]) -> Schema {
        let permissions = deletes.iter().map(|p| (*p).to_owned()).collect();
        Schema {
            type_name: name.to_owned(),
            handlers: Handlers {
                delete: Handler { permissions },
            },
        }
    }

    fn types() -> Types {
        let schemas = [
            schema("AWS::EC2::Volume", &["ec2:DeleteVolume", "ec2:DeleteTags"]),
            schema(
                "AWS::EC2::Instance",
                &["ec2:TerminateInstances", "ec2:DeleteVolume"],
            ),
            schema("AWS::EC2::EIP", &["ec2:ReleaseAddress"]),
            schema("AWS::RDS::DBInstance", &["rds:DeleteDBInstance"]),
            schema("AWS::Neptune::DBInstance", &["rds:DeleteDBInstance"]),
        ];
        let data = r#"
            namespaces = { rds = ["RDS"], neptune = ["Neptune"] }
            types = { "ec2:Address" = "AWS::EC2::EIP" }
        "#;
        Types::new(data, &schemas).unwrap()
    }

    #[test]
    fn a_noun_finds_the_one_type_of_its_service() {
        let of = |service: &str, kind: &str| types().of(service, service, kind);
        assert_eq!(of("ec2", "ec2:Volume").as_deref(), Some("AWS::EC2::Volume"));
        assert_eq!(of("ec2", "ec2:Address").as_deref(), Some("AWS::EC2::EIP"));
        assert_eq!(of("ec2", "ec2:Vpc"), None);
        assert_eq!(
            of("rds", "rds:DbInstance").as_deref(),
            Some("AWS::RDS::DBInstance")
        );
        let neptune = types().of("neptune", "rds", "neptune:DBInstance");
        assert_eq!(neptune.as_deref(), Some("AWS::Neptune::DBInstance"));
        assert_eq!(of("ec2", "AWS::EC2::Volume"), None);
    }

    #[test]
    fn data_that_names_no_type_is_refused() {
        let schemas = [schema("AWS::EC2::Volume", &[])];
        let bad = |text: &str| Types::new(text, &schemas).unwrap_err().to_string();
        assert!(bad("types = { \"ec2:Address\" = \"AWS::EC2::EIP\" }").contains("`AWS::EC2::EIP`"));
        assert!(bad("namespaces = { rds = [\"RDS\"] }").contains("`AWS::RDS`"));
        assert!(bad("kinds = {}").contains("unknown field"));
    }
}
