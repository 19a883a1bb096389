//! What AWS's models don't say, read from the service files (`config/services/*.toml`).
//!
//! A service file says, for one service: which member names a resource and of what type ([`OperationRule`]),
//! how a type's ARN is spelt and which lookups tell its facts ([`TypeRule`]), and how a lookup is made and read
//! ([`LookupRule`]).
//!
//! INVARIANT: an overlay only adds; it never changes what an embedded file says.

pub mod derived;
mod lookup;

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::guard::facts::Attribute;
use crate::guard::path::Path;

pub use lookup::{AttributePlace, LookupRule};

/// The service files, by service.
#[derive(Debug, Clone, Default)]
pub struct Knowledge {
    services: BTreeMap<String, ServiceRules>,
    /// The services that files of the user's own speak of.
    overlaid: BTreeSet<String>,
}

/// One service file.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceRules {
    /// As botocore names it.
    pub service: String,
    /// The member by which calls of this service say in which other account they act, where they have it.
    pub account: Option<Path>,
    #[serde(default)]
    pub operations: BTreeMap<String, OperationRule>,
    /// By CloudFormation name, or `service:Noun`; `*` stands for every type that has no table of its own.
    #[serde(default)]
    pub types: BTreeMap<String, TypeRule>,
    #[serde(default)]
    pub lookups: BTreeMap<String, LookupRule>,
}

/// What is particular about one operation.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperationRule {
    /// Guards a read or a write too: parsed, its input visible to policies, judged on the service.
    #[serde(default)]
    pub guarded: bool,
    /// Where the resources stand; absent: as the catalog found them.
    pub resources: Option<ResourcePlace>,
    /// Members that select resources without naming them.
    #[serde(default)]
    pub selectors: Vec<Path>,
    /// Where the tag keys stand that the call sets or removes; absent: in members named like tags.
    pub tag_keys: Option<Vec<Path>>,
    /// The call leaves no tags but those that it sets: which ones it takes off, only a lookup tells.
    #[serde(default)]
    pub replaces_tags: bool,
    /// What AWS takes an absent member for, as policies see it. Never sent.
    #[serde(default)]
    pub defaults: BTreeMap<String, String>,
}

/// Where a call's resources stand in its input.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResourcePlace {
    pub ids: Path,
    /// Another member that may name the resource in place of `ids`: exactly one of the two. The name is
    /// resolved, and the id is sent in its place.
    pub name: Option<Path>,
    #[serde(default)]
    pub parents: Vec<Parent>,
    #[serde(rename = "type")]
    pub kind: String,
}

/// One parent of a resource.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parent {
    pub id: Path,
    #[serde(rename = "type")]
    pub kind: String,
    /// What AWS takes for the parent where the call names none: `default`.
    pub default: Option<String>,
}

/// What is known about a type of resource.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TypeRule {
    /// `arn:{partition}:workspaces:{region}:{account}:workspace/{id}`.
    pub arn: Option<Template>,
    /// Names of lookups.
    #[serde(default)]
    pub lookups: Vec<String>,
    /// The resource has no facts of its own: those of its outermost parent count.
    #[serde(default)]
    pub facts_of_parent: bool,
    /// Where they do, the lookup that tells the tags of the resource itself: for calls that change those.
    pub own_tags: Option<String>,
    /// Attributes that AWS has no such thing as for this type, so that their absence is a fact.
    #[serde(default)]
    pub never: Vec<Attribute>,
    /// AWS has no tags for this type, so that their absence is a fact.
    #[serde(default)]
    pub untagged: bool,
    /// Why the tags can't be read, said to the one who is refused for it.
    pub tags_unreadable: Option<String>,
    /// The id that a lookup told is sent in place of the caller's spelling: a name may come to mean another resource
    /// before the call arrives.
    #[serde(default)]
    pub send_id: bool,
}

/// Text with variables in braces.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Template(pub String);

impl Template {
    /// Whether the variable stands in it.
    #[must_use]
    pub fn uses(&self, variable: &str) -> bool {
        self.0.contains(&format!("{{{variable}}}"))
    }

    /// Fills the variables in; `None` where one is unknown.
    #[must_use]
    pub fn fill(&self, value: impl Fn(&str) -> Option<String>) -> Option<String> {
        let mut filled = String::new();
        let mut rest = self.0.as_str();
        while let Some((before, after)) = rest.split_once('{') {
            let (variable, tail) = after.split_once('}')?;
            filled.push_str(before);
            filled.push_str(&value(variable)?);
            rest = tail;
        }
        filled.push_str(rest);
        Some(filled)
    }
}

/// Why a service file can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KnowledgeError {
    #[error("{file}: {message}")]
    Syntax { file: String, message: String },
    #[error(
        "{file}: two files speak of the service `{service}`; a folder of your own adds to an embedded one"
    )]
    Twice { file: String, service: String },
    #[error(
        "{file}: `{table}.{name}` is said by the embedded file already; an overlay may only add"
    )]
    Overrides {
        file: String,
        table: &'static str,
        name: String,
    },
    #[error("{file}: the type `{kind}` names the lookup `{lookup}`, which the file doesn't define")]
    NoLookup {
        file: String,
        kind: String,
        lookup: String,
    },
    #[error("{file}: the lookup `{lookup}` has no inputs, a batch of 0 or a concurrency of 0")]
    EmptyLookup { file: String, lookup: String },
}

impl Knowledge {
    /// The files embedded in the binary.
    ///
    /// # Errors
    /// [`KnowledgeError`]: only if the binary was built with a bad file.
    pub fn embedded() -> Result<Self, KnowledgeError> {
        let mut knowledge = Self::default();
        for (file, text) in EMBEDDED {
            let rules = parse(file, text)?;
            knowledge.services.insert(rules.service.clone(), rules);
        }
        knowledge.check()?;
        Ok(knowledge)
    }

    /// Adds the user's files, given as `(name, text)`, on top.
    ///
    /// # Errors
    /// [`KnowledgeError`] naming file and what is wrong with it.
    pub fn overlay(mut self, files: &[(String, String)]) -> Result<Self, KnowledgeError> {
        for (file, text) in files {
            let added = parse(file, text)?;
            self.overlaid.insert(added.service.clone());
            let rules = self
                .services
                .entry(added.service.clone())
                .or_insert_with(|| ServiceRules {
                    service: added.service.clone(),
                    ..ServiceRules::default()
                });
            if let Some(account) = added.account {
                if rules.account.is_some() {
                    let (table, name) = ("service", "account".to_owned());
                    return Err(KnowledgeError::Overrides {
                        file: file.clone(),
                        table,
                        name,
                    });
                }
                rules.account = Some(account);
            }
            add(file, "operations", &mut rules.operations, added.operations)?;
            add(file, "types", &mut rules.types, added.types)?;
            add(file, "lookups", &mut rules.lookups, added.lookups)?;
        }
        self.check()?;
        Ok(self)
    }

    /// What is known about a service.
    #[must_use]
    pub fn service(&self, service: &str) -> Option<&ServiceRules> {
        self.services.get(service)
    }

    /// What is particular about an operation.
    #[must_use]
    pub fn operation(&self, service: &str, operation: &str) -> Option<&OperationRule> {
        self.services.get(service)?.operations.get(operation)
    }

    /// What is known about a type, or about types of the service that have no table of their own.
    #[must_use]
    pub fn kind(&self, service: &str, kind: &str) -> Option<&TypeRule> {
        let types = &self.services.get(service)?.types;
        types.get(kind).or_else(|| types.get("*"))
    }

    /// Every service that has a file.
    pub fn services(&self) -> impl Iterator<Item = &ServiceRules> {
        self.services.values()
    }

    /// The services that files of the user's own speak of, with all that is known about them.
    pub fn overlaid(&self) -> impl Iterator<Item = &ServiceRules> {
        self.overlaid.iter().filter_map(|id| self.services.get(id))
    }

    fn check(&self) -> Result<(), KnowledgeError> {
        for rules in self.services.values() {
            let file = format!("{}.toml", rules.service);
            for (kind, rule) in &rules.types {
                let mut named = rule.lookups.iter().chain(&rule.own_tags);
                if let Some(lookup) = named.find(|l| !rules.lookups.contains_key(*l)) {
                    let (kind, lookup) = (kind.clone(), lookup.clone());
                    return Err(KnowledgeError::NoLookup { file, kind, lookup });
                }
            }
            for (lookup, rule) in &rules.lookups {
                if rule.inputs.is_empty() || rule.batch == 0 || rule.concurrency == 0 {
                    return Err(KnowledgeError::EmptyLookup {
                        file,
                        lookup: lookup.clone(),
                    });
                }
            }
        }
        Ok(())
    }
}

fn parse(file: &str, text: &str) -> Result<ServiceRules, KnowledgeError> {
    toml::from_str(text).map_err(|e| KnowledgeError::Syntax {
        file: file.to_owned(),
        message: e.to_string().trim_end().to_owned(),
    })
}

fn add<T: PartialEq>(
    file: &str,
    table: &'static str,
    into: &mut BTreeMap<String, T>,
    added: BTreeMap<String, T>,
) -> Result<(), KnowledgeError> {
    for (name, rule) in added {
        if into.contains_key(&name) {
            return Err(KnowledgeError::Overrides {
                file: file.to_owned(),
                table,
                name,
            });
        }
        into.insert(name, rule);
    }
    Ok(())
}

const EMBEDDED: &[(&str, &str)] = &[
    (
        "autoscaling.toml",
        include_str!("../../config/services/autoscaling.toml"),
    ),
    (
        "cloudformation.toml",
        include_str!("../../config/services/cloudformation.toml"),
    ),
    (
        "dynamodb.toml",
        include_str!("../../config/services/dynamodb.toml"),
    ),
    ("ec2.toml", include_str!("../../config/services/ec2.toml")),
    ("ecs.toml", include_str!("../../config/services/ecs.toml")),
    ("efs.toml", include_str!("../../config/services/efs.toml")),
    ("eks.toml", include_str!("../../config/services/eks.toml")),
    (
        "elbv2.toml",
        include_str!("../../config/services/elbv2.toml"),
    ),
    ("iam.toml", include_str!("../../config/services/iam.toml")),
    ("kms.toml", include_str!("../../config/services/kms.toml")),
    (
        "lambda.toml",
        include_str!("../../config/services/lambda.toml"),
    ),
    ("logs.toml", include_str!("../../config/services/logs.toml")),
    ("rds.toml", include_str!("../../config/services/rds.toml")),
    (
        "route53.toml",
        include_str!("../../config/services/route53.toml"),
    ),
    (
        "inspector.toml",
        include_str!("../../config/services/inspector.toml"),
    ),
    ("s3.toml", include_str!("../../config/services/s3.toml")),
    (
        "s3control.toml",
        include_str!("../../config/services/s3control.toml"),
    ),
    (
        "secretsmanager.toml",
        include_str!("../../config/services/secretsmanager.toml"),
    ),
    (
        "workspaces.toml",
        include_str!("../../config/services/workspaces.toml"),
    ),
    (
        "workspaces-instances.toml",
        include_str!("../../config/services/workspaces-instances.toml"),
    ),
    (
        "servicecatalog.toml",
        include_str!("../../config/services/servicecatalog.toml"),
    ),
    ("mgn.toml", include_str!("../../config/services/mgn.toml")),
    ("evs.toml", include_str!("../../config/services/evs.toml")),
    ("sts.toml", include_str!("../../config/services/sts.toml")),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_files_are_sound() {
        let knowledge = Knowledge::embedded().unwrap();
        assert_eq!(knowledge.services().count(), EMBEDDED.len());
    }

    #[test]
    fn an_overlay_adds_but_never_changes() {
        let add = (
            "mine.toml".to_owned(),
            "service = \"sqs\"\n[operations.DeleteQueue]\n".to_owned(),
        );
        let knowledge = Knowledge::embedded().unwrap().overlay(&[add]).unwrap();
        assert!(knowledge.operation("sqs", "DeleteQueue").is_some());
        let change = (
            "mine.toml".to_owned(),
            "service = \"mgn\"\n[operations.TerminateTargetInstances]\n".to_owned(),
        );
        let refused = Knowledge::embedded()
            .unwrap()
            .overlay(&[change])
            .unwrap_err();
        assert_eq!(
            refused.to_string(),
            "mine.toml: `operations.TerminateTargetInstances` is said by the embedded file already; an overlay may only add"
        );
    }

    #[test]
    fn a_misspelt_key_is_an_error() {
        let bad = (
            "mine.toml".to_owned(),
            "service = \"ec2\"\n[operations.X]\nguard = true\n".to_owned(),
        );
        let refused = Knowledge::embedded()
            .unwrap()
            .overlay(&[bad])
            .unwrap_err()
            .to_string();
        assert!(refused.contains("unknown field `guard`"), "{refused}");
    }

    #[test]
    fn templates_fill_known_variables_only() {
        let template = Template("arn:{partition}:x:{id}".into());
        let fill = |v: &str| (v != "id").then(|| "aws".to_owned());
        assert_eq!(template.fill(fill), None);
        assert_eq!(
            template.fill(|v| Some(v.to_owned())).unwrap(),
            "arn:partition:x:id"
        );
    }
}
