//! Tests of a bad member of the herd. It has a member's certificate, and sends everything that the link protocol can
//! express, while clients report. It harms only itself.

use std::{
    collections::BTreeMap,
    fs,
    io::{ErrorKind, Read, Write},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::{Duration, Instant, SystemTime},
};

use proxyherd_core::{
    codec::link::{
        Encoder, Frame, GraftMode, Hello,
        check::{Check, FAN_OUT, Level},
        decode,
    },
    limits::{HEARTBEAT_INTERVAL, INCARNATIONS_MAX, SHARDS},
    link::HIGHEST,
    replica::shard_index,
    types::{
        Advertisement, Attributes, Body, Coordinates, Difference, Kind, Origin, Record, ServerName, Timestamp,
    },
};

use crate::harness::{
    Herd, LINKS, NAMES, Plan, Process, WHERE_AND_WHEN, ats_of,
    certificates::{self, Certified, Dialed},
    eventually, metric, neighbor, status, within,
};

/// The name of the bad member. The name sorts first, so the bad member dials its neighbors.
const BAD: &str = "Abbott";
/// The neighbors of the bad member.
const NEIGHBORS: [&str; 2] = ["Riley", "Juzang"];
/// A position where no honest client is.
const NOWHERE: &str = "+1.5+1.5";
/// Maximum time until a report has reached every server.
const SOON: Duration = Duration::from_secs(1);
/// Number of incarnations of the bad member, each with one client. The next constant is the number of things about
/// which the bad member sends records.
const LIVES: usize = 65_000;
const THINGS: usize = 5000;
/// Maximum number of clients. There is room for the clients, but not for the clients and the things together.
const MAX_CLIENTS: usize = LIVES + THINGS;

/// The five servers with TLS, and an unused place for the sixth server.
fn herd_of_five() -> Herd {
    let plan = Plan::classic().with_server(BAD, &NEIGHBORS).encrypted();
    let mut herd = plan.herd(&format!("max_clients = {MAX_CLIENTS}")).log("level = \"warn\"").prepare();
    let made = Process::run(herd.dir(), &["init", "--server", BAD]);
    assert_eq!(made.code, 0, "{made:?}");
    herd.start_all(&NAMES);
    herd.wait_for_links(&NAMES);
    herd
}

/// The number of times that each link among the five servers has come up, at both ends.
fn link_ups(herd: &Herd) -> f64 {
    let ends = LINKS.iter().flat_map(|&(one, other)| [(one, other), (other, one)]);
    let ups = |(here, there)| {
        metric(herd.at(here).http, &format!("proxyherd_link_ups_total{{neighbor=\"{there}\"}}")).unwrap()
    };
    ends.map(ups).sum()
}

/// The bad member's link with one neighbor.
struct Link {
    neighbor: &'static str,
    stream: Dialed,
    encoder: Encoder,
    received: Vec<u8>,
    /// The last incarnation of each server that the neighbor has sent.
    lives: BTreeMap<ServerName, Origin>,
    said_alive: Instant,
}

impl Link {
    /// Dials a neighbor with the certificate that `proxyherd init` made.
    fn dial(herd: &Herd, neighbor: &'static str) -> Link {
        let read = |kind: &str| fs::read_to_string(herd.dir().join(format!("certs/{BAD}.{kind}"))).unwrap();
        let shown = Certified { certificate: read("pem"), key: read("key") };
        let stream = certificates::dial(herd.at(neighbor).peer, Some(&shown));
        let mut encoder = Encoder::default();
        let clock_ns = Some(now_ns());
        encoder.hello(&Hello { highest: HIGHEST, features: 1, clock_ns, ..neighbor::hello(BAD) });
        encoder.agree(HIGHEST);
        let (received, lives) = Default::default();
        let mut link = Link { neighbor, stream, encoder, received, lives, said_alive: Instant::now() };
        assert!(link.send(), "{neighbor} does not listen");
        link.stream.sock.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
        link
    }

    /// Sends the encoded frames, and reads everything that has arrived. Returns whether the link still exists.
    fn send(&mut self) -> bool {
        if self.said_alive.elapsed() > HEARTBEAT_INTERVAL {
            self.said_alive = Instant::now();
            self.encoder.heartbeat(now_ns());
        }
        let is_sent = self.stream.write_all(self.encoder.bytes()).and_then(|()| self.stream.flush()).is_ok();
        self.encoder.clear();
        is_sent
    }

    /// Reads everything that has arrived. Returns whether the link still exists.
    fn listen(&mut self) -> bool {
        let mut piece = [0; 16 * 1024];
        let is_there = match self.stream.read(&mut piece) {
            Ok(len) => {
                self.received.extend_from_slice(&piece[..len]);
                len > 0
            }
            Err(error) => matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
        };
        let mut read = 0;
        while let Some((frame, len)) = decode(&self.received[read..]).unwrap() {
            read += len;
            match frame {
                Frame::Origin { origin, .. } => self.note(origin),
                Frame::State(state) => self.note(state.origin),
                _ => {}
            }
        }
        self.received.drain(..read);
        is_there
    }

    fn note(&mut self, origin: Origin) {
        let last = self.lives.entry(origin.server.clone()).or_insert_with(|| origin.clone());
        if origin.incarnation > last.incarnation {
            *last = origin;
        }
    }

    /// Waits until the neighbor has sent the incarnations of the five servers.
    fn hear_of_all(&mut self) {
        eventually("the neighbor has told of all", || {
            assert!(self.send() && self.listen(), "{} ended the link", self.neighbor);
            let is_known = |name: &&str| self.lives.contains_key(&name_of(name));
            if NAMES.iter().all(is_known) { Ok(()) } else { Err(format!("{:?}", self.lives)) }
        });
    }

    /// Sends a record.
    fn record(&mut self, origin: &Origin, seq: u64, kind: Kind, key: &str, body: Body<'_>, stamp: Stamp) {
        let timestamp = Timestamp::from_nanos(stamp.timestamp_ns).unwrap();
        let difference = Difference::at_receipt(stamp.received_ns, timestamp);
        let record = Record { kind, key: key.as_bytes(), body, timestamp, difference };
        self.encoder.make_room(1);
        let index = self.encoder.index_of(origin).unwrap();
        self.encoder.record(index, seq, &record);
    }
}

/// The times of a record: the time of its sender, and the time of its receipt.
#[derive(Clone, Copy)]
struct Stamp {
    timestamp_ns: u64,
    received_ns: u64,
}

fn now() -> Stamp {
    Stamp { timestamp_ns: now_ns(), received_ns: now_ns() }
}

fn now_ns() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as u64
}

fn name_of(name: &str) -> ServerName {
    ServerName::new(name).unwrap()
}

fn nowhere() -> Body<'static> {
    let coordinates = Coordinates::parse(NOWHERE.as_bytes()).unwrap();
    Body::Location { coordinates, attributes: Attributes::NONE }
}

/// Reports clients at all servers in turn until the bad member stops. Checks that each report soon reaches every
/// server. Returns the acknowledged reports.
fn report_until(herd: &Herd, is_over: &AtomicBool) -> BTreeMap<String, String> {
    let mut connections = NAMES.map(|name| herd.client(name));
    let mut told = BTreeMap::new();
    for number in 0.. {
        let client = format!("client-{number}");
        let at = connections[number % NAMES.len()].ask(&format!("IAMAT {client} {WHERE_AND_WHEN}"));
        assert!(at.starts_with("AT "), "{at}");
        within(SOON, "a report is everywhere", || {
            let known = connections.iter_mut().map(|connection| ats_of(connection, &[&client]).remove(0));
            match known.into_iter().find(|known| *known != at) {
                Some(known) => Err(format!("{known} and not {at}")),
                None => Ok(()),
            }
        });
        told.insert(client, at);
        if is_over.load(Relaxed) {
            return told;
        }
        thread::sleep(Duration::from_millis(20));
    }
    told
}

/// Runs the bad member's action while clients report, and then makes the bad member leave. The links of the five
/// servers must have stayed up, and the clients' reports must have reached every server. No server may know the clients
/// that the bad member has invented in the name of other servers.
fn must_cost_itself_only(herd: &Herd, made_up: &[String], act: impl FnOnce()) {
    let (ups, is_over) = (link_ups(herd), &AtomicBool::new(false));
    let told = thread::scope(|scope| {
        let reporting = scope.spawn(move || report_until(herd, is_over));
        act();
        is_over.store(true, Relaxed);
        reporting.join().unwrap()
    });
    assert!(told.len() > 10, "too little was reported: {}", told.len());
    herd.agree(&NAMES, &told);
    let made_up: Vec<_> = made_up.iter().map(String::as_str).collect();
    for name in NAMES {
        eventually(&format!("{name} has forgotten what was made up"), || {
            let told = herd.located(name, &made_up);
            told.into_iter().find(|line| line.starts_with("AT ")).map_or(Ok(()), Err)
        });
    }
    assert_eq!(link_ups(herd), ups, "a link of the five has ended");
    eventually("each change comes to each server once", || {
        let ends = LINKS.iter().flat_map(|&(one, other)| [(one, other), (other, one)]);
        let eager = ends.filter_map(|(here, there)| {
            metric(herd.at(here).http, &format!("proxyherd_link_eager{{neighbor=\"{there}\"}}"))
        });
        match eager.sum::<f64>() {
            8.0 => Ok(()),
            eager => Err(format!("{eager} ends of links are told of changes")),
        }
    });
}

/// The names of invented clients. No server must know these clients afterward.
fn clients(what: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{what}-{number}")).collect()
}

#[test]
fn what_once_bricked_a_herd_costs_the_bad_member_only() {
    let herd = herd_of_five();
    let made_up: Vec<_> = ["forged", "far", "future"].iter().flat_map(|what| clients(what, 5)).collect();
    must_cost_itself_only(&herd, &made_up, || {
        for neighbor in NEIGHBORS {
            let mut link = Link::dial(&herd, neighbor);
            link.hear_of_all();
            say_the_worst(&mut link);
            eventually("all of it has come", || {
                assert!(link.send() && link.listen(), "{neighbor} ended the link");
                let nonsense = status(herd.at(neighbor).http)["links"].to_string();
                let has_come = nonsense.contains("\"receipt\"") && nonsense.contains("\"state\"");
                if has_come && received(&herd, neighbor) >= link.encoder.records() {
                    Ok(())
                } else {
                    Err(nonsense)
                }
            });
        }
    });
    // Records about other things take no room from clients.
    let at = herd.client("Campbell").ask(&format!("IAMAT kiwi {WHERE_AND_WHEN}"));
    assert_eq!(herd.agreed(&NAMES, "kiwi"), at);
}

/// The number of records that have come from the bad member.
fn received(herd: &Herd, neighbor: &str) -> u64 {
    let name = format!("proxyherd_link_payloads_received_total{{neighbor=\"{BAD}\"}}");
    metric(herd.at(neighbor).http, &name).unwrap_or(0.0) as u64
}

/// Sends sequences that other servers have not reached, receipts in future years, links that do not exist, too many
/// incarnations, and records of unknown kinds.
fn say_the_worst(link: &mut Link) {
    let lives: Vec<_> = NAMES.iter().map(|name| link.lives[&name_of(name)].clone()).collect();
    for (number, life) in lives.iter().enumerate() {
        link.record(life, u64::MAX, Kind::CLIENT, &format!("forged-{number}"), nowhere(), now());
        link.record(life, 1_000_000, Kind::CLIENT, &format!("far-{number}"), nowhere(), now());
        let end = Stamp { timestamp_ns: 9_999_999_999_999_999_999, received_ns: 9_999_999_999_999_999_999 };
        link.record(life, 1, Kind::CLIENT, &format!("future-{number}"), nowhere(), end);
    }
    for life in &lives[..2] {
        link.encoder.state(&Advertisement { origin: life.clone(), stamp: u64::MAX, up: Vec::new() });
    }
    assert!(link.send());
    let me = name_of(BAD);
    let keys = (0..).map(|number| format!("life-{number}")).filter(|key| shard_index(key.as_bytes()) == 0);
    for (incarnation, key) in (1..).zip(keys.take(LIVES)) {
        let life = Origin { server: me.clone(), incarnation };
        link.record(&life, 1, Kind::CLIENT, &key, nowhere(), now());
        say_some(link);
    }
    let me = Origin { server: me, incarnation: 1 };
    for number in 0..THINGS {
        let body = Body::Data { keep_s: 0, bytes: &[7; 1000] };
        link.record(&me, 1, Kind(200), &format!("thing-{number}"), body, now());
        say_some(link);
    }
    assert!(link.send());
}

/// Sends the encoded frames, if there are enough of them.
fn say_some(link: &mut Link) {
    if link.encoder.len() > 64 * 1024 {
        assert!(link.send() && link.listen(), "{} ended the link", link.neighbor);
    }
}

#[test]
fn incarnations_without_end_cost_the_bad_member_only() {
    /// A number of origins that is several times the number of indices of a link.
    const INCARNATIONS: u64 = 210_000;
    let herd = herd_of_five();
    let invented = servers_and_clients();
    must_cost_itself_only(&herd, &[], || {
        let mut link = Link::dial(&herd, "Riley");
        link.hear_of_all();
        let mut lives = 1..10 * INCARNATIONS;
        // A record that was superseded on its way is not passed on.
        while relayed(&herd) < INCARNATIONS {
            for (server, client) in &invented {
                let incarnation = lives.next().expect("most of what she says is passed on");
                let life = Origin { server: server.clone(), incarnation };
                link.record(&life, 1, Kind::CLIENT, client, nowhere(), now());
                say_some(&mut link);
            }
            assert!(link.send() && link.listen(), "Riley ended the link");
        }
    });
}

/// Invented servers, each with enough clients of each shard that every client can be sent under an incarnation of its
/// own.
fn servers_and_clients() -> Vec<(ServerName, String)> {
    const SERVERS: usize = 20;
    const CLIENTS: usize = INCARNATIONS_MAX - 4;
    let mut of_shards = [0; SHARDS];
    let place = |number: usize| {
        let client = format!("life-{number}");
        let of_shard = &mut of_shards[shard_index(client.as_bytes())];
        *of_shard += 1;
        let server = (*of_shard - 1) / CLIENTS;
        (server < SERVERS).then(|| (name_of(&format!("Nobody-{server}")), client))
    };
    (0..).filter_map(place).take(SERVERS * CLIENTS * SHARDS).collect()
}

/// The largest number of records that Riley has sent on one of its links with the five servers.
fn relayed(herd: &Herd) -> u64 {
    let sent = |neighbor| {
        let name = format!("proxyherd_link_payloads_sent_total{{neighbor=\"{neighbor}\"}}");
        metric(herd.at("Riley").http, &name).unwrap() as u64
    };
    sent("Jaquez").max(sent("Juzang"))
}

/// Random numbers, the same in each run (xorshift: Marsaglia, 2003).
struct Dice(u64);

impl Dice {
    fn bits(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: u64) -> u64 {
        self.bits() % end
    }
}

#[test]
fn any_frames_in_the_name_of_innocent_servers_cost_the_bad_member_only() {
    const FRAMES: usize = 20_000;
    let herd = herd_of_five();
    let made_up = clients("nobody", 50);
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    must_cost_itself_only(&herd, &made_up, || {
        let mut link = Link::dial(&herd, NEIGHBORS[0]);
        link.hear_of_all();
        for said in 0..FRAMES {
            say_anything(&mut link, &mut dice);
            let is_there = !said.is_multiple_of(100) || link.send() && link.listen();
            if !is_there {
                // The neighbor has closed the link because of these frames. The bad member tries the other neighbor.
                let next = NEIGHBORS[usize::from(link.neighbor == NEIGHBORS[0])];
                link = Link::dial(&herd, next);
                link.hear_of_all();
            }
        }
        let _ = link.send();
    });
}

#[test]
fn a_client_told_in_the_names_of_several_servers_over_all_links_is_in_nobodys_name_when_the_liar_has_left() {
    const CLIENTS: usize = 60;
    let herd = herd_of_five();
    let made_up = clients("several", CLIENTS);
    must_cost_itself_only(&herd, &made_up, || {
        let mut links = NEIGHBORS.map(|neighbor| Link::dial(&herd, neighbor));
        links.iter_mut().for_each(Link::hear_of_all);
        for (number, key) in made_up.iter().enumerate() {
            // The records come in a random order of the names, and in another order over the second link.
            for (at, link) in links.iter_mut().enumerate() {
                for place in 0..4 {
                    let name = (number + (place + at) * (1 + number % 3)) % NAMES.len();
                    let life = link.lives[&name_of(NAMES[name])].clone();
                    let version = if number % 2 == 0 { place } else { name };
                    let timestamp_ns = now_ns() + version as u64 * [0, 1, 1_000_000_000][number / 2 % 3];
                    let stamp = Stamp { timestamp_ns, received_ns: now_ns() };
                    link.record(&life, 1 + place as u64, Kind::CLIENT, key, nowhere(), stamp);
                    // Some frames are sent together in one write, and other frames are sent in one write each.
                    assert!(!number.is_multiple_of(4) || link.send() && link.listen());
                }
            }
            for link in &mut links {
                assert!(link.send() && link.listen(), "{} ended the link", link.neighbor);
            }
        }
        eventually("all of it has come", || {
            assert!(links.iter_mut().all(|link| link.send() && link.listen()));
            let has_come = |link: &Link| received(&herd, link.neighbor) >= link.encoder.records();
            if links.iter().all(has_come) { Ok(()) } else { Err("not yet") }
        });
    });
}

/// One frame about one of the five servers in its current incarnation.
fn say_anything(link: &mut Link, dice: &mut Dice) {
    let innocent = dice.below(NAMES.len() as u64);
    let life = link.lives[&name_of(NAMES[innocent as usize])].clone();
    let seq = [dice.below(50), dice.bits(), u64::MAX, 1][dice.below(4) as usize];
    let shard = dice.below(SHARDS as u64) as u8;
    let level = Level { shard, depth: 0, from_ns: now_ns() + dice.below(10_000_000_000) };
    match dice.below(10) {
        0..4 => {
            let key = format!("nobody-{}", dice.below(50));
            let body = if dice.below(10) == 0 { Body::Gone } else { nowhere() };
            let ago = dice.below(100_000_000_000);
            let stamp = match dice.below(3) {
                0 => Stamp { timestamp_ns: now_ns() + ago, received_ns: now_ns() + ago },
                1 => Stamp { timestamp_ns: now_ns(), received_ns: now_ns() },
                _ => Stamp { timestamp_ns: now_ns() - ago, received_ns: now_ns() - ago / 2 },
            };
            link.record(&life, seq, Kind::CLIENT, &key, body, stamp);
        }
        4 => {
            let index = link.encoder.index_of(&life).unwrap();
            link.encoder.marker(shard, &[(index, seq)]);
        }
        5 => {
            let index = link.encoder.index_of(&life).unwrap();
            link.encoder.ihave(shard, &[(index, seq)]);
        }
        6 => {
            let index = link.encoder.index_of(&life).unwrap();
            link.encoder.graft(
                shard,
                &[(index, seq)],
                [GraftMode::Once, GraftMode::Onward][dice.below(2) as usize],
            );
        }
        7 => {
            let up = NAMES.iter().filter(|_| dice.below(2) == 0).map(|name| name_of(name)).collect();
            let stamp = [now_ns(), life.incarnation, dice.bits(), u64::MAX][dice.below(4) as usize];
            link.encoder.state(&Advertisement { origin: life, stamp, up });
        }
        8 => {
            let root = dice.bits();
            let received = dice.below(100);
            let check = Check { shard, received, from_ns: level.from_ns, client_ttl_ns: 0, root };
            link.encoder.check(&check);
        }
        _ => match dice.below(3) {
            0 => link.encoder.branches(level, &[(0, std::array::from_fn::<_, FAN_OUT, _>(|_| dice.bits()))]),
            1 => link.encoder.leaves(level, &[0]),
            _ => link.encoder.prune(),
        },
    }
}
