//! The sections `[herd]` and `[limits]`, and the sections of features that are not built yet.
//!
//! The keys of planned features are already known. A value that turns on such a feature is refused. A value that turns
//! off the feature is accepted.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use proxyherd_core::{limits::HERD_ID_LEN_MAX, link::HIGHEST};

use super::{diagnostic::Diagnostic, durability::GivenDurability, section::Section, value::Placed};

/// The longest period of any setting: ten years, in seconds.
pub(super) const TEN_YEARS_S: u64 = 10 * 365 * 24 * 3600;
/// The unit of settings that end in `_mb`, bytes.
pub(super) const MEGABYTE: u64 = 1_000_000;

/// The section `[herd]`: settings that all servers share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HerdSettings {
    /// The name of the herd: 1 to 64 letters, digits, `.`, `_` and `-`. Servers of different herds do not link.
    pub id: String,
    /// Maximum number of clients. Further new clients are refused.
    pub max_clients: u64,
    /// The directory of what must survive a restart. Each server has its own directory, `<data>/<server>`.
    pub data: PathBuf,
    /// How links are encrypted.
    pub tls: Tls,
    /// Time between a client's last report and the moment when the herd forgets the client. `None`: the herd never
    /// forgets a client.
    pub client_ttl: Option<Duration>,
    /// Whether an index finds clients by their positions. Without it, a search visits every client.
    pub client_index: bool,
    /// The links that carry changes.
    pub flood: Flood,
    /// The highest version of the link protocol that servers speak.
    pub link_version: u16,
    /// Maximum difference between the clocks of two servers. Servers whose clocks differ by more have no link.
    pub clock_offset_max: Duration,
    /// What a running server does when this file no longer names the server.
    pub removed: Removed,
}

/// What a running server does when the file no longer names the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removed {
    /// The server stops, as at SIGTERM.
    Stop,
    /// The server keeps running, without links.
    Stay,
}

/// The links that carry changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flood {
    /// The links of a spanning tree. Where a link of the tree breaks, other links take over.
    Tree,
    /// All links.
    All,
}

/// How links are encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tls {
    /// Not encrypted. Every link is on loopback.
    Off,
    /// Encrypted with the certificates in this directory.
    Certs(PathBuf),
}

/// The section `[limits]`: the limits of each server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Maximum time for which a client may be silent. After this time its connection is closed.
    pub idle: Duration,
    /// Maximum time from the start to the end of a line. After this time the connection is closed.
    pub line: Duration,
    /// Maximum time for which a client may leave its replies unread. After this time its connection is closed.
    pub write: Duration,
    /// Maximum number of client connections at the same time. Each further connection is closed at once.
    pub connections: usize,
    /// Maximum number of client connections from one address at the same time. Each further connection is closed at
    /// once.
    pub connections_per_address: usize,
    /// Maximum number of lines in a second from one address. Further lines are read later. 0: no limit.
    pub lines_per_s_per_address: u32,
    /// Minimum time between two accepted reports of one client. A report that comes sooner is refused.
    pub client_interval: Duration,
    /// Maximum memory for replies that clients have not read, bytes. When this memory is full, connections are closed.
    pub buffers: usize,
}

impl Default for HerdSettings {
    fn default() -> HerdSettings {
        HerdSettings {
            id: "herd".to_owned(),
            max_clients: 10_000_000,
            data: PathBuf::from("data"),
            tls: Tls::Certs(PathBuf::from("certs")),
            client_ttl: None,
            client_index: true,
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

pub(super) fn read_herd(mut section: Section<'_, '_>, base: &Path) -> (HerdSettings, GivenDurability) {
    let default = HerdSettings::default();
    let expected = "takes 1 to 64 letters, digits, `.`, `_` or `-`";
    let id = section.parsed("id", expected, parse_herd_id).map_or(default.id, |id| id.value);
    let max_clients = section.integer("max_clients", 1..=1_000_000_000, default.max_clients).value;
    let client_ttl_s = section.integer("client_ttl_s", 0..=TEN_YEARS_S, 0);
    let client_index = section.boolean("client_index", default.client_index).value;
    let flood = section.choice("flood", &[("tree", Flood::Tree), ("all", Flood::All)]);
    let link_version = section.integer("link_version", 1..=HIGHEST.into(), default.link_version.into()).value;
    let clock_offset_max_s = default.clock_offset_max.as_secs();
    let clock_offset_max_s = section.integer("max_clock_offset_s", 1..=86_400, clock_offset_max_s);
    refuse_short_ttl(&mut section, &client_ttl_s, &clock_offset_max_s);
    let removed = section.choice("removed", &[("stop", Removed::Stop), ("stay", Removed::Stay)]);
    let tls = read_tls(&mut section, base);
    let durability = GivenDurability::read(&mut section);
    let data = section.parsed("data", "takes a directory", parse_path);
    let data = data.map_or_else(|| base.join(default.data), |data| data.relative_to(base));
    section.finish();
    let client_ttl = (client_ttl_s.value > 0).then(|| Duration::from_secs(client_ttl_s.value));
    let settings = HerdSettings {
        id,
        max_clients,
        data,
        tls,
        client_ttl,
        client_index,
        flood: flood.map_or(default.flood, |flood| flood.value),
        link_version: link_version as u16,
        clock_offset_max: Duration::from_secs(clock_offset_max_s.value),
        removed: removed.map_or(default.removed, |removed| removed.value),
    };
    (settings, durability)
}

/// Checks that the time-to-live of a client is greater than the allowed clock offset. Otherwise a server whose clock is
/// as far ahead as allowed would show no report that another server has received.
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
            "forget clients later, or set max_clock_offset_s below {ttl_s} and keep the clocks within that offset"
        ),
    };
    section.report(mistake.found(format!("found {ttl_s}")).help(help));
}

fn parse_herd_id(text: &str) -> Result<String, &'static str> {
    let fits = (1..=HERD_ID_LEN_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if fits { Ok(text.to_owned()) } else { Err("for example \"herd-7f3a9c\"") }
}

/// A missing `tls` means "certs", so that nobody runs without encryption by mistake.
fn read_tls(section: &mut Section<'_, '_>, base: &Path) -> Tls {
    match section.parsed("tls", "takes the directory that `proxyherd init` has made, or \"off\"", parse_tls) {
        Some(Placed { value: None, .. }) => Tls::Off,
        Some(Placed { value: Some(dir), key, site }) => {
            Tls::Certs(Placed { value: dir, key, site }.relative_to(base))
        }
        None => Tls::Certs(base.join("certs")),
    }
}

/// The directory, or `None` for "off". A word that means "off" or "on" is not a directory.
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

/// The sections of features that are not built, and what to write instead.
const SECTIONS_NOT_BUILT: [(&str, &str); 2] = [
    ("engine", "leave it out: this version has no regions"),
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
    let instead = "leave it out: this version keeps records in memory, and with `journal = true` in [herd] on disk, too";
    for key in ["url", "url_env"] {
        if let Some(given) = section.not_built(key) {
            section.refuse_unbuilt(&given, instead);
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
