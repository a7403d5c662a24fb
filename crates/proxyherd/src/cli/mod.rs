//! Stub: cli/mod.
