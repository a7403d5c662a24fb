//! `/maps/api/place/nearbysearch/json`: Google's Nearby Search (Legacy), answered by this herd.
//!
//! The code is always 200 and the status in the JSON tells how it went, because Google's own clients raise on any
//! other code. `client=ID` in place of `location` asks around where a client of the herd is; the header
//! `X-Proxyherd-Client-At` then holds its AT line, so that the JSON keeps Google's shape.

use std::sync::Arc;

use axum::{
    Extension,
    extract::State,
    http::{HeaderName, HeaderValue, Uri, header},
    response::{IntoResponse, Response},
};
use proxyherd_core::{
    codec::line,
    command::{self, Nearby},
    limits::PLACES_MAX,
    places::{Answer, Status},
    types::{ClientId, Radius},
};

use super::{
    cache_status::cache_status,
    parameters::{Around, Question},
};
use crate::{
    caller::Caller,
    clock,
    herd::{Denied, Herd, Whereabouts},
    places::Looked,
};

const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");
const CLIENT_AT: HeaderName = HeaderName::from_static("x-proxyherd-client-at");

pub(super) async fn nearby(
    State(herd): State<Arc<Herd>>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
) -> Result<Response, Denied> {
    Ok(match Question::read(uri.query().unwrap_or_default()) {
        Ok(question) => answer(&herd, &caller, &question).await?,
        Err(bad) => invalid(bad.to_string()),
    })
}

async fn answer(herd: &Herd, caller: &Caller, question: &Question) -> Result<Response, Denied> {
    let mut client_at = None;
    let nearby = Nearby {
        around: match &question.around {
            Around::Point(point) => command::Around::Point(*point),
            Around::Client(id) => command::Around::Client(client_of(id)),
        },
        radius: radius_of(question.radius_m),
        limit: PLACES_MAX,
        wish: Some(&question.wish),
    };
    let found = herd.nearby(caller, clock::now_ns(), &nearby, |found| client_at = Some(at_line(found)))?;
    let answered = match found {
        Some(Looked::AtHand(answered)) => answered,
        Some(Looked::Waits(question)) => question.answered().await,
        None => return Ok(invalid(nowhere(&question.around))),
    };
    let kind = question.wish.kind.as_ref();
    let mut response = match kind.filter(|kind| !herd.knows_kind_of_places(kind)) {
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
    if let Some(client_at) = client_at {
        add(CLIENT_AT, client_at.trim_ascii_end());
    }
    Ok(response)
}

fn invalid(message: String) -> Response {
    json(&Answer::failed(Status::InvalidRequest, message)).into_response()
}

/// Why a circle has no middle.
fn nowhere(around: &Around) -> String {
    match around {
        Around::Client(id) => format!("`client` is not known to this herd: {:?}", client_of(id)),
        Around::Point(_) => "`location` is nowhere".to_owned(),
    }
}

fn client_of(id: &[u8]) -> ClientId<'_> {
    ClientId::new(id).expect("a question's client is a valid ID")
}

/// The herd counts in micrometers; the smallest circle is one of them.
fn radius_of(radius_m: f64) -> Radius {
    let micrometers = ((radius_m * 1e6).round() as u64).max(1);
    Radius::from_micrometers(micrometers).expect("a question's radius is in range")
}

/// The AT line of a client.
fn at_line(found: &Whereabouts<'_>) -> Vec<u8> {
    let mut line = Vec::new();
    let &Whereabouts { client, coordinates, timestamp, difference, server, .. } = found;
    line::write_at(&mut line, server, difference, client, coordinates, timestamp);
    line
}

/// Adds to an answer why it has no places: no provider knows their type.
fn of_unknown_kind(answer: &Answer, kind: &str) -> Answer {
    let mut answer = answer.clone();
    answer.info_messages.push(format!("No provider of places here knows the type `{kind}`.").into());
    answer
}

fn json(answer: &Answer) -> impl IntoResponse + use<> {
    let mut body = Vec::new();
    answer.write_json(PLACES_MAX.into(), &mut body);
    body.push(b'\n');
    ([(header::CONTENT_TYPE, "application/json; charset=utf-8")], body)
}
