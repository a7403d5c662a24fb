//! Tests that changes go along a spanning tree, so that each change comes to each server once.

use crate::harness::{Herd, LINKS, Plan, Process, eventually, metric, status};

const ALL: [&str; 5] = ["Riley", "Jaquez", "Juzang", "Campbell", "Bernard"];
const CLIENTS: usize = 500;

/// The sum of a metric over both ends of every link.
fn sum(herd: &Herd, name: &str) -> f64 {
    let ends = LINKS.iter().flat_map(|&(one, other)| [(one, other), (other, one)]);
    let of = |(here, there)| metric(herd.at(here).http, &format!("{name}{{neighbor=\"{there}\"}}"));
    ends.filter_map(of).sum()
}

/// Reports many clients at Campbell. Returns the number of records that all links have carried when every server knows
/// all the clients.
fn records_sent(herd: &Herd) -> f64 {
    let mut client = herd.client("Campbell");
    (0..CLIENTS).for_each(|number| {
        assert!(client.ask(&format!("IAMAT client-{number} +1+1 1000")).starts_with("AT "));
    });
    eventually("everybody knows all clients", || {
        match ALL.iter().find(|name| status(herd.at(name).http)["records"] != CLIENTS) {
            Some(name) => Err(format!("{name} does not")),
            None => Ok(()),
        }
    });
    sum(herd, "proxyherd_link_payloads_sent_total")
}

#[test]
fn each_change_is_sent_once_to_each_other_server() {
    let herd = Plan::classic().start();
    eventually("the tree has four edges", || match sum(&herd, "proxyherd_link_eager") {
        8.0 => Ok(()),
        ends => Err(format!("{ends} ends of links are told of changes")),
    });
    let sent = records_sent(&herd);
    let least = (CLIENTS * (ALL.len() - 1)) as f64;
    assert!((least..=least * 1.05).contains(&sent), "{sent} records and {least} at least");
    assert_eq!(metric(herd.at("Riley").http, "proxyherd_root_mismatches_total"), Some(0.0));
}

#[test]
fn with_flood_all_every_link_is_told() {
    let herd = Plan::classic().herd("flood = \"all\"").start();
    eventually("every link is told", || match sum(&herd, "proxyherd_link_eager") {
        12.0 => Ok(()),
        ends => Err(format!("{ends} ends of links are told of changes")),
    });
    let sent = records_sent(&herd);
    assert!(sent > (CLIENTS * ALL.len()) as f64, "{sent}");
}

/// A second process of a server, as after a copy of its directory to another host while the first process still runs.
/// The process dials those servers of `herd` that are its neighbors in `plan`.
fn namesake(herd: &Herd, name: &str, plan: &Plan) -> (Herd, Process) {
    let other = plan.prepare();
    let peer = |herd: &Herd, near: &str| herd.at(near).peer.to_string();
    let redirected = |text: String, near: &str| text.replace(&peer(&other, near), &peer(herd, near));
    other.write_file("herd.toml", &plan.neighbors(name).fold(other.text(), redirected));
    let process = Process::proxyherd(other.dir(), &["serve", "--config", "herd.toml", "--name", name]);
    (other, process)
}

/// Whether a server reports that another process runs under its name.
fn has_namesake(herd: &Herd, name: &str) -> (bool, Option<f64>) {
    let http = herd.at(name).http;
    (status(http)["namesake"] == true, metric(http, "proxyherd_namesake"))
}

#[test]
fn two_processes_of_one_name_and_one_neighbor_are_told_of_it_and_the_link_stays_with_one() {
    let mut herd = Plan::pair().start();
    let (other, process) = namesake(&herd, "Jaquez", &herd.plan());
    let line = herd.wait_for_log("Riley", "two processes run as Jaquez");
    assert!(line.contains("stop one of them") && line.contains("  !  "), "{line}");
    for one in [&herd, &other] {
        let line = one.wait_for_log("Jaquez", "another process runs as Jaquez in this herd");
        assert!(line.contains("stop one of the two"), "{line}");
    }
    let refused = |herd: &Herd| metric(herd.at("Riley").http, "proxyherd_peers_refused_total").unwrap();
    let began = refused(&herd);
    let times_up = status(herd.at("Riley").http)["links"][0]["times_up"].clone();
    assert!(times_up.as_u64() <= Some(3), "{times_up}");
    // While both processes run, both report the other process, and the link stays with the same process.
    eventually("one of them has dialed again and again", || {
        assert_eq!(
            (has_namesake(&herd, "Jaquez"), has_namesake(&other, "Jaquez")),
            ((true, Some(1.0)), (true, Some(1.0)))
        );
        let times = refused(&herd) - began;
        if times >= 4.0 { Ok(()) } else { Err(times) }
    });
    let link = status(herd.at("Riley").http)["links"][0].clone();
    assert_eq!((&link["up"], &link["times_up"]), (&true.into(), &times_up), "{link}");
    // If the process with the link stops, the other process gets the link, and no longer has a namesake.
    let is_others = status(other.at("Jaquez").http)["links"][0]["up"] == true;
    let rest = if is_others {
        drop(process);
        &herd
    } else {
        assert_eq!(herd.stop("Jaquez", "TERM").code, 0);
        &other
    };
    eventually("the other one has the link and knows that it is alone", || {
        let is_up = status(rest.at("Jaquez").http)["links"][0]["up"] == true;
        let seen = (is_up, has_namesake(rest, "Jaquez"));
        if seen == (true, (false, Some(0.0))) { Ok(()) } else { Err(format!("{seen:?}")) }
    });
}

#[test]
fn two_processes_of_one_name_with_neighbors_of_their_own_say_so_in_their_logs() {
    let plan = Plan::classic().without_link("Bernard", "Juzang");
    let mut herd = plan.prepare();
    herd.write_file("first.toml", &herd.text_of(&plan.clone().without_link("Bernard", "Campbell")));
    herd.start_all(&["Riley", "Jaquez", "Juzang", "Campbell"]);
    herd.start_from("first.toml", "Bernard");
    let (other, _process) = namesake(&herd, "Bernard", &plan.without_link("Bernard", "Jaquez"));
    for one in [&herd, &other] {
        let line = one.wait_for_log("Bernard", "another process runs as Bernard in this herd");
        assert!(line.contains("stop one of the two"), "{line}");
    }
}
