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
    close_reason::CloseReason,
    connection::{Connection, DurabilityWait, Phase},
    inbox::Inbox,
    protocol::{Bell, CallContext, Input, NextStep, Protocol, ProtocolEvent, Rings, TakeOutput},
    socket::{RECORD_LEN_MAX, ReadOutcome},
};
use crate::{
    clock,
    door::entrance::HandshakeFailed,
    herd::{Herd, Positions},
    log::Direction,
    places::Question,
};

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
pub(super) struct TurnContext<'a, P: Protocol> {
    pub(super) herd: &'a Herd,
    pub(super) inbox: &'a Arc<Inbox<P>>,
    pub(super) slot: usize,
    pub(super) now: Instant,
}

/// What a turn leaves to be done.
pub(super) enum TurnOutcome {
    /// Nothing, until the socket or the time says so.
    Wait,
    /// More, when others have had their turn.
    Again,
    /// Ask the places, and bring their answer.
    AskPlaces(Box<Question>),
    /// Say when this is safe.
    AwaitDurable(Box<Positions>),
    /// It is over; `Ok` if that was the client's wish.
    Close(Result<(), CloseReason>),
}

impl<P: Protocol> Connection<P> {
    /// Does what can be done without waiting.
    pub(super) fn turn(&mut self, context: &TurnContext<'_, P>, scratch: &mut Scratch) -> TurnOutcome {
        match self.try_turn(context, scratch) {
            Ok(step) => step,
            Err(CloseReason::Broken(error)) if self.is_in_handshake() => {
                TurnOutcome::Close(Err(CloseReason::Handshake(HandshakeFailed::Broken(error))))
            }
            Err(closed) => TurnOutcome::Close(Err(closed)),
        }
    }

    fn try_turn(
        &mut self,
        context: &TurnContext<'_, P>,
        scratch: &mut Scratch,
    ) -> Result<TurnOutcome, CloseReason> {
        if !self.write_rest()? {
            return Ok(TurnOutcome::Wait);
        }
        if self.throttled_until.take().is_some() {
            self.waited(context.now);
        }
        match &mut self.phase {
            Phase::Opening if !self.socket.is_in_handshake() => {
                match self.open(context, &mut scratch.replies)? {
                    TurnOutcome::Again if matches!(self.phase, Phase::Serving) => {
                        self.serve(context, scratch)
                    }
                    step => Ok(step),
                }
            }
            Phase::Opening if context.herd.is_draining() => Err(CloseReason::Stopping),
            Phase::Opening => self.continue_handshake(scratch),
            Phase::Serving => self.serve(context, scratch),
            Phase::AwaitingPlaces(answer) => match answer.take() {
                Some(answer) => {
                    self.phase = Phase::Serving;
                    self.resume(context, ProtocolEvent::Places(answer), &mut scratch.replies)
                }
                None => Ok(TurnOutcome::Wait),
            },
            Phase::AwaitingDurable(_) => Ok(TurnOutcome::Wait),
            Phase::Finishing => self.finish(context.now),
            Phase::Lingering(_) => self.linger(&mut scratch.input, context.now),
        }
    }

    fn write_rest(&mut self) -> Result<bool, CloseReason> {
        if !self.has_unsent() {
            return Ok(true);
        }
        let is_written = self.outgoing.write_rest(&mut self.socket)?;
        self.account()?;
        Ok(is_written)
    }

    /// Goes on with the handshake. What comes behind it is kept for the protocol, which has not begun.
    fn continue_handshake(&mut self, scratch: &mut Scratch) -> Result<TurnOutcome, CloseReason> {
        match self.socket.read(&mut scratch.input, &mut scratch.wire)? {
            ReadOutcome::Bytes(len) => {
                self.hold(&scratch.input[..len]);
                self.has_units = true;
            }
            ReadOutcome::Nothing => {}
            ReadOutcome::Ended => return Err(CloseReason::Handshake(HandshakeFailed::Ended)),
        }
        let is_waiting = self.socket.is_in_handshake() && !self.socket.is_readable();
        Ok(if is_waiting { TurnOutcome::Wait } else { TurnOutcome::Again })
    }

    fn open(
        &mut self,
        context: &TurnContext<'_, P>,
        replies: &mut Vec<u8>,
    ) -> Result<TurnOutcome, CloseReason> {
        self.phase = Phase::Serving;
        self.heard_at = self.heard_at.max(context.now);
        replies.clear();
        let next = self.call(context, |protocol, call| protocol.open(call, replies));
        self.after_event(context, replies, next)
    }

    fn serve(
        &mut self,
        context: &TurnContext<'_, P>,
        scratch: &mut Scratch,
    ) -> Result<TurnOutcome, CloseReason> {
        let (has_input, is_draining) = (self.has_input(), context.herd.is_draining());
        let is_inputs_turn = std::mem::take(&mut self.has_resumed) && has_input;
        if !is_inputs_turn
            && !is_draining
            && let Some(event) = self.event(context.now)
        {
            self.has_resumed = true;
            return self.resume(context, event, &mut scratch.replies);
        }
        if !has_input {
            return if is_draining { Err(CloseReason::Stopping) } else { Ok(TurnOutcome::Wait) };
        }
        match self.units_allowed(is_draining) {
            Ok(most) if self.has_units => {
                let held = std::mem::take(&mut self.held);
                self.take(context, &held, most, &mut scratch.replies)
            }
            Ok(most) => self.read(context, scratch, most),
            Err(wait) => {
                self.throttled_until = Some(context.now + wait);
                Ok(TurnOutcome::Wait)
            }
        }
    }

    /// What has happened that the protocol asked for.
    fn event(&mut self, now: Instant) -> Option<ProtocolEvent> {
        if std::mem::take(&mut self.is_rung) {
            if let Some(bell) = self.bell.get() {
                // Who rings from here on is heard again: what they have may come too late for this time.
                bell.swap(false, AcqRel);
            }
            return Some(ProtocolEvent::Rung);
        }
        self.protocol.wake_at().is_some_and(|at| at <= now).then_some(ProtocolEvent::Time)
    }

    /// How many units may be taken now, or when to ask again. What has come before a stop is answered.
    fn units_allowed(&self, is_draining: bool) -> Result<u64, Duration> {
        if is_draining { Ok(u64::MAX) } else { self.ticket.lines_allowed(clock::monotonic_ns) }
    }

    fn read(
        &mut self,
        context: &TurnContext<'_, P>,
        scratch: &mut Scratch,
        most: u64,
    ) -> Result<TurnOutcome, CloseReason> {
        let Scratch { input, wire, replies } = scratch;
        let held_len = self.held.len();
        let read_len = match self.socket.read(&mut input[held_len..], wire)? {
            ReadOutcome::Bytes(len) => len,
            ReadOutcome::Ended => 0,
            ReadOutcome::Nothing if self.socket.is_readable() => return Ok(TurnOutcome::Again),
            ReadOutcome::Nothing if context.herd.is_draining() => return Err(CloseReason::Stopping),
            ReadOutcome::Nothing => return self.account().map(|()| TurnOutcome::Wait),
        };
        self.has_ended = read_len == 0;
        self.heard_at = context.now;
        input[..held_len].copy_from_slice(&self.held);
        self.held.clear();
        self.take(context, &input[..held_len + read_len], most, replies)
    }

    /// Has up to `most` of the units in `input` taken, keeps what is left of it, writes the replies.
    fn take(
        &mut self,
        context: &TurnContext<'_, P>,
        input: &[u8],
        most: u64,
        replies: &mut Vec<u8>,
    ) -> Result<TurnOutcome, CloseReason> {
        replies.clear();
        let given = Input { bytes: input, is_last: self.has_ended, units_max: most };
        let TakeOutput { consumed, units_in, units_out, wake, next } =
            self.call(context, |protocol, call| protocol.take(call, given, replies));
        self.is_busy |= units_in >= BUSY_UNITS;
        self.ticket.took(units_in, clock::monotonic_ns);
        self.log(context.herd, Direction::In, &input[..consumed], units_in);
        if !must_be_durable(context.herd, &next) {
            self.log(context.herd, Direction::Out, replies, units_out);
        }
        self.has_units =
            matches!(next, NextStep::WriteFirst | NextStep::AwaitPlaces(_) | NextStep::AwaitDurable(_));
        let kept = match next {
            NextStep::Close(_) => Ok(()),
            _ => self.keep(&input[consumed..], consumed == 0),
        };
        // Whatever is wrong with the rest: what was taken is told to the links.
        self.say(context, replies, &next, wake)?;
        kept?;
        self.phase = match next {
            NextStep::ReadMore if self.has_ended => Phase::Finishing,
            // Whoever never stops sending would not notice the stop otherwise.
            NextStep::ReadMore | NextStep::Subscribed if context.herd.is_draining() => {
                Phase::lingering(CloseReason::Stopping)
            }
            next => return Ok(self.enter_phase(context, next)),
        };
        Ok(self.step())
    }

    /// Keeps what is left of the input, where `is_same` says that this begins with the unit that was begun before.
    fn keep(&mut self, input: &[u8], is_same: bool) -> Result<(), CloseReason> {
        self.hold(input);
        let began = self.unit_began_at.filter(|_| is_same).unwrap_or(self.heard_at);
        self.unit_began_at = (!self.held.is_empty()).then_some(began);
        if self.has_units || self.held.len() <= P::UNIT_LEN_MAX + 1 {
            return Ok(());
        }
        Err(CloseReason::Failed("this server failed to tell where what it sent ends"))
    }

    fn resume(
        &mut self,
        context: &TurnContext<'_, P>,
        event: ProtocolEvent,
        replies: &mut Vec<u8>,
    ) -> Result<TurnOutcome, CloseReason> {
        replies.clear();
        let next = self.call(context, |protocol, call| protocol.resume(call, event, replies));
        self.after_event(context, replies, next)
    }

    fn after_event(
        &mut self,
        context: &TurnContext<'_, P>,
        said: &[u8],
        next: NextStep,
    ) -> Result<TurnOutcome, CloseReason> {
        if P::IS_TEXT && !said.is_empty() && !must_be_durable(context.herd, &next) {
            context.herd.log().traffic(Direction::Out, self.caller.address, said);
        }
        self.is_rung |= matches!(next, NextStep::WriteFirst);
        self.say(context, said, &next, Wake::default())?;
        Ok(self.enter_phase(context, next))
    }

    /// Writes what is said, or keeps it until it is safe. The links are woken in any case, and only then: what they cost does
    /// not hold up the replies.
    fn say(
        &mut self,
        context: &TurnContext<'_, P>,
        said: &[u8],
        next: &NextStep,
        wake: Wake,
    ) -> Result<(), CloseReason> {
        let written = if must_be_durable(context.herd, next) {
            self.outgoing.withhold(said);
            Ok(())
        } else {
            self.outgoing.write(&mut self.socket, said, context.now)
        };
        context.herd.wake(wake);
        written?;
        self.account()
    }

    fn enter_phase(&mut self, context: &TurnContext<'_, P>, next: NextStep) -> TurnOutcome {
        self.phase = match (next, context.herd.durability()) {
            (NextStep::Close(reason), _) => Phase::lingering(CloseReason::Protocol(reason)),
            (NextStep::AwaitPlaces(question), _) => {
                self.phase = Phase::AwaitingPlaces(None);
                return TurnOutcome::AskPlaces(question);
            }
            (NextStep::AwaitDurable(positions), Some(durability)) => {
                let patience = durability.patience();
                self.phase =
                    Phase::AwaitingDurable(DurabilityWait { until: context.now + patience, patience });
                return TurnOutcome::AwaitDurable(positions);
            }
            (
                NextStep::ReadMore | NextStep::WriteFirst | NextStep::Subscribed | NextStep::AwaitDurable(_),
                _,
            ) => Phase::Serving,
        };
        self.step()
    }

    fn step(&self) -> TurnOutcome {
        let is_idle = matches!(self.phase, Phase::Serving) && !self.has_input() && !self.is_rung;
        if is_idle || self.has_unsent() { TurnOutcome::Wait } else { TurnOutcome::Again }
    }

    /// Ends TLS, if it is spoken, and is done.
    fn finish(&mut self, now: Instant) -> Result<TurnOutcome, CloseReason> {
        if self.socket.send_close_notify()? {
            return Ok(TurnOutcome::Close(Ok(())));
        }
        self.outgoing.wait(now);
        Ok(TurnOutcome::Wait)
    }

    /// Closes this end, and reads on until the client has closed the other.
    fn linger(&mut self, into: &mut [u8], now: Instant) -> Result<TurnOutcome, CloseReason> {
        let Phase::Lingering(lingering) = &mut self.phase else { return Ok(TurnOutcome::Wait) };
        lingering.since.get_or_insert(now);
        if !self.socket.send_close_notify()? {
            return Ok(TurnOutcome::Wait);
        }
        if !std::mem::replace(&mut lingering.is_shut, true) {
            self.socket.shut_down_sending()?;
        }
        Ok(match self.socket.discard(into) {
            true if self.socket.is_readable() => TurnOutcome::Again,
            true => TurnOutcome::Wait,
            false => TurnOutcome::Close(lingering.reason.take().map_or(Ok(()), Err)),
        })
    }

    fn log(&self, herd: &Herd, direction: Direction, run: &[u8], lines: u64) {
        if P::IS_TEXT && !run.is_empty() {
            herd.log().traffic_counted(direction, self.caller.address, run, lines);
        }
    }

    fn call<T>(
        &mut self,
        context: &TurnContext<'_, P>,
        call: impl FnOnce(&mut P, &CallContext<'_>) -> T,
    ) -> T {
        let Connection { protocol, caller, bell, serial, .. } = self;
        let make_bell = || Bell {
            inbox: Arc::clone(context.inbox) as Arc<dyn Rings>,
            slot: context.slot,
            serial: *serial,
            is_rung: Arc::clone(bell.get_or_init(|| Arc::new(AtomicBool::new(false)))),
        };
        let call_context = CallContext { herd: context.herd, caller, now: context.now, bell: &make_bell };
        call(protocol, &call_context)
    }
}

/// Whether what was said has to be safe before it leaves.
fn must_be_durable(herd: &Herd, next: &NextStep) -> bool {
    matches!(next, NextStep::AwaitDurable(_)) && herd.durability().is_some()
}
