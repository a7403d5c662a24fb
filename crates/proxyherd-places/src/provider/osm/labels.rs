//! The labels of a map: the most prominent places in a box.
//!
//! The data has no information about prominence, so kinds of places have ranks: an airport before a museum, a museum
//! before a restaurant. A box that touches more than [`LABEL_BLOCKS_MAX`] blocks has no labels: a map of so large an
//! area shows cities, which this provider does not have. The directory, which is in memory, tells this at once. This
//! module does not know where blocks come from.

use std::borrow::Cow;
use std::sync::Arc;

use proxyherd_core::command::Bounds;
use proxyherd_core::places::{Label, Point, Prominence};

use super::index::{Directory, IndexBlock, UNITS_PER_DEGREE, band_of, degrees};
use super::limits::LABEL_BLOCKS_MAX;
use super::tags::KINDS;

/// The ranks of kinds of places. A greater rank is more prominent.
static RANKS: [(u8, &[&str]); 7] = [
    (100, &["airport"]),
    (90, &["university", "stadium", "zoo", "amusement_park", "hospital"]),
    (80, &["train_station", "museum", "tourist_attraction", "aquarium", "casino"]),
    (70, &["park", "shopping_mall", "city_hall", "subway_station", "light_rail_station", "cemetery"]),
    (
        60,
        &["library", "movie_theater", "department_store", "courthouse", "local_government_office", "embassy"],
    ),
    (
        50,
        &[
            "lodging",
            "campground",
            "school",
            "church",
            "mosque",
            "synagogue",
            "hindu_temple",
            "place_of_worship",
        ],
    ),
    (40, &["restaurant", "cafe", "bar", "supermarket", "pharmacy", "post_office", "gas_station", "bank"]),
];
/// The rank of a kind that is not in the table.
const RANK_OTHERS: u8 = 30;
/// The rank of stops, of which each street has several, and of places of which nothing is known.
const RANK_LOWEST: u8 = 10;

/// The blocks that a box touches. `None`: they are too many for labels.
pub(super) fn blocks_of(directory: &Directory, bounds: &Bounds) -> Option<Vec<u32>> {
    let (south, north) = bounds.latitudes();
    let mut blocks = Vec::new();
    for band in band_of(floor_units(south))..=band_of(floor_units(north)) {
        let numbers = directory.band(band);
        if numbers.is_empty() {
            continue;
        }
        let before = blocks.len();
        for (west, east) in bounds.longitudes() {
            let (west, east) = (floor_units(west), floor_units(east).saturating_add(1));
            let touching = numbers.clone().skip_while(|&number| directory.entry(number).east < west);
            for number in touching.take_while(|&number| directory.entry(number).west <= east) {
                if !blocks[before..].contains(&number) {
                    blocks.push(number);
                }
                if blocks.len() > LABEL_BLOCKS_MAX {
                    return None;
                }
            }
        }
    }
    Some(blocks)
}

/// The labels of the most prominent places of these blocks that are in the box. There may be more than `most`: all
/// places of the least rank that has room.
pub(super) fn of_blocks(blocks: &[Arc<IndexBlock>], bounds: &Bounds, most: usize) -> Vec<Label> {
    let mut ranked: Vec<(u8, &IndexBlock, usize)> = Vec::new();
    let mut counts = [0; u8::MAX as usize + 1];
    for block in blocks {
        for (at, point) in block.points().iter().enumerate() {
            if bounds.contains(degrees(point.latitude), degrees(point.longitude)) {
                let rank = rank(kind_of(block, at));
                counts[usize::from(rank)] += 1;
                ranked.push((rank, block, at));
            }
        }
    }
    let least = least_rank(&counts, most);
    let kept = ranked.into_iter().filter(|(rank, ..)| *rank >= least);
    kept.map(|(rank, block, at)| label(rank, block, at)).collect()
}

/// The least rank of which some places are among the `most` most prominent ones.
fn least_rank(counts: &[usize], most: usize) -> u8 {
    let mut taken = 0;
    for (rank, count) in counts.iter().enumerate().rev() {
        taken += count;
        if taken >= most {
            return rank as u8;
        }
    }
    0
}

/// The leading kind of a place.
fn kind_of(block: &IndexBlock, at: usize) -> &'static str {
    let first = block.record(at).kinds.first().copied();
    first.and_then(|kind| KINDS.get(usize::from(kind))).copied().unwrap_or("establishment")
}

fn rank(kind: &str) -> u8 {
    match kind {
        "bus_station" | "transit_station" | "point_of_interest" | "establishment" | "parking" | "atm" => {
            RANK_LOWEST
        }
        _ => RANKS.iter().find(|(_, kinds)| kinds.contains(&kind)).map_or(RANK_OTHERS, |(rank, _)| *rank),
    }
}

fn label(rank: u8, block: &IndexBlock, at: usize) -> Label {
    let point = block.points()[at];
    Label {
        name: block.record(at).name.to_owned().into(),
        location: Point::new(degrees(point.latitude), degrees(point.longitude))
            .expect("a block is read only if all of its points are on Earth"),
        kind: Cow::Borrowed(kind_of(block, at)),
        prominence: Prominence::Destination(rank),
    }
}

fn floor_units(degrees: f64) -> i32 {
    (degrees * UNITS_PER_DEGREE).floor() as i32
}

#[cfg(test)]
mod tests {
    use super::super::tags;
    use super::*;

    #[test]
    fn every_kind_with_a_rank_is_a_kind_of_this_provider() {
        for kind in RANKS.iter().flat_map(|(_, kinds)| *kinds) {
            assert!(tags::kind_of(kind).is_some(), "{kind}");
        }
        assert!(RANKS.is_sorted_by(|one, next| one.0 > next.0));
        assert!(rank("airport") > rank("restaurant") && rank("restaurant") > rank("florist"));
        assert!(rank("florist") > rank("bus_station"));
    }

    #[test]
    fn the_least_rank_has_the_last_places_that_are_wanted() {
        let mut counts = [0; 256];
        (counts[100], counts[40], counts[10]) = (2, 3, 4);
        for (most, expected) in [(1, 100), (2, 100), (3, 40), (5, 40), (6, 10), (9, 10), (10, 0)] {
            assert_eq!(least_rank(&counts, most), expected, "{most}");
        }
    }
}
