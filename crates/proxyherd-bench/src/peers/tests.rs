//! Tests that the peers do what they are compared for. One client checks all of them.
//!
//! A peer whose runtime is missing is skipped, with a message that says so.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use super::*;
use crate::target::group::LONE;

const LINE: [(&str, &[&str]); 3] = [("Riley", &["Jaquez"]), ("Jaquez", &["Juzang"]), ("Juzang", &[])];
const TRIANGLE: [(&str, &[&str]); 3] =
    [("Riley", &["Jaquez", "Juzang"]), ("Jaquez", &["Juzang"]), ("Juzang", &[])];
/// The number of each server in these topologies.
const RILEY: usize = 0;
const JAQUEZ: usize = 1;
const JUZANG: usize = 2;
/// Maximum time that a test waits for anything.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(2);

/// Calls `test` with each peer that this machine can run. Peers in other languages only.
fn each_peer(test: impl Fn(&Runnable)) {
    for (peer, availability) in &*prepared() {
        match availability {
            Availability::Runs(runnable) => {
                eprintln!("{peer} ({})", runnable.version().unwrap());
                test(runnable);
            }
            Availability::Missing(reason) => eprintln!("skipped: {peer}: {reason}"),
        }
    }
}

type Prepared = Vec<(Peer, Availability)>;

/// The peers, which tests that run at the same time share. So they are compiled once, and their files are removed with
/// the last test.
fn prepared() -> Arc<Prepared> {
    static SHARED: Mutex<Weak<Prepared>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(prepared) = shared.upgrade() {
        return prepared;
    }
    let peers = Peer::ALL.into_iter().filter(|peer| !matches!(peer, Peer::Ours | Peer::Echo));
    let prepared = Arc::new(peers.map(|peer| (peer, peer.prepare(Path::new("")).unwrap())).collect());
    *shared = Arc::downgrade(&prepared);
    prepared
}

/// A client of one server.
struct Client {
    replies: BufReader<TcpStream>,
}

impl Client {
    fn connect(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Client { replies: BufReader::new(stream) }
    }

    fn send(&mut self, text: &str) {
        self.replies.get_mut().write_all(text.as_bytes()).unwrap();
    }

    /// The next line, without its end.
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.replies.read_line(&mut line).unwrap();
        line.strip_suffix('\n').unwrap_or_else(|| panic!("a whole line, and not {line:?}")).to_owned()
    }

    /// The reply to one line.
    fn ask(&mut self, line: &str) -> String {
        self.send(&format!("{line}\n"));
        self.line()
    }

    /// The AT line that a server shows. `None`: it has not heard of the client.
    fn shown(&mut self, client: &str) -> Option<String> {
        let at = self.ask(&format!("WHATSAT {client} 10 5"));
        if at.starts_with('?') {
            return None;
        }
        let mut json = String::new();
        loop {
            match self.line() {
                line if line.is_empty() => break,
                line => json.push_str(&line),
            }
        }
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["results"], serde_json::json!([]));
        Some(at)
    }

    /// Waits until the server shows this AT line.
    fn eventually_shown(&mut self, client: &str, at: &str) {
        let began = Instant::now();
        loop {
            let shown = self.shown(client);
            if shown.as_deref() == Some(at) {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "{shown:?} is shown, and not {at:?}");
            thread::sleep(PAUSE);
        }
    }

    /// All that comes until the server closes the connection, after this text and the end of the client's stream.
    fn talk(address: SocketAddr, text: &str) -> String {
        let mut client = Client::connect(address);
        client.send(text);
        client.replies.get_ref().shutdown(Shutdown::Write).unwrap();
        let mut all = String::new();
        client.replies.read_to_string(&mut all).unwrap();
        all
    }
}

/// A time in the past as a timestamp. The larger `number` is, the later the time is.
fn stamp(number: u32) -> String {
    format!("17000{number:05}.000000001")
}

#[track_caller]
fn assert_is_reply(reply: &str, server: &str, fields: &str) {
    let sent = format!("IAMAT {fields}\n");
    let right = Dialect::Herd.check_burst(sent.as_bytes(), format!("{reply}\n").as_bytes());
    assert!(right.is_ok(), "{reply:?} answers {sent:?}");
    assert!(reply.starts_with(&format!("AT {server} ")), "{reply}");
}

#[test]
fn a_report_is_answered_with_its_fields_and_the_difference() {
    each_peer(|peer| {
        let herd = peer.start(&LONE).unwrap();
        let mut client = Client::connect(herd.addresses()[0]);
        for fields in
            ["kiwi +34.068930-118.445127 1621464827.959498503", "emu -90+180.000 9", "e +0-007 0001.5"]
        {
            assert_is_reply(&client.ask(&format!("IAMAT {fields}")), "Riley", fields);
        }
        let reply = client.ask("  IAMAT \t kiwi   +1+1\u{b} 1621464828 \r");
        assert_is_reply(&reply, "Riley", "kiwi +1+1 1621464828");
        // A clock that is far ahead.
        let ahead = client.ask("IAMAT fast +1+1 9999999999.999999999");
        assert!(ahead.starts_with("AT Riley -8"), "{ahead}");
        // The difference is exact: the sum is the time of receipt, which is now.
        let reply = client.ask("IAMAT owl +1+1 1000000000");
        let difference: f64 = reply.split(' ').nth(2).unwrap().parse().unwrap();
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
        assert!((now - 1e9 - difference).abs() < 30.0, "{reply}");
    });
}

#[test]
fn an_older_report_and_the_same_report_change_nothing() {
    each_peer(|peer| {
        let herd = peer.start(&LONE).unwrap();
        let mut client = Client::connect(herd.addresses()[0]);
        let report = |number| format!("IAMAT kiwi +1+1 {}", stamp(number));
        let first = client.ask(&report(5));
        for number in [5, 4] {
            let reply = client.ask(&report(number));
            assert_is_reply(&reply, "Riley", &format!("kiwi +1+1 {}", stamp(number)));
            assert_eq!(client.shown("kiwi"), Some(first.clone()));
        }
        let newer = client.ask(&report(6));
        assert_eq!(client.shown("kiwi"), Some(newer));
    });
}

#[test]
fn a_fast_clock_shuts_no_report_out_for_long() {
    each_peer(|peer| {
        let herd = peer.start(&TRIANGLE).unwrap();
        let mut servers: Vec<Client> = herd.addresses().into_iter().map(Client::connect).collect();
        let fast = servers[RILEY].ask("IAMAT kiwi +1+1 9999999999");
        servers[JAQUEZ].eventually_shown("kiwi", &fast);
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
        // This is 60 s ahead, so its version is bound, too, and it came later.
        let right = servers[JAQUEZ].ask(&format!("IAMAT kiwi +2+2 {}", now + 60));
        for server in &mut servers {
            server.eventually_shown("kiwi", &right);
        }
    });
}

#[test]
fn wrong_lines_are_repeated_and_blank_lines_are_ignored() {
    each_peer(|peer| {
        let herd = peer.start(&LONE).unwrap();
        let mut client = Client::connect(herd.addresses()[0]);
        let long_id = "i".repeat(257);
        for line in [
            "foo",
            "iamat kiwi +1+1 5",
            "IAMAT kiwi +1+1",
            "IAMAT kiwi +1+1 5 6",
            "IAMAT kiwi 1+1 5",
            "IAMAT kiwi +1 5",
            "IAMAT kiwi +91+1 5",
            "IAMAT kiwi +90.1+1 5",
            "IAMAT kiwi +1-180.000001 5",
            "IAMAT kiwi +1-0181 5",
            "IAMAT kiwi +.5+1 5",
            "IAMAT kiwi +1.+1 5",
            "IAMAT kiwi +1e1+1 5",
            "IAMAT kiwi +1+1 -5",
            "IAMAT kiwi +1+1 5.",
            "IAMAT kiwi +1+1 12345678901",
            "IAMAT kiwi +1+1 5.1234567890",
            "IAMAT kiwi +1.1234567890123+1 5",
            "IAMAT kiwi +1+1 nan",
            &format!("IAMAT {long_id} +1+1 5"),
            "WHATSAT kiwi 10 5",
            "WHATSAT kiwi",
            "AT Riley +1.000000000 kiwi +1+1 5",
        ] {
            assert_eq!(client.ask(line), format!("? {line}"), "and blank lines");
            client.send(" \t\n\n\r\n");
        }
        client.ask("IAMAT kiwi +1+1 5");
        for line in ["WHATSAT kiwi 0 5", "WHATSAT kiwi 50.1 5", "WHATSAT kiwi 10 21", "WHATSAT kiwi 10 5 5"] {
            assert_eq!(client.ask(line), format!("? {line}"));
        }
        assert!(client.shown("kiwi").is_some());
    });
}

#[test]
fn the_last_line_may_end_with_the_stream_and_a_bad_line_may_end_it() {
    each_peer(|peer| {
        let address = peer.start(&LONE).map(|herd| (herd.addresses()[0], herd));
        let (address, _herd) = address.unwrap();
        let all = Client::talk(address, "foo\nIAMAT kiwi +1+1 5");
        assert!(all.starts_with("? foo\nAT Riley +") && all.ends_with(" kiwi +1+1 5\n"), "{all}");
        assert_eq!(
            Client::talk(address, "POST / HTTP/1.1\nIAMAT emu +1+1 5\n"),
            "? POST / HTTP/1.1\n",
            "nothing behind a request of HTTP counts"
        );
        let long = "x".repeat(9000);
        for text in [long.clone(), format!("{long}\nIAMAT emu +1+1 5\n")] {
            assert_eq!(Client::talk(address, &text), format!("? {}\n", &long[..64]));
        }
        assert_eq!(Client::connect(address).shown("emu"), None);
    });
}

#[test]
fn ten_thousand_lines_in_one_write_are_answered_in_order_and_reach_the_other_servers() {
    each_peer(|peer| {
        let herd = peer.start(&LINE).unwrap();
        let (addresses, count) = (herd.addresses(), 10_000);
        let lines: Vec<String> = (0..count)
            .map(|number| match number % 10 {
                9 => format!("wrong {number}"),
                _ => format!("IAMAT client-{number} +1.5-2.5 {}", stamp(number)),
            })
            .collect();
        let mut client = Client::connect(addresses[RILEY]);
        let mut stream = client.replies.get_ref().try_clone().unwrap();
        let text = lines.join("\n") + "\n";
        let sender = thread::spawn(move || stream.write_all(text.as_bytes()).unwrap());
        let mut kept = Vec::new();
        for line in &lines {
            let reply = client.line();
            match line.strip_prefix("IAMAT ") {
                Some(fields) => assert_is_reply(&reply, "Riley", fields),
                None => assert_eq!(reply, format!("? {line}")),
            }
            kept.push(reply);
        }
        sender.join().unwrap();
        for server in [JAQUEZ, JUZANG] {
            let mut client = Client::connect(addresses[server]);
            for number in (0..count as usize).rev().filter(|number| number % 10 < 9).step_by(7) {
                client.eventually_shown(&format!("client-{number}"), &kept[number]);
            }
        }
    });
}

#[test]
fn lines_may_come_in_pieces() {
    each_peer(|peer| {
        let herd = peer.start(&LONE).unwrap();
        let mut client = Client::connect(herd.addresses()[0]);
        let text = "IAMAT kiwi +1.5+1 5\nWHATSAT kiwi 10 5\nfoo\n";
        for cut in 1..text.len() {
            let (one, other) = text.split_at(cut);
            client.send(one);
            // A whole line is answered before the rest is sent, so the server reads the pieces one by one.
            let early: Vec<String> = (0..one.matches('\n').count().min(1)).map(|_| client.line()).collect();
            client.send(other);
            let replies: Vec<String> = (early.len()..9).map(|_| client.line()).collect();
            let all = [early, replies].concat();
            assert_is_reply(&all[0], "Riley", "kiwi +1.5+1 5");
            assert_eq!((&*all[8], &*all[7]), ("? foo", ""), "cut at {cut}: {all:?}");
        }
    });
}

#[test]
fn every_server_shows_the_newest_report_wherever_it_came_in() {
    each_peer(|peer| {
        for topology in [&LINE, &TRIANGLE] {
            let herd = peer.start(topology).unwrap();
            let mut servers: Vec<Client> = herd.addresses().into_iter().map(Client::connect).collect();
            for number in 0..30 {
                let (taker, name) = (number as usize % 3, topology[number as usize % 3].0);
                let fields = format!("kiwi +1+{number} {}", stamp(number));
                let newest = servers[taker].ask(&format!("IAMAT {fields}"));
                assert_is_reply(&newest, name, &fields);
                for server in &mut servers {
                    server.eventually_shown("kiwi", &newest);
                }
            }
        }
    });
}

/// The test in the place of Juzang, the last server of the line, which Jaquez dials.
struct Neighbor {
    lines: BufReader<TcpStream>,
}

impl Neighbor {
    fn accept(listener: &TcpListener) -> Neighbor {
        let (stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut neighbor = Neighbor { lines: BufReader::new(stream) };
        assert_eq!(neighbor.line(), "HELLO Jaquez\n");
        neighbor.send("HELLO Juzang\n");
        neighbor
    }

    fn send(&mut self, text: &str) {
        self.lines.get_mut().write_all(text.as_bytes()).unwrap();
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line
    }
}

#[test]
fn only_news_is_passed_on_and_never_back() {
    each_peer(|peer| {
        let plan = peer.plan(&LINE).unwrap();
        let listener = TcpListener::bind(plan.peer(JUZANG)).unwrap();
        let _servers = [plan.start_server(RILEY).unwrap(), plan.start_server(JAQUEZ).unwrap()];
        let mut neighbor = Neighbor::accept(&listener);
        let mut client = Client::connect(plan.addresses()[RILEY]);
        let sent = client.ask(&format!("IAMAT kiwi +1+1 {}", stamp(5)));
        assert_eq!(neighbor.line(), format!("{sent}\n"));
        // These three change nothing, so nobody is told.
        client.ask(&format!("IAMAT kiwi +1+1 {}", stamp(5)));
        client.ask(&format!("IAMAT kiwi +1+1 {}", stamp(4)));
        let old = format!("AT Juzang +1.000000000 kiwi +2+2 {}", stamp(3));
        let news = format!("AT Juzang -0.250000000 emu +2+2 {}", stamp(3));
        neighbor.send(&format!("{old}\n{sent}\n{news}\n"));
        client.eventually_shown("emu", &news);
        assert_eq!(client.shown("kiwi"), Some(sent));
        let next = client.ask(&format!("IAMAT owl +1+1 {}", stamp(1)));
        assert_eq!(neighbor.line(), format!("{next}\n"), "nothing came back meanwhile");
        // A link that was lost is made again, and brings the whole table.
        drop(neighbor);
        let mut neighbor = Neighbor::accept(&listener);
        let mut table: Vec<String> = (0..3).map(|_| neighbor.line()).collect();
        table.sort_unstable();
        let clients: Vec<&str> = table.iter().map(|line| line.split(' ').nth(3).unwrap()).collect();
        assert_eq!(clients.len(), 3);
        assert!(["kiwi", "emu", "owl"].iter().all(|client| clients.contains(client)), "{table:?}");
    });
}

#[test]
fn a_link_that_comes_up_later_brings_the_table_both_ways() {
    each_peer(|peer| {
        let plan = peer.plan(&LINE).unwrap();
        let mut servers = vec![plan.start_server(RILEY).unwrap(), plan.start_server(JUZANG).unwrap()];
        let addresses = plan.addresses();
        let mut clients = [RILEY, JUZANG].map(|server| Client::connect(addresses[server]));
        // More than one slice of a table, and one client whose versions are equal at both servers.
        let count = 5000;
        for number in 0..count {
            for (place, client) in clients.iter_mut().enumerate() {
                client.send(&format!("IAMAT c{place}-{number} +1+1 {}\n", stamp(number)));
            }
        }
        let mut kept = clients.each_mut().map(|client| (0..count).map(|_| client.line()).collect::<Vec<_>>());
        let tied = clients.each_mut().map(|client| client.ask(&format!("IAMAT tied +3+3 {}", stamp(1))));
        for place in [0, 1] {
            kept[place].push(tied[0].clone());
        }
        servers.insert(JAQUEZ, plan.start_server(JAQUEZ).unwrap());
        plan.wait_for_links(&mut servers).unwrap();
        for server in [RILEY, JAQUEZ, JUZANG] {
            let mut client = Client::connect(addresses[server]);
            for lines in &kept {
                for line in lines.iter().rev().step_by(101) {
                    client.eventually_shown(line.split(' ').nth(3).unwrap(), line);
                }
            }
        }
    });
}

#[test]
fn a_server_that_was_away_has_the_table_again() {
    each_peer(|peer| {
        let plan = peer.plan(&TRIANGLE).unwrap();
        let mut servers: Vec<_> = (0..3).map(|server| plan.start_server(server).unwrap()).collect();
        plan.wait_for_links(&mut servers).unwrap();
        let addresses = plan.addresses();
        let shown = Client::connect(addresses[RILEY]).ask("IAMAT kiwi +1+1 5");
        for server in [JAQUEZ, RILEY, JUZANG] {
            Client::connect(addresses[server]).eventually_shown("kiwi", &shown);
            drop(servers.remove(server));
            servers.insert(server, plan.start_server(server).unwrap());
            plan.wait_for_links_of(&mut servers, server).unwrap();
            Client::connect(addresses[server]).eventually_shown("kiwi", &shown);
        }
    });
}

#[test]
fn a_server_ends_at_sigterm() {
    each_peer(|peer| {
        let plan = peer.plan(&LONE).unwrap();
        let mut server = plan.start_server(0).unwrap();
        let client = Client::connect(plan.addresses()[0]);
        let pid = server.id().to_string();
        assert!(std::process::Command::new("kill").args(["-s", "TERM", &pid]).status().unwrap().success());
        server.wait_for_end().unwrap();
        drop(client);
    });
}

#[test]
fn lines_of_code_are_neither_blank_nor_comments() {
    let source = "/** A\n * B\n */\n\n// C\nclass D {\n    int e; // F\n}\n# G\n";
    assert_eq!(runtime::code_lines(source), 3);
}

#[test]
fn the_echo_server_is_no_herd() {
    let Availability::Runs(echo) = Peer::Echo.prepare(Path::new("")).unwrap() else {
        panic!("it always runs")
    };
    assert!(echo.start(&LINE).err().unwrap().to_string().contains("runs alone"));
    assert!(!Peer::Echo.is_herd() && echo.lines_of_code().is_none());
}
