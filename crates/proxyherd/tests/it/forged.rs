//! A member that sends forged link states and records of kinds that nobody knows, while clients report.

use std::{
    io::Write as _,
    net::TcpStream,
    thread,
    time::{Duration, Instant, SystemTime},
};

use proxyherd_core::{
    codec::link::Encoder,
    limits::{DATA_LEN_MAX, SHARDS},
    link::{HIGHEST, Identity},
    types::{Body, Difference, Kind, LinkState, Origin, Record, ServerName, Timestamp},
};

use crate::harness::{Herd, NAMES, Plan, WHERE_AND_WHEN, eventually, get, neighbor, status};

/// Eve's end of her link with Riley.
struct Eve {
    stream: TcpStream,
    encoder: Encoder,
}

fn now_ns() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as u64
}

fn name(of: &str) -> ServerName {
    ServerName::new(of).unwrap()
}

impl Eve {
    fn dial(herd: &Herd) -> Eve {
        let identity = Identity {
            herd: "herd".into(),
            me: Origin { server: name("Eve"), incarnation: now_ns() },
            link_version: HIGHEST,
            has_tree: true,
            clock_offset_max_ns: u64::MAX,
        };
        let stream = neighbor::dial(herd.at("Riley").peer, &neighbor::bytes_of(&identity.hello(now_ns())));
        // What Riley says is of no interest, but has to be taken.
        let mut reader = stream.try_clone().unwrap();
        thread::spawn(move || std::io::copy(&mut reader, &mut std::io::sink()));
        Eve { stream, encoder: Encoder::default() }
    }

    /// She is alive, and has all that she wants.
    fn beat(&mut self) {
        self.encoder.heartbeat(now_ns());
        for shard in 0..SHARDS {
            self.encoder.graft(shard as u8, &[], true);
        }
        self.send();
    }

    fn state(&mut self, of: &str, stamp: u64, up: &[&str]) {
        let origin = Origin { server: name(of), incarnation: 1 };
        self.encoder.state(&LinkState { origin, stamp, up: up.iter().map(|up| name(up)).collect() });
        self.send();
    }

    fn data(&mut self, key: &str, seq: u64) {
        let timestamp = Timestamp::from_nanos(now_ns()).unwrap();
        let body = Body::Data { keep_s: 0, bytes: &[7; DATA_LEN_MAX] };
        let difference = Difference::at_receipt(timestamp.nanos(), timestamp);
        let record = Record { kind: Kind(200), key: key.as_bytes(), body, timestamp, difference };
        let index = self.encoder.index_of(&Origin { server: name("Eve"), incarnation: 1 }).unwrap();
        self.encoder.record(index, seq, &record);
        self.send();
    }

    fn send(&mut self) {
        self.stream.write_all(self.encoder.bytes()).unwrap();
        self.encoder.clear();
    }
}

/// The links among the five: how often each has come up.
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
    let plan = Plan::classic().with_server("Eve", &["Riley"]).herd(&format!("max_clients = {CLIENTS}"));
    let mut herd = plan.prepare();
    herd.start_all(&NAMES);
    eventually("the five have their links", || {
        let links = |server| status(herd.at(server).http)["links"].as_array().unwrap().clone();
        let down = |server| links(server).iter().any(|link| link["neighbor"] != "Eve" && link["up"] == false);
        NAMES.into_iter().find(|server| down(*server)).map_or(Ok(()), Err)
    });
    let before = times_up(&herd);
    let mut eve = Eve::dial(&herd);
    eventually("Eve's link is up", || {
        let links = status(herd.at("Riley").http)["links"].clone();
        let eves = links.as_array().unwrap().iter().find(|link| link["neighbor"] == "Eve").cloned().unwrap();
        if eves["up"] == true { Ok(()) } else { Err(eves.to_string()) }
    });
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
    // Where trees are led astray a report waits for heartbeats, of which there are five a second.
    assert!(took[CLIENTS / 2] < Duration::from_millis(200), "{took:?}");
    assert_eq!(times_up(&herd), before, "no link of the five has ended");
    let riley = status(herd.at("Riley").http);
    let links = riley["links"].as_array().unwrap();
    let eves = links.iter().find(|link| link["neighbor"] == "Eve").unwrap();
    assert_eq!(eves["times_up"], 1, "nor has Eve's");
    assert_eq!(eves["nonsense"]["state"], CLIENTS * NAMES.len(), "{eves}");
    // She leaves, and the tree is as it was: among the five, and nobody is left who was never there.
    drop(eve);
    eventually("only the five are left", || {
        let reaches = status(herd.at("Bernard").http)["reaches"].clone();
        if reaches.as_array().unwrap().len() == NAMES.len() { Ok(()) } else { Err(reaches.to_string()) }
    });
    assert_eq!(get(herd.at("Riley").http, "/health/livez").0, 200);
}
