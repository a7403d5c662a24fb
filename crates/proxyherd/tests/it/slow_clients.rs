//! Tests of clients that are slow, silent, or too many: the server closes each such connection when its time is over,
//! and other clients are not affected.

use std::{
    io::{ErrorKind, Write},
    time::{Duration, Instant},
};

use crate::harness::{Client, Herd, Plan, WHERE_AND_WHEN, drip_until_closed, eventually, status};

#[test]
fn a_line_that_is_begun_and_not_ended_closes_its_connection() {
    let herd = Plan::single().limits("line_s = 1").start();
    let mut bystander = herd.client("Riley");
    let mut client = herd.client("Riley");
    let began = Instant::now();
    client.send(b"HELLO\nIAMAT ki");
    assert_eq!(client.rest(), b"? HELLO\n", "the half line has no answer");
    assert!(began.elapsed() >= Duration::from_secs(1), "after {:?}", began.elapsed());
    herd.wait_for_log("Riley", "the client did not finish a line within 1 s");
    assert_eq!(bystander.ask("HELLO"), "? HELLO", "a connection without a half line stays");
}

#[test]
fn a_line_that_drips_in_has_no_more_time_than_any_other() {
    let herd = Plan::single().limits("line_s = 1").start();
    let client = herd.client("Riley");
    let stream = client.stream();
    stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    drip_until_closed(stream);
    herd.wait_for_log("Riley", "the client did not finish a line within 1 s");
}

#[test]
fn a_client_that_says_nothing_for_long_is_closed() {
    let herd = Plan::single().limits("idle_s = 1").log("level = \"debug\"").start();
    let began = Instant::now();
    let mut silent = herd.client("Riley");
    assert_eq!(silent.rest(), b"");
    let mut once = herd.client("Riley");
    assert_eq!(once.ask("HELLO"), "? HELLO");
    assert_eq!(once.rest(), b"");
    assert!(began.elapsed() >= Duration::from_secs(2), "after {:?}", began.elapsed());
    herd.wait_for_log("Riley", "the client was silent for 1 s");
}

#[test]
fn one_connection_too_many_is_turned_away() {
    let herd = Plan::single().limits("connections = 2").start();
    let (mut one, mut two) = (herd.client("Riley"), herd.client("Riley"));
    assert_eq!((one.ask("A"), two.ask("B")), ("? A".into(), "? B".into()));
    assert_eq!(herd.client("Riley").rest(), b"");
    herd.wait_for_log("Riley", "turned away: 2 connections are open");
    assert_eq!((one.ask("A"), two.ask("B")), ("? A".into(), "? B".into()));
    drop(one);
    eventually("there is room again", || match status(herd.at("Riley").http)["connections"].as_u64() {
        Some(1) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    assert_eq!(herd.client("Riley").ask("C"), "? C");
}

/// Sends questions without reading replies, until the server closes the connection.
fn ask_without_reading(client: &Client) -> u64 {
    let questions = b"WHATSAT kiwi 50 20\n".repeat(1000);
    let mut sent = 0;
    loop {
        match client.stream().write(&questions) {
            Ok(len) => sent += len as u64,
            Err(error) if [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe].contains(&error.kind()) => {
                return sent;
            }
            Err(error) => panic!("{error} after {sent} bytes"),
        }
    }
}

/// Runs several clients that ask and do not read, until all their connections are closed. During this time another
/// client is served.
fn be_asked_without_being_read(herd: &Herd, bystander: &mut Client) {
    let reported = bystander.nearby("WHATSAT kiwi 50 20").at;
    std::thread::scope(|scope| {
        let greedy = || scope.spawn(|| ask_without_reading(&herd.client("Riley")));
        let asking: Vec<_> = std::iter::repeat_with(greedy).take(8).collect();
        while asking.iter().any(|thread| !thread.is_finished()) {
            assert_eq!(bystander.nearby("WHATSAT kiwi 50 20").at, reported, "others are served meanwhile");
        }
        let sent: u64 = asking.into_iter().map(|thread| thread.join().unwrap()).sum();
        assert!(sent > 1024 * 1024, "{sent} bytes of questions are more than enough to tell");
    });
}

#[test]
fn clients_that_do_not_read_are_closed_and_take_little_memory() {
    const MEBIBYTE: u64 = 1024 * 1024;
    // A log with all the traffic would leave out lines, and perhaps the line that the test waits for.
    let herd = Plan::single().limits("write_s = 1").log("level = \"warn\"").start();
    let mut bystander = herd.client("Riley");
    bystander.ask(&format!("IAMAT kiwi {WHERE_AND_WHEN}"));
    let idle = herd.process("Riley").memory_peak();
    be_asked_without_being_read(&herd, &mut bystander);
    herd.wait_for_log("Riley", "the client did not read its replies for 1 s");
    // The answers to a megabyte of questions have a gigabyte.
    let first = herd.process("Riley").memory_peak().saturating_sub(idle);
    assert!(first < 48 * MEBIBYTE, "{first} bytes");
    be_asked_without_being_read(&herd, &mut bystander);
    let second = herd.process("Riley").memory_peak().saturating_sub(idle + first);
    assert!(second < 8 * MEBIBYTE, "{first} bytes, and then {second} more");
}
