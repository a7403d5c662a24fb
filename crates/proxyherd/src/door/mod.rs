//! Stub: door/mod.
