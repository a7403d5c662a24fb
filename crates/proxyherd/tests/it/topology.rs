//! Tests of changes to herd.toml that add and remove servers and links while the herd runs.

use std::{
    fs,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::harness::{
    Herd, NAMES, Plan, Process, WHERE_AND_WHEN, eventually, eventually_metric, get, metric, status,
};

/// The neighbors in a server's status, in order.
fn neighbors(herd: &Herd, name: &str) -> Vec<String> {
    let status = status(herd.at(name).http);
    let links = status["links"].as_array().unwrap();
    links.iter().map(|link| link["neighbor"].as_str().unwrap().to_owned()).collect()
}

fn link(herd: &Herd, name: &str, neighbor: &str) -> Value {
    let status = status(herd.at(name).http);
    let links = status["links"].as_array().unwrap();
    links.iter().find(|link| link["neighbor"] == neighbor).cloned().unwrap_or_default()
}

fn wait_for_neighbors(herd: &Herd, name: &str, expected: &[&str]) {
    eventually(&format!("{name} has links with {expected:?}"), || {
        let seen = neighbors(herd, name);
        if seen == expected { Ok(()) } else { Err(format!("{seen:?}")) }
    });
}

/// The number of times that this text is in the log of a server.
fn said(herd: &Herd, name: &str, text: &str) -> usize {
    herd.log(name).matches(text).count()
}

#[test]
fn a_server_added_to_the_file_is_linked_without_dropping_a_client() {
    let mut herd = Plan::classic().start();
    let mut clients: Vec<_> = NAMES.iter().map(|name| herd.client(name)).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client.ask(&format!("IAMAT client-{number} {WHERE_AND_WHEN}"));
    }
    herd.change(herd.plan().with_server("Hart", &["Riley", "Campbell"]));
    herd.start("Hart");
    let six = ["Riley", "Jaquez", "Juzang", "Campbell", "Bernard", "Hart"];
    herd.wait_for_links(&six);
    wait_for_neighbors(&herd, "Riley", &["Jaquez", "Juzang", "Hart"]);
    wait_for_neighbors(&herd, "Bernard", &["Jaquez", "Juzang", "Campbell"]);
    for number in 0..clients.len() {
        herd.agreed(&six, &format!("client-{number}"));
    }
    for (number, client) in clients.iter_mut().enumerate() {
        let at = client.ask(&format!("IAMAT later-{number} {WHERE_AND_WHEN}"));
        assert_eq!(herd.agreed(&six, &format!("later-{number}")), at);
    }
    let at = herd.client("Hart").ask(&format!("IAMAT kiwi {WHERE_AND_WHEN}"));
    assert_eq!(herd.agreed(&six, "kiwi"), at);
    for name in NAMES {
        herd.wait_for_log(name, "topology: added server Hart with links to Riley, Campbell");
    }
    eventually("all are in one tree", || {
        let reached = six.map(|name| status(herd.at(name).http)["reaches"].as_array().unwrap().len());
        if reached == [6; 6] { Ok(()) } else { Err(format!("{reached:?}")) }
    });
}

#[test]
fn a_removed_link_goes_down_and_changes_find_another_way() {
    let mut herd = Plan::classic().start();
    let mut client = herd.client("Riley");
    herd.change(herd.plan().without_link("Riley", "Juzang").without_link("Bernard", "Juzang"));
    wait_for_neighbors(&herd, "Riley", &["Jaquez"]);
    wait_for_neighbors(&herd, "Juzang", &["Campbell"]);
    let said = "topology: removed link Bernard-Juzang; removed link Juzang-Riley";
    NAMES.iter().for_each(|name| drop(herd.wait_for_log(name, said)));
    herd.wait_for_log("Riley", "down after");
    let at = client.ask(&format!("IAMAT kiwi {WHERE_AND_WHEN}"));
    assert_eq!(herd.agreed(&NAMES, "kiwi"), at);
    let (_, metrics) = get(herd.at("Riley").http, "/metrics");
    assert!(!metrics.contains("neighbor=\"Juzang\""), "{metrics}");
    let at = herd.client("Juzang").ask(&format!("IAMAT emu {WHERE_AND_WHEN}"));
    assert_eq!(herd.agreed(&NAMES, "emu"), at);
    herd.change(herd.plan().with_link("Riley", "Juzang"));
    herd.wait_for_links(&NAMES);
}

#[test]
fn a_neighbor_that_does_not_move_holds_up_no_change() {
    let mut herd = Plan::classic().encrypted().start();
    herd.process("Juzang").signal("STOP");
    herd.change(herd.plan().without_link("Riley", "Juzang").with_link("Riley", "Campbell"));
    wait_for_neighbors(&herd, "Riley", &["Jaquez", "Campbell"]);
    // This change is complete when Juzang has had time to leave the herd.
    herd.change(herd.plan().with_link("Riley", "Bernard"));
    let rest = ["Riley", "Jaquez", "Campbell", "Bernard"];
    wait_for_neighbors(&herd, "Riley", &["Jaquez", "Campbell", "Bernard"]);
    let at = herd.client("Riley").ask(&format!("IAMAT kiwi {WHERE_AND_WHEN}"));
    assert_eq!(herd.agreed(&rest, "kiwi"), at);
    herd.process("Juzang").signal("CONT");
    herd.wait_for_links(&NAMES);
    assert_eq!(herd.agreed(&NAMES, "kiwi"), at);
}

#[test]
fn a_removed_server_is_forgotten_by_status_and_tree() {
    let mut herd = Plan::classic().start();
    let at = herd.client("Juzang").ask(&format!("IAMAT kiwi {WHERE_AND_WHEN}"));
    herd.agreed(&NAMES, "kiwi");
    assert_eq!(herd.stop("Juzang", "TERM").code, 0);
    herd.change(herd.plan().without_server("Juzang"));
    let rest = ["Riley", "Jaquez", "Campbell", "Bernard"];
    wait_for_neighbors(&herd, "Riley", &["Jaquez"]);
    wait_for_neighbors(&herd, "Campbell", &["Bernard"]);
    wait_for_neighbors(&herd, "Bernard", &["Jaquez", "Campbell"]);
    herd.wait_for_links(&rest);
    assert_eq!(herd.agreed(&rest, "kiwi"), at, "what it took stays");
    for name in rest {
        herd.wait_for_log(name, "topology: removed server Juzang");
        let reaches = &status(herd.at(name).http)["reaches"];
        assert!(!reaches.as_array().unwrap().contains(&"Juzang".into()), "{reaches}");
    }
    let at = herd.client("Riley").ask(&format!("IAMAT emu {WHERE_AND_WHEN}"));
    assert_eq!(herd.agreed(&rest, "emu"), at);
}

#[test]
fn a_wrong_file_changes_nothing_and_is_logged_with_its_line() {
    let herd = Plan::pair().start();
    let mut client = herd.client("Riley");
    let right = herd.text();
    let wrong = right.replace("neighbors = [\"Jaquez\"]", "neighbors = [\"Jaques\"]");
    let line = wrong.lines().position(|line| line.contains("Jaques")).unwrap() + 1;
    herd.write_file("herd.toml", &wrong);
    let logged = herd.wait_for_log("Riley", "names no server of this herd");
    assert!(logged.contains(&format!("herd.toml:{line}:")) && logged.contains("did you mean"), "{logged}");
    herd.wait_for_log("Riley", "herd.toml has 1 error, and nothing changes");
    // Another file with the same text: the server reads the file, but logs nothing again.
    herd.write_file("herd.toml", &wrong);
    fs::remove_file(herd.dir().join("herd.toml")).unwrap();
    herd.wait_for_log("Riley", "cannot read the configuration herd.toml: No such file");
    assert_eq!(said(&herd, "Riley", "names no server of this herd"), 1);
    herd.write_file("herd.toml", &right);
    herd.process("Riley").signal("HUP");
    herd.wait_for_log("Riley", "herd.toml read anew: nothing has changed");
    client.ask(&format!("IAMAT kiwi {WHERE_AND_WHEN}"));
    herd.agreed(&["Riley", "Jaquez"], "kiwi");
    assert_eq!(link(&herd, "Riley", "Jaquez")["times_up"], 1, "the link has stayed up");
}

#[test]
fn a_changed_address_is_dialed() {
    let mut herd = Plan::classic().start();
    let times_up = link(&herd, "Bernard", "Campbell")["times_up"].clone();
    herd.move_peer("Riley");
    let said = format!("topology: Riley is dialed at {} now", herd.at("Riley").peer);
    NAMES.iter().for_each(|name| drop(herd.wait_for_log(name, &said)));
    herd.wait_for_log("Riley", "takes effect when this server is started again: server.peer");
    // Jaquez and Juzang dial Riley. Riley keeps its old address until it is started again, and continues as before.
    let at = herd.client("Riley").ask(&format!("IAMAT kiwi {WHERE_AND_WHEN}"));
    assert_eq!(herd.agreed(&NAMES, "kiwi"), at);
    assert_eq!(link(&herd, "Jaquez", "Riley")["up"], true);
    assert_eq!(herd.stop("Riley", "TERM").code, 0);
    herd.start("Riley");
    herd.wait_for_links(&NAMES);
    assert_eq!(link(&herd, "Jaquez", "Riley")["address"], herd.at("Riley").peer.to_string());
    assert_eq!(link(&herd, "Bernard", "Campbell")["times_up"], times_up, "others were left alone");
}

#[test]
fn sighup_has_the_file_read_at_once_and_says_what_waits_for_the_next_start() {
    let mut herd = Plan::classic().start();
    let hup = |herd: &Herd| NAMES.iter().for_each(|name| herd.process(name).signal("HUP"));
    herd.change(herd.plan().without_link("Riley", "Juzang").limits("idle_s = 1800").limits("line_s = 20"));
    hup(&herd);
    wait_for_neighbors(&herd, "Juzang", &["Campbell", "Bernard"]);
    let waits = "takes effect when this server is started again: limits.idle_s, limits.line_s";
    herd.wait_for_log("Riley", waits);
    let changed = herd.text().replace("idle_s = 1800", "idle_s = 900");
    herd.write_file("herd.toml", &changed);
    hup(&herd);
    herd.wait_for_log("Riley", "herd.toml read anew: nothing has changed");
    assert_eq!(said(&herd, "Riley", "takes effect when"), 1, "the same keys are not told again");
    herd.client("Riley").ask(&format!("IAMAT kiwi {WHERE_AND_WHEN}"));
    herd.agreed(&NAMES, "kiwi");
}

#[test]
fn what_was_set_from_outside_stays_set_when_the_file_is_read_again() {
    let mut herd = Plan::pair().prepare();
    herd.start_with(&["Riley", "Jaquez"], &["--set", "limits.idle_s=77"]);
    herd.wait_for_links(&["Riley", "Jaquez"]);
    herd.change(herd.plan().limits("idle_s = 1800"));
    herd.process("Riley").signal("HUP");
    herd.wait_for_log("Riley", "herd.toml read anew: nothing has changed");
}

const REMOVED: &str = "herd.toml no longer names this server\n";

/// Waits until readyz, metrics and status of a server say that its file no longer names it.
fn wait_until_removed(herd: &Herd, name: &str) {
    let http = herd.at(name).http;
    eventually("readyz says that it is removed", || match get(http, "/health/readyz") {
        (503, why) if why == REMOVED => Ok(()),
        (code, why) => Err(format!("{code} {why}")),
    });
    assert_eq!(metric(http, "proxyherd_removed"), Some(1.0));
    assert_eq!(status(http)["removed"], true);
}

const REST: [&str; 4] = ["Jaquez", "Juzang", "Campbell", "Bernard"];

#[test]
fn a_server_that_its_file_no_longer_names_says_so_and_ends_as_at_sigterm() {
    let mut herd = Plan::classic().start();
    assert_eq!(metric(herd.at("Riley").http, "proxyherd_removed"), Some(0.0));
    herd.write_file("before.toml", &herd.text());
    let mut client = herd.client("Riley");
    herd.change(herd.plan().without_server("Riley"));
    wait_until_removed(&herd, "Riley");
    let line = herd.wait_for_log("Riley", "herd.toml no longer names Riley: this server ends in 5 s");
    assert!(line.contains("  !  "), "{line}");
    let shown = Process::run(herd.dir(), &["status", "--config", "before.toml"]);
    assert!(shown.out.contains("! Riley runs, but its herd.toml no longer names it"), "{shown:?}");
    let shown = Process::run(herd.dir(), &["status"]);
    let told = "! Riley still runs and has links, but this herd.toml does not name that server";
    assert!(shown.out.contains(told), "{shown:?}");
    // Until the server ends, the other servers get its reports.
    let at = client.ask(&format!("IAMAT kiwi {WHERE_AND_WHEN}"));
    let finished = herd.wait_for_end("Riley");
    assert_eq!((finished.code, finished.err.as_str()), (0, ""));
    assert_eq!(herd.agreed(&REST, "kiwi"), at);
    assert!(herd.log("Riley").ends_with("  =  stopped\n"), "{}", herd.log("Riley"));
    herd.wait_for_links(&REST);
    for name in ["Jaquez", "Juzang"] {
        assert_eq!(
            said(&herd, name, "the configuration no longer has this link"),
            0,
            "Riley ended its links itself"
        );
    }
}

#[test]
fn links_with_a_server_that_learns_last_of_its_removal_are_not_cut_before_it_ends() {
    let mut herd = Plan::classic().prepare();
    herd.write_file("own.toml", &herd.text());
    herd.start_from("own.toml", "Riley");
    herd.start_all(&REST);
    herd.wait_for_links(&NAMES);
    herd.change(herd.plan().without_server("Riley"));
    REST.iter().for_each(|name| drop(herd.wait_for_log(name, "topology: removed server Riley")));
    wait_for_neighbors(&herd, "Jaquez", &["Bernard"]);
    // A link that is cut goes down within milliseconds. Riley's reports reach the other servers for much longer.
    let mut client = herd.client("Riley");
    let (began, mut number) = (Instant::now(), 0);
    while began.elapsed() < Duration::from_secs(1) {
        number += 1;
        let kiwi = format!("kiwi-{number}");
        let at = client.ask(&format!("IAMAT {kiwi} {WHERE_AND_WHEN}"));
        assert_eq!(herd.agreed(&REST, &kiwi), at);
    }
    herd.write_file("own.toml", &herd.text());
    assert_eq!(herd.wait_for_end("Riley").code, 0);
    herd.wait_for_links(&REST);
}

#[test]
fn a_server_that_is_put_back_into_its_file_in_time_goes_on() {
    let mut herd = Plan::classic().start();
    let mut client = herd.client("Riley");
    let with = herd.plan();
    herd.change(with.clone().without_server("Riley"));
    wait_until_removed(&herd, "Riley");
    herd.change(with);
    herd.process("Riley").signal("HUP");
    herd.wait_for_log("Riley", "herd.toml names this server again: it keeps running");
    let http = herd.at("Riley").http;
    eventually("it is ready again", || match get(http, "/health/readyz") {
        (200, _) => Ok(()),
        (code, why) => Err(format!("{code} {why}")),
    });
    assert_eq!(metric(http, "proxyherd_removed"), Some(0.0));
    // This time is longer than the grace period.
    let began = Instant::now();
    let mut number = 0;
    eventually("its time is over", || {
        number += 1;
        assert!(client.ask(&format!("IAMAT kiwi-{number} {WHERE_AND_WHEN}")).starts_with("AT Riley "));
        if began.elapsed() > Duration::from_secs(6) { Ok(()) } else { Err("not yet") }
    });
    herd.wait_for_links(&NAMES);
    let at = client.ask(&format!("IAMAT emu {WHERE_AND_WHEN}"));
    assert_eq!(herd.agreed(&NAMES, "emu"), at);
    assert_eq!(said(&herd, "Riley", "stopping"), 0);
}

#[test]
fn a_server_without_links_can_be_put_back_into_its_file_for_as_long_as_any() {
    let mut herd = Plan::pair().without_link("Riley", "Jaquez").start();
    let mut client = herd.client("Riley");
    let with = herd.plan();
    herd.change(with.clone().without_server("Riley"));
    wait_until_removed(&herd, "Riley");
    // During this time the server reads its file twice. The grace period is longer than this time.
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(2500) {
        assert_eq!(client.ask("HELLO"), "? HELLO");
    }
    herd.change(with);
    herd.process("Riley").signal("HUP");
    herd.wait_for_log("Riley", "herd.toml names this server again: it keeps running");
    assert_eq!(herd.stop("Riley", "TERM").code, 0);
}

#[test]
fn a_server_that_is_to_stay_without_its_file_is_let_go_by_its_neighbors_and_answers_its_clients() {
    let mut herd = Plan::classic().start();
    let mut client = herd.client("Riley");
    herd.change(herd.plan().without_server("Riley").herd("removed = \"stay\""));
    wait_until_removed(&herd, "Riley");
    herd.wait_for_log("Riley", "herd.toml no longer names Riley: it keeps running");
    herd.wait_for_log("Jaquez", "the configuration no longer has this link");
    herd.wait_for_log("Riley", "Riley is no neighbor of Jaquez in the configuration that Jaquez reads");
    assert!(client.ask(&format!("IAMAT kiwi {WHERE_AND_WHEN}")).starts_with("AT Riley "));
    assert_eq!(get(herd.at("Riley").http, "/health/readyz"), (503, REMOVED.to_owned()));
    assert_eq!(herd.stop("Riley", "TERM").code, 0);
}

#[test]
fn another_herds_file_changes_nothing() {
    let mut herd = Plan::classic().start();
    herd.change(herd.plan().without_link("Riley", "Juzang").herd("id = \"another\""));
    herd.process("Riley").signal("HUP");
    herd.wait_for_log(
        "Riley",
        "changes nothing here: herd.id or herd.tls has changed since this server's start",
    );
    assert_eq!(neighbors(&herd, "Riley"), ["Jaquez", "Juzang"]);
    assert_eq!(link(&herd, "Riley", "Juzang")["up"], true);
}

#[test]
fn while_files_differ_both_logs_say_whose_does_not_know_the_other() {
    let mut herd = Plan::pair().prepare();
    herd.write_file("own.toml", &herd.text());
    herd.start_from("own.toml", "Riley");
    herd.start("Jaquez");
    herd.wait_for_links(&["Riley", "Jaquez"]);
    // Jaquez dials Riley, whose file has no link with Jaquez any more.
    let began = Instant::now();
    herd.write_file("own.toml", &herd.text_of(&herd.plan().without_link("Riley", "Jaquez")));
    let told = "Jaquez is no neighbor of Riley in the configuration that Riley reads";
    let line = herd.wait_for_log("Jaquez", "down after");
    assert!(line.contains(told), "{line}");
    herd.wait_for_log("Riley", told);
    eventually_metric(
        "it is dialed and refused again and again",
        herd.at("Riley").http,
        "proxyherd_peers_refused_total",
        6.0..,
    );
    assert!(began.elapsed() > Duration::from_secs(1), "it is dialed more and more rarely");
    assert_eq!(said(&herd, "Riley", told), 1, "it is told once");
    assert_eq!(said(&herd, "Jaquez", told), 1);
    herd.write_file("own.toml", &herd.text());
    herd.wait_for_links(&["Riley", "Jaquez"]);
}

#[test]
fn who_is_let_go_by_the_end_that_dials_hears_why() {
    let mut herd = Plan::pair().prepare();
    herd.write_file("own.toml", &herd.text());
    herd.start_from("own.toml", "Jaquez");
    herd.start("Riley");
    herd.wait_for_links(&["Riley", "Jaquez"]);
    herd.write_file("own.toml", &herd.text_of(&herd.plan().without_link("Riley", "Jaquez")));
    let line = herd.wait_for_log("Riley", "down after");
    assert!(line.contains("Riley is no neighbor of Jaquez in the configuration that Jaquez reads"), "{line}");
    let line = herd.wait_for_log("Jaquez", "down after");
    assert!(line.contains("the configuration no longer has this link"), "{line}");
}

#[test]
fn an_encrypted_herd_takes_in_a_server_whose_certificate_was_made_meanwhile() {
    let mut herd = Plan::pair().encrypted().start();
    herd.change(herd.plan().with_server("Hart", &["Riley"]));
    let made = Process::run(herd.dir(), &["init", "--server", "Hart"]);
    assert_eq!(made.code, 0, "{made:?}");
    herd.start("Hart");
    let all = ["Riley", "Jaquez", "Hart"];
    herd.wait_for_links(&all);
    let at = herd.client("Hart").ask(&format!("IAMAT kiwi {WHERE_AND_WHEN}"));
    assert_eq!(herd.agreed(&all, "kiwi"), at);
    herd.process("Riley").signal("HUP");
    herd.wait_for_log("Riley", "certificates read anew");
}
