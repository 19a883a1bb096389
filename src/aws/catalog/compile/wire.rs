//! `wire.toml`: what the models don't say about the wire, as data.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;

use super::RulesError;
use super::json::{items, members, text};
use crate::aws::catalog::model::Protocol;

const WIRE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/config/wire.toml"));

/// The data, read.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wire {
    denied: Denied,
    errors: Errors,
    url_members: BTreeMap<String, String>,
    headers: BTreeMap<String, BTreeMap<String, String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Denied {
    anywhere: Vec<String>,
    mostly: Vec<String>,
    instead: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Errors {
    bare: BTreeSet<String>,
}

impl Wire {
    /// The data that this version comes with.
    ///
    /// # Errors
    /// [`RulesError::Syntax`].
    pub(super) fn embedded() -> Result<Self, RulesError> {
        toml::from_str(WIRE).map_err(|e| RulesError::Syntax(format!("config/wire.toml: {e}")))
    }

    /// Whether a service's XML errors stand without an element around them.
    pub(super) fn is_bare(&self, service: &str) -> bool {
        self.errors.bare.contains(service)
    }

    /// The member of a service's forms that is the URL they may be sent to.
    pub(super) fn url_member(&self, service: &str) -> Option<String> {
        self.url_members.get(service).cloned()
    }

    /// The headers that each request of a service carries.
    pub(super) fn headers(&self, service: &str) -> Vec<(String, String)> {
        let own = self.headers.get(service).into_iter().flatten();
        own.map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    }

    /// The code with which a service says that access is denied; `None` where that is its protocol's own.
    pub(super) fn denied(&self, model: &Value, protocols: &[Protocol]) -> Option<String> {
        let usual = protocols.first().map(|p| usual(*p));
        let modelled = Modelled::of(model);
        let mostly = || {
            let listed = |code: &&String| 2 * modelled.listed(code) >= modelled.operations;
            self.denied.mostly.iter().find(listed)
        };
        let anywhere = || {
            let listed = |code: &&String| modelled.listed(code) > 0;
            self.denied.anywhere.iter().find(listed)
        };
        let best = anywhere().or_else(mostly).map(String::as_str).or(usual)?;
        let code = if modelled.retryable.contains(best) {
            &self.denied.instead
        } else {
            best
        };
        (Some(code) != usual).then(|| code.to_owned())
    }
}

/// The code of a protocol's own, where the model has none.
const fn usual(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::AwsJson | Protocol::RestJson | Protocol::RpcV2Cbor | Protocol::RpcV2Json => {
            "AccessDeniedException"
        }
        Protocol::RestXml | Protocol::AwsQuery => "AccessDenied",
        Protocol::Ec2Query => "UnauthorizedOperation",
    }
}

/// What a model says of its errors' codes.
struct Modelled {
    operations: usize,
    /// How many operations list a code.
    counts: BTreeMap<String, usize>,
    retryable: BTreeSet<String>,
}

impl Modelled {
    fn of(model: &Value) -> Self {
        let mut found = Self {
            operations: 0,
            counts: BTreeMap::new(),
            retryable: BTreeSet::new(),
        };
        let shapes = model.get("shapes");
        for (_, operation) in members(model, "operations") {
            found.operations += 1;
            for name in items(operation, "errors").filter_map(|e| text(e, "shape")) {
                let shape = shapes.and_then(|s| s.get(name));
                let code = shape
                    .and_then(|s| s.get("error"))
                    .and_then(|e| text(e, "code"))
                    .unwrap_or(name);
                *found.counts.entry(code.to_owned()).or_default() += 1;
                if shape.is_some_and(|s| s.get("retryable").is_some()) {
                    found.retryable.insert(code.to_owned());
                }
            }
        }
        found
    }

    fn listed(&self, code: &str) -> usize {
        self.counts.get(code).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(protocol: Protocol, errors: &[&[&str]], expected: Option<&str>) {
        let operations: serde_json::Map<String, Value> = errors
            .iter()
            .enumerate()
            .map(|(n, names)| {
                let listed: Vec<Value> = names.iter().map(|n| json!({"shape": n})).collect();
                (format!("Op{n}"), json!({"errors": listed}))
            })
            .collect();
        let shapes = json!({
            "ForbiddenException": {"error": {"httpStatusCode": 403}},
            "AuthorizationErrorException": {"error": {"code": "AuthorizationError"}},
        });
        let model = json!({"operations": operations, "shapes": shapes});
        let found = Wire::embedded().unwrap().denied(&model, &[protocol]);
        assert_eq!(found.as_deref(), expected, "{errors:?}");
    }

    #[test]
    fn the_code_of_a_denial_is_one_that_the_model_has() {
        use Protocol::*;
        check(AwsJson, &[&["AccessDeniedException"], &[]], None);
        check(
            AwsJson,
            &[&["ForbiddenException"], &["AccessDeniedException"]],
            None,
        );
        check(
            RestJson,
            &[&["ForbiddenException"], &[]],
            Some("ForbiddenException"),
        );
        check(
            AwsQuery,
            &[&["AuthorizationErrorException"]],
            Some("AuthorizationError"),
        );
        check(
            AwsQuery,
            &[&["AccessDeniedException"]],
            Some("AccessDeniedException"),
        );
        check(Ec2Query, &[&[]], None);
        check(RestXml, &[&["AccessDenied"]], None);
    }

    #[test]
    fn a_code_that_few_operations_list_speaks_of_something_else() {
        let few: [&[&str]; 3] = [&["NotAuthorizedException"], &[], &[]];
        check(Protocol::RestXml, &few, None);
    }

    #[test]
    fn a_code_that_sdks_would_try_again_is_not_sent() {
        let model = json!({
            "operations": {"Op": {"errors": [{"shape": "AccessDeniedException"}]}},
            "shapes": {"AccessDeniedException": {"retryable": {"throttling": false}}},
        });
        let found = Wire::embedded()
            .unwrap()
            .denied(&model, &[Protocol::RestJson]);
        assert_eq!(found.as_deref(), Some("AccessDenied"));
    }
}
