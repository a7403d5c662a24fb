//! Tests of how servers end. After one request to end, a server loses no acknowledged report. After a second request,
//! the server ends at once.

use std::{
    fs,
    io::Write,
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use proxyherd_core::{
    codec::link::{Encoder, Frame, GraftMode, Hello, decode},
    limits::SHARDS,
};

use crate::harness::{Client, Herd, Ledger, NAMES, Plan, WHERE_AND_WHEN, eventually, metric, neighbor};

const STOP_MAX: Duration = Duration::from_secs(10);
const KILLED_BY_SIGTERM: i32 = 128 + 15;

#[test]
fn a_server_that_is_asked_to_end_does_so_cleanly_with_clients_and_links_open() {
    for signal in ["TERM", "INT"] {
        let mut herd = Plan::pair().start();
        let mut idle = herd.client("Riley");
        let mut in_a_line = herd.client("Riley");
        in_a_line.send(b"IAMAT ki");
        let began = Instant::now();
        let finished = herd.stop("Riley", signal);
        assert!(began.elapsed() < STOP_MAX, "after {:?}", began.elapsed());
        assert_eq!((finished.code, finished.err.as_str()), (0, ""), "SIG{signal}");
        assert_eq!((idle.rest(), in_a_line.rest()), (vec![], vec![]), "its clients were let go");
        let log = herd.log("Riley");
        assert!(log.contains("  =  stopping\n") && log.ends_with("  =  stopped\n"), "{log}");
        assert!(TcpStream::connect(herd.line("Riley")).is_err(), "nobody listens any more");
        herd.wait_for_log("Jaquez", "link   Riley");
    }
}

#[test]
fn a_disk_that_takes_no_more_of_the_log_holds_up_no_end() {
    let mut herd = Plan::single().prepare();
    let log = herd.dir().join("log");
    fs::create_dir_all(&log).unwrap();
    let made = std::process::Command::new("mkfifo").arg(log.join("Riley.log")).status().unwrap();
    assert!(made.success());
    // The pipe is open, so it can be written, but nobody reads from it. So it takes only as many bytes as fit into a
    // pipe.
    let _pipe = fs::OpenOptions::new().read(true).write(true).open(log.join("Riley.log")).unwrap();
    herd.start("Riley");
    let mut client = herd.client("Riley");
    let long = "x".repeat(1000);
    for _ in 0..200 {
        assert_eq!(client.ask(&long), format!("? {long}"), "who writes the log slows nobody");
    }
    let began = Instant::now();
    let finished = herd.stop("Riley", "TERM");
    assert!(began.elapsed() < STOP_MAX, "after {:?}", began.elapsed());
    assert_eq!(finished.code, 0, "{finished:?}");
}

#[test]
fn a_server_that_is_alone_for_a_moment_tells_what_it_holds_before_it_ends() {
    let mut herd = Plan::pair().start();
    herd.kill_all(&["Jaquez"]);
    let mut ledger = Ledger::default();
    let mut riley = herd.client("Riley");
    (0..50).for_each(|client| ledger.report_over(&mut riley, &format!("client-{client}")));
    herd.start("Jaquez");
    // The link may not be up yet. The test does not wait for the link here.
    assert_eq!(herd.stop("Riley", "TERM").code, 0);
    herd.agree(&["Jaquez"], &ledger.lines());
}

#[test]
fn what_was_acknowledged_before_the_end_is_at_the_neighbors() {
    let mut herd = Plan::classic().start();
    let mut ledger = Ledger::default();
    for name in NAMES {
        let mut connection = herd.client(name);
        for client in 0..50 {
            ledger.report_over(&mut connection, &format!("client-{client}"));
        }
        assert_eq!(herd.stop(name, "TERM").code, 0);
        let rest: Vec<&str> = NAMES.into_iter().filter(|other| *other != name).collect();
        herd.agree(&rest, &ledger.lines());
        herd.start(name);
        herd.wait_for_links(&NAMES);
        herd.agree(&NAMES, &ledger.lines());
    }
}

#[test]
fn many_reports_just_before_the_end_all_reach_the_neighbor() {
    const CLIENTS: usize = 20_000;
    for _ in 0..3 {
        let mut herd = Plan::pair().log("level = \"warn\"").start();
        let mut riley = herd.client("Riley");
        let reports: String =
            (0..CLIENTS).map(|client| format!("IAMAT client-{client} +1+1 1000\n")).collect();
        thread::scope(|scope| {
            let stream = riley.stream().try_clone().unwrap();
            scope.spawn(move || { stream }.write_all(reports.as_bytes()).unwrap());
            for _ in 0..CLIENTS {
                assert!(riley.line().starts_with("AT Riley +"));
            }
        });
        assert_eq!(herd.stop("Riley", "TERM").code, 0);
        let mut jaquez = herd.client("Jaquez");
        eventually("Jaquez knows all", || {
            let records = metric(herd.at("Jaquez").http, "proxyherd_records");
            if records == Some(CLIENTS as f64) { Ok(()) } else { Err(format!("{records:?} records")) }
        });
        assert!(jaquez.nearby("WHATSAT client-19999 1 0").at.starts_with("AT Riley +"));
    }
}

#[test]
fn what_was_acknowledged_is_told_to_a_neighbor_that_asks_only_at_the_end() {
    let mut herd = Plan::pair().prepare();
    herd.start("Riley");
    // This neighbor supports spanning trees, but does not know yet that it is in a tree with Riley.
    let hello = Hello { highest: 2, features: 1, ..neighbor::hello("Jaquez") };
    let mut jaquez = neighbor::dial(herd.at("Riley").peer, &neighbor::bytes_of(&hello));
    herd.wait_for_log("Riley", "up: it dialed");
    herd.client("Riley").ask(&format!("IAMAT kiwi {WHERE_AND_WHEN}"));
    herd.process("Riley").signal("TERM");
    herd.wait_for_log("Riley", "stopping");
    let mut encoder = Encoder::default();
    (0..SHARDS as u8).for_each(|shard| encoder.graft(shard, &[], GraftMode::Onward));
    jaquez.write_all(encoder.bytes()).unwrap();
    assert_eq!(clients(&neighbor::rest(&jaquez)), ["kiwi"]);
    drop(jaquez);
    herd.wait_for_log("Riley", "  =  stopped");
}

/// The clients whose records are in these frames.
fn clients(mut frames: &[u8]) -> Vec<String> {
    let mut clients = Vec::new();
    while let Some((frame, len)) = decode(frames).unwrap() {
        if let Frame::Record { record, .. } = frame {
            clients.push(String::from_utf8(record.key.to_vec()).unwrap());
        }
        frames = &frames[len..];
    }
    clients
}

/// A client that asks until no more questions fit into the buffers, and reads no replies. So its server takes a long
/// time to end.
fn greedy(herd: &Herd) -> Client {
    let mut client = herd.client("Riley");
    client.ask(&format!("IAMAT kiwi {WHERE_AND_WHEN}"));
    client.stream().set_nonblocking(true).unwrap();
    eventually("the server has stopped reading", || {
        let questions = b"WHATSAT kiwi 50 20\n".repeat(1000);
        while client.stream().write(&questions).is_ok() {}
        // There is new room in the buffers as long as the server reads.
        let queued = client.unread();
        if queued > 64 * 1024 { Ok(()) } else { Err(format!("{queued} bytes wait to be read")) }
    });
    client
}

#[test]
fn told_twice_a_server_ends_at_once() {
    for signal in ["TERM", "INT"] {
        let mut herd = Plan::single().start();
        let _greedy = greedy(&herd);
        herd.process("Riley").signal(signal);
        herd.wait_for_log("Riley", "stopping");
        let finished = herd.stop("Riley", signal);
        assert_eq!(finished.code, KILLED_BY_SIGTERM, "{finished:?}");
        assert!(!herd.log("Riley").contains("stopped"), "it did not wait for the client");
    }
}

#[test]
fn a_client_that_does_not_read_does_not_hold_up_the_end_for_long() {
    let mut herd = Plan::single().start();
    let _greedy = greedy(&herd);
    let began = Instant::now();
    assert_eq!(herd.stop("Riley", "TERM").code, 0);
    assert!(began.elapsed() < STOP_MAX, "after {:?}", began.elapsed());
}

#[test]
fn clients_that_never_pause_do_not_hold_up_the_end() {
    let mut herd = Plan::pair().log("level = \"warn\"").start();
    let riley = herd.line("Riley");
    let busy = thread::spawn(move || {
        let mut stream = TcpStream::connect(riley).unwrap();
        let mut sink = stream.try_clone().unwrap();
        let reader = thread::spawn(move || std::io::copy(&mut sink, &mut std::io::sink()));
        let lines = b"IAMAT kiwi +1+1 1000\n".repeat(1000);
        while stream.write_all(&lines).is_ok() {}
        let _ = reader.join();
    });
    eventually("reports come in", || {
        let stale = metric(herd.at("Riley").http, "proxyherd_reports_total{result=\"stale\",door=\"line\"}");
        if stale > Some(5000.0) { Ok(()) } else { Err(format!("{stale:?}")) }
    });
    let began = Instant::now();
    assert_eq!(herd.stop("Riley", "TERM").code, 0);
    assert!(began.elapsed() < STOP_MAX, "after {:?}", began.elapsed());
    busy.join().unwrap();
}
