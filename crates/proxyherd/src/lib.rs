//! The program `proxyherd`: its command line, and the demo. The servers are in `proxyherd-server`.

pub mod cli;
pub mod demo;
