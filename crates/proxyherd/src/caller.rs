//! Who asks: made at the entrance, when a connection is let in, and handed to everything that is asked.

use std::net::SocketAddr;

use crate::door_kind::DoorKind;

/// Somebody who is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Where the connection comes from.
    pub address: SocketAddr,
    /// Through which door it came.
    pub door: DoorKind,
    /// What it may do.
    pub rights: Rights,
}

/// What a caller may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rights {
    /// Report where a client is.
    pub report: bool,
    /// Ask where clients are.
    pub read: bool,
    /// Ask about places.
    pub places: bool,
    /// See and change the server itself.
    pub operate: bool,
}

impl Rights {
    /// Everything.
    pub const ALL: Rights = Rights { report: true, read: true, places: true, operate: true };
}
