//! Tests of links that end: however a link ends, the frames that one end has sent are not lost at the other end.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, TcpStream},
    thread,
};

use proxyherd_core::{
    codec::link::{Encoder, Frame, decode},
    limits::{HEARTBEAT_INTERVAL, SHARDS},
    types::{Attributes, Body, ClientId, Coordinates, Difference, Kind, Record, Timestamp},
};

use crate::harness::{Herd, Plan, WHERE_AND_WHEN, eventually, eventually_metric, metric, neighbor};

#[test]
fn a_neighbor_that_falls_silent_loses_its_link_and_has_it_again_when_it_wakes() {
    let herd = Plan::pair().encrypted().start();
    // The server is paused and has not ended: its sockets stay open, and the other servers get no sign that it is away.
    herd.process("Jaquez").signal("STOP");
    let at = herd.client("Riley").ask(&format!("IAMAT kiwi {WHERE_AND_WHEN}"));
    let line = herd.wait_for_log("Riley", "the other end sent nothing for 3 s");
    assert!(line.contains("link   Jaquez") && line.contains("down after"), "{line}");
    herd.process("Jaquez").signal("CONT");
    assert_eq!(herd.agreed(&["Riley", "Jaquez"], "kiwi"), at);
    herd.wait_for_links(&["Riley", "Jaquez"]);
}

#[test]
fn what_came_while_a_server_was_paused_is_not_lost_with_its_link() {
    let mut herd = Plan::pair().encrypted().start();
    herd.process("Jaquez").signal("STOP");
    let at = herd.client("Riley").ask(&format!("IAMAT kiwi {WHERE_AND_WHEN}"));
    herd.wait_for_log("Riley", "the other end sent nothing for 3 s");
    herd.kill_all(&["Riley"]);
    herd.process("Jaquez").signal("CONT");
    // The only copy of the report is in the bytes that Jaquez has received and not read.
    assert_eq!(herd.agreed(&["Jaquez"], "kiwi"), at);
}

/// Frames that introduce a server, followed by records of this number of clients that reported at this server.
pub(crate) fn records(count: usize) -> Vec<u8> {
    let mut encoder = Encoder::default();
    let index = encoder.index_of(&neighbor::hello("Jaquez").origin).unwrap();
    let timestamp = Timestamp::parse(b"1000").unwrap();
    for number in 0..count {
        let client = format!("client-{number}");
        let key = ClientId::new(client.as_bytes()).unwrap().as_bytes();
        let coordinates = Coordinates::parse(b"+1+1").unwrap();
        let body = Body::Location { coordinates, attributes: Attributes::NONE };
        let difference = Difference::at_receipt(2_000_000_000_000, timestamp);
        encoder.record(index, 1, &Record { kind: Kind::CLIENT, key, body, timestamp, difference });
    }
    encoder.bytes().to_vec()
}

#[test]
fn what_came_before_a_link_was_reset_is_kept() {
    const RECORDS: usize = 500;
    for _ in 0..10 {
        let mut herd = Plan::pair().prepare();
        herd.start("Riley");
        let mut jaquez =
            neighbor::dial(herd.at("Riley").peer, &neighbor::bytes_of(&neighbor::hello("Jaquez")));
        herd.wait_for_log("Riley", "up: it dialed");
        herd.process("Riley").signal("STOP");
        jaquez.write_all(&records(RECORDS)).unwrap();
        // Riley's HELLO is unread when the connection is closed, so the connection is reset.
        drop(jaquez);
        // Riley wakes with bytes to read, and also with a heartbeat to write, because a heartbeat is due.
        thread::sleep(HEARTBEAT_INTERVAL);
        herd.process("Riley").signal("CONT");
        herd.wait_for_log("Riley", "down after");
        assert_eq!(metric(herd.at("Riley").http, "proxyherd_records"), Some(RECORDS as f64));
    }
}

fn heartbeat() -> Vec<u8> {
    let mut encoder = Encoder::default();
    encoder.heartbeat(1);
    encoder.bytes().to_vec()
}

/// Reads a link to its end and counts the records. Sends heartbeats at intervals, as neighbors do.
fn records_until_the_end(stream: &mut TcpStream) -> usize {
    let (mut received, mut records) = (Vec::new(), 0);
    let mut piece = [0; 16 * 1024];
    loop {
        let _ = stream.write_all(&heartbeat());
        match stream.read(&mut piece) {
            Ok(0) => return records,
            Ok(len) => received.extend_from_slice(&piece[..len]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return records,
            Err(error) => panic!("{error}"),
        }
        let mut read = 0;
        while let Some((frame, len)) = decode(&received[read..]).unwrap() {
            records += usize::from(matches!(frame, Frame::Record { .. }));
            read += len;
        }
        received.drain(..read);
    }
}

/// A number of clients whose records do not fit into the sockets' buffers.
const CLIENTS: usize = 100_000;

/// Riley after many reports, and its connection with Jaquez. Jaquez has read no record.
fn with_much_to_tell() -> (Herd, TcpStream) {
    let mut herd = Plan::pair().log("level = \"warn\"").prepare();
    herd.start("Riley");
    let hello = [neighbor::bytes_of(&neighbor::hello("Jaquez")), empty_vectors()].concat();
    let mut jaquez = neighbor::dial(herd.at("Riley").peer, &hello);
    let mut riley = herd.client("Riley");
    eventually_metric(
        "the link is up",
        herd.at("Riley").http,
        "proxyherd_link_up{neighbor=\"Jaquez\"}",
        1.0..=1.0,
    );
    let reports: String = (0..CLIENTS).map(|client| format!("IAMAT client-{client} +1+1 1000\n")).collect();
    thread::scope(|scope| {
        let mut stream = riley.stream().try_clone().unwrap();
        scope.spawn(move || stream.write_all(reports.as_bytes()).unwrap());
        for client in 0..CLIENTS {
            assert!(riley.line().starts_with("AT Riley +"));
            if client % 1000 == 0 {
                jaquez.write_all(&heartbeat()).unwrap();
            }
        }
    });
    (herd, jaquez)
}

#[test]
fn a_server_that_ends_leaves_when_its_neighbors_have_read_all() {
    let (mut herd, mut jaquez) = with_much_to_tell();
    herd.process("Riley").signal("TERM");
    eventually("Riley takes no clients any more", || match TcpStream::connect(herd.line("Riley")) {
        Ok(_) => Err("it does"),
        Err(_) => Ok(()),
    });
    // This end also sends heartbeats during this time.
    assert_eq!(records_until_the_end(&mut jaquez), CLIENTS);
    drop(jaquez);
    assert_eq!(herd.stop("Riley", "CONT").code, 0);
}

#[test]
fn a_neighbor_that_ends_the_link_in_words_is_told_what_waits_for_it() {
    let (herd, mut jaquez) = with_much_to_tell();
    let mut encoder = Encoder::default();
    encoder.refusal("Riley is no neighbor of Jaquez any more");
    jaquez.write_all(encoder.bytes()).unwrap();
    jaquez.shutdown(Shutdown::Write).unwrap();
    assert_eq!(records_until_the_end(&mut jaquez), CLIENTS);
    herd.wait_for_log("Riley", "it refuses this server: Riley is no neighbor of Jaquez any more");
}

/// The vectors of a server that has nothing.
fn empty_vectors() -> Vec<u8> {
    let mut encoder = Encoder::default();
    (0..SHARDS as u8).for_each(|shard| encoder.vector(shard, &[]));
    encoder.bytes().to_vec()
}
