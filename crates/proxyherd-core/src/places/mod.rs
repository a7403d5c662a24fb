//! Questions about places and their answers, whichever provider gives them.
//!
//! A [`Query`] asks what lies around a point, an [`Answer`] holds the [`Place`]s that were found and prints
//! itself as Nearby Search (Legacy) JSON, and [`Separation`] and [`Nearest`] rank what a provider has at
//! hand. Nothing here depends on the machine, so every server ranks and prints the same places alike. This
//! module does not know who answers, how long an answer stays fresh, or which protocol it leaves by.

mod answer;
mod distance;
mod json;
mod matcher;
mod nearest;
mod place;
mod query;
#[cfg(test)]
mod round_trip;

pub use answer::{Answer, Status};
pub use distance::{Centre, EARTH_RADIUS_M, Separation};
pub use matcher::Matcher;
pub use nearest::Nearest;
pub use place::{BusinessStatus, Geometry, Photo, Place, PlusCode, Point, Rating, Text, Viewport, place_id};
pub use query::{Query, Rank, Wish};
