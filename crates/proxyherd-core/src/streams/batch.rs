//! Changes that a follower copies while a shard is locked, and offers to the streams afterwards.

use super::Streams;
use crate::{
    flood::FollowerEvent,
    types::{Attributes, Body, Coordinates, Kind},
};

/// The position and the attributes of a client. `None`: the client is not known.
pub(super) type Present<'a> = Option<(Coordinates, Attributes<'a>)>;

/// Changes that were copied while a shard was locked. One batch is used again and again, so that it allocates nothing
/// in the long run.
///
/// ```
/// # use proxyherd_core::{flood::{FollowerId}, replica::Replica, streams::{ChangeBatch, Streams}};
/// # fn follow(replica: &Replica, follower: &FollowerId, streams: &mut Streams<()>, batch: &mut ChangeBatch) {
/// // `streams` is locked.
/// while !replica.drain(follower, 128, |told| batch.take(streams, &told)) {
///     streams.offer(batch);
/// }
/// streams.offer(batch);
/// # }
/// ```
#[derive(Debug, Default)]
pub struct ChangeBatch {
    begins_anew: bool,
    /// For each change: the ends of the client's ID and of its attributes in `text`, and the client's position. `None`:
    /// the client is not known any more.
    changes: Vec<(usize, usize, Option<Coordinates>)>,
    text: Vec<u8>,
}

impl ChangeBatch {
    /// Copies a change if any stream wants it. Pass this to [`Replica::drain`](crate::replica::Replica::drain), with
    /// `streams` locked before.
    #[inline]
    pub fn take<B: Clone>(&mut self, streams: &Streams<B>, told: &FollowerEvent<'_>) {
        if streams.wants(told) {
            self.copy(told);
        }
    }

    /// Changes were lost: all streams must begin anew. The changes in the batch are dropped.
    pub fn begin_anew(&mut self) {
        self.clear();
        self.begins_anew = true;
    }

    fn copy(&mut self, told: &FollowerEvent<'_>) {
        let (client, present) = match told {
            FollowerEvent::Anew { .. } => return self.begins_anew = true,
            FollowerEvent::Covered { .. } => return,
            FollowerEvent::Removed { kind, key } if *kind == Kind::CLIENT => (*key, None),
            FollowerEvent::Hidden(held) if held.record.kind == Kind::CLIENT => (held.record.key, None),
            FollowerEvent::Record(held) if held.record.kind == Kind::CLIENT => match held.record.body {
                Body::Location { coordinates, attributes } => {
                    (held.record.key, Some((coordinates, attributes)))
                }
                Body::Gone | Body::Data { .. } => (held.record.key, None),
            },
            FollowerEvent::Removed { .. } | FollowerEvent::Hidden(_) | FollowerEvent::Record(_) => return,
        };
        self.text.extend_from_slice(client);
        let id_end = self.text.len();
        self.text.extend_from_slice(present.map_or(&[], |(_, attributes)| attributes.as_bytes()));
        self.changes.push((id_end, self.text.len(), present.map(|(at, _)| at)));
    }

    pub(super) fn begins_anew(&self) -> bool {
        self.begins_anew
    }

    pub(super) fn for_each(&self, mut visit: impl FnMut(&[u8], Present<'_>)) {
        let mut begin = 0;
        for &(id_end, end, at) in &self.changes {
            let attributes = Attributes::trusted(&self.text[id_end..end]);
            visit(&self.text[begin..id_end], at.map(|at| (at, attributes)));
            begin = end;
        }
    }

    pub(super) fn clear(&mut self) {
        self.begins_anew = false;
        self.changes.clear();
        self.text.clear();
    }
}
