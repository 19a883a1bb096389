//! `own.toml`: operations that the guard answers by itself, as data. They are put into the models before those are read, so
//! that everything that holds for AWS's operations holds for them.
//!
//! INVARIANT: what is added is new, but for the one word `answers` on an operation of AWS's: nothing of a model is changed.

use std::collections::BTreeMap;

use serde::Deserialize as _;
use serde_json::{Map, Value};

use super::{CompileError, Models};
use crate::aws::catalog::model::Answers;

const OPERATIONS: &str = "operations";
const SHAPES: &str = "shapes";
const ANSWERS: &str = "answers";

/// What models get, by service; and the models of services that are the guard's own.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Own {
    services: BTreeMap<String, Map<String, Value>>,
}

/// Why the data can't be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OwnError {
    #[error("{0}")]
    Syntax(String),
    #[error("`{service}`: the model has `{name}` already")]
    Taken { service: String, name: String },
    #[error("`{operation}`: `answers` is none of those that the guard knows: {why}")]
    Answers { operation: String, why: String },
}

impl Own {
    /// Reads the data.
    ///
    /// # Errors
    /// [`OwnError::Syntax`].
    pub fn parse(text: &str) -> Result<Self, OwnError> {
        let services = toml::from_str(text).map_err(|e| OwnError::Syntax(e.to_string()))?;
        Ok(Self { services })
    }

    /// Adds to the models of a service what the guard answers there.
    ///
    /// # Errors
    /// [`OwnError::Taken`] where the model has what would be added.
    pub fn add_to(&self, models: &mut Models) -> Result<(), OwnError> {
        let Some(own) = self.services.get(&models.id) else {
            return Ok(());
        };
        let taken = |name: &str| OwnError::Taken {
            service: models.id.clone(),
            name: name.to_owned(),
        };
        for (section, entries) in own {
            let Some(entries) = entries.as_object() else {
                return Err(taken(section));
            };
            let there = models.service.get_mut(section);
            let there = there
                .and_then(Value::as_object_mut)
                .ok_or_else(|| taken(section))?;
            for (name, entry) in entries {
                match (there.get_mut(name), entry.get(ANSWERS)) {
                    (None, _) => {
                        there.insert(name.clone(), entry.clone());
                    }
                    // An operation of AWS's that is answered in its place.
                    (Some(Value::Object(operation)), Some(answers))
                        if entry.as_object().is_some_and(|entry| entry.len() == 1)
                            && section == OPERATIONS =>
                    {
                        operation.insert(ANSWERS.to_owned(), answers.clone());
                    }
                    (Some(_), _) => return Err(taken(name)),
                }
            }
        }
        Ok(())
    }

    /// The services that AWS hasn't: those with metadata of their own.
    pub fn services(&self) -> impl Iterator<Item = Models> {
        let whole = |own: &&Map<String, Value>| {
            [OPERATIONS, SHAPES, "metadata"]
                .iter()
                .all(|section| own.contains_key(*section))
        };
        let services = self.services.iter().filter(move |(_, own)| whole(own));
        services.map(|(id, own)| Models {
            id: id.clone(),
            service: Value::Object(own.clone()),
            endpoints: None,
        })
    }
}

/// With what the guard answers an operation that a model describes.
pub(super) fn answers(
    operation: &str,
    description: &Value,
) -> Result<Option<Answers>, CompileError> {
    let Some(answers) = description.get(ANSWERS) else {
        return Ok(None);
    };
    let answers = Answers::deserialize(answers).map_err(|e| OwnError::Answers {
        operation: operation.to_owned(),
        why: e.to_string(),
    })?;
    Ok(Some(answers))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn models(id: &str) -> Models {
        Models {
            id: id.to_owned(),
            service: json!({
                "operations": { "AssumeRole": { "http": {} } },
                "shapes": { "String": { "type": "string" } },
            }),
            endpoints: None,
        }
    }

    #[test]
    fn an_operation_of_aws_is_only_said_to_be_answered() {
        let own =
            "[sts.operations.AssumeRole]\nanswers = 'session'\n[sts.operations.New]\nhttp = {}";
        let mut sts = models("sts");
        Own::parse(own).unwrap().add_to(&mut sts).unwrap();
        assert_eq!(
            sts.service["operations"],
            json!({ "AssumeRole": { "http": {}, "answers": "session" }, "New": { "http": {} } })
        );
        let mut other = models("sns");
        Own::parse(own).unwrap().add_to(&mut other).unwrap();
        assert_eq!(other.service, models("sns").service);
    }

    #[test]
    fn nothing_of_a_model_is_changed() {
        for own in [
            "[sts.operations.AssumeRole]\nanswers = 'session'\nhttp = { method = 'GET' }",
            "[sts.operations.AssumeRole]\nhttp = {}",
            "[sts.shapes.String]\ntype = 'integer'",
            "[sts.shapes.String]\nanswers = 'session'",
            "[sts.metadata]\napiVersion = '1'",
            "[sts]\noperations = 1",
        ] {
            let refused = Own::parse(own).unwrap().add_to(&mut models("sts"));
            assert!(matches!(refused, Err(OwnError::Taken { .. })), "{own}");
        }
    }

    #[test]
    fn an_answer_that_nobody_gives_is_refused() {
        let described = json!({ "answers": "everything" });
        let refused = answers("sts:AssumeRole", &described).unwrap_err();
        assert!(refused.to_string().contains("`everything`"), "{refused}");
        assert_eq!(answers("sts:AssumeRole", &json!({})).unwrap(), None);
    }
}
