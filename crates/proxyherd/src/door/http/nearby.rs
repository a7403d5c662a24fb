//! `/maps/api/place/nearbysearch/json`: Google's Nearby Search (Legacy), answered by this herd.
//!
//! The code is always 200 and the status in the JSON tells how it went, because Google's own clients raise on any
//! other code. `client=ID` in place of `location` asks around where a client of the herd is; the header
//! `X-Proxyherd-Client-At` then holds its AT line, so that the JSON keeps Google's shape.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{HeaderName, HeaderValue, Uri, header},
    response::{IntoResponse, Response},
};
use proxyherd_core::{
    limits::PLACES_MAX,
    places::{Answer, Query, Status},
    types::{ClientId, Radius},
};

use super::{
    cache_status::cache_status,
    parameters::{Around, Question},
};
use crate::{clock, herd::Herd};

const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");
const CLIENT_AT: HeaderName = HeaderName::from_static("x-proxyherd-client-at");

pub(super) async fn nearby(State(herd): State<Arc<Herd>>, uri: Uri) -> Response {
    let asked = Question::read(uri.query().unwrap_or_default()).map_err(|bad| bad.to_string());
    match asked.and_then(|question| located(&herd, question)) {
        Ok(located) => answer(&herd, &located).await,
        Err(message) => json(&Answer::failed(Status::InvalidRequest, message)).into_response(),
    }
}

/// A question whose centre is known.
struct Located {
    query: Query,
    /// The AT line of the client that it is about.
    client_at: Option<Vec<u8>>,
}

async fn answer(herd: &Herd, located: &Located) -> Response {
    let answered = herd.places.ask(&located.query).await;
    let kind = located.query.wish.as_ref().and_then(|wish| wish.kind.as_ref());
    let mut response = match kind.filter(|kind| !herd.places.knows_kind(kind)) {
        Some(kind) => json(&of_unknown_kind(&answered.answer, kind)).into_response(),
        None => json(&answered.answer).into_response(),
    };
    let mut add = |name: HeaderName, value: &[u8]| {
        // An ID with control characters fits no header: then it is left out.
        if let Ok(value) = HeaderValue::from_bytes(value) {
            response.headers_mut().insert(name, value);
        }
    };
    add(CACHE_STATUS, cache_status(&answered).as_bytes());
    if let Some(client_at) = &located.client_at {
        add(CLIENT_AT, client_at.trim_ascii_end());
    }
    response
}

/// Adds to an answer why it has no places: no provider knows their type.
fn of_unknown_kind(answer: &Answer, kind: &str) -> Answer {
    let mut answer = answer.clone();
    answer.info_messages.push(format!("No provider of places here knows the type `{kind}`.").into());
    answer
}

/// Finds out where the question is about; the error says why that is not known.
fn located(herd: &Herd, Question { around, radius_m, wish }: Question) -> Result<Located, String> {
    let (query, client_at) = match around {
        Around::Point(centre) => {
            let query = Query::within(centre, radius_m).expect("a question's radius is in range");
            (query, None)
        }
        Around::Client(id) => {
            let (query, at) = around_client(herd, &id, radius_m)?;
            (query, Some(at))
        }
    };
    Ok(Located { query: query.wishing(wish), client_at })
}

fn around_client(herd: &Herd, id: &[u8], radius_m: f64) -> Result<(Query, Vec<u8>), String> {
    let client = ClientId::new(id).expect("a question's client is a valid ID");
    // The herd counts in micrometres; the smallest circle is one of them.
    let radius =
        Radius::from_micrometres(((radius_m * 1e6) as u64).max(1)).expect("a question's radius is in range");
    let mut at = Vec::new();
    let query = herd.locate(clock::now_ns(), client, radius, &mut at);
    let unknown = || format!("`client` is not known to this herd: {client:?}");
    query.map(|query| (query, at)).ok_or_else(unknown)
}

fn json(answer: &Answer) -> impl IntoResponse + use<> {
    let mut body = Vec::new();
    answer.write_json(PLACES_MAX.into(), &mut body);
    body.push(b'\n');
    ([(header::CONTENT_TYPE, "application/json; charset=utf-8")], body)
}
