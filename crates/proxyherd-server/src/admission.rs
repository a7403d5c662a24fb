//! Decides which clients are admitted and how many lines they may send. There are limits on all connections, on the
//! connections of each address, and on the lines that one address sends.
//!
//! All doors for clients share one [`Admission`]. So the limits of an address apply to all its protocols together.
//! Links do not count here. Operators use the HTTP door. A few connections of operators do not count against the limits
//! of clients ([`Ticket::set_operator`]). The descriptors that links and operators need are reserved before clients get
//! any ([`descriptors`]).

pub mod descriptors;

use std::{
    cell::Cell,
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use parking_lot::Mutex;
use proxyherd_config::{config::Limits, door_kind::DoorKind};
use proxyherd_core::rate::{LeakyBucket, Pace};

use self::descriptors::OPERATORS_APART;
use crate::subscriber::subscriber;

/// Number of known addresses at which addresses without connections are forgotten for the first time. Later this
/// happens each time that the number of known addresses has doubled.
const FORGET_AT_LEAST: usize = 1024;

/// The limits, and how much of each limit clients use now.
#[derive(Debug)]
pub struct Admission {
    /// Maximum number of connections that the operator allows.
    connections_allowed: usize,
    /// Maximum number of connections in force. It is lower if there are not enough descriptors.
    connections_max: AtomicUsize,
    connections_per_address: usize,
    /// Maximum rate of lines from one address. `None`: no limit.
    line_pace: Option<Pace>,
    connections: AtomicUsize,
    /// Number of open connections that have only made requests of operators.
    operators: AtomicUsize,
    taken: AtomicU64,
    turned_away: AtomicU64,
    buffered_max: usize,
    buffered: AtomicUsize,
    /// Number of addresses whose clients have any bytes buffered.
    holders: AtomicUsize,
    addresses: Mutex<AddressTable>,
    /// The counters of each door, indexed by the kind of door.
    doors: [DoorCounters; DoorKind::ALL.len()],
}

/// The counters of one door.
#[derive(Debug, Default)]
struct DoorCounters {
    open: AtomicU64,
    taken: AtomicU64,
    turned_away: AtomicU64,
    handshakes_failed: AtomicU64,
}

/// The counts of one door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DoorCounts {
    /// Connections that are open.
    pub open: u64,
    /// Number of connections admitted since the start.
    pub taken: u64,
    /// Number of connections refused since the start.
    pub turned_away: u64,
    /// TLS handshakes that failed since the start.
    pub handshakes_failed: u64,
}

/// Counts one connection as open at a door until it is dropped.
#[derive(Debug)]
pub struct Entered {
    admission: Arc<Admission>,
    door: DoorKind,
}

impl Entered {
    /// Counts that the connection's TLS handshake has failed.
    pub fn handshake_failed(&self) {
        self.admission.doors[self.door as usize].handshakes_failed.fetch_add(1, Relaxed);
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.admission.doors[self.door as usize].open.fetch_sub(1, Relaxed);
    }
}

#[derive(Debug)]
struct AddressTable {
    known: HashMap<IpAddr, Arc<AddressCounters>>,
    forget_at: usize,
}

/// The state of one address.
#[derive(Debug, Default)]
struct AddressCounters {
    connections: AtomicUsize,
    operators: AtomicUsize,
    buffered: AtomicUsize,
    /// The bucket of the lines that this address has sent.
    lines: LeakyBucket,
}

/// Why a connection is refused. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TurnedAway {
    /// The server has its maximum number of connections.
    #[error("{0} connections are open (`connections` in [limits], or what `ulimit -n` leaves)")]
    Full(usize),
    /// This address has its maximum number of connections.
    #[error("{0} connections of this address are open (`connections_per_address` in [limits])")]
    AddressFull(usize),
}

impl Admission {
    /// Admits as many connections as `limits` allows and as there is [room](Admission::set_room) for.
    pub fn new(limits: &Limits, room: usize) -> Admission {
        Admission {
            connections_allowed: limits.connections,
            connections_max: AtomicUsize::new(limits.connections.min(room)),
            connections_per_address: limits.connections_per_address,
            line_pace: Pace::per_second(limits.lines_per_s_per_address),
            connections: AtomicUsize::new(0),
            operators: AtomicUsize::new(0),
            taken: AtomicU64::new(0),
            turned_away: AtomicU64::new(0),
            buffered_max: limits.buffers,
            buffered: AtomicUsize::new(0),
            holders: AtomicUsize::new(0),
            addresses: Mutex::new(AddressTable { known: HashMap::new(), forget_at: FORGET_AT_LEAST }),
            doors: Default::default(),
        }
    }

    /// Counts a connection at a door as long as the returned value lives.
    pub fn enter(self: &Arc<Admission>, door: DoorKind) -> Entered {
        self.doors[door as usize].open.fetch_add(1, Relaxed);
        self.doors[door as usize].taken.fetch_add(1, Relaxed);
        Entered { admission: Arc::clone(self), door }
    }

    /// The counts of the doors of this kind.
    pub fn door(&self, door: DoorKind) -> DoorCounts {
        let DoorCounters { open, taken, turned_away, handshakes_failed } = &self.doors[door as usize];
        DoorCounts {
            open: open.load(Relaxed),
            taken: taken.load(Relaxed),
            turned_away: turned_away.load(Relaxed),
            handshakes_failed: handshakes_failed.load(Relaxed),
        }
    }

    /// Admits a connection from `ip` as long as the ticket lives. A connection that is not admitted counts as turned
    /// away from that door.
    pub fn admit(
        self: &Arc<Admission>,
        door: DoorKind,
        ip: IpAddr,
        now_ns: u64,
    ) -> Result<Ticket, TurnedAway> {
        self.try_admit(ip, now_ns).inspect_err(|_| self.turn_away(door))
    }

    /// [`Admission::admit`] for a door that may still serve a connection that is not admitted.
    pub fn try_admit(self: &Arc<Admission>, ip: IpAddr, now_ns: u64) -> Result<Ticket, TurnedAway> {
        let connections_max = self.connections_max.load(Relaxed);
        if clients(&self.connections, &self.operators) >= connections_max {
            return Err(TurnedAway::Full(connections_max));
        }
        let address = self.address(ip, now_ns);
        address.connections.fetch_add(1, Relaxed);
        if clients(&address.connections, &address.operators) > self.connections_per_address {
            address.connections.fetch_sub(1, Relaxed);
            return Err(TurnedAway::AddressFull(self.connections_per_address));
        }
        self.connections.fetch_add(1, Relaxed);
        self.taken.fetch_add(1, Relaxed);
        let admission = Arc::clone(self);
        Ok(Ticket { admission, address, buffered: Cell::new(0), is_operator: Cell::new(false) })
    }

    /// Counts a connection that was refused at a door.
    pub fn turn_away(&self, door: DoorKind) {
        self.turned_away.fetch_add(1, Relaxed);
        self.doors[door as usize].turned_away.fetch_add(1, Relaxed);
    }

    /// Sets the number of connections that there is room for. Open connections stay open.
    pub fn set_room(&self, room: usize) {
        self.connections_max.store(self.connections_allowed.min(room), Relaxed);
    }

    /// Number of open connections of clients. Connections that have only made requests of operators do not count.
    pub fn connections(&self) -> usize {
        self.connections.load(Relaxed).saturating_sub(self.operators.load(Relaxed))
    }

    /// Number of connections admitted since the start.
    pub fn taken(&self) -> u64 {
        self.taken.load(Relaxed)
    }

    /// Number of buffered bytes: replies that clients have not read, and lines that wait behind these replies.
    pub fn buffered(&self) -> usize {
        self.buffered.load(Relaxed)
    }

    /// Number of connections refused since the start.
    pub fn turned_away(&self) -> u64 {
        self.turned_away.load(Relaxed)
    }

    fn address(&self, ip: IpAddr, now_ns: u64) -> Arc<AddressCounters> {
        let mut addresses = self.addresses.lock();
        if addresses.known.len() >= addresses.forget_at {
            addresses.forget_idle(now_ns);
        }
        Arc::clone(addresses.known.entry(subscriber(ip)).or_default())
    }
}

impl AddressTable {
    /// Forgets addresses without connections. An address that has sent lines is kept until its bucket is empty.
    /// Otherwise a client could avoid its rate limit by connecting again.
    fn forget_idle(&mut self, now_ns: u64) {
        self.known.retain(|_, address| Arc::strong_count(address) > 1 || !address.lines.is_empty(now_ns));
        self.forget_at = FORGET_AT_LEAST.max(2 * self.known.len());
    }
}

/// Number of connections that count against the limit of clients: all connections except a few connections of
/// operators.
fn clients(connections: &AtomicUsize, operators: &AtomicUsize) -> usize {
    connections.load(Relaxed).saturating_sub(operators.load(Relaxed).min(OPERATORS_APART))
}

/// The right to be connected. Dropping the ticket gives the right back.
#[derive(Debug)]
pub struct Ticket {
    admission: Arc<Admission>,
    address: Arc<AddressCounters>,
    buffered: Cell<usize>,
    is_operator: Cell<bool>,
}

impl Ticket {
    /// Sets whether this connection has only made requests of operators, such as requests for metrics.
    pub fn set_operator(&self, is_operator: bool) {
        let counts = [&self.admission.operators, &self.address.operators];
        match (self.is_operator.replace(is_operator), is_operator) {
            (false, true) => counts.map(|count| count.fetch_add(1, Relaxed)),
            (true, false) => counts.map(|count| count.fetch_sub(1, Relaxed)),
            _ => [0, 0],
        };
    }

    /// Whether the next connection from the same address would be refused.
    pub fn is_last(&self) -> bool {
        let admission = &self.admission;
        clients(&admission.connections, &admission.operators) >= admission.connections_max.load(Relaxed)
            || clients(&self.address.connections, &self.address.operators)
                >= admission.connections_per_address
    }

    /// `Ok`: the number of lines that may be taken from this address now, at least one. `Err`: the time for which no
    /// line may be taken. `now` returns the time of a monotonic clock, nanoseconds. This calls `now` only if there is a
    /// rate limit.
    pub fn lines_allowed(&self, now_ns: impl FnOnce() -> u64) -> Result<u64, Duration> {
        let Some(pace) = self.admission.line_pace else { return Ok(u64::MAX) };
        self.address.lines.allowed(pace, now_ns())
    }

    /// Counts lines that have been taken.
    pub fn took(&self, lines: u64, now_ns: impl FnOnce() -> u64) {
        if lines > 0
            && let Some(pace) = self.admission.line_pace
        {
            self.address.lines.take(pace, lines, now_ns());
        }
    }

    /// Sets how many bytes now wait for the client: replies that the client has not read, and lines behind these
    /// replies. Returns false if the buffers of all clients together are full. The caller must then close this client's
    /// connection. The result is true for an address that holds at most its share, unless the buffers hold twice their
    /// limit.
    #[must_use]
    pub fn buffer(&self, len: usize) -> bool {
        let before = self.buffered.replace(len);
        if len <= before {
            self.give_back(before - len);
            return true;
        }
        let (admission, grown) = (&self.admission, len - before);
        let of_address = self.address.buffered.fetch_add(grown, Relaxed);
        if of_address == 0 {
            admission.holders.fetch_add(1, Relaxed);
        }
        let (room, all) = (admission.buffered_max, admission.buffered.fetch_add(grown, Relaxed) + grown);
        let share = room / admission.holders.load(Relaxed).max(1);
        all <= room || (of_address + grown <= share && all <= room.saturating_mul(2))
    }

    fn give_back(&self, len: usize) {
        if len == 0 {
            return;
        }
        self.admission.buffered.fetch_sub(len, Relaxed);
        if self.address.buffered.fetch_sub(len, Relaxed) == len {
            self.admission.holders.fetch_sub(1, Relaxed);
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.give_back(self.buffered.get());
        self.address.connections.fetch_sub(1, Relaxed);
        self.admission.connections.fetch_sub(1, Relaxed);
        self.set_operator(false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn admission(connections_per_address: usize, lines_per_s_per_address: u32) -> Arc<Admission> {
        let limits = Limits { connections_per_address, lines_per_s_per_address, ..Limits::default() };
        Arc::new(Admission::new(&limits, 3))
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn each_address_and_all_together_have_only_so_many_connections() {
        let admission = admission(2, 0);
        let one = admission.admit(DoorKind::Line, ip("10.0.0.1"), 0).unwrap();
        let _two = admission.admit(DoorKind::Line, ip("::ffff:10.0.0.1"), 0).unwrap();
        assert_eq!(
            admission.admit(DoorKind::Line, ip("10.0.0.1"), 0).unwrap_err(),
            TurnedAway::AddressFull(2)
        );
        let _three = admission.admit(DoorKind::Line, ip("10.0.0.2"), 0).unwrap();
        assert_eq!(admission.admit(DoorKind::Line, ip("10.0.0.2"), 0).unwrap_err(), TurnedAway::Full(3));
        assert_eq!((admission.connections(), admission.taken(), admission.turned_away()), (3, 3, 2));
        drop(one);
        assert!(admission.admit(DoorKind::Line, ip("10.0.0.1"), 0).is_ok());
        assert_eq!(admission.connections(), 2, "a ticket that was dropped is given back");
    }

    #[test]
    fn a_few_operators_are_no_clients_and_take_nobody_s_place() {
        let admission = admission(2, 0);
        let admit = || admission.try_admit(ip("10.0.0.1"), 0);
        let _client = admit().unwrap();
        let operator = |ticket: Ticket| {
            ticket.set_operator(true);
            ticket
        };
        let mut operators: Vec<_> = (0..OPERATORS_APART).map(|_| operator(admit().unwrap())).collect();
        assert_eq!(admission.connections(), 1);
        assert!(!operators[0].is_last());
        operators.push(operator(admit().unwrap()));
        assert!(operators[0].is_last(), "of more than a few, each takes a place");
        assert_eq!(admit().unwrap_err(), TurnedAway::AddressFull(2));
        assert_eq!(admission.turned_away(), 0, "it may have a seat elsewhere");
        operators.pop();
        operators[0].set_operator(false);
        assert!(
            admission.connections() == 2 && admit().is_err(),
            "one that asks as a client does is a client"
        );
        operators.clear();
        assert_eq!((admission.connections(), admit().is_ok()), (1, true));
    }

    #[test]
    fn each_door_is_counted() {
        let admission = admission(2, 10);
        let [one, two] = [DoorKind::Line, DoorKind::Http].map(|door| admission.enter(door));
        one.handshake_failed();
        let _tickets = [0; 2].map(|_| admission.admit(DoorKind::Line, ip("10.0.0.1"), 0).unwrap());
        assert!(admission.admit(DoorKind::Http, ip("10.0.0.1"), 0).is_err());
        let counts = |open, taken, turned_away, handshakes_failed| DoorCounts {
            open,
            taken,
            turned_away,
            handshakes_failed,
        };
        assert_eq!(admission.door(DoorKind::Line), counts(1, 1, 0, 1));
        assert_eq!(admission.door(DoorKind::Http), counts(1, 1, 1, 0));
        drop((one, two));
        assert_eq!(admission.door(DoorKind::Line), counts(0, 1, 0, 1));
    }

    #[test]
    fn an_ipv6_subscriber_is_one_address() {
        let admission = admission(1, 0);
        let _one = admission.admit(DoorKind::Line, ip("2001:db8::1"), 0).unwrap();
        assert!(admission.admit(DoorKind::Line, ip("2001:db8::ffff:2"), 0).is_err());
        assert!(admission.admit(DoorKind::Line, ip("2001:db8:0:1::1"), 0).is_ok());
    }

    #[test]
    fn an_address_over_its_rate_waits_until_it_is_not() {
        let admission = admission(3, 10);
        let (one, other) = (
            admission.admit(DoorKind::Line, ip("10.0.0.1"), 0).unwrap(),
            admission.admit(DoorKind::Line, ip("10.0.0.1"), 0).unwrap(),
        );
        let now = 100 * SECOND;
        let wait = |ms| Err(Duration::from_millis(ms));
        assert_eq!(one.lines_allowed(|| now), Ok(10), "a second's worth may come at once");
        one.took(6, || now);
        assert_eq!(other.lines_allowed(|| now), Ok(4));
        other.took(4, || now);
        assert_eq!(one.lines_allowed(|| now), wait(100));
        // Two threads have called this at the same moment.
        one.took(5, || now);
        assert_eq!(other.lines_allowed(|| now), wait(600), "the address waits, not the connection");
        assert_eq!(other.lines_allowed(|| now + SECOND * 6 / 10), Ok(1));
        assert_eq!(one.lines_allowed(|| now + 10 * SECOND), Ok(10));
        let elsewhere = admission.admit(DoorKind::Line, ip("10.0.0.2"), 0).unwrap();
        elsewhere.took(10, || now);
        assert_eq!(elsewhere.lines_allowed(|| now), wait(100));
        elsewhere.took(u64::MAX, || now);
        assert!(elsewhere.lines_allowed(|| now).unwrap_err() > Duration::from_secs(1000));
        let anyone =
            Arc::new(Admission::new(&Limits::default(), 9)).admit(DoorKind::Line, ip("10.0.0.1"), 0).unwrap();
        anyone.took(u64::MAX, || now);
        assert_eq!(anyone.lines_allowed(|| now), Ok(u64::MAX), "there is no rate");
    }

    #[test]
    fn replies_that_nobody_takes_have_only_so_much_room() {
        let admission = Arc::new(Admission::new(&Limits { buffers: 100, ..Limits::default() }, 9));
        let (one, other) = (
            admission.admit(DoorKind::Line, ip("10.0.0.1"), 0).unwrap(),
            admission.admit(DoorKind::Line, ip("10.0.0.2"), 0).unwrap(),
        );
        assert!(one.buffer(60) && other.buffer(40));
        assert!(!one.buffer(61));
        drop(one);
        assert_eq!(admission.buffered(), 40);
        assert!(other.buffer(0) && other.buffer(100));
    }

    #[test]
    fn an_address_that_takes_all_the_room_leaves_others_their_share() {
        let admission = Arc::new(Admission::new(&Limits { buffers: 100, ..Limits::default() }, 9));
        let admit = |address| admission.admit(DoorKind::Line, ip(address), 0).unwrap();
        let greedy = [admit("10.0.0.1"), admit("10.0.0.1")];
        assert!(greedy[0].buffer(60) && greedy[1].buffer(40));
        let (modest, third) = (admit("10.0.0.2"), admit("10.0.0.3"));
        assert!(modest.buffer(50) && !modest.buffer(51), "half is the share of one of two");
        assert!(modest.buffer(33) && third.buffer(33) && !third.buffer(34));
        assert!(!greedy[1].buffer(41));
        drop(greedy);
        assert!(modest.buffer(66) && !modest.buffer(68));
        drop((modest, third));
        assert_eq!((admission.buffered(), admission.holders.load(Relaxed)), (0, 0));
    }

    #[test]
    fn addresses_are_forgotten_once_nobody_is_there_and_their_rate_is_free_again() {
        let admission = admission(3, 10);
        for number in 0..2 * FORGET_AT_LEAST as u32 {
            let ticket =
                admission.admit(DoorKind::Line, std::net::Ipv4Addr::from(number).into(), SECOND).unwrap();
            if number == 7 {
                ticket.took(100, || SECOND);
            }
        }
        let known = |ip| admission.addresses.lock().known.contains_key(&ip);
        assert!(known(ip("0.0.0.7")) && !known(ip("0.0.0.8")));
        assert!(admission.addresses.lock().known.len() <= FORGET_AT_LEAST + 1);
    }
}
