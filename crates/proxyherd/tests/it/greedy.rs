//! Tests with clients that want more than their share of connections, descriptors, lines or room. These clients get
//! their share, and other clients get their own share.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use crate::harness::{Client, Herd, Plan, WHERE_AND_WHEN, eventually, eventually_metric, metric, status};

/// Processor time that the server's process has used so far.
fn processor_time(herd: &Herd) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{}/stat", herd.process("Riley").id())).unwrap();
    // The program's name may contain spaces. The text after the name begins with the state. Times are in hundredths of
    // a second.
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks = |index: usize| fields[index].parse::<u64>().unwrap();
    Duration::from_millis(10 * (ticks(11) + ticks(12)))
}

/// Waits until the server has closed the connection.
fn wait_for_end(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    // Closing a connection with unread input resets it. A reset counts as a close too.
    let _ = stream.read_to_end(&mut rest);
    assert_eq!(rest, b"");
}

#[test]
fn an_address_has_only_its_share_of_the_connections() {
    let herd = Plan::single().limits("connections_per_address = 2").start();
    let (mut one, mut two) = (herd.client("Riley"), herd.client("Riley"));
    assert_eq!((one.ask("A"), two.ask("B")), ("? A".into(), "? B".into()));
    assert_eq!(herd.client("Riley").rest(), b"");
    herd.wait_for_log("Riley", "turned away: 2 connections of this address are open");
    assert_eq!(metric(herd.at("Riley").http, "proxyherd_connections_turned_away_total"), Some(1.0));
    let of_door = |name: &str, door| {
        metric(herd.at("Riley").http, &format!("proxyherd_door_{name}{{door=\"{door}\"}}"))
    };
    assert_eq!(of_door("connections", "line"), Some(2.0));
    assert_eq!(of_door("connections_taken_total", "line"), Some(2.0));
    assert_eq!(of_door("connections_turned_away_total", "line"), Some(1.0));
    assert_eq!(of_door("connections_turned_away_total", "http"), Some(0.0));
    assert_eq!(of_door("connections", "http"), Some(1.0), "the one that asks");
    drop(one);
    eventually("there is room again", || match status(herd.at("Riley").http)["connections"].as_u64() {
        Some(1) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    assert_eq!(herd.client("Riley").ask("C"), "? C");
}

#[test]
fn descriptors_that_run_out_cost_neither_clients_nor_links_nor_operators_theirs() {
    const MOST: u32 = 256;
    let mut herd = Plan::pair().prepare();
    herd.start("Jaquez");
    herd.start_with_descriptors("Riley", MOST);
    herd.wait_for_links(&["Riley", "Jaquez"]);
    let mut early = herd.client("Riley");
    let at = early.ask(&format!("IAMAT kiwi {WHERE_AND_WHEN}"));
    let mut greedy: Vec<TcpStream> =
        (0..2 * MOST).map(|_| TcpStream::connect(herd.line("Riley")).unwrap()).collect();
    greedy.iter_mut().rev().take(MOST as usize).for_each(wait_for_end);
    herd.wait_for_log("Riley", "turned away: ");

    // Accepted clients are served, a lost link comes back, and operators see the whole state.
    assert_eq!(early.nearby("WHATSAT kiwi 10 5").at, at);
    herd.kill_all(&["Jaquez"]);
    herd.start("Jaquez");
    herd.wait_for_links(&["Riley", "Jaquez"]);
    assert_eq!(herd.agreed(&["Jaquez"], "kiwi"), at);

    // The server waits and does not poll in a loop: during this time it uses almost no processor time.
    let (began, before) = (Instant::now(), processor_time(&herd));
    for turn in 0..200 {
        assert_eq!(early.ask(&format!("TURN {turn}")), format!("? TURN {turn}"));
    }
    let (took, used) = (began.elapsed(), processor_time(&herd) - before);
    assert!(used < took / 2 + Duration::from_millis(100), "{used:?} of processor time in {took:?}");
    drop(greedy);
    eventually("there is room again", || match status(herd.at("Riley").http)["connections"].as_u64() {
        Some(1) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    assert_eq!(herd.client("Riley").ask("A"), "? A");
}

#[test]
fn an_address_over_its_rate_is_answered_later_and_loses_nothing() {
    let herd = Plan::single().limits("lines_per_s_per_address = 200").start();
    let mut client = herd.client("Riley");
    let began = Instant::now();
    for round in 0..3 {
        let lines: String = (0..200).map(|line| format!("LINE {round}.{line}\n")).collect();
        client.send(lines.as_bytes());
        for line in lines.lines() {
            assert_eq!(client.line(), format!("? {line}"));
        }
    }
    // The lines of one second may come at once.
    assert!(began.elapsed() >= Duration::from_millis(1900), "after {:?}", began.elapsed());
}

#[test]
fn who_connects_anew_is_held_to_the_rate_of_its_address_all_the_same() {
    let herd = Plan::single().limits("lines_per_s_per_address = 500").start();
    let began = Instant::now();
    for round in 0..5 {
        let mut client = herd.client("Riley");
        client.send("LINE\n".repeat(300).as_bytes());
        (0..300).for_each(|line| assert_eq!(client.line(), "? LINE", "{round}.{line}"));
    }
    assert!(began.elapsed() >= Duration::from_millis(1900), "after {:?}", began.elapsed());
}

#[test]
fn a_client_that_reports_too_often_is_refused_and_not_flooded() {
    let herd = Plan::pair().limits("client_interval_ms = 60000").start();
    let mut riley = herd.client("Riley");
    let at = riley.ask("IAMAT kiwi +1+1 1000");
    assert!(at.starts_with("AT Riley +"), "{at}");
    assert_eq!(riley.ask("IAMAT kiwi +2+2 1001"), "? IAMAT kiwi +2+2 1001");
    assert!(riley.ask("IAMAT kiwi +2+2 999").starts_with("AT Riley +"), "a stale report has its reply");
    assert!(riley.ask("IAMAT emu +2+2 1001").starts_with("AT Riley +"), "others are not held to it");
    assert_eq!(herd.agreed(&["Riley", "Jaquez"], "kiwi"), at);
    let elsewhere = herd.client("Jaquez").ask("IAMAT kiwi +3+3 1002");
    assert!(
        elsewhere.starts_with("AT Jaquez +"),
        "what another server took is not held against it: {elsewhere}"
    );
}

#[test]
fn replies_that_nobody_takes_have_only_so_much_room_in_all() {
    // If the log had all the traffic, it would have no room for the line that the test waits for.
    let herd = Plan::single().limits("buffers_mb = 1").log("level = \"warn\"").start();
    let mut bystander = herd.client("Riley");
    let at = bystander.ask(&format!("IAMAT kiwi {WHERE_AND_WHEN}"));
    let questions = b"WHATSAT kiwi 50 20\n".repeat(100);
    let greedy: Vec<Client> = (0..200).map(|_| herd.client("Riley")).collect();
    greedy.iter().for_each(|client| client.stream().set_nonblocking(true).unwrap());
    eventually("somebody has to go", || {
        for client in &greedy {
            // The system accepts as many connections as it has room for. Some connections are closed while they send a
            // request.
            let _ = client.stream().write(&questions);
        }
        let log = herd.log("Riley");
        if log.contains("the buffers are full") { Ok(()) } else { Err(log) }
    });
    assert_eq!(bystander.nearby("WHATSAT kiwi 10 5").at, at);
    let buffered = metric(herd.at("Riley").http, "proxyherd_replies_buffered_bytes").unwrap();
    assert!(buffered <= 1e6, "{buffered}");
    drop(greedy);
    eventually_metric(
        "all room is given back",
        herd.at("Riley").http,
        "proxyherd_replies_buffered_bytes",
        0.0..=0.0,
    );
}
