//! Which actions of IAM's an operation needs: by rule, held to AWS's list of actions (`config/iam-actions.txt`), and as
//! `config/iam.toml` says where the rule doesn't tell.
//!
//! INVARIANT: an action that is told stands in the list; an operation without one is told as such, never left out.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::catalog::{Operation, Service};

const ACTIONS: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/config/iam-actions.txt"
));
const EXCEPTIONS: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/config/iam.toml"));

/// An action of IAM's: `s3:DeleteObject`. Two are one where they differ in capitals only, as they are to IAM.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Action {
    /// `s3`.
    pub prefix: String,
    /// In small letters, as the list has it: `deleteobject`.
    pub key: String,
    /// As people write it: `DeleteObject`.
    pub name: String,
}

/// What IAM asks for when an operation is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Needs {
    /// These, one of them or all; at least one.
    Actions(Vec<Action>),
    /// Something that a policy of an organization can't forbid, or is not to: why.
    Left(String),
    /// Nothing that AWS's list has: what was looked for, `monitoring:DeleteAlarms`.
    Unknown(String),
}

/// AWS's list of actions, and how operations are told from it.
#[derive(Debug)]
pub struct Iam {
    actions: BTreeMap<&'static str, BTreeSet<&'static str>>,
    resource_control: Vec<String>,
    exceptions: BTreeMap<String, Exceptions>,
}

/// Why there is no table.
#[derive(Debug, thiserror::Error)]
pub enum IamError {
    #[error("`config/iam.toml`: {0}")]
    Syntax(String),
    #[error(
        "`config/iam.toml`: `{service}:{operation}` needs `{action}`, which AWS's list of actions hasn't"
    )]
    Action {
        service: String,
        operation: String,
        action: String,
    },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// The prefixes that resource control policies may hold.
    resource_control: Vec<String>,
    service: BTreeMap<String, Exceptions>,
}

/// What `config/iam.toml` says of one service.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Exceptions {
    #[cfg_attr(
        not(test),
        expect(
            dead_code,
            reason = "a reason stands by each, for those who read the file"
        )
    )]
    why: String,
    #[serde(default)]
    prefixes: Vec<String>,
    #[serde(default)]
    by_method: bool,
    #[serde(default)]
    actions: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    left: BTreeMap<String, String>,
}

impl Iam {
    /// The table that this binary carries.
    ///
    /// # Errors
    /// [`IamError`] where the file is wrong, or names an action that there isn't.
    pub fn embedded() -> Result<Self, IamError> {
        Self::parse(EXCEPTIONS)
    }

    fn parse(exceptions: &str) -> Result<Self, IamError> {
        let file: File = toml::from_str(exceptions).map_err(|e| IamError::Syntax(e.to_string()))?;
        let lines = ACTIONS.lines().filter(|line| !line.starts_with('#'));
        let actions = lines.filter_map(|line| {
            let (prefix, actions) = line.split_once(' ')?;
            Some((prefix, actions.split(' ').collect()))
        });
        let iam = Self {
            actions: actions.collect(),
            resource_control: file.resource_control,
            exceptions: file.service,
        };
        for (service, said) in &iam.exceptions {
            for (operation, actions) in &said.actions {
                if let Some(action) = actions.iter().find(|a| {
                    // Without prefixes of its own it is the signing name's, which the catalog alone knows.
                    let is_explicit = a.contains(':') || !said.prefixes.is_empty();
                    is_explicit && iam.named(&said.prefixes, a).is_empty()
                }) {
                    return Err(IamError::Action {
                        service: service.clone(),
                        operation: operation.clone(),
                        action: action.clone(),
                    });
                }
            }
        }
        Ok(iam)
    }

    /// Every action under a prefix, in small letters; `None` where there is no such prefix.
    #[must_use]
    pub fn under(&self, prefix: &str) -> Option<&BTreeSet<&'static str>> {
        self.actions.get(prefix)
    }

    /// Whether resource control policies may hold actions of this prefix.
    #[must_use]
    pub fn is_of_resource_control(&self, prefix: &str) -> bool {
        self.resource_control.iter().any(|p| p == prefix)
    }

    /// What IAM asks for when this operation is called.
    #[must_use]
    pub fn needs(&self, service: &Service, operation: &Operation) -> Needs {
        let said = self.exceptions.get(&service.id);
        if let Some(why) = said.and_then(|s| s.left.get(&operation.name)) {
            return Needs::Left(why.clone());
        }
        let signing = std::slice::from_ref(&service.signing_name);
        let prefixes = match said {
            Some(said) if !said.prefixes.is_empty() => said.prefixes.as_slice(),
            Some(_) | None => signing,
        };
        if let Some(names) = said.and_then(|s| s.actions.get(&operation.name)) {
            let found = names.iter().map(|name| self.named(prefixes, name));
            // One that isn't there makes the whole unknown: half of what an operation needs may be all it takes.
            let found: Vec<Vec<Action>> = found.collect();
            if found.iter().all(|actions| !actions.is_empty()) {
                return Needs::Actions(found.into_iter().flatten().collect());
            }
            return Needs::Unknown(names.join(", "));
        }
        let mut found = self.named(prefixes, &operation.name);
        if found.is_empty() && said.is_some_and(|s| s.by_method) {
            found = self.named(prefixes, &operation.method);
        }
        if found.is_empty() {
            let prefix = prefixes.first().map_or("", String::as_str);
            return Needs::Unknown(format!("{prefix}:{}", operation.name));
        }
        Needs::Actions(found)
    }

    /// The actions of that name: `prefix:Name`, or `Name` under each of the prefixes that has it.
    fn named(&self, prefixes: &[String], name: &str) -> Vec<Action> {
        let of = |prefix: &str, name: &str| {
            let key = name.to_ascii_lowercase();
            let is_there = self.under(prefix)?.contains(key.as_str());
            is_there.then(|| Action {
                prefix: prefix.to_owned(),
                key,
                name: name.to_owned(),
            })
        };
        match name.split_once(':') {
            Some((prefix, name)) => of(prefix, name).into_iter().collect(),
            None => prefixes.iter().filter_map(|p| of(p, name)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::catalog::Catalog;

    fn needs(action: &str) -> String {
        let (id, name) = action.split_once(':').unwrap();
        let catalog = Catalog::embedded().unwrap();
        let service = catalog.service(id).unwrap().unwrap();
        match Iam::embedded()
            .unwrap()
            .needs(&service, &service.operations[name])
        {
            Needs::Actions(actions) => {
                let spelt = actions.iter().map(|a| format!("{}:{}", a.prefix, a.name));
                spelt.collect::<Vec<_>>().join(" ")
            }
            Needs::Left(why) => format!("left: {why}"),
            Needs::Unknown(looked_for) => format!("unknown: {looked_for}"),
        }
    }

    #[track_caller]
    fn check(action: &str, expected: &str) {
        assert_eq!(needs(action), expected, "{action}");
    }

    #[test]
    fn most_actions_are_called_as_their_operation() {
        check("ec2:TerminateInstances", "ec2:TerminateInstances");
        check("docdb:DeleteDBCluster", "rds:DeleteDBCluster");
        check(
            "elbv2:DeleteLoadBalancer",
            "elasticloadbalancing:DeleteLoadBalancer",
        );
    }

    #[test]
    fn those_that_are_called_otherwise_are_data() {
        check(
            "s3:ListObjectsV2",
            "s3:ListBucket s3-outposts:ListBucket s3-object-lambda:ListBucket",
        );
        check(
            "s3:DeleteBucketEncryption",
            "s3:PutEncryptionConfiguration s3express:PutEncryptionConfiguration",
        );
        check("lambda:Invoke", "lambda:InvokeFunction");
        check("cloudwatch:DeleteAlarms", "cloudwatch:DeleteAlarms");
        check("apigateway:DeleteRestApi", "apigateway:DELETE");
        check("apigatewayv2:DeletePortal", "apigateway:DeletePortal");
        assert!(needs("s3:HeadObject").starts_with("s3:GetObject "));
        assert!(needs("s3:CompleteMultipartUpload").starts_with("s3:PutObject "));
        assert!(needs("s3:DeleteObjects").contains(" s3:DeleteObjectVersion "));
    }

    #[test]
    fn what_the_list_hasnt_is_unknown_and_what_isnt_to_be_forbidden_is_left() {
        check(
            "macie:DisassociateS3Resources",
            "unknown: macie:DisassociateS3Resources",
        );
        assert!(needs("sts:AssumeRole").starts_with("left: forbidden, nobody"));
    }

    #[test]
    fn an_exception_that_names_no_action_is_an_error() {
        let text = "resource_control = []\n[service.s3]\nwhy = \"-\"\nprefixes = [\"s3\"]\n\
                    actions = { DeleteObject = [\"DeleteNothing\"] }";
        assert_eq!(
            Iam::parse(text).unwrap_err().to_string(),
            "`config/iam.toml`: `s3:DeleteObject` needs `DeleteNothing`, which AWS's list of actions hasn't",
        );
    }

    #[test]
    fn the_exceptions_are_about_what_there_is() {
        let iam = Iam::embedded().unwrap();
        let catalog = Catalog::embedded().unwrap();
        for (id, said) in &iam.exceptions {
            let service = catalog.service(id).unwrap();
            let service = service.unwrap_or_else(|| panic!("there is no service `{id}`"));
            assert!(!said.why.is_empty(), "{id}");
            for prefix in &said.prefixes {
                assert!(iam.under(prefix).is_some(), "{id}: {prefix}");
            }
            for name in said.actions.keys().chain(said.left.keys()) {
                let operation = service.operations.get(name);
                let operation = operation.unwrap_or_else(|| panic!("there is no `{id}:{name}`"));
                let needs = iam.needs(&service, operation);
                assert!(
                    !matches!(needs, Needs::Unknown(_)),
                    "{id}:{name}: {needs:?}"
                );
            }
        }
    }

    #[test]
    fn the_list_is_of_the_release_that_the_catalog_is_made_of() {
        let pinned = include_str!("../../config/botocore.txt");
        let (_, version) = pinned.split_once("cfn-lint==").unwrap();
        let version = version.split(' ').next().unwrap();
        let head = ACTIONS.lines().next().unwrap();
        assert!(head.contains(&format!("of cfn-lint {version},")), "{head}");
    }

    #[test]
    fn hardly_any_guarded_operation_is_unknown() {
        let iam = Iam::embedded().unwrap();
        let catalog = Catalog::embedded().unwrap();
        let (mut all, mut unknown) = (0, 0);
        for id in catalog.service_ids() {
            let service = catalog.service(id).unwrap().unwrap();
            let current = service.operations.values();
            for operation in current.filter(|o| o.class.is_guarded() && o.gone.is_none()) {
                all += 1;
                unknown += usize::from(matches!(iam.needs(&service, operation), Needs::Unknown(_)));
            }
        }
        assert!(all > 5_000, "{all}");
        assert!(unknown * 20 < all, "{unknown} of {all}");
    }
}
