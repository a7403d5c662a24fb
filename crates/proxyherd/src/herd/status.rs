//! The status of a server, as data: its HTTP door sends it as JSON at `/v1/status`, and `proxyherd status` reads it
//! there.
//!
//! Servers and programs of other versions read this too, so fields are only added and never removed or renamed. This
//! module does not know where the values come from (`figures`).

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
    /// Seconds since it started.
    pub uptime_s: f64,
    /// Whether the server is stopping.
    pub draining: bool,
    /// Whether the configuration no longer names the server.
    #[serde(default)]
    pub removed: bool,
    /// The names of what in the server has not moved for several seconds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stuck: Vec<String>,
    /// Whether another process runs under this server's name.
    #[serde(default)]
    pub namesake: bool,
    /// How many records the server holds.
    pub records: u64,
    /// How many client connections are open.
    pub connections: usize,
    /// Reports of clients since the start.
    pub reports: ReportStatus,
    /// How often the server and a neighbor turned out to hold different records, since the start.
    #[serde(default)]
    pub root_mismatches: u64,
    /// Log lines left out since the start.
    pub log_left_out: u64,
    /// The budgets of requests to providers of places, where there are any.
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
    /// The server's links.
    pub links: Vec<LinkStatus>,
}

/// What became of the reports of clients.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReportStatus {
    /// How many were news.
    pub accepted: u64,
    /// How many came when a newer report was held already.
    pub stale: u64,
    /// How many could not be read, or found no room.
    pub rejected: u64,
}

/// A places budget in its present period, as the server knew it about a second ago.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BudgetStatus {
    /// `day` or `month`.
    pub period: String,
    /// The day or month in UTC, such as `2026-10-05` or `2026-10`.
    pub date: String,
    /// How many requests the whole herd may make.
    pub whole: u64,
    /// How many the whole herd has made.
    pub spent: u64,
    /// How many are left to the whole herd.
    pub left: u64,
    /// How many are left to this server if no other server grants it any.
    pub own_left: u64,
}

/// One link of the server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LinkStatus {
    /// The server at the other end.
    pub neighbor: String,
    /// The address at which the neighbor is dialed, or would be.
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
    /// Seconds since the link came up. Absent while it is down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub up_s: Option<f64>,
    /// How often the link has come up.
    pub times_up: u64,
    /// Whether the link flaps: it comes up again and again, and does not stay up.
    #[serde(default)]
    pub unsteady: bool,
    /// Records sent since the start.
    pub payloads_sent: u64,
    /// Records received since the start.
    pub payloads_received: u64,
    /// For how many seconds something has been waiting to be sent.
    pub lag_s: f64,
    /// By how many seconds, at least, the neighbor's clock is ahead of the server's. Negative: it is behind.
    #[serde(default)]
    pub clock_offset_s: f64,
    /// How often the neighbor has sent what the server does not keep, by kind, since the configuration has the link.
    /// The neighbor may only have passed it on.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub nonsense: BTreeMap<String, u64>,
    /// Why the link is down, as far as that is known.
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
