//! The binary `proxyherd`: everything is in the library, so that tests and benchmarks run the same.

use std::process::ExitCode;

/// Many small records of different lengths live long here: mimalloc keeps them together and returns them fast.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    proxyherd::cli::run()
}
