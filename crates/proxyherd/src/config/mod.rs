//! Stub: config/mod.
