//! Every bound of streams and presence, with its unit and the effect of reaching it.

use proxyherd_core::limits::TOMBSTONE_TTL_NS;

/// Maximum number of streams that one server serves, with the kept ones. One more opens only if a kept one can be
/// dropped, and is refused otherwise.
pub const STREAMS_MAX: usize = 65_536;
/// Maximum number of streams whose filters have neither IDs nor prefixes of IDs nor a place, or a place of the size of
/// a continent. Each change is compared with all of them. One more is refused, unless a kept one can be dropped.
pub const UNINDEXED_STREAMS_MAX: usize = 1024;
/// Maximum number of patterns of IDs that the filter of a stream names. A stream with more is refused.
pub const STREAM_IDS_MAX: usize = 1024;
/// Maximum number of entries of one stream: clients that match, or have lately matched. A stream that needs more ends.
pub const STREAM_ENTRIES_MAX: usize = 1 << 20;
/// Maximum number of entries of all streams of one server. If more are needed, the streams that have been kept longest
/// are dropped. If no stream is kept, the largest stream ends.
pub const ALL_STREAM_ENTRIES_MAX: usize = 1 << 23;
/// Maximum number of streams that are kept for readers that may resume them. With one more, a caller that has the most
/// kept streams loses the one that has been kept longest.
pub const STREAMS_KEPT_MAX: usize = 16_384;
/// Time for which a stream is kept after its connection has ended, nanoseconds.
pub const STREAM_KEPT_NS: u64 = 300 * 1_000_000_000;
/// Number of removals that a stream always remembers for a reader that resumes. A stream whose reader holds more
/// clients remembers as many removals as that. A reader that lacks more begins anew.
pub const REMOVALS_KEPT_MIN: usize = 64;
/// Maximum number of presence events that wait for one reader. With one more, the oldest is dropped and counted.
pub const PRESENCE_WAITING_MAX: usize = 1024;
/// Number of presence events that a stream remembers for a reader that resumes. A reader that lacks more begins anew.
pub const PRESENCE_KEPT_MAX: usize = 64;
/// Maximum number of points of a polygon, all rings together. A polygon with more is refused.
pub const POLYGON_POINTS_MAX: usize = 1024;
/// How late a report may arrive from another server without a wrong event of presence. A client is silent or expired
/// only this long after the time at which it fell silent or expired.
pub const PRESENCE_LATE_NS: u64 = 1_000_000_000;
/// Time for which presence remembers what ended a client's last life.
pub const PRESENCE_ENDED_NS: u64 = TOMBSTONE_TTL_NS;
/// Maximum number of clients whose last life presence remembers. Further ones are not remembered.
pub const PRESENCE_ENDED_MAX: usize = 1 << 20;
