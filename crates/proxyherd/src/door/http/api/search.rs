//! `/v1/clients`: the clients near a point, in a box, or with some IDs.
//!
//! Filters apply before the limit. The herd shows only clients that the caller may read. A search that may look at many
//! clients runs on a thread that may wait, and only [`SEARCHES_MAX`] of them run at once; further ones wait in line.

use std::sync::Arc;

use axum::{
    Extension,
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header},
    response::Response,
};
use proxyherd_core::{
    codec::{
        json::{self, FeatureCollection},
        url_id,
        where_clause::WhereClause,
    },
    command::{Around, Bounds, Limit, List, Near},
    flood::Update,
    places::{Point, Separation},
    replica::{ClientPage, FoundClient},
    types::{Body as RecordBody, ClientId, IdPattern},
};
use tokio::sync::Semaphore;

use super::{GEO_JSON, JSON};
use crate::{
    caller::Caller,
    clock,
    door::http::{
        limits::{CLIENTS_DEFAULT, CLIENTS_MAX, IDS_MAX, SEARCHES_MAX},
        media,
        problem::Problem,
        query::Query,
    },
    herd::{Denied, Herd},
};

const PARAMETERS: [&str; 8] = ["near", "radius_m", "box", "ids", "where", "max_age_s", "limit", "after"];

/// The greatest `max_age_s`: a hundred years.
pub(in crate::door::http) const MAX_AGE_S_MAX: f64 = 3_155_760_000.0;
/// The greatest `radius_m`. Half of the Earth's circumference is less.
pub(in crate::door::http) const RADIUS_M_MAX: f64 = 1e8;

/// Bytes of a client in an answer, usually.
const CLIENT_LEN_USUAL: usize = 400;

/// The searches that may look at many clients.
static SEARCHES: Semaphore = Semaphore::const_new(SEARCHES_MAX);

/// A search, as the query says it.
#[derive(Debug)]
struct Search {
    place: SearchPlace,
    ids: Vec<IdPattern>,
    filter: Option<WhereClause>,
    max_age_ns: Option<u64>,
    limit: Limit,
    /// The last client of the page before this one.
    after: Option<Vec<u8>>,
}

#[derive(Debug)]
enum SearchPlace {
    Anywhere,
    Near {
        center: Point,
        radius_m: Option<f64>,
        /// The box in which the clients must be, too.
        bounds: Option<Bounds>,
    },
    Box(Bounds),
}

/// The clients that a query asks for.
pub(in crate::door::http) async fn get_clients(
    State(herd): State<Arc<Herd>>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let search = Search::parse(&uri)?;
    let kind = media::accepted(&headers, &[JSON, GEO_JSON])?;
    let page = if search.is_short() {
        search.run(&herd, &caller)?
    } else {
        let _turn = SEARCHES.acquire().await.expect("nobody closes this semaphore");
        let searched = tokio::task::spawn_blocking(move || search.run(&herd, &caller)).await;
        searched.map_err(|_| Problem::unavailable("the search failed; the server's log says why"))??
    };
    let mut response = Response::new(Body::from(write(&page, kind)));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

impl Search {
    fn parse(uri: &Uri) -> Result<Search, Problem> {
        let query = Query::of(uri, &PARAMETERS, &["ids"])?;
        let limit = query.whole("limit", 1..=CLIENTS_MAX)?.unwrap_or(CLIENTS_DEFAULT);
        let max_age_s = query.number("max_age_s", 0.0..=MAX_AGE_S_MAX)?;
        Ok(Search {
            place: SearchPlace::parse(&query)?,
            ids: ids(&query)?,
            filter: filter(&query)?,
            max_age_ns: max_age_s.map(|seconds| (seconds * 1e9) as u64),
            limit: Limit::new(limit).expect("the limit is in range"),
            after: after(&query)?,
        })
    }

    /// Whether the search looks at few clients: those with these IDs, or those around a point without a filter.
    fn is_short(&self) -> bool {
        let is_filtered = self.filter.is_some() || self.max_age_ns.is_some() || !self.ids.is_empty();
        match self.place {
            SearchPlace::Near { bounds, .. } => !is_filtered && bounds.is_none(),
            SearchPlace::Anywhere | SearchPlace::Box(_) => {
                !self.ids.is_empty() && self.ids.iter().all(|pattern| pattern.exact().is_some())
            }
        }
    }

    fn run(&self, herd: &Herd, caller: &Caller) -> Result<ClientPage, Denied> {
        let now_ns = clock::now_ns();
        match self.place {
            SearchPlace::Near { center, radius_m, bounds } => {
                let near = Near { around: Around::Point(center), radius_m, limit: self.limit };
                self.near(herd, caller, now_ns, &near, bounds)
            }
            SearchPlace::Anywhere => self.list(herd, caller, now_ns, None),
            SearchPlace::Box(bounds) => self.list(herd, caller, now_ns, Some(bounds)),
        }
    }

    fn near(
        &self,
        herd: &Herd,
        caller: &Caller,
        now_ns: u64,
        near: &Near<'_>,
        bounds: Option<Bounds>,
    ) -> Result<ClientPage, Denied> {
        herd.check_ids(caller, now_ns, &self.ids)?;
        let is_named = |id: &[u8]| self.ids.is_empty() || self.ids.iter().any(|ids| ids.matches(id));
        let wanted = |held: &Update<'_>| {
            is_named(held.record.key) && is_inside(bounds, held) && self.is_wanted(now_ns, held)
        };
        let clients = herd.near(caller, now_ns, near, wanted)?.unwrap_or_default();
        Ok(ClientPage { clients, next: None })
    }

    fn list(
        &self,
        herd: &Herd,
        caller: &Caller,
        now_ns: u64,
        bounds: Option<Bounds>,
    ) -> Result<ClientPage, Denied> {
        let after = self.after.as_deref().and_then(ClientId::new);
        let list = List { bounds, ids: &self.ids, after, limit: self.limit };
        herd.list(caller, now_ns, &list, |held| self.is_wanted(now_ns, held))
    }

    /// Whether a client passes the filters `where` and `max_age_s`.
    fn is_wanted(&self, now_ns: u64, held: &Update<'_>) -> bool {
        let record = &held.record;
        let received_ns = record.difference.received_ns(record.timestamp);
        let is_young =
            self.max_age_ns.is_none_or(|max_age_ns| now_ns.saturating_sub(received_ns) <= max_age_ns);
        let Some(filter) = &self.filter else { return is_young };
        match record.body {
            RecordBody::Location { attributes, .. } => is_young && filter.matches(attributes),
            RecordBody::Gone | RecordBody::Data { .. } => false,
        }
    }
}

/// Whether a client is in the box, if there is a box.
fn is_inside(bounds: Option<Bounds>, held: &Update<'_>) -> bool {
    let Some(bounds) = bounds else { return true };
    let RecordBody::Location { coordinates, .. } = held.record.body else { return false };
    bounds.contains(coordinates.latitude().degrees(), coordinates.longitude().degrees())
}

impl SearchPlace {
    fn parse(query: &Query) -> Result<SearchPlace, Problem> {
        let radius_m = query.number("radius_m", 0.0..=RADIUS_M_MAX)?;
        let bounds = query.numbers("box")?.map(bounds).transpose()?;
        let Some([latitude, longitude]) = query.numbers("near")? else {
            return match radius_m {
                Some(_) => Err(contradiction("`radius_m` needs `near`")),
                None => Ok(bounds.map_or(SearchPlace::Anywhere, SearchPlace::Box)),
            };
        };
        if query.bytes("after").is_some() {
            return Err(contradiction("`after` can't go with `near`; ask with a greater `limit`"));
        }
        let center = Point::new(latitude, longitude).ok_or_else(|| {
            Problem::invalid("`near` takes LAT,LON in degrees, up to 90 and 180, such as 34.07,-118.44")
        })?;
        Ok(SearchPlace::Near { center, radius_m, bounds })
    }
}

/// 409: each parameter is valid, but they contradict each other.
fn contradiction(detail: &'static str) -> Problem {
    Problem::new(StatusCode::CONFLICT, detail)
}

/// A box. It makes no difference which of its latitudes comes first.
fn bounds([south, west, north, east]: [f64; 4]) -> Result<Bounds, Problem> {
    let (south, north) = if south > north { (north, south) } else { (south, north) };
    Bounds::new(south, west, north, east).ok_or_else(|| {
        Problem::invalid("`box` takes S,W,N,E in degrees, latitudes up to 90 and longitudes up to 180")
    })
}

fn ids(query: &Query) -> Result<Vec<IdPattern>, Problem> {
    let mut patterns = Vec::new();
    for text in query.all("ids") {
        if patterns.len() == IDS_MAX {
            return Err(Problem::invalid(format!("`ids` is given at most {IDS_MAX} times")));
        }
        let pattern = IdPattern::parse(text).ok_or_else(|| {
            Problem::invalid(
                "`ids` takes a client ID of 1 to 256 bytes without white space, or the beginning of IDs and `*`",
            )
        })?;
        patterns.push(pattern);
    }
    Ok(patterns)
}

fn filter(query: &Query) -> Result<Option<WhereClause>, Problem> {
    let clause = query.text("where")?.map(WhereClause::parse).transpose();
    clause.map_err(|error| Problem::invalid(error.to_string()))
}

/// The last client of the page before, percent-encoded as [`next`] writes it.
fn after(query: &Query) -> Result<Option<Vec<u8>>, Problem> {
    let Some(text) = query.bytes("after") else { return Ok(None) };
    let is_safe = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~%".contains(byte);
    let id = url_id::parse(text).ok().filter(|_| text.iter().all(is_safe));
    id.map(|id| Some(id.into_owned()))
        .ok_or_else(|| Problem::invalid("`after` takes the `next` of the page before"))
}

/// The cursor after the client with this ID.
fn next(id: &[u8]) -> String {
    let mut text = Vec::with_capacity(id.len());
    url_id::write(&mut text, id);
    String::from_utf8(text).expect("a percent-encoded ID is ASCII")
}

/// The page as the media type has it.
fn write(page: &ClientPage, kind: &str) -> Vec<u8> {
    let mut body = Vec::with_capacity(64 + page.clients.len() * CLIENT_LEN_USUAL);
    let next = page.next.as_deref().map(next);
    let distance_m = |found: &FoundClient| found.separation().map(Separation::meters);
    if kind == GEO_JSON {
        let mut collection = FeatureCollection::begin(&mut body);
        for found in &page.clients {
            collection.push(&found.whereabouts(), distance_m(found));
        }
        collection.end(next.as_deref());
    } else {
        body.extend_from_slice(b"{\"clients\":[");
        for (place, found) in page.clients.iter().enumerate() {
            if place > 0 {
                body.push(b',');
            }
            json::write_client(&mut body, &found.whereabouts(), distance_m(found));
        }
        body.push(b']');
        if let Some(next) = &next {
            body.extend_from_slice(b",\"next\":");
            json::write_string(&mut body, next);
        }
        body.push(b'}');
    }
    body.push(b'\n');
    body
}
