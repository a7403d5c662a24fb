//! Answers questions about the places around a point, in the form of Google's Nearby Search.
//!
//! A program makes [`Settings`] and an [`Environment`], opens [`Places`] once within its runtime, and sends questions
//! from any thread:
//!
//! ```
//! use std::sync::Arc;
//!
//! use proxyherd_core::places::{Point, Query};
//! use proxyherd_places::{Environment, Places, Settings, Unlimited};
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
//! # runtime.block_on(async {
//! let environment = Environment::silent(|| 1_791_158_400_000_000_000, || 4);
//! let places = Places::open(&Settings::default(), Arc::new(Unlimited), environment).unwrap();
//! let westwood = Point::new(34.06893, -118.445127).unwrap();
//! let answered = places.ask(&Query::within(westwood, 10_000.0).unwrap()).await;
//! assert!(answered.answer.places.iter().any(|place| place.name == "Bel Air"));
//! # });
//! ```
//!
//! [`provider`] has the sources of places. The facade stands in front of them: cache, single flight, throttle, retry
//! and fallback. Questions, answers and the rules of asking (breaker, rate, ages) are in `proxyherd_core::places`.
//!
//! Invariant: every question gets a well-formed answer within the deadline, even if a provider fails, hangs or panics.
//! The crate does not know servers, clients, configurations or logs. Settings are plain values, time and random numbers
//! are passed in, and events go to an [`Observer`].

pub mod contained;
mod environment;
mod facade;
mod failure;
#[doc(hidden)]
pub mod fuzzing;
pub mod http_client;
pub mod provider;
mod quota;
mod settings;

pub use environment::{Environment, Observer, PlacesEvent};
pub use facade::{Answered, Looked, LookupOutcome, Places, Question, RemoteStatus};
pub use failure::Failure;
pub use quota::{Quota, ReservedQuota, Rest, Unlimited};
pub use settings::{
    CacheSettings, FieldMask, GoogleSettings, KeySource, ProviderName, RequestSettings, Settings,
};
