//! From a call to the [`Question`] about it: what it names before anything is looked up, what has to be looked up, and
//! what it is once that is known.
//!
//! INVARIANT: whoever asks the policies goes through here, a running guard and a test of policies alike.

use std::sync::Arc;
use std::time::SystemTime;

use crate::aws::catalog::model::{Operation, Service};
use crate::aws::value::{Object, Value};
use crate::guard::call::{Action, Call, Mode};
use crate::guard::decide::{On, Question, Resource};
use crate::guard::facts::{Facts, Needs, Place};
use crate::guard::knowledge::Knowledge;
use crate::guard::path::Path;
use crate::guard::policies::{Policies, Slice};
use crate::guard::protected::Protected;
use crate::guard::target::{
    ACCOUNT, NamePlace, Spelling, Target, TargetError, Targets, canonical, targets, with_trimmed,
};

/// What decisions are made by, besides the catalog.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'r> {
    pub knowledge: &'r Knowledge,
    pub policies: &'r Policies,
    pub protected: &'r Protected,
}

impl Rules<'_> {
    /// Whether a call is parsed in full and rebuilt: by its class, because its input tells its class, by its service file, or
    /// because a policy reads its input. `Monitor`: only because of policies that monitor.
    #[must_use]
    pub fn parses(&self, action: &Action, operation: &Operation) -> Option<Mode> {
        if operation.may_be_guarded() {
            return Some(Mode::Enforce);
        }
        self.guards(action)
    }

    /// Whether a read or a write is guarded: by its service file, or because a policy reads its input.
    #[must_use]
    pub fn guards(&self, action: &Action) -> Option<Mode> {
        let by_file = self.knowledge.operation(&action.service, &action.operation);
        if by_file.is_some_and(|rule| rule.guarded) {
            return Some(Mode::Enforce);
        }
        self.policies.guards(action)
    }

    /// Gives a call that has been parsed the class that its input puts it in. `mode`: `Monitor` where policies that only
    /// monitor may have it guarded.
    fn classify(&self, operation: &Operation, call: &mut Call, mode: Mode) {
        (call.class, call.group) = operation.class_of(&call.input);
        call.guarded = call.class.is_guarded()
            || match self.guards(&call.action) {
                Some(Mode::Enforce) => true,
                Some(Mode::Monitor) => mode == Mode::Monitor,
                None => false,
            };
    }

    /// What a parsed call names, from its input. The call has the class that its input puts it in afterwards, and, where it
    /// acts in another account than that of its credentials, that account. `mode`: `Monitor` where policies that only
    /// monitor may have it guarded.
    ///
    /// # Errors
    /// [`TargetError`] where the input names things in a way that isn't one.
    pub fn targets(
        &self,
        service: &Service,
        operation: &Operation,
        call: &mut Call,
        mode: Mode,
    ) -> Result<Targets, TargetError> {
        self.classify(operation, call, mode);
        let mut found = targets(service, operation, self.knowledge, &call.input)?;
        if let Some(account) = &found.account {
            call.account.clone_from(account);
        }
        let place = self.place(call, &found);
        found.targets = canonical(service, found.targets, &place);
        if found.targets.is_empty() && operation.may_be_guarded() {
            let spelling = Spelling::Id(call.account.clone());
            found
                .targets
                .push(Target::new(spelling, ACCOUNT, Vec::new()));
        }
        Ok(found)
    }

    /// The question about a call, before anything is looked up. `found` is what a guarded call names.
    #[must_use]
    pub fn question(
        &self,
        call: Arc<Call>,
        service: Arc<Service>,
        found: Option<&Targets>,
        now: SystemTime,
    ) -> Question {
        let on = match found {
            Some(named) if !named.targets.is_empty() => {
                let facts = vec![Facts::default(); named.targets.len()];
                On::Resources(self.resources(&call, named.targets.clone(), facts))
            }
            Some(_) | None => On::Service,
        };
        Question {
            service,
            view: self.view(&call),
            on,
            batch_size: found.map_or(1, |t| t.batch_size),
            selector: found.is_some_and(|t| t.selector),
            tag_keys: found.map(|t| t.tag_keys.clone()).unwrap_or_default(),
            tag_keys_open: found.is_some_and(|t| t.replaces_tags),
            request_tags: found.map(|t| t.request_tags.clone()).unwrap_or_default(),
            now,
            dry_run: matches!(call.input.get("DryRun"), Some(Value::Bool(true))),
            early: None,
            call,
        }
    }

    /// What has to be looked up before the policies of the slice may judge; `None` where nothing has to.
    #[must_use]
    pub fn needs(&self, slice: &Slice, question: &Question, found: &Targets) -> Option<Needs> {
        if question.on == On::Service {
            return None;
        }
        let service = &question.call.action.service;
        let mut needs = slice.needs(self.protected.speaks_of(service));
        needs.tag_keys = needs.tag_keys.filter(|_| found.replaces_tags);
        let by_name = |target: &Target| matches!(target.spelling, Spelling::Name(_));
        let named = found.targets.iter().any(by_name);
        (named || !needs.is_empty()).then_some(needs)
    }

    /// The place of a call, for its lookups.
    #[must_use]
    pub fn place(&self, call: &Call, found: &Targets) -> Place {
        Place {
            partition: call.partition.clone(),
            region: call.region.clone(),
            account: call.account.clone(),
            account_named: found.account.is_some(),
        }
    }

    /// Puts what lookups told, in the order of the targets, into the question.
    pub fn learn(&self, question: &mut Question, found: Targets, facts: Vec<Facts>) {
        if question.tag_keys_open {
            question.take_off(&facts);
        }
        question.on = On::Resources(self.resources(&question.call, found.targets, facts));
    }

    fn resources(&self, call: &Call, targets: Vec<Target>, facts: Vec<Facts>) -> Vec<Resource> {
        let service = &call.action.service;
        let resource =
            |(target, facts)| Resource::new(target, &call.account, facts, self.protected, service);
        targets.into_iter().zip(facts).map(resource).collect()
    }

    /// The input as policies see it: with what AWS takes absent members for.
    fn view(&self, call: &Call) -> Object {
        let rule = self
            .knowledge
            .operation(&call.action.service, &call.action.operation);
        let mut view = call.input.clone();
        for (path, value) in rule.iter().flat_map(|rule| &rule.defaults) {
            if let Ok(path) = Path::parse(path)
                && path.value(&view).is_none()
            {
                path.set(&mut view, Value::String(value.clone()));
            }
        }
        view
    }
}

impl Question {
    /// The call takes off what tags its resources have: their keys are among those that it changes.
    fn take_off(&mut self, facts: &[Facts]) {
        for of_one in facts {
            match &of_one.tag_keys {
                Some(keys) => self.tag_keys.extend(with_trimmed(keys.clone())),
                None => return,
            }
        }
        self.tag_keys_open = false;
    }

    /// Where the caller gave a name and a lookup told the id, the id is sent in the name's place: a name may come to
    /// mean another resource before the call arrives. What policies see stays as the caller wrote it.
    pub fn name_by_id(&mut self, by: Option<&NamePlace>) {
        let (Some(by), On::Resources(resources)) = (by, &self.on) else {
            return;
        };
        let named = |r: &&Resource| match &r.target.spelling {
            Spelling::Name(_) => true,
            Spelling::Id(_) => r.facts.send_id && by.name == by.id,
        };
        let sent = resources.iter().find(named).map(|resource| {
            let id = resource.facts.id.as_deref();
            Value::String(id.unwrap_or_else(|| resource.id()).to_owned())
        });
        if let Some(id) = sent {
            let input = &mut Arc::make_mut(&mut self.call).input;
            if by.name != by.id {
                input.remove(by.name.first());
            }
            by.id.set(input, id);
        }
    }
}
