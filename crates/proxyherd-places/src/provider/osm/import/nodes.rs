//! The points of the nodes that ways need. Each such node takes 16 bytes, and other nodes take no memory.
//!
//! The pass over ways registers the needed nodes with [`Nodes::need`]. [`Nodes::seal`] ends the registration. Then the
//! pass over nodes stores the points with [`Nodes::meet`]. In some extracts ways hold the positions of their nodes, and
//! most nodes are missing (`LocationsOnWays`). Each such position takes another 16 bytes until all ways have been read.
//! If the node itself is found later, its own position counts. This module does not know ways.

use super::super::index::IndexPoint;

/// First gathers the IDs of nodes, then their points.
#[derive(Debug, Default)]
pub(super) struct Nodes {
    /// The IDs. The IDs before `sorted` are sorted and unique.
    ids: Vec<i64>,
    sorted: usize,
    /// The positions that ways hold. The positions before `told_sorted` are sorted and unique.
    told: Vec<(i64, IndexPoint)>,
    told_sorted: usize,
    points: Vec<IndexPoint>,
    /// The index at which the last point was stored. The next point is stored near it, because files are sorted.
    cursor: usize,
}

/// The point of a node that was not found. No point on Earth has this latitude.
const NOWHERE: IndexPoint = IndexPoint { longitude: 0, latitude: i32::MAX };

impl Nodes {
    /// Registers a node whose point is needed. A repeated ID takes memory only until the next sorting.
    pub(super) fn need(&mut self, id: i64) {
        if self.ids.len() == self.ids.capacity() && self.ids.len() > 2 * self.sorted {
            self.sort();
        }
        self.ids.push(id);
    }

    /// Registers a node whose point is needed. The point is `point`, unless the node itself is found.
    pub(super) fn need_at(&mut self, id: i64, point: IndexPoint) {
        self.need(id);
        if self.told.len() == self.told.capacity() && self.told.len() > 2 * self.told_sorted {
            self.sort_told();
        }
        self.told.push((id, point));
    }

    fn sort(&mut self) {
        self.ids.sort_unstable();
        self.ids.dedup();
        self.sorted = self.ids.len();
    }

    fn sort_told(&mut self) {
        self.told.sort_unstable_by_key(|&(id, _)| id);
        self.told.dedup_by_key(|&mut (id, _)| id);
        self.told_sorted = self.told.len();
    }

    /// Ends the registration of needed nodes.
    pub(super) fn seal(&mut self) {
        self.sort();
        self.ids.shrink_to_fit();
        self.points = vec![NOWHERE; self.ids.len()];
        self.sort_told();
        for (id, point) in std::mem::take(&mut self.told) {
            self.meet(id, point);
        }
        self.cursor = 0;
    }

    /// Stores the point of a node, if the node was registered.
    pub(super) fn meet(&mut self, id: i64, point: IndexPoint) {
        if self.ids.get(self.cursor).is_some_and(|&last| last > id) {
            self.cursor = self.ids.partition_point(|&known| known < id);
        }
        while self.ids.get(self.cursor).is_some_and(|&known| known < id) {
            self.cursor += 1;
        }
        if self.ids.get(self.cursor) == Some(&id) {
            self.points[self.cursor] = point;
        } else {
            // Without this step back, the next node of a sorted file would look as if the file were not sorted.
            self.cursor = self.cursor.saturating_sub(1);
        }
    }

    /// The point of a node. `None` if the point is unknown.
    pub(super) fn find(&self, id: i64) -> Option<IndexPoint> {
        let at = self.ids.binary_search(&id).ok()?;
        Some(self.points[at]).filter(|&point| point != NOWHERE)
    }

    /// The number of registered nodes.
    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_points_of_those_asked_for_and_met_are_known(
            needed in proptest::collection::vec(-100i64..100, 0..300),
            told in proptest::collection::vec(-100i64..100, 0..300),
            met in proptest::collection::vec(-100i64..100, 0..300),
            sorted in any::<bool>(),
        ) {
            let mut met = met;
            if sorted {
                met.sort_unstable();
            }
            let mut nodes = Nodes::default();
            needed.iter().for_each(|&id| nodes.need(id));
            told.iter().for_each(|&id| nodes.need_at(id, IndexPoint { longitude: 7, latitude: 7 }));
            nodes.seal();
            for &id in &met {
                nodes.meet(id, IndexPoint { longitude: id as i32, latitude: -(id as i32) });
            }
            for id in -100..100 {
                let own = IndexPoint { longitude: id as i32, latitude: -(id as i32) };
                let expected = match (needed.contains(&id), told.contains(&id), met.contains(&id)) {
                    (true, _, true) | (_, true, true) => Some(own),
                    (_, true, false) => Some(IndexPoint { longitude: 7, latitude: 7 }),
                    _ => None,
                };
                prop_assert_eq!(nodes.find(id), expected);
            }
        }
    }
}
