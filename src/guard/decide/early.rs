//! What a judgement before the lookups leaves for the one after them: most policies look at the call and its caller alone,
//! which lookups seldom change. Where one does, all is judged anew.
//!
//! INVARIANT: it holds for no question that differs from the one that was judged in anything that its policies can see,
//! but for the resources.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::SystemTime;

use super::case::Ground;
use super::conditions::{Conditions, Judgement, Known};
use super::{On, Question};
use crate::aws::catalog::model::Service;
use crate::aws::value::Object;
use crate::guard::call::Call;
use crate::guard::policies::Slice;

/// The question in Cedar's terms, and which conditions hold whatever its resources are.
#[derive(Debug)]
pub(in crate::guard) struct Early {
    conditions: Arc<Conditions>,
    constant: Constant,
    pub(super) ground: Ground,
    known: Known,
}

/// A question without its resources.
#[derive(Debug)]
struct Constant {
    call: Arc<Call>,
    service: Arc<Service>,
    /// `None` where no policy reads the input.
    view: Option<Object>,
    batch_size: usize,
    selector: bool,
    tag_keys: BTreeSet<String>,
    tag_keys_open: bool,
    request_tags: BTreeMap<String, String>,
    now: SystemTime,
    dry_run: bool,
}

impl Early {
    pub(super) fn of(
        conditions: &Arc<Conditions>,
        slice: &Slice,
        question: &Question,
        ground: Ground,
        known: Known,
    ) -> Self {
        let constant = Constant {
            call: Arc::clone(&question.call),
            service: Arc::clone(&question.service),
            view: reads_input(slice).then(|| question.view.clone()),
            batch_size: question.batch_size,
            selector: question.selector,
            tag_keys: question.tag_keys.clone(),
            tag_keys_open: question.tag_keys_open,
            request_tags: question.request_tags.clone(),
            now: question.now,
            dry_run: question.dry_run,
        };
        Self {
            conditions: Arc::clone(conditions),
            constant,
            ground,
            known,
        }
    }

    /// To ask the conditions what isn't known of them yet.
    pub(super) fn judgement(&self) -> Judgement<'_> {
        self.conditions.judge(self.known.clone())
    }

    /// Whether it was these conditions that were asked, and this question but for its resources.
    pub(super) fn holds_for(
        &self,
        conditions: &Conditions,
        slice: &Slice,
        question: &Question,
    ) -> bool {
        let Question {
            call,
            service,
            view,
            on,
            batch_size,
            selector,
            tag_keys,
            tag_keys_open,
            request_tags,
            now,
            dry_run,
            early: _,
        } = question;
        let judged = &self.constant;
        let same_view = match &judged.view {
            Some(judged) => judged == view,
            None => !reads_input(slice),
        };
        std::ptr::eq(&raw const *self.conditions, conditions)
            && Arc::ptr_eq(&judged.call, call)
            && Arc::ptr_eq(&judged.service, service)
            && same_view
            && matches!(on, On::Resources(_))
            && judged.batch_size == *batch_size
            && judged.selector == *selector
            && judged.tag_keys == *tag_keys
            && judged.tag_keys_open == *tag_keys_open
            && judged.request_tags == *request_tags
            && judged.now == *now
            && judged.dry_run == *dry_run
    }
}

fn reads_input(slice: &Slice) -> bool {
    slice.reads.context.contains("input")
}
