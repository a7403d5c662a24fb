//! The line protocol: what its connections are between two reads, and what a read comes to (`batch`). Sockets, TLS and limits
//! are the reactor's.

mod batch;

use std::io;

use proxyherd_core::{codec::line::Lines, limits::LINE_LEN_MAX};

use super::{
    entrance::Entrance,
    reactor::{self, Event, Here, Input, Next, Protocol, Taken},
};
use crate::config::Limits;

/// Serves line clients until the entrance closes. The error is the system's: no thread, or no descriptor.
pub(crate) fn run(entrance: Entrance, limits: &Limits) -> io::Result<()> {
    reactor::run(entrance, limits, |_| LineProtocol::default())
}

/// One connection's state: where its lines begin and end.
#[derive(Debug, Default)]
struct LineProtocol {
    lines: Lines,
    /// How many places the answer may have that is waited for.
    limit: u8,
}

impl Protocol for LineProtocol {
    const UNIT: &'static str = "line";
    const UNIT_LEN_MAX: usize = LINE_LEN_MAX;
    const IS_TEXT: bool = true;

    fn take(&mut self, here: &Here<'_>, input: Input<'_>, out: &mut Vec<u8>) -> Taken {
        batch::handle(here.herd, here.caller, &mut self.lines, &mut self.limit, input, out)
    }

    fn resume(&mut self, _here: &Here<'_>, event: Event, out: &mut Vec<u8>) -> Next {
        if let Event::Places(answer) = event {
            batch::write_places(out, &answer, self.limit);
        }
        Next::Done
    }
}
