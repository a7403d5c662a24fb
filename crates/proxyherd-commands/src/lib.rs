//! The commands `client`, `status` and `token` without the command line: the program reads their arguments and shows
//! their errors.
//!
//! The commands talk to running servers from outside: [`client`] by the line protocol, [`status`] and [`token`] by
//! HTTP. [`command_token`] finds the token that the commands show, and decides which servers may see it.
//!
//! The crate does not know the inside of a server. It has what herd.toml says, and what the servers' doors answer.

pub mod client;
pub mod command_token;
pub mod door_client;
mod door_trust;
#[doc(hidden)]
pub mod fuzzing;
pub mod status;
pub mod token;
#[cfg(test)]
mod wait;
