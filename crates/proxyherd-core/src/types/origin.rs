//! One life of a server, and the state of its links.

use super::ServerName;

/// One life of one server, which gives each record that it issues a sequence.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    /// The server that took the report, as its AT line says.
    pub server: ServerName,
    /// A number that is new at every start of that server.
    pub incarnation: u64,
}

/// Which links of a server are up: what the link protocol's STATE carries, and what routing protocols call a
/// link-state advertisement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advertisement {
    /// The life of the server that announces it.
    pub origin: Origin,
    /// Grows with each announcement.
    pub stamp: u64,
    /// The neighbors to which it has a link that is up, if they support spanning trees too.
    pub up: Vec<ServerName>,
}
