//! One decision allows one request: an `Allowed` is neither copied nor used again.

use palisade::guard::decide::Allowed;

fn twice(allowed: Allowed<&'static str>) {
    let _ = allowed.clone();
    let _ = allowed.into_parts();
    let _ = allowed.into_parts();
}

fn main() {}
