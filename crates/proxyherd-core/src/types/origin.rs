//! One life of a server, and what it says of its links.

use super::ServerName;

/// One life of one server: whoever gave a record its sequence number.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    /// The server that took the report, as its AT line says.
    pub server: ServerName,
    /// A number that is new at every start of that server.
    pub incarnation: u64,
}

/// What one server says of its links.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkState {
    /// Which life of which server says so.
    pub origin: Origin,
    /// Grows with everything that the server says.
    pub stamp: u64,
    /// With whom it has links that are up, and whose other end knows of trees too.
    pub up: Vec<ServerName>,
}
