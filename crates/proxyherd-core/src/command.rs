//! What any door can ask of the herd, and what becomes of a report.
//!
//! A door turns its bytes into a [`Command`], calls the herd, and turns what it is told into its protocol's bytes. Nothing
//! here knows a protocol: where a protocol has no word for something (the line protocol has none for conditions), its door
//! never asks for it.
//!
//! Each method of the herd answers with a type of its own, because each question has one kind of answer, and a door that has
//! asked it needs no arm for the others. Most answers borrow a record under its shard's lock, so one type for all of them would
//! have to copy what a door only writes out.

use crate::{
    limits::NEAR_MAX,
    places::{Point, Wish},
    types::{ClientId, Radius, Report},
};

/// One question or report, whichever protocol brought it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Command<'a> {
    /// A client is somewhere.
    Report {
        /// Who, where and when.
        report: Report<'a>,
        /// Under which condition it is taken.
        condition: Condition,
    },
    /// Where is a client?
    Locate(ClientId<'a>),
    /// Which places are near?
    Nearby(Nearby<'a>),
    /// Which clients are near?
    Near(Near<'a>),
    /// A client is to be forgotten by the whole herd.
    Forget(ClientId<'a>),
    /// Whoever asks is to be told of changes from now on.
    Watch(Watch<'a>),
}

/// Under which condition a report is taken. A client counts as known while the server shows it to who asks: one that was
/// forgotten, or whose record has expired, is not.
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
    /// Whether a report of such a client may be taken.
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
    /// Around what.
    pub around: Around<'a>,
    /// How far.
    pub radius: Radius,
    /// How many places the door is going to show, at most. It may be 0.
    pub limit: u8,
    /// Which places are wanted, if not all.
    pub wish: Option<&'a Wish>,
}

/// A question about the clients around somewhere, the nearest first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Near<'a> {
    /// Around what. A client is near itself.
    pub around: Around<'a>,
    /// How far, meters, at least 0; `None`: however far.
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

/// Whose changes are to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watch<'a> {
    /// This client's.
    Client(ClientId<'a>),
    /// Those of all clients whose IDs begin with this.
    Prefix(ClientId<'a>),
    /// Those of all clients.
    All,
}

/// The middle of a circle.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Around<'a> {
    /// This point.
    Point(Point),
    /// Wherever this client is now.
    Client(ClientId<'a>),
}

/// What became of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was taken, and the client was not known before.
    Added,
    /// It was taken, and is newer than what was held of the client. It may be the same place.
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

/// Where a report that was taken stands among all that this server has taken since its start. Whoever holds everything of
/// that shard up to this number holds this report, or one that overtook it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The shard that its client is in.
    pub shard: usize,
    /// Its number within that shard. They begin at 1 and go on when the running server begins a new incarnation.
    pub seq: u64,
}
