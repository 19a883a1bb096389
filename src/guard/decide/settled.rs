//! Decisions that are kept: most calls are reads and writes, judged on their service by policies that look at nothing of
//! the request, and come from the same few callers.
//!
//! INVARIANT: what is kept was decided by the policies of this slice for a caller of this name in these groups. Nothing
//! else of a caller is put to Cedar.

use std::collections::HashMap;
use std::sync::RwLock;

use super::Decision;
use crate::guard::call::Caller;

/// The most callers whose decisions one slice keeps. Beyond that all are forgotten, and made anew.
const CALLERS_MAX: usize = 1024;

/// The decisions of one slice on its service, by the caller's name. A refusal isn't kept.
#[derive(Debug, Default)]
pub(in crate::guard) struct Settled(RwLock<HashMap<String, Kept>>);

#[derive(Debug)]
struct Kept {
    groups: Vec<String>,
    decision: Decision,
}

impl Settled {
    pub(super) fn find(&self, caller: &Caller) -> Option<Decision> {
        let kept = self.0.read().ok()?;
        let kept = kept.get(&caller.name).filter(|k| k.groups == caller.groups);
        kept.map(|kept| kept.decision.clone())
    }

    pub(super) fn keep(&self, caller: &Caller, decision: &Decision) {
        let Ok(mut kept) = self.0.write() else {
            return;
        };
        if kept.len() >= CALLERS_MAX && !kept.contains_key(&caller.name) {
            kept.clear();
        }
        let (groups, decision) = (caller.groups.clone(), decision.clone());
        kept.insert(caller.name.clone(), Kept { groups, decision });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::call::Verdict;

    fn caller(name: &str, groups: &[&str]) -> Caller {
        Caller {
            name: name.to_owned(),
            groups: groups.iter().map(|g| (*g).to_owned()).collect(),
            ..Caller::unverified("")
        }
    }

    fn decision(policy: &str) -> Decision {
        Decision {
            verdict: Verdict::Allowed,
            policies: vec![policy.to_owned()],
            resources: Vec::new(),
            would: None,
        }
    }

    #[test]
    fn a_decision_is_found_for_the_same_name_in_the_same_groups_alone() {
        let settled = Settled::default();
        settled.keep(&caller("ci", &["a", "b"]), &decision("one"));
        assert_eq!(
            settled.find(&caller("ci", &["a", "b"])),
            Some(decision("one"))
        );
        for other in [
            caller("ci", &["a"]),
            caller("ci", &[]),
            caller("ci", &["a", "b", "c"]),
            caller("c", &["a", "b"]),
        ] {
            assert_eq!(settled.find(&other), None, "{other:?}");
        }
        settled.keep(&caller("ci", &["a"]), &decision("two"));
        assert_eq!(settled.find(&caller("ci", &["a"])), Some(decision("two")));
        assert_eq!(settled.find(&caller("ci", &["a", "b"])), None);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let settled = Settled::default();
        for n in 0..3 * CALLERS_MAX {
            settled.keep(&caller(&n.to_string(), &[]), &decision("one"));
            assert!(settled.0.read().unwrap().len() <= CALLERS_MAX);
        }
    }
}
