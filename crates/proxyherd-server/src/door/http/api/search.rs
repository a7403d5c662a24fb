//! `/v1/clients`: the clients near a point, in a box, or with some IDs.
//!
//! Filters apply before the limit. The herd shows only clients that the caller may read. A search for a few IDs, and a
//! search for the nearest that visits few clients, runs at once, on the thread that serves connections. Any other
//! search waits for its turn in [`Searches`]. A search for the nearest that turns out to be long begins anew there.

use std::{collections::HashSet, sync::Arc};

use axum::{
    Extension,
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderValue, Uri, header},
    response::Response,
};
use proxyherd_config::clock;
use proxyherd_core::{
    codec::{
        json::{self, FeatureCollection},
        url_id,
        where_clause::WhereClause,
    },
    command::{Around, Bounds, Limit, List, Near},
    flood::Update,
    places::{Point, Separation},
    replica::{ClientPage, Effort, FoundClient},
    types::{Body as RecordBody, ClientId, IdPattern},
};

use super::{
    GEO_JSON, JSON,
    filters::{self, Vicinity},
};
use crate::{
    caller::Caller,
    door::http::{
        limits::{
            BRIEF_CLIENTS_MAX, BRIEF_IDS_MAX, BRIEF_VISITS_MAX, CLIENTS_DEFAULT, CLIENTS_MAX, SEARCH_TIMEOUT,
        },
        media,
        problem::Problem,
        query::Query,
        searches::{NoResult, Searches},
    },
    herd::{Herd, SearchError},
};

const PARAMETERS: [&str; 8] = ["near", "radius_m", "box", "ids", "where", "max_age_s", "limit", "after"];

/// The greatest `max_age_s`: a hundred years.
pub(in crate::door::http) const MAX_AGE_S_MAX: f64 = 3_155_760_000.0;

/// Usual number of bytes of one client in an answer.
const CLIENT_LEN_USUAL: usize = 400;

/// The number of comparisons of IDs that take about as long as one comparison of an attribute.
const IDS_PER_ATTRIBUTE: usize = 16;

/// A search, as the query describes it.
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
    Extension(searches): Extension<Arc<Searches>>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let search = Search::parse(&uri)?;
    let kind = media::accepted(&headers, &[JSON, GEO_JSON])?;
    if search.may_be_brief() {
        match search.run(&herd, &caller, Effort::visits(BRIEF_VISITS_MAX)) {
            Err(SearchError::Unfinished(_)) => {}
            page => return Ok(respond(write(&page?, kind), kind)),
        }
    }
    let asker = caller.clone();
    let searched = searches.run(&asker, move |is_canceled| {
        let page = search.run(&herd, &caller, Effort::until(is_canceled));
        page.map(|page| write(&page, kind))
    });
    let (body, turn) = searched.await?;
    let mut response = respond(body?, kind);
    // The handler of the request drops the turn when the body counts against the buffers.
    response.extensions_mut().insert(turn);
    Ok(response)
}

fn respond(body: Vec<u8>, kind: &'static str) -> Response {
    let mut response = Response::new(Body::from(body));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

impl From<NoResult> for Problem {
    fn from(why: NoResult) -> Problem {
        match why {
            NoResult::Crowded => {
                Problem::unavailable("too many searches for clients wait already; try again later")
            }
            NoResult::TimedOut => Problem::unavailable(format!(
                "the search was not done within {} s, with its wait for other searches; ask for fewer clients, or try \
                 again later",
                SEARCH_TIMEOUT.as_secs()
            )),
            NoResult::Failed => Problem::unavailable("the search failed; the server's log says why"),
        }
    }
}

impl From<SearchError> for Problem {
    fn from(error: SearchError) -> Problem {
        match error {
            SearchError::Denied(denied) => denied.into(),
            SearchError::Unfinished(_) => Problem::unavailable("the search was canceled; try again"),
        }
    }
}

impl Search {
    fn parse(uri: &Uri) -> Result<Search, Problem> {
        let query = Query::of(uri, &PARAMETERS, &["ids"])?;
        let limit = query.whole("limit", 1..=CLIENTS_MAX)?.unwrap_or(CLIENTS_DEFAULT);
        let max_age_s = query.number("max_age_s", 0.0..=MAX_AGE_S_MAX)?;
        Ok(Search {
            place: SearchPlace::parse(&query)?,
            ids: filters::ids(&query)?,
            filter: filters::clause(&query)?,
            max_age_ns: max_age_s.map(|seconds| (seconds * 1e9) as u64),
            limit: Limit::new(limit).expect("the limit is in range"),
            after: after(&query)?,
        })
    }

    /// Whether the search probably looks at few clients: at those with a few IDs, or at those around a point without a
    /// costly filter. The caller's rights are a filter, too, so this is not certain.
    fn may_be_brief(&self) -> bool {
        match self.place {
            SearchPlace::Near { .. } => {
                self.filter.is_none() && self.ids.is_empty() && self.limit.get() <= BRIEF_CLIENTS_MAX
            }
            SearchPlace::Anywhere | SearchPlace::Box(_) => {
                (1..=BRIEF_IDS_MAX).contains(&self.ids.len())
                    && self.ids.iter().all(|pattern| pattern.exact().is_some())
            }
        }
    }

    /// The number of comparisons that the filters make for each client, in addition to those of the list.
    fn comparisons(&self, caller: &Caller) -> usize {
        let scopes = caller.rights.grant().map_or(0, |grant| grant.scopes().iter().count());
        scopes + IDS_PER_ATTRIBUTE * self.filter.as_ref().map_or(0, WhereClause::comparisons)
    }

    fn run(&self, herd: &Herd, caller: &Caller, effort: Effort<'_>) -> Result<ClientPage, SearchError> {
        let now_ns = clock::now_ns();
        let effort = effort.comparing(self.comparisons(caller));
        match self.place {
            SearchPlace::Near { center, radius_m, bounds } => {
                let near = Near { around: Around::Point(center), radius_m, limit: self.limit };
                self.near(herd, caller, now_ns, &near, effort, bounds)
            }
            SearchPlace::Anywhere => self.list(herd, caller, now_ns, effort, None),
            SearchPlace::Box(bounds) => self.list(herd, caller, now_ns, effort, Some(bounds)),
        }
    }

    fn near(
        &self,
        herd: &Herd,
        caller: &Caller,
        now_ns: u64,
        near: &Near<'_>,
        effort: Effort<'_>,
        bounds: Option<Bounds>,
    ) -> Result<ClientPage, SearchError> {
        herd.check_ids(caller, now_ns, &self.ids)?;
        let exact: HashSet<&[u8]> =
            self.ids.iter().filter(|ids| ids.exact().is_some()).map(IdPattern::prefix).collect();
        let prefixes: Vec<&IdPattern> = self.ids.iter().filter(|ids| ids.exact().is_none()).collect();
        let is_named = |id: &[u8]| {
            self.ids.is_empty() || exact.contains(id) || prefixes.iter().any(|ids| ids.matches(id))
        };
        let effort = effort.and_comparing(prefixes.len());
        let wanted = |held: &Update<'_>| {
            is_named(held.record.key) && is_inside(bounds, held) && self.is_wanted(now_ns, held)
        };
        let clients = herd.near(caller, now_ns, near, effort, wanted)?.unwrap_or_default();
        Ok(ClientPage { clients, next: None })
    }

    fn list(
        &self,
        herd: &Herd,
        caller: &Caller,
        now_ns: u64,
        effort: Effort<'_>,
        bounds: Option<Bounds>,
    ) -> Result<ClientPage, SearchError> {
        let after = self.after.as_deref().and_then(ClientId::new);
        let list = List { bounds, ids: &self.ids, after, limit: self.limit };
        herd.list(caller, now_ns, &list, effort, |held| self.is_wanted(now_ns, held))
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
        let bounds = filters::bounds(query)?;
        let Some(Vicinity { center, radius_m }) = filters::vicinity(query)? else {
            return Ok(bounds.map_or(SearchPlace::Anywhere, SearchPlace::Box));
        };
        if query.bytes("after").is_some() {
            return Err(filters::contradiction("`after` can't go with `near`; ask with a greater `limit`"));
        }
        Ok(SearchPlace::Near { center, radius_m, bounds })
    }
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

/// The page in the form of the media type.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_searches_that_are_likely_to_visit_few_clients_are_tried_at_once() {
        let exact = "ids=a&".repeat(BRIEF_IDS_MAX);
        for (query, expected) in [
            ("near=0,0", true),
            ("near=0,0&radius_m=5&max_age_s=1&box=0,0,1,1&limit=100", true),
            ("near=0,0&limit=101", false),
            ("near=0,0&ids=a", false),
            ("near=0,0&where=a%3D1", false),
            (&*exact, true),
            (&*format!("box=0,0,1,1&where=a%3D1&{exact}"), true),
            (&*format!("{exact}ids=a"), false),
            ("ids=a&ids=b*", false),
            ("box=0,0,1,1", false),
            ("", false),
        ] {
            let uri = format!("/v1/clients?{}", query.trim_end_matches('&')).parse().unwrap();
            assert_eq!(Search::parse(&uri).unwrap().may_be_brief(), expected, "{query}");
        }
    }
}
