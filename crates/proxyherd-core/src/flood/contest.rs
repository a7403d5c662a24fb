//! Which of two records of one key a shard keeps.
//!
//! Once the clock has passed all times of receipt, this is a total order. Records that have not expired win over
//! records that have, and both groups are ordered by their contents. Before that moment it need not be a total order. A
//! record with a time of receipt in the future wins over a record that will have expired by that time. A third record
//! may win over the first and lose to the second. Then servers keep whichever record came last, until the clock has
//! passed all these times, which takes at most the allowed clock offset.

use std::cmp::Ordering;

use super::{Shard, Update};
use crate::store::Slot;

impl Shard {
    /// Compares two records of one key. The greater one is kept. A record that has not expired wins over one that has.
    /// Otherwise the record with the greater [precedence](crate::types::Record::precedence) wins. If the contents are
    /// equal, the record with the later incarnation of their server wins.
    pub(super) fn contest(&self, now_ns: u64, told: Update<'_>, held: &Slot) -> Ordering {
        let (record, holder) = (held.record(), self.origins.origin(held.origin));
        let order = told
            .record
            .precedence(&told.origin.server, &record, &holder.server)
            .then_with(|| told.origin.incarnation.cmp(&holder.incarnation));
        // Another server may have taken one of the records because the other had expired there. So a held record that
        // had expired when the other was received counts as expired here, too, whether or not it was swept and whatever
        // this server's clock shows.
        let is_held_over = self.is_expired(now_ns.max(told.record.received_ns()), &record);
        let is_told_over = self.is_expired(now_ns.max(record.received_ns()), &told.record);
        match (is_told_over, is_held_over) {
            (false, true) => Ordering::Greater,
            (true, false) => Ordering::Less,
            _ => order,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        flood::{Rules, ShardSettings},
        types::{Attributes, Body, Coordinates, Difference, Kind, Origin, Record, ServerName, Timestamp},
    };

    const SECOND_NS: u64 = 1_000_000_000;
    const NOW_NS: u64 = 1_700_000_000 * SECOND_NS;
    const TTL_S: u64 = 100;
    const OFFSET_S: i64 = 60;

    fn shard() -> Shard {
        Shard::new(ShardSettings {
            me: Origin { server: ServerName::new("Riley").unwrap(), incarnation: 1 },
            index: 0,
            seed: 1,
            client_ttl_ns: Some(TTL_S * SECOND_NS),
            client_interval_ns: 0,
            report_rules: crate::flood::ReportRules::default(),
            clock_offset_max_ns: OFFSET_S.unsigned_abs() * SECOND_NS,
            client_index: true,
            rules: Rules::default(),
        })
    }

    /// A record whose times are given in seconds from now.
    fn record(version_s: i64, received_s: i64, is_gone: bool) -> Record<'static> {
        let at = |s: i64| NOW_NS.saturating_add_signed(s * SECOND_NS as i64);
        let timestamp = Timestamp::from_nanos(at(version_s)).unwrap();
        let coordinates = Coordinates::parse(b"+1.5+2.5").unwrap();
        let location = Body::Location { coordinates, attributes: Attributes::NONE };
        let body = if is_gone { Body::Gone } else { location };
        let difference = Difference::at_receipt(at(received_s), timestamp);
        Record { kind: Kind::CLIENT, key: b"kiwi", body, timestamp, difference }
    }

    /// Records that have expired, records that have not, and records received as far in the future as is allowed.
    fn records() -> Vec<(Record<'static>, Origin)> {
        let mut records = Vec::new();
        for version_s in [-150, -60, -1] {
            for received_s in [-160, -100, -99, -50, -1, 0, 1, 50, OFFSET_S] {
                for (is_gone, server, incarnation) in
                    [(false, "Riley", 1), (false, "Jaquez", 2), (true, "Riley", 2)]
                {
                    let origin = Origin { server: ServerName::new(server).unwrap(), incarnation };
                    records.push((record(version_s, received_s, is_gone), origin));
                }
            }
        }
        records
    }

    /// The order of each pair of these records at a time.
    fn orders(now_ns: u64, records: &[(Record<'_>, Origin)]) -> Vec<Vec<Ordering>> {
        let mut shard = shard();
        let orders_of = |(held, holder): &(Record<'_>, Origin)| {
            let mut slot = Slot::default();
            let place = shard.origins.place_or_insert(holder, u16::MAX).unwrap();
            shard.origins.add_live(place);
            slot.origin = place;
            slot.fill(held);
            let order = |(told, origin): &(Record<'_>, Origin)| {
                shard.contest(now_ns, Update { record: *told, origin, seq: 1 }, &slot)
            };
            records.iter().map(order).collect()
        };
        records.iter().map(orders_of).collect()
    }

    #[test]
    fn of_two_records_the_same_one_is_kept_whichever_comes_first() {
        let records = records();
        for now_s in [0, 1, 39, 40, 60, 120] {
            let orders = orders(NOW_NS + now_s * SECOND_NS, &records);
            for a in 0..records.len() {
                for b in 0..records.len() {
                    assert_eq!(orders[a][b], orders[b][a].reverse(), "{:?} {:?}", records[a], records[b]);
                }
            }
        }
    }

    #[test]
    fn once_the_clock_has_passed_all_receipts_the_order_is_total_and_before_that_it_need_not_be() {
        let records = records();
        let cycles = |now_s: u64, receipt_max_s: i64| {
            let latest_ns = NOW_NS.saturating_add_signed(receipt_max_s * SECOND_NS as i64);
            let is_counted = |it: &&(Record<'_>, Origin)| it.0.received_ns() <= latest_ns;
            let records: Vec<_> = records.iter().filter(is_counted).cloned().collect();
            let orders = orders(NOW_NS + now_s * SECOND_NS, &records);
            let all = 0..records.len();
            // `orders[a][b]` is greater where b wins over a.
            let wins = |a: usize, b: usize| orders[a][b].is_gt();
            let triples = all.clone().flat_map(|a| all.clone().map(move |b| (a, b)));
            triples
                .filter(|&(a, b)| wins(a, b))
                .flat_map(|(a, b)| all.clone().map(move |c| (a, b, c)))
                .filter(|&(a, b, c)| wins(b, c) && !wins(a, c))
                .count()
        };
        for now_s in [0, 1, 39, 40, 60, 120] {
            assert_eq!(cycles(now_s, now_s.cast_signed()), 0, "after {now_s} s");
        }
        assert_eq!(cycles(OFFSET_S.unsigned_abs(), OFFSET_S), 0);
        assert!(cycles(0, OFFSET_S) > 0, "a receipt to come");
    }
}
