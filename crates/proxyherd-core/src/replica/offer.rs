//! A report on its way into the replica, with its outcome and with what must be durable before the outcome is
//! acknowledged.

use crate::{
    command::{Condition, Outcome, Position, Positions},
    flood::{Spacing, stamped_at},
    limits::{BATCH_LEN_MAX, SHARDS},
    store::TableHash,
    types::{Difference, KeyHash, Report, Stamp, Timestamp},
};

/// A report on its way into the replica, and its outcome.
#[derive(Clone, Copy, Debug)]
pub struct Offer<'a> {
    /// The report.
    pub report: Report<'a>,
    pub(super) hash: KeyHash,
    /// The value that [`Shard::expect`] returned for the report.
    pub(super) table_hash: TableHash,
    pub(super) condition: Condition,
    pub(super) spacing: Spacing,
    /// The outcome; [`Outcome::Stale`] until the report has been offered.
    pub outcome: Outcome,
    /// The numbers of the report's [positions](Offer::position); 0: it has none.
    position: u64,
    own_position: u64,
    /// The time that the server gave the report; 0 if the server gave none.
    pub(super) stamped_ns: u64,
}

impl<'a> Offer<'a> {
    /// A report that has not been offered yet.
    pub fn new(report: Report<'a>) -> Offer<'a> {
        Offer::on(Condition::Always, report)
    }

    /// A report with a condition that has not been offered yet. This function is inlined into each caller, so that the
    /// value is built in its final place: the processor would wait if the value were copied right after it was written
    /// in smaller pieces.
    #[inline(always)]
    pub fn on(condition: Condition, report: Report<'a>) -> Offer<'a> {
        let hash = KeyHash::of(report.client.as_bytes());
        let (table_hash, outcome) = (TableHash::default(), Outcome::Stale);
        let spacing = Spacing::AfterAll;
        Offer {
            report,
            hash,
            table_hash,
            condition,
            spacing,
            outcome,
            position: 0,
            own_position: 0,
            stamped_ns: 0,
        }
    }

    /// A report of a batch that a client has collected over time. The least time between two reports of a client does
    /// not count between the reports of the batch, which all have to be offered at the same `now_ns`.
    pub fn in_batch(report: Report<'a>) -> Offer<'a> {
        Offer { spacing: Spacing::AfterEarlier, ..Offer::new(report) }
    }

    /// The condition of the report.
    pub fn condition(&self) -> Condition {
        self.condition
    }

    /// From now on the report is taken only if its client is known.
    pub fn require_known(&mut self) {
        self.condition = Condition::Known;
    }

    /// The position that must be durable before the report is acknowledged, among all changes of the report's shard. A
    /// stale report has one, too: its acknowledgement says that the held record is kept. `None`: the report was
    /// refused, or has not been offered.
    pub fn position(&self) -> Option<Position> {
        self.at(self.position)
    }

    /// Like [`Offer::position`], among the updates that this server itself has issued in the shard.
    pub fn own_position(&self) -> Option<Position> {
        self.at(self.own_position)
    }

    fn at(&self, seq: u64) -> Option<Position> {
        (seq > 0).then(|| Position { shard: self.hash.shard(), seq })
    }

    /// Notes that the shard holds the report, or a record that wins over it. Up to now the shard has made this number
    /// of changes and has issued this number of updates.
    pub(super) fn stands_at(&mut self, changes: u64, issued: u64) {
        (self.position, self.own_position) = (changes, issued);
    }

    /// The times of the report, received at `now_ns`. `None` if the server has to stamp it and has not taken it.
    pub fn times(&self, now_ns: u64) -> Option<(Timestamp, Difference)> {
        match self.report.stamp {
            Stamp::Client(timestamp) => Some((timestamp, Difference::at_receipt(now_ns, timestamp))),
            Stamp::Server if self.stamped_ns > 0 => stamped_at(self.stamped_ns, now_ns),
            Stamp::Server => None,
        }
    }
}

impl Positions {
    /// Includes what must be durable before an offer's report is acknowledged.
    pub fn note_offer(&mut self, offer: &Offer<'_>) {
        if let Some(position) = offer.position() {
            self.note(position);
        }
        if let Some(position) = offer.own_position() {
            self.note_own(position);
        }
    }
}

/// The indices of `offers` in the order of their shards, and the end of each shard's part. Offers of one shard keep
/// their order.
pub(super) fn by_shard(offers: &[Offer<'_>]) -> ([u8; BATCH_LEN_MAX], [u8; SHARDS]) {
    let mut shards = [0; BATCH_LEN_MAX];
    let mut ends = [0; SHARDS];
    for (shard, offer) in shards[..offers.len()].iter_mut().zip(offers) {
        *shard = offer.hash.shard() as u8;
        ends[usize::from(*shard)] += 1;
    }
    let mut starts = [0; SHARDS];
    let mut end = 0;
    for (start, count) in starts.iter_mut().zip(&mut ends) {
        *start = end;
        end += *count;
        *count = end;
    }
    let mut order = [0; BATCH_LEN_MAX];
    for (place, &shard) in (0..).zip(&shards[..offers.len()]) {
        let next = &mut starts[usize::from(shard)];
        order[usize::from(*next)] = place;
        *next += 1;
    }
    (order, ends)
}
