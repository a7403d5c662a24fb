//! The numbers of all streams of a server, for metrics.

use super::event::StreamKind;

/// The numbers of all streams of a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamCounts {
    /// The number of streams that a connection reads ...
    pub open: usize,
    /// ... and of streams that are kept for a reader that may resume them.
    pub kept: usize,
    /// The number of entries of all streams. A stream has an entry for each client that matches or has lately matched.
    pub entries: usize,
    /// The number of clients of which any stream has an entry.
    pub clients: usize,
    /// Events told since the start, by kind, in the order of [`StreamKind::ALL`].
    pub told: [u64; StreamKind::ALL.len()],
    /// Changes that were not told, because a newer change of the same client came before the reader took them.
    pub conflated: u64,
    /// Resets that were told since the start, by reason, in the order of [`ResetReason::ALL`].
    pub resets: [u64; ResetReason::ALL.len()],
    /// Readers that have resumed their streams without a reset.
    pub resumed: u64,
    /// Streams that ended because more clients matched than one stream can hold.
    pub too_large: u64,
    /// Streams that ended because all streams together held too many clients.
    pub server_full: u64,
    /// Presence events that were dropped because a reader was too slow.
    pub presence_dropped: u64,
}

/// Why a reader was told to begin anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetReason {
    /// The stream is new, and the reader did not ask to resume one.
    New,
    /// The reader asked to resume a stream that this server does not keep (any more), or that has another filter, other
    /// kinds or another owner.
    Unknown,
    /// The stream does not reach back to the last event that the reader has received.
    TooOld,
    /// The server has lost changes.
    ChangesLost,
}

impl ResetReason {
    /// All reasons.
    pub const ALL: [ResetReason; 4] =
        [ResetReason::New, ResetReason::Unknown, ResetReason::TooOld, ResetReason::ChangesLost];

    /// The reason in a word, for metrics.
    pub const fn label(self) -> &'static str {
        match self {
            ResetReason::New => "new",
            ResetReason::Unknown => "unknown",
            ResetReason::TooOld => "too_old",
            ResetReason::ChangesLost => "changes_lost",
        }
    }
}
