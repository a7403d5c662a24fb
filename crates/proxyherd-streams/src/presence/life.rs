//! The life of one client: how it changes with what is seen of the client and as time passes, and which events that
//! causes.
//!
//! Events follow from records alone, and not from the moments at which a server saw these records. A report that was
//! received so late after the report before it that the client had been silent or had expired causes the events of that
//! time too, unless they were told before. So servers that see the same reports tell the same events, even if some of
//! them see the reports late and without some in between. The exception is a report that was the last one before the
//! moment of silence or expiry: a server that was not sent it cannot know that the client was not silent or expired.

use super::{
    Seen,
    event::{Cause, PresenceKind},
};
use crate::limits::{PRESENCE_ENDED_NS, PRESENCE_LATE_NS};

const DAY_NS: u64 = 86_400 * 1_000_000_000;

/// What is known of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    /// The client has a report.
    Present {
        /// When its newest report was received, POSIX time in nanoseconds.
        received_ns: u64,
        /// When the report expires. `u64::MAX`: never.
        shown_until_ns: u64,
        /// Whether it was told that the client is silent, or must not be told.
        is_silent: bool,
    },
    /// The client's last life has ended.
    Ended {
        /// What ended it.
        by: Cause,
        /// When it ended.
        ended_ns: u64,
    },
}

/// How events follow from records.
#[derive(Clone, Copy, Debug)]
pub(super) struct LifeRules {
    /// A client is silent this long after its last report. `u64::MAX`: never.
    pub(super) silent_ns: u64,
    /// What was received before this time causes no event of its own.
    pub(super) began_ns: u64,
}

impl LifeRules {
    /// What is known of a client after something was seen of it at `now_ns`. `None`: nothing.
    pub(super) fn after(
        self,
        now_ns: u64,
        mut held: Option<Life>,
        seen: Seen,
        tell: &mut impl FnMut(PresenceKind, Cause),
    ) -> Option<Life> {
        if let Seen::Report { received_ns, .. } | Seen::Tombstone { received_ns, .. } = seen {
            held = held.map(|life| self.passed(life, received_ns, tell));
        }
        match seen {
            Seen::Report { received_ns, shown_until_ns } => {
                self.after_report(now_ns, held, received_ns, shown_until_ns, tell)
            }
            Seen::Tombstone { version, received_ns } => {
                self.after_tombstone(now_ns, held, Cause::Tombstone(version.0), received_ns, tell)
            }
            // If the report has expired, time ends the life, because a newer report may be on its way.
            Seen::Removed => match held {
                Some(Life::Present { received_ns, shown_until_ns, .. }) if now_ns < shown_until_ns => {
                    tell(PresenceKind::Gone, Cause::Received(received_ns));
                    Some(Life::Ended { by: Cause::Received(received_ns), ended_ns: now_ns })
                }
                _ => held,
            },
        }
    }

    fn after_report(
        self,
        now_ns: u64,
        held: Option<Life>,
        received_ns: u64,
        shown_until_ns: u64,
        tell: &mut impl FnMut(PresenceKind, Cause),
    ) -> Option<Life> {
        let is_silent = match held {
            Some(Life::Present { received_ns: before_ns, is_silent, .. }) => {
                // What was received earlier is no sign of life, even if its client says that it is newer.
                let is_back = is_silent && received_ns > before_ns;
                if is_back {
                    tell(PresenceKind::Back, Cause::Received(before_ns));
                }
                is_silent && !is_back
            }
            Some(Life::Ended { by, ended_ns }) => {
                if by == Cause::Received(received_ns) && is_past(now_ns, shown_until_ns) {
                    return held;
                }
                let is_remembered = received_ns < ended_ns.saturating_add(PRESENCE_ENDED_NS);
                tell(PresenceKind::Came, if is_remembered { by } else { day_of(received_ns) });
                false
            }
            None if is_past(now_ns, shown_until_ns.saturating_add(PRESENCE_ENDED_NS)) => return None,
            None if received_ns < self.began_ns => {
                is_past(now_ns, received_ns.saturating_add(self.silent_ns))
            }
            None => {
                tell(PresenceKind::Came, day_of(received_ns));
                false
            }
        };
        Some(Life::Present { received_ns, shown_until_ns, is_silent })
    }

    fn after_tombstone(
        self,
        now_ns: u64,
        held: Option<Life>,
        by: Cause,
        received_ns: u64,
        tell: &mut impl FnMut(PresenceKind, Cause),
    ) -> Option<Life> {
        match held {
            Some(Life::Present { .. }) => tell(PresenceKind::Gone, by),
            Some(Life::Ended { by: before, .. }) => {
                // A client whose report has expired can be forgotten as well. That ends no further life.
                if before == by || matches!(before, Cause::Received(_)) {
                    return held;
                }
                // The client came and was forgotten again, and its report was not seen.
                tell(PresenceKind::Came, before);
                tell(PresenceKind::Gone, by);
            }
            None if is_past(now_ns, received_ns.saturating_add(PRESENCE_ENDED_NS)) => return None,
            None if received_ns < self.began_ns => {}
            None => {
                tell(PresenceKind::Came, day_of(received_ns));
                tell(PresenceKind::Gone, by);
            }
        }
        Some(Life::Ended { by, ended_ns: received_ns })
    }

    /// What is known of a client at `until_ns`, if nothing more was received of it by then.
    pub(super) fn passed(
        self,
        life: Life,
        until_ns: u64,
        tell: &mut impl FnMut(PresenceKind, Cause),
    ) -> Life {
        let Life::Present { received_ns, shown_until_ns, mut is_silent } = life else { return life };
        let silent_at_ns = received_ns.saturating_add(self.silent_ns);
        if !is_silent && silent_at_ns <= until_ns && silent_at_ns < shown_until_ns {
            is_silent = true;
            tell(PresenceKind::Silent, Cause::Received(received_ns));
        }
        if shown_until_ns <= until_ns {
            tell(PresenceKind::Gone, Cause::Received(received_ns));
            return Life::Ended { by: Cause::Received(received_ns), ended_ns: shown_until_ns };
        }
        Life::Present { received_ns, shown_until_ns, is_silent }
    }

    /// When something happens to a client of which nothing more is received. Also returns when a life that has ended is
    /// forgotten. `u64::MAX`: never.
    pub(super) fn due_ns(self, life: Life) -> u64 {
        match life {
            Life::Present { received_ns, shown_until_ns, is_silent } => {
                let silent_at_ns =
                    if is_silent { u64::MAX } else { received_ns.saturating_add(self.silent_ns) };
                silent_at_ns.min(shown_until_ns)
            }
            Life::Ended { ended_ns, .. } => ended_ns.saturating_add(PRESENCE_ENDED_NS),
        }
    }
}

/// Whether it is so long after `at_ns` that a report that was received before `at_ns` would be here.
pub(super) fn is_past(now_ns: u64, at_ns: u64) -> bool {
    at_ns.saturating_add(PRESENCE_LATE_NS) <= now_ns
}

fn day_of(received_ns: u64) -> Cause {
    Cause::Day(received_ns / DAY_NS)
}
