//! Reports that cannot be true: poor fixes, and jumps that no client can make.
//!
//! Both rules are off by default, and then a report pays for one comparison. A report is *inaccurate* if its attribute
//! `accuracy_m` is a number above [`ReportRules::accuracy_m_max`]. A report is *implausible* if the client needs more
//! than the speed [`ReportRules::speed_mps_max`] to come from the held position in the time between the two reports.
//! The times are those of the reports, whichever clock gave them.
//!
//! The held position may be the wrong one. So implausible reports in a row are compared with each other: if each is
//! newer than the one before and could be reached from it, the third of them is taken. A report that does not fit
//! begins a new row, and a report that is taken ends the row.
//!
//! Rows are kept in [`ROWS_MAX`] places of each shard, which take memory once the first report is refused. A client's
//! place is chosen by a hash that nobody outside can guess. If two clients share a place, the later one begins there
//! anew, and the other's next implausible report counts as its first again. Rows are this server's own: no other server
//! is sent what was refused, so a client that changes servers begins a new row.

use std::num::NonZeroU32;

use super::{Expected, Shard};
use crate::{
    places::Center,
    store::SlotId,
    types::{AttributeValue, Attributes, Body, Coordinates, Record},
};

/// Number of implausible reports that agree with each other, of which the last is taken.
const ROW_LEN: u8 = 3;
/// Number of rows that a shard keeps. When all are in use, a new row replaces another one.
const ROWS_MAX: usize = 4096;

/// The rules for reports. Only the server to which a client reports applies them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReportRules {
    /// The greatest value of the attribute `accuracy_m` that is taken, meters. `None`: any.
    pub accuracy_m_max: Option<NonZeroU32>,
    /// The greatest speed at which a client can have come from the held position, meters a second. `None`: any.
    pub speed_mps_max: Option<NonZeroU32>,
}

impl ReportRules {
    /// Whether a report with these attributes is too inaccurate.
    pub(super) fn is_inaccurate(&self, attributes: Attributes<'_>) -> bool {
        let Some(accuracy_m_max) = self.accuracy_m_max else { return false };
        match attributes.value("accuracy_m") {
            Some(AttributeValue::Number(digits)) => {
                digits.parse::<f64>().is_ok_and(|accuracy_m| accuracy_m > f64::from(accuracy_m_max.get()))
            }
            Some(AttributeValue::Text(_)) | None => false,
        }
    }
}

/// Where a client was, and when.
#[derive(Clone, Copy, Debug)]
struct Point {
    coordinates: Coordinates,
    at_ns: u64,
}

impl Point {
    fn of(record: &Record<'_>) -> Option<Point> {
        let Body::Location { coordinates, .. } = record.body else { return None };
        Some(Point { coordinates, at_ns: record.timestamp.nanos() })
    }

    /// Whether a client that was here can be there at this speed.
    fn reaches(&self, there: &Point, speed_mps: f64) -> bool {
        let degrees =
            |point: &Point| (point.coordinates.latitude().degrees(), point.coordinates.longitude().degrees());
        let ((latitude, longitude), (north, east)) = (degrees(self), degrees(there));
        let distance_m = Center::new(latitude, longitude).separation(north, east).meters();
        let seconds = self.at_ns.abs_diff(there.at_ns) as f64 / 1e9;
        distance_m <= speed_mps * seconds
    }
}

/// Implausible reports of one client that agree with each other.
#[derive(Clone, Copy, Debug)]
struct Row {
    /// The hash of the client's key.
    hash: u64,
    last: Point,
    len: u8,
}

/// The rows of a shard.
#[derive(Debug, Default)]
pub(super) struct Rows {
    /// Empty until the first report is refused.
    places: Box<[Option<Row>]>,
}

impl Rows {
    /// Adds an implausible report to its client's row. Returns whether the report completes the row.
    fn add(&mut self, expected: Expected, point: Point, speed_mps: f64) -> bool {
        if self.places.is_empty() {
            self.places = vec![None; ROWS_MAX].into();
        }
        let hash = expected.hash.bits();
        let place = &mut self.places[expected.table_hash.index(ROWS_MAX)];
        let row = match *place {
            Some(row) if row.hash == hash && point.at_ns <= row.last.at_ns => return false,
            Some(row) if row.hash == hash && row.last.reaches(&point, speed_mps) => {
                Row { last: point, len: row.len + 1, ..row }
            }
            _ => Row { hash, last: point, len: 1 },
        };
        let is_complete = row.len == ROW_LEN;
        *place = (!is_complete).then_some(row);
        is_complete
    }

    /// Ends the row of a client whose report was taken.
    fn end(&mut self, expected: Expected) {
        if let Some(place) = self.places.get_mut(expected.table_hash.index(ROWS_MAX)) {
            place.take_if(|row| row.hash == expected.hash.bits());
        }
    }
}

impl Shard {
    /// Whether a client can have moved from the held record to `record`, which would win, or whether the third report
    /// in a row says so.
    pub(super) fn is_plausible(
        &mut self,
        now_ns: u64,
        held: SlotId,
        record: &Record<'_>,
        expected: Expected,
    ) -> bool {
        let Some(speed_mps_max) = self.settings.report_rules.speed_mps_max else { return true };
        let speed_mps = f64::from(speed_mps_max.get());
        let held = self.store.slot(held).record();
        let shown = Point::of(&held).filter(|_| self.is_shown(now_ns, &held));
        let (Some(from), Some(to)) = (shown, Point::of(record)) else { return true };
        let is_plausible = from.reaches(&to, speed_mps);
        if is_plausible {
            self.rows.end(expected);
        }
        is_plausible || self.rows.add(expected, to, speed_mps)
    }
}
