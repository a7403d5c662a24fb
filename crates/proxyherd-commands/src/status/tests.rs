//! Tests of the output of `status`, for servers in every condition.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::PathBuf,
    thread,
};

use proxyherd_config::{
    config::{Address, Config, Door, DoorCertificate, Tls},
    door_kind::DoorKind,
    server_status::{BudgetStatus, JournalStatus, LinkStatus, ReportStatus},
};
use proxyherd_server::server::{Server, Sockets};
use tokio::net::TcpSocket;

use super::*;
use crate::{door_trust::testing::TlsDoor, wait::eventually};

fn plain(snapshot: &HerdSnapshot) -> String {
    anstream::adapter::strip_str(&text(snapshot, None)).to_string()
}

fn link(neighbor: &str) -> LinkStatus {
    LinkStatus {
        neighbor: neighbor.to_owned(),
        address: "127.0.0.1:13001".to_owned(),
        dials: true,
        up: true,
        up_s: Some(1.0),
        times_up: 1,
        unsteady: false,
        payloads_sent: 0,
        payloads_received: 0,
        lag_s: 0.0,
        clock_offset_s: 0.0,
        eager: true,
        version: Some(2),
        nonsense: Default::default(),
        trouble: None,
    }
}

#[test]
fn an_incarnation_is_told_as_text_and_read_as_a_number_too() {
    let incarnation = 9_007_199_254_740_993;
    let status = Status { incarnation, ..status("Riley", 1, vec![]) };
    let told = serde_json::to_string(&status).unwrap();
    assert!(told.contains(r#""incarnation":"9007199254740993","#), "{told}");
    let by_an_older_server = told.replace("\"9007199254740993\"", "9007199254740993");
    for told in [told, by_an_older_server] {
        assert_eq!(serde_json::from_str::<Status>(&told).unwrap(), status);
    }
    assert!(serde_json::from_str::<Status>(r#"{"incarnation":"x"}"#).is_err());
}

fn status(server: &str, records: u64, links: Vec<LinkStatus>) -> Status {
    Status {
        server: server.to_owned(),
        herd: "herd".to_owned(),
        version: "0.1.0".to_owned(),
        incarnation: 1,
        uptime_s: 3725.0,
        draining: false,
        removed: false,
        stuck: vec![],
        namesake: false,
        records,
        connections: 12,
        reports: ReportStatus { accepted: 12345, stale: 6, rejected: 0 },
        root_mismatches: 0,
        log_left_out: 0,
        places: None,
        places_budgets: vec![],
        journal: None,
        certificate_days_left: None,
        peers_refused: 0,
        reaches: vec![server.to_owned()],
        links,
    }
}

fn asked(name: &str, answer: StatusAnswer) -> AskedServer {
    let has_door = !matches!(answer, StatusAnswer::NoDoor);
    let http = has_door.then(|| Door::parse(DoorKind::Http, "127.0.0.1:8000").unwrap());
    AskedServer { name: name.to_owned(), http, answer }
}

fn up(status: Status) -> AskedServer {
    asked(&status.server.clone(), StatusAnswer::Up(Box::new(status)))
}

fn snapshot(servers: Vec<AskedServer>) -> HerdSnapshot {
    HerdSnapshot { herd: "herd".to_owned(), servers }
}

#[test]
fn a_server_that_only_its_url_names_is_named_once() {
    let name = "http://127.0.0.1:8000".to_owned();
    let answer = StatusAnswer::Silent("connection refused".to_owned());
    let text = plain(&snapshot(vec![AskedServer { name, http: None, answer }]));
    assert!(text.contains("! http://127.0.0.1:8000 does not answer: connection refused\n"), "{text}");
}

#[test]
fn the_herd_is_a_table_with_its_troubles_below() {
    let down = LinkStatus {
        up: false,
        up_s: None,
        trouble: Some("connection refused".to_owned()),
        ..link("Juzang")
    };
    let stopping = Status { draining: true, uptime_s: 5.0, ..status("Bernard", 36, vec![link("Riley")]) };
    let snapshot = snapshot(vec![
        up(status("Riley", 36, vec![link("Bernard"), down])),
        asked("Juzang", StatusAnswer::Silent("connection refused".to_owned())),
        up(stopping),
        asked("Campbell", StatusAnswer::NoDoor),
    ]);
    assert_eq!(
        plain(&snapshot),
        "herd: 2 of 4 servers answer\n\
         \n\
         SERVER    STATE         UPTIME  RECORDS  CONNS  ACCEPTED  STALE  REJECTED  LINKS\n\
         Riley     up            1h 02m       36     12     12345      6         0    1/2\n\
         Juzang    unreachable        -        -      -         -      -         -      -\n\
         Bernard   stopping          5s       36     12     12345      6         0    1/1\n\
         Campbell  no http door       -        -      -         -      -         -      -\n\
         \n\
         ! Riley's link with Juzang is down: connection refused\n\
         ! Juzang does not answer at http://127.0.0.1:8000: connection refused\n\
         \n\
         All 2 servers that answer hold 36 records each.\n"
    );
    assert_eq!((snapshot.silent_count(), snapshot.door_count()), (1, 3));
}

#[test]
fn the_text_fits_its_window_and_loses_no_word() {
    let down = LinkStatus { up: false, trouble: Some("can't reach it: ".repeat(9)), ..link("Juzang") };
    let busy = Status {
        uptime_s: 1e7,
        reports: ReportStatus { accepted: 641_000_000, stale: 123_456, rejected: 987_654_321 },
        ..status("Campbell", 12_345_678, vec![down])
    };
    let snapshot = snapshot(vec![
        up(busy),
        up(status("Riley", 36, vec![link("Bernard")])),
        asked("Juzang", StatusAnswer::Silent("connection refused".to_owned())),
    ]);
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let whole = plain(&snapshot);
    for columns in [40, 50, 60, 79, 80, 100, 200] {
        let text = anstream::adapter::strip_str(&text(&snapshot, Some(columns))).to_string();
        for line in text.lines() {
            assert!(line.chars().count() <= columns, "{columns}: {line}");
        }
        let below = |text: &str| words(text.split_once("\n\n!").unwrap().1);
        assert_eq!(below(&text), below(&whole), "in {columns} columns");
        assert!(text.contains("RECORDS") && text.contains("LINKS"), "{text}");
    }
    assert!(whole.lines().skip(2).take(4).all(|line| line.chars().count() <= 86), "{whole}");
}

#[test]
fn of_each_budget_the_greatest_spending_is_told() {
    let budget = |date: &str, spent: u64| BudgetStatus {
        period: "day".to_owned(),
        date: date.to_owned(),
        whole: 40,
        spent,
        left: 40 - spent,
        own_left: 0,
    };
    let with = |server: &str, places_budgets| up(Status { places_budgets, ..status(server, 1, vec![]) });
    let snapshot = snapshot(vec![
        with("Riley", vec![budget("2026-10-05", 7), budget("2026-10", 40)]),
        with("Jaquez", vec![budget("2026-10-05", 9), budget("2026-10", 38)]),
    ]);
    let text = plain(&snapshot);
    let told = "\n\nRequests for places in 2026-10: 40 of 40, 0 left.\nRequests for places in 2026-10-05: 9 of 40, 31 left.\n\nAll 2";
    assert!(text.contains(told), "{text}");
}

#[test]
fn a_journal_that_acknowledges_nothing_is_a_trouble() {
    let running = JournalStatus {
        state: "running".to_owned(),
        disk_bytes: 12_345_678,
        waiting: 3,
        fsync_last_ms: 0.44,
        ..JournalStatus::default()
    };
    let check = |journal: &JournalStatus, expected: Option<&str>| {
        let text = plain(&snapshot(vec![up(Status {
            journal: Some(journal.clone()),
            ..status("Riley", 1, vec![])
        })]));
        let troubles: Vec<_> = text.lines().filter(|line| line.starts_with("! ")).collect();
        assert_eq!(troubles.first().copied(), expected, "{text}");
        text
    };
    let text = check(&running, None);
    let line = "Riley's journal is running: 12.34M bytes on disk, 3 waiting, last sync 0.4 ms.";
    assert!(text.contains(line), "{text}");
    let why = Some("the disk broke".to_owned());
    check(
        &JournalStatus { state: "failed".to_owned(), why, ..running.clone() },
        Some(
            "! Riley's journal has failed, and Riley acknowledges no report until it is started again: the disk broke",
        ),
    );
    let why = Some("the disk of the store is full".to_owned());
    check(
        &JournalStatus { state: "full".to_owned(), why, ..running.clone() },
        Some("! Riley acknowledges no report: the disk of the store is full"),
    );
    check(
        &JournalStatus { damage: 2, ..running.clone() },
        Some("! Riley found 2 damaged places in its store when it started: look at its log and its disk"),
    );
    check(
        &JournalStatus { fsync_running_ms: 2500.0, ..running },
        Some(
            "! Riley's disk has been syncing the journal for 2.5 s, and no report is acknowledged meanwhile",
        ),
    );
}

#[test]
fn whether_the_servers_agree_is_told_last() {
    let check = |records: &[u64], expected: &str| {
        let names = ["Riley", "Jaquez", "Juzang"];
        let servers =
            names.iter().zip(records).map(|(name, &records)| up(status(name, records, vec![]))).collect();
        let text = plain(&snapshot(servers));
        assert_eq!(text.lines().last(), Some(expected), "{records:?}");
    };
    check(&[1, 1, 1], "All 3 servers that answer hold 1 record each.");
    check(&[7], "The one server that answers holds 7 records.");
    check(&[7, 5, 6], "The servers that answer do not hold equally many records: Jaquez has 5, Riley has 7.");
    let certified = |server, days| Status { certificate_days_left: Some(days), ..status(server, 1, vec![]) };
    let text = plain(&snapshot(vec![
        up(certified("Riley", 365)),
        up(certified("Jaquez", 30)),
        up(status("Juzang", 1, vec![])),
    ]));
    assert!(
        text.ends_with("1 record each.\nThe first certificate to expire is Jaquez's, in 30 days.\n"),
        "{text}"
    );
    let none = plain(&snapshot(vec![asked("Riley", StatusAnswer::NoDoor)]));
    assert!(none.ends_with("-\n"), "{none}");
}

#[test]
fn what_an_operator_should_look_at_is_a_sentence() {
    let check = |change: fn(&mut Status), expected: &str| {
        let mut status = status("Riley", 1, vec![link("Jaquez")]);
        change(&mut status);
        let text = plain(&snapshot(vec![asked("Riley", StatusAnswer::Up(Box::new(status)))]));
        let troubles: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("! ")).collect();
        assert_eq!(troubles, [expected]);
    };
    check(
        |status| status.stuck = vec!["thread line-0".to_owned(), "shard 3\x1b[2J".to_owned()],
        "Riley is stuck: thread line-0, shard 3\\x1b[2J; restart it if this does not end",
    );
    check(
        |status| status.removed = true,
        "Riley runs, but its herd.toml no longer names it: the server ends within seconds, or runs without links if `removed` is \
         \"stay\"",
    );
    check(
        |status| status.reaches.extend(["Juzang".to_owned(), "Riley".to_owned()]),
        "Juzang still runs and has links, but this herd.toml does not name that server",
    );
    check(|status| status.namesake = true, "another process runs as Riley in this herd: stop one of the two");
    check(
        |status| status.log_left_out = 7,
        "Riley has left 7 lines out of its log, because they came faster than the log could be written",
    );
    check(
        |status| status.certificate_days_left = Some(29),
        "Riley's certificate expires in 29 days: renew it with `proxyherd init --server Riley`",
    );
    check(
        |status| status.certificate_days_left = Some(-1),
        "Riley's certificate has expired, and no new link with it comes up: \
         renew it with `proxyherd init --server Riley`",
    );
    check(
        |status| (status.links[0].unsteady, status.links[0].times_up) = (true, 9),
        "Riley's link with Jaquez does not stay up and has come up 9 times: look at the logs of both servers",
    );
    check(|status| status.links[0].up = false, "Riley's link with Jaquez is down: it has not come up yet");
    check(
        |status| (status.links[0].up, status.links[0].dials) = (false, false),
        "Riley's link with Jaquez is down: Jaquez has not connected yet; if Jaquez runs, its log says why",
    );
    check(
        |status| status.root_mismatches = 2,
        "Riley has found 2 differences between its records and its neighbors', and repaired them; look at its log",
    );
    check(|status| status.links[0].clock_offset_s = -1.26, "Jaquez's clock is 1.3 s behind Riley's");
    check(
        |status| status.links[0].lag_s = 2.34,
        "Riley's link with Jaquez is behind: changes have waited for 2.3 s",
    );
    check(
        |status| {
            status.links[0].nonsense =
                [("receipt".to_owned(), 3), ("of a later version".to_owned(), 1)].into();
        },
        "Jaquez sent Riley records that Riley does not keep: of a later version (1), a record received further in the future \
         than max_clock_offset_s (3); look at Jaquez, and at the servers behind it, for which it may only have passed \
         this on",
    );
}

#[test]
fn in_json_a_server_has_a_status_or_an_error_or_no_door() {
    let snapshot = snapshot(vec![
        up(status("Riley", 36, vec![link("Jaquez")])),
        asked("Jaquez", StatusAnswer::Silent("connection refused".to_owned())),
        asked("Juzang", StatusAnswer::NoDoor),
    ]);
    let json: serde_json::Value = serde_json::from_str(&json(&snapshot)).unwrap();
    assert_eq!(json[0]["server"], "Riley");
    assert_eq!(json[0]["status"]["links"][0]["neighbor"], "Jaquez");
    assert_eq!(json[0].get("error"), None);
    let jaquez =
        serde_json::json!({"server": "Jaquez", "http": "127.0.0.1:8000", "error": "connection refused"});
    assert_eq!(json[1], jaquez);
    assert_eq!(json[2], serde_json::json!({"server": "Juzang", "http": null}));
}

fn address(at: SocketAddr) -> Address {
    Address::new(at.ip(), at.port())
}

#[test]
fn a_herd_in_parts_is_told_of() {
    let snapshot = snapshot(vec![
        up(status("Riley", 1, vec![link("Juzang")])),
        up(status("Bernard", 1, vec![link("Juzang")])),
        up(Status {
            reaches: vec!["Jaquez".to_owned(), "Campbell".to_owned()],
            ..status("Jaquez", 1, vec![])
        }),
        up(status("Campbell", 1, vec![])),
    ]);
    let text = plain(&snapshot);
    let told = "! the herd is split into 2 parts that have no links with each other: Bernard, Juzang, Riley; Campbell, Jaquez\n";
    assert!(text.contains(told), "{text}");
    let one =
        self::snapshot(vec![up(status("Riley", 1, vec![link("Jaquez")])), up(status("Jaquez", 1, vec![]))]);
    assert!(!plain(&one).contains("parts"));
}

/// The outcome of asking a server that sends this answer on every connection.
fn answer_of(answer: impl Into<String>) -> StatusAnswer {
    let answer = answer.into();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let mut config = Config::classic();
    config.herd.tls = Tls::Off;
    config.servers.truncate(1);
    config.servers[0].set_doors(DoorKind::Http, [address(listener.local_addr().unwrap())]);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let mut line = String::new();
            while stream.read_line(&mut line).is_ok_and(|len| len > 2) {
                line.clear();
            }
            let _ = stream.get_mut().write_all(answer.as_bytes());
        }
    });
    HerdSnapshot::ask(&config, None).servers.remove(0).answer
}

#[test]
fn whoever_else_is_at_a_servers_door_is_not_taken_for_it() {
    let check = |answer: &'static str, expected: &str| match answer_of(answer) {
        StatusAnswer::Silent(why) => assert!(why.contains(expected), "{answer:?}: {why}"),
        other => panic!("{answer:?}: {other:?}"),
    };
    check("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", "it answers HTTP 404");
    check("HTTP/1.1 302 Found\r\nlocation: /\r\ncontent-length: 0\r\n\r\n", "it answers HTTP 302");
    check("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", "is not a status of this version");
    check("? GET /v1/status HTTP/1.1\n", "not HTTP");
    check("", "the connection was lost");
    let check = |shown: Status, expected: &str| {
        let body = serde_json::to_string(&shown).unwrap();
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        match answer_of(answer) {
            StatusAnswer::Silent(why) => assert_eq!(why, expected),
            other => panic!("{other:?}"),
        }
    };
    check(status("Jaquez", 1, vec![]), "Jaquez answers there; is Riley on another machine?");
    let cattle = Status { herd: "cattle".to_owned(), ..status("Riley", 1, vec![]) };
    check(cattle, "Riley of another herd, cattle, answers there");
}

#[test]
fn a_door_with_tls_is_asked_by_https_and_shows_the_certificate_of_the_configuration() {
    let body = serde_json::to_string(&status("Riley", 1, vec![])).unwrap();
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let door = TlsDoor::open(move |stream| {
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        // A client that does not trust the certificate sends no request.
        while stream.read_line(&mut line).is_ok_and(|len| len > 2) {
            line.clear();
        }
        let _ = stream.get_mut().write_all(answer.as_bytes());
    });
    let mut config = Config::classic();
    config.servers.truncate(1);
    let at = Door { kind: DoorKind::Http, address: address(door.address), tls: true };
    // Only the first address is asked.
    let second = Door::plain(DoorKind::Http, "127.0.0.1:1".parse().unwrap());
    config.servers[0].doors = vec![at, second];
    let key = PathBuf::from("not read here");
    config.tls = Some(DoorCertificate { cert: door.certificate(), key });
    let snapshot = HerdSnapshot::ask(&config, None);
    assert!(matches!(snapshot.servers[0].answer, StatusAnswer::Up(_)), "{}", plain(&snapshot));
    assert_eq!(ServerJson::of(&snapshot.servers[0]).http, Some(format!("tls://{}", door.address)));
    config.tls = None;
    let text = plain(&HerdSnapshot::ask(&config, None));
    let expected = format!(
        "! Riley does not answer at https://{}: its certificate is of an authority that this system does not trust",
        door.address
    );
    assert!(text.contains(&expected), "{text}");
}

/// A herd of Riley and Jaquez that runs, Juzang that does not, and Campbell that has no HTTP door.
struct Herd {
    config: Config,
    servers: Vec<Server>,
    /// Reserves Juzang's port, so that no other program takes the port.
    _juzang: TcpSocket,
    _log: tempfile::TempDir,
}

impl Herd {
    async fn start() -> Herd {
        let log = tempfile::tempdir().unwrap();
        let mut config = Config::classic();
        config.herd.tls = Tls::Off;
        config.log.dir = log.path().to_path_buf();
        config.servers.truncate(4);
        let any = Address::new(Ipv4Addr::LOCALHOST.into(), 0);
        let mut sockets = Vec::new();
        for server in &mut config.servers {
            server.doors.iter_mut().for_each(|door| door.address = any.clone());
            server.peer = Some(any.clone());
            let bound = Sockets::bind(server).await.unwrap();
            let addresses = bound.addresses();
            server.peer = addresses.peer.map(address);
            server.set_doors(DoorKind::Http, addresses.http().map(address));
            server.neighbors.clear();
            sockets.push(bound);
        }
        let juzang = TcpSocket::new_v4().unwrap();
        juzang.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        config.servers[2].set_doors(DoorKind::Http, [address(juzang.local_addr().unwrap())]);
        config.servers[3].set_doors(DoorKind::Http, []);
        let jaquez = config.servers[1].name.clone();
        config.servers[0].neighbors.push(jaquez);
        sockets.truncate(2);
        let names: Vec<_> = config.servers.iter().map(|server| server.name.clone()).collect();
        let start = |(name, sockets)| Server::start_on(&config, name, sockets).unwrap();
        let servers = names.iter().zip(sockets).map(start).collect();
        Herd { config, servers, _juzang: juzang, _log: log }
    }

    /// The herd's snapshot when both ends of the link are up.
    fn seen_when_linked(config: &Config) -> HerdSnapshot {
        eventually("the link is up at both ends", || {
            let snapshot = HerdSnapshot::ask(config, None);
            let up = snapshot.up().filter(|(_, status)| status.links.iter().any(|link| link.up)).count();
            if up == 2 { Ok(snapshot) } else { Err(plain(&snapshot)) }
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_herd_is_asked_over_http() {
    let herd = Herd::start().await;
    let config = herd.config.clone();
    let snapshot = tokio::task::spawn_blocking(move || Herd::seen_when_linked(&config)).await.unwrap();
    let text = plain(&snapshot);
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    for (line, name) in [(3, "Riley"), (4, "Jaquez")] {
        assert_eq!(lines[line][..2], [name, "up"], "{text}");
        assert_eq!(lines[line].last(), Some(&"1/1"), "{text}");
    }
    assert_eq!(lines[5][..2], ["Juzang", "unreachable"], "{text}");
    assert_eq!(lines[6][..4], ["Campbell", "no", "http", "door"], "{text}");
    assert!(text.contains("! Juzang does not answer at http://127.0.0.1:"), "{text}");
    assert!(text.contains(": connection refused\n"), "{text}");
    assert!(text.ends_with("All 2 servers that answer hold 0 records each.\n"), "{text}");
    assert_eq!((snapshot.silent_count(), snapshot.door_count()), (1, 3));
    for server in herd.servers {
        server.stop().await;
    }
}
