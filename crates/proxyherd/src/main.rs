//! The binary `proxyherd`: everything is in the library, so that tests and benchmarks run the same.

fn main() {}
