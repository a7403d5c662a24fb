//! A client's report of its position.

use super::{Attributes, ClientId, Coordinates, Timestamp};

/// A report: a client is or was at a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report<'a> {
    /// The client.
    pub client: ClientId<'a>,
    /// Its position.
    pub coordinates: Coordinates,
    /// Its time, or that the server chooses it.
    pub stamp: Stamp,
    /// The other contents of the report.
    pub attributes: Attributes<'a>,
}

/// Whose clock dates a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stamp {
    /// The client's: this is the time that the client gave.
    Client(Timestamp),
    /// The server's. When it takes the report, it chooses a time: its clock's, and at least a nanosecond after what it holds
    /// of the client. So the report always wins, and whoever reads from that server next reads what was written.
    Server,
}

impl Stamp {
    /// The time that the client gave, if it gave one.
    pub fn told(self) -> Option<Timestamp> {
        match self {
            Stamp::Client(timestamp) => Some(timestamp),
            Stamp::Server => None,
        }
    }
}
