//! A protocol of the tests' own: all that a door has beside its codec (`frames`). TLS, limits, rate, drain and counts come with
//! the entrance and the threads.

use std::time::{Duration, Instant};

use proxyherd_core::flood::Wake;

use super::{
    SharedBoard,
    frames::{Message, REPLIES_LEN, put_answer, put_at, put_news, put_reply},
};
use crate::{
    clock,
    door::reactor::{Event, Here, Input, Later, Next, Protocol, Reason, Taken},
    herd::Position,
    places::Looked,
};

pub(super) struct Toy {
    pub(super) board: SharedBoard,
    /// How much news the client has been told, if it asked for any.
    pub(super) told: Option<u32>,
    pub(super) alarm: Option<Instant>,
}

impl Toy {
    /// Does what a message says. `None`: the next message is to be taken.
    fn answer(&mut self, here: &Here<'_>, message: Message<'_>, out: &mut Vec<u8>) -> Option<Next> {
        match message {
            Message::Echo(body) => put_reply(out, b'e', body),
            Message::Nearby(nearby) => {
                let looked = here.herd.nearby(here.caller, clock::now_ns(), &nearby, |at| put_at(out, at));
                if let Looked::Waits(question) = looked.ok()?? {
                    return Some(Next::Later(Later::Places(question)));
                }
            }
            Message::Subscribe => {
                self.told = Some(0);
                self.board.lock().bells.push(here.bell());
            }
            Message::Keep(sequence) => {
                let mut position = Position::default();
                position.note(0, sequence.into());
                put_reply(out, b'd', &[sequence]);
                return Some(Next::Later(Later::Durable(position)));
            }
            Message::Wake(ms) => self.alarm = Some(here.now + Duration::from_millis(ms.into())),
            Message::Panic => panic!("the client says so"),
            Message::Goodbye => {
                return Some(Next::Close(Reason { why: "it said goodbye".into(), is_fault: false }));
            }
        }
        None
    }
}

impl Protocol for Toy {
    const UNIT: &'static str = "message";
    const UNIT_LEN_MAX: usize = 256;
    const SPEAKS_FIRST: bool = true;

    fn open(&mut self, here: &Here<'_>, out: &mut Vec<u8>) -> Next {
        put_reply(out, b'h', here.caller.address.to_string().as_bytes());
        Next::Done
    }

    fn take(&mut self, here: &Here<'_>, input: Input<'_>, out: &mut Vec<u8>) -> Taken {
        let (mut rest, mut units_in, mut next) = (input.bytes, 0, None);
        while next.is_none()
            && let Some((message, behind)) = Message::split(rest)
        {
            if units_in == input.units_max || out.len() > REPLIES_LEN {
                next = Some(Next::Full);
                break;
            }
            (rest, units_in) = (behind, units_in + 1);
            next = self.answer(here, message, out);
        }
        let idle = || if self.told.is_some() { Next::Later(Later::Subscribed) } else { Next::Done };
        let (consumed, next) = (input.bytes.len() - rest.len(), next.unwrap_or_else(idle));
        Taken { consumed, units_in, units_out: 0, wake: Wake::default(), next }
    }

    fn resume(&mut self, _here: &Here<'_>, event: Event, out: &mut Vec<u8>) -> Next {
        match (event, &mut self.told) {
            (Event::Places(answered), _) => put_answer(out, &answered),
            (Event::Time, _) => put_reply(out, b't', &[u8::from(self.alarm.take().is_some())]),
            (Event::Rung, Some(told)) => {
                return if put_news(out, self.board.lock().news, told) { Next::Done } else { Next::Full };
            }
            (Event::Rung, None) => {}
        }
        Next::Done
    }

    fn wake_at(&self) -> Option<Instant> {
        self.alarm
    }
}
