//! The herd's servers: sockets, files and clocks around `proxyherd-core`.

pub mod access;
pub mod admission;
pub mod caller;
pub mod cli;
mod client;
pub mod clock;
mod command_token;
pub mod config;
pub mod credentials;
pub mod demo;
pub mod door;
mod door_client;
pub mod door_kind;
mod door_trust;
#[doc(hidden)]
pub mod fuzzing;
pub mod herd;
mod listen;
pub mod liveness;
mod peer;
pub mod places;
pub mod quota;
pub mod server;
mod settled;
mod status;
mod subscriber;
mod token;
mod topology;
#[cfg(test)]
mod wait;
pub mod watchdog;
