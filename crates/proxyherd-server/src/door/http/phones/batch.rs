//! The reports of one request of Overland, which a phone has collected while it had no network.
//!
//! The herd is offered the reports in the order of their times, whatever their order in the body is. So each report is
//! judged by the one before it: the newest wins, and a rule about speed sees the client's path. A report that cannot be
//! read spoils no other.
//!
//! One request needs memory for its reports and for one buffer with all their attributes, and not for each report.

use std::{
    collections::{BTreeMap, HashSet},
    fmt::Write as _,
};

use proxyherd_config::clock;
use proxyherd_core::{
    codec::{
        json::ReportBody,
        phones::{PhoneError, overland::Batch},
    },
    replica::Offer,
    types::{Attributes, AttributesBuf, ClientId, Timestamp},
};
use proxyherd_log::LogLevel;

use super::{ATTRIBUTES, Notes, Verdict, count_unreadable, level_of, refused};
use crate::{
    caller::Caller,
    door::http::{limits::PHONE_REPORTS_MAX, problem::Problem},
    herd::{Herd, Positions},
};

/// A report that could be read.
struct Read<'b> {
    body: ReportBody<'b>,
    /// Where its attributes end in [`Reports::attributes`].
    attributes_end: usize,
}

/// The reports of a request that could be read.
struct Reports<'b> {
    read: Vec<Read<'b>>,
    /// The attributes of all reports, one after the other.
    attributes: Vec<u8>,
    /// The reports that could not be read.
    unread: Unread,
}

/// The reports of a request that could not be read.
#[derive(Debug, Default)]
struct Unread {
    count: usize,
    /// What is wrong with the first of them.
    first: Option<PhoneError>,
}

/// Takes the reports of a request. Returns the positions of those that were taken.
pub(super) fn take(
    herd: &Herd,
    caller: &Caller,
    body: &[u8],
    notes: &mut Notes,
) -> Result<Positions, Problem> {
    let own_id = caller.rights.grant().and_then(|grant| ClientId::new(grant.name().as_bytes()));
    let reports = ATTRIBUTES.with_borrow_mut(|attributes| read(herd, caller, body, own_id, attributes))?;
    let mut offers = reports.offers(own_id);
    notes.not_taken = not_taken(&offers, &reports.unread);
    if offers.is_empty() {
        return Ok(Positions::default());
    }
    herd.wake(herd.report_batch(caller, clock::now_ns(), &mut offers)?);
    let mut positions = Positions::default();
    for offer in &offers {
        positions.note_offer(offer);
    }
    notes.not_taken = not_taken(&offers, &reports.unread);
    check(&offers, caller)?;
    Ok(positions)
}

/// Reads the reports. An error: the body is no batch, or no report could be read and some have an ID that is missing or
/// wrong, so that a person has to correct the ID in the app.
fn read<'b>(
    herd: &Herd,
    caller: &Caller,
    body: &'b [u8],
    own_id: Option<ClientId<'_>>,
    attributes: &mut AttributesBuf,
) -> Result<Reports<'b>, Problem> {
    let unreadable = |error| count_unreadable(herd, caller, &error);
    let mut batch = Batch::read(body, PHONE_REPORTS_MAX).map_err(unreadable)?;
    let mut reports =
        Reports { read: Vec::with_capacity(batch.len()), attributes: Vec::new(), unread: Unread::default() };
    let mut wrong_id = None;
    while let Some(item) = batch.next(attributes) {
        let body = match item.body {
            Ok(body) if body.client().or(own_id).is_some() => body,
            unread => {
                herd.count_unreadable(caller.door);
                let error = unread.err().unwrap_or(NO_ID);
                if matches!(error, PhoneError::NoId(_) | PhoneError::Id(..)) {
                    wrong_id = Some(error.clone());
                }
                reports.unread.count += 1;
                reports.unread.first.get_or_insert(error);
                continue;
            }
        };
        reports.attributes.extend_from_slice(attributes.borrow().as_bytes());
        reports.read.push(Read { body, attributes_end: reports.attributes.len() });
    }
    match wrong_id {
        Some(error) if reports.read.is_empty() => Err(super::unreadable(&error)),
        _ => Ok(reports),
    }
}

/// Number of pairs of a client and a reason that the log names for one batch. It counts the others.
const NAMED_MAX: usize = 8;

const NO_ID: PhoneError = PhoneError::NoId(
    "type a device ID without spaces in the app's settings, or use a token whose name is the ID",
);

impl Reports<'_> {
    /// The reports in the order of their times, the oldest first. A report without a time of its own is the newest.
    fn offers<'r>(&'r self, own_id: Option<ClientId<'r>>) -> Vec<Offer<'r>> {
        let mut attributes_start = 0;
        let offer = |read: &'r Read<'_>| {
            let attributes = &self.attributes[attributes_start..read.attributes_end];
            attributes_start = read.attributes_end;
            let attributes =
                Attributes::from_bytes(attributes).expect("these are the bytes of attributes that were read");
            let client = read.body.client().or(own_id).expect("a report without an ID is not kept");
            Offer::in_batch(read.body.report(client, attributes))
        };
        let mut offers: Vec<Offer<'r>> = self.read.iter().map(offer).collect();
        offers.sort_by_key(|offer| offer.report.stamp.told().map_or(u64::MAX, Timestamp::nanos));
        offers
    }
}

/// Says in the log whose reports are not taken, and why. `None`: all are taken.
fn not_taken(offers: &[Offer<'_>], unread: &Unread) -> Option<(LogLevel, String)> {
    let refused = || offers.iter().filter(|offer| !offer.outcome.is_taken());
    let mut level = refused().map(|offer| level_of(offer.outcome)).find(|&level| level == LogLevel::Info);
    let mut counts: BTreeMap<(&[u8], &str), usize> = BTreeMap::new();
    for offer in refused() {
        *counts.entry((offer.report.client.as_bytes(), offer.outcome.label())).or_default() += 1;
    }
    let len = offers.len() + unread.count;
    let taken = offers.len() - refused().count();
    if taken == len {
        return None;
    }
    let mut text = format!("of the {len} reports of a phone's batch, {taken} are taken");
    for ((client, why), count) in counts.iter().take(NAMED_MAX) {
        let client = ClientId::new(client).expect("these are the bytes of a client's ID");
        let _ = write!(text, "; of the client {client:?}, {count} are not: {why}");
    }
    if let Some(more) = counts.len().checked_sub(NAMED_MAX).filter(|&more| more > 0) {
        let _ = write!(text, "; and reports of {more} further clients or for further reasons");
    }
    if let Some(first) = &unread.first {
        level = Some(LogLevel::Info);
        let _ = write!(text, "; {} cannot be read, the first because: {first}", unread.count);
    }
    Some((level.unwrap_or(LogLevel::Debug), text))
}

/// An error if the phone should send the reports again, or if a person has to correct something. The newest report of
/// each client decides, because the others would be stale if they came again.
fn check(offers: &[Offer<'_>], caller: &Caller) -> Result<(), Problem> {
    let mut seen = HashSet::new();
    let newest = offers.iter().rev().filter(|offer| seen.insert(offer.report.client.as_bytes()));
    let (mut never, mut is_any_done) = (None, false);
    for offer in newest {
        match Verdict::of(offer.outcome) {
            Verdict::Done => is_any_done = true,
            Verdict::Later => return Err(refused(offer, caller)),
            Verdict::Never => never = Some(offer),
        }
    }
    match never {
        // The reports of other clients would never get through behind these.
        Some(_) if is_any_done => Ok(()),
        Some(offer) => Err(refused(offer, caller)),
        None => Ok(()),
    }
}
