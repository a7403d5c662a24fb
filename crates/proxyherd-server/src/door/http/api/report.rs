//! `/v1/clients/{id}/location`: one report of a client.
//!
//! A report passes here with two allocations of its own: the response's body and the list of its headers.

use std::{borrow::Cow, cell::RefCell, sync::Arc};

use axum::{
    Extension,
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header},
    response::Response,
};
use proxyherd_config::clock;
use proxyherd_core::{
    codec::json::{self, ReportError},
    command::{Outcome, Whereabouts},
    limits::CLIENT_ID_LEN_MAX,
    replica::Offer,
    types::{AttributesBuf, Report},
};

use super::{JSON, client_id::PathId};
use crate::{
    caller::Caller,
    door::http::{durability, media, problem::Problem, query::Query, request_body},
    herd::{Denied, Herd, Positions},
};

/// Length of most answers, bytes.
const ANSWER_LEN: usize = 512;

thread_local! {
    /// The attributes of the report that is being read, in memory that is used again and again.
    static ATTRIBUTES: RefCell<AttributesBuf> = RefCell::default();
}

/// Takes the report of one client. The answer is the report as the herd shows it, and whether it is the newest.
pub(in crate::door::http) async fn put_location(
    State(herd): State<Arc<Herd>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let id = PathId::of(&parts.uri)?;
    Query::of(&parts.uri, &[], &[])?;
    media::of_body(&parts.headers, &[JSON])?;
    let body = request_body::whole(body).await?;
    let Taken { answer, positions } =
        ATTRIBUTES.with_borrow_mut(|attributes| take(&herd, &caller, &id, &body, attributes))?;
    durability::wait(&herd, positions).await?;
    let mut response = Response::new(Body::from(answer));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(JSON));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// A report that the herd has taken, or that was not newer than what the herd holds.
struct Taken {
    answer: Vec<u8>,
    positions: Positions,
}

fn take(
    herd: &Herd,
    caller: &Caller,
    id: &PathId<'_>,
    body: &Bytes,
    attributes: &mut AttributesBuf,
) -> Result<Taken, Problem> {
    let client = id.client();
    let read = json::parse_report(body, attributes).map_err(|error| {
        herd.count_unreadable(caller.door);
        unreadable(&error)
    })?;
    if read.client().is_some_and(|named| named != client) {
        herd.count_unreadable(caller.door);
        let detail = "`id` is not the client of the path; leave `id` out";
        return Err(Problem::new(StatusCode::CONFLICT, detail));
    }
    let now_ns = clock::now_ns();
    let (offer, result) = offer(herd, caller, now_ns, read.report(client, attributes.borrow()))?;
    let (timestamp, difference) = offer.times(now_ns).ok_or_else(no_time)?;
    let report = offer.report;
    let shown = Whereabouts {
        client: client.as_bytes(),
        coordinates: report.coordinates,
        attributes: report.attributes,
        timestamp,
        difference,
        server: herd.name(),
    };
    let mut answer = Vec::with_capacity(ANSWER_LEN);
    json::write_client(&mut answer, &shown, None);
    // The result is one more member of the object that ends here.
    answer.pop();
    answer.extend_from_slice(b",\"result\":\"");
    answer.extend_from_slice(result.as_bytes());
    answer.extend_from_slice(b"\"}\n");
    Ok(Taken { answer, positions: positions_of(&offer) })
}

/// Offers one report to the herd. Returns the offer and its result in a word: the report was taken, or was not newer
/// than what the herd holds.
pub(in crate::door::http) fn offer<'a>(
    herd: &Herd,
    caller: &Caller,
    now_ns: u64,
    report: Report<'a>,
) -> Result<(Offer<'a>, &'static str), Problem> {
    let offer = offer_any(herd, caller, now_ns, report)?;
    match offer.outcome {
        Outcome::Added | Outcome::Moved => Ok((offer, "accepted")),
        Outcome::Stale => Ok((offer, "stale")),
        refused => Err(refusal(refused, caller)),
    }
}

/// Offers one report to the herd. The offer that is returned has the outcome, which may be a refusal.
pub(in crate::door::http) fn offer_any<'a>(
    herd: &Herd,
    caller: &Caller,
    now_ns: u64,
    report: Report<'a>,
) -> Result<Offer<'a>, Denied> {
    let mut offers = [Offer::new(report)];
    herd.wake(herd.report(caller, now_ns, &mut offers)?);
    let [offer] = offers;
    Ok(offer)
}

/// What must be durable before the report is acknowledged.
pub(in crate::door::http) fn positions_of(offer: &Offer<'_>) -> Positions {
    let mut positions = Positions::default();
    positions.note_offer(offer);
    positions
}

/// 400 for a text that is no JSON, 422 for a text that is no report.
pub(super) fn unreadable(error: &ReportError) -> Problem {
    let status = if error.is_syntax() { StatusCode::BAD_REQUEST } else { StatusCode::UNPROCESSABLE_ENTITY };
    Problem::new(status, error.to_string())
}

/// Why the herd has refused a report that could be read.
pub(in crate::door::http) fn refusal(outcome: Outcome, caller: &Caller) -> Problem {
    let detail = refusal_detail(outcome, caller);
    match outcome {
        Outcome::Full => Problem::unavailable(detail),
        Outcome::TooSoon | Outcome::TooFast => {
            Problem::new(StatusCode::TOO_MANY_REQUESTS, detail).retry_after(1)
        }
        Outcome::Denied | Outcome::TokenFull => Problem::new(StatusCode::FORBIDDEN, detail),
        Outcome::Added
        | Outcome::Moved
        | Outcome::Stale
        | Outcome::Unmet
        | Outcome::Inaccurate
        | Outcome::Implausible => Problem::invalid(detail),
    }
}

/// The text that says why the herd has refused a report.
pub(in crate::door::http) fn refusal_detail(outcome: Outcome, caller: &Caller) -> Cow<'static, str> {
    let detail = match outcome {
        Outcome::TokenFull => {
            let clients_max = caller.rights.grant().map_or(0, |grant| grant.clients_max());
            let detail = format!(
                "this token has added as many clients as it may at this server, {clients_max}; it may still report \
                 clients that the herd knows"
            );
            return detail.into();
        }
        Outcome::Full => "this server has no room for another client; the operator sets `max_clients`",
        Outcome::TooSoon => "the report came too soon after the client's last report; report less often",
        Outcome::TooFast => "this token has reported more in this second than it may; report less often",
        Outcome::Denied => "this caller may not report this client",
        Outcome::Inaccurate => {
            "`accuracy_m` is greater than this server takes; the operator sets `accuracy_m_max`"
        }
        Outcome::Implausible => {
            "the client cannot have come here from its last position so fast; if three such reports in a row agree with \
             each other, the third is taken; the operator sets `speed_mps_max`"
        }
        Outcome::Added | Outcome::Moved | Outcome::Stale | Outcome::Unmet => "the report was not taken",
    };
    detail.into()
}

/// The server's clock shows a time that a report cannot have.
pub(super) fn no_time() -> Problem {
    Problem::unavailable("the clock of this server shows no time that a report can have; give `time`")
}

const _: () = assert!(
    CLIENT_ID_LEN_MAX * 6 + 1024 < crate::door::http::limits::REPORT_LEN_MAX,
    "each valid report fits, even if each byte of its ID is escaped"
);
