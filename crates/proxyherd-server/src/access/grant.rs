//! A grant: what one valid token allows. All connections that have shown the token share its grant.
//!
//! A check of a grant loads one flag, compares one time, and compares prefixes. It takes no lock and does not allocate.
//! The flag is set when the token is revoked, so open connections lose their rights at once.
//!
//! A grant also holds the two limits of a token. Each server counts for itself, since its start.
//!
//! - The rate: reports, requests to forget a client, and questions about places in a second. Everything that the
//!   token's scopes allow counts, also a stale report.
//! - The clients: those that the token has added at this server and that the server still holds. A report adds a client
//!   if the client was not known. A forgotten client is held until its tombstone is gone, so forgetting clients makes
//!   no room. At the limit, the token's reports of known clients, and of clients that count already, are still taken. A
//!   sweep finds out which clients are no longer held.

use std::{
    fmt,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};

use indexmap::IndexSet;
use parking_lot::Mutex;
use proxyherd_core::{
    access::{Scopes, TokenId, TokenRecord, TokenState},
    rate::{LeakyBucket, Pace},
};

/// What one valid token allows.
pub struct Grant {
    /// The token's ID. `None`: the operator's token of the configuration.
    id: Option<TokenId>,
    record: TokenRecord,
    /// POSIX time in nanoseconds; `u64::MAX`: the token has no end.
    expires_at_ns: u64,
    is_revoked: AtomicBool,
    pace: Option<Pace>,
    bucket: LeakyBucket,
    clients_max: u64,
    /// The number of clients in `added`, which can be read without the lock.
    added_len: AtomicU64,
    added: Mutex<AddedClients>,
}

/// The clients that a token has added, at most its `clients_max`.
#[derive(Default)]
struct AddedClients {
    ids: IndexSet<Box<[u8]>>,
    /// Where the next sweep begins.
    swept: usize,
}

impl Grant {
    /// The grant of a token with this record. `clients_max` counts if the record has no such limit.
    pub(super) fn of(id: TokenId, record: TokenRecord, clients_max: u64) -> Grant {
        Grant::new(Some(id), record, clients_max)
    }

    /// The grant of the operator's token: everything, without limits.
    pub(super) fn operator(hash: [u8; 32]) -> Grant {
        Grant::new(None, record_of(Scopes::operate(), hash), u64::MAX)
    }

    /// A grant of these scopes without an end.
    #[cfg(test)]
    pub(crate) fn of_scopes(scopes: Scopes) -> Grant {
        Grant::new(None, record_of(scopes, [0; 32]), u64::MAX)
    }

    /// The grant of a token that may do everything, with these limits.
    #[cfg(test)]
    pub(crate) fn with_limits(clients_max: Option<u64>, rate: Option<u32>) -> Grant {
        let id = TokenId::parse("limited").unwrap();
        Grant::of(id, TokenRecord { clients_max, rate, ..record_of(Scopes::operate(), [0; 32]) }, u64::MAX)
    }

    fn new(id: Option<TokenId>, record: TokenRecord, clients_max: u64) -> Grant {
        Grant {
            id,
            expires_at_ns: record.expires_at_ns.unwrap_or(u64::MAX),
            is_revoked: AtomicBool::new(record.state == TokenState::Revoked),
            pace: record.rate.and_then(Pace::per_second),
            bucket: LeakyBucket::default(),
            clients_max: record.clients_max.unwrap_or(clients_max),
            added_len: AtomicU64::new(0),
            added: Mutex::default(),
            record,
        }
    }

    /// The token's ID. `None`: the operator's token of the configuration.
    pub fn id(&self) -> Option<&TokenId> {
        self.id.as_ref()
    }

    /// The token as logs name it.
    pub fn label(&self) -> String {
        self.id.as_ref().map_or_else(|| "the operator's token".to_owned(), |id| format!("token {id}"))
    }

    /// The token's name.
    pub fn name(&self) -> &str {
        &self.record.name
    }

    /// What the token allows while it is valid.
    pub fn scopes(&self) -> &Scopes {
        &self.record.scopes
    }

    /// Whether the holder may only see the newest position of clients.
    pub fn is_latest_only(&self) -> bool {
        self.record.is_latest_only
    }

    /// Whether the token is valid at this POSIX time.
    #[inline]
    pub fn is_valid(&self, now_ns: u64) -> bool {
        now_ns < self.expires_at_ns && !self.is_revoked.load(Relaxed)
    }

    /// When the token ends, POSIX time in nanoseconds; `u64::MAX`: never.
    pub fn ends_at_ns(&self) -> u64 {
        self.expires_at_ns
    }

    pub(super) fn record(&self) -> &TokenRecord {
        &self.record
    }

    /// Ends the grant for all connections that share it.
    pub(crate) fn revoke(&self) {
        self.is_revoked.store(true, Relaxed);
    }

    /// Takes up to `wanted` reports or other requests from the token's rate, and returns how many of them are allowed.
    /// The time is that of a clock that is never put back.
    pub(crate) fn take(&self, monotonic_ns: u64, wanted: usize) -> usize {
        let Some(pace) = self.pace else { return wanted };
        let allowed = self.bucket.allowed(pace, monotonic_ns).unwrap_or(0);
        let taken = wanted.min(usize::try_from(allowed).unwrap_or(usize::MAX));
        self.bucket.take(pace, taken as u64, monotonic_ns);
        taken
    }

    /// Whether the token may add this many clients.
    pub(crate) fn has_room_for(&self, clients: usize) -> bool {
        self.added_len.load(Relaxed).saturating_add(clients as u64) <= self.clients_max
    }

    /// Notes a client that the token has added.
    pub(crate) fn note_added(&self, client: &[u8]) {
        // Without a limit, nothing needs the clients.
        if self.clients_max == u64::MAX {
            return;
        }
        let mut added = self.added.lock();
        if !added.ids.contains(client) {
            added.ids.insert(client.into());
        }
        self.added_len.store(added.ids.len() as u64, Relaxed);
    }

    /// Maximum number of clients that the token may add at this server.
    pub fn clients_max(&self) -> u64 {
        self.clients_max
    }

    /// Whether the client counts among those that the token has added.
    pub(crate) fn has_added(&self, client: &[u8]) -> bool {
        self.added.lock().ids.contains(client)
    }

    /// Whether the token has added clients that count.
    pub(super) fn has_clients(&self) -> bool {
        self.added_len.load(Relaxed) > 0
    }

    /// Whether the token may add no client at present.
    pub(super) fn is_full(&self) -> bool {
        !self.has_room_for(1)
    }

    /// Checks up to `len` of the added clients, and drops those that are not held any more.
    pub(crate) fn sweep(&self, len: usize, is_held: impl Fn(&[u8]) -> bool) {
        let mut added = self.added.lock();
        for _ in 0..len.min(added.ids.len()) {
            let place = if added.swept < added.ids.len() { added.swept } else { 0 };
            let Some(id) = added.ids.get_index(place) else { break };
            if is_held(id) {
                added.swept = place + 1;
            } else {
                // The last client takes the place.
                added.ids.swap_remove_index(place);
                added.swept = place;
            }
        }
        self.added_len.store(added.ids.len() as u64, Relaxed);
    }

    /// Whether a new grant of the token would count the same.
    pub(super) fn is_like_new(&self, monotonic_ns: u64) -> bool {
        self.bucket.is_empty(monotonic_ns) && !self.has_clients()
    }
}

fn record_of(scopes: Scopes, hash: [u8; 32]) -> TokenRecord {
    TokenRecord {
        state: TokenState::Live,
        hash,
        scopes,
        name: String::new(),
        made_at_ns: 0,
        expires_at_ns: None,
        is_latest_only: false,
        clients_max: None,
        rate: None,
        share: None,
    }
}

/// Without the hash.
impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grant")
            .field("id", &self.id)
            .field("scopes", &self.record.scopes)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(clients_max: Option<u64>, rate: Option<u32>) -> Grant {
        let record = TokenRecord { clients_max, rate, ..record_of(Scopes::operate(), [0; 32]) };
        Grant::of(TokenId::parse("k").unwrap(), record, 2)
    }

    #[test]
    fn the_rate_counts_what_is_offered() {
        let grant = grant(None, Some(10));
        assert_eq!(grant.take(0, 7), 7);
        assert_eq!(grant.take(0, 7), 3);
        assert_eq!(grant.take(0, 7), 0);
        assert_eq!(grant.take(500_000_000, 7), 5);
        assert_eq!(self::grant(None, None).take(0, 1_000), 1_000);
    }

    #[test]
    fn clients_count_once_and_as_long_as_they_are_held() {
        let grant = grant(None, None);
        assert!(
            grant.has_room_for(2) && !grant.has_room_for(3),
            "the default counts without a limit of its own"
        );
        grant.note_added(b"a");
        grant.note_added(b"a");
        assert!(grant.has_room_for(1) && !grant.is_full());
        grant.note_added(b"b");
        assert!(grant.is_full() && grant.has_added(b"a") && !grant.has_added(b"c"));
        grant.sweep(1, |id| id != b"b");
        assert!(grant.is_full(), "the first sweep has checked a");
        grant.sweep(1, |id| id != b"b");
        assert!(!grant.is_full());
        grant.sweep(10, |_| false);
        assert!(grant.is_like_new(0));
    }
}
