//! What servers and the commands that ask them have in common: herd.toml, the credentials of the herd, the kinds of
//! doors, and the status of a server as data. Nothing here knows a running server.

pub mod clock;
pub mod config;
pub mod credentials;
pub mod door_kind;
#[doc(hidden)]
pub mod fuzzing;
pub mod server_status;
pub mod settled;
