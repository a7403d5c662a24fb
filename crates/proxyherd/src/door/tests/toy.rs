//! A protocol of the tests' own, with nothing in it but the protocol: TLS, limits, rate, drain and counts come with the
//! entrance and the threads.
//!
//! Each message is a length of one byte, a letter, and so many bytes less one. Each reply is a length of four bytes, a letter,
//! and so many bytes less one.

use std::{
    borrow::Cow,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use proxyherd_core::{
    command::{Around, Nearby},
    flood::Wake,
    types::{ClientId, Radius},
};

use super::Board;
use crate::{
    clock,
    door::reactor::{Event, Here, Input, Later, Next, Protocol, Reason, Taken},
    herd::{Position, Whereabouts},
    places::Looked,
};

#[derive(Debug)]
pub(super) struct Toy {
    pub(super) board: Arc<Mutex<Board>>,
    pub(super) heard: Option<u32>,
    pub(super) alarm: Option<Instant>,
}

fn reply(out: &mut Vec<u8>, letter: u8, body: &[u8]) {
    out.extend_from_slice(&(body.len() as u32 + 1).to_be_bytes());
    out.push(letter);
    out.extend_from_slice(body);
}

impl Toy {
    fn answer(&mut self, here: &Here<'_>, letter: u8, body: &[u8], out: &mut Vec<u8>) -> Option<Next> {
        match letter {
            b'e' => reply(out, b'e', body),
            b'w' => {
                let (around, radius) = (Around::Client(ClientId::new(body)?), Radius::parse_km(b"1")?);
                let nearby = Nearby { around, radius, limit: 1, wish: None };
                let found = |found: &Whereabouts<'_>| reply(out, b'a', found.client);
                match here.herd.nearby(here.caller, clock::now_ns(), &nearby, found).ok()?? {
                    Looked::Waits(question) => return Some(Next::Later(Later::Places(question))),
                    Looked::AtHand(_) => {}
                }
            }
            b's' => {
                self.heard = Some(0);
                self.board.lock().bells.push(here.bell());
            }
            b'd' => {
                let mut position = Position::default();
                position.note(0, body[0].into());
                reply(out, b'd', body);
                return Some(Next::Later(Later::Durable(position)));
            }
            b't' => self.alarm = Some(here.now + Duration::from_millis(body[0].into())),
            b'p' => panic!("the client says so"),
            _ => return Some(Next::Close(Reason { why: Cow::Borrowed("it said goodbye"), is_fault: false })),
        }
        None
    }
}

impl Protocol for Toy {
    const UNIT: &'static str = "message";
    const UNIT_LEN_MAX: usize = 256;
    const SPEAKS_FIRST: bool = true;

    fn open(&mut self, here: &Here<'_>, out: &mut Vec<u8>) -> Next {
        reply(out, b'h', here.caller.address.to_string().as_bytes());
        Next::Done
    }

    fn take(&mut self, here: &Here<'_>, input: Input<'_>, out: &mut Vec<u8>) -> Taken {
        let (mut rest, mut units_in, mut next) = (input.bytes, 0, None);
        while let Some((&len, body)) = rest.split_first()
            && let Some((unit, behind)) = body.split_at_checked(len.into())
            && next.is_none()
        {
            if units_in == input.units_max || out.len() > 64 * 1024 {
                next = Some(Next::Full);
                break;
            }
            (rest, units_in) = (behind, units_in + 1);
            next = self.answer(here, unit[0], &unit[1..], out);
        }
        let next =
            next.unwrap_or(if self.heard.is_some() { Next::Later(Later::Subscribed) } else { Next::Done });
        let consumed = input.bytes.len() - rest.len();
        Taken { consumed, units_in, units_out: 0, wake: Wake::default(), next }
    }

    fn resume(&mut self, _here: &Here<'_>, event: Event, out: &mut Vec<u8>) -> Next {
        match (event, &mut self.heard) {
            (Event::Places(answered), _) => {
                let mut json = Vec::new();
                answered.answer.write_json(1, &mut json);
                reply(out, b'p', &json);
            }
            (Event::Time, _) => reply(out, b't', &[u8::from(self.alarm.take().is_some())]),
            (Event::Rung, Some(heard)) => {
                let news = self.board.lock().news;
                while *heard < news && out.len() < 64 * 1024 {
                    *heard += 1;
                    reply(out, b'n', &[&heard.to_be_bytes()[..], &[b'.'; 1000]].concat());
                }
                return if *heard < news { Next::Full } else { Next::Done };
            }
            (Event::Rung, None) => {}
        }
        Next::Done
    }

    fn wake_at(&self) -> Option<Instant> {
        self.alarm
    }
}
