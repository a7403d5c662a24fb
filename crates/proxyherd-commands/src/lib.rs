//! The commands `client`, `status`, `top`, `health`, `token`, `init` and `data` without the command line: the program
//! reads their arguments and shows their errors.
//!
//! Most commands talk to running servers from outside: [`client`] by the line protocol, [`status`], `top` (with the
//! feature `top`), [`health`] and [`token`] by HTTP. [`init`] writes the first files of a herd. [`data`] reads and
//! makes the stores of servers. [`command_token`] finds the token that the commands show, and decides which servers may
//! see it.
//!
//! The crate does not know the inside of a server. It has what herd.toml says, what the servers' doors answer, and what
//! their stores hold.

mod amounts;
pub mod client;
pub mod command_token;
pub mod data;
pub mod door_client;
mod door_trust;
#[doc(hidden)]
pub mod fuzzing;
pub mod health;
pub mod herd_snapshot;
pub mod init;
pub mod status;
pub mod token;
#[cfg(feature = "top")]
pub mod top;
pub mod usage_error;
#[cfg(test)]
mod wait;
pub mod window;
