//! Tests of the limits on the number of clients that a herd knows, and on the time for which it knows them.

use std::{
    fs,
    process::Command,
    time::{Duration, SystemTime},
};

use crate::harness::{NAMES, Plan, at_of, eventually, metric};

#[test]
fn a_new_client_past_the_most_is_refused_and_a_known_one_is_not() {
    let herd = Plan::single().herd("max_clients = 2").start();
    let mut riley = herd.client("Riley");
    assert!(riley.ask("IAMAT one +1+1 1000").starts_with("AT Riley +"));
    assert!(riley.ask("IAMAT two +1+1 1000").starts_with("AT Riley +"));
    assert_eq!(riley.ask("IAMAT three +1+1 1000"), "? IAMAT three +1+1 1000");
    assert_eq!(riley.ask("WHATSAT three 10 5"), "? WHATSAT three 10 5");
    let moved = riley.ask("IAMAT one +2+2 1001");
    assert_eq!(riley.nearby("WHATSAT one 10 5").at, moved);
    assert!(riley.ask("IAMAT two +2+2 999").starts_with("AT Riley +"), "a stale report has its reply");
    let http = herd.at("Riley").http;
    let reports =
        |result| metric(http, &format!("proxyherd_reports_total{{result=\"{result}\",door=\"line\"}}"));
    let counted = (reports("accepted"), reports("stale"), reports("rejected"));
    assert_eq!(counted, (Some(3.0), Some(1.0), Some(1.0)));
    assert_eq!(metric(http, "proxyherd_records"), Some(2.0));
}

#[test]
fn as_many_connections_wait_at_each_port_as_the_system_allows() {
    if !crate::demo::have("ss") {
        return;
    }
    let herd = Plan::pair().start();
    let allowed = fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap();
    let at = herd.at("Riley");
    for address in [at.line, at.peer, at.http] {
        let listed = Command::new("ss").args(["-Hltn", &format!("src = {address}")]).output().unwrap();
        let listed = String::from_utf8(listed.stdout).unwrap();
        // The third field of a listening socket is its backlog.
        assert_eq!(listed.split_whitespace().nth(2), Some(allowed.trim()), "{address}: {listed}");
    }
}

#[test]
fn what_neighbors_know_is_taken_past_the_most() {
    let mut herd = Plan::pair().prepare();
    herd.start_with(&["Riley"], &["--set", "herd.max_clients=1"]);
    herd.start("Jaquez");
    assert!(herd.client("Riley").ask("IAMAT one +1+1 1000").starts_with("AT Riley +"));
    assert_eq!(herd.client("Riley").ask("IAMAT two +1+1 1000"), "? IAMAT two +1+1 1000");
    for client in ["two", "three", "four"] {
        let at = herd.client("Jaquez").ask(&format!("IAMAT {client} +1+1 1000"));
        assert_eq!(herd.agreed(&["Riley", "Jaquez"], client), at);
    }
    let at = herd.client("Riley").ask("IAMAT two +2+2 1001");
    assert!(at.starts_with("AT Riley +"), "now Riley knows it: {at}");
    assert_eq!(herd.agreed(&["Riley", "Jaquez"], "two"), at);
    assert_eq!(herd.client("Riley").ask("IAMAT five +1+1 1000"), "? IAMAT five +1+1 1000");
}

#[test]
fn every_server_forgets_a_client_when_its_time_is_over() {
    const TTL: Duration = Duration::from_secs(2);
    let herd =
        Plan::classic().herd(&format!("client_ttl_s = {}\nmax_clock_offset_s = 1", TTL.as_secs())).start();
    let began = SystemTime::now();
    let mut riley = herd.client("Riley");
    riley.send(b"IAMAT kiwi +1+1 1000\nWHATSAT kiwi 10 0\n");
    let at = riley.line();
    assert_eq!(
        riley.read_nearby().at,
        at,
        "an old timestamp is no reason to forget: the time of receipt counts"
    );
    for name in NAMES {
        eventually(&format!("{name} forgets"), || match herd.located(name, &["kiwi"]).remove(0) {
            unknown if unknown == "? WHATSAT kiwi 10 0" && began.elapsed().unwrap() >= TTL => Ok(()),
            // The client is also unknown before its report has arrived, and this does not mean that the server has
            // forgotten the client.
            told => Err(told),
        });
    }
    eventually("its record is gone", || {
        let records = NAMES.map(|name| metric(herd.at(name).http, "proxyherd_records"));
        if records == [Some(0.0); 5] { Ok(()) } else { Err(format!("{records:?}")) }
    });
    let at = herd.client("Bernard").ask("IAMAT kiwi +3+3 500");
    assert_eq!(herd.agreed(&NAMES, "kiwi"), at, "what is forgotten can be reported with any time");
}

#[test]
fn a_client_that_keeps_reporting_is_not_forgotten() {
    const TTL: Duration = Duration::from_secs(2);
    let herd =
        Plan::pair().herd(&format!("client_ttl_s = {}\nmax_clock_offset_s = 1", TTL.as_secs())).start();
    let mut riley = herd.client("Riley");
    riley.ask("IAMAT once +1+1 1000");
    // This is twice the time after which the other client is forgotten.
    let began = SystemTime::now();
    let mut reports = 0;
    eventually("the other is forgotten", || {
        reports += 1;
        riley.send(format!("IAMAT kiwi +1+1 {}\nWHATSAT kiwi 10 0\n", 1000 + reports).as_bytes());
        let at = riley.line();
        assert_eq!(riley.read_nearby().at, at);
        let is_over = began.elapsed().unwrap() > 2 * TTL;
        let once = at_of(&mut riley, "once");
        if once.starts_with("? ") && is_over { Ok(()) } else { Err(once) }
    });
}

#[test]
fn servers_that_forget_at_different_times_are_told_of() {
    let mut herd = Plan::pair().prepare();
    herd.start_with(&["Riley"], &["--set", "herd.client_ttl_s=90"]);
    herd.start("Jaquez");
    herd.wait_for_log("Riley", "the neighbor's `client_ttl_s` is 0, not this server's");
    herd.wait_for_log("Jaquez", "the neighbor's `client_ttl_s` is 90, not this server's");
}
