//! One client's connection: its state between two turns, and its deadlines. The module `turn` has what a connection
//! does in a turn.
//!
//! An idle connection owns no buffers, except the buffers of TLS. A connection does not know the meaning of its
//! protocol's bytes.

use std::{
    cell::OnceCell,
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, Instant},
};

use proxyherd_config::config::Limits;
use proxyherd_log::Direction;

use super::{
    close_reason::CloseReason,
    outgoing::{KEPT_LEN_MAX, Outgoing},
    protocol::Protocol,
    socket::Socket,
};
use crate::{
    admission::{Entered, Ticket},
    caller::Caller,
    door::entrance::{HANDSHAKE_MAX, HandshakeFailed},
    herd::Herd,
    places::Answered,
};

/// Maximum time between the end of this server's sending side and the moment when the client closes its end.
const LINGER_MAX: Duration = Duration::from_secs(1);

/// The phase of a connection.
pub(super) enum Phase {
    /// The handshake, if any, is in progress. The protocol has not begun.
    Opening,
    /// The protocol takes units.
    Serving,
    /// A query about places is in progress. The connection takes no input until the answer comes. The answer is kept
    /// here for the next turn.
    AwaitingPlaces(Option<Box<Answered>>),
    /// The last replies are withheld until the reports that they acknowledge are durable. The connection takes no input
    /// until then.
    AwaitingDurable(DurabilityWait),
    /// The protocol has asked for a pause. The connection takes no input until this time.
    Pausing(Instant),
    /// The protocol has taken the client's last unit. Only the replies must still be written.
    Finishing,
    /// This server closes the connection. The server sends the last replies, shuts down its sending side, and then
    /// reads until the client closes its end. If the server closed the socket while input is unread, the system would
    /// reset the connection, and the client would lose the replies.
    Lingering(Lingering),
}

/// Maximum time that the last replies may wait for their reports to become durable.
#[derive(Clone, Copy)]
pub(super) struct DurabilityWait {
    pub(super) until: Instant,
    pub(super) patience: Duration,
}

/// The progress of closing a connection from this server's side.
pub(super) struct Lingering {
    pub(super) reason: Option<CloseReason>,
    /// When the last reply was written. `None`: it is not written yet.
    pub(super) since: Option<Instant>,
    pub(super) is_shut_down: bool,
}

impl Phase {
    pub(super) fn lingering(reason: CloseReason) -> Phase {
        Phase::Lingering(Lingering { reason: Some(reason), since: None, is_shut_down: false })
    }
}

/// One client's connection.
pub(super) struct Connection<P> {
    pub(super) protocol: P,
    pub(super) caller: Caller,
    /// Distinguishes this connection from earlier connections in the same slot of its thread.
    pub(super) serial: u64,
    pub(super) socket: Socket,
    pub(super) phase: Phase,
    /// Input that the protocol has not taken yet: the start of a unit, or units after a unit that has to wait.
    pub(super) held: Vec<u8>,
    /// Whether `held` may hold complete units.
    pub(super) may_hold_units: bool,
    pub(super) outgoing: Outgoing,
    /// Whether the client has shut down its sending side.
    pub(super) has_ended: bool,
    pub(super) is_busy: bool,
    /// Whether the bell was rung since the last [`ProtocolEvent::Rung`](super::ProtocolEvent::Rung).
    pub(super) is_rung: bool,
    /// Shared with the bells, if there are any: whether a bell was rung and the protocol has not received the event
    /// yet.
    pub(super) bell: OnceCell<Arc<AtomicBool>>,
    /// Whether the last turn was for an event. If so, the client's input comes next.
    pub(super) has_resumed: bool,
    /// Whether the connection is in its thread's queue of connections that want a turn.
    pub(super) is_queued: bool,
    /// Whether the connection has moved to another thread because it is busy. A connection moves at most once.
    pub(super) has_moved: bool,
    /// When the server last received something from the client, or when the client's limits were restarted.
    pub(super) heard_at: Instant,
    /// When the unit began that is not complete yet.
    pub(super) unit_began_at: Option<Instant>,
    /// Time before which nothing is read, because the client's address has exceeded its rate.
    pub(super) throttled_until: Option<Instant>,
    pub(super) ticket: Ticket,
    entered: Entered,
}

impl<P: Protocol> Connection<P> {
    pub(super) fn new(
        protocol: P,
        caller: Caller,
        (ticket, entered): (Ticket, Entered),
        socket: Socket,
    ) -> Connection<P> {
        Connection {
            protocol,
            caller,
            serial: 0,
            socket,
            phase: Phase::Opening,
            held: Vec::new(),
            may_hold_units: false,
            outgoing: Outgoing::default(),
            has_ended: false,
            is_busy: false,
            is_rung: false,
            bell: OnceCell::new(),
            has_resumed: false,
            is_queued: false,
            has_moved: false,
            heard_at: Instant::now(),
            unit_began_at: None,
            throttled_until: None,
            ticket,
            entered,
        }
    }

    /// Called when a thread takes the connection. `serial` is the connection's number on that thread.
    pub(super) fn begin(&mut self, serial: u64, now: Instant) {
        self.serial = serial;
        self.heard_at = self.heard_at.max(now);
    }

    pub(super) fn is_in_handshake(&self) -> bool {
        matches!(self.phase, Phase::Opening) && self.socket.is_in_handshake()
    }

    /// Counts the end of the connection, if it ends for a reason that is counted.
    pub(super) fn count_end(&self, end: &Result<(), CloseReason>) {
        if let Err(CloseReason::Handshake(_)) = end {
            self.entered.handshake_failed();
        }
    }

    /// Whether a turn would do anything.
    pub(super) fn wants_turn(&self) -> bool {
        let is_to_begin = P::SPEAKS_FIRST && matches!(self.phase, Phase::Opening);
        is_to_begin || self.has_input() || self.is_rung || self.has_unsent() || self.is_lost()
    }

    /// Whether there may be input for the protocol.
    pub(super) fn has_input(&self) -> bool {
        self.may_hold_units || (self.socket.is_readable() && !self.has_ended)
    }

    /// Whether the connection has failed after the client shut down its sending side. A read does not report this
    /// failure any more.
    pub(super) fn is_lost(&self) -> bool {
        self.has_ended && self.socket.has_failed()
    }

    /// Whether the socket has not accepted all replies yet.
    pub(super) fn has_unsent(&self) -> bool {
        !self.outgoing.is_empty() || self.socket.has_unsent()
    }

    /// Whether the connection should move to a thread for busy connections. A connection does not move while it waits
    /// for something. A connection with bells never moves, because its bells know its slot.
    pub(super) fn is_to_move(&self) -> bool {
        self.is_busy && !self.has_moved && self.bell.get().is_none() && matches!(self.phase, Phase::Serving)
    }

    /// Keeps the answer about places for the next turn.
    pub(super) fn take_answer(&mut self, answer: Box<Answered>, now: Instant) {
        self.phase = Phase::AwaitingPlaces(Some(answer));
        self.restart_limits(now);
    }

    /// Whether replies are withheld until reports are durable.
    pub(super) fn awaits_durable(&self) -> bool {
        matches!(self.phase, Phase::AwaitingDurable(_))
    }

    /// Releases the withheld replies, because the reports that they acknowledge are durable.
    pub(super) fn take_durable(&mut self, herd: &Herd, now: Instant) {
        if matches!(self.phase, Phase::AwaitingDurable(_)) {
            let replies = self.outgoing.release(now);
            if P::IS_TEXT && !replies.is_empty() {
                herd.log().traffic(Direction::Out, self.caller.address, &P::shown(replies));
            }
            self.phase = Phase::Serving;
            self.restart_limits(now);
        }
    }

    /// Restarts the client's limits, because the client had to wait for this server until now.
    pub(super) fn restart_limits(&mut self, now: Instant) {
        self.heard_at = now;
        self.unit_began_at = self.unit_began_at.map(|_| now);
    }

    /// Keeps input for a later turn. The connection must hold no input yet, because that input would be lost.
    pub(super) fn hold(&mut self, input: &[u8]) {
        assert!(self.held.is_empty(), "whoever takes input takes what is held first");
        if self.held.capacity() > KEPT_LEN_MAX {
            self.held = Vec::new();
        }
        self.held.extend_from_slice(input);
    }

    /// Reports to admission how many bytes the connection owns. The few bytes that every connection may own do not
    /// count.
    pub(super) fn account_buffers(&self) -> Result<(), CloseReason> {
        let held_len = if self.held.len() > KEPT_LEN_MAX { self.held.len() } else { 0 };
        let undecrypted_len = self.socket.undecrypted_len();
        let undecrypted_len = if undecrypted_len > KEPT_LEN_MAX { undecrypted_len } else { 0 };
        let len = self.outgoing.len() + self.socket.unsent_len() + held_len + undecrypted_len;
        if self.ticket.buffer(len) { Ok(()) } else { Err(CloseReason::NoRoom) }
    }

    /// The time at which the connection wants a turn even if its socket is not ready.
    pub(super) fn wakes_at(&self) -> Option<Instant> {
        // The protocol can't be called while replies wait for the client.
        let can_wake = matches!(self.phase, Phase::Serving) && !self.has_unsent();
        let timer = match self.phase {
            Phase::Pausing(until) => Some(until),
            _ => self.protocol.wake_at().filter(|_| can_wake),
        };
        [self.throttled_until, timer].into_iter().flatten().min()
    }

    /// The time at which the connection must be closed if the event that it waits for has not happened.
    pub(super) fn deadline(&self, limits: &Limits) -> Option<Instant> {
        if let Some(since) = self.outgoing.waiting_since() {
            return Some(since + limits.write);
        }
        match &self.phase {
            Phase::Opening if self.socket.is_in_handshake() => Some(self.heard_at + HANDSHAKE_MAX),
            // The client waits for this server, so the client's limits do not apply.
            Phase::Serving if self.throttled_until.is_some() => None,
            Phase::Opening | Phase::Serving => {
                [self.idle_end(limits), self.unit_end(limits)].into_iter().flatten().min()
            }
            Phase::AwaitingDurable(DurabilityWait { until, .. }) => Some(*until),
            Phase::Lingering(lingering) => lingering.since.map(|since| since + LINGER_MAX),
            // A query about places has its own deadline. `Finishing` only waits until the client reads its replies.
            Phase::AwaitingPlaces(_) | Phase::Pausing(_) | Phase::Finishing => None,
        }
    }

    /// The time at which the client will have been silent for too long.
    fn idle_end(&self, limits: &Limits) -> Option<Instant> {
        self.protocol.idle_max(limits).map(|limit| self.heard_at + limit)
    }

    /// The deadline for the rest of the unit that the client has begun. `None`: the client has begun no unit.
    fn unit_end(&self, limits: &Limits) -> Option<Instant> {
        self.unit_began_at.map(|began| began + limits.line)
    }

    /// The limit that was exceeded. Called when the deadline has passed.
    pub(super) fn passed_limit(&mut self, limits: &Limits) -> CloseReason {
        match &mut self.phase {
            _ if self.outgoing.waiting_since().is_some() => CloseReason::NotReading(limits.write),
            Phase::Opening if self.socket.is_in_handshake() => {
                CloseReason::Handshake(HandshakeFailed::TooSlow)
            }
            Phase::AwaitingDurable(DurabilityWait { patience, .. }) => CloseReason::NotDurable(*patience),
            Phase::Lingering(lingering) => lingering.reason.take().unwrap_or(CloseReason::Stopping),
            _ => match (self.unit_end(limits), self.idle_end(limits)) {
                (Some(unit), idle) if idle.is_none_or(|idle| unit <= idle) => {
                    CloseReason::HalfUnit(P::UNIT, limits.line)
                }
                _ => CloseReason::Idle(self.protocol.idle_max(limits).unwrap_or(limits.idle)),
            },
        }
    }
}
