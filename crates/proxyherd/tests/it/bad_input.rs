//! Tests of bad input of every kind: the server answers the input or closes its connection, and other clients are not
//! affected.

use std::{io::Write as _, net::SocketAddr};

use crate::harness::{Client, Plan, WHERE_AND_WHEN, eventually, metric, status, talk};

const LINE_LEN_MAX: usize = 8 * 1024;
const ECHO_LEN: usize = 64;

#[test]
fn what_is_no_command_is_copied_back_and_changes_nothing() {
    let herd = Plan::single().start();
    let mut client = herd.client("Riley");
    let reported = client.ask(&format!("IAMAT kiwi {WHERE_AND_WHEN}"));
    let invalid = [
        "HELLO",
        "?",
        "iamat kiwi +1+1 2000000000",
        "IAMATkiwi +1+1 2000000000",
        "IAMAT",
        "IAMAT kiwi",
        "IAMAT kiwi +1+1",
        "IAMAT kiwi +1+1 2000000000 more",
        "IAMAT kiwi 1+1 2000000000",
        "IAMAT kiwi +1 +1 2000000000",
        "IAMAT kiwi +90.000001+1 2000000000",
        "IAMAT kiwi +1-180.5 2000000000",
        "IAMAT kiwi +1000+1 2000000000",
        "IAMAT kiwi +.5+1 2000000000",
        "IAMAT kiwi +1.+1 2000000000",
        "IAMAT kiwi +1.0000000000001+1 2000000000",
        "IAMAT kiwi +1e1+1 2000000000",
        "IAMAT kiwi +NaN+1 2000000000",
        "IAMAT kiwi +inf-inf 2000000000",
        "IAMAT kiwi +1+1 -2000000000",
        "IAMAT kiwi +1+1 +2000000000",
        "IAMAT kiwi +1+1 20000000000",
        "IAMAT kiwi +1+1 2000000000.",
        "IAMAT kiwi +1+1 2000000000.0000000001",
        "IAMAT kiwi +1+1 2e9",
        "IAMAT kiwi +1+1 now",
        "WHATSAT",
        "WHATSAT kiwi",
        "WHATSAT kiwi 10",
        "WHATSAT kiwi 10 5 5",
        "WHATSAT kiwi 0 5",
        "WHATSAT kiwi 0.000 5",
        "WHATSAT kiwi 50.000000001 5",
        "WHATSAT kiwi -1 5",
        "WHATSAT kiwi 100 5",
        "WHATSAT kiwi 1e1 5",
        "WHATSAT kiwi NaN 5",
        "WHATSAT kiwi 10 21",
        "WHATSAT kiwi 10 -1",
        "WHATSAT kiwi 10 5.0",
        "WHATSAT kiwi 10 005",
        "WHATSAT moa 10 5",
        "AT Riley +0.263873386 kiwi +1+1 2000000000",
        "  spaces   between \t and around  ",
        "GET /",
    ];
    for line in invalid {
        assert_eq!(client.ask(line), format!("? {line}"));
    }
    assert_eq!(client.nearby("WHATSAT kiwi 10 5").at, reported, "kiwi is where it was");
    let reports = &status(herd.at("Riley").http)["reports"];
    let is_report = |line: &&&str| line.split_ascii_whitespace().next() == Some("IAMAT");
    let unreadable = invalid.iter().filter(is_report).count();
    assert_eq!(reports["rejected"], unreadable, "{reports}");
    let counted = metric(herd.at("Riley").http, "proxyherd_lines_invalid_total");
    assert_eq!(counted, Some(invalid.len() as f64));
}

/// Sends a line of this many bytes after a valid command. Returns everything until the server closes the connection.
fn answers_to_a_line_of(len: usize, riley: SocketAddr, end: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let line: Vec<u8> = (0..len).map(|at| b'a' + (at % 26) as u8).collect();
    let mut client = Client::connect(riley);
    client.send(&[b"HELLO\n", &line[..], end].concat());
    (line, client.rest())
}

#[test]
fn a_line_that_is_too_long_is_answered_by_its_start_and_closes_its_connection_alone() {
    let herd = Plan::single().start();
    let riley = herd.line("Riley");
    let mut bystander = herd.client("Riley");
    bystander.send(b"HEL");
    for end in [&b""[..], b"\n", b"\nHELLO\n"] {
        let (line, replies) = answers_to_a_line_of(LINE_LEN_MAX + 1, riley, end);
        let expected = [b"? HELLO\n? ", &line[..ECHO_LEN], b"\n"].concat();
        assert_eq!(replies, expected, "{}", String::from_utf8_lossy(&replies));
    }
    let longest = [vec![b'x'; LINE_LEN_MAX], b"\nHELLO\n".to_vec()].concat();
    assert_eq!(talk(riley, &longest), [b"? ", &longest[..LINE_LEN_MAX + 1], b"? HELLO\n"].concat());
    assert_eq!(bystander.ask("LO"), "? HELLO");
    herd.wait_for_log("Riley", "a line of more than 8192 bytes");
}

#[test]
fn what_stands_behind_a_line_that_is_too_long_does_not_cost_its_answer() {
    let herd = Plan::single().start();
    for _ in 0..20 {
        let mut client = herd.client("Riley");
        // One read does not take the whole line, so the server closes the connection before it has read everything.
        let line = vec![b'x'; 200 * 1024];
        let _ = client.stream().write_all(&line);
        assert_eq!(client.rest(), [b"? ", &line[..ECHO_LEN], b"\n"].concat());
    }
}

/// The bytes that a browser sends for a form on a web page. One field of the form has a report on a line of its own.
const FORM: &[u8] = b"POST /x HTTP/1.1\r\nHost: 127.0.0.1:12000\r\nContent-Type: text/plain\r\n\r\n\
    x=\r\nIAMAT page +1+1 1\r\n";

#[test]
fn what_a_web_page_sends_is_no_report() {
    let herd = Plan::single().start();
    let riley = herd.line("Riley");
    let reply = b"? POST /x HTTP/1.1\r\n";
    assert_eq!(talk(riley, FORM), reply);
    // The same input, cut at each byte.
    for cut in 1..FORM.len() {
        let mut client = Client::connect(riley);
        client.send(&FORM[..cut]);
        if cut < reply.len() {
            // This makes the server read the two parts separately.
            client.wait_until_read();
        }
        // The server may have closed the connection already.
        let _ = client.stream().write_all(&FORM[cut..]);
        assert_eq!(client.rest(), reply, "cut at {cut}");
    }
    let line = herd.wait_for_log("Riley", "the client sent an HTTP request");
    assert!(line.contains("  !  "), "{line}");
    assert_eq!(herd.located("Riley", &["page"]), ["? WHATSAT page 10 0"]);
    assert_eq!(metric(herd.at("Riley").http, "proxyherd_records"), Some(0.0));
}

#[test]
fn an_http_request_behind_other_lines_ends_what_is_read_with_them() {
    let herd = Plan::single().start();
    let riley = herd.line("Riley");
    let lines = [&b"HELLO\nIAMAT kiwi +1+1 1\n"[..], FORM, b"IAMAT late +1+1 1\n"].concat();
    let replies = String::from_utf8(talk(riley, &lines)).unwrap();
    let replies: Vec<&str> = replies.lines().collect();
    assert!(replies[1].starts_with("AT Riley +") && replies[1].ends_with(" kiwi +1+1 1"), "{replies:?}");
    assert_eq!([replies[0], replies[2]], ["? HELLO", "? POST /x HTTP/1.1"]);
    assert_eq!(replies.len(), 3, "{replies:?}");
    // The last line has no LF.
    assert_eq!(talk(riley, b"IAMAT / HTTP/1.0"), b"? IAMAT / HTTP/1.0\n");
    assert_eq!(herd.located("Riley", &["page", "late"]), ["? WHATSAT page 10 0", "? WHATSAT late 10 0"]);
}

#[test]
fn a_client_id_is_any_256_bytes() {
    let herd = Plan::pair().start();
    let mut riley = herd.client("Riley");
    let longest = [b'i'; 256];
    let ids: [&[u8]; 6] =
        [b"nul\0nul", b"\xff\xfe\x80", b"Z\xfcrich", b"\x1b[31m\x07", "🥝".as_bytes(), &longest];
    for id in ids {
        riley.send(&[b"IAMAT ", id, b" +34-118 1621464827\n"].concat());
        let at = riley.line_bytes();
        let end = [b" ", id, b" +34-118 1621464827"].concat();
        assert!(at.starts_with(b"AT Riley +") && at.ends_with(&end), "{}", at.escape_ascii());
        eventually("Jaquez tells the same", || {
            let mut jaquez = herd.client("Jaquez");
            jaquez.send(&[b"WHATSAT ", id, b" 10 0\n"].concat());
            let told = jaquez.line_bytes();
            if told == at { Ok(()) } else { Err(told.escape_ascii().to_string()) }
        });
    }
    let too_long = [b'i'; 257];
    for line in [
        [b"IAMAT ", &too_long[..], b" +34-118 1621464827"].concat(),
        [b"WHATSAT ", &too_long[..], b" 10 5"].concat(),
        b"\xff\0\x01 not a command \x80".to_vec(),
    ] {
        riley.send(&[&line[..], b"\n"].concat());
        assert_eq!(riley.line_bytes(), [b"? ", &line[..]].concat());
    }
}

#[test]
fn random_bytes_harm_nobody() {
    let herd = Plan::single().start();
    let mut bystander = herd.client("Riley");
    let reported = bystander.ask(&format!("IAMAT kiwi {WHERE_AND_WHEN}"));
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for len in [1, 10, 100, 1000, 5000, 5000, 5000] {
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        })
        .take(len)
        .collect();
        let is_blank = |line: &&[u8]| line.iter().all(|byte| b" \t\r\x0b\x0c".contains(byte));
        let lines = noise.split(|byte| *byte == b'\n').filter(|line| !is_blank(line));
        let expected: Vec<u8> = lines.flat_map(|line| [b"? ", line, b"\n"].concat()).collect();
        assert_eq!(talk(herd.line("Riley"), &noise), expected);
    }
    assert_eq!(bystander.nearby("WHATSAT kiwi 10 5").at, reported);
}
