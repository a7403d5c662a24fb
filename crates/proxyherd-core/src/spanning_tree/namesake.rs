//! Whether another process runs under this server's name, as the states show that neighbors bring.
//!
//! A state in this server's name that this process has not sent comes from an earlier life of the server, from a bad member,
//! or from a second process that should not be there. Each is contradicted by a newer state. Two processes at once would
//! contradict each other as fast as their links carry it, so only a few answers are given between two looks. What keeps
//! coming for several looks is a living namesake.

use crate::limits::{TREE_ANSWERS, TREE_NAMESAKE_LOOKS};

/// Who else speaks in this server's name: an earlier life, once, or a process that should not be there, for as long as
/// it is.
#[derive(Debug, Default)]
pub(super) struct Namesake {
    /// Whether it was contradicted since the last look.
    is_answered: bool,
    /// How often it was contradicted at once since then, and how often with a heartbeat.
    answers: u8,
    late_answers: u8,
    /// The newest stamp of a state in this server's name that has not been contradicted.
    stamp: Option<u64>,
    /// One more for each look before which it had spoken, one less for each other: two that have the same neighbor
    /// take its link from each other, and are not heard all the time.
    looks: u8,
    is_alive: bool,
}

impl Namesake {
    /// A state in this server's name came that has a newer stamp. Says whether it is to be contradicted at once.
    pub(super) fn hear(&mut self, stamp: u64) -> bool {
        self.stamp = self.stamp.max(Some(stamp));
        if self.answers >= TREE_ANSWERS {
            return false;
        }
        self.answers += 1;
        self.is_answered = true;
        true
    }

    /// One heartbeat of any link. Says whether this server is to contradict now what it did not contradict at once.
    pub(super) fn beat(&mut self) -> bool {
        if self.stamp.is_none() || self.late_answers >= TREE_ANSWERS {
            return false;
        }
        self.late_answers += 1;
        self.is_answered = true;
        true
    }

    /// One look. Says whether this server is to contradict a state now.
    pub(super) fn look(&mut self) -> bool {
        (self.answers, self.late_answers) = (0, 0);
        self.looks = if self.is_answered {
            TREE_NAMESAKE_LOOKS.min(self.looks + 1)
        } else {
            self.looks.saturating_sub(1)
        };
        self.is_alive = self.looks > 0 && (self.is_alive || self.looks == TREE_NAMESAKE_LOOKS);
        self.is_answered = self.stamp.is_some();
        self.is_answered
    }

    /// A neighbor says that another process runs under this server's name.
    pub(super) fn report(&mut self) {
        self.looks = TREE_NAMESAKE_LOOKS;
        self.is_alive = true;
    }

    /// The stamp that this server's next state has to exceed, which it is about to do; 0 if there is none.
    pub(super) fn take_stamp(&mut self) -> u64 {
        self.stamp.take().unwrap_or(0)
    }

    /// Whether another process goes on speaking in this server's name.
    pub(super) fn is_alive(&self) -> bool {
        self.is_alive
    }
}
