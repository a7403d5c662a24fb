//! An index over the filters of many streams. It finds the streams that a changed client may interest, so the cost of a
//! change depends on the streams that match, and not on the number of streams.
//!
//! Each stream is in one part of the index, by the part of its filter that usually rejects most clients:
//!
//! - Filters that name every client by its exact ID are in no part: the streams have an entry for each of these clients
//!   (`clients`).
//! - A place: the filter is in all cells of a grid that its box touches. There is a grid for each of several widths.
//!   The filter takes the finest grid in which its box touches at most [`CELLS_MAX`] cells.
//! - Prefixes of IDs: the filter is in a table, under each of its prefixes. A lookup tries each length that any prefix
//!   has.
//! - Everything else is in a list that every change visits ([`UNINDEXED_STREAMS_MAX`] bounds it).
//!
//! The index finds too many streams, and never too few: the caller applies the filters of what it finds.
//!
//! [`UNINDEXED_STREAMS_MAX`]: crate::limits::UNINDEXED_STREAMS_MAX

use std::ops::ControlFlow;

use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::{filter::StreamFilter, matcher::Matcher};
use proxyherd_core::{
    command::Bounds,
    types::{Coordinates, IdPattern},
};

/// Maximum number of cells of one filter.
const CELLS_MAX: u64 = 16;
/// The number of grids. The cells of grid 0 are 22.5 degrees wide, and those of each further grid a quarter of that:
/// the cells of the finest grid are about 150 meters wide. All cells around a pole are few enough for one filter, and
/// the cells of a large continent are too many.
const GRIDS: usize = 8;
const WIDEST_DEGREES: f64 = 22.5;
/// The number of rows of grid 0. A grid has twice as many columns as rows.
const ROWS_OF_WIDEST: u64 = 8;

/// The streams of one prefix.
#[derive(Debug)]
struct OfPrefix {
    prefix: Box<[u8]>,
    streams: Vec<u32>,
}

/// The streams of one cell.
#[derive(Debug)]
struct OfCell {
    cell: u64,
    streams: Vec<u32>,
}

/// The index.
#[derive(Debug)]
pub(super) struct FilterIndex {
    cells: HashTable<OfCell>,
    /// For each grid, the number of filters in it.
    grids: [u32; GRIDS],
    prefixes: HashTable<OfPrefix>,
    /// The lengths of prefixes, and the number of prefixes of that length.
    lengths: Vec<(usize, u32)>,
    rest: Vec<u32>,
    seed: u64,
}

/// The part of the index in which a filter is.
pub(super) enum Part<'a> {
    /// In no part: every client is named.
    Named,
    Cells(usize, &'a Bounds),
    Prefixes,
    Rest,
}

impl<'a> Part<'a> {
    pub(super) fn of(matcher: &'a Matcher) -> Part<'a> {
        Part::with(matcher.names_all(), matcher.patterns(), matcher.bounds())
    }

    fn with(names_all: bool, patterns: &[IdPattern], bounds: Option<&'a Bounds>) -> Part<'a> {
        if names_all {
            return Part::Named;
        }
        let grid = bounds.and_then(|bounds| Some((finest(bounds)?, bounds)));
        let has_prefixes = || patterns.iter().all(|pattern| !pattern.prefix().is_empty());
        match grid {
            Some((grid, bounds)) => Part::Cells(grid, bounds),
            None if !patterns.is_empty() && has_prefixes() => Part::Prefixes,
            None => Part::Rest,
        }
    }
}

impl StreamFilter {
    /// Whether each change of any client must be compared with the filter: it names neither IDs nor prefixes of IDs,
    /// and no place or one of the size of a continent
    /// ([`UNINDEXED_STREAMS_MAX`](crate::limits::UNINDEXED_STREAMS_MAX)).
    pub fn is_wide(&self) -> bool {
        let patterns = self.patterns();
        let names_all = !patterns.is_empty() && patterns.iter().all(|pattern| pattern.exact().is_some());
        matches!(Part::with(names_all, patterns, self.bounds_of().as_ref()), Part::Rest)
    }
}

impl FilterIndex {
    /// An empty index. Whoever knows `seed` can choose prefixes that collide.
    pub(super) fn new(seed: u64) -> FilterIndex {
        FilterIndex {
            cells: HashTable::new(),
            grids: [0; GRIDS],
            prefixes: HashTable::new(),
            lengths: Vec::new(),
            rest: Vec::new(),
            seed,
        }
    }

    pub(super) fn add(&mut self, stream: u32, matcher: &Matcher) {
        match Part::of(matcher) {
            Part::Named => {}
            Part::Cells(grid, bounds) => {
                self.grids[grid] += 1;
                for_each_cell(grid, bounds, |cell| self.add_to_cell(cell, stream));
            }
            Part::Prefixes => prefixes(matcher).for_each(|prefix| self.add_to_prefix(prefix, stream)),
            Part::Rest => self.rest.push(stream),
        }
    }

    /// Removes a stream that was added with this filter.
    pub(super) fn remove(&mut self, stream: u32, matcher: &Matcher) {
        match Part::of(matcher) {
            Part::Named => {}
            Part::Cells(grid, bounds) => {
                self.grids[grid] -= 1;
                for_each_cell(grid, bounds, |cell| self.remove_from_cell(cell, stream));
            }
            Part::Prefixes => prefixes(matcher).for_each(|prefix| self.remove_from_prefix(prefix, stream)),
            Part::Rest => take_out(&mut self.rest, stream),
        }
    }

    /// Calls `visit` with the streams that may want a client with this ID at this position, until `visit` breaks.
    /// Without a position: the streams that may want it wherever it is. A stream may be visited more than once.
    #[inline]
    pub(super) fn visit(
        &self,
        client: &[u8],
        at: Option<Coordinates>,
        mut visit: impl FnMut(u32) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        self.rest.iter().try_for_each(|&stream| visit(stream))?;
        if let Some(at) = at.filter(|_| !self.cells.is_empty()) {
            let (latitude, longitude) = (at.latitude().degrees(), at.longitude().degrees());
            for grid in (0..GRIDS).filter(|&grid| self.grids[grid] > 0) {
                let cell = cell_at(grid, row(grid, latitude), column(grid, longitude));
                let found = self.cells.find(spread(cell), |of_cell| of_cell.cell == cell);
                found.into_iter().flat_map(|found| &found.streams).try_for_each(|&stream| visit(stream))?;
            }
        }
        for &(len, _) in &self.lengths {
            let Some(prefix) = client.get(..len) else { continue };
            let found = self.prefixes.find(self.hash(prefix), |of_prefix| *of_prefix.prefix == *prefix);
            found.into_iter().flat_map(|found| &found.streams).try_for_each(|&stream| visit(stream))?;
        }
        ControlFlow::Continue(())
    }

    fn add_to_cell(&mut self, cell: u64, stream: u32) {
        let entry =
            self.cells.entry(spread(cell), |of_cell| of_cell.cell == cell, |of_cell| spread(of_cell.cell));
        let mut entry = entry.or_insert_with(|| OfCell { cell, streams: Vec::with_capacity(1) });
        entry.get_mut().streams.push(stream);
    }

    fn remove_from_cell(&mut self, cell: u64, stream: u32) {
        let entry = self.cells.find_entry(spread(cell), |of_cell| of_cell.cell == cell);
        let mut entry = entry.expect("a stream is in all cells to which it was added");
        take_out(&mut entry.get_mut().streams, stream);
        if entry.get().streams.is_empty() {
            entry.remove();
        }
    }

    fn add_to_prefix(&mut self, prefix: &[u8], stream: u32) {
        let (hash, seed) = (self.hash(prefix), self.seed);
        if let Some(found) = self.prefixes.find_mut(hash, |of_prefix| *of_prefix.prefix == *prefix) {
            return found.streams.push(stream);
        }
        let of_prefix = OfPrefix { prefix: prefix.into(), streams: vec![stream] };
        self.prefixes.insert_unique(hash, of_prefix, |held| xxh3_64_with_seed(&held.prefix, seed));
        match self.lengths.iter_mut().find(|(len, _)| *len == prefix.len()) {
            Some((_, count)) => *count += 1,
            None => self.lengths.push((prefix.len(), 1)),
        }
    }

    fn remove_from_prefix(&mut self, prefix: &[u8], stream: u32) {
        let entry = self.prefixes.find_entry(self.hash(prefix), |of_prefix| *of_prefix.prefix == *prefix);
        let mut entry = entry.expect("a stream is under all prefixes to which it was added");
        take_out(&mut entry.get_mut().streams, stream);
        if entry.get().streams.is_empty() {
            entry.remove();
            let place = self.lengths.iter().position(|(len, _)| *len == prefix.len());
            let place = place.expect("each prefix has its length counted");
            self.lengths[place].1 -= 1;
            if self.lengths[place].1 == 0 {
                self.lengths.swap_remove(place);
            }
        }
    }

    #[inline]
    fn hash(&self, prefix: &[u8]) -> u64 {
        xxh3_64_with_seed(prefix, self.seed)
    }
}

/// The prefixes of a filter. Exact IDs are prefixes here: the index may find too many streams.
fn prefixes(matcher: &Matcher) -> impl Iterator<Item = &[u8]> {
    matcher.patterns().iter().map(IdPattern::prefix)
}

fn take_out(streams: &mut Vec<u32>, stream: u32) {
    let place = streams.iter().position(|held| *held == stream).expect("the stream was added");
    streams.swap_remove(place);
    if streams.capacity() > 64 && streams.len() < streams.capacity() / 4 {
        streams.shrink_to(streams.len() * 2);
    }
}

/// The finest grid in which a box touches few enough cells. `None`: it touches too many in all grids.
fn finest(bounds: &Bounds) -> Option<usize> {
    (0..GRIDS).rev().find(|&grid| {
        let mut cells = 0;
        for_each_range(grid, bounds, |rows, columns| cells += count(rows) * count(columns));
        cells <= CELLS_MAX
    })
}

fn count((first, last): (u64, u64)) -> u64 {
    last - first + 1
}

/// Calls `visit` with the rows and columns of a grid that the box touches, once or twice.
fn for_each_range(grid: usize, bounds: &Bounds, mut visit: impl FnMut((u64, u64), (u64, u64))) {
    let (south, north) = bounds.latitudes();
    let rows = (row(grid, south), row(grid, north));
    let [one, other] = bounds.longitudes();
    visit(rows, (column(grid, one.0), column(grid, one.1)));
    if one != other {
        // The ranges of a box that nearly goes around the Earth can share cells.
        let last_of_other = column(grid, other.1).min(column(grid, one.0).saturating_sub(1));
        visit(rows, (column(grid, other.0), last_of_other));
    }
}

fn for_each_cell(grid: usize, bounds: &Bounds, mut visit: impl FnMut(u64)) {
    for_each_range(grid, bounds, |rows, columns| {
        for row in rows.0..=rows.1 {
            (columns.0..=columns.1).for_each(|column| visit(cell_at(grid, row, column)));
        }
    });
}

#[inline]
fn width(grid: usize) -> f64 {
    WIDEST_DEGREES / (1u64 << (2 * grid)) as f64
}

/// The row of a latitude. The pole is in the last row.
#[inline]
fn row(grid: usize, latitude: f64) -> u64 {
    (((latitude + 90.0) / width(grid)) as u64).min((ROWS_OF_WIDEST << (2 * grid)) - 1)
}

/// The column of a longitude. 180 degrees is in the last column.
#[inline]
fn column(grid: usize, longitude: f64) -> u64 {
    (((longitude + 180.0) / width(grid)) as u64).min((ROWS_OF_WIDEST << (2 * grid + 1)) - 1)
}

#[inline]
fn cell_at(grid: usize, row: u64, column: u64) -> u64 {
    (grid as u64) << 56 | row << 28 | column
}

#[inline]
fn spread(cell: u64) -> u64 {
    let mixed = cell.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed ^ mixed >> 32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Polygon;
    use proxyherd_core::places::Point;

    fn of_box(south: f64, west: f64, north: f64, east: f64) -> StreamFilter {
        StreamFilter { bounds: Bounds::new(south, west, north, east), ..StreamFilter::default() }
    }

    fn of_circle(latitude: f64, longitude: f64, radius_m: f64) -> StreamFilter {
        let circle = Point::new(latitude, longitude).map(|center| (center, radius_m));
        StreamFilter { circle, ..StreamFilter::default() }
    }

    #[test]
    fn an_area_of_the_whole_earth_or_a_large_continent_is_wide_and_a_smaller_one_is_not() {
        let ring = vec![(-80.0, -170.0), (80.0, -170.0), (80.0, 0.0), (80.0, 170.0), (-80.0, 170.0)];
        let ring = [ring, vec![(-80.0, 0.0), (-80.0, -170.0)]].concat();
        let polygon = Polygon::new(vec![ring]).unwrap();
        let wide = [
            StreamFilter::default(),
            of_box(-90.0, -180.0, 90.0, 180.0),
            of_box(-90.0, 0.0, 90.0, 180.0),
            of_box(0.0, 20.0, 80.0, 150.0),
            of_circle(0.0, 0.0, 1e8),
            of_circle(90.0, 0.0, 1e7),
            StreamFilter { polygon: Some(polygon), ..StreamFilter::default() },
        ];
        let narrow = [
            of_box(35.0, -10.0, 60.0, 30.0),
            of_box(-10.0, 175.0, 10.0, -175.0),
            of_circle(34.0, -118.0, 1000.0),
            of_circle(90.0, 0.0, 1000.0),
            of_circle(-90.0, 0.0, 1000.0),
        ];
        for (filters, is_wide) in [(&wide[..], true), (&narrow[..], false)] {
            for filter in filters {
                assert_eq!(filter.is_wide(), is_wide, "{filter:?}");
                let is_rest = matches!(Part::of(&Matcher::new(filter.clone())), Part::Rest);
                assert_eq!(is_rest, is_wide, "{filter:?}");
            }
        }
        for (ids, is_wide) in [("kiwi", false), ("k*", false), ("*", true)] {
            let ids = IdPattern::parse(ids.as_bytes()).into_iter().collect();
            assert_eq!(StreamFilter { ids, ..of_circle(0.0, 0.0, 1e8) }.is_wide(), is_wide);
        }
    }
}
