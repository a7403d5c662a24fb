//! What a client tells a server.

use super::{Attributes, ClientId, Coordinates, Timestamp};

/// A client is or was here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report<'a> {
    /// Who.
    pub client: ClientId<'a>,
    /// Where.
    pub coordinates: Coordinates,
    /// When, or who decides that.
    pub stamp: Stamp,
    /// What else it said.
    pub attributes: Attributes<'a>,
}

/// Whose clock says when a report was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stamp {
    /// The client's: this is the time that it told.
    Client(Timestamp),
    /// The server's. When it takes the report, it chooses a time: its clock's, and at least a nanosecond after what it holds
    /// of the client. So the report always wins, and whoever reads from that server next reads what was written.
    Server,
}

impl Stamp {
    /// The time that the client told, if it told one.
    pub fn told(self) -> Option<Timestamp> {
        match self {
            Stamp::Client(timestamp) => Some(timestamp),
            Stamp::Server => None,
        }
    }
}
