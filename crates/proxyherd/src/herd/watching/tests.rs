//! Tests of watchers: the changes that they receive, the changes that wait for them, and when the replica is followed.

use std::sync::mpsc::{Receiver, channel};

use proxyherd_core::{
    limits::{BATCH_LEN_MAX, FOLLOWERS_MAX},
    replica::Offer,
    types::{Attributes, ClientId, Coordinates, Report, Stamp, Timestamp},
};

use super::*;
use crate::{
    caller::Rights,
    herd::{
        Herd, Internals as _,
        tests::{alone, alone_with, caller},
    },
    wait::{PATIENCE, eventually},
};

const NOW_NS: u64 = 1_700_000_000_000_000_000;
const HOUR_NS: u64 = 3600 * 1_000_000_000;

fn client(name: &str) -> ClientId<'_> {
    ClientId::new(name.as_bytes()).unwrap()
}

/// Reports these clients. The argument is the second of the clients' own clocks.
fn report(herd: &Herd, names: &[impl AsRef<str>], second: u32) {
    let stamp = Stamp::Client(Timestamp::parse(second.to_string().as_bytes()).unwrap());
    let coordinates = Coordinates::parse(b"+34.068930-118.445127").unwrap();
    for names in names.chunks(BATCH_LEN_MAX) {
        let of = |client| Report { client, coordinates, stamp, attributes: Attributes::NONE };
        let mut offers: Vec<_> = names.iter().map(|name| Offer::new(of(client(name.as_ref())))).collect();
        herd.wake(herd.report(&caller(Rights::ALL), NOW_NS, &mut offers).unwrap());
        assert!(offers.iter().all(|offer| offer.outcome.is_taken()));
    }
}

/// A watcher, and the rings of its bell.
struct TestWatcher {
    watching: WatchHandle,
    bell: Receiver<()>,
}

impl TestWatcher {
    fn of(herd: &Herd, watch: Watch<'_>) -> Option<TestWatcher> {
        let (ring, bell) = channel();
        let watching = herd
            .watch(&caller(Rights::ALL), watch, move || {
                let _ = ring.send(());
            })
            .unwrap()?;
        Some(TestWatcher { watching, bell })
    }

    /// Waits for the next change and returns it as text, with the record as it is at `now_ns`.
    fn next_at(&self, now_ns: u64) -> String {
        loop {
            let text = |change: Change<'_>| match change {
                Change::Moved(found) => {
                    format!("{} {}", found.client.escape_ascii(), found.timestamp.nanos() / 1_000_000_000)
                }
                Change::Gone(client) => format!("no {}", client.escape_ascii()),
                Change::Anew => "anew".to_owned(),
            };
            if let Some(told) = self.watching.take(now_ns, text) {
                return told;
            }
            self.bell.recv_timeout(PATIENCE).expect("the bell rings");
        }
    }

    fn next(&self) -> String {
        self.next_at(NOW_NS)
    }

    fn waiting_len(&self) -> usize {
        let queue = self.watching.outbox.queue.lock();
        assert_eq!(queue.fifo.len(), queue.queued.len());
        queue.fifo.len()
    }

    fn begins_anew(&self) -> bool {
        self.watching.outbox.queue.lock().begins_anew
    }
}

#[tokio::test]
async fn a_watcher_is_told_of_whom_it_watches_and_of_nobody_else() {
    let herd = alone();
    report(&herd, &["kiwi", "kiwi-2", "emu"], 1);
    let one = TestWatcher::of(&herd, Watch::Client(client("kiwi"))).unwrap();
    let some = TestWatcher::of(&herd, Watch::Prefix(client("kiwi"))).unwrap();
    let all = TestWatcher::of(&herd, Watch::All).unwrap();
    // All watchers receive each change before the next change happens. They share a thread that takes each change once.
    for (name, second) in [("emu", 2), ("kiwi-2", 3), ("kiwi", 4)] {
        report(&herd, &[name], second);
        assert_eq!(all.next(), format!("{name} {second}"));
    }
    assert_eq!([some.next(), some.next()], ["kiwi-2 3", "kiwi 4"]);
    assert_eq!(one.next(), "kiwi 4");
    assert_eq!(herd.forget(&caller(Rights::ALL), NOW_NS, client("kiwi")), Ok(true));
    for watcher in [&one, &some, &all] {
        assert_eq!(watcher.next(), "no kiwi");
        assert!(watcher.watching.outbox.queue.lock().is_empty());
    }
}

#[tokio::test]
async fn a_slow_watcher_is_told_the_newest_of_each_client_once() {
    let herd = alone();
    let watcher = TestWatcher::of(&herd, Watch::All).unwrap();
    for second in 1..=50 {
        report(&herd, &["kiwi", "emu"], second);
        assert!(watcher.waiting_len() <= 2);
    }
    eventually("both wait", || watcher.waiting_len() == 2);
    let mut told = [watcher.next(), watcher.next()];
    told.sort();
    assert_eq!(told, ["emu 50", "kiwi 50"]);
}

#[tokio::test]
async fn a_client_that_expires_is_gone() {
    let herd = alone_with("client_ttl_s = 600");
    let watcher = TestWatcher::of(&herd, Watch::Client(client("kiwi"))).unwrap();
    report(&herd, &["kiwi"], 1);
    assert_eq!(watcher.next(), "kiwi 1");
    assert_eq!(herd.replica().sweep(NOW_NS + HOUR_NS, 1000), 1);
    assert_eq!(watcher.next_at(NOW_NS + HOUR_NS), "no kiwi");
}

#[tokio::test]
async fn a_watcher_for_which_too_much_waits_begins_anew_and_costs_nothing_until_it_knows() {
    let herd = alone();
    let (lazy, other) =
        (TestWatcher::of(&herd, Watch::All).unwrap(), TestWatcher::of(&herd, Watch::All).unwrap());
    let names: Vec<_> = (0..QUEUE_LEN_MAX).map(|number| format!("client-{number}")).collect();
    report(&herd, &names, 1);
    eventually("as many wait as may", || lazy.waiting_len() == QUEUE_LEN_MAX);
    assert!(!lazy.begins_anew());
    (0..QUEUE_LEN_MAX).for_each(|_| assert!(other.next().starts_with("client-")));
    report(&herd, &["one-more"], 1);
    assert_eq!(other.next(), "one-more 1", "who takes what there is loses nothing");
    eventually("it begins anew", || lazy.begins_anew());
    report(&herd, &names[..1], 2);
    assert_eq!(other.next(), "client-0 2");
    assert_eq!(lazy.waiting_len(), 0);
    assert_eq!(lazy.bell.try_iter().count(), 1, "its bell rang when there was something for the first time");
    assert_eq!(lazy.next(), "anew");
    report(&herd, &["kiwi"], 1);
    assert_eq!(lazy.next(), "kiwi 1", "nothing from before");
}

#[tokio::test]
async fn all_watchers_begin_anew_where_their_follower_does() {
    let herd = alone();
    let watchers = [
        TestWatcher::of(&herd, Watch::All).unwrap(),
        TestWatcher::of(&herd, Watch::Client(client("kiwi"))).unwrap(),
    ];
    let mut batch = ChangeBatch::default();
    batch.take(FollowerEvent::Removed { kind: Kind::CLIENT, key: b"kiwi" });
    batch.take(FollowerEvent::Anew { shard: 0 });
    batch.hand_out(&herd.watchers.shared);
    for watcher in watchers {
        assert_eq!(watcher.next(), "anew");
        assert!(watcher.watching.take(NOW_NS, |_| ()).is_none());
    }
}

#[tokio::test]
async fn the_map_is_followed_once_from_the_first_watcher_to_the_last() {
    let herd = alone();
    let news = Following { begins: Begin::Now, wants_removed: false };
    let mut others: Vec<_> =
        (1..FOLLOWERS_MAX).map(|_| herd.replica().follow(news, || ()).unwrap()).collect();
    let watchers = [(); 3].map(|()| TestWatcher::of(&herd, Watch::All).unwrap());
    assert_eq!(herd.replica().follow(news, || ()), None, "the watchers have the last place");
    let [first, second, third] = watchers;
    drop((first, second));
    report(&herd, &["kiwi"], 1);
    assert_eq!(third.next(), "kiwi 1");
    assert_eq!(herd.replica().follow(news, || ()), None);
    drop(third);
    others.push(eventually("the place is free", || herd.replica().follow(news, || ())));
    assert!(TestWatcher::of(&herd, Watch::All).is_none(), "there is no place");
    herd.replica().unfollow(others.remove(0));
    let again = TestWatcher::of(&herd, Watch::All).unwrap();
    report(&herd, &["kiwi"], 2);
    assert_eq!(again.next(), "kiwi 2");
}

#[tokio::test]
async fn there_is_room_for_so_many_watchers_of_more_than_one_client() {
    let herd = alone();
    let mut wide: Vec<_> =
        (0..PREFIX_WATCHERS_MAX).map(|_| TestWatcher::of(&herd, Watch::All).unwrap()).collect();
    assert!(TestWatcher::of(&herd, Watch::Prefix(client("k"))).is_none());
    let one = TestWatcher::of(&herd, Watch::Client(client("kiwi"))).unwrap();
    wide.pop();
    let last = TestWatcher::of(&herd, Watch::Prefix(client("k"))).unwrap();
    report(&herd, &["kiwi"], 1);
    assert_eq!([one.next(), last.next()], ["kiwi 1", "kiwi 1"]);
}

#[tokio::test]
async fn the_thread_ends_with_the_server_also_while_somebody_watches() {
    let herd = alone();
    let watcher = TestWatcher::of(&herd, Watch::All).unwrap();
    assert!(watcher.watching.shared.lock().wake_thread.is_some());
    drop(herd);
    eventually("it ends", || watcher.watching.shared.lock().wake_thread.is_none());
}

#[tokio::test]
async fn a_bell_that_does_not_return_is_seen_by_the_watchdog() {
    let herd = alone();
    let (release, released) = channel::<()>();
    let released = Mutex::new(released);
    let bell = move || assert!(released.lock().recv().is_err());
    let watching = herd.watch(&caller(Rights::ALL), Watch::All, bell).unwrap().unwrap();
    report(&herd, &["kiwi"], 1);
    eventually("it is stuck", || herd.liveness().check() == ["telling watchers"]);
    drop(release);
    eventually("it moves again", || herd.liveness().check().is_empty());
    drop(watching);
}

#[tokio::test]
async fn a_bell_that_panics_has_all_watchers_begin_anew_and_silences_nobody() {
    let herd = alone();
    let all = TestWatcher::of(&herd, Watch::All).unwrap();
    let one = TestWatcher::of(&herd, Watch::Client(client("emu"))).unwrap();
    let fails = || panic!("this bell is broken");
    let broken = herd.watch(&caller(Rights::ALL), Watch::Client(client("kiwi")), fails).unwrap().unwrap();
    report(&herd, &["kiwi"], 1);
    assert_eq!(one.next(), "anew");
    while all.next() != "anew" {}
    drop(broken);
    report(&herd, &["emu"], 2);
    assert_eq!((one.next(), all.next()), ("emu 2".to_owned(), "emu 2".to_owned()));
    let late = TestWatcher::of(&herd, Watch::All).unwrap();
    report(&herd, &["kiwi"], 3);
    assert_eq!(late.next(), "kiwi 3");
    drop((all, one, late));
    let following = Following { begins: Begin::Now, wants_removed: false };
    eventually("nobody follows", || {
        let places: Vec<_> =
            (0..FOLLOWERS_MAX).map_while(|_| herd.replica().follow(following, || ())).collect();
        let count = places.len();
        places.into_iter().for_each(|place| herd.replica().unfollow(place));
        count == FOLLOWERS_MAX
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_tells_nothing_after_its_token_has_ended() {
    let (herd, rights) = (alone(), Rights::of(&["read:k*"]));
    let (ring, bell) = channel();
    let watch = |watch| {
        let ring = ring.clone();
        herd.watch(&caller(rights.clone()), watch, move || {
            let _ = ring.send(());
        })
    };
    assert!(watch(Watch::All).is_err() && watch(Watch::Client(client("a"))).is_err());
    let watching = watch(Watch::Prefix(client("ki"))).unwrap().unwrap();
    report(&herd, &["kiwi", "kino"], 1);
    bell.recv_timeout(PATIENCE).expect("the bell rings");
    assert!(watching.take(NOW_NS, |_| ()).is_some());
    rights.grant().unwrap().revoke();
    assert!(watching.take(NOW_NS, |_| ()).is_none(), "the token has ended");
}
