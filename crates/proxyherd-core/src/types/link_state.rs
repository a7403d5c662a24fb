//! What a server says of its links, for the spanning tree that all servers compute.

use super::{Origin, ServerName};

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
