//! Stub: log.
