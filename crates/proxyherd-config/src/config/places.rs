//! Reads the section `[places]` and its tables into the settings of the crate `proxyherd_places`.
//!
//! The section also has the places budget (`per_day`, `per_month`). The herd keeps the budget. The crate does not know
//! it.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use proxyherd_places::{
    CacheSettings, FieldMask, GoogleSettings, KeySource, ProviderName, RequestSettings, Settings,
};

use super::{
    address::Address,
    diagnostic::Diagnostic,
    secret::looks_secret,
    section::Section,
    settings::{MEGABYTE, TEN_YEARS_S, parse_path},
    value::Placed,
};

/// Maximum numbers of requests that the whole herd may make to providers over the network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlacesBudget {
    /// Maximum number of requests in a day (UTC). 0: no limit.
    pub per_day: u64,
    /// Maximum number of requests in a month (UTC). 0: no limit.
    pub per_month: u64,
}

pub(super) fn read(mut section: Section<'_, '_>, base: &Path) -> (Settings, PlacesBudget) {
    let default = Settings::default();
    let provider =
        section.choice("provider", &ProviderName::ALL).map_or(default.provider, |provider| provider.value);
    let fallback = read_fallback(&mut section, provider);
    let deadline = section.integer("deadline_ms", 1..=600_000, default.deadline.as_millis() as u64);
    let requests = read_requests(&mut section);
    let budget = read_budget(&mut section);
    let cache = read_cache(&mut section);
    let google = read_google(section.table("google"), default.google, true, base);
    let google_legacy = read_google(section.table("google-legacy"), default.google_legacy, false, base);
    let osm_file = read_osm(section.table("osm"), &default.osm_file, base);
    section.finish();
    let deadline = Duration::from_millis(deadline.value);
    let settings =
        Settings { provider, fallback, deadline, requests, cache, google, google_legacy, osm_file };
    (settings, budget)
}

fn read_fallback(section: &mut Section<'_, '_>, first: ProviderName) -> Vec<ProviderName> {
    let known = ProviderName::ALL.map(|(word, _)| format!("{word:?}")).join(", ");
    let parse = |text: &str| {
        let found = ProviderName::ALL.iter().find(|&&(word, _)| word == text);
        found.map(|&(_, provider)| provider).ok_or_else(|| format!("the providers are {known}"))
    };
    let mut chain = vec![first];
    for next in section.list("fallback", "takes the names of providers", parse) {
        if chain.contains(&next.value) {
            let twice = "names a provider that is already asked";
            let help = "a server asks each provider once: leave this provider out";
            section.report(Diagnostic::error(next.site, &next.key, twice).help(help));
        } else {
            chain.push(next.value);
        }
    }
    chain.split_off(1)
}

fn read_requests(section: &mut Section<'_, '_>) -> RequestSettings {
    let default = RequestSettings::default();
    RequestSettings {
        retries: section.integer("retries", 0..=10, default.retries.into()).value as u32,
        per_second: section.integer("per_second", 0..=1_000_000, default.per_second.into()).value as u32,
    }
}

fn read_budget(section: &mut Section<'_, '_>) -> PlacesBudget {
    let default = PlacesBudget::default();
    PlacesBudget {
        per_day: section.integer("per_day", 0..=1_000_000_000, default.per_day).value,
        per_month: section.integer("per_month", 0..=1_000_000_000, default.per_month).value,
    }
}

fn read_cache(section: &mut Section<'_, '_>) -> CacheSettings {
    let default = CacheSettings::default();
    let seconds = |placed: Placed<u64>| Duration::from_secs(placed.value);
    CacheSettings {
        max_bytes: section.integer("cache_mb", 0..=1_000_000, default.max_bytes / MEGABYTE).value * MEGABYTE,
        fresh: seconds(section.integer("fresh_s", 0..=TEN_YEARS_S, default.fresh.as_secs())),
        stale: seconds(section.integer("stale_s", 0..=TEN_YEARS_S, default.stale.as_secs())),
        stale_if_error: seconds(section.integer(
            "stale_if_error_s",
            0..=TEN_YEARS_S,
            default.stale_if_error.as_secs(),
        )),
        zero_results: seconds(section.integer(
            "zero_results_s",
            0..=TEN_YEARS_S,
            default.zero_results.as_secs(),
        )),
        snap_m: section.integer("snap_m", 0..=10_000, default.snap_m.into()).value as u32,
    }
}

fn read_google(
    mut section: Section<'_, '_>,
    default: GoogleSettings,
    has_mask: bool,
    base: &Path,
) -> GoogleSettings {
    let variable = section.parsed("key_env", "takes the name of an environment variable", parse_variable);
    let file = section.parsed("key_file", "takes the name of a file", parse_key_file);
    if let (Some(variable), Some(file)) = (&variable, &file) {
        let help = format!("leave out this or `{}`", variable.key);
        section.report(
            Diagnostic::error(file.site.clone(), &file.key, "is a second source of the key").help(help),
        );
    }
    let base_url = section.parsed("base_url", "takes a URL", parse_base_url);
    let masks = [("pro", FieldMask::Pro), ("enterprise", FieldMask::Enterprise)];
    let mask = if has_mask { section.choice("mask", &masks) } else { None };
    section.finish();
    GoogleSettings {
        key: match (file, variable) {
            (Some(file), _) => KeySource::File(file.relative_to(base)),
            (None, Some(variable)) => KeySource::Variable(variable.value),
            (None, None) => default.key,
        },
        base_url: base_url.map_or(default.base_url, |url| url.value),
        mask: mask.map_or(default.mask, |mask| mask.value),
    }
}

fn read_osm(mut section: Section<'_, '_>, default: &Path, base: &Path) -> PathBuf {
    let file = section.parsed("file", "takes a file", parse_path);
    section.finish();
    file.map_or_else(|| base.join(default), |file| file.relative_to(base))
}

fn parse_variable(text: &str) -> Result<String, &'static str> {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let fits = !text.is_empty() && text.bytes().all(is_name) && !looks_secret(text);
    if fits { Ok(text.to_owned()) } else { Err("for example \"GOOGLE_MAPS_API_KEY\"; never the key itself") }
}

fn parse_key_file(text: &str) -> Result<PathBuf, String> {
    let example = "for example \"google.key\", with nothing but the key in it; never the key itself";
    if looks_secret(text) { Err(example.to_owned()) } else { parse_path(text) }
}

/// Reads a URL with scheme, host and port, and perhaps a path. Over plain HTTP, everybody on the network path could
/// read the key. So plain HTTP is accepted only for this machine.
fn parse_base_url(text: &str) -> Result<String, &'static str> {
    let example = "for example \"https://places.googleapis.com\"";
    let url = text.trim_end_matches('/');
    let is_plain = |host: &str| {
        !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#@\\\"<>".contains(&byte))
    };
    match url.split_once("://").filter(|_| reqwest::Url::parse(url).is_ok()) {
        Some(("https", rest)) if is_plain(rest) => Ok(url.to_owned()),
        Some(("http", rest)) if is_plain(rest) => {
            let authority = rest.split('/').next().unwrap_or(rest);
            let is_loopback = |text: &str| text.parse::<Address>().is_ok_and(|address| address.is_loopback());
            if is_loopback(authority) || is_loopback(&format!("{authority}:80")) {
                Ok(url.to_owned())
            } else {
                Err("http:// is accepted on loopback only, since it would show the key: write https://")
            }
        }
        _ => Err(example),
    }
}
