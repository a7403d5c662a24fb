//! Tests of a herd that is upgraded server by server. Two neighbors speak the newest version that both support. While
//! servers stop and start, no acknowledged report is lost.

use std::{
    net::{SocketAddr, TcpStream},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::Duration,
};

use proxyherd_core::link::HIGHEST;

use crate::harness::{
    Client, Herd, LINKS, Ledger, NAMES, PATIENCE, Plan, WHERE_AND_WHEN, eventually, metric,
};

/// The newest version.
const NEWEST: f64 = HIGHEST as f64;

/// Arguments that limit a server to an older version.
fn held_back(version: u16) -> [String; 2] {
    ["--set".to_owned(), format!("herd.link_version={version}")]
}

fn start_held_back(herd: &mut Herd, names: &[&str], version: u16) {
    let arguments = held_back(version);
    herd.start_with(names, &arguments.each_ref().map(String::as_str));
}

#[test]
fn a_herd_in_which_some_servers_are_of_a_version_before_agrees() {
    for version in 1..HIGHEST {
        // Bernard dials newer neighbors, and a newer neighbor dials Riley.
        for old in [["Riley", "Bernard"], ["Jaquez", "Campbell"]] {
            let mut herd = Plan::classic().prepare();
            start_held_back(&mut herd, &old, version);
            herd.start_all(&NAMES.into_iter().filter(|name| !old.contains(name)).collect::<Vec<_>>());
            herd.wait_for_links(&NAMES);
            for (link, ends) in LINKS.iter().zip(versions(&herd).chunks(2)) {
                let is_old = old.contains(&link.0) || old.contains(&link.1);
                assert_eq!(ends, [if is_old { f64::from(version) } else { NEWEST }; 2], "{link:?}");
            }
            for name in NAMES {
                let at = herd.client(name).ask(&format!("IAMAT {name} {WHERE_AND_WHEN}"));
                assert_eq!(herd.agreed(&NAMES, name), at);
            }
        }
    }
}

#[test]
fn a_herd_is_upgraded_from_version_1_server_by_server_under_load_and_loses_nothing() {
    upgrade_from(1);
}

#[test]
fn a_herd_is_upgraded_from_the_version_before_server_by_server_under_load_and_loses_nothing() {
    upgrade_from(HIGHEST - 1);
}

fn upgrade_from(before: u16) {
    let mut herd = Plan::classic().log("level = \"warn\"").prepare();
    start_held_back(&mut herd, &["Riley", "Bernard", "Juzang"], before);
    herd.start_all(&["Jaquez", "Campbell"]);
    herd.wait_for_links(&NAMES);
    let arguments = held_back(before);
    let (held_back, before) = (arguments.each_ref().map(String::as_str), f64::from(before));
    assert_eq!(versions(&herd), [before; 2 * LINKS.len()], "no two of the newest version are neighbors");

    let lines = NAMES.map(|name| herd.line(name));
    let mut ledger = Ledger::default();
    let is_time_to_rest = &AtomicBool::new(false);
    let walked: Vec<Ledger> = thread::scope(|scope| {
        let walk = |number| {
            let walker = Walker::new(number, &lines, ledger.clone());
            scope.spawn(move || walker.walk(is_time_to_rest))
        };
        let walking: Vec<_> = (0..WALKERS).map(walk).collect();
        let rest = Rest(is_time_to_rest);
        for name in ["Riley", "Jaquez", "Bernard", "Juzang", "Campbell"] {
            restart(&mut herd, name, &[], &ledger);
        }
        wait_for_versions(&herd, |_, version| version == NEWEST);
        restart(&mut herd, "Bernard", &held_back, &ledger);
        wait_for_versions(&herd, |is_bernards, version| version == if is_bernards { before } else { NEWEST });
        restart(&mut herd, "Bernard", &[], &ledger);
        drop(rest);
        walking.into_iter().map(|walking| walking.join().unwrap()).collect()
    });
    walked.iter().for_each(|told| ledger.merge(told));
    check(&herd, &ledger);
}

/// Checks that all servers return the last acknowledged report of every client, and that the links work as with the
/// newest version.
fn check(herd: &Herd, ledger: &Ledger) {
    let newest = ledger.lines();
    println!("{} clients were told of", newest.len());
    assert!(newest.len() > 2000, "there was load all the time");
    herd.agree(&NAMES, &newest);
    for name in NAMES {
        let http = herd.at(name).http;
        assert_eq!(
            metric(http, "proxyherd_records"),
            Some(newest.len() as f64),
            "{name} knows of nobody else"
        );
        assert_eq!(metric(http, "proxyherd_root_mismatches_total"), Some(0.0), "{name}");
    }
    wait_for_versions(herd, |_, version| version == NEWEST);
    eventually("the tree has four edges", || match ends(herd, "proxyherd_link_eager").iter().sum() {
        8.0 => Ok(()),
        ends => Err(format!("{ends} ends of links are told of changes")),
    });
}

/// Stops a server as its operator would, while clients report, and starts it again.
fn restart(herd: &mut Herd, name: &str, arguments: &[&str], load: &Ledger) {
    let enough = load.reports() + BETWEEN;
    eventually("there is load", || match load.reports() {
        reports if reports >= enough => Ok(()),
        reports => Err(format!("{reports} reports, {enough} expected")),
    });
    let finished = herd.stop(name, "TERM");
    assert_eq!((finished.code, finished.err.as_str()), (0, ""), "{name}");
    herd.start_with(&[name], arguments);
    herd.wait_for_links(&NAMES);
}

/// A metric of each link, both ends, in the order of [`LINKS`].
fn ends(herd: &Herd, name: &str) -> Vec<f64> {
    let ends = LINKS.iter().flat_map(|&(one, other)| [(one, other), (other, one)]);
    let of = |(here, there)| metric(herd.at(here).http, &format!("{name}{{neighbor=\"{there}\"}}"));
    ends.map(|end| of(end).unwrap()).collect()
}

fn versions(herd: &Herd) -> Vec<f64> {
    ends(herd, "proxyherd_link_version")
}

/// Waits until each link speaks the right version. The right version depends on whether the link is one of Bernard's.
fn wait_for_versions(herd: &Herd, is_right: impl Fn(bool, f64) -> bool) {
    eventually("each link speaks the right version", || {
        let versions = versions(herd);
        let are_right = LINKS.iter().zip(versions.chunks(2)).all(|(link, ends)| {
            let is_bernards = link.0 == "Bernard" || link.1 == "Bernard";
            ends.iter().all(|version| is_right(is_bernards, *version))
        });
        if are_right { Ok(()) } else { Err(format!("{versions:?}")) }
    });
}

const WALKERS: usize = 5;
/// Pause between two reports of a walker. The pause limits the load, so that other tests are not disturbed.
const PACE: Duration = Duration::from_millis(1);
/// Number of reports between two restarts.
const BETWEEN: u64 = 500;
/// One in this many reports comes from a client that reports repeatedly. All other reports come from clients that
/// report only once, so no later report can hide a loss.
const AGAIN_EVERY: usize = 3;

/// Reports at one server until that server is gone, and then at the next server.
struct Walker<'a> {
    number: usize,
    servers: &'a [SocketAddr],
    at: usize,
    connection: Option<Client>,
    ledger: Ledger,
}

impl<'a> Walker<'a> {
    fn new(number: usize, servers: &'a [SocketAddr], ledger: Ledger) -> Walker<'a> {
        Walker { number, servers, at: number, connection: None, ledger }
    }

    fn walk(mut self, is_time_to_rest: &AtomicBool) -> Ledger {
        let mut reports = 0;
        while !is_time_to_rest.load(Relaxed) {
            let which = if reports % AGAIN_EVERY == 0 { 0 } else { reports };
            self.report(&format!("walker-{}-{which}", self.number));
            reports += 1;
            thread::sleep(PACE);
        }
        self.ledger
    }

    /// Reports until a report is acknowledged. A report without an answer may have been taken too, but the acknowledged
    /// report then replaces it.
    fn report(&mut self, client: &str) {
        eventually("some server answers", || {
            let mut connection =
                self.connection.take().or_else(|| self.connect()).ok_or("nobody is there")?;
            if !self.ledger.try_report_over(&mut connection, client) {
                self.at += 1;
                return Err("the server is gone");
            }
            self.connection = Some(connection);
            Ok(())
        });
    }

    fn connect(&mut self) -> Option<Client> {
        let server = self.servers[self.at % self.servers.len()];
        let connected = TcpStream::connect_timeout(&server, PATIENCE).ok();
        self.at += usize::from(connected.is_none());
        connected.map(|stream| Client::over(stream, PATIENCE))
    }
}

/// Tells the walkers to rest when this value is dropped. It is dropped even if the test fails.
struct Rest<'a>(&'a AtomicBool);

impl Drop for Rest<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}
