//! Every bound of the herd that the protocol or the replica depends on, with its unit and the effect of reaching it.

use std::time::Duration;

/// Maximum length of a client ID, bytes. A longer ID makes its command invalid.
pub const CLIENT_ID_LEN_MAX: usize = 256;
/// Maximum length of a server name, bytes. A longer name is refused in the configuration and in HELLO.
pub const SERVER_NAME_LEN_MAX: usize = 64;
/// Maximum number of bytes of one record's encoded attributes. A report with more is refused.
pub const ATTRIBUTES_LEN_MAX: usize = 512;
/// Maximum length of the data of one record that is not about a client, bytes. If a neighbor sends a record with more,
/// its link is closed, because every server that relays a record checks this length, too.
pub const DATA_LEN_MAX: usize = 16 * 1024;
/// Maximum length of an attribute name, bytes.
pub const ATTRIBUTE_NAME_LEN_MAX: usize = 32;
/// Maximum length of an attribute's number, bytes. A report with a longer number is refused.
pub const ATTRIBUTE_NUMBER_LEN_MAX: usize = 64;

/// Maximum length of the text of a filter `where`, bytes. A query with a longer one is invalid.
pub const WHERE_LEN_MAX: usize = 2048;
/// Maximum number of comparisons in a filter `where`. A query with more is invalid.
pub const WHERE_COMPARISONS_MAX: usize = 16;

/// Maximum length of a line of the line protocol, bytes without the LF. The answer to a longer line is `? ` and the
/// line's first [`LINE_ECHO_LEN`] bytes. Then the connection is closed.
pub const LINE_LEN_MAX: usize = 8 * 1024;
/// The number of bytes of an overlong line that the answer repeats.
pub const LINE_ECHO_LEN: usize = 64;

/// Maximum time that a client's clock may be ahead of the server's clock before the server's clock limits the versions
/// of the client's reports, nanoseconds.
pub const CLOCK_AHEAD_MAX_NS: i64 = 5_000_000_000;

/// Maximum radius of a query for places, meters. A larger radius makes its command invalid.
pub const RADIUS_M_MAX: u32 = 50_000;
/// Maximum number of clients in one answer to a query for nearby clients. A door refuses a query for more.
pub const NEAR_MAX: usize = 10_000;
/// Maximum number of places in one answer. A larger limit makes its command invalid.
pub const PLACES_MAX: u8 = 20;
/// Maximum number of labels of places for one box of a map. A door refuses a query for more.
pub const LABELS_MAX: usize = 1000;
/// Maximum length of a text in a query's wishes about places, bytes. A query with a longer text is invalid.
pub const WISH_TEXT_LEN_MAX: usize = 1024;
/// Maximum length of a token that asks for another page of an answer, bytes. A query with a longer token is invalid.
pub const PAGE_TOKEN_LEN_MAX: usize = 4096;
/// Maximum length of a result that is passed on as its provider wrote it, bytes, including the indents that this
/// program prints. Google's results have about two thousand bytes. A longer result is left out of its answer.
pub const RESULT_LEN_MAX: usize = 64 * 1024;

/// Number of consecutive failures after which the circuit breaker of a provider of places opens.
pub const BREAKER_FAILURES: u32 = 5;
/// The first pause of an open circuit breaker, during which its provider is not queried. The pause doubles with each
/// failed attempt, up to [`BREAKER_PAUSE_MAX`], and has jitter.
pub const BREAKER_PAUSE_MIN: Duration = Duration::from_secs(1);
/// Maximum pause of an open circuit breaker.
pub const BREAKER_PAUSE_MAX: Duration = Duration::from_secs(60);
/// Time for which a provider that refuses to serve this herd is not queried.
pub const BREAKER_PAUSE_DENIED: Duration = Duration::from_secs(60);
/// Time for which a provider that was queried too often is not queried, if the provider does not say how long to wait.
/// If the provider does, its time is clamped to the range from [`BREAKER_RETRY_AFTER_MIN`] to
/// [`BREAKER_RETRY_AFTER_MAX`].
pub const BREAKER_RETRY_AFTER: Duration = Duration::from_secs(10);
/// Minimum of the time to wait that such a provider gives.
pub const BREAKER_RETRY_AFTER_MIN: Duration = Duration::from_secs(1);
/// Maximum of the time to wait that such a provider gives.
pub const BREAKER_RETRY_AFTER_MAX: Duration = Duration::from_secs(900);
/// Maximum time until the outcome of a query that probes a provider after a pause is known. After that time, another
/// query probes the provider.
pub const BREAKER_PROBE_MAX: Duration = Duration::from_secs(60);
/// Maximum number of queries that wait for providers over the network at once. One more query is answered like a query
/// over the rate.
pub const FLIGHTS_MAX: usize = 1024;

/// Number of shards at every server of a herd. It is part of the link protocol, because sequences and vectors are
/// counted per shard. HELLO refuses a neighbor with another number.
pub const SHARDS: usize = 16;
/// Maximum number of reports that are offered to the replica at once. A door with more reports offers them in several
/// calls. An index into the reports fits a byte.
pub const BATCH_LEN_MAX: usize = 64;
/// Maximum number of links of one server. The configuration refuses more.
pub const LINKS_MAX: usize = 32;
/// Maximum number of followers of a replica in addition to its links. One more follower is refused.
pub const FOLLOWERS_MAX: usize = 8;

/// Maximum number of queue entries that a follower takes in one call. After that the follower calls again.
pub const FOLLOWER_BITE_MAX: usize = 1024;
/// Number of removed records that may always be queued in one shard for a follower that wants removals. If the shard
/// holds more records than this, as many removed records as held ones may be queued. With one more, the follower begins
/// anew in that shard.
pub const REMOVED_WAITING_MIN: usize = 1024;
/// Maximum number of servers of a herd. The configuration refuses more.
pub const SERVERS_MAX: usize = 256;
/// Maximum number of servers outside the herd whose link states a server keeps. These are servers that have just left,
/// or that the configuration of other servers already names. One more such server is no part of the spanning tree, and
/// asks its neighbors for the updates that it lacks.
pub const TREE_STRANGERS_MAX: usize = SERVERS_MAX;
/// Number of consecutive looks that must find no reason to keep a link state before the spanning tree forgets the
/// state.
pub const TREE_LOST_LOOKS: u8 = 5;
/// Number of looks after which a server announces its link state again, with a stamp of at least its clock.
pub const TREE_SAY_LOOKS: u8 = 30;
/// Maximum number of changes of the spanning tree that other servers' states may cause between two looks. After that a
/// server wants changes on all its links, until a look finds that the tree has been calm since the last look.
pub const TREE_COMPUTES: u32 = 8;
/// Maximum number of states in its own name that a server contradicts at once between two looks, and maximum number of
/// further states that it contradicts with heartbeats. One more state waits for the next look.
pub const TREE_ANSWERS: u32 = 4;
/// Number of looks at which another process must have spoken in this server's name to count as alive. The messages of a
/// process that has ended are heard once or twice.
pub const TREE_NAMESAKE_LOOKS: u8 = 5;
/// Number of heartbeats after which a server asks for updates that a neighbor has promised on a lazy link and the tree
/// has not brought. The number doubles each time that the server has to ask, up to [`PATIENCE_MAX`].
pub const PATIENCE_MIN: u8 = 2;
/// Maximum of the number that begins at [`PATIENCE_MIN`], heartbeats.
pub const PATIENCE_MAX: u8 = 12;
/// Maximum number of server incarnations with live records in one shard. If a neighbor sends a record of one more, the
/// record is not merged, and is counted.
pub const ORIGINS_MAX: usize = u16::MAX as usize - 1;
/// Maximum number of incarnations of one server with live records in one shard. If a neighbor sends a record of one
/// more, the record is kept under another incarnation of that server, and is counted. Then the older half of the
/// incarnations is merged into one, at most once each [`RENEWAL_INTERVAL_NS`]. After that there is room again.
pub const INCARNATIONS_MAX: usize = 64;
/// Maximum number of earlier lives of this server with live records in one shard, if this server has restored records
/// from a store. If there are more, this server issues the records of the half with the fewest records again. It does
/// so once it is caught up, and at most once each [`RENEWAL_INTERVAL_NS`].
pub const OWN_LIVES_MAX: usize = INCARNATIONS_MAX / 2;
/// Maximum number of keys in one shard that a store removes before their end and does not have again. If there are more
/// at a time, the store's vector does not count, and neighbors send everything that this server may lack.
pub const RESTORE_REMOVED_MAX: usize = 65_536;
/// Maximum number of servers outside the herd with live records in one shard. If a neighbor sends a record of one more,
/// the record is not merged, and is counted.
pub const STRANGERS_MAX: usize = SERVERS_MAX;
/// Maximum number of records in one shard. When the shard is full, new clients are refused. If there is no room for a
/// neighbor's record, the record is not merged, and is counted.
pub const SHARD_RECORDS_MAX: usize = 1 << 28;
/// Maximum number of accounts of places quotas that one server has at any moment, among accounts with periods and times
/// that honest servers use.
pub const ACCOUNTS_MAX: usize = 16;
/// Maximum number of bytes of such accounts of the herd's members in one server. That is room for all accounts that
/// [`SERVERS_MAX`] members can have. A server that does not know the members keeps the newest accounts.
pub const QUOTA_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Maximum number of bytes of all other accounts in one server: accounts of servers that are not members, and accounts
/// with periods and times that no honest server uses. If there is no room for all of them, the newest are kept.
pub const STRAY_QUOTA_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Maximum number of bytes of records whose kinds this version does not know, all such kinds together, in one server.
/// If there is no room for all of them, the kind that takes the most bytes loses its oldest record.
pub const UNKNOWN_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Maximum number of bytes of the records of valid tokens in one server, about 40,000 tokens. A server makes no further
/// token. If neighbors send more, the newest are kept.
pub const TOKEN_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Maximum number of bytes of the records of revoked tokens in one server, about 40,000 tokens. If there are more, the
/// newest are kept.
pub const REVOKED_TOKEN_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Maximum number of shares of one maker that show something. A maker with so many makes no further share.
pub const SHARES_MAX: usize = 1_000;
/// Maximum number of shares of one maker that take room: in addition to those that show something, the revoked ones and
/// those that have ended in the last [`SHARE_KEPT_S`]. A maker with so many makes no further share.
pub const SHARES_KEPT_MAX: usize = 10_000;
/// The longest time until the end of a share, seconds: 30 days.
pub const SHARE_EXPIRES_S_MAX: u64 = 30 * 86_400;
/// Seconds for which servers keep a share after its end, so that they can tell its readers that it has ended.
pub const SHARE_KEPT_S: u64 = 3600;
/// Maximum length of the ID of a token, bytes.
pub const TOKEN_ID_LEN_MAX: usize = 32;
/// Maximum length of the name of a token, bytes.
pub const TOKEN_NAME_LEN_MAX: usize = 100;
/// The longest time until the end of a token that is made, seconds: a hundred years.
pub const TOKEN_EXPIRES_S_MAX: u64 = 100 * 365 * 86_400;
/// The greatest number of clients that a token that is made may add at each server. No herd holds so many clients.
pub const TOKEN_CLIENTS_MAX: u64 = 1_000_000_000_000;
/// Maximum number of scopes of a token. A token with more is not made, and a record with more is no valid token.
pub const SCOPES_MAX: usize = 32;
/// Maximum length of the scopes of a token together, bytes.
pub const SCOPES_BYTES_MAX: usize = 4096;
/// Number of bytes that one record counts against such a bound in addition to its key and data.
pub const RECORD_BYTES: usize = 128;

/// Minimum time between two new incarnations that a server begins because other servers hold lies about it,
/// nanoseconds.
pub const RENEWAL_INTERVAL_NS: u64 = 60 * 1_000_000_000;
/// Maximum number of its own incarnations for which a server knows every update that it has issued. A lie about an
/// older incarnation is merged, like a lie about an earlier life.
pub const OWN_INCARNATIONS_MAX: usize = 16;
/// Maximum number of lies about this server that one shard answers within [`ANSWERS_INTERVAL_NS`]. Further lies are
/// answered when neighbors send them again.
pub const LIES_ANSWERED_MAX: u32 = 64;
/// The interval of [`LIES_ANSWERED_MAX`], nanoseconds. It is shorter than the second between two looks.
pub const ANSWERS_INTERVAL_NS: u64 = 900_000_000;
/// Number of displaced own records that a shard remembers, the latest ones. Suppose that a lie displaces an own record,
/// that the shard no longer remembers the record, and that another server retells the record. Then the record's key is
/// gone until its client reports again.
pub const DISPLACED_MAX: usize = 256;
/// Time for which a shard remembers displaced own records, nanoseconds.
pub const DISPLACED_NS: u64 = 60 * 1_000_000_000;
/// Minimum time for which the tombstone that answers a lie is kept, nanoseconds. The younger the lie, the longer the
/// tombstone is kept, because a tombstone that was received before the lie would not win over the lie.
pub const LIE_TOMBSTONE_NS: u64 = 600 * 1_000_000_000;
/// A server tells its neighbors its horizon again when the horizon has risen by more than this, nanoseconds.
pub const HORIZON_STEP_NS: u64 = 600 * 1_000_000_000;
/// Maximum time between two looks of a server at its clock, nanoseconds. After a longer time the server may have been
/// restored from a snapshot, so it begins a new incarnation.
pub const ABSENCE_NS: u64 = 30 * 1_000_000_000;
/// Time for which a server that had no link believes its neighbors after its first link has come up, nanoseconds. If
/// they show that they know more updates of the server than it has issued, it begins a new incarnation: it may have
/// been restored from a snapshot younger than [`ABSENCE_NS`].
pub const REUNION_NS: u64 = 5 * 1_000_000_000;
/// Minimum step of a clock that counts as put back, nanoseconds. With a smaller step the clock is only being adjusted.
pub const CLOCK_STEP_NS: u64 = 1_000_000_000;
/// Number of consecutive looks, about a second apart, at which a clock that was put back must go forward while a link
/// is up. After that the clock counts as right. A link to a neighbor whose clock differs too much ends sooner than
/// that.
pub const CLOCK_TRUST_LOOKS: u32 = 5;

/// Maximum number of origins that one direction of a link names before it begins a new numbering. This bounds the
/// origins that each end remembers. It is part of the link protocol from version 3 on: a higher index closes the link.
pub const ORIGINS_NAMED_MAX: usize = 16 * 1024;
/// Maximum length of a frame body on a link, bytes. A longer body closes the link.
pub const FRAME_BODY_LEN_MAX: usize = u16::MAX as usize;
/// Number of bytes of its outbox that a link encodes before it writes.
pub const LINK_BATCH_LEN: usize = 64 * 1024;
/// Maximum length of a reason for refusing a link, bytes. A longer reason is cut.
pub const REFUSAL_LEN_MAX: usize = 200;
/// Maximum length of a herd ID, bytes.
pub const HERD_ID_LEN_MAX: usize = 64;

/// Time for which a tombstone is kept after its receipt, nanoseconds: a day.
pub const TOMBSTONE_TTL_NS: u64 = 24 * 3600 * 1_000_000_000;
/// A store is old if it was last in use longer ago than tombstones are kept, less this time, nanoseconds. A server
/// loads such a store only if no neighbor objects, and for this time issues tombstones of the store again when they
/// expire.
pub const TOMBSTONE_RENEW_NS: u64 = 3600 * 1_000_000_000;

/// Number of bytes of changes that a journal keeps in memory until they are written. With that many it takes no more
/// until it has written them. One bite of its follower may exceed the number.
pub const STORE_BUFFER_LEN: usize = 4 * 1024 * 1024;
/// Number of bytes after which a segment of a journal ends, if the disk has room for the next one.
pub const SEGMENT_LEN_MAX: u64 = 64 * 1024 * 1024;
/// Maximum time between two entries of a running server's store that say that the server was alive, nanoseconds.
pub const STORE_ALIVE_NS: u64 = 10 * 1_000_000_000;
/// Minimum time between two vectors of one shard in a store, nanoseconds.
pub const STORE_VECTOR_NS: u64 = 1_000_000_000;
/// Time after which a store is compacted because it may hold something that the herd has forgotten, nanoseconds. A
/// compaction takes less than another half hour, so what was forgotten is gone from the disk within an hour.
pub const STORE_FORGETS_NS: u64 = 30 * 60 * 1_000_000_000;
/// A store is compacted when its files have more than about twice the bytes of the held records, and this many more ...
pub const STORE_SLACK_LEN: u64 = 4 * 1024 * 1024;
/// ... or, sooner than [`COMPACTION_PAUSE_NS`] after the last compaction began, this many more.
pub const STORE_SLACK_LEN_MAX: u64 = 64 * 1024 * 1024;
/// Minimum time between the beginnings of two compactions, unless the files have [`STORE_SLACK_LEN_MAX`] too many
/// bytes, nanoseconds. Without a minimum, a store with few records would be compacted all the time at full load.
pub const COMPACTION_PAUSE_NS: u64 = 500_000_000;
/// Time after a compaction that failed, for example on a full disk, before the next one, nanoseconds.
pub const COMPACTION_RETRY_NS: u64 = 10 * 1_000_000_000;
/// Number of slots of a shard that a compaction reads before others can take the shard's lock.
pub const COMPACTION_BITE_SLOTS: usize = 1024;
/// Number of bytes of a snapshot that are written at once. One bite of slots may exceed the number.
pub const COMPACTION_WRITE_LEN: usize = 256 * 1024;
/// Number of bytes of a snapshot after which the disk is synced, so that the journal never waits long for the disk.
pub const COMPACTION_SYNC_LEN: usize = 1024 * 1024;
/// Maximum number of damaged runs of bytes that a recovery lists. Further ones are not listed, and count as damage all
/// the same.
pub const STORE_DAMAGE_MAX: usize = 256;

/// Maximum delay before a neighbor is dialed again. A neighbor that has come back has its link within a second.
pub const DIAL_DELAY_MAX: Duration = Duration::from_millis(800);
/// Minimum delay before a neighbor is dialed again.
pub const DIAL_DELAY_MIN: Duration = Duration::from_millis(50);
/// Maximum delay before this process again dials a neighbor that refused this process because another process of the
/// same name has the link. The delay is shorter than [`TREE_NAMESAKE_LOOKS`] seconds, so both processes detect each
/// other while both run.
pub const NAMESAKE_DELAY_MAX: Duration = Duration::from_secs(3);
/// Maximum time for dialing and the handshake together. After that the attempt ends, and the neighbor is dialed again.
pub const HANDSHAKE_MAX: Duration = Duration::from_secs(5);
/// Maximum number of handshakes that other servers have with this server at once. One more ends the oldest handshake,
/// because a neighbor's handshake takes milliseconds, and a stranger's may take as long as it can.
pub const HANDSHAKES_MAX: usize = 64;
/// Interval between two heartbeats of a link. A heartbeat shows that the link is alive, carries the sender's clock, and
/// checks the held records.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_millis(200);
/// Minimum offset between two clocks that causes a warning, nanoseconds.
pub const CLOCK_OFFSET_WARN_NS: u64 = 1_000_000_000;
/// Number of shards that one heartbeat checks. All shards get their turn.
pub const CHECKS_PER_HEARTBEAT: usize = 4;
/// When neighbors check what they hold, they leave out records that expire within this time from now, by the clock that
/// is ahead, nanoseconds.
pub const CHECK_MARGIN_NS: u64 = 2_000_000_000;
/// Number of checks of a shard that are ignored after a check that found a difference, to give the repair time.
pub const CHECK_PAUSE: u8 = 4;
/// Maximum number of branches of the hash tree in one frame. A later check finds the branches that are left out.
pub const CHECK_BRANCHES_MAX: usize = 400;
/// Maximum number of records in a branch that a server sends instead of comparing the branch further.
pub const CHECK_LEAF_RECORDS_MAX: u32 = 2;
/// After a neighbor's record was refused, the neighbor is asked to send again everything that is not covered here. This
/// is the number of heartbeats without another refusal before the first question. The pause doubles before each further
/// question, up to [`GAP_PAUSE_MAX`], until the neighbor's markers count.
pub const GAP_PAUSE_MIN: u16 = 5;
/// Maximum of the pause that begins at [`GAP_PAUSE_MIN`], heartbeats.
pub const GAP_PAUSE_MAX: u16 = 640;
/// Number of slices into which a record's time to live is cut. Sums leave out whole slices, so each server may choose
/// when to forget expired records.
pub const CHECK_SLICES: u64 = 16;
/// Minimum length of a slice, nanoseconds.
pub const CHECK_SLICE_MIN_NS: u64 = 1_000_000_000;
/// Maximum number of scans of one shard that a neighbor may cause between two heartbeats, either to compare records or
/// to be sent records that it lacks. Further comparisons are left out, and a later check makes up for them. A further
/// GRAFT waits for the heartbeat. One comparison may pass through all depths of the hash tree.
pub const LOOKS_PER_HEARTBEAT: u8 = 17;
/// Maximum number of origins for which a link remembers the neighbor's promises. Further promises are not waited for.
pub const PROMISES_MAX: usize = 4096;
/// Number of origins that have left a shard's table and that a server still remembers, the latest ones. A neighbor may
/// still promise updates of such an origin, although newer records have replaced them here. If the origin is not
/// remembered, this server asks once in vain.
pub const ORIGINS_LEFT_MAX: usize = 64;
/// Maximum time for which a link may be silent, or accept no bytes. After that the link is closed and dialed again.
pub const LINK_SILENCE_MAX: Duration = Duration::from_secs(3);
