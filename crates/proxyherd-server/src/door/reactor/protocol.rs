//! The trait that a door's protocol implements, and the values that pass between the protocol and its reactor.
//!
//! A [`Protocol`] holds the state of one connection. The reactor calls `open` once, `take` with the bytes that the
//! client has sent, and `resume` when something has happened that the protocol asked for. Each call appends replies to
//! a buffer and returns a [`NextStep`]. `door/tests/toy.rs` is a small example.
//!
//! A protocol does no I/O. A thread calls its protocols one after the other, so a call must not wait. A protocol does
//! not know sockets, TLS, limits, rates, the log and the stop. The reactor handles these.
//!
//! The trait also fits a protocol between servers. A protocol can speak first ([`Protocol::SPEAKS_FIRST`]), other
//! threads can ring its bell ([`CallContext::bell`]), and the clock can wake the protocol ([`Protocol::wake_at`]).

use std::{
    borrow::Cow,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::AcqRel},
    },
    time::{Duration, Instant},
};

use proxyherd_config::config::Limits;
use proxyherd_core::flood::Wake;

use crate::{
    caller::Caller,
    herd::{Herd, Positions},
    places::{Answered, Question},
};

/// The state of one connection in its protocol.
pub trait Protocol: Sized + Send + 'static {
    /// The protocol's word for a unit of its input, such as "line" or "message".
    const UNIT: &'static str;
    /// Maximum length of a unit, bytes. If `take` leaves more bytes than this, it must return [`NextStep::WriteFirst`].
    const UNIT_LEN_MAX: usize;
    /// Whether both directions are lines of text. If so, the log shows the lines unchanged.
    const IS_TEXT: bool = false;
    /// Whether the reactor calls `open` as soon as the connection has begun. Otherwise it calls `open` when the
    /// client's first bytes have come.
    const SPEAKS_FIRST: bool = false;

    /// The bytes of one direction as the log may show them, with secrets left out. Only a protocol of text needs this.
    /// It must not change the number of lines.
    fn shown(bytes: &[u8]) -> Cow<'_, [u8]> {
        Cow::Borrowed(bytes)
    }

    /// Called when the connection has begun. If the connection is encrypted, the handshake is over.
    fn open(&mut self, _context: &CallContext<'_>, _out: &mut Vec<u8>) -> NextStep {
        NextStep::ReadMore
    }

    /// Takes the units at the front of `input`, and appends the replies to `out`.
    fn take(&mut self, context: &CallContext<'_>, input: Input<'_>, out: &mut Vec<u8>) -> TakeOutput;

    /// Handles an event that the protocol asked for, and appends the replies to `out`.
    fn resume(&mut self, context: &CallContext<'_>, event: ProtocolEvent, out: &mut Vec<u8>) -> NextStep;

    /// The time at which the protocol wants [`ProtocolEvent::Time`]. The reactor calls this after every turn. The event
    /// may come late by about `SWEEP_INTERVAL_MIN`.
    fn wake_at(&self) -> Option<Instant> {
        None
    }

    /// Maximum time for which the client may be silent between two units. `None`: no limit. A protocol without a limit
    /// must detect dead clients itself, or rely on the keepalive probes of the operating system.
    fn idle_max(&self, limits: &Limits) -> Option<Duration> {
        Some(limits.idle)
    }
}

/// What a protocol can use during a call.
pub struct CallContext<'a> {
    /// The herd that the protocol asks.
    pub herd: &'a Herd,
    /// The caller at the other end of the connection.
    pub caller: &'a Caller,
    /// The time of this turn.
    pub now: Instant,
    pub(super) bell: &'a dyn Fn() -> Bell,
}

#[cfg(test)]
impl<'a> CallContext<'a> {
    /// The context of a call without a reactor. It has no bell.
    pub(crate) fn of_test(herd: &'a Herd, caller: &'a Caller) -> CallContext<'a> {
        CallContext { herd, caller, now: Instant::now(), bell: &|| panic!("there is no reactor") }
    }
}

impl CallContext<'_> {
    /// Makes a bell. Other threads ring the bell when they have news for this connection. A connection with a bell
    /// stays on its thread.
    pub fn bell(&self) -> Bell {
        (self.bell)()
    }
}

/// Input from the client that the protocol has not taken yet.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// The bytes.
    pub bytes: &'a [u8],
    /// Whether the client has shut down its sending side, so that no more bytes follow.
    pub is_last: bool,
    /// Maximum number of units that the protocol may take now. At least one.
    pub units_max: u64,
}

/// What a call of `take` returns.
#[derive(Debug)]
pub struct TakeOutput {
    /// Number of input bytes that were taken.
    pub consumed: usize,
    /// Number of units in these bytes. The units count against the rate of the client's address.
    pub units_in: u64,
    /// Number of lines that the log counts for the replies. An answer about places counts as one line. Only text
    /// protocols need this value.
    pub units_out: u64,
    /// The links that have something to flush. The reactor wakes them once it has written the replies.
    pub wake: Wake,
    /// What the reactor does next.
    pub next: NextStep,
}

/// What the reactor does after a call of the protocol.
#[derive(Debug)]
pub enum NextStep {
    /// Write the replies, and take the client's next unit. If the client has shut down its sending side and no input is
    /// left, close the connection.
    ReadMore,
    /// Write the replies, and then call again: `take` with the rest of the input, or `resume` with
    /// [`ProtocolEvent::Rung`].
    WriteFirst,
    /// Write the replies, and close the connection.
    Close(ProtocolEnd),
    /// Write the replies, and wait for the answer about places. The answer comes as [`ProtocolEvent::Places`]. Until
    /// then the reactor takes no input from the client.
    AwaitPlaces(Box<Question>),
    /// Keep the replies until these positions are durable, and take no input from the client until then. If this takes
    /// too long, the connection is closed and the replies are never written. The box keeps this enum small.
    AwaitDurable(Box<Positions>),
    /// Write the replies, and take no input from the client for this long. Then comes [`ProtocolEvent::Time`].
    Pause(Duration),
    /// Like [`NextStep::ReadMore`], but the connection stays open after the client has shut down its sending side,
    /// because the client still reads.
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

/// An event that the protocol has requested.
#[derive(Debug)]
pub enum ProtocolEvent {
    /// The answer about places has come.
    Places(Box<Answered>),
    /// The bell was rung at least once since the last `Rung`, and all earlier replies are written. News that is not
    /// sent to a slow client yet stays with the thread that rings, which must limit its amount. A client that reads
    /// nothing for `write_s` loses its connection.
    Rung,
    /// The time of [`Protocol::wake_at`] has come, or a [`NextStep::Pause`] is over.
    Time,
}

/// Tells a connection, from any thread, that there is news for this connection. Several rings before the connection's
/// next turn count as one ring.
#[derive(Clone)]
pub struct Bell {
    pub(super) inbox: Arc<dyn Rings>,
    pub(super) slot: usize,
    pub(super) serial: u64,
    pub(super) is_rung: Arc<AtomicBool>,
}

/// Receives the rings of a thread's bells.
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
