//! The JSON of one report. It never arrives in pieces, so the check cuts nothing.

use proxyherd_core::{
    codec::json::{ReportBody, parse_report, write_client},
    command::Whereabouts,
    types::{Attributes, AttributesBuf, Difference, ServerName, Stamp, Timestamp},
};

use crate::memory::bounded;

/// The time of reports that have none.
const NOW: &[u8] = b"1621464828.223371889";
/// The client of reports that name none.
const NOBODY: &[u8] = b"nobody";

/// A report that was read can be written as a client, and is the same report when that is read.
pub fn check(input: &[u8]) {
    let mut attributes = AttributesBuf::default();
    let read = bounded(input.len(), 8, 4096, || parse_report(input, &mut attributes));
    let Ok(body) = read else { return };
    check_attributes(attributes.borrow());
    let server = ServerName::new("Riley").expect("this is a name");
    let mut text = Vec::new();
    let client = whereabouts(&body, attributes.borrow(), &server);
    write_client(&mut text, &client, Some(1.5));
    let mut again = AttributesBuf::default();
    let answer = parse_report(&text, &mut again).expect("what was written can be read");
    assert_eq!(answer.id.as_deref(), Some(client.client));
    assert_eq!(answer.coordinates, body.coordinates);
    assert!(again.borrow().iter().eq(attributes.borrow().iter()));
    assert!(is_same_time(answer.stamp, client.timestamp));
}

/// The client whose report this is.
pub(crate) fn whereabouts<'a>(
    body: &'a ReportBody<'_>,
    attributes: Attributes<'a>,
    server: &'a ServerName,
) -> Whereabouts<'a> {
    let now = Timestamp::parse(NOW).expect("this is a time");
    let timestamp = body.stamp.told().unwrap_or(now);
    Whereabouts {
        client: body.id.as_deref().unwrap_or(NOBODY),
        coordinates: body.coordinates,
        attributes,
        timestamp,
        difference: Difference::at_receipt(now.nanos(), timestamp),
        server,
    }
}

/// Attributes that were read are a valid encoding.
pub(crate) fn check_attributes(attributes: Attributes<'_>) {
    assert_eq!(Attributes::from_bytes(attributes.as_bytes()), Ok(attributes));
}

/// Whether a time was kept with the digits of its fraction. Leading zeros of POSIX seconds are not kept.
fn is_same_time(stamp: Stamp, time: Timestamp) -> bool {
    let fraction_digits = |time: Timestamp| time.shape() & 0b1111;
    stamp
        .told()
        .is_some_and(|told| (told.nanos(), fraction_digits(told)) == (time.nanos(), fraction_digits(time)))
}
