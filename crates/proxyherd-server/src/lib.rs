//! The herd's servers: sockets, files and clocks around `proxyherd-core`.

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
