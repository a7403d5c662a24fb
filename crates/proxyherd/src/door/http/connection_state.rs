//! What one connection does at the moment: its requests in progress, the memory that it takes, and its deadlines.
//!
//! The connection's task waits for [`ConnectionState::directive`] and [`ConnectionState::deadline`], and closes the
//! connection when they say so. The other methods report what happens: what arrives, which requests begin and end, what is
//! sent.
//!
//! The invariant: a connection is idle (`idle_since` is set) exactly while it has no request in progress and speaks HTTP.
//!
//! The state knows neither the other connections (`slots` does) nor the version of HTTP.

use std::{net::IpAddr, time::Duration};

use parking_lot::Mutex;
use tokio::{
    sync::{Notify, OwnedSemaphorePermit},
    time::Instant,
};

use super::limits::{
    CANCELLATIONS_MAX, HEADER_SECTION_FREE_LEN, HEADER_SECTION_LEN_MAX, HEADER_SECTION_TIME_MIN,
    IDLE_TIMEOUT, INPUT_ALLOWANCE_LEN, INPUT_ALLOWANCE_PER_S, REQUEST_LEN, RESERVE_IDLE_TIMEOUT,
    RESERVE_LIFETIME_MAX, RESPONSE_TIMEOUT,
};
use crate::admission::Ticket;

/// Why the server closed a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum CloseReason {
    /// The connection was idle, or a header section was incomplete, for this long.
    #[error("no complete request arrived within {} s", .0.as_secs())]
    IdleTimeout(Duration),
    /// The client did not receive a response within this time.
    #[error("the client did not receive a response within {} s", .0.as_secs())]
    ResponseTimeout(Duration),
    /// The client has used up its input allowance.
    #[error("the client sent more than {INPUT_ALLOWANCE_LEN} bytes without a complete request")]
    InputAllowance,
    /// The client canceled this many requests.
    #[error("the client canceled {0} requests")]
    Cancellations(u64),
    /// All clients together have as much buffered as they may.
    #[error("the buffers for clients are full (`buffers_mb` in [limits])")]
    BuffersFull,
    /// Another connection needed the slot.
    #[error("another connection needed its slot")]
    Evicted,
}

/// What the connection's task has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Directive {
    Serve,
    /// Answer the requests in progress, take no others, and close.
    Drain,
    /// Close now.
    Close(CloseReason),
}

/// Which kind of slot a connection has; see `slots`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SlotKind {
    General,
    /// For one request of operators.
    Reserve,
}

/// Who asks for a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Audience {
    /// Operators and their tools.
    Operators,
    Clients,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RequestEnd {
    /// Its whole response was handed over.
    Answered,
    /// The client canceled it, or the connection broke.
    Canceled,
}

/// The state of one connection. See the module head.
#[derive(Debug)]
pub(super) struct ConnectionState {
    /// Greater for a later connection.
    pub(super) id: u64,
    /// The client's address, as `admission` counts addresses.
    pub(super) address: IpAddr,
    pub(super) slot_kind: SlotKind,
    opened_at: Instant,
    activity: Mutex<Activity>,
    directive_changed: Notify,
}

#[derive(Debug)]
struct Activity {
    /// `None` in the reserve, and once the connection is evicted.
    ticket: Option<Ticket>,
    /// Set once the connection is evicted. It is given back when the socket is closed.
    eviction: Option<OwnedSemaphorePermit>,
    directive: Directive,
    idle_since: Option<Instant>,
    requests: Vec<RequestInProgress>,
    last_request: u64,
    has_sent_request: bool,
    /// Whether it has asked for a path of clients.
    is_client: bool,
    /// Whether it speaks another protocol than HTTP by now.
    is_upgraded: bool,
    /// Bytes of a header section that has not arrived completely. In HTTP/2 it may arrive while other requests are in
    /// progress, and any other frame counts as part of it.
    header_section_len: usize,
    /// When the first of these bytes arrived, if the connection was idle.
    header_section_since: Option<Instant>,
    /// Bytes of responses that are not handed over to the protocol yet.
    unsent_len: usize,
    /// What is left of the input allowance. This is no limiter of core's `rate`, because bodies and answered requests give
    /// allowance back ...
    allowance_len: usize,
    /// ... as of this time.
    allowance_at: Instant,
    answered: u64,
    canceled: u64,
}

#[derive(Debug)]
struct RequestInProgress {
    id: u64,
    /// When its response must have been received.
    deadline: Option<Instant>,
}

impl ConnectionState {
    pub(super) fn new(id: u64, address: IpAddr, ticket: Option<Ticket>, now: Instant) -> ConnectionState {
        let slot_kind = if ticket.is_some() { SlotKind::General } else { SlotKind::Reserve };
        let activity = Activity {
            ticket,
            eviction: None,
            directive: Directive::Serve,
            idle_since: Some(now),
            requests: Vec::new(),
            last_request: 0,
            has_sent_request: false,
            is_client: false,
            is_upgraded: false,
            header_section_len: 0,
            header_section_since: None,
            unsent_len: 0,
            allowance_len: INPUT_ALLOWANCE_LEN,
            allowance_at: now,
            answered: 0,
            canceled: 0,
        };
        let (activity, directive_changed) = (Mutex::new(activity), Notify::new());
        ConnectionState { id, address, slot_kind, opened_at: now, activity, directive_changed }
    }

    pub(super) fn has_sent_request(&self) -> bool {
        self.activity.lock().has_sent_request
    }

    /// Takes the connection's ticket and has the connection closed. `permit` is kept until it is closed.
    pub(super) fn evict(&self, permit: OwnedSemaphorePermit) {
        let mut activity = self.activity.lock();
        activity.ticket = None;
        activity.eviction = Some(permit);
        activity.directive = Directive::Close(CloseReason::Evicted);
        self.directive_changed.notify_one();
    }

    /// Whether the connection is evicted, so that the table of slots no longer holds it.
    pub(super) fn is_evicted(&self) -> bool {
        self.activity.lock().eviction.is_some()
    }

    /// Since when the connection is idle, if it is.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        self.activity.lock().idle_since
    }

    /// Waits for the next change of what the task has to do.
    pub(super) async fn directive(&self) -> Directive {
        self.directive_changed.notified().await;
        self.activity.lock().directive
    }

    /// When to call [`ConnectionState::overdue`] next, at the latest.
    pub(super) fn deadline(&self, now: Instant) -> Instant {
        self.next_timeout(&self.activity.lock()).map_or(now + IDLE_TIMEOUT, |(at, _)| at)
    }

    /// Why the connection's time is up, if it is.
    pub(super) fn overdue(&self, now: Instant) -> Option<CloseReason> {
        self.next_timeout(&self.activity.lock()).filter(|(at, _)| now >= *at).map(|(_, why)| why)
    }

    /// The next timeout if nothing happens before. With a general slot, a request without a response yet has none: the
    /// path's handler has its own.
    fn next_timeout(&self, activity: &Activity) -> Option<(Instant, CloseReason)> {
        if self.slot_kind == SlotKind::Reserve {
            let (timeout, why) = if activity.has_sent_request {
                (RESERVE_LIFETIME_MAX, CloseReason::ResponseTimeout(RESERVE_LIFETIME_MAX))
            } else {
                (RESERVE_IDLE_TIMEOUT, CloseReason::IdleTimeout(RESERVE_IDLE_TIMEOUT))
            };
            return Some((self.opened_at + timeout, why));
        }
        if let Some(since) = activity.idle_since {
            let at = since + IDLE_TIMEOUT;
            let at =
                activity.header_section_since.map_or(at, |began| at.max(began + HEADER_SECTION_TIME_MIN));
            return Some((at, CloseReason::IdleTimeout(IDLE_TIMEOUT)));
        }
        let deadlines = activity.requests.iter().filter_map(|request| request.deadline);
        deadlines.min().map(|at| (at, CloseReason::ResponseTimeout(RESPONSE_TIMEOUT)))
    }

    /// A header section of about `len` bytes, at most, has arrived completely. What has arrived in addition may be part of the
    /// next one.
    pub(super) fn header_section_complete(&self, len: usize) {
        let mut activity = self.activity.lock();
        activity.header_section_len = activity.header_section_len.saturating_sub(len);
        activity.count_less_buffered();
    }

    /// The header section of a request has arrived completely. Returns the request's number, and since when the table of
    /// slots lists the connection as idle, if it does.
    pub(super) fn begin_request(&self, audience: Audience) -> (u64, Option<Instant>) {
        let mut activity = self.activity.lock();
        let idle_since = activity.idle_since.take();
        activity.has_sent_request = true;
        activity.is_client |= audience == Audience::Clients;
        if let Some(ticket) = &activity.ticket {
            ticket.set_operator(!activity.is_client);
        }
        activity.header_section_since = None;
        activity.last_request += 1;
        let id = activity.last_request;
        activity.requests.push(RequestInProgress { id, deadline: None });
        // The request takes its memory even if it is answered with an error, so the connection is closed.
        if !activity.count_buffered() {
            activity.directive = Directive::Close(CloseReason::BuffersFull);
            self.directive_changed.notify_one();
        }
        (id, idle_since.filter(|_| self.is_listed(&activity)))
    }

    /// A response of `len` bytes is ready for a request. Returns false if the buffers have no room for it; then the
    /// response must not be kept. One response to operators always has room on each connection.
    pub(super) fn begin_response(&self, id: u64, len: usize, audience: Audience, now: Instant) -> bool {
        let mut activity = self.activity.lock();
        let is_first = activity.unsent_len == 0;
        // Where there is no room, a short response is sent instead, which has the same deadline.
        if let Some(request) = activity.requests.iter_mut().find(|request| request.id == id) {
            request.deadline = Some(now + RESPONSE_TIMEOUT);
        }
        activity.unsent_len += len;
        if activity.count_buffered() || (audience == Audience::Operators && is_first) {
            return true;
        }
        activity.unsent_len -= len;
        activity.count_less_buffered();
        false
    }

    /// `len` bytes of a response were handed over, or will never be.
    pub(super) fn response_sent(&self, len: usize) {
        let mut activity = self.activity.lock();
        activity.unsent_len = activity.unsent_len.saturating_sub(len);
        activity.count_less_buffered();
    }

    /// A request is over. Returns whether the table of slots is to list the connection as idle.
    pub(super) fn end_request(&self, id: u64, end: RequestEnd, now: Instant) -> bool {
        let mut activity = self.activity.lock();
        activity.requests.retain(|request| request.id != id);
        activity.count_less_buffered();
        match end {
            RequestEnd::Answered => {
                activity.answered += 1;
                (activity.allowance_len, activity.allowance_at) = (INPUT_ALLOWANCE_LEN, now);
            }
            RequestEnd::Canceled => {
                activity.canceled += 1;
                if activity.canceled > CANCELLATIONS_MAX + activity.answered / 2 {
                    let why = CloseReason::Cancellations(activity.canceled);
                    activity.directive = Directive::Close(why);
                    self.directive_changed.notify_one();
                }
            }
        }
        // HTTP's idle timeout does not hold for the other protocol of an upgraded connection.
        if !activity.requests.is_empty() || activity.is_upgraded {
            return false;
        }
        activity.idle_since = Some(now);
        self.is_listed(&activity)
    }

    /// Whether the table of slots lists the connection while it is idle.
    fn is_listed(&self, activity: &Activity) -> bool {
        activity.eviction.is_none() && self.slot_kind == SlotKind::General
    }

    /// `len` bytes have arrived, whatever they mean. The error says why no more is to be read.
    pub(super) fn received(&self, len: usize, now: Instant) -> Result<(), CloseReason> {
        let mut activity = self.activity.lock();
        if activity.is_upgraded {
            return Ok(());
        }
        let elapsed = now.saturating_duration_since(activity.allowance_at);
        let refill = elapsed.as_millis() as usize * INPUT_ALLOWANCE_PER_S / 1000;
        let allowance = activity.allowance_len.saturating_add(refill).min(INPUT_ALLOWANCE_LEN);
        activity.allowance_len = allowance.checked_sub(len).ok_or(CloseReason::InputAllowance)?;
        // A refill of less than a byte is kept for the next time.
        if refill > 0 {
            activity.allowance_at = now;
        }
        if activity.requests.is_empty() && len > 0 {
            activity.header_section_since.get_or_insert(now);
        }
        // hyper buffers no more than this.
        activity.header_section_len = (activity.header_section_len + len).min(2 * HEADER_SECTION_LEN_MAX);
        if activity.count_buffered() { Ok(()) } else { Err(CloseReason::BuffersFull) }
    }

    /// `len` of the bytes that have arrived were a request's body, which a handler has read.
    pub(super) fn body_read(&self, len: usize) {
        let mut activity = self.activity.lock();
        activity.allowance_len = activity.allowance_len.saturating_add(len).min(INPUT_ALLOWANCE_LEN);
        activity.header_section_len = activity.header_section_len.saturating_sub(len);
        activity.count_less_buffered();
    }

    /// From here on the connection speaks another protocol.
    pub(super) fn upgrade(&self) {
        self.activity.lock().is_upgraded = true;
    }

    /// Whether the connection is to close after its next response, because there are no free slots.
    pub(super) fn is_slot_needed(&self) -> bool {
        self.activity.lock().ticket.as_ref().is_none_or(Ticket::is_last)
    }

    /// Has the connection close when its requests in progress are answered.
    pub(super) fn drain(&self) {
        let mut activity = self.activity.lock();
        if activity.directive == Directive::Serve {
            activity.directive = Directive::Drain;
            self.directive_changed.notify_one();
        }
    }

    #[cfg(test)]
    pub(super) fn is_in_reserve(&self) -> bool {
        self.slot_kind == SlotKind::Reserve
    }
}

impl Activity {
    /// Counts what the connection has buffered now against `buffers_mb`. Returns false if there is no room for it.
    fn count_buffered(&self) -> bool {
        let len = self.header_section_len;
        let header_section_len = if len > HEADER_SECTION_FREE_LEN { len } else { 0 };
        // Any connection may have one request, which is not counted.
        let requests_len = self.requests.len().saturating_sub(1) * REQUEST_LEN;
        let len = self.unsent_len + header_section_len + requests_len;
        self.ticket.as_ref().is_none_or(|ticket| ticket.buffer(len))
    }

    /// As [`Activity::count_buffered`], where the connection has less buffered than before, so that there is room.
    fn count_less_buffered(&self) {
        let _ = self.count_buffered();
    }
}
