//! Stub: peer.
