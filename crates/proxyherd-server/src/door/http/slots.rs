//! The slots of the connections of HTTP, at all doors, and the choice of the connection that is evicted for another
//! connection. Nothing here waits, reads a clock, or knows sockets.
//!
//! [`Slots::open`] (in `slot`) gives each new connection a slot at once. There are two kinds of slots. The number of
//! **general** slots is the number of `admission`'s tickets. The clients of all doors share these tickets. A connection
//! that gets no ticket may take the slot of a connection that has long been idle ([`SlotTable::eviction_candidate`]).
//! Otherwise its slot is in the **reserve**. A connection in the reserve may make one request, within a short time, and
//! only to operators' paths. When the reserve is full, its oldest connection without a complete request is evicted. So
//! operators get answers even if many connections are idle, stream, or send incomplete requests.
//!
//! The invariant: each connection has a ticket, has one of the few slots of the reserve, or is evicted and about to be
//! closed. At most [`EVICTED_OPEN_MAX`] connections are evicted and not closed yet. So the number of descriptors is
//! limited too.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
    sync::Arc,
};

use parking_lot::{Mutex, MutexGuard};
use proxyherd_config::{clock, door_kind::DoorKind};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

use super::{
    connection_state::{ConnectionState, SlotKind},
    limits::{EVICTED_OPEN_MAX, EVICTION_CANDIDATES_MAX, EVICTION_IDLE_MIN, RESERVE_SLOTS},
};
use crate::{
    admission::{Admission, TurnedAway},
    subscriber::subscriber,
};

/// All slots.
#[derive(Debug)]
pub(super) struct Slots {
    admission: Arc<Admission>,
    /// A permit for each evicted connection that is not closed yet.
    evictions: Arc<Semaphore>,
    table: Mutex<SlotTable>,
}

/// The table of slots and their connections.
#[derive(Debug, Default)]
pub(super) struct SlotTable {
    last_id: u64,
    /// Number of general slots that the connections from each address have.
    count_of: HashMap<IpAddr, usize>,
    /// The idle connections with general slots, in the order of the time since which they have been idle.
    idle: BTreeMap<(Instant, u64), Arc<ConnectionState>>,
    /// The same connections, by address.
    idle_of: BTreeSet<(IpAddr, Instant, u64)>,
    reserve: BTreeMap<u64, Arc<ConnectionState>>,
}

impl Slots {
    pub(super) fn new(admission: &Arc<Admission>) -> Arc<Slots> {
        Arc::new(Slots {
            admission: Arc::clone(admission),
            evictions: Arc::new(Semaphore::new(EVICTED_OPEN_MAX)),
            table: Mutex::default(),
        })
    }

    /// Waits until one more connection can be accepted. This waits only for evicted connections, whose sockets are
    /// about to be closed.
    pub(super) async fn ready(&self) {
        let _permit = self.evictions.acquire().await.expect("nobody closes this semaphore");
    }

    /// Allots a slot to a new connection from `ip`. [`SlotTable::remove`] gives the slot back.
    pub(super) fn allot(&self, ip: IpAddr, now: Instant) -> Arc<ConnectionState> {
        let address = subscriber(ip);
        let mut table = self.table.lock();
        let admit = || self.admission.try_admit(ip, clock::monotonic_ns());
        let ticket = admit().or_else(|why| {
            if self.evict_general(&mut table, address, why, now) { admit() } else { Err(why) }
        });
        table.last_id += 1;
        let (id, ticket) = (table.last_id, ticket.ok());
        if ticket.is_none() && table.reserve.len() >= RESERVE_SLOTS {
            self.evict_from_reserve(&mut table);
        }
        let connection = Arc::new(ConnectionState::new(id, address, ticket, now));
        table.insert(&connection, now);
        connection
    }

    /// Counts a request that was refused because its connection is in the reserve.
    pub(super) fn count_refusal(&self, door: DoorKind) {
        self.admission.turn_away(door);
    }

    /// Locks the table. While the table is locked, the caller may call a [`ConnectionState`], which never locks the
    /// table.
    pub(super) fn table(&self) -> MutexGuard<'_, SlotTable> {
        self.table.lock()
    }

    #[cfg(test)]
    pub(super) fn buffered(&self) -> usize {
        self.admission.buffered()
    }

    /// Evicts a connection with a general slot for a connection from `newcomer` that got no ticket. Returns whether a
    /// connection was evicted.
    fn evict_general(&self, table: &mut SlotTable, newcomer: IpAddr, why: TurnedAway, now: Instant) -> bool {
        let Ok(permit) = Arc::clone(&self.evictions).try_acquire_owned() else { return false };
        let found = match why {
            TurnedAway::AddressFull(_) => table.longest_idle_of(newcomer),
            TurnedAway::Full(_) => table.eviction_candidate(newcomer),
        };
        let found = found.filter(|(since, _)| now.saturating_duration_since(*since) >= EVICTION_IDLE_MIN);
        let Some((_, connection)) = found else { return false };
        table.evict(&connection, permit);
        true
    }

    fn evict_from_reserve(&self, table: &mut SlotTable) {
        // Without a permit the reserve has one connection too many for a moment.
        let Ok(permit) = Arc::clone(&self.evictions).try_acquire_owned() else { return };
        let has_no_request = |connection: &&Arc<ConnectionState>| !connection.has_sent_request();
        let oldest = table.reserve.values().find(has_no_request).or_else(|| table.reserve.values().next());
        if let Some(connection) = oldest.cloned() {
            table.evict(&connection, permit);
        }
    }
}

impl SlotTable {
    fn insert(&mut self, connection: &Arc<ConnectionState>, now: Instant) {
        match connection.slot_kind {
            SlotKind::Reserve => {
                self.reserve.insert(connection.id, Arc::clone(connection));
            }
            SlotKind::General => {
                *self.count_of.entry(connection.address).or_default() += 1;
                self.mark_idle(connection, now);
            }
        }
    }

    /// Gives back the slot of a connection that is closed or evicted.
    pub(super) fn remove(&mut self, connection: &ConnectionState) {
        if connection.slot_kind == SlotKind::Reserve {
            self.reserve.remove(&connection.id);
            return;
        }
        if let Some(since) = connection.idle_since() {
            self.mark_busy(connection, since);
        }
        if let Some(count) = self.count_of.get_mut(&connection.address) {
            *count -= 1;
            if *count == 0 {
                self.count_of.remove(&connection.address);
            }
        }
    }

    /// Lists a connection with a general slot as idle since `since`.
    pub(super) fn mark_idle(&mut self, connection: &Arc<ConnectionState>, since: Instant) {
        self.idle.insert((since, connection.id), Arc::clone(connection));
        self.idle_of.insert((connection.address, since, connection.id));
    }

    /// Removes a connection that was idle since `since` from the list.
    pub(super) fn mark_busy(&mut self, connection: &ConnectionState, since: Instant) {
        self.idle.remove(&(since, connection.id));
        self.idle_of.remove(&(connection.address, since, connection.id));
    }

    /// The connection to evict for a newcomer, and the time since which that connection has been idle.
    ///
    /// Only the longest idle connections are examined. A connection is a candidate if its address has more slots than
    /// the newcomer's address, or is the newcomer's address. Of all candidates' addresses, the address with the most
    /// slots loses its longest idle connection.
    fn eviction_candidate(&self, newcomer: IpAddr) -> Option<(Instant, Arc<ConnectionState>)> {
        let count = |address: IpAddr| self.count_of.get(&address).copied().unwrap_or(0);
        let own = count(newcomer);
        let longest_idle = self.idle.iter().take(EVICTION_CANDIDATES_MAX);
        let fair = longest_idle
            .filter(|(_, connection)| connection.address == newcomer || count(connection.address) > own);
        // Of equal elements, `max_by_key` returns the last one. In reverse order, this is the longest idle connection.
        let found = fair.rev().max_by_key(|(_, connection)| count(connection.address));
        found
            .map(|(&(since, _), connection)| (since, Arc::clone(connection)))
            .or_else(|| self.longest_idle_of(newcomer))
    }

    fn longest_idle_of(&self, address: IpAddr) -> Option<(Instant, Arc<ConnectionState>)> {
        let earliest = self.idle.keys().next()?.0;
        let &(found, since, id) = self.idle_of.range((address, earliest, 0)..).next()?;
        (found == address).then(|| (since, Arc::clone(&self.idle[&(since, id)])))
    }

    fn evict(&mut self, connection: &Arc<ConnectionState>, permit: OwnedSemaphorePermit) {
        connection.evict(permit);
        self.remove(connection);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proxyherd_config::config::Limits;

    use super::{super::connection_state::Audience, *};

    fn slots(connections: usize, connections_per_address: usize) -> Arc<Slots> {
        let limits = Limits { connections, connections_per_address, ..Limits::default() };
        Slots::new(&Arc::new(Admission::new(&limits, usize::MAX)))
    }

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    #[test]
    fn a_connection_without_a_ticket_is_in_the_reserve_and_a_closed_one_gives_its_ticket_back() {
        let (slots, now) = (slots(2, 9), Instant::now());
        let one = slots.open(ip(1), now);
        let _two = slots.open(ip(2), now);
        let three = slots.open(ip(3), now);
        assert_eq!([&one, &three].map(|slot| slot.is_in_reserve()), [false, true]);
        assert!(!three.is_evicted() && !one.is_evicted(), "a new connection is not evicted");
        drop(one);
        assert!(!slots.open(ip(3), now).is_in_reserve());
        drop(three);
        assert!(slots.table.lock().reserve.is_empty());
    }

    #[test]
    fn the_longest_idle_connection_is_evicted() {
        let (slots, now) = (slots(3, 9), Instant::now());
        let at = |second| now + Duration::from_secs(second);
        let open: Vec<_> = (0..3).map(|second| slots.open(ip(1), at(second))).collect();
        // The first one has a request in progress.
        let request = open[0].begin(Audience::Clients);
        assert!(!slots.open(ip(2), at(9)).is_in_reserve());
        assert_eq!([0, 1, 2].map(|at: usize| open[at].is_evicted()), [false, true, false]);
        drop(request);
    }

    #[test]
    fn an_address_with_as_few_slots_as_the_newcomer_keeps_them() {
        let (slots, now) = (slots(3, 9), Instant::now());
        let later = now + EVICTION_IDLE_MIN;
        let only = slots.open(ip(1), now);
        let _greedy = [slots.open(ip(2), now), slots.open(ip(2), now)];
        let newcomer = slots.open(ip(3), later);
        assert!(!newcomer.is_in_reserve(), "one of two is evicted");
        assert!(!only.is_evicted());
        let again = slots.open(ip(2), later);
        assert!(!again.is_in_reserve(), "a connection from its own address is evicted");
        assert!(!only.is_evicted() && !newcomer.is_evicted());
    }

    #[test]
    fn at_the_limit_of_an_address_only_its_own_connections_are_evicted() {
        let (slots, now) = (slots(9, 1), Instant::now());
        let other = slots.open(ip(2), now);
        let mine = slots.open(ip(1), now);
        assert!(slots.open(ip(1), now).is_in_reserve());
        assert!(!slots.open(ip(1), now + EVICTION_IDLE_MIN).is_in_reserve());
        assert!(mine.is_evicted() && !other.is_evicted());
    }

    #[test]
    fn a_full_reserve_evicts_its_oldest_connection_without_a_request() {
        let (slots, now) = (slots(1, 9), Instant::now());
        let _ticket = slots.open(ip(1), now);
        let busy = slots.open(ip(2), now);
        let _request = busy.begin(Audience::Operators);
        let silent: Vec<_> = (1..RESERVE_SLOTS).map(|_| slots.open(ip(2), now)).collect();
        assert!(silent.iter().all(|slot| slot.is_in_reserve() && !slot.is_evicted()));
        let newcomer = slots.open(ip(2), now);
        assert!(newcomer.is_in_reserve() && silent[0].is_evicted());
        assert!(!silent[1].is_evicted() && !busy.is_evicted());
        let requests: Vec<_> =
            silent[1..].iter().chain([&newcomer]).map(|slot| slot.begin(Audience::Operators)).collect();
        let _last = slots.open(ip(2), now);
        assert!(busy.is_evicted(), "where all have sent requests, the oldest is evicted");
        drop(requests);
    }

    #[tokio::test]
    async fn the_next_connection_waits_until_evicted_ones_are_closed() {
        let (slots, now) = (slots(1, 9), Instant::now());
        let open: Vec<_> = (0..=RESERVE_SLOTS + EVICTED_OPEN_MAX).map(|_| slots.open(ip(1), now)).collect();
        assert_eq!(open.iter().filter(|slot| slot.is_evicted()).count(), EVICTED_OPEN_MAX);
        let mut ready = Box::pin(slots.ready());
        assert!(futures_poll(&mut ready).is_pending());
        drop(open);
        ready.await;
        assert!(slots.table.lock().count_of.is_empty() && slots.table.lock().idle.is_empty());
    }

    fn futures_poll(future: &mut (impl Future<Output = ()> + Unpin)) -> std::task::Poll<()> {
        std::pin::Pin::new(future).poll(&mut std::task::Context::from_waker(std::task::Waker::noop()))
    }
}
