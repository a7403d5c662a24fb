//! The JSON of Traccar Client: one position in a request, `{"location":{…},"device_id":"…"}`.

use super::PhoneError;
use crate::{codec::json::ReportBody, types::AttributesBuf};

/// Reads a report, which has an ID. Its attributes are in `attributes` afterwards. The buffer is cleared first.
pub fn parse<'j>(json: &'j [u8], attributes: &mut AttributesBuf) -> Result<ReportBody<'j>, PhoneError> {
    attributes.clear();
    let _ = json;
    Err(PhoneError::Missing("location"))
}
