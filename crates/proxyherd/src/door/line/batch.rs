//! What is done with one read: every complete line in it, replies in order. No waiting, and no allocation per
//! line.

use std::borrow::Cow;

use arrayvec::ArrayVec;
use proxyherd_core::{
    codec::line::{self as codec, Line, Lines, ReportEcho},
    command::{Command, Nearby, Outcome},
    flood::Wake,
    limits::{BATCH_LEN_MAX, LINE_LEN_MAX},
    replica::Offer,
};

use crate::{
    caller::Caller,
    clock,
    door::reactor::{Input, Later, Next, Reason, Taken},
    herd::{Herd, Whereabouts},
    places::{Answered, Looked},
};

/// How many bytes of replies are gathered before they are written and others have their turn: a reader that does
/// not read holds up its own connection, with no more than about this many.
const REPLIES_LEN: usize = 64 * 1024;

/// Why a connection ends whose line was too long: the answer to that line is its last.
const TOO_LONG: &str = "a line of more than 8192 bytes";
const _: () = assert!(LINE_LEN_MAX == 8192, "the words above say how long a line may be");
/// Why a connection ends that sent a request of HTTP: the answer to its first line is its last.
const HTTP_REQUEST: &str = "it sent an HTTP request, which belongs to the server's `http` port; what came behind its first \
                            line was not read";

/// Takes the lines at the front of `input`, and appends the replies to `out`. Where an answer about places has to be waited
/// for, `limit` becomes how many places it may have.
pub(super) fn handle(
    herd: &Herd,
    caller: &Caller,
    lines: &mut Lines,
    limit: &mut u8,
    input: Input<'_>,
    out: &mut Vec<u8>,
) -> Taken {
    let mut batch = Batch {
        herd,
        caller,
        now_ns: clock::now_ns(),
        wake: Wake::default(),
        offers: ArrayVec::new(),
        echoes: ArrayVec::new(),
        lines_out: 0,
        limit,
        out,
    };
    let (mut consumed, mut lines_in) = (0, 0);
    let next = loop {
        match lines.next(&input.bytes[consumed..], codec::Stream::new(input.is_last)) {
            codec::NextLine::Line(line, len) => {
                consumed += len;
                lines_in += 1;
                if let Some(next) = batch.answer(line) {
                    break next;
                }
            }
            codec::NextLine::Incomplete => break Next::Done,
            codec::NextLine::TooLong(start) => {
                batch.settle();
                batch.refuse(start);
                break Next::Close(fault(TOO_LONG));
            }
        }
        if batch.out.len() >= REPLIES_LEN || lines_in == input.units_max {
            break Next::Full;
        }
    };
    batch.settle();
    Taken { consumed, units_in: lines_in, units_out: batch.lines_out, wake: batch.wake, next }
}

/// Reports are gathered and offered to the map together, since a visit of a shard costs more than a report; they
/// are settled before anything else is answered, so that replies and effects keep their order.
struct Batch<'a, 'i> {
    herd: &'a Herd,
    caller: &'a Caller,
    now_ns: u64,
    wake: Wake,
    offers: ArrayVec<Offer<'i>, BATCH_LEN_MAX>,
    /// For each offer, what its reply is made of.
    echoes: ArrayVec<Echo<'i>, BATCH_LEN_MAX>,
    lines_out: u64,
    limit: &'a mut u8,
    out: &'a mut Vec<u8>,
}

#[derive(Clone, Copy)]
struct Echo<'i> {
    told: ReportEcho<'i>,
    line: &'i [u8],
}

impl<'i> Batch<'_, 'i> {
    fn answer(&mut self, line: &'i [u8]) -> Option<Next> {
        match codec::parse(line) {
            Line::Command(Command::Report { report, condition }, told) => {
                self.offers.push(Offer::on(condition, report));
                self.echoes.push(Echo { told, line });
                if self.offers.is_full() {
                    self.settle();
                }
                None
            }
            Line::Blank => None,
            Line::Command(Command::Nearby(nearby), _) => {
                self.settle();
                self.answer_nearby(line, &nearby)
            }
            // The line protocol has no words for other commands.
            Line::Command(
                Command::Locate(_) | Command::Near(_) | Command::Forget(_) | Command::Watch(_),
                _,
            )
            | Line::Invalid => {
                self.settle();
                self.refuse(line);
                None
            }
            Line::HttpRequest => {
                self.settle();
                self.refuse(line);
                Some(Next::Close(fault(HTTP_REQUEST)))
            }
            Line::InvalidReport => {
                self.settle();
                self.herd.count_unreadable();
                self.refuse(line);
                None
            }
        }
    }

    /// Offers the reports that have been gathered, and answers them.
    fn settle(&mut self) {
        if self.offers.is_empty() {
            return;
        }
        let taken = self.herd.report(self.caller, self.now_ns, &mut self.offers);
        self.wake = self.wake.and(taken.unwrap_or_default());
        for place in 0..self.offers.len() {
            let (offer, echo) = (self.offers[place], self.echoes[place]);
            match (offer.outcome, offer.times(self.now_ns)) {
                // A stale report is answered like one that was taken, as the protocol says.
                (Outcome::Added | Outcome::Moved | Outcome::Stale, Some((_, difference)))
                    if taken.is_ok() =>
                {
                    self.lines_out += 1;
                    codec::write_at_reply(self.out, self.herd.name(), difference, echo.told);
                }
                _ => self.refuse(echo.line),
            }
        }
        // Cleared in their place: taken out, they would be copied whole, however few they are.
        self.offers.clear();
        self.echoes.clear();
    }

    fn answer_nearby(&mut self, line: &[u8], nearby: &Nearby<'_>) -> Option<Next> {
        let out = &mut *self.out;
        let write_at = |found: &Whereabouts<'_>| {
            codec::write_at(
                out,
                found.server,
                found.difference,
                found.client,
                found.coordinates,
                found.timestamp,
            );
        };
        match self.herd.nearby(self.caller, self.now_ns, nearby, write_at) {
            Ok(Some(Looked::AtHand(answered))) => {
                self.lines_out += 2;
                write_places(self.out, &answered, nearby.limit);
                None
            }
            Ok(Some(Looked::Waits(question))) => {
                self.lines_out += 1;
                *self.limit = nearby.limit;
                Some(Next::Later(Later::Places(question)))
            }
            Ok(None) | Err(_) => {
                self.refuse(line);
                None
            }
        }
    }

    fn refuse(&mut self, line: &[u8]) {
        self.lines_out += 1;
        self.herd.count_invalid_line();
        codec::write_invalid(self.out, line);
    }
}

/// Appends an answer about places, at most so many. They end in no newline of their own, so the reply ends at the first
/// empty line.
pub(super) fn write_places(out: &mut Vec<u8>, answered: &Answered, limit: u8) {
    answered.answer.write_json(limit.into(), out);
    out.extend_from_slice(b"\n\n");
}

fn fault(why: &'static str) -> Reason {
    Reason { why: Cow::Borrowed(why), is_fault: true }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        caller::Rights,
        herd::tests::{alone, caller},
    };

    fn replies(rights: Rights, input: &[u8]) -> String {
        let (herd, mut out) = (alone(), Vec::new());
        let input = Input { bytes: input, is_last: true, units_max: u64::MAX };
        let _ = handle(&herd, &caller(rights), &mut Lines::default(), &mut 0, input, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[tokio::test]
    async fn who_lacks_a_right_is_answered_with_a_question_mark() {
        let (iamat, whatsat) = ("IAMAT kiwi +34.068930-118.445127 1621464827", "WHATSAT kiwi 10 0");
        let input = format!("{iamat}\n{whatsat}\n").into_bytes();
        let all = replies(Rights::ALL, &input);
        assert_eq!(all.lines().filter(|line| line.starts_with("AT Riley +")).count(), 2, "{all}");
        let none = replies(Rights { report: false, ..Rights::ALL }, &input);
        assert_eq!(none, format!("? {iamat}\n? {whatsat}\n"), "kiwi has not become known");
        for rights in [Rights { read: false, ..Rights::ALL }, Rights { places: false, ..Rights::ALL }] {
            let some = replies(rights, &input);
            let (first, rest) = some.split_once('\n').unwrap();
            assert!(first.starts_with("AT Riley +"), "{some}");
            assert_eq!(rest, format!("? {whatsat}\n"));
        }
    }
}
