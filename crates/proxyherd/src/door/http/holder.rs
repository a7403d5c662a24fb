//! Who sits on a seat: what is under way on one connection, what it takes of the server, and when its time is up.
//!
//! The connection's task waits for [`Holder::told`] and [`Holder::deadline`]. A holder does not know where it sits (`rooms`),
//! nor which protocol is spoken.

use std::{net::IpAddr, time::Duration};

use parking_lot::Mutex;
use tokio::{
    sync::{Notify, OwnedSemaphorePermit},
    time::Instant,
};

use super::limits::{
    ANSWER_MAX, CHATTER_LEN_MAX, CHATTER_PER_S, HEAD_FREE_LEN, HEAD_LEN_MAX, HEAD_MAX, REQUEST_LEN,
    RESERVE_HEAD_MAX, RESERVE_MAX, RESETS_MAX,
};
use crate::admission::Ticket;

/// Why this end closed a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Closed {
    /// No request was under way for long, or the head of one took long.
    #[error("no whole request came within {} s", .0.as_secs())]
    Idle(Duration),
    /// The client does not take an answer.
    #[error("it did not take an answer within {} s", .0.as_secs())]
    NotReading(Duration),
    /// It sends without asking.
    #[error("it sent {CHATTER_LEN_MAX} bytes without asking for anything")]
    Chatter,
    /// It asks and takes back what it asked.
    #[error("it took back {0} requests")]
    Resets(u64),
    /// More is buffered for clients than there is room for.
    #[error("there is no more room for what it sends (`buffers_mb` in [limits])")]
    NoRoom,
    /// Another connection has its seat now.
    #[error("it gave way to another connection")]
    GaveWay,
}

/// What the connection's task has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Stay,
    /// End when what is under way is answered.
    Leave,
    /// End now.
    Cut(Closed),
}

/// A seat as the board knows it.
#[derive(Debug)]
pub(super) struct Holder {
    pub(super) id: u64,
    pub(super) who: IpAddr,
    pub(super) is_in_reserve: bool,
    began: Instant,
    state: Mutex<State>,
    told: Notify,
}

#[derive(Debug)]
struct State {
    /// `None` in the reserve, and once the connection has given way.
    ticket: Option<Ticket>,
    /// While the socket of a connection that has given way is not closed yet.
    leaving: Option<OwnedSemaphorePermit>,
    verdict: Verdict,
    /// Since when no request is under way, if none is.
    waits_since: Option<Instant>,
    flights: Vec<Under>,
    last_flight: u64,
    has_asked: bool,
    /// Whether it has asked what only clients ask.
    is_client: bool,
    /// Whether it speaks another protocol than HTTP by now.
    is_upgraded: bool,
    /// Bytes of a head, as far as it has come. In HTTP/2 a head can come while other requests are under way, and any other
    /// frame counts as part of one.
    head_len: usize,
    /// Bytes of answers that nobody has taken yet.
    owed_len: usize,
    /// Bytes that it may still send without asking, as of the time beside it.
    chatter: (usize, Instant),
    answered: u64,
    taken_back: u64,
}

/// A request under way.
#[derive(Debug)]
struct Under {
    id: u64,
    /// When its answer has to be taken.
    deadline: Option<Instant>,
}

impl Holder {
    pub(super) fn new(id: u64, who: IpAddr, ticket: Option<Ticket>, now: Instant) -> Holder {
        let state = State {
            leaving: None,
            verdict: Verdict::Stay,
            waits_since: Some(now),
            flights: Vec::new(),
            last_flight: 0,
            has_asked: false,
            is_client: false,
            is_upgraded: false,
            head_len: 0,
            owed_len: 0,
            chatter: (CHATTER_LEN_MAX, now),
            answered: 0,
            taken_back: 0,
            ticket,
        };
        let is_in_reserve = state.ticket.is_none();
        Holder { id, who, is_in_reserve, began: now, state: Mutex::new(state), told: Notify::new() }
    }

    pub(super) fn has_asked(&self) -> bool {
        self.state.lock().has_asked
    }

    /// Has the connection end now and takes its ticket.
    pub(super) fn give_way(&self, permit: OwnedSemaphorePermit) {
        let mut state = self.state.lock();
        state.ticket = None;
        state.leaving = Some(permit);
        state.verdict = Verdict::Cut(Closed::GaveWay);
        self.told.notify_one();
    }

    /// Whether it has given way, so that the board has it no more.
    pub(super) fn is_leaving(&self) -> bool {
        self.state.lock().leaving.is_some()
    }

    /// Since when no request is under way, if none is.
    pub(super) fn waits_since(&self) -> Option<Instant> {
        self.state.lock().waits_since
    }

    /// Waits until there is a new verdict.
    pub(super) async fn told(&self) -> Verdict {
        self.told.notified().await;
        self.state.lock().verdict
    }

    /// When to ask [`Holder::overdue`] again, at the latest.
    pub(super) fn deadline(&self, now: Instant) -> Instant {
        self.next_end(&self.state.lock()).map_or(now + HEAD_MAX, |(at, _)| at)
    }

    /// Why the connection's time is up, if it is.
    pub(super) fn overdue(&self, now: Instant) -> Option<Closed> {
        self.next_end(&self.state.lock()).filter(|(at, _)| now >= *at).map(|(_, why)| why)
    }

    /// What ends the connection next if nothing happens. In the general room a request that is being answered has the time
    /// that its answer takes.
    fn next_end(&self, state: &State) -> Option<(Instant, Closed)> {
        if self.is_in_reserve {
            let head = (self.began + RESERVE_HEAD_MAX, Closed::Idle(RESERVE_HEAD_MAX));
            let all = (self.began + RESERVE_MAX, Closed::NotReading(RESERVE_MAX));
            return Some(if state.has_asked { all } else { head });
        }
        if let Some(since) = state.waits_since {
            return Some((since + HEAD_MAX, Closed::Idle(HEAD_MAX)));
        }
        let deadlines = state.flights.iter().filter_map(|flight| flight.deadline);
        deadlines.min().map(|at| (at, Closed::NotReading(ANSWER_MAX)))
    }

    /// A head of at most about so many bytes is complete. What has come beside it may be a part of the next one.
    pub(super) fn took_head(&self, len: usize) {
        let mut state = self.state.lock();
        state.head_len = state.head_len.saturating_sub(len);
        // It has less than before, so there is room.
        let _ = state.account();
    }

    /// The head of a request is complete. Says by which number the request is known, and since when the board has had the
    /// connection among those that wait, if it has.
    pub(super) fn begin(&self, is_operators: bool) -> (u64, Option<Instant>) {
        let mut state = self.state.lock();
        let waited_since = state.waits_since.take();
        state.has_asked = true;
        state.is_client |= !is_operators;
        if let Some(ticket) = &state.ticket {
            ticket.set_operator(!state.is_client);
        }
        state.last_flight += 1;
        let id = state.last_flight;
        state.flights.push(Under { id, deadline: None });
        // The request is here already, and takes its memory whatever it is answered.
        if !state.account() {
            state.verdict = Verdict::Cut(Closed::NoRoom);
            self.told.notify_one();
        }
        (id, waited_since.filter(|_| state.leaving.is_none() && !self.is_in_reserve))
    }

    /// There is an answer of so many bytes to a request. False if there is no room for it, and it is not to be kept. For one
    /// operators' answer on each connection there is always room.
    pub(super) fn answering(&self, id: u64, len: usize, is_operators: bool, now: Instant) -> bool {
        let mut state = self.state.lock();
        let is_first = state.owed_len == 0;
        // What is said instead has to be taken, too.
        if let Some(under) = state.flights.iter_mut().find(|under| under.id == id) {
            under.deadline = Some(now + ANSWER_MAX);
        }
        state.owed_len += len;
        if state.account() || (is_operators && is_first) {
            return true;
        }
        state.owed_len -= len;
        // It has less than before, so there is room.
        let _ = state.account();
        false
    }

    /// So many bytes of an answer are on their way, or nobody will have them.
    pub(super) fn gave(&self, len: usize) {
        let mut state = self.state.lock();
        state.owed_len = state.owed_len.saturating_sub(len);
        // It has less than before, so there is room.
        let _ = state.account();
    }

    /// A request is over. Says whether the board is to have the connection among those that wait.
    pub(super) fn end(&self, id: u64, is_answered: bool, now: Instant) -> bool {
        let mut state = self.state.lock();
        state.flights.retain(|under| under.id != id);
        // It has less than before, so there is room.
        let _ = state.account();
        if is_answered {
            state.answered += 1;
            state.chatter = (CHATTER_LEN_MAX, now);
        } else {
            state.taken_back += 1;
            if state.taken_back > RESETS_MAX + state.answered / 2 {
                state.verdict = Verdict::Cut(Closed::Resets(state.taken_back));
                self.told.notify_one();
            }
        }
        // Whatever an upgraded connection speaks, its silence is none of the door's business.
        if !state.flights.is_empty() || state.is_upgraded {
            return false;
        }
        state.waits_since = Some(now);
        state.leaving.is_none() && !self.is_in_reserve
    }

    /// So many bytes have come, of whatever kind. The error says why nothing more is to be read.
    pub(super) fn heard(&self, len: usize, now: Instant) -> Result<(), Closed> {
        let mut state = self.state.lock();
        if state.is_upgraded {
            return Ok(());
        }
        let (left, at) = state.chatter;
        let regained = now.saturating_duration_since(at).as_millis() as usize * CHATTER_PER_S / 1000;
        let left = left.saturating_add(regained).min(CHATTER_LEN_MAX);
        // What is regained in less than a millisecond is not lost.
        let at = if regained > 0 { now } else { at };
        state.chatter = (left.checked_sub(len).ok_or(Closed::Chatter)?, at);
        // More than this is not kept.
        state.head_len = (state.head_len + len).min(2 * HEAD_LEN_MAX);
        if state.account() { Ok(()) } else { Err(Closed::NoRoom) }
    }

    /// So many bytes were a request's body, which somebody has read.
    pub(super) fn took_body(&self, len: usize) {
        let mut state = self.state.lock();
        state.chatter.0 = state.chatter.0.saturating_add(len).min(CHATTER_LEN_MAX);
        state.head_len = state.head_len.saturating_sub(len);
        // It has less than before, so there is room.
        let _ = state.account();
    }

    /// From here on the connection speaks another protocol.
    pub(super) fn upgrade(&self) {
        self.state.lock().is_upgraded = true;
    }

    /// Whether the connection is to end with its next answer: another one needs the seat.
    pub(super) fn is_needed(&self) -> bool {
        self.state.lock().ticket.as_ref().is_none_or(Ticket::is_last)
    }

    /// Has the connection end when what is under way is answered.
    pub(super) fn leave(&self) {
        let mut state = self.state.lock();
        if state.verdict == Verdict::Stay {
            state.verdict = Verdict::Leave;
            self.told.notify_one();
        }
    }

    #[cfg(test)]
    pub(super) fn has_given_way(&self) -> bool {
        self.state.lock().verdict == Verdict::Cut(Closed::GaveWay)
    }
}

impl State {
    /// Says what the connection takes. False if there is no room for it.
    fn account(&self) -> bool {
        let head_len = if self.head_len > HEAD_FREE_LEN { self.head_len } else { 0 };
        // One request is part of what any connection may have.
        let requests_len = self.flights.len().saturating_sub(1) * REQUEST_LEN;
        self.ticket.as_ref().is_none_or(|ticket| ticket.buffer(self.owed_len + head_len + requests_len))
    }
}
