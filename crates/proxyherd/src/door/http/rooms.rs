//! The two rooms of the HTTP door, and who gives way to whom. Nothing here waits, reads a clock, or knows of sockets.
//!
//! Every connection that comes gets a seat at once. In the **general room** there are as many as `admission` has tickets,
//! which clients of all doors share. A connection that gets no ticket may take the seat of one that has been without a
//! request under way for long ([`Board::gives_way_to`]). Otherwise it sits in the **reserve**, where only operators' paths are
//! answered, once, and soon; when the reserve is full, the connection that has been there longest without a complete head
//! gives way. So operators are answered however many connections wait, stream, or hold unfinished requests.
//!
//! The invariant: a connection has a ticket, or one of the few seats of the reserve, or has given way and is being closed.
//! Of the last there are at most [`LEAVING_MAX`], so descriptors are bounded too.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
    sync::Arc,
};

use parking_lot::{Mutex, MutexGuard};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

use super::{
    holder::Holder,
    limits::{CANDIDATES_MAX, LEAVING_MAX, RESERVE_SEATS, UNDISTURBED},
};
use crate::{
    admission::{Admission, TurnedAway},
    clock,
    door_kind::DoorKind,
    subscriber::subscriber,
};

/// Both rooms.
#[derive(Debug)]
pub(super) struct Rooms {
    admission: Arc<Admission>,
    leaving: Arc<Semaphore>,
    board: Mutex<Board>,
}

/// Who sits where.
#[derive(Debug, Default)]
pub(super) struct Board {
    /// Counts all connections, so that a later one has the greater number.
    last: u64,
    /// How many seats of the general room an address has.
    held: HashMap<IpAddr, usize>,
    /// Those in the general room that have no request under way, by since when.
    waiting: BTreeMap<(Instant, u64), Arc<Holder>>,
    /// The same, by address.
    waiting_of: BTreeSet<(IpAddr, Instant, u64)>,
    reserve: BTreeMap<u64, Arc<Holder>>,
}

impl Rooms {
    pub(super) fn new(admission: &Arc<Admission>) -> Arc<Rooms> {
        Arc::new(Rooms {
            admission: Arc::clone(admission),
            leaving: Arc::new(Semaphore::new(LEAVING_MAX)),
            board: Mutex::default(),
        })
    }

    /// Waits until one more connection can be accepted. Only connections that have given way, and whose sockets are about
    /// to be closed, are waited for.
    pub(super) async fn ready(&self) {
        let _one = self.leaving.acquire().await.expect("nobody closes this semaphore");
    }

    /// Takes in a new connection from `ip`.
    pub(super) fn take_in(&self, ip: IpAddr, now: Instant) -> Arc<Holder> {
        let who = subscriber(ip);
        let mut board = self.board.lock();
        let admit = || self.admission.try_admit(ip, clock::monotonic_ns());
        let ticket =
            admit().or_else(|why| if self.make_way(&mut board, who, why, now) { admit() } else { Err(why) });
        board.last += 1;
        let (id, ticket) = (board.last, ticket.ok());
        if ticket.is_none() && board.reserve.len() >= RESERVE_SEATS {
            self.clear_one_of_reserve(&mut board);
        }
        let holder = Arc::new(Holder::new(id, who, ticket, now));
        board.take_in(&holder, now);
        holder
    }

    /// Counts a connection that asked for what the reserve does not give.
    pub(super) fn turn_away(&self) {
        self.admission.turn_away(DoorKind::Http);
    }

    /// Who sits where. Whoever holds this may lock a [`Holder`], and not the other way round.
    pub(super) fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock()
    }

    #[cfg(test)]
    pub(super) fn buffered(&self) -> usize {
        self.admission.buffered()
    }

    /// Has somebody in the general room give way to a newcomer who got no ticket. Says whether somebody does.
    fn make_way(&self, board: &mut Board, newcomer: IpAddr, why: TurnedAway, now: Instant) -> bool {
        let Ok(permit) = Arc::clone(&self.leaving).try_acquire_owned() else { return false };
        let found = match why {
            TurnedAway::AddressFull(_) => board.longest_waiting_of(newcomer),
            TurnedAway::Full(_) => board.gives_way_to(newcomer),
        };
        let found = found.filter(|(since, _)| now.saturating_duration_since(*since) >= UNDISTURBED);
        let Some((_, holder)) = found else { return false };
        board.send_away(&holder, permit);
        true
    }

    fn clear_one_of_reserve(&self, board: &mut Board) {
        // Without a permit there is one connection more than there should be, for a moment.
        let Ok(permit) = Arc::clone(&self.leaving).try_acquire_owned() else { return };
        let is_headless = |holder: &&Arc<Holder>| !holder.has_asked();
        let longest = board.reserve.values().find(is_headless).or_else(|| board.reserve.values().next());
        if let Some(holder) = longest.cloned() {
            board.send_away(&holder, permit);
        }
    }
}

impl Board {
    fn take_in(&mut self, holder: &Arc<Holder>, now: Instant) {
        if holder.is_in_reserve {
            self.reserve.insert(holder.id, Arc::clone(holder));
        } else {
            *self.held.entry(holder.who).or_default() += 1;
            self.waits(holder, now);
        }
    }

    /// `holder` is gone.
    pub(super) fn remove(&mut self, holder: &Holder) {
        if holder.is_in_reserve {
            self.reserve.remove(&holder.id);
            return;
        }
        if let Some(since) = holder.waits_since() {
            self.asks(holder, since);
        }
        if let Some(held) = self.held.get_mut(&holder.who) {
            *held -= 1;
            if *held == 0 {
                self.held.remove(&holder.who);
            }
        }
    }

    /// From now on `holder`, who sits in the general room, has no request under way.
    pub(super) fn waits(&mut self, holder: &Arc<Holder>, since: Instant) {
        self.waiting.insert((since, holder.id), Arc::clone(holder));
        self.waiting_of.insert((holder.who, since, holder.id));
    }

    /// `holder`, who had no request under way since then, now has one, or is gone.
    pub(super) fn asks(&mut self, holder: &Holder, since: Instant) {
        self.waiting.remove(&(since, holder.id));
        self.waiting_of.remove(&(holder.who, since, holder.id));
    }

    /// Of those that have been without a request for longest, one whose address has more seats than the newcomer's, or is
    /// the newcomer's own: of the address with most seats the one that has waited longest.
    fn gives_way_to(&self, newcomer: IpAddr) -> Option<(Instant, Arc<Holder>)> {
        let held = |who: IpAddr| self.held.get(&who).copied().unwrap_or(0);
        let own = held(newcomer);
        let candidates = self.waiting.iter().take(CANDIDATES_MAX);
        let fair = candidates.filter(|(_, holder)| holder.who == newcomer || held(holder.who) > own);
        // Of equals the last one is found, and that is to be the one that has waited longest.
        let found = fair.rev().max_by_key(|(_, holder)| held(holder.who));
        found
            .map(|(&(since, _), holder)| (since, Arc::clone(holder)))
            .or_else(|| self.longest_waiting_of(newcomer))
    }

    fn longest_waiting_of(&self, who: IpAddr) -> Option<(Instant, Arc<Holder>)> {
        let first = self.waiting.keys().next()?.0;
        let &(found, since, id) = self.waiting_of.range((who, first, 0)..).next()?;
        (found == who).then(|| (since, Arc::clone(&self.waiting[&(since, id)])))
    }

    fn send_away(&mut self, holder: &Arc<Holder>, permit: OwnedSemaphorePermit) {
        holder.give_way(permit);
        self.remove(holder);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::Limits;

    fn rooms(connections: usize, connections_per_address: usize) -> Arc<Rooms> {
        let limits = Limits { connections, connections_per_address, ..Limits::default() };
        Rooms::new(&Arc::new(Admission::new(&limits, usize::MAX)))
    }

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    #[test]
    fn who_finds_no_ticket_sits_in_the_reserve_and_whoever_leaves_gives_the_ticket_back() {
        let (rooms, now) = (rooms(2, 9), Instant::now());
        let one = rooms.seat(ip(1), now);
        let _two = rooms.seat(ip(2), now);
        let three = rooms.seat(ip(3), now);
        assert_eq!([&one, &three].map(|seat| seat.is_in_reserve), [false, true]);
        assert!(!three.has_given_way() && !one.has_given_way(), "who has just come is not disturbed");
        drop(one);
        assert!(!rooms.seat(ip(3), now).is_in_reserve);
        drop(three);
        assert!(rooms.board.lock().reserve.is_empty());
    }

    #[test]
    fn who_has_been_without_a_request_for_longest_gives_way() {
        let (rooms, now) = (rooms(3, 9), Instant::now());
        let at = |second| now + Duration::from_secs(second);
        let seats: Vec<_> = (0..3).map(|second| rooms.seat(ip(1), at(second))).collect();
        // The first has a request under way, so the second is the one.
        let flight = seats[0].begin(false);
        assert!(!rooms.seat(ip(2), at(9)).is_in_reserve);
        assert_eq!([0, 1, 2].map(|at: usize| seats[at].has_given_way()), [false, true, false]);
        drop(flight);
    }

    #[test]
    fn an_address_that_has_as_few_as_the_newcomer_keeps_its_seats() {
        let (rooms, now) = (rooms(3, 9), Instant::now());
        let later = now + UNDISTURBED;
        let only = rooms.seat(ip(1), now);
        let _greedy = [rooms.seat(ip(2), now), rooms.seat(ip(2), now)];
        let newcomer = rooms.seat(ip(3), later);
        assert!(!newcomer.is_in_reserve, "one of two gives way");
        assert!(!only.has_given_way());
        let again = rooms.seat(ip(2), later);
        assert!(!again.is_in_reserve, "it takes the seat of its own address");
        assert!(!only.has_given_way() && !newcomer.has_given_way());
    }

    #[test]
    fn at_the_limit_of_an_address_only_its_own_connections_give_way() {
        let (rooms, now) = (rooms(9, 1), Instant::now());
        let other = rooms.seat(ip(2), now);
        let mine = rooms.seat(ip(1), now);
        assert!(rooms.seat(ip(1), now).is_in_reserve);
        assert!(!rooms.seat(ip(1), now + UNDISTURBED).is_in_reserve);
        assert!(mine.has_given_way() && !other.has_given_way());
    }

    #[test]
    fn a_full_reserve_takes_the_seat_of_who_has_asked_nothing_for_longest() {
        let (rooms, now) = (rooms(1, 9), Instant::now());
        let _ticket = rooms.seat(ip(1), now);
        let busy = rooms.seat(ip(2), now);
        let _flight = busy.begin(true);
        let silent: Vec<_> = (1..RESERVE_SEATS).map(|_| rooms.seat(ip(2), now)).collect();
        assert!(silent.iter().all(|seat| seat.is_in_reserve && !seat.has_given_way()));
        let newcomer = rooms.seat(ip(2), now);
        assert!(newcomer.is_in_reserve && silent[0].has_given_way());
        assert!(!silent[1].has_given_way() && !busy.has_given_way());
        let flights: Vec<_> = silent[1..].iter().chain([&newcomer]).map(|seat| seat.begin(true)).collect();
        let _last = rooms.seat(ip(2), now);
        assert!(busy.has_given_way(), "where all have asked, the oldest");
        drop(flights);
    }

    #[tokio::test]
    async fn the_next_connection_waits_until_those_that_gave_way_are_closed() {
        let (rooms, now) = (rooms(1, 9), Instant::now());
        let seats: Vec<_> = (0..=RESERVE_SEATS + LEAVING_MAX).map(|_| rooms.seat(ip(1), now)).collect();
        assert_eq!(seats.iter().filter(|seat| seat.has_given_way()).count(), LEAVING_MAX);
        let mut ready = Box::pin(rooms.ready());
        assert!(futures_poll(&mut ready).is_pending());
        drop(seats);
        ready.await;
        assert!(rooms.board.lock().held.is_empty() && rooms.board.lock().waiting.is_empty());
    }

    fn futures_poll(future: &mut (impl Future<Output = ()> + Unpin)) -> std::task::Poll<()> {
        std::pin::Pin::new(future).poll(&mut std::task::Context::from_waker(std::task::Waker::noop()))
    }
}
