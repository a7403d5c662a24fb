//! What any door can ask of the herd, and the outcome of a report.
//!
//! A door turns its bytes into a [`Command`], calls the herd, and turns the answer into its protocol's bytes. Nothing
//! here knows a protocol. If a protocol has no word for something, its door never asks for it; the line protocol has
//! none for conditions.
//!
//! Each method of the herd has its own type of answer, because each question has one kind of answer, and the door
//! that asked should not have to match the others. Most answers borrow a record under its shard's lock; one type for
//! all of them would have to copy what a door only writes out.

use crate::{
    limits::NEAR_MAX,
    places::{Point, Wish},
    types::{ClientId, Radius, Report},
};

/// One question or report of any protocol.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Command<'a> {
    /// A client reports its position.
    Report {
        /// The report.
        report: Report<'a>,
        /// The condition under which it is taken.
        condition: Condition,
    },
    /// Where is a client?
    Locate(ClientId<'a>),
    /// Which places are near?
    Nearby(Nearby<'a>),
    /// Which clients are near?
    Near(Near<'a>),
    /// The whole herd should forget a client.
    Forget(ClientId<'a>),
    /// The asker wants to be sent changes from now on.
    Watch(Watch<'a>),
}

/// The condition under which a report is taken. A client is known as long as the server shows it: a client that was
/// forgotten, or whose record has expired, is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Condition {
    /// It is taken in any case.
    #[default]
    Always,
    /// Only if the client is not known: Redis's `NX`.
    New,
    /// Only if the client is known: Redis's `XX`.
    Known,
}

impl Condition {
    /// Whether the condition allows a report of such a client.
    pub fn is_met(self, is_known: bool) -> bool {
        match self {
            Condition::Always => true,
            Condition::New => !is_known,
            Condition::Known => is_known,
        }
    }
}

/// A question about the places around somewhere.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Nearby<'a> {
    /// The center.
    pub around: Around<'a>,
    /// The radius.
    pub radius: Radius,
    /// How many places the door will show at most; possibly 0.
    pub limit: u8,
    /// What kind of places are wanted, if not all.
    pub wish: Option<&'a Wish>,
}

/// A question about the clients around a point, the nearest first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Near<'a> {
    /// The center. A client at the center is near itself.
    pub around: Around<'a>,
    /// The radius, meters, at least 0; `None`: no limit.
    pub radius_m: Option<f64>,
    /// How many, at most [`NEAR_MAX`].
    pub limit: Limit,
}

/// How many clients are wanted: at most [`NEAR_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit(usize);

impl Limit {
    /// Takes a number if it is in range.
    pub fn new(limit: usize) -> Option<Limit> {
        (limit <= NEAR_MAX).then_some(Limit(limit))
    }

    /// The number.
    pub fn get(self) -> usize {
        self.0
    }
}

/// Whose changes are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watch<'a> {
    /// This client's.
    Client(ClientId<'a>),
    /// Those of all clients whose IDs begin with this.
    Prefix(ClientId<'a>),
    /// Those of all clients.
    All,
}

/// The center of a circle.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Around<'a> {
    /// This point.
    Point(Point),
    /// The present position of this client.
    Client(ClientId<'a>),
}

/// The outcome of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was taken, and the client was not known before.
    Added,
    /// It was taken, and is newer than the held record of the client. The position may be the same.
    Moved,
    /// What is held is at least as new: nothing changed.
    Stale,
    /// Its condition is not met: nothing changed.
    Unmet,
    /// There is no room for another client: nothing changed.
    Full,
    /// It came too soon after the client's last report at this server: nothing changed.
    TooSoon,
}

impl Outcome {
    /// Whether the report was taken.
    pub fn is_taken(self) -> bool {
        match self {
            Outcome::Added | Outcome::Moved => true,
            Outcome::Stale | Outcome::Unmet | Outcome::Full | Outcome::TooSoon => false,
        }
    }
}

/// The position of a taken report among all that this server has taken since its start. Whoever holds everything of
/// that shard up to this number holds this report, or one that overtook it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The shard of its client.
    pub shard: usize,
    /// Its number within the shard. Numbers begin at 1 and go on when the running server begins a new incarnation.
    pub seq: u64,
}
