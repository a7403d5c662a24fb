//! One server of a herd: sockets, files, threads and clocks around the pure crates `proxyherd-core` and
//! `proxyherd-streams`.
//!
//! [`server`] puts a server together. [`herd`] is the handle that everything in it shares. Clients come in through
//! [`door`], and neighbors through `peer`.

pub mod access;
pub mod admission;
pub mod caller;
pub mod door;
#[doc(hidden)]
pub mod fuzzing;
pub mod herd;
pub mod journal;
pub mod listen;
pub mod liveness;
mod peer;
pub mod places;
pub mod quota;
pub mod server;
mod subscriber;
mod topology;
#[cfg(test)]
mod wait;
pub mod watchdog;
