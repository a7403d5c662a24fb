//! Who answers questions about places: one module a source, behind one trait.
//!
//! A provider asks its source and translates; it does not know of deadlines, caches, retries or other
//! providers, which stand in front of it in [`crate::places`], nor of the protocol that the question came by.

mod api_key;
mod embedded;
pub(crate) mod google;
pub(crate) mod google_legacy;
pub(crate) mod http;
mod json;
pub mod osm;
pub(crate) mod room;

use std::{
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
};

use proxyherd_core::places::{Answer, Query};

use crate::{Environment, ProviderName, Settings};

pub use crate::failure::Failure;
pub use api_key::ApiKeyError;
pub use embedded::Embedded;
pub use google::Google;
pub use google_legacy::GoogleLegacy;
pub use osm::Osm;

/// How far the viewport of a place that comes without one reaches north and south of it, degrees: 150 m, a house and what
/// is around, as for most of Google's.
const VIEWPORT_HALF_HEIGHT: f64 = 0.00135;

/// The outcome of a question, when it comes.
pub type Pending<'a> = Pin<Box<dyn Future<Output = Result<Answer, Failure>> + Send + 'a>>;

/// Why a provider can't be opened: its key or its file. No server starts without what it was told to ask.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Its index of OpenStreetMap's places can't be used.
    #[error(
        "the index of places {} cannot be used: {}. `proxyherd places import FILE.osm.pbf --out {}` writes it",
        .path.display(), .reason, .path.display()
    )]
    Osm {
        /// Where it should be.
        path: PathBuf,
        /// What is wrong with it.
        reason: osm::IndexError,
    },
    /// It has no key to ask with.
    #[error("the places provider {provider:?} has no key: {why}")]
    Key {
        /// What the configuration calls it.
        provider: &'static str,
        /// What is wrong with the key, or where it should be.
        why: ApiKeyError,
    },
    /// Nothing can be asked at that URL.
    #[error("the places provider {provider:?} has a `base_url` that is no URL: {why}")]
    BaseUrl {
        /// What the configuration calls it.
        provider: &'static str,
        /// What is wrong with the URL.
        why: String,
    },
    /// No encrypted connection could ever be made.
    #[error(
        "the places provider {provider:?} can't be asked over HTTPS: {why}; install this system's certificates \
         (Debian: apt-get install ca-certificates)"
    )]
    Tls {
        /// What the configuration calls it.
        provider: &'static str,
        /// What is missing.
        why: String,
    },
}

/// Opens the provider of that name, as `places` describes it. It logs to `log` which places have faulty data.
pub fn open(
    name: ProviderName,
    settings: &Settings,
    environment: &Environment,
) -> Result<Arc<dyn Provider>, OpenError> {
    match name {
        ProviderName::Embedded => Ok(Arc::new(Embedded)),
        ProviderName::Google => Ok(Arc::new(Google::open(&settings.google, settings.deadline, environment)?)),
        ProviderName::GoogleLegacy => {
            Ok(Arc::new(GoogleLegacy::open(&settings.google_legacy, settings.deadline, environment)?))
        }
        ProviderName::Osm => Ok(Arc::new(open_osm(&settings.osm_file, environment.clone())?)),
    }
}

/// Opens an index of OpenStreetMap's places.
pub fn open_osm(path: &Path, environment: Environment) -> Result<Osm, OpenError> {
    Osm::open(path, environment).map_err(|reason| OpenError::Osm { path: path.to_owned(), reason })
}

/// A source of places.
pub trait Provider: Send + Sync {
    /// What the configuration calls it.
    fn name(&self) -> &'static str;

    /// Whether asking it leaves this machine, and so takes time, may fail, and may cost something.
    fn is_remote(&self) -> bool {
        false
    }

    /// Refuses a question that this source would make no sense of, as far as that is known without asking: such a one
    /// costs nothing. It is checked before every question over the network.
    fn check(&self, query: &Query) -> Result<(), Failure> {
        let _ = query;
        Ok(())
    }

    /// Whether this source may know places of this type; false only if that is certain without asking it. If no source
    /// knows a type, the answer says so in `info_messages`.
    fn knows_kind(&self, kind: &str) -> bool {
        let _ = kind;
        true
    }

    /// Answers on the spot, if this source does not have to wait for it: from memory, in microseconds. Callers
    /// ask this first, for every question; what is answered nothing here goes to [`Provider::nearby`].
    ///
    /// At most `most` places are wanted, and at least one, so that the status can tell whether there are any.
    fn nearby_now(&self, query: &Query, most: usize) -> Option<Answer> {
        let _ = (query, most);
        None
    }

    /// Asks the source for as many places as one answer may hold, [`PLACES_MAX`], however few the asker
    /// wants: answers are shared, and cost the same.
    ///
    /// Dropping what is returned gives the question up.
    ///
    /// [`PLACES_MAX`]: proxyherd_core::limits::PLACES_MAX
    fn nearby<'a>(&'a self, query: &'a Query) -> Pending<'a>;
}
