//! OsmAnd's form: one position as the parameters of a query, or as a form in the body.

use super::PhoneError;
use crate::{codec::json::ReportBody, types::AttributesBuf};

/// Whether a query is a report of this form: it has a parameter `id` or `deviceid`.
pub fn is_report(query: &[u8]) -> bool {
    let _ = query;
    false
}

/// Reads a report from a query or from a form, which have the same encoding. The report has an ID. Its attributes are
/// in `attributes` afterwards. The buffer is cleared first. Parameters without a meaning here are skipped, so a token
/// in the query is no attribute.
///
/// `None`: there is an ID but no position, as in a heartbeat of Traccar Client 10, so there is nothing to report. It is
/// answered like a report, because the app sends it again otherwise.
pub fn parse<'q>(
    pairs: &'q [u8],
    attributes: &mut AttributesBuf,
) -> Result<Option<ReportBody<'q>>, PhoneError> {
    attributes.clear();
    let _ = pairs;
    Err(PhoneError::NoId("add `id=` with the client's ID to the URL"))
}
