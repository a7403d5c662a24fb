//! The line protocol: the lines that clients send.

use proxyherd_core::{
    codec::line::{
        Line, Lines, NextLine, StreamState, parse, write_at, write_at_reply, write_auth, write_invalid,
    },
    command::{Around, Command, Condition, Nearby},
    types::{ClientId, Difference, Radius, ServerName},
};

use crate::{memory::bounded, pieces};

/// The time at which the reports are received, POSIX time in nanoseconds.
const NOW_NS: u64 = 1_621_464_828_223_371_889;

/// The replies do not depend on how the bytes of a connection are cut.
pub fn check(input: &[u8]) {
    let whole = conversation(&[input]);
    for way in pieces::ways(input) {
        assert_eq!(conversation(&way), whole, "cut as {:?}", way.iter().map(|piece| piece.len()));
    }
}

/// The replies to all lines, and whether the last line ends the connection.
fn conversation(pieces: &[&[u8]]) -> (Vec<u8>, bool) {
    let (mut buffer, mut lines, mut replies) = (Vec::new(), Lines::default(), Vec::new());
    for (at, piece) in pieces.iter().enumerate() {
        buffer.extend_from_slice(piece);
        let is_last = at + 1 == pieces.len();
        let mut consumed = 0;
        loop {
            match bounded(0, 0, 0, || lines.next(&buffer[consumed..], StreamState::new(is_last))) {
                NextLine::Line(line, len) => {
                    answer(line, &mut replies);
                    assert!(len > 0, "each line has a length, or this loop would never end");
                    consumed += len;
                }
                NextLine::Incomplete => break,
                NextLine::TooLong(start) => {
                    write_invalid(&mut replies, start);
                    return (replies, true);
                }
            }
        }
        buffer.drain(..consumed);
    }
    assert!(buffer.is_empty(), "the end of the stream ends its last line");
    (replies, false)
}

fn answer(line: &[u8], replies: &mut Vec<u8>) {
    let server = ServerName::new("Riley").expect("this is a name");
    // Nothing but the reply is allocated for a line.
    match bounded(0, 0, 0, || parse(line)) {
        Line::Blank => {}
        Line::Command(command @ Command::Report { report, condition: Condition::Always }, told) => {
            let timestamp = report.stamp.told().expect("a line has its client's time");
            let difference = Difference::at_receipt(NOW_NS, timestamp);
            let (mut by_value, start) = (Vec::new(), replies.len());
            let (client, coordinates) = (report.client.as_bytes(), report.coordinates);
            write_at(&mut by_value, &server, difference, client, coordinates, timestamp);
            write_at_reply(replies, &server, difference, told);
            assert_eq!(replies[start..].escape_ascii().to_string(), by_value.escape_ascii().to_string());
            let mut again = b"IAMAT ".to_vec();
            let fields = by_value.split(|&byte| byte == b' ').skip(3);
            again.extend(fields.collect::<Vec<_>>().join(&b' '));
            again.pop();
            assert!(matches!(parse(&again), Line::Command(read, _) if read == command), "{again:?}");
        }
        Line::Command(command, told) => {
            let Command::Nearby(Nearby { around: Around::Client(client), radius, limit, wish: None }) =
                command
            else {
                panic!("{command:?} does not exist in this protocol")
            };
            assert_eq!(parse(&whatsat(client, radius, limit)), Line::Command(command, told));
            replies.extend_from_slice(b"a question\n");
        }
        Line::Auth(token) => {
            let start = replies.len();
            write_auth(replies, token.len() % 2 == 0);
            assert!(replies[start..].ends_with(b"\n"), "a reply is one line");
        }
        Line::InvalidAuth => {
            let start = replies.len();
            write_invalid(replies, line);
            assert_eq!(&replies[start..], b"? AUTH\n", "no token is repeated");
        }
        Line::InvalidReport | Line::HttpRequest | Line::Invalid => {
            let start = replies.len();
            write_invalid(replies, line);
            assert_eq!(replies.len() - start, line.len() + 3, "it is the line with three bytes around it");
        }
    }
}

fn whatsat(client: ClientId<'_>, radius: Radius, limit: u8) -> Vec<u8> {
    let micrometers = radius.micrometers();
    let (kilometers, rest) = (micrometers / 1_000_000_000, micrometers % 1_000_000_000);
    [b"WHATSAT ", client.as_bytes(), format!(" {kilometers}.{rest:09} {limit}").as_bytes()].concat()
}
