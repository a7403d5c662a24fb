//! Tests with five servers on five hosts. The network between them fails, while clients walk about and report.
//!
//! A seed chooses the faults. After a fault is repaired, all servers must soon return the last report of every client.
//! `PROXYHERD_TEST_NETWORKS` sets the number of faults, which come one after the other. `PROXYHERD_TEST_SEED` sets the
//! seed. Each run prints its seed.

mod faults;
mod walkers;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use self::{
    faults::{Fault, KINDS, Kind},
    walkers::{GROUPS, Walkers},
};
use crate::harness::{
    Client, Dice, Herd, Ledger, NAMES, Network, Plan, ats_of, eventually, metric, number_from,
};

/// Maximum time until the herd agrees again, in 99 of 100 cases.
const HEAL_TIME_MAX: Duration = Duration::from_secs(5);

#[test]
fn whatever_the_network_does_all_servers_soon_agree_on_the_newest() {
    let Some(network) = Network::or_skip(&NAMES).map(Arc::new) else { return };
    let rounds = number_from("PROXYHERD_TEST_NETWORKS").unwrap_or(KINDS.len() as u64);
    let (mut dice, seed) = Dice::seeded();
    println!("{rounds} faults; again with PROXYHERD_TEST_NETWORKS={rounds} PROXYHERD_TEST_SEED={seed}");

    let mut herd = Herd::prepare_on(&Plan::classic().encrypted(), &network);
    herd.start_all(&NAMES);
    herd.wait_for_links(&NAMES);
    let (mut ledger, mut times) = (Ledger::default(), Vec::new());
    for (round, kind) in draw_kinds(&mut dice, rounds as usize).into_iter().enumerate() {
        let fault = Fault::draw(kind, &mut dice);
        suffer(&fault, &mut herd, &network, &mut dice, &mut ledger);
        let took = heal(&fault, &mut herd, &network, &ledger);
        println!("{:3}. {fault}: all agree {:.2} s later", round + 1, took.as_secs_f64());
        times.push((kind, took));
    }
    judge(&times, seed);
}

/// The kinds of faults in random order. All kinds occur equally often.
fn draw_kinds(dice: &mut Dice, count: usize) -> Vec<Kind> {
    let hands = (0..count.div_ceil(KINDS.len())).flat_map(|_| dice.shuffled(&KINDS));
    hands.take(count).collect()
}

/// Makes clients walk about while the fault lasts, and records the replies that they got.
fn suffer(fault: &Fault, herd: &mut Herd, network: &Network, dice: &mut Dice, ledger: &mut Ledger) {
    let is_time_to_rest = &AtomicBool::new(false);
    let walked = thread::scope(|scope| {
        let walk = |group| {
            let walkers = Walkers::new(network, group, dice.more(), ledger.clone());
            scope.spawn(move || walkers.walk(is_time_to_rest))
        };
        let walking: Vec<_> = (0..GROUPS).map(walk).collect();
        let rest = Rest(is_time_to_rest);
        fault.begin(herd, network);
        thread::sleep(fault.lasts);
        drop(rest);
        walking.into_iter().map(|walking| walking.join().unwrap()).collect::<Vec<_>>()
    });
    walked.iter().for_each(|told| ledger.merge(told));
}

/// Tells the walkers to rest when this value is dropped. It is dropped even if the test fails.
struct Rest<'a>(&'a AtomicBool);

impl Drop for Rest<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// Repairs the fault, and returns the time until all servers knew everything in the ledger.
fn heal(fault: &Fault, herd: &mut Herd, network: &Network, ledger: &Ledger) -> Duration {
    let newest = ledger.lines();
    if matches!(fault.kind, Kind::Cut | Kind::CutOneWay) {
        let mut asking = NAMES.iter().map(|name| Asking::new(herd, name, &newest));
        assert!(asking.any(|mut server| server.is_waiting()), "nothing was cut: all knew all the time");
    }
    fault.lift(herd, network);
    let lifted = Instant::now();
    let mut asking: Vec<Asking> = NAMES.iter().map(|name| Asking::new(herd, name, &newest)).collect();
    eventually("all servers agree", || {
        asking.retain_mut(Asking::is_waiting);
        if asking.is_empty() { Ok(()) } else { Err(asking.iter().map(Asking::seen).collect::<String>()) }
    });
    let took = lifted.elapsed();

    herd.agree(&NAMES, &newest);
    for name in NAMES {
        let records = herd.beside(name, || metric(herd.at(name).http, "proxyherd_records"));
        assert_eq!(records, Some(newest.len() as f64), "{name} knows of nobody else");
    }
    took
}

/// Asks one server about each client until the server knows the newest report. No client reports during this time, so a
/// client that the server knows is not asked for again.
struct Asking<'a> {
    name: &'static str,
    connection: Client,
    missing: BTreeMap<&'a str, &'a str>,
}

impl<'a> Asking<'a> {
    fn new(herd: &Herd, name: &'static str, newest: &'a BTreeMap<String, String>) -> Asking<'a> {
        let missing = newest.iter().map(|(client, at)| (client.as_str(), at.as_str())).collect();
        Asking { name, connection: herd.client(name), missing }
    }

    fn is_waiting(&mut self) -> bool {
        let clients: Vec<&str> = self.missing.keys().copied().collect();
        for (client, told) in clients.iter().zip(ats_of(&mut self.connection, &clients)) {
            if told == self.missing[client] {
                self.missing.remove(client);
            }
        }
        !self.missing.is_empty()
    }

    fn seen(&self) -> String {
        format!("{} lacks {} of them; ", self.name, self.missing.len())
    }
}

/// Prints the times until the herd agreed again, and asserts that they were not too long.
fn judge(times: &[(Kind, Duration)], seed: u64) {
    println!("{:12}{:>6}{:>9}{:>9}{:>9}", "heal time", "faults", "p50", "p99", "max");
    for kind in KINDS {
        show(&kind.to_string(), times.iter().filter(|(of, _)| *of == kind).map(|(_, took)| *took).collect());
    }
    let p99 = show("all", times.iter().map(|(_, took)| *took).collect());
    assert!(p99 <= Some(HEAL_TIME_MAX), "healing took {p99:?} at p99; PROXYHERD_TEST_SEED={seed}");
}

/// Prints a line of the table, and returns the 99th percentile.
fn show(what: &str, mut times: Vec<Duration>) -> Option<Duration> {
    times.sort_unstable();
    // The smallest value that this percentage of the values does not exceed.
    let percentile =
        |percent: usize| times.get((times.len() * percent).div_ceil(100).checked_sub(1)?).copied();
    let [p50, p99, max] = [50, 99, 100].map(percentile);
    let seconds =
        |time: Option<Duration>| time.map_or("-".into(), |time| format!("{:.2} s", time.as_secs_f64()));
    println!("{what:12}{:>6}{:>9}{:>9}{:>9}", times.len(), seconds(p50), seconds(p99), seconds(max));
    p99
}
