//! Servers that are killed (SIGKILL) under load, and lose nothing that they have acknowledged.
//!
//! Clients report through several doors and remember each acknowledgement. When a server has died, it is started alone
//! and asked for everything that it has acknowledged, so the disk is what counts. `files` damages the files of a store.
//!
//! A system keeps what a killed process has written, so these tests do not notice a missing fsync. The simulator's disk
//! does.
//!
//! `PROXYHERD_TEST_JOURNAL_ROUNDS` sets the number of rounds of each test, and `PROXYHERD_TEST_SEED` the seed that
//! chooses when a server dies. Each run prints its seed, and the number of acknowledgements.

mod files;
mod load;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread,
};

use self::load::{Acknowledged, Clock, Connection, DOORS, Load};
use crate::harness::{Dice, Herd, NAMES, Plan, eventually, number_from};

/// Riley, and its neighbors Jaquez and Juzang, which are no neighbors of each other.
const STAR: [&str; 3] = ["Riley", "Jaquez", "Juzang"];
/// Number of acknowledgements in each round, at least.
const ACKS_MIN: u64 = 1000;

/// What is the same in all rounds of a test.
struct Rounds {
    rounds: u64,
    dice: Dice,
    clock: Clock,
    acks: u64,
    /// What all servers have acknowledged so far, by server.
    acknowledged: Vec<(&'static str, Acknowledged)>,
}

impl Rounds {
    fn begin(servers: &[&'static str]) -> Rounds {
        let rounds = number_from("PROXYHERD_TEST_JOURNAL_ROUNDS").unwrap_or(20);
        let (dice, seed) = Dice::seeded();
        println!(
            "{rounds} rounds; again with PROXYHERD_TEST_JOURNAL_ROUNDS={rounds} PROXYHERD_TEST_SEED={seed}"
        );
        let acknowledged = servers.iter().map(|name| (*name, Acknowledged::default())).collect();
        Rounds { rounds, dice, clock: Arc::default(), acks: 0, acknowledged }
    }

    /// Has clients report at each of these servers through every door, and kills these servers, all at once, in the
    /// midst of the reports.
    fn strike(&mut self, herd: &mut Herd, victims: &[&'static str]) {
        let (acks, busy) = (AtomicU64::new(0), AtomicU64::new(0));
        let (is_killing, is_over) = (AtomicBool::new(false), AtomicBool::new(false));
        let load =
            Load { clock: &self.clock, acks: &acks, busy: &busy, is_killing: &is_killing, is_over: &is_over };
        let wanted = self.dice.between(ACKS_MIN, 2 * ACKS_MIN);
        let kept: Vec<(&str, Acknowledged)> = thread::scope(|scope| {
            let all = victims.iter().flat_map(|name| DOORS.map(|door| (*name, door)));
            let running: Vec<_> = all
                .map(|(name, door)| {
                    let (connection, to) = (Connection::new(&load, name, door), herd.at(name));
                    (name, scope.spawn(move || connection.run(to)))
                })
                .collect();
            let over = Over(&is_over);
            eventually("the servers have acknowledged enough", || {
                let told = (acks.load(Relaxed), busy.load(Relaxed));
                let is_enough = told.0 >= wanted && told.1 >= running.len() as u64;
                let has_failed = running.iter().any(|(_, running)| running.is_finished());
                if is_enough || has_failed { Ok(()) } else { Err(format!("{told:?} of {wanted}")) }
            });
            // The clients go on reporting until their connections break.
            is_killing.store(true, Relaxed);
            herd.kill_all(victims);
            drop(over);
            running.into_iter().map(|(name, running)| (name, running.join().unwrap())).collect()
        });
        self.acks += acks.load(Relaxed);
        for (name, kept) in kept {
            self.of(name).merge(&kept);
        }
    }

    /// What a server has acknowledged.
    fn of(&mut self, name: &str) -> &mut Acknowledged {
        &mut self.acknowledged.iter_mut().find(|(server, _)| *server == name).expect("it is in the herd").1
    }

    /// Fails if a server does not hold everything that `by` has acknowledged.
    fn check(&mut self, herd: &Herd, name: &str, by: &str) {
        let missing = self.of(by).missing_at(&mut herd.client(name));
        assert_eq!(missing, None, "{name} does not hold what {by} has acknowledged");
    }

    /// Prints what the rounds have tested, and checks that they have tested something.
    fn end(&self) {
        let clients: usize = self.acknowledged.iter().map(|(_, acknowledged)| acknowledged.len()).sum();
        println!(
            "{} rounds, {} acknowledgements, {clients} clients: nothing was lost",
            self.rounds, self.acks
        );
        assert!(self.acks >= self.rounds * ACKS_MIN && clients > 0);
    }
}

/// Ends the load when this value is dropped. It is dropped even if the test fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// A plan whose servers log little and have a journal.
fn with_journal(plan: &Plan) -> Plan {
    plan.clone().log("level = \"warn\"").herd("journal = true")
}

/// The names of the files of a store, and their lengths. A store without files is an error of the test.
fn files_of(store: &Path) -> Vec<(PathBuf, u64)> {
    let entries = fs::read_dir(store).unwrap().map(Result::unwrap);
    let files: Vec<_> = entries.map(|entry| (entry.path(), entry.metadata().unwrap().len())).collect();
    assert!(files.iter().any(|(_, len)| *len > 0), "{} holds nothing", store.display());
    files
}

#[test]
fn a_killed_server_finds_on_its_own_disk_all_that_it_acknowledged() {
    let mut herd = with_journal(&Plan::pair()).start();
    let names = ["Riley", "Jaquez"];
    let mut rounds = Rounds::begin(&names);
    for _ in 0..rounds.rounds {
        rounds.strike(&mut herd, &names);
        // Each is alone while it is asked.
        for name in names {
            herd.start(name);
            rounds.check(&herd, name, name);
            herd.kill_all(&[name]);
        }
        herd.start_all(&names);
    }
    rounds.end();
}

#[test]
fn with_a_replica_a_wiped_disk_loses_nothing_that_its_server_acknowledged() {
    let plan = Plan::classic().without_server("Campbell").without_server("Bernard");
    let mut herd = with_journal(&plan).herd("replicas = 1").start();
    let mut rounds = Rounds::begin(&STAR);
    for _ in 0..rounds.rounds {
        let victim = rounds.dice.pick(&STAR);
        rounds.strike(&mut herd, &[victim]);
        let store = herd.store_of(victim);
        files_of(&store);
        fs::remove_dir_all(store.parent().expect("a store lies in its server's folder")).unwrap();
        herd.start(victim);
        herd.wait_for_links(&STAR);
        for name in STAR {
            eventually(&format!("{name} holds what {victim} has acknowledged"), || {
                rounds.of(victim).missing_at(&mut herd.client(name)).map_or(Ok(()), Err)
            });
        }
    }
    rounds.end();
}

#[test]
fn a_herd_whose_servers_are_all_killed_at_once_comes_back_with_all_that_it_acknowledged() {
    let mut herd = with_journal(&Plan::classic()).start();
    let mut rounds = Rounds::begin(&NAMES);
    for _ in 0..rounds.rounds {
        rounds.strike(&mut herd, &NAMES);
        herd.start_all(&NAMES);
        // A server may be asked before a link brings it anything, and holds its own acknowledgements even then.
        for name in NAMES {
            rounds.check(&herd, name, name);
        }
        herd.wait_for_links(&NAMES);
        let asked = rounds.dice.pick(&NAMES);
        for by in NAMES {
            eventually(&format!("{asked} holds what {by} has acknowledged"), || {
                rounds.of(by).missing_at(&mut herd.client(asked)).map_or(Ok(()), Err)
            });
        }
    }
    rounds.end();
}
