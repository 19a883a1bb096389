//! Which actions of IAM's the policies forbid, and what of the guarded operations they don't cover.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::bail;
use serde::Serialize;

use super::besides::{Besides, Denied, LeftOpen};
use crate::aws::catalog::{Catalog, Operation, Service};
use crate::aws::class::Class;
use crate::aws::iam::{Action, ByInput, Iam, Needs};
use crate::aws::nearest::nearest;

/// What is asked for.
#[derive(Debug, Clone)]
pub(super) struct Wanted<'a> {
    pub(super) classes: Vec<Class>,
    /// Empty for every one.
    pub(super) services: &'a [String],
    /// `service:Operation`.
    pub(super) except: &'a [String],
    /// `prefix:Action`, or groups of them.
    pub(super) also: &'a [String],
    pub(super) by_input: bool,
}

/// Actions by prefix, then by their key.
pub(super) type Actions = BTreeMap<String, BTreeMap<String, Action>>;
/// Prefix and key of an action.
pub(super) type Key = (String, String);

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
    /// Of what is guarded for some inputs only: that for which IAM asks for forbidden actions.
    pub(super) by_part: Vec<ByPart>,
    pub(super) excepted: Vec<Excepted>,
    pub(super) also: Vec<Denied>,
    /// What destroys and is no operation, and isn't forbidden.
    pub(super) left_open: Vec<LeftOpen>,
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

/// An operation of which some inputs need forbidden actions.
#[derive(Debug, Serialize)]
pub(super) struct ByPart {
    pub(super) operation: String,
    pub(super) class: Class,
    pub(super) actions: Vec<String>,
    /// Whether all inputs of that class need them.
    pub(super) all: bool,
}

/// An operation that was excepted, by the actions that it needs.
#[derive(Debug, Serialize)]
pub(super) struct Excepted {
    pub(super) operation: String,
    /// Those that are left to everyone.
    pub(super) left: Vec<String>,
    /// Those that aren't, since something else is forbidden by them.
    pub(super) kept: Vec<Kept>,
}

/// An action that an exception doesn't open.
#[derive(Debug, Serialize)]
pub(super) struct Kept {
    pub(super) action: String,
    /// `s3:DeleteObjects`, or `--also`.
    pub(super) by: Vec<String>,
}

/// An operation that wasn't asked for and that only the guard does afterwards.
#[derive(Debug, Serialize)]
pub(super) struct TakenAlong {
    pub(super) operation: String,
    pub(super) action: String,
}

/// What needs an action, besides what is forbidden.
#[derive(Debug, Default)]
pub(super) struct Others {
    pub(super) names: BTreeSet<String>,
    /// Whether the guard signs any of it with its work role. What is guarded, of a class that wasn't asked for or
    /// excepted, it signs with its guarded role: that asks for no exemption.
    pub(super) is_of_work: bool,
}

/// Actions that the policies forbid, and for what.
#[derive(Debug, Default)]
pub(super) struct Forbidden(BTreeMap<Key, (Action, BTreeSet<String>)>);

impl Forbidden {
    pub(super) fn insert(&mut self, action: Action, what_for: &str) {
        let entry = self.0.entry(key_of(&action));
        let (_, names) = entry.or_insert_with(|| (action, BTreeSet::new()));
        names.insert(what_for.to_owned());
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &Key> {
        self.0.keys()
    }

    /// What an action is forbidden for; `None` where it isn't.
    pub(super) fn what_for(&self, action: &Action) -> Option<&BTreeSet<String>> {
        self.0.get(&key_of(action)).map(|(_, names)| names)
    }
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
        let mut forbidden = Forbidden::default();
        // What else an action is needed for.
        let mut free: BTreeMap<Key, Others> = BTreeMap::new();
        let mut excepted: Vec<(String, Vec<Action>)> = Vec::new();
        let mut prefixes = BTreeSet::new();
        for id in catalog.service_ids() {
            let Some(service) = catalog.service(id)? else {
                continue;
            };
            for operation in service.operations.values().filter(|o| o.is_of_aws()) {
                let name = format!("{id}:{}", operation.name);
                let needs = iam.needs(&service, operation);
                let by_input = iam.needs_by_input(&service, operation);
                let part = wanted.part(&service, operation);
                if let (Needs::Actions(actions), true) = (&needs, wanted.is_of(id)) {
                    prefixes.extend(actions.iter().map(|a| a.prefix.clone()));
                }
                if wanted.is_excepted(&name) {
                    let asked = by_input.iter().flat_map(|asked| asked.actions.clone());
                    excepted.push((name.clone(), actions_of(&needs).chain(asked).collect()));
                }
                let by_input = by_input
                    .filter(|asked| part.is_by_input() && wanted.classes.contains(&asked.class));
                let is_told = by_input.as_ref().is_some_and(|asked| asked.all);
                if let Some(asked) = by_input {
                    choice.take_parts(&name, asked, &mut forbidden);
                }
                match part {
                    // It has no action of its own.
                    Part::ByInput | Part::ByInputLeft if is_told => {}
                    Part::Guarded | Part::ByInput => {
                        for action in choice.take(&name, operation, needs) {
                            if part == Part::ByInput {
                                free.entry(key_of(&action)).or_default().is_of_work = true;
                            }
                            forbidden.insert(action, &name);
                        }
                    }
                    Part::ByInputLeft | Part::Free => {
                        if part == Part::ByInputLeft {
                            choice.by_input.push(name.clone());
                        }
                        for action in actions_of(&needs) {
                            let others = free.entry(key_of(&action)).or_default();
                            others.names.insert(name.clone());
                            others.is_of_work |= !operation.class.is_guarded();
                        }
                    }
                }
            }
        }
        let beside = Besides::new(iam, wanted, &prefixes, &free, &forbidden);
        choice.also = beside.deny(wanted.also, &mut forbidden)?;
        choice.left_open = beside.left_open(&forbidden);
        choice.excepted = tell_excepted(excepted, &forbidden);
        choice.divide(forbidden, &free);
        Ok(choice)
    }

    /// Takes in what IAM asks for by an operation's input.
    fn take_parts(&mut self, name: &str, asked: ByInput, forbidden: &mut Forbidden) {
        self.by_part.push(ByPart {
            operation: name.to_owned(),
            class: asked.class,
            actions: asked.actions.iter().map(spelt).collect(),
            all: asked.all,
        });
        for action in asked.actions {
            forbidden.insert(action, name);
        }
    }

    /// Takes an operation in, or tells why not; gives the actions to forbid.
    fn take(&mut self, name: &str, operation: &Operation, needs: Needs) -> Vec<Action> {
        let why = match needs {
            Needs::Actions(actions) => {
                self.covered.push(Covered {
                    operation: name.to_owned(),
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
            operation: name.to_owned(),
            class: operation.class,
            why,
        });
        Vec::new()
    }

    fn divide(&mut self, forbidden: Forbidden, free: &BTreeMap<Key, Others>) {
        for (key, (action, _)) in forbidden.0 {
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

impl Part {
    fn is_by_input(self) -> bool {
        matches!(self, Part::ByInput | Part::ByInputLeft)
    }
}

impl Wanted<'_> {
    /// Whether operations of a service are asked for.
    pub(super) fn is_of(&self, id: &str) -> bool {
        self.services.is_empty() || self.services.iter().any(|s| s == id)
    }

    fn is_excepted(&self, name: &str) -> bool {
        self.except.iter().any(|except| except == name)
    }

    fn part(&self, service: &Service, operation: &Operation) -> Part {
        let name = format!("{}:{}", service.id, operation.name);
        if !self.is_of(&service.id) || self.is_excepted(&name) {
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

fn tell_excepted(all: Vec<(String, Vec<Action>)>, forbidden: &Forbidden) -> Vec<Excepted> {
    let tell = |(operation, actions): (String, Vec<Action>)| {
        let (mut left, mut kept) = (Vec::new(), Vec::new());
        for action in actions {
            match forbidden.what_for(&action) {
                None => left.push(spelt(&action)),
                Some(names) => kept.push(Kept {
                    action: spelt(&action),
                    by: names.iter().cloned().collect(),
                }),
            }
        }
        Excepted {
            operation,
            left,
            kept,
        }
    };
    all.into_iter().map(tell).collect()
}

fn actions_of(needs: &Needs) -> impl Iterator<Item = Action> {
    let actions = match needs {
        Needs::Actions(actions) => actions.clone(),
        Needs::Left(_) | Needs::Unknown(_) => Vec::new(),
    };
    actions.into_iter()
}

pub(super) fn key_of(action: &Action) -> Key {
    (action.prefix.clone(), action.key.clone())
}

/// As policies spell it.
pub(super) fn spelt(action: &Action) -> String {
    format!("{}:{}", action.prefix, action.name)
}
