//! The program `proxyherd`: its command line, the demo, and how a server is a service of the system. The servers are in
//! `proxyherd-server`.

pub mod cli;
pub mod demo;
mod service_manager;
