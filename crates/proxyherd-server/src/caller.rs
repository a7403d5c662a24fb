//! Who asks the herd: the address, the door and the rights of a connection.
//!
//! The entrance makes a [`Caller`] when it admits a connection. A door replaces the caller's rights when the client
//! shows a token. Doors pass the caller to every method of `Herd` that needs a right. This module does not know which
//! method needs which right. `herd::Denied` knows this.

use std::{net::SocketAddr, sync::Arc};

use proxyherd_config::door_kind::DoorKind;
use proxyherd_core::types::IdPattern;

use crate::access::Grant;

/// The client at the other end of a connection.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Where the connection comes from. Behind a proxy of the configuration, the address that the proxy names.
    pub address: SocketAddr,
    /// The kind of the door that accepted the connection.
    pub door: DoorKind,
    /// What the caller may do.
    pub rights: Rights,
}

/// What a caller may do.
///
/// The methods take the time, because a token has an end. For a caller with all rights, each method is one branch.
#[derive(Clone, Debug)]
pub enum Rights {
    /// Everything. Tokens are off, or the caller is part of the program.
    All,
    /// Nothing that needs a right. The caller has shown no token, or a wrong one.
    None,
    /// What a token allows.
    Token(Arc<Grant>),
}

impl Rights {
    /// All rights.
    pub const ALL: Rights = Rights::All;
    /// No rights.
    pub const NONE: Rights = Rights::None;

    /// Whether the client with this ID may be reported and forgotten.
    #[inline]
    pub fn may_report(&self, now_ns: u64, id: &[u8]) -> bool {
        self.has(now_ns, |grant| grant.scopes().may_report(id))
    }

    /// Whether the client with this ID may be read and watched.
    #[inline]
    pub fn may_read(&self, now_ns: u64, id: &[u8]) -> bool {
        self.has(now_ns, |grant| grant.scopes().may_read(id))
    }

    /// Whether all clients of this pattern may be read and watched.
    pub fn may_read_all(&self, now_ns: u64, ids: &IdPattern) -> bool {
        self.has(now_ns, |grant| grant.scopes().may_read_all(ids))
    }

    /// Whether at least one client may be reported.
    pub fn may_report_some(&self, now_ns: u64) -> bool {
        self.has(now_ns, |grant| grant.scopes().has_report())
    }

    /// Whether at least one client may be read. What the caller finds must still be filtered by [`Rights::may_read`].
    pub fn may_read_some(&self, now_ns: u64) -> bool {
        self.has(now_ns, |grant| grant.scopes().has_read())
    }

    /// Whether questions about places are allowed.
    pub fn may_ask_places(&self, now_ns: u64) -> bool {
        self.has(now_ns, |grant| grant.scopes().has_places())
    }

    /// Whether fences may be made, changed and deleted.
    pub fn may_fence(&self, now_ns: u64) -> bool {
        self.has(now_ns, |grant| grant.scopes().has_fences())
    }

    /// Whether the state of the server and all tokens may be seen and changed.
    pub fn may_operate(&self, now_ns: u64) -> bool {
        self.has(now_ns, |grant| grant.scopes().has_operate())
    }

    /// Whether the caller may only see the newest position of clients.
    pub fn is_latest_only(&self) -> bool {
        matches!(self, Rights::Token(grant) if grant.is_latest_only())
    }

    /// Whether the rights have not ended. Rights that a token has given end with the token.
    pub fn are_valid(&self, now_ns: u64) -> bool {
        match self {
            Rights::All => true,
            Rights::None => false,
            Rights::Token(grant) => grant.is_valid(now_ns),
        }
    }

    /// The grant of the token that the caller has shown.
    pub fn grant(&self) -> Option<&Arc<Grant>> {
        match self {
            Rights::Token(grant) => Some(grant),
            Rights::All | Rights::None => None,
        }
    }

    #[inline]
    fn has(&self, now_ns: u64, is_granted: impl FnOnce(&Grant) -> bool) -> bool {
        match self {
            Rights::All => true,
            Rights::None => false,
            Rights::Token(grant) => grant.is_valid(now_ns) && is_granted(grant),
        }
    }
}

#[cfg(test)]
impl Rights {
    /// The rights of a valid token with these scopes.
    pub(crate) fn of(scopes: &[&str]) -> Rights {
        let scopes = proxyherd_core::access::Scopes::parse(scopes.iter().map(|scope| scope.as_bytes()));
        Rights::Token(Arc::new(Grant::of_scopes(scopes.unwrap())))
    }
}
