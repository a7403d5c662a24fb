//! Questions about places and their answers, whichever provider gives them.
//!
//! A [`Query`] asks which places lie around a point. An [`Answer`] holds the [`Place`]s that were found, or
//! [`Verbatim`] results of a provider that speaks Nearby Search (Legacy) itself, and prints itself as that JSON.
//! [`Separation`] and [`Nearest`] rank what a provider has at hand. Nothing here depends on the machine, so every
//! server ranks and prints the same places alike.
//!
//! The rules of asking over a network are here too: which questions share an answer ([`CacheKey`], [`Grid`]), how long an
//! answer can be used ([`Ages`]), when a provider is left alone ([`Breaker`]), and how many requests the herd
//! may make in a day or month ([`quota`]). This module does not know who answers,
//! or which protocol an answer leaves by.

mod ages;
mod answer;
mod breaker;
mod distance;
mod grid;
mod json;
mod key;
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
pub use matcher::Matcher;
pub use nearest::Nearest;
pub use place::{BusinessStatus, Geometry, Photo, Place, PlusCode, Point, Rating, Text, Viewport, place_id};
pub use query::{Query, Rank, Wish};
pub use verbatim::Verbatim;
