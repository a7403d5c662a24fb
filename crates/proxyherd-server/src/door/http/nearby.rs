//! `/maps/api/place/nearbysearch/json`: the herd's answer to Google's Nearby Search (Legacy).
//!
//! The HTTP status code is 200 for every request that the caller may make. `status` in the JSON says whether the
//! request succeeded. Google's client libraries raise an error at any other code. `client=ID` in place of `location`
//! requests places around a client of the herd. The header X-Proxyherd-Client-At then holds that client's AT line, so
//! the JSON keeps Google's structure.

use std::sync::Arc;

use axum::{
    Extension,
    extract::State,
    http::{HeaderName, HeaderValue, Uri, header},
    response::{IntoResponse, Response},
};
use proxyherd_config::clock;
use proxyherd_core::{
    codec::line,
    command::{self, Nearby},
    limits::PLACES_MAX,
    places::{Answer, AnswerStatus},
    types::{ClientId, Radius},
};

use super::{
    cache_status::cache_status,
    parameters::{NearbyRequest, SearchCenter},
};
use crate::{
    caller::Caller,
    herd::{Denied, Herd, Whereabouts},
    places::{Answered, Looked},
};

const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");
const CLIENT_AT: HeaderName = HeaderName::from_static("x-proxyherd-client-at");

pub(super) async fn nearby(
    State(herd): State<Arc<Herd>>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
) -> Result<Response, Denied> {
    Ok(match NearbyRequest::parse(uri.query().unwrap_or_default()) {
        Ok(request) => match answer(&herd, &caller, &request).await {
            // Google's clients know this status.
            Err(fast @ Denied::TooFast) => failed(AnswerStatus::OverQueryLimit, fast.to_string()),
            answered => answered?,
        },
        Err(wrong) => invalid(wrong.to_string()),
    })
}

async fn answer(herd: &Herd, caller: &Caller, request: &NearbyRequest) -> Result<Response, Denied> {
    let asked = Nearby {
        around: match &request.center {
            SearchCenter::Point(point) => command::Around::Point(*point),
            SearchCenter::Client(id) => command::Around::Client(client_of(id)),
        },
        radius: radius_of(request.radius_m),
        limit: PLACES_MAX,
        wish: Some(&request.wish),
    };
    let kind = request.wish.kind.as_deref();
    Ok(match look(herd, caller, clock::now_ns(), &asked).await? {
        Some(found) => found.into_response(herd, PLACES_MAX, kind),
        None => invalid(unknown_center(&request.center)),
    })
}

/// The answer to a question about places, and where the client in the middle is.
pub(super) struct FoundPlaces {
    answered: Answered,
    /// The AT line of the client in the middle, if a client is in the middle.
    client_at: Option<Vec<u8>>,
    /// The value of Cache-Status. It shows that somebody has asked around the same place before, so with tokens on it
    /// is only for callers who may operate the herd.
    cache_status: Option<String>,
}

/// Asks the herd, and waits for the answer. `None`: the client in the middle is not known.
pub(super) async fn look(
    herd: &Herd,
    caller: &Caller,
    now_ns: u64,
    asked: &Nearby<'_>,
) -> Result<Option<FoundPlaces>, Denied> {
    let mut client_at = None;
    let answered = match herd.nearby(caller, now_ns, asked, |found| client_at = Some(at_line(found)))? {
        Some(Looked::AtHand(answered)) => answered,
        Some(Looked::Waits(question)) => question.answered().await,
        None => return Ok(None),
    };
    let cache_status = caller.rights.may_operate(now_ns).then(|| cache_status(&answered));
    Ok(Some(FoundPlaces { answered, client_at, cache_status }))
}

impl FoundPlaces {
    /// The response with at most `limit` places. If no provider knows the `kind` of places, the response says so.
    pub(super) fn into_response(self, herd: &Herd, limit: u8, kind: Option<&str>) -> Response {
        let FoundPlaces { answered, client_at, cache_status } = self;
        let mut response = match kind.filter(|kind| !herd.knows_kind_of_places(kind)) {
            Some(kind) => json(&of_unknown_kind(&answered.answer, kind), limit).into_response(),
            None => json(&answered.answer, limit).into_response(),
        };
        let mut add = |name: HeaderName, value: &[u8]| {
            // A header can't hold an ID with control characters, so the response to such an ID has no header.
            if let Ok(value) = HeaderValue::from_bytes(value) {
                response.headers_mut().insert(name, value);
            }
        };
        if let Some(cache_status) = cache_status {
            add(CACHE_STATUS, cache_status.as_bytes());
        }
        if let Some(client_at) = client_at {
            add(CLIENT_AT, client_at.trim_ascii_end());
        }
        response
    }
}

/// The answer to a request that has no valid token.
pub(super) fn denied(message: &'static str) -> Response {
    json(&Answer::failed(AnswerStatus::RequestDenied, message), PLACES_MAX).into_response()
}

fn invalid(message: String) -> Response {
    failed(AnswerStatus::InvalidRequest, message)
}

fn failed(status: AnswerStatus, message: String) -> Response {
    json(&Answer::failed(status, message), PLACES_MAX).into_response()
}

/// The reason why the search has no center.
fn unknown_center(center: &SearchCenter) -> String {
    match center {
        SearchCenter::Client(id) => format!("`client` is not known to this herd: {:?}", client_of(id)),
        SearchCenter::Point(_) => "`location` is nowhere".to_owned(),
    }
}

fn client_of(id: &[u8]) -> ClientId<'_> {
    ClientId::new(id).expect("parameters hold valid IDs only")
}

/// The radius in the herd's unit, micrometers. At least one micrometer.
pub(super) fn radius_of(radius_m: f64) -> Radius {
    let micrometers = ((radius_m * 1e6).round() as u64).max(1);
    Radius::from_micrometers(micrometers).expect("parameters hold radii in range only")
}

/// The AT line of a client.
fn at_line(found: &Whereabouts<'_>) -> Vec<u8> {
    let mut line = Vec::new();
    let &Whereabouts { client, coordinates, timestamp, difference, server, .. } = found;
    line::write_at(&mut line, server, difference, client, coordinates, timestamp);
    line
}

/// An empty answer that gives the reason: no provider knows this type.
fn of_unknown_kind(answer: &Answer, kind: &str) -> Answer {
    let mut answer = answer.clone();
    answer.info_messages.push(format!("No provider of places here knows the type `{kind}`.").into());
    answer
}

fn json(answer: &Answer, limit: u8) -> impl IntoResponse + use<> {
    let mut body = Vec::new();
    answer.write_json(limit.into(), &mut body);
    body.push(b'\n');
    ([(header::CONTENT_TYPE, "application/json; charset=utf-8")], body)
}
