//! Future events in the order of virtual time.

use std::{
    cmp::{Ordering, Reverse},
    collections::BinaryHeap,
};

/// Virtual time since the world began, nanoseconds.
pub type Nanos = u64;
/// A second of virtual time.
pub const SECOND: Nanos = 1_000_000_000;
/// A millisecond of virtual time.
pub const MILLISECOND: Nanos = 1_000_000;

/// Future events. Events of one instant happen in the order in which they were added.
#[derive(Debug)]
pub struct Timeline<E> {
    heap: BinaryHeap<Reverse<Entry<E>>>,
    put_in: u64,
}

#[derive(Debug)]
struct Entry<E> {
    at: Nanos,
    order: u64,
    event: E,
}

impl<E> Default for Timeline<E> {
    /// A timeline without events.
    fn default() -> Timeline<E> {
        Timeline { heap: BinaryHeap::new(), put_in: 0 }
    }
}

impl<E> Timeline<E> {
    /// Adds an event at a time.
    pub fn put(&mut self, at: Nanos, event: E) {
        self.put_in += 1;
        self.heap.push(Reverse(Entry { at, order: self.put_in, event }));
    }

    /// The next event and its time.
    pub fn pop(&mut self) -> Option<(Nanos, E)> {
        self.heap.pop().map(|Reverse(entry)| (entry.at, entry.event))
    }
}

impl<E> Entry<E> {
    fn rank(&self) -> (Nanos, u64) {
        (self.at, self.order)
    }
}

impl<E> PartialEq for Entry<E> {
    fn eq(&self, other: &Self) -> bool {
        self.rank() == other.rank()
    }
}

impl<E> Eq for Entry<E> {}

impl<E> PartialOrd for Entry<E> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> Ord for Entry<E> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank().cmp(&other.rank())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_happen_in_order_of_time_and_then_of_coming() {
        let mut timeline = Timeline::default();
        for (at, event) in [(5, 'c'), (1, 'a'), (5, 'd'), (2, 'b')] {
            timeline.put(at, event);
        }
        let happened: Vec<_> = std::iter::from_fn(|| timeline.pop()).collect();
        assert_eq!(happened, [(1, 'a'), (2, 'b'), (5, 'c'), (5, 'd')]);
    }
}
