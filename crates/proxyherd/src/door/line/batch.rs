//! What is done with one read: every complete line in it, replies in order. No waiting, and no allocation per
//! line.

use std::{borrow::Cow, sync::atomic::Ordering::Relaxed};

use arrayvec::ArrayVec;
use proxyherd_core::{
    codec::line::{self as codec, Line, Lines, Told},
    command::Command,
    flood::{Offered, Wake},
    limits::{BATCH_LEN_MAX, LINE_LEN_MAX},
    map::Offer,
    types::{ClientId, Difference, Radius},
};

use crate::{
    clock,
    door::reactor::{Input, Later, Next, Reason, Taken},
    herd::Herd,
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

/// Takes the lines at the front of `input`, and appends the replies to `out`.
pub(super) fn handle(herd: &Herd, lines: &mut Lines, input: Input<'_>, out: &mut Vec<u8>) -> Taken {
    let mut batch = Batch {
        herd,
        now_ns: clock::now_ns(),
        wake: Wake::default(),
        offers: ArrayVec::new(),
        echoes: ArrayVec::new(),
        lines_out: 0,
        out,
    };
    let (mut consumed, mut lines_in) = (0, 0);
    let next = loop {
        match lines.next(&input.bytes[consumed..], input.is_last) {
            codec::Next::Line(line, len) => {
                consumed += len;
                lines_in += 1;
                if let Some(next) = batch.answer(line) {
                    break next;
                }
            }
            codec::Next::Incomplete => break Next::Done,
            codec::Next::TooLong(start) => {
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
    fn answer(&mut self, line: &'i [u8]) -> Option<Next> {
        match codec::parse(line) {
            Line::Iamat(report, told) => {
                self.offers.push(Offer::new(report));
                self.echoes.push(Echo { told, line });
                if self.offers.is_full() {
                    self.settle();
                }
                None
            }
            Line::Blank => None,
            Line::Command(Command::Nearby { client, radius, limit }) => {
                self.settle();
                self.answer_nearby(line, client, radius, limit)
            }
            Line::Command(Command::Report(_)) | Line::Invalid => {
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
                self.herd.counts.reports_unreadable.fetch_add(1, Relaxed);
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
        self.wake = self.wake.and(self.herd.map().report_all(self.now_ns, &mut self.offers));
        for place in 0..self.offers.len() {
            let (offer, echo) = (self.offers[place], self.echoes[place]);
            if matches!(offer.outcome, Offered::Full | Offered::TooSoon) {
                self.refuse(echo.line);
                continue;
            }
            self.lines_out += 1;
            let difference = Difference::at_receipt(self.now_ns, offer.report.timestamp);
            codec::write_at_reply(self.out, self.herd.name(), difference, echo.told);
        }
        // Cleared in their place: taken out, they would be copied whole, however few they are.
        self.offers.clear();
        self.echoes.clear();
    }

    fn answer_nearby(
        &mut self,
        line: &[u8],
        client: ClientId<'_>,
        radius: Radius,
        limit: u8,
    ) -> Option<Next> {
        let Some(query) = self.herd.locate(self.now_ns, client, radius, self.out) else {
            self.refuse(line);
            return None;
        };
        self.lines_out += 1;
        if !self.herd.places.answer_now(&query, usize::from(limit), self.out) {
            return Some(Next::Later(Later::Places(query, limit)));
        }
        self.lines_out += 1;
        end_reply(self.out);
        None
    }

    fn refuse(&mut self, line: &[u8]) {
        self.lines_out += 1;
        self.herd.counts.lines_invalid.fetch_add(1, Relaxed);
        codec::write_invalid(self.out, line);
    }
}

/// Ends a reply that has places in it: they end in no newline of their own, so the reply ends at the first
/// empty line.
pub(super) fn end_reply(out: &mut Vec<u8>) {
    out.extend_from_slice(b"\n\n");
}

fn fault(why: &'static str) -> Reason {
    Reason { why: Cow::Borrowed(why), is_fault: true }
}
