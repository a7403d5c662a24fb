//! Records that neighbors send under this server's own name, and how this server answers lies.
//!
//! A server knows best what it has issued. Under the incarnations of its present life it has issued exactly the updates
//! that it holds, and updates that newer records have replaced since. So if a record under such an incarnation would be
//! new here, the record is a *lie*, whichever server relays it. The server does not keep the lie. It answers in two
//! ways:
//!
//! - It answers for the key, with a record that wins over the lie, so that all servers that took the lie drop it. If
//!   the server holds its own record of the key, it issues that record again. If the server holds nothing, it issues a
//!   tombstone. If it holds another server's record, it *retells* that record: it sends the record in the name of that
//!   other server, with a version above the lie's. The other server then judges the retold record. So a lie in the name
//!   of one server never becomes a record of another.
//! - It answers for the origin, because other servers may hold any wrong record under an origin that somebody lies
//!   about. [`Shard::renew`] begins a new incarnation and issues all own records again under it, with unchanged
//!   content. If two incarnations have equal content, every server keeps the later one. So the old origin loses its
//!   records and leaves all tables.
//!
//! A retold record has the sequence [`UNCOVERED`], which no server issues. The server in whose name the record is
//! retold answers it like a lie, with two differences. First, if the server remembers that it issued the record
//! ([`Displaced`]), it takes the record back as its own: a lie in a third server's name may have displaced the record.
//! Second, the server does not retell a record that was retold before; it issues a tombstone instead. So if lies in the
//! names of several servers cross, the tombstone may take the place of the true record until the client reports again.
//!
//! No lie stays in the name of a server that is present, because that server finally receives the greatest record of
//! the key and answers it. The answers end, too. Only the server that issued a record could answer it, and that server
//! holds the record. A server answers a retold record by retelling another record only if it holds a record that was
//! not retold. After that answer it holds no such record, until somebody sends it another. So each sent record causes
//! at most one answer at each server.
//!
//! [`LIES_ANSWERED_MAX`] bounds the answers, and the caller of [`Shard::renew`] bounds the renewals. A lie that gets
//! no answer stays for the moment; neighbors find that they hold different records, and send it again.
//!
//! A server can only judge records that it remembers. If it may have forgotten a record, it takes that record as its
//! own and begins a new incarnation. Then everything that it issued before counts as issued by an earlier life. The
//! server may have forgotten records
//! - after its clock was put back, if it had expired records or changed the times of own ones before;
//! - after a long time without a look at the clock, which may mean that the server was restored from a snapshot;
//! - when the server had no link, and the first neighbors that it reaches know more updates of it than it has issued
//!   ([`REUNION_NS`]): then it was restored from a snapshot younger than
//!   [`ABSENCE_NS`](crate::limits::ABSENCE_NS).
//!
//! A server knows nothing about its earlier lives, so records of earlier lives are merged.

use super::{
    Broken, Class, LinkId, Nonsense, Offered, Shard, Taken, UNCOVERED, Update, Wake, displaced::Displaced,
    origins::ME,
};
use crate::{
    limits::{
        ABSENCE_NS, ANSWERS_INTERVAL_NS, CLOCK_AHEAD_MAX_NS, CLOCK_STEP_NS, HANDSHAKE_MAX, LIE_TOMBSTONE_NS,
        LIES_ANSWERED_MAX, OWN_INCARNATIONS_MAX, REUNION_NS, TOMBSTONE_TTL_NS,
    },
    rate::FixedWindow,
    store::{Slot, SlotId},
    types::{Body, Difference, KeyHash, Record, Timestamp},
};

/// What a shard remembers of the updates that its server has issued.
#[derive(Debug)]
pub(super) struct Own {
    /// The incarnations whose updates are all either held here or replaced by newer records. The last one is the
    /// present incarnation.
    incarnations: Vec<u64>,
    /// The number of updates that the server issued under all incarnations before the present one.
    pub(super) issued_before: u64,
    /// Other servers hold something wrong about the present incarnation.
    is_lied_about: bool,
    /// This server may have lost or changed something that it issued.
    has_forgotten: bool,
    /// For each [class](Class), whether one of this server's own records was dropped because other records took all the
    /// room.
    pub(super) has_dropped: [bool; Class::ALL.len()],
    /// The latest time at which one of this server's own records was removed because it had expired.
    expired_ns: u64,
    /// The time of the last look; 0 if there was none.
    looked_ns: u64,
    /// When the first link came up after there was none, and whether that was less than [`REUNION_NS`] ago.
    reunited_ns: u64,
    is_reunited: bool,
    /// How many lies may be answered in an interval, and when this interval began.
    answers: FixedWindow,
    answers_ns: u64,
    /// Whether a held record was given up since the last look, and whether another record was given up after that.
    has_given_up: bool,
    gives_up_again: bool,
    /// The latest time of receipt of any held record, or a later time.
    pub(super) received_max_ns: u64,
    /// Own records that other servers' records have displaced.
    pub(super) displaced: Displaced,
}

/// The result of a look at a shard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SelfCheck {
    /// Other servers hold something wrong under this server's present incarnation.
    pub is_lied_about: bool,
    /// This server may have lost something that it issued, so it cannot distinguish lies from true records.
    pub has_forgotten: bool,
}

impl SelfCheck {
    /// The union of both.
    pub fn and(self, other: SelfCheck) -> SelfCheck {
        SelfCheck {
            is_lied_about: self.is_lied_about || other.is_lied_about,
            has_forgotten: self.has_forgotten || other.has_forgotten,
        }
    }
}

/// What happens to the earlier incarnations of this server's present life when a new one begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewal {
    /// The server still answers for the earlier incarnations.
    Continued,
    /// Everything issued under the earlier incarnations counts as issued by an earlier life.
    Fresh,
}

/// The judgment about a record under this server's name.
enum OwnJudgment {
    /// Another life of this server issued the record.
    OtherLife,
    /// The record is held, replaced by a newer one, or expired.
    Known,
    /// This server may have issued the record and forgotten it.
    Forgotten,
    /// The record is held or replaced by a newer one, but this server has not issued its sequence yet.
    Beyond,
    /// This server issued the record, and a lie has displaced the record since.
    Retold,
    /// This server never issued the record.
    Lie,
}

impl Own {
    pub(super) fn new(incarnation: u64) -> Own {
        Own {
            incarnations: vec![incarnation],
            issued_before: 0,
            is_lied_about: false,
            has_forgotten: false,
            has_dropped: [false; Class::ALL.len()],
            expired_ns: 0,
            looked_ns: 0,
            reunited_ns: 0,
            is_reunited: false,
            answers: FixedWindow::new(LIES_ANSWERED_MAX),
            answers_ns: 0,
            has_given_up: false,
            gives_up_again: false,
            received_max_ns: 0,
            displaced: Displaced::default(),
        }
    }

    /// Notes that one of this server's own records was removed at this time because it had expired.
    pub(super) fn expired(&mut self, now_ns: u64) {
        self.expired_ns = self.expired_ns.max(now_ns);
    }

    /// Notes that one of this server's own records was replaced by a record that does not win over it.
    pub(super) fn forgot(&mut self) {
        self.has_forgotten = true;
    }

    /// Notes that one of this server's own records was dropped because other records of its class took all the room.
    pub(super) fn dropped(&mut self, class: Class) {
        self.has_dropped[class as usize] = true;
    }

    /// Whether the server has issued updates under this incarnation in its present life.
    pub(super) fn knows(&self, incarnation: u64) -> bool {
        self.incarnations.contains(&incarnation)
    }

    fn began(&mut self, incarnation: u64, is_fresh: bool) {
        if is_fresh {
            self.incarnations.clear();
            self.expired_ns = 0;
            self.is_reunited = false;
        } else if self.incarnations.len() == OWN_INCARNATIONS_MAX {
            self.incarnations.remove(0);
        }
        self.incarnations.push(incarnation);
        (self.is_lied_about, self.has_forgotten) = (false, false);
    }
}

impl Shard {
    /// Handles a record under this server's name, unless another life issued it.
    pub(super) fn apply_own(
        &mut self,
        now_ns: u64,
        from: LinkId,
        told: Update<'_>,
        held: Option<SlotId>,
        hash: KeyHash,
    ) -> Option<(Offered, Wake)> {
        match self.judge(now_ns, told, held, hash) {
            OwnJudgment::OtherLife => None,
            OwnJudgment::Known => {
                if let Some(id) = held
                    && self.contest(now_ns, told, self.store.slot(id)).is_eq()
                {
                    // The neighbor holds the same record, so the record need not be sent there.
                    self.store.slot_mut(id).set_from(Some(from.0));
                }
                Some((Offered::Stale, Wake::default()))
            }
            OwnJudgment::Forgotten => {
                self.own.forgot();
                let taken = Taken { place: ME, seq: self.origins.covered(ME) + 1, from: Some(from) };
                Some(self.keep(held, &told.record, hash, taken))
            }
            OwnJudgment::Beyond => {
                self.is_beyond_own(ME, told.seq);
                // Nothing is missing here, so no gap opens.
                Some((Offered::Refused, Wake::default()))
            }
            OwnJudgment::Retold => {
                self.own.is_lied_about = true;
                self.own.answers.take(1);
                let taken = Taken { place: ME, seq: self.origins.covered(ME) + 1, from: None };
                Some(self.keep(held, &told.record, hash, taken))
            }
            OwnJudgment::Lie => {
                self.found = Some(Nonsense::OwnRecord);
                match self.contradict(now_ns, told, held, hash) {
                    // The record that is held now wins over the lie, so nothing is missing.
                    Some((offered, wake)) if offered != Offered::Full => Some((Offered::Refused, wake)),
                    _ => Some(self.refuse(from, Nonsense::OwnRecord)),
                }
            }
        }
    }

    fn judge(&self, now_ns: u64, told: Update<'_>, held: Option<SlotId>, hash: KeyHash) -> OwnJudgment {
        let Some(place) = self.own.incarnations.iter().position(|one| *one == told.origin.incarnation) else {
            return OwnJudgment::OtherLife;
        };
        let is_present = place + 1 == self.own.incarnations.len();
        let is_beyond = is_present && told.seq > self.origins.covered(ME);
        let is_news = held.is_none_or(|id| self.contest(now_ns, told, self.store.slot(id)).is_gt());
        if !is_news {
            return if is_beyond && told.seq != UNCOVERED { OwnJudgment::Beyond } else { OwnJudgment::Known };
        }
        if self.is_expired(now_ns, &told.record) {
            return OwnJudgment::Known;
        }
        if !is_beyond && self.may_have_dropped(&told.record) {
            // The record may be the one that was dropped. Whether there is room for it now is decided later.
            return OwnJudgment::OtherLife;
        }
        let is_evidence = self.own.is_reunited && is_beyond && told.seq != UNCOVERED;
        if is_evidence || self.may_have_forgotten(now_ns, &told.record) {
            return OwnJudgment::Forgotten;
        }
        let is_retold = told.seq == UNCOVERED && !held.is_some_and(|id| self.is_own_word(id));
        if is_retold && !self.own.answers.is_used_up() && self.own.displaced.knows(now_ns, hash, &told.record)
        {
            return OwnJudgment::Retold;
        }
        OwnJudgment::Lie
    }

    /// Whether this server holds every update that it issued under an incarnation, or a newer record that replaced the
    /// update.
    pub fn is_present(&self, incarnation: u64) -> bool {
        self.own.incarnations.contains(&incarnation) && !self.own.has_forgotten
    }

    /// Whether some life of this server issued a record.
    fn is_own_word(&self, id: SlotId) -> bool {
        self.origins.origin(self.store.slot(id).origin).server == self.origins.origin(ME).server
    }

    /// Whether this server may have issued a record and lost it since.
    fn may_have_forgotten(&self, now_ns: u64, record: &Record<'_>) -> bool {
        let Own { has_forgotten, expired_ns, looked_ns, .. } = self.own;
        let has_expired = |ttl_ns| record.received_ns().saturating_add(ttl_ns) <= expired_ns;
        has_forgotten || is_absence(looked_ns, now_ns) || self.ttl_ns(record).is_some_and(has_expired)
    }

    /// Answers a lie with a record that wins over it. `None` if this server does not answer now.
    fn contradict(
        &mut self,
        now_ns: u64,
        Update { record: lie, origin, seq: lie_seq }: Update<'_>,
        held: Option<SlotId>,
        hash: KeyHash,
    ) -> Option<(Offered, Wake)> {
        if self.settings.rules.breaks(Broken::CloseOnLies) {
            return None;
        }
        self.own.is_lied_about = true;
        if self.own.answers.take(1) == 0 {
            return None;
        }
        let own = Taken { place: ME, seq: self.origins.covered(ME) + 1, from: None };
        let before = held.map(|id| self.store.slot(id).clone());
        let is_own = held.is_some_and(|id| self.is_own_word(id));
        let truth = before.as_ref().filter(|slot| !self.is_expired(now_ns, &slot.record()));
        let (record, taken) = match truth {
            // No record wins over a revocation, so no answer could take it back. It is safe to believe: a token can be
            // revoked by every member.
            _ if lie.is_revocation() => (lie, own),
            Some(slot) if is_own => {
                let truth = slot.record();
                if lie.precedence(&origin.server, &truth, &origin.server).is_eq() {
                    // Only the incarnation in the lie is wrong. From now on the record is this server's own.
                    (lie, own)
                } else {
                    (self.again(now_ns, &lie, &truth)?, own)
                }
            }
            Some(slot) if lie_seq != UNCOVERED || slot.seq != UNCOVERED => {
                let retold = Taken { place: slot.origin, seq: UNCOVERED, from: None };
                (self.again(now_ns, &lie, &slot.record())?, retold)
            }
            // A record that was retold twice may be true. The tombstone has to win over that record, too.
            _ => (gone(now_ns, &lie, truth.map(Slot::record).as_ref())?, own),
        };
        Some(self.keep(held, &record, hash, taken))
    }

    /// The true record of a key, with the least version that wins over a lie, and with the record's own time of receipt
    /// if possible.
    fn again<'a>(&self, now_ns: u64, lie: &Record<'_>, truth: &Record<'a>) -> Option<Record<'a>> {
        // A lie may claim a time of receipt at which the true record had already expired.
        let is_late = self.is_expired(now_ns.max(lie.received_ns()), truth);
        let received_ns = if is_late { lie.received_ns() } else { truth.received_ns() };
        let (timestamp, difference) = if truth.version() > lie.version() {
            (truth.timestamp, Difference::at_receipt(received_ns, truth.timestamp))
        } else {
            stamp_over(lie, received_ns)?
        };
        Some(Record { timestamp, difference, ..*truth })
    }

    /// Whether a neighbor claims to have more updates of this server than exist. If so, this is noted.
    pub(super) fn is_beyond_own(&mut self, place: u16, covered: u64) -> bool {
        let is_beyond = place == ME && covered > self.origins.covered(ME);
        if is_beyond && self.own.is_reunited {
            self.own.forgot();
        } else if is_beyond {
            self.found = Some(Nonsense::OwnSequence);
            self.own.is_lied_about |= !self.settings.rules.breaks(Broken::CloseOnLies);
        }
        is_beyond
    }

    /// To be called about once a second. Returns whether other servers hold lies about this server, and whether this
    /// server may have forgotten own records.
    pub fn look(&mut self, now_ns: u64) -> SelfCheck {
        let own = &mut self.own;
        own.has_forgotten |= now_ns.saturating_add(CLOCK_STEP_NS) < own.expired_ns;
        own.has_forgotten |= is_absence(own.looked_ns, now_ns);
        own.looked_ns = now_ns;
        own.is_reunited &= now_ns.abs_diff(own.reunited_ns) <= REUNION_NS;
        // Each new link causes a look, so a neighbor could cause any number of looks.
        if now_ns.abs_diff(own.answers_ns) >= ANSWERS_INTERVAL_NS {
            own.answers.renew();
            own.answers_ns = now_ns;
        }
        own.has_given_up = false;
        if own.gives_up_again {
            self.give_up();
        }
        SelfCheck { is_lied_about: self.own.is_lied_about, has_forgotten: self.own.has_forgotten }
    }

    /// Notes that a link comes up while there is no other link.
    pub fn reunite(&mut self, now_ns: u64) {
        (self.own.is_reunited, self.own.reunited_ns) = (true, now_ns);
    }

    /// To be called before a held record that has not expired is removed, or is replaced by a record that does not win
    /// over it. The held record may have replaced updates, and those updates are no longer covered. So all vectors are
    /// dropped, and neighbors are asked for everything that other servers have issued. For the first record after a
    /// look, neighbors are asked at once; for all further records, with the next look. If the record is this server's
    /// own, the vector leaves this server out until it has renewed.
    pub(super) fn give_up(&mut self) {
        self.own.forgot();
        if let Some(restore) = &mut self.restore {
            restore.has_missed = true;
        }
        self.origins.uncover();
        self.owe_nothing();
        let asks_now = !std::mem::replace(&mut self.own.has_given_up, true);
        self.own.gives_up_again = !asks_now;
        self.outboxes.iter_mut().flatten().for_each(|outbox| outbox.give_up(asks_now));
    }

    /// Whether a record was received so far in the future that this server's clock, or the sender's clock,
    /// must have been wrong. Even a neighbor whose clock is ahead by the allowed offset would not merge the record.
    fn is_astray(&self, now_ns: u64, received_ns: u64) -> bool {
        let slack_ns = self.settings.clock_offset_max_ns.saturating_add(HANDSHAKE_MAX.as_nanos() as u64);
        self.is_ahead(now_ns.saturating_add(slack_ns), received_ns)
    }

    /// To be called when this server's clock is known to be right and may have been ahead before. Own records that were
    /// received in the future get the present time as their time of receipt. So do records of this server's earlier
    /// lives, which a store has brought back and no other server issues again. Records of other servers are forgotten
    /// if their time of receipt, or the begin of their origin, is far in the future.
    pub fn put_right(&mut self, now_ns: u64) -> Wake {
        let mut wake = Wake::default();
        let latest = self.origins.latest_incarnation();
        if !self.is_ahead(now_ns, self.own.received_max_ns) && !self.is_astray(now_ns, latest) {
            return wake;
        }
        let is_own = |slot: &Slot| self.origins.origin(slot.origin).server == self.origins.origin(ME).server;
        let is_astray = |slot: &Slot| {
            let received_ns = slot.record().received_ns();
            let incarnation = self.origins.origin(slot.origin).incarnation;
            match slot.origin {
                ME => self.is_ahead(now_ns, received_ns),
                // A neighbor would merge nothing of a life that begins in the future.
                _ if is_own(slot) => self.is_ahead(now_ns, received_ns.max(incarnation)),
                _ => self.is_astray(now_ns, received_ns.max(incarnation)),
            }
        };
        let live = self.store.live().filter(|(_, slot)| is_astray(slot));
        let astray: Vec<_> = live.map(|(id, slot)| (id, is_own(slot))).collect();
        if !astray.is_empty() {
            self.give_up();
        }
        for (id, is_own) in astray {
            let slot = self.store.slot(id).clone();
            if !slot.is_live() {
                // The record has just lost its room to another record.
                continue;
            }
            let record = slot.record();
            let hash = KeyHash::of(record.key);
            if is_own {
                let difference = Difference::at_receipt(now_ns, record.timestamp);
                let taken = Taken { place: ME, seq: self.origins.covered(ME) + 1, from: None };
                let (_, woken) = self.keep(Some(id), &Record { difference, ..record }, hash, taken);
                wake = wake.and(woken);
            } else {
                wake = wake.and(self.remove(id));
            }
        }
        let received = self.store.live().map(|(_, slot)| slot.record().received_ns());
        self.own.received_max_ns = received.max().unwrap_or(0);
        wake
    }

    /// Begins a new incarnation and issues all own records again under it.
    pub fn renew(&mut self, incarnation: u64, renewal: Renewal) -> Wake {
        self.own.issued_before += self.origins.covered(ME);
        let incarnation = self.origins.renew_me(incarnation);
        self.own.began(incarnation, renewal == Renewal::Fresh || self.own.has_forgotten);
        for outbox in self.outboxes.iter_mut().flatten() {
            outbox.forget(ME);
        }
        let is_mine = |slot: &Slot| slot.origin == ME;
        let mine: Vec<_> = self.store.live().filter(|(_, slot)| is_mine(slot)).map(|(id, _)| id).collect();
        self.origins.cover(ME, mine.len() as u64);
        let mut wake = self.renew_acks(mine.len() as u64);
        for (id, seq) in mine.into_iter().zip(1..) {
            wake = wake.and(self.refile(id, ME, seq));
            self.store.slot_mut(id).set_from(None);
            wake = wake.and(self.mark(id, self.up));
        }
        wake.and(self.ready(self.up))
    }

    /// Makes room for another incarnation of a server that has reached the limit. Merges the older half of the server's
    /// incarnations into one, whose records no vector covers. Other servers need not be sent this change. Returns
    /// whether there was anything to merge. A server that was restored from a store also makes room for its own next
    /// lives (`restore`).
    pub fn fold(&mut self) -> (bool, Wake) {
        if let Some(wake) = self.fold_own_lives() {
            return (true, wake);
        }
        let nothing = (false, Wake::default());
        let Some(server) = self.origins.take_crowded() else { return nothing };
        let mut older = self.origins.incarnations(&server);
        older.truncate(older.len() / 2);
        let Some(into) = older.pop() else { return nothing };
        older.sort_unstable();
        let is_older = |slot: &Slot| older.binary_search(&slot.origin).is_ok();
        let ids: Vec<_> = self.store.live().filter(|(_, slot)| is_older(slot)).map(|(id, _)| id).collect();
        let refiled = ids.into_iter().map(|id| self.refile(id, into, UNCOVERED));
        (true, refiled.fold(Wake::default(), Wake::and))
    }
}

/// Whether a server has not looked at the clock for so long that it may have been restored from a snapshot.
fn is_absence(looked_ns: u64, now_ns: u64) -> bool {
    looked_ns > 0 && now_ns > looked_ns.saturating_add(ABSENCE_NS)
}

/// A tombstone that wins over a lie and over the held record.
fn gone<'a>(now_ns: u64, lie: &Record<'a>, held: Option<&Record<'a>>) -> Option<Record<'a>> {
    let over = held.filter(|held| held.version() > lie.version()).unwrap_or(lie);
    let (timestamp, difference) =
        stamp_over(over, now_ns.saturating_sub(TOMBSTONE_TTL_NS - LIE_TOMBSTONE_NS))?;
    Some(Record { body: Body::Gone, timestamp, difference, ..*lie })
}

/// The least version that wins over a lie, with `received_ns` as the time of receipt or the earliest later time that
/// the version allows.
fn stamp_over(lie: &Record<'_>, received_ns: u64) -> Option<(Timestamp, Difference)> {
    let timestamp = Timestamp::from_nanos(lie.version().0.checked_add(1)?)?;
    let received_ns = received_ns.max(timestamp.nanos().saturating_sub(CLOCK_AHEAD_MAX_NS.unsigned_abs()));
    Some((timestamp, Difference::at_receipt(received_ns, timestamp)))
}
