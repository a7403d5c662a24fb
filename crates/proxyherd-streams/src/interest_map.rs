//! Which clients any stream may want: the [`Interest`] of the follower that serves streams.
//!
//! A shard asks the map under its lock, for each change, before it queues the change. So the map is quick and takes no
//! lock: it is one table of counters, which threads read while others change them. The map may want too much, and never
//! too little: it wants every client that the filter of a stream in the map matches.
//!
//! Each filter is in the map by one part, the one that probably rejects most clients: exact IDs, then a place, then
//! prefixes of IDs. A filter that has none of these wants everything. A place is in the map by the cells of a grid that
//! the place's box touches. Grids halve from level to level, and a filter takes the finest level at which it touches
//! at most [`CELLS_MAX`] cells. Cells, IDs and prefixes share the table, by their hashes. Each has two counters, as in
//! a Bloom filter. If others have counted both, the map wants more than the streams.
//!
//! The head of `flood::interest` says why the order of reads and writes does not matter. Changes of the map itself must
//! not run at the same time.

use std::sync::{
    OnceLock,
    atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
};

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::StreamFilter;
use proxyherd_core::{
    command::Bounds,
    flood::Interest,
    limits::CLIENT_ID_LEN_MAX,
    types::{Body, Coordinates, IdPattern, Kind, Record},
};

/// The number of counters, a power of two. They take a megabyte, and their bits 32 KiB.
const COUNTERS: usize = 1 << 18;
/// Maximum number of cells of a filter.
const CELLS_MAX: u64 = 6;
/// The number of levels. A cell of level `l` is 360 / 2^l degrees wide and half as high; those of the last level are
/// about 20 meters high.
const LEVELS: u32 = 21;
/// The number of words that hold a bit for each length of a prefix.
const LENGTH_WORDS: usize = CLIENT_ID_LEN_MAX / 64 + 1;

/// Which clients any stream may want.
#[derive(Debug)]
pub struct InterestMap {
    seed: u64,
    /// The number of filters that want everything.
    everything: AtomicU32,
    /// The number of exact IDs.
    exact: AtomicU32,
    /// The number of filters at each level ...
    at_level: [AtomicU32; LEVELS as usize],
    /// ... and the levels that have any, one bit each.
    levels: AtomicU64,
    /// The number of prefixes of each length ...
    of_length: Box<[AtomicU32]>,
    /// ... and the lengths that have any, one bit each.
    lengths: [AtomicU64; LENGTH_WORDS],
    /// The counters of cells, IDs and prefixes. There are none before the first filter.
    counters: OnceLock<Counters>,
}

/// The table of counters. Readers need to know only which counters are not zero. The bits say that, in memory that
/// stays in a processor's cache.
#[derive(Debug)]
struct Counters {
    counts: Box<[AtomicU32]>,
    /// A bit for each counter: whether it is not zero.
    bits: Box<[AtomicU64]>,
}

/// How a filter is in the map.
enum Part<'a> {
    Exact(&'a [IdPattern]),
    Cells(u32, &'a Bounds),
    Prefixes(&'a [IdPattern]),
    Everything,
}

impl InterestMap {
    /// A map that wants nothing. Whoever knows the seed can choose IDs that share counters.
    pub fn new(seed: u64) -> InterestMap {
        InterestMap {
            seed,
            everything: AtomicU32::new(0),
            exact: AtomicU32::new(0),
            at_level: Default::default(),
            levels: AtomicU64::new(0),
            of_length: zeros(CLIENT_ID_LEN_MAX + 1),
            lengths: Default::default(),
            counters: OnceLock::new(),
        }
    }

    /// Wants what this filter matches, until the same filter is removed.
    pub fn add(&self, filter: &StreamFilter) {
        self.change(filter, 1);
    }

    /// Removes a filter that was added.
    pub fn remove(&self, filter: &StreamFilter) {
        self.change(filter, u32::MAX);
    }

    /// Wants everything, until [`InterestMap::remove_everything`].
    pub fn add_everything(&self) {
        count(&self.everything, 1);
    }

    /// Takes back [`InterestMap::add_everything`].
    pub fn remove_everything(&self) {
        count(&self.everything, u32::MAX);
    }

    fn change(&self, filter: &StreamFilter, by: u32) {
        let bounds = filter.bounds_of();
        match part_of(filter, bounds.as_ref()) {
            Part::Exact(ids) => ids.iter().for_each(|id| {
                count(&self.exact, by);
                self.count(self.hash_of(id.prefix(), EXACT), by);
            }),
            Part::Cells(level, bounds) => {
                for_each_cell(level, bounds, |cell| {
                    self.count(self.hash_of_cell(cell), by);
                });
                let is_any = count(&self.at_level[level as usize], by) > 0;
                set_bit(&self.levels, level, is_any);
            }
            Part::Prefixes(prefixes) => prefixes.iter().for_each(|prefix| {
                let prefix = prefix.prefix();
                self.count(self.hash_of(prefix, PREFIX), by);
                let is_any = count(&self.of_length[prefix.len()], by) > 0;
                set_bit(&self.lengths[prefix.len() / 64], prefix.len() as u32 % 64, is_any);
            }),
            Part::Everything => {
                count(&self.everything, by);
            }
        }
    }

    /// Whether a stream may want the client with this ID at this position. `None`: the client has no position.
    #[inline]
    pub fn wants_client(&self, client: &[u8], at: Option<Coordinates>) -> bool {
        self.everything.load(Relaxed) > 0
            || at.is_some_and(|at| self.wants_place(at))
            || self.exact.load(Relaxed) > 0 && self.is_counted(self.hash_of(client, EXACT))
            || self.wants_prefix_of(client)
    }

    fn wants_place(&self, at: Coordinates) -> bool {
        let mut levels = self.levels.load(Relaxed);
        if levels == 0 {
            return false;
        }
        let (row, column) = (row(at.latitude().degrees()), column(at.longitude().degrees()));
        while levels != 0 {
            let level = levels.trailing_zeros();
            levels &= levels - 1;
            if self.is_counted(self.hash_of_cell(cell_at(level, row, column))) {
                return true;
            }
        }
        false
    }

    fn wants_prefix_of(&self, client: &[u8]) -> bool {
        (0u32..).zip(&self.lengths).any(|(place, lengths)| {
            let mut lengths = lengths.load(Relaxed);
            while lengths != 0 {
                let len = place * 64 + lengths.trailing_zeros();
                lengths &= lengths - 1;
                let prefix = client.get(..len as usize);
                if prefix.is_some_and(|prefix| self.is_counted(self.hash_of(prefix, PREFIX))) {
                    return true;
                }
            }
            false
        })
    }

    #[inline]
    fn is_counted(&self, hash: u64) -> bool {
        self.counters.get().is_some_and(|counters| places(hash).iter().all(|&at| counters.is_set(at)))
    }

    fn count(&self, hash: u64, by: u32) {
        let counters = self.counters.get_or_init(Counters::new);
        places(hash).iter().for_each(|&at| counters.count(at, by));
    }

    fn hash_of(&self, id: &[u8], kind: u64) -> u64 {
        xxh3_64_with_seed(id, self.seed ^ kind)
    }

    fn hash_of_cell(&self, cell: u64) -> u64 {
        self.hash_of(&cell.to_le_bytes(), CELL)
    }
}

impl Counters {
    fn new() -> Counters {
        Counters { counts: zeros(COUNTERS), bits: (0..COUNTERS / 64).map(|_| AtomicU64::new(0)).collect() }
    }

    #[inline]
    fn is_set(&self, at: usize) -> bool {
        self.bits[at / 64].load(Relaxed) & 1 << (at % 64) != 0
    }

    fn count(&self, at: usize, by: u32) {
        let is_any = count(&self.counts[at], by) > 0;
        set_bit(&self.bits[at / 64], at as u32 % 64, is_any);
    }
}

impl Interest for InterestMap {
    #[inline]
    fn wants(&self, record: &Record<'_>) -> bool {
        let at = match record.body {
            Body::Location { coordinates, .. } => Some(coordinates),
            Body::Gone | Body::Data { .. } => None,
        };
        record.kind == Kind::CLIENT && self.wants_client(record.key, at)
    }
}

/// Separates the hashes of exact IDs, of prefixes and of cells.
const EXACT: u64 = 0;
const PREFIX: u64 = 1;
const CELL: u64 = 2;

/// The two counters of a hash.
#[inline]
fn places(hash: u64) -> [usize; 2] {
    [hash as usize % COUNTERS, (hash >> 32) as usize % COUNTERS]
}

fn part_of<'a>(filter: &'a StreamFilter, bounds: Option<&'a Bounds>) -> Part<'a> {
    let StreamFilter { ids, readable, .. } = filter;
    let is_exact = |patterns: &[IdPattern]| {
        !patterns.is_empty() && patterns.iter().all(|pattern| pattern.exact().is_some())
    };
    if let Some(exact) = [ids, readable].into_iter().find(|patterns| is_exact(patterns)) {
        return Part::Exact(exact);
    }
    if let Some((level, bounds)) = bounds.and_then(|bounds| Some((finest(bounds)?, bounds))) {
        return Part::Cells(level, bounds);
    }
    // Here an exact ID among prefixes counts as a prefix.
    let has_no_all =
        |patterns: &[IdPattern]| !patterns.is_empty() && patterns.iter().all(|ids| !ids.prefix().is_empty());
    match [ids, readable].into_iter().find(|patterns| has_no_all(patterns)) {
        Some(patterns) => Part::Prefixes(patterns),
        None => Part::Everything,
    }
}

fn zeros(len: usize) -> Box<[AtomicU32]> {
    (0..len).map(|_| AtomicU32::new(0)).collect()
}

/// Adds to a counter; adding `u32::MAX` subtracts one. Returns the sum.
fn count(counter: &AtomicU32, by: u32) -> u32 {
    counter.fetch_add(by, Relaxed).wrapping_add(by)
}

fn set_bit(word: &AtomicU64, bit: u32, is_set: bool) {
    match is_set {
        true => word.fetch_or(1 << bit, Relaxed),
        false => word.fetch_and(!(1 << bit), Relaxed),
    };
}

/// The finest level, except the first, at which a box touches few enough cells. `None`: there is none.
fn finest(bounds: &Bounds) -> Option<u32> {
    (1..LEVELS).rev().find(|&level| {
        let mut cells = 0;
        for_each_range(level, bounds, |rows, columns| {
            cells += (u64::from(rows.1 - rows.0) + 1) * (u64::from(columns.1 - columns.0) + 1);
        });
        cells <= CELLS_MAX
    })
}

/// Calls `visit` with the rows and columns of a level that the box touches: once for each of its ranges of longitudes.
fn for_each_range(level: u32, bounds: &Bounds, mut visit: impl FnMut((u32, u32), (u32, u32))) {
    let at = |fixed: u32| fixed >> (32 - level);
    let (south, north) = bounds.latitudes();
    let [one, other] = bounds.longitudes();
    let rows = (at(row(south)), at(row(north)));
    visit(rows, (at(column(one.0)), at(column(one.1))));
    if one != other {
        visit(rows, (at(column(other.0)), at(column(other.1))));
    }
}

fn for_each_cell(level: u32, bounds: &Bounds, mut visit: impl FnMut(u64)) {
    for_each_range(level, bounds, |rows, columns| {
        for row in rows.0..=rows.1 {
            (columns.0..=columns.1).for_each(|column| visit(pack(level, row, column)));
        }
    });
}

/// The latitude as a part of all latitudes, in units of 2^-32. The last unit contains the pole.
#[inline]
fn row(latitude: f64) -> u32 {
    ((latitude + 90.0) * (4_294_967_296.0 / 180.0)) as u32
}

/// The longitude, like [`row`].
#[inline]
fn column(longitude: f64) -> u32 {
    ((longitude + 180.0) * (4_294_967_296.0 / 360.0)) as u32
}

#[inline]
fn cell_at(level: u32, row: u32, column: u32) -> u64 {
    pack(level, row >> (32 - level), column >> (32 - level))
}

#[inline]
fn pack(level: u32, row: u32, column: u32) -> u64 {
    u64::from(level) << 48 | u64::from(row) << 24 | u64::from(column)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use proxyherd_core::{places::Point, types::Attributes};

    fn filter() -> impl Strategy<Value = StreamFilter> {
        let ids = prop::collection::vec("[ab]{1,3}\\*?|\\*", 0..3);
        let readable = prop::collection::vec("[ab]{1,2}\\*?", 0..2);
        let size = prop_oneof![Just(0.001), Just(0.1), Just(5.0), Just(100.0)];
        let bounds = prop::option::of((-90.0..90.0, -180.0..180.0, size.clone()));
        let circle = prop::option::of((-90.0..90.0, -180.0..180.0, size));
        (ids, readable, bounds, circle).prop_map(|(ids, readable, bounds, circle)| {
            let patterns = |texts: Vec<String>| {
                texts.iter().filter_map(|text| IdPattern::parse(text.as_bytes())).collect()
            };
            let wrapped = |degrees: f64| if degrees > 180.0 { degrees - 360.0 } else { degrees };
            let bounds = bounds.and_then(|(south, west, size): (f64, f64, f64)| {
                Bounds::new(south, west, (south + size).min(90.0), wrapped(west + size))
            });
            let circle = circle.and_then(|(latitude, longitude, size)| {
                Some((Point::new(latitude, longitude)?, size * 50_000.0))
            });
            let (ids, readable) = (patterns(ids), patterns(readable));
            StreamFilter { ids, readable, bounds, circle, ..StreamFilter::default() }
        })
    }

    /// Points near a filter's place, and anywhere.
    fn near(filter: &StreamFilter, shift: (f64, f64)) -> Option<Coordinates> {
        let bounds = filter.bounds_of()?;
        let (south, north) = bounds.latitudes();
        let [(west, east), _] = bounds.longitudes();
        let latitude = south + (north - south) * shift.0;
        let longitude = west + (east - west) * shift.1;
        coordinates(latitude, longitude)
    }

    fn coordinates(latitude: f64, longitude: f64) -> Option<Coordinates> {
        Coordinates::parse(format!("{latitude:+.9}{longitude:+.9}").as_bytes())
    }

    proptest! {
        #[test]
        fn the_map_wants_what_a_filter_matches_and_nothing_when_all_filters_are_removed(
            filters in prop::collection::vec(filter(), 1..8),
            clients in prop::collection::vec(("[ab]{1,4}", 0.0..1.0, 0.0..1.0), 1..20),
        ) {
            let map = InterestMap::new(7);
            filters.iter().for_each(|filter| map.add(filter));
            let mut points = Vec::new();
            for (id, one, other) in &clients {
                let anywhere = coordinates(180.0 * one - 90.0, 360.0 * other - 180.0);
                points.extend(anywhere.map(|at| (id, at)));
                points.extend(filters.iter().filter_map(|filter| Some((id, near(filter, (*one, *other))?))));
            }
            for (id, at) in &points {
                let is_wanted = |filter: &StreamFilter| filter.matches(id.as_bytes(), *at, Attributes::NONE);
                let is_matched = filters.iter().any(is_wanted);
                prop_assert!(!is_matched || map.wants_client(id.as_bytes(), Some(*at)), "{} at {:?}", id, at);
            }
            filters.iter().for_each(|filter| map.remove(filter));
            for (id, at) in &points {
                prop_assert!(!map.wants_client(id.as_bytes(), Some(*at)));
            }
        }
    }

    #[test]
    fn a_thousand_small_boxes_want_little_else() {
        let map = InterestMap::new(1);
        let place = |number: u64| {
            let mixed = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
            let part = |bits: u64| f64::from(bits as u32) / f64::from(u32::MAX);
            (160.0 * part(mixed >> 32) - 80.0, 350.0 * part(mixed) - 175.0)
        };
        for (latitude, longitude) in (0..1000).map(place) {
            let bounds = Bounds::new(latitude, longitude, latitude + 0.1, longitude + 0.1);
            map.add(&StreamFilter { bounds, ..StreamFilter::default() });
        }
        let is_wanted =
            |&(latitude, longitude): &(f64, f64)| map.wants_client(b"kiwi", coordinates(latitude, longitude));
        let wanted = (1_000_000..1_010_000).map(place).filter(is_wanted).count();
        assert!(wanted < 200, "{wanted} of 10,000 clients somewhere else");
    }
}
