//! Checks of the index: whether it has exactly the clients that it should have, each where a search expects it.

use super::{
    ClientIndex, Entries, IN_PILE, LEAF, MERGED_LEN_MAX, NUMBER_BITS, PILE, ROOT, cell::Code, pool::NONE,
};

impl ClientIndex {
    /// A contradiction between the index and the slots that should be in it, if there is one.
    pub(in crate::flood) fn contradiction(
        &self,
        entries: &impl Entries,
        slots: impl Iterator<Item = u32>,
    ) -> Option<String> {
        let (mut wrong, mut held) = (None, 0);
        self.audit(ROOT, self.root, 0, entries, &mut held, &mut wrong);
        let mut expected = 0;
        for slot in slots {
            expected += 1;
            if !self.is_at_home(entries, slot) {
                wrong = Some(format!("the home of slot {slot} is not where a search finds the slot"));
            }
        }
        let homes = (0..self.homes.room()).filter(|&slot| *self.homes.get(slot) != NONE).count();
        if held != expected || homes != expected {
            wrong = Some(format!("the index has {held} clients and {homes} homes of {expected} clients"));
        }
        wrong
    }

    /// Whether the way from the root to a client ends at the client's home.
    fn is_at_home(&self, entries: &impl Entries, slot: u32) -> bool {
        let code = Code::of(entries.coordinates(slot));
        let (mut link, mut depth) = (self.root, 0);
        while link & LEAF == 0 {
            (_, link) = self.child(link, code.side(depth));
            depth += 1;
        }
        link != NONE && slot < self.homes.room() && *self.homes.get(slot) == home(link, depth)
    }

    /// Checks what is behind a link, and counts the clients. Returns their number if they are one leaf or none.
    fn audit(
        &self,
        place: u32,
        link: u32,
        depth: u32,
        entries: &impl Entries,
        held: &mut usize,
        wrong: &mut Option<String>,
    ) -> Option<usize> {
        if link == NONE {
            return Some(0);
        }
        let number = link & !(LEAF | PILE);
        if link & LEAF == 0 {
            let [low, high] = [0, 1].map(|side| {
                let (place, link) = self.child(link, side);
                self.audit(place, link, depth + 1, entries, held, wrong)
            });
            if let (Some(low), Some(high)) = (low, high)
                && low + high <= MERGED_LEN_MAX
            {
                *wrong = Some(format!("two leaves with {low} and {high} clients are not one"));
            }
            return None;
        }
        let has_home = |slot: u32| *self.homes.get(slot) == home(link, depth);
        let (parent, len, all_have_homes) = if link & PILE == 0 {
            let leaf = self.leaves.get(number);
            (leaf.parent, leaf.slots().len(), leaf.slots().iter().all(|&slot| has_home(slot)))
        } else {
            let pile = &self.piles[number as usize];
            if pile.depth != depth || !pile.is_sorted(entries) {
                *wrong = Some("a pile is not in its order, or has the depth of another cell".to_owned());
            }
            (pile.parent, pile.len(), pile.slots().all(has_home))
        };
        if parent != place || len == 0 || !all_have_homes {
            *wrong =
                Some(format!("a leaf at depth {depth} is empty, or has a wrong parent or a wrong client"));
        }
        *held += len;
        (link & PILE == 0).then_some(len)
    }
}

/// The home of the clients behind a link.
fn home(link: u32, depth: u32) -> u32 {
    let at = if link & PILE == 0 { depth } else { IN_PILE };
    at << NUMBER_BITS | link & !(LEAF | PILE)
}
