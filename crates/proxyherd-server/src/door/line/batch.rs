//! Answers the lines of one read, in order: [`answer_lines`] is called for each read of a connection.
//!
//! The function neither waits nor allocates for a line. It gathers reports and offers them to the herd together. Every
//! other line is answered only after the reports before that line. So replies and effects keep the order of the lines.
//! If the herd makes reports durable, the replies of a read are withheld until the reports are durable. A line after
//! which the connection may have to wait for something else then stays in the input until that time. This module knows
//! no sockets.

use arrayvec::ArrayVec;
use proxyherd_config::clock;
use proxyherd_core::{
    codec::line::{self as codec, Line},
    command::{Command, Nearby, Outcome, Positions},
    flood::Wake,
    limits::{BATCH_LEN_MAX, LINE_LEN_MAX},
    replica::Offer,
};
use proxyherd_log::{LogLevel, Subject};

use super::LineProtocol;
use crate::{
    access::WrongToken,
    caller::{Caller, Rights},
    door::reactor::{CallContext, Input, NextStep, ProtocolEnd, TakeOutput},
    herd::{Herd, Whereabouts},
    places::{Answered, Looked},
};

/// Number of bytes of replies after which the replies are written and other connections have their turn. So a client
/// that does not read delays only itself, and about this many bytes wait for that client.
const REPLIES_LEN: usize = 64 * 1024;

/// Why the connection is closed after a line that is too long. The answer to that line is the last one.
const TOO_LONG: &str = "the client sent a line of more than 8192 bytes";
const _: () = assert!(LINE_LEN_MAX == 8192, "the text above names the maximum length of a line");
/// Why the connection is closed after a wrong token, if too many others wait for their answers.
const WRONG_TOKENS: &str = "too many wrong tokens came from the client's address";
/// Why the connection is closed after an HTTP request. The answer to the request's first line is the last one.
const HTTP_REQUEST: &str = "the client sent an HTTP request, which belongs to the server's `http` port; the server did \
                            not read the request after its first line";

/// Takes the lines at the front of `input`, and appends the replies to `out`. This sets the fields of the connection's
/// state that say what the connection waits for, and its rights.
pub(super) fn answer_lines(
    context: &CallContext<'_>,
    state: &mut LineProtocol,
    input: Input<'_>,
    out: &mut Vec<u8>,
) -> TakeOutput {
    let LineProtocol { lines, places_max, authenticated, is_refusal_due } = state;
    let mut batch = Batch {
        herd: context.herd,
        connected: context.caller,
        authenticated,
        is_refusal_due,
        now_ns: clock::now_ns(),
        wake: Wake::default(),
        offers: ArrayVec::new(),
        report_lines: ArrayVec::new(),
        lines_out: 0,
        places_max,
        positions: context.herd.durability().map(|_| Box::default()),
        out,
    };
    let (mut consumed, mut lines_in) = (0, 0);
    let next = loop {
        match lines.next(&input.bytes[consumed..], codec::StreamState::new(input.is_last)) {
            codec::NextLine::Line(line, len) => {
                let read = codec::parse(line);
                if batch.positions.is_some() && batch.must_wait_before(&read) {
                    break NextStep::WriteFirst;
                }
                consumed += len;
                lines_in += 1;
                if let Some(next) = batch.answer(line, read) {
                    break next;
                }
            }
            codec::NextLine::Incomplete => break NextStep::ReadMore,
            codec::NextLine::TooLong(_) if batch.has_unacknowledged() => break NextStep::WriteFirst,
            codec::NextLine::TooLong(start) => {
                batch.answer_reports();
                batch.answer_invalid(start);
                break NextStep::Close(ProtocolEnd::client_fault(TOO_LONG));
            }
        }
        if batch.out.len() >= REPLIES_LEN || lines_in == input.units_max {
            break NextStep::WriteFirst;
        }
    };
    batch.answer_reports();
    let next = match batch.positions.take().filter(|positions| !positions.is_empty()) {
        Some(positions) => {
            debug_assert!(
                matches!(next, NextStep::ReadMore | NextStep::WriteFirst),
                "a line with another next step waits until the reports before it are durable"
            );
            NextStep::AwaitDurable(positions)
        }
        None => next,
    };
    TakeOutput { consumed, units_in: lines_in, units_out: batch.lines_out, wake: batch.wake, next }
}

/// The lines of one read on their way through the herd.
///
/// Reports are gathered and offered together, because visiting a shard costs more than processing a report. The
/// gathered reports are answered before any other line.
struct Batch<'a, 'i> {
    herd: &'a Herd,
    /// The caller as the entrance has made it.
    connected: &'a Caller,
    authenticated: &'a mut Option<Box<Caller>>,
    is_refusal_due: &'a mut bool,
    now_ns: u64,
    wake: Wake,
    offers: ArrayVec<Offer<'i>, BATCH_LEN_MAX>,
    /// For each offer, the report line that its reply repeats.
    report_lines: ArrayVec<ReportLine<'i>, BATCH_LEN_MAX>,
    lines_out: u64,
    places_max: &'a mut u8,
    /// What must be durable before the replies are written. `None`: the herd makes nothing durable.
    positions: Option<Box<Positions>>,
    out: &'a mut Vec<u8>,
}

/// The line of a report.
#[derive(Clone, Copy)]
struct ReportLine<'i> {
    /// The parts of the line that the reply repeats.
    echo: codec::ReportEcho<'i>,
    line: &'i [u8],
}

impl<'i> Batch<'_, 'i> {
    /// Answers a line, or gathers the line if it is a report. `None`: the next line can be taken.
    fn answer(&mut self, line: &'i [u8], read: Line<'i>) -> Option<NextStep> {
        match read {
            Line::Command(Command::Report { report, condition }, echo) => {
                self.offers.push(Offer::on(condition, report));
                self.report_lines.push(ReportLine { echo, line });
                if self.offers.is_full() {
                    self.answer_reports();
                }
                None
            }
            Line::Blank => None,
            Line::Command(Command::Nearby(nearby), _) => {
                self.answer_reports();
                self.answer_nearby(line, &nearby)
            }
            // The line protocol has no words for other commands.
            Line::Command(
                Command::Locate(_) | Command::Near(_) | Command::List(_) | Command::Forget(_),
                _,
            )
            | Line::Invalid => {
                self.answer_reports();
                self.answer_invalid(line);
                None
            }
            Line::Auth(token) => {
                self.answer_reports();
                self.answer_auth(token)
            }
            // The client may have meant to show a token, so its earlier rights end, as with a wrong token.
            Line::InvalidAuth => {
                self.answer_reports();
                self.set_rights(self.herd.rights_without_token());
                self.answer_invalid(line);
                None
            }
            Line::HttpRequest => {
                self.answer_reports();
                self.answer_invalid(line);
                Some(NextStep::Close(ProtocolEnd::client_fault(HTTP_REQUEST)))
            }
            Line::InvalidReport => {
                self.answer_reports();
                self.herd.count_unreadable(self.connected.door);
                self.answer_invalid(line);
                None
            }
        }
    }

    /// Whether a line must wait because the reports before it are not durable yet, and the connection may have to wait
    /// for something else after the line, or to close.
    fn must_wait_before(&mut self, read: &Line<'_>) -> bool {
        let may_wait = match read {
            Line::Command(Command::Nearby(_), _) | Line::Auth(_) | Line::HttpRequest => true,
            Line::Command(..) | Line::Blank | Line::InvalidReport | Line::InvalidAuth | Line::Invalid => {
                false
            }
        };
        may_wait && self.has_unacknowledged()
    }

    /// Whether replies of this read have to wait until reports are durable.
    fn has_unacknowledged(&mut self) -> bool {
        if self.positions.is_none() {
            return false;
        }
        self.answer_reports();
        self.positions.as_ref().is_some_and(|positions| !positions.is_empty())
    }

    /// Offers the gathered reports to the herd, and answers them.
    fn answer_reports(&mut self) {
        if self.offers.is_empty() {
            return;
        }
        let caller = self.authenticated.as_deref().unwrap_or(self.connected);
        let reported = self.herd.report(caller, self.now_ns, &mut self.offers);
        self.wake = self.wake.and(reported.unwrap_or_default());
        for index in 0..self.offers.len() {
            let (offer, report_line) = (self.offers[index], self.report_lines[index]);
            match (offer.outcome, offer.times(self.now_ns)) {
                // The protocol requires the same answer to a stale report as to an accepted report.
                (Outcome::Added | Outcome::Moved | Outcome::Stale, Some((_, difference)))
                    if reported.is_ok() =>
                {
                    self.lines_out += 1;
                    if let Some(positions) = &mut self.positions {
                        positions.note_offer(&offer);
                    }
                    codec::write_at_reply(self.out, self.herd.name(), difference, report_line.echo);
                }
                (outcome, _) => {
                    let outcome = if reported.is_ok() { outcome } else { Outcome::Denied };
                    self.log_refusal(outcome);
                    self.answer_invalid(report_line.line);
                }
            }
        }
        // The arrays are cleared in place, because moving them out would copy them.
        self.offers.clear();
        self.report_lines.clear();
    }

    /// The answer to a refused report does not say why the report was refused, so the log does.
    #[cold]
    fn log_refusal(&self, outcome: Outcome) {
        let subject = Subject::Client(self.connected.address);
        let message = format_args!("a report is refused: {}", outcome.label());
        self.herd.log().event(LogLevel::Debug, subject, message);
    }

    fn answer_nearby(&mut self, line: &[u8], nearby: &Nearby<'_>) -> Option<NextStep> {
        let caller = self.authenticated.as_deref().unwrap_or(self.connected);
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
        match self.herd.nearby(caller, self.now_ns, nearby, write_at) {
            Ok(Some(Looked::AtHand(answered))) => {
                self.lines_out += 2;
                write_places(self.out, &answered, nearby.limit);
                None
            }
            Ok(Some(Looked::Waits(question))) => {
                self.lines_out += 1;
                *self.places_max = nearby.limit;
                Some(NextStep::AwaitPlaces(question))
            }
            Ok(None) | Err(_) => {
                self.answer_invalid(line);
                None
            }
        }
    }

    /// Answers a token. A wrong token takes earlier rights away, and may be answered later.
    fn answer_auth(&mut self, token: &[u8]) -> Option<NextStep> {
        let Caller { door, address, .. } = *self.connected;
        match self.herd.authenticate(self.now_ns, door, address, token) {
            Ok(rights) => {
                self.set_rights(rights);
                self.lines_out += 1;
                codec::write_auth(self.out, true);
                None
            }
            Err(WrongToken { delay: None }) => {
                self.set_rights(Rights::NONE);
                self.lines_out += 1;
                self.herd.count_invalid_line();
                codec::write_auth(self.out, false);
                Some(NextStep::Close(ProtocolEnd::client_fault(WRONG_TOKENS)))
            }
            Err(WrongToken { delay: Some(delay) }) => {
                self.set_rights(Rights::NONE);
                if !delay.is_zero() {
                    *self.is_refusal_due = true;
                    return Some(NextStep::Pause(delay));
                }
                self.lines_out += 1;
                self.herd.count_invalid_line();
                codec::write_auth(self.out, false);
                None
            }
        }
    }

    fn set_rights(&mut self, rights: Rights) {
        *self.authenticated = Some(Box::new(Caller { rights, ..self.connected.clone() }));
    }

    /// Answers a line with a question mark.
    fn answer_invalid(&mut self, line: &[u8]) {
        self.lines_out += 1;
        self.herd.count_invalid_line();
        codec::write_invalid(self.out, line);
    }
}

/// Appends an answer about places, with at most `places_max` places. The JSON has no newline at its end, so an empty
/// line marks the end of the reply.
pub(super) fn write_places(out: &mut Vec<u8>, answered: &Answered, places_max: u8) {
    answered.answer.write_json(places_max.into(), out);
    out.extend_from_slice(b"\n\n");
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use proxyherd_core::limits::SHARDS;

    use super::*;
    use crate::{
        caller::Rights,
        herd::{
            Durability, Internals, Notice,
            tests::{alone, caller},
        },
    };

    fn replies(rights: Rights, input: &[u8]) -> String {
        let (herd, caller, mut out) = (alone(), caller(rights), Vec::new());
        let input = Input { bytes: input, is_last: true, units_max: u64::MAX };
        let context = CallContext::of_test(&herd, &caller);
        let _ = answer_lines(&context, &mut LineProtocol::default(), input, &mut out);
        String::from_utf8(out).unwrap()
    }

    /// A durability that covers nothing.
    #[derive(Debug)]
    struct Never;

    impl Durability for Never {
        fn await_covered(&self, _: Positions, notice: Notice) {
            drop(notice);
        }

        fn patience(&self) -> Duration {
            Duration::ZERO
        }
    }

    /// The number of lines that one call takes, the replies, and the shards whose updates the replies wait for. `None`:
    /// they wait for nothing.
    fn settled(herd: &Herd, input: &[u8]) -> (usize, String, Option<usize>) {
        let (caller, mut out) = (caller(Rights::ALL), Vec::new());
        let input = Input { bytes: input, is_last: false, units_max: u64::MAX };
        let context = CallContext::of_test(herd, &caller);
        let output = answer_lines(&context, &mut LineProtocol::default(), input, &mut out);
        let waits = match output.next {
            NextStep::AwaitDurable(positions) => Some(
                (0..SHARDS).filter(|&shard| positions.own_of(shard) > 0 && positions.of(shard) > 0).count(),
            ),
            _ => None,
        };
        (output.units_in as usize, String::from_utf8(out).unwrap(), waits)
    }

    #[tokio::test]
    async fn replies_wait_together_until_all_reports_that_they_acknowledge_are_durable() {
        let herd = alone();
        let report = |client: &str| format!("IAMAT {client} +34.06-118.44 1000\n");
        let all: String = (0..100).map(|client| report(&format!("c{client}"))).collect();
        assert_eq!(settled(&herd, report("kiwi").as_bytes()).2, None, "nothing has to be durable");
        herd.set_durability(Arc::new(Never));
        let (lines, replies, waits) = settled(&herd, format!("{all}nonsense\n").as_bytes());
        assert_eq!((lines, replies.lines().count(), waits), (101, 101, Some(SHARDS)));
        // A report that is not newer is acknowledged, too.
        assert_eq!(settled(&herd, report("kiwi").as_bytes()).2, Some(1));
        assert_eq!(settled(&herd, b"nonsense\n").2, None);
        assert_eq!(settled(&herd, b"IAMAT kiwi +34.06-118.44 later\n").2, None, "it is refused");
    }

    #[tokio::test]
    async fn a_line_that_may_wait_for_something_else_is_taken_when_the_reports_before_it_are_durable() {
        let herd = alone();
        herd.set_durability(Arc::new(Never));
        let report = "IAMAT kiwi +34.06-118.44 1000\n";
        let long = "x".repeat(LINE_LEN_MAX + 1);
        for other in ["WHATSAT kiwi 10 0\n", "AUTH phd_x\n", "GET / HTTP/1.1\n", &long] {
            let (lines, replies, waits) = settled(&herd, format!("{report}{other}{report}").as_bytes());
            assert_eq!((lines, replies.lines().count(), waits), (1, 1, Some(1)), "{other}");
            let (_, replies, waits) = settled(&herd, format!("{other}\n").as_bytes());
            assert!(!replies.is_empty() && waits.is_none(), "{other} is taken when nothing is before it");
        }
    }

    #[tokio::test]
    async fn who_lacks_a_right_is_answered_with_a_question_mark() {
        let (iamat, whatsat) = ("IAMAT kiwi +34.068930-118.445127 1621464827", "WHATSAT kiwi 10 0");
        let input = format!("{iamat}\n{whatsat}\n").into_bytes();
        let all = replies(Rights::ALL, &input);
        assert_eq!(all.lines().filter(|line| line.starts_with("AT Riley +")).count(), 2, "{all}");
        let none = replies(Rights::of(&["read:*", "places"]), &input);
        assert_eq!(none, format!("? {iamat}\n? {whatsat}\n"), "kiwi has not become known");
        for rights in [Rights::of(&["report:*", "places"]), Rights::of(&["report:*", "read:*"])] {
            let some = replies(rights, &input);
            let (first, rest) = some.split_once('\n').unwrap();
            assert!(first.starts_with("AT Riley +"), "{some}");
            assert_eq!(rest, format!("? {whatsat}\n"));
        }
    }
}
