//! The hash of a key, the same at every server.

use xxhash_rust::xxh3::xxh3_64;

use crate::limits::SHARDS;

/// The hash of a key. It determines the key's shard and the key's place in that shard's hash tree. It is part of the
/// link protocol.
///
/// Anybody can choose keys whose hashes collide, so no table uses this hash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyHash(u64);

impl KeyHash {
    /// The hash of this key.
    #[inline]
    pub fn of(key: &[u8]) -> KeyHash {
        KeyHash(xxh3_64(key))
    }

    /// The shard that the key is in.
    #[inline]
    pub fn shard(self) -> usize {
        self.0 as usize % SHARDS
    }

    /// All 64 bits of the hash.
    #[inline]
    pub fn bits(self) -> u64 {
        self.0
    }
}
