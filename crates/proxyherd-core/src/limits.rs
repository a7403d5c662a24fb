//! Every bound of the herd that the protocol or the replica depends on, with its unit and what happens when it is
//! reached.

use std::time::Duration;

/// Longest client ID, bytes. A longer one makes its command invalid.
pub const CLIENT_ID_LEN_MAX: usize = 256;
/// Longest server name, bytes. A longer one is refused in the configuration and in HELLO.
pub const SERVER_NAME_LEN_MAX: usize = 64;
/// Most bytes of attributes on one record, encoded. A report with more is refused.
pub const ATTRIBUTES_LEN_MAX: usize = 512;
/// Longest data of one record that is not about a client, bytes. A neighbor's record with more closes its link,
/// because every server that relays a record checks it too.
pub const DATA_LEN_MAX: usize = 16 * 1024;
/// Longest attribute name, bytes.
pub const ATTRIBUTE_NAME_LEN_MAX: usize = 32;

/// Longest line of the line protocol, bytes without its LF. The answer to a longer line is `? ` and its first
/// [`LINE_ECHO_LEN`] bytes, and then the connection is closed.
pub const LINE_LEN_MAX: usize = 8 * 1024;
/// How much of an overlong line its answer repeats, bytes.
pub const LINE_ECHO_LEN: usize = 64;

/// How far a client's clock may run ahead before the server's clock bounds its versions, nanoseconds.
pub const CLOCK_AHEAD_MAX_NS: i64 = 5_000_000_000;

/// Largest radius of a question about places, meters. A larger one makes its command invalid.
pub const RADIUS_M_MAX: u32 = 50_000;
/// Most clients in one answer about who is near. A door refuses a question for more.
pub const NEAR_MAX: usize = 10_000;
/// Most places in one answer. A larger limit makes its command invalid.
pub const PLACES_MAX: u8 = 20;
/// Longest text in a wish about places, bytes. A question with a longer one is invalid.
pub const WISH_TEXT_LEN_MAX: usize = 1024;
/// Longest token that asks for another page of an answer, bytes. A question with a longer one is invalid.
pub const PAGE_TOKEN_LEN_MAX: usize = 4096;
/// Longest result that is passed on as its provider wrote it, bytes, with the indents that this program prints.
/// Google's results have about two thousand. An answer leaves a longer result out.
pub const RESULT_LEN_MAX: usize = 64 * 1024;

/// After this many failures in a row, a provider of places is left alone.
pub const BREAKER_FAILURES: u32 = 5;
/// How long it is left alone, at first and at most. The pause doubles with each failed attempt, and is jittered.
pub const BREAKER_PAUSE_MIN: Duration = Duration::from_secs(1);
/// See [`BREAKER_PAUSE_MIN`].
pub const BREAKER_PAUSE_MAX: Duration = Duration::from_secs(60);
/// How long a provider is left alone that refuses to serve this herd.
pub const BREAKER_PAUSE_DENIED: Duration = Duration::from_secs(60);
/// How long a provider is left alone that was asked too often, if it does not say how long. What it says is clamped
/// to [`BREAKER_RETRY_AFTER_MIN`] and [`BREAKER_RETRY_AFTER_MAX`].
pub const BREAKER_RETRY_AFTER: Duration = Duration::from_secs(10);
/// See [`BREAKER_RETRY_AFTER`].
pub const BREAKER_RETRY_AFTER_MIN: Duration = Duration::from_secs(1);
/// See [`BREAKER_RETRY_AFTER`].
pub const BREAKER_RETRY_AFTER_MAX: Duration = Duration::from_secs(900);
/// How long a question that tries such a provider may take until its outcome is known. After that, another one tries.
pub const BREAKER_PROBE_MAX: Duration = Duration::from_secs(60);
/// Most questions that wait for providers over the network at once. One more is answered like one over the rate.
pub const FLIGHTS_MAX: usize = 1024;

/// How many shards every server of a herd has. Part of the link protocol, because sequences and vectors are counted
/// per shard; HELLO refuses a neighbor with another number.
pub const SHARDS: usize = 16;
/// Most reports that are offered to the replica at once. A door with more offers them in turns. An index into them
/// fits a byte.
pub const BATCH_LEN_MAX: usize = 64;
/// Most links of one server. The configuration refuses more.
pub const LINKS_MAX: usize = 32;
/// Most followers of a replica besides its links. One more is refused.
pub const FOLLOWERS_MAX: usize = 8;
/// Most entries of its queue that a follower takes at once. Then it asks again.
pub const FOLLOWER_BITE_MAX: usize = 1024;
/// How many removed records may wait in one shard for a follower that wants removals, if fewer records are held
/// there; otherwise as many as are held. With one more the follower begins anew in that shard.
pub const REMOVED_WAITING_MIN: usize = 1024;
/// Most servers of a herd. The configuration refuses more.
pub const SERVERS_MAX: usize = 256;
/// Most servers that are no members of the herd whose link states a server keeps: servers that have just left, or
/// that other servers' configuration names already. One more is no part of the spanning tree; it asks its neighbors
/// for what it lacks.
pub const TREE_STRANGERS_MAX: usize = SERVERS_MAX;
/// Consecutive looks that must find no place for a link state before the spanning tree forgets it.
pub const TREE_LOST_LOOKS: u8 = 5;
/// After this many looks a server announces its link state again, with a stamp of at least its clock.
pub const TREE_SAY_LOOKS: u8 = 30;
/// How often the states of other servers may change the spanning tree between two looks. After that a server wants
/// changes on all its links, until a look finds that the tree was calm since the last look.
pub const TREE_COMPUTES: u32 = 8;
/// How many states in its own name a server contradicts at once between two looks, and how many more with a
/// heartbeat. One more waits for the next look.
pub const TREE_ANSWERS: u32 = 4;
/// At how many looks another process must have spoken in this server's name to count as alive. What an ended process
/// has left behind is heard once or twice.
pub const TREE_NAMESAKE_LOOKS: u8 = 5;
/// After this many heartbeats a server asks for what a neighbor has promised on a lazy link and the tree has not
/// brought. Each time that it has to ask, the number doubles, up to the maximum.
pub const PATIENCE_MIN: u8 = 2;
/// See [`PATIENCE_MIN`].
pub const PATIENCE_MAX: u8 = 12;
/// Most incarnations of servers with live records in one shard. A neighbor's record of one more is not merged, and is
/// counted.
pub const ORIGINS_MAX: usize = u16::MAX as usize - 1;
/// Most incarnations of one server with live records in one shard. A neighbor's record of one more is kept under
/// another incarnation of that server, and is counted. Then the older half of them is merged into one, at most once
/// each [`RENEWAL_INTERVAL_NS`], and there is room again.
pub const INCARNATIONS_MAX: usize = 64;
/// Most servers that are no members of the herd with live records in one shard. A neighbor's record of one more is
/// not merged, and is counted.
pub const STRANGERS_MAX: usize = SERVERS_MAX;
/// Most records in one shard. With one more, new clients are refused; a neighbor's record that finds no room is not
/// merged, and is counted.
pub const SHARD_RECORDS_MAX: usize = 1 << 28;
/// Most accounts of places quotas that one server has at any moment, in periods and with times that honest servers
/// use.
pub const ACCOUNTS_MAX: usize = 16;
/// Most bytes of such accounts of the herd's members in one server. That is room for all that [`SERVERS_MAX`] members
/// can have. A server that does not know the members keeps the newest.
pub const QUOTA_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Most bytes of all other accounts in one server: of servers that are no members, and of periods and times that no
/// honest server uses. If not all find room, the newest are kept.
pub const STRAY_QUOTA_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Most bytes of records of kinds that this version does not know in one server, all such kinds together. If not all
/// find room, the kind that takes the most loses its oldest.
pub const UNKNOWN_BYTES_MAX: usize = 64 * 1024 * 1024;
/// What one record counts against such a bound besides its key and data, bytes.
pub const RECORD_BYTES: usize = 128;

/// The shortest time between two new incarnations that a server begins because others hold lies about it,
/// nanoseconds.
pub const RENEWAL_INTERVAL_NS: u64 = 60 * 1_000_000_000;
/// Most of its incarnations under which a server knows every update that it has issued. A lie about an older one is
/// merged, like one about an earlier life.
pub const OWN_INCARNATIONS_MAX: usize = 16;
/// Most lies about this server that one shard answers within [`ANSWERS_INTERVAL_NS`]. Further lies are answered when
/// they are sent again.
pub const LIES_ANSWERED_MAX: u32 = 64;
/// See [`LIES_ANSWERED_MAX`]. It is less than the second between two looks, nanoseconds.
pub const ANSWERS_INTERVAL_NS: u64 = 900_000_000;
/// How many displaced own records a shard remembers, the latest ones. If a record is displaced that it does not
/// remember any more, its key is gone until its client reports, should a lie make another server retell the record.
pub const DISPLACED_MAX: usize = 256;
/// For how long it remembers them, nanoseconds.
pub const DISPLACED_NS: u64 = 60 * 1_000_000_000;
/// How long the tombstone that answers a lie is kept at least, nanoseconds. The younger the lie, the longer it is
/// kept, because a tombstone that was received before the lie would not win over it.
pub const LIE_TOMBSTONE_NS: u64 = 600 * 1_000_000_000;
/// A server that has not looked at its clock for longer than this, nanoseconds, may have been restored from a
/// snapshot. It begins a new incarnation.
pub const ABSENCE_NS: u64 = 30 * 1_000_000_000;
/// For how long after its first link came up a server that had no link believes neighbors that know more updates of
/// it than it has issued, nanoseconds: it may have been restored from a younger snapshot. It begins a new
/// incarnation.
pub const REUNION_NS: u64 = 5 * 1_000_000_000;
/// A clock that is put back by less than this, nanoseconds, is only being adjusted.
pub const CLOCK_STEP_NS: u64 = 1_000_000_000;
/// At how many consecutive looks, about a second apart, a clock that was put back must go forward while a link is up,
/// before it counts as right. A link to a neighbor whose clock differs too much ends sooner.
pub const CLOCK_TRUST_LOOKS: u32 = 5;

/// Most origins that one direction of a link names before it begins a new numbering. It bounds what either end
/// remembers of them. Part of the link protocol from version 3 on: a higher index closes the link.
pub const ORIGINS_NAMED_MAX: usize = 16 * 1024;
/// Longest frame body on a link, bytes. A longer one closes the link.
pub const FRAME_BODY_LEN_MAX: usize = u16::MAX as usize;
/// How much a link encodes of its outbox before it writes, bytes.
pub const LINK_BATCH_LEN: usize = 64 * 1024;
/// Longest reason for refusing a link, bytes. A longer one is cut.
pub const REFUSAL_LEN_MAX: usize = 200;
/// Longest herd id, bytes.
pub const HERD_ID_LEN_MAX: usize = 64;

/// How long a tombstone is kept after its receipt, nanoseconds: a day.
pub const TOMBSTONE_TTL_NS: u64 = 24 * 3600 * 1_000_000_000;

/// Longest and shortest delay before a neighbor is dialed again. A neighbor that is back has its link within a
/// second.
pub const DIAL_DELAY_MAX: Duration = Duration::from_millis(800);
/// See [`DIAL_DELAY_MAX`].
pub const DIAL_DELAY_MIN: Duration = Duration::from_millis(50);
/// Longest delay before this process dials a neighbor again that refused it because another process of the same name
/// has the link. It is shorter than [`TREE_NAMESAKE_LOOKS`] seconds, so both processes know of each other while both
/// run.
pub const NAMESAKE_DELAY_MAX: Duration = Duration::from_secs(3);
/// How long dialing and the handshake may take together. After that the attempt is given up, and the neighbor is
/// dialed again.
pub const HANDSHAKE_MAX: Duration = Duration::from_secs(5);
/// Most handshakes that others have with one server at once. One more ends the oldest, because a neighbor's handshake
/// takes milliseconds, and a stranger's as long as it can.
pub const HANDSHAKES_MAX: usize = 64;
/// How often a link sends a heartbeat: that it is alive, its clock, and checks of what it holds.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_millis(200);
/// The offset between two clocks from which on there is a warning, nanoseconds.
pub const CLOCK_OFFSET_WARN_NS: u64 = 1_000_000_000;
/// How many shards one heartbeat checks. All shards get their turn.
pub const CHECKS_PER_HEARTBEAT: usize = 4;
/// What expires within this time from now, by the clock that is ahead, is left out when neighbors check what they
/// hold, nanoseconds.
pub const CHECK_MARGIN_NS: u64 = 2_000_000_000;
/// How many checks of a shard are ignored after one that found a difference, to give the repair time.
pub const CHECK_PAUSE: u8 = 4;
/// Most branches of the hash tree in one frame. A later check finds what is left out.
pub const CHECK_BRANCHES_MAX: usize = 400;
/// If a server holds at most this many records in a branch, it sends them instead of comparing further.
pub const CHECK_LEAF_RECORDS_MAX: u32 = 2;
/// After how many heartbeats without another refusal a neighbor is asked to send again what is not covered here, once
/// one of its records was refused. The pause doubles before each further question, up to [`GAP_PAUSE_MAX`], until its
/// markers count.
pub const GAP_PAUSE_MIN: u16 = 5;
/// See [`GAP_PAUSE_MIN`].
pub const GAP_PAUSE_MAX: u16 = 640;
/// Into how many slices the time is cut for which a record is kept. Sums leave out whole slices, so servers may
/// forget expired records when they like.
pub const CHECK_SLICES: u64 = 16;
/// The shortest slice, nanoseconds.
pub const CHECK_SLICE_MIN_NS: u64 = 1_000_000_000;
/// How many scans of one shard a neighbor may cause between two heartbeats, to compare it or to be sent what the
/// neighbor lacks. Further comparisons are left out, and a later check makes up for them; a further GRAFT waits for
/// the heartbeat. One comparison may go through all depths of the hash tree.
pub const LOOKS_PER_HEARTBEAT: u8 = 17;
/// For how many origins a link remembers the neighbor's promises. Further promises are not waited for.
pub const PROMISES_MAX: usize = 4096;
/// How many origins that have left a shard's table a server remembers, the latest ones. A neighbor may still promise
/// what was overtaken here. For an origin that is not remembered, this server asks once too often.
pub const ORIGINS_LEFT_MAX: usize = 64;
/// How long a link may be silent, or accept no bytes. After that the link is closed and dialed again.
pub const LINK_SILENCE_MAX: Duration = Duration::from_secs(3);
