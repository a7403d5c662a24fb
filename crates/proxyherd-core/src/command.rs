//! The commands that any door can give the herd, and the outcome of a report.
//!
//! A door turns its bytes into a [`Command`], calls the herd, and turns the answer into its protocol's bytes. Nothing
//! here knows a protocol. If a protocol cannot express something, its door never asks for it. For example, the line
//! protocol cannot express conditions.
//!
//! Each method of the herd has its own type of answer, because each query has one kind of answer, and a door should not
//! have to match the answers to other queries. Most answers borrow a record under its shard's lock. One type for all
//! answers would have to copy contents that a door only writes out.

use crate::{
    limits::{NEAR_MAX, SHARDS},
    places::{Point, Wish},
    types::{
        Attributes, Body, ClientId, Coordinates, Difference, IdPattern, Radius, Record, Report, ServerName,
        Timestamp,
    },
};

/// One query or report of any protocol.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Command<'a> {
    /// A client reports its position.
    Report {
        /// The report.
        report: Report<'a>,
        /// The condition under which the report is taken.
        condition: Condition,
    },
    /// Where is a client?
    Locate(ClientId<'a>),
    /// Which places are nearby?
    Nearby(Nearby<'a>),
    /// Which clients are nearby?
    Near(Near<'a>),
    /// Which clients are there, by ID or in a box?
    List(List<'a>),
    /// The whole herd should forget a client.
    Forget(ClientId<'a>),
}

/// The condition under which a report is taken. A client is known as long as the server shows it. A forgotten client,
/// or a client whose record has expired, is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Condition {
    /// The report is taken in any case.
    #[default]
    Always,
    /// The report is taken only if the client is not known: Redis's `NX`.
    New,
    /// The report is taken only if the client is known: Redis's `XX`.
    Known,
}

impl Condition {
    /// Whether the condition allows a report of a client that is known or not known.
    pub fn is_met(self, is_known: bool) -> bool {
        match self {
            Condition::Always => true,
            Condition::New => !is_known,
            Condition::Known => is_known,
        }
    }
}

/// A query for the places around a center.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Nearby<'a> {
    /// The center.
    pub around: Around<'a>,
    /// The radius.
    pub radius: Radius,
    /// Maximum number of places that the door will show; possibly 0.
    pub limit: u8,
    /// The kind of places that are wanted, if not all kinds.
    pub wish: Option<&'a Wish>,
}

/// A query for the clients around a point, the nearest first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Near<'a> {
    /// The center. A client at the center is near itself.
    pub around: Around<'a>,
    /// The radius, meters, at least 0; `None`: no limit.
    pub radius_m: Option<f64>,
    /// Maximum number of clients, at most [`NEAR_MAX`].
    pub limit: Limit,
}

/// A query for clients in the order of their shards and IDs, one page at a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct List<'a> {
    /// The box in which the clients are; `None`: anywhere.
    pub bounds: Option<Bounds>,
    /// The patterns of which a client's ID must match at least one. No pattern at all matches every ID.
    pub ids: &'a [IdPattern],
    /// The last client of the page before this one; `None`: the first page.
    pub after: Option<ClientId<'a>>,
    /// Maximum number of clients in the page, at most [`NEAR_MAX`].
    pub limit: Limit,
}

/// A box between two latitudes and two longitudes, edges included. A box whose western edge is greater than its eastern
/// edge crosses the antimeridian. The longitudes -180 and 180 are one meridian. At a pole, a client is in the box
/// if its longitude, as it was reported, is.
///
/// ```
/// # use proxyherd_core::command::Bounds;
/// let fiji = Bounds::new(-21.0, 176.0, -12.0, -178.0).unwrap();
/// assert!(fiji.contains(-17.0, 179.5) && fiji.contains(-17.0, -179.5) && !fiji.contains(-17.0, 0.0));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    south: f64,
    north: f64,
    west: f64,
    east: f64,
}

impl Bounds {
    /// Takes degrees: latitudes within ±90, longitudes within ±180. `None`: a number is out of its range, or the
    /// southern edge is north of the northern edge.
    pub fn new(south: f64, west: f64, north: f64, east: f64) -> Option<Bounds> {
        let is_latitude = |degrees: f64| (-90.0..=90.0).contains(&degrees);
        let is_longitude = |degrees: f64| (-180.0..=180.0).contains(&degrees);
        let fits = is_latitude(south) && is_latitude(north) && is_longitude(west) && is_longitude(east);
        if !fits || south > north {
            return None;
        }
        // A box that touches the antimeridian contains both of its names, so it crosses the antimeridian.
        let (west, east) = match (west, east) {
            (west, 180.0) if west > -180.0 => (west, -180.0),
            (-180.0, east) if east < 180.0 => (180.0, east),
            edges => edges,
        };
        Some(Bounds { south, north, west, east })
    }

    /// Whether a point is in the box. Degrees as in [`Bounds::new`].
    pub fn contains(&self, latitude: f64, longitude: f64) -> bool {
        let is_between = (self.south..=self.north).contains(&latitude);
        is_between && self.longitudes().iter().any(|(west, east)| (*west..=*east).contains(&longitude))
    }

    /// The southern and the northern edge.
    pub fn latitudes(&self) -> (f64, f64) {
        (self.south, self.north)
    }

    /// The longitudes of the box: a range from west to east on each side of the antimeridian. The ranges are the same
    /// if the box does not cross the antimeridian.
    pub fn longitudes(&self) -> [(f64, f64); 2] {
        let (west, east) = (self.west, self.east);
        if west > east { [(west, 180.0), (-180.0, east)] } else { [(west, east); 2] }
    }
}

/// The number of wanted clients: at most [`NEAR_MAX`].
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

/// The center of a circle.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Around<'a> {
    /// The center is this point.
    Point(Point),
    /// The center is the present position of this client.
    Client(ClientId<'a>),
}

/// Where a client is, according to its record. A door writes it in its own protocol.
#[derive(Clone, Copy, Debug)]
pub struct Whereabouts<'a> {
    /// The client's ID.
    pub client: &'a [u8],
    /// Where the client is.
    pub coordinates: Coordinates,
    /// The other attributes of the client's report.
    pub attributes: Attributes<'a>,
    /// When the client was there, according to the report.
    pub timestamp: Timestamp,
    /// Time between `timestamp` and the moment when the report was received.
    pub difference: Difference,
    /// The server that took the report.
    pub server: &'a ServerName,
}

impl<'a> Whereabouts<'a> {
    /// Reads the record that `server` took. `None`: the record is a tombstone, or is not about a client.
    pub fn of(record: &Record<'a>, server: &'a ServerName) -> Option<Whereabouts<'a>> {
        let &Record { key, timestamp, difference, body, .. } = record;
        let Body::Location { coordinates, attributes } = body else { return None };
        Some(Whereabouts { client: key, coordinates, attributes, timestamp, difference, server })
    }
}

/// The outcome of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The report was taken, and the client was not known before.
    Added,
    /// The report was taken, and is newer than the held record of the client. The position may be the same.
    Moved,
    /// The held record is at least as new. Nothing changed.
    Stale,
    /// The condition is not met. Nothing changed.
    Unmet,
    /// There is no room for another client. Nothing changed.
    Full,
    /// The report came too soon after the client's last report at this server. Nothing changed.
    TooSoon,
    /// The report says that its position is less accurate than this server takes. Nothing changed.
    Inaccurate,
    /// The client cannot have come from its held position so fast. Nothing changed, unless further reports agree.
    Implausible,
    /// The caller's token has reported more in this second than it may. Nothing changed.
    TooFast,
    /// The caller's token has added as many clients as it may, and this would be one more. Nothing changed.
    TokenFull,
    /// The caller may not report this client. Nothing changed.
    Denied,
}

impl Outcome {
    /// The outcome in a word, for metrics and logs.
    pub const fn label(self) -> &'static str {
        match self {
            Outcome::Added => "added",
            Outcome::Moved => "moved",
            Outcome::Stale => "stale",
            Outcome::Unmet => "unmet",
            Outcome::Full => "full",
            Outcome::TooSoon => "too_soon",
            Outcome::Inaccurate => "inaccurate",
            Outcome::Implausible => "implausible",
            Outcome::TooFast => "too_fast",
            Outcome::TokenFull => "token_full",
            Outcome::Denied => "denied",
        }
    }

    /// Whether the report was taken.
    pub fn is_taken(self) -> bool {
        match self {
            Outcome::Added | Outcome::Moved => true,
            Outcome::Stale
            | Outcome::Unmet
            | Outcome::Full
            | Outcome::TooSoon
            | Outcome::Inaccurate
            | Outcome::Implausible
            | Outcome::TooFast
            | Outcome::TokenFull
            | Outcome::Denied => false,
        }
    }
}

/// A position among the changes of one shard since this server's start. A change is a record that the shard has kept,
/// has filed under another origin or sequence, or has removed, whichever server issued it. Whoever has been sent all
/// changes up to a position has been sent each record that the shard had kept by then, or a newer one.
///
/// Where the text says so, a position counts only the updates that this server itself has issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The shard.
    pub shard: usize,
    /// The number within the shard. Numbers begin at 1. They go on when the running server begins a new incarnation.
    pub seq: u64,
}

/// What must be durable before something is acknowledged: in each shard, a position among all changes, which a journal
/// covers, and a position among this server's own updates, which neighbors cover. A position includes everything before
/// it. 0: nothing.
///
/// ```
/// # use proxyherd_core::command::{Position, Positions};
/// let mut needed = Positions::default();
/// needed.note(Position { shard: 3, seq: 7 });
/// let mut covered = Positions::default();
/// covered.note(Position { shard: 3, seq: 6 });
/// assert!(!needed.is_within(&covered) && needed.is_own_within(&covered));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Positions {
    changes: [u64; SHARDS],
    own: [u64; SHARDS],
}

impl Positions {
    /// Includes all changes of a shard up to this one.
    pub fn note(&mut self, Position { shard, seq }: Position) {
        self.changes[shard] = self.changes[shard].max(seq);
    }

    /// Includes all of this server's own updates in a shard up to this one.
    pub fn note_own(&mut self, Position { shard, seq }: Position) {
        self.own[shard] = self.own[shard].max(seq);
    }

    /// Includes everything that `other` includes.
    pub fn note_all(&mut self, other: &Positions) {
        let all = [(&mut self.changes, &other.changes), (&mut self.own, &other.own)];
        for (mine, theirs) in all {
            mine.iter_mut().zip(theirs).for_each(|(mine, theirs)| *mine = (*mine).max(*theirs));
        }
    }

    /// The number up to which changes of a shard are included.
    pub fn of(&self, shard: usize) -> u64 {
        self.changes[shard]
    }

    /// The number up to which this server's own updates in a shard are included.
    pub fn own_of(&self, shard: usize) -> u64 {
        self.own[shard]
    }

    /// Whether nothing is included.
    pub fn is_empty(&self) -> bool {
        *self == Positions::default()
    }

    /// Whether `covered` includes all changes that `self` includes.
    pub fn is_within(&self, covered: &Positions) -> bool {
        self.changes.iter().zip(&covered.changes).all(|(needed, covered)| needed <= covered)
    }

    /// Whether `covered` includes all of this server's own updates that `self` includes.
    pub fn is_own_within(&self, covered: &Positions) -> bool {
        self.own.iter().zip(&covered.own).all(|(needed, covered)| needed <= covered)
    }
}
