//! The sources of places: one module each, behind the trait [`Provider`].
//!
//! [`open`] opens a provider by its name. A provider translates a question into the language of its source, and
//! translates the source's reply into an answer. To add a source, write a module, implement [`Provider`], and add the
//! name to [`ProviderName`].
//!
//! A provider does not know deadlines, caches, retries or other providers: the facade handles these. A provider also
//! does not know the protocol by which a question has come.

mod api_key;
mod embedded;
pub(crate) mod google;
pub(crate) mod google_legacy;
pub(crate) mod http;
mod json;
pub mod osm;
pub(crate) mod room;

use std::{
    future::ready,
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
};

use proxyherd_core::command::Bounds;
use proxyherd_core::places::{Answer, Labels, Query};

use crate::{Environment, ProviderName, Settings};

pub use crate::failure::Failure;
pub use api_key::ApiKeyError;
pub use embedded::Embedded;
pub use google::Google;
pub use google_legacy::GoogleLegacy;
pub use osm::Osm;

/// For places whose source has no viewport: the distance from the place to the north and south edges of the viewport,
/// degrees. This is 150 m, which shows a house and its surroundings, as in most of Google's answers.
const VIEWPORT_HALF_HEIGHT: f64 = 0.00135;

/// A future of the answer.
pub type Pending<'a> = Pin<Box<dyn Future<Output = Result<Answer, Failure>> + Send + 'a>>;

/// A future of labels.
pub type PendingLabels<'a> = Pin<Box<dyn Future<Output = Labels> + Send + 'a>>;

/// Why a provider cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The index of OpenStreetMap's places cannot be used.
    #[error(
        "the index of places {} cannot be used: {}. `proxyherd places import FILE.osm.pbf --out {}` writes it",
        .path.display(), .reason, .path.display()
    )]
    Osm {
        /// Where the index should be.
        path: PathBuf,
        /// What is wrong with the index.
        reason: osm::IndexError,
    },
    /// The provider has no key.
    #[error("the places provider {provider:?} has no key: {why}")]
    Key {
        /// What operators call the provider.
        provider: &'static str,
        /// What is wrong with the key, or where it should be.
        why: ApiKeyError,
    },
    /// The base URL is not a URL.
    #[error("the places provider {provider:?} has a `base_url` that is not a URL: {why}")]
    BaseUrl {
        /// What operators call the provider.
        provider: &'static str,
        /// What is wrong with the URL.
        why: String,
    },
    /// No encrypted connection can be made from this machine.
    #[error(
        "the places provider {provider:?} can't be asked over HTTPS: {why}; install this system's certificates \
         (Debian: apt-get install ca-certificates)"
    )]
    Tls {
        /// What operators call the provider.
        provider: &'static str,
        /// What is missing.
        why: String,
    },
}

/// Opens the provider of that name, as `settings` describe it.
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

/// Opens the provider of OpenStreetMap's places with the index at `path`.
pub fn open_osm(path: &Path, environment: Environment) -> Result<Osm, OpenError> {
    Osm::open(path, environment).map_err(|reason| OpenError::Osm { path: path.to_owned(), reason })
}

/// A source of places.
pub trait Provider: Send + Sync {
    /// The name by which operators know the provider.
    fn name(&self) -> &'static str;

    /// Whether a question to this provider leaves this machine. Such a question takes time, may fail, and may cost
    /// money.
    fn is_remote(&self) -> bool {
        false
    }

    /// Refuses a question that this source would not understand, if this is known without a request. So such a question
    /// costs nothing. The facade calls this before every request over the network.
    fn check(&self, query: &Query) -> Result<(), Failure> {
        let _ = query;
        Ok(())
    }

    /// Whether this source may know places of this type. Returns false only if it is certain without a request that the
    /// source knows no such places. If no provider knows a type, doors say so in `info_messages`.
    fn knows_kind(&self, kind: &str) -> bool {
        let _ = kind;
        true
    }

    /// Answers at once from memory, in microseconds. Returns `None` if the source would have to wait. The facade calls
    /// this method first for every question, and then calls [`Provider::nearby`] if the result is `None`.
    ///
    /// The answer needs at most `most` places. `most` is at least one, so that the status shows whether there are any
    /// places.
    fn nearby_now(&self, query: &Query, most: usize) -> Option<Answer> {
        let _ = (query, most);
        None
    }

    /// Asks the source for as many places as one answer may hold, [`PLACES_MAX`], even if the caller wants fewer
    /// places. Answers are shared between callers, and a shorter answer would cost the same.
    ///
    /// If the future is dropped, the request is canceled.
    ///
    /// [`PLACES_MAX`]: proxyherd_core::limits::PLACES_MAX
    fn nearby<'a>(&'a self, query: &'a Query) -> Pending<'a>;

    /// The most prominent places in a box, at most `most`, for the labels of a map. Only providers on this machine have
    /// labels. A provider that would have to read too much for a large box has none for it.
    fn labels(&self, bounds: Bounds, most: usize) -> PendingLabels<'_> {
        let _ = (bounds, most);
        Box::pin(ready(Labels::default()))
    }
}
