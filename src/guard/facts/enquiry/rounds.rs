//! The calls of a plan, round by round: what can be asked now, in batches as large as AWS takes.

use std::collections::BTreeMap;

use super::super::fill::fill;
use super::{Attribute, Enquiry, EnquiryError, LookupCall, Subject};
use crate::aws::value::Value;
use crate::guard::knowledge::LookupRule;

impl Enquiry<'_> {
    /// The calls that can be made now; empty when all is known.
    ///
    /// # Errors
    /// [`EnquiryError::Failed`] where what is still wanted can't be asked for, since an answer lacked it.
    pub fn next_round(&mut self) -> Result<Vec<LookupCall>, EnquiryError> {
        let mut calls = Vec::new();
        let mut waiting = None;
        let lookups: Vec<String> = self.lookups.keys().cloned().collect();
        for name in &lookups {
            let Some(lookup) = self.lookups.get(name).cloned() else {
                continue;
            };
            let open: Vec<usize> = (0..self.subjects.len())
                .filter(|at| self.is_open(*at, name))
                .collect();
            let (by_name, by_id): (Vec<usize>, Vec<usize>) =
                open.into_iter().partition(|at| self.is_nameless(*at));
            for at in by_name {
                if lookup.inputs_by_name.is_empty() {
                    waiting = waiting.or(Some(lookup.operation.clone()));
                    continue;
                }
                self.calls(name, &lookup, &lookup.inputs_by_name, &[at], &mut calls);
            }
            let (ready, not): (Vec<usize>, Vec<usize>) = by_id
                .into_iter()
                .partition(|at| self.is_ready(*at, &lookup));
            if !not.is_empty() {
                waiting = waiting.or(Some(lookup.operation.clone()));
            }
            for batch in self.batches(name, &lookup, ready) {
                self.calls(name, &lookup, &lookup.inputs, &batch, &mut calls);
            }
        }
        match waiting {
            Some(operation) if calls.is_empty() => Err(EnquiryError::Failed {
                operation,
                message: "an earlier answer lacked what it has to be asked with".to_owned(),
            }),
            _ => Ok(calls),
        }
    }

    /// The subjects of a lookup, as many to a call as AWS takes. Where the call names their parents, only those that
    /// have the same go together.
    fn batches(&self, name: &str, lookup: &LookupRule, ready: Vec<usize>) -> Vec<Vec<usize>> {
        let size = if self.singly.contains(name) {
            1
        } else {
            lookup.batch
        };
        let mut groups: BTreeMap<&[String], Vec<usize>> = BTreeMap::new();
        let nobody: &[String] = &[];
        let of_parents = lookup.uses("parent");
        for at in ready {
            let parents = self.subjects.get(at).map(|s| s.parents.as_slice());
            let key = parents.filter(|_| of_parents).unwrap_or(nobody);
            groups.entry(key).or_default().push(at);
        }
        let chunks = groups.values().flat_map(|group| group.chunks(size));
        chunks.map(<[usize]>::to_vec).collect()
    }

    fn is_open(&self, at: usize, lookup: &str) -> bool {
        let wanted = self
            .subjects
            .get(at)
            .is_some_and(|s| s.wanted.contains(lookup));
        wanted && !self.asked.contains(&(lookup.to_owned(), at))
    }

    fn is_nameless(&self, at: usize) -> bool {
        self.subjects.get(at).is_some_and(|s| s.facts.id.is_none())
    }

    fn is_ready(&self, at: usize, lookup: &LookupRule) -> bool {
        let arn = self
            .subjects
            .get(at)
            .is_some_and(|s| s.facts.attributes.contains_key(&Attribute::Arn));
        arn || !lookup.uses("arn")
    }

    fn calls(
        &mut self,
        name: &str,
        lookup: &LookupRule,
        inputs: &[toml::Table],
        subjects: &[usize],
        calls: &mut Vec<LookupCall>,
    ) {
        for at in subjects {
            self.asked.insert((name.to_owned(), *at));
        }
        let of: Vec<&Subject<'_>> = subjects
            .iter()
            .filter_map(|at| self.subjects.get(*at))
            .collect();
        for input in inputs {
            let mut filled = fill(&self.place, input, &of);
            if let (Some(member), true) = (&lookup.account, self.place.account_named) {
                filled.set(member, Value::String(self.place.account.clone()));
            }
            calls.push(LookupCall {
                service: match &lookup.service {
                    Some(other) => other.clone(),
                    None => self.service.id.clone(),
                },
                operation: lookup.operation.clone(),
                input: filled,
                next: lookup.next.clone(),
                concurrency: lookup.concurrency,
                cacheable: !lookup.tells_tags(),
                lookup: name.to_owned(),
                subjects: subjects.to_vec(),
            });
        }
    }
}
