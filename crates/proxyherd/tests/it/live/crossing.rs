//! Streams of a herd: reports at other servers and at other doors, and how soon they are seen.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::put;
use crate::harness::{Events, NAMES, Plan, eventually, eventually_metric};

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
    let mut took: Vec<Duration> = Vec::new();
    let mut client = herd.client("Riley");
    for number in 0..51 {
        let at = client.ask(&format!("IAMAT kiwi +34.068930-118.445127 1621464827.{number:02}"));
        let acknowledged = SystemTime::now();
        assert_eq!(events.expect().data["at"].as_str(), Some(&*at));
        took.push(acknowledged.elapsed().unwrap_or_default());
    }
    took.sort();
    let median = took[took.len() / 2];
    assert!(median < Duration::from_millis(100), "{took:?}");
    assert!(UNIX_EPOCH.elapsed().is_ok());
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
        crate::harness::metric(http, &count("kept")) == Some(1.0)
    });
    let mut again = Events::resume(http, "", &last);
    assert_eq!(again.until_synced(), ["location other"]);
    eventually_metric("it is open again", http, &count("open"), 1.0..=1.0);
}
