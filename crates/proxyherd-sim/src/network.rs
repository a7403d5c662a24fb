//! The network: connections, each of which is two ordered streams of bytes with delay, finite bandwidth, and a bound on
//! the bytes in transit. As in TCP, a lost piece is sent again after a while and delays the pieces behind it. A path
//! between two servers can be blocked, separately in each direction. Then bytes wait until the path is unblocked or the
//! connection is closed. A choked path carries a fraction of its bandwidth.
//!
//! The network does not know what a connection carries, nor which servers hold its ends.

use std::collections::VecDeque;

use crate::{
    rng::Rng,
    scenario::NetworkSettings,
    timeline::{MILLISECOND, Nanos, SECOND},
};

/// Maximum size of a piece in which bytes travel and arrive.
const PIECE_LEN_MAX: usize = 1460;
/// The number by which the bandwidth of a choked path is divided.
const CHOKED: u64 = 20;
/// The minimum and the maximum time until a lost piece is sent again.
const RESENT_AFTER: (Nanos, Nanos) = (200 * MILLISECOND, SECOND);

/// A connection. Numbers are never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ConnId(pub usize);

/// One end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Side {
    /// The server that dialed.
    Dialed,
    /// The server that was dialed.
    Answered,
}

impl Side {
    /// The other end.
    pub(crate) fn other(self) -> Side {
        match self {
            Side::Dialed => Side::Answered,
            Side::Answered => Side::Dialed,
        }
    }
}

/// What comes out of a stream.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// These bytes.
    Bytes(Vec<u8>),
    /// The other end has closed, or the connection was reset.
    End,
}

/// All wires.
#[derive(Debug)]
pub(crate) struct Network {
    settings: NetworkSettings,
    rng: Rng,
    connections: Vec<Connection>,
    /// For each direction between two servers, the number of faults that block it.
    blocked: Vec<Vec<u32>>,
    /// For each direction, the number of faults that choke it.
    choked: Vec<Vec<u32>>,
    lost: u64,
}

#[derive(Debug)]
struct Connection {
    /// The servers that dialed and answered.
    servers: [usize; 2],
    /// The first stream is from the end that dialed, the second from the end that answered.
    streams: [Stream; 2],
    is_answered: bool,
}

#[derive(Debug, Default)]
struct Stream {
    pieces: VecDeque<(Nanos, Arrival)>,
    /// The number of bytes in `pieces`.
    len: usize,
    /// The time at which the wire has sent all of them.
    free_at: Nanos,
    /// No server reads or writes here any more.
    is_over: bool,
}

impl Network {
    /// Wires between `servers` servers.
    pub(crate) fn new(settings: NetworkSettings, servers: usize, rng: Rng) -> Network {
        let (blocked, choked) = (vec![vec![0; servers]; servers], vec![vec![0; servers]; servers]);
        Network { settings, rng, connections: Vec::new(), blocked, choked, lost: 0 }
    }

    /// Begins a connection.
    pub(crate) fn connect(&mut self, from: usize, to: usize) -> ConnId {
        self.connections.push(Connection {
            servers: [from, to],
            streams: Default::default(),
            is_answered: false,
        });
        ConnId(self.connections.len() - 1)
    }

    /// Notes that the server at the other end accepts. Returns whether that is new.
    pub(crate) fn answer(&mut self, conn: ConnId) -> bool {
        !std::mem::replace(&mut self.connections[conn.0].is_answered, true)
    }

    /// The server at one end.
    pub(crate) fn server(&self, conn: ConnId, side: Side) -> usize {
        self.connections[conn.0].servers[side as usize]
    }

    /// Whether a writer at this end has to wait.
    pub(crate) fn is_full(&self, conn: ConnId, from: Side) -> bool {
        let stream = &self.connections[conn.0].streams[from as usize];
        stream.len > self.settings.window
    }

    /// Sends bytes in pieces that are cut anywhere. Returns when the pieces arrive.
    pub(crate) fn write(&mut self, now: Nanos, conn: ConnId, from: Side, mut bytes: &[u8]) -> Vec<Nanos> {
        let mut arrivals = Vec::new();
        while !bytes.is_empty() && !self.stream(conn, from).is_over {
            let longest = bytes.len().min(PIECE_LEN_MAX);
            let len = if self.rng.chance(100) { 1 + self.rng.index(longest) } else { longest };
            let (piece, rest) = bytes.split_at(len);
            bytes = rest;
            arrivals.push(self.send(now, conn, from, Arrival::Bytes(piece.to_vec())));
        }
        arrivals
    }

    /// Closes this end. Bytes that this end has written still arrive, and then the end of the stream. Nothing more
    /// comes in. Returns the time at which the end arrives.
    pub(crate) fn close(&mut self, now: Nanos, conn: ConnId, from: Side) -> Option<Nanos> {
        self.stream(conn, from.other()).stop();
        if self.stream(conn, from).is_over {
            return None;
        }
        let at = self.send(now, conn, from, Arrival::End);
        self.stream(conn, from).is_over = true;
        Some(at)
    }

    /// Notes that the server at one end is gone and says nothing. The bytes in transit in both directions are lost.
    pub(crate) fn vanish(&mut self, conn: ConnId) {
        self.connections[conn.0].streams.iter_mut().for_each(Stream::stop);
    }

    /// Breaks the connection. Part of the first piece in transit arrives, then the end of the stream. Returns the times
    /// at which the ends arrive.
    pub(crate) fn reset(&mut self, now: Nanos, conn: ConnId) -> [(Side, Option<Nanos>); 2] {
        [Side::Dialed, Side::Answered].map(|from| {
            let kept = self.rng.index(PIECE_LEN_MAX);
            let stream = self.stream(conn, from);
            if stream.is_over {
                return (from, None);
            }
            stream.tear(kept);
            let at = self.send(now, conn, from, Arrival::End);
            self.stream(conn, from).is_over = true;
            (from, Some(at))
        })
    }

    /// The bytes that have arrived from `from` at the other end by now, unless the path is blocked.
    pub(crate) fn arrived(&mut self, now: Nanos, conn: ConnId, from: Side) -> Option<Arrival> {
        if self.is_blocked(self.server(conn, from), self.server(conn, from.other())) {
            return None;
        }
        let stream = self.stream(conn, from);
        let (_, arrival) = stream.pieces.pop_front_if(|(at, _)| *at <= now)?;
        if let Arrival::Bytes(bytes) = &arrival {
            stream.len -= bytes.len();
        }
        Some(arrival)
    }

    /// The connections on which bytes are in transit from one server to another, each with its sending end.
    pub(crate) fn held_up(&self, from: usize, to: usize) -> Vec<(ConnId, Side)> {
        let ends = |(at, connection): (usize, &Connection)| {
            let side = match connection.servers {
                servers if servers == [from, to] => Side::Dialed,
                servers if servers == [to, from] => Side::Answered,
                _ => return None,
            };
            (!connection.streams[side as usize].pieces.is_empty()).then_some((ConnId(at), side))
        };
        self.connections.iter().enumerate().filter_map(ends).collect()
    }

    /// Whether bytes from one server to another have to wait.
    pub(crate) fn is_blocked(&self, from: usize, to: usize) -> bool {
        self.blocked[from][to] > 0
    }

    /// Blocks the path from one server to another, once more.
    pub(crate) fn block(&mut self, from: usize, to: usize) {
        self.blocked[from][to] += 1;
    }

    /// Undoes one [`Network::block`].
    pub(crate) fn unblock(&mut self, from: usize, to: usize) {
        self.blocked[from][to] -= 1;
    }

    /// Chokes the path from one server to another, once more.
    pub(crate) fn choke(&mut self, from: usize, to: usize) {
        self.choked[from][to] += 1;
    }

    /// Undoes one [`Network::choke`]. Bytes in transit continue at full speed. Returns the times at which they arrive.
    pub(crate) fn unchoke(&mut self, now: Nanos, from: usize, to: usize) -> Vec<(ConnId, Side, Nanos)> {
        self.choked[from][to] -= 1;
        if self.choked[from][to] > 0 {
            return Vec::new();
        }
        let mut arrivals = Vec::new();
        for (conn, side) in self.held_up(from, to) {
            let sooner = |at: Nanos| now + at.saturating_sub(now) / CHOKED;
            let stream = self.stream(conn, side);
            stream.free_at = sooner(stream.free_at);
            for (at, _) in &mut stream.pieces {
                *at = sooner(*at);
                arrivals.push((conn, side, *at));
            }
        }
        arrivals
    }

    /// The number of pieces that were lost and sent again.
    pub(crate) fn lost(&self) -> u64 {
        self.lost
    }

    fn stream(&mut self, conn: ConnId, from: Side) -> &mut Stream {
        &mut self.connections[conn.0].streams[from as usize]
    }

    /// Puts bytes behind all bytes in transit. Returns the times at which they arrive.
    fn send(&mut self, now: Nanos, conn: ConnId, from: Side, arrival: Arrival) -> Nanos {
        let (least, most) = self.settings.delay;
        let mut delay = self.rng.between(least, most + 1);
        if self.rng.chance(self.settings.loss_per_mille) {
            self.lost += 1;
            delay += self.rng.between(RESENT_AFTER.0, RESENT_AFTER.1);
        }
        let is_choked = self.choked[self.server(conn, from)][self.server(conn, from.other())] > 0;
        let bandwidth = self.settings.bandwidth / if is_choked { CHOKED } else { 1 };
        let stream = self.stream(conn, from);
        let len = if let Arrival::Bytes(bytes) = &arrival { bytes.len() } else { 0 };
        stream.free_at = stream.free_at.max(now) + len as u64 * SECOND / bandwidth;
        stream.len += len;
        let last = stream.pieces.back().map_or(0, |&(at, _)| at);
        let at = (stream.free_at + delay).max(last);
        stream.pieces.push_back((at, arrival));
        at
    }
}

impl Stream {
    fn stop(&mut self) {
        self.pieces.clear();
        self.len = 0;
        self.is_over = true;
    }

    /// Loses all bytes but the first `kept`.
    fn tear(&mut self, kept: usize) {
        self.pieces.truncate(1);
        self.len = 0;
        if let Some((_, Arrival::Bytes(bytes))) = self.pieces.front_mut() {
            bytes.truncate(kept);
            self.len = bytes.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BANDWIDTH: u64 = 1000;
    const DELAY: Nanos = SECOND / 10;

    fn network() -> Network {
        let settings =
            NetworkSettings { delay: (0, DELAY), bandwidth: BANDWIDTH, window: 3000, loss_per_mille: 0 };
        Network::new(settings, 2, Rng::new(7))
    }

    /// All bytes that have arrived by `now`, in one run, and whether the stream has ended.
    fn arrived(network: &mut Network, now: Nanos, conn: ConnId, from: Side) -> (Vec<u8>, bool) {
        let mut bytes = Vec::new();
        loop {
            match network.arrived(now, conn, from) {
                Some(Arrival::Bytes(piece)) => bytes.extend(piece),
                Some(Arrival::End) => return (bytes, true),
                None => return (bytes, false),
            }
        }
    }

    /// Bytes of which any 256 in a row differ from each other.
    fn sent(len: usize) -> Vec<u8> {
        (0..len).map(|at| at as u8).collect()
    }

    #[test]
    fn bytes_arrive_whole_and_in_order_and_no_faster_than_the_wire() {
        let (mut network, sent) = (network(), sent(10_000));
        let conn = network.connect(0, 1);
        let arrivals = network.write(0, conn, Side::Dialed, &sent);
        assert!(arrivals.is_sorted() && arrivals.len() >= 7);
        assert!(network.is_full(conn, Side::Dialed) && !network.is_full(conn, Side::Answered));
        let (first, _) = arrived(&mut network, 5 * SECOND, conn, Side::Dialed);
        assert!((3000..=5000).contains(&first.len()), "{} bytes in 5 s", first.len());
        let (rest, is_over) = arrived(&mut network, 10 * SECOND + DELAY, conn, Side::Dialed);
        assert_eq!(([first, rest].concat(), is_over), (sent, false));
        assert!(!network.is_full(conn, Side::Dialed));
    }

    #[test]
    fn what_was_written_before_the_end_arrives_before_it() {
        let mut network = network();
        let conn = network.connect(0, 1);
        network.write(0, conn, Side::Answered, &sent(500));
        network.write(0, conn, Side::Dialed, &sent(500));
        let end = network.close(0, conn, Side::Answered).unwrap();
        assert_eq!(arrived(&mut network, end, conn, Side::Answered), (sent(500), true));
        assert_eq!(arrived(&mut network, 10 * SECOND, conn, Side::Dialed), (Vec::new(), false));
        assert_eq!(
            network.write(end, conn, Side::Dialed, &sent(1)),
            Vec::<u64>::new(),
            "no server reads there any more"
        );
    }

    #[test]
    fn a_reset_loses_what_was_on_its_way_but_for_a_beginning() {
        let (mut torn, mut network) = (0, network());
        for _ in 0..50 {
            let conn = network.connect(0, 1);
            network.write(0, conn, Side::Dialed, &sent(5000));
            let ends = network.reset(0, conn);
            assert!(ends.iter().all(|(_, at)| at.is_some()));
            let (bytes, is_over) = arrived(&mut network, 10 * SECOND, conn, Side::Dialed);
            assert!(is_over && bytes.len() <= PIECE_LEN_MAX && sent(5000).starts_with(&bytes));
            torn += u64::from(!bytes.is_empty() && bytes.len() < PIECE_LEN_MAX);
        }
        assert!(torn > 40, "a frame should be cut anywhere: {torn} of 50");
    }

    #[test]
    fn a_blocked_way_holds_bytes_back_and_loses_none() {
        let mut network = network();
        let conn = network.connect(0, 1);
        network.block(0, 1);
        network.write(0, conn, Side::Dialed, &sent(100));
        network.write(0, conn, Side::Answered, &sent(100));
        assert_eq!(arrived(&mut network, SECOND, conn, Side::Dialed), (Vec::new(), false));
        assert_eq!(arrived(&mut network, SECOND, conn, Side::Answered), (sent(100), false));
        assert_eq!(network.held_up(0, 1), [(conn, Side::Dialed)]);
        network.unblock(0, 1);
        assert_eq!(arrived(&mut network, SECOND, conn, Side::Dialed), (sent(100), false));
        assert_eq!(network.held_up(0, 1), []);
    }

    #[test]
    fn a_piece_that_is_lost_comes_later_and_in_its_place() {
        let settings = NetworkSettings { loss_per_mille: 300, bandwidth: 1_000_000, ..network().settings };
        let (mut network, sent) = (Network::new(settings, 2, Rng::new(7)), sent(100_000));
        let conn = network.connect(0, 1);
        let arrivals = network.write(0, conn, Side::Dialed, &sent);
        assert!(arrivals.is_sorted() && network.lost() > 10);
        assert_eq!(arrived(&mut network, 10 * SECOND, conn, Side::Dialed), (sent, false));
    }

    #[test]
    fn a_choked_way_carries_a_fraction_one_way() {
        let mut network = network();
        let conn = network.connect(0, 1);
        network.choke(0, 1);
        let last = |arrivals: Vec<Nanos>| arrivals.last().copied().unwrap();
        assert!(last(network.write(0, conn, Side::Dialed, &sent(1000))) >= CHOKED * SECOND);
        assert!(last(network.write(0, conn, Side::Answered, &sent(1000))) < 2 * SECOND);
        let sooner = network.unchoke(0, 0, 1).into_iter().map(|(_, _, at)| at).collect();
        assert!(last(sooner) < 2 * SECOND, "bytes in transit continue faster");
        let (bytes, _) = arrived(&mut network, 2 * SECOND, conn, Side::Dialed);
        assert_eq!(bytes.len(), 1000);
    }
}
