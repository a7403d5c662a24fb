//! What the answers of providers over the network may take, together and each.

/// Longest answer that is read, bytes; twenty places take some hundred thousand. A longer one is given up as soon as it
/// is longer.
pub(super) const BODY_LEN_MAX: usize = 4 * 1024 * 1024;
/// Room for all answers that are being read at once in this process, bytes: hundreds of usual ones, or eight of the
/// longest. A hundred of the longest at once made a process grow by 140 MB, with what the network and the allocator hold
/// besides. An answer that finds no room for its next part is given up ([`Failure::NoRoom`](super::Failure::NoRoom)).
pub(super) const BODIES_LEN_MAX: usize = 32 * 1024 * 1024;
/// Longest part of an answer that is taken apart, bytes: one place, or one field of the answer itself. Taken apart, JSON
/// needs up to a hundred times its length. A longer part counts as not known.
pub(super) const PART_LEN_MAX: usize = 64 * 1024;
