//! Where a call's resources stand in its input: from the service file, else from the catalog's rule.

use crate::aws::catalog::model::{Operation, ParentRule, ResourceRule, Service};
use crate::guard::knowledge::{OperationRule, Parent, ResourcePlace};
use crate::guard::path::{Path, PathError};

/// Where a call's resources stand.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Place {
    /// `None`: the call names only what they stand in, or selects.
    pub(super) ids: Option<Path>,
    /// Other ways to name the same.
    pub(super) or: Vec<Other>,
    /// Further things.
    pub(super) also: Vec<Further>,
    /// Outermost first.
    pub(super) parents: Vec<Within>,
    pub(super) kind: String,
    /// Whether a call may name nothing.
    pub(super) optional: bool,
    /// Whether an id may be another name of the thing.
    pub(super) loose: bool,
}

/// Another way to name the same thing.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Other {
    pub(super) path: Path,
    /// Whether it is a name behind which a lookup finds the id.
    pub(super) is_name: bool,
}

/// Where further things stand.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Further {
    pub(super) ids: Path,
    pub(super) kind: String,
}

/// Where a parent stands.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Within {
    pub(super) id: Path,
    pub(super) or: Option<Path>,
    pub(super) kind: String,
    pub(super) optional: bool,
    pub(super) default: Option<String>,
}

impl Place {
    /// The place that a service file says, else the one of the catalog; `None` where the call names nothing.
    ///
    /// # Errors
    /// [`PathError`] where the catalog's is no path.
    pub(super) fn of(
        service: &Service,
        operation: &Operation,
        rule: &OperationRule,
    ) -> Result<Option<Self>, PathError> {
        match (&rule.resources, &operation.resource) {
            (Some(place), _) => Ok(Some(place.clone().into())),
            (None, Some(found)) => from_catalog(service, found).map(Some),
            (None, None) => Ok(None),
        }
    }
}

impl From<ResourcePlace> for Place {
    fn from(place: ResourcePlace) -> Self {
        let ResourcePlace {
            ids,
            name,
            parents,
            kind,
        } = place;
        let other = |path| Other {
            path,
            is_name: true,
        };
        Self {
            ids: Some(ids),
            or: name.into_iter().map(other).collect(),
            also: Vec::new(),
            parents: parents.into_iter().map(Within::from).collect(),
            kind,
            optional: false,
            loose: false,
        }
    }
}

impl From<Parent> for Within {
    fn from(parent: Parent) -> Self {
        Self {
            id: parent.id,
            or: None,
            kind: parent.kind,
            optional: false,
            default: parent.default,
        }
    }
}

fn from_catalog(service: &Service, found: &ResourceRule) -> Result<Place, PathError> {
    let kind = |rule: &ParentRule| rule.kind_in(&service.id);
    let other = |text: &String| {
        Ok(Other {
            path: Path::parse(text)?,
            is_name: is_name(text) && !is_name(&found.ids) && !is_arn(&found.ids),
        })
    };
    let further = |rule: &ParentRule| {
        Ok(Further {
            ids: Path::parse(&rule.id)?,
            kind: kind(rule),
        })
    };
    let within = |rule: &ParentRule| {
        Ok(Within {
            id: Path::parse(&rule.id)?,
            or: rule.or.as_deref().map(Path::parse).transpose()?,
            kind: kind(rule),
            optional: rule.optional,
            default: rule.default.clone(),
        })
    };
    let ids = (!found.ids.is_empty()).then(|| Path::parse(&found.ids));
    Ok(Place {
        ids: ids.transpose()?,
        or: found.or.iter().map(other).collect::<Result<_, _>>()?,
        also: found.also.iter().map(further).collect::<Result<_, _>>()?,
        parents: found.parents.iter().map(within).collect::<Result<_, _>>()?,
        kind: found.kind.clone(),
        optional: found.optional,
        loose: found.loose,
    })
}

fn is_name(path: &str) -> bool {
    path.ends_with("Name") || path.ends_with("name")
}

fn is_arn(path: &str) -> bool {
    path.ends_with("Arn") || path.ends_with("ARN") || path.ends_with("arn")
}
