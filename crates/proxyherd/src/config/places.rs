//! The section `[places]` and its tables: who knows places, how they are asked, and how long answers are kept.

use std::{
    iter::once,
    path::{Path, PathBuf},
    time::Duration,
};

use proxyherd_core::limits::FLIGHTS_MAX;

use super::{
    address::Address,
    diagnostic::Diagnostic,
    secret::looks_secret,
    section::Section,
    settings::{MEGABYTE, TEN_YEARS_S, parse_path},
    value::Placed,
};

/// What the configuration calls each provider.
const PROVIDERS: [(&str, Provider); 4] = [
    ("embedded", Provider::Embedded),
    ("google", Provider::Google),
    ("google-legacy", Provider::GoogleLegacy),
    ("osm", Provider::Osm),
];

/// The section `[places]`: where places come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    /// Who is asked.
    pub provider: Provider,
    /// Who is asked next, one after the other, where that fails.
    pub fallback: Vec<Provider>,
    /// A question is answered within this time, whatever the providers do.
    pub deadline: Duration,
    /// How a provider over the network is asked.
    pub asking: Asking,
    /// How long answers of a provider over the network are kept.
    pub cache: Cache,
    /// `[places.google]`: Places API (New).
    pub google: Google,
    /// `[places.google-legacy]`: Nearby Search (Legacy).
    pub google_legacy: Google,
    /// `[places.osm]`: where `proxyherd places import` has written its index.
    pub osm_file: PathBuf,
}

/// Who knows the places around a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Provider {
    /// The cities that are part of the program.
    Embedded,
    /// Google's Places API (New).
    Google,
    /// Google's Nearby Search (Legacy).
    GoogleLegacy,
    /// An index of OpenStreetMap data on this machine.
    Osm,
}

/// How a provider over the network is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asking {
    /// Requests after the first where one fails.
    pub retries: u32,
    /// Most requests of this server in a second; 0: any number.
    pub per_second: u32,
    /// Most requests of the whole herd in a day (UTC); 0: any number.
    pub per_day: u64,
    /// Most requests of the whole herd in a month (UTC); 0: any number.
    pub per_month: u64,
}

/// How long answers of a provider over the network are kept, in memory alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cache {
    /// Most memory for answers, bytes; 0: nothing is kept.
    pub max_bytes: u64,
    /// So old an answer may be and still count as new.
    pub fresh: Duration,
    /// For so long after that it is given while one fetch renews it.
    pub stale: Duration,
    /// For so long after `fresh` it is given where the provider fails.
    pub stale_if_error: Duration,
    /// How long it is remembered that nothing lies somewhere.
    pub zero_results: Duration,
    /// Questions from one square of this side share an answer, meters; 0: none do.
    pub snap_m: u32,
}

/// One of Google's interfaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Google {
    /// Where the key is. Never the key itself.
    pub key: KeySource,
    /// Where it is asked: scheme and host, without a slash at the end.
    pub base_url: String,
    /// What is asked for, and so what a question costs. Places API (New) alone heeds it.
    pub mask: Mask,
}

/// Where a key is read when a server starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// An environment variable's name.
    Variable(String),
    /// A file that holds the key alone.
    File(PathBuf),
}

/// Which fields Places API (New) is asked for; the dearest of them sets the price.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mask {
    /// Names, places and kinds.
    Pro,
    /// Also ratings, prices and opening hours.
    Enterprise,
}

impl Provider {
    /// What the configuration calls it.
    pub fn as_str(self) -> &'static str {
        let (word, _) =
            PROVIDERS.iter().find(|&&(_, provider)| provider == self).expect("every one is there");
        word
    }

    /// Whether asking it leaves this machine.
    pub fn is_remote(self) -> bool {
        matches!(self, Provider::Google | Provider::GoogleLegacy)
    }
}

impl Places {
    /// How many requests to providers over the network can be under way: each holds a descriptor.
    pub fn requests_max(&self) -> usize {
        let remotes = once(&self.provider).chain(&self.fallback).filter(|provider| provider.is_remote());
        let flights_max = FLIGHTS_MAX * remotes.count();
        let seconds = self.deadline.as_secs_f64().ceil() as usize;
        match self.asking.per_second as usize {
            0 => flights_max,
            per_second => per_second.saturating_mul(seconds).min(flights_max),
        }
    }
}

impl Default for Places {
    fn default() -> Places {
        Places {
            provider: Provider::Embedded,
            fallback: Vec::new(),
            deadline: Duration::from_millis(5000),
            asking: Asking::default(),
            cache: Cache::default(),
            google: Google::at("https://places.googleapis.com"),
            google_legacy: Google::at("https://maps.googleapis.com"),
            osm_file: PathBuf::from("places.idx"),
        }
    }
}

impl Default for Asking {
    fn default() -> Asking {
        Asking { retries: 2, per_second: 50, per_day: 0, per_month: 0 }
    }
}

impl Default for Cache {
    fn default() -> Cache {
        Cache {
            max_bytes: 64 * MEGABYTE,
            fresh: Duration::from_secs(300),
            stale: Duration::from_secs(600),
            stale_if_error: Duration::from_secs(3600),
            zero_results: Duration::from_secs(60),
            snap_m: 0,
        }
    }
}

impl Google {
    fn at(base_url: &str) -> Google {
        Google {
            key: KeySource::Variable("GOOGLE_MAPS_API_KEY".to_owned()),
            base_url: base_url.to_owned(),
            mask: Mask::Pro,
        }
    }
}

pub(super) fn read(mut section: Section<'_, '_>, base: &Path) -> Places {
    let default = Places::default();
    let provider = section.choice("provider", &PROVIDERS).map_or(default.provider, |provider| provider.value);
    let fallback = read_fallback(&mut section, provider);
    let deadline = section.integer("deadline_ms", 1..=600_000, default.deadline.as_millis() as u64);
    let asking = read_asking(&mut section);
    let cache = read_cache(&mut section);
    let google = read_google(section.table("google"), default.google, true, base);
    let google_legacy = read_google(section.table("google-legacy"), default.google_legacy, false, base);
    let osm_file = read_osm(section.table("osm"), &default.osm_file, base);
    section.finish();
    let deadline = Duration::from_millis(deadline.value);
    Places { provider, fallback, deadline, asking, cache, google, google_legacy, osm_file }
}

fn read_fallback(section: &mut Section<'_, '_>, first: Provider) -> Vec<Provider> {
    let known = PROVIDERS.map(|(word, _)| format!("{word:?}")).join(", ");
    let parse = |text: &str| {
        let found = PROVIDERS.iter().find(|&&(word, _)| word == text);
        found.map(|&(_, provider)| provider).ok_or_else(|| format!("the providers are {known}"))
    };
    let mut chain = vec![first];
    for next in section.list("fallback", "takes the names of providers", parse) {
        if chain.contains(&next.value) {
            let twice = "is asked already";
            let help = "each provider is asked once: leave it out here";
            section.report(Diagnostic::error(next.site, &next.key, twice).help(help));
        } else {
            chain.push(next.value);
        }
    }
    chain.split_off(1)
}

fn read_asking(section: &mut Section<'_, '_>) -> Asking {
    let default = Asking::default();
    Asking {
        retries: section.integer("retries", 0..=10, default.retries.into()).value as u32,
        per_second: section.integer("per_second", 0..=1_000_000, default.per_second.into()).value as u32,
        per_day: section.integer("per_day", 0..=1_000_000_000, default.per_day).value,
        per_month: section.integer("per_month", 0..=1_000_000_000, default.per_month).value,
    }
}

fn read_cache(section: &mut Section<'_, '_>) -> Cache {
    let default = Cache::default();
    let seconds = |placed: Placed<u64>| Duration::from_secs(placed.value);
    Cache {
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

fn read_google(mut section: Section<'_, '_>, default: Google, has_mask: bool, base: &Path) -> Google {
    let variable = section.parsed("key_env", "takes the name of an environment variable", parse_variable);
    let file = section.parsed("key_file", "takes the name of a file", parse_key_file);
    if let (Some(variable), Some(file)) = (&variable, &file) {
        let help = format!("leave out this or `{}`", variable.key);
        section.report(
            Diagnostic::error(file.site.clone(), &file.key, "is a second source of the key").help(help),
        );
    }
    let base_url = section.parsed("base_url", "takes a URL", parse_base_url);
    let masks = [("pro", Mask::Pro), ("enterprise", Mask::Enterprise)];
    let mask = if has_mask { section.choice("mask", &masks) } else { None };
    section.finish();
    Google {
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

/// Takes scheme, host and port, and a path if there is one. Over plain HTTP the key would be anybody's, so that is
/// for this machine alone.
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
