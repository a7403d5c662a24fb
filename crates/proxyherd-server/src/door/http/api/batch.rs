//! `/v1/reports`: many reports in one request.
//!
//! The reports are offered to the herd in chunks, and between the chunks other tasks have their turn. A report that is
//! refused spoils no other: the answer counts the reports by their results, and names the refused ones by their index.

use std::sync::Arc;

use arrayvec::ArrayVec;
use axum::{
    Extension,
    body::Body,
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header},
    response::Response,
};
use proxyherd_config::clock;
use proxyherd_core::{
    codec::json::{self, Batch, BatchError, BatchForm, ReportBody, ReportError},
    command::Outcome,
    flood::Wake,
    limits::BATCH_LEN_MAX,
    replica::Offer,
    types::AttributesBuf,
};

use super::{GEO_JSON, JSON, report};
use crate::{
    caller::Caller,
    door::http::{
        durability,
        limits::{BATCH_ERRORS_MAX, BATCH_REPORTS_MAX},
        media,
        problem::Problem,
        query::Query,
        request_body,
    },
    herd::{Denied, Herd, Positions},
};

/// The media type of JSON objects with a newline after each.
const NDJSON: &str = "application/x-ndjson";
/// Number of reports after which other tasks have their turn.
const TURN_REPORTS: usize = 1024;

/// Takes many reports.
pub(in crate::door::http) async fn post_reports(
    State(herd): State<Arc<Herd>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    Query::of(&parts.uri, &[], &[])?;
    let kind = media::of_body(&parts.headers, &[NDJSON, JSON, GEO_JSON])?;
    let form = match kind {
        NDJSON => BatchForm::Lines,
        _ => BatchForm::Json,
    };
    let body = request_body::whole(body).await?;
    if kind == GEO_JSON && body.trim_ascii_start().first() != Some(&b'{') {
        return Err(unreadable(&not_geo_json(&body)));
    }
    let mut batch = Batch::read(&body, form, BATCH_REPORTS_MAX).map_err(|error| unreadable(&error))?;
    let mut tally = Tally::default();
    let mut scratch = Scratch::default();
    let mut since_turn = 0;
    while let Some(len) = take_chunk(&herd, &caller, &mut batch, &mut scratch, &mut tally)
        // The reports of earlier chunks go on their way, even if the caller has lost its rights since.
        .inspect_err(|_| herd.wake(std::mem::take(&mut tally.wake)))?
    {
        since_turn += len;
        if since_turn >= TURN_REPORTS {
            since_turn = 0;
            herd.wake(std::mem::take(&mut tally.wake));
            tokio::task::yield_now().await;
        }
    }
    herd.wake(std::mem::take(&mut tally.wake));
    durability::wait(&herd, tally.positions).await?;
    let mut response = Response::new(Body::from(tally.answer()));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(JSON));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// The attributes of the reports of one chunk, in memory that all chunks of a batch use.
struct Scratch(Vec<AttributesBuf>);

impl Default for Scratch {
    fn default() -> Scratch {
        Scratch((0..BATCH_LEN_MAX).map(|_| AttributesBuf::default()).collect())
    }
}

/// The results so far.
#[derive(Default)]
struct Tally {
    accepted: u64,
    stale: u64,
    refused: u64,
    /// The listed errors, as the elements of a JSON array, in the order of the reports.
    errors: Vec<u8>,
    errors_len: usize,
    positions: Positions,
    wake: Wake,
}

/// Reads the next reports and offers them to the herd. Returns how many items were read. `None`: there are no more.
fn take_chunk(
    herd: &Herd,
    caller: &Caller,
    batch: &mut Batch<'_>,
    scratch: &mut Scratch,
    tally: &mut Tally,
) -> Result<Option<usize>, Denied> {
    let mut read: ArrayVec<(usize, ReportBody<'_>), BATCH_LEN_MAX> = ArrayVec::new();
    let mut unreadable: Vec<(usize, ReportError)> = Vec::new();
    let mut items = 0;
    while !read.is_full() && items < TURN_REPORTS {
        let Some(item) = batch.next(&mut scratch.0[read.len()]) else { break };
        items += 1;
        match item.body {
            Ok(body) => read.push((item.index, body)),
            Err(error) => {
                herd.count_unreadable(caller.door);
                unreadable.push((item.index, error));
            }
        }
    }
    if items == 0 {
        return Ok(None);
    }
    let mut offers: ArrayVec<Offer<'_>, BATCH_LEN_MAX> = ArrayVec::new();
    for ((_, body), attributes) in read.iter().zip(&scratch.0) {
        let client = body.client().expect("an item of a batch has an ID");
        offers.push(Offer::new(body.report(client, attributes.borrow())));
    }
    let wake = herd.report(caller, clock::now_ns(), &mut offers)?;
    tally.wake = std::mem::take(&mut tally.wake).and(wake);
    let mut unreadable = unreadable.iter().peekable();
    for (offer, (index, _)) in offers.iter().zip(&read) {
        while let Some((earlier, error)) = unreadable.next_if(|(other, _)| other < index) {
            tally.refuse(*earlier, &error.to_string());
        }
        tally.add(*index, offer, caller);
    }
    unreadable.for_each(|(index, error)| tally.refuse(*index, &error.to_string()));
    Ok(Some(items))
}

impl Tally {
    fn add(&mut self, index: usize, offer: &Offer<'_>, caller: &Caller) {
        match offer.outcome {
            Outcome::Added | Outcome::Moved => self.accepted += 1,
            Outcome::Stale => self.stale += 1,
            refused => self.refuse(index, &report::refusal_detail(refused, caller)),
        }
        self.positions.note_offer(offer);
    }

    fn refuse(&mut self, index: usize, detail: &str) {
        self.refused += 1;
        if self.errors_len == BATCH_ERRORS_MAX {
            return;
        }
        let comma = if self.errors_len > 0 { "," } else { "" };
        self.errors_len += 1;
        self.errors.extend_from_slice(format!("{comma}{{\"index\":{index},\"detail\":").as_bytes());
        json::write_string(&mut self.errors, detail);
        self.errors.push(b'}');
    }

    fn answer(self) -> Vec<u8> {
        let Tally { accepted, stale, refused, errors, .. } = self;
        let mut answer =
            format!("{{\"accepted\":{accepted},\"stale\":{stale},\"refused\":{refused},\"errors\":[")
                .into_bytes();
        answer.extend_from_slice(&errors);
        answer.extend_from_slice(b"]}\n");
        answer
    }
}

/// Why a body that is no JSON object is no FeatureCollection.
fn not_geo_json(body: &[u8]) -> BatchError {
    match serde_json::from_slice::<serde::de::IgnoredAny>(body) {
        Ok(_) => BatchError::NotBatch,
        Err(error) => BatchError::Syntax(error.to_string()),
    }
}

fn unreadable(error: &BatchError) -> Problem {
    let status = match error {
        BatchError::Syntax(_) | BatchError::Several => StatusCode::BAD_REQUEST,
        BatchError::NotBatch => StatusCode::UNPROCESSABLE_ENTITY,
        BatchError::TooMany(_) => StatusCode::PAYLOAD_TOO_LARGE,
    };
    Problem::new(status, error.to_string())
}
