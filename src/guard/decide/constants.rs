//! What is the same in every decision, worked out once: sets and the like that a policy spells out, such as
//! `ip("10.0.0.0/8")`. Cedar has no place in an expression for a value that isn't a number or a text, so these stand in
//! the context, under names that no policy can speak of.
//!
//! INVARIANT: a policy that looks at the context as a whole would see them. Where one does, nothing is worked out.

use std::sync::Arc;

use cedar_policy_core::ast::{Expr, ExprKind, RestrictedExpr, Value, Var};
use cedar_policy_core::evaluator::RestrictedEvaluator;
use cedar_policy_core::extensions::Extensions;

/// What the names begin with; no field of the context has such a name.
const PREFIX: char = '\0';

/// Values by their names in the context.
#[derive(Debug, Default)]
pub(super) struct Constants(Vec<(String, Value)>);

impl Constants {
    /// Puts the values of constants in the place of their expressions.
    pub(super) fn of(conditions: Vec<Expr>) -> (Self, Vec<Expr>) {
        let mut constants = Self::default();
        if !conditions.iter().all(sees_fields_alone) {
            return (constants, conditions);
        }
        let lifted = conditions.iter().map(|e| constants.lift(e)).collect();
        (constants, lifted)
    }

    /// The fields that the context has besides its own.
    pub(super) fn fields(&self) -> impl Iterator<Item = (&str, Value)> {
        let fields = self.0.iter();
        fields.map(|(name, value)| (name.as_str(), value.clone()))
    }

    fn lift(&mut self, expression: &Expr) -> Expr {
        if let Some(value) = constant(expression) {
            let name = format!("{PREFIX}{}", self.0.len());
            let field = Expr::get_attr(Expr::var(Var::Context), name.as_str().into());
            self.0.push((name, value));
            return field;
        }
        match expression.expr_kind() {
            ExprKind::If {
                test_expr,
                then_expr,
                else_expr,
            } => {
                let test = self.lift(test_expr);
                let (then, other) = (self.lift(then_expr), self.lift(else_expr));
                Expr::ite_arc(Arc::new(test), Arc::new(then), Arc::new(other))
            }
            ExprKind::And { left, right } => Expr::and(self.lift(left), self.lift(right)),
            ExprKind::Or { left, right } => Expr::or(self.lift(left), self.lift(right)),
            ExprKind::UnaryApp { op, arg } => Expr::unary_app(*op, self.lift(arg)),
            ExprKind::BinaryApp { op, arg1, arg2 } => {
                Expr::binary_app(*op, self.lift(arg1), self.lift(arg2))
            }
            ExprKind::ExtensionFunctionApp { fn_name, args } => {
                let args = args.iter().map(|arg| self.lift(arg)).collect();
                Expr::call_extension_fn(fn_name.clone(), args)
            }
            ExprKind::Lit(_)
            | ExprKind::Var(_)
            | ExprKind::Slot(_)
            | ExprKind::Unknown(_)
            | ExprKind::GetAttr { .. }
            | ExprKind::HasAttr { .. }
            | ExprKind::ExtHasAttr { .. }
            | ExprKind::Like { .. }
            | ExprKind::Is { .. }
            | ExprKind::Set(_)
            | ExprKind::Record(_) => expression.clone(),
        }
    }
}

/// The value of an expression that reads nothing and doesn't err. Numbers and texts are as cheap as they stand.
fn constant(expression: &Expr) -> Option<Value> {
    let is_built = matches!(
        expression.expr_kind(),
        ExprKind::Set(_) | ExprKind::Record(_) | ExprKind::ExtensionFunctionApp { .. }
    );
    if !is_built {
        return None;
    }
    let constant = RestrictedExpr::new(expression.clone()).ok()?;
    let evaluator = RestrictedEvaluator::new(Extensions::all_available());
    evaluator.interpret(constant.as_borrowed()).ok()
}

/// Whether an expression looks at no more of the context than at single fields, none of which has a name of ours.
fn sees_fields_alone(expression: &Expr) -> bool {
    let is_context = |e: &Expr| matches!(e.expr_kind(), ExprKind::Var(Var::Context));
    let field = |e: &Expr| {
        if let ExprKind::GetAttr { expr, attr } | ExprKind::HasAttr { expr, attr } = e.expr_kind() {
            Some((is_context(expr), attr.starts_with(PREFIX)))
        } else if let ExprKind::ExtHasAttr { expr, attrs } = e.expr_kind() {
            Some((is_context(expr), attrs.first().starts_with(PREFIX)))
        } else {
            None
        }
    };
    let parts = || expression.subexpressions();
    let of_context = parts().filter_map(field).filter(|(of, _)| *of).count();
    let named_so = parts().filter_map(field).any(|(_, so)| so);
    !named_so && of_context == parts().filter(|e| is_context(e)).count()
}

#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use super::*;

    fn worked_out(conditions: &[&str]) -> Vec<String> {
        let parsed = conditions.iter().map(|text| Expr::from_str(text).unwrap());
        let (constants, _) = Constants::of(parsed.collect());
        constants
            .0
            .iter()
            .map(|(_, value)| value.to_string())
            .collect()
    }

    #[test]
    fn what_reads_nothing_is_worked_out() {
        let found = worked_out(&[
            r#"["a", "b"].contains(resource.x) || resource has y"#,
            r#"if context.ip.isInRange(ip("10.0.0.0/8")) then !(datetime("2026-01-01") < context.now) else true"#,
        ]);
        assert_eq!(found.len(), 3, "{found:?}");
        let none = worked_out(&[
            r#"["a", context.x].contains("a") && resource.x == "b" && 1 < context.n"#,
        ]);
        assert!(none.is_empty(), "{none:?}");
    }

    #[test]
    fn what_errs_errs_where_it_stands() {
        assert!(worked_out(&[r#"context.on && ip("10.0.0.0/99").isLoopback()"#]).is_empty());
    }

    #[test]
    fn nothing_is_worked_out_where_a_policy_could_see_it() {
        for whole in [
            "context == {}",
            "[context].contains({})",
            "({a: context}).a has x",
            r#"context["\0x"] == 1"#,
        ] {
            assert!(
                worked_out(&["[1, 2].contains(principal.n)", whole]).is_empty(),
                "{whole}"
            );
        }
    }
}
