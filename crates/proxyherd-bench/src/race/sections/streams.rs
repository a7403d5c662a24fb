//! How much a thousand live streams lower the rate of reports. Only proxyherd has streams.

use anyhow::Result;

use super::Course;
use crate::race::field::OURS;
use crate::streams::rate::shares;

pub(super) fn measure(course: &mut Course<'_>) -> Result<()> {
    if !course.field.has_ours() {
        course.results.remark("streams-share", "proxyherd did not take part.");
        return Ok(());
    }
    course.show(|| "rates with a thousand streams and without".to_owned());
    for share in shares(course.lengths.rounds, course.field.program())? {
        let place = 2 * usize::from(share.depth > 1) + usize::from(share.is_occupied);
        course.add("streams-share", OURS, place as f64, share.round, share.share)?;
    }
    Ok(())
}
