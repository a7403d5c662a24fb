//! Who asks the herd: the address, the door and the rights of a connection.
//!
//! The entrance makes a [`Caller`] when it admits a connection. Doors pass the caller to every method of `Herd` that
//! needs a right. This module does not know which method needs which right. `herd::Denied` knows this.

use std::net::SocketAddr;

use crate::door_kind::DoorKind;

/// The client at the other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Where the connection comes from.
    pub address: SocketAddr,
    /// The kind of the door that accepted the connection.
    pub door: DoorKind,
    /// What the caller may do.
    pub rights: Rights,
}

/// What a caller may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rights {
    /// Report and forget clients.
    pub report: bool,
    /// Ask where clients are, and watch them.
    pub read: bool,
    /// Ask about places.
    pub places: bool,
    /// See the state of the server: status and metrics.
    pub operate: bool,
}

impl Rights {
    /// All rights.
    pub const ALL: Rights = Rights { report: true, read: true, places: true, operate: true };
}
