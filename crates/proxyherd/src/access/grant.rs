//! A grant: what one valid token allows. All connections that have shown the token share its grant.
//!
//! A check of a grant loads one flag, compares one time, and compares prefixes. It takes no lock and does not allocate.
//! The flag is set when the token is revoked, so open connections lose their rights at once.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use proxyherd_core::access::{Scopes, TokenId};

/// What one valid token allows.
#[derive(Debug)]
pub struct Grant {
    /// The token's ID. `None`: the operator's token of the configuration.
    id: Option<TokenId>,
    /// The token's name, for people. Some protocols use it as a default.
    name: String,
    scopes: Scopes,
    is_latest_only: bool,
    /// POSIX time in nanoseconds; `u64::MAX`: the token has no end.
    expires_at_ns: u64,
    is_revoked: AtomicBool,
}

impl Grant {
    /// A grant of these scopes without an end.
    pub fn new(id: Option<TokenId>, name: String, scopes: Scopes) -> Grant {
        Grant {
            id,
            name,
            scopes,
            is_latest_only: false,
            expires_at_ns: u64::MAX,
            is_revoked: AtomicBool::new(false),
        }
    }

    /// The token's ID. `None`: the operator's token of the configuration.
    pub fn id(&self) -> Option<&TokenId> {
        self.id.as_ref()
    }

    /// The token's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the token allows while it is valid.
    pub fn scopes(&self) -> &Scopes {
        &self.scopes
    }

    /// Whether the holder may only see the newest position of clients.
    pub fn is_latest_only(&self) -> bool {
        self.is_latest_only
    }

    /// Whether the token is valid at this POSIX time.
    pub fn is_valid(&self, now_ns: u64) -> bool {
        now_ns < self.expires_at_ns && !self.is_revoked.load(Relaxed)
    }

    /// Ends the grant for all connections that share it.
    pub fn revoke(&self) {
        self.is_revoked.store(true, Relaxed);
    }
}
