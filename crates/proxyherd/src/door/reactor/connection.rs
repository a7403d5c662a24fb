//! One client's connection: what it is about, what it holds, what it is waiting for, and until when. Its turns are in `turn`.
//!
//! An idle connection owns no buffers, but for what TLS keeps of its own. It does not know what its protocol means.

use std::{
    cell::OnceCell,
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, Instant},
};

use super::{
    closed::Closed,
    outgoing::{KEPT_LEN_MAX, Outgoing},
    protocol::Protocol,
    socket::Socket,
};
use crate::{
    admission::{Entered, Ticket},
    caller::Caller,
    config::Limits,
    door::entrance::{HANDSHAKE_MAX, HandshakeFailed},
    herd::Herd,
    places::Answered,
};
use proxyherd_log::Direction;

/// How long a client that is turned out may take to notice.
const PARTING_MAX: Duration = Duration::from_secs(1);

/// What a connection is about.
pub(super) enum Phase {
    /// It may be in a handshake, and its protocol has not begun.
    Opening,
    /// Units are taken.
    Serving,
    /// The places have been asked, and nothing is taken until they have answered, perhaps with this.
    Asking(Option<Box<Answered>>),
    /// What was said last is not safe yet, and nothing is taken until it is.
    Covering(Covering),
    /// The client has sent its last unit, and only the replies are to be written.
    Finishing,
    /// The client is being turned out. It is told so in time for the last replies to arrive: closing while input
    /// lies unread would reset the connection and take them away from it.
    Parting(Parting),
}

/// How long what was said last may take to be safe.
#[derive(Clone, Copy)]
pub(super) struct Covering {
    pub(super) until: Instant,
    pub(super) patience: Duration,
}

pub(super) struct Parting {
    pub(super) reason: Option<Closed>,
    /// Since when the last that is to be said is written.
    pub(super) since: Option<Instant>,
    /// Whether this end is closed.
    pub(super) is_shut: bool,
}

impl Phase {
    pub(super) fn parting(reason: Closed) -> Phase {
        Phase::Parting(Parting { reason: Some(reason), since: None, is_shut: false })
    }
}

pub(super) struct Connection<P> {
    pub(super) protocol: P,
    pub(super) caller: Caller,
    pub(super) serial: u64,
    pub(super) socket: Socket,
    pub(super) phase: Phase,
    /// Input that is not done with: the start of a unit, or units behind one that has to wait.
    pub(super) held: Vec<u8>,
    pub(super) outgoing: Outgoing,
    /// Whether `held` may hold complete units.
    pub(super) has_units: bool,
    /// Whether the client will send nothing more.
    pub(super) has_ended: bool,
    pub(super) is_busy: bool,
    /// Whether its bell was rung ...
    pub(super) is_rung: bool,
    /// ... and whether those who ring need not do so again.
    pub(super) bell: OnceCell<Arc<AtomicBool>>,
    /// Whether its last turn was spent on an event. The client's input comes next, then.
    pub(super) has_resumed: bool,
    /// Whether it stands on its reactor's list.
    pub(super) is_queued: bool,
    /// Whether it has been sent where busy connections go.
    pub(super) has_moved: bool,
    pub(super) heard: Instant,
    pub(super) unit_began: Option<Instant>,
    /// Until when nothing is read, because its address is over its rate.
    pub(super) paced_until: Option<Instant>,
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
            outgoing: Outgoing::default(),
            has_units: false,
            has_ended: false,
            is_busy: false,
            is_rung: false,
            bell: OnceCell::new(),
            has_resumed: false,
            is_queued: false,
            has_moved: false,
            heard: Instant::now(),
            unit_began: None,
            paced_until: None,
            ticket,
            entered,
        }
    }

    /// A reactor has taken it, and knows it by this number.
    pub(super) fn begin(&mut self, serial: u64, now: Instant) {
        self.serial = serial;
        self.heard = self.heard.max(now);
    }

    pub(super) fn is_in_handshake(&self) -> bool {
        matches!(self.phase, Phase::Opening) && self.socket.is_in_handshake()
    }

    /// Counts what is counted of how it has ended.
    pub(super) fn count_end(&self, how: &Result<(), Closed>) {
        if let Err(Closed::Handshake(_)) = how {
            self.entered.handshake_failed();
        }
    }

    /// Whether a turn would do anything.
    pub(super) fn wants_turn(&self) -> bool {
        let is_to_begin = P::SPEAKS_FIRST && matches!(self.phase, Phase::Opening);
        is_to_begin || self.has_input() || self.is_rung || self.has_unsent()
    }

    /// Whether there may be something for its protocol to take.
    pub(super) fn has_input(&self) -> bool {
        self.has_units || (self.socket.is_readable() && !self.has_ended)
    }

    /// Whether the socket has not taken all that was said.
    pub(super) fn has_unsent(&self) -> bool {
        !self.outgoing.is_empty() || self.socket.has_unsent()
    }

    /// Whether it brings many units at once and has not been moved for that. In the middle of a question it stays, and so it
    /// does where others know it by its place here.
    pub(super) fn is_to_move(&self) -> bool {
        self.is_busy && !self.has_moved && self.bell.get().is_none() && matches!(self.phase, Phase::Serving)
    }

    /// The places have answered.
    pub(super) fn take_answer(&mut self, answer: Box<Answered>, now: Instant) {
        self.phase = Phase::Asking(Some(answer));
        self.waited(now);
    }

    /// What was said last is safe.
    pub(super) fn take_covered(&mut self, herd: &Herd, now: Instant) {
        if matches!(self.phase, Phase::Covering(_)) {
            let said = self.outgoing.unseal(now);
            if P::IS_TEXT && !said.is_empty() {
                herd.log().traffic(Direction::Out, self.caller.address, said);
            }
            self.phase = Phase::Serving;
            self.waited(now);
        }
    }

    /// Until now it was for somebody else to say something, or the client was not listened to.
    pub(super) fn waited(&mut self, now: Instant) {
        self.heard = now;
        self.unit_began = self.unit_began.map(|_| now);
    }

    pub(super) fn hold(&mut self, input: &[u8]) {
        if self.held.capacity() > KEPT_LEN_MAX {
            self.held = Vec::new();
        }
        self.held.extend_from_slice(input);
    }

    /// Says what it owns, but for the little that any connection may.
    pub(super) fn account(&self) -> Result<(), Closed> {
        let held_len = if self.held.len() > KEPT_LEN_MAX { self.held.len() } else { 0 };
        let in_tls_len = self.socket.undecrypted_len();
        let in_tls_len = if in_tls_len > KEPT_LEN_MAX { in_tls_len } else { 0 };
        let len = self.outgoing.len() + self.socket.unsent_len() + held_len + in_tls_len;
        if self.ticket.buffer(len) { Ok(()) } else { Err(Closed::NoRoom) }
    }

    /// When it wants a turn though its socket says nothing, if it does.
    pub(super) fn wakes_at(&self) -> Option<Instant> {
        // While the client does not take what it was told, there is nothing to do at that time.
        let can_wake = matches!(self.phase, Phase::Serving) && !self.has_unsent();
        let timer = self.protocol.wake_at().filter(|_| can_wake);
        [self.paced_until, timer].into_iter().flatten().min()
    }

    /// When it is too late for what it is waiting for.
    pub(super) fn deadline(&self, limits: &Limits) -> Option<Instant> {
        if let Some(began) = self.outgoing.began() {
            return Some(began + limits.write);
        }
        match &self.phase {
            Phase::Opening if self.socket.is_in_handshake() => Some(self.heard + HANDSHAKE_MAX),
            // It waits for the server: the idle limit is none of its business.
            Phase::Serving if self.paced_until.is_some() => None,
            Phase::Opening | Phase::Serving => {
                [self.idle_end(limits), self.unit_end(limits)].into_iter().flatten().min()
            }
            Phase::Covering(Covering { until, .. }) => Some(*until),
            Phase::Parting(parting) => parting.since.map(|since| since + PARTING_MAX),
            // The places have a deadline of their own.
            Phase::Asking(_) | Phase::Finishing => None,
        }
    }

    /// When the client has been silent for too long.
    fn idle_end(&self, limits: &Limits) -> Option<Instant> {
        self.protocol.idle_max(limits).map(|limit| self.heard + limit)
    }

    /// When it is too late for the rest of the unit that the client has begun, if it has.
    fn unit_end(&self, limits: &Limits) -> Option<Instant> {
        self.unit_began.map(|began| began + limits.line)
    }

    /// What the client missed, once the deadline has passed.
    pub(super) fn overdue(&mut self, limits: &Limits) -> Closed {
        match &mut self.phase {
            _ if self.outgoing.began().is_some() => Closed::NotReading(limits.write),
            Phase::Opening if self.socket.is_in_handshake() => Closed::Handshake(HandshakeFailed::TooSlow),
            Phase::Covering(Covering { patience, .. }) => Closed::NotDurable(*patience),
            Phase::Parting(parting) => parting.reason.take().unwrap_or(Closed::Stopping),
            _ => match (self.unit_end(limits), self.idle_end(limits)) {
                (Some(unit), idle) if idle.is_none_or(|idle| unit <= idle) => {
                    Closed::HalfUnit(P::UNIT, limits.line)
                }
                _ => Closed::Idle(self.protocol.idle_max(limits).unwrap_or(limits.idle)),
            },
        }
    }
}
