//! The pure core of proxyherd: what the herd knows and what it decides, without any I/O.
//!
//! No code here opens a socket or a file, reads a clock or draws a random number: `now` and seeds are arguments, bytes
//! come in and bytes go out. So the simulator runs this very code under virtual time, and its results hold for the
//! servers.
//!
//! A module imports only from floors below its own. ARCHITECTURE.md has the table of floors, and a test checks it.

pub mod access;
pub mod codec;
pub mod command;
pub mod flood;
pub mod journal;
pub mod ledger;
pub mod limits;
pub mod link;
pub mod places;
pub mod rate;
pub mod replica;
mod spanning_tree;
mod store;
pub mod types;
