//! The reports of phone apps: OwnTracks in HTTP mode, Overland, Traccar Client, and OsmAnd's form, which GPSLogger and
//! many trackers send, too.
//!
//! [`take`] handles every such request, at any path. The body tells which app it is, and core's `codec::phones` reads
//! it. The answer to OwnTracks shows the other clients that the caller may read (`friends`). A request of Overland has
//! many reports (`batch`).
//!
//! The invariant: an app that buffers its reports sends a report again until a request succeeds. So a report that can
//! never be taken, such as a late one or a poor fix, is answered like a report that was taken, and is counted by its
//! outcome. A report that may be taken later is answered 429 or 503. Only a request that a person has to correct is
//! answered with another error: an ID is missing, or the token does not suffice.
//!
//! What an operator looks for in the log when points do not arrive is in `notes`.
//!
//! The handler does not know the request's ID, web origins, compression or the limits on bodies.

mod batch;
mod friends;
mod notes;

use std::{borrow::Cow, cell::RefCell, sync::Arc};

use axum::{
    Extension,
    extract::{Request, State},
    http::{HeaderValue, Method, StatusCode, header, request::Parts},
    response::{IntoResponse as _, Response},
};
use proxyherd_config::clock;
use proxyherd_core::{
    codec::{
        json::ReportBody,
        line::without_tokens,
        phones::{Format, PhoneError, form, osmand, owntracks, traccar},
    },
    command::Outcome,
    replica::Offer,
    types::{AttributesBuf, ClientId, Coordinates, Report},
};
use proxyherd_log::LogLevel;

pub(super) use self::{
    friends::FriendSearches,
    notes::{Notes, PhoneLog, PhoneRequest},
};
use super::{
    api::{offer_any, positions_of, refusal, refusal_detail},
    durability,
    problem::Problem,
    request_body, small_json,
};
use crate::{
    caller::Caller,
    herd::{Herd, Positions},
};

/// The headers in which OwnTracks names its user and its device.
const USER: &str = "x-limit-u";
const DEVICE: &str = "x-limit-d";

thread_local! {
    /// The attributes of the report that is being read, in memory that is used again and again.
    static ATTRIBUTES: RefCell<AttributesBuf> = RefCell::default();
}

/// What a phone has sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sent {
    OwnTracks,
    Overland,
    Traccar,
    /// OsmAnd's form, in the query.
    Query,
    /// OsmAnd's form, in the body.
    Form,
    /// Nothing, but as OwnTracks.
    Nothing,
}

impl Sent {
    /// The app or the format, for the log.
    fn label(self) -> &'static str {
        match self {
            Sent::OwnTracks | Sent::Nothing => "OwnTracks",
            Sent::Overland => "Overland",
            Sent::Traccar => "JSON of Traccar Client",
            Sent::Query => "OsmAnd's form in the query",
            Sent::Form => "OsmAnd's form in the body",
        }
    }
}

/// Takes the reports of a phone.
pub(super) async fn take(
    State(herd): State<Arc<Herd>>,
    Extension(caller): Extension<Caller>,
    Extension(searches): Extension<Arc<FriendSearches>>,
    request: Request,
) -> Response {
    let mut notes = Notes::default();
    let mut response = answer(&herd, &caller, &searches, request, &mut notes).await.into_response();
    response.extensions_mut().insert(notes);
    response
}

async fn answer(
    herd: &Arc<Herd>,
    caller: &Caller,
    searches: &FriendSearches,
    request: Request,
    notes: &mut Notes,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let body = match parts.method {
        Method::POST => request_body::whole(body).await?,
        _ => axum::body::Bytes::new(),
    };
    let sent = match parts.method {
        Method::GET => Sent::Query,
        // HEAD must change nothing (RFC 9110, section 9.2.1).
        Method::HEAD => return Ok(StatusCode::OK.into_response()),
        Method::POST => sent(&parts, &body).ok_or_else(|| unknown_body(&body))?,
        _ => return Err(unknown_method()),
    };
    notes.app = Some(sent.label());
    match sent {
        Sent::OwnTracks => {
            let Some(taken) = take_owntracks(herd, caller, &parts, &body, notes)? else {
                return Ok(no_friends());
            };
            durability::wait(herd, taken.positions).await?;
            Ok(friends::answer(herd, caller, searches, taken.client, taken.coordinates).await)
        }
        Sent::Overland => {
            let positions = batch::take(herd, caller, &body, notes)?;
            durability::wait(herd, positions).await?;
            Ok(json("{\"result\":\"ok\"}\n"))
        }
        Sent::Traccar => take_one(herd, caller, notes, |buf| traccar::parse(&body, buf)).await,
        Sent::Form => take_one(herd, caller, notes, |buf| osmand::parse(&body, buf)).await,
        Sent::Query => {
            let query = parts.uri.query().unwrap_or_default().as_bytes();
            take_one(herd, caller, notes, |buf| osmand::parse(query, buf)).await
        }
        Sent::Nothing => Ok(no_friends()),
    }
}

/// What the body of a POST request is. `None`: nothing that a known app sends.
fn sent(parts: &Parts, body: &[u8]) -> Option<Sent> {
    match Format::of(body) {
        Some(Format::OwnTracks) => Some(Sent::OwnTracks),
        Some(Format::Overland) => Some(Sent::Overland),
        Some(Format::Traccar) => Some(Sent::Traccar),
        // An app that sends the form in both places means the query.
        _ if osmand::is_report(parts.uri.query().unwrap_or_default().as_bytes()) => Some(Sent::Query),
        Some(Format::OsmAnd) => Some(Sent::Form),
        None => {
            let is_nothing = body.trim_ascii().is_empty() && parts.headers.contains_key(USER);
            is_nothing.then_some(Sent::Nothing)
        }
    }
}

/// A report that needs no other answer, and the contents that the answer needs.
struct Taken {
    client: Vec<u8>,
    coordinates: Coordinates,
    positions: Positions,
}

/// Takes the report of OwnTracks. `None`: the message is no report.
fn take_owntracks(
    herd: &Herd,
    caller: &Caller,
    parts: &Parts,
    body: &[u8],
    notes: &mut Notes,
) -> Result<Option<Taken>, Problem> {
    ATTRIBUTES.with_borrow_mut(|attributes| {
        let unreadable = |error| count_unreadable(herd, caller, &error);
        let location = match owntracks::parse(body, attributes).map_err(unreadable)? {
            owntracks::Message::Location(location) => location,
            owntracks::Message::Other => return Ok(None),
        };
        let query = parts.uri.query().unwrap_or_default();
        let header = |name| {
            let value = parts.headers.get(name).filter(|value| !value.is_empty());
            value.map(|value| Cow::from(value.as_bytes()))
        };
        let user = header(USER).or_else(|| parameter(query, "u"));
        let device = header(DEVICE).or_else(|| parameter(query, "d"));
        let id = owntracks::client_id(user.as_deref(), device.as_deref(), &location).map_err(unreadable)?;
        let client = ClientId::new(&id).ok_or_else(|| no_client_id(herd, caller, &id))?;
        let coordinates = location.coordinates;
        let report = Report { client, coordinates, stamp: location.stamp, attributes: attributes.borrow() };
        let positions = offer(herd, caller, report, notes)?;
        Ok(Some(Taken { client: id, coordinates, positions }))
    })
}

/// Takes the one report of a request. The answer is empty.
async fn take_one<'b>(
    herd: &Herd,
    caller: &Caller,
    notes: &mut Notes,
    read: impl FnOnce(&mut AttributesBuf) -> Result<Option<ReportBody<'b>>, PhoneError>,
) -> Result<Response, Problem> {
    let positions = ATTRIBUTES.with_borrow_mut(|attributes| {
        let body = read(attributes).map_err(|error| count_unreadable(herd, caller, &error))?;
        // A sign of life without a position.
        let Some(body) = body else { return Ok(Positions::default()) };
        let client = body
            .client()
            .ok_or_else(|| no_client_id(herd, caller, body.id.as_deref().unwrap_or_default()))?;
        offer(herd, caller, body.report(client, attributes.borrow()), notes)
    })?;
    durability::wait(herd, positions).await?;
    Ok(StatusCode::OK.into_response())
}

/// Offers one report to the herd.
fn offer(herd: &Herd, caller: &Caller, report: Report<'_>, notes: &mut Notes) -> Result<Positions, Problem> {
    let offer =
        offer_any(herd, caller, clock::now_ns(), report).inspect_err(|_| notes.note_client(report.client))?;
    let client = offer.report.client;
    match Verdict::of(offer.outcome) {
        Verdict::Done => {
            if !offer.outcome.is_taken() {
                let why = offer.outcome.label();
                let text = format!("a phone's report of the client {client:?} is not taken: {why}");
                notes.not_taken = Some((level_of(offer.outcome), text));
            }
            Ok(positions_of(&offer))
        }
        Verdict::Later | Verdict::Never => {
            notes.note_client(client);
            Err(refused(&offer, caller))
        }
    }
}

/// Whether a phone should send a report again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// No: the report was taken, or it can never be taken, and nobody can do anything about this.
    Done,
    /// Later.
    Later,
    /// Not before a person has corrected something.
    Never,
}

impl Verdict {
    fn of(outcome: Outcome) -> Verdict {
        match outcome {
            Outcome::Added
            | Outcome::Moved
            | Outcome::Stale
            | Outcome::Unmet
            | Outcome::TooSoon
            | Outcome::Inaccurate
            | Outcome::Implausible => Verdict::Done,
            Outcome::Full | Outcome::TooFast => Verdict::Later,
            Outcome::TokenFull | Outcome::Denied => Verdict::Never,
        }
    }
}

/// The answer to a report that was refused and that is not [`Verdict::Done`].
fn refused(offer: &Offer<'_>, caller: &Caller) -> Problem {
    if offer.outcome != Outcome::Denied {
        return refusal(offer.outcome, caller);
    }
    let client = without_tokens(offer.report.client.as_bytes());
    let client = String::from_utf8_lossy(&client);
    let detail = refusal_detail(offer.outcome, caller);
    Problem::new(
        StatusCode::FORBIDDEN,
        format!(
            "{detail}, {client:?}: change the ID in the app to one that the token may report, or make another token, \
             with the scope report:{client}"
        ),
    )
}

/// The log's level for a report that is not taken. Late reports are normal.
fn level_of(outcome: Outcome) -> LogLevel {
    if outcome == Outcome::Stale { LogLevel::Debug } else { LogLevel::Info }
}

/// Counts a report that cannot be read, and returns the answer.
fn count_unreadable(herd: &Herd, caller: &Caller, error: &PhoneError) -> Problem {
    herd.count_unreadable(caller.door);
    unreadable(error)
}

/// The answer to a body that cannot be read.
fn unreadable(error: &PhoneError) -> Problem {
    let status = match error {
        PhoneError::Syntax(_) | PhoneError::NoId(_) => StatusCode::BAD_REQUEST,
        PhoneError::TooMany(_) => StatusCode::PAYLOAD_TOO_LARGE,
        PhoneError::Form(_)
        | PhoneError::Missing(_)
        | PhoneError::Id(..)
        | PhoneError::Coordinate { .. }
        | PhoneError::Time(..)
        | PhoneError::Encrypted => StatusCode::UNPROCESSABLE_ENTITY,
    };
    Problem::new(status, error.to_string())
}

/// The ID cannot be the ID of a client.
fn no_client_id(herd: &Herd, caller: &Caller, id: &[u8]) -> Problem {
    herd.count_unreadable(caller.door);
    let shown: String = String::from_utf8_lossy(&without_tokens(id)).chars().take(40).collect();
    Problem::invalid(format!("{shown:?} is no client ID: change it in the app to one without spaces"))
}

fn unknown_body(body: &[u8]) -> Problem {
    if body.trim_ascii_start().first() == Some(&b'{')
        && let Err(error) = serde_json::from_slice::<serde::de::IgnoredAny>(body)
    {
        return Problem::new(StatusCode::BAD_REQUEST, format!("this is not JSON: {error}"));
    }
    Problem::new(
        StatusCode::NOT_FOUND,
        "there is nothing at this path, and the body is none that a phone app sends: JSON of OwnTracks, Overland or \
         Traccar Client, or a form with id, lat and lon as OsmAnd and GPSLogger send it",
    )
}

fn unknown_method() -> Problem {
    let problem =
        Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this path accepts only GET and POST of phones");
    problem.with(header::ALLOW, HeaderValue::from_static("GET, HEAD, POST, OPTIONS"))
}

/// The decoded value of a parameter of the query.
fn parameter<'q>(query: &'q str, wanted: &str) -> Option<Cow<'q, [u8]>> {
    form::pairs(query.as_bytes()).find(|(name, _)| **name == *wanted.as_bytes()).map(|(_, value)| value)
}

fn no_friends() -> Response {
    json("[]\n")
}

/// An answer. The positions of friends are in it, so no cache may keep it.
fn json(body: impl Into<Vec<u8>>) -> Response {
    small_json::of_bytes(body.into())
}
