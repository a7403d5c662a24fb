//! A stream's filter, prepared for being applied to many records.
//!
//! [`Matcher::matches`] gives the same results as [`StreamFilter::matches`], and costs less: exact IDs are found by a
//! binary search, and a box around the filter's place rejects most positions early. Patterns of IDs are sorted, so
//! equal filters are equal whatever the order in which a reader names their IDs.

use super::{
    Polygon,
    filter::{StreamFilter, reach},
};
use proxyherd_core::{
    codec::where_clause::WhereClause,
    command::Bounds,
    places::{Center, Separation},
    types::{Attributes, Coordinates, IdPattern},
};

/// The number of points of a polygon that cost about as much as one comparison.
const POINTS_PER_COMPARISON: usize = 8;

/// A filter that is ready for use.
#[derive(Debug)]
pub(super) struct Matcher {
    filter: StreamFilter,
    /// The number of exact IDs, which are at the front of the patterns.
    exact_ids: usize,
    exact_readable: usize,
    circle: Option<(Center, Separation)>,
    /// A box that contains every position that matches.
    bounds: Option<Bounds>,
}

/// Sorts patterns, the exact ones first. Returns the number of exact ones.
fn sort(patterns: &mut Vec<IdPattern>) -> usize {
    patterns.sort_unstable_by(|one, other| {
        let rank = |pattern: &IdPattern| pattern.exact().is_none();
        (rank(one), one).cmp(&(rank(other), other))
    });
    patterns.dedup();
    patterns.shrink_to_fit();
    patterns.iter().filter(|pattern| pattern.exact().is_some()).count()
}

fn is_among(client: &[u8], patterns: &[IdPattern], exact: usize) -> bool {
    let (exact, prefixes) = patterns.split_at(exact);
    patterns.is_empty()
        || exact.binary_search_by(|pattern| pattern.prefix().cmp(client)).is_ok()
        || prefixes.iter().any(|pattern| pattern.matches(client))
}

impl Matcher {
    pub(super) fn new(mut filter: StreamFilter) -> Matcher {
        let (exact_ids, exact_readable) = (sort(&mut filter.ids), sort(&mut filter.readable));
        let circle = filter
            .circle
            .map(|(center, radius_m)| (Center::new(center.latitude(), center.longitude()), reach(radius_m)));
        let bounds = filter.bounds_of();
        Matcher { filter, exact_ids, exact_readable, circle, bounds }
    }

    /// The filter, with sorted patterns.
    pub(super) fn filter(&self) -> &StreamFilter {
        &self.filter
    }

    pub(super) fn bounds(&self) -> Option<&Bounds> {
        self.bounds.as_ref()
    }

    /// The patterns that limit the IDs most directly; none: all clients.
    pub(super) fn patterns(&self) -> &[IdPattern] {
        self.filter.patterns()
    }

    /// The exact IDs among [`Matcher::patterns`].
    pub(super) fn named(&self) -> &[IdPattern] {
        let exact = if self.filter.ids.is_empty() { self.exact_readable } else { self.exact_ids };
        &self.patterns()[..exact]
    }

    /// Whether every client that can match is named by its ID.
    pub(super) fn names_all(&self) -> bool {
        !self.patterns().is_empty() && self.named().len() == self.patterns().len()
    }

    /// About how many comparisons one record costs.
    pub(super) fn comparisons(&self) -> usize {
        let StreamFilter { ids, readable, clause, polygon, .. } = &self.filter;
        let patterns = ids.len() - self.exact_ids + readable.len() - self.exact_readable;
        let clause = clause.as_ref().map_or(0, WhereClause::comparisons);
        let points = polygon.as_ref().map_or(0, Polygon::points);
        patterns + clause + points / POINTS_PER_COMPARISON
    }

    pub(super) fn matches(&self, client: &[u8], at: Coordinates, attributes: Attributes<'_>) -> bool {
        self.contains(at)
            && self.matches_id(client)
            && self.filter.clause.as_ref().is_none_or(|clause| clause.matches(attributes))
    }

    pub(super) fn matches_id(&self, client: &[u8]) -> bool {
        is_among(client, &self.filter.ids, self.exact_ids)
            && is_among(client, &self.filter.readable, self.exact_readable)
    }

    fn contains(&self, at: Coordinates) -> bool {
        let Some(bounds) = &self.bounds else { return true };
        let (latitude, longitude) = (at.latitude().degrees(), at.longitude().degrees());
        bounds.contains(latitude, longitude)
            && self.filter.bounds.is_none_or(|bounds| bounds.contains(latitude, longitude))
            && self.circle.is_none_or(|(center, reach)| center.separation(latitude, longitude) <= reach)
            && self.filter.polygon.as_ref().is_none_or(|polygon| polygon.contains(latitude, longitude))
    }
}
