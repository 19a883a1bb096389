//! `palisade`: from arguments to [`palisade::cli`].

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// A call makes some hundred small things, which another thread often drops: the system's allocator spends a tenth of a
/// call's time on them.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    palisade::cli::main(std::env::args_os())
}
