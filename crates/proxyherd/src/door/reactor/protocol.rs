//! The trait that a door's protocol implements, and the values that pass between the protocol and its reactor.
//!
//! A [`Protocol`] holds the state of one connection. The reactor calls `open` once, `take` with the bytes that the
//! client has sent, and `resume` when something has happened that the protocol asked for. Each call appends replies to
//! a buffer and returns a [`NextStep`]. `door/tests/toy.rs` is a small example.
//!
//! A protocol does no I/O. A thread calls its protocols one after the other, so a call must not wait. A protocol knows
//! nothing of sockets, TLS, limits, rates, the log and the stop: these are the reactor's.
//!
//! A protocol between servers fits too: it can speak first ([`Protocol::SPEAKS_FIRST`]), other threads can ring it
//! ([`CallContext::bell`]), and the clock can wake it ([`Protocol::wake_at`]).

use std::{
    borrow::Cow,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::AcqRel},
    },
    time::{Duration, Instant},
};

use proxyherd_core::flood::Wake;

use crate::{
    caller::Caller,
    config::Limits,
    herd::{Herd, Positions},
    places::{Answered, Question},
};

/// The state of one connection in its protocol.
pub trait Protocol: Sized + Send + 'static {
    /// What the protocol calls the pieces that it takes one by one: a line, a message.
    const UNIT: &'static str;
    /// The longest unit, bytes. `take` must not leave more than this without returning [`NextStep::WriteFirst`].
    const UNIT_LEN_MAX: usize;
    /// Whether both directions are lines of text. The log shows such lines as they are.
    const IS_TEXT: bool = false;
    /// Whether the reactor calls `open` as soon as the connection has begun. Otherwise it calls `open` when the
    /// client's first bytes have come.
    const SPEAKS_FIRST: bool = false;

    /// The connection has begun. Where it is encrypted, the handshake is over.
    fn open(&mut self, _context: &CallContext<'_>, _out: &mut Vec<u8>) -> NextStep {
        NextStep::ReadMore
    }

    /// Takes the units at the front of `input`, and appends the replies to `out`.
    fn take(&mut self, context: &CallContext<'_>, input: Input<'_>, out: &mut Vec<u8>) -> TakeOutput;

    /// Handles an event that the protocol asked for, and appends the replies to `out`.
    fn resume(&mut self, context: &CallContext<'_>, event: ProtocolEvent, out: &mut Vec<u8>) -> NextStep;

    /// When the protocol wants [`ProtocolEvent::Time`]. The reactor asks after every turn. The event comes up to about
    /// `SWEEP_INTERVAL_MIN` late.
    fn wake_at(&self) -> Option<Instant> {
        None
    }

    /// How long the client may be silent between two units. `None`: for ever. Such a protocol must find out itself
    /// whether its client is still there, or leave that to the keepalive probes of the operating system.
    fn idle_max(&self, limits: &Limits) -> Option<Duration> {
        Some(limits.idle)
    }
}

/// What a protocol can use during a call.
pub struct CallContext<'a> {
    /// The herd that the protocol asks.
    pub herd: &'a Herd,
    /// Who is at the other end of the connection.
    pub caller: &'a Caller,
    /// The time of this turn.
    pub now: Instant,
    pub(super) bell: &'a dyn Fn() -> Bell,
}

impl CallContext<'_> {
    /// Makes a bell that other threads ring when they have news for this connection. From then on the connection stays
    /// on its thread.
    pub fn bell(&self) -> Bell {
        (self.bell)()
    }
}

/// What the client has sent and the protocol has not taken yet.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// The bytes.
    pub bytes: &'a [u8],
    /// Whether the client has ended its sending half, so that nothing follows.
    pub is_last: bool,
    /// How many units the protocol may take now, at least one.
    pub units_max: u64,
}

/// What a call of `take` returns.
#[derive(Debug)]
pub struct TakeOutput {
    /// How many bytes of the input were taken.
    pub consumed: usize,
    /// How many units these bytes were. They count against the rate of the client's address.
    pub units_in: u64,
    /// How many lines the log counts for the replies. An answer about places is one line. Only text protocols need
    /// this.
    pub units_out: u64,
    /// The links that have something to flush. The reactor wakes them once it has written the replies.
    pub wake: Wake,
    /// What comes next.
    pub next: NextStep,
}

/// What the reactor does after a call of the protocol.
#[derive(Debug)]
pub enum NextStep {
    /// Write the replies, and take the client's next unit. Once the client has ended its sending half and nothing of
    /// its input is left, this closes the connection.
    ReadMore,
    /// Write the replies, and then call again: `take` with the rest of the input, or `resume` with
    /// [`ProtocolEvent::Rung`].
    WriteFirst,
    /// Write the replies, and close the connection.
    Close(ProtocolEnd),
    /// Write the replies, and wait for the answer about places. It comes as [`ProtocolEvent::Places`]. Until then the
    /// reactor takes nothing from the client.
    AwaitPlaces(Box<Question>),
    /// Keep the replies until these positions are durable, and take nothing from the client until then. If that takes
    /// too long, the connection is closed and the replies are never written. The box keeps this enum small.
    AwaitDurable(Box<Positions>),
    /// Like [`NextStep::ReadMore`], but the connection stays open when the client has ended its sending half, because
    /// the client still listens.
    Subscribed,
}

const _: () = assert!(size_of::<NextStep>() <= 48, "each call of a protocol returns one, so it stays small");

/// Why a protocol closes a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProtocolEnd {
    /// The reason, for the log.
    pub why: Cow<'static, str>,
    /// Whether the client broke the protocol's rules.
    pub is_fault: bool,
}

impl ProtocolEnd {
    /// The client broke the protocol's rules.
    pub fn client_fault(why: impl Into<Cow<'static, str>>) -> ProtocolEnd {
        ProtocolEnd { why: why.into(), is_fault: true }
    }
}

/// Something that the protocol asked for has happened.
#[derive(Debug)]
pub enum ProtocolEvent {
    /// The answer about places has come.
    Places(Box<Answered>),
    /// The bell was rung, once or more often, since the last `Rung`, and all earlier replies are written. News that a
    /// slow client has not been sent yet stays with whoever rings, and is bounded there. A client that takes nothing
    /// for `write_s` is closed.
    Rung,
    /// The time of [`Protocol::wake_at`] has come.
    Time,
}

/// Tells a connection, from any thread, that there is news for it. Several rings before the connection's next look
/// count as one.
#[derive(Clone)]
pub struct Bell {
    pub(super) inbox: Arc<dyn Rings>,
    pub(super) slot: usize,
    pub(super) serial: u64,
    pub(super) is_rung: Arc<AtomicBool>,
}

/// Takes the rings of a thread's bells.
pub(super) trait Rings: Send + Sync {
    /// The bell of the connection with this slot and serial was rung.
    fn ring(&self, slot: usize, serial: u64);
}

impl Bell {
    /// Rings. If the connection has ended, nothing happens.
    pub fn ring(&self) {
        if !self.is_rung.swap(true, AcqRel) {
            self.inbox.ring(self.slot, self.serial);
        }
    }
}

impl fmt::Debug for Bell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bell({}, {})", self.slot, self.serial)
    }
}
