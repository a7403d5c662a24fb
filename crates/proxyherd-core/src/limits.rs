//! Every bound of the herd, with its unit and what happens when it is reached.

use std::time::Duration;

/// Longest client ID, bytes. A longer one makes its command invalid.
pub const CLIENT_ID_LEN_MAX: usize = 256;
/// Longest server name, bytes. A longer one is refused in the configuration and in HELLO.
pub const SERVER_NAME_LEN_MAX: usize = 64;
/// Most bytes of attributes on one record, encoded. A report with more is refused.
pub const ATTRIBUTES_LEN_MAX: usize = 512;
/// Longest data of one record that is not about a client, bytes. A neighbor's record with more closes its link: who relays
/// checks it too.
pub const DATA_LEN_MAX: usize = 16 * 1024;
/// Longest attribute name, bytes.
pub const ATTRIBUTE_NAME_LEN_MAX: usize = 32;

/// Longest line of the line protocol, bytes without its LF. A longer one is answered `? ` and its first
/// [`LINE_ECHO_LEN`] bytes, and the connection is closed.
pub const LINE_LEN_MAX: usize = 8 * 1024;
/// How much of an overlong line its answer repeats, bytes.
pub const LINE_ECHO_LEN: usize = 64;

/// How far a client's clock may run ahead before the server's clock bounds its versions, nanoseconds.
pub const CLOCK_AHEAD_MAX_NS: i64 = 5_000_000_000;

/// Largest radius of a question about places, metres. A larger one makes its command invalid.
pub const RADIUS_M_MAX: u32 = 50_000;
/// Most clients in one answer about who is near. A door refuses a question for more.
pub const NEAR_MAX: usize = 10_000;
/// Most places in one answer. A larger limit makes its command invalid.
pub const PLACES_MAX: u8 = 20;
/// Longest text in a wish about places, bytes. A question with a longer one is invalid.
pub const WISH_TEXT_LEN_MAX: usize = 1024;
/// Longest token that asks for another page of an answer, bytes. A question with a longer one is invalid.
pub const PAGE_TOKEN_LEN_MAX: usize = 4096;
/// Longest result that is passed on as its provider wrote it, bytes, with the indents that this program prints. Google's
/// take about two thousand. An answer leaves a longer one out.
pub const RESULT_LEN_MAX: usize = 64 * 1024;

/// A provider of places that has failed so often in a row is left alone.
pub const BREAKER_FAILURES: u32 = 5;
/// How long it is left alone at first and at most: the pause doubles with each try that fails, and is jittered.
pub const BREAKER_PAUSE_MIN: Duration = Duration::from_secs(1);
/// See [`BREAKER_PAUSE_MIN`].
pub const BREAKER_PAUSE_MAX: Duration = Duration::from_secs(60);
/// How long a provider that does not serve this herd is left alone.
pub const BREAKER_PAUSE_DENIED: Duration = Duration::from_secs(60);
/// How long a provider that was asked too often is left alone, if it does not say. What it says is kept within
/// [`BREAKER_RETRY_AFTER_MIN`] and [`BREAKER_RETRY_AFTER_MAX`].
pub const BREAKER_RETRY_AFTER: Duration = Duration::from_secs(10);
/// See [`BREAKER_RETRY_AFTER`].
pub const BREAKER_RETRY_AFTER_MIN: Duration = Duration::from_secs(1);
/// See [`BREAKER_RETRY_AFTER`].
pub const BREAKER_RETRY_AFTER_MAX: Duration = Duration::from_secs(900);
/// How long a question that tries such a provider may leave open what became of it. Past it another one tries.
pub const BREAKER_PROBE_MAX: Duration = Duration::from_secs(60);
/// Most questions that are with providers over the network at once. One more is answered as one over the rate is.
pub const FLIGHTS_MAX: usize = 1024;

/// Into how many shards every server of a herd cuts its map. Part of the link protocol, because sequences are
/// counted and vectors told per shard; HELLO refuses a neighbor that cuts otherwise.
pub const SHARDS: usize = 16;
/// Most reports that are offered to the map at once; a door with more offers them in turns. Their places fit a
/// byte.
pub const BATCH_LEN_MAX: usize = 64;
/// Most links of one server. The configuration refuses more.
pub const LINKS_MAX: usize = 32;
/// Most followers of a map besides its links. One more is not taken.
pub const FOLLOWERS_MAX: usize = 8;
/// How many entries of its queue a follower takes at once at most. Then it asks again.
pub const FOLLOWER_BITE_MAX: usize = 1024;
/// Most removed records that wait in one shard for a follower that wants to be told of them, where no more are held there:
/// otherwise as many as are held. With one more the follower begins anew in that shard.
pub const REMOVED_WAITING_MIN: usize = 1024;
/// Most servers of a herd. The configuration refuses more.
pub const SERVERS_MAX: usize = 256;
/// Most servers that are no members of the herd of which a server remembers what their links are: those that have just
/// left, or are in other servers' configuration already. One more is no part of the spanning tree: it asks its
/// neighbors for what it lacks.
pub const TREE_STRANGERS_MAX: usize = SERVERS_MAX;
/// Consecutive looks that find no place for a state before the tree forgets it.
pub const TREE_LOST_LOOKS: u8 = 5;
/// After so many looks a server says again which of its links are up, with a stamp of at least its clock.
pub const TREE_SAY_LOOKS: u8 = 30;
/// How often the states of other servers may change the tree between two looks. After that a server wants to be told of
/// changes on all its links, until a look finds that it was calm since the last.
pub const TREE_COMPUTES: u8 = 8;
/// How often between two looks a server contradicts at once what is said in its name, and how often with a heartbeat what it
/// did not contradict at once. One more waits for the next look.
pub const TREE_ANSWERS: u8 = 4;
/// At so many looks another process must have spoken in this server's name to be taken for alive: what one that has
/// ended left behind is heard once or twice.
pub const TREE_NAMESAKE_LOOKS: u8 = 5;
/// After so many heartbeats a server that still lacks what a neighbor has, and is not told of changes by it, asks for
/// it; after twice as many each time that it had to, up to the most.
pub const PATIENCE_MIN: u8 = 2;
/// See [`PATIENCE_MIN`].
pub const PATIENCE_MAX: u8 = 12;
/// Most incarnations of servers with live records in one shard. A neighbor's record of one more is not merged, and counted.
pub const ORIGINS_MAX: usize = u16::MAX as usize - 1;
/// Most incarnations of one server with live records in one shard. A neighbor's record of one more is kept under another
/// incarnation of that server, and counted; then the older half of them becomes one, at most once each
/// [`RENEWAL_INTERVAL_NS`], and there is room again.
pub const INCARNATIONS_MAX: usize = 64;
/// Most servers that are no members of the herd with live records in one shard. A neighbor's record of one more is not
/// merged, and counted.
pub const STRANGERS_MAX: usize = SERVERS_MAX;
/// Most records in one shard. Past it new clients are refused; a neighbor's record that finds no room is not merged, and
/// counted.
pub const SHARD_RECORDS_MAX: usize = 1 << 28;
/// Most accounts of places budgets that one server has at any moment, in periods and with times that honest servers use.
pub const ACCOUNTS_MAX: usize = 16;
/// Most bytes of such accounts of the herd's members in one server: room for all that [`SERVERS_MAX`] members can have. A
/// server that is told the names of no members keeps the newest.
pub const BUDGET_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Most bytes of all other accounts in one server: of servers that are no members, and of periods and times that no honest
/// server uses. Where there is no room for all, the newest are kept.
pub const STRAY_BUDGET_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Most bytes of records of kinds that this version does not know in one server, all such kinds together. Where there is
/// no room for all, the kind that takes the most loses its oldest.
pub const UNKNOWN_BYTES_MAX: usize = 64 * 1024 * 1024;
/// What one record counts against such a bound beside its key and data, bytes.
pub const RECORD_BYTES: usize = 128;

/// How often a server begins a new incarnation because others are told wrong things about its present one, nanoseconds.
pub const RENEWAL_INTERVAL_NS: u64 = 60 * 1_000_000_000;
/// Most of its incarnations about which a server knows that it has issued nothing but what it holds. A lie about an older
/// one is merged, like one about an earlier life.
pub const OWN_INCARNATIONS_MAX: usize = 16;
/// Most lies about this server that one shard answers within [`ANSWERS_INTERVAL_NS`]. Others are answered when they are told
/// again.
pub const LIES_ANSWERED_MAX: u32 = 64;
/// See [`LIES_ANSWERED_MAX`]. It is less than the second that lies between two looks, nanoseconds.
pub const ANSWERS_INTERVAL_NS: u64 = 900_000_000;
/// Of how many own records that others' have taken the place of a shard remembers what they said, the last of them. One of
/// which it does not know any more is gone until its client reports, where a server is lied about and retells it.
pub const DISPLACED_MAX: usize = 256;
/// For how long it does, nanoseconds.
pub const DISPLACED_NS: u64 = 60 * 1_000_000_000;
/// How long the tombstone that answers a lie is kept at least, nanoseconds. It is kept longer the younger the lie is,
/// because a tombstone that was received before the lie would not win over it.
pub const LIE_TOMBSTONE_NS: u64 = 600 * 1_000_000_000;
/// A server that has not looked at its clock for longer, nanoseconds, may have been restored from a snapshot. It begins
/// a new incarnation.
pub const ABSENCE_NS: u64 = 30 * 1_000_000_000;
/// For how long after its first link came up a server that had none believes neighbors that it has issued more than it has,
/// nanoseconds: it may have been restored from a younger snapshot. It begins a new incarnation.
pub const REUNION_NS: u64 = 5 * 1_000_000_000;
/// A clock that is put back by less, nanoseconds, is only being adjusted.
pub const CLOCK_STEP_NS: u64 = 1_000_000_000;
/// Consecutive looks, which are about a second apart, at which a clock that was put back must go forward while a link is
/// up, before it is taken to be right. A link with a neighbor whose clock differs too much ends sooner.
pub const CLOCK_TRUST_LOOKS: u32 = 5;

/// Most origins that one direction of a link names before it begins their numbering anew. So it bounds what either end
/// remembers of them. Part of the link protocol from version 3 on: a higher index closes the link.
pub const ORIGINS_NAMED_MAX: usize = 16 * 1024;
/// Longest frame body on a link, bytes. A longer one closes the link.
pub const FRAME_BODY_LEN_MAX: usize = u16::MAX as usize;
/// How much of its outbox a link encodes before it writes, bytes.
pub const LINK_BATCH_LEN: usize = 64 * 1024;
/// Longest text of why a link is refused, bytes. A longer one is cut.
pub const REFUSAL_LEN_MAX: usize = 200;
/// Longest herd id, bytes.
pub const HERD_ID_LEN_MAX: usize = 64;

/// How long a tombstone is kept after its receipt, nanoseconds: a day.
pub const TOMBSTONE_TTL_NS: u64 = 24 * 3600 * 1_000_000_000;

/// Longest and shortest delay before a neighbor is dialled again: a link that is there again is up within a second.
pub const DIAL_DELAY_MAX: Duration = Duration::from_millis(800);
/// See [`DIAL_DELAY_MAX`].
pub const DIAL_DELAY_MIN: Duration = Duration::from_millis(50);
/// Longest delay before this process dials again a neighbor that refused it because another process of the same name has
/// the link. It is shorter than [`TREE_NAMESAKE_LOOKS`] seconds, so both processes know of each other while both run.
pub const NAMESAKE_DELAY_MAX: Duration = Duration::from_secs(3);
/// How long dialling and the handshake may take together. Past it the link is given up and dialled again.
pub const HANDSHAKE_MAX: Duration = Duration::from_secs(5);
/// Most handshakes of others with one server at once. One more ends the oldest: a neighbor's takes milliseconds, a
/// stranger's as long as it may.
pub const HANDSHAKES_MAX: usize = 64;
/// How often a link says that it is alive, what the clock is and what is held.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_millis(200);
/// Clocks that are further apart are worth a warning, nanoseconds.
pub const CLOCK_OFFSET_WARN_NS: u64 = 1_000_000_000;
/// Of how many shards a heartbeat says what is held; all have their turn.
pub const CHECKS_PER_HEARTBEAT: usize = 4;
/// What expires within this time from now, by the clock that is ahead, is not compared when neighbors check what they
/// hold, nanoseconds.
pub const CHECK_MARGIN_NS: u64 = 2_000_000_000;
/// So many checks of a shard are left out after one that found a difference, to give the repair time.
pub const CHECK_PAUSE: u8 = 4;
/// Most branches of the hash tree in one frame. What is left out is found again by a later check.
pub const CHECK_BRANCHES_MAX: usize = 400;
/// A branch in which a server holds so few records is not looked into: they are sent.
pub const CHECK_LEAF_RECORDS_MAX: u32 = 2;
/// After so many heartbeats without another refusal a neighbor, of whose records one was refused, is asked to tell anew what
/// is not covered here. Twice as many pass before each further question, up to [`GAP_PAUSE_MAX`], until its markers count.
pub const GAP_PAUSE_MIN: u16 = 5;
/// See [`GAP_PAUSE_MIN`].
pub const GAP_PAUSE_MAX: u16 = 640;
/// Into how many slices the time for which a record is kept is cut: records are compared slice by slice, so that servers
/// may forget when they like.
pub const CHECK_SLICES: u64 = 16;
/// The shortest slice, nanoseconds.
pub const CHECK_SLICE_MIN_NS: u64 = 1_000_000_000;
/// How often a neighbor may have one shard looked through between two heartbeats, to compare it or to be told what it
/// lacks. Comparing more often than that is left out, and found again by a later check; asking waits for the heartbeat. One
/// comparison may go through all depths of the hash tree.
pub const LOOKS_PER_HEARTBEAT: u8 = 17;
/// Of how many origins a link remembers how far a neighbor has promised them. Further promises are not waited for.
pub const PROMISES_MAX: usize = 4096;
/// How many origins that have left a shard's table a server remembers, the last of them: a neighbor may still promise
/// what has been overtaken here. What is promised of one that is forgotten is asked for once too often.
pub const ORIGINS_LEFT_MAX: usize = 64;
/// How long a link may be silent, or take no bytes. Past it the link is closed and dialled again.
pub const LINK_SILENCE_MAX: Duration = Duration::from_secs(3);
