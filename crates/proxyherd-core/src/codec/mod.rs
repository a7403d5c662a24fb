//! Bytes to values and back, incrementally, one module a protocol.
