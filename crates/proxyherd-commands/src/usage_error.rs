//! A mistake in a command line that only the work of the command finds.

/// A wrong command line. The program ends with code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct UsageError(pub String);
