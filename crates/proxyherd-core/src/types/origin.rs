//! One life of a server, and the state of its links.

use super::ServerName;

/// One life of one server. Each record that the server issues gets a sequence of this life.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    /// The server that took the report, by its name in the AT line.
    pub server: ServerName,
    /// A number that is new at every start of that server.
    pub incarnation: u64,
}

/// The links of a server that are up. The link protocol's STATE carries this value, and routing protocols call it a
/// link-state advertisement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advertisement {
    /// The life of the server that announces the state.
    pub origin: Origin,
    /// A number that grows with each announcement.
    pub stamp: u64,
    /// The neighbors that support spanning trees and to which the server has a link that is up.
    pub up: Vec<ServerName>,
}
