//! A `Receipt` has private parts, and no other maker than the journal.

use palisade::journal::Receipt;

fn main() {
    let _ = Receipt {
        sequence: 1,
        decision_id: None,
    };
    let _: Receipt = Default::default();
}

fn again(receipt: &Receipt) -> Receipt {
    receipt.clone()
}
