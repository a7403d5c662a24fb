//! Tests of a member that lies while clients report. It sends forged link states, records of unknown kinds, and any
//! records in the name of other servers.

use std::{
    io::Write as _,
    net::TcpStream,
    thread,
    time::{Duration, Instant, SystemTime},
};

use proxyherd_core::{
    codec::link::{Encoder, GraftMode},
    limits::{DATA_LEN_MAX, SHARDS},
    link::{HIGHEST, Identity},
    types::{
        Advertisement, Attributes, Body, Coordinates, Difference, Kind, Origin, Record, ServerName, Timestamp,
    },
};

use crate::harness::{Herd, NAMES, Plan, WHERE_AND_WHEN, eventually, get, metric, neighbor, status};

/// Eve's end of her link with one server.
pub(crate) struct Eve {
    stream: TcpStream,
    encoder: Encoder,
}

pub(crate) fn now_ns() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as u64
}

fn name(of: &str) -> ServerName {
    ServerName::new(of).unwrap()
}

impl Eve {
    pub(crate) fn dial(herd: &Herd, server: &str) -> Eve {
        let identity = Identity {
            herd: "herd".into(),
            me: Origin { server: name("Eve"), incarnation: now_ns() },
            link_version: HIGHEST,
            has_tree: true,
            clock_offset_max_ns: u64::MAX,
        };
        let stream = neighbor::dial(herd.at(server).peer, &neighbor::bytes_of(&identity.hello(now_ns())));
        // The test ignores the server's frames, but must read them.
        let mut reader = stream.try_clone().unwrap();
        thread::spawn(move || std::io::copy(&mut reader, &mut std::io::sink()));
        Eve { stream, encoder: Encoder::default() }
    }

    /// Sends a heartbeat, and grafts that ask for nothing.
    pub(crate) fn beat(&mut self) {
        self.encoder.heartbeat(now_ns());
        for shard in 0..SHARDS {
            self.encoder.graft(shard as u8, &[], GraftMode::Once);
        }
        self.send();
    }

    fn state(&mut self, of: &str, stamp: u64, up: &[&str]) {
        let origin = Origin { server: name(of), incarnation: 1 };
        self.encoder.state(&Advertisement { origin, stamp, up: up.iter().map(|up| name(up)).collect() });
        self.send();
    }

    fn data(&mut self, key: &str, seq: u64) {
        let eve = Origin { server: name("Eve"), incarnation: 1 };
        self.say(&eve, seq, Kind(200), key, Body::Data { keep_s: 0, bytes: &[7; DATA_LEN_MAX] });
    }

    /// Sends a record with the present time, in the name of any server.
    pub(crate) fn say(&mut self, origin: &Origin, seq: u64, kind: Kind, key: &str, body: Body<'_>) {
        let timestamp = Timestamp::from_nanos(now_ns()).unwrap();
        let difference = Difference::at_receipt(timestamp.nanos(), timestamp);
        let record = Record { kind, key: key.as_bytes(), body, timestamp, difference };
        let index = self.encoder.index_of(origin).unwrap();
        self.encoder.record(index, seq, &record);
        self.send();
    }

    /// Sends a record in another server's name: a client is far away. The times of the server and of the client are
    /// this much later than now.
    fn lie(&mut self, origin: &Origin, seq: u64, client: &str, later_ns: u64) {
        let timestamp = Timestamp::from_nanos(now_ns() + later_ns).unwrap();
        let coordinates = Coordinates::parse(FALSE.as_bytes()).unwrap();
        let body = Body::Location { coordinates, attributes: Attributes::NONE };
        let difference = Difference::at_receipt(timestamp.nanos(), timestamp);
        let record = Record { kind: Kind::CLIENT, key: client.as_bytes(), body, timestamp, difference };
        let index = self.encoder.index_of(origin).unwrap();
        self.encoder.record(index, seq, &record);
    }

    /// Claims that a server has issued this number of updates in each shard, and that all of them are on their way.
    fn cover(&mut self, origin: &Origin, seq: u64) {
        let index = self.encoder.index_of(origin).unwrap();
        for shard in 0..SHARDS {
            self.encoder.marker(shard as u8, &[(index, seq)]);
            self.encoder.ihave(shard as u8, &[(index, seq)]);
            self.encoder.graft(shard as u8, &[(index, seq)], GraftMode::Once);
        }
    }

    fn send(&mut self) {
        self.stream.write_all(self.encoder.bytes()).unwrap();
        self.encoder.clear();
    }
}

/// The position at which Eve claims that clients are.
const FALSE: &str = "-66.6-66.6";
const TEN_YEARS_NS: u64 = 10 * 365 * 86_400 * 1_000_000_000;

/// The five servers, whose links are up, and Eve, who has a link with Riley.
fn herd_with_eve(settings: &str) -> (Herd, Eve) {
    let mut herd = Plan::classic().with_server("Eve", &["Riley"]).herd(settings).prepare();
    herd.start_all(&NAMES);
    eventually("the five have their links", || {
        let links = |server| status(herd.at(server).http)["links"].as_array().unwrap().clone();
        let down = |server| links(server).iter().any(|link| link["neighbor"] != "Eve" && link["up"] == false);
        NAMES.into_iter().find(|server| down(*server)).map_or(Ok(()), Err)
    });
    let eve = Eve::dial(&herd, "Riley");
    eventually("Eve's link is up", || {
        let eves = link_with_eve(&herd);
        if eves["up"] == true { Ok(()) } else { Err(eves.to_string()) }
    });
    (herd, eve)
}

/// Riley's link with Eve.
fn link_with_eve(herd: &Herd) -> serde_json::Value {
    let links = status(herd.at("Riley").http)["links"].clone();
    links.as_array().unwrap().iter().find(|link| link["neighbor"] == "Eve").cloned().unwrap()
}

/// For each link among the five servers, the number of times that it has come up.
fn times_up(herd: &Herd) -> Vec<u64> {
    let mut times = Vec::new();
    for server in NAMES {
        let links = status(herd.at(server).http)["links"].as_array().unwrap().clone();
        for link in links.iter().filter(|link| link["neighbor"] != "Eve") {
            assert_eq!(link["up"], true, "{link}");
            times.push(link["times_up"].as_u64().unwrap());
        }
    }
    times
}

#[test]
fn forged_states_and_unknown_kinds_cost_the_herd_nothing_but_bandwidth() {
    const CLIENTS: usize = 40;
    let (herd, mut eve) = herd_with_eve(&format!("max_clients = {CLIENTS}"));
    let before = times_up(&herd);
    let (mut seq, mut took) = (0, Vec::new());
    for round in 0..CLIENTS {
        eve.beat();
        for of in NAMES {
            eve.state(of, u64::MAX, &[]);
            eve.state(of, now_ns() + 30_000_000_000, if round % 2 == 0 { &[] } else { &["Eve"] });
            eve.state(&format!("nobody-{of}-{round}"), now_ns(), &["Eve"]);
        }
        for _ in 0..5 {
            seq += 1;
            eve.data(&format!("fence-{seq}"), seq);
        }
        let (server, client) = (NAMES[round % NAMES.len()], format!("client-{round}"));
        let at = herd.client(server).ask(&format!("IAMAT {client} {WHERE_AND_WHEN}"));
        assert!(at.starts_with("AT "), "there is room for {CLIENTS} clients: {at}");
        let began = Instant::now();
        assert_eq!(herd.agreed(&NAMES, &client), at);
        took.push(began.elapsed());
    }
    took.sort_unstable();
    // If false link states mislead the tree, a report waits for heartbeats, which come five times a second.
    assert!(took[CLIENTS / 2] < Duration::from_millis(200), "{took:?}");
    assert_eq!(times_up(&herd), before, "no link of the five has ended");
    assert_eq!(link_with_eve(&herd)["times_up"], 1, "nor has Eve's");
    eventually("each state from the future is counted", || {
        let nonsense = link_with_eve(&herd)["nonsense"].clone();
        if nonsense["state"] == CLIENTS * NAMES.len() { Ok(()) } else { Err(nonsense.to_string()) }
    });
    // Eve leaves, and the tree is as before: it has the five servers and no invented server.
    drop(eve);
    eventually("only the five are left", || {
        let reaches = status(herd.at("Bernard").http)["reaches"].clone();
        if reaches.as_array().unwrap().len() == NAMES.len() { Ok(()) } else { Err(reaches.to_string()) }
    });
    assert_eq!(get(herd.at("Riley").http, "/health/livez").0, 200);
}

#[test]
fn lies_in_the_name_of_others_are_contradicted_and_leave_nothing() {
    const ROUNDS: u64 = 25;
    let (herd, mut eve) = herd_with_eve("");
    let before = times_up(&herd);
    let victim = herd.client("Campbell").ask(&format!("IAMAT victim {WHERE_AND_WHEN}"));
    assert_eq!(herd.agreed(&NAMES, "victim"), victim);
    let origins = NAMES.map(|server| {
        let incarnation = status(herd.at(server).http)["incarnation"].as_str().unwrap().parse().unwrap();
        Origin { server: name(server), incarnation }
    });
    let mut slowest = Duration::ZERO;
    for round in 0..ROUNDS {
        eve.beat();
        for origin in &origins {
            eve.lie(origin, u64::MAX - round, "victim", 0);
            eve.lie(origin, 1 + round, &format!("nobody-{round}"), 0);
            eve.lie(origin, 1, &format!("future-{round}"), TEN_YEARS_NS);
            eve.cover(origin, u64::MAX);
            for life in 1..20 {
                let earlier = Origin { incarnation: round * 100 + life, ..origin.clone() };
                eve.lie(&earlier, 1, &format!("future-{round}-{life}"), TEN_YEARS_NS);
            }
        }
        eve.send();
        let (server, client) = (NAMES[round as usize % NAMES.len()], format!("client-{round}"));
        let at = herd.client(server).ask(&format!("IAMAT {client} {WHERE_AND_WHEN}"));
        let began = Instant::now();
        assert_eq!(herd.agreed(&NAMES, &client), at);
        slowest = slowest.max(began.elapsed());
    }
    assert!(slowest < Duration::from_secs(5), "{slowest:?}");
    assert_eq!(times_up(&herd), before, "no link of the five has ended");
    let eves = link_with_eve(&herd);
    assert_eq!(eves["times_up"], 1, "nor has Eve's");
    let receipts = ROUNDS * 5 * 20;
    eventually("all that she says of the future is counted", || {
        let nonsense = link_with_eve(&herd)["nonsense"].clone();
        if nonsense["receipt"] == receipts { Ok(()) } else { Err(nonsense.to_string()) }
    });
    let nonsense = &link_with_eve(&herd)["nonsense"];
    assert!(nonsense["own_record"].as_u64() >= Some(ROUNDS), "{nonsense}");
    herd.wait_for_log(
        "Riley",
        "the neighbor sent what this server does not keep: a record under this server's name",
    );
    let counted =
        metric(herd.at("Riley").http, "proxyherd_link_nonsense_total{neighbor=\"Eve\",what=\"receipt\"}");
    assert_eq!(counted, Some(receipts as f64));
    // Eve leaves. Her records are gone. Where her lies about the victim crossed, its record may be gone, too, until it
    // reports again.
    drop(eve);
    eventually("nothing of it is left", || {
        let told = herd.located("Bernard", &["victim", "nobody-0", &format!("nobody-{}", ROUNDS - 1)]);
        let is_gone = |at: &String| at.starts_with("? ");
        let is_true = told[0].contains(" victim +34.068930-118.445127 ");
        if (is_true || is_gone(&told[0])) && told[1..].iter().all(is_gone) {
            Ok(())
        } else {
            Err(format!("{told:#?}"))
        }
    });
    let now = Timestamp::from_nanos(now_ns()).unwrap();
    let victim = herd.client("Campbell").ask(&format!("IAMAT victim +35.068930-118.445127 {now}"));
    assert_eq!(herd.agreed(&NAMES, "victim"), victim);
    assert!(victim.contains(" victim +35.068930-118.445127 "), "{victim}");
    for round in 0..ROUNDS {
        let nobody = format!("nobody-{round}");
        for server in NAMES {
            eventually(&format!("{server} knows nothing of {nobody}"), || {
                let told = herd.located(server, &[&nobody]).remove(0);
                if told.starts_with("? ") { Ok(()) } else { Err(told) }
            });
        }
        assert!(herd.agreed(&NAMES, &format!("client-{round}")).contains("+34.068930-118.445127"));
    }
    assert_eq!(times_up(&herd), before);
}
