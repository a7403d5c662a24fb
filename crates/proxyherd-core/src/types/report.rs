//! A client's report of its position.

use super::{Attributes, ClientId, Coordinates, Timestamp};

/// A report: a client is, or was, at a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report<'a> {
    /// The client.
    pub client: ClientId<'a>,
    /// The client's position.
    pub coordinates: Coordinates,
    /// The time of the report, or the information that the server chooses it.
    pub stamp: Stamp,
    /// The other contents of the report.
    pub attributes: Attributes<'a>,
}

/// Whose clock gives a report its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stamp {
    /// The client's clock: this is the time that the client gave.
    Client(Timestamp),
    /// The server's clock. When the server takes the report, it chooses a time: the time on its clock, but at least a
    /// nanosecond after the time of the record that it holds of the client. So the report always wins, and the next
    /// reader at that server is sent this report.
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
