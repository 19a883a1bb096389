//! An `Allowed` has private parts.

use palisade::guard::decide::{Allowed, Decision, Question};

fn forge(question: Question, decision: Decision) -> Allowed<&'static str> {
    Allowed {
        question,
        decision,
        request: "terminate everything",
    }
}

fn main() {}
