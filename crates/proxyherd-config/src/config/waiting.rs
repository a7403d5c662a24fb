//! Compares two readings of the file. Finds the settings that have changed since a server's start and that take effect
//! only at its next start.

use std::path::PathBuf;

use proxyherd_core::flood::ReportRules;
use proxyherd_log::LogSettings;
use proxyherd_places::{CacheSettings, GoogleSettings, RequestSettings, Settings};

use super::{
    AccessSettings, Config, DoorCertificate, DurabilitySettings, HerdSettings, Limits, MapSettings,
    PlacesBudget, ServerConfig,
};
use crate::door_kind::DoorKind;

/// Collects the keys of the values that differ between two sections. The pattern names every field, so the compiler
/// reports a field that is missing here. The field after `but` takes effect at once, so the macro does not compare this
/// field.
macro_rules! compare {
    ($keys:ident, $before:expr, $after:expr, $type:ident { $($field:ident: $key:expr),* $(,)? } $(but $now:ident)?) => {
        let ($type { $($field,)* $($now: _)? }, after) = ($before, $after);
        $(if *$field != after.$field { $keys.push($key); })*
    };
}

impl Config {
    /// The keys of the settings that differ between `now` and this configuration and take effect only at a start. The
    /// server `name` was started with this configuration.
    pub fn waiting(&self, now: &Config, name: &str) -> Vec<&'static str> {
        let mut keys = Vec::new();
        compare_herd(&self.herd, &now.herd, &mut keys);
        compare_places(self, now, &mut keys);
        compare_limits(&self.limits, &now.limits, &mut keys);
        compare_reports(&self.reports, &now.reports, &mut keys);
        if self.presence_silent != now.presence_silent {
            keys.push("reports.presence_silent_s");
        }
        compare_log(&self.log, &now.log, &mut keys);
        compare_access(&self.access, &now.access, &mut keys);
        compare!(
            keys,
            &self.map,
            &now.map,
            MapSettings { tiles: "map.tiles", attribution: "map.attribution" }
        );
        compare_certificate(self.tls.as_ref(), now.tls.as_ref(), &mut keys);
        if let (Some(before), Some(now)) = (self.server(name), now.server(name)) {
            compare_server(before, now, &mut keys);
        }
        keys
    }
}

fn compare_herd(before: &HerdSettings, after: &HerdSettings, keys: &mut Vec<&'static str>) {
    compare!(
        keys,
        before,
        after,
        HerdSettings {
            id: "herd.id",
            max_clients: "herd.max_clients",
            data: "herd.data",
            tls: "herd.tls",
            client_ttl: "herd.client_ttl_s",
            client_index: "herd.client_index",
            flood: "herd.flood",
            link_version: "herd.link_version",
            clock_offset_max: "herd.max_clock_offset_s",
        } but removed
    );
}

fn compare_places(before: &Config, after: &Config, keys: &mut Vec<&'static str>) {
    let (budgets, after_budgets) = (&before.places_budget, &after.places_budget);
    let (before, after) = (&before.places, &after.places);
    let Settings { provider, fallback, deadline, requests, cache, google, google_legacy, osm_file } = before;
    let plain = [
        (*provider != after.provider, "places.provider"),
        (*fallback != after.fallback, "places.fallback"),
        (*deadline != after.deadline, "places.deadline_ms"),
        (*osm_file != after.osm_file, "places.osm.file"),
    ];
    keys.extend(plain.into_iter().filter(|(differs, _)| *differs).map(|(_, key)| key));
    compare!(
        keys,
        requests,
        &after.requests,
        RequestSettings { retries: "places.retries", per_second: "places.per_second" }
    );
    compare!(
        keys,
        budgets,
        after_budgets,
        PlacesBudget { per_day: "places.per_day", per_month: "places.per_month" }
    );
    compare!(
        keys,
        cache,
        &after.cache,
        CacheSettings {
            max_bytes: "places.cache_mb",
            fresh: "places.fresh_s",
            stale: "places.stale_s",
            stale_if_error: "places.stale_if_error_s",
            zero_results: "places.zero_results_s",
            snap_m: "places.snap_m",
        }
    );
    compare!(
        keys,
        google,
        &after.google,
        GoogleSettings {
            key: "places.google.key_env or key_file",
            base_url: "places.google.base_url",
            mask: "places.google.mask",
        }
    );
    compare!(
        keys,
        google_legacy,
        &after.google_legacy,
        GoogleSettings {
            key: "places.google-legacy.key_env or key_file",
            base_url: "places.google-legacy.base_url",
            mask: "places.google-legacy.mask",
        }
    );
}

fn compare_limits(before: &Limits, after: &Limits, keys: &mut Vec<&'static str>) {
    compare!(
        keys,
        before,
        after,
        Limits {
            idle: "limits.idle_s",
            line: "limits.line_s",
            write: "limits.write_s",
            connections: "limits.connections",
            connections_per_address: "limits.connections_per_address",
            lines_per_s_per_address: "limits.lines_per_s_per_address",
            client_interval: "limits.client_interval_ms",
            buffers: "limits.buffers_mb",
        }
    );
}

fn compare_reports(before: &ReportRules, after: &ReportRules, keys: &mut Vec<&'static str>) {
    compare!(
        keys,
        before,
        after,
        ReportRules { accuracy_m_max: "reports.accuracy_m_max", speed_mps_max: "reports.speed_mps_max" }
    );
}

fn compare_log(before: &LogSettings, after: &LogSettings, keys: &mut Vec<&'static str>) {
    compare!(
        keys,
        before,
        after,
        LogSettings {
            dir: "log.dir",
            level: "log.level",
            format: "log.format",
            max_bytes: "log.max_mb",
            keep: "log.keep",
            lines_per_s: "log.lines_per_s",
            positions: "log.positions",
        }
    );
}

fn compare_access(before: &AccessSettings, after: &AccessSettings, keys: &mut Vec<&'static str>) {
    compare!(
        keys,
        before,
        after,
        AccessSettings {
            tokens: "access.tokens",
            exposed: "access.exposed",
            open: "access.open",
            hosts: "access.hosts",
            origins: "access.origins",
            proxies: "access.proxies",
            public_url: "access.public_url",
        } but operator_token_sha256
    );
}

/// `advertise` concerns only other servers, and `neighbors` takes effect at once, so neither waits.
fn compare_server(before: &ServerConfig, after: &ServerConfig, keys: &mut Vec<&'static str>) {
    let ServerConfig { name: _, doors: _, peer, advertise: _, neighbors: _, durability } = before;
    let differs = |kind: &DoorKind| !before.doors_of(*kind).eq(after.doors_of(*kind));
    keys.extend(DoorKind::ALL.into_iter().filter(differs).map(DoorKind::setting));
    if *peer != after.peer {
        keys.push("server.peer");
    }
    compare!(
        keys,
        durability,
        &after.durability,
        DurabilitySettings {
            journal: "herd.journal or server.journal",
            replicas: "herd.replicas or server.replicas",
            ack_timeout: "herd.ack_timeout_ms or server.ack_timeout_ms",
        }
    );
}

/// A server reads the two files again when their contents change. Other paths take effect only at its next start.
fn compare_certificate(
    before: Option<&DoorCertificate>,
    after: Option<&DoorCertificate>,
    keys: &mut Vec<&'static str>,
) {
    let differs = |file: fn(&DoorCertificate) -> &PathBuf| before.map(file) != after.map(file);
    if differs(|certificate| &certificate.cert) {
        keys.push("tls.cert");
    }
    if differs(|certificate| &certificate.key) {
        keys.push("tls.key");
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{CLASSIC_TEXT, Overrides};

    /// The keys that wait for Riley's next start when these overrides are set.
    fn waiting(settings: &[(&str, &str)]) -> Vec<&'static str> {
        let sets = settings.iter().map(|(key, value)| format!("{key}={value}"));
        let read =
            |overrides: &Overrides| Config::read(CLASSIC_TEXT, Path::new("herd.toml"), overrides).unwrap();
        read(&Overrides::none()).waiting(&read(&Overrides::new([], sets)), "Riley")
    }

    #[test]
    fn each_value_that_can_be_set_waits_under_its_own_key() {
        for (key, value) in [
            ("herd.id", "other"),
            ("herd.max_clients", "5"),
            ("herd.data", "elsewhere"),
            ("herd.tls", "off"),
            ("herd.client_ttl_s", "500"),
            ("herd.client_index", "false"),
            ("herd.flood", "all"),
            ("herd.link_version", "1"),
            ("herd.max_clock_offset_s", "5"),
            ("places.deadline_ms", "500"),
            ("places.retries", "5"),
            ("places.per_second", "5"),
            ("places.per_day", "5"),
            ("places.per_month", "5"),
            ("places.cache_mb", "5"),
            ("places.fresh_s", "5"),
            ("places.stale_s", "5"),
            ("places.stale_if_error_s", "5"),
            ("places.zero_results_s", "5"),
            ("places.snap_m", "5"),
            ("places.google.base_url", "https://example.org"),
            ("places.google.mask", "enterprise"),
            ("places.google-legacy.base_url", "https://example.org"),
            ("places.osm.file", "other.idx"),
            ("limits.idle_s", "5"),
            ("limits.line_s", "5"),
            ("limits.write_s", "5"),
            ("limits.connections", "5"),
            ("limits.connections_per_address", "5"),
            ("limits.lines_per_s_per_address", "5"),
            ("limits.client_interval_ms", "5"),
            ("limits.buffers_mb", "5"),
            ("reports.accuracy_m_max", "5"),
            ("reports.speed_mps_max", "5"),
            ("reports.presence_silent_s", "5"),
            ("log.dir", "elsewhere"),
            ("log.level", "debug"),
            ("log.format", "json"),
            ("log.max_mb", "5"),
            ("log.keep", "5"),
            ("log.lines_per_s", "5"),
            ("log.positions", "false"),
            ("map.tiles", "https://tiles.example.org/{z}/{x}/{y}.png"),
            ("map.attribution", "us"),
        ] {
            assert_eq!(waiting(&[(key, value)]), [key]);
        }
        let key = [("places.google.key_env", "OTHER")];
        assert_eq!(waiting(&key), ["places.google.key_env or key_file"]);
        assert_eq!(waiting(&[("places.provider", "osm")]), ["places.provider"]);
        let both = [("tls.cert", "c.pem"), ("tls.key", "k.pem")];
        assert_eq!(waiting(&both), ["tls.cert", "tls.key"]);
        assert!(waiting(&[]).is_empty());
        assert!(waiting(&[("herd.removed", "stay")]).is_empty(), "that is in force at once");
    }

    #[test]
    fn what_waits_is_this_servers_own_address_and_no_others() {
        let (before, mut after) = (Config::classic(), Config::classic());
        let elsewhere: crate::config::Address = "127.0.0.1:9".parse().unwrap();
        let server = &mut after.servers[0];
        server.set_doors(DoorKind::Line, [elsewhere.clone()]);
        server.set_doors(DoorKind::Http, []);
        (server.peer, server.advertise) = (Some(elsewhere.clone()), Some(elsewhere));
        server.neighbors.clear();
        assert_eq!(before.waiting(&after, "Riley"), ["server.listen", "server.http", "server.peer"]);
        assert!(before.waiting(&after, "Jaquez").is_empty());
    }

    #[test]
    fn a_door_waits_if_its_addresses_or_its_tls_have_changed() {
        let change = |change: fn(&mut ServerConfig)| {
            let mut after = Config::classic();
            change(&mut after.servers[0]);
            Config::classic().waiting(&after, "Riley")
        };
        let more = |server: &mut ServerConfig| {
            let mut more = server.doors[1].clone();
            more.address = "[::1]:8000".parse().unwrap();
            server.doors.push(more);
        };
        assert_eq!(change(more), ["server.http"]);
        assert_eq!(change(|server| server.doors[0].tls = true), ["server.listen"]);
        assert!(change(|_| ()).is_empty());
    }
}
