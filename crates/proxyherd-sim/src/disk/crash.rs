//! What a crash leaves of the writes and of the changes of names that were not synced.

use std::collections::BTreeMap;

use super::{File, FileId, NameChange, State, Write, put};
use crate::rng::Rng;

/// The unit that a disk writes as a whole.
const SECTOR_LEN: usize = 512;

/// Whether a disk has forgotten something of which it said that it was synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) struct Forgotten(pub(crate) bool);

/// What happens to a list of waiting changes.
#[derive(Clone, Copy)]
enum Fate {
    Dropped,
    Kept,
    /// The first ones are kept, and one of them in part.
    Torn,
    /// Any of them are kept.
    Mixed,
}

impl Fate {
    fn draw(rng: &mut Rng) -> Fate {
        [Fate::Dropped, Fate::Kept, Fate::Torn, Fate::Mixed][rng.index(4)]
    }
}

impl State {
    pub(super) fn crash(&mut self, rng: &mut Rng) -> Forgotten {
        self.life += 1;
        let mut forgot = std::mem::take(&mut self.has_forgotten) | self.crash_names(rng);
        for file in self.files.values_mut() {
            forgot |= file.crash(rng);
        }
        self.drop_nameless();
        Forgotten(forgot)
    }

    /// Decides which names are left. Returns whether a change is lost that was said to be synced.
    fn crash_names(&mut self, rng: &mut Rng) -> bool {
        let changes = std::mem::take(&mut self.name_changes);
        let claimed = std::mem::take(&mut self.claimed_names);
        let fate = if changes.is_empty() { Fate::Kept } else { Fate::draw(rng) };
        let first = rng.index(changes.len() + 1);
        let mut forgot = false;
        for (at, change) in changes.into_iter().enumerate() {
            let is_kept = match fate {
                Fate::Dropped => false,
                Fate::Kept => true,
                Fate::Torn => at < first,
                Fate::Mixed => rng.chance(500),
            };
            forgot |= !is_kept && at < claimed;
            if is_kept {
                change.apply(&mut self.synced_names);
            }
        }
        self.names = self.synced_names.clone();
        forgot
    }
}

impl NameChange {
    fn apply(self, names: &mut BTreeMap<String, FileId>) {
        match self {
            NameChange::Create(name, file) => drop(names.insert(name, file)),
            NameChange::Rename(from, to, file) => {
                names.remove(&from);
                names.insert(to, file);
            }
            NameChange::Remove(name) => drop(names.remove(&name)),
        }
    }
}

impl File {
    /// Decides what is left of the waiting writes. Returns whether bytes are lost that were said to be synced.
    fn crash(&mut self, rng: &mut Rng) -> bool {
        let writes = std::mem::take(&mut self.writes);
        let claimed = std::mem::take(&mut self.claimed);
        let waiting: usize = writes.iter().map(|write| write.bytes.len()).sum();
        let fate = if writes.is_empty() { Fate::Kept } else { Fate::draw(rng) };
        let mut room = rng.index(waiting + 1);
        let mut forgot = false;
        for (at, Write { offset, bytes }) in writes.into_iter().enumerate() {
            let kept = match fate {
                Fate::Dropped => 0,
                Fate::Kept => bytes.len(),
                Fate::Torn => bytes.len().min(room),
                Fate::Mixed => {
                    forgot |= self.keep_some_sectors(offset, &bytes, rng) && at < claimed;
                    continue;
                }
            };
            room -= kept.min(room);
            forgot |= kept < bytes.len() && at < claimed;
            if kept > 0 {
                put(&mut self.synced, offset, &bytes[..kept]);
            }
        }
        self.seen.clone_from(&self.synced);
        forgot
    }

    /// Keeps any of the sectors of a write. Returns whether some are lost.
    fn keep_some_sectors(&mut self, offset: usize, bytes: &[u8], rng: &mut Rng) -> bool {
        let (mut from, mut has_lost) = (0, false);
        while from < bytes.len() {
            let sector_end = (offset + from) / SECTOR_LEN * SECTOR_LEN + SECTOR_LEN - offset;
            let to = sector_end.min(bytes.len());
            if rng.chance(500) {
                put(&mut self.synced, offset + from, &bytes[from..to]);
            } else {
                has_lost = true;
            }
            from = to;
        }
        has_lost
    }
}
