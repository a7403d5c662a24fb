//! Tests of the port for other servers, to which anything may connect. Only a neighbor of the same herd gets a link.
//! Any other connection is closed and logged with the reason, and does no harm.

use std::{
    io::{Read, Write},
    net::TcpListener,
    time::{Duration, Instant, SystemTime},
};

use proxyherd_core::{
    codec::link::{Encoder, Frame, Hello, decode},
    limits::HANDSHAKE_MAX,
};

use crate::harness::{Herd, PATIENCE, Plan, WHERE_AND_WHEN, eventually, metric, neighbor, status};

/// Riley of the pair, with a client whose record must stay unchanged. Jaquez does not run.
fn riley_alone() -> (Herd, String) {
    let mut herd = Plan::pair().prepare();
    herd.start("Riley");
    let at = herd.client("Riley").ask(&format!("IAMAT kiwi {WHERE_AND_WHEN}"));
    (herd, at)
}

#[test]
fn what_is_no_hello_is_closed_and_logged() {
    let (herd, at) = riley_alone();
    let peer = herd.at("Riley").peer;
    let a_frame_that_is_no_hello = {
        let mut encoder = Encoder::default();
        encoder.heartbeat(1);
        encoder.bytes().to_vec()
    };
    for (what, bytes, reason) in [
        ("HTTP", &b"GET / HTTP/1.1\r\nHost: herd\r\n\r\n"[..], "it did not say HELLO"),
        ("a line of the clients' protocol", b"WHATSAT kiwi 10 5\n", "it did not say HELLO"),
        ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "it did not say HELLO"),
        ("ones", &[0xff; 5000], "it did not say HELLO"),
        ("zeros", &[0; 5000], "it did not say HELLO"),
        ("another frame", &a_frame_that_is_no_hello, "it did not say HELLO"),
    ] {
        let stream = neighbor::dial(peer, bytes);
        let address = stream.local_addr().unwrap();
        assert_eq!(neighbor::rest(&stream), b"", "{what} has no answer");
        let line = herd.wait_for_log("Riley", &format!("no link with {address}, "));
        assert!(line.contains(reason) && line.contains("  !  "), "{what}: {line}");
    }
    assert_eq!(herd.located("Riley", &["kiwi"]), [at]);
}

#[test]
fn who_dials_and_is_not_content_with_the_answer_says_why() {
    let mut herd = Plan::pair().prepare();
    let port = TcpListener::bind(herd.at("Riley").peer).unwrap();
    herd.start("Jaquez");
    let (mut answerer, _) = port.accept().unwrap();
    answerer.set_read_timeout(Some(PATIENCE)).unwrap();
    let other = Hello { herd: "another".into(), ..neighbor::hello("Riley") };
    answerer.write_all(&neighbor::bytes_of(&other)).unwrap();
    let said = neighbor::rest(&answerer);
    let (hello, len) = decode(&said).unwrap().unwrap();
    assert!(matches!(hello, Frame::Hello(_)), "{hello:?}");
    let (refusal, _) = decode(&said[len..]).unwrap().unwrap();
    let Frame::Refusal(why) = refusal else { panic!("{refusal:?}") };
    assert!(why.contains("another"), "{why}");
    herd.wait_for_log("Jaquez", why);
}

#[test]
fn half_a_hello_is_not_waited_for_longer_than_the_handshake_may_take() {
    let (mut herd, _) = riley_alone();
    let whole = neighbor::bytes_of(&neighbor::hello("Jaquez"));
    let began = Instant::now();
    let silent: Vec<_> = [0, 1, 3, 8, whole.len() - 1]
        .map(|len| neighbor::dial(herd.at("Riley").peer, &whole[..len]))
        .into_iter()
        .collect();
    let left = neighbor::dial(herd.at("Riley").peer, &whole[..5]);
    let address = left.local_addr().unwrap();
    drop(left);
    let line = herd.wait_for_log("Riley", &format!("no link with {address}, "));
    assert!(line.contains("the other end closed the connection"), "{line}");
    // Waiting connections delay nobody: the link with the real neighbor comes up during this time.
    herd.start("Jaquez");
    herd.wait_for_links(&["Riley", "Jaquez"]);
    assert!(began.elapsed() < HANDSHAKE_MAX, "the link came up while the silent ones were waited for");
    for stream in &silent {
        assert_eq!(neighbor::rest(stream), b"");
    }
    assert!(began.elapsed() >= HANDSHAKE_MAX, "after {:?}", began.elapsed());
    herd.wait_for_log("Riley", "no answer within 5 s");
}

#[test]
fn a_server_that_does_not_belong_is_told_why_and_logged() {
    let (herd, at) = riley_alone();
    let right = neighbor::hello("Jaquez");
    let clock_ns = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as u64;
    for (hello, reason) in [
        (neighbor::hello("Eve"), "Eve is no neighbor of Riley"),
        (neighbor::hello("Campbell"), "Campbell is no neighbor of Riley"),
        (neighbor::hello("Riley"), "Riley is no neighbor of Riley"),
        (
            Hello { herd: "other".into(), ..right.clone() },
            "the two servers belong to different herds, \"other\" and",
        ),
        (Hello { lowest: 8, highest: 9, ..right.clone() }, "one server speaks link versions 8 to 9"),
        (Hello { shards: 1, ..right.clone() }, "one server has 1 shards"),
        (Hello { clock_ns: Some(clock_ns + 90_000_000_000), ..right.clone() }, "the clock of Jaquez is"),
    ] {
        let stream = neighbor::dial(herd.at("Riley").peer, &neighbor::bytes_of(&hello));
        let address = stream.local_addr().unwrap();
        let answer = neighbor::rest(&stream);
        match decode(&answer) {
            Ok(Some((Frame::Refusal(told), len))) => {
                assert!(told.starts_with(reason), "{told}");
                // In the test of clocks, a frame with the offset follows, and the other end shows this offset.
                let is_clock = reason.starts_with("the clock");
                let more = decode(&answer[len..]).unwrap();
                assert_eq!(
                    is_clock,
                    matches!(more, Some((Frame::Offset(_), _))),
                    "nothing else is told: {more:?}"
                );
            }
            other => panic!("{reason}: {other:?}"),
        }
        let line = herd.wait_for_log("Riley", &format!("no link with {address}, "));
        assert!(line.contains(reason), "{line}");
    }
    let link = &status(herd.at("Riley").http)["links"][0];
    assert_eq!((&link["up"], &link["times_up"]), (&false.into(), &0.into()), "{link}");
    assert_eq!(herd.located("Riley", &["kiwi"]), [at]);
}

#[test]
fn a_neighbor_that_breaks_the_protocol_loses_its_link_and_changes_nothing() {
    let (mut herd, at) = riley_alone();
    let frame = |kind: u8, flags: u8, body: &[u8]| {
        let len = u16::try_from(body.len()).unwrap().to_le_bytes();
        [&len[..], &[kind, flags], body].concat()
    };
    let broken = [
        ("an unknown type", frame(99, 0, b"")),
        ("a second HELLO", neighbor::bytes_of(&neighbor::hello("Jaquez"))),
        ("a record that is cut off", frame(5, 0, &[0; 10])),
        ("a record of impossible values", frame(5, 0, &[0xff; 200])),
        ("a shard that no server has", frame(3, 0, &[200, 0, 0])),
        ("more entries than there are bytes", frame(6, 0, &[0, 0xff, 0xff])),
        ("an origin out of order", frame(4, 0, b"\x05\x00\x01R\x00\x00\x00\x00\x00\x00\x00\x00")),
    ];
    for (times, (what, bytes)) in broken.iter().enumerate() {
        let stream = neighbor::dial(
            herd.at("Riley").peer,
            &[neighbor::bytes_of(&neighbor::hello("Jaquez")), bytes.clone()].concat(),
        );
        let answer = neighbor::rest(&stream);
        assert!(matches!(decode(&answer), Ok(Some((Frame::Hello(_), _)))), "{what}: {answer:?}");
        eventually("the link is down for it", || {
            let link = &status(herd.at("Riley").http)["links"][0];
            let trouble = link["trouble"].as_str().unwrap_or_default();
            let is_told = trouble.starts_with("the other end breaks the link protocol");
            let is_it = link["times_up"] == times + 1 && link["up"] == false;
            if is_told && is_it { Ok(()) } else { Err(format!("{what}: {link}")) }
        });
    }
    assert_eq!(metric(herd.at("Riley").http, "proxyherd_records"), Some(1.0));
    herd.start("Jaquez");
    assert_eq!(herd.agreed(&["Riley", "Jaquez"], "kiwi"), at);
}

#[test]
fn unknown_frames_that_are_optional_are_skipped() {
    let (herd, at) = riley_alone();
    let optional = [3, 0, 99, 0x80, 1, 2, 3];
    let mut encoder = Encoder::default();
    encoder.heartbeat(1);
    let bytes = [&neighbor::bytes_of(&neighbor::hello("Jaquez")), &optional[..], encoder.bytes()].concat();
    let mut stream = neighbor::dial(herd.at("Riley").peer, &bytes);
    // Riley sends its records to its neighbor. A heartbeat comes when there is nothing else to send.
    let mut received = Vec::new();
    let mut heard = 0;
    while heard < 2 {
        let mut piece = [0; 4096];
        let len = stream.read(&mut piece).unwrap();
        assert_ne!(len, 0, "the link stays up");
        received.extend_from_slice(&piece[..len]);
        while let Some((frame, len)) = decode(&received).unwrap() {
            heard += usize::from(matches!(frame, Frame::Heartbeat(_)));
            received.drain(..len);
        }
    }
    assert_eq!(status(herd.at("Riley").http)["links"][0]["up"], true);
    assert_eq!(herd.located("Riley", &["kiwi"]), [at]);
}

#[test]
fn a_neighbor_that_dials_again_replaces_its_old_link() {
    let (herd, _) = riley_alone();
    let first = neighbor::dial(herd.at("Riley").peer, &neighbor::bytes_of(&neighbor::hello("Jaquez")));
    herd.wait_for_log("Riley", "up: it dialed");
    let second = neighbor::dial(herd.at("Riley").peer, &neighbor::bytes_of(&neighbor::hello("Jaquez")));
    neighbor::rest(&first);
    herd.wait_for_log("Riley", "the neighbor opened a new connection");
    second.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
    eventually("the second is the link", || {
        let link = &status(herd.at("Riley").http)["links"][0];
        if link["up"] == true && link["times_up"] == 2 { Ok(()) } else { Err(link.to_string()) }
    });
}
