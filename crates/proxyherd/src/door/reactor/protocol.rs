//! What a protocol is to the threads that serve it: bytes in, bytes out, and what is to happen next.
//!
//! A [`Protocol`] holds the state of one connection and does no I/O. It is called in turns: `open` once, `take` with what the
//! client has sent, `resume` when something has happened that it asked for. Each call appends what is to be written and says
//! what comes next. Sockets, TLS, limits, rates, the log and the stop are the reactor's. A thread calls its protocols one
//! after the other, so a call must not wait.
//!
//! The shape is wide enough for a protocol between servers: it can speak first ([`Protocol::SPEAKS_FIRST`]), be rung by other
//! threads ([`Here::bell`]), and wake up by the clock ([`Protocol::wake_at`]).

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
    herd::{Herd, Position},
    places::{Answered, Question},
};

/// The state of one connection in its protocol.
pub trait Protocol: Sized + Send + 'static {
    /// What the protocol calls what it takes one by one: a line, a message.
    const UNIT: &'static str;
    /// The longest unit, bytes. `take` must not leave more than this without saying [`Next::Full`].
    const UNIT_LEN_MAX: usize;
    /// Whether both directions are lines of text, which the log shows as they are.
    const IS_TEXT: bool = false;
    /// Whether `open` has something to say. Otherwise it is called when the client has said something.
    const SPEAKS_FIRST: bool = false;

    /// The connection has begun; where it is encrypted, the handshake is over.
    fn open(&mut self, _here: &Here<'_>, _out: &mut Vec<u8>) -> Next {
        Next::Done
    }

    /// Takes the units at the front of `input`, and appends the replies to `out`.
    fn take(&mut self, here: &Here<'_>, input: Input<'_>, out: &mut Vec<u8>) -> Taken;

    /// Goes on with something that was asked for, and appends what it comes to.
    fn resume(&mut self, here: &Here<'_>, event: Event, out: &mut Vec<u8>) -> Next;

    /// When [`Event::Time`] is wanted. The reactor looks after every turn; it is exact to about
    /// `SWEEP_INTERVAL_MIN`.
    fn wake_at(&self) -> Option<Instant> {
        None
    }

    /// How long the client may be silent between two units.
    fn idle_max(&self, limits: &Limits) -> Option<Duration> {
        Some(limits.idle)
    }
}

/// Where a protocol is called.
pub struct Here<'a> {
    /// Whom it asks.
    pub herd: &'a Herd,
    /// Who calls.
    pub caller: &'a Caller,
    /// When.
    pub now: Instant,
    pub(super) bell: &'a dyn Fn() -> Bell,
}

impl Here<'_> {
    /// Something for other threads to ring when they have news for this connection. The connection stays on its thread from
    /// here on.
    pub fn bell(&self) -> Bell {
        (self.bell)()
    }
}

/// What the client has sent and the protocol has not taken yet.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// Its bytes.
    pub bytes: &'a [u8],
    /// Whether nothing follows them.
    pub is_last: bool,
    /// How many units may be taken now, at least one.
    pub units_max: u64,
}

/// What a call of `take` came to.
#[derive(Debug)]
pub struct Taken {
    /// How many bytes of the input are done with.
    pub consumed: usize,
    /// How many units they were: they count against the rate of the address.
    pub units_in: u64,
    /// How many lines the log makes of the replies; places are one. It counts for text only.
    pub units_out: u64,
    /// The links that have something to flush. They are woken once the replies are written.
    pub wake: Wake,
    /// What comes next.
    pub next: Next,
}

/// What comes next.
#[derive(Debug)]
pub enum Next {
    /// The client's next unit. If `take` says this of the last input, that is the end.
    Done,
    /// More of the same once what has been said is written: `take` with the rest of the input, or [`Event::Rung`].
    Full,
    /// Nothing: the connection ends when what has been said is written.
    Close(Reason),
    /// Something that has to be waited for.
    Later(Later),
}

/// What has to be waited for.
#[derive(Debug)]
pub enum Later {
    /// An answer about places. It comes as [`Event::Places`]; nothing is taken before.
    Places(Box<Question>),
    /// What was just said may only leave when this is covered; nothing is taken before. If it takes too long, the connection
    /// is closed and what was said never leaves.
    Durable(Position),
    /// The client listens: it is served and rung as before, also when it has nothing more to say itself.
    Subscribed,
}

/// Why a protocol ends a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// In words, for the log.
    pub why: Cow<'static, str>,
    /// Whether the client did something that it should not.
    pub is_fault: bool,
}

/// Something that was asked for.
#[derive(Debug)]
pub enum Event {
    /// The answer about places.
    Places(Box<Answered>),
    /// The bell was rung since the last time, once or more often, and everything said before is written. So a client that
    /// does not take what it is told holds up its own bell only: what it has not been told waits with whoever rings, who
    /// bounds it, and the client is closed when it takes nothing for `write_s`.
    Rung,
    /// The time of [`Protocol::wake_at`] has come.
    Time,
}

/// Lets a connection know, from any thread, that there is something for it. Rings before it looks are one.
#[derive(Clone)]
pub struct Bell {
    pub(super) inbox: Arc<dyn Rings>,
    pub(super) at: usize,
    pub(super) serial: u64,
    pub(super) is_rung: Arc<AtomicBool>,
}

/// Where a bell is heard.
pub(super) trait Rings: Send + Sync {
    /// The bell of this connection was rung.
    fn ring(&self, at: usize, serial: u64);
}

impl Bell {
    /// Rings. A connection that has ended hears nothing.
    pub fn ring(&self) {
        if !self.is_rung.swap(true, AcqRel) {
            self.inbox.ring(self.at, self.serial);
        }
    }
}

impl fmt::Debug for Bell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bell({}, {})", self.at, self.serial)
    }
}
