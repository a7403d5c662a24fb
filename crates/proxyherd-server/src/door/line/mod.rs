//! The door of the line protocol: the state of its connections, and the protocol that the reactor calls. `batch`
//! answers lines.
//!
//! The reactor handles sockets, TLS and limits. The codec handles the bytes of lines (`proxyherd_core::codec::line`).

mod batch;

use std::{borrow::Cow, io};

use proxyherd_config::config::Limits;
use proxyherd_core::{
    codec::line::{self as codec, Lines},
    limits::LINE_LEN_MAX,
};

use super::{
    entrance::Entrance,
    reactor::{self, CallContext, Input, NextStep, Protocol, ProtocolEvent, TakeOutput},
};
use crate::caller::Caller;

/// Serves line clients until the entrance closes. An error means that the operating system has no thread or no
/// descriptor left.
pub(crate) fn run(entrance: Entrance, limits: &Limits) -> io::Result<()> {
    reactor::run(entrance, limits, |_| LineProtocol::default())
}

/// The state of one connection.
#[derive(Debug, Default)]
struct LineProtocol {
    /// Finds where lines begin and end.
    lines: Lines,
    /// Maximum number of places in the answer that the connection waits for.
    places_max: u8,
    /// The caller with the rights of the last token that it has shown. `None`: it has shown none.
    authenticated: Option<Box<Caller>>,
    /// Whether the connection waits to be told that its token is wrong.
    is_refusal_due: bool,
}

impl Protocol for LineProtocol {
    const UNIT: &'static str = "line";
    const UNIT_LEN_MAX: usize = LINE_LEN_MAX;
    const IS_TEXT: bool = true;

    fn take(&mut self, context: &CallContext<'_>, input: Input<'_>, out: &mut Vec<u8>) -> TakeOutput {
        batch::answer_lines(context, self, input, out)
    }

    fn shown(bytes: &[u8]) -> Cow<'_, [u8]> {
        codec::without_tokens(bytes)
    }

    fn resume(&mut self, context: &CallContext<'_>, event: ProtocolEvent, out: &mut Vec<u8>) -> NextStep {
        if let ProtocolEvent::Places(answer) = event {
            batch::write_places(out, &answer, self.places_max);
        }
        if std::mem::take(&mut self.is_refusal_due) {
            context.herd.count_invalid_line();
            codec::write_auth(out, false);
        }
        NextStep::ReadMore
    }
}
