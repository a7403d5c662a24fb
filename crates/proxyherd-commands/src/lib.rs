//! The commands `client`, `status` and `token`, without their arguments: they talk to running servers from outside, through
//! the servers' doors, and know nothing of a server's inside.

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
