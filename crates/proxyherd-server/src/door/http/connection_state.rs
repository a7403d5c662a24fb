//! The present state of one connection: its requests in progress, its memory, and its deadlines.
//!
//! The connection's task waits for [`ConnectionState::directive`] and [`ConnectionState::deadline`], and closes the
//! connection when they say so. The callers of the other methods report what happens: bytes arrive, requests begin and
//! end, and bytes are sent.
//!
//! The invariant: a connection is idle (`idle_since` is set) exactly while it has no request in progress and speaks
//! HTTP.
//!
//! The state knows neither the other connections (`slots` does) nor the version of HTTP.

use std::{
    net::IpAddr,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    task::{Context, Poll, Waker},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    sync::{Notify, OwnedSemaphorePermit},
    time::Instant,
};

use super::limits::{
    CANCELLATIONS_MAX, HEADER_SECTION_FREE_LEN, HEADER_SECTION_LEN_MAX, HEADER_SECTION_TIME_MIN,
    IDLE_TIMEOUT, INPUT_ALLOWANCE_LEN, INPUT_ALLOWANCE_PER_S, REQUEST_LEN, RESERVE_IDLE_TIMEOUT,
    RESERVE_LIFETIME_MAX, RESPONSE_TIMEOUT, STREAM_WRITE_TIMEOUT, WRITE_TIMEOUT,
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
    /// The reader of a stream has let nothing pass for this long, by HTTP/2's flow control.
    #[error("a stream's reader has taken nothing for {} s", .0.as_secs())]
    StreamTimeout(Duration),
    /// The client has used up its input allowance.
    #[error("the client sent more than {INPUT_ALLOWANCE_LEN} bytes without a complete request")]
    InputAllowance,
    /// The client canceled this many requests.
    #[error("the client canceled {0} requests")]
    Cancellations(u64),
    /// All clients together have used up the memory for buffers.
    #[error("the buffers for clients are full (`buffers_mb` in [limits])")]
    BuffersFull,
    /// Another connection needed the slot.
    #[error("another connection needed this connection's slot")]
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

/// The users of a path.
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
    /// The client canceled the request, or the connection broke.
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
    /// Whether a batch of a stream may wait for [`ConnectionState::flushed`]. It spares other connections the lock.
    has_batches: AtomicBool,
    /// Whether the connection is closed because its client has taken nothing for too long.
    is_cut: AtomicBool,
}

#[derive(Debug)]
struct Activity {
    /// `None` in the reserve, and once the connection is evicted.
    ticket: Option<Ticket>,
    /// The permit of an evicted connection. The permit is given back when the socket is closed.
    eviction: Option<OwnedSemaphorePermit>,
    directive: Directive,
    idle_since: Option<Instant>,
    requests: Vec<RequestInProgress>,
    last_request: u64,
    has_sent_request: bool,
    /// Whether the connection has requested a path of clients.
    is_client: bool,
    /// Whether the connection has switched from HTTP to another protocol.
    is_upgraded: bool,
    /// Number of bytes of a header section that has not arrived completely. In HTTP/2 a header section may arrive while
    /// other requests are in progress. There, any other frame counts as part of the header section.
    header_section_len: usize,
    /// When the first byte of this header section arrived, if the connection was idle.
    header_section_since: Option<Instant>,
    /// Bytes of responses that are not handed over to the protocol yet.
    unsent_len: usize,
    /// Bytes of bodies that handlers have read and keep.
    bodies_len: usize,
    /// The rest of the input allowance at the time `allowance_at`.
    allowance_len: usize,
    /// The time at which `allowance_len` was computed.
    allowance_at: Instant,
    answered: u64,
    canceled: u64,
}

#[derive(Debug)]
struct RequestInProgress {
    id: u64,
    /// When its response must have been received.
    deadline: Option<Instant>,
    /// Whether its response is a stream.
    is_stream: bool,
    /// Whether the connection has not taken the last batch of its response yet, if the response is a stream.
    is_batch_unsent: bool,
    /// Who wants to know when the connection has taken the batch.
    waker: Option<Waker>,
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
            bodies_len: 0,
            allowance_len: INPUT_ALLOWANCE_LEN,
            allowance_at: now,
            answered: 0,
            canceled: 0,
        };
        let (activity, directive_changed) = (Mutex::new(activity), Notify::new());
        let (has_batches, is_cut) = (AtomicBool::new(false), AtomicBool::new(false));
        let opened_at = now;
        ConnectionState {
            id,
            address,
            slot_kind,
            opened_at,
            activity,
            directive_changed,
            has_batches,
            is_cut,
        }
    }

    pub(super) fn has_sent_request(&self) -> bool {
        self.activity.lock().has_sent_request
    }

    /// Takes the connection's ticket and requests that the connection is closed. `permit` is kept until the connection
    /// is closed.
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

    /// The time since which the connection is idle. `None`: the connection is not idle.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        self.activity.lock().idle_since
    }

    /// Waits for the next change of what the task has to do.
    pub(super) async fn directive(&self) -> Directive {
        self.directive_changed.notified().await;
        self.activity.lock().directive
    }

    /// The latest time for the next call of [`ConnectionState::overdue`].
    pub(super) fn deadline(&self, now: Instant) -> Instant {
        self.next_timeout(&self.activity.lock()).map_or(now + IDLE_TIMEOUT, |(at, _)| at)
    }

    /// The reason to close the connection because of a timeout, if a timeout has passed.
    pub(super) fn overdue(&self, now: Instant) -> Option<CloseReason> {
        let (_, why) = self.next_timeout(&self.activity.lock()).filter(|(at, _)| now >= *at)?;
        if matches!(why, CloseReason::StreamTimeout(_)) {
            self.cut();
        }
        Some(why)
    }

    /// The next timeout if nothing happens before. On a connection with a general slot, a request without a response
    /// has no timeout here, because the path's handler has its own timeout.
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
        let late = activity.requests.iter().filter(|request| request.deadline.is_some());
        let first = late.min_by_key(|request| request.deadline)?;
        let why = match first.is_stream {
            true => CloseReason::StreamTimeout(STREAM_WRITE_TIMEOUT),
            false => CloseReason::ResponseTimeout(RESPONSE_TIMEOUT),
        };
        first.deadline.map(|at| (at, why))
    }

    /// Maximum time for which the socket may accept no bytes while there are bytes to write.
    pub(super) fn write_timeout(&self) -> Duration {
        let activity = self.activity.lock();
        let has_stream = activity.is_upgraded || activity.requests.iter().any(|request| request.is_stream);
        if has_stream { STREAM_WRITE_TIMEOUT } else { WRITE_TIMEOUT }
    }

    /// Records that the connection is closed because its client has taken nothing for too long.
    pub(super) fn cut(&self) {
        self.is_cut.store(true, Relaxed);
    }

    /// Whether the connection is closed because its client has taken nothing for too long.
    pub(super) fn is_cut(&self) -> bool {
        self.is_cut.load(Relaxed)
    }

    /// Records that a header section of at most about `len` bytes has arrived completely. Further bytes may be part of
    /// the next header section.
    pub(super) fn header_section_complete(&self, len: usize) {
        let mut activity = self.activity.lock();
        activity.header_section_len = activity.header_section_len.saturating_sub(len);
        activity.count_less_buffered();
    }

    /// Records that the header section of a request has arrived completely. Returns the request's number. If the table
    /// of slots lists the connection as idle, also returns the time since which the connection was idle.
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
        activity.requests.push(RequestInProgress {
            id,
            deadline: None,
            is_stream: false,
            is_batch_unsent: false,
            waker: None,
        });
        // The request uses its memory even if the response is an error, so the connection is closed.
        if !activity.count_buffered() {
            activity.directive = Directive::Close(CloseReason::BuffersFull);
            self.directive_changed.notify_one();
        }
        (id, idle_since.filter(|_| self.is_listed(&activity)))
    }

    /// Records that a response of `len` bytes is ready for a request. Returns false if the buffers have no room for the
    /// response. The response must then not be kept. On each connection, one response to operators always has room.
    pub(super) fn begin_response(&self, id: u64, len: usize, audience: Audience, now: Instant) -> bool {
        let mut activity = self.activity.lock();
        let is_first = activity.unsent_len == 0;
        // If there is no room, a short response with the same deadline is sent instead.
        if let Some(request) = activity.request(id) {
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

    /// Records that `len` bytes of a response were handed over, or will never be handed over.
    pub(super) fn response_sent(&self, len: usize) {
        let mut activity = self.activity.lock();
        activity.unsent_len = activity.unsent_len.saturating_sub(len);
        activity.count_less_buffered();
    }

    /// Records that a batch of `len` bytes of a stream is handed to the protocol. Returns false if the buffers have no
    /// room for the batch. The batch must then not be kept. `deadline`: see [`ConnectionState::delay_batch`].
    pub(super) fn begin_batch(&self, id: u64, len: usize, deadline: Option<Instant>) -> bool {
        let mut activity = self.activity.lock();
        activity.unsent_len += len;
        if !activity.count_buffered() {
            activity.unsent_len -= len;
            activity.count_less_buffered();
            return false;
        }
        if let Some(request) = activity.request(id) {
            request.deadline = deadline;
            request.is_stream = true;
            request.is_batch_unsent = true;
            self.has_batches.store(true, Relaxed);
        }
        true
    }

    /// Records that some of a batch has passed the protocol, and that the rest must do so until `deadline`.
    pub(super) fn delay_batch(&self, id: u64, deadline: Instant) {
        if let Some(request) = self.activity.lock().request(id) {
            request.deadline = Some(deadline);
        }
    }

    /// Waits until the connection has taken the last batch of a stream.
    pub(super) fn poll_batch_sent(&self, id: u64, context: &Context<'_>) -> Poll<()> {
        let mut activity = self.activity.lock();
        let Some(request) = activity.request(id) else { return Poll::Ready(()) };
        if request.is_batch_unsent {
            request.waker = Some(context.waker().clone());
            return Poll::Pending;
        }
        request.deadline = None;
        Poll::Ready(())
    }

    /// Records that the socket has taken all bytes that the protocol had for it. Other streams' bytes can still wait in
    /// HTTP/2's flow control; HTTP/2 takes no more from those.
    pub(super) fn flushed(&self) {
        if !self.has_batches.load(Relaxed) {
            return;
        }
        let mut wakers = Vec::new();
        let mut activity = self.activity.lock();
        self.has_batches.store(false, Relaxed);
        for request in activity.requests.iter_mut().filter(|request| request.is_batch_unsent) {
            request.is_batch_unsent = false;
            wakers.extend(request.waker.take());
        }
        drop(activity);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Records that a request is over. Returns whether the table of slots must list the connection as idle.
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
        // HTTP's idle timeout does not apply to the other protocol of an upgraded connection.
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

    /// Records that `len` bytes of any kind have arrived. An error gives the reason why no more bytes may be read.
    pub(super) fn received(&self, len: usize, now: Instant) -> Result<(), CloseReason> {
        let mut activity = self.activity.lock();
        if activity.is_upgraded {
            return Ok(());
        }
        let elapsed = now.saturating_duration_since(activity.allowance_at);
        let refill = elapsed.as_millis() as usize * INPUT_ALLOWANCE_PER_S / 1000;
        let allowance = activity.allowance_len.saturating_add(refill).min(INPUT_ALLOWANCE_LEN);
        activity.allowance_len = allowance.checked_sub(len).ok_or(CloseReason::InputAllowance)?;
        // A refill of less than a byte counts at the next call.
        if refill > 0 {
            activity.allowance_at = now;
        }
        if activity.requests.is_empty() && len > 0 {
            activity.header_section_since.get_or_insert(now);
        }
        // hyper buffers no more bytes than this.
        activity.header_section_len = (activity.header_section_len + len).min(2 * HEADER_SECTION_LEN_MAX);
        if activity.count_buffered() { Ok(()) } else { Err(CloseReason::BuffersFull) }
    }

    /// Records that `len` of the arrived bytes were part of a request's body that a handler has read.
    pub(super) fn body_read(&self, len: usize) {
        let mut activity = self.activity.lock();
        activity.allowance_len = activity.allowance_len.saturating_add(len).min(INPUT_ALLOWANCE_LEN);
        activity.header_section_len = activity.header_section_len.saturating_sub(len);
        activity.count_less_buffered();
    }

    /// Records that `len` more bytes of bodies are kept until their requests are answered. Returns false if the buffers
    /// have no room for these bytes. They must then not be kept.
    pub(super) fn hold_body(&self, len: usize) -> bool {
        let mut activity = self.activity.lock();
        activity.bodies_len += len;
        if activity.count_buffered() {
            return true;
        }
        activity.bodies_len -= len;
        activity.count_less_buffered();
        false
    }

    /// Records that `len` bytes of bodies are no longer kept.
    pub(super) fn release_body(&self, len: usize) {
        let mut activity = self.activity.lock();
        activity.bodies_len = activity.bodies_len.saturating_sub(len);
        activity.count_less_buffered();
    }

    /// Records that the connection switches to another protocol.
    pub(super) fn upgrade(&self) {
        self.activity.lock().is_upgraded = true;
    }

    /// Whether the connection must close after its next response, because no slots are free.
    pub(super) fn is_slot_needed(&self) -> bool {
        self.activity.lock().ticket.as_ref().is_none_or(Ticket::is_last)
    }

    /// Asks the connection to close after it has answered the requests in progress.
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
    fn request(&mut self, id: u64) -> Option<&mut RequestInProgress> {
        self.requests.iter_mut().find(|request| request.id == id)
    }

    /// Counts the bytes that the connection has buffered now against `buffers_mb`. Returns false if there is no room
    /// for these bytes.
    fn count_buffered(&self) -> bool {
        let len = self.header_section_len;
        let header_section_len = if len > HEADER_SECTION_FREE_LEN { len } else { 0 };
        // Each connection may have one request that does not count.
        let requests_len = self.requests.len().saturating_sub(1) * REQUEST_LEN;
        let len = self.unsent_len + self.bodies_len + header_section_len + requests_len;
        self.ticket.as_ref().is_none_or(|ticket| ticket.buffer(len))
    }

    /// Like [`Activity::count_buffered`], for a connection that has fewer bytes buffered than before. So there is
    /// always room.
    fn count_less_buffered(&self) {
        let _ = self.count_buffered();
    }
}
