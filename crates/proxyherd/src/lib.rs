//! The herd's servers: sockets, files and clocks around `proxyherd-core`.

pub mod cli;
pub mod config;
pub mod door;
pub mod herd;
pub mod log;
pub mod peer;
pub mod places;
pub mod provider;
pub mod server;
