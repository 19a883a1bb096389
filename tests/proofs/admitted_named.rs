//! What `forward` takes can't even be named outside the pipeline.

use palisade::pipeline::admit::Admitted;

fn main() {}
