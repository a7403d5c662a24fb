//! How a server is: what its HTTP door tells at `/v1/status`, and what `proxyherd status` reads there.
//!
//! This is the model alone. It is part of what other versions of the program read: fields are only ever added.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// One server, at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The server's name.
    pub server: String,
    /// The herd's id.
    pub herd: String,
    /// The program's version.
    pub version: String,
    /// Which life of the server this is. In JSON it is a string: it is above 2^53, and many readers round such numbers.
    #[serde(serialize_with = "as_text", deserialize_with = "text_or_number")]
    pub incarnation: u64,
    /// Seconds since it started.
    pub uptime_s: f64,
    /// Whether it is on its way out.
    pub draining: bool,
    /// Whether its configuration no longer names it.
    #[serde(default)]
    pub removed: bool,
    /// What in it has not moved for several seconds, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stuck: Vec<String>,
    /// Whether another process runs as this server.
    #[serde(default)]
    pub namesake: bool,
    /// Records it holds.
    pub records: u64,
    /// Client connections that are open.
    pub connections: usize,
    /// Reports of clients since the start.
    pub reports: ReportStatus,
    /// Differences found between what it and its neighbors hold, since the start.
    #[serde(default)]
    pub root_mismatches: u64,
    /// Log lines left out since the start.
    pub log_left_out: u64,
    /// The budgets of requests to providers of places, where there are any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub places_budgets: Vec<BudgetStatus>,
    /// Whole days until its certificate for links expires, negative once it has; absent where links are not encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_days_left: Option<i64>,
    /// Connections to its peer port that got no link, since the start.
    #[serde(default)]
    pub peers_refused: u64,
    /// The servers that it reaches over links that are up, itself among them; those that know of spanning trees.
    #[serde(default)]
    pub reaches: Vec<String>,
    /// Its links.
    pub links: Vec<LinkStatus>,
}

/// What became of the reports of clients.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReportStatus {
    /// They were news.
    pub accepted: u64,
    /// Something newer was held.
    pub stale: u64,
    /// They could not be read, or there was no room.
    pub rejected: u64,
}

/// A budget in its present period, as the server knew it a second or so ago.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BudgetStatus {
    /// `day` or `month`.
    pub period: String,
    /// Which one, such as `2026-10-05` or `2026-10`; UTC.
    pub date: String,
    /// What the whole herd may spend.
    pub whole: u64,
    /// What the whole herd has spent.
    pub spent: u64,
    /// What is left to the whole herd.
    pub left: u64,
    /// What is left to this server if no other grants it anything.
    pub own_left: u64,
}

/// One link of the server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LinkStatus {
    /// Who is at the other end.
    pub neighbor: String,
    /// Where it is dialled, or would be.
    pub address: String,
    /// Whether this end dials.
    pub dials: bool,
    /// Whether the link is up.
    pub up: bool,
    /// The version of the link protocol that both ends speak; absent while it is down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u16>,
    /// Whether the neighbor is told of changes as they come: the link is in the spanning tree.
    #[serde(default)]
    pub eager: bool,
    /// Seconds since it came up; absent while it is down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub up_s: Option<f64>,
    /// How often it has come up.
    pub times_up: u64,
    /// Whether it comes up again and again, and does not stay up.
    #[serde(default)]
    pub unsteady: bool,
    /// Records sent since the start.
    pub payloads_sent: u64,
    /// Records received since the start.
    pub payloads_received: u64,
    /// For how long something has been waiting to be sent, seconds.
    pub lag_s: f64,
    /// By how much the neighbor's clock is surely ahead of the server's, or, if negative, behind, seconds.
    #[serde(default)]
    pub clock_offset_s: f64,
    /// How often the neighbor has told what the server does not keep, since the link is in the configuration, by what it
    /// was. It may only have relayed it.
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
