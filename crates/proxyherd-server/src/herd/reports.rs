//! How a server takes the reports that doors pass on, and how the herd counts them.
//!
//! [`Herd::report`] takes reports that have come one by one, and [`Herd::report_batch`] takes those that a client has
//! collected. Both check the rights and the limits of the caller's token before the replica sees a report. Each report
//! is counted once, by its outcome and by the caller's door.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use proxyherd_config::{clock, door_kind::DoorKind, server_status::ReportStatus};
use proxyherd_core::{
    command::{Condition, Outcome},
    flood::Wake,
    limits::BATCH_LEN_MAX,
    replica::Offer,
};

use super::{Denied, Herd, HerdCounters};
use crate::{
    access::Grant,
    caller::{Caller, Rights},
};

/// Which reports are refused if a token's rate does not allow all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AboveRate {
    /// The last ones.
    Last,
    /// The first ones.
    First,
}

/// The numbers of reports that have come through each kind of door.
#[derive(Debug, Default)]
pub(super) struct DoorCounters([Counters; DoorKind::ALL.len()]);

/// The numbers of one kind of door, on a cache line of their own.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Counters {
    accepted: AtomicU64,
    stale: AtomicU64,
    refused: AtomicU64,
    unreadable: AtomicU64,
}

impl Herd {
    /// Takes up to [`BATCH_LEN_MAX`] reports at `now_ns` by this server's clock. Reports of one client are taken in
    /// their order. Each offer then holds the outcome of its report: [`Outcome::Denied`] if the caller may not report
    /// the client, [`Outcome::TooFast`] and [`Outcome::TokenFull`] at the limits of the caller's token. An error: the
    /// caller may report no client at all, and no offer has changed. The door must [wake](Herd::wake) the returned
    /// links. After several consecutive batches, the door can wake once for all of them ([`Wake::and`]).
    pub fn report(&self, caller: &Caller, now_ns: u64, offers: &mut [Offer<'_>]) -> Result<Wake, Denied> {
        let wake = match &caller.rights {
            Rights::All => self.replica.report_all(now_ns, offers),
            _ => {
                let grant = self.check_rights(caller, now_ns, offers, AboveRate::Last)?;
                self.report_allowed(grant, now_ns, offers)
            }
        };
        self.counters.reports.note(caller.door, offers);
        Ok(wake)
    }

    /// Takes the reports that a client has collected over time, such as a phone without a network. There may be any
    /// number of them. They have to be in the order of their times, the oldest first, and each has to be an
    /// [`Offer::in_batch`]. If the rate of the caller's token does not allow all of them, the newest are taken.
    /// Otherwise this is like [`Herd::report`].
    pub fn report_batch(
        &self,
        caller: &Caller,
        now_ns: u64,
        offers: &mut [Offer<'_>],
    ) -> Result<Wake, Denied> {
        let grant = match &caller.rights {
            Rights::All => None,
            _ => Some(self.check_rights(caller, now_ns, offers, AboveRate::First)?),
        };
        let wake = offers.chunks_mut(BATCH_LEN_MAX).fold(Wake::default(), |wake, chunk| {
            wake.and(match grant {
                None => self.replica.report_all(now_ns, chunk),
                Some(grant) => self.report_allowed(grant, now_ns, chunk),
            })
        });
        self.counters.reports.note(caller.door, offers);
        Ok(wake)
    }

    /// Counts a report that the door could not read.
    pub fn count_unreadable(&self, door: DoorKind) {
        self.counters.reports.0[door as usize].unreadable.fetch_add(1, Relaxed);
    }

    /// Marks the reports that the rights or the rate of the caller's token do not allow. The outcomes of all others are
    /// [`Outcome::Stale`] afterwards. An error: the caller may report no client at all.
    fn check_rights<'c>(
        &self,
        caller: &'c Caller,
        now_ns: u64,
        offers: &mut [Offer<'_>],
        above_rate: AboveRate,
    ) -> Result<&'c Grant, Denied> {
        let Some(grant) = caller.rights.grant().filter(|_| caller.rights.may_report_some(now_ns)) else {
            self.counters.reports_denied.fetch_add(offers.len() as u64, Relaxed);
            self.counters.reports.0[caller.door as usize].refused.fetch_add(offers.len() as u64, Relaxed);
            return Err(Denied::Report);
        };
        let mut allowed = 0;
        for offer in &mut *offers {
            let is_allowed = grant.scopes().may_report(offer.report.client.as_bytes());
            offer.outcome = if is_allowed { Outcome::Stale } else { Outcome::Denied };
            allowed += usize::from(is_allowed);
        }
        let taken = grant.take(clock::monotonic_ns(), allowed);
        let refused = match above_rate {
            AboveRate::Last => taken..allowed,
            AboveRate::First => 0..allowed - taken,
        };
        let in_scope = offers.iter_mut().filter(|offer| offer.outcome != Outcome::Denied);
        for (place, offer) in in_scope.enumerate() {
            if refused.contains(&place) {
                offer.outcome = Outcome::TooFast;
            }
        }
        Ok(grant)
    }

    /// Takes the reports that [`Herd::check_rights`] has allowed, in runs, in their order.
    fn report_allowed(&self, grant: &Grant, now_ns: u64, offers: &mut [Offer<'_>]) -> Wake {
        let is_refused = |offer: &Offer<'_>| matches!(offer.outcome, Outcome::Denied | Outcome::TooFast);
        let mut wake = Wake::default();
        for run in offers.chunk_by_mut(|one, other| is_refused(one) == is_refused(other)) {
            if run.first().is_some_and(is_refused) {
                run.iter().for_each(|offer| self.counters.note_refused(offer.outcome));
            } else {
                wake = wake.and(self.report_within(grant, now_ns, run));
            }
        }
        wake
    }

    /// Takes reports of a token that may add only so many clients.
    fn report_within(&self, grant: &Grant, now_ns: u64, offers: &mut [Offer<'_>]) -> Wake {
        if grant.has_room_for(offers.len()) {
            let wake = self.replica.report_all(now_ns, offers);
            note_added(grant, offers);
            return wake;
        }
        // There may not be room for all of them, so they are taken one after the other.
        let one_by_one = offers.chunks_mut(1);
        one_by_one.fold(Wake::default(), |wake, one| wake.and(self.report_at_limit(grant, now_ns, one)))
    }

    /// Takes one report of a token that may have no room for another client. A client that the token has added and that
    /// was forgotten still counts, so a report makes it known again.
    fn report_at_limit(&self, grant: &Grant, now_ns: u64, one: &mut [Offer<'_>]) -> Wake {
        let given = one[0];
        let client = given.report.client;
        let may_add = grant.has_room_for(1) || grant.has_added(client.as_bytes());
        if !may_add && given.condition() != Condition::Known {
            // Such a report is not offered, because the replica would count it as one whose condition is not met.
            if self.replica.locate(now_ns, client, |_| ()).is_none() {
                one[0].outcome = Outcome::TokenFull;
                self.counters.note_refused(Outcome::TokenFull);
                return Wake::default();
            }
            if given.condition() == Condition::Always {
                one[0].require_known();
            }
        }
        let wake = self.replica.report_all(now_ns, one);
        if one[0].outcome == Outcome::Unmet && given.condition() == Condition::Always {
            // The client was forgotten in the meantime.
            one[0].outcome = Outcome::TokenFull;
        }
        note_added(grant, one);
        wake
    }
}

impl HerdCounters {
    /// Counts a report that the caller's token does not allow.
    fn note_refused(&self, outcome: Outcome) {
        let count = match outcome {
            Outcome::TooFast => &self.reports_too_fast,
            Outcome::TokenFull => &self.reports_token_full,
            _ => &self.reports_denied,
        };
        count.fetch_add(1, Relaxed);
    }
}

impl DoorCounters {
    /// The numbers of one kind of door, since the start.
    pub(super) fn of(&self, door: DoorKind) -> ReportStatus {
        let Counters { accepted, stale, refused, unreadable } = &self.0[door as usize];
        ReportStatus {
            accepted: accepted.load(Relaxed),
            stale: stale.load(Relaxed),
            rejected: refused.load(Relaxed) + unreadable.load(Relaxed),
        }
    }

    /// The number of reports that doors could not read.
    pub(super) fn unreadable(&self) -> u64 {
        self.0.iter().map(|counters| counters.unreadable.load(Relaxed)).sum()
    }

    /// Counts reports by their outcomes. A number that stays the same is not written.
    fn note(&self, door: DoorKind, offers: &[Offer<'_>]) {
        let (mut accepted, mut stale, mut refused) = (0, 0, 0);
        for offer in offers {
            match offer.outcome {
                outcome if outcome.is_taken() => accepted += 1,
                Outcome::Stale => stale += 1,
                _ => refused += 1,
            }
        }
        let counters = &self.0[door as usize];
        for (counter, count) in
            [(&counters.accepted, accepted), (&counters.stale, stale), (&counters.refused, refused)]
        {
            if count > 0 {
                counter.fetch_add(count, Relaxed);
            }
        }
    }
}

/// Notes the clients that these reports have added.
fn note_added(grant: &Grant, offers: &[Offer<'_>]) {
    let added = offers.iter().filter(|offer| offer.outcome == Outcome::Added);
    added.for_each(|offer| grant.note_added(offer.report.client.as_bytes()));
}
