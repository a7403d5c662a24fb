//! The reports of one request of Overland, which a phone has collected while it had no network.
//!
//! The herd is offered the reports in the order of their times, whatever their order in the body is. So each report is
//! judged by the one before it: the newest wins, and a rule about speed sees the client's path. A report that cannot be
//! read spoils no other.
//!
//! One request needs memory for its reports and for one buffer with all their attributes, and not for each report.

use std::collections::HashSet;

use proxyherd_config::clock;
use proxyherd_core::{
    codec::{
        json::ReportBody,
        phones::{PhoneError, overland::Batch},
    },
    replica::Offer,
    types::{Attributes, AttributesBuf, ClientId, Timestamp},
};

use super::{ATTRIBUTES, Verdict, count_unreadable, log, refused};
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
}

/// Takes the reports of a request. Returns the positions of those that were taken.
pub(super) fn take(herd: &Herd, caller: &Caller, body: &[u8]) -> Result<Positions, Problem> {
    let own_id = caller.rights.grant().and_then(|grant| ClientId::new(grant.name().as_bytes()));
    let reports = ATTRIBUTES.with_borrow_mut(|attributes| read(herd, caller, body, own_id, attributes))?;
    let mut offers = reports.offers(own_id);
    if offers.is_empty() {
        return Ok(Positions::default());
    }
    herd.wake(herd.report_batch(caller, clock::now_ns(), &mut offers)?);
    let mut positions = Positions::default();
    let mut taken = 0;
    for offer in &offers {
        positions.note_offer(offer);
        taken += usize::from(offer.position().is_some());
    }
    let len = offers.len();
    log(herd, caller, format_args!("a phone's batch has {len} reports that can be read; {taken} are taken"));
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
    let mut reports = Reports { read: Vec::with_capacity(batch.len()), attributes: Vec::new() };
    let mut wrong_id = None;
    while let Some(item) = batch.next(attributes) {
        let body = match item.body {
            Ok(body) if body.client().or(own_id).is_some() => body,
            unread => {
                herd.count_unreadable(caller.door);
                match unread {
                    Ok(_) => wrong_id = Some(NO_ID),
                    Err(error @ PhoneError::Id(..)) => wrong_id = Some(error),
                    Err(_) => {}
                }
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
