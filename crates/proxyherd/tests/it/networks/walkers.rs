//! Clients that walk from server to server and report at each server, even while servers fail.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::Duration,
};

use crate::harness::{Client, Dice, Ledger, NAMES, Network};

/// Number of clients in a group. The clients of a group report one after the other.
const GROUP_LEN: usize = 40;
pub(super) const GROUPS: usize = 5;

/// Time that a client waits for a server before it tries another server.
const PATIENCE: Duration = Duration::from_millis(300);
/// Pause between two reports of a group. The pause limits the load, so that other tests are not disturbed.
const PACE: Duration = Duration::from_millis(2);

/// A group of clients that take turns.
pub(super) struct Walkers<'a> {
    network: &'a Network,
    names: Vec<String>,
    dice: Dice,
    ledger: Ledger,
    connections: BTreeMap<&'static str, Client>,
}

impl<'a> Walkers<'a> {
    pub(super) fn new(network: &'a Network, group: usize, dice: Dice, ledger: Ledger) -> Walkers<'a> {
        let names = (0..GROUP_LEN).map(|number| format!("walker-{group}-{number}")).collect();
        Walkers { network, names, dice, ledger, connections: BTreeMap::new() }
    }

    /// Walks until it is time to rest, and then reports each client once more. A report may be lost or uncertain if its
    /// server died before it forwarded the report, or had stopped and gave no answer. The last report replaces such a
    /// report. Returns the records that the herd must know.
    pub(super) fn walk(mut self, is_time_to_rest: &AtomicBool) -> Ledger {
        let mut at = self.dice.pick(&NAMES);
        while !is_time_to_rest.load(Relaxed) {
            if self.dice.chance(30) {
                at = self.dice.pick(&NAMES);
            }
            let client = self.dice.pick(&(0..self.names.len()).collect::<Vec<_>>());
            at = self.report(client, at);
            thread::sleep(PACE);
        }
        for client in 0..self.names.len() {
            let at = self.dice.pick(&NAMES);
            self.report(client, at);
        }
        self.ledger
    }

    /// Reports at a server, or at another server if the first server does not answer. Returns the server that has
    /// answered.
    fn report(&mut self, client: usize, at: &'static str) -> &'static str {
        let others = self.dice.shuffled(&NAMES);
        // At most two servers are affected by a fault. But the machine may be slow, so each server is asked more than
        // once.
        let mut candidates = [at].into_iter().chain(others.into_iter().cycle().take(50));
        candidates.find(|at| self.report_there(client, at)).expect("some server answers")
    }

    fn report_there(&mut self, client: usize, at: &'static str) -> bool {
        let Some(mut connection) = self.connections.remove(at).or_else(|| self.connect(at)) else {
            return false;
        };
        let is_answered = self.ledger.try_report_over(&mut connection, &self.names[client]);
        if is_answered {
            self.connections.insert(at, connection);
        }
        is_answered
    }

    fn connect(&self, at: &str) -> Option<Client> {
        let stream = self.network.connect(at, self.network.addresses(at).line, PATIENCE).ok()?;
        Some(Client::over(stream, PATIENCE))
    }
}
