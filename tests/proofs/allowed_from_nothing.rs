//! An `Allowed` has no other maker: no default, no conversion, no constructor.

use palisade::guard::decide::{Allowed, Question};

fn main() {
    let _: Allowed<()> = Default::default();
    let _ = Allowed::new(());
}

fn convert(question: Question) -> Allowed<Question> {
    question.into()
}
