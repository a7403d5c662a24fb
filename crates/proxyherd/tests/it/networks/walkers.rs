//! Clients that walk from server to server and report at each, whatever happens to the servers.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::Duration,
};

use super::dice::Dice;
use crate::harness::{Client, Ledger, NAMES, Network};

/// How many walk together, one reporting after the other.
const GROUP_LEN: usize = 40;
pub(super) const GROUPS: usize = 5;

/// How long a client waits for a server before it turns to another.
const PATIENCE: Duration = Duration::from_millis(300);
/// Between two reports of a group: so that there is load, and no more of it than other tests can bear.
const PACE: Duration = Duration::from_millis(2);

/// Some clients that take turns.
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

    /// Walks until it is time to rest, and reports each client once more then. So, what was said to a server that
    /// died before it could tell, or to one that had stopped and gave no answer, is overtaken by something that
    /// counts. Returns what the herd must know.
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

    /// Reports at a server, or at another if that one does not answer; returns the one that did.
    fn report(&mut self, client: usize, at: &'static str) -> &'static str {
        let others = self.dice.shuffled(&NAMES);
        // Servers that are struck are two at most, but the machine may be slow, so they all are asked more than once.
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
