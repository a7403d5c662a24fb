//! Presence: which clients came, fell silent, are back, or are gone.
//!
//! A server that wants presence first notes all clients that it holds ([`Presence::note`]). This tells nothing. Then it
//! calls [`Presence::see`] with each change of a client, and [`Presence::pass`] when [`Presence::due_ns`] has come.
//! Both tell the events that follow.
//!
//! **One event for the herd.** Every server finds the same events, with the same IDs, from the same records (`life`):
//!
//! | event | what its ID is made of, in addition to the client |
//! |---|---|
//! | came | what ended the client's life before: the tombstone's version, or when the expired report was received. If nothing is known of an earlier life: the day of receipt |
//! | silent | when the last report was received |
//! | back | when the report was received after which the client was silent |
//! | gone | the tombstone's version, or when the expired report was received |
//!
//! A slow link leaves out reports that newer reports have replaced. This changes no event, as long as the link is not
//! late by a good part of the time of silence. A server waits for [`PRESENCE_LATE_NS`] before it tells that a client is
//! silent or has expired, because a newer report may be on its way. A server that was cut off for longer tells what it
//! has to believe: it may tell that a client is silent that others still hear.
//!
//! One case remains. A client reports shortly before it would be silent or expire, and again shortly after that moment.
//! A link leaves out the first of these reports, because the second has replaced it. The server behind that link then
//! tells that the client was silent and is back, or that it is gone and came; other servers tell neither. For this
//! server nothing distinguishes the client from one that only sent the second report. A later moment for this decision
//! would not help: the same can happen around any moment.
//!
//! If a slow link leaves out the only report after which a silent client was back, and the client was then forgotten,
//! the server tells that the client is gone, and not that it was back before.
//!
//! A server that has begun to note presence only after a client's earlier life ended does not know what ended this
//! life. It may then give the event that the client came another ID than other servers do.
//!
//! **Memory.** A client takes about 93 bytes and its ID: a `Slot` of 56 bytes, an entry of 8 bytes in the timers, and
//! up to 20 bytes in the table. Each list grows by an eighth. A client whose life has ended is remembered for
//! [`PRESENCE_ENDED_NS`](crate::limits::PRESENCE_ENDED_NS). At most [`PRESENCE_ENDED_MAX`] of them are remembered;
//! after that further ones are not, and if such a client comes again, this counts as the first time.
//!
//! **Timers.** A client has one valid timer. It is not moved when a report arrives: when it is due, the client's next
//! time is computed, and nearly always the timer then begins anew. Only a time that is earlier than the timer's needs a
//! new one, and the old one is void. If more timers are void than valid, all are made anew.
//!
//! This module knows no filters, no rights and no clock.

mod event;
mod life;
#[cfg(test)]
mod tests;

use std::{cmp::Reverse, collections::BinaryHeap};

use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64_with_seed;

pub use self::event::{PresenceEvent, PresenceKind};
use self::life::{Life, LifeRules};
use crate::limits::{PRESENCE_ENDED_MAX, PRESENCE_LATE_NS};
use proxyherd_core::{
    flood::shown_until_ns,
    types::{Body, Record, Version},
};

/// The unit of timers. Events that time causes are told up to this much later.
const TICK_NS: u64 = 1 << 27;
/// The tick of a timer that is never due. It is farther in the future than the life of any process.
const NEVER: u32 = u32::MAX;

/// What presence needs to know.
#[derive(Clone, Copy, Debug)]
pub struct PresenceSettings {
    /// The time after its last report at which a client is silent, nanoseconds. `None`: no client is silent.
    pub silent_ns: Option<u64>,
    /// The time at which presence begins. A report that was received before tells nobody that its client came.
    pub began_ns: u64,
    /// The seed of the table's hash. Keep the seed secret: whoever knows it can choose IDs that collide.
    pub seed: u64,
}

/// What was seen of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// This is its newest report.
    Report {
        /// When the report was received, POSIX time in nanoseconds.
        received_ns: u64,
        /// When the report expires; `u64::MAX`: never.
        shown_until_ns: u64,
    },
    /// The client was forgotten.
    Tombstone {
        /// The version of the tombstone.
        version: Version,
        /// When the server that made the tombstone did so.
        received_ns: u64,
    },
    /// The server holds no record of the client any more.
    Removed,
}

impl Seen {
    /// What a record says of its client, at a server with this `client_ttl_ns`. `None`: the record is not about a
    /// client.
    pub fn of(record: &Record<'_>, client_ttl_ns: Option<u64>) -> Option<Seen> {
        let received_ns = record.received_ns();
        match record.body {
            Body::Location { .. } => {
                Some(Seen::Report { received_ns, shown_until_ns: shown_until_ns(record, client_ttl_ns) })
            }
            Body::Gone => Some(Seen::Tombstone { version: record.version(), received_ns }),
            Body::Data { .. } => None,
        }
    }
}

/// The presence of all clients.
#[derive(Debug)]
pub struct Presence {
    rules: LifeRules,
    /// The time of tick 0.
    epoch_ns: u64,
    seed: u64,
    /// For each client, its place in `slots` and part of its ID's hash.
    table: HashTable<(u32, u32)>,
    slots: Vec<Slot>,
    free: Vec<u32>,
    /// The tick at which a client has its turn, and its place in `slots`.
    timers: BinaryHeap<Reverse<(u32, u32)>>,
    /// The number of clients whose life has ended.
    ended: usize,
}

/// One client.
#[derive(Debug)]
struct Slot {
    client: Box<[u8]>,
    life: Life,
    /// The tick of the client's valid timer.
    timer: u32,
}

const _: () = assert!(size_of::<Slot>() <= 56);

impl Presence {
    /// No clients.
    pub fn new(settings: PresenceSettings) -> Presence {
        let PresenceSettings { silent_ns, began_ns, seed } = settings;
        Presence {
            rules: LifeRules { silent_ns: silent_ns.unwrap_or(u64::MAX), began_ns },
            epoch_ns: began_ns,
            seed,
            table: HashTable::new(),
            slots: Vec::new(),
            free: Vec::new(),
            timers: BinaryHeap::new(),
            ended: 0,
        }
    }

    /// Notes a client that was known before presence began, or that was found by a search, and tells nothing.
    pub fn note(&mut self, now_ns: u64, client: &[u8], seen: Seen) {
        let began_ns = std::mem::replace(&mut self.rules.began_ns, u64::MAX);
        self.see(now_ns, client, seen, |_| ());
        self.rules.began_ns = began_ns;
    }

    /// Takes what was seen of a client at `now_ns`, and tells the events that follow, in their order.
    pub fn see(&mut self, now_ns: u64, client: &[u8], seen: Seen, mut tell: impl FnMut(PresenceEvent<'_>)) {
        let hash = self.hash(client);
        let held = self.find(hash, client);
        let before = held.map(|at| self.slots[at as usize].life);
        let mut tell = |kind, cause| tell(PresenceEvent::new(kind, client, cause));
        let after = self.rules.after(now_ns, before, seen, &mut tell);
        if before == after {
            return;
        }
        match (held, after) {
            (Some(at), Some(life)) => self.set_life(at, life),
            (None, Some(life)) => self.insert(hash, client, life),
            (_, None) => {}
        }
    }

    /// The time at which [`Presence::pass`] has something to do. `None`: there is no such time.
    pub fn due_ns(&self) -> Option<u64> {
        self.timers.peek().map(|Reverse((tick, _))| self.tick_ns(*tick))
    }

    /// Handles up to `most` timers that are due at `now_ns`, and tells the events that follow. Returns whether no
    /// further timer is due.
    pub fn pass(&mut self, now_ns: u64, most: usize, mut tell: impl FnMut(PresenceEvent<'_>)) -> bool {
        let until_ns = now_ns.saturating_sub(PRESENCE_LATE_NS);
        for _ in 0..most {
            let Some(&Reverse((tick, at))) = self.timers.peek() else { return true };
            if self.tick_ns(tick) > now_ns {
                return true;
            }
            self.timers.pop();
            let slot = &mut self.slots[at as usize];
            if slot.timer != tick {
                continue;
            }
            slot.timer = NEVER;
            let Slot { client, life, .. } = slot;
            let mut tell = |kind, cause| tell(PresenceEvent::new(kind, client, cause));
            let after = self.rules.passed(*life, until_ns, &mut tell);
            match after {
                Life::Ended { .. } if self.rules.due_ns(after) <= until_ns => self.remove(at),
                after => self.set_life(at, after),
            }
        }
        false
    }

    /// The number of clients that are known, and of those whose last life is remembered.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    fn hash(&self, client: &[u8]) -> u32 {
        xxh3_64_with_seed(client, self.seed) as u32
    }

    fn find(&self, hash: u32, client: &[u8]) -> Option<u32> {
        let is_it = |&(part, at): &(u32, u32)| part == hash && *self.slots[at as usize].client == *client;
        self.table.find(spread(hash), is_it).map(|&(_, at)| at)
    }

    fn insert(&mut self, hash: u32, client: &[u8], life: Life) {
        if matches!(life, Life::Ended { .. }) && self.ended >= PRESENCE_ENDED_MAX {
            return;
        }
        let slot = Slot { client: client.into(), life, timer: NEVER };
        let at = match self.free.pop() {
            Some(at) => {
                self.slots[at as usize] = slot;
                at
            }
            None => {
                grow(&mut self.slots);
                self.slots.push(slot);
                self.slots.len() as u32 - 1
            }
        };
        self.table.insert_unique(spread(hash), (hash, at), |&(part, _)| spread(part));
        self.ended += usize::from(matches!(life, Life::Ended { .. }));
        self.set_timer(at);
    }

    fn set_life(&mut self, at: u32, life: Life) {
        let slot = &mut self.slots[at as usize];
        let was_ended = matches!(slot.life, Life::Ended { .. });
        let is_ended = matches!(life, Life::Ended { .. });
        if is_ended && !was_ended && self.ended >= PRESENCE_ENDED_MAX {
            return self.remove(at);
        }
        self.ended = self.ended + usize::from(is_ended) - usize::from(was_ended);
        slot.life = life;
        self.set_timer(at);
    }

    /// Forgets a client. Its timer, if there is one, is void.
    fn remove(&mut self, at: u32) {
        let slot = &mut self.slots[at as usize];
        self.ended -= usize::from(matches!(slot.life, Life::Ended { .. }));
        let hash = xxh3_64_with_seed(&slot.client, self.seed) as u32;
        (slot.client, slot.timer) = (Box::default(), NEVER);
        if let Ok(entry) = self.table.find_entry(spread(hash), |indexed| *indexed == (hash, at)) {
            entry.remove();
        }
        self.free.push(at);
    }

    /// Gives the client a timer that is not later than the client's next time.
    fn set_timer(&mut self, at: u32) {
        let slot = &self.slots[at as usize];
        let due_ns = self.rules.due_ns(slot.life).saturating_add(PRESENCE_LATE_NS);
        let tick = self.tick_at(due_ns);
        if tick >= slot.timer {
            return;
        }
        self.slots[at as usize].timer = tick;
        if self.timers.len() == self.timers.capacity() {
            if self.timers.len() > 2 * self.table.len() {
                return self.renew_timers();
            }
            self.timers.reserve_exact(growth(self.timers.len()));
        }
        self.timers.push(Reverse((tick, at)));
    }

    /// Drops the void timers.
    fn renew_timers(&mut self) {
        let slots = &self.slots;
        let is_valid = |at: u32| slots[at as usize].timer != NEVER;
        let valid = (0..slots.len() as u32).filter(|&at| is_valid(at));
        self.timers = valid.map(|at| Reverse((slots[at as usize].timer, at))).collect();
    }

    /// The tick that begins at or after a time. `NEVER` for times that are too far ahead.
    fn tick_at(&self, at_ns: u64) -> u32 {
        if at_ns == u64::MAX {
            return NEVER;
        }
        u32::try_from(at_ns.saturating_sub(self.epoch_ns).div_ceil(TICK_NS)).unwrap_or(NEVER)
    }

    fn tick_ns(&self, tick: u32) -> u64 {
        self.epoch_ns.saturating_add(u64::from(tick) * TICK_NS)
    }
}

/// Makes room for one more in a long list, without the doubling that a `Vec` would choose.
fn grow<T>(list: &mut Vec<T>) {
    if list.len() == list.capacity() {
        list.reserve_exact(growth(list.len()));
    }
}

fn growth(len: usize) -> usize {
    len / 8 + 64
}

/// Expands the 32 bits that are kept to the 64 bits that the table needs.
fn spread(part: u32) -> u64 {
    u64::from(part).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}
