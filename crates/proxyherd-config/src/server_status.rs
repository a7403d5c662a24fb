//! The status of a server, as data. The server's HTTP door sends the status as JSON at `/v1/status`. `proxyherd status`
//! reads the status there.
//!
//! Servers and programs of other versions read this JSON too. So fields are only added, and never removed or renamed.
//! This module does not know the source of the values (`herd::figures` of the server).

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// The status of one server at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The server's name.
    pub server: String,
    /// The herd's id.
    pub herd: String,
    /// The program's version.
    pub version: String,
    /// The server's incarnation: each start has a greater one. In JSON it is a string, because it is above 2^53 and
    /// many readers round such numbers.
    #[serde(serialize_with = "as_text", deserialize_with = "text_or_number")]
    pub incarnation: u64,
    /// Seconds since the server's start.
    pub uptime_s: f64,
    /// Whether the server is stopping.
    pub draining: bool,
    /// Whether the configuration no longer names the server.
    #[serde(default)]
    pub removed: bool,
    /// The names of the server's threads, tasks, shards and links that are stuck: they have not moved for several
    /// seconds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stuck: Vec<String>,
    /// Whether another process runs under this server's name.
    #[serde(default)]
    pub namesake: bool,
    /// Number of records that the server holds.
    pub records: u64,
    /// Number of open client connections.
    pub connections: usize,
    /// Reports of clients since the start.
    pub reports: ReportStatus,
    /// How often the records of the server differed from the records of a neighbor, since the start.
    #[serde(default)]
    pub root_mismatches: u64,
    /// Number of log lines omitted since the start.
    pub log_left_out: u64,
    /// Questions about places since the start. Absent: the server is of an older version, which does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub places: Option<PlacesStatus>,
    /// The budgets of requests to providers of places. Empty if the herd has no budgets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub places_budgets: Vec<BudgetStatus>,
    /// Whole days until the server's certificate for links expires. Negative: it has expired. Absent: links are not
    /// encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_days_left: Option<i64>,
    /// Connections to the peer port that got no link, since the start.
    #[serde(default)]
    pub peers_refused: u64,
    /// The servers that the server reaches over links that are up, including itself. Servers too old to know spanning
    /// trees are not listed.
    #[serde(default)]
    pub reaches: Vec<String>,
    /// The journal. Absent: the server keeps no journal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub journal: Option<JournalStatus>,
    /// The server's links.
    pub links: Vec<LinkStatus>,
}

/// The journal of a server.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct JournalStatus {
    /// `running`, `full` (the disk has no room, so nothing is acknowledged) or `failed` (until the next start).
    pub state: String,
    /// Why the journal is full or has failed. Absent while it is running.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Bytes of the store's files.
    pub disk_bytes: u64,
    /// Bytes that the present records would take in a new snapshot, about.
    pub live_bytes: u64,
    /// Number of connections that wait until their reports are durable.
    pub waiting: usize,
    /// The time that the last sync of the disk took, milliseconds.
    pub fsync_last_ms: f64,
    /// The longest sync since the start, milliseconds.
    pub fsync_max_ms: f64,
    /// The time for which a sync has been running now, milliseconds. 0: none is running.
    #[serde(default)]
    pub fsync_running_ms: f64,
    /// Number of places in the files that were damaged at the last start.
    pub damage: u64,
    /// Number of records that the last start has read.
    pub recovered_records: u64,
    /// The time that reading them took, seconds.
    pub recovery_s: f64,
}

/// Numbers of reports of clients, by result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReportStatus {
    /// Number of reports that were accepted because they were newer.
    pub accepted: u64,
    /// Number of reports that arrived when the server already held a newer report.
    pub stale: u64,
    /// Number of reports that could not be read or found no room.
    pub rejected: u64,
}

/// Numbers of questions about places, by how they were answered. Every question is counted once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlacesStatus {
    /// Answered from the cache.
    pub hit: u64,
    /// Answered from the cache, although the answer was old.
    pub stale: u64,
    /// Answered by a request that another question had started.
    pub joined: u64,
    /// Answered by the first provider.
    pub fetched: u64,
    /// Answered by another provider, because the first one failed.
    pub fallback: u64,
    /// Not answered.
    pub failed: u64,
}

impl PlacesStatus {
    /// Number of all questions.
    pub fn total(&self) -> u64 {
        let PlacesStatus { hit, stale, joined, fetched, fallback, failed } = *self;
        // The numbers may come from any program, so the sum must not overflow.
        [hit, stale, joined, fetched, fallback, failed].into_iter().fold(0, u64::saturating_add)
    }
}

/// A places budget in its present period, as the server knew it about a second ago.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BudgetStatus {
    /// `day` or `month`.
    pub period: String,
    /// The day or month in UTC, such as `2026-10-05` or `2026-10`.
    pub date: String,
    /// Number of requests that the whole herd may make.
    pub whole: u64,
    /// Number of requests that the whole herd has made.
    pub spent: u64,
    /// Number of requests that the whole herd may still make.
    pub left: u64,
    /// Number of requests that this server may still make if no other server grants it more.
    pub own_left: u64,
}

/// One link of the server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LinkStatus {
    /// The server at the other end.
    pub neighbor: String,
    /// The neighbor's address, even if the neighbor dials.
    pub address: String,
    /// Whether this end dials.
    pub dials: bool,
    /// Whether the link is up.
    pub up: bool,
    /// The version of the link protocol that both ends speak. Absent while the link is down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u16>,
    /// Whether the link is in the spanning tree, so that changes are sent to the neighbor as they come.
    #[serde(default)]
    pub eager: bool,
    /// Seconds since the link came up. Absent while the link is down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub up_s: Option<f64>,
    /// How often the link has come up.
    pub times_up: u64,
    /// Whether the link flaps: the link comes up repeatedly and does not stay up.
    #[serde(default)]
    pub unsteady: bool,
    /// Records sent since the start.
    pub payloads_sent: u64,
    /// Records received since the start.
    pub payloads_received: u64,
    /// Number of seconds for which something has been waiting to be sent.
    pub lag_s: f64,
    /// Minimum number of seconds by which the neighbor's clock is ahead of the server's clock. Negative: the neighbor's
    /// clock is behind.
    #[serde(default)]
    pub clock_offset_s: f64,
    /// How often the neighbor has sent records that the server does not keep, by kind. Counts since the link was added
    /// to the configuration. The neighbor may have only relayed such a record.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub nonsense: BTreeMap<String, u64>,
    /// Why the link is down, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

fn as_text<S: Serializer>(number: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(number)
}

/// Older servers send a number. While a herd is upgraded, one program asks servers of both versions.
fn text_or_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum NumberOrText {
        Number(u64),
        Text(String),
    }
    match NumberOrText::deserialize(deserializer)? {
        NumberOrText::Number(number) => Ok(number),
        NumberOrText::Text(text) => text.parse().map_err(D::Error::custom),
    }
}
