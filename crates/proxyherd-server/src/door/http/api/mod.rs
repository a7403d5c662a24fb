//! The API: reports, reads, forgetting and searching in JSON. One file for each resource.
//!
//! A handler turns a request into a call of `Herd`, and turns the result into a response or a `Problem`. The herd
//! decides whether the caller may do it. Bodies are read and written by core's `codec::json`.
//!
//! A handler does not know the request's ID, web origins, compression or the limits on bodies. `handler` adds these to
//! every path.

mod batch;
mod client;
mod client_id;
pub(super) mod filters;
mod places;
mod report;
mod search;

// The description of the API names these bounds.
pub(super) use self::{
    batch::post_reports,
    client::{delete_client, get_client},
    places::get_places,
    report::{offer, offer_any, positions_of, put_location, refusal, refusal_detail},
    search::get_clients,
};
#[cfg(test)]
pub(super) use self::{filters::RADIUS_M_MAX, places::KIND_LEN_MAX, search::MAX_AGE_S_MAX};

use super::small_json;

/// The media type of JSON.
const JSON: &str = small_json::MEDIA_TYPE;
/// The media type of GeoJSON (RFC 7946).
const GEO_JSON: &str = "application/geo+json";
/// Positions of people: only the reader's own cache may keep an answer, and must ask whether it still holds.
const PRIVATE: &str = "private, no-cache";
