//! The seam to whatever rations requests over days and months.
//!
//! Every request that would leave this machine first takes one from an [`Allowance`]. This module does not know who
//! keeps the books, nor for how many servers.

/// What is left of a budget of requests.
pub trait Allowance: Send + Sync {
    /// Takes one request; false if none is left. Called before every request, also before one that is made again,
    /// so it must not wait.
    fn take(&self) -> bool;
}

/// A budget without an end.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unlimited;

impl Allowance for Unlimited {
    fn take(&self) -> bool {
        true
    }
}
