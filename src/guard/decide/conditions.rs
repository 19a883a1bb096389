//! Policies as they are evaluated: the condition of each, put together once. Cedar's own authorizer puts it together from
//! scope and body in every decision, and keeps what it says of each policy in tables.
//!
//! INVARIANT: verdicts, deciding policies and errors are those of Cedar's authorizer, which the tests ask beside this one.

use std::collections::BTreeSet;

use cedar_policy::{Effect, PolicySet};
use cedar_policy_core::ast::{Expr, ExprKind, Literal, SlotEnv, Value, ValueKind, Var};
use cedar_policy_core::evaluator::Evaluator;
use cedar_policy_core::extensions::Extensions;

use super::case::Asked;
use super::constants::Constants;
use super::{Denial, ResourceVerdict};
use crate::guard::call::Verdict;
use crate::guard::entity::RESOURCE;

/// The policies of a slice, in their order.
#[derive(Debug)]
pub(in crate::guard) struct Conditions {
    each: Vec<Condition>,
    pub(super) constants: Constants,
}

#[derive(Debug)]
struct Condition {
    id: String,
    effect: Effect,
    /// What has to hold of principal and resource, then the policy's own conditions.
    holds: Expr,
    /// Whether the resource can make a difference.
    looks_at_resource: bool,
    /// Whether it is asked before the lookups too.
    early: bool,
}

/// By condition: whether it holds, where that is known for every resource.
#[derive(Debug, Clone)]
pub(super) struct Known(Vec<Option<bool>>);

/// The judgement of the resources of one call. What doesn't depend on the resource is evaluated once.
pub(super) struct Judgement<'c> {
    conditions: &'c Conditions,
    part: Part,
    known: Known,
}

/// Which of the conditions are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    All,
    Early,
}

impl Conditions {
    /// `early`: the ids of those that are asked before the lookups too.
    pub(in crate::guard) fn of(policies: &PolicySet, early: &BTreeSet<&str>) -> Self {
        let whole = policies.policies().map(|policy| {
            let inner: &cedar_policy_core::ast::Policy = policy.as_ref();
            without_truisms(inner.condition())
        });
        let whole: Vec<Expr> = whole.collect();
        let looks = |condition: &Expr| condition.subexpressions().any(is_of_resource);
        let looking: Vec<bool> = whole.iter().map(looks).collect();
        let (constants, holding) = Constants::of(whole);
        let each = policies.policies().zip(holding).zip(looking);
        let each = each.map(|((policy, holds), looks_at_resource)| {
            let id = policy.id().to_string();
            Condition {
                early: early.contains(id.as_str()),
                id,
                effect: policy.effect(),
                holds,
                looks_at_resource,
            }
        });
        Self {
            each: each.collect(),
            constants,
        }
    }

    /// The ids of the policies that are asked before the lookups too.
    #[cfg(test)]
    pub(in crate::guard) fn early(&self) -> impl Iterator<Item = &str> {
        let early = self.each.iter().filter(|condition| condition.early);
        early.map(|condition| condition.id.as_str())
    }

    /// Whether any is asked before the lookups.
    pub(super) fn any_early(&self) -> bool {
        self.each.iter().any(|condition| condition.early)
    }

    /// Nothing is known yet.
    pub(super) fn unknown(&self) -> Known {
        Known(vec![None; self.each.len()])
    }

    /// To be asked about the resources of one call: principal, action and context stay the same. `known`: which of these
    /// very conditions are known to hold or not.
    pub(super) fn judge(&self, known: Known) -> Judgement<'_> {
        Judgement {
            conditions: self,
            part: Part::All,
            known,
        }
    }

    /// As [`judge`](Self::judge), those alone that are asked before the lookups.
    pub(super) fn judge_early(&self) -> Judgement<'_> {
        Judgement {
            part: Part::Early,
            ..self.judge(self.unknown())
        }
    }
}

/// `true && x` says what `x` says: both err where `x` is no truth value.
fn without_truisms(condition: Expr) -> Expr {
    let ExprKind::And { left, right } = condition.expr_kind() else {
        return condition;
    };
    let is_true = |side: &Expr| matches!(side.expr_kind(), ExprKind::Lit(Literal::Bool(true)));
    if is_true(left) {
        without_truisms(Expr::clone(right))
    } else if is_true(right) {
        without_truisms(Expr::clone(left))
    } else {
        condition
    }
}

/// Whether an expression names the resource, or an entity that may be the resource. Nothing else leads to it: neither
/// the context nor the attributes of caller and action refer to one.
fn is_of_resource(part: &Expr) -> bool {
    let part = part.expr_kind();
    matches!(part, ExprKind::Var(Var::Resource))
        || matches!(part, ExprKind::Lit(Literal::EntityUID(uid)) if *uid.entity_type() == *RESOURCE)
}

impl Judgement<'_> {
    /// What the policies say about a resource.
    ///
    /// # Errors
    /// The first policy that errs.
    pub(super) fn on(&mut self, id: String, asked: Asked) -> Result<ResourceVerdict, Denial> {
        let Asked { request, entities } = asked;
        let evaluator = Evaluator::new(request, &entities, Extensions::all_available());
        let (mut permits, mut forbids) = (Vec::new(), Vec::new());
        for (condition, known) in self.conditions.each.iter().zip(&mut self.known.0) {
            if self.part == Part::Early && !condition.early {
                continue;
            }
            let holds = match *known {
                Some(holds) => holds,
                None => condition.holds(&evaluator)?,
            };
            if !condition.looks_at_resource {
                *known = Some(holds);
            }
            match (holds, condition.effect) {
                (true, Effect::Permit) => permits.push(condition),
                (true, Effect::Forbid) => forbids.push(condition),
                (false, Effect::Permit | Effect::Forbid) => {}
            }
        }
        let (verdict, deciding) = if forbids.is_empty() && !permits.is_empty() {
            (Verdict::Allowed, permits)
        } else {
            (Verdict::Refused, forbids)
        };
        let mut policies: Vec<String> = deciding.iter().map(|c| c.id.clone()).collect();
        policies.sort();
        Ok(ResourceVerdict {
            id,
            verdict,
            policies,
        })
    }

    /// What is known now.
    pub(super) fn into_known(self) -> Known {
        self.known
    }
}

impl Condition {
    fn holds(&self, evaluator: &Evaluator<'_>) -> Result<bool, Denial> {
        let error = |error: &dyn std::fmt::Display| Denial::Error {
            policy: self.id.clone(),
            message: format!("error while evaluating policy `{}`: {error}", self.id),
        };
        match evaluator.interpret(&self.holds, &SlotEnv::new()) {
            Ok(value) => truth(&value).ok_or_else(|| error(&"its condition is no truth value")),
            Err(e) => Err(error(&e)),
        }
    }
}

fn truth(value: &Value) -> Option<bool> {
    match value.value_kind() {
        ValueKind::Lit(Literal::Bool(holds)) => Some(*holds),
        ValueKind::Lit(_)
        | ValueKind::Set(_)
        | ValueKind::Record(_)
        | ValueKind::ExtensionValue(_) => None,
    }
}
