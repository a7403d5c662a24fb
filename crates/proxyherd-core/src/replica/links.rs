//! What the shards and the spanning tree do when links come up, go down, and send.

use std::sync::atomic::Ordering::{Relaxed, SeqCst};

use parking_lot::Mutex;

use super::{Counted, Replica};
use crate::{
    codec::link::{Encoder, GraftMode},
    flood::{LinkId, Nonsense, Wake},
    limits::{LINK_BATCH_LEN, SHARDS},
    spanning_tree::{SpanningTree, StateVerdict, TreeView},
    types::{Advertisement, Origin, ServerName},
};

/// The bit in a link's ready word, above the shards' bits, that is set if the spanning tree has something to send.
const TREE_READY: u32 = 1 << SHARDS;

/// What both ends of a link support.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreed {
    /// The version of the link protocol that both ends speak.
    pub version: u16,
    /// Whether both ends support spanning trees.
    pub has_tree: bool,
}

impl Replica {
    /// Encodes the vectors of all shards, for a link that has just been agreed on.
    pub fn write_vectors(&self, encoder: &mut Encoder) {
        for counted in &self.shards {
            counted.lock().shard.write_vector(encoder);
        }
    }

    /// The ends of the link at `link`, which is down here, have just agreed: the other end is `neighbor`. Appends the
    /// frames that have to be sent first.
    pub fn agree(&self, link: LinkId, neighbor: &ServerName, agreed: Agreed, encoder: &mut Encoder) -> Wake {
        encoder.agree(agreed.version);
        self.beats[link.index()].begin(agreed);
        self.agreed.fetch_or(1 << link.index(), Relaxed);
        self.was_linked.store(true, Relaxed);
        self.write_first_horizon(link, encoder);
        for counted in &self.shards {
            let shard = &mut counted.lock().shard;
            let _ = shard.link_lazy(link);
            shard.begin_acks(link, neighbor);
            shard.write_acks(link, encoder);
            // Without a tree, both ends send their changes.
            shard.feed(link, !agreed.has_tree);
        }
        if !agreed.has_tree {
            self.write_vectors(encoder);
            return Wake::default();
        }
        let mut tree = self.tree.lock();
        tree.link_up(link, neighbor.clone());
        // The writer of this link is just beginning. So the writer is woken, whatever the link's last life left behind.
        self.tree_ready(&tree).and([link].into_iter().collect())
    }

    /// Handles a link state that the neighbor at `link` sends, at `now_ns` by this server's clock.
    pub(crate) fn hear_state(&self, link: LinkId, now_ns: u64, state: Advertisement) -> Wake {
        let mut tree = self.tree.lock();
        let nonsense = match tree.hear(now_ns.saturating_add(self.clock_offset_max_ns), link, state) {
            StateVerdict::News => return self.tree_ready(&tree),
            StateVerdict::Old => None,
            StateVerdict::AheadOfClocks => Some(Nonsense::State),
            StateVerdict::NoRoom => Some(Nonsense::Strangers),
        };
        self.note_nonsense(link, nonsense);
        Wake::default()
    }

    /// Notes the links for which the spanning tree has something. Returns the links that have to be woken.
    pub(super) fn tree_ready(&self, tree: &SpanningTree) -> Wake {
        let is_woken = |link: &LinkId| self.ready[link.index()].fetch_or(TREE_READY, SeqCst) == 0;
        tree.links_untold().filter(is_woken).collect()
    }

    /// Appends the frames that the spanning tree has for the neighbor at `link`.
    fn write_tree(&self, link: LinkId, encoder: &mut Encoder) {
        let (untold, wish) = {
            let mut tree = self.tree.lock();
            (tree.take_untold(link), tree.take_wish(link))
        };
        untold.iter().for_each(|state| encoder.state(state));
        let Some(is_fed) = wish else { return };
        for counted in &self.shards {
            let shard = &mut counted.lock().shard;
            shard.feed(link, is_fed);
            if is_fed {
                shard.write_graft(link, encoder, GraftMode::Onward);
            }
        }
        if !is_fed {
            encoder.prune();
        }
    }

    /// Handles a GRAFT of one shard from the neighbor at `link`.
    pub(crate) fn graft(
        &self,
        link: LinkId,
        shard: usize,
        vector: &[(Origin, u64)],
        mode: GraftMode,
    ) -> Wake {
        let mut counted = self.shards[shard].lock();
        let wake = counted.shard.graft(link, vector, mode);
        self.note_nonsense(link, counted.shard.take_found());
        self.note_copies(shard, &mut counted.shard);
        drop(counted);
        self.ready(shard, wake)
    }

    /// Handles a FENCE from the neighbor at `link`, for its next GRAFT of one shard.
    pub(crate) fn hear_fence(&self, link: LinkId, shard: usize, number: u64) {
        self.shards[shard].lock().shard.hear_fence(link, number);
    }

    /// Handles a PASSED from the neighbor at `link`: the neighbor begins to answer the GRAFT behind the fence of this
    /// number.
    pub(crate) fn hear_passed(&self, link: LinkId, shard: usize, number: u64) {
        self.shards[shard].lock().shard.hear_passed(link, number);
    }

    /// Handles a PRUNE from the neighbor at `link`.
    pub(crate) fn prune(&self, link: LinkId) -> Wake {
        let prune = |(index, counted): (usize, &Mutex<Counted>)| {
            let wake = counted.lock().shard.link_lazy(link);
            self.ready(index, wake)
        };
        self.shards.iter().enumerate().map(prune).fold(Wake::default(), Wake::and)
    }

    /// Handles an IHAVE of one shard from the neighbor at `link`.
    pub(crate) fn hear_promise(&self, link: LinkId, shard: usize, covered: Vec<(Origin, u64)>) {
        let mut counted = self.shards[shard].lock();
        counted.shard.hear_promise(link, covered);
        self.note_nonsense(link, counted.shard.take_found());
        self.note_copies(shard, &mut counted.shard);
    }

    /// Whether the link at `link` is eager: its neighbor is sent changes as they come.
    pub fn is_eager(&self, link: LinkId) -> bool {
        self.shards.iter().all(|counted| counted.lock().shard.is_eager(link))
    }

    /// Handles the vector of one shard from the neighbor at `link`. From now on the neighbor is sent the records that
    /// it lacks.
    pub(crate) fn link_up(&self, link: LinkId, shard: usize, vector: &[(Origin, u64)]) -> Wake {
        let mut counted = self.shards[shard].lock();
        let wake = counted.shard.link_up(link, vector);
        self.note_nonsense(link, counted.shard.take_found());
        self.note_copies(shard, &mut counted.shard);
        drop(counted);
        // A thread that marked a slot for the link's last life may have noted the slot here after that life's end, and
        // woken nobody. So this link is woken in any case.
        let _ = self.ready(shard, wake);
        wake
    }

    /// Handles a marker entry of one shard from the neighbor at `from`.
    pub(crate) fn cover(&self, from: LinkId, shard: usize, origin: &Origin, covered: u64) -> Wake {
        let mut counted = self.shards[shard].lock();
        let wake = counted.shard.cover(from, origin, covered);
        self.note_nonsense(from, counted.shard.take_found());
        self.note_caught_up(shard, &counted.shard);
        self.note_copies(shard, &mut counted.shard);
        drop(counted);
        self.ready(shard, wake)
    }

    /// Handles the end of a link. Nothing more is queued for the link until it is up again. The spanning tree may have
    /// something to send on other links.
    pub fn link_down(&self, link: LinkId) -> Wake {
        for (index, counted) in self.shards.iter().enumerate() {
            let shard = &mut counted.lock().shard;
            shard.link_down(link);
            self.note_copies(index, shard);
        }
        self.ready[link.index()].store(0, SeqCst);
        self.agreed.fetch_and(!(1 << link.index()), Relaxed);
        let mut tree = self.tree.lock();
        if tree.link_down(link) { self.tree_ready(&tree) } else { Wake::default() }
    }

    /// Removes the link at `link`, which is down. Its number is free for a link with another neighbor.
    pub fn free_link(&self, link: LinkId) {
        debug_assert!(
            self.shards.iter().all(|counted| !counted.lock().shard.is_eager(link)),
            "a link that is up is not free"
        );
        self.beats[link.index()].end();
    }

    /// Checks the link states; to be called about once a second with `members`, the herd's servers. Forgets states that
    /// this server has no more reason to keep, contradicts any server that speaks in this server's name, and from time
    /// to time announces which links are up.
    pub fn look_at_tree(&self, now_ns: u64, members: &[ServerName]) -> Wake {
        let mut tree = self.tree.lock();
        tree.look(now_ns, self.clock_offset_max_ns, members);
        self.tree_ready(&tree)
    }

    /// Whether another process keeps speaking in this server's name.
    pub fn has_namesake(&self) -> bool {
        self.tree.lock().has_namesake()
    }

    /// Handles a NAMESAKE: another process runs under this server's name, with this incarnation.
    pub fn hear_of_namesake(&self, incarnation: u64) {
        self.tree.lock().hear_of_namesake(incarnation);
    }

    /// The servers of the spanning tree, including this server.
    pub fn tree_servers(&self) -> Vec<ServerName> {
        self.tree.lock().reached()
    }

    /// What this server knows of all links of the herd, by the link states that were flooded to it.
    pub fn tree_view(&self) -> TreeView {
        self.tree.lock().view()
    }

    /// Whether `link` has something to flush.
    pub fn is_ready(&self, link: LinkId) -> bool {
        self.ready[link.index()].load(SeqCst) != 0
    }

    /// Encodes up to about [`LINK_BATCH_LEN`] bytes of what `link` still needs. Returns whether everything is encoded.
    /// If not, flush again when the bytes are written.
    pub fn flush(&self, link: LinkId, encoder: &mut Encoder) -> bool {
        let (ready, first) = (&self.ready[link.index()], &self.first[link.index()]);
        let begin = usize::from(first.load(Relaxed));
        let mut shards = ready.swap(0, SeqCst);
        if shards & TREE_READY != 0 {
            shards &= !TREE_READY;
            self.write_tree(link, encoder);
        }
        for at in begin..begin + SHARDS {
            let index = at % SHARDS;
            if shards & 1 << index == 0 {
                continue;
            }
            let has_room = encoder.len() < LINK_BATCH_LEN;
            if !has_room || !self.shards[index].lock().shard.flush(link, encoder, LINK_BATCH_LEN) {
                ready.fetch_or(shards, SeqCst);
                first.store(((at + usize::from(has_room)) % SHARDS) as u8, Relaxed);
                return false;
            }
            shards &= !(1 << index);
        }
        true
    }
}
