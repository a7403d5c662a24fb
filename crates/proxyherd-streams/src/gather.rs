//! Gathering the state of a stream that begins anew.
//!
//! The search visits one shard after the other, without the lock of the streams, and keeps the IDs of the clients that
//! match. A client that changes after the search has visited it is queued by its change, because the filter is in the
//! index before the search begins. If the stream begins anew once more during the search, the search is void.

use std::sync::Arc;

use super::{StreamKey, Streams, matcher::Matcher, stream::Phase};
use proxyherd_core::{
    limits::SHARDS,
    replica::{Effort, Replica, Unfinished},
    types::{Attributes, Body, ClientId, IdPattern},
};

/// A search for the clients that match a stream's filter, shard by shard.
///
/// ```
/// # use proxyherd_core::replica::{Effort, Replica, Unfinished};
/// # use proxyherd_streams::{StreamKey, Streams};
/// # fn gather(lock: &mut Streams<()>, replica: &Replica, key: StreamKey, now_ns: u64) -> Result<(), Unfinished> {
/// // `lock` is the lock of the streams, held for each of these calls.
/// let Some(mut gathering) = lock.gathering(key) else { return Ok(()) };
/// let mut effort = Effort::ANY;
/// while gathering.search(replica, now_ns, &mut effort)? {
///     if !lock.gathered(&mut gathering) {
///         break;
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Gathering {
    slot: u32,
    /// The stream, and how often it had begun anew when the search began.
    number: u64,
    round: u32,
    matcher: Arc<Matcher>,
    /// The shard that is searched next.
    shard: usize,
    /// The IDs that were found, one after the other, and where each of them ends.
    text: Vec<u8>,
    ends: Vec<usize>,
}

impl Gathering {
    /// Searches the next shard. False: all shards were searched. Call this without a lock, and then pass what was found
    /// to [`Streams::gathered`]. What the search of a shard costs is taken from `effort`, which is for all shards.
    pub fn search(
        &mut self,
        replica: &Replica,
        now_ns: u64,
        effort: &mut Effort<'_>,
    ) -> Result<bool, Unfinished> {
        if self.shard == SHARDS {
            return Ok(false);
        }
        let Gathering { matcher, text, ends, .. } = self;
        let exact: Vec<ClientId<'_>> = match matcher.names_all() {
            true => matcher.named().iter().filter_map(IdPattern::exact).collect(),
            false => Vec::new(),
        };
        let among = matcher.names_all().then_some(&exact[..]);
        let mut own = effort.and_comparing(matcher.comparisons());
        let searched =
            replica.visit_among(self.shard, now_ns, among, matcher.bounds(), &mut own, |held, at| {
                let attributes = match held.record.body {
                    Body::Location { attributes, .. } => attributes,
                    Body::Gone | Body::Data { .. } => Attributes::NONE,
                };
                let is_match = matcher.matches(held.record.key, at, attributes);
                if is_match {
                    text.extend_from_slice(held.record.key);
                    ends.push(text.len());
                }
                is_match
            });
        *effort = effort.with_visits_of(&own);
        searched?;
        self.shard += 1;
        Ok(true)
    }

    fn for_each(&self, mut visit: impl FnMut(&[u8])) {
        let mut begin = 0;
        for &end in &self.ends {
            visit(&self.text[begin..end]);
            begin = end;
        }
    }
}

impl<B: Clone> Streams<B> {
    /// What must be searched before a stream that begins anew tells its state. `None`: nothing (any more).
    pub fn gathering(&self, key: StreamKey) -> Option<Gathering> {
        let stream = self.stream(key).filter(|stream| stream.phase == Phase::Gathering)?;
        Some(Gathering {
            slot: key.slot,
            number: stream.number,
            round: stream.round,
            matcher: Arc::clone(&stream.matcher),
            shard: 0,
            text: Vec::new(),
            ends: Vec::new(),
        })
    }

    /// Takes what a search has found in one shard. After the last shard, the reader can take. Returns whether the
    /// stream still needs the search.
    pub fn gathered(&mut self, gathering: &mut Gathering) -> bool {
        gathering.for_each(|id| {
            if self.is_awaited(gathering) {
                let client = self.clients.find(id);
                self.put(gathering.slot, client, id);
            }
        });
        gathering.text.clear();
        gathering.ends.clear();
        let is_awaited = self.is_awaited(gathering);
        if gathering.shard == SHARDS && is_awaited {
            self.at(gathering.slot).gathered();
        }
        is_awaited
    }

    /// Whether the stream still waits for the results of this search.
    fn is_awaited(&self, gathering: &Gathering) -> bool {
        let stream = self.slots[gathering.slot as usize].stream.as_ref();
        stream.is_some_and(|stream| {
            stream.number == gathering.number
                && stream.round == gathering.round
                && stream.phase == Phase::Gathering
        })
    }
}
