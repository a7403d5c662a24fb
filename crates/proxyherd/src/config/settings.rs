//! The sections `[herd]`, `[limits]` and `[log]`, and those of features that are not built yet.
//!
//! Every key that will ever be is known from the first version on. One whose feature is not built is refused
//! where it asks for the feature, and accepted where it says what holds without it.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use proxyherd_core::{limits::HERD_ID_LEN_MAX, link::HIGHEST};

use super::{diagnostic::Diagnostic, section::Section, value::Placed};

/// Seconds in ten years: no period is longer.
pub(super) const TEN_YEARS_S: u64 = 10 * 365 * 24 * 3600;
/// Most bytes that `max_mb` stands for, each.
pub(super) const MEGABYTE: u64 = 1_000_000;

/// The section `[herd]`: what all servers have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Herd {
    /// Which herd this is: 1 to 64 of letters, digits, `.`, `_` and `-`. Servers of different herds do not link.
    pub id: String,
    /// A new client past this number is refused.
    pub max_clients: u64,
    /// Each server keeps what outlives it in `<data>/<server>`.
    pub data: PathBuf,
    /// Whether, and by what, links are encrypted.
    pub tls: Tls,
    /// A client is forgotten this long after its report was received, if ever.
    pub client_ttl: Option<Duration>,
    /// By which links changes go.
    pub flood: Flood,
    /// The highest version of the link protocol that is spoken.
    pub link_version: u16,
    /// Where clocks are further apart, there is no link.
    pub clock_offset_max: Duration,
    /// What a running server does when this file no longer names it.
    pub removed: Removed,
}

/// What a running server does when its file no longer names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removed {
    /// It ends, as at SIGTERM.
    Stop,
    /// It keeps running, without links.
    Stay,
}

/// By which links changes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flood {
    /// Those of a spanning tree; others take over where it breaks.
    Tree,
    /// All.
    All,
}

/// How links are made sure of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tls {
    /// Not at all: every link is on loopback.
    Off,
    /// By certificates in this directory.
    Certs(PathBuf),
}

/// The section `[limits]`: what one server does not go beyond.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// A connection that says nothing for so long is closed.
    pub idle: Duration,
    /// A connection whose line is not complete after so long is closed.
    pub line: Duration,
    /// A connection that has not taken the replies that wait for it after so long is closed.
    pub write: Duration,
    /// Most client connections at once; one more is closed at once.
    pub connections: usize,
    /// Most of them from one address; one more is closed at once.
    pub connections_per_address: usize,
    /// Most lines in a second from one address, 0 for any number; what is more is read later.
    pub lines_per_s_per_address: u32,
    /// A client's report is refused so shortly after its last one that was kept.
    pub client_interval: Duration,
    /// Most memory for replies that clients have not taken, bytes; past it those connections are closed.
    pub buffers: usize,
}

impl Default for Herd {
    fn default() -> Herd {
        Herd {
            id: "herd".to_owned(),
            max_clients: 10_000_000,
            data: PathBuf::from("data"),
            tls: Tls::Certs(PathBuf::from("certs")),
            client_ttl: None,
            flood: Flood::Tree,
            link_version: HIGHEST,
            clock_offset_max: Duration::from_secs(60),
            removed: Removed::Stop,
        }
    }
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            idle: Duration::from_secs(3600),
            line: Duration::from_secs(30),
            write: Duration::from_secs(30),
            connections: 100_000,
            connections_per_address: 10_000,
            lines_per_s_per_address: 0,
            client_interval: Duration::ZERO,
            buffers: 256 * MEGABYTE as usize,
        }
    }
}

pub(super) fn read_herd(mut section: Section<'_, '_>, base: &Path) -> Herd {
    let default = Herd::default();
    let expected = "takes 1 to 64 letters, digits, `.`, `_` or `-`";
    let id = section.parsed("id", expected, parse_herd_id).map_or(default.id, |id| id.value);
    let max_clients = section.integer("max_clients", 1..=1_000_000_000, default.max_clients).value;
    let client_ttl_s = section.integer("client_ttl_s", 0..=TEN_YEARS_S, 0);
    let flood = section.choice("flood", &[("tree", Flood::Tree), ("all", Flood::All)]);
    let link_version = section.integer("link_version", 1..=HIGHEST.into(), default.link_version.into()).value;
    let clock_offset_max_s = default.clock_offset_max.as_secs();
    let clock_offset_max_s = section.integer("max_clock_offset_s", 1..=86_400, clock_offset_max_s);
    refuse_short_ttl(&mut section, &client_ttl_s, &clock_offset_max_s);
    let removed = section.choice("removed", &[("stop", Removed::Stop), ("stay", Removed::Stay)]);
    let tls = read_tls(&mut section, base);
    refuse_durability(&mut section);
    let data = section.parsed("data", "takes a directory", parse_path);
    let data = data.map_or_else(|| base.join(default.data), |data| data.relative_to(base));
    section.finish();
    let client_ttl = (client_ttl_s.value > 0).then(|| Duration::from_secs(client_ttl_s.value));
    Herd {
        id,
        max_clients,
        data,
        tls,
        client_ttl,
        flood: flood.map_or(default.flood, |flood| flood.value),
        link_version: link_version as u16,
        clock_offset_max: Duration::from_secs(clock_offset_max_s.value),
        removed: removed.map_or(default.removed, |removed| removed.value),
    }
}

/// A server whose clock is ahead by as much as it may be would show no report of another server's to anybody.
fn refuse_short_ttl(section: &mut Section<'_, '_>, client_ttl_s: &Placed<u64>, offset_max_s: &Placed<u64>) {
    let (ttl_s, offset_s) = (client_ttl_s.value, offset_max_s.value);
    if ttl_s == 0 || ttl_s > offset_s {
        return;
    }
    let message = format!(
        "must be greater than `max_clock_offset_s`, which is {offset_s}: a server whose clock is that much ahead would \
         forget other servers' clients before it has shown them"
    );
    let mistake = Diagnostic::error(client_ttl_s.site.clone(), &client_ttl_s.key, message);
    let help = match ttl_s {
        1 => "a herd whose clocks may differ by a second cannot forget clients after a second".to_owned(),
        _ => format!(
            "forget clients later, or set max_clock_offset_s below {ttl_s} and keep the clocks that close"
        ),
    };
    section.report(mistake.found(format!("found {ttl_s}")).help(help));
}

fn parse_herd_id(text: &str) -> Result<String, &'static str> {
    let fits = (1..=HERD_ID_LEN_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if fits { Ok(text.to_owned()) } else { Err("for example \"herd-7f3a9c\"") }
}

/// Leaving `tls` out means "certs", so that nobody runs without encryption by oversight.
fn read_tls(section: &mut Section<'_, '_>, base: &Path) -> Tls {
    match section.parsed("tls", "takes the directory that `proxyherd init` has made, or \"off\"", parse_tls) {
        Some(Placed { value: None, .. }) => Tls::Off,
        Some(Placed { value: Some(dir), key, site }) => {
            Tls::Certs(Placed { value: dir, key, site }.relative_to(base))
        }
        None => Tls::Certs(base.join("certs")),
    }
}

/// The directory; `None` for "off". What is nearly "off" is no directory's name.
fn parse_tls(text: &str) -> Result<Option<PathBuf>, String> {
    let means_off = ["off", "of", "no", "none", "false", "disabled"];
    let means_on = ["on", "yes", "true", "enabled"];
    match text.to_ascii_lowercase().as_str() {
        _ if text == "off" => Ok(None),
        near if means_off.contains(&near) => Err("did you mean \"off\"?".to_owned()),
        near if means_on.contains(&near) => Err("for example \"certs\"".to_owned()),
        _ => parse_path(text).map(Some),
    }
}

fn refuse_durability(section: &mut Section<'_, '_>) {
    ["journal", "replicas", "ack_timeout_ms"].into_iter().for_each(|key| section.hide(key));
    let journal = section.boolean("journal", false);
    if journal.value {
        let instead = "write journal = false: reports are kept in memory and at every neighbor";
        section.refuse_unbuilt(&journal, instead);
    }
    let replicas = section.integer("replicas", 0..=32, 0);
    if replicas.value > 0 {
        section.refuse_unbuilt(&replicas, "write replicas = 0: a report is acknowledged by its own server");
    }
    // Without a journal and replicas this changes nothing, so any value that will be good is good.
    section.integer("ack_timeout_ms", 1..=600_000, 5000);
}

/// Sections of features that are not built, and what to do without them.
const SECTIONS_NOT_BUILT: [(&str, &str); 4] = [
    ("access", "leave it out: in this version everybody who reaches a door may do everything"),
    ("engine", "leave it out: this version has no regions"),
    ("reports", "leave it out: this version accepts every report that it can read"),
    ("webhooks", "leave it out: this version sends no webhooks"),
];

pub(super) fn refuse_sections(root: &mut Section<'_, '_>) {
    for (key, instead) in SECTIONS_NOT_BUILT {
        if let Some(given) = root.not_built(key) {
            root.refuse_unbuilt(&given, instead);
        }
    }
}

pub(super) fn refuse_database(mut section: Section<'_, '_>) {
    for key in ["url", "url_env"] {
        if let Some(given) = section.not_built(key) {
            section.refuse_unbuilt(&given, "leave it out: this version keeps the herd in memory");
        }
    }
    section.finish();
}

pub(super) fn read_limits(mut section: Section<'_, '_>) -> Limits {
    let default = Limits::default();
    let seconds = |placed: Placed<u64>| Duration::from_secs(placed.value);
    let limits = Limits {
        idle: seconds(section.integer("idle_s", 1..=TEN_YEARS_S, default.idle.as_secs())),
        line: seconds(section.integer("line_s", 1..=86_400, default.line.as_secs())),
        write: seconds(section.integer("write_s", 1..=86_400, default.write.as_secs())),
        connections: section.integer("connections", 1..=10_000_000, default.connections as u64).value
            as usize,
        connections_per_address: section
            .integer("connections_per_address", 1..=10_000_000, default.connections_per_address as u64)
            .value as usize,
        lines_per_s_per_address: section
            .integer("lines_per_s_per_address", 0..=100_000_000, default.lines_per_s_per_address.into())
            .value as u32,
        client_interval: Duration::from_millis(
            section
                .integer("client_interval_ms", 0..=86_400_000, default.client_interval.as_millis() as u64)
                .value,
        ),
        buffers: section.integer("buffers_mb", 1..=1_000_000, default.buffers as u64 / MEGABYTE).value
            as usize
            * MEGABYTE as usize,
    };
    section.finish();
    limits
}

pub(super) fn parse_path(text: &str) -> Result<PathBuf, String> {
    match text {
        "" => Err("a path cannot be empty; `.` is the directory of herd.toml".to_owned()),
        _ if text.contains('\0') => Err("a path cannot contain a zero byte".to_owned()),
        _ => Ok(PathBuf::from(text)),
    }
}
