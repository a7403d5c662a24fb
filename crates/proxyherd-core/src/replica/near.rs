//! The clients near a point: the nearest first, within a radius or anywhere.
//!
//! The search scans every record, shard by shard, each shard under its lock. A heap holds the nearest clients found so
//! far; the query's limit bounds the heap. The answer is exact, but the scan is slow. A grid of cells, updated with
//! each change of a record, will replace the scan. As in [`Replica::locate`], expired records and tombstones do not
//! count. A client that moves during the scan is found once, at its old or its new position.

use std::collections::BinaryHeap;

use super::Replica;
use crate::{
    command::{Around, Near, Whereabouts},
    flood::Update,
    places::{Center, EARTH_RADIUS_M, Separation},
    types::{Attributes, Body, ClientId, Coordinates, Difference, Record, ServerName, Timestamp},
};

/// The greatest distance between two points on Earth, meters.
const FARTHEST_M: f64 = std::f64::consts::PI * EARTH_RADIUS_M;

/// A client that is near, with its server's record. Values are ordered by distance, and those of equal distance by
/// ID, so that every server answers alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundClient {
    separation: Option<Separation>,
    /// The client's ID and its attributes, one after the other.
    text: Box<[u8]>,
    id_len: usize,
    /// The client's position.
    pub coordinates: Coordinates,
    /// The time of the position, as the client's report gives it.
    pub timestamp: Timestamp,
    /// The server's clock at receipt minus `timestamp`.
    pub difference: Difference,
    /// The server that took the report.
    pub server: ServerName,
}

impl FoundClient {
    /// The client of a record that has a position.
    pub(super) fn of(separation: Option<Separation>, held: &Update<'_>) -> Option<FoundClient> {
        let Record { key, timestamp, difference, body, .. } = held.record;
        let Body::Location { coordinates, attributes } = body else { return None };
        let text = [key, attributes.as_bytes()].concat().into_boxed_slice();
        let server = held.origin.server.clone();
        Some(FoundClient { separation, text, id_len: key.len(), coordinates, timestamp, difference, server })
    }

    /// The client's ID.
    pub fn client(&self) -> ClientId<'_> {
        ClientId::of_field(&self.text[..self.id_len]).expect("a record about a client has its ID for a key")
    }

    /// The other contents of the client's report.
    pub fn attributes(&self) -> Attributes<'_> {
        Attributes::trusted(&self.text[self.id_len..])
    }

    /// The client's distance from the center. `None`: the query has no center.
    pub fn separation(&self) -> Option<Separation> {
        self.separation
    }

    /// The client as a door writes it.
    pub fn whereabouts(&self) -> Whereabouts<'_> {
        Whereabouts {
            client: &self.text[..self.id_len],
            coordinates: self.coordinates,
            attributes: self.attributes(),
            timestamp: self.timestamp,
            difference: self.difference,
            server: &self.server,
        }
    }

    fn rank(&self) -> (Option<Separation>, &[u8]) {
        (self.separation, &self.text[..self.id_len])
    }
}

impl Ord for FoundClient {
    fn cmp(&self, other: &FoundClient) -> std::cmp::Ordering {
        self.rank().cmp(&other.rank())
    }
}

impl PartialOrd for FoundClient {
    fn partial_cmp(&self, other: &FoundClient) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// The nearest clients found so far. The farthest of them is on top of the heap.
struct Best {
    heap: BinaryHeap<FoundClient>,
    limit: usize,
}

impl Best {
    /// Whether a client with this rank would be among the nearest.
    fn has_place_for(&self, rank: (Option<Separation>, &[u8])) -> bool {
        self.heap.len() < self.limit || self.heap.peek().is_some_and(|worst| rank < worst.rank())
    }

    fn heap_add(&mut self, held: &Update<'_>, separation: Separation) {
        let Some(found) = FoundClient::of(Some(separation), held) else { return };
        if self.heap.len() == self.limit {
            self.heap.pop();
        }
        self.heap.push(found);
    }
}

impl Replica {
    /// The clients near the center, the nearest first. `wanted` filters the clients; a client that it rejects does not
    /// count against the limit. `None` if the client at the center is not known.
    pub fn near(
        &self,
        now_ns: u64,
        near: &Near<'_>,
        mut wanted: impl FnMut(&Update<'_>) -> bool,
    ) -> Option<Vec<FoundClient>> {
        let center = self.center(now_ns, near.around)?;
        // A circle that reaches the other side of the Earth contains everything.
        let reach = near.radius_m.filter(|radius_m| *radius_m < FARTHEST_M).map(Separation::of_meters);
        let mut best = Best { heap: BinaryHeap::new(), limit: near.limit.get() };
        for shard in 0..self.shards.len() {
            self.visit_slots(shard, now_ns, self.every_slot(shard), |held, coordinates| {
                let (latitude, longitude) =
                    (coordinates.latitude().degrees(), coordinates.longitude().degrees());
                let separation = center.separation(latitude, longitude);
                let is_near = reach.is_none_or(|reach| separation <= reach);
                let rank = (Some(separation), held.record.key);
                if is_near && best.has_place_for(rank) && wanted(held) {
                    best.heap_add(held, separation);
                }
            });
        }
        Some(best.heap.into_sorted_vec())
    }

    fn center(&self, now_ns: u64, around: Around<'_>) -> Option<Center> {
        let client = match around {
            Around::Point(point) => return Some(Center::new(point.latitude(), point.longitude())),
            Around::Client(client) => client,
        };
        let found = self.locate(now_ns, client, |held| match held.record.body {
            Body::Location { coordinates, .. } => Some(coordinates),
            Body::Gone | Body::Data { .. } => None,
        });
        let coordinates = found.flatten()?;
        Some(Center::new(coordinates.latitude().degrees(), coordinates.longitude().degrees()))
    }
}
