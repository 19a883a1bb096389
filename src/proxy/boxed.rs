//! Futures that are made on the heap.

use std::pin::Pin;

/// Makes a future where it stays. One that is made first and then put on the heap is copied there, with all the room for
/// what it may ever hold; where the room is there first, the compiler makes it in place.
pub(crate) fn boxed<F>(make: impl FnOnce() -> F) -> Pin<Box<F>> {
    let room = Box::new_uninit();
    Box::into_pin(Box::write(room, make()))
}
