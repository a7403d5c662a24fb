//! What servers and the commands that ask them have in common. Most of it comes from files that an operator keeps.
//!
//! [`config`] reads herd.toml. [`credentials`] reads the certificates of links and doors, and the operator's token. A
//! running server reads these files again once they have changed ([`settled`]). [`door_kind`] is the table of all kinds
//! of doors. [`server_status`] is what a server's HTTP door says about the server. [`clock`] is this machine's time and
//! randomness.
//!
//! The crate does not know a running server. It opens no socket and holds no record of the herd.

pub mod clock;
pub mod config;
pub mod credentials;
pub mod door_kind;
#[doc(hidden)]
pub mod fuzzing;
pub mod server_status;
pub mod settled;
