//! The commands `client`, `status`, `top`, `health`, `token` and `init` without the command line: the program reads
//! their arguments and shows their errors.
//!
//! Most commands talk to running servers from outside: [`client`] by the line protocol, [`status`], `top` (with the
//! feature `top`), [`health`] and [`token`] by HTTP. [`init`] writes the first files of a herd. [`command_token`] finds
//! the token that the commands show, and decides which servers may see it.
//!
//! The crate does not know the inside of a server. It has what herd.toml says and what the servers' doors answer.

mod amounts;
pub mod client;
pub mod command_token;
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
