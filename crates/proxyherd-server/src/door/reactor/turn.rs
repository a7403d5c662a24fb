//! A connection's turn: the connection reads once, passes the input to its protocol, and writes once.
//!
//! The thread calls [`Connection::turn`] when a connection has something to do. The thread then does what the returned
//! [`TurnOutcome`] says. A turn never waits.
//!
//! All connections of a thread share the buffer for reads and the buffer for replies. A connection copies only the
//! start of a unit whose end has not arrived yet. A connection reads again only when all its replies are written. So
//! the server reads nothing from a client that does not read its replies. A turn does not know the meaning of the
//! protocol's bytes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::AcqRel},
    },
    time::{Duration, Instant},
};

use proxyherd_config::clock;
use proxyherd_core::flood::Wake;
use proxyherd_log::{Direction, LogLevel};

use super::{
    close_reason::CloseReason,
    connection::{Connection, DurabilityWait, Phase},
    inbox::Inbox,
    protocol::{Bell, CallContext, Input, NextStep, Protocol, ProtocolEvent, Rings, TakeOutput},
    socket::{RECORD_LEN_MAX, ReadOutcome},
};
use crate::{
    door::entrance::HandshakeFailed,
    herd::{Herd, Positions},
    places::Question,
};

/// Maximum length of one read, bytes.
const READ_LEN: usize = 64 * 1024;
/// Minimum number of units in one read that makes a connection busy.
const BUSY_UNITS: u64 = 16;

/// A thread's buffers. During a turn, the connection of that turn uses them.
pub(super) struct Scratch {
    input: Box<[u8]>,
    wire: Box<[u8]>,
    replies: Vec<u8>,
}

impl Scratch {
    /// Buffers for a protocol whose longest unit has `unit_len_max` bytes.
    pub(super) fn new(unit_len_max: usize) -> Scratch {
        let buffer = |len| vec![0; len].into_boxed_slice();
        Scratch {
            input: buffer(unit_len_max + 1 + READ_LEN + RECORD_LEN_MAX),
            wire: buffer(READ_LEN),
            replies: Vec::with_capacity(READ_LEN),
        }
    }
}

/// What a connection needs from its thread during a turn.
pub(super) struct TurnContext<'a, P: Protocol> {
    pub(super) herd: &'a Herd,
    pub(super) inbox: &'a Arc<Inbox<P>>,
    /// The connection's slot on its thread.
    pub(super) slot: usize,
    pub(super) now: Instant,
}

/// What the thread does after a turn.
pub(super) enum TurnOutcome {
    /// Wait until the socket is ready, a deadline passes or a message comes.
    Wait,
    /// Give the connection another turn after the turns of the other connections.
    Again,
    /// Start a query about places, and deliver the answer to the connection.
    AskPlaces(Box<Question>),
    /// Notify the connection when these positions are durable.
    AwaitDurable(Box<Positions>),
    /// Close the connection. `Ok`: the client wanted to close it.
    Close(Result<(), CloseReason>),
}

impl<P: Protocol> Connection<P> {
    /// Runs one turn: does everything that is possible without waiting.
    pub(super) fn turn(&mut self, context: &TurnContext<'_, P>, scratch: &mut Scratch) -> TurnOutcome {
        match self.try_turn(context, scratch) {
            Ok(outcome) => outcome,
            Err(CloseReason::Broken(error)) if self.is_in_handshake() => {
                TurnOutcome::Close(Err(CloseReason::Handshake(HandshakeFailed::Broken(error))))
            }
            Err(reason) => TurnOutcome::Close(Err(reason)),
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
            self.restart_limits(context.now);
        }
        match &mut self.phase {
            Phase::Opening if !self.socket.is_in_handshake() => {
                match self.open(context, &mut scratch.replies)? {
                    TurnOutcome::Again if matches!(self.phase, Phase::Serving) => {
                        self.serve(context, scratch)
                    }
                    outcome => Ok(outcome),
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
            // A stop does not wait for the end of a pause.
            Phase::Pausing(until) if *until <= context.now || context.herd.is_draining() => {
                self.phase = Phase::Serving;
                self.restart_limits(context.now);
                self.resume(context, ProtocolEvent::Time, &mut scratch.replies)
            }
            Phase::Pausing(_) => Ok(TurnOutcome::Wait),
            Phase::Finishing => self.finish(context.now),
            Phase::Lingering(_) => self.linger(&mut scratch.input, context.now),
        }
    }

    /// Writes more of the bytes that the socket has not accepted yet. Returns whether all bytes are written.
    fn write_rest(&mut self) -> Result<bool, CloseReason> {
        if !self.has_unsent() {
            return Ok(true);
        }
        let is_written = self.outgoing.write_rest(&mut self.socket)?;
        self.account_buffers()?;
        Ok(is_written)
    }

    /// Reads once for the handshake. The bytes after the handshake are kept for the protocol, which has not begun yet.
    fn continue_handshake(&mut self, scratch: &mut Scratch) -> Result<TurnOutcome, CloseReason> {
        match self.socket.read(&mut scratch.input, &mut scratch.wire)? {
            ReadOutcome::Bytes(len) => {
                self.hold(&scratch.input[..len]);
                self.may_hold_units = true;
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
        if self.is_lost() {
            return Err(self.socket.failure().into());
        }
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
            Ok(units_max) if self.may_hold_units => {
                let held = std::mem::take(&mut self.held);
                self.take(context, &held, units_max, &mut scratch.replies)
            }
            Ok(units_max) => self.read(context, scratch, units_max),
            Err(wait) => {
                self.throttled_until = Some(context.now + wait);
                Ok(TurnOutcome::Wait)
            }
        }
    }

    /// The event that the protocol must receive now, if any.
    fn event(&mut self, now: Instant) -> Option<ProtocolEvent> {
        if std::mem::take(&mut self.is_rung) {
            if let Some(bell) = self.bell.get() {
                // From here on the bell can be rung again. News that arrives now may be too late for this event.
                bell.swap(false, AcqRel);
            }
            return Some(ProtocolEvent::Rung);
        }
        self.protocol.wake_at().is_some_and(|at| at <= now).then_some(ProtocolEvent::Time)
    }

    /// `Ok`: the number of units that may be taken now. `Err`: the time to wait. Units that arrived before a stop are
    /// answered regardless of the client's rate.
    fn units_allowed(&self, is_draining: bool) -> Result<u64, Duration> {
        if is_draining { Ok(u64::MAX) } else { self.ticket.lines_allowed(clock::monotonic_ns) }
    }

    fn read(
        &mut self,
        context: &TurnContext<'_, P>,
        scratch: &mut Scratch,
        units_max: u64,
    ) -> Result<TurnOutcome, CloseReason> {
        let Scratch { input, wire, replies } = scratch;
        let held_len = self.held.len();
        let read_len = match self.socket.read(&mut input[held_len..], wire)? {
            ReadOutcome::Bytes(len) => len,
            ReadOutcome::Ended => 0,
            ReadOutcome::Nothing if self.socket.is_readable() => return Ok(TurnOutcome::Again),
            ReadOutcome::Nothing if context.herd.is_draining() => return Err(CloseReason::Stopping),
            ReadOutcome::Nothing => return self.account_buffers().map(|()| TurnOutcome::Wait),
        };
        self.has_ended = read_len == 0;
        self.heard_at = context.now;
        input[..held_len].copy_from_slice(&self.held);
        self.held.clear();
        self.take(context, &input[..held_len + read_len], units_max, replies)
    }

    /// Passes up to `units_max` units of `input` to the protocol, keeps the rest of the input, and writes the replies.
    fn take(
        &mut self,
        context: &TurnContext<'_, P>,
        input: &[u8],
        units_max: u64,
        replies: &mut Vec<u8>,
    ) -> Result<TurnOutcome, CloseReason> {
        replies.clear();
        let given = Input { bytes: input, is_last: self.has_ended, units_max };
        let TakeOutput { consumed, units_in, units_out, wake, next } =
            self.call(context, |protocol, call| protocol.take(call, given, replies));
        self.is_busy |= units_in >= BUSY_UNITS;
        self.ticket.took(units_in, clock::monotonic_ns);
        self.log(context.herd, Direction::In, &input[..consumed], units_in);
        if !must_be_durable(context.herd, &next) {
            self.log(context.herd, Direction::Out, replies, units_out);
        }
        self.may_hold_units = !matches!(next, NextStep::ReadMore | NextStep::Subscribed | NextStep::Close(_));
        let kept = match next {
            NextStep::Close(_) => Ok(()),
            _ => self.keep(&input[consumed..], consumed == 0),
        };
        // Even if the rest of the input is wrong, the links must hear of the reports that were taken.
        self.send_replies(context, replies, &next, wake)?;
        kept?;
        // Otherwise the stop would have no effect on a client that never stops sending.
        if matches!(next, NextStep::ReadMore | NextStep::Subscribed)
            && !self.is_finished(&next)
            && context.herd.is_draining()
        {
            self.phase = Phase::lingering(CloseReason::Stopping);
            return Ok(self.wait_or_again());
        }
        Ok(self.enter_phase(context, next))
    }

    /// Keeps the rest of the input. `is_same_unit`: the rest begins with a unit that began before this turn.
    fn keep(&mut self, input: &[u8], is_same_unit: bool) -> Result<(), CloseReason> {
        self.hold(input);
        let began_at = self.unit_began_at.filter(|_| is_same_unit).unwrap_or(self.heard_at);
        self.unit_began_at = (!self.held.is_empty()).then_some(began_at);
        if self.may_hold_units || self.held.len() <= P::UNIT_LEN_MAX + 1 {
            return Ok(());
        }
        Err(CloseReason::Failed("this server did not find the end of what the client sent"))
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
        replies: &[u8],
        next: NextStep,
    ) -> Result<TurnOutcome, CloseReason> {
        if P::IS_TEXT && !replies.is_empty() && !must_be_durable(context.herd, &next) {
            let log = context.herd.log();
            if log.enabled(LogLevel::Info) {
                log.traffic(Direction::Out, self.caller.address, &P::shown(replies));
            }
        }
        self.is_rung |= matches!(next, NextStep::WriteFirst);
        self.send_replies(context, replies, &next, Wake::default())?;
        Ok(self.enter_phase(context, next))
    }

    /// Writes the replies, or withholds them until the reports that they acknowledge are durable. In both cases the
    /// links are woken afterwards. The wake-up comes last so that it does not delay the replies.
    fn send_replies(
        &mut self,
        context: &TurnContext<'_, P>,
        replies: &[u8],
        next: &NextStep,
        wake: Wake,
    ) -> Result<(), CloseReason> {
        let written = if must_be_durable(context.herd, next) {
            self.outgoing.withhold(replies);
            Ok(())
        } else {
            self.outgoing.write(&mut self.socket, replies, context.now)
        };
        context.herd.wake(wake);
        written?;
        self.account_buffers()
    }

    /// Enters the phase that `next` asks for.
    fn enter_phase(&mut self, context: &TurnContext<'_, P>, next: NextStep) -> TurnOutcome {
        if self.is_finished(&next) {
            self.phase = Phase::Finishing;
            return self.wait_or_again();
        }
        self.phase = match (next, context.herd.durability()) {
            (NextStep::Pause(pause), _) => Phase::Pausing(context.now + pause),
            (NextStep::Close(end), _) => Phase::lingering(CloseReason::Protocol(end)),
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
        self.wait_or_again()
    }

    /// Whether the connection is finished: the client has sent its last unit, the protocol has taken that unit, and the
    /// protocol has nothing more to send.
    fn is_finished(&self, next: &NextStep) -> bool {
        matches!(next, NextStep::ReadMore) && self.has_ended && !self.may_hold_units
    }

    fn wait_or_again(&self) -> TurnOutcome {
        let is_idle =
            matches!(self.phase, Phase::Serving) && !self.has_input() && !self.is_rung && !self.is_lost();
        if is_idle || self.has_unsent() { TurnOutcome::Wait } else { TurnOutcome::Again }
    }

    /// Ends TLS, if the connection has it, and closes.
    fn finish(&mut self, now: Instant) -> Result<TurnOutcome, CloseReason> {
        if self.socket.send_close_notify()? {
            return Ok(TurnOutcome::Close(Ok(())));
        }
        self.outgoing.note_waiting(now);
        Ok(TurnOutcome::Wait)
    }

    /// Shuts down the sending side, and continues to read until the client has closed its end.
    fn linger(&mut self, into: &mut [u8], now: Instant) -> Result<TurnOutcome, CloseReason> {
        let Phase::Lingering(lingering) = &mut self.phase else { return Ok(TurnOutcome::Wait) };
        lingering.since.get_or_insert(now);
        if !self.socket.send_close_notify()? {
            return Ok(TurnOutcome::Wait);
        }
        if !std::mem::replace(&mut lingering.is_shut_down, true) {
            self.socket.shut_down_sending()?;
        }
        Ok(match self.socket.discard(into) {
            true if self.socket.is_readable() => TurnOutcome::Again,
            true => TurnOutcome::Wait,
            false => TurnOutcome::Close(lingering.reason.take().map_or(Ok(()), Err)),
        })
    }

    fn log(&self, herd: &Herd, direction: Direction, bytes: &[u8], lines: u64) {
        if P::IS_TEXT && !bytes.is_empty() && herd.log().enabled(LogLevel::Info) {
            herd.log().traffic_counted(direction, self.caller.address, bytes, lines, P::shown);
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

/// Whether the replies must wait until the reports that they acknowledge are durable.
fn must_be_durable(herd: &Herd, next: &NextStep) -> bool {
    matches!(next, NextStep::AwaitDurable(_)) && herd.durability().is_some()
}
