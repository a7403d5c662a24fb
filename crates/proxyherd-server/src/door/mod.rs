//! The doors. Each door serves the clients of one protocol. A door turns the clients' bytes into commands, calls the
//! herd, and turns the results into bytes.
//!
//! The connections of all doors come in through the `entrance`. A protocol without I/O, such as `line`, runs on the
//! threads of `reactor`, which is fast. `http` runs on tokio's runtime, because libraries that need the
//! runtime do most of its work. The door for phones is `http` with other paths. `proxyherd_config::door_kind` lists the
//! doors.
//!
//! A door does not know other doors, and the herd does not know doors.

pub mod entrance;
pub mod http;
mod line;
pub mod reactor;
#[cfg(test)]
mod tests;

use std::io;

use proxyherd_config::{config::Limits, door_kind::DoorKind};

use self::entrance::Entrance;
use crate::herd::Herd;

/// The doors of one server.
pub(crate) struct Doors {
    http: http::Shared,
}

impl Doors {
    /// The doors of this server, which are not open yet.
    pub(crate) fn new(herd: &Herd) -> Doors {
        Doors { http: http::Shared::new(herd) }
    }

    /// Opens the door of the entrance's kind. An error means that the operating system has no thread or no descriptor
    /// left.
    pub(crate) fn open(&self, entrance: Entrance, limits: &Limits) -> io::Result<()> {
        match entrance.kind {
            DoorKind::Line => line::run(entrance, limits),
            DoorKind::Http | DoorKind::Phones => {
                http::run(entrance, &self.http);
                Ok(())
            }
        }
    }
}
