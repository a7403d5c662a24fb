//! One shard of the herd's map, and the rules by which its changes reach every server.
//!
//! A report is given a sequence by the server that takes it. Every record that is news is marked for every link
//! but the one it came from; a link's flush sends the *current* record of each marked slot, so an overtaken
//! update is never sent and a slow neighbour costs one mark a record. *Markers* travel between the records:
//! a marker is a snapshot of the vector (origin -> covered up to) that stands behind everything queued when it
//! was taken, so whoever receives it has received all that it covers. When a link comes up, the vectors say
//! what the other lacks.
//!
//! Invariants, for each shard:
//! - I1: a vector entry `o: s` means that every update of origin `o` up to `s` is held here or has been
//!   overtaken by what is held (or has expired). So equal complete vectors mean equal maps.
//! - A slot stands at most once in a link's FIFO, exactly when its bit in `queued` is set.
//! - The vector advances for other origins by markers alone. Advancing it for each record as it arrives looks
//!   right and is not: a server can overtake a record before it has passed it on, take its sequence for
//!   covered, and die.
//!
//! Shards are independent: each has sequences, vectors and outboxes of its own, under one lock that whoever
//! owns the shard provides. No socket, clock or lock is known here.

mod audit;
mod origins;
mod outbox;

use self::{
    origins::{ME, Origins},
    outbox::{Item, Outbox, UNNAMED},
};
use crate::{
    codec::link::Encoder,
    limits::{CLOCK_AHEAD_MAX_NS, LINKS_MAX, TOMBSTONE_TTL_NS},
    store::{LinkMask, SlotId, Store},
    types::{Body, ClientId, Difference, Kind, Origin, Record, Report, Timestamp},
};

/// One of this server's links, 0 to 31.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(u8);

impl LinkId {
    /// The link at this place in the server's list of neighbours.
    pub fn new(index: usize) -> Option<LinkId> {
        (index < LINKS_MAX).then_some(LinkId(index as u8))
    }

    /// The place in the list of neighbours.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }

    fn bit(self) -> LinkMask {
        1 << self.0
    }
}

/// Some of this server's links: those whose flush has something to do and does not know yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use = "links that are not woken do not flush"]
pub struct Wake(LinkMask);

impl Wake {
    /// Both.
    pub fn and(self, other: Wake) -> Wake {
        Wake(self.0 | other.0)
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The links, one by one.
    pub fn links(self) -> impl Iterator<Item = LinkId> {
        bits(self.0)
    }
}

impl FromIterator<LinkId> for Wake {
    fn from_iter<T: IntoIterator<Item = LinkId>>(links: T) -> Wake {
        Wake(links.into_iter().fold(0, |mask, link| mask | link.bit()))
    }
}

fn bits(mut mask: LinkMask) -> impl Iterator<Item = LinkId> {
    std::iter::from_fn(move || {
        let lowest = mask.trailing_zeros();
        mask &= mask.checked_sub(1)?;
        Some(LinkId(lowest as u8))
    })
}

/// What became of a record that was offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offered {
    /// It is the first of its key.
    Inserted,
    /// It is newer than what was held.
    Updated,
    /// What is held is at least as new: nothing changed.
    Stale,
    /// There is no room for another key: nothing changed.
    Full,
}

/// The flood's rules, each as it should be. The simulator breaks them one at a time, to show that its checkers
/// notice; nothing else ever does.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rules {
    /// Wrong: advance the vector for each record as it arrives, instead of by markers alone.
    pub advance_by_record: bool,
}

/// What a shard is told once.
#[derive(Clone, Debug)]
pub struct ShardSettings {
    /// This life of this server.
    pub me: Origin,
    /// Which shard it is, as the link protocol numbers them.
    pub index: u8,
    /// Scatters the table; nobody outside should know it.
    pub seed: u64,
    /// Forget a client this long after its report was received, nanoseconds.
    pub client_ttl_ns: Option<u64>,
    /// As they should be.
    pub rules: Rules,
}

/// One shard: records, origins, outboxes.
#[derive(Debug)]
pub struct Shard {
    settings: ShardSettings,
    store: Store,
    origins: Origins,
    outboxes: [Option<Box<Outbox>>; LINKS_MAX],
    up: LinkMask,
    /// Where the next sweep goes on.
    swept: usize,
}

impl Shard {
    /// An empty shard of a server that has just started.
    pub fn new(settings: ShardSettings) -> Shard {
        Shard {
            store: Store::new(settings.seed),
            origins: Origins::new(settings.me.clone()),
            outboxes: [const { None }; LINKS_MAX],
            up: 0,
            swept: 0,
            settings,
        }
    }

    /// How many records are held, tombstones among them.
    pub fn len(&self) -> usize {
        self.store.len()
    }

    /// Whether no record is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes a client's report. With `has_room` false a client that is not held yet is refused.
    pub fn report(&mut self, now_ns: u64, report: &Report<'_>, has_room: bool) -> (Offered, Wake) {
        let difference = Difference::at_receipt(now_ns, report.timestamp);
        let body = Body::Location { coordinates: report.coordinates, attributes: report.attributes };
        let key = report.client.as_bytes();
        let record = Record { kind: Kind::CLIENT, key, body, timestamp: report.timestamp, difference };
        self.take(now_ns, &record, has_room)
    }

    /// Prepares for a report of this client that is about to come, by bringing its record into the cache; nothing changes.
    pub fn expect(&self, client: ClientId<'_>) {
        self.store.warm(Kind::CLIENT, client.as_bytes());
    }

    /// Forgets a client for the whole herd, by a tombstone that wins over what is held.
    ///
    /// `Stale`: there is nothing to forget.
    pub fn forget(&mut self, now_ns: u64, client: ClientId<'_>) -> (Offered, Wake) {
        let nothing = (Offered::Stale, Wake::default());
        let key = client.as_bytes();
        let Some(held) = self.locate(now_ns, Kind::CLIENT, key) else { return nothing };
        if held.record.body == Body::Gone {
            return nothing;
        }
        let Some(timestamp) = Timestamp::from_nanos(now_ns.max(held.record.version().0 + 1)) else {
            return nothing;
        };
        // Received no earlier than so, or the bound on fast clocks would put it below what it is to win over,
        // which a server whose clock is ahead of this one's may have taken.
        let received_ns = now_ns.max(timestamp.nanos().saturating_sub(CLOCK_AHEAD_MAX_NS.unsigned_abs()));
        let difference = Difference::at_receipt(received_ns, timestamp);
        let record = Record { kind: Kind::CLIENT, key, body: Body::Gone, timestamp, difference };
        self.take(now_ns, &record, true)
    }

    /// A record that this server itself is the origin of.
    fn take(&mut self, now_ns: u64, record: &Record<'_>, has_room: bool) -> (Offered, Wake) {
        let held = self.store.find(record.kind, record.key);
        if held.is_none() && !has_room {
            return (Offered::Full, Wake::default());
        }
        if let Some(id) = held
            && !self.is_expired(now_ns, &self.store.slot(id).record())
            && !self.wins(record, ME, id)
        {
            return (Offered::Stale, Wake::default());
        }
        let seq = self.origins.covered(ME) + 1;
        self.keep(held, record, ME, seq, None)
    }

    /// Takes a record that came over `from`. `guess` is where this shard keeps the origin, as far as the caller
    /// remembers; it is brought up to date.
    pub fn apply(
        &mut self,
        now_ns: u64,
        from: LinkId,
        record: &Record<'_>,
        origin: &Origin,
        seq: u64,
        guess: &mut u16,
    ) -> (Offered, Wake) {
        if self.is_expired(now_ns, record) {
            return (Offered::Stale, Wake::default());
        }
        let held = self.store.find(record.kind, record.key);
        // Its server may have taken it because what is held here had expired there: it counts as expired here
        // too, swept or not, and whatever this server's clock says.
        let taken_ns = now_ns.max(record.received_ns());
        if let Some(id) = held
            && !self.is_expired(taken_ns, &self.store.slot(id).record())
        {
            let holder = self.origins.origin(self.store.slot(id).origin);
            let order = record.precedence(&origin.server, &self.store.slot(id).record(), &holder.server);
            if order.is_eq() {
                // The neighbour has just what is held: no need to send it there.
                self.store.slot_mut(id).set_from(Some(from.0));
            }
            if order.is_le() {
                return (Offered::Stale, self.advance_naively(origin, seq));
            }
        }
        let Some(place) = self.origins.place_or_insert(origin, *guess) else {
            return (Offered::Full, Wake::default());
        };
        *guess = place;
        let (offered, wake) = self.keep(held, record, place, seq, Some(from));
        (offered, wake.and(self.advance_naively(origin, seq)))
    }

    /// The trap, for the simulator's checkers to find.
    fn advance_naively(&mut self, origin: &Origin, seq: u64) -> Wake {
        match self.origins.place_of(origin) {
            Some(place) if self.settings.rules.advance_by_record && self.origins.cover(place, seq) => {
                self.ready(self.up)
            }
            _ => Wake::default(),
        }
    }

    fn wins(&self, record: &Record<'_>, place: u16, over: SlotId) -> bool {
        let held = self.store.slot(over);
        let (server, holder) = (&self.origins.origin(place).server, &self.origins.origin(held.origin).server);
        record.precedence(server, &held.record(), holder).is_gt()
    }

    /// Keeps a record that has won, and marks it for every link but the one it came from.
    fn keep(
        &mut self,
        held: Option<SlotId>,
        record: &Record<'_>,
        place: u16,
        seq: u64,
        from: Option<LinkId>,
    ) -> (Offered, Wake) {
        let Ok(id) = self.store.place(held, record) else { return (Offered::Full, Wake::default()) };
        let slot = self.store.slot_mut(id);
        let overtaken = held.map(|_| slot.origin);
        (slot.origin, slot.seq) = (place, seq);
        slot.set_from(from.map(|link| link.0));
        if overtaken != Some(place) {
            self.origins.add_live(place);
            if let Some(overtaken) = overtaken {
                self.leave(overtaken);
            }
        }
        if place == ME {
            self.origins.cover(ME, seq);
        }
        let wake = self.mark(id, self.up & !from.map_or(0, LinkId::bit));
        (if held.is_some() { Offered::Updated } else { Offered::Inserted }, wake)
    }

    /// One live record less at `place`.
    fn leave(&mut self, place: u16) {
        if self.origins.remove_live(place) {
            for outbox in self.outboxes.iter_mut().flatten() {
                outbox.forget(place);
            }
        }
    }

    /// Queues a slot on those of `links` where it is not queued already.
    fn mark(&mut self, id: SlotId, links: LinkMask) -> Wake {
        let slot = self.store.slot_mut(id);
        let added = links & !slot.queued;
        slot.queued |= added;
        for link in bits(added) {
            self.outbox(link).push(id);
        }
        self.ready(added)
    }

    /// Notes that these links have something to flush; says which did not know.
    fn ready(&mut self, links: LinkMask) -> Wake {
        let mut wake = 0;
        for link in bits(links) {
            let outbox = self.outbox(link);
            if !outbox.is_ready {
                outbox.is_ready = true;
                wake |= link.bit();
            }
        }
        Wake(wake)
    }

    fn outbox(&mut self, link: LinkId) -> &mut Outbox {
        self.outboxes[link.index()].as_mut().expect("only links that are up are marked")
    }

    /// The record of a key, unless its time is over, and the origin that took it.
    pub fn locate(&self, now_ns: u64, kind: Kind, key: &[u8]) -> Option<Held<'_>> {
        let slot = self.store.slot(self.store.find(kind, key)?);
        let record = slot.record();
        (!self.is_expired(now_ns, &record)).then(|| self.held(slot))
    }

    /// Every record, in no order that means anything, expired ones among them.
    pub fn records(&self) -> impl Iterator<Item = Held<'_>> {
        self.store.live().map(|(_, slot)| self.held(slot))
    }

    fn held<'a>(&'a self, slot: &'a crate::store::Slot) -> Held<'a> {
        Held { record: slot.record(), origin: self.origins.origin(slot.origin), seq: slot.seq }
    }

    fn is_expired(&self, now_ns: u64, record: &Record<'_>) -> bool {
        let ttl_ns = match record.body {
            Body::Gone => Some(TOMBSTONE_TTL_NS),
            Body::Location { .. } => self.settings.client_ttl_ns,
        };
        ttl_ns.is_some_and(|ttl_ns| record.received_ns().saturating_add(ttl_ns) <= now_ns)
    }

    /// Forgets what has expired among at most `slots` slots, beginning where the last sweep ended. Says how many
    /// records went, and whether it came round.
    pub fn sweep(&mut self, now_ns: u64, slots: usize) -> (usize, bool) {
        let end = (self.swept + slots).min(self.store.slots_used());
        let mut removed = 0;
        for id in (self.swept..end).map(|at| SlotId(at as u32)) {
            let slot = self.store.slot(id);
            if slot.is_live() && self.is_expired(now_ns, &slot.record()) {
                let place = slot.origin;
                self.store.remove(id);
                self.leave(place);
                removed += 1;
            }
        }
        let is_round = end == self.store.slots_used();
        self.swept = if is_round { 0 } else { end };
        (removed, is_round)
    }
}

/// Reconciling: what happens when links come and go, and what they send.
impl Shard {
    /// The vector: each origin with live records, and up to where all its updates are covered.
    pub fn vector(&self) -> impl Iterator<Item = (&Origin, u64)> {
        self.origins.vector().map(|(_, origin, covered)| (origin, covered))
    }

    /// Appends this shard's vector as a frame, for a link that has just come up.
    pub fn write_vector(&self, encoder: &mut Encoder) {
        let vector: Vec<_> = self
            .vector()
            .filter_map(|(origin, covered)| Some((encoder.index_of(origin)?, covered)))
            .collect();
        encoder.vector(self.settings.index, &vector);
    }

    /// A link is up and its neighbour has told its vector: queues every record that it lacks. From here on the
    /// link is marked for changes.
    pub fn link_up(&mut self, link: LinkId, vector: &[(Origin, u64)]) -> Wake {
        self.link_down(link);
        let mut outbox = Box::new(Outbox::default());
        let mut covered_there = vec![0; self.origins.places_used()];
        for (origin, covered) in vector {
            if let Some(place) = self.origins.place_of(origin) {
                covered_there[usize::from(place)] = *covered;
                outbox.tell(place, *covered);
            }
        }
        let lacks = |slot: &crate::store::Slot| slot.seq > covered_there[usize::from(slot.origin)];
        let lacking: Vec<_> = self.store.live().filter(|(_, slot)| lacks(slot)).map(|(id, _)| id).collect();
        self.outboxes[link.index()] = Some(outbox);
        self.up |= link.bit();
        for id in lacking {
            let slot = self.store.slot_mut(id);
            if slot.is_from(link.0) {
                // What the neighbour told us in an earlier life it may have lost.
                slot.set_from(None);
            }
            let _ = self.mark(id, link.bit());
        }
        // The first flush tells how far we are, whether or not there was anything to send.
        self.outbox(link).is_ready = true;
        Wake(link.bit())
    }

    /// A link is down: what was queued on it is dropped, since the next vector will say what is lacking.
    pub fn link_down(&mut self, link: LinkId) {
        self.up &= !link.bit();
        if let Some(mut outbox) = self.outboxes[link.index()].take() {
            for id in outbox.drain() {
                self.store.slot_mut(id).queued &= !link.bit();
            }
        }
    }

    /// A marker came over `from`: what it covers is covered here.
    pub fn cover(&mut self, from: LinkId, origin: &Origin, covered: u64) -> Wake {
        let Some(place) = self.origins.place_of(origin) else { return Wake::default() };
        if let Some(outbox) = &mut self.outboxes[from.index()] {
            outbox.tell(place, covered);
        }
        if place == ME || !self.origins.cover(place, covered) {
            return Wake::default();
        }
        self.ready(self.up & !from.bit())
    }

    /// Encodes what `link` still needs until the encoder has `most` bytes. Says whether all is told; if not,
    /// flush again when the socket has taken the bytes.
    pub fn flush(&mut self, link: LinkId, encoder: &mut Encoder, most: usize) -> bool {
        let Some(mut outbox) = self.outboxes[link.index()].take() else { return true };
        while encoder.len() < most
            && let Some(item) = outbox.pop()
        {
            match item {
                Item::Slot(id) => self.send(link, &mut outbox, id, encoder),
                Item::Marker(covered) => self.send_marker(&mut outbox, &covered, encoder),
            }
        }
        let is_drained = outbox.is_empty();
        if is_drained {
            let covered: Vec<_> = self.news_of_vector(&mut outbox);
            self.send_marker(&mut outbox, &covered, encoder);
        } else if !outbox.has_marker() {
            // Under load the queue may never drain; a snapshot behind what is queued now keeps the vector moving.
            let covered = self.news_of_vector(&mut outbox);
            outbox.push_marker(covered);
        }
        outbox.is_ready = !is_drained;
        self.outboxes[link.index()] = Some(outbox);
        is_drained
    }

    fn send(&mut self, link: LinkId, outbox: &mut Outbox, id: SlotId, encoder: &mut Encoder) {
        let slot = self.store.slot_mut(id);
        slot.queued &= !link.bit();
        if !slot.is_live() || slot.is_from(link.0) {
            return;
        }
        if let Some(index) = wire_index(&self.origins, outbox, slot.origin, encoder) {
            encoder.record(index, slot.seq, &slot.record());
        }
    }

    fn news_of_vector(&self, outbox: &mut Outbox) -> Vec<(u16, u64)> {
        let vector = self.origins.vector();
        vector
            .filter(|&(place, _, covered)| outbox.tell(place, covered))
            .map(|(place, _, covered)| (place, covered))
            .collect()
    }

    fn send_marker(&self, outbox: &mut Outbox, covered: &[(u16, u64)], encoder: &mut Encoder) {
        if covered.is_empty() {
            return;
        }
        let named: Vec<_> = (covered.iter())
            .filter_map(|&(place, covered)| {
                Some((wire_index(&self.origins, outbox, place, encoder)?, covered))
            })
            .collect();
        encoder.marker(self.settings.index, &named);
    }
}

/// By which index the link knows the origin at `place`; names it to the link the first time.
fn wire_index(origins: &Origins, outbox: &mut Outbox, place: u16, encoder: &mut Encoder) -> Option<u16> {
    let index = outbox.wire_index(place);
    if *index == UNNAMED {
        *index = encoder.index_of(origins.origin(place))?;
    }
    Some(*index)
}

/// A record where it is held.
#[derive(Clone, Copy, Debug)]
pub struct Held<'a> {
    /// The record.
    pub record: Record<'a>,
    /// Who took it.
    pub origin: &'a Origin,
    /// Its place in the origin's sequence, in this shard.
    pub seq: u64,
}
