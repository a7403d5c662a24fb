//! The doors: each serves the clients of one protocol. It turns their bytes into commands, calls the herd, and turns
//! the results into bytes.
//!
//! The connections of all doors come in through the `entrance`. A protocol without I/O, such as `line`, runs on the
//! threads of `reactor`, which is fast. `http` runs on tokio's runtime: it has few connections, and libraries do most
//! of its work. `crate::door_kind` lists the doors.
//!
//! A door knows nothing of other doors, and the herd knows nothing of doors.

pub mod entrance;
pub mod http;
mod line;
pub mod reactor;
#[cfg(test)]
mod tests;

use std::io;

use self::entrance::Entrance;
use crate::{config::Limits, door_kind::DoorKind};

/// Opens the door of the entrance's kind. The error comes from the operating system: it has no thread or no descriptor
/// left.
pub(crate) fn run(entrance: Entrance, limits: &Limits) -> io::Result<()> {
    match entrance.kind {
        DoorKind::Line => line::run(entrance, limits),
        DoorKind::Http => {
            http::run(entrance);
            Ok(())
        }
    }
}
