//! Whether the guard can do its work: named conditions, each set by whoever knows.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// All conditions of a guard. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Readiness {
    conditions: Arc<Mutex<Vec<Slot>>>,
    remark: Arc<Mutex<Option<String>>>,
}

/// One condition, held by whoever knows about it. Where it is dropped, it stays as it was.
#[derive(Debug)]
pub struct Condition {
    conditions: Arc<Mutex<Vec<Slot>>>,
    index: usize,
}

/// Asks for a reason against readiness.
type Ask = Box<dyn Fn() -> Option<String> + Send + Sync>;

struct Slot {
    name: &'static str,
    state: State,
}

enum State {
    Met,
    Unmet(String),
    Asked(Ask),
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Slot").field(&self.name).finish()
    }
}

impl Readiness {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a condition that isn't met yet, and says why.
    #[must_use]
    pub fn condition(&self, name: &'static str, reason: &str) -> Condition {
        let index = self.push(name, State::Unmet(reason.to_owned()));
        Condition {
            conditions: Arc::clone(&self.conditions),
            index,
        }
    }

    /// Adds a condition that is asked about each time: `Some` is the reason why it isn't met. It must not block.
    pub fn ask(
        &self,
        name: &'static str,
        reason: impl Fn() -> Option<String> + Send + Sync + 'static,
    ) {
        self.push(name, State::Asked(Box::new(reason)));
    }

    /// Why the guard isn't ready, a line each: `journal: the disk is full`. Empty where it is.
    #[must_use]
    pub fn reasons(&self) -> Vec<String> {
        let conditions = lock(&self.conditions);
        if conditions.is_empty() {
            return vec!["start: nothing has been checked yet".to_owned()];
        }
        let reasons = conditions.iter().filter_map(|slot| {
            let reason = match &slot.state {
                State::Met => None,
                State::Unmet(reason) => Some(reason.clone()),
                State::Asked(ask) => ask(),
            }?;
            let line = reason.replace(char::is_control, " ");
            Some(format!("{}: {line}", slot.name))
        });
        reasons.collect()
    }

    /// Says something that whoever asks should know, though the guard does its work; `None` takes it back.
    pub fn remark(&self, remark: Option<String>) {
        let remark = remark.map(|text| text.replace(char::is_control, " "));
        *self.remark.lock().unwrap_or_else(PoisonError::into_inner) = remark;
    }

    /// What was last remarked, in one line.
    #[must_use]
    pub fn remarked(&self) -> Option<String> {
        let remark = self.remark.lock().unwrap_or_else(PoisonError::into_inner);
        remark.clone()
    }

    fn push(&self, name: &'static str, state: State) -> usize {
        let mut conditions = lock(&self.conditions);
        conditions.push(Slot { name, state });
        conditions.len() - 1
    }
}

impl Condition {
    /// From now on it is met.
    pub fn met(&self) {
        self.set(State::Met);
    }

    /// From now on it isn't, and why.
    pub fn unmet(&self, reason: impl Into<String>) {
        self.set(State::Unmet(reason.into()));
    }

    fn set(&self, state: State) {
        if let Some(slot) = lock(&self.conditions).get_mut(self.index) {
            slot.state = state;
        }
    }
}

fn lock(conditions: &Mutex<Vec<Slot>>) -> MutexGuard<'_, Vec<Slot>> {
    conditions.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_checked_is_not_ready() {
        assert_eq!(Readiness::new().reasons().len(), 1);
    }

    #[test]
    fn every_condition_must_be_met() {
        let readiness = Readiness::new();
        let policies = readiness.condition("policies", "are being read");
        let proxy = readiness.condition("proxy", "doesn't listen yet");
        policies.met();
        assert_eq!(readiness.reasons(), ["proxy: doesn't listen yet"]);
        proxy.met();
        assert!(readiness.reasons().is_empty());
        policies.unmet("line one\nline two");
        assert_eq!(readiness.reasons(), ["policies: line one line two"]);
    }

    #[test]
    fn what_is_asked_is_asked_each_time() {
        let readiness = Readiness::new();
        let full = Arc::new(Mutex::new(Some("the disk is full".to_owned())));
        let asked = Arc::clone(&full);
        readiness.ask("journal", move || asked.lock().unwrap().clone());
        assert_eq!(readiness.reasons(), ["journal: the disk is full"]);
        *full.lock().unwrap() = None;
        assert!(readiness.reasons().is_empty());
    }
}
