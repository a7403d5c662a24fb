//! A connection's turn: it reads once, has its protocol take what has come, and writes once.
//!
//! Reads land in a buffer that all connections of a thread share, and replies are gathered in another, so a busy connection
//! copies nothing but the start of a unit whose end has not come yet. A connection reads again only when its replies are
//! written: whoever does not read is not read from. A turn never waits. It does what can be done now and says what the
//! connection is waiting for.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::AcqRel},
    },
    time::{Duration, Instant},
};

use proxyherd_core::flood::Wake;

use super::{
    closed::Closed,
    connection::{Connection, Covering, Phase},
    inbox::Inbox,
    protocol::{Bell, Event, Here, Input, Later, Next, Protocol, Rings, Taken},
    socket::{Got, RECORD_LEN_MAX},
};
use crate::{
    clock,
    door::entrance::HandshakeFailed,
    herd::{Herd, Position},
    places::Question,
};
use proxyherd_log::Direction;

/// How much is read at once, bytes.
const READ_LEN: usize = 64 * 1024;
/// A connection that brings so many units in one read is a busy one.
const BUSY_UNITS: u64 = 16;

/// Buffers of a thread, for the time of one turn.
pub(super) struct Scratch {
    input: Box<[u8]>,
    wire: Box<[u8]>,
    replies: Vec<u8>,
}

impl Scratch {
    /// For a protocol whose longest unit is so long.
    pub(super) fn new(unit_len_max: usize) -> Scratch {
        let buffer = |len| vec![0; len].into_boxed_slice();
        Scratch {
            input: buffer(unit_len_max + 1 + READ_LEN + RECORD_LEN_MAX),
            wire: buffer(READ_LEN),
            replies: Vec::with_capacity(READ_LEN),
        }
    }
}

/// Where and when a connection has its turn.
pub(super) struct Seat<'a, P: Protocol> {
    pub(super) herd: &'a Herd,
    pub(super) inbox: &'a Arc<Inbox<P>>,
    pub(super) at: usize,
    pub(super) now: Instant,
}

/// What a turn leaves to be done.
pub(super) enum Step {
    /// Nothing, until the socket or the time says so.
    Wait,
    /// More, when others have had their turn.
    Again,
    /// Ask the places, and bring their answer.
    Ask(Box<Question>),
    /// Say when this is safe.
    Cover(Position),
    /// It is over; `Ok` if that was the client's wish.
    Close(Result<(), Closed>),
}

impl<P: Protocol> Connection<P> {
    /// Does what can be done without waiting.
    pub(super) fn turn(&mut self, seat: &Seat<'_, P>, scratch: &mut Scratch) -> Step {
        match self.try_turn(seat, scratch) {
            Ok(step) => step,
            Err(Closed::Broken(error)) if self.is_in_handshake() => {
                Step::Close(Err(Closed::Handshake(HandshakeFailed::Broken(error))))
            }
            Err(closed) => Step::Close(Err(closed)),
        }
    }

    fn try_turn(&mut self, seat: &Seat<'_, P>, scratch: &mut Scratch) -> Result<Step, Closed> {
        if !self.write_rest()? {
            return Ok(Step::Wait);
        }
        if self.paced_until.take().is_some() {
            self.waited(seat.now);
        }
        match &mut self.phase {
            Phase::Opening if !self.socket.is_in_handshake() => {
                match self.open(seat, &mut scratch.replies)? {
                    Step::Again if matches!(self.phase, Phase::Serving) => self.serve(seat, scratch),
                    step => Ok(step),
                }
            }
            Phase::Opening if seat.herd.is_draining() => Err(Closed::Stopping),
            Phase::Opening => self.shake(scratch),
            Phase::Serving => self.serve(seat, scratch),
            Phase::Asking(answer) => match answer.take() {
                Some(answer) => {
                    self.phase = Phase::Serving;
                    self.resume(seat, Event::Places(answer), &mut scratch.replies)
                }
                None => Ok(Step::Wait),
            },
            Phase::Covering(_) => Ok(Step::Wait),
            Phase::Finishing => self.finish(seat.now),
            Phase::Parting(_) => self.part(&mut scratch.input, seat.now),
        }
    }

    fn write_rest(&mut self) -> Result<bool, Closed> {
        if !self.has_unsent() {
            return Ok(true);
        }
        let is_written = self.outgoing.write_rest(&mut self.socket)?;
        self.account()?;
        Ok(is_written)
    }

    /// Goes on with the handshake. What comes behind it is kept for the protocol, which has not begun.
    fn shake(&mut self, scratch: &mut Scratch) -> Result<Step, Closed> {
        match self.socket.read(&mut scratch.input, &mut scratch.wire)? {
            Got::Bytes(len) => {
                self.hold(&scratch.input[..len]);
                self.has_units = true;
            }
            Got::Nothing => {}
            Got::Ended => return Err(Closed::Handshake(HandshakeFailed::Ended)),
        }
        let is_waiting = self.socket.is_in_handshake() && !self.socket.is_readable();
        Ok(if is_waiting { Step::Wait } else { Step::Again })
    }

    fn open(&mut self, seat: &Seat<'_, P>, replies: &mut Vec<u8>) -> Result<Step, Closed> {
        self.phase = Phase::Serving;
        self.heard = self.heard.max(seat.now);
        replies.clear();
        let next = self.call(seat, |protocol, here| protocol.open(here, replies));
        self.after_event(seat, replies, next)
    }

    fn serve(&mut self, seat: &Seat<'_, P>, scratch: &mut Scratch) -> Result<Step, Closed> {
        let (has_input, is_draining) = (self.has_input(), seat.herd.is_draining());
        let is_inputs_turn = std::mem::take(&mut self.has_resumed) && has_input;
        if !is_inputs_turn
            && !is_draining
            && let Some(event) = self.event(seat.now)
        {
            self.has_resumed = true;
            return self.resume(seat, event, &mut scratch.replies);
        }
        if !has_input {
            return if is_draining { Err(Closed::Stopping) } else { Ok(Step::Wait) };
        }
        match self.units_allowed(is_draining) {
            Ok(most) if self.has_units => {
                let held = std::mem::take(&mut self.held);
                self.take(seat, &held, most, &mut scratch.replies)
            }
            Ok(most) => self.read(seat, scratch, most),
            Err(wait) => {
                self.paced_until = Some(seat.now + wait);
                Ok(Step::Wait)
            }
        }
    }

    /// What has happened that the protocol asked for.
    fn event(&mut self, now: Instant) -> Option<Event> {
        if std::mem::take(&mut self.is_rung) {
            if let Some(bell) = self.bell.get() {
                // Who rings from here on is heard again: what they have may come too late for this time.
                bell.swap(false, AcqRel);
            }
            return Some(Event::Rung);
        }
        self.protocol.wake_at().is_some_and(|at| at <= now).then_some(Event::Time)
    }

    /// How many units may be taken now, or when to ask again. What has come before a stop is answered.
    fn units_allowed(&self, is_draining: bool) -> Result<u64, Duration> {
        if is_draining { Ok(u64::MAX) } else { self.ticket.lines_allowed(clock::monotonic_ns) }
    }

    fn read(&mut self, seat: &Seat<'_, P>, scratch: &mut Scratch, most: u64) -> Result<Step, Closed> {
        let Scratch { input, wire, replies } = scratch;
        let held_len = self.held.len();
        let read_len = match self.socket.read(&mut input[held_len..], wire)? {
            Got::Bytes(len) => len,
            Got::Ended => 0,
            Got::Nothing if self.socket.is_readable() => return Ok(Step::Again),
            Got::Nothing if seat.herd.is_draining() => return Err(Closed::Stopping),
            Got::Nothing => return self.account().map(|()| Step::Wait),
        };
        self.has_ended = read_len == 0;
        self.heard = seat.now;
        input[..held_len].copy_from_slice(&self.held);
        self.held.clear();
        self.take(seat, &input[..held_len + read_len], most, replies)
    }

    /// Has up to `most` of the units in `input` taken, keeps what is left of it, writes the replies.
    fn take(
        &mut self,
        seat: &Seat<'_, P>,
        input: &[u8],
        most: u64,
        replies: &mut Vec<u8>,
    ) -> Result<Step, Closed> {
        replies.clear();
        let given = Input { bytes: input, is_last: self.has_ended, units_max: most };
        let Taken { consumed, units_in, units_out, wake, next } =
            self.call(seat, |protocol, here| protocol.take(here, given, replies));
        self.is_busy |= units_in >= BUSY_UNITS;
        self.ticket.took(units_in, clock::monotonic_ns);
        self.log(seat.herd, Direction::In, &input[..consumed], units_in);
        if !is_to_be_safe(seat.herd, &next) {
            self.log(seat.herd, Direction::Out, replies, units_out);
        }
        self.has_units = matches!(next, Next::Full | Next::Later(Later::Places(..) | Later::Durable(_)));
        let kept = match next {
            Next::Close(_) => Ok(()),
            _ => self.keep(&input[consumed..], consumed == 0),
        };
        // Whatever is wrong with the rest: what was taken is told to the links.
        self.say(seat, replies, &next, wake)?;
        kept?;
        self.phase = match next {
            Next::Done if self.has_ended => Phase::Finishing,
            // Whoever never stops sending would not notice the stop otherwise.
            Next::Done | Next::Later(Later::Subscribed) if seat.herd.is_draining() => {
                Phase::parting(Closed::Stopping)
            }
            next => return Ok(self.go_on(seat, next)),
        };
        Ok(self.step())
    }

    /// Keeps what is left of the input, where `is_same` says that this begins with the unit that was begun before.
    fn keep(&mut self, input: &[u8], is_same: bool) -> Result<(), Closed> {
        self.hold(input);
        let began = self.unit_began.filter(|_| is_same).unwrap_or(self.heard);
        self.unit_began = (!self.held.is_empty()).then_some(began);
        if self.has_units || self.held.len() <= P::UNIT_LEN_MAX + 1 {
            return Ok(());
        }
        Err(Closed::Failed("this server failed to tell where what it sent ends"))
    }

    fn resume(&mut self, seat: &Seat<'_, P>, event: Event, replies: &mut Vec<u8>) -> Result<Step, Closed> {
        replies.clear();
        let next = self.call(seat, |protocol, here| protocol.resume(here, event, replies));
        self.after_event(seat, replies, next)
    }

    fn after_event(&mut self, seat: &Seat<'_, P>, said: &[u8], next: Next) -> Result<Step, Closed> {
        if P::IS_TEXT && !said.is_empty() && !is_to_be_safe(seat.herd, &next) {
            seat.herd.log().traffic(Direction::Out, self.caller.address, said);
        }
        self.is_rung |= matches!(next, Next::Full);
        self.say(seat, said, &next, Wake::default())?;
        Ok(self.go_on(seat, next))
    }

    /// Writes what is said, or keeps it until it is safe. The links are woken in any case, and only then: what they cost does
    /// not hold up the replies.
    fn say(&mut self, seat: &Seat<'_, P>, said: &[u8], next: &Next, wake: Wake) -> Result<(), Closed> {
        let written = if is_to_be_safe(seat.herd, next) {
            self.outgoing.seal(said);
            Ok(())
        } else {
            self.outgoing.write(&mut self.socket, said, seat.now)
        };
        seat.herd.wake(wake);
        written?;
        self.account()
    }

    fn go_on(&mut self, seat: &Seat<'_, P>, next: Next) -> Step {
        self.phase = match (next, seat.herd.durability()) {
            (Next::Close(reason), _) => Phase::parting(Closed::Protocol(reason)),
            (Next::Later(Later::Places(question)), _) => {
                self.phase = Phase::Asking(None);
                return Step::Ask(question);
            }
            (Next::Later(Later::Durable(position)), Some(durability)) => {
                let patience = durability.patience();
                self.phase = Phase::Covering(Covering { until: seat.now + patience, patience });
                return Step::Cover(position);
            }
            (Next::Done | Next::Full | Next::Later(_), _) => Phase::Serving,
        };
        self.step()
    }

    fn step(&self) -> Step {
        let is_idle = matches!(self.phase, Phase::Serving) && !self.has_input() && !self.is_rung;
        if is_idle || self.has_unsent() { Step::Wait } else { Step::Again }
    }

    /// Ends TLS, if it is spoken, and is done.
    fn finish(&mut self, now: Instant) -> Result<Step, Closed> {
        if self.socket.say_goodbye()? {
            return Ok(Step::Close(Ok(())));
        }
        self.outgoing.wait(now);
        Ok(Step::Wait)
    }

    /// Closes this end, and reads on until the client has closed the other.
    fn part(&mut self, into: &mut [u8], now: Instant) -> Result<Step, Closed> {
        let Phase::Parting(parting) = &mut self.phase else { return Ok(Step::Wait) };
        parting.since.get_or_insert(now);
        if !self.socket.say_goodbye()? {
            return Ok(Step::Wait);
        }
        if !std::mem::replace(&mut parting.is_shut, true) {
            self.socket.shut()?;
        }
        Ok(match self.socket.discard(into) {
            true if self.socket.is_readable() => Step::Again,
            true => Step::Wait,
            false => Step::Close(parting.reason.take().map_or(Ok(()), Err)),
        })
    }

    fn log(&self, herd: &Herd, direction: Direction, run: &[u8], lines: u64) {
        if P::IS_TEXT && !run.is_empty() {
            herd.log().traffic_counted(direction, self.caller.address, run, lines);
        }
    }

    fn call<T>(&mut self, seat: &Seat<'_, P>, call: impl FnOnce(&mut P, &Here<'_>) -> T) -> T {
        let Connection { protocol, caller, bell, serial, .. } = self;
        let make_bell = || Bell {
            inbox: Arc::clone(seat.inbox) as Arc<dyn Rings>,
            at: seat.at,
            serial: *serial,
            is_rung: Arc::clone(bell.get_or_init(|| Arc::new(AtomicBool::new(false)))),
        };
        let here = Here { herd: seat.herd, caller, now: seat.now, bell: &make_bell };
        call(protocol, &here)
    }
}

/// Whether what was said has to be safe before it leaves.
fn is_to_be_safe(herd: &Herd, next: &Next) -> bool {
    matches!(next, Next::Later(Later::Durable(_))) && herd.durability().is_some()
}
