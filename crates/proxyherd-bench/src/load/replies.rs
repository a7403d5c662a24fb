//! What a server's answers must look like, and the two ways of looking: quickly at each, closely at some.
//!
//! The checker takes the stream in whatever pieces it arrives. It does not know connections or time.

use std::fmt;

use memchr::memchr;

/// How a server answers an IAMAT line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// With the line itself.
    Echo,
    /// With an AT line.
    Herd,
}

impl Dialect {
    /// What each answer begins with.
    fn prefix(self) -> &'static [u8] {
        match self {
            Dialect::Echo => b"IAMAT ",
            Dialect::Herd => b"AT ",
        }
    }

    /// Compares the answers to a burst with the burst, line by line, to the last byte.
    pub(crate) fn check_burst(self, sent: &[u8], answers: &[u8]) -> Result<(), WrongReply> {
        let mut answers = answers.split_inclusive(|&byte| byte == b'\n');
        for line in sent.split_inclusive(|&byte| byte == b'\n') {
            let answer = answers.next().unwrap_or_default();
            let right = match self {
                Dialect::Echo => answer == line,
                Dialect::Herd => is_at_line(line, answer),
            };
            if !right {
                return Err(WrongReply::new(format!("to {}", printable(line)), answer));
            }
        }
        match answers.next() {
            None => Ok(()),
            Some(answer) => Err(WrongReply::new("that nobody asked for".to_owned(), answer)),
        }
    }
}

/// `AT <server> <difference>` and then the report's fields, as they were sent.
fn is_at_line(line: &[u8], answer: &[u8]) -> bool {
    let mut fields = answer.splitn(4, |&byte| byte == b' ');
    let (command, server, difference) = (fields.next(), fields.next(), fields.next());
    command == Some(b"AT")
        && server.is_some_and(|server| !server.is_empty())
        && difference.is_some_and(is_difference)
        && fields.next() == line.strip_prefix(b"IAMAT ")
}

/// A sign, seconds, and nine decimals.
fn is_difference(text: &[u8]) -> bool {
    let Some((b'+' | b'-', number)) = text.split_first() else { return false };
    let mut parts = number.split(|&byte| byte == b'.');
    let (Some(whole), Some(decimals), None) = (parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    !whole.is_empty() && decimals.len() == 9 && number.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'.'))
}

/// Counts answers as they stream in, and sees that each begins as it should.
pub(crate) struct Replies {
    prefix: &'static [u8],
    /// How much of the prefix the current answer has shown so far.
    matched: usize,
}

impl Replies {
    pub(crate) fn new(dialect: Dialect) -> Replies {
        Replies { prefix: dialect.prefix(), matched: 0 }
    }

    /// Takes the next piece of the stream, and returns how many answers ended in it.
    pub(crate) fn take(&mut self, piece: &[u8]) -> Result<usize, WrongReply> {
        let mut rest = piece;
        let mut ended = 0;
        while !rest.is_empty() {
            rest = self.match_prefix(rest)?;
            let Some(end) = memchr(b'\n', rest) else { break };
            ended += 1;
            self.matched = 0;
            rest = &rest[end + 1..];
        }
        Ok(ended)
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

/// An answer that is not what the line protocol promises.
#[derive(Debug)]
pub(crate) struct WrongReply {
    what: String,
    seen: String,
}

impl WrongReply {
    /// Keeps the first line of what was `seen`, cut to a length that a person reads.
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
    fn answers_are_counted_wherever_the_stream_is_cut() {
        for cut in 0..=ANSWERS.len() {
            let mut replies = Replies::new(Dialect::Herd);
            let (one, other) = ANSWERS.split_at(cut);
            assert_eq!(replies.take(one).unwrap() + replies.take(other).unwrap(), 2, "cut at {cut}");
        }
        let mut replies = Replies::new(Dialect::Herd);
        let ended: usize = ANSWERS.chunks(1).map(|byte| replies.take(byte).unwrap()).sum();
        assert_eq!(ended, 2);
    }

    #[test]
    fn an_answer_that_begins_wrongly_is_seen_wherever_the_stream_is_cut() {
        let stream = b"AT Riley +0.2 kiwi\n? IAMAT emu\n";
        for cut in 0..=stream.len() {
            let mut replies = Replies::new(Dialect::Herd);
            let (one, other) = stream.split_at(cut);
            let result = replies.take(one).and_then(|_| replies.take(other));
            let message = result.unwrap_err().to_string();
            assert!(message.contains("does not begin with \"AT \": \"?"), "cut at {cut}: {message}");
        }
    }

    #[test]
    fn an_empty_line_is_no_answer() {
        assert!(Replies::new(Dialect::Herd).take(b"\n").is_err());
    }

    #[test]
    fn right_answers_pass_the_close_look() {
        Dialect::Herd.check_burst(SENT, ANSWERS).unwrap();
        Dialect::Echo.check_burst(SENT, SENT).unwrap();
    }

    #[test]
    fn any_changed_byte_of_an_echo_is_seen() {
        for index in 0..SENT.len() {
            let mut answers = SENT.to_vec();
            answers[index] ^= 1;
            assert!(Dialect::Echo.check_burst(SENT, &answers).is_err(), "byte {index}");
        }
    }

    #[test]
    fn wrong_answers_fail_the_close_look() {
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
    fn answers_out_of_order_fail_the_close_look() {
        let (first, second) = ANSWERS.split_at(52);
        let error = Dialect::Herd.check_burst(SENT, &[second, first].concat()).unwrap_err();
        assert!(error.to_string().contains("to \"IAMAT kiwi"), "{error}");
    }
}
