//! Queries for places and their answers, whichever provider gives them.
//!
//! A [`Query`] asks for the places around a point. An [`Answer`] holds the [`Place`]s that were found, or [`Verbatim`]
//! results of a provider that itself speaks Nearby Search (Legacy). The answer prints itself as Nearby Search JSON.
//! [`Separation`] and [`Nearest`] rank the places that a provider has in memory. Searches for clients use [`Center`],
//! [`Separation`] and `LowerBound`, too. [`Labels`] are the names of places on a map. Nothing here depends on the
//! machine, so every server ranks and prints the same places identically.
//!
//! The rules for queries over a network are here, too: which queries share an answer ([`CacheKey`], [`Grid`]), up to
//! which age an answer can be used ([`Ages`]), when a provider is not queried ([`Breaker`]), and how many requests the
//! herd may make in a day or month ([`quota`]). This module does not know which provider answers, or by which protocol
//! an answer leaves.

mod ages;
mod answer;
mod breaker;
mod distance;
mod grid;
mod json;
mod key;
mod label;
mod lower_bound;
mod matcher;
mod nearest;
mod place;
mod query;
pub mod quota;
#[cfg(test)]
mod round_trip;
mod verbatim;
mod weight;

pub use ages::{Ages, Freshness};
pub use answer::{Answer, AnswerStatus};
pub use breaker::{Breaker, RequestOutcome, Shut, ShutCause, jittered};
pub use distance::{Center, EARTH_RADIUS_M, Separation};
pub use grid::Grid;
pub use key::{AnswerSource, CacheKey};
pub use label::{Label, Labels, Prominence};
pub(crate) use lower_bound::LowerBound;
pub use matcher::Matcher;
pub use nearest::Nearest;
pub use place::{BusinessStatus, Geometry, Photo, Place, PlusCode, Point, Rating, Text, Viewport, place_id};
pub use query::{Query, Rank, Wish};
pub use verbatim::Verbatim;
