//! What a protocol can wait for: answers about places, durability, news and the clock, with and without TLS.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use proxyherd_core::{command::Position, places::Query};
use tokio::sync::Semaphore;

use super::*;
use crate::{
    herd::{Durability, Notice, Positions},
    places::{Embedded, Pending, Provider},
};

/// A provider that answers when the test allows it.
struct Gated(Arc<Semaphore>);

impl Provider for Gated {
    fn name(&self) -> &'static str {
        "gated"
    }

    fn nearby<'a>(&'a self, query: &'a Query) -> Pending<'a> {
        Box::pin(async {
            self.0.acquire().await.unwrap().forget();
            Ok(Embedded.nearby_now(query, 20).unwrap())
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_about_places_is_waited_for_and_what_comes_behind_it_waits_too() {
    for is_tls in [false, true] {
        let gate = Arc::new(Semaphore::new(0));
        let house = House::with("", |config, log| {
            let gated = Arc::new(Gated(Arc::clone(&gate)));
            Places::with(gated, vec![], &config.places, Arc::new(Unlimited), places::environment(log))
        });
        let mut reporter = tcp(house.line(false).await);
        reporter.write_all(b"IAMAT kiwi +34.06-118.44 1000\n").unwrap();
        line(&mut reporter);
        let mut client = house.dial(house.toy(is_tls).await, is_tls);
        client.write_all(&[message(b'w', b"kiwi"), message(b'e', b"behind")].concat()).unwrap();
        let own = client.tcp().local_addr().unwrap();
        assert_eq!(reply(&mut *client), ('h', own.to_string().into_bytes()), "the server speaks first");
        assert_eq!(reply(&mut *client), ('a', b"kiwi".to_vec()));
        let mut bystander = house.dial(client.tcp().peer_addr().unwrap(), is_tls);
        bystander.write_all(&message(b'e', b"other")).unwrap();
        reply(&mut *bystander);
        assert_eq!(reply(&mut *bystander), ('e', b"other".to_vec()), "others are served meanwhile");
        client.tcp().set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        assert!(client.read(&mut [0]).is_err(), "nothing was answered out of turn");
        client.tcp().set_read_timeout(Some(PATIENCE)).unwrap();
        gate.add_permits(1);
        let (letter, json) = reply(&mut *client);
        assert_eq!(letter, 'p');
        assert!(json.starts_with(b"{") && json.ends_with(b"}"), "{}", String::from_utf8_lossy(&json));
        assert_eq!(reply(&mut *client), ('e', b"behind".to_vec()));
    }
}

/// A journal that covers what the test tells it to, and keeps the notices of those who wait.
#[derive(Debug, Default)]
struct FakeJournal {
    waiting: Mutex<Vec<(Positions, Notice)>>,
    covers_at_once: AtomicBool,
    patience: Duration,
}

impl FakeJournal {
    fn cover(&self, sequence: u64) {
        let mut covered = Positions::default();
        covered.note(Position { shard: 0, seq: sequence });
        let is_covered = |(positions, _): &mut (Positions, _)| positions.is_within(&covered);
        let covered: Vec<_> = self.waiting.lock().extract_if(.., is_covered).collect();
        covered.into_iter().for_each(|(_, notice)| notice.covered());
    }

    /// Covers everything that somebody waits for now.
    fn cover_all(&self) {
        let waiting = std::mem::take(&mut *self.waiting.lock());
        waiting.into_iter().for_each(|(_, notice)| notice.covered());
    }

    fn wait_for(&self, count: usize) {
        eventually("somebody waits", || self.waiting.lock().len() == count);
    }
}

impl Durability for FakeJournal {
    fn await_covered(&self, positions: Positions, notice: Notice) {
        if self.covers_at_once.load(SeqCst) {
            return notice.covered();
        }
        self.waiting.lock().push((positions, notice));
    }

    fn patience(&self) -> Duration {
        self.patience
    }
}

async fn house_with_journal(patience: Duration) -> (House, Arc<FakeJournal>) {
    let (house, journal) = (House::new(""), Arc::new(FakeJournal { patience, ..FakeJournal::default() }));
    house.herd.set_durability(Arc::clone(&journal) as _);
    (house, journal)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_leaves_when_what_it_acknowledges_is_durable_and_not_before() {
    for is_tls in [false, true] {
        let (house, journal) = house_with_journal(PATIENCE).await;
        let door = house.toy(is_tls).await;
        let mut clients = [house.dial(door, is_tls), house.dial(door, is_tls)];
        for (client, sequence) in clients.iter_mut().zip([7, 9]) {
            client.write_all(&[message(b'd', &[sequence]), message(b'e', b"behind")].concat()).unwrap();
            assert_eq!(reply(&mut **client).0, 'h');
        }
        journal.wait_for(2);
        for client in &clients {
            client.tcp().set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        }
        assert!(clients.iter_mut().all(|client| client.read(&mut [0]).is_err()));
        for client in &clients {
            client.tcp().set_read_timeout(Some(PATIENCE)).unwrap();
        }
        journal.cover(8);
        assert_eq!(reply(&mut *clients[0]), ('d', vec![7]));
        assert_eq!(reply(&mut *clients[0]), ('e', b"behind".to_vec()));
        assert_eq!(journal.waiting.lock().len(), 1, "the other one is not durable yet");
        journal.cover(9);
        assert_eq!(reply(&mut *clients[1]), ('d', vec![9]));
        journal.covers_at_once.store(true, SeqCst);
        clients[0].write_all(&message(b'd', &[10])).unwrap();
        assert_eq!(reply(&mut *clients[0]), ('d', vec![10]));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_durable_in_time_is_not_acknowledged_and_its_connection_ends() {
    let (house, journal) = house_with_journal(Duration::from_millis(300)).await;
    let door = house.toy(false).await;
    let (mut client, mut bystander) = (house.dial(door, false), house.dial(door, false));
    let began = Instant::now();
    client.write_all(&message(b'd', &[7])).unwrap();
    assert_eq!(reply(&mut *client).0, 'h');
    assert_eq!(rest(&mut *client), b"", "no reply");
    assert!((300..900).contains(&began.elapsed().as_millis()), "after {:?}", began.elapsed());
    house.wait_for_log("the client's reports were not durable within 0.3 s");
    // A reply that becomes durable too late does not go to another connection.
    journal.cover(7);
    bystander.write_all(&message(b'e', b"here")).unwrap();
    assert_eq!((reply(&mut *bystander).0, reply(&mut *bystander)), ('h', ('e', b"here".to_vec())));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_can_never_be_durable_is_told_at_once() {
    let (house, journal) = house_with_journal(PATIENCE).await;
    let toy = house.toy(false).await;
    let (mut client, mut bystander) = (house.dial(toy, false), house.dial(toy, false));
    client.write_all(&message(b'd', &[7])).unwrap();
    assert_eq!(reply(&mut *client).0, 'h');
    journal.wait_for(1);
    let began = Instant::now();
    journal.waiting.lock().clear();
    assert_eq!(rest(&mut *client), b"", "no reply");
    house.wait_for_log("the client's reports cannot become durable now");
    bystander.write_all(&message(b'e', b"here")).unwrap();
    assert_eq!((reply(&mut *bystander).0, reply(&mut *bystander)), ('h', ('e', b"here".to_vec())));
    let phones = house.door(DoorKind::Phones, &[false]).await[0];
    let mut phone = house.dial(phones, false);
    let get = format!("GET /?id=a&lat=1&lon=2 HTTP/1.1\r\nHost: {phones}\r\nConnection: close\r\n\r\n");
    phone.write_all(get.as_bytes()).unwrap();
    journal.wait_for(1);
    journal.waiting.lock().clear();
    let answer = String::from_utf8(rest(&mut *phone)).unwrap();
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("cannot become durable now"), "{answer}");
    assert!(began.elapsed() < PATIENCE, "nobody has waited for the end of the patience");
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_phone_is_answered_when_its_report_is_durable_and_told_to_try_later_otherwise() {
    let (house, journal) = house_with_journal(Duration::from_millis(300)).await;
    let door = house.door(DoorKind::Phones, &[false]).await[0];
    let ask = |request: &str| {
        let mut phone = house.dial(door, false);
        phone.write_all(request.as_bytes()).unwrap();
        String::from_utf8(rest(&mut *phone)).unwrap()
    };
    let get = |time: u32| {
        ask(&format!(
            "GET /?id=a&lat=1&lon=2&timestamp={time} HTTP/1.1\r\nHost: {door}\r\nConnection: close\r\n\r\n"
        ))
    };
    let refused = get(1);
    assert!(refused.starts_with("HTTP/1.1 503 ") && refused.contains("retry-after: 1\r\n"), "{refused}");
    assert_eq!(journal.waiting.lock().len(), 1);
    let body =
        r#"{"locations":[{"geometry":{"type":"Point","coordinates":[2,1]},"properties":{"device_id":"b"}}]}"#;
    let len = body.len();
    let batch = format!(
        "POST / HTTP/1.1\r\nHost: {door}\r\nContent-Length: {len}\r\nConnection: close\r\n\r\n{body}"
    );
    assert!(ask(&batch).starts_with("HTTP/1.1 503 "));
    journal.covers_at_once.store(true, SeqCst);
    assert!(get(2).starts_with("HTTP/1.1 200 "));
    assert!(ask(&batch).starts_with("HTTP/1.1 200 "));
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_client_is_answered_when_its_reports_are_durable_and_what_comes_behind_them_waits_too() {
    for is_tls in [false, true] {
        let (house, journal) = house_with_journal(PATIENCE).await;
        let mut client = house.dial(house.line(is_tls).await, is_tls);
        let lines = "IAMAT kiwi +34.06-118.44 1000\nIAMAT kiwi +34.06-118.44 999\nnonsense\nAUTH x\n\
                     IAMAT lime +34.06-118.44 1000\nWHATSAT kiwi 10 0\n";
        client.write_all(lines.as_bytes()).unwrap();
        journal.wait_for(1);
        client.tcp().set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        assert!(client.read(&mut [0]).is_err(), "nothing is durable yet");
        client.tcp().set_read_timeout(Some(PATIENCE)).unwrap();
        journal.cover_all();
        assert!(line(&mut *client).ends_with(" kiwi +34.06-118.44 1000\n"));
        assert!(
            line(&mut *client).ends_with(" kiwi +34.06-118.44 999\n"),
            "a stale report waits like others"
        );
        assert_eq!(line(&mut *client), "? nonsense\n");
        journal.wait_for(1);
        journal.cover_all();
        assert_eq!(line(&mut *client), "AUTH ok\n");
        assert!(line(&mut *client).ends_with(" lime +34.06-118.44 1000\n"));
        assert!(line(&mut *client).ends_with(" kiwi +34.06-118.44 1000\n"), "the answer to WHATSAT");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_client_whose_stale_report_is_not_durable_in_time_gets_no_reply() {
    let (house, journal) = house_with_journal(Duration::from_millis(300)).await;
    let door = house.line(false).await;
    journal.covers_at_once.store(true, SeqCst);
    let mut client = tcp(door);
    client.write_all(b"IAMAT kiwi +34.06-118.44 1000\n").unwrap();
    assert!(line(&mut client).starts_with("AT "));
    journal.covers_at_once.store(false, SeqCst);
    client.write_all(b"IAMAT kiwi +34.06-118.44 1000\n").unwrap();
    assert_eq!(rest(&mut client), b"");
    house.wait_for_log("the client's reports were not durable within 0.3 s");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_http_client_changes_is_acknowledged_when_it_is_durable_and_503_is_told_otherwise() {
    let (house, journal) = house_with_journal(Duration::from_millis(100)).await;
    let door = house.door(DoorKind::Http, &[false]).await[0];
    let ask = |method: &str, path: &str, body: &str| {
        let mut client = house.dial(door, false);
        let len = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {door}\r\nContent-Type: application/json\r\n\
             Content-Length: {len}\r\nConnection: close\r\n\r\n{body}"
        );
        client.write_all(request.as_bytes()).unwrap();
        let answer = String::from_utf8(rest(&mut *client)).unwrap();
        let status = answer.split(' ').nth(1).unwrap_or_default().to_owned();
        (status, answer)
    };
    let report = r#"{"lat":1,"lon":2,"time":"2020-01-01T00:00:00Z"}"#;
    let share = r#"{"id":"kiwi","expires_s":60}"#;
    let requests = [
        ("PUT", "/v1/clients/kiwi/location", report, "200"),
        // The second report is stale.
        ("PUT", "/v1/clients/kiwi/location", report, "200"),
        ("POST", "/v1/shares", share, "201"),
        ("DELETE", "/v1/clients/kiwi", "", "204"),
        // The client is forgotten already. Whether that is durable is not known.
        ("DELETE", "/v1/clients/kiwi", "", "204"),
    ];
    for (number, (method, path, body, _)) in requests.iter().enumerate() {
        let (status, answer) = ask(method, path, body);
        assert_eq!(status, "503", "{method} {path}: {answer}");
        assert_eq!(journal.waiting.lock().len(), number + 1);
    }
    journal.covers_at_once.store(true, SeqCst);
    for (method, path, body, expected) in requests {
        let (status, answer) = ask(method, path, body);
        assert_eq!(status, expected, "{method} {path}: {answer}");
    }
    let (_, made) = ask("POST", "/v1/shares", share);
    let id = made.split("\"share\":\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    journal.covers_at_once.store(false, SeqCst);
    assert_eq!(ask("DELETE", &format!("/v1/shares/{id}"), "").0, "503");
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_waits_for_what_becomes_durable_and_answers_it() {
    let (house, journal) = house_with_journal(PATIENCE).await;
    let door = house.door(DoorKind::Http, &[false]).await[0];
    let report = r#"{"lat":1,"lon":2,"time":"2020-01-01T00:00:00Z"}"#;
    let mut put = tcp(door);
    let request = format!(
        "PUT /v1/clients/kiwi/location HTTP/1.1\r\nHost: {door}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{report}",
        report.len()
    );
    put.write_all(request.as_bytes()).unwrap();
    let mut talk = tcp(door);
    let upgrade = format!(
        "GET /v1/ws HTTP/1.1\r\nHost: {door}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    talk.write_all(upgrade.as_bytes()).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        talk.read_exact(&mut byte).unwrap();
        head.extend(byte);
    }
    let told = br#"{"report":{"id":"mango","lat":1,"lon":2,"time":"2020-01-01T00:00:00Z"},"ref":"1"}"#;
    // One frame with a text, masked with zeros.
    talk.write_all(&[&[0x81, 0x80 | told.len() as u8, 0, 0, 0, 0], &told[..]].concat()).unwrap();
    journal.wait_for(2);
    house.herd.drain();
    house.stop.cancel();
    // A request that waits for nothing would have a second.
    for client in [&mut put, &mut talk] {
        client.set_read_timeout(Some(Duration::from_millis(700))).unwrap();
        assert!(client.read(&mut [0]).is_err(), "it still waits");
        client.set_read_timeout(Some(PATIENCE)).unwrap();
    }
    journal.cover_all();
    let answer = String::from_utf8_lossy(&rest(&mut put)).into_owned();
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("\"accepted\""), "{answer}");
    let answer = String::from_utf8_lossy(&rest(&mut talk)).into_owned();
    assert!(answer.contains(r#"{"ref":"1","result":"accepted"}"#), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscriber_hears_news_as_it_comes_also_once_it_has_nothing_more_to_say() {
    for is_tls in [false, true] {
        let house = House::new("");
        let mut client = house.dial(house.toy(is_tls).await, is_tls);
        client.write_all(&[message(b's', b""), message(b'e', b"and more")].concat()).unwrap();
        assert_eq!((reply(&mut *client).0, reply(&mut *client).0), ('h', 'e'));
        let tell = |news| {
            let mut board = house.board.lock();
            board.news = news;
            board.bells.iter().for_each(Bell::ring);
        };
        let heard = |client: &mut dyn ClientStream| {
            let (letter, body) = reply(client);
            assert_eq!(letter, 'n');
            u32::from_be_bytes(*body.first_chunk().unwrap())
        };
        tell(1);
        assert_eq!(heard(&mut *client), 1);
        client.write_all(&message(b'e', b"again")).unwrap();
        assert_eq!(reply(&mut *client), ('e', b"again".to_vec()));
        client.end();
        tell(200);
        assert!((2..=200).all(|news| heard(&mut *client) == news), "more than is written at once");
        house.stop().await;
        assert_eq!(rest(&mut *client), b"");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscriber_that_has_nothing_more_to_say_is_closed_after_the_last_news() {
    for is_tls in [false, true] {
        let house = House::new("");
        let mut client = house.dial(house.toy(is_tls).await, is_tls);
        client.write_all(&[message(b's', b""), message(b'e', b"and more")].concat()).unwrap();
        assert_eq!((reply(&mut *client).0, reply(&mut *client).0), ('h', 'e'));
        client.end();
        let mut board = house.board.lock();
        (board.news, board.is_over) = (1, true);
        board.bells[0].ring();
        drop(board);
        assert_eq!(reply(&mut *client).0, 'n');
        assert_eq!(rest(&mut *client), b"");
        eventually("it is closed", || house.herd.admission().connections() == 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscriber_that_dies_after_its_last_word_is_noticed_before_there_is_news() {
    let house = House::new("");
    let mut client = tcp(house.toy(false).await);
    client.write_all(&[message(b's', b""), message(b'e', b"and more")].concat()).unwrap();
    assert_eq!((reply(&mut client).0, reply(&mut client).0), ('h', 'e'));
    client.end();
    client.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    assert!(client.read(&mut [0]).is_err(), "the connection stays open");
    // With this the system resets the connection, as the machine of a dead client does when it is probed.
    rustix::net::sockopt::set_socket_linger(&client, Some(Duration::ZERO)).unwrap();
    drop(client);
    eventually("it is closed", || house.herd.admission().connections() == 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscriber_that_takes_nothing_is_closed_and_what_waits_for_it_is_bounded() {
    for is_tls in [false, true] {
        let house = House::new("write_s = 1");
        let door = house.toy(is_tls).await;
        let mut client = house.dial(door, is_tls);
        client.write_all(&message(b's', b"")).unwrap();
        assert_eq!(reply(&mut *client).0, 'h');
        eventually("it listens", || house.board.lock().bells.first().cloned());
        let mut most = 0;
        eventually("it is closed", || {
            let mut board = house.board.lock();
            board.news = 1_000_000;
            board.bells[0].ring();
            drop(board);
            most = most.max(house.herd.admission().buffered());
            house.herd.admission().connections() == 0
        });
        assert!((1..300_000).contains(&most), "{most} bytes waited for it");
        house.wait_for_log("the client did not read its replies for 1 s");
        // The bell of a closed connection rings for no other one.
        house.board.lock().bells[0].ring();
        let mut other = house.dial(door, is_tls);
        other.write_all(&message(b'e', b"here")).unwrap();
        assert_eq!((reply(&mut *other).0, reply(&mut *other).0), ('h', 'e'));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_protocol_is_woken_by_the_clock() {
    let house = House::new("");
    let mut client = house.dial(house.toy(false).await, false);
    let began = Instant::now();
    client.write_all(&message(b't', &[200])).unwrap();
    assert_eq!(reply(&mut *client).0, 'h');
    assert_eq!(reply(&mut *client), ('t', vec![1]));
    assert!(began.elapsed() >= Duration::from_millis(200), "after {:?}", began.elapsed());
}
