//! Decisions that are kept: most calls are reads and writes, judged on their service by policies that look at next to
//! nothing of the request, and come from the same few callers.
//!
//! INVARIANT: what is found was decided by the policies of this slice for an equal [`Matter`], and a matter is all that
//! such policies can see.

use std::sync::RwLock;

use foldhash::HashMap;

use super::{Decision, On, Question};
use crate::guard::policies::Slice;

/// The most callers whose decisions one slice keeps, of which there may be thousands. Beyond that all are forgotten, and
/// made anew.
const CALLERS_MAX: usize = 64;

/// The fields of the context that a [`Matter`] has, or that are the same for every call.
const FIELDS: [&str; 5] = ["approved", "batchSize", "dryRun", "selector", "used"];

/// All that is put to Cedar of a call that is judged on its service, where no policy reads more of the context than
/// [`FIELDS`]. Of a caller that is the name and the groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Matter<'q> {
    name: &'q str,
    groups: &'q [String],
    batch_size: usize,
    selector: bool,
    dry_run: bool,
}

impl<'q> Matter<'q> {
    /// `None` where the policies can see more.
    pub(super) fn of(slice: &Slice, question: &'q Question) -> Option<Self> {
        let sees_no_more = question.on == On::Service && slice.reads.context.is_within(&FIELDS);
        let caller = &question.call.caller;
        sees_no_more.then_some(Self {
            name: &caller.name,
            groups: &caller.groups,
            batch_size: question.batch_size,
            selector: question.selector,
            dry_run: question.dry_run,
        })
    }
}

/// The decisions of one slice on its service, the last one for each caller's name. A refusal isn't kept.
#[derive(Debug, Default)]
pub(in crate::guard) struct Settled(RwLock<HashMap<String, Kept>>);

#[derive(Debug)]
struct Kept {
    groups: Vec<String>,
    batch_size: usize,
    selector: bool,
    dry_run: bool,
    decision: Decision,
}

impl Kept {
    fn is_of(&self, name: &str, matter: Matter<'_>) -> bool {
        let own = Matter {
            name,
            groups: &self.groups,
            batch_size: self.batch_size,
            selector: self.selector,
            dry_run: self.dry_run,
        };
        own == matter
    }
}

impl Settled {
    pub(super) fn find(&self, matter: Matter<'_>) -> Option<Decision> {
        let kept = self.0.read().ok()?;
        let (name, kept) = kept.get_key_value(matter.name)?;
        kept.is_of(name, matter).then(|| kept.decision.clone())
    }

    pub(super) fn keep(&self, matter: Matter<'_>, decision: &Decision) {
        let Ok(mut kept) = self.0.write() else {
            return;
        };
        if kept.len() >= CALLERS_MAX && !kept.contains_key(matter.name) {
            kept.clear();
        }
        let new = Kept {
            groups: matter.groups.to_vec(),
            batch_size: matter.batch_size,
            selector: matter.selector,
            dry_run: matter.dry_run,
            decision: decision.clone(),
        };
        kept.insert(matter.name.to_owned(), new);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::call::Verdict;

    fn decision(policy: &str) -> Decision {
        Decision {
            verdict: Verdict::Allowed,
            policies: vec![policy.to_owned()],
            resources: Vec::new(),
            would: None,
        }
    }

    #[test]
    fn a_decision_is_found_for_the_same_matter_alone() {
        let groups = ["a", "b"].map(str::to_owned);
        let matter = Matter {
            name: "ci",
            groups: &groups,
            batch_size: 1,
            selector: false,
            dry_run: false,
        };
        let settled = Settled::default();
        settled.keep(matter, &decision("one"));
        assert_eq!(settled.find(matter), Some(decision("one")));
        let others = [
            Matter {
                name: "c",
                ..matter
            },
            Matter {
                groups: &groups[..1],
                ..matter
            },
            Matter {
                groups: &[],
                ..matter
            },
            Matter {
                batch_size: 2,
                ..matter
            },
            Matter {
                selector: true,
                ..matter
            },
            Matter {
                dry_run: true,
                ..matter
            },
        ];
        for other in others {
            assert_eq!(settled.find(other), None, "{other:?}");
        }
        settled.keep(others[1], &decision("two"));
        assert_eq!(settled.find(others[1]), Some(decision("two")));
        assert_eq!(settled.find(matter), None);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let settled = Settled::default();
        for n in 0..3 * CALLERS_MAX {
            let matter = Matter {
                name: &n.to_string(),
                groups: &[],
                batch_size: 1,
                selector: false,
                dry_run: false,
            };
            settled.keep(matter, &decision("one"));
            assert!(settled.0.read().unwrap().len() <= CALLERS_MAX);
        }
    }
}
