//! The line protocol: what its connections are between two reads, and what a read comes to (`batch`). Sockets, TLS and limits
//! are the reactor's.

mod batch;

use std::io;

use proxyherd_core::{codec::line::Lines, limits::LINE_LEN_MAX};

use super::{
    entrance::Entrance,
    reactor::{self, CallContext, Input, NextStep, Protocol, ProtocolEvent, TakeOutput},
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

    fn take(&mut self, context: &CallContext<'_>, input: Input<'_>, out: &mut Vec<u8>) -> TakeOutput {
        batch::answer_lines(context.herd, context.caller, &mut self.lines, &mut self.limit, input, out)
    }

    fn resume(&mut self, _context: &CallContext<'_>, event: ProtocolEvent, out: &mut Vec<u8>) -> NextStep {
        if let ProtocolEvent::Places(answer) = event {
            batch::write_places(out, &answer, self.limit);
        }
        NextStep::ReadMore
    }
}
