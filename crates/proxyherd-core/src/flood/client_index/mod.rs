//! An index of a shard's clients by position. It finds the clients near a point, and the clients in a box.
//!
//! The index is a tree of cells (`cell`). An inner node halves its cell. A leaf holds the slots of up to [`LEAF_LEN`]
//! clients in one cache line. A search reads a leaf and then loads all its slots at the same time. A full leaf is
//! halved. Two small leaves are merged, but only if the merged leaf has room left ([`MERGED_LEN_MAX`]). Otherwise a
//! client that goes back and forth would halve and merge a leaf each time.
//!
//! Halving does not help if many clients are at one point. It helps little if they are very close to each other: most
//! halvings would leave one half empty. So the number of nodes that separate some clients is bounded by the number of
//! these clients ([`NODES_PER_CLIENTS`]). If more nodes are necessary, the clients of the cell are a `pile`, whose size
//! has no bound.
//!
//! One word for each slot, its *home*, has the number of the slot's leaf, and the depth of the leaf's cell. So a report
//! from a client that has not left its cell reads this word, and nothing else of the index.
//!
//! Why not a grid: a grid has a fixed width, and clients are close to each other in cities and far apart elsewhere. Why
//! halves and not quarters: evenly spread clients fill all leaves at the same time. If each full leaf then became four
//! leaves, most of the memory of these leaves would be empty. With halves, a client takes about 15 bytes at worst.
//!
//! Invariants: a slot is in the index exactly when it holds a client with a position, expired or not; the home of a
//! slot names the leaf or the pile whose cell contains the client ([`ClientIndex::contradiction`]). A node has at least
//! one child. The index reads positions and IDs from the store ([`Entries`]), and does not know records, times or the
//! shard.

mod audit;
mod cell;
mod pile;
mod pool;
mod search;
#[cfg(test)]
mod tests;

pub(crate) use self::search::{Branch, Visited};
pub(super) use self::search::{Nearest, Seen};
use self::{
    cell::{Code, DEPTH_MAX},
    pile::Pile,
    pool::{NONE, Pool, Pooled},
};
use crate::{
    store::{SlotId, Store},
    types::{Body, Coordinates},
};

/// The number of slots in a leaf, which is one cache line.
const LEAF_LEN: usize = 14;
/// Two leaves with this many slots together become one.
const MERGED_LEN_MAX: usize = 10;
/// A pile with this many slots becomes a leaf.
const SMALL_PILE_LEN: usize = 7;
/// For this many clients in a cell, one more node (8 bytes) may be used to separate the clients.
const NODES_PER_CLIENTS: usize = 2;

/// In a link: the number is the number of a leaf, and not of a node.
const LEAF: u32 = 1 << 31;
/// In a link: the number is the number of a pile. This bit is set together with [`LEAF`].
const PILE: u32 = 1 << 30;
/// The parent of the root.
const ROOT: u32 = u32::MAX;
/// The number of bits of a leaf's or a pile's number.
const NUMBER_BITS: u32 = 26;
/// In a home: the number is the number of a pile. Other homes have the depth of the leaf's cell here.
const IN_PILE: u32 = DEPTH_MAX + 1;
/// Maximum number of nodes, leaves or piles.
const NUMBERS_MAX: u32 = (1 << NUMBER_BITS) - 1;

/// What the index needs to know about the clients.
pub(super) trait Entries {
    /// The position of a client that is in the index.
    fn coordinates(&self, slot: u32) -> Coordinates;
    /// The client's ID.
    fn id(&self, slot: u32) -> &[u8];
}

impl Entries for Store {
    #[inline]
    fn coordinates(&self, slot: u32) -> Coordinates {
        match self.slot(SlotId(slot)).record().body {
            Body::Location { coordinates, .. } => coordinates,
            Body::Gone | Body::Data { .. } => unreachable!("only clients with positions are in the index"),
        }
    }

    fn id(&self, slot: u32) -> &[u8] {
        self.slot(SlotId(slot)).record().key
    }
}

/// The index has no numbers left. It must not be used any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OutOfNumbers;

/// An inner node: its western or southern half, and its eastern or northern half. At least one half has clients.
#[derive(Clone, Copy, Debug)]
struct Node {
    children: [u32; 2],
}

impl Pooled for Node {
    const UNUSED: Node = Node { children: [NONE; 2] };

    fn next_unused(&mut self) -> &mut u32 {
        &mut self.children[0]
    }
}

/// The slots of up to [`LEAF_LEN`] clients.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Leaf {
    /// The link that leads here.
    parent: u32,
    len: u32,
    slots: [u32; LEAF_LEN],
}

impl Leaf {
    fn of(parent: u32, slots: &[u32]) -> Leaf {
        let mut leaf = Leaf { parent, len: slots.len() as u32, ..Leaf::UNUSED };
        leaf.slots[..slots.len()].copy_from_slice(slots);
        leaf
    }

    fn slots(&self) -> &[u32] {
        &self.slots[..self.len as usize]
    }
}

impl Pooled for Leaf {
    const UNUSED: Leaf = Leaf { parent: NONE, len: 0, slots: [NONE; LEAF_LEN] };

    fn next_unused(&mut self) -> &mut u32 {
        &mut self.parent
    }
}

/// A home: where the index holds a slot. [`NONE`]: the slot is not in the index.
impl Pooled for u32 {
    const UNUSED: u32 = NONE;

    fn next_unused(&mut self) -> &mut u32 {
        self
    }
}

/// The clients of a shard by position.
#[derive(Debug)]
pub(super) struct ClientIndex {
    root: u32,
    nodes: Pool<Node, 512>,
    leaves: Pool<Leaf, 64>,
    piles: Vec<Pile>,
    unused_piles: Vec<u32>,
    homes: Pool<u32, 256>,
}

impl ClientIndex {
    /// An empty index.
    pub(super) const fn new() -> ClientIndex {
        ClientIndex {
            root: NONE,
            nodes: Pool::new(),
            leaves: Pool::new(),
            piles: Vec::new(),
            unused_piles: Vec::new(),
            homes: Pool::new(),
        }
    }

    /// Loads the memory that a change of this slot will read into the processor's cache.
    pub(super) fn warm(&self, SlotId(slot): SlotId) {
        if slot < self.homes.room() {
            std::hint::black_box(*self.homes.get(slot));
        }
    }

    /// Follows a change of a slot: `was_at` was the position of its client, and `is_at` is the new one, which `entries`
    /// has already.
    #[inline]
    pub(super) fn change(
        &mut self,
        entries: &impl Entries,
        SlotId(slot): SlotId,
        was_at: Option<Coordinates>,
        is_at: Option<Coordinates>,
    ) -> Result<(), OutOfNumbers> {
        if was_at == is_at {
            return Ok(());
        }
        if let (Some(was_at), Some(is_at)) = (was_at, is_at)
            && Code::of(was_at).common_depth(Code::of(is_at)) >= *self.homes.get(slot) >> NUMBER_BITS
        {
            return Ok(());
        }
        self.change_cell(entries, slot, was_at, is_at)
    }

    #[inline(never)]
    fn change_cell(
        &mut self,
        entries: &impl Entries,
        slot: u32,
        was_at: Option<Coordinates>,
        is_at: Option<Coordinates>,
    ) -> Result<(), OutOfNumbers> {
        if let Some(was_at) = was_at {
            self.remove(entries, slot, was_at);
        }
        match is_at {
            Some(is_at) => self.insert(entries, slot, Code::of(is_at)),
            None => Ok(()),
        }
    }

    fn insert(&mut self, entries: &impl Entries, slot: u32, code: Code) -> Result<(), OutOfNumbers> {
        self.homes.grow_to(slot);
        if self.nodes.used().max(self.leaves.used()) > NUMBERS_MAX - 2 * DEPTH_MAX {
            return Err(OutOfNumbers);
        }
        let (mut parent, mut depth, mut link) = (ROOT, 0, self.root);
        while link & LEAF == 0 {
            (parent, link) = self.child(link, code.side(depth));
            depth += 1;
        }
        if link == NONE {
            self.plant_leaf(parent, depth, &[slot]);
        } else if link & PILE != 0 {
            self.insert_into_pile(entries, link & !(LEAF | PILE), slot, code);
        } else {
            let number = link & !LEAF;
            let leaf = self.leaves.get_mut(number);
            let len = leaf.len as usize;
            if len < LEAF_LEN {
                leaf.slots[len] = slot;
                leaf.len += 1;
                *self.homes.get_mut(slot) = depth << NUMBER_BITS | number;
            } else {
                let slots = [leaf.slots(), &[slot]].concat();
                self.leaves.free(number);
                self.plant(entries, parent, depth, slots);
            }
        }
        Ok(())
    }

    /// Puts clients into a cell that is empty.
    fn plant(&mut self, entries: &impl Entries, parent: u32, depth: u32, slots: Vec<u32>) {
        if slots.len() <= LEAF_LEN {
            return self.plant_leaf(parent, depth, &slots);
        }
        let code = |slot: u32| Code::of(entries.coordinates(slot));
        let first = code(slots[0]);
        let common = slots.iter().map(|&slot| code(slot).common_depth(first)).min().unwrap_or(DEPTH_MAX);
        if !is_worth(depth, common, slots.len()) {
            let mut pile = Pile::of(slots, entries);
            (pile.parent, pile.depth, pile.common) = (parent, depth, common);
            return self.plant_pile(pile);
        }
        let node = self.plant_nodes(parent, depth, common, first);
        let (low, high): (Vec<u32>, Vec<u32>) =
            slots.into_iter().partition(|&slot| code(slot).side(common) == 0);
        self.plant(entries, node << 1, common + 1, low);
        self.plant(entries, node << 1 | 1, common + 1, high);
    }

    /// Adds a chain of nodes down to the depth `last`. Each node except the last has one child, whose cell contains
    /// `code`. Returns the number of the last node.
    fn plant_nodes(&mut self, parent: u32, depth: u32, last: u32, code: Code) -> u32 {
        let (mut parent, mut node) = (parent, NONE);
        for depth in depth..=last {
            node = self.nodes.add(Node::UNUSED);
            self.set_link(parent, node);
            parent = node << 1 | code.side(depth) as u32;
        }
        node
    }

    fn plant_leaf(&mut self, parent: u32, depth: u32, slots: &[u32]) {
        if slots.is_empty() {
            return self.set_link(parent, NONE);
        }
        let number = self.leaves.add(Leaf::of(parent, slots));
        self.set_link(parent, LEAF | number);
        for &slot in slots {
            *self.homes.get_mut(slot) = depth << NUMBER_BITS | number;
        }
    }

    fn plant_pile(&mut self, pile: Pile) {
        let number = self.unused_piles.pop().unwrap_or(self.piles.len() as u32);
        if number as usize == self.piles.len() {
            self.piles.push(Pile::default());
        }
        self.set_link(pile.parent, LEAF | PILE | number);
        for slot in pile.slots() {
            *self.homes.get_mut(slot) = IN_PILE << NUMBER_BITS | number;
        }
        self.piles[number as usize] = pile;
    }

    fn insert_into_pile(&mut self, entries: &impl Entries, number: u32, slot: u32, code: Code) {
        let pile = &mut self.piles[number as usize];
        let (parent, depth, len) = (pile.parent, pile.depth, pile.len());
        let shared = Code::of(entries.coordinates(pile.any())).common_depth(code);
        if shared < pile.common && is_worth(depth, shared, len + 1) {
            // The pile moves into a smaller cell as it is.
            let node = self.plant_nodes(parent, depth, shared, code);
            let side = code.side(shared) as u32;
            let pile = &mut self.piles[number as usize];
            (pile.parent, pile.depth) = (node << 1 | (1 - side), shared + 1);
            self.set_link(node << 1 | (1 - side), LEAF | PILE | number);
            return self.plant_leaf(node << 1 | side, shared + 1, &[slot]);
        }
        let pile = &mut self.piles[number as usize];
        pile.insert(slot, entries);
        pile.common = pile.common.min(shared);
        let common = pile.common;
        *self.homes.get_mut(slot) = IN_PILE << NUMBER_BITS | number;
        if is_worth(depth, common, len + 1) {
            let slots = self.take_pile(number);
            self.plant(entries, parent, depth, slots);
        }
    }

    /// Removes a pile, whose slots get other homes.
    fn take_pile(&mut self, number: u32) -> Vec<u32> {
        self.unused_piles.push(number);
        std::mem::take(&mut self.piles[number as usize]).slots().collect()
    }

    fn remove(&mut self, entries: &impl Entries, slot: u32, was_at: Coordinates) {
        let home = std::mem::replace(self.homes.get_mut(slot), NONE);
        let number = home & NUMBERS_MAX;
        let (parent, len) = if home >> NUMBER_BITS == IN_PILE {
            let pile = &mut self.piles[number as usize];
            pile.remove(slot, was_at, entries);
            if pile.len() > SMALL_PILE_LEN {
                return;
            }
            let (parent, depth) = (pile.parent, pile.depth);
            let slots = self.take_pile(number);
            self.plant_leaf(parent, depth, &slots);
            (parent, slots.len())
        } else {
            let leaf = self.leaves.get_mut(number);
            let at = leaf.slots().iter().position(|&other| other == slot);
            let at = at.expect("a slot whose home is a leaf is in the leaf");
            leaf.len -= 1;
            leaf.slots[at] = leaf.slots[leaf.len as usize];
            let (parent, len) = (leaf.parent, leaf.len as usize);
            if len == 0 {
                self.leaves.free(number);
                self.set_link(parent, NONE);
            }
            (parent, len)
        };
        if parent != ROOT
            && self
                .len_to_merge(self.nodes.get(parent >> 1).children[1 - (parent & 1) as usize], len)
                .is_some()
        {
            self.merge(Code::of(was_at));
        }
    }

    /// The sum of `len` and the number of slots behind a link. `None`: these slots cannot be one leaf.
    fn len_to_merge(&self, link: u32, len: usize) -> Option<usize> {
        let other = match link {
            NONE => 0,
            _ if link & LEAF == 0 || link & PILE != 0 => return None,
            _ => self.leaves.get(link & !LEAF).len as usize,
        };
        (len + other <= MERGED_LEN_MAX).then_some(len + other)
    }

    /// Merges the leaf whose cell contains `code` with its sibling, and the merged leaf with its own sibling, as long
    /// as the result is small enough.
    fn merge(&mut self, code: Code) {
        let mut path = [(ROOT, NONE); DEPTH_MAX as usize + 1];
        let (mut depth, mut parent, mut link) = (0, ROOT, self.root);
        while link & LEAF == 0 {
            path[depth] = (parent, link);
            (parent, link) = self.child(link, code.side(depth as u32));
            depth += 1;
        }
        let mut slots = [NONE; MERGED_LEN_MAX];
        let mut len = self.take_leaf(link, &mut slots, 0);
        while depth > 0 {
            let (above, node) = path[depth - 1];
            let (_, sibling) = self.child(node, 1 - code.side(depth as u32 - 1));
            if self.len_to_merge(sibling, len).is_none() {
                break;
            }
            len = self.take_leaf(sibling, &mut slots, len);
            self.nodes.free(node);
            (parent, depth) = (above, depth - 1);
        }
        self.plant_leaf(parent, depth as u32, &slots[..len]);
    }

    /// Frees a leaf and appends its slots to the `len` slots in `slots`. Returns the new length.
    fn take_leaf(&mut self, link: u32, slots: &mut [u32; MERGED_LEN_MAX], len: usize) -> usize {
        if link == NONE {
            return len;
        }
        let taken = *self.leaves.get(link & !LEAF);
        self.leaves.free(link & !LEAF);
        let end = len + taken.slots().len();
        slots[len..end].copy_from_slice(taken.slots());
        end
    }

    /// The link to a child of a node: its place, and what it leads to.
    #[inline]
    fn child(&self, node: u32, side: usize) -> (u32, u32) {
        (node << 1 | side as u32, self.nodes.get(node).children[side])
    }

    fn set_link(&mut self, place: u32, link: u32) {
        match place {
            ROOT => self.root = link,
            _ => self.nodes.get_mut(place >> 1).children[(place & 1) as usize] = link,
        }
    }

    /// The number of allocated bytes.
    pub(super) fn bytes(&self) -> usize {
        let piles = self.piles.iter().map(Pile::bytes).sum::<usize>();
        let tables = self.piles.capacity() * size_of::<Pile>() + self.unused_piles.capacity() * 4;
        self.nodes.bytes() + self.leaves.bytes() + self.homes.bytes() + piles + tables
    }
}

/// Whether `len` clients of a cell with this depth may be separated if that takes nodes down to the depth `common`.
fn is_worth(depth: u32, common: u32, len: usize) -> bool {
    common < DEPTH_MAX && (common - depth) as usize * NODES_PER_CLIENTS <= len
}
