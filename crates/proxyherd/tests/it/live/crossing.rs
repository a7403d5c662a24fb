//! Streams of a herd: reports at other servers and at other doors, and how soon they are seen.

use std::{
    io::copy,
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use super::put;
use crate::harness::{Event, Events, NAMES, Plan, eventually, eventually_metric, metric};

#[test]
fn a_report_of_the_line_door_is_seen_by_a_stream_of_every_server() {
    let herd = Plan::classic().start();
    let mut streams: Vec<Events> =
        NAMES.iter().map(|name| Events::open(herd.at(name).http, "?ids=kiwi*", "")).collect();
    for events in &mut streams {
        assert_eq!(events.state(), [""; 0]);
    }
    let mut client = herd.client("Campbell");
    for number in 0..10 {
        let at = client.ask(&format!("IAMAT kiwi-{number} +34.068930-118.445127 1621464827.{number}"));
        for events in &mut streams {
            let event = events.expect();
            assert_eq!((&*event.kind, event.data["at"].as_str()), ("location", Some(&*at)));
        }
    }
}

#[test]
fn a_stream_sees_a_report_at_another_server_within_a_tenth_of_a_second() {
    let herd = Plan::pair().start();
    let mut events = Events::open(herd.at("Jaquez").http, "", "");
    assert_eq!(events.state(), [""; 0]);
    let mut client = herd.client("Riley");
    let mut median = |round: u32| {
        let mut took: Vec<Duration> = Vec::new();
        for number in 0..15 {
            let at = client.ask(&format!("IAMAT kiwi +34.068930-118.445127 {round}.{number:02}"));
            let acknowledged = Instant::now();
            assert_eq!(events.expect().data["at"].as_str(), Some(&*at));
            took.push(acknowledged.elapsed());
        }
        took.sort();
        took[took.len() / 2]
    };
    // A machine that is busy with something else makes a round slow, but hardly all of them.
    let mut medians = (1..=20).map(&mut median);
    assert!(medians.any(|median| median < Duration::from_millis(100)), "20 rounds took longer");
}

#[test]
fn streams_are_counted_while_they_are_open_and_while_they_are_kept() {
    let herd = Plan::single().start();
    let http = herd.at("Riley").http;
    let count = |state: &str| format!("proxyherd_streams{{state=\"{state}\"}}");
    let mut events = Events::open(http, "", "");
    assert_eq!(events.state(), [""; 0]);
    eventually_metric("it is open", http, &count("open"), 1.0..=1.0);
    put(http, "kiwi", 1.0, 1.0, "");
    let last = events.expect();
    drop(events);
    // The server notices at its next write that the reader is gone.
    let mut number = 0;
    eventually("it is kept", || {
        number += 1;
        put(http, "other", 1.0, f64::from(number % 100), "");
        metric(http, &count("kept")) == Some(1.0)
    });
    let mut again = Events::resume(http, "", &last);
    assert_eq!([again.expect().brief(), again.expect().brief()], ["location other", "synced"]);
    eventually_metric("it is open again", http, &count("open"), 1.0..=1.0);
}

/// A proxy that drops all its connections when it is told to.
struct Dropping {
    address: SocketAddr,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Dropping {
    fn before(door: SocketAddr) -> Dropping {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let open = Arc::new(Mutex::new(Vec::new()));
        let ours = Arc::clone(&open);
        thread::spawn(move || {
            for client in listener.incoming() {
                let (client, server) = (client.unwrap(), TcpStream::connect(door).unwrap());
                let clone = |stream: &TcpStream| stream.try_clone().unwrap();
                ours.lock().unwrap().extend([clone(&client), clone(&server)]);
                for (mut from, mut to) in [(clone(&client), clone(&server)), (server, client)] {
                    thread::spawn(move || {
                        let _ = copy(&mut from, &mut to);
                        let _ = to.shutdown(Shutdown::Both);
                    });
                }
            }
        });
        Dropping { address, open }
    }

    fn drop_all(&self) {
        for stream in self.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

#[test]
fn a_reader_behind_a_proxy_that_drops_connections_misses_nothing_and_never_begins_anew() {
    let herd = Plan::single().start();
    let proxy = Dropping::before(herd.at("Riley").http);
    let mut client = herd.client("Riley");
    let mut events = Events::open(proxy.address, "", "");
    assert_eq!(events.expect().kind, "reset");
    let mut last: Event = events.expect();
    assert_eq!(last.kind, "synced");
    for round in 0..20 {
        let ids: Vec<String> = (0..20).map(|number| format!("c-{round}-{number}")).collect();
        let mut missing = ids.clone();
        for (number, id) in ids.iter().enumerate() {
            client.ask(&format!("IAMAT {id} +1+1 1"));
            // Somewhere within the reports of this round.
            if number == round {
                proxy.drop_all();
            }
        }
        while !missing.is_empty() {
            match events.next() {
                Some(event) => {
                    assert_ne!(event.kind, "reset");
                    missing.retain(|id| event.data["id"] != **id);
                    last = event;
                }
                None => events = Events::resume(proxy.address, "", &last),
            }
        }
    }
}
