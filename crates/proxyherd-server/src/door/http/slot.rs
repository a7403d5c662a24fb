//! The slot of one connection, as a guard. Dropping the guard gives the slot back.
//!
//! [`Slots::open`] returns the guard. The connection's task, its stream and its responses share the guard. The slot is
//! given back when all of them are dropped. So an upgraded stream, which outlives its connection's task, keeps the
//! slot. A request in progress is a [`RequestGuard`]. It lives from [`ConnectionSlot::begin`] until its response was
//! handed over or the client canceled the request.
//!
//! A slot keeps the connection's state and the table of slots consistent. The slot locks the table before it changes
//! whether the connection is idle.

use std::{
    fmt,
    net::IpAddr,
    ops::Deref,
    sync::{Arc, OnceLock},
    task::{Context, Poll, ready},
};

use proxyherd_config::door_kind::DoorKind;
use tokio::time::Instant;

use super::{
    connection_state::{Audience, ConnectionState, RequestEnd},
    slots::Slots,
};
use crate::admission::Entered;

/// A connection's slot. Dropping this value gives the slot back.
#[derive(Debug)]
pub(super) struct ConnectionSlot {
    slots: Arc<Slots>,
    connection: Arc<ConnectionState>,
    /// Counts the connection as open.
    entered: OnceLock<Entered>,
}

impl Slots {
    /// Gives a new connection from `ip` a slot, for as long as the connection lives.
    pub(super) fn open(self: &Arc<Slots>, ip: IpAddr, now: Instant) -> Arc<ConnectionSlot> {
        let (slots, connection) = (Arc::clone(self), self.allot(ip, now));
        Arc::new(ConnectionSlot { slots, connection, entered: OnceLock::new() })
    }
}

impl ConnectionSlot {
    /// Keeps what counts the connection as open, until the slot is given back.
    pub(super) fn keep(&self, entered: Entered) {
        let _ = self.entered.set(entered);
    }

    /// Counts a request that was refused because this slot is in the reserve.
    pub(super) fn count_refusal(&self, door: DoorKind) {
        self.slots.count_refusal(door);
    }

    /// Begins a request whose header section has arrived completely.
    pub(super) fn begin(self: &Arc<ConnectionSlot>, audience: Audience) -> RequestGuard {
        let mut table = self.slots.table();
        let (id, idle_since) = self.connection.begin_request(audience);
        if let Some(since) = idle_since {
            table.mark_busy(&self.connection, since);
        }
        RequestGuard { slot: Arc::clone(self), id, end: RequestEnd::Canceled, unsent_len: 0 }
    }
}

impl Deref for ConnectionSlot {
    type Target = ConnectionState;

    fn deref(&self) -> &ConnectionState {
        &self.connection
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        let mut table = self.slots.table();
        if !self.connection.is_evicted() {
            table.remove(&self.connection);
        }
    }
}

/// A request in progress. If this value is dropped before a call of [`RequestGuard::answered`], the request counts as
/// canceled.
pub(super) struct RequestGuard {
    slot: Arc<ConnectionSlot>,
    id: u64,
    end: RequestEnd,
    /// Number of the response's bytes that count as unsent.
    unsent_len: usize,
}

impl RequestGuard {
    /// Records that a response of `len` bytes is ready. See [`ConnectionState::begin_response`].
    pub(super) fn begin_response(&mut self, len: usize, audience: Audience, now: Instant) -> bool {
        let has_room = self.slot.begin_response(self.id, len, audience, now);
        self.unsent_len += if has_room { len } else { 0 };
        has_room
    }

    /// Records that at most `len` bytes of the response are still to be handed over.
    pub(super) fn shrink_response(&mut self, len: usize) {
        self.response_sent(self.unsent_len.saturating_sub(len));
    }

    /// Records that `len` bytes of the response were handed over, or will never be handed over.
    pub(super) fn response_sent(&mut self, len: usize) {
        let len = len.min(self.unsent_len);
        if len > 0 {
            self.unsent_len -= len;
            self.slot.response_sent(len);
        }
    }

    /// Records that a batch of `len` bytes of a stream is handed to the protocol. See [`ConnectionState::begin_batch`].
    pub(super) fn begin_batch(&mut self, len: usize, deadline: Option<Instant>) -> bool {
        let has_room = self.slot.begin_batch(self.id, len, deadline);
        self.unsent_len += if has_room { len } else { 0 };
        // Whoever ends a stream has got what it wanted, so this is no canceled request.
        self.answered();
        has_room
    }

    /// Records that some of a batch has passed the protocol. See [`ConnectionState::delay_batch`].
    pub(super) fn delay_batch(&self, deadline: Instant) {
        self.slot.delay_batch(self.id, deadline);
    }

    /// Waits until the connection has taken the last batch of a stream.
    pub(super) fn poll_batch_sent(&mut self, context: &Context<'_>) -> Poll<()> {
        ready!(self.slot.poll_batch_sent(self.id, context));
        self.shrink_response(0);
        Poll::Ready(())
    }

    /// Number of the response's bytes that count as unsent.
    pub(super) fn unsent_len(&self) -> usize {
        self.unsent_len
    }

    /// Records that the whole response was handed over.
    pub(super) fn answered(&mut self) {
        self.end = RequestEnd::Answered;
    }
}

impl Drop for RequestGuard {
    fn drop(&mut self) {
        self.shrink_response(0);
        let (slot, now) = (&self.slot, Instant::now());
        let mut table = slot.slots.table();
        if slot.end_request(self.id, self.end, now) {
            table.mark_idle(&slot.connection, now);
        }
    }
}

impl fmt::Debug for RequestGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RequestGuard({})", self.id)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proxyherd_config::config::Limits;

    use super::{
        super::{
            connection_state::{CloseReason, Directive},
            limits::{
                CANCELLATIONS_MAX, HEADER_SECTION_FREE_LEN, HEADER_SECTION_TIME_MIN, IDLE_TIMEOUT,
                INPUT_ALLOWANCE_LEN, INPUT_ALLOWANCE_PER_S, REQUEST_LEN, RESERVE_IDLE_TIMEOUT,
                RESERVE_LIFETIME_MAX, RESPONSE_TIMEOUT, STREAM_WRITE_TIMEOUT, STREAMS_MAX, WRITE_TIMEOUT,
            },
        },
        *,
    };
    use crate::admission::Admission;

    fn slot(limits: &Limits, now: Instant) -> Arc<ConnectionSlot> {
        Slots::new(&Arc::new(Admission::new(limits, 9))).open(IpAddr::from([127, 0, 0, 1]), now)
    }

    #[test]
    fn an_idle_connection_times_out() {
        let now = Instant::now();
        let slot = slot(&Limits::default(), now);
        assert_eq!((slot.deadline(now), slot.overdue(now)), (now + IDLE_TIMEOUT, None));
        let idle = Some(CloseReason::IdleTimeout(IDLE_TIMEOUT));
        assert_eq!(slot.overdue(now + IDLE_TIMEOUT), idle);
        let mut request = slot.begin(Audience::Clients);
        assert_eq!(slot.overdue(now + 100 * IDLE_TIMEOUT), None, "a handler has its own timeouts");
        request.answered();
        drop(request);
        assert_eq!(slot.overdue(now + IDLE_TIMEOUT / 2), None);
        assert_eq!(slot.overdue(Instant::now() + IDLE_TIMEOUT), idle);
    }

    #[test]
    fn a_header_section_that_begins_just_before_the_idle_timeout_has_time_to_arrive() {
        let now = Instant::now();
        let slot = slot(&Limits::default(), now);
        let late = now + IDLE_TIMEOUT - HEADER_SECTION_TIME_MIN / 2;
        slot.received(1, late).unwrap();
        assert_eq!(slot.overdue(now + IDLE_TIMEOUT), None);
        slot.received(1, now + IDLE_TIMEOUT).unwrap();
        let idle = Some(CloseReason::IdleTimeout(IDLE_TIMEOUT));
        assert_eq!(slot.overdue(late + HEADER_SECTION_TIME_MIN), idle, "more bytes give no more time");
    }

    #[test]
    fn the_oldest_response_sets_the_deadline() {
        let now = Instant::now();
        let slot = slot(&Limits::default(), now);
        let (mut one, mut two) = (slot.begin(Audience::Clients), slot.begin(Audience::Clients));
        assert!(
            two.begin_response(10, Audience::Clients, now + IDLE_TIMEOUT)
                && one.begin_response(10, Audience::Clients, now)
        );
        assert_eq!(slot.overdue(now + RESPONSE_TIMEOUT / 2), None);
        assert_eq!(
            slot.overdue(now + RESPONSE_TIMEOUT),
            Some(CloseReason::ResponseTimeout(RESPONSE_TIMEOUT))
        );
        drop(one);
        assert_eq!(slot.overdue(now + RESPONSE_TIMEOUT), None);
        assert_eq!(slot.deadline(now), now + IDLE_TIMEOUT + RESPONSE_TIMEOUT);
    }

    #[test]
    fn a_stream_that_the_client_holds_back_sets_a_deadline_for_each_piece() {
        let now = Instant::now();
        let slot = slot(&Limits::default(), now);
        let mut request = slot.begin(Audience::Clients);
        assert_eq!(slot.write_timeout(), WRITE_TIMEOUT);
        assert!(request.begin_batch(10, Some(now + STREAM_WRITE_TIMEOUT)));
        assert_eq!(slot.write_timeout(), STREAM_WRITE_TIMEOUT);
        request.delay_batch(now + 2 * STREAM_WRITE_TIMEOUT);
        assert_eq!((slot.overdue(now + STREAM_WRITE_TIMEOUT), slot.is_cut()), (None, false));
        let why = Some(CloseReason::StreamTimeout(STREAM_WRITE_TIMEOUT));
        assert_eq!((slot.overdue(now + 2 * STREAM_WRITE_TIMEOUT), slot.is_cut()), (why, true));
    }

    #[test]
    fn in_the_reserve_timeouts_are_short() {
        let now = Instant::now();
        let slot = slot(&Limits { connections: 0, ..Limits::default() }, now);
        assert!(slot.is_in_reserve());
        assert_eq!(
            slot.overdue(now + RESERVE_IDLE_TIMEOUT),
            Some(CloseReason::IdleTimeout(RESERVE_IDLE_TIMEOUT))
        );
        drop(slot.begin(Audience::Operators));
        assert_eq!(slot.overdue(now + RESERVE_IDLE_TIMEOUT), None);
        assert_eq!(
            slot.overdue(now + RESERVE_LIFETIME_MAX),
            Some(CloseReason::ResponseTimeout(RESERVE_LIFETIME_MAX))
        );
    }

    #[test]
    fn bytes_without_a_request_are_allowed_up_to_the_allowance() {
        let now = Instant::now();
        let slot = slot(&Limits::default(), now);
        let more = INPUT_ALLOWANCE_LEN / 2;
        assert_eq!(
            [more, more, 1].map(|len| slot.received(len, now)),
            [Ok(()), Ok(()), Err(CloseReason::InputAllowance)]
        );
        let second = Duration::from_secs(1);
        assert_eq!(slot.received(INPUT_ALLOWANCE_PER_S + 1, now + second), Err(CloseReason::InputAllowance));
        assert_eq!(slot.received(INPUT_ALLOWANCE_PER_S, now + second), Ok(()));
        slot.body_read(more);
        assert_eq!(
            [more, 1].map(|len| slot.received(len, now + second)),
            [Ok(()), Err(CloseReason::InputAllowance)]
        );
        let mut request = slot.begin(Audience::Clients);
        request.answered();
        drop(request);
        assert_eq!(
            slot.received(INPUT_ALLOWANCE_LEN, now + second),
            Ok(()),
            "a response refills the allowance"
        );
        assert_eq!(slot.received(1, now + second), Err(CloseReason::InputAllowance));
    }

    #[test]
    fn an_upgraded_connection_has_no_timeouts_and_keeps_its_slot() {
        let now = Instant::now();
        let slots = Slots::new(&Arc::new(Admission::new(&Limits { connections: 1, ..Limits::default() }, 9)));
        let ip = IpAddr::from([127, 0, 0, 1]);
        let slot = slots.open(ip, now);
        let request = slot.begin(Audience::Clients);
        slot.upgrade();
        drop(request);
        let later = now + 1000 * IDLE_TIMEOUT;
        assert_eq!((slot.overdue(later), slot.received(usize::MAX, later)), (None, Ok(())));
        assert!(slots.open(ip, later).is_in_reserve() && !slot.is_evicted());
        drop(slot);
        assert!(!slots.open(ip, later).is_in_reserve());
    }

    #[tokio::test]
    async fn a_client_that_cancels_most_of_its_requests_is_disconnected() {
        let slot = slot(&Limits::default(), Instant::now());
        for _ in 0..CANCELLATIONS_MAX {
            drop(slot.begin(Audience::Clients));
        }
        for _ in 0..2 {
            let mut request = slot.begin(Audience::Clients);
            request.answered();
        }
        drop(slot.begin(Audience::Clients));
        slot.drain();
        assert_eq!(
            slot.directive().await,
            Directive::Drain,
            "two answered requests make up for one that was canceled"
        );
        drop(slot.begin(Audience::Clients));
        assert_eq!(
            slot.directive().await,
            Directive::Close(CloseReason::Cancellations(CANCELLATIONS_MAX + 2))
        );
    }

    #[test]
    fn unsent_responses_are_bounded_and_operators_have_room_for_one_more() {
        let now = Instant::now();
        let requests_len = (STREAMS_MAX as usize - 1) * REQUEST_LEN;
        let slot = slot(&Limits { buffers: requests_len + 100, ..Limits::default() }, now);
        let mut requests: Vec<_> = (0..STREAMS_MAX).map(|_| slot.begin(Audience::Clients)).collect();
        assert!(
            requests[0].begin_response(80, Audience::Clients, now)
                && !requests[1].begin_response(30, Audience::Operators, now)
        );
        assert!(requests[1].begin_response(20, Audience::Clients, now));
        assert!(!requests[2].begin_response(1, Audience::Clients, now));
        requests[0].response_sent(80);
        requests[1].response_sent(20);
        assert!(!requests[3].begin_response(1000, Audience::Clients, now));
        assert!(requests[3].begin_response(1000, Audience::Operators, now));
        assert!(!requests[4].begin_response(1, Audience::Operators, now));
    }

    #[tokio::test]
    async fn requests_in_progress_count_as_buffered_but_one_of_each_connection() {
        let now = Instant::now();
        let limits = Limits { buffers: 2 * REQUEST_LEN, ..Limits::default() };
        let slots = Slots::new(&Arc::new(Admission::new(&limits, 9)));
        let [one, other] = [1, 1].map(|last| slots.open(IpAddr::from([127, 0, 0, last]), now));
        let mut requests: Vec<_> = (0..3).map(|_| one.begin(Audience::Operators)).collect();
        let only = other.begin(Audience::Operators);
        assert_eq!(slots.buffered(), 2 * REQUEST_LEN);
        drop(requests.pop());
        assert_eq!(slots.buffered(), REQUEST_LEN);
        let second = other.begin(Audience::Operators);
        let third = other.begin(Audience::Operators);
        assert_eq!(other.directive().await, Directive::Close(CloseReason::BuffersFull));
        drop((only, second, third, other, requests, one));
        assert_eq!(slots.buffered(), 0);
    }

    #[test]
    fn a_header_section_beside_a_request_counts_as_buffered_and_a_body_that_was_read_does_not() {
        let now = Instant::now();
        let slot = slot(&Limits { buffers: 10_000, ..Limits::default() }, now);
        let _stuck = slot.begin(Audience::Clients);
        assert_eq!([6_000, 4_000].map(|len| slot.received(len, now)), [Ok(()), Ok(())]);
        slot.body_read(5_000);
        let full = Err(CloseReason::BuffersFull);
        assert_eq!([5_000, 1].map(|len| slot.received(len, now)), [Ok(()), full]);
    }

    #[test]
    fn an_incomplete_header_section_counts_as_buffered() {
        let now = Instant::now();
        let slot = slot(&Limits { buffers: 10_000, ..Limits::default() }, now);
        assert_eq!(
            [HEADER_SECTION_FREE_LEN, 5_000, 5_000].map(|len| slot.received(len, now)),
            [Ok(()), Ok(()), Err(CloseReason::BuffersFull)]
        );
        // The header section was complete 500 bytes before the end of the last read.
        slot.header_section_complete(HEADER_SECTION_FREE_LEN + 9_500);
        drop(slot.begin(Audience::Clients));
        assert_eq!([4_500, 5_000].map(|len| slot.received(len, now)), [Ok(()), Ok(())]);
        let full = Err(CloseReason::BuffersFull);
        assert_eq!(slot.received(1, now), full);
        slot.header_section_complete(5_000);
        assert_eq!([4_999, 1].map(|len| slot.received(len, now)), [Ok(()), full]);
    }
}
