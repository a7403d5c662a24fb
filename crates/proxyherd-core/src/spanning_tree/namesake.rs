//! Detects another process that runs under this server's name.
//!
//! A state in this server's name that this process has not sent comes from an earlier life of the server, from a bad
//! member, or from a second process that should not run. This server contradicts each of them with a newer state. Two
//! processes at once would contradict each other as fast as their links can carry the states, so only a few states are
//! contradicted between two looks. If such states keep coming for several looks, a living namesake sends them.

use crate::{
    limits::{TREE_ANSWERS, TREE_NAMESAKE_LOOKS},
    rate::FixedWindow,
};

/// What is known about states in this server's name that this process has not sent.
#[derive(Debug)]
pub(super) struct Namesake {
    /// Whether such a state was contradicted since the last look.
    is_answered: bool,
    /// How many states may be contradicted at once from one look to the next, and how many with a heartbeat.
    answers: FixedWindow,
    late_answers: FixedWindow,
    /// The newest stamp of a state in this server's name that has not been contradicted.
    stamp: Option<u64>,
    /// Rises by one at a look if such a state came since the look before, and falls by one otherwise. Two processes
    /// with the same neighbor take the neighbor's link from each other, so neither is heard all the time.
    looks: u8,
    is_alive: bool,
}

impl Default for Namesake {
    fn default() -> Namesake {
        Namesake {
            is_answered: false,
            answers: FixedWindow::new(TREE_ANSWERS),
            late_answers: FixedWindow::new(TREE_ANSWERS),
            stamp: None,
            looks: 0,
            is_alive: false,
        }
    }
}

impl Namesake {
    /// Handles a newer state in this server's name. Returns whether to contradict it at once.
    pub(super) fn hear(&mut self, stamp: u64) -> bool {
        self.stamp = self.stamp.max(Some(stamp));
        if self.answers.take(1) == 0 {
            return false;
        }
        self.is_answered = true;
        true
    }

    /// Handles one heartbeat of any link. Returns whether to contradict a state now that was not contradicted at once.
    pub(super) fn beat(&mut self) -> bool {
        if self.stamp.is_none() || self.late_answers.take(1) == 0 {
            return false;
        }
        self.is_answered = true;
        true
    }

    /// Handles one look. Returns whether to contradict a state now.
    pub(super) fn look(&mut self) -> bool {
        self.answers.renew();
        self.late_answers.renew();
        self.looks = if self.is_answered {
            TREE_NAMESAKE_LOOKS.min(self.looks + 1)
        } else {
            self.looks.saturating_sub(1)
        };
        self.is_alive = self.looks > 0 && (self.is_alive || self.looks == TREE_NAMESAKE_LOOKS);
        self.is_answered = self.stamp.is_some();
        self.is_answered
    }

    /// Handles a neighbor's message that another process runs under this server's name.
    pub(super) fn report(&mut self) {
        self.looks = TREE_NAMESAKE_LOOKS;
        self.is_alive = true;
    }

    /// Takes the stamp that this server's next state has to exceed; 0 if there is no such stamp.
    pub(super) fn take_stamp(&mut self) -> u64 {
        self.stamp.take().unwrap_or(0)
    }

    /// Whether another process keeps speaking in this server's name.
    pub(super) fn is_alive(&self) -> bool {
        self.is_alive
    }
}
