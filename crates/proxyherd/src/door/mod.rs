//! The doors: each turns one protocol's bytes into commands, calls the herd, and turns replies into bytes. A
//! door knows nothing of the others, and the herd knows nothing of doors.
//!
//! Connections come in by the one `entrance`. What needs few connections and much of HTTP runs on the runtime (`http`); what
//! needs speed is a protocol without I/O (`line`), which the threads of `reactor` serve. `crate::door_kind` lists the doors.

pub mod entrance;
pub mod http;
mod line;
pub mod reactor;
#[cfg(test)]
mod tests;

use std::io;

use self::entrance::Entrance;
use crate::{config::Limits, door_kind::DoorKind};

/// Opens the door of the entrance's kind. The error is the system's: no thread, or no descriptor.
pub(crate) fn run(entrance: Entrance, limits: &Limits) -> io::Result<()> {
    match entrance.kind {
        DoorKind::Line => line::run(entrance, limits),
        DoorKind::Http => {
            http::run(entrance);
            Ok(())
        }
    }
}
