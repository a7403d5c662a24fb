//! A small protocol for tests, and an example of a door: everything that a door needs besides its codec (`frames`).
//! TLS, limits, rates, stopping and counts come with the entrance and the reactor.

use std::time::{Duration, Instant};

use proxyherd_config::clock;
use proxyherd_core::{command::Position, flood::Wake};

use super::{
    SharedBoard,
    frames::{REPLIES_LEN, ToyMessage, put_answer, put_at, put_news, put_reply},
};
use crate::{
    door::reactor::{CallContext, Input, NextStep, Protocol, ProtocolEnd, ProtocolEvent, TakeOutput},
    herd::Positions,
    places::Looked,
};

/// The state of one connection.
pub(super) struct Toy {
    pub(super) board: SharedBoard,
    /// How many pieces of news the client has been sent. `None`: it has not subscribed.
    pub(super) told: Option<u32>,
    /// When the client wants to be woken.
    pub(super) alarm: Option<Instant>,
}

impl Toy {
    /// What comes next when nothing is left to be done.
    fn when_idle(&self) -> NextStep {
        if self.told.is_some() { NextStep::Subscribed } else { NextStep::ReadMore }
    }

    /// Does what a message asks for. `None`: the next message can be taken.
    fn answer(
        &mut self,
        context: &CallContext<'_>,
        message: ToyMessage<'_>,
        out: &mut Vec<u8>,
    ) -> Option<NextStep> {
        match message {
            ToyMessage::Echo(body) => put_reply(out, b'e', body),
            ToyMessage::Nearby(nearby) => {
                let looked =
                    context.herd.nearby(context.caller, clock::now_ns(), &nearby, |at| put_at(out, at));
                if let Looked::Waits(question) = looked.ok()?? {
                    return Some(NextStep::AwaitPlaces(question));
                }
            }
            ToyMessage::Subscribe => {
                self.told = Some(0);
                self.board.lock().bells.push(context.bell());
            }
            ToyMessage::Keep(sequence) => {
                let mut positions = Box::<Positions>::default();
                positions.note(Position { shard: 0, seq: sequence.into() });
                put_reply(out, b'd', &[sequence]);
                return Some(NextStep::AwaitDurable(positions));
            }
            ToyMessage::Wake(ms) => self.alarm = Some(context.now + Duration::from_millis(ms.into())),
            ToyMessage::Panic => panic!("the client says so"),
            ToyMessage::Goodbye => {
                return Some(NextStep::Close(ProtocolEnd { why: "it said goodbye".into(), is_fault: false }));
            }
        }
        None
    }
}

impl Protocol for Toy {
    const UNIT: &'static str = "message";
    const UNIT_LEN_MAX: usize = 256;
    const SPEAKS_FIRST: bool = true;

    fn open(&mut self, context: &CallContext<'_>, out: &mut Vec<u8>) -> NextStep {
        put_reply(out, b'h', context.caller.address.to_string().as_bytes());
        NextStep::ReadMore
    }

    fn take(&mut self, context: &CallContext<'_>, input: Input<'_>, out: &mut Vec<u8>) -> TakeOutput {
        let (mut rest, mut units_in, mut next) = (input.bytes, 0, None);
        while next.is_none()
            && let Some((message, behind)) = ToyMessage::split(rest)
        {
            if units_in == input.units_max || out.len() > REPLIES_LEN {
                next = Some(NextStep::WriteFirst);
                break;
            }
            (rest, units_in) = (behind, units_in + 1);
            next = self.answer(context, message, out);
        }
        let (consumed, next) = (input.bytes.len() - rest.len(), next.unwrap_or_else(|| self.when_idle()));
        TakeOutput { consumed, units_in, units_out: 0, wake: Wake::default(), next }
    }

    fn resume(&mut self, _context: &CallContext<'_>, event: ProtocolEvent, out: &mut Vec<u8>) -> NextStep {
        match (event, &mut self.told) {
            (ProtocolEvent::Places(answered), _) => put_answer(out, &answered),
            (ProtocolEvent::Time, _) => put_reply(out, b't', &[u8::from(self.alarm.take().is_some())]),
            (ProtocolEvent::Rung, Some(told)) => {
                let board = self.board.lock();
                if !put_news(out, board.news, told) {
                    return NextStep::WriteFirst;
                }
                if board.is_over {
                    self.told = None;
                }
            }
            (ProtocolEvent::Rung, None) => {}
        }
        self.when_idle()
    }

    fn wake_at(&self) -> Option<Instant> {
        self.alarm
    }
}
