//! One connection's seat: its [`Holder`]'s right to be there.
//!
//! The requests and answers of a connection are [`Flight`]s. The seat is given back when the last of task, stream and
//! answers has dropped it, so a stream that outlives its connection (an upgraded one) keeps the seat.

use std::{fmt, net::IpAddr, ops::Deref, sync::Arc};

use tokio::time::Instant;

use super::{holder::Holder, rooms::Rooms};

/// A connection's right to be there; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    rooms: Arc<Rooms>,
    holder: Arc<Holder>,
}

impl Rooms {
    /// A seat for a new connection from `ip`, for as long as it lives.
    pub(super) fn seat(self: &Arc<Rooms>, ip: IpAddr, now: Instant) -> Arc<Seat> {
        Arc::new(Seat { rooms: Arc::clone(self), holder: self.take_in(ip, now) })
    }
}

impl Seat {
    /// Counts a request that is not answered because the general room is full.
    pub(super) fn turn_away(&self) {
        self.rooms.turn_away();
    }

    /// The head of a request is complete.
    pub(super) fn begin(self: &Arc<Seat>, is_operators: bool) -> Flight {
        let mut board = self.rooms.board();
        let (id, waited_since) = self.holder.begin(is_operators);
        if let Some(since) = waited_since {
            board.asks(&self.holder, since);
        }
        Flight { seat: Arc::clone(self), id, is_answered: false }
    }
}

impl Deref for Seat {
    type Target = Holder;

    fn deref(&self) -> &Holder {
        &self.holder
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut board = self.rooms.board();
        if !self.holder.is_leaving() {
            board.remove(&self.holder);
        }
    }
}

/// A request, from its head to the end of its answer or until nobody wants it any more.
pub(super) struct Flight {
    seat: Arc<Seat>,
    id: u64,
    is_answered: bool,
}

impl Flight {
    /// There is an answer of so many bytes; see [`Holder::answering`].
    pub(super) fn answering(&self, len: usize, is_operators: bool, now: Instant) -> bool {
        self.seat.answering(self.id, len, is_operators, now)
    }

    /// So many bytes of the answer are on their way, or nobody will have them.
    pub(super) fn gave(&self, len: usize) {
        self.seat.gave(len);
    }

    /// The whole answer is on its way.
    pub(super) fn answered(&mut self) {
        self.is_answered = true;
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let (seat, now) = (&self.seat, Instant::now());
        let mut board = seat.rooms.board();
        if seat.end(self.id, self.is_answered, now) {
            board.waits(&seat.holder, now);
        }
    }
}

impl fmt::Debug for Flight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Flight({})", self.id)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{
        super::{
            holder::{Closed, Verdict},
            limits::{
                ANSWER_MAX, CHATTER_LEN_MAX, CHATTER_PER_S, HEAD_FREE_LEN, HEAD_MAX, REQUEST_LEN,
                RESERVE_HEAD_MAX, RESERVE_MAX, RESETS_MAX, STREAMS_MAX,
            },
        },
        *,
    };
    use crate::{admission::Admission, config::Limits};

    fn seat(limits: &Limits, now: Instant) -> Arc<Seat> {
        Rooms::new(&Arc::new(Admission::new(limits, 9))).seat(IpAddr::from([127, 0, 0, 1]), now)
    }

    #[test]
    fn whoever_asks_nothing_for_long_has_to_go() {
        let now = Instant::now();
        let seat = seat(&Limits::default(), now);
        assert_eq!((seat.deadline(now), seat.overdue(now)), (now + HEAD_MAX, None));
        let idle = Some(Closed::Idle(HEAD_MAX));
        assert_eq!(seat.overdue(now + HEAD_MAX), idle);
        let mut flight = seat.begin(false);
        assert_eq!(seat.overdue(now + 100 * HEAD_MAX), None, "a handler has its own limits");
        flight.answered();
        drop(flight);
        assert_eq!(seat.overdue(now + HEAD_MAX / 2), None);
        assert_eq!(seat.overdue(Instant::now() + HEAD_MAX), idle);
    }

    #[test]
    fn the_oldest_answer_says_when_the_connection_has_to_go() {
        let now = Instant::now();
        let seat = seat(&Limits::default(), now);
        let (one, two) = (seat.begin(false), seat.begin(false));
        assert!(two.answering(10, false, now + HEAD_MAX) && one.answering(10, false, now));
        assert_eq!(seat.overdue(now + ANSWER_MAX / 2), None);
        assert_eq!(seat.overdue(now + ANSWER_MAX), Some(Closed::NotReading(ANSWER_MAX)));
        drop(one);
        assert_eq!(seat.overdue(now + ANSWER_MAX), None);
        assert_eq!(seat.deadline(now), now + HEAD_MAX + ANSWER_MAX);
    }

    #[test]
    fn in_the_reserve_everything_is_over_soon() {
        let now = Instant::now();
        let seat = seat(&Limits { connections: 0, ..Limits::default() }, now);
        assert!(seat.is_in_reserve);
        assert_eq!(seat.overdue(now + RESERVE_HEAD_MAX), Some(Closed::Idle(RESERVE_HEAD_MAX)));
        drop(seat.begin(true));
        assert_eq!(seat.overdue(now + RESERVE_HEAD_MAX), None);
        assert_eq!(seat.overdue(now + RESERVE_MAX), Some(Closed::NotReading(RESERVE_MAX)));
    }

    #[test]
    fn bytes_that_ask_nothing_are_allowed_in_measure() {
        let now = Instant::now();
        let seat = seat(&Limits::default(), now);
        let more = CHATTER_LEN_MAX / 2;
        assert_eq!([more, more, 1].map(|len| seat.heard(len, now)), [Ok(()), Ok(()), Err(Closed::Chatter)]);
        let second = Duration::from_secs(1);
        assert_eq!(seat.heard(CHATTER_PER_S + 1, now + second), Err(Closed::Chatter));
        assert_eq!(seat.heard(CHATTER_PER_S, now + second), Ok(()));
        seat.took_body(more);
        assert_eq!([more, 1].map(|len| seat.heard(len, now + second)), [Ok(()), Err(Closed::Chatter)]);
        let mut flight = seat.begin(false);
        flight.answered();
        drop(flight);
        assert_eq!(seat.heard(CHATTER_LEN_MAX, now + second), Ok(()), "whoever is answered begins anew");
        assert_eq!(seat.heard(1, now + second), Err(Closed::Chatter));
    }

    #[test]
    fn a_connection_that_speaks_another_protocol_is_left_alone_and_keeps_its_seat() {
        let now = Instant::now();
        let rooms = Rooms::new(&Arc::new(Admission::new(&Limits { connections: 1, ..Limits::default() }, 9)));
        let ip = IpAddr::from([127, 0, 0, 1]);
        let seat = rooms.seat(ip, now);
        let flight = seat.begin(false);
        seat.upgrade();
        drop(flight);
        let later = now + 1000 * HEAD_MAX;
        assert_eq!((seat.overdue(later), seat.heard(usize::MAX, later)), (None, Ok(())));
        assert!(rooms.seat(ip, later).is_in_reserve && !seat.has_given_way());
        drop(seat);
        assert!(!rooms.seat(ip, later).is_in_reserve);
    }

    #[tokio::test]
    async fn whoever_takes_back_more_than_it_takes_has_to_go() {
        let seat = seat(&Limits::default(), Instant::now());
        for _ in 0..RESETS_MAX {
            drop(seat.begin(false));
        }
        for _ in 0..2 {
            let mut flight = seat.begin(false);
            flight.answered();
        }
        drop(seat.begin(false));
        seat.leave();
        assert_eq!(seat.told().await, Verdict::Leave, "two answers make up for one that was taken back");
        drop(seat.begin(false));
        assert_eq!(seat.told().await, Verdict::Cut(Closed::Resets(RESETS_MAX + 2)));
    }

    #[test]
    fn what_is_not_taken_has_room_up_to_a_bound_and_operators_have_one_answer_more() {
        let now = Instant::now();
        let requests_len = (STREAMS_MAX as usize - 1) * REQUEST_LEN;
        let seat = seat(&Limits { buffers: requests_len + 100, ..Limits::default() }, now);
        let flights: Vec<_> = (0..STREAMS_MAX).map(|_| seat.begin(false)).collect();
        assert!(flights[0].answering(80, false, now) && !flights[1].answering(30, true, now));
        assert!(flights[1].answering(20, false, now));
        assert!(!flights[2].answering(1, false, now));
        flights[0].gave(80);
        flights[1].gave(20);
        assert!(!flights[3].answering(1000, false, now));
        assert!(flights[3].answering(1000, true, now));
        assert!(!flights[4].answering(1, true, now));
    }

    #[tokio::test]
    async fn requests_under_way_are_memory_and_one_of_each_connection_has_room() {
        let now = Instant::now();
        let rooms = Rooms::new(&Arc::new(Admission::new(
            &Limits { buffers: 2 * REQUEST_LEN, ..Limits::default() },
            9,
        )));
        let [one, other] = [1, 1].map(|last| rooms.seat(IpAddr::from([127, 0, 0, last]), now));
        let mut flights: Vec<_> = (0..3).map(|_| one.begin(true)).collect();
        let only = other.begin(true);
        assert_eq!(rooms.buffered(), 2 * REQUEST_LEN);
        drop(flights.pop());
        assert_eq!(rooms.buffered(), REQUEST_LEN);
        let second = other.begin(true);
        let third = other.begin(true);
        assert_eq!(other.told().await, Verdict::Cut(Closed::NoRoom));
        drop((only, second, third, other, flights, one));
        assert_eq!(rooms.buffered(), 0);
    }

    #[test]
    fn a_head_that_comes_beside_a_request_is_memory_and_what_is_read_of_a_body_is_not() {
        let now = Instant::now();
        let seat = seat(&Limits { buffers: 10_000, ..Limits::default() }, now);
        let _stuck = seat.begin(false);
        assert_eq!([6_000, 4_000].map(|len| seat.heard(len, now)), [Ok(()), Ok(())]);
        seat.took_body(5_000);
        assert_eq!([5_000, 1].map(|len| seat.heard(len, now)), [Ok(()), Err(Closed::NoRoom)]);
    }

    #[test]
    fn a_head_that_has_come_only_in_part_is_memory_until_it_is_whole() {
        let now = Instant::now();
        let seat = seat(&Limits { buffers: 10_000, ..Limits::default() }, now);
        assert_eq!(
            [HEAD_FREE_LEN, 5_000, 5_000].map(|len| seat.heard(len, now)),
            [Ok(()), Ok(()), Err(Closed::NoRoom)]
        );
        // It was whole 500 bytes before the end of the last read.
        seat.took_head(HEAD_FREE_LEN + 9_500);
        drop(seat.begin(false));
        assert_eq!([4_500, 5_000].map(|len| seat.heard(len, now)), [Ok(()), Ok(())]);
        assert_eq!(seat.heard(1, now), Err(Closed::NoRoom));
        seat.took_head(5_000);
        assert_eq!([4_999, 1].map(|len| seat.heard(len, now)), [Ok(()), Err(Closed::NoRoom)]);
    }
}
