//! Which actions of IAM's the policies forbid, and what of the guarded operations they don't cover.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::bail;
use serde::Serialize;

use crate::aws::catalog::{Catalog, Operation, Service};
use crate::aws::class::Class;
use crate::aws::iam::{Action, Iam, Needs};
use crate::aws::nearest::nearest;

/// What is asked for.
#[derive(Debug, Clone)]
pub(super) struct Wanted<'a> {
    pub(super) classes: Vec<Class>,
    /// Empty for every one.
    pub(super) services: &'a [String],
    /// `service:Operation`.
    pub(super) except: &'a [String],
    pub(super) by_input: bool,
}

/// Actions by prefix, then by their key.
pub(super) type Actions = BTreeMap<String, BTreeMap<String, Action>>;
/// Prefix and key of an action.
type Key = (String, String);

/// What the policies forbid, and what they don't.
#[derive(Debug, Default)]
pub(super) struct Choice {
    /// Actions that nothing needs but what is guarded, of whatever class.
    pub(super) guarded: Actions,
    /// Actions that something needs, too, that isn't guarded, or isn't always.
    pub(super) shared: Actions,
    pub(super) covered: Vec<Covered>,
    pub(super) uncovered: Vec<Uncovered>,
    /// What else the forbidden actions are needed for, besides what was asked for.
    pub(super) taken_along: Vec<TakenAlong>,
    /// What is guarded for some inputs only, where that wasn't asked for.
    pub(super) by_input: Vec<String>,
}

/// A guarded operation whose actions the policies forbid.
#[derive(Debug, Serialize)]
pub(super) struct Covered {
    pub(super) operation: String,
    pub(super) class: Class,
    /// `s3:DeleteObject`.
    pub(super) actions: Vec<String>,
}

/// A guarded operation that no policy covers.
#[derive(Debug, Serialize)]
pub(super) struct Uncovered {
    pub(super) operation: String,
    pub(super) class: Class,
    pub(super) why: String,
}

/// An operation that wasn't asked for and that only the guard does afterwards.
#[derive(Debug, Serialize)]
pub(super) struct TakenAlong {
    pub(super) operation: String,
    pub(super) action: String,
}

/// What needs an action, besides what is forbidden.
#[derive(Debug, Default)]
struct Others {
    names: BTreeSet<String>,
    /// Whether the guard signs any of it with its work role. What is guarded, of a class that wasn't asked for or
    /// excepted, it signs with its guarded role: that asks for no exemption.
    is_of_work: bool,
}

/// What a policy does with an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Every call of it is guarded, and of a class that is wanted.
    Guarded,
    /// Some are, and these are wanted.
    ByInput,
    /// Some are, and these aren't wanted.
    ByInputLeft,
    /// Not in question.
    Free,
}

impl Choice {
    /// # Errors
    /// Where a service or an operation that is named isn't there, or the catalog is damaged.
    pub(super) fn make(catalog: &Catalog, iam: &Iam, wanted: &Wanted<'_>) -> anyhow::Result<Self> {
        check_names(catalog, wanted)?;
        let mut choice = Self::default();
        let mut forbidden: BTreeMap<Key, Action> = BTreeMap::new();
        // What else an action is needed for.
        let mut free: BTreeMap<Key, Others> = BTreeMap::new();
        for id in catalog.service_ids() {
            let Some(service) = catalog.service(id)? else {
                continue;
            };
            for operation in service.operations.values().filter(|o| o.is_of_aws()) {
                let name = format!("{id}:{}", operation.name);
                let needs = iam.needs(&service, operation);
                let part = wanted.part(&service, operation);
                match part {
                    Part::Guarded | Part::ByInput => {
                        let actions = choice.take(name, operation, needs);
                        for action in actions {
                            let key = (action.prefix.clone(), action.key.clone());
                            if part == Part::ByInput {
                                free.entry(key.clone()).or_default().is_of_work = true;
                            }
                            forbidden.entry(key).or_insert(action);
                        }
                    }
                    Part::ByInputLeft | Part::Free => {
                        if part == Part::ByInputLeft {
                            choice.by_input.push(name.clone());
                        }
                        if let Needs::Actions(actions) = needs {
                            for action in actions {
                                let others = free.entry((action.prefix, action.key));
                                let others = others.or_default();
                                others.names.insert(name.clone());
                                others.is_of_work |= !operation.class.is_guarded();
                            }
                        }
                    }
                }
            }
        }
        choice.divide(forbidden, &free);
        Ok(choice)
    }

    /// Takes an operation in, or tells why not; gives the actions to forbid.
    fn take(&mut self, name: String, operation: &Operation, needs: Needs) -> Vec<Action> {
        let why = match needs {
            Needs::Actions(actions) => {
                self.covered.push(Covered {
                    operation: name,
                    class: operation.class,
                    actions: actions.iter().map(spelt).collect(),
                });
                return actions;
            }
            Needs::Left(why) => why,
            Needs::Unknown(looked_for) => {
                let gone = operation.gone.as_ref();
                let gone = gone.map(|release| format!("; {release} had it last"));
                format!(
                    "AWS's list of actions has none for it (looked for: {looked_for}){}",
                    gone.unwrap_or_default()
                )
            }
        };
        self.uncovered.push(Uncovered {
            operation: name,
            class: operation.class,
            why,
        });
        Vec::new()
    }

    fn divide(&mut self, forbidden: BTreeMap<Key, Action>, free: &BTreeMap<Key, Others>) {
        for (key, action) in forbidden {
            let others = free.get(&key);
            let names = others.into_iter().flat_map(|others| &others.names);
            let along = names.map(|operation| TakenAlong {
                operation: operation.clone(),
                action: spelt(&action),
            });
            self.taken_along.extend(along);
            let part = match others.is_some_and(|others| others.is_of_work) {
                false => &mut self.guarded,
                true => &mut self.shared,
            };
            part.entry(key.0).or_default().insert(key.1, action);
        }
    }
}

impl Wanted<'_> {
    fn part(&self, service: &Service, operation: &Operation) -> Part {
        let id = &service.id;
        let is_wanted = self.services.is_empty() || self.services.contains(id);
        let mut except = self.except.iter();
        if !is_wanted || except.any(|e| e.split_once(':') == Some((id, &operation.name))) {
            return Part::Free;
        }
        if self.classes.contains(&operation.class) {
            return Part::Guarded;
        }
        let mut conditions = operation.conditions.iter();
        // An operation of another guarded class is that class's own matter.
        let is_by_input = !operation.class.is_guarded()
            && conditions.any(|condition| self.classes.contains(&condition.class));
        match is_by_input {
            true if self.by_input => Part::ByInput,
            true => Part::ByInputLeft,
            false => Part::Free,
        }
    }
}

fn check_names(catalog: &Catalog, wanted: &Wanted<'_>) -> anyhow::Result<()> {
    for id in wanted.services {
        if catalog.outline(id).is_none() {
            match nearest(id, catalog.service_ids()) {
                Some(near) => bail!("there is no service `{id}`; did you mean `{near}`?"),
                None => bail!(
                    "there is no service `{id}`; services are named as the AWS CLI names them"
                ),
            }
        }
    }
    for name in wanted.except {
        let (id, operation) = name.split_once(':').unwrap_or((name, ""));
        let outline = catalog.outline(id);
        if outline.and_then(|o| o.operation(operation)).is_none() {
            match catalog.nearest_action(name) {
                Some(near) => bail!("there is no operation `{name}`; did you mean `{near}`?"),
                None => bail!(
                    "there is no operation `{name}`: it is spelt `service:Operation`, as in `sqs:DeleteMessage`"
                ),
            }
        }
    }
    Ok(())
}

/// As policies spell it.
fn spelt(action: &Action) -> String {
    format!("{}:{}", action.prefix, action.name)
}
