//! Stub: herd.
