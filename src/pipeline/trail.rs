//! What is known of a request so far: whatever becomes of it, the answer and the record are made from this.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::SystemTime;

use serde::Serialize;

use crate::aws::answer::Shape;
use crate::aws::class::Class;
use crate::aws::host::Host;
use crate::guard::call::{Call, DecisionId};
use crate::guard::decide::{On, Question};
use crate::guard::facts::Attribute;
use crate::guard::time;
use crate::journal::json_text::JsonText;
use crate::journal::record::Judgement;
use crate::journal::uuid_at;
use crate::pipeline::answered::SignedWith;
use crate::pipeline::arrive::request_head;
use crate::pipeline::streamed::Fault;
use crate::proxy::Intercepted;

/// The trail of one request.
#[derive(Debug)]
pub(super) struct Trail {
    pub(super) id: DecisionId,
    pub(super) host: Host,
    pub(super) peer: SocketAddr,
    /// The caller that the client proved to be at the proxy port.
    pub(super) proven: Option<Arc<str>>,
    /// In which shape a refusal is put.
    pub(super) shape: Shape,
    /// `service:Operation`, once identified.
    pub(super) action: Option<String>,
    pub(super) class: Option<Class>,
    /// Once authenticated.
    pub(super) call: Option<Arc<Call>>,
    /// The role that signs, or that signed the lookups, once it's known; `None`: the source of the credentials itself.
    pub(super) upstream_role: Option<String>,
    /// What it was signed with by the guard, once it was.
    pub(super) signed_with: Option<SignedWith>,
    /// Why the request's body broke off on its way, if it did.
    pub(super) fault: Fault,
    /// What the judgement saw, once there is something to see; until its last record takes it.
    pub(super) seen: Seen,
}

/// What a decision saw, as its record holds it.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) batch_size: u64,
    pub(super) input: JsonText,
    pub(super) facts: JsonText,
    pub(super) context: JsonText,
    pub(super) resources: Vec<SeenResource>,
}

/// One resource as its record holds it.
#[derive(Debug, Clone)]
pub(super) struct SeenResource {
    pub(super) id: String,
    pub(super) arn: Option<String>,
    pub(super) kind: String,
}

impl Default for Seen {
    fn default() -> Self {
        Self {
            batch_size: 1,
            input: JsonText::NULL,
            facts: JsonText::NULL,
            context: JsonText::NULL,
            resources: Vec::new(),
        }
    }
}

impl Seen {
    /// For a record of that judgement; the last one takes it.
    pub(super) fn for_record(&mut self, judgement: &Judgement) -> Self {
        match judgement {
            // Where it can't be written, or the call goes no further, a refusal is recorded.
            Judgement::Allowed => self.clone(),
            Judgement::Done(_) | Judgement::Refused(_) => std::mem::take(self),
        }
    }
}

impl Trail {
    pub(super) fn new(now: SystemTime, request: &Intercepted) -> Self {
        Self {
            id: DecisionId(uuid_at(now)),
            host: request.host.clone(),
            peer: request.peer,
            proven: request.proven.clone(),
            shape: Shape::asked(&[], &request_head(&request.request)),
            action: None,
            class: None,
            call: None,
            upstream_role: None,
            signed_with: None,
            fault: Fault::default(),
            seen: Seen::default(),
        }
    }

    /// Notes what a question is about, and what lookups learnt.
    pub(super) fn see(&mut self, question: &Question) {
        let resources = match &question.on {
            On::Service => &[],
            On::Resources(resources) => resources.as_slice(),
        };
        let facts = resources.iter().map(|r| (r.entity_id(), &r.facts));
        let seen = &mut self.seen;
        seen.batch_size = u64::try_from(question.batch_size).unwrap_or(u64::MAX);
        seen.context = JsonText::of(&Context::of(question));
        seen.facts = JsonText::of(&facts.collect::<BTreeMap<_, _>>());
        seen.resources = resources
            .iter()
            .map(|r| SeenResource {
                id: r.entity_id(),
                arn: r.facts.attributes.get(&Attribute::Arn).cloned(),
                kind: r.target.kind.clone(),
            })
            .collect();
    }
}

/// Cedar's context without `input`, as records hold it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Context<'q> {
    batch_size: usize,
    selector: bool,
    dry_run: bool,
    approved: bool,
    tag_keys: &'q BTreeSet<String>,
    request_tags: &'q BTreeMap<String, String>,
    now: Option<String>,
    source: Source<'q>,
    used: Used,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Source<'q> {
    ip: IpAddr,
    user_agent: Option<&'q str>,
}

/// What was used of a budget: there are none.
#[derive(Serialize)]
struct Used {}

impl<'q> Context<'q> {
    fn of(question: &'q Question) -> Self {
        Self {
            batch_size: question.batch_size,
            selector: question.selector,
            dry_run: question.dry_run,
            approved: false,
            tag_keys: &question.tag_keys,
            request_tags: &question.request_tags,
            now: time::of(question.now),
            source: Source {
                ip: question.call.source_ip,
                user_agent: question.call.user_agent.as_deref(),
            },
            used: Used {},
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::journal::record::Refused;

    #[test]
    fn a_refusal_after_an_allowed_decision_tells_what_was_seen_too() {
        let mut seen = Seen {
            batch_size: 3,
            input: json!({ "id": "ws-1" }).into(),
            ..Seen::default()
        };
        let refused = Judgement::Refused(Refused {
            reason: "journal_failed",
            status: 403,
            code: "AccessDeniedException".to_owned(),
            message: "the disk is full".to_owned(),
        });
        for judgement in [Judgement::Allowed, refused] {
            let told = seen.for_record(&judgement);
            assert_eq!(told.batch_size, 3, "{judgement:?}");
            assert_eq!(told.input, json!({ "id": "ws-1" }).into(), "{judgement:?}");
        }
        assert!(seen.input.is_null());
    }
}
