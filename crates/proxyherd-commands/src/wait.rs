//! Waiting in unit tests, in the same way as in the tests of whole processes.

#[path = "../../proxyherd/tests/it/harness/wait.rs"]
mod harness;

pub(crate) use self::harness::eventually;
