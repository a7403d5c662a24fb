//! Tests of live streams at a server: what readers take, when bells ring, rights, limits, and when the replica is
//! followed.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    num::NonZeroU32,
    path::Path,
    sync::mpsc::{Receiver, channel},
};

use proxyherd_core::{
    command::Bounds,
    flood::{Begin, Following},
    limits::{BATCH_LEN_MAX, FOLLOWERS_MAX},
    replica::Offer,
    types::{Attributes, AttributesBuf, ClientId, Coordinates, Report, ServerName, Stamp, Timestamp},
};
use proxyherd_streams::{StreamFilter, StreamKind, StreamKinds};

use proxyherd_config::config::{Address, Config, Overrides};

use super::*;
use crate::{
    caller::Rights,
    herd::{
        Herd, Internals as _,
        tests::{alone, alone_with, caller},
    },
    server::{Server, Sockets},
    wait::{PATIENCE, eventually},
};

const HOUR_NS: u64 = 3600 * 1_000_000_000;

fn client(name: &str) -> ClientId<'_> {
    ClientId::new(name.as_bytes()).unwrap()
}

fn report_at<'a>(name: &'a str, second: u32, place: &str, attributes: Attributes<'a>) -> Report<'a> {
    Report {
        client: client(name),
        coordinates: Coordinates::parse(place.as_bytes()).unwrap(),
        stamp: Stamp::Client(Timestamp::parse(second.to_string().as_bytes()).unwrap()),
        attributes,
    }
}

fn take_all(herd: &Herd, offers: &mut [Offer<'_>]) {
    herd.wake(herd.report(&caller(Rights::ALL), clock::now_ns(), offers).unwrap());
    assert!(offers.iter().all(|offer| offer.outcome.is_taken()));
}

/// Reports these clients at one place. The argument is the second of the clients' own clocks.
fn report(herd: &Herd, names: &[impl AsRef<str>], second: u32) {
    for names in names.chunks(BATCH_LEN_MAX) {
        let of = |name| Offer::new(report_at(name, second, "+34.0-118.0", Attributes::NONE));
        let mut offers: Vec<_> = names.iter().map(|name| of(name.as_ref())).collect();
        take_all(herd, &mut offers);
    }
}

fn move_to(herd: &Herd, name: &str, second: u32, place: &str) {
    take_all(herd, &mut [Offer::new(report_at(name, second, place, Attributes::NONE))]);
}

fn ids(patterns: &[&str]) -> StreamFilter {
    let ids = patterns.iter().map(|text| IdPattern::parse(text.as_bytes()).unwrap()).collect();
    StreamFilter { ids, ..StreamFilter::default() }
}

fn request(filter: StreamFilter) -> StreamRequest {
    StreamRequest { filter, kinds: StreamKinds::default(), last_event_id: None }
}

/// A reader of a stream, and the rings of its bell.
struct Reader {
    stream: StreamHandle,
    bell: Receiver<()>,
    last_id: Option<String>,
    /// The number of the last event, if it was an event of presence.
    event_id: Option<u128>,
}

impl Reader {
    fn try_open(herd: &Herd, rights: Rights, request: StreamRequest) -> Result<Reader, StreamRefusal> {
        let (ring, bell) = channel();
        let stream = herd.stream(&caller(rights), clock::now_ns(), request, move || {
            let _ = ring.send(());
        })?;
        Ok(Reader { stream, bell, last_id: None, event_id: None })
    }

    /// Opens a stream of these clients.
    fn of(herd: &Herd, patterns: &[&str]) -> Reader {
        Reader::try_open(herd, Rights::ALL, request(ids(patterns))).unwrap()
    }

    /// Opens a stream of these clients, and takes its state: that of no clients.
    fn synced(herd: &Herd, patterns: &[&str]) -> Reader {
        let mut reader = Reader::of(herd, patterns);
        while reader.next() != "synced" {}
        reader
    }

    /// What can be taken now as text, or why nothing can be taken.
    fn take(&mut self, now_ns: u64) -> Taken<String> {
        let event_id = &mut self.event_id;
        let taken = self.stream.take(now_ns, |event, id| {
            *event_id = None;
            let text = match event {
                StreamEvent::Reset => "reset".to_owned(),
                StreamEvent::Location(found) => {
                    format!("{} {}", found.client.escape_ascii(), found.timestamp.nanos() / 1_000_000_000)
                }
                StreamEvent::Synced => "synced".to_owned(),
                StreamEvent::Left(client) => format!("{} left", client.escape_ascii()),
                StreamEvent::Gone(client) => format!("{} gone", client.escape_ascii()),
                StreamEvent::Presence(event) => {
                    *event_id = Some(event.event_id);
                    format!("{} {}!", event.client.escape_ascii(), event.kind.label())
                }
            };
            (text, id.to_string())
        });
        match taken {
            Taken::Event((text, id)) => {
                self.last_id = Some(id);
                Taken::Event(text)
            }
            Taken::Empty => Taken::Empty,
            Taken::Gather => Taken::Gather,
            Taken::Ended(why) => Taken::Ended(why),
        }
    }

    /// Waits for the next event and returns it as text, with the record as it is at `now_ns`.
    fn next_at(&mut self, now_ns: u64) -> String {
        loop {
            match self.take(now_ns) {
                Taken::Event(text) => return text,
                Taken::Gather => self.stream.gather(now_ns, Effort::ANY).unwrap(),
                Taken::Empty => self.bell.recv_timeout(PATIENCE).expect("the bell rings"),
                Taken::Ended(why) => return why.reason(),
            }
        }
    }

    fn next(&mut self) -> String {
        self.next_at(clock::now_ns())
    }

    fn next_with_event(&mut self) -> (String, Option<u128>) {
        (self.next(), self.event_id)
    }

    fn resuming(&self, filter: StreamFilter) -> StreamRequest {
        let last_event_id = self.last_id.as_ref().map(|id| id.as_bytes().into());
        StreamRequest { last_event_id, ..request(filter) }
    }
}

trait Reason {
    fn reason(&self) -> String;
}

impl Reason for StreamEnd {
    fn reason(&self) -> String {
        format!("{self:?}")
    }
}

/// The places that are left for followers of the replica.
fn places(herd: &Herd) -> usize {
    let following = Following { begins: Begin::Now, wants_removed: false };
    let taken: Vec<_> = (0..FOLLOWERS_MAX).map_while(|_| herd.replica().follow(following, || ())).collect();
    let count = taken.len();
    taken.into_iter().for_each(|place| herd.replica().unfollow(place));
    count
}

#[tokio::test]
async fn a_stream_tells_the_state_of_its_clients_and_then_their_changes_and_nothing_of_others() {
    let herd = alone();
    report(&herd, &["kiwi", "kiwi-2", "emu"], 1);
    let (mut one, mut some, mut all) =
        (Reader::of(&herd, &["kiwi"]), Reader::of(&herd, &["kiwi*"]), Reader::of(&herd, &[]));
    assert_eq!([one.next(), one.next(), one.next()], ["reset", "kiwi 1", "synced"]);
    for (reader, count) in [(&mut some, 4), (&mut all, 5)] {
        let mut state: Vec<_> = (0..count).map(|_| reader.next()).collect();
        assert_eq!((state.remove(0), state.pop()), ("reset".to_owned(), Some("synced".to_owned())));
        state.sort();
        assert!(state == ["kiwi 1", "kiwi-2 1"] || state == ["emu 1", "kiwi 1", "kiwi-2 1"]);
    }
    for (name, second) in [("emu", 2), ("kiwi-2", 3), ("kiwi", 4)] {
        report(&herd, &[name], second);
        assert_eq!(all.next(), format!("{name} {second}"));
    }
    assert_eq!([some.next(), some.next()], ["kiwi-2 3", "kiwi 4"]);
    assert_eq!(one.next(), "kiwi 4");
    assert_eq!(herd.forget(&caller(Rights::ALL), clock::now_ns(), client("kiwi")), Ok(true));
    for reader in [&mut one, &mut some, &mut all] {
        assert_eq!(reader.next(), "kiwi gone");
        assert_eq!(reader.take(clock::now_ns()), Taken::Empty);
    }
}

#[tokio::test]
async fn a_client_that_leaves_the_box_is_told_so_although_nobody_wants_its_new_place() {
    let herd = alone();
    let bounds = Bounds::new(10.0, 10.0, 10.1, 10.1);
    let filter = StreamFilter { bounds, ..StreamFilter::default() };
    let mut reader = Reader::try_open(&herd, Rights::ALL, request(filter)).unwrap();
    assert_eq!([reader.next(), reader.next()], ["reset", "synced"]);
    for (second, place, told) in
        [(1, "+50+50", None), (2, "+10.05+10.05", Some("kiwi 2")), (3, "-50-50", Some("kiwi left"))]
    {
        move_to(&herd, "kiwi", second, place);
        if let Some(told) = told {
            assert_eq!(reader.next(), told);
        }
    }
}

#[tokio::test]
async fn a_slow_reader_is_told_the_newest_of_each_client_once() {
    let herd = alone();
    let mut reader = Reader::synced(&herd, &[]);
    let mut quick = Reader::synced(&herd, &[]);
    for second in 1..=50 {
        report(&herd, &["kiwi", "emu"], second);
    }
    while !quick.next().ends_with(" 50") {}
    while !quick.next().ends_with(" 50") {}
    let mut told = [reader.next(), reader.next()];
    told.sort();
    assert_eq!(told, ["emu 50", "kiwi 50"]);
    assert_eq!(reader.take(clock::now_ns()), Taken::Empty);
}

#[tokio::test]
async fn a_client_that_expires_is_gone_without_any_other_traffic() {
    let herd = alone_with("client_ttl_s = 600");
    let mut reader = Reader::synced(&herd, &["kiwi"]);
    report(&herd, &["kiwi"], 1);
    assert_eq!(reader.next(), "kiwi 1");
    // The report is no longer shown, although it is kept for a while.
    let later_ns = clock::now_ns() + 601 * 1_000_000_000;
    assert_eq!(herd.replica().sweep(later_ns, 1000), 0);
    assert_eq!(reader.next_at(later_ns), "kiwi gone");
    assert_eq!(herd.replica().sweep(later_ns + HOUR_NS, 1000), 1);
}

#[tokio::test]
async fn a_reader_that_has_read_its_clock_before_a_report_expired_is_not_told_the_report_afterwards() {
    let herd = alone();
    let mut reader = Reader::synced(&herd, &["kiwi"]);
    assert_eq!(reader.take(clock::now_ns()), Taken::Empty);
    let mut attributes = AttributesBuf::default();
    attributes.set_ttl_s(NonZeroU32::MIN).unwrap();
    take_all(&herd, &mut [Offer::new(report_at("kiwi", 1, "+1+1", attributes.borrow()))]);
    let early_ns = clock::now_ns();
    reader.bell.recv_timeout(PATIENCE).expect("the bell rings");
    eventually("the thread offers that the report has expired", || {
        herd.replica().sweep(clock::now_ns(), 1000);
        herd.streams.counts().conflated == 1
    });
    assert_eq!(reader.take(early_ns), Taken::Empty, "it would never be told that the client is gone");
}

#[tokio::test]
async fn a_reader_resumes_where_it_was_and_another_server_or_owner_begins_anew() {
    let herd = alone();
    let (mut reader, mut other_reader) = (Reader::synced(&herd, &["k*"]), Reader::synced(&herd, &["k*"]));
    report(&herd, &["kiwi", "kea"], 1);
    for reader in [&mut reader, &mut other_reader] {
        let _ = [reader.next(), reader.next()];
    }
    let resumed = reader.resuming(ids(&["k*"]));
    let other = reader.resuming(ids(&["ki*"]));
    drop(reader);
    report(&herd, &["kiwi"], 2);
    assert_eq!(herd.forget(&caller(Rights::ALL), clock::now_ns(), client("kea")), Ok(true));
    // When another reader is told the last change, all are offered.
    while other_reader.next() != "kea gone" {}
    let mut reader = Reader::try_open(&herd, Rights::ALL, resumed.clone()).unwrap();
    let mut told = [reader.next(), reader.next()];
    told.sort();
    assert_eq!((told, reader.next()), (["kea gone".to_owned(), "kiwi 2".to_owned()], "synced".to_owned()));
    for (rights, request) in [(Rights::ALL, other), (Rights::of(&["read:k*"]), resumed.clone())] {
        assert_eq!(Reader::try_open(&herd, rights, request).unwrap().next(), "reset");
    }
    assert_eq!(Reader::try_open(&alone(), Rights::ALL, resumed.clone()).unwrap().next(), "reset");
    // Another connection takes the stream over, and the one before learns it.
    while reader.take(clock::now_ns()) != Taken::Empty {}
    let mut next = Reader::try_open(&herd, Rights::ALL, reader.resuming(ids(&["k*"]))).unwrap();
    assert_eq!(reader.next(), "TakenOver");
    drop(reader);
    assert_eq!(next.next(), "synced");
    report(&herd, &["kiwi"], 3);
    assert_eq!(next.next(), "kiwi 3");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_tells_what_its_token_may_read_and_ends_with_the_token_although_nothing_happens() {
    let (herd, rights) = (alone(), Rights::of(&["read:k*"]));
    report(&herd, &["kiwi", "emu"], 1);
    let open = |patterns| Reader::try_open(&herd, rights.clone(), request(ids(patterns)));
    for denied in [&["*"][..], &["a"], &["kiwi", "emu"]] {
        assert!(matches!(open(denied), Err(StreamRefusal::Denied(_))), "{denied:?}");
    }
    let nobody = Reader::try_open(&herd, Rights::of(&["report:*"]), request(ids(&[])));
    assert!(matches!(nobody, Err(StreamRefusal::Denied(_))));
    let (mut all, mut one) = (open(&[]).unwrap(), open(&["kiwi"]).unwrap());
    for reader in [&mut all, &mut one] {
        assert_eq!([reader.next(), reader.next(), reader.next()], ["reset", "kiwi 1", "synced"]);
        assert_eq!(reader.take(clock::now_ns()), Taken::Empty);
    }
    let mut other = Reader::synced(&herd, &[]);
    rights.grant().unwrap().revoke();
    herd.recheck_tokens();
    for reader in [&mut all, &mut one] {
        reader.bell.recv_timeout(PATIENCE).expect("the bell rings");
        assert_eq!(reader.next(), "RightsEnded");
    }
    report(&herd, &["kiwi"], 2);
    assert_eq!(other.next(), "kiwi 2");
}

#[tokio::test]
async fn the_map_is_followed_once_from_the_first_stream_until_no_stream_is_kept() {
    let herd = alone();
    assert_eq!(places(&herd), FOLLOWERS_MAX);
    let [first, second, mut third] = [(); 3].map(|()| Reader::of(&herd, &[]));
    assert_eq!(places(&herd), FOLLOWERS_MAX - 1);
    drop((first, second));
    while third.next() != "synced" {}
    report(&herd, &["kiwi"], 1);
    assert_eq!(third.next(), "kiwi 1");
    drop(third);
    assert_eq!(places(&herd), FOLLOWERS_MAX - 1, "its reader may resume it");
    herd.streams.hub.state.lock().streams.expire(clock::now_ns() + HOUR_NS);
    eventually("nobody follows", || places(&herd) == FOLLOWERS_MAX);
    let following = Following { begins: Begin::Now, wants_removed: false };
    let others = [(); FOLLOWERS_MAX].map(|()| herd.replica().follow(following, || ()).unwrap());
    let refused = Reader::try_open(&herd, Rights::ALL, request(ids(&[]))).err();
    assert_eq!(refused, Some(StreamRefusal::Full(StreamsFull::Follower)));
    others.into_iter().for_each(|other| herd.replica().unfollow(other));
    let mut again = Reader::synced(&herd, &[]);
    report(&herd, &["kiwi"], 2);
    assert_eq!(again.next(), "kiwi 2");
}

#[tokio::test]
async fn one_caller_cannot_take_all_streams() {
    let herd = alone();
    let (first, rest): (Rights, Rights) = (Rights::of(&["operate"]), Rights::ALL);
    let open = |rights: &Rights, filter| Reader::try_open(&herd, rights.clone(), request(filter));
    let mut wide: Vec<_> = (0..).map_while(|_| open(&rest, ids(&[])).ok()).collect();
    assert_eq!(wide.len(), 256);
    let refused = open(&first, ids(&["*"])).err();
    assert_eq!(refused, Some(StreamRefusal::Full(StreamsFull::CallerWide(256))), "it has the same address");
    let earth = StreamFilter { bounds: Bounds::new(-90.0, -180.0, 90.0, 180.0), ..StreamFilter::default() };
    let refused = open(&rest, earth).err();
    assert_eq!(refused, Some(StreamRefusal::Full(StreamsFull::CallerWide(256))), "the Earth is no place");
    let narrow = open(&rest, ids(&["kiwi"])).unwrap();
    wide.pop();
    wide.push(open(&rest, ids(&[])).unwrap());
    drop((wide, narrow));
    assert!(herd.streams.hub.state.lock().callers.is_empty());
}

#[tokio::test]
async fn a_server_that_stops_ends_its_streams_and_opens_no_more() {
    let herd = alone();
    let mut reader = Reader::synced(&herd, &[]);
    assert_eq!(reader.take(clock::now_ns()), Taken::Empty);
    herd.drain();
    assert_eq!(reader.next(), "ShuttingDown");
    let refused = Reader::try_open(&herd, Rights::ALL, request(ids(&[]))).err();
    assert_eq!(refused, Some(StreamRefusal::Full(StreamsFull::Follower)));
    eventually("nobody follows", || places(&herd) == FOLLOWERS_MAX);
}

#[tokio::test]
async fn after_a_fault_that_cannot_be_repaired_readers_are_told_so() {
    let herd = alone();
    let mut reader = Reader::of(&herd, &[]);
    herd.streams.hub.state.lock().has_failed = true;
    assert_eq!(reader.stream.gather(clock::now_ns(), Effort::ANY), Ok(()));
    assert_eq!(reader.next(), "Failed");
    assert_eq!(herd.streams.counts(), StreamCounts::default());
}

#[tokio::test]
async fn a_large_stream_is_released_by_the_thread_and_those_of_others_go_on() {
    let herd = alone();
    let names: Vec<_> = (0..20_000).map(|number| format!("kea-{number}")).collect();
    report(&herd, &names, 1);
    let mut one = Reader::synced(&herd, &["kiwi"]);
    let all = Reader::synced(&herd, &[]);
    assert!(herd.streams.counts().entries > 20_000);
    herd.streams
        .hub
        .state
        .lock()
        .streams
        .end_if(StreamEnd::RightsEnded, |connection| Arc::ptr_eq(connection, &all.stream.connection));
    drop(all);
    report(&herd, &["kiwi"], 2);
    assert_eq!(one.next(), "kiwi 2");
    eventually("its clients are released", || herd.streams.counts().entries == 1);
}

#[tokio::test]
async fn the_thread_ends_with_the_server_also_while_somebody_reads() {
    let herd = alone();
    let reader = Reader::synced(&herd, &[]);
    assert!(reader.stream.hub.state.lock().wake_thread.is_some());
    drop(herd);
    eventually("it ends", || reader.stream.hub.state.lock().wake_thread.is_none());
}

#[tokio::test]
async fn a_bell_that_does_not_return_is_seen_by_the_watchdog() {
    let herd = alone();
    let (release, released) = channel::<()>();
    let released = Mutex::new(released);
    let bell = move || assert!(released.lock().recv().is_err());
    let stream = herd.stream(&caller(Rights::ALL), clock::now_ns(), request(ids(&["kiwi"])), bell).unwrap();
    loop {
        match stream.take(clock::now_ns(), |_, _| ()) {
            Taken::Gather => stream.gather(clock::now_ns(), Effort::ANY).unwrap(),
            Taken::Event(()) => {}
            Taken::Empty => break,
            Taken::Ended(why) => panic!("{why:?}"),
        }
    }
    report(&herd, &["kiwi"], 1);
    eventually("it is stuck", || herd.liveness().check() == ["telling streams"]);
    drop(release);
    eventually("it moves again", || herd.liveness().check().is_empty());
}

#[tokio::test]
async fn a_bell_that_panics_silences_nobody_else() {
    let herd = alone();
    let mut all = Reader::synced(&herd, &[]);
    let fails = || panic!("this bell is broken");
    let broken = herd.stream(&caller(Rights::ALL), clock::now_ns(), request(ids(&["kiwi"])), fails).unwrap();
    while !matches!(broken.take(clock::now_ns(), |_, _| ()), Taken::Empty) {
        broken.gather(clock::now_ns(), Effort::ANY).unwrap();
    }
    for second in 1..4 {
        report(&herd, &["kiwi"], second);
        assert_eq!(all.next(), format!("kiwi {second}"));
    }
    assert!(herd.liveness().check().is_empty());
}

#[tokio::test]
async fn after_a_panic_all_streams_begin_anew_and_go_on() {
    let herd = alone();
    let mut reader = Reader::synced(&herd, &["kiwi"]);
    report(&herd, &["kiwi"], 1);
    assert_eq!(reader.next(), "kiwi 1");
    herd.streams.hub.state.lock().fails = true;
    report(&herd, &["kiwi"], 2);
    assert_eq!([reader.next(), reader.next(), reader.next()], ["reset", "kiwi 2", "synced"]);
    report(&herd, &["kiwi"], 3);
    assert_eq!(reader.next(), "kiwi 3");
    assert!(herd.liveness().check().is_empty());
}

/// Two servers with a link, on ports that the system chooses.
async fn pair(dir: &Path) -> [Server; 2] {
    let mut text = format!("[herd]\ntls = \"off\"\n[log]\ndir = {:?}\n", dir.join("log"));
    for (port, name, neighbors) in [(1, "Riley", "\"Jaquez\""), (2, "Jaquez", "")] {
        // The sockets below choose ports that can be dialed.
        let _ = write!(
            text,
            "[[server]]\nname = \"{name}\"\nlisten = \"127.0.0.1:0\"\npeer = \"127.0.0.1:{port}\"\n\
             neighbors = [{neighbors}]\n"
        );
    }
    let mut config = Config::read(&text, &dir.join("herd.toml"), &Overrides::none()).unwrap();
    let mut sockets = Vec::new();
    for server in &mut config.servers {
        server.peer = Some("127.0.0.1:0".parse().unwrap());
        sockets.push(Sockets::bind(server).await.unwrap());
        let peer = sockets.last().unwrap().addresses().peer.unwrap();
        server.peer = Some(Address::new(peer.ip(), peer.port()));
    }
    ["Riley", "Jaquez"].map(|name| {
        let name = ServerName::new(name).unwrap();
        Server::start_on(&config, &name, sockets.remove(0)).unwrap()
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_at_one_server_tells_what_another_takes_and_both_tell_the_same_presence() {
    let dir = tempfile::tempdir().unwrap();
    let servers = pair(dir.path()).await;
    let [riley, jaquez] = [0, 1].map(|at| Arc::clone(servers[at].herd()));
    eventually("the servers hold the same", || {
        [&riley, &jaquez].into_iter().all(|herd| herd.replica().is_caught_up())
    });
    let kinds = StreamKinds::default().with(StreamKind::Presence);
    let mut readers = [&riley, &jaquez].map(|herd| {
        Reader::try_open(herd, Rights::ALL, StreamRequest { kinds, ..request(ids(&[])) }).unwrap()
    });
    for reader in &mut readers {
        assert_eq!([reader.next(), reader.next()], ["reset", "synced"]);
    }
    // Each server begins to tell presence when its scan is over.
    let mut number = 0;
    let mut is_told = [false; 2];
    eventually("both tell presence", || {
        number += 1;
        report(&riley, &[format!("kea-{number}")], 1);
        for (reader, is_told) in readers.iter_mut().zip(&mut is_told) {
            while let Taken::Event(text) = reader.take(clock::now_ns()) {
                *is_told |= text.ends_with("came!");
            }
        }
        is_told == [true; 2]
    });
    report(&riley, &["kiwi"], 1);
    report(&jaquez, &["emu"], 2);
    for name in ["kiwi", "emu"] {
        eventually("it has arrived", || {
            [&riley, &jaquez].into_iter().all(|herd| herd.replica().holds(client(name)))
        });
        assert_eq!(jaquez.forget(&caller(Rights::ALL), clock::now_ns(), client(name)), Ok(true));
    }
    let told = readers.map(|mut reader| {
        let (mut texts, mut events) = (BTreeSet::new(), BTreeSet::new());
        while events.len() < 4 {
            match reader.next_with_event() {
                (text, Some(id)) if !text.starts_with("kea") => drop(events.insert((text, id))),
                (text, _) => drop(texts.insert(text)),
            }
        }
        events
    });
    assert_eq!(told[0], told[1]);
    let [one, other] = servers;
    one.stop().await;
    other.stop().await;
}

#[tokio::test]
async fn presence_tells_who_comes_and_goes_and_nothing_of_those_who_were_there() {
    let herd = alone();
    report(&herd, &["emu"], 1);
    let kinds = StreamKinds::NONE.with(StreamKind::Presence);
    let mut reader =
        Reader::try_open(&herd, Rights::ALL, StreamRequest { kinds, ..request(ids(&[])) }).unwrap();
    assert_eq!([reader.next(), reader.next()], ["reset", "synced"]);
    // What comes during the scan at the beginning is told to nobody.
    let mut number = 0;
    eventually("the scan is over", || {
        number += 1;
        report(&herd, &[format!("kea-{number}")], 1);
        matches!(reader.take(clock::now_ns()), Taken::Event(_))
    });
    let mut attributes = AttributesBuf::default();
    attributes.set_ttl_s(NonZeroU32::MIN).unwrap();
    take_all(&herd, &mut [Offer::new(report_at("kiwi", 1, "+1+1", attributes.borrow()))]);
    while reader.next() != "kiwi came!" {}
    assert_eq!(herd.forget(&caller(Rights::ALL), clock::now_ns(), client("emu")), Ok(true));
    assert_eq!(reader.next(), "emu gone!");
    assert_eq!(reader.next(), "kiwi gone!", "it has expired, and nothing else has happened");
}
