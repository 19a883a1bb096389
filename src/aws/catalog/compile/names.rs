//! `arns.toml`: how things are spelt, by type.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::aws::catalog::model::{Naming, Service};

/// How things are spelt, by type.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(transparent)]
pub struct Names {
    types: BTreeMap<String, Naming>,
}

/// Why the data can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NamesError {
    #[error("the spellings don't parse: {0}")]
    Syntax(String),
    #[error("the spelling `{form}` of `{kind}` doesn't say where its id stands: write `{{id}}`")]
    NoId { kind: String, form: String },
}

impl Names {
    /// Reads the data, in TOML.
    ///
    /// # Errors
    /// [`NamesError`] where it doesn't parse, or a spelling has no id.
    pub fn parse(text: &str) -> Result<Self, NamesError> {
        let names: Self = toml::from_str(text).map_err(|e| NamesError::Syntax(e.to_string()))?;
        for (kind, naming) in &names.types {
            let mut forms = naming.arn.iter().chain(&naming.forms).chain(&naming.names);
            let has_id = |form: &str| form.contains("{id}") || form.contains("{id+}");
            if let Some(form) = forms.find(|form| !has_id(form)) {
                return Err(NamesError::NoId {
                    kind: kind.clone(),
                    form: form.clone(),
                });
            }
        }
        Ok(names)
    }

    /// Every type that the data speaks of.
    pub fn types(&self) -> impl Iterator<Item = &str> {
        self.types.keys().map(String::as_str)
    }

    /// Those of the types that the operations of a service name.
    pub(super) fn of(&self, service: &Service) -> BTreeMap<String, Naming> {
        let rules = service
            .operations
            .values()
            .filter_map(|o| o.resource.as_ref());
        let named: BTreeSet<&str> = rules
            .flat_map(|rule| {
                let others = rule.parents.iter().chain(&rule.also);
                let others = others.filter_map(|other| other.kind.as_deref());
                others.chain([rule.kind.as_str()])
            })
            .collect();
        named
            .into_iter()
            .filter_map(|kind| Some((kind.to_owned(), self.types.get(kind)?.clone())))
            .collect()
    }
}
