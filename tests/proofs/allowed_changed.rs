//! What was judged is what is sent: neither the question nor the request behind it can be changed.

use palisade::guard::decide::Allowed;

fn change(mut allowed: Allowed<String>) {
    allowed.request = "terminate everything".to_owned();
    allowed.question().batch_size = 1;
}

fn main() {}
