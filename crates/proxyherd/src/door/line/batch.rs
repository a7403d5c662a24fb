//! What is done with one read: every complete line in it, replies in order. No waiting, and no allocation per
//! line.

use arrayvec::ArrayVec;
use proxyherd_core::{
    codec::line::{self, Line, Lines, Next, Told},
    command::{Command, Nearby, Outcome},
    flood::Wake,
    limits::BATCH_LEN_MAX,
    map::Offer,
};

use crate::{
    caller::Caller,
    clock,
    herd::{Herd, Whereabouts},
    places::{Answered, Looked, Question},
};

/// How many bytes of replies are gathered before they are written and others have their turn: a reader that does
/// not read holds up its own connection, with no more than about this many.
const REPLIES_LEN: usize = 64 * 1024;

/// Why a batch ended.
#[derive(Debug)]
pub(super) enum End {
    /// Every complete line is answered.
    Done,
    /// There are enough replies to write first, or no more lines are allowed now.
    Full,
    /// The answer about places takes time.
    Ask(Box<Question>, u8),
    /// A line was too long: its answer is the connection's last.
    TooLong,
    /// A line was the request line of HTTP: its answer is the connection's last.
    HttpRequest,
}

/// What a batch came to.
#[derive(Debug)]
pub(super) struct Handled {
    /// How many bytes of the input are done with.
    pub(super) consumed: usize,
    /// How many lines they were, and how many the log will make of the replies: there, places are one.
    pub(super) lines: (u64, u64),
    pub(super) end: End,
}

/// Handles the lines at the front of `input`, `most` of them at the most, and appends the replies to `out`.
pub(super) fn handle(
    herd: &Herd,
    caller: &Caller,
    lines: &mut Lines,
    input: &[u8],
    end_of_stream: bool,
    most: u64,
    out: &mut Vec<u8>,
) -> Handled {
    let mut batch = Batch {
        herd,
        caller,
        now_ns: clock::now_ns(),
        wake: Wake::default(),
        offers: ArrayVec::new(),
        echoes: ArrayVec::new(),
        lines_out: 0,
        out,
    };
    let (mut consumed, mut lines_in) = (0, 0);
    let end = loop {
        match lines.next(&input[consumed..], end_of_stream) {
            Next::Line(line, len) => {
                consumed += len;
                lines_in += 1;
                if let Some(end) = batch.answer(line) {
                    break end;
                }
            }
            Next::Incomplete => break End::Done,
            Next::TooLong(start) => {
                batch.settle();
                batch.refuse(start);
                break End::TooLong;
            }
        }
        if batch.out.len() >= REPLIES_LEN || lines_in == most {
            break End::Full;
        }
    };
    batch.settle();
    herd.wake(batch.wake);
    Handled { consumed, lines: (lines_in, batch.lines_out), end }
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
    out: &'a mut Vec<u8>,
}

#[derive(Clone, Copy)]
struct Echo<'i> {
    told: Told<'i>,
    line: &'i [u8],
}

impl<'i> Batch<'_, 'i> {
    fn answer(&mut self, line: &'i [u8]) -> Option<End> {
        match line::parse(line) {
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
            Line::Command(Command::Locate(_) | Command::Near(_) | Command::Forget(_), _) | Line::Invalid => {
                self.settle();
                self.refuse(line);
                None
            }
            Line::HttpRequest => {
                self.settle();
                self.refuse(line);
                Some(End::HttpRequest)
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
                    line::write_at_reply(self.out, self.herd.name(), difference, echo.told);
                }
                _ => self.refuse(echo.line),
            }
        }
        // Cleared in their place: taken out, they would be copied whole, however few they are.
        self.offers.clear();
        self.echoes.clear();
    }

    fn answer_nearby(&mut self, line: &[u8], nearby: &Nearby<'_>) -> Option<End> {
        let out = &mut *self.out;
        let write_at = |found: &Whereabouts<'_>| {
            line::write_at(
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
                Some(End::Ask(question, nearby.limit))
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
        line::write_invalid(self.out, line);
    }
}

/// Appends an answer about places, at most so many. They end in no newline of their own, so the reply ends at the first
/// empty line.
pub(super) fn write_places(out: &mut Vec<u8>, answered: &Answered, limit: u8) {
    answered.answer.write_json(limit.into(), out);
    out.extend_from_slice(b"\n\n");
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
        handle(&herd, &caller(rights), &mut Lines::default(), input, true, u64::MAX, &mut out);
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
