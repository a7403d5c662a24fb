//! Checks a server's replies. [`ReplyChecker`] quickly checks the beginning of each reply, and [`Dialect::check_burst`]
//! checks all bytes of the replies to a burst.
//!
//! A reply checker takes the stream in pieces of any length. The checker knows neither connections nor time.

use std::fmt;

use memchr::{memchr, memchr_iter, memmem};

use super::bursts::LineKind;

/// What a connection sends, and what the server replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// IAMAT; the reply is the line itself.
    Echo,
    /// IAMAT; the reply is an AT line.
    Herd,
    /// WHATSAT; the reply is an AT line, JSON, and an empty line.
    Nearby,
    /// Redis's GEOADD; the reply is a number.
    Redis,
}

impl Dialect {
    /// The beginning of each reply.
    fn prefix(self) -> &'static [u8] {
        match self {
            Dialect::Echo => b"IAMAT ",
            Dialect::Herd | Dialect::Nearby => b"AT ",
            Dialect::Redis => b":",
        }
    }

    /// The kind of lines that are sent.
    pub(crate) fn line(self) -> LineKind {
        match self {
            Dialect::Echo | Dialect::Herd => LineKind::Report,
            Dialect::Nearby => LineKind::Question,
            Dialect::Redis => LineKind::GeoAdd,
        }
    }

    /// Checks all bytes of the replies to a burst against the burst's lines.
    pub(crate) fn check_burst(self, sent: &[u8], answers: &[u8]) -> Result<(), WrongReply> {
        if self == Dialect::Nearby {
            return check_nearby(sent, answers);
        }
        let mut answers = answers.split_inclusive(|&byte| byte == b'\n');
        // A command of Redis has several lines and one reply.
        let end_of_command = if self == Dialect::Redis { REDIS_LINES } else { 1 };
        let ends = memchr_iter(b'\n', sent).skip(end_of_command - 1).step_by(end_of_command);
        let mut start = 0;
        for end in ends {
            let line = &sent[start..=end];
            start = end + 1;
            let answer = answers.next().unwrap_or_default();
            let right = match self {
                Dialect::Echo => answer == line,
                Dialect::Herd => is_at_line(line, answer),
                Dialect::Redis => matches!(answer, b":0\r\n" | b":1\r\n"),
                Dialect::Nearby => unreachable!("checked as a whole above"),
            };
            if !right {
                return Err(WrongReply::new(format!("to {}", printable(line)), answer));
            }
        }
        match answers.next() {
            None => Ok(()),
            Some(answer) => Err(WrongReply::new("to no line".to_owned(), answer)),
        }
    }
}

/// Lines of a GEOADD: the number of its words, and the length and the text of each.
const REDIS_LINES: usize = 11;

/// Checks that each question has one reply, about its client and with JSON whose status is OK.
fn check_nearby(sent: &[u8], answers: &[u8]) -> Result<(), WrongReply> {
    let mut rest = answers;
    for question in sent.split_inclusive(|&byte| byte == b'\n') {
        let end = memmem::find(rest, b"\n\n").map_or(rest.len(), |end| end + 2);
        let (answer, behind) = rest.split_at(end);
        let client = question.split(u8::is_ascii_whitespace).nth(1).unwrap_or_default();
        let at = answer.split(|&byte| byte == b'\n').next().unwrap_or_default();
        let json = serde_json::from_slice::<serde_json::Value>(&answer[at.len()..]);
        if at.split(|&byte| byte == b' ').nth(3) != Some(client)
            || !json.is_ok_and(|json| json["status"] == "OK")
        {
            return Err(WrongReply::new(format!("to {}", printable(question)), answer));
        }
        rest = behind;
    }
    if rest.is_empty() { Ok(()) } else { Err(WrongReply::new("to no line".to_owned(), rest)) }
}

/// Whether `answer` is `AT <server> <difference>`, followed by the fields of the report in `line`.
fn is_at_line(line: &[u8], answer: &[u8]) -> bool {
    let mut fields = answer.splitn(4, |&byte| byte == b' ');
    let (command, server, difference) = (fields.next(), fields.next(), fields.next());
    command == Some(b"AT")
        && server.is_some_and(|server| !server.is_empty())
        && difference.is_some_and(is_difference)
        && fields
            .next()
            .is_some_and(|report| same_fields(report, line.strip_prefix(b"IAMAT ").unwrap_or_default()))
}

/// Whether the fields are the same. The reply has one space between fields. The line may have several spaces.
fn same_fields(report: &[u8], line: &[u8]) -> bool {
    let fields = line.split(u8::is_ascii_whitespace).filter(|field| !field.is_empty());
    report.strip_suffix(b"\n").is_some_and(|report| report.split(|&byte| byte == b' ').eq(fields))
}

/// Whether `text` is a sign, seconds, and nine decimals.
fn is_difference(text: &[u8]) -> bool {
    let Some((b'+' | b'-', number)) = text.split_first() else { return false };
    let mut parts = number.split(|&byte| byte == b'.');
    let (Some(whole), Some(decimals), None) = (parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    !whole.is_empty() && decimals.len() == 9 && number.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'.'))
}

/// Counts the replies in a stream and checks the beginning of each.
pub(crate) struct ReplyChecker {
    dialect: Dialect,
    prefix: &'static [u8],
    /// Whether the last byte so far was a newline.
    is_at_line_start: bool,
    /// Number of bytes of the prefix that have matched in the current reply so far.
    matched: usize,
}

impl ReplyChecker {
    pub(crate) fn new(dialect: Dialect) -> ReplyChecker {
        ReplyChecker { dialect, prefix: dialect.prefix(), is_at_line_start: false, matched: 0 }
    }

    /// Takes the next piece of the stream. Returns the number of replies that end in this piece.
    pub(crate) fn take(&mut self, piece: &[u8]) -> Result<usize, WrongReply> {
        let mut rest = piece;
        let mut ended = 0;
        while !rest.is_empty() {
            rest = self.match_prefix(rest)?;
            let Some(end) = self.end_of_answer(rest) else { break };
            ended += 1;
            self.matched = 0;
            rest = &rest[end + 1..];
        }
        Ok(ended)
    }

    /// The position of the reply's last byte in `rest`. `None` if `rest` does not contain that byte.
    fn end_of_answer(&mut self, rest: &[u8]) -> Option<usize> {
        if self.dialect != Dialect::Nearby {
            return memchr(b'\n', rest);
        }
        let end = match rest.first() {
            Some(b'\n') if self.is_at_line_start => Some(0),
            _ => memmem::find(rest, b"\n\n").map(|found| found + 1),
        };
        self.is_at_line_start =
            end.is_none() && rest.last().map_or(self.is_at_line_start, |&last| last == b'\n');
        end
    }

    fn match_prefix<'a>(&mut self, rest: &'a [u8]) -> Result<&'a [u8], WrongReply> {
        let missing = &self.prefix[self.matched..];
        let here = missing.len().min(rest.len());
        if rest[..here] != missing[..here] {
            return Err(WrongReply::new(
                format!("that does not begin with {}", printable(self.prefix)),
                rest,
            ));
        }
        self.matched += here;
        Ok(&rest[here..])
    }
}

/// A reply that violates the line protocol.
#[derive(Debug)]
pub(crate) struct WrongReply {
    what: String,
    seen: String,
}

impl WrongReply {
    /// Keeps the beginning of the first line of `seen`.
    fn new(what: String, seen: &[u8]) -> WrongReply {
        let line = seen.split_inclusive(|&byte| byte == b'\n').next().unwrap_or_default();
        WrongReply { what, seen: printable(&line[..line.len().min(200)]) }
    }
}

impl fmt::Display for WrongReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an answer {}: {}", self.what, self.seen)
    }
}

impl std::error::Error for WrongReply {}

fn printable(bytes: &[u8]) -> String {
    format!("\"{}\"", bytes.escape_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENT: &[u8] = b"IAMAT kiwi +34.0-118.4 1621464827.9\nIAMAT emu +35.0-119.4 1621464828.9\n";
    const ANSWERS: &[u8] = b"AT Riley +0.263873386 kiwi +34.0-118.4 1621464827.9\n\
        AT Riley -12.000000001 emu +35.0-119.4 1621464828.9\n";

    #[test]
    fn replies_are_counted_wherever_the_stream_is_cut() {
        for cut in 0..=ANSWERS.len() {
            let mut replies = ReplyChecker::new(Dialect::Herd);
            let (one, other) = ANSWERS.split_at(cut);
            assert_eq!(replies.take(one).unwrap() + replies.take(other).unwrap(), 2, "cut at {cut}");
        }
        let mut replies = ReplyChecker::new(Dialect::Herd);
        let ended: usize = ANSWERS.chunks(1).map(|byte| replies.take(byte).unwrap()).sum();
        assert_eq!(ended, 2);
    }

    #[test]
    fn a_wrong_beginning_is_found_wherever_the_stream_is_cut() {
        let stream = b"AT Riley +0.2 kiwi\n? IAMAT emu\n";
        for cut in 0..=stream.len() {
            let mut replies = ReplyChecker::new(Dialect::Herd);
            let (one, other) = stream.split_at(cut);
            let result = replies.take(one).and_then(|_| replies.take(other));
            let message = result.unwrap_err().to_string();
            assert!(message.contains("does not begin with \"AT \": \"?"), "cut at {cut}: {message}");
        }
    }

    #[test]
    fn replies_about_places_end_at_an_empty_line_wherever_the_stream_is_cut() {
        let stream =
            b"AT Riley +0.2 kiwi +1+1 7\n{\n \"status\" : \"OK\"\n}\n\nAT Riley +0.2 emu +1+1 7\n{\n}\n\n";
        for cut in 0..=stream.len() {
            let mut replies = ReplyChecker::new(Dialect::Nearby);
            let (one, other) = stream.split_at(cut);
            assert_eq!(replies.take(one).unwrap() + replies.take(other).unwrap(), 2, "cut at {cut}");
        }
        let (first, second) = stream.split_at(stream.len() - 31);
        let sent = b"WHATSAT kiwi 10 5   \n";
        Dialect::Nearby.check_burst(sent, first).unwrap();
        assert!(Dialect::Nearby.check_burst(sent, second).is_err());
        assert!(Dialect::Nearby.check_burst(sent, stream).is_err());
        let no_json = b"AT Riley +0.2 kiwi +1+1 7\nsome places\n\n";
        assert!(Dialect::Nearby.check_burst(sent, no_json).is_err());
    }

    #[test]
    fn an_empty_line_is_no_reply() {
        assert!(ReplyChecker::new(Dialect::Herd).take(b"\n").is_err());
    }

    #[test]
    fn right_replies_pass_the_thorough_check() {
        Dialect::Herd.check_burst(SENT, ANSWERS).unwrap();
        Dialect::Echo.check_burst(SENT, SENT).unwrap();
    }

    #[test]
    fn any_changed_byte_of_an_echo_is_found() {
        for index in 0..SENT.len() {
            let mut answers = SENT.to_vec();
            answers[index] ^= 1;
            assert!(Dialect::Echo.check_burst(SENT, &answers).is_err(), "byte {index}");
        }
    }

    #[test]
    fn wrong_replies_fail_the_thorough_check() {
        let check = |answer: &str| {
            let sent = b"IAMAT kiwi +34.0-118.4 1621464827.9\n";
            assert!(Dialect::Herd.check_burst(sent, answer.as_bytes()).is_err(), "{answer:?}");
        };
        check("");
        check("? IAMAT kiwi +34.0-118.4 1621464827.9\n");
        check("AT Riley 0.263873386 kiwi +34.0-118.4 1621464827.9\n");
        check("AT Riley +0.26387338 kiwi +34.0-118.4 1621464827.9\n");
        check("AT Riley +.263873386 kiwi +34.0-118.4 1621464827.9\n");
        check("AT Riley +0.2.3873386 kiwi +34.0-118.4 1621464827.9\n");
        check("AT  +0.263873386 kiwi +34.0-118.4 1621464827.9\n");
        check("AT Riley +0.263873386 kiwi +34.0-118.4 1621464827.90\n");
        check("AT Riley +0.263873386 emu +34.0-118.4 1621464827.9\n");
        check("AT Riley +0.263873386 kiwi +34.0-118.4 1621464827.9");
        check("AT Riley +0.263873386 kiwi +34.0-118.4 1621464827.9\nAT Riley");
    }

    #[test]
    fn each_command_of_redis_has_one_number() {
        let command = "*5\r\n$6\r\nGEOADD\r\n$1\r\nk\r\n$1\r\n1\r\n$1\r\n2\r\n$1\r\na\r\n";
        let check = |answers: &str, is_right| {
            let checked = Dialect::Redis.check_burst(command.repeat(2).as_bytes(), answers.as_bytes());
            assert_eq!(checked.is_ok(), is_right, "{answers:?}");
        };
        check(":1\r\n:0\r\n", true);
        check(":1\r\n", false);
        check(":1\r\n:0\r\n:0\r\n", false);
        check(":1\r\n-ERR no\r\n", false);
    }

    #[test]
    fn replies_out_of_order_fail_the_thorough_check() {
        let (first, second) = ANSWERS.split_at(52);
        let error = Dialect::Herd.check_burst(SENT, &[second, first].concat()).unwrap_err();
        assert!(error.to_string().contains("to \"IAMAT kiwi"), "{error}");
    }
}
