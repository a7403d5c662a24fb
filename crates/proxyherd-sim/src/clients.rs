//! Clients that move from server to server, each with its own clock. They report, report to two servers at once, repeat
//! old reports, ask to be forgotten, and ask for positions.

use std::{collections::VecDeque, num::NonZeroU32};

use proxyherd_core::types::{
    AttributeValue, Attributes, AttributesBuf, ClientId, Coordinates, Report, Stamp, Timestamp,
};

use crate::{
    rng::Rng,
    scenario::{ClientSettings, Scenario},
    timeline::{MILLISECOND, SECOND},
};

/// Number of its own reports that a client can repeat.
const HISTORY_LEN: usize = 8;

/// All clients.
#[derive(Debug)]
pub(crate) struct Clients {
    settings: ClientSettings,
    servers: usize,
    rng: Rng,
    clients: Vec<Client>,
}

#[derive(Debug)]
struct Client {
    id: Vec<u8>,
    /// The lead of the client's clock, nanoseconds.
    clock_offset: i64,
    /// Whether the client's clock counts whole seconds only. The reports of such a client often have equal timestamps.
    is_coarse: bool,
    server: usize,
    sent: VecDeque<Sent>,
}

/// A report as its client remembers it.
#[derive(Clone, Debug)]
struct Sent {
    coordinates: Coordinates,
    stamp: Stamp,
    attributes: AttributesBuf,
}

/// A client's request to a server.
#[derive(Debug)]
pub(crate) struct Request {
    /// The server.
    pub(crate) server: usize,
    client: Vec<u8>,
    wish: Wish,
}

#[derive(Clone, Debug)]
enum Wish {
    Report(Sent),
    Forget,
    Read,
}

impl Request {
    /// The client.
    pub(crate) fn client(&self) -> ClientId<'_> {
        ClientId::new(&self.client).expect("clients of the simulator have plain names")
    }

    /// The report, if the request is a report.
    pub(crate) fn report(&self) -> Option<Report<'_>> {
        let Wish::Report(Sent { coordinates, stamp, attributes }) = &self.wish else { return None };
        let attributes = if attributes.borrow().is_empty() { Attributes::NONE } else { attributes.borrow() };
        Some(Report { client: self.client(), coordinates: *coordinates, stamp: *stamp, attributes })
    }

    /// Whether the client asks to be forgotten.
    pub(crate) fn is_to_forget(&self) -> bool {
        matches!(self.wish, Wish::Forget)
    }

    /// Whether the request asks for the client's position.
    pub(crate) fn is_to_read(&self) -> bool {
        matches!(self.wish, Wish::Read)
    }
}

impl Clients {
    /// The clients of a scenario.
    pub(crate) fn new(scenario: &Scenario, mut rng: Rng) -> Clients {
        let settings = scenario.clients.clone();
        let clients = (0..settings.count)
            .map(|number| Client::new(number, scenario.servers, settings.are_orderly, &mut rng))
            .collect();
        Clients { settings, servers: scenario.servers, rng, clients }
    }

    /// The time until the next request.
    pub(crate) fn interval(&mut self) -> u64 {
        self.rng.interval(self.settings.interval).max(1)
    }

    /// The requests of this moment, at `now_ns` on a right clock.
    pub(crate) fn ask(&mut self, now_ns: u64) -> Vec<Request> {
        if self.rng.chance(self.settings.burst_per_mille) {
            return (0..self.clients.len()).map(|client| self.report(client, now_ns)).collect();
        }
        let client = self.rng.index(self.clients.len());
        if self.rng.chance(300) {
            return vec![self.anywhere(client, Wish::Read)];
        }
        let first = if self.settings.are_orderly { 11 } else { 0 };
        match self.rng.between(first, 100) {
            0..5 => self.again(client, 0).into_iter().collect(),
            5..9 => {
                let ago = self.rng.index(HISTORY_LEN);
                self.again(client, ago).into_iter().collect()
            }
            9..11 => vec![self.anywhere(client, Wish::Forget)],
            11..16 => {
                let first = self.report(client, now_ns);
                let second = self.draw(client, now_ns);
                vec![first, self.anywhere(client, Wish::Report(second))]
            }
            16..20 if !self.settings.are_orderly => {
                let first = self.report(client, now_ns);
                vec![self.anywhere(client, first.wish.clone()), first]
            }
            _ => vec![self.report(client, now_ns)],
        }
    }

    /// A report of the client's present position, to the server that it uses now.
    fn report(&mut self, client: usize, now_ns: u64) -> Request {
        let sent = self.draw(client, now_ns);
        if self.rng.chance(200) {
            self.clients[client].server = self.rng.index(self.servers);
        }
        let client = &mut self.clients[client];
        client.sent.push_front(sent.clone());
        client.sent.truncate(HISTORY_LEN);
        Request { server: client.server, client: client.id.clone(), wish: Wish::Report(sent) }
    }

    /// The report that the client sent `ago` reports earlier, sent again.
    fn again(&mut self, client: usize, ago: usize) -> Option<Request> {
        let sent = self.clients[client].sent.get(ago)?.clone();
        Some(self.anywhere(client, Wish::Report(sent)))
    }

    fn anywhere(&mut self, client: usize, wish: Wish) -> Request {
        let server = self.rng.index(self.servers);
        Request { server, client: self.clients[client].id.clone(), wish }
    }

    fn draw(&mut self, client: usize, now_ns: u64) -> Sent {
        let Client { clock_offset, is_coarse, .. } = self.clients[client];
        let clock_ns = now_ns.saturating_add_signed(clock_offset);
        let timestamp = if is_coarse {
            Timestamp::parse((clock_ns / SECOND).to_string().as_bytes())
        } else {
            Timestamp::from_nanos(clock_ns)
        };
        let timestamp = timestamp.expect("no simulated clock runs to the year 2286");
        // The time decides this instead of another random draw, so that each seed keeps its run.
        let is_dated = self.settings.are_orderly || !is_one_in_8(clock_ns);
        let stamp = if is_dated { Stamp::Client(timestamp) } else { Stamp::Server };
        let mut attributes = AttributesBuf::default();
        if self.settings.note_len_max > 0 && self.rng.chance(700) {
            let note = "x".repeat(self.rng.below(self.settings.note_len_max) as usize);
            attributes
                .set("note", AttributeValue::Text(&note))
                .expect("no scenario has longer notes than a record may have");
        }
        if let Some(ttl_s) = own_ttl_s(clock_ns) {
            attributes.set("battery_pct", AttributeValue::Number("80")).expect("notes leave room for more");
            attributes.set_ttl_s(ttl_s).expect("notes leave room for a time to live");
        }
        let (latitude, longitude) = (self.rng.below(90_000_000), self.rng.below(180_000_000));
        let degrees = |micros: u64| format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
        let coordinates = format!("+{}-{}", degrees(latitude), degrees(longitude));
        Sent {
            coordinates: Coordinates::parse(coordinates.as_bytes()).expect("both are within their range"),
            stamp,
            attributes,
        }
    }
}

/// The time to live of a report made at this time: one report in four lives for less than a minute.
fn own_ttl_s(clock_ns: u64) -> Option<NonZeroU32> {
    let bits = clock_ns.wrapping_mul(0xD6E8_FEB8_6659_FD93);
    if bits >> 62 == 0 { NonZeroU32::new((bits >> 32) as u32 % 60) } else { None }
}

/// Whether the server has to stamp a report made at this time. This is so for one report in eight.
fn is_one_in_8(clock_ns: u64) -> bool {
    clock_ns.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 61 == 0
}

impl Client {
    fn new(number: usize, servers: usize, are_orderly: bool, rng: &mut Rng) -> Client {
        let clock_offset = match rng.below(10) {
            0 => rng.between(5 * SECOND, 3600 * SECOND).cast_signed(),
            1 => -rng.between(5 * SECOND, 3600 * SECOND).cast_signed(),
            _ => rng.below(400 * MILLISECOND).cast_signed() - (200 * MILLISECOND).cast_signed(),
        };
        Client {
            id: format!("client-{number}").into_bytes(),
            clock_offset,
            is_coarse: rng.chance(300) && !are_orderly,
            server: rng.index(servers),
            sent: VecDeque::new(),
        }
    }
}
