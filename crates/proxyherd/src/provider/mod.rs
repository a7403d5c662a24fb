//! Stub: provider/mod.
