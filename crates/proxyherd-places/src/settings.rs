//! The settings of an operator: the providers, how they are asked, and the time for which their answers are kept.
//!
//! These are plain values. The program may read them from any source, and passes them to [`Places::open`]. Each
//! `Default` has the values that the documentation promises. This module does not know the syntax of a configuration.
//!
//! [`Places::open`]: crate::Places::open

use std::{iter::once, path::PathBuf, time::Duration};

use proxyherd_core::limits::FLIGHTS_MAX;

/// One megabyte, bytes.
const MEGABYTE: u64 = 1_000_000;

/// The providers that answer questions about places, and their settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The provider that is asked first.
    pub provider: ProviderName,
    /// The providers that are asked, in this order, while earlier providers fail. No provider is in this list twice,
    /// and the first provider is not in this list.
    pub fallback: Vec<ProviderName>,
    /// The time within which every question is answered, even if providers hang.
    pub deadline: Duration,
    /// How a provider over the network is asked.
    pub requests: RequestSettings,
    /// The time for which answers of a provider over the network are kept.
    pub cache: CacheSettings,
    /// Places API (New).
    pub google: GoogleSettings,
    /// Nearby Search (Legacy).
    pub google_legacy: GoogleSettings,
    /// The index of OpenStreetMap's places, as [`import`](crate::provider::osm::import) has written it.
    pub osm_file: PathBuf,
}

/// The operators' names for providers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProviderName {
    /// The cities that are part of the program.
    Embedded,
    /// Google's Places API (New).
    Google,
    /// Google's Nearby Search (Legacy).
    GoogleLegacy,
    /// An index of OpenStreetMap's places on this machine.
    Osm,
}

/// How a provider over the network is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestSettings {
    /// Maximum number of retries after a failed request.
    pub retries: u32,
    /// Maximum number of requests of this process in a second. 0 means that there is no limit.
    pub per_second: u32,
}

/// The time for which answers of a provider over the network are kept. They are kept only in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheSettings {
    /// Maximum memory for answers, bytes. 0 means that no answer is kept.
    pub max_bytes: u64,
    /// Time after its receipt for which an answer counts as new.
    pub fresh: Duration,
    /// Time after `fresh` for which an answer is still returned, while one request renews it.
    pub stale: Duration,
    /// Time after `fresh` for which an answer is still returned if its provider fails.
    pub stale_if_error: Duration,
    /// Time for which an answer without any place counts as new.
    pub zero_results: Duration,
    /// Side of the squares in which all questions share an answer, meters. 0 means that only questions from the same
    /// point share an answer.
    pub snap_m: u32,
}

/// How one of Google's interfaces is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoogleSettings {
    /// The source of the key. It is never the key itself.
    pub key: KeySource,
    /// Scheme and host, without a slash at the end.
    pub base_url: String,
    /// The fields that are asked for, which decide the price of a request. Only Places API (New) uses this setting.
    pub mask: FieldMask,
}

/// The source from which a key is read when a provider is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// The environment variable with this name.
    Variable(String),
    /// A file that holds nothing but the key.
    File(PathBuf),
}

/// The fields that Places API (New) is asked for. The most expensive field sets the price.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FieldMask {
    /// Names, places and kinds.
    Pro,
    /// In addition, ratings, prices and opening hours.
    Enterprise,
}

impl ProviderName {
    /// The operators' name for each provider, in alphabetical order.
    pub const ALL: [(&str, ProviderName); 4] = [
        ("embedded", ProviderName::Embedded),
        ("google", ProviderName::Google),
        ("google-legacy", ProviderName::GoogleLegacy),
        ("osm", ProviderName::Osm),
    ];

    /// The operators' name for the provider.
    pub fn as_str(self) -> &'static str {
        let (word, _) =
            ProviderName::ALL.iter().find(|&&(_, name)| name == self).expect("every one is there");
        word
    }

    /// Whether a question to this provider leaves this machine.
    pub fn is_remote(self) -> bool {
        matches!(self, ProviderName::Google | ProviderName::GoogleLegacy)
    }
}

impl Settings {
    /// Maximum number of requests to providers over the network at the same time. Each request holds a descriptor.
    pub fn requests_max(&self) -> usize {
        let remotes = once(&self.provider).chain(&self.fallback).filter(|provider| provider.is_remote());
        let flights_max = FLIGHTS_MAX * remotes.count();
        let seconds = self.deadline.as_secs_f64().ceil() as usize;
        match self.requests.per_second as usize {
            0 => flights_max,
            per_second => per_second.saturating_mul(seconds).min(flights_max),
        }
    }
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            provider: ProviderName::Embedded,
            fallback: Vec::new(),
            deadline: Duration::from_millis(5000),
            requests: RequestSettings::default(),
            cache: CacheSettings::default(),
            google: GoogleSettings::at("https://places.googleapis.com"),
            google_legacy: GoogleSettings::at("https://maps.googleapis.com"),
            osm_file: PathBuf::from("places.idx"),
        }
    }
}

impl Default for RequestSettings {
    fn default() -> RequestSettings {
        RequestSettings { retries: 2, per_second: 50 }
    }
}

impl Default for CacheSettings {
    fn default() -> CacheSettings {
        CacheSettings {
            max_bytes: 64 * MEGABYTE,
            fresh: Duration::from_secs(300),
            stale: Duration::from_secs(600),
            stale_if_error: Duration::from_secs(3600),
            zero_results: Duration::from_secs(60),
            snap_m: 0,
        }
    }
}

impl GoogleSettings {
    fn at(base_url: &str) -> GoogleSettings {
        GoogleSettings {
            key: KeySource::Variable("GOOGLE_MAPS_API_KEY".to_owned()),
            base_url: base_url.to_owned(),
            mask: FieldMask::Pro,
        }
    }
}
