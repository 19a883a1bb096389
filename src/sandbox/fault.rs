//! Faults that a test asks for: what goes wrong between a guard and AWS, done for real.

use std::collections::BTreeMap;

use serde_json::Value;

/// What goes wrong with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Refused as too many; nothing happens.
    Throttle,
    /// Refused for want of a permission; nothing happens.
    AccessDenied,
    /// Answered with status 500; nothing happens.
    ServerError,
    /// Read whole and **done**, then the connection is cut without an answer.
    DropAfterRead,
    /// Read whole, not done, never answered.
    Hang,
    /// Answered with status 200 and a page of HTML; nothing happens.
    Garbage,
    /// Done, but every list in the answer lacks its second half (the larger one of an odd number), and no token
    /// says that more is to come.
    PartialPage,
}

/// The faults to come, by action.
#[derive(Debug, Default)]
pub(super) struct Faults {
    by_action: BTreeMap<String, (Fault, u32)>,
}

impl Faults {
    pub(super) fn set(&mut self, action: &str, fault: Fault, calls: u32) {
        if calls == 0 {
            self.by_action.remove(action);
        } else {
            self.by_action.insert(action.to_owned(), (fault, calls));
        }
    }

    /// The fault that this call meets, which is then used up.
    pub(super) fn take(&mut self, action: &str) -> Option<Fault> {
        let (fault, calls) = self.by_action.get_mut(action)?;
        let fault = *fault;
        *calls = calls.saturating_sub(1);
        if *calls == 0 {
            self.by_action.remove(action);
        }
        Some(fault)
    }
}

/// Takes the second half of each list and the page token out of an answer.
pub(super) fn cut_page(answer: &mut Value) {
    let Some(members) = answer.as_object_mut() else {
        return;
    };
    for token in ["NextToken", "nextToken", "NextPageToken"] {
        members.remove(token);
    }
    for (_, member) in members.iter_mut() {
        if let Some(items) = member.as_array_mut() {
            items.truncate(items.len() / 2);
        }
    }
}
